"""Answers to the checked exercises, right and wrong, and the numbers that their statements name:
one module a chapter.

    WRONG = {
        "ex-5-3": [  # (what is wrong, words that the check's message must contain (regular
        expression), source)
            ("b without its minus", "wrong sign", '''
    def response(J, theta, p):
        ...
    '''),
        ],
    }
    RIGHT = {
        "ex-5-3": [  # (what is different, source): written without a look at the book's solution
            ("with numpy, a list", '''
    def response(J, theta, p):
        ...
    '''),
        ],
    }
    STATED = {
        "ex-5-3": [  # (number as it stands in the statement, expression after the book's solution
        [, the number as an expression])
            ("0.2917", "response(J, theta, p)[0, 0]"),
            (r"\tfrac58", "level(1.5)", "5 / 8"),
        ],
    }
    GIVEN = {"ex-5-3": "0.1 0.25"}  # decimal numbers of the statement that are handed in, or belong
    to the paper

Each source stands alone: it runs after the chapter's set-up, imports and `for-exercises` cells and
defines the function of the
stub, as a student's answer cell does. For each exercise there are at least four wrong answers (one
hard-wired to the example that the
statement prints, one that is right in the easy regime only, one that takes an absolute value or
drops a sign, where these make sense)
and two right ones in different style. `tests/test_exercises.py` runs them against the checks,
`tests/test_course.py` hands the wrong ones in.
"""

import importlib
import textwrap


def _clean(source):
    return textwrap.dedent(source).strip() + "\n"


def wrong_answers(number):
    """{label: [(what is wrong, words of the message, source), …]} of a chapter."""
    answers = importlib.import_module(f"answers.chapter{number}").WRONG
    return {
        label: [(what, words, _clean(source)) for what, words, source in wrong]
        for label, wrong in answers.items()
    }


def right_answers(number):
    """{label: [(what is different, source), …]} of a chapter."""
    answers = getattr(importlib.import_module(f"answers.chapter{number}"), "RIGHT", {})
    return {
        label: [(what, _clean(source)) for what, source in right]
        for label, right in answers.items()
    }


def stated(number, label):
    """([(number as it stands, expression, number as an expression or None), …], {decimal numbers
    that are given}) of an exercise.
    """
    module = importlib.import_module(f"answers.chapter{number}")
    return [(*entry, None)[:3] for entry in getattr(module, "STATED", {}).get(label, [])], set(
        getattr(module, "GIVEN", {}).get(label, "").split()
    )
