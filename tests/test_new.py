"""What `run.py new-exercise` and `new-chapter` write passes the tests of exercises as it stands,
and says where it must be rewritten.
"""

import functools
import pathlib
import re
import shutil
import subprocess

import pytest
import test_book

from aside import aside, module, script

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the repository with a new chapter and a new exercise in chapter 5."""
    folder = tmp_path_factory.mktemp("copy")
    left_out = shutil.ignore_patterns("__pycache__", "_static", "own")
    for name in ("book", "fe", "tools", "tests", "results"):
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    for name in ("_config.yml", "_toc.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for arguments in (["chapter", "a-new-one", 'A "new" one'], ["exercise", "5", "twice", "Twice"]):
        done = aside(script, folder / "tools" / "new.py", *arguments)
        assert done.returncode == 0, done.stderr
    return folder


def test_a_new_exercise_passes_as_it_stands(copy):
    """Its check, its right and its wrong answers, the number of its statement, through the same
    harness as all others; and what is written is formatted.
    """
    command = ["tests/test_exercises.py", "-q", "-p", "no:cacheprovider", "-k"]
    command += ["ex-5-twice or ex-11-rewrite-3 or labels"]
    tests = functools.partial(module, "pytest", folders=[copy])
    done = aside(tests, *command, cwd=copy)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 2 * 10
    for folder in ("book", "fe", "tests/answers"):
        done = subprocess.run(["ruff", "format", "--check", copy / folder], capture_output=True)
        assert done.returncode == 0, done.stdout


def test_a_new_chapter_is_in_the_contents_and_has_every_part(copy):
    path = copy / "book" / "11-a-new-one.ipynb"
    assert "book/11-a-new-one\n" in (copy / "_toc.yml").read_text()
    words = test_book.text(path)
    assert words.startswith('# A "new" one\n') and words.count("{exercise}") == 5
    assert -1 not in [words.find(f"\n{part}") for part in test_book.PARTS]
    assert any("live(" in "".join(c["source"]) for c in test_book.cells(path, "code"))


def test_what_was_to_be_rewritten_was():
    left = [
        path.name
        for folder in ("book", "fe/book/checks", "tests/answers")
        for path in (ROOT / folder).iterdir()
        if path.is_file() and "REWRITE" in path.read_text(errors="ignore")
    ]
    assert not left


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["exercise", "5"], "exercise CHAPTER NAME TITLE"),
        (["exercise", "5", "1st", "T"], "'1st' becomes a function"),
        (["exercise", "5", "twice", "T"], "has an exercise ex-5-twice already"),
    ],
)
def test_it_refuses_in_words(arguments, said, copy):
    done = aside(script, copy / "tools" / "new.py", *arguments)
    assert done.returncode and said in done.stderr
