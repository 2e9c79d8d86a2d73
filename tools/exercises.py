"""The exercises of a chapter, read from its notebook. `tools/course.py` and
`tests/test_exercises.py` stand on this.

An exercise is a MyST directive with a label, followed by its folded solution:

    ```{exercise} Title            the statement; a `~~~python` block in it, or a code cell behind
    it, is the
    :label: ex-5-3                 stub of a checked exercise
    ```
    ```{solution-start} ex-5-3     text and code cells up to {solution-end}; in a checked exercise
    one code cell has the reference
    ```                            between ### BEGIN SOLUTION and ### END SOLUTION, then
    print(chapter5.check_…(name))

The metadata of the cell with the directive say what is asked: {"exercises": {"ex-5-3": ["checked",
"written"]}} for a function to write
and words beside it, "project" for an afternoon.
A checked exercise runs after `Chapter.preparation` alone: the set-up cell, the imports, the cells
tagged `for-exercises`.
"""

import json
import pathlib
import re
from dataclasses import dataclass

BOOK = pathlib.Path(__file__).resolve().parents[1] / "book"
DIRECTIVE = re.compile(
    r"^(`{3,})\{(exercise|solution-start|solution-end)\}[ \t]*(.*)\n((?:.*\n)*?)\1[ \t]*$",
    re.MULTILINE,
)
STUB = re.compile(r"^~~~python\n((?:.*\n)*?)~~~[ \t]*$", re.MULTILINE)
REGION = re.compile(r"^### BEGIN SOLUTION\n((?:.*\n)*?)### END SOLUTION[ \t]*$", re.MULTILINE)
CHECK = re.compile(r"^print\((chapter\d+)\.(\w+)\((\w+)\)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    label: str
    title: str
    statement: str  # MyST, without the stub
    stub: str  # source, empty where there is nothing to check
    solution: tuple  # (cell type, source) pairs of the folded solution
    checks: tuple  # (module, check, name of the answer) of each check call
    kinds: (
        tuple  # of "checked" (by a machine), "written", "project" (read by a person): what is asked
    )

    @property
    def checked(self):
        return bool(self.stub)

    @property
    def name(self):
        """The function that the stub asks for."""
        return re.findall(r"^def (\w+)", self.stub, re.MULTILINE)[-1]

    @property
    def check(self):
        module, check, name = self.checks[0]
        return f"{module}.{check}({name})"

    @property
    def reference(self):
        """What stands between the solution marks of the code cells."""
        return "".join(
            region
            for kind, text in self.solution
            if kind == "code"
            for region in REGION.findall(text)
        )


@dataclass(frozen=True)
class Chapter:
    number: int
    path: pathlib.Path
    title: str
    preparation: (
        tuple  # sources of the set-up cell, the imports cell and the cells tagged for-exercises
    )
    exercises: tuple


def options(body):
    """The `:name: value` lines that open a directive's body, and the rest."""
    lines, found = body.split("\n"), {}
    while lines and (match := re.match(r":([\w-]+):\s*(.*)", lines[0])):
        found[match[1]] = match[2].strip()
        lines.pop(0)
    return found, "\n".join(lines).strip()


def chapter(path):
    cells = [
        (c["cell_type"], c["metadata"], "".join(c["source"]))
        for c in json.loads(path.read_text())["cells"]
    ]
    code = [i for i, (kind, _, _) in enumerate(cells) if kind == "code"]
    tags = lambda i: cells[i][1].get("tags", [])
    if "setup" not in tags(code[0]):
        raise ValueError(f"{path.name}: the first code cell must be the one tagged 'setup'")
    chosen = code[:2] + [i for i in code[2:] if "for-exercises" in tags(i)]
    preparation = tuple(cells[i][2] for i in chosen)
    title = re.search(r"^# (.+)$", cells[0][2], re.MULTILINE)[1]
    return Chapter(int(path.name[:2]), path, title, preparation, tuple(exercises(cells, path.name)))


def exercises(cells, where):
    """The exercises in the order of the page."""
    statement, solution = (
        None,
        None,
    )  # the exercise that waits for its solution; the pieces of an open solution
    for kind, metadata, source in cells:
        if kind != "markdown":
            if solution is not None:
                solution.append((kind, source))
            elif statement is not None:
                statement["stub"] += source + "\n"
            continue
        at = 0
        for match in [*DIRECTIVE.finditer(source), None]:
            between = source[at : match.start() if match else len(source)].strip()
            if between and solution is not None:
                solution.append(("markdown", between))
            if match is None:
                break
            at = match.end()
            _, directive, argument, body = match.groups()
            if directive == "exercise":
                if statement is not None:
                    raise ValueError(f"{where}: {statement['label']} has no solution")
                named, text = options(body)
                stub = "\n".join(STUB.findall(text))
                statement = {
                    "label": named["label"],
                    "title": argument.strip(),
                    "statement": STUB.sub("", text).strip(),
                    "stub": stub,
                    "kinds": tuple(metadata.get("exercises", {}).get(named["label"], ())),
                }
            elif directive == "solution-start":
                if statement is None or argument.strip() != statement["label"]:
                    raise ValueError(
                        f"{where}: the solution of {argument.strip()!r} does not follow its "
                        "exercise"
                    )
                solution = []
            else:
                checks = tuple(
                    call
                    for kind, text in solution
                    if kind == "code"
                    for call in CHECK.findall(text)
                )
                yield Exercise(**statement, solution=tuple(solution), checks=checks)
                statement, solution = None, None
    if statement is not None:
        raise ValueError(f"{where}: {statement['label']} has no solution")


def chapters():
    """The paths of all chapter notebooks, in order."""
    return sorted(BOOK.glob("[0-9][0-9]-*.ipynb"))
