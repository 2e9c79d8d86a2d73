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

PLACEHOLDER = setup_cell.PLACEHOLDER.removeprefix("https://github.com/")


def publish_copy(folder, *arguments):
    return subprocess.run(
        [sys.executable, folder / "tools" / "publish.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.long
def test_no_trace_of_the_placeholder_is_left(tmp_path):
    for name in ("book", "colab", "fe", "tools", "results", "tests", ".github", ".binder"):
        shutil.copytree(
            ROOT / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("__pycache__", "own", "mathjax"),
        )
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    done = publish_copy(
        tmp_path, "https://github.com/someone/book", "--authors", "Ada B. One; Bo Two"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    left = [
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and PLACEHOLDER in path.read_text(errors="ignore")
    ]
    assert left == ["tools/setup_cell.py"], "the tool that refuses it names it"
    citation = yaml.safe_load((tmp_path / "CITATION.cff").read_text())
    assert citation["authors"] == [
        {"family-names": "One", "given-names": "Ada B."},
        {"family-names": "Two", "given-names": "Bo"},
    ]
    assert (
        citation["references"][0]["authors"][0]["family-names"] == "Gao"
        and citation["repository-code"] == "https://github.com/someone/book"
    )
    config = yaml.safe_load((tmp_path / "_config.yml").read_text())
    assert (
        config["author"] == "Ada B. One, Bo Two"
        and config["html"]["baseurl"] == "https://someone.github.io/book"
    )
    for folder in ("book", "colab"):
        for path in (tmp_path / folder).glob("*.ipynb"):
            setup = "".join(
                next(
                    c["source"]
                    for c in json.loads(path.read_text())["cells"]
                    if c["cell_type"] == "code"
                )
            )
            assert '"https://github.com/someone/book/releases/download/v' in setup, path
    # a second address takes the place of the first
    assert publish_copy(tmp_path, "https://example.org/other/name").returncode == 0
    assert (
        "baseurl" not in (tmp_path / "_config.yml").read_text()
        and "someone" not in (tmp_path / "CITATION.cff").read_text()
    )
    assert not [
        path for path in (tmp_path / "colab").glob("*.ipynb") if "someone/book" in path.read_text()
    ]


@pytest.mark.parametrize(
    "url, said",
    [
        (setup_cell.PLACEHOLDER, "placeholder"),
        (setup_cell.PLACEHOLDER + "/", "placeholder"),
        ("http://github.com/a/b", "no address of the form"),
        ("https://github.com/a", "names no owner and repository"),
        ("https://localhost/a/b", "no address of the form"),
        ("git@github.com:a/b", "no address of the form"),
        ('https://github.com/a/b"; import os', "no address of the form"),
    ],
)
def test_what_is_no_address_of_ones_own_is_refused(url, said):
    with pytest.raises(SystemExit, match=re.escape(said)):
        publish.checked(url, "URL")


@pytest.mark.parametrize(
    "url, code", [(setup_cell.PLACEHOLDER, 1), ("https://github.com/someone/book", 0)]
)
def test_workflows_that_publish_ask_first(url, code, tmp_path):
    """`--check` fails as long as the configuration has the placeholder, and both workflows call it
    before they publish.
    """
    (tmp_path / "tools").mkdir()
    for name in ("publish.py", "setup_cell.py"):
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools")
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: {url}\n")
    assert publish_copy(tmp_path, "--check").returncode == code
    for name, step in (("pages", "upload-pages-artifact"), ("release", "gh release")):
        text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()
        assert "publish.py --check" in text.split(step)[0], name


def test_the_address_of_the_pages():
    assert (
        publish.site_of("https://github.com/Some-One/book") == "https://some-one.github.io/book"
        and publish.site_of("https://example.org/a/b") is None
    )
