"""The checks of chapter 6: the reference passes, the stub fails helpfully, plausible mistakes are named."""

import math

import pytest

from fe.checks import chapter6


def velocity(hess, alpha):
    return -alpha * hess[1, 1], alpha * hess[0, 1]


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda h, a: None, "two numbers"),
        (lambda h, a: (a * h[0, 1], -a * h[1, 1]), "swapped"),
        (lambda h, a: (-a * h[1, 1], -a * h[0, 1]), "C moves"),
        (lambda h, a: (a * h[1, 1], -a * h[0, 1]), "λ falls"),
        (lambda h, a: (-a * h[0, 1], a * h[0, 0]), "holds D"),
        (lambda h, a: (-h[1, 1], h[0, 1]), "twice the α"),
        (lambda h, a: (a, -a * h[0, 1] / h[1, 1]), "speed"),
    ],
)
def test_velocity(wrong, words):
    assert chapter6.check_velocity(velocity).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter6.check_velocity(wrong)


def correct(gam, C, target, slope):
    return gam * math.exp(math.log(target / C) / slope)


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda g, C, t, s: None, "new γ"),
        (lambda g, C, t, s: g * math.exp(-math.log(t / C) / s), "wrong direction"),
        (lambda g, C, t, s: g + (t - C) / (s * C / g), "in ln γ"),
        (lambda g, C, t, s: g * math.exp(math.log(t / C) * s), "divide"),
        (lambda g, C, t, s: g - 100, "positive numbers"),
    ],
)
def test_correct(wrong, words):
    assert chapter6.check_correct(correct).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter6.check_correct(wrong)


def slopes(train, lam, gam, delta, seed, log=math.log, width=2.0, seeds=None, central=True):
    seeds = seeds or [seed] * 4
    u, v = math.exp(delta), math.exp(-delta) if central else 1.0
    ends = [train(lam * u, gam, seeds[0]), train(lam * v, gam, seeds[1]), train(lam, gam * u, seeds[2]), train(lam, gam * v, seeds[3])]
    width = width * delta if central else delta
    return [[(f(ends[k][i]) - f(ends[k + 1][i])) / width for k in (0, 2)] for i, f in ((0, lambda d: d), (1, log))]


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(seeds=[1, 2, 3, 4]), "different seeds"),
        (dict(width=1.0), "twice too large"),
        (dict(log=lambda c: c), "ln C"),
        (dict(central=False), "central difference"),
    ],
)
def test_log_slopes(options, words):
    assert chapter6.check_log_slopes(slopes).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter6.check_log_slopes(lambda *a: slopes(*a, **options))
    with pytest.raises(AssertionError, match="return"):
        chapter6.check_log_slopes(lambda *a: None)
