"""The checks of chapter 10: the reference passes, the stub fails helpfully, plausible mistakes are named; and its metric."""

import numpy as np
import pytest
import torch

import fe
from fe.checks import chapter10


def lever(hess, lam, gam, beta):
    return hess[1][1] * (1 - gam / beta) - lam / beta * hess[0][1]


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda *a: None, "a number"),
        (lambda h, lam, gam, beta: h[1][1], "the rate moves too"),
        (lambda h, lam, gam, beta: h[1][1] * (1 - gam / beta), "is missing"),
        (lambda h, lam, gam, beta: h[1][1] * (1 + gam / beta) + lam / beta * h[0][1], "differences of C"),
    ],
)
def test_lever(wrong, words):
    assert chapter10.check_lever(lever).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter10.check_lever(wrong)


def lag(gradient, mu, guard=True):
    if guard and not mu > 0:
        raise ValueError
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda *a: None, "two numbers"),
        (lambda g, mu: (float(g.norm()) * mu if mu < 1 else 0.0, 1e9), "divide the norm"),
        (lambda g, mu: (lag(g, mu)[0], 0.1 * lag(g, mu)[1]), "more than your bound"),
        (lambda g, mu: (lag(g, mu)[0], 2 * lag(g, mu)[1]), "not tight"),
        (lambda g, mu: lag(g, mu, guard=False), "no bound"),
    ],
)
def test_lag(wrong, words):
    assert chapter10.check_lag(lag).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter10.check_lag(wrong)


def schedule(t, g, K, power=0.5):
    root = np.asarray(g) ** power
    length = np.concatenate([[0], np.cumsum((root[1:] + root[:-1]) / 2 * np.diff(t))])
    return np.interp(np.linspace(0, length[-1], K + 1), length, t)


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda *a: None, "K \\+ 1"),
        (lambda t, g, K: schedule(t, g, K)[1:], "K \\+ 1"),
        (lambda t, g, K: schedule(t, g, K, power=1.0), "square root"),
        (lambda t, g, K: np.linspace(t[0], t[-1], K + 1), "for g = 4t"),
        (lambda t, g, K: np.interp(np.linspace(0, 1, K + 1), np.cumsum(np.sqrt(g)) / np.cumsum(np.sqrt(g))[-1], t), "even|weigh"),
    ],
)
def test_schedule(wrong, words):
    assert chapter10.check_schedule(schedule).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter10.check_schedule(wrong)


def test_the_metric_is_what_has_to_be_relaxed():
    """J(θ*(p), p + dp) − F(p + dp) = ½ dpᵀ(J_pp − Hess F)dp + O(dp³), with prices and task moved together."""
    x, y = fe.digits(60, classes=range(2))
    xt, yt = fe.digits(60, classes=range(2, 4))
    model = fe.TopographicMap(x, y, 2, grid=7, features=2, ridge=3e-2)
    J = fe.TaskObjective(model, fe.Mixture((x, y), (xt, yt - 2)))
    p = torch.tensor([0.5, 4.0, 0.4])
    e = fe.minimise(J, model.initial(), p, preconditioner=J.preconditioner)
    r = fe.linear_response(J, e.theta, p, preconditioner=J.preconditioner(e.theta, p))
    g = torch.func.hessian(J, argnums=1)(e.theta, p) - r.hess
    assert float(torch.linalg.eigvalsh(g).min()) > -1e-9 and float(torch.linalg.eigvalsh(r.hess).max()) > 0  # g ≥ 0 though Hess F is not ≤ 0
    direction, ratios = torch.tensor([0.3, -1.0, 0.5]), []
    for h in (2e-2, 1e-2):
        q = p + h * direction
        excess = float(J(e.theta, q)) - fe.minimise(J, e.theta, q, preconditioner=J.preconditioner).value
        ratios.append(excess / (0.5 * h**2 * float(direction @ g @ direction)) - 1)
    assert abs(ratios[1]) < 0.02 and 1.7 < ratios[0] / ratios[1] < 2.3  # the error of the ratio is of first order in h
