"""What is on disk survives: full disks, wrong folders, other runs, kills; damage is noticed."""

import io
import resource
import signal

import numpy as np
import pytest
import torch

from fe import journal
from fe.journal import Journal

from aside import aside


def written(path, n=2):
    journal = Journal(path)
    for k in range(n):
        journal.save({"w": torch.full((3,), float(k))}, {"rate": [float(k)]})
    return journal


def test_it_comes_back_as_it_was(tmp_path):
    written(tmp_path / "a.pt")
    again = Journal(tmp_path / "a.pt")
    assert again.entries == [{"rate": [0.0]}, {"rate": [1.0]}] and torch.equal(
        again.tensors["w"], torch.ones(3)
    )


def test_what_it_holds_is_a_copy():
    """Training goes on in the same memory after a save; what was saved must not move with it."""
    kept, w, entry = Journal(), torch.zeros(3), {"trace": [1.0]}
    kept.save({"w": w, "adam": {"state": [w]}}, entry)
    w += 1
    entry["trace"].append(2.0)
    assert torch.equal(kept.tensors["w"], torch.zeros(3)) and torch.equal(
        kept.tensors["adam"]["state"][0], torch.zeros(3)
    )
    assert kept.entries == [{"trace": [1.0]}]


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-7], lambda b: b[:100] + b"\0" * 8 + b[108:], lambda b: b"", lambda b: b"text"],
)
def test_a_damaged_file_is_noticed(tmp_path, damage):
    path = tmp_path / "a.pt"
    written(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="a.pt is damaged.*delete it"):
        Journal(path)


def test_killed_before_the_rename_the_last_checkpoint_is_left(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    written(path)

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(journal.os, "replace", killed)
        Journal(path).save({"w": torch.full((3,), 2.0)}, {"rate": [2.0]})
    left = Journal(path)
    assert left.entries[-1] == {"rate": [1.0]} and left.tensors["w"].tolist() == 3 * [1.0]


@pytest.mark.parametrize("answer", [np.float64(4.0), np.zeros(2), Journal])
def test_what_could_be_written_and_not_read_is_refused(tmp_path, answer):
    """A checkpoint is read without running code from it, and a NumPy number is code: it would end a
    run at its resumption.
    """
    journal = written(tmp_path / "a.pt")
    with pytest.raises(TypeError, match="plain numbers"):
        journal.save({}, {"trace": [answer]})
    assert len(journal.entries) == len(Journal(tmp_path / "a.pt").entries) == 2


def test_a_checkpoint_from_a_gpu_opens_without_one(tmp_path, monkeypatch):
    """What torch writes for tensors on a GPU is their place, "cuda:0"; here it is put there by
    hand.
    """
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        written(tmp_path / "a.pt")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(io.BytesIO((tmp_path / "a.pt").read_bytes()[32:]), weights_only=True)
    assert Journal(tmp_path / "a.pt").tensors["w"].device.type == "cpu"


def test_a_folder_that_cannot_be_written(tmp_path):
    """It shows where the run begins, and if it comes about later, there, without a trace."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="cannot write .* choose another folder$"):
        Journal(tmp_path / "file" / "a.pt")
    journal = Journal(tmp_path / "folder" / "a.pt")
    (tmp_path / "folder" / "a.pt").unlink()
    (tmp_path / "folder").rmdir()
    (tmp_path / "folder").write_text("not a folder")
    with pytest.raises(OSError, match="cannot write"):
        journal.save({"w": torch.zeros(3)}, {})
    assert journal.entries == [] and journal.tensors == {}


def test_a_folder_is_no_journal(tmp_path):
    with pytest.raises(OSError, match="cannot read .*: Is a directory; a journal is one file"):
        Journal(tmp_path)


def test_a_full_disk_keeps_the_last_good_state(tmp_path):
    """A limit on the size of files stands in for a full disk: the write itself fails, half-way."""
    path = tmp_path / "a.pt"
    written(path)

    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        with pytest.raises(OSError, match="Free some space"):
            Journal(path).save({"w": torch.zeros(100_000)}, {"rate": [2.0]})
        print("refused")

    done = aside(full)
    assert done.stdout == "refused\n", done.stderr
    assert Journal(path).entries == [{"rate": [0.0]}, {"rate": [1.0]}]


def test_nothing_is_written_without_a_path():
    journal = Journal()
    journal.save({"w": torch.zeros(1)}, {})
    assert journal.tensors["w"] is not None and journal.entries == [{}]
