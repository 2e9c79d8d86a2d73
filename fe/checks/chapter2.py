"""Checks of chapter 2's exercises: properties and closed forms, with a hint in every failure."""

import math

import torch


def check_functionals(functionals_from_F):
    """Against F = ½(1 + log 2(λ + 2γ)), whose R, D and C are known."""
    F = lambda lam, gam: 0.5 * (1 + math.log(2 * (lam + 2 * gam)))
    for lam, gam in ((1.0, 2.0), (0.7, 0.4)):
        answer = functionals_from_F(F, lam, gam)
        assert answer is not None and len(answer) == 3, "return the three numbers (R, D, C)"
        R, D, C = map(float, answer)
        e = lam + 2 * gam
        if abs(D - 1 / e) < 1e-5 and abs(C - 0.5 / e) < 1e-5:
            raise AssertionError("D and C are exchanged: D is the slope in λ")
        if abs(D + 0.5 / e) < 1e-5:
            raise AssertionError("D has the wrong sign: F rises with the price")
        assert abs(D - 0.5 / e) < 1e-6 and abs(C - 1 / e) < 1e-6, f"the slopes at ({lam}, {gam}) are {0.5 / e:.7f} and {1 / e:.7f}; one-sided differences are not good to 1e-6"
        if abs(R - F(lam, gam)) < 1e-9:
            raise AssertionError("R is F less what the prices contribute: R = F − λD − γC")
        assert abs(R - 0.5 * math.log(2 * e)) < 1e-5, "R = F − λD − γC"
    return "right: slopes and rate agree with the closed form"


def check_lower_hull(lower_hull):
    """On members of a convex curve and on one with a dent, where the hull is the chord."""
    lams = torch.linspace(0, 50, 5001, dtype=torch.float64)
    D = torch.linspace(0.1, 2, 200, dtype=torch.float64)
    at = D[[20, 75, 150]]  # members of the curve
    convex = lower_hull(D, 1 / D, lams, at)
    assert convex is not None, "lower_hull returned None: the stub is not filled in"
    assert convex.shape == at.shape, f"one value for each entry of `at`: shape {tuple(at.shape)}, got {tuple(convex.shape)}"
    assert (convex <= 1 / at + 1e-9).all(), "the hull lies below the members: F is a minimum over members, R** a maximum over prices"
    assert (1 / at - convex < 1e-2).all(), "on a convex curve the hull is the curve itself, to the fineness of the prices"
    D2, R2 = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), torch.tensor([2.0, 1.6, 0.0], dtype=torch.float64)
    middle = lower_hull(D2, R2, lams, torch.tensor([1.0], dtype=torch.float64))
    if abs(float(middle) - 1.6) < 1e-6:
        raise AssertionError("this goes through the dent: the member (1, 1.6) lies above the chord from (0, 2) to (2, 0)")
    assert abs(float(middle) - 1.0) < 1e-2, f"in the dent the hull is the chord, 1.0 at D = 1; you have {float(middle):.3f}"
    return "right: convex curves are kept, dents are bridged"


def check_first_law(first_law_residual):
    """On the exact record of F = ½(1 + log 2(λ + 2γ)): the residual is of second order in the step."""

    def record(n, broken=0.0):
        s = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        lam, gam = 1 + s, 2 - s + s.square()
        e = lam + 2 * gam
        return torch.stack([lam, gam, 0.5 * (2 * e).log() + broken * s, 0.5 / e, 1 / e], 1)

    coarse, fine = (first_law_residual(record(n)) for n in (10, 20))
    assert coarse is not None, "first_law_residual returned None: the stub is not filled in"
    assert abs(float(coarse)) < 5e-3, f"on an exact record the residual is near zero; you have {float(coarse):.3f}: check the signs, dR̃ = −λ dD − γ dC"
    assert abs(coarse / fine - 4) < 0.5, "halving the steps must divide the residual by four: use the mean price of each step"
    assert abs(float(first_law_residual(record(20, 0.3))) - 0.3) < 1e-2, "a record whose R̃ is off by 0.3 at the end has the residual 0.3"
    return "right: zero to second order on an exact record, and it finds a broken one"
