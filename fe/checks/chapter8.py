"""Checks of chapter 8's exercises: brute force, linear programmes and properties, with a hint in every failure."""

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
