"""Records of long runs: JSON files with their provenance, where they lie, which one is shown."""

import hashlib
import itertools
import json
import math
import os
import platform
from pathlib import Path

import torch

from ..journal import write

_FE = Path(__file__).resolve().parents[1]
# of the book: beside the modules where `fe` is installed, beside `fe` in the repository
STORED = _FE / "results" if (_FE / "results").is_dir() else _FE.parent / "results"


def own():
    """The folder of your own long runs: $FE_RESULTS, which `fe.book.notebook.start` sets; else
    results/own in the book's repository; else ./results.
    """
    here = STORED / "own" if STORED.parent != _FE else "results"
    return Path(os.environ.get("FE_RESULTS") or here)


def read(path):
    """The record in a JSON file. Raises `ValueError` if it is damaged."""
    try:
        return json.loads(path.read_text())
    except ValueError as e:
        raise ValueError(f"{path} is no record of a run ({e}): move it away") from e


def save_json(path, record):
    """One JSON file, see `fe.journal.write`."""
    try:
        write(Path(path), json.dumps(record, indent=1, allow_nan=False).encode())
    except OSError as e:
        raise OSError(f"{e} (--out)") from e


def provenance(seconds, **arguments):
    """What a reader needs to run the same thing again."""
    device, name, gpu = arguments.get("device", "cpu"), platform.machine(), {}
    if device.startswith("cuda"):
        name, where = torch.cuda.get_device_name(device), torch.backends
        # what may be rounded to ten bits: matrix products and, unless told otherwise, convolutions
        gpu = {"tf32": dict(products=where.cuda.matmul.allow_tf32, conv=where.cudnn.allow_tf32)}
    return {
        "arguments": arguments,
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "device": f"{device} ({name})",
        **gpu,
        "seconds": round(seconds, 1),
    }


def rounded(value, digits=6):
    """Numbers to so many significant digits, NaN and ±∞ to None: small files, and no digit that is
    not known.
    """
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    return [rounded(v, digits) for v in value] if isinstance(value, list | tuple) else value


def columns(result):
    """Rows of one run as columns."""
    names = sorted({k for row in result["rows"] for k in row})
    return rounded(result | dict(rows={k: [row.get(k) for row in result["rows"]] for k in names}))


def done(target, arguments, defaults=None):
    """The record in `target` if these arguments, and no others, made it; None if there is no file.
    Where it does not say what an argument was, it was that of `defaults`.

    Raises `ValueError` if it is damaged or of another run. Where the data lie and what computes
    them makes no other run.
    """
    arguments = json.loads(json.dumps(arguments, allow_nan=False))
    if not target.exists():
        return None
    record = read(target)
    made = (defaults or {}) | record.get("provenance", {}).get("arguments", {})
    made = json.loads(json.dumps(made))
    apart = ("root", "download", "device", "save_every", "progress")
    names = [k for k in {**arguments, **made} if k not in apart]
    differ = sorted(k for k in names if made.get(k) != arguments.get(k))
    if differ:
        raise ValueError(
            f"{target} is of another run (other {', '.join(differ)}): move it away, or choose "
            "another folder with --out"
        )
    print(
        f"{target} is there already. To make it again, add --again: the old one is kept under "
        "another name"
    )
    return record


def set_aside(target):
    """Another name for the result in `target`, and for its figure, if there is one:
    fig2.before1.json, or the first number that is free.
    """
    free = lambda n: not target.with_suffix(f".before{n}.json").exists()
    number = next(filter(free, itertools.count(1)))
    for path in (target, target.with_suffix(".png")):
        if path.exists():
            new = path.rename(path.with_suffix(f".before{number}{path.suffix}"))
            print(f"{path} is now {new.name}")


_DTYPES = dict(F16=torch.float16, F32=torch.float32, I64=torch.int64)


def save_state(path, tensors, about):
    """Tensors, name -> tensor, as a file of the format safetensors, numbers in half precision; the
    dict `about` is JSON in its header, under "about".
    """
    header, data = {}, b""
    for name, v in tensors.items():
        v = v.half() if v.is_floating_point() else v
        kind = next(k for k, dtype in _DTYPES.items() if dtype == v.dtype)
        raw = v.cpu().contiguous().numpy().tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = dict(dtype=kind, shape=list(v.shape), data_offsets=offsets)
        data += raw
    made = dict(about=json.dumps(about, ensure_ascii=False), sha256=_digest(data))
    words = json.dumps({"__metadata__": made} | header).encode()
    words += b" " * (-len(words) % 8)
    write(Path(path), len(words).to_bytes(8, "little") + words + data)


def load_state(path):
    """(tensors, about) of a file that `save_state` wrote, numbers in single precision. Raises
    `ValueError` if it is damaged or another file.
    """
    raw, tensors = Path(path).read_bytes(), {}
    begin = 8 + int.from_bytes(raw[:8], "little")
    try:
        header = json.loads(raw[8:begin])
        made = header.pop("__metadata__")
        if made.get("sha256", _digest(raw[begin:])) != _digest(raw[begin:]):
            raise ValueError("its checksum does not match its contents")
        for name, entry in header.items():
            first, last = (begin + offset for offset in entry["data_offsets"])
            v = torch.frombuffer(bytearray(raw[first:last]), dtype=_DTYPES[entry["dtype"]])
            v = v.float() if v.is_floating_point() else v
            tensors[name] = v.view(entry["shape"])
        return tensors, json.loads(made["about"])
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as e:
        raise ValueError(f"{path} is damaged, or no state that fe has saved: {e}") from e


def _digest(data):
    return hashlib.sha256(data).hexdigest()
