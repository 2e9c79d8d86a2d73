"""Every public name of `fe` is there for somebody: a chapter or an exercise, the README, a command,
or another module of `fe`.
"""

import ast
import functools
import json
import pathlib
import re
from importlib.util import resolve_name

import pytest

import fe

ROOT = pathlib.Path(__file__).resolve().parents[1]
dotted = lambda path: ".".join(path.relative_to(ROOT).with_suffix("").parts)
MODULES = {
    dotted(path).removesuffix(".__init__"): ast.parse(path.read_text())
    for path in sorted((ROOT / "fe").rglob("*.py"))
    if path.parent.name != "checks"
}
PACKAGES = {name.rpartition(".")[0] for name in MODULES} - {""}
IMPORTED = {  # (module, name): where it has it from
    (module, alias.asname or alias.name): (
        resolve_name(
            "." * node.level + (node.module or ""),
            module if module in PACKAGES else module.rpartition(".")[0],
        ),
        alias.name,
    )
    for module, tree in MODULES.items()
    for node in tree.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}
EXPORTED = {name for module, name in IMPORTED if module == "fe"}


def public(tree):
    """{name: its definition} of the functions, classes and constants at the top of a module."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {t.id: node for t in node.targets if isinstance(t, ast.Name)}
    return {name: node for name, node in found.items() if name[0] != "_" and name != "main"}


def chain(node):
    """["a", "b", "c"] of the code `a.b.c`; nothing of other code."""
    names = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if names and isinstance(node, ast.Name) else []


def names_of_fe(source, package=""):
    """{(module, name)} of `fe` that this code imports, or reaches through a module that it
    imports.
    """
    tree = ast.parse(re.sub(r"^ *[%!].*", "", source, flags=re.MULTILINE))
    modules, found = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {a.asname or a.name: a.name for a in node.names if a.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                if f"{base}.{alias.name}" in MODULES:
                    modules[alias.asname or alias.name] = f"{base}.{alias.name}"
                else:
                    found.add((base, alias.name))
    for node in ast.walk(tree):
        path = chain(node)
        if path and path[0] in modules:
            path = [*modules[path[0]].split("."), *path[1:]]
            module = max(k for k in range(len(path) + 1) if ".".join(path[:k]) in MODULES)
            found |= {(".".join(path[:module]), name) for name in path[module : module + 1]}
    return set(map(origin, found))


def origin(found):
    """The (module, name) in which a name is defined, wherever it is imported from."""
    while found in IMPORTED:
        found = IMPORTED[found]
    return found


@functools.cache
def users(folders=("benchmarks", "tools", "fe")):
    """{(module, name): who uses it} of chapters, pages and the code in these folders, without the
    module itself.
    """
    sources = []
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        cells = [
            (c["cell_type"], "".join(c["source"])) for c in json.loads(path.read_text())["cells"]
        ]
        stubs = [re.findall(r"~~~python\n(.*?)~~~", text, re.DOTALL) for _, text in cells]
        code = [text for kind, text in cells if kind == "code"] + sum(stubs, [])
        sources += [(f"chapter {int(path.name[:2])}", text, "") for text in ["\n".join(code)]]
    for path in (ROOT / "README.md", ROOT / "book" / "teaching.md"):
        page = path.read_text()
        blocks = re.findall(r"```(?:python)?\n(.*?)```", page, re.DOTALL)
        blocks += ["import fe\n" + name for name in re.findall(r"`(fe\.\w+)\b", page)]
        sources += [(path.name, block, "") for block in blocks if "import" in block]
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != ROOT / "fe" / "__init__.py" and "skeletons" not in path.parts:
                package = ".".join(path.relative_to(ROOT).parts[:-1])
                sources.append((dotted(path), path.read_text(), package))
    found = {}
    for who, source, package in sources:
        for module, name in names_of_fe(source, package):
            if module != who:
                found.setdefault((module, name), set()).add(who)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_user(module):
    tree = MODULES[module]
    inside = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    command = "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    idle = [
        name
        for name, node in public(tree).items()
        if (module, name) not in users()
        # a class that a function here returns or raises; what a command is made of
        and not (name in inside and (command or isinstance(node, ast.ClassDef)))
    ]
    assert not idle, f"nothing uses {', '.join(idle)} of {module}: begin it with _, or take it out"


def test_what_fe_exports_is_what_it_imports():
    """A class, a function, no module and no private name: `from fe import *` brings these."""
    assert {name for name, value in vars(fe).items() if callable(value)} == EXPORTED
    assert not [name for name in EXPORTED if name[0] == "_"]


def test_a_name_without_a_user_is_found():
    assert names_of_fe("import fe\nfe.gibbs.log_d(1)\nfe.minimise") == {
        ("fe.gibbs", "log_d"),
        ("fe.equilibrium", "minimise"),
    }
    assert names_of_fe(
        "from fe import plot as p\nfrom fe.reproduce.images import npz\np.style()"
    ) == {
        ("fe.plot", "style"),
        ("fe.reproduce.images", "npz"),
    }
    assert names_of_fe("from fe import reproduce\nreproduce.state('fig5_aligned_s0_held')") == {
        ("fe.reproduce.settings", "state")
    }
    assert list(public(ast.parse("def f(): pass\n_g = 1\nclass H: pass\nK = 2"))) == ["f", "H", "K"]
