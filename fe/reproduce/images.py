"""The images of the long runs as two tensors: MNIST, CIFAR-10, or a set of one's own.

Every loader returns x (N, D) float32 with pixels in [0, 1] and y (N,) int64, whole, on `device`
(default: the CPU). A set of one's own is shuffled, always in the same way: files are often sorted
by class, and "the first 20,000" of them would be of a few classes.
"""

from pathlib import Path

import numpy as np
import torch

from ..data import shuffled


def mnist(root="data", *, train=True, download=False, device=None):
    """MNIST through torchvision: 60,000 images (10,000 with train=False) of 28×28 pixels.

    `root` holds, or with download=True will hold, `MNIST/raw`; torchvision checks what it
    downloads.

    Raises:
        FileNotFoundError: nothing there and download=False
        ValueError: the files are truncated or not MNIST's

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Proc. IEEE 86, 2278 (1998).
    """
    x, y = _torchvision("MNIST", root, train, download, "the folder that contains MNIST/raw")
    n = 60_000 if train else 10_000
    if x.shape != (n, 28, 28) or len(y) != n:
        raise ValueError(
            f"the MNIST files under {root} hold {x.shape} images and {len(y)} labels, not "
            f"{(n, 28, 28)}"
        )
    return _tensors(x, y, root, device)


def cifar10(root="data", *, train=True, download=False, device=None):
    """CIFAR-10 through torchvision: 50,000 colour images (10,000 with train=False) of 32×32 pixels,
    as (N, 3·32·32).

    Classes: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck, numbered 0 … 9.
    `root` holds, or with download=True will hold, `cifar-10-batches-py`; or it has `train` and
    `test` inside and one sub-folder a class, which is then read by `image_folder`. Raises
    `FileNotFoundError` if nothing is there and download=False.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).
    torchvision's files are pickles; it checks their MD5 sums before it reads them.
    """
    folder = Path(root) / ("train" if train else "test")
    if folder.is_dir():
        return image_folder(folder, gray=False, device=device)
    where = "the folder with cifar-10-batches-py, or one with train/ and test/"
    x, y = _torchvision("CIFAR10", root, train, download, where)
    return _tensors(x.transpose(0, 3, 1, 2), y, root, device)


def _torchvision(name, root, train, download, where):
    """Images and labels as arrays, from torchvision's files, or the reason why not."""
    import torchvision

    try:
        data = getattr(torchvision.datasets, name)(str(root), train=train, download=download)
    except (RuntimeError, AssertionError, ValueError, EOFError) as e:
        if "not found" in str(e):
            raise FileNotFoundError(
                f"no {name} under {root}: pass download=True, or {where}"
            ) from e
        if download:  # no connection: torchvision's message says so
            raise
        raise ValueError(
            f"the {name} files under {root} are truncated or damaged ({e}); delete them and "
            "download again"
        ) from e
    return np.asarray(data.data), np.asarray(data.targets)


def npz(path, *, split="train", device=None):
    """A set of one's own from a `.npz` file with the arrays `x_train`, `y_train` (or `x`, `y`), and
    `x_test`, `y_test`: x (N, …) uint8 in 0 … 255 or floating in [0, 1], y (N,) integers from 0.

    Raises:
        FileNotFoundError: no such file
        ValueError: not a .npz file, arrays missing, of different lengths, or out of range
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:  # a pickle inside could run code
            held = sorted(arrays)
            # a test set must say that it is one
            whole = split == "train" and "x_train" not in held
            names = ("x", "y") if whole else (f"x_{split}", f"y_{split}")
            found = [arrays[name] for name in names if name in held]
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {path}") from None
    except Exception as e:  # zipfile and zlib raise their own kinds for a truncated file
        raise ValueError(f"{path} is damaged or no .npz file of plain arrays: {e}") from e
    for name in names:
        if name not in held:
            raise ValueError(f"{path} has no array {name!r}; it has {held}")
    return _tensors(*found, path, device, shuffle=True)


def image_folder(root, *, gray=True, device=None):
    """A set of one's own from a folder with one sub-folder a class (torchvision's `ImageFolder`),
    all images of one size: x (N, height·width), or (N, 3·height·width) with gray=False.

    Raises:
        FileNotFoundError: no such folder, or a class without images
        ValueError: an image that cannot be read, or of another size than the first; the message
            names the file
    """
    from torchvision.datasets import ImageFolder

    if not Path(root).is_dir():
        raise FileNotFoundError(f"no folder {root}")
    data = ImageFolder(str(root))
    images = []
    for name, _ in data.samples:
        try:
            image = np.asarray(data.loader(name).convert("L" if gray else "RGB"))
        except OSError as e:
            raise ValueError(f"cannot read the image {name}: {e}") from e
        images.append(image if gray else image.transpose(2, 0, 1))
        if images[-1].shape != images[0].shape:
            raise ValueError(
                f"{name} has shape {images[-1].shape}, the first image {images[0].shape}: resize "
                "them to one size"
            )
    return _tensors(np.stack(images), np.array(data.targets), root, device, shuffle=True)


def _tensors(x, y, name, device, shuffle=False):
    """What all loaders return, after the checks that all have in common."""
    if x.ndim < 2 or len(x) == 0 or y.shape != x.shape[:1]:
        raise ValueError(
            f"{name}: need N ≥ 1 images (N, …) and N labels, got shapes {x.shape} and {y.shape}"
        )
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0:
        raise ValueError(
            f"{name}: labels must be integers from 0, got {y.dtype} from {y.min()} to {y.max()}"
        )
    low, high, top = x.min(), x.max(), 255 if x.dtype == np.uint8 else 1
    if not (0 <= low and high <= top):  # NaN fails too
        raise ValueError(
            f"{name}: pixels run from {low:.3g} to {high:.3g}; they must be uint8, or floating in "
            "[0, 1] and not NaN"
        )
    if shuffle:
        order = shuffled(len(y))
        x, y = x[order], y[order]
    x = torch.from_numpy(np.ascontiguousarray(x).reshape(len(x), -1))
    y = torch.from_numpy(y.astype(np.int64))
    return x.to(device=device, dtype=torch.float32) / top, y.to(device)
