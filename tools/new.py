"""A new exercise or chapter, from tools/skeletons, that passes the tests as it stands:

    python3 run.py new-exercise CHAPTER NAME TITLE
    python3 run.py new-chapter NAME TITLE

Each place to rewrite says REWRITE, and a test finds those left.
"""

import json
import pathlib
import re
import subprocess
import sys

import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAST = "## Further reading"
CODE = {"check.py": "fe/book/checks/chapter{}.py", "answers.py": "tests/answers/chapter{}.py"}


def skeleton(name, **words):
    text = (ROOT / "tools" / "skeletons" / name).read_text()
    for word, value in words.items():
        text = text.replace(word, json.dumps(value)[1:-1])
    return text


def add_exercise(number, name, title):
    path = next((ROOT / "book").glob(f"{number:02d}-*.ipynb"), None)
    if path is None:
        sys.exit(f"there is no chapter {number} in book/")
    label, function = f"ex-{number}-{name}", name.replace("-", "_")
    if not function.isidentifier():
        sys.exit(f"the name {name!r} becomes a function: letters, digits and hyphens")
    if f":label: {label}\\n" in path.read_text():
        sys.exit(f"{path.name} has an exercise {label} already")
    words = dict(TITLE=title, LABEL=label, FUNCTION=function, chapterN=f"chapter{number}")
    notebook = nbformat.read(path, 4)
    new = nbformat.reads(skeleton("exercise.ipynb", **words), 4).cells
    at = max(i for i, cell in enumerate(notebook.cells) if LAST in cell.source)
    before, _, after = notebook.cells[at].source.partition(LAST)
    new[0].source = before + new[0].source
    new[0].metadata.exercises |= notebook.cells[at].metadata.get("exercises", {})
    new[-1].source += f"\n\n{LAST}{after}"
    for k, cell in enumerate(new):
        cell.id = f"{label}-{k}"
    notebook.cells[at : at + 1] = new
    nbformat.write(notebook, path)
    for name, place in CODE.items():
        file, (_, code) = ROOT / place.format(number), skeleton(name, **words).split("\n\n\n", 1)
        file.write_text(f"{file.read_text()}\n\n{code}")
        subprocess.run(["ruff", "format", "--quiet", file], check=True)
    print(f"{label} is in {path.name}, fe/book/checks and tests/answers")


def add_chapter(name, title):
    toc = ROOT / "_toc.yml"
    *_, last = re.finditer(r"^ +- file: book/(\d\d)-.*\n", toc.read_text(), re.MULTILINE)
    number = int(last[1]) + 1
    path = ROOT / "book" / f"{number:02d}-{name}.ipynb"
    words = dict(TITLE=title, chapterN=f"chapter{number}", NN=f"{number:02d}")
    notebook = nbformat.reads(skeleton("chapter.ipynb", **words), 4)
    nbformat.write(notebook, path)
    for name, place in CODE.items():
        head, _, _ = skeleton(name, **words).partition("\n\n\n")
        (ROOT / place.format(number)).write_text(head + "\n")
    line = re.sub(r"book/.*", f"book/{path.stem}", last[0])
    toc.write_text(toc.read_text().replace(last[0], last[0] + line))
    for k in range(1, 6):
        add_exercise(number, f"rewrite-{k}", f"REWRITE {k}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case "exercise", number, name, title if number.isdigit():
            add_exercise(int(number), name, title)
        case "chapter", name, title:
            add_chapter(name, title)
        case _:
            sys.exit(__doc__)
    print("Next: python3 run.py sync, then python3 run.py check")
