"""The course edition through nbgrader itself: sheets made, released, handed in, graded.

The sheets are made once, and each test has a copy of the course with its gradebook. Jupyter's and
IPython's folders lie there as well: a reader's own configuration is neither read nor written.
Chapter 8 is graded in kernels, as a course is; importing torch and the chapter's preparation in
each is most of the time, so the other submissions run in this process.
"""

import contextlib
import io
import pathlib
import re
import shutil
import sys

import matplotlib
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import course  # noqa: E402
import exercises  # noqa: E402

from answers import wrong_answers  # noqa: E402
from aside import aside, script  # noqa: E402

matplotlib.use("agg")
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own habits
CHAPTERS = exercises.chapters()
every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: f"chapter{c.number}")


def at_home(folder):
    """Environment variables that keep Jupyter and IPython in this folder."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    home = {"HOME": str(folder)} | {name: str(folder / name.lower()) for name in names}
    return home | {"MPLCONFIGDIR": matplotlib.get_cachedir()}  # or each kernel would list all fonts


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    """The folder of the course as the documented command makes it, and what that printed."""
    folder = tmp_path_factory.mktemp("sheets")
    tool = ROOT / "tools" / "course.py"
    done = aside(script, tool, folder / "course", env=at_home(folder))
    assert done.returncode == 0, done.stderr
    return folder / "course", done.stdout


@pytest.fixture
def folder(sheets, tmp_path, monkeypatch):
    """A copy of that course for a test of its own."""
    for name, value in at_home(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(sheets[0], tmp_path / "course")


class InThisProcess(Execute):
    """What a kernel does: one cell after another, whether those before failed or not."""

    def preprocess(self, notebook, resources):
        names = {"__name__": "__main__"}
        for cell in notebook.cells:
            if cell.cell_type == "code":
                out, err = io.StringIO(), io.StringIO()
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    try:
                        exec(TransformerManager().transform_cell(cell.source), names)
                    except Exception as e:
                        error = {"ename": type(e).__name__, "evalue": str(e), "traceback": []}
                        cell.outputs = [nbformat.v4.new_output("error", **error)]
                for name, stream in (("stdout", out), ("stderr", err)):
                    if text := stream.getvalue():
                        cell.outputs.append(nbformat.v4.new_output("stream", name=name, text=text))
        return notebook, resources


class Course:
    """One chapter's part of a course, its students and their grades."""

    def __init__(self, folder, chapter):
        self.folder, self.chapter, self.name = folder, chapter, chapter.assignment

    def notebook(self, step, student=""):
        return nbformat.read(self.folder / step / student / self.name / self.chapter.path.name, 4)

    def hand_in(self, student, answers=(), change=lambda cells: cells):
        """The release with these answers {grade_id: source} written in; `change` may do worse to
        its cells.
        """
        notebook = self.notebook("release")
        for cell in notebook.cells:
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
            cell.source = dict(answers).get(grade_id, cell.source)
        notebook.cells = change(notebook.cells)
        path = self.folder / "submitted" / student / self.name / self.chapter.path.name
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)

    def grade(self, executor=Execute):
        """nbgrader's autograder over all submissions."""
        config = course.settings(self.folder)
        where = CourseDirectory(config=config, assignment_id=self.name, student_id="*")
        grader = Autograde(coursedir=where, config=config)
        steps = [executor if step is Execute else step for step in grader.autograde_preprocessors]
        grader.autograde_preprocessors = steps
        grader.start()

    def scores(self, student):
        """{grade_id: automatic score}, None where a person must look."""
        with Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}", "free-energy") as book:
            (notebook,) = book.find_submission(self.name, student).notebooks
            return {grade.name: grade.auto_score for grade in notebook.grades}


def checked(chapter):
    return [e for e in chapter.exercises if e.checked]


def expected(chapter):
    """{grade_id: points} of every graded cell."""
    return {
        f"{e.label}-{kind}": worth
        for e in chapter.exercises
        for kind, worth in course.points(e).items()
    }


def ids(notebook):
    return {
        cell.metadata.nbgrader.grade_id: cell
        for cell in notebook.cells
        if "nbgrader" in cell.metadata
    }


def test_the_command_makes_every_sheet(sheets):
    """As documented: a sheet for each chapter, in plain Markdown, with the points that are
    told, and no solution in the release.
    """
    folder, printed = sheets
    rows = re.findall(r"^chapter (\d+): \d+ exercises, (\d+) points$", printed, re.MULTILINE)
    table = {int(number): int(total) for number, total in rows}
    assert len(table) == len(CHAPTERS) == 10
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "free-energy") as book:
        stored = {
            a.name: {cell.name: cell.max_score for cell in a.notebooks[0].grade_cells}
            for a in book.assignments
        }
    for chapter in CHAPTERS:
        name = chapter.assignment
        source, release = (
            nbformat.read(folder / step / name / chapter.path.name, 4)
            for step in ("source", "release")
        )
        text, cells = "\n".join(cell.source for cell in release.cells), ids(release)
        assert stored[name] == expected(chapter)
        assert table[chapter.number] == sum(stored[name].values())

        for mark in (
            "SOLUTION",
            "HIDDEN TESTS",
            "reload",
            "~~~",
            ":label:",
            "{exercise}",
            "{solution",
            "{eq}",
            "{numref}",
            "{prf:ref}",
            "{cite}",
            "time=",
        ):
            assert mark not in text, f"{mark} in the release of chapter {chapter.number}"
        assert len(checked(chapter)) >= 3
        for number, e in enumerate(chapter.exercises, 1):
            title = f"## Exercise {chapter.number}.{number} ({e.title})"
            statement = cells[f"{e.label}-statement"].source
            assert statement.replace("’", "'").startswith(title) and "```" not in statement
            secret = []
            for kind in course.points(e):
                if kind == "checked":
                    assert cells[e.label].source.strip() == e.stub.strip(), (
                        "a student starts from the stub"
                    )
                    secret += [
                        line.strip()
                        for line in e.reference.splitlines()
                        if len(line.strip()) > 20 and line.strip() not in e.stub
                    ]
                else:
                    assert cells[f"{e.label}-{kind}"].source == "*Your answer.*"
                    for_teachers = ids(source)[f"{e.label}-{kind}"].source
                    assert for_teachers, f"{e.label}: nothing for the teacher"
                    secret += [line for line in for_teachers.splitlines() if len(line) > 20]
            assert not [line for line in secret if line in text], (
                f"{e.label}: lines of the solution are in the release"
            )


@every_chapter
def test_each_exercise_says_what_it_asks(chapter):
    """In the metadata of its cell; what has a stub is checked, what has none is read."""
    for e in chapter.exercises:
        assert e.kinds and set(e.kinds) <= set(course.POINTS), f"{e.label}: {e.kinds}"
        assert ("checked" in e.kinds) == e.checked and not {"written", "project"} <= set(e.kinds), (
            f"{e.label}: {e.kinds}"
        )


def test_the_exceptions_name_exercises():
    labels = {e.label for chapter in CHAPTERS for e in chapter.exercises}
    assert set(course.EXCEPTIONS) <= labels, set(course.EXCEPTIONS) - labels


def test_the_guide_says_what_runs():
    """The Python of book/teaching.md runs from top to bottom, and tells the tool's points."""
    names = {}
    for block in re.findall(
        r"^```python\n(.*?)^```",
        (ROOT / "book" / "teaching.md").read_text(),
        re.MULTILINE | re.DOTALL,
    ):
        exec(block, names)
    assert (names["POINTS"], names["EXCEPTIONS"]) == (course.POINTS, course.EXCEPTIONS)


@every_chapter
def test_right_answers_score_in_full_and_wrong_ones_nothing(chapter, folder):
    """The reference, and two students: each leaves every other exercise untouched and gives a wrong
    answer to the rest.
    """
    made, wrong = Course(folder, chapter), wrong_answers(chapter.number)
    full = expected(chapter)
    written = {n: "See my notes." for n in full if not n.endswith("-checked")}
    made.hand_in("reference", written | {e.label: e.reference for e in checked(chapter)})
    for k in range(2):
        answers = {e.label: wrong[e.label][k][2] for e in checked(chapter)[k::2]}
        made.hand_in(f"wrong-{k + 1}", answers)
    made.grade(InThisProcess)

    assert not errors(made, "reference")
    assert made.scores("reference") == full | dict.fromkeys(written), (
        "a written answer waits for a person"
    )
    for k in range(2):
        assert made.scores(f"wrong-{k + 1}") == dict.fromkeys(full, 0), (
            f"wrong answers number {k + 1}"
        )


def errors(made, student):
    """What failed or complained in a graded sheet."""
    outputs = [o for c in made.notebook("autograded", student).cells for o in c.get("outputs", ())]
    return [
        o.get("evalue", o.get("text"))
        for o in outputs
        if o.output_type == "error" or o.get("name") == "stderr"
    ]


@pytest.mark.long
def test_a_sheet_that_was_tampered_with_scores_nothing(folder):
    """In kernels. Wrong answers behind a test cell that is altered, deleted, or whose check the
    answer replaces; points raised by a student whose answers are right.
    """
    (chapter,) = [c for c in CHAPTERS if c.number == 8]
    made, wrong = Course(folder, chapter), wrong_answers(8)
    altered, deleted, replaced = checked(chapter)[:3]
    answers = {e.label: wrong[e.label][0][2] for e in (altered, deleted, replaced)}
    answers[replaced.label] += f"\nchapter8.{replaced.checks[0][1]} = lambda answer: 'right'\n"
    answers["preparation-2"] = "chapter8 = None"

    def tamper(cells):
        marks = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in cells}
        marks[f"{altered.label}-checked"].source = "print('right')"
        return [cell for cell in cells if cell is not marks[f"{deleted.label}-checked"]]

    def raise_points(cells):
        for cell in cells:
            if "points" in cell.metadata.get("nbgrader", {}):
                cell.metadata.nbgrader.points = 100
        return cells

    made.hand_in("tamperer", answers, tamper)
    made.hand_in("raiser", {e.label: e.reference for e in checked(chapter)}, raise_points)
    made.grade()
    assert not any(made.scores("tamperer").values()), made.scores("tamperer")
    assert made.scores("tamperer")[f"{deleted.label}-checked"] is None, (
        "a missing cell calls for a person"
    )
    restored = ids(made.notebook("autograded", "tamperer"))
    assert altered.check in restored[f"{altered.label}-checked"].source
    assert "import" in restored["preparation-2"].source
    assert not errors(made, "raiser")
    points = {k: v for k, v in expected(chapter).items() if k.endswith("-checked")}
    assert {k: v for k, v in made.scores("raiser").items() if v} == points
