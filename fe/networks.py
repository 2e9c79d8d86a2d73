"""The paper's networks (App. A) as ordinary modules: for MNIST two fully connected layers each way.

`Encoder((784, 256, 16))`, `Decoder((16, 256, 784))`, `Classifier((16, 12, 10))` are the networks of
fig. 2; `Encoder((784, 400, 64), dropout=0.1)`, `Decoder((64, 400, 784), dropout=0.1)`,
`Classifier((64, 10))` those of fig. 5.

Batch normalisation in training mode makes J depend on the minibatch, and torch's forward-mode
products with the Hessian wrong: train with it, then call `.eval()` before any of the theory is
evaluated. `norm=None` has no such trap.
"""

import torch
from torch import nn


def _mlp(sizes, norm="batch", dropout=0.0):
    """Linear layers from sizes[0] to sizes[-1]; after each but the last: normalisation, ReLU,
    dropout. Raises `ValueError` for fewer than two sizes, one below 1, an unknown norm.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(
            f"sizes must be at least two positive numbers (inputs, …, outputs), got {tuple(sizes)}"
        )
    if norm not in ("batch", None):
        raise ValueError(f'norm must be "batch" or None, got {norm!r}')
    layers = []
    for a, b in zip(sizes[:-2], sizes[1:-1]):
        layers += [nn.Linear(a, b)]
        layers += [nn.BatchNorm1d(b)] if norm == "batch" else []
        layers += [nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class Encoder(nn.Module):
    """e_θ(z|x) = N(μ(x), diag σ²(x)): x (N, D) -> (μ, log σ), each (N, d). sizes = (D, …, d)."""

    def __init__(self, sizes=(784, 256, 16), norm="batch", dropout=0.0):
        super().__init__()
        self.layers = _mlp((*sizes[:-1], 2 * sizes[-1]), norm, dropout)

    def forward(self, x):
        return self.layers(x).chunk(2, -1)


class Decoder(nn.Module):
    """x̂(z): z (N, d) -> (N, D). sizes = (d, …, D).

    The paper does not say what its decoder ends in. A sigmoid keeps x̂ among the pixels' values,
    [0, 1].
    """

    def __init__(self, sizes=(16, 256, 784), norm="batch", dropout=0.0):
        super().__init__()
        self.layers = _mlp(sizes, norm, dropout)

    def forward(self, z):
        return torch.sigmoid(self.layers(z))


class Classifier(nn.Module):
    """Logits of c(y|z): z (N, d) -> (N, Y). sizes = (d, …, Y); (16, 10) is the single layer of the
    paper's §5.1.
    """

    def __init__(self, sizes=(16, 12, 10), norm="batch", dropout=0.0):
        super().__init__()
        self.layers = _mlp(sizes, norm, dropout)

    def forward(self, z):
        return self.layers(z)
