"""Checks of chapter 6's exercises: they use problems with known answers and say what a failure points to."""

import math

import torch

from ..linear_gaussian import LinearGaussian


def _hessians(seed, n=20):
    g = torch.Generator().manual_seed(seed)
    for _ in range(n):
        root = torch.randn(2, 2, generator=g, dtype=torch.float64)
        yield -root @ root.T - 0.1 * torch.eye(2, dtype=torch.float64)


def _two(v, what):
    if v is None:
        raise AssertionError(f"nothing was returned: the stub is not filled in; return two numbers, {what}")
    assert isinstance(v, (tuple, list, torch.Tensor)) and len(v) == 2, f"return two numbers, {what}"
    return torch.stack([torch.as_tensor(q, dtype=torch.float64) for q in v])


def check_hold_distortion(hold_distortion):
    """`hold_distortion(hess, alpha)` on random negative definite Hess F: D still, γ rising, C falling at α det Hess F."""
    for hess in _hessians(1):
        v = _two(hold_distortion(hess, 0.7), "λ̇ and γ̇")
        size = float(hess.norm() * v.norm())
        assert size > 0, "this velocity is zero: nothing moves"
        if abs(float(hess[1] @ v)) < 1e-9 * size:
            raise AssertionError("this holds C, as in the text; D is the first row of Hess F, (F_λλ, F_λγ)")
        if abs(float(hess[0] @ v)) > 1e-9 * size:
            raise AssertionError(f"D moves: Ḋ = {float(hess[0] @ v):.3g}. λ̇ takes F_λγ and γ̇ takes −F_λλ; are they swapped, or a sign?")
        if v[1] < 0:
            raise AssertionError("D is held, but γ falls: F_λλ is negative, so γ̇ = −αF_λλ needs its minus")
        want = -0.7 * float(torch.linalg.det(hess))
        assert abs(float(hess[1] @ v) - want) < 1e-9 * abs(want), f"Ċ must be −α det Hess F = {want:.4g}, you have {float(hess[1] @ v):.4g}: is the speed right?"
    return "right: Ḋ = 0, γ̇ > 0, Ċ = −α det Hess F < 0"


def check_work(work):
    """`work(lam, gam, D, C)` along paths of equilibria of a model with a closed form, against F at the two ends."""
    c = 0.5 * 0.5**0.5
    model = LinearGaussian(torch.tensor([[1, 0, 0], [0, 0.5, c], [0, c, 1]], dtype=torch.float64), dim_x=2, k=1)
    t = torch.linspace(0, 1, 400, dtype=torch.float64)
    for lam, gam in ((0.4 + 1.6 * t, 4 + 0 * t), (0.4 + 0 * t, 4 + 6 * t), (0.4 + 1.6 * t**2, 4 - 2 * torch.sin(3 * t))):
        states = torch.stack([lam, gam], 1)
        D, C, F = (torch.stack([f(p) for p in states]) for f in (model.distortion, model.classification, model.free_energy))
        got, want = work(lam, gam, D, C), float(F[-1] - F[0])
        assert got is not None, "work returned None: the stub is not filled in"
        got = float(got)
        if abs(got - want) < 1e-4 * abs(want):  # the trapezoid's error, of order 1/400²; one end alone: 1/400
            continue
        mean = lambda v: (v[1:] + v[:-1]) / 2
        hints = {float((D[:-1] * lam.diff() + C[:-1] * gam.diff()).sum()): "the left end of each step alone is wrong at first order: take the mean of both ends",
                 float((D[1:] * lam.diff() + C[1:] * gam.diff()).sum()): "the right end of each step alone is wrong at first order: take the mean of both ends",
                 float((mean(lam) * D.diff() + mean(gam) * C.diff()).sum()): "this is ∫ λ dD + γ dC, which is −ΔR by the first law; prices move, D and C stand before them",
                 float((mean(D) * lam.diff()).sum()): "the part of γ is missing", float((mean(C) * gam.diff()).sum()): "the part of λ is missing",
                 -want: "the sign: end minus start"}
        why = next((hint for value, hint in hints.items() if abs(got - value) <= 1e-4 * abs(value)), "½(D_k + D_{k+1})(λ_{k+1} − λ_k), and the same with C and γ")
        raise AssertionError(f"F rises by {want:.5f} and you find {got:.5f}: {why}")
    return "right: the work along three paths is the difference of F at their ends"


def check_euler_drift(euler_drift):
    """`euler_drift(C_p, C_pp, h)` against one Euler step on a C(λ, γ) that is given: their ratio must tend to 1 with h."""
    C = lambda p: torch.exp(-0.3 * p[1]) * (1 + 0.5 * p[0] ** 2) + 0.1 * p[0] * p[1]
    p = torch.tensor([0.6, 1.7], dtype=torch.float64)
    grad, second = torch.func.grad(C)(p), torch.func.jacrev(torch.func.grad(C))(p)
    slope = -grad[0] / grad[1]
    for h in (1e-2, 1e-3):
        want = float(C(p + h * torch.stack([torch.ones_like(slope), slope])) - C(p))
        got = euler_drift(grad, second, h)
        assert got is not None, "euler_drift returned None: the stub is not filled in"
        got = float(got)
        if abs(got / want - 1) < 3 * h:  # the next term of the expansion; measured 0.3 h
            continue
        a, b, d = (float(second[i, j]) for i, j in ((0, 0), (0, 1), (1, 1)))
        s = float(slope)
        hints = {2: "twice too large: the second-order term of Taylor's formula has a ½", 1 / h: "one power of h too few: the term is of second order",
                 h: "one power of h too many",
                 (a + b * s + d * s**2) / (a + 2 * b * s + d * s**2): "C_λγ stands in the matrix twice: 2 C_λγ γ′",
                 (a - 2 * b * s + d * s**2) / (a + 2 * b * s + d * s**2): "γ′ = −C_λ/C_γ has a minus",
                 (a + d * s**2) / (a + 2 * b * s + d * s**2): "the mixed term 2 C_λγ γ′ is missing",
                 a / (a + 2 * b * s + d * s**2): "γ moves too: C_λγ and C_γγ are missing"}
        why = next((hint for value, hint in hints.items() if abs(got / want / value - 1) < 5 * h), "½h² times the second derivative of C along (1, γ′)")
        raise AssertionError(f"one step of h = {h} changes C by {want:.4e}, you say {got:.4e}: {why}")
    return "right: the first term of the drift, and the rest is smaller by a factor h"


def check_velocity(velocity):
    """`velocity(hess, alpha)` on random negative definite Hess F: C still, D falling, λ rising, speed proportional to α."""
    for hess in _hessians(0):
        v = _two(velocity(hess, 0.7), "λ̇ and γ̇")
        size = float(hess.norm() * v.norm())
        assert size > 0, "this velocity is zero: nothing moves"
        if abs(float(hess[0] @ v)) < 1e-9 * size:
            raise AssertionError("this holds D: you used the first row of Hess F; C is the second, (F_λγ, F_γγ)")
        if abs(float(hess[1] @ v)) > 1e-9 * size:
            raise AssertionError(f"C moves: Ċ = {float(hess[1] @ v):.3g}. λ̇ takes −F_γγ and γ̇ takes +F_λγ; are they swapped, or a sign?")
        if v[0] < 0:
            raise AssertionError("C is held, but λ falls: F_γγ is negative, so λ̇ = −αF_γγ needs its minus")
        faster = _two(velocity(hess, 1.4), "λ̇ and γ̇")
        if not torch.allclose(faster, 2 * v):
            raise AssertionError("twice the α must give twice the velocity")
        torch.testing.assert_close(float(hess[0] @ v), -0.7 * float(torch.linalg.det(hess)), rtol=1e-9, atol=0,
                                   msg=lambda m: "Ḋ must be −α det Hess F; is the speed right?\n" + m)
    return "right: Ċ = 0, Ḋ = −α det Hess F, λ̇ > 0"


def check_correct(correct):
    """`correct(gam, C, target, slope)` where C = aγ^slope exactly: one step in logarithms must arrive."""
    for a, slope, gam, target in ((0.5, -0.8, 4.0, 0.12), (1.0, -1.3, 10.0, 0.08), (0.3, -0.5, 2.0, 0.2)):
        C = a * gam**slope
        new = correct(gam, C, target, slope)
        assert new is not None, "return the new γ"
        new = float(new)
        if abs(new - (math.log(gam) + math.log(target / C) / slope)) < 1e-9:
            raise AssertionError("this is ln γ: take its exponential")
        assert (new > gam) == (target < C), "wrong direction: a larger γ makes C smaller"
        if abs(new - (gam + (target - C) / (slope * C / gam))) < 1e-9 * gam:
            raise AssertionError("a Newton step in γ itself: right at first order, but C is nearly a power of γ. Step in ln γ, from ln C")
        landed = a * new**slope
        assert abs(math.log(landed / target)) < 1e-9, f"C lands at {landed:.4g}, not at {target:.4g}: divide ln(target/C) by ∂ln C/∂ln γ"
    return "right: one step arrives where C is a power of γ"


def check_log_slopes(log_slopes):
    """`log_slopes(train, lam, gam, delta, seed)` with a `train` whose noise is a function of the seed, as large as the answer."""
    seeds = []

    def train(lam, gam, seed):
        seeds.append(seed)
        noise = torch.randn(2, generator=torch.Generator().manual_seed(seed)).tolist()
        D = 30.0 - 6.0 * math.log(lam) + 0.4 * math.log(lam) ** 2 - 0.8 * math.log(gam) + 3.0 * noise[0]
        return D, math.exp(-2.0 - 0.3 * math.log(lam) - 0.9 * math.log(gam) + 0.5 * noise[1])

    lam, gam, delta = 0.7, 5.0, 0.3
    table = log_slopes(train, lam, gam, delta, 11)
    assert table is not None and len(table) == 2 and all(len(row) == 2 for row in table), "return [[D by ln λ, D by ln γ], [ln C by ln λ, ln C by ln γ]]"
    if len(set(seeds)) > 1:
        raise AssertionError("the copies were trained with different seeds: their noise does not cancel. Give all the same seed")
    want = [[-6.0 + 0.8 * math.log(lam), -0.8], [-0.3, -0.9]]
    found = [[float(v) for v in row] for row in table]
    flat = [(w, f) for a, b in zip(want, found) for w, f in zip(a, b)]
    if all(abs(f - 2 * w) < 1e-6 for w, f in flat):
        raise AssertionError("twice too large: from −δ to +δ is a distance of 2δ")
    if abs(found[1][0] - want[1][0]) > 1e-6 and abs(found[0][1] - want[0][1]) < 1e-6:
        raise AssertionError("D is right and C is not: take the difference of ln C, not of C")
    if abs(found[0][0] - want[0][0]) > 1e-6 and abs(found[0][1] - want[0][1]) < 1e-6:
        raise AssertionError("only the curved direction is off: take a central difference, λe^δ against λe^−δ")
    for w, f in flat:
        assert abs(w - f) < 1e-6, f"{f:.4g} instead of {w:.4g}: scale λ and γ by exp(±δ), one at a time"
    return "right: central, logarithmic, on common random numbers"
