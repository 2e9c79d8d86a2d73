"""Write the set-up cell of every notebook: the one address from _config.yml, the chapter's own running time (or check with --check).

The cell is the first code cell and carries the tag `setup`. It installs `fe` and POT where they are missing, without their
dependencies, so Colab's own torch stays; where they are there it installs nothing. `FE_PACKAGE` names another source, say a wheel.
"""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
CELL = """\
# Set-up: choose here, then run. Installs the book's small library `fe` and POT where they are missing, and leaves torch alone.
scale = "small"  # @param ["small", "paper"]
device = "auto"  # @param ["auto", "cpu", "cuda"]
keep = ""  # @param {{type: "string"}}
# keep: a folder for the results of your own long runs, say /content/drive/MyDrive/fe on Colab (asks for the drive)
import importlib.util
import os

package = os.environ.get("FE_PACKAGE", "git+{address}")
missing = [name for module, name in (("fe", package), ("ot", "pot")) if importlib.util.find_spec(module) is None]
if missing:
    %pip install -q --no-deps {{" ".join(missing)}}

from fe import notebook

device, scale = notebook.start(scale=scale, device=device, keep=keep{time})"""


def running_time(notebook):
    """The chapter's "Time" line without the time for reading, or None."""
    text = "\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown")
    line = re.search(r"^\*\*Time\*\* (.*)$", text, re.MULTILINE)
    return line and line[1].split(" · ", 1)[-1].replace("`", "").rstrip(".")


def source(notebook):
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    time = running_time(notebook)
    return CELL.format(address=address, time=f', time="{time}"' if time else "")


def main(check=False):
    wrong = []
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        cells = [c for c in notebook["cells"] if "setup" in c.get("metadata", {}).get("tags", [])]
        if len(cells) != 1:
            raise SystemExit(f"{path.name}: expected one code cell tagged 'setup', found {len(cells)}")
        if "".join(cells[0]["source"]) != source(notebook):
            wrong.append(path.name)
            cells[0]["source"] = source(notebook).splitlines(keepends=True)
            if not check:
                path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    if check and wrong:
        raise SystemExit(f"set-up cells differ from _config.yml's address or the Time line in {', '.join(wrong)}: run python tools/setup_cell.py")
    print("set-up cells in step" if not wrong else f"rewrote the set-up cell of {', '.join(wrong)}")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
