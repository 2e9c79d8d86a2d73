"""The first lines of every notebook: seed, precision, figure style, device and scale; and the
results of long runs.
"""

import os
import sys
import warnings
from pathlib import Path

import torch
from tqdm.auto import tqdm

from .. import plot
from ..reproduce import records
from ..reproduce.records import own, read

_kept = None  # what `keep` put into FE_RESULTS, and what was there before


def start(seed=0, scale="small", device="auto", keep="", time=None):
    """Seed torch, switch to float64 and the book's figure style; print and return (device, scale).

    The theory's live cells run on the CPU in float64; `device` is for the training cells: "auto" is
    a GPU where there is one. `scale` is "small" (seconds a cell on any machine) or "paper"; the
    environment's `FE_SCALE` goes before it. `keep` is a folder for the results of your own long
    runs; on Colab a folder below /content/drive mounts the drive. Called again with another one, or
    without, it forgets the first. `time` is printed.
    """
    global _kept
    name = "FE_SCALE" if "FE_SCALE" in os.environ else "scale"
    scale = os.environ.get("FE_SCALE", scale)
    if scale not in ("small", "paper"):
        raise ValueError(f"{name} must be 'small' or 'paper', got {scale!r}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device is {str(device)!r}, and torch sees no GPU here; take 'auto' or 'cpu' (on "
            "Colab: Runtime, Change runtime type)"
        )
    if keep.startswith("/content/drive") and "google.colab" in sys.modules:
        from google.colab import drive

        drive.mount("/content/drive")
    if _kept and os.environ.get("FE_RESULTS") == _kept[0]:
        os.environ["FE_RESULTS"] = _kept[1]
    _kept = None
    if keep:
        folder = Path(keep).expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True)
        _kept = str(folder), os.environ.get("FE_RESULTS", "")
        os.environ["FE_RESULTS"] = str(folder)
    # torch's own, of its forward mode
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float64)
    # small models: more threads wait for each other, and sums would depend on how many there are
    torch.set_num_threads(1)
    plot.style()
    print(f"device {device} · scale {scale} · torch {torch.__version__}")
    if time:
        print(time)
    if "google.colab" in sys.modules and not str(own().absolute()).startswith("/content/drive"):
        print(
            "What you compute ends with this Colab machine, a stopped run too "
            f"({own().absolute()}). To keep it, give `keep` a folder on your drive, "
            "say /content/drive/MyDrive/fe, and run this cell again"
        )
    return device, scale


def results(name):
    """The record of a long run, say "fig2.json": your own if there is one, and then a line says so;
    else the one that comes with the book.
    """
    mine, stored = own() / name, records.STORED / name
    if mine.exists():
        print(f"shown: {mine}, your own run")
    elif not stored.exists():
        there = ", ".join(sorted(path.name for path in records.STORED.glob("*.json")))
        raise FileNotFoundError(f"no stored result {name!r}; there are {there}")
    return read(mine if mine.exists() else stored)


def progress_bar(label=""):
    """A function for `on_progress` of a `fe.retraining.Retraining` that moves a bar, in a terminal
    or in a notebook.
    """
    bar = tqdm(total=100, desc=label, leave=False, bar_format="{desc} {percentage:3.0f}% |{bar}|")

    def show(done):
        bar.n = 100 * done
        bar.refresh()
        if done == 1:
            bar.close()

    return show
