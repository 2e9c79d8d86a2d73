"""What the library consists of, and which way its imports point."""

import graphlib
import pathlib
import sys

from test_names import MODULES, public

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import inventory  # noqa: E402


def test_imports_point_downwards_and_never_in_a_circle():
    """The core imports neither the long runs nor the book, the long runs not the book."""
    graph = inventory.graph()
    assert graph["fe.path"] >= {"fe.response", "fe.errors"} and "fe.path" in graph["fe.reproduce"]
    level = lambda m: ["fe.reproduce", "fe.book"].index(".".join(m.split(".")[:2])) + 1
    height = {m: level(m) if m.startswith(("fe.reproduce", "fe.book")) else 0 for m in graph}
    upward = [(m, n) for m, there in graph.items() for n in there if height[n] > height[m]]
    assert not upward
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_inventory_has_all_modules_and_public_names():
    table = inventory.table()
    for module, tree in MODULES.items():
        assert f"| `{module}` |" in table
        assert all(f"| `{module}.{name}` | " in table for name in public(tree))
    row = next(line for line in table.splitlines() if "| `fe.path.Conserve` |" in line)
    assert "chapters " in row and "reproduce" in row and "tests " in row
    source = "a = 1\n\n# b\ndef f():\n    '''c\n\n    d'''\n    return 'e'\n"
    assert inventory.lines(source) == (8, 3, 4, 1)
