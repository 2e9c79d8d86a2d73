"""Checks of chapter 6's exercises: they use problems with known answers and say what a failure points to."""

import math

import torch


def check_velocity(velocity):
    """`velocity(hess, alpha)` on random negative definite Hess F: C still, D falling, λ rising, speed proportional to α."""
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        root = torch.randn(2, 2, generator=g, dtype=torch.float64)
        hess = -root @ root.T - 0.1 * torch.eye(2, dtype=torch.float64)
        v = velocity(hess, 0.7)
        assert v is not None and len(v) == 2, "return two numbers, λ̇ and γ̇"
        v = torch.stack([torch.as_tensor(q, dtype=torch.float64) for q in v])
        size = float(hess.norm() * v.norm())
        assert size > 0, "this velocity is zero: nothing moves"
        if abs(float(hess[0] @ v)) < 1e-9 * size:
            raise AssertionError("this holds D: you used the first row of Hess F; C is the second, (F_λγ, F_γγ)")
        if abs(float(hess[1] @ v)) > 1e-9 * size:
            raise AssertionError(f"C moves: Ċ = {float(hess[1] @ v):.3g}. λ̇ takes −F_γγ and γ̇ takes +F_λγ; are they swapped, or a sign?")
        if v[0] < 0:
            raise AssertionError("C is held, but λ falls: F_γγ is negative, so λ̇ = −αF_γγ needs its minus")
        faster = torch.stack([torch.as_tensor(q, dtype=torch.float64) for q in velocity(hess, 1.4)])
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
        assert new > 0, f"γ became {new:.3g}: a step in ln γ cannot leave the positive numbers; return γ·exp(…)"
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
