"""The first lines of every notebook: seed, precision, figure style, device and scale; and the stored results of long runs."""

import json
import os
import sys
from pathlib import Path

import torch

from . import plot


def start(seed=0, scale="small", device="auto", keep="", time=None):
    """Seed torch, switch to float64 and the book's figure style; print and return (device, scale).

    The theory's live cells run on the CPU in float64; `device` is for the training cells: "auto" is a GPU where there is one.
    `scale` is "small" (seconds a cell on any machine) or "paper"; the environment's `FE_SCALE` goes before it. `keep` is a folder
    for the results of your own long runs, see `results`; on Colab a folder below /content/drive mounts the drive. `time` is printed.
    """
    name, scale = ("FE_SCALE", os.environ["FE_SCALE"]) if "FE_SCALE" in os.environ else ("scale", scale)
    if scale not in ("small", "paper"):
        raise ValueError(f"{name} must be 'small' or 'paper', got {scale!r}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {str(device)!r}, and torch sees no GPU here; take 'auto' or 'cpu' (on Colab: Runtime, Change runtime type)")
    if keep:
        _keep(keep)
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)  # small models: more threads wait for each other, and sums would depend on how many there are
    plot.style()
    print(f"device {device} · scale {scale} · torch {torch.__version__}" + (f"\n{time}" if time else ""))
    return device, scale


def _keep(folder):
    if folder.startswith("/content/drive") and "google.colab" in sys.modules:
        from google.colab import drive

        drive.mount("/content/drive")
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.environ["FE_RESULTS"] = folder


def results(name):
    """The stored record of a long run, say "fig2.json": your own from `$FE_RESULTS` if it is there, else the one that comes with the book."""
    here = Path(__file__).resolve().parent
    stored = here / "results" if (here / "results").is_dir() else here.parent / "results"  # installed; in the repository
    own = Path(os.environ.get("FE_RESULTS") or stored) / name
    path = own if own.exists() else stored / name
    if not path.exists():
        raise FileNotFoundError(f"no stored result {name!r}; there are {', '.join(sorted(p.name for p in stored.glob('*.json')))}")
    return json.loads(path.read_text())
