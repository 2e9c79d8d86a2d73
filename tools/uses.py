"""What a piece of the book stands on: the modules of `fe` that its code imports, and theirs, and
the stored results that it reads.

python tools/uses.py [CHAPTER …]    three lines for `run.py check`: tests that the changes touch,
notebooks, numbers of chapters
"""

import ast
import functools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


@functools.cache
def exported():
    """{name: module of fe} of what `fe` itself offers."""
    nodes = ast.parse((ROOT / "fe" / "__init__.py").read_text()).body
    return {
        alias.name: f"fe.{node.module}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def imported(source, package=""):
    """Files of `fe` that Python source imports; `package` is where relative imports start."""
    names = set()
    for node in ast.walk(ast.parse(re.sub(r"^[ ]*[%!].*", "", source, flags=re.MULTILINE))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            base = ".".join([*start, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    if "fe" in names:
        names |= {f"fe.{name}" for name in re.findall(r"\bfe\.(\w+)", source)}
    names = {
        exported().get(name.removeprefix("fe."), name) for name in names if name.startswith("fe.")
    }
    places = [ROOT / name.replace(".", "/") for name in names]
    return {
        file
        for path in places
        for file in (path.with_suffix(".py"), path / "__init__.py")
        if file.exists()
    }


def files(source):
    """Every file of the library and of `results/` that this Python source leads to, in order."""
    found, new = set(), imported(source)
    while new:
        found |= new
        new = {
            file
            for path in new
            for file in imported(path.read_text(), ".".join(path.relative_to(ROOT).parts[:-1]))
        } - found
    found |= {page for path in found for page in path.parent.glob("*.html")}
    stored = {ROOT / "results" / name for name in re.findall(r"[\"'](\w+\.json)[\"']", source)}
    return sorted(found | {path for path in stored if path.exists()})


def changed():
    """Files of the repository that are new or differ from the last commit."""
    lines = subprocess.run(
        ["git", "status", "--porcelain", "-uall"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / line[3:].split(" -> ")[-1].strip('"') for line in lines]


def tests(paths):
    """The test files that a change of these files touches: themselves, what leads to a module of
    `fe`, what imports a tool.
    """
    tools = {path.stem for path in paths if path.parent == ROOT / "tools"}
    touches = lambda file, source: (
        file in paths
        or set(paths) & set(files(source))
        or any(re.search(rf"^\s*import {name}\b", source, re.MULTILINE) for name in tools)
    )
    return [
        file
        for file in sorted((ROOT / "tests").glob("test_*.py"))
        if touches(file, file.read_text())
    ]


def main(numbers):
    paths, everything = changed(), sorted((ROOT / "book").glob("[0-9]*.ipynb"))
    known = {int(path.name[:2]): path for path in everything}
    if unknown := [n for n in numbers if not n.isdigit() or int(n) not in known]:
        raise SystemExit(f"no chapter {', '.join(unknown)}; there are {min(known)} to {max(known)}")
    chosen = [known[int(n)] for n in numbers] or [path for path in everything if path in paths]
    always = [ROOT / "tests" / name for name in ("test_book.py", "test_project.py")]
    later = [ROOT / "tests" / name for name in ("test_exercises.py", "test_colab.py")]
    short = lambda files: " ".join(str(path.relative_to(ROOT)) for path in files)
    print(short(path for path in dict.fromkeys([*always, *tests(paths)]) if path not in later))
    print(short(chosen))
    print(*(int(path.name[:2]) for path in chosen))


if __name__ == "__main__":
    main(sys.argv[1:])
