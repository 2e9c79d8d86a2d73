"""Checks of chapter 8's exercises: brute force, linear programmes and properties, with a hint in every failure."""

import math
from itertools import permutations

import torch
from scipy.optimize import linprog

from ..transport import optimal_plan, squared_distances

F64 = torch.float64


def _random(seed):
    return torch.Generator().manual_seed(seed)


def check_plan_1d(plan_1d):
    """`plan_1d(x, y)` -> j (n,) int64, x[k] goes to y[j[k]]; against all permutations of six points."""
    for seed in range(4):
        x, y = (torch.randn(6, generator=_random(10 * seed + k), dtype=F64) for k in range(2))
        j = plan_1d(x, y)
        assert j is not None, "plan_1d returned None: the stub is still empty"
        assert isinstance(j, torch.Tensor) and j.shape == (6,) and not j.is_floating_point(), "return an index tensor j (n,): x[k] goes to y[j[k]]"
        assert sorted(j.tolist()) == list(range(6)), "every target must be used once: j has to be a permutation"
        cost = lambda j: float((x - y[torch.as_tensor(j)]).square().sum())
        best = min(cost(order) for order in permutations(range(6)))
        if abs(cost(j) - max(cost(order) for order in permutations(range(6)))) < 1e-9:
            raise AssertionError("this is the dearest plan: the smallest must go to the smallest, not to the largest")
        if torch.equal(j, y.argsort()[x.argsort()]):
            raise AssertionError("argsort says who stands at a rank; you need the rank of each x: x.argsort().argsort()")
        if torch.equal(j, y.argsort()):
            raise AssertionError("the targets are sorted and the sources are not: x[k] must go to the target of its own rank")
        assert cost(j) < best + 1e-9, f"your plan costs {cost(j):.4f}, the best of all 720 permutations {best:.4f}: equal ranks belong together"
    return "right: no permutation is cheaper"


def _least_cost(kappa, a, b):
    n, m = kappa.shape
    rows = [[float(k // m == i) for k in range(n * m)] for i in range(n)] + [[float(k % m == j) for k in range(n * m)] for j in range(m)]
    return linprog(kappa.flatten().numpy(), A_eq=rows, b_eq=torch.cat([a, b]).numpy())


def check_dual_bound(dual_bound):
    """`dual_bound(kappa, a, b, u)` -> a·u + b·v with v_j = min_i (κ_ij − u_i); against a linear programme."""
    for seed in range(3):
        g = _random(seed)
        n, m = 4, 3 + seed
        kappa = squared_distances(torch.randn(n, 2, generator=g, dtype=F64), torch.randn(m, 2, generator=g, dtype=F64))
        a, b = (torch.softmax(torch.randn(k, generator=g, dtype=F64), 0) for k in (n, m))
        solved = _least_cost(kappa, a, b)
        for u, tight in ((torch.randn(n, generator=g, dtype=F64), False), (torch.as_tensor(solved.eqlin.marginals[:n].copy()), True)):
            got = dual_bound(kappa, a, b, u)
            assert got is not None, "dual_bound returned None: the stub is still empty"
            got, shifted = float(got), kappa - u[:, None]
            v = shifted.min(0).values
            want = float(a @ u + b @ v)
            for value, why in ((float(u.sum() + v.sum()), "the potentials are weighed with the masses: a·u + b·v, not plain sums"),
                               (float(a @ u + b @ shifted.max(0).values), "with the maximum over i the pair (u, v) is not feasible: take the minimum"),
                               (float(a @ u + b @ kappa.min(0).values), "u is missing in v: v_j = min_i (κ_ij − u_i)"),
                               (float(b @ v), "the sources' part a·u is missing"),
                               (float(a @ u + b @ (kappa + u[:, None]).min(0).values), "the sign of u in v is wrong: u_i + v_j ≤ κ_ij asks for v_j ≤ κ_ij − u_i")):
                assert abs(got - want) < 1e-9 or abs(got - value) > 1e-9, why
            assert got <= solved.fun + 1e-9, f"your bound {got:.4f} lies above the least cost {solved.fun:.4f}: it is no bound"
            assert not tight or abs(got - solved.fun) < 1e-8, "with the best u the bound must reach the least cost: strong duality"
            assert abs(got - want) < 1e-9, f"a bound, but not the best for this u: {want:.4f} can be had, you have {got:.4f}"
    return "right: a bound for every u, and tight for the best"


def check_interpolate(interpolate):
    """`interpolate(xs, xt, plan, t)` -> x (K, D), w (K,); by its ends, its mean, and W₂ along the way."""
    g = _random(8)
    xs, xt = torch.randn(5, 2, generator=g, dtype=F64), torch.randn(7, 2, generator=g, dtype=F64) + 1
    a, b = (torch.softmax(torch.randn(k, generator=g, dtype=F64), 0) for k in (5, 7))
    plan = optimal_plan(xs, xt, a, b)
    for t in (0.0, 0.25, 0.5, 1.0):
        answer = interpolate(xs, xt, plan, t)
        assert isinstance(answer, tuple) and len(answer) == 2, "return two tensors: the images x (K, D) and their weights w (K,)"
        x, w = answer
        assert x.shape == (len(plan.i), 2) and w.shape == (len(plan.i),), f"one image and one weight a pair of the plan, {len(plan.i)} of them; got {tuple(x.shape)} and {tuple(w.shape)}"
        assert not torch.allclose(w, torch.full_like(w, 1 / len(w))), "the weights are the plan's masses, which are not equal here"
        mean = (1 - t) * (a @ xs) + t * (b @ xt)
        if t != 0.5 and torch.allclose(w @ x, t * (a @ xs) + (1 - t) * (b @ xt)):
            raise AssertionError("time runs backwards: t = 0 is the source")
        assert torch.allclose(w @ x, mean), "the mean image must go in a straight line from the source's to the target's: index both sets by the pairs (i, j)"
        away, left = optimal_plan(xs, x, a, w).cost ** 0.5, optimal_plan(x, xt, w, b).cost ** 0.5
        whole = plan.cost**0.5
        assert abs(away - t * whole) < 1e-7 and abs(left - (1 - t) * whole) < 1e-7, (
            f"at t = {t} the distances to the ends must be t W₂ and (1 − t) W₂ ({t * whole:.4f}, {(1 - t) * whole:.4f}), you have {away:.4f}, {left:.4f}")
    return "right: a straight line of constant speed in W₂"


def check_by_hand(by_hand):
    """`by_hand()` -> j, u, v: a plan from 0, 1, 6 to 2, 3, 4 and prices that prove it; every plan and every inequality is tried."""
    answer = by_hand()
    assert answer is not None, "by_hand returned None: the stub is still empty"
    assert isinstance(answer, (tuple, list)) and [len(v) if hasattr(v, "__len__") else 1 for v in answer] == [3, 3, 3], "return three triples: j, u and v"
    j, u, v = [int(k) for k in answer[0]], [float(k) for k in answer[1]], [float(k) for k in answer[2]]
    x, y = (0, 1, 6), (2, 3, 4)
    kappa = [[(a - b) ** 2 for b in y] for a in x]
    assert sorted(j) == [0, 1, 2], f"j = {j} must use every target once; the targets are numbered 0, 1, 2"
    best, bill = min(sum(kappa[i][o[i]] for i in range(3)) for o in permutations(range(3))), sum(u) + sum(v)
    mine = sum(kappa[i][j[i]] for i in range(3))
    assert mine == best, f"your plan costs {mine}/3 and another one {best}/3: not the cheapest; the nearest first is not always the best start"
    for i in range(3):
        for k in range(3):
            assert u[i] + v[k] <= kappa[i][k] + 1e-9, (
                f"the pair {x[i]} → {y[k]} costs {kappa[i][k]}, and your haulier asks {u[i] + v[k]:g}: dearer than doing it yourself, so the prices prove nothing")
    assert abs(bill - best) < 1e-9, f"the prices are fair, but their bill is {bill:g}/3 and the plan costs {best}/3: raise them until u + v = κ on the three pairs"
    return "right: a plan, and prices that no cheaper plan could pay"


def check_least(least):
    """`least(t, W)` against a search over points between (and beyond) two single images at a distance W."""
    s = torch.linspace(-0.5, 1.5, 2001, dtype=F64)
    for t, W in ((0.2, 3.0), (0.5, 2.0), (0.8, 0.7)):
        found = least(t, W)
        assert found is not None, "least returned None: the stub is still empty"
        found, truth = float(found), float(((1 - t) * (s * W).abs() + t * (W - s * W).abs()).min())
        for value, why in ((t * (1 - t) * W, "t(1 − t) belongs to the problem with squares"), (t * (1 - t) * W**2, "this is the least value with squares"),
                           (2 * t * (1 - t) * W, "this is the value on the road, at p_t; an end is cheaper"),
                           (max(t, 1 - t) * W, "this is the value at the farther end: take the nearer one")):
            assert abs(found - truth) < 1e-9 or abs(found - value) > 1e-9, why
        assert abs(found - truth) < 1e-9, f"t = {t}, W = {W}: a search over p finds {truth:.4f}, you have {found:.4f}; start from (1 − t)α + tβ with α + β ≥ W"
    return "right: no p does better"


def check_floor(floor):
    """`floor(t, q)` against the best classifier found by search, for a share q of soft labels (1 − t, t)."""
    c = torch.linspace(0, 1, 200_001, dtype=F64)[1:-1]
    for t, q in ((0.5, 1.0), (0.25, 1.0), (0.1, 0.6), (0.9, 0.3)):
        found = floor(t, q)
        assert found is not None, "floor returned None: the stub is still empty"
        found, h = float(found), float((-(1 - t) * (1 - c).log() - t * c.log()).min())
        for value, why in ((h, "only the share q of the mass has a label in two parts; the rest has entropy 0"), (q * h / math.log(2), "this is in bits; C is in nats, with the natural logarithm"),
                           (q * math.log(2), "log 2 is the largest floor, at t = ½; here t is another"), (-q * h, "the sign is reversed: a loss is not negative"),
                           (q * -t * math.log(t), "both classes count: −t log t − (1 − t) log(1 − t)")):
            assert abs(found - q * h) < 1e-6 or abs(found - value) > 1e-6, why
        assert abs(found - q * h) < 1e-6, f"t = {t}, q = {q}: the best of 200,000 classifiers has C = {q * h:.4f}, you have {found:.4f}"
    for t in (0.0, 1.0):
        try:
            end = float(floor(t, 1.0))
        except (ValueError, ZeroDivisionError):
            end = math.nan
        assert end == 0.0, f"at t = {t:g} labels are hard and the floor is 0, you have {end}: mind 0 log 0 = 0"
    return "right: no classifier is below, and the best is there"


def check_sinkhorn(sinkhorn):
    """`sinkhorn(kappa, a, b, eps, steps)` -> Γ (n, m), by its sums, its Gibbs form, and a temperature at which exp(−κ/ε) is zero."""
    g = _random(4)
    kappa = squared_distances(torch.randn(5, 2, generator=g, dtype=F64), torch.randn(7, 2, generator=g, dtype=F64) + 1)
    a, b = (torch.softmax(torch.randn(k, generator=g, dtype=F64), 0) for k in (5, 7))
    for eps, steps, shift in ((1.0, 2000, 0.0), (1.0, 200, 2000.0)):
        plan = sinkhorn(kappa + shift, a, b, eps, steps)
        assert plan is not None, "sinkhorn returned None: the stub is still empty"
        assert isinstance(plan, torch.Tensor) and plan.shape == (5, 7), "return the plan Γ (n, m)"
        assert bool(torch.isfinite(plan).all()), "NaN: at a small ε exp(−κ/ε) underflows to zero; keep u and v, and use torch.logsumexp"
        assert float((plan.sum(0) - b).abs().max()) < 1e-6, "the columns do not sum to b"
        assert float((plan.sum(1) - a).abs().max()) < 1e-6, "the rows do not sum to a: scale rows and columns in turn, not the rows once"
        rest = eps * plan.log() + kappa
        rest = rest - rest.mean(0) - rest.mean(1, keepdim=True) + rest.mean()
        assert float(rest.abs().max()) < 1e-6, "ε log Γ + κ is no sum u_i + v_j: Γ has not the form exp((u_i + v_j − κ_ij)/ε). Is ε where it belongs?"
    return "right: the sums, and the form of a Gibbs law"
