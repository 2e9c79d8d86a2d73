"""Write the set-up cell of every notebook from the one address in _config.yml (or check it with --check).

The cell is the first code cell and carries the tag `setup`. On Colab it installs `fe` from the repository and POT, without their
dependencies, so Colab's own torch stays; anywhere else it installs nothing.
"""

import json
import pathlib
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
CELL = """\
# Set-up: on Colab this installs the book's small library and leaves Colab's torch alone; elsewhere it installs nothing.
import sys

if "google.colab" in sys.modules:
    !pip install -q --no-deps pot "git+{address}"

from fe import notebook

device, scale = notebook.start()"""


def source():
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    return CELL.format(address=address)


def main(check=False):
    wrong = []
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        cells = [c for c in notebook["cells"] if "setup" in c.get("metadata", {}).get("tags", [])]
        if len(cells) != 1:
            raise SystemExit(f"{path.name}: expected one code cell tagged 'setup', found {len(cells)}")
        if "".join(cells[0]["source"]) != source():
            wrong.append(path.name)
            cells[0]["source"] = source().splitlines(keepends=True)
            if not check:
                path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    if check and wrong:
        raise SystemExit(f"set-up cells differ from _config.yml's address in {', '.join(wrong)}: run python tools/setup_cell.py")
    print("set-up cells in step" if not wrong else f"rewrote the set-up cell of {', '.join(wrong)}")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
