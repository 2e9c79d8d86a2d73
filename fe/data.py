"""The default data: 1,797 real handwritten digits of 8×8 pixels that come with scikit-learn (no download)."""

import torch
from sklearn.datasets import load_digits


def digits(n=None, *, classes=None, seed=0, dtype=torch.float64, device=None):
    """Images and labels of scikit-learn's digits, shuffled, pixels scaled from 0–16 to [0, 1].

    Parameters
    ----------
    n : how many (all 1,797 if None, or as many as `classes` leaves)
    classes : keep only these labels, for example range(5); labels are not renumbered
    seed : of the shuffle; the same seed gives the same images in the same order

    Returns
    -------
    x : (n, 64), y : (n,) int64

    Raises
    ------
    ValueError : n is not between 1 and the number available; a class is not 0 … 9

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998).
    """
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16.0, dtype=dtype), torch.tensor(labels, dtype=torch.int64)
    if classes is not None:
        wanted = torch.tensor(list(classes))
        if wanted.numel() == 0 or wanted.min() < 0 or wanted.max() > 9:
            raise ValueError(f"classes must be some of 0 … 9, got {list(classes)}")
        keep = torch.isin(y, wanted)
        x, y = x[keep], y[keep]
    if n is None:
        n = len(x)
    if not 1 <= n <= len(x):
        raise ValueError(f"n must be between 1 and {len(x)}, got {n}")
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:n]
    return x[order].to(device), y[order].to(device)
