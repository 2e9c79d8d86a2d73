"""Checks of chapter 2's exercises: properties and closed forms, with a hint in every failure."""

import math

import torch


def _number(value, name):
    if value is None:
        raise AssertionError(f"{name} returned None: the stub is not filled in")
    return float(value)


_PRICES = [(0.1, 0.2), (1.0, 1.0), (0.2, 3.0), (3.0, 0.2), (0.0, 1.5), (0.9, 0.0), (0.0, 0.0)]


def check_two_planes(two_planes):
    """Against the cheaper of the two members, on both sides of the kink."""
    members = (0, 3, 2), (2, 1, 1)
    costs = [[R + lam * D + gam * C for R, D, C in members] for lam, gam in _PRICES]
    got = [_number(two_planes(lam, gam), "two_planes") for lam, gam in _PRICES]
    same = lambda other: all(abs(a - b) < 1e-9 for a, b in zip(got, other))
    if same(map(min, costs)):
        return "right: the cheaper member on both sides of the kink 2λ + γ = 2"
    if same(map(max, costs)):
        raise AssertionError("this is the dearer member everywhere: F is the minimum over the family, the lower envelope of the planes")
    if same(sum(pair) / 2 for pair in costs):
        raise AssertionError("that is the mean of the two members: F is the cost of the cheaper one")
    if same(pair[0] for pair in costs) or same(pair[1] for pair in costs):
        raise AssertionError("that is one member at all prices: which is cheaper changes at the kink, where both cost the same")
    if same(min(R + gam * D + lam * C for R, D, C in members) for lam, gam in _PRICES):
        raise AssertionError("the prices are exchanged: λ is the price of D, γ that of C")
    at = next(i for i, pair in enumerate(costs) if abs(got[i] - min(pair)) >= 1e-9)
    first, second = costs[at]
    raise AssertionError(f"at (λ, γ) = {_PRICES[at]} the members cost {first:g} and {second:g}, so F = {min(first, second):g}; you have {got[at]:g}")


def check_above(above):
    """Against the costs of the three members; positive at all prices, and 0.2 at the least."""
    for lam, gam in _PRICES:
        third = 1.2 + 2 * lam + 1.6 * gam
        others = min(3 * lam + 2 * gam, 2 + lam + gam)
        got = _number(above(lam, gam), "above")
        if abs(got - (third - others)) < 1e-9:
            continue
        if abs(got - (others - third)) < 1e-9:
            raise AssertionError("the sign: the third member costs more than the best of the others, so the number is positive")
        if abs(got - 0.2 - 0.1 * gam) < 1e-9:
            raise AssertionError("that is the excess over the midpoint of the two others, a lower bound: F is the cheaper of the two, not their mean")
        if abs(got - third) < 1e-9:
            raise AssertionError("that is the cost of the third member itself: subtract F of the two others")
        raise AssertionError(f"at ({lam}, {gam}) the third member costs {third:g} and the cheaper of the others {others:g}; you have {got:g}")
    return "right: never below 0.2, so no prices reach this member"


def check_surface_hessian(surface_hessian):
    """Against R = −a log(D + κC) − b log C, whose free energy and Hessian are known in closed form."""
    for a, b, kappa, lam, gam in ((1.0, 1.0, 1.0, 1.0, 3.0), (0.7, 1.6, 0.4, 1.3, 0.9)):
        F = lambda lam, gam: a + b - a * math.log(a / lam) - b * math.log(b / (gam - kappa * lam))
        s, C = a / lam, b / (gam - kappa * lam)  # s = D + κC
        want = torch.tensor([[a / s**2, kappa * a / s**2], [kappa * a / s**2, kappa**2 * a / s**2 + b / C**2]], dtype=torch.float64)
        got = surface_hessian(F, lam, gam)
        assert got is not None, "surface_hessian returned None: the stub is not filled in"
        got = torch.as_tensor(got, dtype=torch.float64)
        assert got.shape == (2, 2), f"a matrix of shape (2, 2), got {tuple(got.shape)}"
        close = lambda other: torch.allclose(got, other, rtol=2e-3, atol=2e-3)
        inverse = torch.linalg.inv(want)  # −Hess F
        if close(-want):
            raise AssertionError("the sign: Hess R · Hess F = −I, and the surface is convex where F is strictly concave")
        if close(inverse) or close(-inverse):
            raise AssertionError("that is Hess F (up to its sign): invert the matrix")
        if close(1 / inverse):
            raise AssertionError("each entry is inverted by itself: what is needed is the inverse of the matrix")
        if close(torch.diag(1 / inverse.diagonal())) or (got[0, 1].abs() < 1e-6 and got[1, 0].abs() < 1e-6):
            raise AssertionError("the mixed derivative F_λγ is missing: D depends on γ too")
        assert torch.allclose(got, want, rtol=2e-3, atol=1e-6), (
            f"Hess R at ({lam}, {gam}) is {want.numpy().round(3).tolist()}, you have {got.numpy().round(3).tolist()}: is the mixed difference divided by 4h²?"
        )
    return "right: minus the inverse of Hess F, on two surfaces with known curvature"


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
    swapped = record(10)[:, [1, 0, 2, 3, 4]]
    mean, change = 0.5 * (swapped[1:] + swapped[:-1]), swapped.diff(dim=0)
    if abs(float(coarse) - float((change[:, 2] + (mean[:, :2] * change[:, 3:]).sum(1)).sum())) < 1e-9:
        raise AssertionError("the prices are exchanged: λ (column 0) goes with D (column 3), γ (column 1) with C (column 4)")
    assert abs(float(coarse)) < 5e-3, f"on an exact record the residual is near zero; you have {float(coarse):.3f}: check the signs, dR̃ = −λ dD − γ dC"
    assert abs(coarse / fine - 4) < 0.5, "halving the steps must divide the residual by four: use the mean price of each step"
    assert abs(float(first_law_residual(record(20, 0.3))) - 0.3) < 1e-2, "a record whose R̃ is off by 0.3 at the end has the residual 0.3"
    return "right: zero to second order on an exact record, and it finds a broken one"
