"""What is on disk survives: damaged files, full disks, wrong folders, other runs."""

import subprocess
import sys

import pytest
import torch

from fe.journal import CorruptedCheckpoint, Journal


def written(path, n=2, **arguments):
    journal = Journal(path, arguments or {"seed": 0})
    for k in range(n):
        journal.entries.append({"rate": [float(k)]})
        journal.save({"w": torch.full((3,), float(k))})
    return journal


def test_it_comes_back_as_it_was(tmp_path):
    written(tmp_path / "a.pt")
    again = Journal(tmp_path / "a.pt", {"seed": 0})
    assert again.entries == [{"rate": [0.0]}, {"rate": [1.0]}] and torch.equal(again.tensors["w"], torch.ones(3))
    again.delete()
    assert Journal(tmp_path / "a.pt", {"seed": 0}).entries == []


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b[:100] + b"\0" * 8 + b[108:], lambda b: b"", lambda b: b"text"])
def test_a_damaged_file_is_noticed_and_the_one_before_it_used(tmp_path, damage):
    path = tmp_path / "a.pt"
    written(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match="a.pt is damaged.*going back"):
        again = Journal(path, {"seed": 0})
    assert again.entries == [{"rate": [0.0]}] and torch.equal(again.tensors["w"], torch.zeros(3))
    previous = tmp_path / "a.previous.pt"
    previous.write_bytes(damage(previous.read_bytes()))
    with pytest.warns(UserWarning), pytest.raises(CorruptedCheckpoint, match="delete both"):
        Journal(path, {"seed": 0})


def test_another_runs_checkpoint_is_refused(tmp_path):
    written(tmp_path / "a.pt", seed=0, gam=4.0)
    with pytest.raises(ValueError, match="another run .other gam"):
        Journal(tmp_path / "a.pt", {"seed": 0, "gam": 6.0})


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    journal = Journal(tmp_path / "file" / "a.pt")
    with pytest.raises(OSError, match="cannot write the checkpoint"):
        journal.save({"w": torch.zeros(3)})


def test_a_full_disk_keeps_the_last_good_state(tmp_path):
    """A limit on the size of files stands in for a full disk: the write itself fails, half-way."""
    path = tmp_path / "a.pt"
    written(path)
    code = f"""
import resource, signal, torch
from fe.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
journal = Journal({str(path)!r}, {{"seed": 0}})
journal.entries.append({{"rate": [2.0]}})
try:
    journal.save({{"w": torch.zeros(100_000)}})
except OSError as e:
    assert "free some space" in str(e), e
    print("refused")
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "refused", out.stderr
    assert Journal(path, {"seed": 0}).entries == [{"rate": [0.0]}, {"rate": [1.0]}]


def test_nothing_is_written_without_a_path():
    journal = Journal()
    journal.entries.append({})
    journal.save({"w": torch.zeros(1)})
    assert journal.tensors["w"] is not None
