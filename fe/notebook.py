"""The first lines of every notebook: seed, precision, figure style, device and scale."""

import os

import torch

from . import plot


def start(seed=0):
    """Seed torch, switch to float64 and the book's figure style; print and return (device, scale).

    The theory's live cells run on the CPU in float64; `device` is for the training cells. `FE_SCALE` is `small`
    (default: seconds a cell on any machine) or `paper`.
    """
    scale = os.environ.get("FE_SCALE", "small")
    if scale not in ("small", "paper"):
        raise ValueError(f"FE_SCALE must be 'small' or 'paper', got {scale!r}")
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float64)
    plot.style()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"device {device} · scale {scale} · torch {torch.__version__}")
    return device, scale
