"""Functions that a chapter writes out in a cell, for the tests that hold them."""

import ast
import json
import pathlib

BOOK = pathlib.Path(__file__).resolve().parents[1] / "book"


def own(chapter, name, **needs):
    """The function `name` of the chapter with this number, "03"; needs: the names it uses."""
    (path,) = BOOK.glob(f"{chapter}-*.ipynb")
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and f"def {name}(" in source:
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    exec(ast.unparse(node), needs)
                    return needs[name]
    raise KeyError(f"chapter {chapter} has no function {name}")
