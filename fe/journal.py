"""Runs that survive: what has been measured is written down after every stage."""

import copy
import hashlib
import io
import os
import pickle
from pathlib import Path

import torch


class Journal:
    """`entries`, the measured numbers so far, and `tensors`, a dict, as they were after the last of
    them. Both are copies and change in one step, with `save`.

    Args:
        path: file (suffix .pt), or None to keep nothing on disk. If it exists the run resumes from
            it, on any device; `ValueError` if it is damaged. If not, it is written at once: what
            cannot be written, `OSError`, shows before the work, not after it.
    """

    def __init__(self, path=None):
        self.path, self.entries, self.tensors = path and Path(path), [], {}
        if self.path and not self.path.exists():
            self.save({})
        elif self.path:
            try:
                data = self.path.read_bytes()
            except OSError as e:
                what = "a journal is one file, for example run.pt"
                raise OSError(f"cannot read {path}: {e.strerror}; {what}") from e
            if len(data) < 32 or hashlib.sha256(data[32:]).digest() != data[:32]:
                what = "its checksum does not match its contents; delete it to start anew"
                raise ValueError(f"{path} is damaged: {what}")
            record = torch.load(io.BytesIO(data[32:]), map_location="cpu", weights_only=True)
            vars(self).update(record)

    def save(self, tensors, *entries):
        """Append `entries` and put `tensors` in place of the old ones: on disk, where at any moment
        one whole checkpoint lies, then here.

        Raises `OSError` if it cannot be written, `TypeError` if it could not be read again (a file
        is read without running code from it, and NumPy's numbers are code): nothing has changed.
        """
        record = copy.deepcopy(dict(entries=[*self.entries, *entries], tensors=tensors))
        if self.path:
            buffer = io.BytesIO()
            torch.save(record, buffer)
            data = buffer.getvalue()
            try:
                torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            except pickle.UnpicklingError as e:
                what = "plain numbers, strings, lists, dicts and tensors"
                raise TypeError(f"{self.path} can keep {what} only: {e}") from e
            write(self.path, hashlib.sha256(data).digest() + data)
        vars(self).update(record)  # in one step: an interruption finds the old ones or the new ones


def write(path, data):
    """Write bytes beside the target, to the disk, then rename: a reader never sees half a file, and
    a full disk leaves the old one. Raises `OSError`.
    """
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    except OSError as e:
        what = "what was there is kept. Free some space, or choose another folder"
        raise OSError(f"cannot write {path}: {e.strerror or e}; {what}") from e
