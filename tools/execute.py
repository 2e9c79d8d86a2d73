"""Execute notebooks in place: python tools/execute.py [book/NAME.ipynb …], all without names.

`--changed` executes those whose code, outputs, part of the library or stored results are neither
those of the last commit nor those of when they last ran here.

Stops at the first error and leaves that notebook as it was. Nothing of the machine is stored, so a
second run changes only what really changed. One thread, as the tests use, and the book's results.
"""

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

import nbformat
import uses
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from fe.book.sliders import palette

ROOT = pathlib.Path(__file__).resolve().parents[1]
ONE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
LIMITS = dict(timeout=600, iopub_timeout=60, raise_on_iopub_timeout=True)  # seconds a cell
SAME = dict(record_timing=False, coalesce_streams=True)  # at every execution
WIDGET = "application/vnd.jupyter.widget-view+json"  # a bar or another, dead on a page


def smaller(png):
    """A PNG (base64) in 256 colours of its own."""
    picture, buffer = Image.open(io.BytesIO(base64.b64decode(png))), io.BytesIO()
    if picture.mode == "RGBA" and picture.getextrema()[3][0] < 255:
        return png  # really transparent
    size = {key: picture.info[key] for key in ("dpi",) if key in picture.info}  # on the page
    palette(picture.convert("RGB")).save(buffer, format="png", optimize=True, **size)
    return base64.b64encode(buffer.getvalue()).decode()


def stored(output):
    """An output without what is the machine's."""
    if "metadata" in output:  # a picture's size stays, or Jupyter would show it twice as large
        output.metadata = {k: v for k, v in output.metadata.items() if k == "image/png" and v}
    if "image/png" in output.get("data", {}):
        output.data["image/png"] = smaller(output.data["image/png"])
    return output


def execute(path):
    notebook, began = nbformat.read(path, 4), time.time()
    metadata = dict(notebook.metadata)
    here = {"metadata": {"path": path.parent}}
    try:
        with tempfile.TemporaryDirectory() as empty:
            client = NotebookClient(notebook, resources=here, **LIMITS, **SAME)
            client.execute(env=os.environ | ONE | {"FE_RESULTS": empty})
    except CellExecutionError as error:
        sys.exit(f"{path.name} was not changed. A cell failed:\n{error}")
    notebook.metadata = nbformat.from_dict(metadata)  # not the versions of this machine
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs = [stored(o) for o in cell.outputs if WIDGET not in o.get("data", {})]
    nbformat.write(notebook, path)
    print(f"{path.name}: {time.time() - began:.0f} s, {path.stat().st_size / 1e6:.1f} MB")


def state(path, read=pathlib.Path.read_bytes):
    """A digest of the outputs and of what they follow from: neither words nor an address."""
    cells = [c for c in json.loads(read(path) or '{"cells": []}')["cells"] if "outputs" in c]
    sources = ["".join(c["source"]) for c in cells]
    setup = ["setup" in c["metadata"].get("tags", []) for c in cells]
    told = [(source, c["outputs"]) for source, c, its in zip(sources, cells, setup) if not its]
    digest = hashlib.sha256(json.dumps(told).encode())
    for file in uses.files("\n".join(sources)):
        digest.update(read(file))
    return digest.hexdigest()


def committed(path):
    """The file as it is in the last commit; empty if it is not there."""
    command = ["git", "show", f"HEAD:{path.relative_to(ROOT).as_posix()}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True).stdout


def main(arguments):
    names = [pathlib.Path(name).resolve() for name in arguments if name != "--changed"]
    memory = ROOT / "_build" / "executions.json"
    memory.parent.mkdir(exist_ok=True)
    known = json.loads(memory.read_text()) if memory.exists() else {}
    for path in names or sorted((ROOT / "book").glob("*.ipynb")):
        done = lambda now: now == known.get(path.name) or now == state(path, committed)
        if "--changed" not in arguments or not done(state(path)):
            execute(path)
        known[path.name] = state(path)
        memory.write_text(json.dumps(known, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
