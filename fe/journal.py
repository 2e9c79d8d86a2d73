"""Runs that survive: what has been measured is written down after every stage, and a killed run replays it.

A long run is ordinary straight-line code whose every decision depends on numbers that it measured. `Journal` keeps those
numbers, and the tensors as they were after the last of them. Started again, the same code runs through the journal without
training anything, arrives where it was killed, finds the tensors there, and goes on: the result is that of a run that was
never interrupted, because each stage's randomness is a function of its number.
"""

import hashlib
import io
import os
import warnings
from pathlib import Path

import torch


class CorruptedCheckpoint(RuntimeError):
    """A checkpoint that is not what was written, and no earlier one to go back to."""


class Journal:
    """`entries`, the measured numbers so far, and `tensors`, a dict; both on disk in `path` after every `save`.

    Parameters
    ----------
    path : file (suffix .pt), or None to keep nothing on disk. If it exists the run resumes from it.
    arguments : dict of numbers, strings and lists that define the run; a checkpoint of another run is refused

    Raises
    ------
    ValueError : the checkpoint belongs to a run with other arguments
    CorruptedCheckpoint : neither the checkpoint nor the one before it can be read
    """

    def __init__(self, path=None, arguments=None):
        self.path, self.arguments = path and Path(path), arguments or {}
        self.entries, self.tensors = [], {}
        if self.path:
            found = [p for p in (self.path, self._previous) if p.exists()]
            for p in found:
                try:
                    record = self._read(p)
                except CorruptedCheckpoint as e:
                    warnings.warn(f"{e}; going back to the checkpoint before it", stacklevel=2)
                    continue
                if record["arguments"] != self.arguments:
                    differ = [k for k in {**self.arguments, **record["arguments"]} if self.arguments.get(k) != record["arguments"].get(k)]
                    raise ValueError(f"{p} belongs to another run (other {', '.join(sorted(differ))}); delete it or choose another folder")
                self.entries, self.tensors = record["entries"], record["tensors"]
                break
            else:
                if found:
                    raise CorruptedCheckpoint(f"neither {self.path} nor the checkpoint before it can be read; delete both to start anew")

    @property
    def _previous(self):
        return self.path.with_suffix(".previous.pt")

    @staticmethod
    def _read(path):
        data = path.read_bytes()
        if len(data) < 32 or hashlib.sha256(data[32:]).digest() != data[:32]:
            raise CorruptedCheckpoint(f"{path} is damaged: its checksum does not match its contents")
        return torch.load(io.BytesIO(data[32:]), weights_only=True)

    def save(self, tensors=None):
        """Write beside the target and rename, twice: at any moment one whole checkpoint is on disk. Raises `OSError` if that fails."""
        if tensors is not None:
            self.tensors = tensors
        if self.path is None:
            return
        buffer = io.BytesIO()
        torch.save({"arguments": self.arguments, "entries": self.entries, "tensors": self.tensors}, buffer)
        data, part = buffer.getvalue(), self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(part, "wb") as f:
                f.write(hashlib.sha256(data).digest() + data)
                f.flush()
                os.fsync(f.fileno())
            if self.path.exists():
                os.replace(self.path, self._previous)
            os.replace(part, self.path)
        except OSError as e:
            raise OSError(f"cannot write the checkpoint {self.path}: {e.strerror or e}. The last good one is kept; free some "
                          "space or choose another folder, and run the same command again") from e

    def delete(self):
        """Remove what is on disk: the run is over."""
        if self.path:
            for p in (self.path, self._previous, self.path.with_suffix(".part")):
                p.unlink(missing_ok=True)
