"""Minimisation against known minima, saddles that must not be taken for minima, and the schedule
η(t).
"""

import math

import numpy as np
import pytest
import torch
from host import Reads
from hypothesis import given, settings
from hypothesis import strategies as st

import fe
from fe.equilibrium import _newton, descend
from fe.response import Solver

P = torch.tensor([1.0, 1.0], dtype=torch.float64)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 8), st.integers(0, 10_000))
def test_least_squares(n, seed):
    g = torch.Generator().manual_seed(seed)
    M, y = torch.randn(n + 3, n, generator=g), torch.randn(n + 3, generator=g)
    J = lambda th, p: 0.5 * (M @ th - y).square().sum() + 0.005 * p[0] * th.dot(th)
    e = fe.minimise(J, torch.zeros(n), P)
    A = M.T @ M + 0.01 * torch.eye(n)
    # ‖∇J‖ ≤ 1e-10 bounds the error of θ by 1e-10 / λ_min(A) ≤ 1e-8
    torch.testing.assert_close(e.theta, torch.linalg.solve(A, M.T @ y), rtol=0, atol=1e-8)
    assert e.gradient_norm <= 1e-10
    assert math.isclose(e.curvature, float(torch.linalg.eigvalsh(A)[0]), rel_tol=2e-2)


def test_rosenbrock():
    J = lambda th, p: (1 - th[0]).square() + 100 * (th[1] - th[0].square()).square()
    e = fe.minimise(J, torch.tensor([-1.2, 1.0]), P)
    torch.testing.assert_close(e.theta, torch.ones(2), rtol=0, atol=1e-9)


def test_starting_on_a_saddle_it_leaves():
    J = lambda th, p: (th.square() - 1).square().sum()
    e = fe.minimise(J, torch.zeros(4), P)
    torch.testing.assert_close(e.theta.abs(), torch.ones(4), rtol=0, atol=1e-10)
    assert e.curvature == pytest.approx(8.0)


def test_a_rotation_orbit_is_a_minimum_with_zero_curvature():
    J = lambda th, p: (th.dot(th) - 1).square()
    e = fe.minimise(J, torch.tensor([0.3, 0.4, 0.1]), P)
    assert (
        e.gradient_norm <= 1e-10
        and abs(e.curvature) < 1e-8
        and float(e.theta.norm()) == pytest.approx(1.0, abs=1e-9)
    )


def test_what_cannot_be_minimised_says_so():
    with pytest.raises((ValueError, fe.NotConverged)):
        fe.minimise(lambda th, p: -th.dot(th), torch.ones(2), P, max_iterations=200)
    with pytest.raises(fe.NotConverged, match="ReLU|kinks"):
        fe.minimise(
            lambda th, p: (th - 0.3).abs().sum() + 0.1 * th.dot(th),
            torch.ones(2),
            P,
            max_iterations=200,
        )
    M, y = torch.randn(40, 20).float(), torch.randn(40).float()
    with pytest.raises(fe.NotConverged, match="float32"):
        fe.minimise(
            lambda th, p: (M @ th - y).square().sum(),
            torch.ones(20).float(),
            P.float(),
            tol=1e-12,
            max_iterations=200,
        )


def test_same_seed_same_numbers():
    J = lambda th, p: (th.square() - 1).square().sum() + 0.1 * th.sum().sin()
    first, second = (fe.minimise(J, torch.zeros(5), P) for _ in range(2))
    assert torch.equal(first.theta, second.theta)


def test_schedule():
    T = 700
    values = [fe.schedule(t, T) for t in range(T + 1)]
    assert values[0] == values[-1] == 0
    assert (
        max(values) == pytest.approx(1.5e-3, rel=1e-12) and values.index(max(values)) == 200
    )  # 2/7 of 700
    for bad in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(ValueError, match="0 ≤ t ≤ T"):
            fe.schedule(*bad)


def test_saddles_all_the_way_down_are_said_in_words():
    """Twelve coordinates that leave their maxima one after another: more saddles than restarts."""
    heights = torch.arange(1.0, 13.0)
    J = lambda theta, p: p[0] * (heights * (theta.square() - 1).square()).sum()
    with pytest.raises(fe.NotConverged, match="below zero: a saddle"):
        fe.minimise(J, torch.zeros(12), torch.ones(1))
    few = lambda theta, p: J(torch.cat([theta, torch.ones(9)]), p)
    assert fe.minimise(few, torch.zeros(3), torch.ones(1)).theta.abs().tolist() == pytest.approx(
        [1, 1, 1]
    )


def test_reads_by_the_host():
    """One an evaluation of J by L-BFGS, and a few each time that it begins anew; eleven a Newton
    step, half of them in its conjugate gradients, which look every fourth iteration; some fifty a
    point of a path, where every correction, factor and eigenvalue is asked whether it will do.
    """
    x, y = fe.digits(60, classes=(0, 1, 2))
    J = fe.TopographicMap(x[:, 20:28].contiguous(), y, 3, grid=7, features=2, ridge=1e-2)
    with Reads() as reads:
        theta, calls = descend(J, J.initial(), P, 1e-4, 5000)
    assert calls > 100 and calls < reads.n < 1.1 * calls
    with Reads() as reads:
        local, steps = _newton(J, theta, P, 1e-10, Solver())
    assert steps > 1 and 0 < reads.n <= 11 * steps + 6
    A = torch.diag(torch.logspace(-4, 0, 300))
    with Reads() as reads:
        _, iterations = fe.conjugate_gradient(lambda V: A @ V, torch.ones(300, 1))
    assert iterations > 100 and 0 < reads.n <= iterations / 4 + 8
    with Reads() as reads:
        path = fe.follow(J, local.theta.detach(), P, fe.Conserve(fe.classification), 0.3)
    assert len(path.points) > 10 and 0 < reads.n <= 60 * len(path.points)


def test_no_read_is_overlooked():
    """Nor counted twice, nor seen where there is none."""
    t, true = torch.arange(3.0), torch.tensor(True)
    for read in (
        t.tolist, t[0].item, t.cpu, t.numpy, t.nonzero, t.unique, true.__bool__,
        *(lambda f=f: f(t[0]) for f in (float, int, bool, str, np.asarray)),
        lambda: t.to("cpu"), lambda: t[t > 1], lambda: torch.tensor([t[0], t[1]]),
        lambda: range(torch.tensor(2)), lambda: torch.equal(t, t), lambda: t.add(t, alpha=t[1]),
    ):  # fmt: skip
        with Reads() as reads:
            read()
        assert reads.n == 1, read
    with Reads() as reads:
        t[t > 1] = 0.0
        torch.where(t.to(torch.float32).to(t.device) < t[0], t, 1 / t).index_select(0, t[:2].long())
        t.clone().requires_grad_().square().sum().backward()
    assert reads.n == 0


def test_a_newton_step_out_of_the_domain_is_shortened():
    """θ − 0.1 log θ: from θ = 1.05 Newton's step goes to −9, where J is NaN. (One evaluation leaves
    the rest to Newton.)
    """
    J = lambda theta, p: p[0] * (theta - 0.1 * theta.log()).sum()
    assert float(
        fe.minimise(J, torch.full((1,), 2.0), torch.ones(1), max_iterations=1).theta
    ) == pytest.approx(0.1)


def test_near_an_equilibrium_the_metric_of_A_saves_most_evaluations():
    """`follow` settles where `minimise` does, in less than half of the evaluations of J: soft
    directions are as easy as stiff ones.
    """
    x, y = fe.digits(60, classes=(0, 1, 2))
    model = fe.TopographicMap(x[:, 20:28].contiguous(), y, 3, grid=7, features=2, ridge=1e-2)
    calls = []

    def J(theta, p):
        calls.append(p)
        return model(theta, p)

    J.dense_hessian = model.dense_hessian
    start = fe.minimise(J, model.initial(), P).theta
    follower = fe.path._Follower(J, None, 1e-10, None, None)
    ends = []
    for settle in (
        lambda: fe.minimise(J, start, 1.02 * P),
        lambda: follower.settle(start, 1.02 * P),
    ):
        calls.clear()
        ends.append((settle().theta, len(calls)))
    (cold, many), (warm, few) = ends
    torch.testing.assert_close(warm, cold, rtol=0, atol=1e-7)
    assert few < 0.5 * many


@pytest.mark.parametrize("diagonal", [0.0, 1e-9])
def test_a_saddle_whose_hessian_has_hardly_a_diagonal_is_left(diagonal):
    """½ε‖θ‖² + θ₀θ₁ + ¼Σθ⁴ has its saddle at 0 and its minima at ±√(1 − ε)(1, −1)."""
    J = lambda th, p: 0.5 * diagonal * th.dot(th) + th[0] * th[1] + 0.25 * th.pow(4).sum()
    e = fe.minimise(J, torch.zeros(2), torch.ones(1))
    side = (1 - diagonal) ** 0.5
    assert e.theta.tolist() == pytest.approx([side, -side], abs=1e-9) or (
        e.theta.tolist() == pytest.approx([-side, side], abs=1e-9)
    )
    assert e.curvature == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize(
    "J", [lambda a: -a.sum(), lambda a: -a.square().sum(), lambda a: a.sqrt().sum()]
)
def test_no_minimum_is_said_in_words(J):
    with pytest.raises(ValueError, match="overflows or is unbounded below"):
        fe.minimise(
            lambda a, p: J(a) + 0 * p.sum(), torch.full((3,), 1e-3).double(), torch.ones(1).double()
        )
