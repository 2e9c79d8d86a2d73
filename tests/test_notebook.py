"""What a reader's notebook begins with, and where the results of a reader's own long runs are kept
and found.
"""

import json
import pathlib
import re
import sys
import types

import matplotlib.pyplot as plt
import pytest

from fe import reproduce
from fe.book import notebook
from fe.reproduce import figures, records

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder, and no folder chosen before. (`start` sets FE_RESULTS; this puts it
    back.)
    """
    monkeypatch.setenv("FE_RESULTS", "")
    monkeypatch.chdir(tmp_path)
    yield
    plt.close("all")


def test_own_results_go_before_the_stored_ones(tmp_path, capsys):
    stored = json.loads((ROOT / "results" / "fig2.json").read_text())
    assert notebook.results("fig2.json") == stored
    notebook.start(keep=str(tmp_path / "drive" / "fe"))
    capsys.readouterr()
    assert notebook.results("fig2.json") == stored and capsys.readouterr().out == "", (
        "an empty folder hides nothing"
    )
    mine = tmp_path / "drive" / "fe" / "fig2.json"
    mine.write_text('{"mine": 1}')
    assert (
        notebook.results("fig2.json") == {"mine": 1}
        and capsys.readouterr().out == f"shown: {mine}, your own run\n"
    )
    mine.write_text('{"mine":')
    with pytest.raises(ValueError, match="fig2.json is no record of a run .*move it away"):
        notebook.results("fig2.json")
    with pytest.raises(FileNotFoundError, match="'fig99.json'; there are .*fig2.json"):
        notebook.results("fig99.json")


def test_a_folder_that_is_no_longer_chosen_is_forgotten(tmp_path, monkeypatch):
    """The set-up cell run again with another `keep`, or with none; what the environment says of its
    own stays.
    """
    for before in ("", str(tmp_path / "environment")):
        monkeypatch.setenv("FE_RESULTS", before)
        default = notebook.own()
        notebook.start(keep=str(tmp_path / "first"))
        notebook.start(keep=str(tmp_path / "second"))
        assert notebook.own() == tmp_path / "second"
        for _ in range(2):
            notebook.start()
            assert notebook.own() == default
    monkeypatch.setenv("FE_RESULTS", str(tmp_path / "later"))
    notebook.start()
    assert notebook.own() == tmp_path / "later"


def test_the_drive_is_mounted_on_colab_only(tmp_path, monkeypatch):
    asked = []
    drive = types.SimpleNamespace(mount=asked.append)
    monkeypatch.setattr(notebook.Path, "mkdir", lambda self, **options: None)
    notebook.start(keep="/content/drive/MyDrive/fe")
    assert asked == []
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(drive=drive))
    notebook.start(keep="/content/drive/MyDrive/fe")
    notebook.start(keep="elsewhere")
    assert asked == ["/content/drive"]


def test_start_says_what_was_chosen_and_refuses_what_is_not_there(monkeypatch, capsys):
    monkeypatch.delenv("FE_SCALE", raising=False)
    monkeypatch.setattr(notebook.torch.cuda, "is_available", lambda: False)
    device, scale = notebook.start(scale="paper", device="auto", time="running small 2 min")
    assert (
        (device.type, scale) == ("cpu", "paper")
        and "device cpu · scale paper" in (out := capsys.readouterr().out)
        and out.endswith("running small 2 min\n")
    )
    with pytest.raises(ValueError, match="scale must be .* got 'big'"):
        notebook.start(scale="big")
    with pytest.raises(ValueError, match="device is 'cuda', and torch sees no GPU"):
        notebook.start(device="cuda")


def test_the_default_folder_is_one_that_notebooks_and_the_command_line_share(tmp_path, monkeypatch):
    """In the repository whatever the working folder is, for a chapter runs in book/ and a command
    in its root; installed, the working folder.
    """
    assert notebook.own() == ROOT / "results" / "own"
    monkeypatch.setattr(records, "STORED", ROOT / "fe" / "results")
    assert notebook.own().absolute() == tmp_path / "results"
    monkeypatch.setenv("FE_RESULTS", "/somewhere")
    assert notebook.own() == pathlib.Path("/somewhere")


@pytest.mark.parametrize(
    "keep, lost", [("", True), ("here", True), ("/content/drive/MyDrive/fe", False)]
)
def test_on_colab_it_says_when_results_will_not_be_kept(keep, lost, monkeypatch, capsys):
    monkeypatch.setattr(notebook.Path, "mkdir", lambda self, **options: None)
    notebook.start()
    assert "Colab" not in capsys.readouterr().out
    monkeypatch.setitem(
        sys.modules,
        "google.colab",
        types.SimpleNamespace(drive=types.SimpleNamespace(mount=lambda place: None)),
    )
    notebook.start(keep=keep)
    assert (
        ("ends with this Colab machine" in (out := capsys.readouterr().out))
        == lost
        == ("/content/drive/MyDrive/fe" in out)
    )


TINY = reproduce.SMALL | dict(seeds=[0])
trained = []


def a_run(settings, executor, folder, progress=True):
    """Stands for hours of training."""
    trained.append(folder)
    at = [[1.0, 2.0, 3.0], [1.0, 2.0, 2.5]]
    return {
        "what": "",
        "seconds": 1.0,
        "runs": [dict(before=[0.5, 1.0], after=[0.51, 1.04], moves=at, stays=at)],
    }


@pytest.fixture
def long_run(tmp_path, monkeypatch):
    """`reproduce.main` as the cell of chapter 4 calls it, in a repository whose stored results are
    copies, without the training.
    """
    (tmp_path / "repository" / "results").mkdir(parents=True)
    (tmp_path / "repository" / "results" / "fig4a.json").write_text(
        (ROOT / "results" / "fig4a.json").read_text()
    )
    monkeypatch.setattr(records, "STORED", tmp_path / "repository" / "results")
    monkeypatch.setitem(reproduce.RUNS, "fig4a", a_run)
    monkeypatch.setitem(reproduce.SETTINGS, "fig4a", (TINY, TINY))
    trained.clear()
    return lambda *more: reproduce.main(
        ["fig4a", "--scale", "paper", "--root", "data", "--download", "--device", "cpu", *more]
    )


def test_a_long_run_on_the_default_settings_is_what_the_figure_shows_and_is_not_done_twice(
    long_run, tmp_path, capsys
):
    book = notebook.results("fig4a.json")
    long_run()
    mine = notebook.results("fig4a.json")
    assert mine != book and len(mine["runs"][0]["moves"]) == 2 and len(trained) == 1
    assert f"shown: {tmp_path}" in capsys.readouterr().out
    figures.fig4a(mine)
    for _ in range(2):  # "Run all" once more
        long_run()
    assert (
        len(trained) == 1
        and "fig4a.json is there already. To make it again, add --again" in capsys.readouterr().out
    )
    assert json.loads((ROOT / "results" / "fig4a.json").read_text()) == book, (
        "the book's own is untouched"
    )
    (tmp_path / "repository" / "results" / "own" / "fig4a.json").unlink()
    long_run()
    assert len(trained) == 2


def test_a_long_run_again_keeps_the_old_result(long_run, tmp_path, monkeypatch, capsys):
    own = tmp_path / "repository" / "results" / "own"
    long_run("--again")  # nothing to keep yet
    assert sorted(p.name for p in own.iterdir()) == ["fig4a.json", "fig4a.png"]
    files = {p.name: p.read_bytes() for p in own.iterdir()}

    def stopped(settings, executor, folder, progress=True):
        assert (own / "fig4a.json").read_bytes() == files["fig4a.json"], (
            "until the new one is there, the old one is shown"
        )
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setitem(reproduce.RUNS, "fig4a", stopped)
        long_run("--again")
    assert {p.name: p.read_bytes() for p in own.iterdir() if p.is_file()} == files
    capsys.readouterr()
    long_run("--again", "--seed", "3")  # other settings are no reason to refuse: nothing is lost
    assert "fig4a.json is now fig4a.before1.json" in capsys.readouterr().out
    assert (own / "fig4a.before1.json").read_bytes() == files["fig4a.json"] and (
        own / "fig4a.before1.png"
    ).read_bytes() == files["fig4a.png"]
    assert notebook.results("fig4a.json")["provenance"]["arguments"]["seeds"] == [3]
    (own / "fig4a.json").write_text("damaged")
    long_run("--again")
    assert (own / "fig4a.before2.json").read_text() == "damaged" and (
        own / "fig4a.before1.json"
    ).read_bytes() == files["fig4a.json"]
    assert len(trained) == 3
    capsys.readouterr()
    with pytest.raises(SystemExit):
        reproduce.main(["--help"])
    for text in ((ROOT / "README.md").read_text(), capsys.readouterr().out):
        assert "--again" in text and "fig2.before1.json" in " ".join(text.split())


def test_the_cluster_example_of_the_readme_saves_where_notebooks_look(
    long_run, tmp_path, monkeypatch
):
    (example,) = [
        b
        for b in re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if "dask" in b
    ]
    book = records.STORED / "fig2.json"
    book.write_text("{}")
    client = lambda address: types.SimpleNamespace(get_executor=lambda: None)
    monkeypatch.setitem(sys.modules, "dask", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "dask.distributed", types.SimpleNamespace(Client=client))
    monkeypatch.setitem(reproduce.RUNS, "fig2", a_run)
    monkeypatch.setitem(figures.FIGURES, "fig2", figures.fig4a)
    exec(example, {})
    assert len(trained) == 1 and book.read_text() == "{}"
    assert notebook.results("fig2.json")["provenance"]["arguments"]["root"] == "DATA"


def test_a_result_is_never_overwritten_by_that_of_other_settings(long_run, tmp_path):
    long_run("--out", "mine")
    before = (tmp_path / "mine" / "fig4a.json").read_text()
    with pytest.raises(
        ValueError,
        match="fig4a.json is of another run .other seeds.: move it away, or choose another folder "
        "with --out",
    ):
        long_run("--out", "mine", "--seed", "3")
    with pytest.raises(ValueError, match="other epochs"):
        reproduce.save(tmp_path / "mine" / "fig4a.json", "fig4a", TINY | dict(epochs=7), None)
    for more, fewer in (
        ({}, dict(variants=False)),
        (dict(variants=False), {}),
    ):  # a setting that one has and the other has not
        reproduce.save(tmp_path / f"{len(more)}.json", "fig4a", TINY | more, None)
        with pytest.raises(ValueError, match="other variants"):
            reproduce.save(tmp_path / f"{len(more)}.json", "fig4a", TINY | fewer, None)
    assert len(trained) == 3 and (tmp_path / "mine" / "fig4a.json").read_text() == before


def test_settings_that_could_not_be_written_are_refused_before_the_run(long_run, tmp_path):
    for bad, error, words in (
        (dict(root=tmp_path), TypeError, "root = .* must be a text"),
        (dict(options=dict(band=tmp_path)), TypeError, "JSON"),
        (dict(options=dict(band=float("inf"))), ValueError, "JSON"),
    ):
        with pytest.raises(error, match=words):
            reproduce.save(tmp_path / "a.json", "fig4a", TINY | bad, None)
    assert not trained
