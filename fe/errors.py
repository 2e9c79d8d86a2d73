"""What can go wrong, each with a name, so that a caller can tell the cases apart.

Bad input raises the usual `ValueError` or `TypeError`. The classes below are for mathematics that
does not hold at the point where it was asked for: an answer would look plausible and be wrong.
"""

import contextlib
import math
import operator

import torch


class NotAtEquilibrium(RuntimeError):
    """∇_θ J is not zero: linear response (Lemma 5) describes equilibria only."""


class NegativeCurvature(RuntimeError):
    """A = ∇²_θ J has a negative eigenvalue: θ is a saddle or a maximum, not a minimum.

    `direction` (P,) is a unit vector with uᵀAu = `curvature` < 0.
    """

    def __init__(self, message, curvature=None, direction=None):  # a pickle adds them later
        super().__init__(message)
        self.curvature, self.direction = curvature, direction


class SingularHessian(RuntimeError):
    """A is singular and b is not in its range: A x = b has no solution."""


class NotConverged(RuntimeError):
    """An iteration used up its budget. The message gives what it had reached."""


class NotFinite(ValueError):
    """J or ∇J is NaN or infinite: bad data, or, in a search, a step that went too far."""


@contextlib.contextmanager
def about(name):
    """What is refused inside says whose it is: "source: x is empty"."""
    try:
        yield
    except (ValueError, TypeError) as e:
        raise type(e)(f"{name}: {e}") from None


def number(name, value, least=0, whole=False):
    """A number as Python's, whether it is that, NumPy's or a tensor of one. Raises `ValueError`
    naming the argument unless it is finite, at least `least`, and with `whole` an integer.
    """
    plain = value
    try:
        if not isinstance(value, int | float):
            plain = torch.as_tensor(value, dtype=torch.float64, device="cpu").item()
        plain = operator.index(value) if whole else float(plain)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        plain = math.nan
    if not least <= plain < math.inf:
        kind = "an integer" if whole else "a finite number"
        raise ValueError(f"{name} must be {kind} from {least} on, got {value!r}")
    return plain


def numbers(name, value):
    """A list of such numbers from a list, a tuple or a vector, a number from a single one."""
    several = isinstance(value, tuple | list) or getattr(value, "ndim", 0) and len(value) > 1
    if several and not len(value):
        raise ValueError(f"{name} must be at least one number, got {value!r}")
    return [number(name, v) for v in value] if several else number(name, value)


def scalar(value):
    """What an objective returned. Raises `ValueError` unless it is a scalar tensor."""
    if not isinstance(value, torch.Tensor) or value.shape != ():
        got = getattr(value, "shape", type(value).__name__)
        raise ValueError(f"J must return a scalar tensor, got {got}")
    return value


def check_finite(name, tensor):
    """Raise `ValueError` naming the argument if `tensor` holds a NaN or an infinity."""
    bad = ~torch.isfinite(tensor)
    if bad.any():
        count, first = int(bad.sum()), tuple(bad.nonzero()[0].tolist())
        raise ValueError(f"{name} has {count} NaN or infinite entries (the first at index {first})")


def check_shape(name, tensor, *shape):
    """Raise `ValueError` unless the tensor has this shape; a word stands for any number from 1."""
    fits = [m > 0 if isinstance(n, str) else n == m for n, m in zip(shape, tensor.shape)]
    if tensor.ndim != len(shape) or not all(fits):
        want = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} must have shape ({want}), got {tuple(tensor.shape)}")


def check_like(name, tensor, other, like):
    """Raise `TypeError` unless the tensor has dtype and device of `like`, whose name is `other`."""
    if (tensor.dtype, tensor.device) != (like.dtype, like.device):
        raise TypeError(
            f"{name} is {tensor.dtype} on {tensor.device}, but {other} is {like.dtype} on "
            f"{like.device}; write {name}.to({other})"
        )


def check_floating(name, tensor, *shape):
    """Raise unless `tensor` is a floating tensor of this shape (`check_shape`), and finite."""
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise TypeError(f"{name} must be a floating torch.Tensor, got {kind}")
    check_shape(name, tensor, *shape)
    check_finite(name, tensor)


def check_data(x, y=None, n_classes=None, soft=False):
    """Raise unless `x` (N, D) is finite and floating and `y` (N,) holds int64 labels in 0 …
    n_classes − 1, or with soft=True (N, Y) probabilities of the labels (paper, Remark 11).
    """
    if getattr(x, "ndim", 2) > 2:
        raise ValueError(f"x has shape {tuple(x.shape)}; flatten images, for example x.flatten(1)")
    check_floating("x", x, "N", "D")
    if y is None:
        return
    soft = soft and isinstance(y, torch.Tensor) and y.is_floating_point()
    if not soft and (not isinstance(y, torch.Tensor) or y.dtype != torch.int64):
        kind = y.dtype if isinstance(y, torch.Tensor) else type(y).__name__
        raise TypeError(f"y must be a torch.Tensor of int64 labels, got {kind}")
    if y.device != x.device:
        raise TypeError(f"y is on {y.device}, but x is on {x.device}")
    if soft:
        check_shape("soft labels", y, len(x), "Y")
        if bool((y < 0).any()) or bool(((y.sum(1) - 1).abs() >= 1e-5).any()):
            raise ValueError("soft labels must be numbers ≥ 0 with sum 1 in each row")
        return
    check_shape("y", y, len(x))
    low, high = int(y.min()), int(y.max())
    if low < 0 or n_classes is not None and high >= n_classes:
        few = "0 is the least" if n_classes is None else f"{n_classes=} allows 0 … {n_classes - 1}"
        raise ValueError(f"labels run from {low} to {high}, but {few}")


def check_weights(weights, x, name="weights"):
    """The weights of the images x: N numbers ≥ 0 with sum one, 1/N each if None."""
    if weights is None:
        return x.new_full(x.shape[:1], 1 / len(x))
    total = float(weights.sum())
    if weights.shape != x.shape[:1] or bool((weights < 0).any()) or not abs(total - 1) <= 1e-6:
        got = f"shape {tuple(weights.shape)}, sum {total:.6g}"
        raise ValueError(f"{name} must be {len(x)} numbers ≥ 0 with sum 1, got {got}")
    return weights.to(x)
