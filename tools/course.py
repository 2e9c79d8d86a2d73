"""The course edition: one nbgrader exercise sheet a chapter, read from the book's notebooks.

    python tools/course.py [FOLDER]        FOLDER is _build/course if none is named

writes `source/` (for teachers, with solutions), `release/` (for students, without),
`gradebook.db`
and `nbgrader_config.py`.
Run it again after a change to a chapter: submissions and grades in the folder stay.

A sheet has the chapter's set-up cell, imports and cells tagged `for-exercises`, then the
exercises.
What a machine grades is a stub to
fill in and a locked test cell; what a person grades, a derivation, an answer in words or a
project,
is one cell of text.
"""

import pathlib
import re
import sys

import book_numbers
import exercises
import myst
import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from traitlets.config import PyFileConfigLoader

from colab import Addresses

POINTS = {"checked": 4, "written": 3, "project": 10}
EXCEPTIONS = {"ex-1-split": {"checked": 4, "written": 6}}  # an hour

HOW = """\
Run the first cells as they are, then write your answers into the cells below each exercise. The cell behind a function tests it and
says in words what is wrong; run it as often as you like. Before you hand in, restart and run all."""  # noqa: E501

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIG = '''\
"""Settings of this course. Every nbgrader command that runs in this folder reads them."""

c = get_config()
c.CourseDirectory.course_id = "free-energy"
c.ClearSolutions.code_stub = {"python": ""}  # what stays is the stub above the solution
c.ClearSolutions.text_stub = "*Your answer.*"
c.Execute.timeout = 300  # seconds a cell
'''


def points(exercise):
    """{kind: points} of the parts of an exercise: "checked" by a machine; "written" or
    "project",
    graded by a person.
    """
    return EXCEPTIONS.get(exercise.label, {kind: POINTS[kind] for kind in exercise.kinds})


def converter(numbers):
    """(MyST, page) -> plain Markdown, with the numbers of the book and links to it."""
    return lambda text, page: myst.plain(
        text, numbers, "book/a-sheet", where=page, link=Addresses(ROOT)
    ).strip()


def cell(grade_id, source, cell_type="code", grade=False, solution=False, worth=0):
    """A cell with nbgrader's metadata: read-only unless it is a solution; what is graded and no
    solution is a test.
    """
    new = nbformat.v4.new_code_cell if cell_type == "code" else nbformat.v4.new_markdown_cell
    marks = {
        "grade": grade,
        "solution": solution,
        "locked": not solution,
        "task": False,
        "schema_version": 3,
        "grade_id": grade_id,
        "cell_type": cell_type,
    }
    return new(
        source.strip(),
        id=grade_id,
        metadata={"nbgrader": marks | ({"points": worth} if grade else {})},
    )


def answer(exercise, words):
    """The answer cell: the stub, then the solution with these words as comments, which nbgrader
    cuts out.
    """
    comment = "".join(f"# {line}".rstrip() + "\n" for line in words.splitlines())
    return (
        f"{exercise.stub.rstrip()}\n### BEGIN SOLUTION\n{comment}{exercise.reference}### END "
        "SOLUTION"
    )


def test(exercise):
    """The locked test cell. Students do not see the first lines; nbgrader puts the whole cell
    back
    before it grades.
    """
    module = exercise.checks[0][0]
    hidden = (
        f"from importlib import reload\n\nreload({module})  # an answer that replaces its check "
        "gains nothing\n"
    )
    return f"### BEGIN HIDDEN TESTS\n{hidden}### END HIDDEN TESTS\nprint({exercise.check})"


def solution(exercise, plain):
    """The folded solution as Markdown; its code is fenced, but that of a checked exercise stands
    in
    the answer cell.
    """
    unmarked = lambda source: re.sub(
        r"^### (BEGIN|END) SOLUTION\n?", "", source, flags=re.MULTILINE
    ).strip()
    pieces = [
        plain(text) if cell_type == "markdown" else f"```python\n{unmarked(text)}\n```"
        for cell_type, text in exercise.solution
        if cell_type == "markdown" or not exercise.checked
    ]
    return "\n\n".join(pieces)


def exercise_cells(e, number, plain):
    """Statement, then cells for what is written, then the function and its test."""
    worth = points(e)
    told = " · ".join(
        f"{n} points {'by the test' if kind == 'checked' else 'for what you write'}"
        for kind, n in sorted(worth.items(), reverse=True)
    )
    yield cell(
        f"{e.label}-statement",
        f"## Exercise {number}: {plain(e.title)}\n\n*{told}*\n\n{plain(e.statement)}",
        "markdown",
    )
    for kind in worth.keys() - {"checked"}:
        yield cell(
            f"{e.label}-{kind}",
            solution(e, plain),
            "markdown",
            grade=True,
            solution=True,
            worth=worth[kind],
        )
    if "checked" in worth:
        yield cell(e.label, answer(e, solution(e, plain) if len(worth) == 1 else ""), solution=True)
        yield cell(f"{e.label}-checked", test(e), grade=True, worth=worth["checked"])
    elif "project" in worth or any(cell_type == "code" for cell_type, _ in e.solution):
        yield nbformat.v4.new_code_cell("# Room for code.", id=f"{e.label}-code")


def sheet(chapter, convert):
    """The instructor's notebook of a chapter."""
    plain = lambda text: convert(text, chapter.path.name)
    total = sum(sum(points(e).values()) for e in chapter.exercises)
    cells = [
        cell(
            "title",
            plain(
                f"# Exercises to chapter {chapter.number}\n\n[]({chapter.path.name}) · {total} "
                f"points\n\n{HOW}"
            ),
            "markdown",
        )
    ]
    setup, *others = chapter.preparation
    preparation = [
        re.sub(r', time="[^"]*"', "", setup),
        *others,
    ]  # the chapter's running time is not the sheet's
    cells += [cell(f"preparation-{i}", source) for i, source in enumerate(preparation, 1)]
    for number, e in enumerate(chapter.exercises, 1):
        cells += exercise_cells(e, f"{chapter.number}.{number}", plain)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )


def assignment(chapter):
    return f"chapter-{chapter.number:02d}"


def settings(folder):
    """nbgrader's configuration of the course in `folder`."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()
    config.CourseDirectory.root = str(folder)
    return config


def make(folder, chapters, convert):
    """Write source/ and release/ of these chapters into the course in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nbgrader_config.py").write_text(CONFIG)
    config = settings(folder)
    for chapter in chapters:
        path = folder / "source" / assignment(chapter) / chapter.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(sheet(chapter, convert), path)
        GenerateAssignment(
            coursedir=CourseDirectory(config=config, assignment_id=assignment(chapter)),
            config=config,
            force=True,
        ).start()


def main(folder=ROOT / "_build" / "course"):
    chapters = [exercises.chapter(path) for path in exercises.chapters()]
    make(pathlib.Path(folder).resolve(), chapters, converter(book_numbers.read(ROOT)))
    print("chapter   exercises   points: " + " + ".join(POINTS))
    for chapter in chapters:
        sums = [sum(points(e).get(kind, 0) for e in chapter.exercises) for kind in POINTS]
        print(
            f"{chapter.number:7d}   {len(chapter.exercises):9d}   {sum(sums):6d}: "
            f"{' + '.join(map(str, sums))}"
        )
    print(f"\nFor students: {folder}/release. For teachers: {folder}/source, and book/teaching.md.")


if __name__ == "__main__":
    main(*sys.argv[1:])
