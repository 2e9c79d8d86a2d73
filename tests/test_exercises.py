"""Each checked exercise of each chapter: right answers pass, the stub fails helpfully, plausible
mistakes are named, the statement's numbers are the solution's.

References and stubs are read from the notebooks, other answers from `tests/answers/`. Each runs
after the chapter's set-up cell, imports and cells tagged `for-exercises` alone, as on an exercise
sheet.
"""

import ast
import contextlib
import copy
import functools
import inspect
import pathlib
import random
import re
import sys

import matplotlib
import numpy as np
import pytest
import torch
from IPython.core.inputtransformer2 import TransformerManager

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import exercises  # noqa: E402

from answers import right_answers, stated, wrong_answers  # noqa: E402

pytestmark = pytest.mark.long

matplotlib.use("agg")
CHAPTERS = {chapter.number: chapter for chapter in exercises.chapters()}
CHECKED = {
    e.label: (number, e)
    for number, chapter in CHAPTERS.items()
    for e in chapter.exercises
    if e.checked
}


def wrong_cases():
    """One parameter for each wrong answer; one that fails for a chapter whose file is missing."""
    for number in CHAPTERS:
        try:
            answers = wrong_answers(number)
        except ModuleNotFoundError as error:
            yield pytest.param(
                number,
                None,
                f"tests/answers/chapter{number}.py is missing ({error})",
                "",
                id=f"chapter{number}-missing",
            )
            continue
        for label, wrong in answers.items():
            for what, words, source in wrong:
                yield pytest.param(
                    label, words, what, source, id=f"{label}-{what.replace(' ', '-')}"
                )


@functools.cache
def prepared(number):
    """The names that a sheet of this chapter has before the first answer."""
    names = {"__name__": "__main__"}
    before = torch.get_default_dtype()
    with contextlib.chdir(ROOT / "book"), matplotlib.rc_context():
        for source in CHAPTERS[number].preparation:
            exec(
                TransformerManager().transform_cell(source), names
            )  # `!pip …` is no Python; on Colab alone is it run
    torch.set_default_dtype(before)
    return names


def run(number, source):
    """The names after an answer cell: a fresh copy, so that no answer leans on another; in double
    precision, as the set-up cell leaves it.
    """
    names = dict(prepared(number))
    torch.set_default_dtype(torch.float64)
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    with contextlib.chdir(ROOT / "book"):
        exec(source, names)
    return names


def test_answers_run_in_double_precision(single):
    """As in the notebooks, whatever ran before."""
    assert run(7, "theta = torch.tensor(0.1)")["theta"].dtype == torch.float64


def check(exercise, number, source):
    names = run(number, source)
    with contextlib.chdir(ROOT / "book"):
        return eval(exercise.check, names)


def body(source, name):
    """The statements of a function without its docstring, as text to compare."""
    (function,) = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    statements = copy.copy(function.body)
    if ast.get_docstring(function) is not None:
        statements.pop(0)
    return [ast.dump(node) for node in statements]


checked = pytest.mark.parametrize("label", CHECKED)


@pytest.mark.parametrize("number", CHAPTERS)
def test_labels_and_calls(number):
    """An exercise with a stub has one check call, on the function of the stub; one without has
    none; labels are single.
    """
    labels = [e.label for e in CHAPTERS[number].exercises]
    assert labels and len(set(labels)) == len(labels)
    for e in CHAPTERS[number].exercises:
        wanted = [f"chapter{number}"] if e.checked else []
        assert [module for module, _, _ in e.checks] == wanted, (
            f"{e.label}: a stub in its statement {e.checked}, check calls {e.checks}"
        )
        if e.checked:
            assert e.checks[0][2] == e.name, (
                f"{e.label}: the stub is {e.name}, the check is called on {e.checks[0][2]}"
            )
            assert e.reference, f"{e.label}: no solution between the marks"


@checked
def test_the_reference_passes(label, single):
    """Also where torch's default device is another one, here one on which nothing can be read, and
    its default type float32.
    """
    number, exercise = CHECKED[label]
    names = run(number, exercise.reference)
    torch.set_default_dtype(torch.float32)
    with torch.device("meta"), contextlib.chdir(ROOT / "book"):
        assert eval(exercise.check, names).startswith("right")
    assert torch.get_default_dtype() == torch.float32


@checked
def test_the_stub_fails_helpfully(label):
    number, exercise = CHECKED[label]
    with pytest.raises(AssertionError, match="stub|return") as failure:
        check(exercise, number, exercise.stub)
    assert len(str(failure.value).splitlines()) < 15, "a message to read, not a dump"


@checked
def test_the_stub_is_documented_and_has_the_solutions_signature(label):
    number, exercise = CHECKED[label]
    stub, reference = (
        run(number, source)[exercise.name] for source in (exercise.stub, exercise.reference)
    )
    assert inspect.getdoc(stub), f"{exercise.name} has no docstring"
    assert inspect.signature(stub) == inspect.signature(reference)
    assert body(exercise.stub, exercise.name) != body(exercise.reference, exercise.name), (
        "the stub gives the solution away"
    )


@checked
def test_there_are_four_wrong_answers_and_two_right_ones(label):
    number, exercise = CHECKED[label]
    wrong, right = wrong_answers(number).get(label, []), right_answers(number).get(label, [])
    assert len({source for _, _, source in wrong}) >= 4, (
        f"{label} has {len(wrong)} wrong answers in tests/answers/chapter{number}.py"
    )
    assert len({source for _, source in right}) >= 2, (
        f"{label} has {len(right)} right answers in tests/answers/chapter{number}.py"
    )
    ours = body(exercise.reference, exercise.name)
    assert all(body(source, exercise.name) != ours for _, source in right), (
        f"{label}: a right answer is the book's own solution"
    )


def right_cases():
    for number in CHAPTERS:
        for label, right in right_answers(number).items():
            for what, source in right:
                yield pytest.param(label, source, id=f"{label}-{what.replace(' ', '-')}")


@pytest.mark.parametrize("label, source", list(right_cases()))
def test_right_answers_pass(label, source):
    number, exercise = CHECKED[label]
    assert check(exercise, number, source).startswith("right")


DECIMAL = re.compile(r"(?<![\w.])(\d+\.\d+)(?![\w.]*\.ipynb)")


@checked
def test_the_numbers_of_the_statement(label):
    """Each decimal number of a statement is given in it, or is what the book's solution returns;
    other numbers as `STATED` names them.
    """
    number, exercise = CHECKED[label]
    entries, given = stated(number, label)
    text = f"{exercise.statement}\n{exercise.stub}"
    names = run(number, exercise.reference)
    covered = set()
    for written, expression, meant in entries:
        assert written in text, f"{label}: {written!r} is not in the statement"
        found = float(eval(expression, names))
        want, digits = (
            (float(eval(meant, names)), None)
            if meant
            else (float(written.replace("−", "-")), written.partition(".")[2])
        )
        slack = 1e-9 * max(1.0, abs(want)) if digits is None else 0.500001 * 10.0 ** -len(digits)
        assert abs(found - want) <= slack, (
            f"{label}: the statement says {written}, the solution gives {found:.8g}"
        )
        covered.update(DECIMAL.findall(written))
    decimals = set(DECIMAL.findall(text))
    assert given <= decimals, f"{label}: {given - decimals} of GIVEN are not in the statement"
    assert decimals == covered | given, (
        f"{label}: nothing computes {decimals - covered - given} of the statement (STATED or "
        "GIVEN in tests/answers)"
    )


@pytest.mark.parametrize("label, words, what, source", list(wrong_cases()))
def test_wrong_answers_are_named(label, words, what, source):
    assert words is not None, what  # a chapter without its file
    assert label in CHECKED, f"{label} is no checked exercise"
    number, exercise = CHECKED[label]
    answer, stub = run(number, source).get(exercise.name), run(number, exercise.stub)[exercise.name]
    assert callable(answer), f"the source does not define {exercise.name}"
    assert inspect.signature(answer) == inspect.signature(stub), (
        "an answer of another signature is another mistake"
    )
    with pytest.raises(AssertionError, match=words):
        check(exercise, number, source)
