"""The checks of chapter 9: the reference passes, the stub fails helpfully, plausible mistakes are named."""

import pytest
import torch

from fe.checks import chapter9


def velocity(hess, F_t, lam, k, right=lambda hess, F_t, lam, k: [k / (1 + k * lam) * F_t - hess[0, 2], -hess[1, 2]], guard=True):
    if guard and abs(1 + k * lam) < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([torch.as_tensor(v, dtype=torch.float64) for v in right(hess, F_t, lam, k)]))


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda *a: None, "two numbers"),
        (lambda *a: velocity(*a, right=lambda h, F, lam, k: [k / (1 + k * lam) * F - h[0, 2], h[1, 2]]), "C moves"),
        (lambda *a: velocity(*a, right=lambda h, F, lam, k: [k * F - h[0, 2], -h[1, 2]]), "denominator is missing"),
        (lambda *a: velocity(*a, right=lambda h, F, lam, k: [k / (1 + k * lam) * F, -h[1, 2]]), "D_t"),
        (lambda *a: velocity(*a, guard=False), "raise ValueError"),
    ],
)
def test_geodesic_velocity(wrong, words):
    assert chapter9.check_geodesic_velocity(velocity).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter9.check_geodesic_velocity(wrong)


def fate(F_t, lam, k):
    return "none" if k >= 0 else "attracts" if F_t > 0 else "repels"


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda *a: None, "return"),
        (lambda F_t, lam, k: "attracts" if F_t > 0 else "repels", "no singularity"),
        (lambda F_t, lam, k: "none", "there is λ"),
        (lambda F_t, lam, k: "none" if k >= 0 else "repels" if F_t > 0 else "attracts", "shows that"),
        (lambda F_t, lam, k: "none" if k >= 0 else "attracts" if 1 + k * lam > 0 else "repels", "shows that"),
    ],
)
def test_fate(wrong, words):
    assert chapter9.check_fate(fate).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter9.check_fate(wrong)


def area(spent, accuracy):
    x, y = [0.0, *spent], [accuracy[0], *accuracy]
    return sum((y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(len(spent))) / x[-1]


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda *a: None, "a number"),
        (lambda s, a: sum(a) / len(a), "mean over measurements"),
        (lambda s, a: area(s, a) * s[-1], "divide|1/3"),
        (lambda s, a: sum((a[i] + a[i + 1]) / 2 * (s[i + 1] - s[i]) for i in range(len(s) - 1)) / s[-1], "before the first"),
    ],
)
def test_area(wrong, words):
    assert chapter9.check_area(area).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter9.check_area(wrong)
