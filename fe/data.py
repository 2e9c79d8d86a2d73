"""Real images without a download: scikit-learn's digits, as two tensors."""

import numpy as np
import torch
from sklearn.datasets import load_digits


def digits(n=None, *, classes=range(10), seed=0, dtype=torch.float64, device=None):
    """n images x (n, 64), pixels in [0, 1], and labels y (n,), int64, of scikit-learn's digits, in
    an order that is a function of the seed; all of them if n is None, those of some `classes` only
    (labels are not renumbered). `ValueError` for more than there are, or a class not in 0 … 9.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository (1998).
    """
    images, labels = load_digits(return_X_y=True)
    wanted = [int(c) for c in classes]
    if not wanted or not set(wanted) <= set(range(10)):
        raise ValueError(f"classes must be some of 0 … 9, got {wanted}")
    (kept,) = np.isin(labels, wanted).nonzero()
    n = len(kept) if n is None else n
    if not 1 <= n <= len(kept):
        raise ValueError(f"n must be between 1 and {len(kept)}, got {n}")
    chosen = kept[shuffled(len(kept), seed)[:n]]
    x, y = torch.from_numpy(images[chosen] / 16), torch.from_numpy(labels[chosen])
    return x.to(device=device, dtype=dtype), y.to(device=device, dtype=torch.int64)


def shuffled(n, seed=0):
    """0 … n − 1 in an order that is a function of the seed, as an array."""
    random = torch.Generator("cpu").manual_seed(seed)
    return torch.randperm(n, generator=random, device="cpu").numpy()
