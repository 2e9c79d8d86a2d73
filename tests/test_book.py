"""The book as it is stored: outputs present, figures described, exercises answered, one address,
nothing of a machine.
"""

import json
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
PARTS = (
    "**You will be able to**",
    "**You need**",
    "**Time**",
    "**In the paper**",
    "## What goes wrong",
    "## What the paper says",
    "## Summary",
    "## Exercises",
    "## Further reading",
)
IDS = [path.stem for path in NOTEBOOKS]


def cells(path, kind):
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


def text(path):
    return "\n".join("".join(c["source"]) for c in cells(path, "markdown"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_every_cell_was_run_in_order_without_error(path):
    code = cells(path, "code")
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    outputs = [o for c in code for o in c["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"], "warnings in the stored outputs"
    # nbval compares what is stored: a cell that prints must have its print stored
    for c in code:
        source = "".join(c["source"])
        if re.search(r"^print\(", source, re.MULTILINE):
            assert c["outputs"], source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_no_dead_widget_is_stored(path):
    outputs = [o.get("data", {}) for c in cells(path, "code") for o in c["outputs"]]
    assert not [kind for data in outputs for kind in data if "widget" in kind]
    bars = [data for data in outputs if "?it/s]" in "".join(data.get("text/plain", ""))]
    assert not bars, "execute the notebook with tools/execute.py"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_every_figure_has_alt_text_and_a_caption(path):
    for c in cells(path, "code"):
        if any("image/png" in o.get("data", {}) for o in c["outputs"]):
            meta = c["metadata"].get("mystnb", {})
            alt, caption = (
                meta.get("image", {}).get("alt", ""),
                meta.get("figure", {}).get("caption", ""),
            )
            assert len(alt) > 20 and not re.search(
                r"\.(png|svg)|^(plot|figure|image)", alt, re.IGNORECASE
            ), alt
            assert len(caption) > 20, "".join(c["source"])[:80]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_anatomy(path):
    words = text(path)
    places = [words.find(f"\n{part}") for part in PARTS]
    assert -1 not in places and places == sorted(places), dict(zip(PARTS, places))
    exercises = re.findall(r"\{exercise(?:-start)?\}[^\n]*\n:label: (\S+)", words)
    solutions = re.findall(r"\{solution(?:-start)?\} (\S+)\n:class: dropdown", words)
    assert len(exercises) >= 5 and sorted(exercises) == sorted(solutions)
    outputs = json.dumps([c["outputs"] for c in cells(path, "code")])
    assert "fe-live" in outputs or ":figclass: fe-recompute" in words, "no live figure"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_nothing_of_a_machine(path):
    raw = re.sub(r"[A-Za-z0-9+/]{200,}", "", path.read_text())  # a picture may have any letters
    assert not re.search(r"/(?:tmp|home|root)/|site-packages", raw)


def test_set_up_cells_follow_the_one_address():
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "setup_cell.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.toml"),
        *(ROOT / "book").glob("*.md"),
        *(ROOT / "fe").glob("*.py"),
    ]:
        assert address not in path.read_text(), f"the address stands in {path.name} too"


def test_the_ledger_names_tests_that_exist():
    names = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        names |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    pages = [(ROOT / "book" / name).read_text() for name in ("claims.yml", "reproduction.md")] + [
        text(path) for path in NOTEBOOKS
    ]
    mentioned = {name for s in pages for name in re.findall(r"\b(test_\w+)\b(?!\.py)(?!/)", s)}
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert mentioned and mentioned - names - files == set()


def test_the_readme_example_runs():
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for block in code:
        exec(compile(block, "README.md", "exec"), {})


def test_the_library_stays_small():
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / "fe").glob("*.py"))
    assert lines < 3770, f"the core of fe has {lines} lines"
