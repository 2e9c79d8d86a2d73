"""`run.py publish`: a copy has its own address everywhere, and the placeholder that this book comes
with is refused.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import publish  # noqa: E402
import setup_cell  # noqa: E402

URL = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]  # of this copy


@pytest.fixture
def copy(tmp_path):
    """The repository without its builds."""
    left_out = shutil.ignore_patterns(
        ".*cache", ".git", ".venv", "_build", "own", "mathjax", "__pycache__", "*.egg-info"
    )
    shutil.copytree(ROOT, tmp_path, ignore=left_out, dirs_exist_ok=True)
    return tmp_path


def files_with(word, folder):
    """Which files name an address, but for tests and the tool that refuses it."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".pyc", ".png"))
    found = {str(p.relative_to(folder)) for p in files if word in p.read_text(errors="ignore")}
    return {name for name in found if not re.match(r"tests/|tools/setup_cell\.py", name)}


def test_no_trace_of_the_former_address_is_left(copy):
    former = URL.removeprefix("https://github.com/")
    assert len(files_with(former, copy)) > 10
    url = "https://github.com/Ada-Byron/book"
    publish.publish(url, publish.site_of(url), ["Ada B. One", "Bo Two", "Three"], root=copy)
    setup_cell.main(root=copy)
    edition = {f"colab/{path.name}" for path in (copy / "colab").glob("*.ipynb")}
    assert files_with(former, copy) == edition, "which the build makes: test_colab.py"
    citation = yaml.safe_load((copy / "CITATION.cff").read_text())
    assert citation["authors"] == [
        {"family-names": "One", "given-names": "Ada B."},
        {"family-names": "Two", "given-names": "Bo"},
        {"name": "Three"},
    ]
    old = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    new = {"authors": citation["authors"], "repository-code": url}
    assert citation == old | new | {"url": "https://ada-byron.github.io/book"}
    config = yaml.safe_load((copy / "_config.yml").read_text())
    assert config["author"] == "Ada B. One, Bo Two, Three"
    assert config["html"]["baseurl"] == "https://ada-byron.github.io/book"
    for path in (copy / "book").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        setup = "".join(next(c["source"] for c in cells if c["cell_type"] == "code"))
        assert f'"{url}/releases/download/v' in setup, path
    # a second address takes the place of the first, and one on another host has no pages of its own
    publish.publish("https://example.org/other/name", root=copy)
    setup_cell.main(root=copy)
    assert files_with("da-byron", copy) == set()
    assert "baseurl" not in (copy / "_config.yml").read_text()
    citation = yaml.safe_load((copy / "CITATION.cff").read_text())
    new["repository-code"] = "https://example.org/other/name"
    assert citation == {name: value for name, value in (old | new).items() if name != "url"}


@pytest.mark.parametrize(
    "url, said",
    [
        (setup_cell.PLACEHOLDER, "placeholder"),
        (setup_cell.PLACEHOLDER + "/", "placeholder"),
        ("http://github.com/a/b", "no address of the form"),
        ("https://github.com/a", "names no owner and repository"),
        ("https://localhost/a/b", "no address of the form"),
        ("https://github.com/a/b?c", "no address of the form"),
        ("git@github.com:a/b", "no address of the form"),
        ('https://github.com/a/b"; import os', "no address of the form"),
    ],
)
def test_what_is_no_address_of_ones_own_is_refused(url, said):
    with pytest.raises(SystemExit, match=re.escape(said)):
        publish.checked(url)


@pytest.mark.parametrize(
    "url, code", [(setup_cell.PLACEHOLDER, 1), ("https://github.com/someone/book", 0)]
)
def test_workflows_that_publish_ask_first(url, code, tmp_path):
    """`--check` fails as long as the configuration has the placeholder, and both workflows call it
    before they publish.
    """
    (tmp_path / "tools").mkdir()
    for name in ("tools/publish.py", "tools/setup_cell.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    config = (ROOT / "_config.yml").read_text()
    (tmp_path / "_config.yml").write_text(config.replace(URL, url))
    command = [sys.executable, tmp_path / "tools" / "publish.py", "--check"]
    assert subprocess.run(command, capture_output=True).returncode == code
    for name, step in (("pages", "upload-pages-artifact"), ("release", "gh release")):
        text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()
        assert "publish.py --check" in text.split(step)[0], name


def test_the_address_of_the_pages():
    assert publish.site_of("https://github.com/Some-One/book") == "https://some-one.github.io/book"
    assert publish.site_of("https://example.org/a/b") is None
