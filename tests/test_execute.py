"""`tools/execute.py`: when a notebook is executed, and what is stored of it."""

import functools
import json
import pathlib
import shutil
import sys

import nbformat

from aside import aside, module

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import execute  # noqa: E402


def test_what_outputs_follow_from_is_what_sync_looks_at(tmp_path):
    """Neither words nor the set-up cell execute a notebook; code, an output or a module of the
    library that it leads to do.
    """
    v4, path = nbformat.v4, tmp_path / "a.ipynb"

    def state(words="a", setup="1", code="import fe.plot\nx = [1, 2]", printed="1", read=None):
        output = v4.new_output("stream", text=printed)
        cells = [v4.new_markdown_cell(words), v4.new_code_cell(setup, metadata={"tags": ["setup"]})]
        cells.append(v4.new_code_cell(code, outputs=[output]))
        nbformat.write(v4.new_notebook(cells=cells), path)
        return execute.state(path, read or pathlib.Path.read_bytes)

    before = state()
    assert before == state("b") == state(setup="2")
    assert before != state(code="import fe.plot\nx = [1, 3]") and before != state(printed="2")
    other = lambda file: file.read_bytes() + b" " * (file.name == "plot.py")
    assert before != state(read=other) and state(code="1", read=other) == state(code="1")


def test_no_bar_is_stored_and_nbval_expects_none(tmp_path, monkeypatch):
    source = "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass\nprint(1)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    execute.execute(tmp_path / "a.ipynb")
    (output,) = nbformat.read(tmp_path / "a.ipynb", 4).cells[0].outputs
    assert output.text == "1\n"
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    command = ["--nbval", "--nbval-current-env", "-q", "a.ipynb"]
    done = aside(functools.partial(module, "pytest"), *command, cwd=tmp_path)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-3000:]


def test_what_is_stored_is_the_books_own_result(tmp_path, monkeypatch):
    """tools/execute.py with results of one's own at hand, which a reader's notebook would show."""
    (tmp_path / "fig2.json").write_text('{"what": "mine"}')
    monkeypatch.setenv("FE_RESULTS", str(tmp_path))
    source = 'from fe.book import notebook\nprint(notebook.results("fig2.json")["what"], len(list(notebook.own().iterdir())))'  # noqa: E501
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    execute.execute(tmp_path / "a.ipynb")
    (output,) = nbformat.read(tmp_path / "a.ipynb", 4).cells[0].outputs
    what = json.loads((ROOT / "results" / "fig2.json").read_text())["what"]
    assert output.text == f"{what} 0\n"


def test_what_is_as_committed_or_as_it_last_ran_is_not_executed(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.ipynb").touch()
    executed = []
    for now in ("committed", "edited", "edited", "committed", "other"):
        state = lambda path, read=None: "committed" if read is execute.committed else now
        monkeypatch.setattr(execute, "ROOT", tmp_path)
        monkeypatch.setattr(execute, "state", state)
        monkeypatch.setattr(execute, "execute", lambda path: executed.append(now))
        execute.main(["--changed"])
    assert executed == ["edited", "other"]
