"""Write the set-up cell of every notebook: the address from _config.yml, the version from
pyproject.toml, the chapter's own running time (or check with --check).

The cell is the first code cell and carries the tag `setup`. Where `fe` or POT are missing it
installs them, without their dependencies,
so that Colab's own torch stays: `fe` from the wheel of this version's release, so that a saved
notebook stays what it was. It stops
with a sentence if that fails. `FE_PACKAGE` names another source, say a wheel. It offers only what
does something in its chapter.
"""

import json
import pathlib
import re
import sys
import textwrap
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
# nobody's: whoever registered it could run code in readers' notebooks
PLACEHOLDER = "https://github.com/free-energy-book/free-energy-book"
CHOICES = {
    "scale": 'scale = "small"  # @param ["small", "paper"]\n',
    "device": 'device = "auto"  # @param ["auto", "cpu", "cuda"]\n',
    "keep": 'keep = ""  # @param {type: "string"}\n'
    "# keep: a folder for the results of your own long runs, say\n# /content/drive/MyDrive/fe on "
    "Colab (asks for the drive)\n",
}
CELL = """\
# Set-up: {how}. Installs the book's small library `fe` and POT
# where they are missing, and leaves torch alone.
{choices}import importlib.util
import os
import subprocess
import sys

package = os.environ.get({wheel})
missing = [
    name
    for module, name in (("fe", package), ("ot", "pot"))
    if importlib.util.find_spec(module) is None
]
if "" in missing:
    raise SystemExit(
        "`fe` is not installed, and this copy of the book does not say "
        "where to get it: run `pip install -e .` in the book's folder"
    )
if missing:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", *missing]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip does not say why"])[-1]
        raise SystemExit(
            f"The chapter cannot run: pip could not install "
            f"{{' and '.join(missing)}}. {{why}}"
        )
    importlib.invalidate_caches()

from fe.book import notebook

device, scale = notebook.start(
{given})"""


def running_time(notebook):
    """The chapter's "Time" line without the time for reading, or None."""
    text = "\n".join(
        "".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"
    )
    line = re.search(r"^\*\*Time\*\* (.*)$", text, re.MULTILINE)
    return line and line[1].split(" · ", 1)[-1].replace("`", "").rstrip(".")


def offered(notebook):
    """Which of `CHOICES` change what the chapter's other cells do."""
    code = "\n".join(
        "".join(c["source"])
        for c in notebook["cells"]
        if c["cell_type"] == "code" and "setup" not in c["metadata"].get("tags", [])
    )
    uses = {
        "scale": r'\bscale == "paper"',
        "device": r"\bstr\(device\)|\bdevice\)",
        "keep": r"notebook\.results\(|\bresults\(",
    }
    return [name for name in CHOICES if re.search(uses[name], code)]


def wheel(root=ROOT):
    """Where the release of this version offers its wheel; "" in a copy that has no address of its
    own yet.
    """
    address = yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"].rstrip("/")
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return (
        ""
        if address == PLACEHOLDER
        else f"{address}/releases/download/v{version}/free_energy_book-{version}-py3-none-any.whl"
    )


def source(notebook, root=ROOT):
    names, time, address = offered(notebook), running_time(notebook), wheel(root)
    given = [f"    {name}={name},\n" for name in names]
    if time:
        width = 88 if len(time) <= 88 - len('    time="",') else 70
        pieces = [f'"{piece}"' for piece in textwrap.wrap(time, width, drop_whitespace=False)]
        given.append("    time=" + "\n    ".join(pieces) + ",\n")
    base, _, file = address.rpartition("/")
    return CELL.format(
        how="choose here, then run" if names else "run this first",
        choices="".join(CHOICES[name] for name in names),
        wheel=f'\n    "FE_PACKAGE",\n    "{base}/"\n    "{file}",\n'
        if address
        else '"FE_PACKAGE", ""',
        given="".join(given),
    )


def main(check=False, root=ROOT):
    wrong = []
    for path in sorted((root / "book").glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        cells = [c for c in notebook["cells"] if "setup" in c.get("metadata", {}).get("tags", [])]
        if len(cells) != 1:
            raise SystemExit(
                f"{path.name}: expected one code cell tagged 'setup', found {len(cells)}"
            )
        if "".join(cells[0]["source"]) != source(notebook, root):
            wrong.append(path.name)
            cells[0]["source"] = source(notebook, root).splitlines(keepends=True)
            if not check:
                path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    if check and wrong:
        raise SystemExit(
            "set-up cells differ from the address, the version or the Time line in "
            f"{', '.join(wrong)}: run `python3 run.py sync`"
        )
    print("set-up cells in step" if not wrong else f"rewrote the set-up cell of {', '.join(wrong)}")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
