"""What a reader returned, as numbers. A check judges mathematics, so it takes every container and
every precision that holds the right numbers.

An answer may be a Python number, a list, a tuple, an array of any strides and type or a tensor, in
single, double or extended precision: `number`, `several` and `array` read it and say in words what
they cannot read, `near` compares within the precision that the answer's numbers have.
"""

import functools

import numpy as np
import torch

# what some dozen operations in float32 leave, relative to the largest number involved
SINGLE = 3e-5


def on_cpu(check):
    """The check with its problems, and what the answer makes of them, on the CPU and in double
    precision, whatever torch's default device and type are.
    """

    @functools.wraps(check)
    def judged(answer):
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with torch.device("cpu"):
                return check(answer)
        finally:
            torch.set_default_dtype(before)

    return judged


def several(value, name, n, what):
    """The n things that `name` returned, in any sequence or stacked in one array; `what` says in
    words what they are.
    """
    if value is None:
        raise AssertionError(f"{name} returned None: the stub is not filled in; return {what}")
    try:
        things = list(value.values()) if isinstance(value, dict) else list(value)
    except TypeError:  # a single number, a 0-d array
        things = [value]
    if isinstance(value, str) or len(things) != n:
        raise AssertionError(
            f"{name} must return {what}, {n} in all; got {len(things)} ({type(value).__name__})"
        )
    return things


def array(value, name, shape=None, hint=""):
    """An answer of numbers as a float64 tensor; of this shape, where one is named (a `hint` follows
    the message).
    """
    if value is None:
        raise AssertionError(f"{name} returned None: the stub is not filled in")
    try:
        found = torch.from_numpy(_real(value))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise AssertionError(
            f"{name} must return numbers, got {type(value).__name__}: {str(value)[:60]}"
        ) from None
    if shape is not None and tuple(found.shape) != tuple(shape):
        raise AssertionError(
            f"{name} must return {tuple(shape)} numbers, got the shape {tuple(found.shape)}{hint}"
        )
    return found


def _real(value):
    """Any container of numbers as a NumPy array of its own, float64 in the usual order (views with
    negative strides, longdouble: copied).
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if not value.is_complex():
            return np.array(value.double().numpy(), dtype=np.float64, order="C")
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "biuf"):
        value = _plain(value)
    return np.array(value, dtype=np.float64, order="C")


def _plain(value):
    """Nested sequences of any scalars, arrays of objects among them, as nested lists of Python
    numbers.
    """
    if isinstance(value, torch.Tensor | np.ndarray):
        value = value.tolist()
    if isinstance(value, str | bytes | dict | set):
        raise TypeError
    try:
        return [_plain(v) for v in value]
    except TypeError:
        return complex(value).real if complex(value).imag == 0 else float("nan")


def number(value, name):
    """One number: a Python, NumPy or torch scalar, or a container of exactly one."""
    found = array(value, name)
    if found.numel() != 1:
        raise AssertionError(f"{name} must return one number, got the shape {tuple(found.shape)}")
    return float(found)


def near(got, want, tol=1e-9, scale=None):
    """Whether two numbers, or two arrays of one shape, agree to an absolute `tol`; never for NaN.

    An answer whose numbers all fit into float32 was computed in it, or is short: then `SINGLE`
    times `scale` is granted (default: the largest |want|; name it where the answer is a small
    difference of large numbers).
    """
    got, want = (torch.as_tensor(v, dtype=torch.float64) for v in (got, want))
    if got.shape != want.shape:
        return False
    scale = float(want.abs().max()) or 1.0 if scale is None else scale
    single = bool((got.float().double() == got).all())
    return bool(((got - want).abs() <= (max(tol, SINGLE * scale) if single else tol)).all())


def apart(*numbers, digits=4):
    """The numbers as text, with as many digits, from `digits` to 15, as it takes to tell them
    apart.
    """
    for n in range(digits, 16):
        shown = [f"{float(v):.{n}g}" for v in numbers]
        if len(set(shown)) == len(shown):
            break
    return shown
