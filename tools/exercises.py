"""The exercises of a chapter, read from its notebook.

An exercise is a MyST directive with a label; a `~~~python` block in it is the stub of a checked
exercise. Its solution follows, from {solution-start} to {solution-end}; if it is checked, a code
cell has the reference between ### BEGIN SOLUTION and ### END SOLUTION, then the check:
print(chapter5.check_…(name)). The metadata of the directive's cell say what is asked:
{"exercises": {"ex-5-3": ["checked", "written"]}} for a function and words, "project" for an
afternoon. A checked exercise runs after `Chapter.preparation` alone.
"""

import pathlib
import re
from dataclasses import dataclass

import nbformat
from markdown_it import MarkdownIt

BOOK = pathlib.Path(__file__).resolve().parents[1] / "book"
REGION = re.compile(r"^### BEGIN SOLUTION\n(.*?)^### END SOLUTION[ \t]*$", re.DOTALL | re.MULTILINE)
CHECK = re.compile(r"^print\((chapter\d+)\.(\w+)\((\w+)\)\)$", re.MULTILINE)


@dataclass
class Exercise:
    label: str
    title: str
    statement: str  # MyST, the stub in it
    stub: str  # source, empty where there is nothing to check
    kinds: tuple  # of "checked" (by a machine), "written", "project" (read by a person)
    solution: str = ""  # the code of its solution

    checked = property(lambda self: bool(self.stub))
    name = property(lambda self: re.findall(r"^def (\w+)", self.stub, re.MULTILINE)[-1])
    checks = property(lambda self: CHECK.findall(self.solution))  # [(module, check, name), …]
    check = property(lambda self: "{}.{}({})".format(*self.checks[0]))
    reference = property(lambda self: "".join(REGION.findall(self.solution)))


@dataclass
class Chapter:
    number: int
    path: pathlib.Path
    preparation: list  # sources of the set-up cell, the imports, the cells tagged for-exercises
    exercises: list

    assignment = property(lambda self: f"chapter-{self.number:02d}")  # nbgrader's name


def chapters():
    return [chapter(path) for path in sorted(BOOK.glob("[0-9][0-9]-*.ipynb"))]


def chapter(path):
    cells = nbformat.read(path, 4).cells
    setup, imports, *code = (cell for cell in cells if cell.cell_type == "code")
    chosen = [cell for cell in code if "for-exercises" in cell.metadata.get("tags", ())]
    preparation = [cell.source for cell in (setup, imports, *chosen)]
    return Chapter(int(path.name[:2]), path, preparation, exercises(cells))


def exercises(cells):
    """In the order of the page."""
    found, solved = [], None
    for cell in cells:
        if cell.cell_type == "code" and solved:
            solved.solution += cell.source + "\n"
        for info, content in fences(cell.source) if cell.cell_type == "markdown" else ():
            directive, _, argument = info.partition(" ")
            if directive == "{exercise}":
                label = re.search(r"^:label: *(\S+)$", content, re.MULTILINE)[1]
                stub = "\n".join(code for info, code in fences(content) if info == "python")
                kinds = tuple(cell.metadata.get("exercises", {}).get(label, ()))
                found.append(Exercise(label, argument, content, stub, kinds))
            elif directive == "{solution-start}":
                (solved,) = (e for e in found if e.label == argument)
            elif directive == "{solution-end}":
                solved = None
    return found


def fences(text):
    """(what follows the opening marks, content) of each fenced block that is in no other."""
    return [(t.info.strip(), t.content) for t in MarkdownIt().parse(text) if t.type == "fence"]
