"""What code stands on: modules of `fe`, stored results; and which tests a change touches."""

import ast
import functools
import pathlib
import re
import subprocess
from importlib.util import resolve_name

ROOT = pathlib.Path(__file__).resolve().parents[1]


@functools.cache
def exported():
    """{"fe.name": module of fe} of what `fe` itself offers."""
    tree = ast.parse((ROOT / "fe" / "__init__.py").read_text())
    lines = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {f"fe.{alias.name}": f"fe.{node.module}" for node in lines for alias in node.names}


@functools.cache
def imported(source, package=""):
    """Files of `fe` that Python source imports; `package` is where relative imports start."""
    names = set()
    for node in ast.walk(ast.parse(re.sub(r"^ *[%!].*", "", source, flags=re.MULTILINE))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    if "fe" in names:
        names |= {f"fe.{name}" for name in re.findall(r"\bfe\.(\w+)", source)}
    places = [exported().get(name, name).replace(".", "/") for name in names if name[:3] == "fe."]
    files = (ROOT / f"{place}{end}" for place in places for end in (".py", "/__init__.py"))
    return {file for file in files if file.exists()}


def files(source):
    """Every file of the library and of `results/` that this Python source leads to, in order."""
    found, new = set(), imported(source)
    while new:
        found |= new
        package = lambda path: ".".join(path.relative_to(ROOT).parts[:-1])
        new = {f for path in new for f in imported(path.read_text(), package(path))} - found
    found |= {page for path in found for page in path.parent.glob("*.html")}
    found |= {ROOT / "results" / name for name in re.findall(r"[\"'](\w+\.json)[\"']", source)}
    return sorted(path for path in found if path.exists())


def changed():
    """Files of the repository that are new or differ from the last commit."""
    command = ["git", "-c", "core.quotePath=off", "status", "--porcelain", "-uall", "--no-renames"]
    lines = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    return {ROOT / line[3:] for line in lines}


def tests(paths):
    """The test files among these files, and those that lead to one of them."""
    tool = "|".join(path.stem for path in paths if path.parent == ROOT / "tools") or "none"
    uses = lambda source: paths & {*files(source)} or re.search(rf"\bimport ({tool})\b", source)
    found = sorted((ROOT / "tests").glob("test_*.py"))
    return [file for file in found if file in paths or uses(file.read_text())]
