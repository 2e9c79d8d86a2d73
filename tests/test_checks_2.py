"""The checks of chapter 2: the reference passes, the stub fails helpfully, plausible mistakes are named."""

import pytest
import torch

from fe.checks import chapter2


def slopes(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = (F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return F(lam, gam) - lam * D - gam * C, D, C


def test_the_reference_slopes_pass():
    assert chapter2.check_functionals(slopes).startswith("right")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda F, l, g: None, "three numbers"),
        (lambda F, l, g: (slopes(F, l, g)[0], slopes(F, l, g)[2], slopes(F, l, g)[1]), "exchanged"),
        (lambda F, l, g: (slopes(F, l, g)[0], -slopes(F, l, g)[1], -slopes(F, l, g)[2]), "wrong sign"),
        (lambda F, l, g: (F(l, g), *slopes(F, l, g)[1:]), "what the prices contribute"),
        (lambda F, l, g: (0.0, (F(l + 1e-3, g) - F(l, g)) / 1e-3, (F(l, g + 1e-3) - F(l, g)) / 1e-3), "one-sided"),
    ],
)
def test_wrong_slopes(change, words):
    with pytest.raises(AssertionError, match=words):
        chapter2.check_functionals(change)


def hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).min(1).values
    return (F[:, None] - lams[:, None] * at[None]).max(0).values


def interpolate(D, R, lams, at):
    return torch.stack([R[(D - a).abs().argmin()] for a in at])


def test_the_reference_hull_passes():
    assert chapter2.check_lower_hull(hull).startswith("right")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda D, R, lams, at: None, "stub"),
        (interpolate, "through the dent"),
        (lambda D, R, lams, at: hull(D, R, lams, at)[:1], "one value for each"),
        (lambda D, R, lams, at: (R[None] + lams[:, None] * D[None]).max(1).values.mean() + 0 * at, "below the members"),
        (lambda D, R, lams, at: hull(D, R, lams[:3], at), "the curve itself"),
    ],
)
def test_wrong_hulls(change, words):
    with pytest.raises(AssertionError, match=words):
        chapter2.check_lower_hull(change)


def residual(record, weight=lambda r: 0.5 * (r[1:] + r[:-1]), sign=1.0):
    mean, change = weight(record), record.diff(dim=0)
    return float((change[:, 2] + sign * (mean[:, 0] * change[:, 3] + mean[:, 1] * change[:, 4])).sum())


def test_the_reference_residual_passes():
    assert chapter2.check_first_law(residual).startswith("right")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda r: None, "stub"),
        (lambda r: residual(r, sign=-1.0), "signs"),
        (lambda r: residual(r, weight=lambda r: r[:-1]), "near zero|mean price"),
        (lambda r: 1e-3 * len(r) ** -2.0, "0.3"),
    ],
)
def test_wrong_residuals(change, words):
    with pytest.raises(AssertionError, match=words):
        chapter2.check_first_law(change)
