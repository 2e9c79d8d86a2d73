"""Write the set-up cell of every notebook: python tools/setup_cell.py, or with --check say which
are out of step.

The cell (skeletons/set_up.jinja) is tagged `setup`. Where they are missing it installs POT and
`fe`, from the wheel of this version's release, so that a saved notebook stays what it was, and
without dependencies, so that Colab's own torch stays. It offers only what its chapter uses.
"""

import json
import pathlib
import re
import sys
import textwrap
import tomllib

import jinja2
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
SKELETON = pathlib.Path(__file__).parent / "skeletons" / "set_up.jinja"
# nobody's: whoever registered it could run code in readers' notebooks
PLACEHOLDER = "https://github.com/free-energy-book/free-energy-book"
# what a reader can choose, and where a chapter's other cells use it
CHOICES = {"scale": r'\bscale == "paper"', "device": r"\bdevice\)", "keep": r"\bresults\("}


def wheel(root=ROOT):
    """Where this version's release has its wheel; "" in a copy without an address of its own."""
    address = yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"].rstrip("/")
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    name = f"free_energy_book-{version}-py3-none-any.whl"
    return "" if address == PLACEHOLDER else f"{address}/releases/download/v{version}/{name}"


def source(notebook, root=ROOT):
    """The set-up cell of this notebook."""
    others = [c for c in notebook["cells"] if "setup" not in c["metadata"].get("tags", [])]
    text = lambda kind: "\n".join("".join(c["source"]) for c in others if c["cell_type"] == kind)
    choices = [name for name, use in CHOICES.items() if re.search(use, text("code"))]
    line = re.search(r"^\*\*Time\*\* (?:.*? · )?(.*?)\.?$", text("markdown"), re.MULTILINE)
    time = line[1].replace("`", "") if line else ""
    width = 88 if len(time) <= 76 else 70  # on one line with `time=` if it fits
    pieces = textwrap.wrap(time, width, drop_whitespace=False)
    template = jinja2.Template(SKELETON.read_text(), trim_blocks=True)
    return template.render(choices=choices, time=pieces, wheel=wheel(root))


def main(check=False, root=ROOT):
    wrong = []
    for path in sorted((root / "book").glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        cells = [c for c in notebook["cells"] if "setup" in c.get("metadata", {}).get("tags", [])]
        if len(cells) != 1:
            sys.exit(f"{path.name}: expected one code cell tagged 'setup', found {len(cells)}")
        if "".join(cells[0]["source"]) != (text := source(notebook, root)):
            wrong.append(path.name)
            cells[0]["source"] = text.splitlines(keepends=True)
            if not check:
                path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    names = ", ".join(wrong)
    if check and wrong:
        sys.exit(f"set-up cells out of step in {names}: run `python3 run.py sync`")
    print(f"rewrote the set-up cell of {names}" if wrong else "set-up cells in step")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
