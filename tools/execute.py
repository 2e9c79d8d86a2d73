"""Execute notebooks in place and store what readers will see: python tools/execute.py
[book/NAME.ipynb …], all without names.

`--changed` executes those whose code, stored outputs, part of the library or stored results are no
longer what they were when they
last ran here; where that is not known, those that differ from the last commit.

Stops at the first error and leaves that notebook as it was. Times and other traces of the machine
are not stored, so a second
run changes only what really changed. One thread, as the tests use, and the book's results, not
those of your own long runs.
"""

import ast
import base64
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import nbformat
import uses
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from fe.book.sliders import levels

ROOT = pathlib.Path(__file__).resolve().parents[1]


def smaller(png):
    """A stored PNG (base64) with at most 256 shades, no channel off by more than 16 of 255; a
    photograph as it is.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    if picture.mode == "RGBA" and picture.getextrema()[3][0] < 255:
        return png  # really transparent
    plain, buffer = picture.convert("RGB"), io.BytesIO()
    few = next((f for step in (8, 16, 32) if (f := levels(plain, step)).getcolors(256)), None)
    dpi = (
        {"dpi": picture.info["dpi"]} if "dpi" in picture.info else {}
    )  # the figure's size on the page follows from it
    (few.quantize(256) if few else plain).save(buffer, format="png", optimize=True, **dpi)
    return base64.b64encode(buffer.getvalue()).decode()


def execute(path, timeout=600):
    notebook = nbformat.read(path, 4)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": path.parent}},
        iopub_timeout=60,
        raise_on_iopub_timeout=True,
    )  # a busy machine may be slow, but no output gets lost
    began = time.time()
    try:
        with tempfile.TemporaryDirectory() as empty:
            client.execute(env=os.environ | {"FE_RESULTS": empty})
    except CellExecutionError as error:
        raise SystemExit(f"{path.name} was not changed. A cell failed:\n{error}")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {
            "name": "python",
            "pygments_lexer": "ipython3",
        },  # the lexer that knows `!pip` in the set-up cell
    }
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if "explore" in cell.metadata.get("tags", []):
            cell.outputs = []  # a widget without its kernel is a dead control
        for output in cell.get("outputs", []):
            if (
                "metadata" in output
            ):  # of a picture its size on the page stays, or Jupyter would show it twice as large
                output["metadata"] = {
                    kind: size for kind, size in output["metadata"].items() if kind == "image/png"
                }
            # a progress bar without its kernel is dead (and may not share a cell with a figure that
            # has a name): its first line, which nbval compares, stays, and access.py leaves it out
            # of the pages
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = smaller(output["data"]["image/png"])
            if output.get("name") == "stderr":
                print(
                    f"{path.name}, cell {cell.execution_count}: warnings are stored, and the "
                    f"tests refuse them: {output['text'][:200]}"
                )
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    print(f"{path.name}: {time.time() - began:.0f} s, {path.stat().st_size / 1e6:.1f} MB")


def meaning(source):
    """Python source without its layout and comments, as far as it is Python."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return source


def code_of(notebook):
    """What the code cells but for the set-up say, and their outputs: what neither the words around
    them nor a new layout change."""
    return [
        [meaning(cell.source), cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", [])
    ]


def stands_on(notebook):
    return uses.files("\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code"))


def state(path):
    """A digest of what the notebook's outputs follow from, and of the outputs."""
    notebook = nbformat.read(path, 4)
    digest = hashlib.sha256(json.dumps(code_of(notebook)).encode())
    for file in stands_on(notebook):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_as_committed(path):
    """Whether neither the notebook's code and outputs nor what it stands on differ from the last
    commit.
    """
    notebook = nbformat.read(path, 4)
    stored = subprocess.run(
        ["git", "show", f"HEAD:{path.relative_to(ROOT).as_posix()}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    same = stored.returncode == 0 and code_of(nbformat.reads(stored.stdout, 4)) == code_of(notebook)
    return (
        same
        and subprocess.run(
            ["git", "diff", "--quiet", "HEAD", "--", *stands_on(notebook)], cwd=ROOT
        ).returncode
        == 0
    )


def main(arguments):
    paths = [pathlib.Path(a).resolve() for a in arguments if a != "--changed"] or sorted(
        (ROOT / "book").glob("*.ipynb")
    )
    memory = ROOT / "_build" / "executed.json"
    known = json.loads(memory.read_text()) if memory.exists() else {}
    memory.parent.mkdir(exist_ok=True)
    for path in paths:
        if "--changed" in arguments and (
            known[path.name] == state(path) if path.name in known else is_as_committed(path)
        ):
            known[path.name] = state(path)
        else:
            execute(path)
            known[path.name] = state(path)
        memory.write_text(json.dumps(known, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
