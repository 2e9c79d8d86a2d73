"""Runs that survive: what has been measured is written down after every stage.

A long run is straight-line code whose every decision depends on numbers that it measured. `Journal`
keeps those, and the tensors as they were after the last of them. Started again, the same code runs
through the journal without training anything, arrives where it was killed, and goes on.
"""

import copy
import hashlib
import io
import json
import os
from pathlib import Path

import torch


class Journal:
    """`entries`, the measured numbers so far, and `tensors`, a dict, as they were after the last of
    them; on disk too, in `path`. Both are copies and change in one step, with `save`.

    Args:
        path: file (suffix .pt), or None to keep nothing on disk. If it exists the run resumes from
            it, on any device.
        arguments: dict of numbers, strings and lists that define the run; a checkpoint of another
            run is refused

    Raises:
        TypeError: an argument is of another kind
        ValueError: the checkpoint is damaged, or belongs to a run with other arguments
    """

    def __init__(self, path=None, arguments=None):
        self.path, self.arguments = path and Path(path), json.loads(json.dumps(arguments or {}))
        self.entries, self.tensors = [], {}
        if self.path and self.path.exists():
            record = self._read(self.path)
            mine, its = self.arguments, record["arguments"]
            differ = sorted(k for k in {**mine, **its} if mine.get(k) != its.get(k))
            if differ:
                whose = f"another run (other {', '.join(differ)})"
                raise ValueError(f"{path} belongs to {whose}; delete it or choose another folder")
            vars(self).update(record)

    @staticmethod
    def _read(path):
        data = path.read_bytes()
        if len(data) < 32 or hashlib.sha256(data[32:]).digest() != data[:32]:
            what = "its checksum does not match its contents; delete it to start anew"
            raise ValueError(f"{path} is damaged: {what}")
        return torch.load(io.BytesIO(data[32:]), map_location="cpu", weights_only=True)

    def save(self, tensors, *entries):
        """Append `entries` and put `tensors` in place of the old ones: on disk, where at any moment
        one whole checkpoint lies, then here.

        Raises `OSError` if it cannot be written; then nothing has changed.
        """
        record = dict(arguments=self.arguments, entries=[*self.entries, *entries], tensors=tensors)
        record = copy.deepcopy(record)
        if self.path:
            self._write(record)
        vars(self).update(record)  # in one step: an interruption finds the old ones or the new ones

    def _write(self, record):
        """Beside the target, to the disk, then renamed."""
        buffer, part = io.BytesIO(), self.path.with_suffix(".part")
        torch.save(record, buffer)
        data = buffer.getvalue()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(part, "wb") as f:
                f.write(hashlib.sha256(data).digest() + data)
                f.flush()
                os.fsync(f.fileno())
            os.replace(part, self.path)
        except OSError as e:
            raise OSError(
                f"cannot write the checkpoint {self.path}: {e.strerror or e}. The last good one is "
                "kept; free some space or choose another folder, and run the same command again"
            ) from e
