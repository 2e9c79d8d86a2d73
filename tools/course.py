"""The course edition: one nbgrader exercise sheet a chapter, in the Colab edition's words.

`python tools/course.py [FOLDER]` writes `source/` (for teachers, with solutions), `release/` (for
students), `gradebook.db` and `nbgrader_config.py` into _build/course, or FOLDER. Run it again after
a change to a chapter: submissions and grades stay.

A sheet has the chapter's preparation, then the exercises. What a machine grades is a stub to fill
in and a locked test cell; what a person grades is one cell of text.
"""

import pathlib
import re
import shutil
import sys

import exercises
import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from traitlets.config import PyFileConfigLoader

from colab import address

POINTS = {"checked": 4, "written": 3, "project": 10}
EXCEPTIONS = {"ex-1-split": {"checked": 4, "written": 6}}  # an hour

ROOT = pathlib.Path(__file__).resolve().parents[1]
SKELETONS = ROOT / "tools" / "skeletons"


def points(exercise):
    """{kind: points} of the parts of an exercise."""
    return EXCEPTIONS.get(exercise.label, {kind: POINTS[kind] for kind in exercise.kinds})


def cell(name, source, kind="code", worth=None, solution=False):
    """Read-only unless it is a solution; what is worth points and no solution is a test."""
    marks = dict(grade=worth is not None, solution=solution, locked=not solution, task=False)
    marks |= dict(schema_version=3, grade_id=name, cell_type=kind)
    marks |= {} if worth is None else {"points": worth}
    new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return new(source.strip(), id=name, metadata={"nbgrader": marks})


def explained(exercise, edition):
    """The solution as Markdown; the code of a checked exercise stands in the answer cell."""
    found = []
    for part in (c for c in edition.cells if c.metadata.get("solution") == exercise.label):
        if part.cell_type == "markdown":
            found.append(re.search(r"</summary>(.*)</details>", part.source, re.DOTALL)[1].strip())
        elif not exercise.checked:
            code = re.sub(r"^(# @title|### (BEGIN|END)).*\n?", "", part.source, flags=re.MULTILINE)
            found.append(f"```python\n{code.strip()}\n```")
    return "\n\n".join(found)


def exercise_cells(e, edition):
    worth, solution = points(e), explained(e, edition)
    how = lambda kind: "by the test" if kind == "checked" else "for what you write"
    told = [f"{n} points {how(kind)}" for kind, n in sorted(worth.items(), reverse=True)]
    (asked,) = (c.source for c in edition.cells if c.metadata.get("exercise") == e.label)
    title, _, words = asked.replace(f"```python\n{e.stub}```", "").partition("\n\n")
    words = f"## {title.replace('**', '')}\n\n*{' · '.join(told)}*\n\n{words}"
    yield cell(f"{e.label}-statement", words, "markdown")
    for kind in worth.keys() - {"checked"}:
        yield cell(f"{e.label}-{kind}", solution, "markdown", worth[kind], solution=True)
    if "checked" in worth:
        lines = [f"# {line}".rstrip() for line in solution.splitlines() if len(worth) == 1]
        parts = [e.stub + "### BEGIN SOLUTION", *lines, e.reference + "### END SOLUTION"]
        yield cell(e.label, "\n".join(parts), solution=True)
        # students do not see its first lines; nbgrader puts them back before it grades
        test = (SKELETONS / "graded.py").read_text().format(module=e.checks[0][0], check=e.check)
        yield cell(f"{e.label}-checked", test, worth=worth["checked"])
    elif "project" in worth or e.solution:
        yield nbformat.v4.new_code_cell("# Room for code.", id=f"{e.label}-code")


def sheet(chapter):
    edition = nbformat.read(ROOT / "colab" / chapter.path.name, 4)
    title = re.match(r"# [\d.]+ (.*)", edition.cells[0].source)[1]
    total = sum(sum(points(e).values()) for e in chapter.exercises)
    link = address(f"book/{chapter.path.stem}")
    said = dict(number=chapter.number, title=title, link=link, total=total)
    cells = [cell("title", (SKELETONS / "sheet.md").read_text().format(**said), "markdown")]
    for i, source in enumerate(chapter.preparation, 1):  # without the chapter's running time
        source = re.sub(r',?\s*time=(\s*"[^"]*")+,?', "", source)
        cells.append(cell(f"preparation-{i}", source))
    cells += [part for e in chapter.exercises for part in exercise_cells(e, edition)]
    metadata = {name: edition.metadata[name] for name in ("kernelspec", "language_info")}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def settings(folder):
    config = PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()
    config.CourseDirectory.root = str(folder)
    return config


def make(folder, chapters):
    """Write source/ and release/ of these chapters into the course in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SKELETONS / "nbgrader_config.py", folder)
    config = settings(folder)
    for chapter in chapters:
        path = folder / "source" / chapter.assignment / chapter.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(sheet(chapter), path)
        course = CourseDirectory(config=config, assignment_id=chapter.assignment)
        GenerateAssignment(coursedir=course, config=config, force=True).start()


def main(folder=ROOT / "_build" / "course"):
    chapters = exercises.chapters()
    make(pathlib.Path(folder).resolve(), chapters)
    for chapter in chapters:
        worth = [n for e in chapter.exercises for n in points(e).values()]
        print(f"chapter {chapter.number}: {len(chapter.exercises)} exercises, {sum(worth)} points")
    print(f"\nFor students: {folder}/release. For teachers: {folder}/source, and book/teaching.md.")


if __name__ == "__main__":
    main(*sys.argv[1:])
