"""A new exercise or chapter with all the parts that the tests ask for, to be rewritten part by
part.

    python tools/new.py exercise CHAPTER NAME TITLE
    python tools/new.py chapter NAME TITLE

What it writes passes the tests as it stands: its exercise asks for twice a number. Each place to
rewrite says REWRITE, and a test finds those left.
"""

import json
import pathlib
import re
import sys

import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]
STATEMENT = '''\
```{exercise} TITLE
:label: LABEL

REWRITE: what is asked, in words. Write `FUNCTION(x)`, which returns $2x$. For $x = 1.5$ you should find $3.0$. Check with `chapterN.check_FUNCTION(FUNCTION)`.

~~~python
def FUNCTION(x):
    """Twice a number (REWRITE): a number -> a number."""
    ...
~~~
```

```{solution-start} LABEL
:class: dropdown
```

REWRITE: the derivation, every step.'''  # noqa: E501
SOLUTION = """\
### BEGIN SOLUTION
def FUNCTION(x):
    return 2 * x
### END SOLUTION

print(chapterN.check_FUNCTION(FUNCTION))"""
CHECK = '''

def check_FUNCTION(FUNCTION):
    """REWRITE: random problems with a seed beside the statement's; values at extremes."""
    generator = torch.Generator().manual_seed(0)
    for x in (1.5, 0.0, -1e200, *torch.randn(5, generator=generator, dtype=torch.float64).tolist()):
        got = number(FUNCTION(x), "FUNCTION")
        if not near(got, 2 * x, 1e-9 * abs(x)):
            hint = "the sign is lost" if near(got, abs(2 * x), 1e-9 * abs(x)) else "it is not twice the number"
            raise AssertionError(f"at x = {x:.4g} you have {got:.6g}, it is {2 * x:.6g}: {hint}")
    return "right: twice each number"
'''  # noqa: E501
WRONG = {
    "hard-wired to the statement": ("not twice", "3.0"),
    "the sign lost": ("sign is lost", "abs(2 * x)"),
    "squared": ("not twice", "x * x"),
    "right where numbers are small": ("not twice", "2 * x if abs(x) < 1e100 else x"),
}
RIGHT = {"a sum": "x + x", "a list of one, in numpy": "__import__('numpy').add(x, x)"}
PARTS = """\
# TITLE

*REWRITE: one sentence that a newspaper could print.*

```{admonition} Before you start
:class: tip
**You will be able to** REWRITE.

**You need** [](01-rate-distortion.ipynb).

**Time** reading 10 min · running small 1 min.

**In the paper** REWRITE.
```
====
## The question

REWRITE, as {cite}`gao2020free` do.
====
FIGURE
====
## What goes wrong

REWRITE: one real failure, shown, with the number that tells it, and its cure.

## What the paper says and what we found

REWRITE: rows of the ledger.

## Summary

REWRITE: equation, function, test.

## Exercises
====
## Further reading

REWRITE: sources, with a sentence each on why."""
FIGURE = """\
def draw(slope):
    figure, ax = plt.subplots(figsize=(4, 3))
    ax.plot([0, 1], [0, slope])
    ax.set(xlabel="x", ylabel="y", ylim=(0, 3))
    return figure

live(draw, [1, 2, 3], "slope", "REWRITE: a line that rises to {value}", name="live-chapterN")"""  # noqa: E501


def filled(text, **words):
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def answers(function, bodies):
    return [
        (what, *rest, f"\ndef {function}(x):\n    return {body}\n")
        for what, (*rest, body) in bodies.items()
    ]


def fresh_id(number, taken):
    return next(name for k in range(900, 1000) if (name := f"{number:02d}-{k}") not in taken)


def add_exercise(number, name, title):
    """Put the exercise before "Further reading", its check and its answers at the end of their
    files.
    """
    (path,) = (ROOT / "book").glob(f"{number:02d}-*.ipynb")
    label, function = f"ex-{number}-{name}", name.replace("-", "_")
    if not function.isidentifier():
        raise SystemExit(f"the name {name!r} becomes a function: letters, digits and hyphens")
    notebook, words = (
        nbformat.read(path, 4),
        dict(TITLE=title, LABEL=label, FUNCTION=function, chapterN=f"chapter{number}"),
    )
    if f":label: {label}\n" in "".join(cell.source for cell in notebook.cells):
        raise SystemExit(f"{path.name} has an exercise {label} already")
    at = max(
        i
        for i, cell in enumerate(notebook.cells)
        if re.search(r"^## Further reading", cell.source, re.MULTILINE)
    )
    before, _, after = notebook.cells[at].source.partition("## Further reading")
    taken = {cell.id for cell in notebook.cells}
    new = []
    for kind, source in (
        ("markdown", f"{before}{filled(STATEMENT, **words)}"),
        ("code", filled(SOLUTION, **words)),
        ("markdown", f"```{{solution-end}}\n```\n\n## Further reading{after}"),
    ):
        cell = getattr(nbformat.v4, f"new_{kind}_cell")(source, id=fresh_id(number, taken))
        taken.add(cell.id)
        if not new:
            cell.metadata["exercises"] = {label: ["checked", "written"]}
        new.append(cell)
    old = notebook.cells[at].metadata.pop("exercises", {})
    new[0].metadata["exercises"] |= old
    notebook.cells[at : at + 1] = new
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    check = ROOT / "fe" / "book" / "checks" / f"chapter{number}.py"
    check.write_text(check.read_text().rstrip() + "\n" + filled(CHECK, **words))
    tests = ROOT / "tests" / "answers" / f"chapter{number}.py"
    entries = {
        "WRONG": answers(function, {what: (said, body) for what, (said, body) in WRONG.items()}),
        "RIGHT": answers(function, {what: (body,) for what, body in RIGHT.items()}),
        "STATED": [("3.0", f"{function}(1.5)")],
        "GIVEN": "1.5",
    }
    tests.write_text(
        tests.read_text().rstrip()
        + "\n\n"
        + "".join(f"{kind}[{label!r}] = {entry!r}\n" for kind, entry in entries.items())
    )
    print(
        f"{label}: in {path.name}, {check.relative_to(ROOT)} and {tests.relative_to(ROOT)}. "
        "Next: "
        f"python3 run.py sync; python3 run.py check {number}"
    )


def add_chapter(name, title):
    number = max(int(path.name[:2]) for path in (ROOT / "book").glob("[0-9]*.ipynb")) + 1
    path = ROOT / "book" / f"{number:02d}-{name}.ipynb"
    words = dict(TITLE=title, chapterN=f"chapter{number}")
    imports = (
        "import matplotlib.pyplot as plt\nimport torch\n\nfrom fe.book.checks import "
        f"chapter{number}\nfrom fe.book.sliders import live"
    )
    cells, texts = [], filled(PARTS, **words).split("\n====\n")
    for k, text in enumerate(texts):
        if text == "FIGURE":
            cells.append(
                nbformat.v4.new_code_cell(
                    filled(FIGURE, **words),
                    metadata={"tags": ["nbval-ignore-output", "hide-input"]},
                )
            )
        else:
            cells.append(nbformat.v4.new_markdown_cell(text))
        if k == 0:
            cells += [
                nbformat.v4.new_code_cell(
                    "", metadata={"tags": ["setup", "hide-input", "nbval-ignore-output"]}
                ),
                nbformat.v4.new_code_cell(imports),
            ]
    for k, cell in enumerate(cells):
        cell.id = f"{number:02d}-{k:03d}"
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    path.write_text(
        json.dumps(
            {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5},
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )
    (ROOT / "fe" / "book" / "checks" / f"chapter{number}.py").write_text(
        f'"""Checks of chapter {number}\'s exercises. Each takes the reader\'s function, raises '
        '`AssertionError` with a hint, or says what is right."""\n\nimport torch\n\nfrom '
        ".answers "
        "import near, number\n"
    )
    (ROOT / "tests" / "answers" / f"chapter{number}.py").write_text(
        f'"""Answers to the exercises of chapter {number}, right and wrong, and the numbers '
        "that "
        f'their statements name."""\n\nWRONG, RIGHT, STATED, GIVEN = {{}}, {{}}, {{}}, {{}}\n'
    )
    toc = ROOT / "_toc.yml"
    last = re.findall(r"^ +- file: book/\d\d-.*\n", toc.read_text(), re.MULTILINE)[-1]
    toc.write_text(
        toc.read_text().replace(last, last + re.sub(r"book/.*", f"book/{path.stem}", last))
    )
    for k in range(1, 6):
        add_exercise(number, f"rewrite-{k}", f"REWRITE {k}")
    print(
        f"{path.relative_to(ROOT)} is made. Next: python3 run.py sync; python3 run.py check "
        f"{number}"
    )


if __name__ == "__main__":
    what, *rest = sys.argv[1:] or [""]
    if what == "exercise" and len(rest) == 3 and rest[0].isdigit():
        add_exercise(int(rest[0]), *rest[1:])
    elif what == "chapter" and len(rest) == 2:
        add_chapter(*rest)
    else:
        sys.exit(__doc__)
