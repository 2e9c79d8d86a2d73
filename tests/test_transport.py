"""Plans against independent solvers and closed forms; paths of tasks against what they promise;
every misuse refused.
"""

import math
import os
from pathlib import Path

import numpy as np
import ot
import pytest
import torch
from chapters import own
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog
from torchvision.datasets import MNIST

import fe
from fe.tasks import (
    Displacement,
    Mixture,
    TaskObjective,
    align_labels,
    plan_by_class,
    training_set,
)
from fe.transport import Plan, optimal_plan, squared_distances

pytestmark = pytest.mark.long

ROOT = Path(os.environ.get("FE_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_mnist = pytest.mark.skipif(
    not (ROOT / "MNIST" / "raw").exists(),
    reason=f"no MNIST under {ROOT} (set FE_DATA to its folder)",
)


sinkhorn = own("08", "sinkhorn_by_hand", torch=torch, math=math)
partners = own("08", "partners", torch=torch)


def random_sets(n, m, dim=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(k, generator=g) + 0.05 for k in (n, m))
    return (
        torch.randn(n, dim, generator=g),
        torch.randn(m, dim, generator=g),
        a / a.sum(),
        b / b.sum(),
    )


def least_cost(kappa, a, b):
    """Kantorovich's problem as a linear programme, by HiGHS: nothing in common with the network
    simplex.
    """
    n, m = kappa.shape
    rows = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    solved = linprog(kappa.flatten(), A_eq=rows, b_eq=np.concatenate([a, b]))
    assert solved.status == 0
    return solved.fun


def check_plan(plan, a, b, kappa):
    """Marginals, few pairs, the stated cost, a gap that closes."""
    n, m = kappa.shape
    assert len(plan.i) == len(plan.j) == len(plan.mass) <= n + m - 1 and bool((plan.mass > 0).all())
    torch.testing.assert_close(
        torch.zeros(n).index_add_(0, plan.i, plan.mass), a, rtol=0, atol=1e-12
    )
    torch.testing.assert_close(
        torch.zeros(m).index_add_(0, plan.j, plan.mass), b, rtol=0, atol=1e-12
    )
    assert plan.cost == pytest.approx(
        float(plan.mass @ kappa[plan.i, plan.j]), rel=1e-12, abs=1e-15
    )
    assert 0 <= plan.gap <= 1e-9 * max(plan.cost, float(kappa.mean()))


@pytest.mark.parametrize("n", [1, 2, 17, 150])
def test_equal_numbers_against_the_assignment_solver(n):
    x, y, _, _ = random_sets(n, n, seed=n)
    kappa = torch.cdist(x, y).square()
    plan = optimal_plan(x, y)
    i, j = linear_sum_assignment(kappa.numpy())
    assert plan.cost == pytest.approx(float(kappa[i, j].mean()), rel=1e-9)
    assert len(plan.i) == n and sorted(plan.i.tolist()) == sorted(plan.j.tolist()) == list(range(n))
    check_plan(plan, torch.full((n,), 1 / n), torch.full((n,), 1 / n), kappa)


@pytest.mark.parametrize("n, m", [(1, 5), (7, 12), (12, 7), (12, 12), (6, 9)])
def test_weighted_sets_against_a_linear_programme(n, m):
    x, y, a, b = random_sets(n, m, seed=n + m)
    kappa = torch.cdist(x, y).square()
    for weights in ((a, b), (None, None), (a, None)):
        u, v = (torch.full((k,), 1 / k) if w is None else w for w, k in zip(weights, (n, m)))
        plan = optimal_plan(x, y, *weights)
        assert plan.cost == pytest.approx(least_cost(kappa.numpy(), u.numpy(), v.numpy()), rel=1e-9)
        check_plan(plan, u, v, kappa)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.integers(0, 10**6), st.booleans()
)
def test_any_weighted_sets(n, m, dim, seed, lattice):
    """With ties too (points of a lattice): cost of the linear programme, marginals, a gap of zero,
    the distance's symmetry.
    """
    x, y, a, b = random_sets(n, m, dim, seed)
    if lattice:
        x, y = x.round(), y.round()
    kappa = torch.cdist(x, y).square()
    plan = optimal_plan(x, y, a, b)
    assert plan.cost == pytest.approx(
        least_cost(kappa.numpy(), a.numpy(), b.numpy()), rel=1e-9, abs=1e-12
    )
    check_plan(plan, a, b, kappa)
    assert optimal_plan(y, x, b, a).cost == pytest.approx(plan.cost, rel=1e-9, abs=1e-12)


def test_masses_that_fit_together_leave_no_dust():
    """150 thirds of a pair into 100 halves: no pair whose mass is a rounding error."""
    x, y, _, _ = random_sets(150, 100)
    plan = optimal_plan(x, y)
    assert float(plan.mass.min()) > 1e-3 and len(plan.i) < 249


def test_features_and_cost():
    x, y, a, b = random_sets(8, 6)
    f = lambda x: torch.stack([x[:, 0], 3 * x[:, 1].sin()], 1)
    kappa = torch.cdist(f(x), f(y)).square()
    by_features, by_cost = optimal_plan(f(x), f(y), a, b), optimal_plan(x, y, a, b, cost=kappa)
    assert by_features.cost == pytest.approx(by_cost.cost, rel=1e-12)
    assert by_cost.cost == pytest.approx(least_cost(kappa.numpy(), a.numpy(), b.numpy()), rel=1e-9)
    wide = torch.randn(6, 5)
    assert optimal_plan(x, wide, cost=torch.zeros(8, 6)).cost == 0
    torch.testing.assert_close(
        squared_distances(x + 1e6, y + 1e6), torch.cdist(x, y).square(), rtol=0, atol=1e-7
    )  # centred: no cancellation
    assert optimal_plan(x.float(), y.float()).mass.dtype == torch.float32


def test_gaussians_within_sampling_error():
    """W₂² of 300 points of each law against ‖Δμ‖² + tr(Σ + Σ') − 2 tr(Σ^½ Σ' Σ^½)^½, diagonal
    covariances.

    The mean of twenty draws within five of its standard errors: one or two are what 300 points are
    too dear by, the rest is chance.
    """
    mean, s, r = torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.5]), torch.tensor([0.6, 1.5])
    closed = float(mean.square().sum() + (s - r).square().sum())
    costs = torch.tensor(
        [
            optimal_plan(torch.randn(300, 2) * s, mean + torch.randn(300, 2) * r).cost
            for _ in range(20)
        ]
    )
    assert abs(float(costs.mean()) - closed) < 5 * float(costs.std()) / 20**0.5 < 0.1 * closed


def test_sinkhorn_tends_to_the_exact_plan():
    """Chapter 8's own: cost and partners fall with the blur, and the duality gap of its u bounds
    the excess; POT finds the same plan.
    """
    x, y, _, _ = random_sets(30, 30)
    exact, kappa = optimal_plan(x, y), squared_distances(x, y)
    mean, costs, spread = float(kappa.mean()), [], []
    for blur in (1.0, 0.3, 0.1, 0.03):
        gamma, u, _ = sinkhorn(kappa, blur * mean)
        for sums in (gamma.sum(0), gamma.sum(1)):
            torch.testing.assert_close(sums, torch.full((30,), 1 / 30), rtol=0, atol=1e-8)
        costs.append(float((gamma * kappa).sum()))
        spread.append(partners(gamma))
        gap = costs[-1] - float(u.mean() + (kappa - u[:, None]).min(0).values.mean())
        excess = costs[-1] - exact.cost
        assert -1e-9 <= excess <= gap + 1e-9
        assert excess <= blur * mean * math.log(30)
        if blur == 0.1:
            mass = torch.full((30,), 1 / 30)
            theirs = ot.sinkhorn(mass, mass, kappa, blur * mean, method="sinkhorn_log")
            torch.testing.assert_close(gamma, theirs, rtol=0, atol=1e-7)
    assert costs == sorted(costs, reverse=True) and spread == sorted(spread, reverse=True)
    assert costs[-1] < 1.06 * exact.cost and spread[-1] > 1
    wide = sinkhorn(kappa, 1e4 * mean)[0]  # the independent plan
    assert partners(wide) == pytest.approx(30, rel=1e-3)


def test_partners_of_known_plans():
    assert partners(torch.eye(4) / 4) == pytest.approx(1)
    assert partners(torch.full((4, 3), 1 / 12)) == pytest.approx(3)


def test_a_solver_that_stops_early_raises():
    x, y, a, b = random_sets(60, 60)
    with pytest.raises(fe.NotConverged, match="max_iterations"):
        optimal_plan(x, y, a, b, max_iterations=20)


def test_bad_input_is_refused():
    x, y, a, b = random_sets(5, 4)
    broken = x.clone()
    broken[2, 1] = math.nan
    for error, match, call in [
        (ValueError, "source_weights .* sum", lambda: optimal_plan(x, y, 2 * a, b)),
        (
            ValueError,
            "target_weights",
            lambda: optimal_plan(x, y, a, torch.tensor([1.5, -0.5, 0.0, 0.0])),
        ),
        (ValueError, "target_weights", lambda: optimal_plan(x, y, a, torch.full((4,), math.nan))),
        (ValueError, "source_weights", lambda: optimal_plan(x, y, b, a)),
        (ValueError, "source: x has 1 NaN", lambda: optimal_plan(broken, y)),
        (ValueError, "target: x has 1 NaN", lambda: optimal_plan(y, broken)),
        (
            ValueError,
            "target: x must have shape .N, D., got .0, 3.",
            lambda: optimal_plan(x, y[:0]),
        ),
        (
            ValueError,
            "as many pixels as source, must have shape .m, 3.",
            lambda: optimal_plan(x, y[:, :2]),
        ),
        (
            ValueError,
            r"cost must have shape \(5, 4\)",
            lambda: optimal_plan(x, y, cost=torch.zeros(4, 5)),
        ),
        (
            ValueError,
            "cost has 20 NaN",
            lambda: optimal_plan(x, y, cost=torch.full((5, 4), math.inf)),
        ),
        (ValueError, "flatten", lambda: optimal_plan(x[None], y)),
        (TypeError, "source: x must be a floating", lambda: optimal_plan(x.long(), y)),
    ]:
        with pytest.raises(error, match=match):
            call()


@needs_mnist
def test_two_thousand_mnist_images_to_two_thousand():
    """0–4 to 5–9, against scipy's assignment solver on its own matrix of distances."""
    mnist = MNIST(str(ROOT))
    x, y = mnist.data.flatten(1).float() / 255, mnist.targets
    source, target = x[y < 5][:2000].double(), x[y >= 5][:2000].double()
    plan = optimal_plan(source, target)
    assert len(plan.i) == 2000 and plan.gap <= 1e-9 * plan.cost
    a, b = source.numpy(), target.numpy()
    kappa = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    i, j = linear_sum_assignment(kappa)
    assert plan.cost == pytest.approx(float(((a[i] - b[j]) ** 2).sum(1).mean()), rel=1e-9)


@pytest.fixture(scope="module")
def digits():
    torch.set_default_dtype(torch.float64)
    return fe.digits(40, classes=range(3)), fe.digits(50, classes=range(3, 6))


def same_distribution(x, w, images, weights=None):
    return optimal_plan(x, images, w, weights).cost < 1e-12


def test_displacement_is_a_geodesic_of_constant_speed(digits):
    """W₂(p_s, p_t) = |t − s| W₂ by new plans; it minimises (1 − t)W₂² + tW₂² among itself, other
    times and the mixture.
    """
    source, target = digits
    plan = optimal_plan(source[0], target[0])
    task = Displacement(source, target, plan)
    at = {t: task.at(t) for t in (0.0, 0.2, 0.5, 0.9, 1.0)}
    assert same_distribution(at[0.0][0], at[0.0][2], source[0]) and same_distribution(
        at[1.0][0], at[1.0][2], target[0]
    )
    distance = lambda p, q: optimal_plan(p[0], q[0], p[2], q[2]).cost
    for s in at:
        for t in at:
            assert distance(at[s], at[t]) == pytest.approx(
                (t - s) ** 2 * plan.cost, rel=1e-9, abs=1e-12
            )
    value = lambda p, t: (1 - t) * distance(at[0.0], p) + t * distance(p, at[1.0])
    for t in (0.2, 0.5):
        least = value(task.at(t), t)
        assert least == pytest.approx(t * (1 - t) * plan.cost, rel=1e-9)
        assert min(value(task.at(t + 0.1), t), value(Mixture(source, target).at(t), t)) > least * (
            1 + 1e-6
        )


def test_displacement_times_and_plans_are_checked(digits):
    source, target = digits
    plan = optimal_plan(source[0], target[0])
    task = Displacement(source, target, plan)
    for t in (-0.1, 1.1, math.nan):
        for f in (task.at, task.label_entropy, lambda t: training_set(task, t, 5)):
            with pytest.raises(ValueError, match="between 0"):
                f(t)
    few = (source[0][:10], source[1][:10])
    with pytest.raises(ValueError, match="not of these 10 and"):
        Displacement(few, target, plan)
    with pytest.raises(ValueError, match="0 pairs"):
        Displacement(source, target, Plan(plan.i[:0], plan.j[:0], plan.mass[:0], 0.0, 0.0))
    with pytest.raises(ValueError, match="target images, as the source's"):
        Displacement(source, (target[0][:, :9], target[1]), plan)


def test_labels_on_the_way(digits):
    source, target = digits
    plan = optimal_plan(source[0], target[0])
    both = Displacement(source, target, plan)
    x, y, w = both.at(0.25)
    assert y.shape == (len(plan.i), 6)
    torch.testing.assert_close(y.sum(1), torch.ones(len(y)))
    torch.testing.assert_close(
        y[torch.arange(len(y)), source[1][plan.i]], torch.full((len(y),), 0.75)
    )
    for t in (0.0, 0.3, 0.5, 1.0):
        h = -sum(q * math.log(q) for q in (t, 1 - t) if q)
        assert both.label_entropy(t) == pytest.approx(h, abs=1e-15)  # no label is shared
        _, y, w = both.at(t)
        assert float(w @ torch.special.entr(y).sum(1)) == pytest.approx(h, abs=1e-12)
    overlapping = Displacement(
        source, (target[0], target[1] - 2), plan
    )  # 0–2 to 1–3: some labels stay
    share = float(plan.mass @ (source[1][plan.i] != target[1][plan.j] - 2).double())
    assert 0 < share < 1 and overlapping.label_entropy(0.5) == pytest.approx(share * math.log(2))


def test_label_entropy_is_a_floor_under_C(digits):
    """C ≥ E H(y) for a fitted map and for random ones; and the Gibbs encoder, which sees the label,
    is no exception.
    """
    source, target = digits
    task = Displacement(source, target, optimal_plan(source[0], target[0]), n_classes=6)
    J = TaskObjective(fe.TopographicMap(*source, 6, grid=7, features=2, ridge=1e-2), task)
    q = torch.tensor([1.0, 20.0, 0.5])
    start = J.at(q[2]).initial()
    fitted = fe.minimise(J, start, q).theta
    for theta in (fitted, torch.randn(len(start)), 10 * torch.randn(len(start))):
        assert float(fe.functionals(J.at(q[2]), theta, q[:2]).classification) > task.label_entropy(
            0.5
        )
    assert float(fe.functionals(J.at(q[2]), fitted, q[:2]).classification) < 3 * math.log(2)


def test_displacement_samples_are_repeatable_and_fair(digits):
    source, target = digits
    task = Displacement(source, target, optimal_plan(source[0], target[0]))
    x, y = training_set(task, 0.3, 400, seed=5)
    again = training_set(task, 0.3, 400, seed=5)
    assert (
        torch.equal(x, again[0])
        and torch.equal(y, again[1])
        and not torch.equal(x, training_set(task, 0.3, 400, seed=6)[0])
    )
    images, _, w = task.at(0.3)
    count = torch.zeros(len(w)).index_add_(
        0, squared_distances(x, images).argmin(1), torch.ones(400)
    )
    assert (
        float((count - 400 * w).abs().max()) < 1 + 1e-9
    )  # systematic sampling: each pair floor or ceiling of its share
    late = training_set(task, 0.7, 400, seed=5)[0]  # the same pairs, further on
    first, last = (training_set(task, t, 400, seed=5)[0] for t in (0.0, 1.0))
    torch.testing.assert_close(late, first * 0.3 + last * 0.7)


def test_mixture_weights_and_nested_samples(digits):
    source, target = digits
    task = Mixture(source, target)
    x, y, w = task.at(0.3)
    assert torch.equal(x, torch.cat([source[0], target[0]])) and torch.equal(
        y, torch.cat([source[1], target[1]])
    )
    torch.testing.assert_close(
        w, torch.cat([torch.full((40,), 0.7 / 40), torch.full((50,), 0.3 / 50)])
    )
    n, previous = 200, None
    for t in (0.0, 0.12, 0.5, 0.501, 1.0):
        images, labels = task.sample(t, n, seed=3)
        new = labels >= 3
        assert abs(float(new.double().mean()) - t) <= 1 / n
        if previous is not None:
            t0, before, was = previous
            changed = (images != before).any(1)
            assert not bool((changed & ~(new & ~was)).any()) and not bool(
                (was & ~new).any()
            )  # only slots that turn into targets
            assert int(changed.sum()) <= (t - t0) * n + 1
        previous = t, images, new
    for t in (-0.01, 1.01):
        with pytest.raises(ValueError, match="between 0"):
            task.at(t)
    for bad in (
        (source, (target[0], -target[1])),
        (source, (target[0][:, :5], target[1])),
        (source, (target[0], target[1][:3])),
    ):
        with pytest.raises(ValueError):
            Mixture(*bad)


def test_align_labels(digits):
    source, target = digits
    y, names, cost = align_labels(source, target)
    assert (
        sorted(names) == [3, 4, 5] and sorted(names.values()) == [0, 1, 2] and cost.shape == (3, 3)
    )
    assert all(names[int(old)] == int(new) for old, new in zip(target[1], y))
    chosen = sum(float(cost[new, old - 3]) for old, new in names.items())
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    assert chosen == pytest.approx(
        min(sum(float(cost[r, c]) for r, c in enumerate(order)) for order in orders)
    )
    moved = (source[0] + 0.01, (source[1] + 1) % 3 + 7)  # the same images under other names
    assert align_labels(source, moved)[1] == {8: 0, 9: 1, 7: 2}
    with pytest.raises(ValueError, match="cannot be paired"):
        align_labels(source, (target[0], target[1].clamp(max=4)))


def test_plan_by_class(digits):
    source, target = digits
    y, names, _ = align_labels(source, target)
    free, kept = optimal_plan(source[0], target[0]), plan_by_class(source, (target[0], y))
    assert torch.equal(source[1][kept.i], y[kept.j]) and float(kept.mass.sum()) == pytest.approx(1)
    torch.testing.assert_close(
        torch.zeros(40).index_add_(0, kept.i, kept.mass), torch.full((40,), 1 / 40)
    )
    for c in range(
        3
    ):  # classes weighed as in the source, images equally within a class of the target
        arrived = torch.zeros(50).index_add_(0, kept.j, kept.mass)[y == c]
        torch.testing.assert_close(
            arrived,
            torch.full_like(arrived, float((source[1] == c).double().mean()) / len(arrived)),
        )
    assert (
        kept.cost
        == pytest.approx(float(kept.mass @ squared_distances(source[0], target[0])[kept.i, kept.j]))
        and 0 <= kept.gap < 1e-9
    )
    same = torch.full((40,), 0), torch.full((50,), 0)
    assert plan_by_class((source[0], same[0]), (target[0], same[1])).cost == pytest.approx(
        free.cost
    )  # one class: no constraint
    task = Displacement(source, (target[0], y), kept)
    assert task.label_entropy(0.5) == 0 and task.at(0.5)[1].dtype == torch.int64
    with pytest.raises(ValueError, match="every class needs a partner"):
        plan_by_class(source, target)


def test_response_to_t_on_a_moving_set(digits):
    """θ_t and F_t where images and labels both move, against models equilibrated anew at t ± h."""
    source, target = digits
    task = Displacement(source, target, optimal_plan(source[0], target[0]), n_classes=6)
    J = TaskObjective(fe.TopographicMap(*source, 6, grid=7, features=2, ridge=1e-2), task)
    q, h = torch.tensor([0.5, 4.0, 0.3]), torch.tensor([0.0, 0.0, 1e-3])
    here = fe.minimise(J, J.at(q[2]).initial(), q)
    response = fe.linear_response(J, here.theta, q)
    up, down = (fe.minimise(J, here.theta, q + s * h) for s in (1, -1))
    theta_t = (up.theta - down.theta) / 2e-3
    assert (
        float((response.theta_p[:, 2] - theta_t).norm() / theta_t.norm()) < 1e-4
    )  # h² = 1e-6, times curvature of the path
    assert float(response.gradient[2]) == pytest.approx((up.value - down.value) / 2e-3, rel=1e-4)
