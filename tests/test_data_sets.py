"""The loaders: what they return, and what they say when the data are not what they should be."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fe.reproduce.images import cifar10, image_folder, mnist, npz

ROOT = Path(os.environ.get("FE_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_mnist = pytest.mark.skipif(
    not (ROOT / "MNIST" / "raw").exists(),
    reason=f"no MNIST under {ROOT} (set FE_DATA to its folder)",
)


@needs_mnist
def test_mnist_is_whole():
    x, y = mnist(ROOT, train=False)
    assert x.shape == (10_000, 784) and y.shape == (10_000,) and x.dtype == torch.float32
    assert torch.equal(
        y.bincount(), torch.tensor([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    )  # as published
    assert float(x.min()) == 0 and float(x.max()) == 1


def write_idx(path, array):
    path.write_bytes(
        b"\0\0\x08"
        + bytes([array.ndim])
        + b"".join(n.to_bytes(4, "big") for n in array.shape)
        + array.tobytes()
    )


@pytest.fixture
def idx(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, n in (("train", 20), ("t10k", 10)):
        write_idx(raw / f"{name}-images-idx3-ubyte", np.zeros((n, 28, 28), np.uint8))
        write_idx(raw / f"{name}-labels-idx1-ubyte", np.zeros(n, np.uint8))
    return tmp_path


def test_mnist_missing_truncated_and_short(tmp_path, idx):
    with pytest.raises(FileNotFoundError, match="download=True"):
        mnist(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"hold \(20, 28, 28\)"):
        mnist(idx)
    images = idx / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:500])
    with pytest.raises(ValueError, match="truncated or damaged"):
        mnist(idx)


def test_npz_round_trip_and_errors(tmp_path):
    images, labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.array([0, 1])
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels)
    x, y = npz(tmp_path / "a.npz")
    np.testing.assert_allclose(
        x.numpy() * 255, images.reshape(2, 12)[y], atol=1e-5
    )  # one float32 division
    assert sorted(y.tolist()) == [0, 1]
    np.savez(tmp_path / "whole.npz", x=images, y=labels)
    assert len(npz(tmp_path / "whole.npz")[0]) == 2
    for name in ("a", "whole"):  # the training images again would be called held out
        with pytest.raises(ValueError, match="has no array 'x_test'"):
            npz(tmp_path / f"{name}.npz", split="test")
    with pytest.raises(FileNotFoundError):
        npz(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:300])
    with pytest.raises(ValueError, match="damaged"):
        npz(tmp_path / "c.npz")
    for bad, message in (
        (dict(x=images, y=labels[:1]), "N labels"),
        (dict(x=images.astype(float), y=labels), "pixels run from 0 to 23"),
        (dict(x=images, y=labels - 1), "integers from 0"),
        (dict(x=np.full((2, 3), np.nan), y=labels), "NaN"),
        (dict(x=np.array([{}, {}], dtype=object), y=labels), "plain arrays"),
    ):
        np.savez(tmp_path / "bad.npz", **bad)
        with pytest.raises(ValueError, match=message):
            npz(tmp_path / "bad.npz")


def test_image_folder(tmp_path):
    for k, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(np.full((4, 5), 50 * k + i, np.uint8)).save(
                tmp_path / name / f"{i}.png"
            )
    x, y = image_folder(tmp_path)
    assert x.shape == (6, 20) and y.bincount().tolist() == [3, 3]
    order = x[:, 0].argsort()
    np.testing.assert_allclose(x[order, 0].numpy() * 255, [0, 1, 2, 50, 51, 52], atol=1e-5)
    assert y[order].tolist() == [0, 0, 0, 1, 1, 1]
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "dog" / "9.png")
    with pytest.raises(ValueError, match=r"9\.png has shape \(9, 9\)"):
        image_folder(tmp_path)
    (tmp_path / "dog" / "9.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"cannot read the image .*9\.png"):
        image_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        image_folder(tmp_path / "none")


def test_cifar10_from_a_folder_of_images(tmp_path):
    """Channels first, in torchvision's order; classes by the alphabet; mixed."""
    for k, name in enumerate(("airplane", "bird")):
        for split in ("train", "test"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(8):
                image = np.zeros((32, 32, 3), np.uint8)
                image[:, :, k] = 255  # red airplanes, green birds
                Image.fromarray(image).save(folder / f"{i}.png")
    x, y = cifar10(tmp_path)
    assert (
        x.shape == (16, 3 * 32 * 32)
        and y.bincount().tolist() == [8, 8]
        and y.tolist() != sorted(y.tolist())
    )
    colours = x.view(16, 3, -1).mean(2)
    assert torch.equal(colours.argmax(1), y) and torch.equal(cifar10(tmp_path)[1], y)


def test_cifar10_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="download=True"):
        cifar10(tmp_path)


def test_a_set_of_ones_own_is_shuffled_and_always_in_the_same_way(tmp_path):
    """Sub-folders come one class after another, and so do most files: the first hundred of three
    hundred would be of one class.
    """
    for k in range(3):
        (tmp_path / "folder" / f"{k}").mkdir(parents=True)
        for i in range(20):
            Image.fromarray(np.full((2, 2), 60 * k + i, np.uint8)).save(
                tmp_path / "folder" / f"{k}" / f"{i}.png"
            )
    labels = np.repeat(np.arange(3), 20)
    np.savez(
        tmp_path / "a.npz",
        x=np.full((60, 4), 60 * labels[:, None] + np.tile(np.arange(20), 3)[:, None], np.uint8),
        y=labels,
    )
    torch.manual_seed(1)
    for load in (lambda: image_folder(tmp_path / "folder"), lambda: npz(tmp_path / "a.npz")):
        x, y = load()
        assert y[:20].bincount(minlength=3).min() >= 3
        assert torch.equal((255 * x[:, 0]).round().long() // 60, y)  # each image has kept its label
        torch.manual_seed(2)
        again = load()
        assert torch.equal(x, again[0]) and torch.equal(y, again[1])
