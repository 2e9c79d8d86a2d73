"""Plausible wrong answers to the checked exercises, one module a chapter.

    WRONG = {
        "ex-5-3": [  # (what is wrong, words that the check's message must contain (regular expression), source)
            ("b without its minus", "wrong sign", '''
    def response(J, theta, p):
        ...
    '''),
        ],
    }

Each source stands alone: it runs after the chapter's set-up, imports and `for-exercises` cells and defines the function of the
stub, as a student's answer cell does. At least three for each exercise. `tests/test_exercises.py` runs them against the checks,
`tests/test_course.py` hands them in.
"""

import importlib
import textwrap


def wrong_answers(number):
    """{label: [(what is wrong, words of the message, source), …]} of a chapter."""
    answers = importlib.import_module(f"answers.chapter{number}").WRONG
    return {label: [(what, words, textwrap.dedent(source).strip() + "\n") for what, words, source in wrong] for label, wrong in answers.items()}
