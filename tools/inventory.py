"""What the library consists of, as Markdown: `python tools/inventory.py > inventory.md`. Its lines,
its public names with who uses each, and the picture of its imports.
"""

import ast
import sys
from pathlib import Path

from uses import imported

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from test_names import MODULES, public, users  # noqa: E402


def file(module):
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def lines(source):
    """(all, code, docstrings and lines that are a comment, blank)."""
    every, docs = [line.strip() for line in source.splitlines()], set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            docs |= {*range(node.lineno - 1, node.end_lineno)}
    docs |= {k for k, line in enumerate(every) if line.startswith("#")}
    blank = sum(not line for k, line in enumerate(every) if k not in docs)
    return len(every), len(every) - len(docs) - blank, len(docs), blank


def graph():
    """{module: modules of `fe` that it imports}."""
    names = {file(module): module for module in MODULES}
    package = lambda path: ".".join(path.relative_to(ROOT).parts[:-1])
    leads = {m: imported(path.read_text(), package(path)) - {path} for path, m in names.items()}
    return {
        module: {names[path] for path in there if path in names} for module, there in leads.items()
    }


def kinds(who):
    """Users in few words: chapters 1, 5 · exercises 2 · README.md · path · 3 tests."""
    numbers = lambda start: sorted(int(w[len(start) :]) for w in who if w.startswith(start))
    found = {"chapters ": numbers("chapter "), "exercises ": numbers("fe.book.checks.chapter")}
    words = [name + ", ".join(map(str, them)) for name, them in found.items() if them]
    tests = [w for w in who if w.startswith("tests.")]
    rest = [w for w in who if w not in tests and not w.startswith(("chapter ", "fe.book.checks."))]
    words += [w.removeprefix("fe.") for w in sorted(rest)]
    return " · ".join(words + ([f"tests {len(tests)}"] if tests else []))


def table():
    """The page, as text."""
    counts = {module: lines(file(module).read_text()) for module in MODULES}
    whole = [sum(column) for column in zip(*counts.values())]
    text = ["| module | lines | code | doc | blank | public |", "|:--|--:|--:|--:|--:|--:|"]
    for module, row in [*counts.items(), ("all", whole)]:
        names = [m for m in MODULES for _ in public(MODULES[m]) if module in (m, "all")]
        text.append(f"| `{module}` | {' | '.join(map(str, row))} | {len(names)} |")
    text += ["", "| name | used by |", "|:--|:--|"]
    used = users(("benchmarks", "tools", "fe", "tests"))
    for module, tree in MODULES.items():
        who = {name: kinds(used.get((module, name), ())) or "its module" for name in public(tree)}
        text += [f"| `{module}.{name}` | {words} |" for name, words in who.items()]
    arrows = [f"  {a} --> {b}" for a, there in graph().items() if a != "fe" for b in sorted(there)]
    return "\n".join([*text, "", "```mermaid", "graph TD", *arrows, "```"])


if __name__ == "__main__":
    print(table())
