"""The paper's networks (App. A) as ordinary modules, and what is asked of a reader's own.

`Encoder((784, 256, 16))`, `Decoder((16, 256, 784))`, `Classifier((16, 12, 10))` are the networks of
fig. 2; `Encoder((784, 400, 64), dropout=0.1)`, `Decoder((64, 400, 784), dropout=0.1)`,
`Classifier((64, 10))` those of fig. 5.

Batch normalisation in training mode makes J depend on the minibatch, and torch's forward-mode
products with the Hessian wrong: call `.eval()` before any of the theory is evaluated. `norm=None`
has no such trap.
"""

import torch
from torch import nn

from .errors import check_data, check_like, check_shape


class _Layers(nn.Module):
    """Linear layers; after each but the last: normalisation, ReLU, dropout."""

    def __init__(self, sizes, norm="batch", dropout=0.0):
        if norm not in ("batch", None):
            raise ValueError(f'norm must be "batch" or None, got {norm!r}')
        if len(sizes) < 2 or min(sizes) < 1:
            what = "at least two positive numbers (inputs, …, outputs)"
            raise ValueError(f"sizes must be {what}, got {tuple(sizes)}")
        super().__init__()
        layers = []
        for a, b in zip(sizes[:-2], sizes[1:-1]):
            layers += [nn.Linear(a, b)]
            layers += [nn.BatchNorm1d(b)] if norm == "batch" else []
            layers += [nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))

    def forward(self, x):
        return self.layers(x)


class Encoder(_Layers):
    """e_θ(z|x) = N(μ(x), diag σ²(x)): x (N, D) -> (μ, log σ), each (N, d). sizes = (D, …, d)."""

    def __init__(self, sizes, norm="batch", dropout=0.0):
        super().__init__((*sizes[:-1], 2 * sizes[-1]), norm, dropout)

    def forward(self, x):
        return super().forward(x).chunk(2, -1)


class Decoder(_Layers):
    """x̂(z): z (N, d) -> (N, D). sizes = (d, …, D).

    The paper does not say what its decoder ends in. A sigmoid keeps x̂ among the pixels' values,
    [0, 1].
    """

    def forward(self, z):
        return torch.sigmoid(super().forward(z))


class Classifier(_Layers):
    """Logits of c(y|z): z (N, d) -> (N, Y). sizes = (d, …, Y); (16, 10) is the single layer of the
    paper's §5.1.
    """


def check_modules(x, **modules):
    """Raise unless the modules are smooth functions of parameters like x, none of them shared, and
    of nothing else: no batch statistics, no chance.
    """
    owner, random = {}, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    for name, module in modules.items():
        if not isinstance(module, nn.Module):
            raise TypeError(f"{name} must be a torch.nn.Module, got {type(module).__name__}")
        for part in module.modules():
            if part.training and isinstance(part, random):
                raise ValueError(
                    f"{name} has a {type(part).__name__} in training mode: J would depend on the "
                    f"minibatch or on chance. Call {name}.eval() first"
                )
        for parameter in module.parameters():
            check_like(name, parameter, "x", x)
            if (first := owner.setdefault(id(parameter), name)) != name:
                raise ValueError(f"{name} shares a parameter with {first}: θ would hold it twice")


@torch.no_grad()
def _output_of(name, module, what, inputs):
    """module(inputs), or in words that it does not take them."""
    try:
        return module(inputs)
    except RuntimeError as e:
        shape = tuple(inputs.shape[1:])
        raise ValueError(f"{name} must accept {what} of shape {shape}: {e}") from e


def check_outputs(decoder, classifier, z, x, y):
    """Raise unless decoder(z) has the shape of images and classifier(z) a logit for every label."""
    xhat = _output_of("decoder", decoder, "codes", z)
    logits = _output_of("classifier", classifier, "codes", z)
    if xhat.shape != (len(z), *x.shape[1:]):
        raise ValueError(
            f"decoder(z) must have shape {(len(z), *x.shape[1:])} like the images, got "
            f"{tuple(xhat.shape)}; see nn.Flatten and nn.Unflatten(1, {tuple(x.shape[1:])})"
        )
    check_shape("classifier(z)", logits, len(z), "classes")
    if y.is_floating_point():
        check_shape("soft labels", y, len(x), logits.shape[1])
    else:
        check_data(x.flatten(1), y, logits.shape[1])


def check_networks(encoder, decoder, classifier, x, y):
    """The number d of dimensions of the code. Raises `ValueError` or `TypeError`, in words, unless
    the modules fit together and to the images x (N, …) and their labels y (N,) or (N, Y).
    """
    if isinstance(x, torch.Tensor) and x.is_floating_point():  # first whether they can be read
        check_modules(x, encoder=encoder, decoder=decoder, classifier=classifier)
    check_data(x.flatten(1) if isinstance(x, torch.Tensor) and x.ndim > 2 else x, y, soft=True)
    code = _output_of("encoder", encoder, "images", x[:2])
    several = isinstance(code, tuple | list)
    if not several or len(code) != 2 or code[0].shape != code[1].shape or code[0].ndim != 2:
        got = " and ".join(str(tuple(v.shape)) for v in (code if several else [code]))
        raise ValueError(
            f"encoder(x) must return (mu, log_sigma), two tensors of one shape (N, d), got {got}; "
            "a layer of 2d units can be split by .chunk(2, 1)"
        )
    check_outputs(decoder, classifier, code[0], x, y)
    return code[0].shape[1]
