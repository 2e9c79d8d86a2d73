"""The checks of chapter 8: the reference passes, the stub fails helpfully, plausible mistakes are named."""

import pytest
import torch

from fe.checks import chapter8


def plan_1d(x, y):
    j = torch.empty(len(x), dtype=torch.int64)
    j[x.argsort()] = y.argsort()
    return j


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda x, y: None, "stub"),
        (lambda x, y: (x - y).square().mean(), "index tensor"),
        (lambda x, y: torch.cdist(x[:, None], y[:, None]).argmin(1), "every target must be used once"),
        (lambda x, y: y.argsort(descending=True)[x.argsort().argsort()], "dearest"),
        (lambda x, y: y.argsort()[x.argsort()], "rank of each x"),
        (lambda x, y: y.argsort(), "sources are not"),
        (lambda x, y: torch.arange(len(x)), "equal ranks"),
    ],
)
def test_plan_1d(wrong, words):
    assert chapter8.check_plan_1d(plan_1d).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter8.check_plan_1d(wrong)


def dual_bound(kappa, a, b, u):
    return a @ u + b @ (kappa - u[:, None]).min(0).values


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda k, a, b, u: None, "stub"),
        (lambda k, a, b, u: u.sum() + (k - u[:, None]).min(0).values.sum(), "weighed"),
        (lambda k, a, b, u: a @ u + b @ (k - u[:, None]).max(0).values, "minimum"),
        (lambda k, a, b, u: a @ u + b @ k.min(0).values, "u is missing"),
        (lambda k, a, b, u: b @ (k - u[:, None]).min(0).values, "a·u is missing"),
        (lambda k, a, b, u: a @ u + b @ (k + u[:, None]).min(0).values, "sign of u"),
        (lambda k, a, b, u: dual_bound(k, a, b, u) - 0.1, "strong duality|not the best"),
        (lambda k, a, b, u: dual_bound(k, a, b, u) + 10, "no bound"),
    ],
)
def test_dual_bound(wrong, words):
    assert chapter8.check_dual_bound(dual_bound).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter8.check_dual_bound(wrong)


def interpolate(xs, xt, plan, t):
    return (1 - t) * xs[plan.i] + t * xt[plan.j], plan.mass


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda xs, xt, p, t: None, "two tensors"),
        (lambda xs, xt, p, t: (t * xs[p.i] + (1 - t) * xt[p.j], p.mass), "backwards"),
        (lambda xs, xt, p, t: (interpolate(xs, xt, p, t)[0], torch.full_like(p.mass, 1 / len(p.mass))), "masses"),
        (lambda xs, xt, p, t: ((1 - t) * xs + t * xt[:5], p.mass[:5]), "one image and one weight"),
        (lambda xs, xt, p, t: (torch.cat([xs, xt])[: len(p.i)], p.mass), "mean image"),
        (lambda xs, xt, p, t: ((1 - t) * xs[p.i] + t * (p.mass @ xt[p.j]), p.mass), "distances to the ends"),
        (lambda xs, xt, p, t: (xs[p.i] if t < 0.5 else xt[p.j], p.mass), "straight line"),
    ],
)
def test_interpolate(wrong, words):
    assert chapter8.check_interpolate(interpolate).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter8.check_interpolate(wrong)
