"""The project's own files: requirements against the lock, a page for each module, the commands."""

import ast
import importlib.util
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import uses  # noqa: E402

MODULES = sorted(
    [path.stem for path in (ROOT / "fe").glob("*.py") if path.stem != "__init__"]
    + [path.parent.name for path in (ROOT / "fe").glob("*/__init__.py")]
)


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [
    Requirement(line)
    for line in PROJECT["dependencies"]
    + [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
]


def test_the_lock_is_exact_and_hashed_and_holds_every_requirement():
    """Where a package has several entries (for different Pythons or machines), each meets the
    requirement.
    """
    entries = re.split(
        r"\n(?=\S)",
        re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE).strip(),
    )
    locked = {}
    for entry in entries:
        first, *hashes = entry.split(" \\\n")
        r = Requirement(first)
        (spec,) = r.specifier
        assert spec.operator == "==" and r.url is None and not Version(spec.version).local, (
            f"{r}: not a plain exact version"
        )
        assert hashes and all(
            re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}", line) for line in hashes
        ), f"{r}: no hash"
        locked.setdefault(canonicalize_name(r.name), []).append(Version(spec.version))
    for r in NEEDED:
        assert all(
            r.specifier.contains(version) for version in locked[canonicalize_name(r.name)]
        ), f"{r} is not met by the lock"


def test_what_is_installed_side_by_side_is_the_whole_lock(run):
    lock = (ROOT / "requirements.lock").read_text()
    parts = run.in_parts(lock)
    assert sorted("".join(parts.values()).splitlines()) == sorted(lock.splitlines())
    names = [set(re.findall(r"^([\w.-]+)==", part, re.MULTILINE)) for part in parts.values()]
    assert "torch" in names[0] and "sphinx" in names[1] and min(map(len, names)) > 15


def test_names_of_packages_stand_in_one_place():
    """requirements.txt and Binder's script name the groups of pyproject.toml."""
    named = [
        set(group.split(","))
        for name in ("requirements.txt", ".binder/postBuild")
        for group in re.findall(r'-e "?\.\[([\w,]+)\]', (ROOT / name).read_text())
    ]
    assert len(named) == 2 and named[1] <= set(PROJECT["optional-dependencies"])
    assert named[0] == set(PROJECT["optional-dependencies"]), "requirements.txt has everything"


def test_requirements_leave_colabs_own_packages_alone():
    """A pin or an upper bound on what Colab brings would replace gigabytes there, or break its
    other packages.
    """
    bounds = {r.name: {s.operator for s in r.specifier} for r in NEEDED}
    for name in (
        "torch",
        "torchvision",
        "numpy",
        "matplotlib",
        "scipy",
        "scikit-learn",
        "ipywidgets",
    ):
        assert bounds[name] <= {">="}, f"{name}: lower bounds only"


def test_every_module_has_a_page_in_the_contents():
    toc = json.dumps(yaml.safe_load((ROOT / "_toc.yml").read_text()))
    front = (ROOT / "book" / "api.md").read_text()
    for name in MODULES:
        page = ROOT / "book" / "api" / f"{name}.md"
        assert page.exists() and f"automodule:: fe.{name}" in page.read_text(), (
            f"no API page of fe.{name}"
        )
        assert f'"book/api/{name}"' in toc and f"api/{name}.md" in front, (
            f"fe.{name} is missing in _toc.yml or api.md"
        )
    assert sorted(path.stem for path in (ROOT / "book" / "api").glob("*.md")) == MODULES, (
        "a page of a module that is gone"
    )


def test_every_page_is_in_the_contents():
    text = (ROOT / "_toc.yml").read_text()
    pages = [
        path.relative_to(ROOT).with_suffix("")
        for ext in ("md", "ipynb")
        for path in (ROOT / "book").rglob(f"*.{ext}")
    ]
    missing = [
        str(p)
        for p in pages
        if not re.search(rf"(file|root): {re.escape(p.as_posix())}$", text, re.MULTILINE)
    ]
    assert not [m for m in missing if "checkpoint" not in m]


@pytest.mark.parametrize("file", sorted((ROOT / "fe").rglob("*.py")), ids=lambda file: file.stem)
def test_public_functions_are_documented(file):
    tree, name = ast.parse(file.read_text()), file.stem
    assert ast.get_docstring(tree), f"fe.{name} has no docstring"
    for node in tree.body:
        if (
            isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and node.name != "main"
            and not node.name.startswith("_")
        ):
            assert ast.get_docstring(node), f"fe.{name}.{node.name} has no docstring"


def test_live_figures_are_left_out_of_the_comparison():
    """Their HTML holds pictures, which differ from machine to machine; nbval would compare them
    byte by byte.
    """
    for path in (ROOT / "book").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if "fe-live" in json.dumps(cell.get("outputs", [])):
                assert "nbval-ignore-output" in cell["metadata"].get("tags", []), (
                    f"{path.name}: {''.join(cell['source'])[:60]!r}"
                )


def test_names_of_live_figures_are_unique_on_a_page():
    for path in (ROOT / "book").glob("*.ipynb"):
        outputs = json.dumps([c.get("outputs") for c in json.loads(path.read_text())["cells"]])
        names = re.findall(r'class=\\"fe-live\\" id=\\"([^"\\]+)', outputs)
        assert len(names) == outputs.count("fe-live"), path.name
        assert len(names) == len(set(names)), f"{path.name}: {names}"


@pytest.fixture
def run():
    spec = importlib.util.spec_from_file_location("run_py", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_command_every_command_is_explained(run):
    done = subprocess.run([sys.executable, ROOT / "run.py"], capture_output=True, text=True)
    assert done.returncode
    for words in [*run.COMMANDS, *((name,) for name in run.WITH_ARGUMENTS)]:
        assert re.search(rf"python3 run.py {' '.join(words)} +\S", done.stderr), words


@pytest.mark.parametrize("path", ["run.py", "tools/uses.py"])
def test_run_needs_nothing_but_the_standard_library(path):
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text())))
    names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    own = {"uses"} if path == "run.py" else set()
    assert {name.split(".")[0] for name in names} - own <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_has_nothing_to_say(command):
    """Library, tests and tools at 100 columns, the code of notebooks at 88 (book/ruff.toml)."""
    done = subprocess.run(["ruff", *command.split(), "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_ci_script_is_an_executable_script():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK) and subprocess.run(["bash", "-n", script]).returncode == 0


CALLED_FROM = [*(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / ".pre-commit-config.yaml"]


@pytest.mark.parametrize("path", CALLED_FROM, ids=lambda path: path.name)
def test_what_workflows_and_hooks_call_is_there(path, run):
    text = path.read_text()
    files = re.findall(r"(?<= )(?:tools/|tests/|\.ci/)[\w./]+", text)
    commands = re.findall(r"run\.py ([\w-]+(?: --\w+)*)", text)
    assert files or commands
    assert not [name for name in files if not (ROOT / name).exists()]
    assert not [words for words in commands if tuple(words.split()) not in run.COMMANDS]


def test_the_set_up_tool_repairs_what_it_checks(tmp_path):
    """Change the address in a copy: --check must fail and name the notebook, one run must put it
    right, nothing else moves.
    """
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "book").mkdir()
    config = (ROOT / "_config.yml").read_text()
    address = yaml.safe_load(config)["repository"]["url"]
    (tmp_path / "_config.yml").write_text(
        config.replace(address, "https://example.org/someone/else")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    other = {
        "cell_type": "code",
        "metadata": {},
        "source": ["1 + 1"],
        "outputs": [],
        "execution_count": 2,
    }
    setup = {
        "cell_type": "code",
        "metadata": {"tags": ["setup"]},
        "source": ["old"],
        "outputs": [],
        "execution_count": 1,
    }
    path = tmp_path / "book" / "a.ipynb"
    path.write_text(
        json.dumps({"cells": [setup, other], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )

    def tool(*arguments):
        return subprocess.run(
            [sys.executable, tmp_path / "tools" / "setup_cell.py", *arguments],
            capture_output=True,
            text=True,
        )

    assert tool("--check").returncode != 0 and "a.ipynb" in tool("--check").stderr
    assert tool().returncode == 0 and tool("--check").returncode == 0
    cells = json.loads(path.read_text())["cells"]
    written = "".join(cells[0]["source"])
    assert (
        "https://example.org/someone/else" in written
        and "--no-deps" in written
        and cells[1] == other
    )


def test_the_tests_do_not_see_a_developers_own_results(run, monkeypatch, tmp_path):
    """Every pytest of `run.py test` gets an empty folder in place of results/own and of what
    FE_RESULTS says.
    """
    monkeypatch.setenv("FE_RESULTS", str(ROOT / "results"))
    monkeypatch.setattr(run, "ROOT", tmp_path)  # its logs go there
    seen = []

    def call(command, env, **rest):
        if "pytest" in command:
            seen.append([path.name for path in pathlib.Path(env["FE_RESULTS"]).iterdir()])
        return 0

    monkeypatch.setattr(run.subprocess, "call", call)
    assert run.test() == 0 and seen == [[], []]


def test_a_stage_that_fails_is_named_at_once_and_what_it_said_is_shown(run, monkeypatch, tmp_path):
    monkeypatch.setattr(run, "ROOT", tmp_path)
    failing = threading.Event()

    def bad(log):
        print("what went wrong", file=log)
        failing.set()
        return 3

    def good(log):
        failing.wait(60)
        while "FAILED" not in out.getvalue():
            time.sleep(0.01)
        return 0

    def broken(log):
        good(log)
        raise OSError("no room")

    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert sorted(run.at_once({"one": bad, "two": good, "three": broken})) == ["one", "three"]
    text = out.getvalue()
    assert text.index("what went wrong") < text.index("FAILED: one") < text.index("passed: two")
    assert (
        "Still running: three, two." in text
        and "OSError: no room" in text
        and (tmp_path / "_build" / "logs" / "one.txt").read_text() == "what went wrong\n"
    )


def test_a_stage_begins_when_the_one_before_it_has_ended(run, monkeypatch, tmp_path):
    monkeypatch.setattr(run, "ROOT", tmp_path)
    ended = []

    def slow(log):
        time.sleep(0.2)
        ended.append("first")

    assert not run.at_once(
        {"first": slow, "then": lambda log: ended.append("then")}, {"then": "first"}
    )
    assert ended == ["first", "then"]


def test_what_code_stands_on_is_found():
    code = (
        "import fe\nfrom fe import plot\nfrom fe.book.checks import "
        "chapter1\nfe.optimal_plan\nnotebook.results('fig2.json')"
    )
    names = {path.relative_to(ROOT).as_posix() for path in uses.files(code)}
    assert {
        "fe/transport.py",
        "fe/plot.py",
        "fe/book/checks/chapter1.py",
        "fe/book/checks/answers.py",
        "fe/rate_distortion.py",
        "results/fig2.json",
    } <= names
    assert not names & {"fe/retraining.py", "fe/book/checks/chapter2.py", "results/fig5.json"}
    touched = {
        path.name for path in uses.tests({ROOT / "fe" / "journal.py", ROOT / "tools" / "course.py"})
    }
    assert {"test_journal.py", "test_course.py", "test_reproduce.py"} <= touched and not touched & {
        "test_rate_distortion.py",
        "test_pdf.py",
    }


@pytest.mark.parametrize(
    "changed, asked, tests, notebooks",
    [
        ("book/05-moving-on-the-surface.ipynb", [], {"book", "colab"}, "05"),
        ("book/05-moving-on-the-surface.ipynb", ["8"], {"book", "colab"}, "08"),
        ("tests/answers/chapter10.py", [], {"exercises"}, "10"),
        ("fe/journal.py", [], {"journal", "reproduce"}, ""),
        ("tools/colab.py", [], {"colab"}, ""),
    ],
)
def test_check_takes_what_a_change_touches(run, monkeypatch, changed, asked, tests, notebooks):
    calls = []
    monkeypatch.setattr(run, "build", lambda log: 0)
    monkeypatch.setattr(run, "pytest", lambda *what, **_: calls.append(what))
    monkeypatch.setattr(run, "at_once", lambda stages: [s for s in stages.values() if s(None)])
    monkeypatch.setattr(uses, "changed", lambda: {ROOT / changed})
    assert run.check(*asked) == 0
    files, executed = calls[0], calls[1] if len(calls) > 1 else ()
    assert {f"tests/test_{name}.py" for name in tests} <= {*files}
    assert "tests/test_transport.py" not in files
    assert [name[5:7] for name in executed if name.endswith(".ipynb")] == (
        [notebooks] if notebooks else []
    )
    if notebooks:
        assert f"ex-{int(notebooks)}-" in files[-1]
    assert ("not test_colab" in files[-1]) == (changed != "tools/colab.py"), "all of it"


def test_pages_are_built_when_their_sources_change(run, monkeypatch, tmp_path):
    """Nothing is done twice, a changed source is read again, a changed tool makes all pages, and
    those that nothing makes any more go.
    """
    commands, pages = [], tmp_path / "_build" / "html"

    def jupyter_book(*words, **_):
        commands.append("--all" in words)
        pages.mkdir(parents=True, exist_ok=True)
        (pages / "index.html").touch()

    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "run", jupyter_book)
    files = [tmp_path / name for name in ("requirements.lock", "tools/a.py", "book/b.md")]
    for path in [*files, pages / "gone.html"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    run.build(), run.build()
    assert commands == [True] and not (pages / "gone.html").exists()
    files[2].write_text("a sentence")
    run.build(), run.build()
    assert commands == [True, False]
    files[1].write_text("a tool")
    run.build(), run.build(everything=True)
    assert commands == [True, False, True, True]


def test_check_refuses_a_chapter_that_is_not_there(run):
    with pytest.raises(SystemExit, match="no chapter 12; there are 1, 2, "):
        run.check("5", "12")
