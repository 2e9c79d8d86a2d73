"""Checks of chapter 8's exercises: brute force, linear programmes and properties, with a hint in
every failure.
"""

import math
from itertools import permutations

import torch
from scipy.optimize import linprog

from ...transport import optimal_plan, squared_distances
from .answers import array, near, number, on_cpu, several

F64 = torch.float64


def _random(seed):
    return torch.Generator().manual_seed(seed)


def _hint(found, candidates, fallback, tol=1e-7):
    for value, words in candidates:
        if near(found, value, tol):
            raise AssertionError(words)
    raise AssertionError(fallback)


def _indices(value, name, n, hint=""):
    """n whole numbers, as a list."""
    j = array(
        value,
        name,
        (n,),
        hint or f": an index for each source, {n} in all; source k goes to target j[k]",
    )
    assert bool((j == j.round()).all()), (
        f"{name} must return an index for each source, whole numbers from 0 to {n - 1}; got "
        f"{j.tolist()[:4]}"
    )
    return [int(k) for k in j]


@on_cpu
def check_plan_1d(plan_1d):
    """`plan_1d(x, y)` -> j (n,) integers, x[k] goes to y[j[k]]; against all permutations of a few
    points, and for many against none.
    """
    draw = lambda seed, n: torch.randn(n, generator=_random(seed), dtype=F64)
    cases = [(draw(10 * seed, 6), draw(10 * seed + 1, 6)) for seed in range(4)]
    cases += [
        (draw(3, 1), draw(4, 1)),
        (draw(5, 5).sort().values, draw(6, 5) - 3),
        (draw(7, 60), 2 * draw(8, 60) + 1),
    ]
    cases += [
        (
            torch.tensor([2.0, 0.0, 2.0, 1.0, 0.0], dtype=F64),
            torch.tensor([1.0, 5.0, 1.0, -4.0, 1.0], dtype=F64),
        )
    ]  # ties: several plans are best
    for x, y in cases:
        n = len(x)
        j = _indices(plan_1d(x.clone(), y.clone()), "plan_1d", n)
        assert sorted(j) == list(range(n)), (
            f"every target must be used once: j has to be a permutation of 0 … {n - 1}"
        )
        cost = lambda order: float((x - y[list(order)]).square().sum())
        best = (
            min(map(cost, permutations(range(n))))
            if n <= 6
            else float((x.sort().values - y.sort().values).square().sum())
        )
        if cost(j) < best + 1e-9:
            continue
        if n <= 6 and abs(cost(j) - max(map(cost, permutations(range(n))))) < 1e-9:
            raise AssertionError(
                "this is the dearest plan: the smallest must go to the smallest, not to the largest"
            )
        if j == y.argsort()[x.argsort()].tolist():
            raise AssertionError(
                "argsort says who stands at a rank; you need the rank of each x: "
                "x.argsort().argsort()"
            )
        if j == y.argsort().tolist():
            raise AssertionError(
                "the targets are sorted and the sources are not: x[k] must go to the target of "
                "its own rank"
            )
        raise AssertionError(
            f"your plan costs {cost(j):.4f}, the best of all permutations {best:.4f}: equal ranks "
            "belong together"
        )
    return "right: no permutation is cheaper"


def _linear_programme(kappa, a, b):
    n, m = kappa.shape
    rows = [[float(k // m == i) for k in range(n * m)] for i in range(n)] + [
        [float(k % m == j) for k in range(n * m)] for j in range(m)
    ]
    return linprog(kappa.flatten().numpy(), A_eq=rows, b_eq=torch.cat([a, b]).numpy())


@on_cpu
def check_dual_bound(dual_bound):
    """`dual_bound(kappa, a, b, u)` -> a·u + b·v with v_j = min_i (κ_ij − u_i); against a linear
    programme.
    """
    for seed in range(4):
        g = _random(seed)
        n, m = ((4, 3), (4, 4), (2, 5), (6, 3))[seed]
        kappa = squared_distances(
            torch.randn(n, 2, generator=g, dtype=F64), torch.randn(m, 2, generator=g, dtype=F64)
        )
        if seed % 2:
            kappa = torch.randn(n, m, generator=g, dtype=F64)  # any cost will do, a gain too
        a, b = (torch.softmax(torch.randn(k, generator=g, dtype=F64), 0) for k in (n, m))
        solved = _linear_programme(kappa, a, b)
        best = torch.as_tensor(solved.eqlin.marginals[:n].copy())
        for u, tight in (
            (torch.randn(n, generator=g, dtype=F64), False),
            (torch.zeros(n, dtype=F64), False),
            (best, True),
        ):
            found, shifted = (
                number(dual_bound(kappa.clone(), a.clone(), b.clone(), u.clone()), "dual_bound"),
                kappa - u[:, None],
            )
            v = shifted.min(0).values
            want = float(a @ u + b @ v)
            if near(found, want, scale=float(kappa.abs().max() + 2 * u.abs().max())):
                continue
            _hint(
                found,
                (
                    (
                        float(u.sum() + v.sum()),
                        "the potentials are weighed with the masses: a·u + b·v, not plain sums",
                    ),
                    (
                        float(a @ u + b @ shifted.max(0).values),
                        "with the maximum over i the pair (u, v) is not feasible: take the minimum",
                    ),
                    (
                        float(a @ u + b @ kappa.min(0).values),
                        "u is missing in v: v_j = min_i (κ_ij − u_i)",
                    ),
                    (float(b @ v), "the sources' part a·u is missing"),
                    (
                        float(a @ u + b @ (kappa + u[:, None]).min(0).values),
                        "the sign of u in v is wrong: u_i + v_j ≤ κ_ij asks for v_j ≤ κ_ij − u_i",
                    ),
                    (
                        float(a @ u + b @ v.clamp(min=0)),
                        "v may be negative: a haulier may pay you at a delivery",
                    ),
                    (
                        solved.fun,
                        "this is the least cost itself: the bound asked for is the one that these "
                        "prices u allow",
                    ),
                    (
                        float(a @ (kappa - v).min(1).values + b @ v),
                        "you raise u as well: the bound asked for is the one with these prices u",
                    ),
                ),
                f"with the best u the bound must reach the least cost {solved.fun:.4f} (strong "
                f"duality), you have {found:.4f}"
                if tight
                else f"your bound {found:.4f} lies above the least cost {solved.fun:.4f}: it is "
                "no bound"
                if found > solved.fun + 1e-9
                else f"a bound, but not the best for this u: {want:.4f} can be had, you have "
                f"{found:.4f}",
            )
    return "right: a bound for every u, and tight for the best"


@on_cpu
def check_interpolate(interpolate):
    """`interpolate(xs, xt, plan, t)` -> x (K, D), w (K,); by its ends, its mean, and W₂ along the
    way.
    """
    for seed, (n, m, d) in enumerate(((5, 7, 2), (6, 3, 4), (4, 4, 1))):
        g = _random(8 + seed)
        xs, xt = (
            torch.randn(n, d, generator=g, dtype=F64),
            torch.randn(m, d, generator=g, dtype=F64) + 1,
        )
        a, b = (torch.softmax(torch.randn(k, generator=g, dtype=F64), 0) for k in (n, m))
        plan = optimal_plan(xs, xt, a, b)
        K = len(plan.i)
        for t in (0.0, 0.25, 0.5, 0.9, 1.0):
            answer = several(
                interpolate(xs, xt, plan, t),
                "interpolate",
                2,
                "two tensors, the images x (K, D) and their weights w (K,)",
            )
            each = f": one image and one weight for each pair of the plan, {K} of them"
            x, w = (
                array(answer[0], "interpolate", (K, d), each),
                array(answer[1], "interpolate", (K,), each),
            )
            want = (1 - t) * xs[plan.i] + t * xt[plan.j]
            if near(x, want) and near(w, plan.mass):
                continue
            assert not near(w, torch.full_like(w, 1 / K), 1e-6), (
                "the weights are the plan's masses, which are not equal here"
            )
            assert bool((w >= 0).all()) and near(w.sum(), 1.0, 1e-4), (
                f"the weights are the plan's masses, with sum 1; yours sum to {float(w.sum()):.4g}"
            )
            w = w / w.sum()
            mean = (1 - t) * (a @ xs) + t * (b @ xt)
            if t != 0.5 and near(w @ x, t * (a @ xs) + (1 - t) * (b @ xt), 1e-6):
                raise AssertionError("time runs backwards: t = 0 is the source")
            assert near(w @ x, mean, 1e-4), (
                "the mean image must go in a straight line from the source's to the target's: "
                "index both sets by the pairs (i, j)"
            )
            away, left, whole = (
                optimal_plan(xs, x, a, w).cost ** 0.5,
                optimal_plan(x, xt, w, b).cost ** 0.5,
                plan.cost**0.5,
            )
            assert (
                abs(away - t * whole) < 1e-3 and abs(left - (1 - t) * whole) < 1e-3
            ), (  # the pairs may stand in any order
                f"at t = {t} the distances to the ends must be t W₂ and (1 − t) W₂ "
                f"({t * whole:.4f}, {(1 - t) * whole:.4f}), you have {away:.4f}, {left:.4f}"
            )
    return "right: a straight line of constant speed in W₂"


@on_cpu
def check_by_hand(by_hand):
    """`by_hand()` -> j, u, v: a plan from 0, 1, 6 to 2, 3, 4 and prices that prove it; every plan
    and every inequality is tried.
    """
    answer = several(by_hand(), "by_hand", 3, "three triples, j, u and v")
    j = _indices(answer[0], "by_hand", 3, ": three triples, j, u and v")
    u, v = (array(k, "by_hand", (3,), ": three triples, j, u and v").tolist() for k in answer[1:])
    x, y = (0, 1, 6), (2, 3, 4)
    kappa = [[(a - b) ** 2 for b in y] for a in x]
    assert sorted(j) == [0, 1, 2], (
        f"j = {j} must use every target once; the targets are numbered 0, 1, 2"
    )
    best, bill = (
        min(sum(kappa[i][o[i]] for i in range(3)) for o in permutations(range(3))),
        sum(u) + sum(v),
    )
    mine = sum(kappa[i][j[i]] for i in range(3))
    assert mine == best, (
        f"your plan costs {mine}/3 and another one {best}/3: not the cheapest; the nearest first "
        "is not always the best start"
    )
    for i in range(3):
        for k in range(3):
            assert u[i] + v[k] <= kappa[i][k] + 1e-5, (
                f"the pair {x[i]} → {y[k]} costs {kappa[i][k]}, and your haulier asks "
                f"{u[i] + v[k]:g}: dearer than doing it yourself, so the prices prove nothing"
            )
    assert abs(bill - best) < 1e-5, (
        f"the prices are fair, but their bill is {bill:g}/3 and the plan costs {best}/3: raise "
        "them until u + v = κ on the three pairs"
    )
    return "right: a plan, and prices that no cheaper plan could pay"


@on_cpu
def check_least(least):
    """`least(t, W)` against a search over points between (and beyond) two single images at a
    distance W.
    """
    s = torch.linspace(-0.5, 1.5, 2001, dtype=F64)
    for t, W in (
        (0.2, 3.0),
        (0.5, 2.0),
        (0.8, 0.7),
        (0.0, 5.0),
        (1.0, 0.4),
        (0.37, 120.0),
        (0.999, 1e-3),
        (0.6, 0.0),
    ):
        found, truth = (
            number(least(t, W), "least"),
            float(((1 - t) * (s * W).abs() + t * (W - s * W).abs()).min()),
        )
        if near(found, truth, 1e-9 * max(W, 1)):
            continue
        _hint(
            found,
            (
                (t * (1 - t) * W, "t(1 − t) belongs to the problem with squares"),
                (t * (1 - t) * W**2, "this is the least value with squares"),
                (2 * t * (1 - t) * W, "this is the value on the road, at p_t; an end is cheaper"),
                (t * W, "this is the value at p = pˢ; beyond t = ½ the other end is cheaper"),
                ((1 - t) * W, "this is the value at p = pᵗ; before t = ½ the other end is cheaper"),
            ),
            f"t = {t}, W = {W}: a search over p finds {truth:.4g}, you have {found:.4g}; start "
            "from (1 − t)α + tβ with α + β ≥ W",
        )
    return "right: no p does better"


@on_cpu
def check_floor(floor):
    """`floor(t, q)` for a share q of soft labels (1 − t, t): the entropy, which no classifier of a
    search goes below; both ends too.
    """
    c = torch.linspace(0, 1, 200_001, dtype=F64)[1:-1]
    for t, q in (
        (0.5, 1.0),
        (0.25, 1.0),
        (0.1, 0.6),
        (0.9, 0.3),
        (0.3, 0.0),
        (1e-5, 1.0),
        (1 - 1e-6, 0.5),
        (0.0, 1.0),
        (1.0, 0.7),
        (0, 1),
        (1, 1),
    ):
        try:
            found = number(floor(t, q), "floor")
        except (ValueError, ZeroDivisionError):
            if 0 < t < 1:
                raise
            found = math.nan
        both = torch.tensor([t, 1 - t], dtype=F64)
        h, half = float(torch.special.entr(both).sum()), float(torch.special.entr(both)[0])
        if near(found, q * h, 1e-10, scale=max(q * h, 5e-3)):
            continue
        assert 0 < t < 1, (
            f"at t = {t:g} labels are hard and the floor is 0, you have {found}: mind 0 log 0 = 0"
        )
        _hint(
            found,
            (
                (
                    h,
                    "only the share q of the mass has a label in two parts; the rest has entropy 0",
                ),
                (q * h / math.log(2), "this is in bits; C is in nats, with the natural logarithm"),
                (q * math.log(2), "log 2 is the largest floor, at t = ½; here t is another"),
                (-q * h, "the sign is reversed: a loss is not negative"),
                (q * half, "both classes count: −t log t − (1 − t) log(1 − t)"),
            ),
            f"t = {t:g}, q = {q:g}: the floor is {q * h:.6g} (the best of 200,000 classifiers has "
            "C = "
            f"{q * float((-(1 - t) * (1 - c).log() - t * c.log()).min()):.6g}), you have "
            f"{found:.6g}",
            tol=1e-9,
        )
    return "right: no classifier is below, and the best is there"


@on_cpu
def check_sinkhorn(sinkhorn):
    """`sinkhorn(kappa, a, b, eps, steps)` -> Γ (n, m): its sums and its Gibbs form, and the plan
    itself where exp(−κ/ε) is zero or infinite.
    """
    import ot  # the chapter has it

    g = _random(4)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=F64)
    masses = lambda *sizes: [torch.softmax(draw(k), 0) for k in sizes]
    kappa, (a, b) = squared_distances(draw(5, 2), draw(7, 2) + 1), masses(5, 7)
    cases = [
        (kappa, a, b, 1.0, 500, None),
        (kappa + 30_000, a, b, 1.0, 500, None),
        (kappa - 30_000, a, b, 1.0, 500, None),
        (kappa, a, b, 50.0, 50, None),
    ]
    plan = torch.softmax(draw(4 * 3), 0).view(
        4, 3
    )  # a Gibbs law by construction: prices up to tens of thousands of ε
    cases.append(
        (
            20_000 * draw(4, 1) + 20_000 * draw(3) - plan.log(),
            plan.sum(1),
            plan.sum(0),
            1.0,
            500,
            plan,
        )
    )
    kappa, (a, b) = squared_distances(draw(4, 2), draw(5, 2) + 1), masses(4, 5)
    eps = float(kappa.max()) / 1000
    how = dict(method="sinkhorn_log", numItermax=10_000, stopThr=1e-9)
    cases.append((kappa, a, b, eps, 3000, ot.sinkhorn(a, b, kappa, eps, **how)))
    kappa = torch.tensor(
        [[0.0, 3, 2.5, 2.8], [3, 0, 2.8, 2.5], [3, 3, 0, 3], [3, 3, 3, 0]], dtype=F64
    )  # what the first two have left over goes to
    want = torch.diag(
        torch.full((4,), 5e-4, dtype=F64)
    )  # the last two, over pairs with e^(-25000), which is zero in extended precision too
    want[0, 2] = want[1, 3] = 0.499
    cases.append((kappa, want.sum(1), want.sum(0), 1e-4, 5000, want))
    for kappa, a, b, eps, steps, want in cases:
        ratio = float(kappa.abs().max()) / eps
        found = array(
            sinkhorn(kappa.clone(), a.clone(), b.clone(), eps, steps),
            "sinkhorn",
            tuple(kappa.shape),
            ": the plan Γ (n, m), not the prices",
        )
        single = bool((found.float() == found).all())
        tol = (
            1e-6 * max(30.0, ratio) if single else 1e-6
        )  # float32 keeps 7 digits of κ/ε, and so Γ has fewer
        close = lambda v, w: bool(((v - w).abs() < tol).all())
        if not bool(torch.isfinite(found).all()):
            raise AssertionError(
                f"NaN: where κ is {ratio:.0f} times ε, exp(−κ/ε) underflows to zero; keep u and "
                "v, and use torch.logsumexp"
            )
        for sums, mass, words in (
            (found.sum(0), b, "the columns do not sum to b"),
            (
                found.sum(1),
                a,
                "the rows do not sum to a: scale rows and columns in turn, not the rows once",
            ),
        ):
            if not close(sums, mass):
                more = (
                    f" (κ is up to {ratio:.0f} times ε here: does exp(−κ/ε) underflow?)"
                    if ratio > 300
                    else ""
                )
                raise AssertionError(
                    f"{words}, by up to {float((sums - mass).abs().max()):.2g}{more}"
                )
        if want is not None:
            assert close(found, want), (
                f"where κ is up to {ratio:.0f} times ε the plan is off by "
                f"{float((found - want).abs().max()):.2g}: "
                "exp(−κ/ε) underflows there; keep u and v, and use torch.logsumexp"
            )
        elif bool((found > 0).all()):
            rest = eps * found.log() + kappa
            rest = rest - rest.mean(0) - rest.mean(1, keepdim=True) + rest.mean()
            assert float(rest.abs().max()) < eps * (1e-2 if single else 1e-6), (
                "ε log Γ + κ is no sum u_i + v_j: Γ has not the form exp((u_i + v_j − κ_ij)/ε). "
                "Is ε where it belongs?"
            )
        else:
            raise AssertionError(
                "an entry of Γ is zero or negative: at this ε each source sends a little to every "
                "target"
            )
    return "right: the sums, and the form of a Gibbs law"
