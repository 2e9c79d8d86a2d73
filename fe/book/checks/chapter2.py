"""Checks of chapter 2's exercises: properties and closed forms, with a hint in every failure."""

import math

import torch

from .answers import apart, array, near, number, on_cpu, several

F64 = torch.float64


def _prices(seed, n=20):
    """Fixed pairs (λ, γ), with the corner and both axes, and n random ones from 0.01 to 30."""
    fixed = [
        (0.1, 0.2),
        (1.0, 1.0),
        (0.2, 3.0),
        (3.0, 0.2),
        (0.0, 1.5),
        (0.9, 0.0),
        (0.0, 0.0),
        (1.0, 0.0),
    ]
    drawn = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=F64)
    return fixed + [tuple(pair) for pair in (0.01 * 3000**drawn).tolist()]


@on_cpu
def check_two_planes(two_planes):
    """Against the cheaper of the two members, on both sides of the kink."""
    members, prices = ((0, 3, 2), (2, 1, 1)), _prices(1)
    costs = [[R + lam * D + gam * C for R, D, C in members] for lam, gam in prices]
    got = [number(two_planes(lam, gam), "two_planes") for lam, gam in prices]
    same = lambda other: all(near(a, b, 1e-9 * max(1.0, abs(b))) for a, b in zip(got, other))
    if same(map(min, costs)):
        return "right: the cheaper member on both sides of the kink 2λ + γ = 2"
    if same(map(max, costs)):
        raise AssertionError(
            "this is the dearer member everywhere: F is the minimum over the family, the lower "
            "envelope of the planes"
        )
    if same(sum(pair) / 2 for pair in costs):
        raise AssertionError(
            "that is the mean of the two members: F is the cost of the cheaper one"
        )
    if same(pair[0] for pair in costs) or same(pair[1] for pair in costs):
        raise AssertionError(
            "that is one member at all prices: which is cheaper changes at the kink, where both "
            "cost the same"
        )
    if same(min(R + gam * D + lam * C for R, D, C in members) for lam, gam in prices):
        raise AssertionError("the prices are exchanged: λ is the price of D, γ that of C")
    at = next(
        i for i, pair in enumerate(costs) if not near(got[i], min(pair), 1e-9 * max(1.0, min(pair)))
    )
    first, second = costs[at]
    want, have = apart(min(first, second), got[at])
    raise AssertionError(
        f"at (λ, γ) = ({prices[at][0]:.3g}, {prices[at][1]:.3g}) the members cost {first:.4g} "
        "and "
        f"{second:.4g}, so F = {want}; you have {have}"
    )


@on_cpu
def check_above(above):
    """Against the costs of the three members; positive at all prices, and 0.2 at the least."""
    for lam, gam in _prices(2):
        third = 1.2 + 2 * lam + 1.6 * gam
        costs = 3 * lam + 2 * gam, 2 + lam + gam
        others = min(costs)
        got = number(above(lam, gam), "above")
        same = lambda want: near(got, want, 1e-9 * max(1.0, third), max(1.0, third))
        if same(third - others):
            continue
        if same(others - third):
            raise AssertionError(
                "the sign: the third member costs more than the best of the others, so the "
                "number "
                "is positive"
            )
        if same(0.2 + 0.1 * gam):
            raise AssertionError(
                "that is the excess over the midpoint of the two others, a lower bound: F is "
                "the "
                "cheaper of the two, not their mean"
            )
        if same(third):
            raise AssertionError(
                "that is the cost of the third member itself: subtract F of the two others"
            )
        if same(0.0):
            raise AssertionError(
                "that is zero, and the third member costs more than the cheaper of the two "
                "others "
                "at all prices"
            )
        want, got = apart(third - others, got)
        raise AssertionError(
            f"at ({lam:.3g}, {gam:.3g}) the third member costs {third:.4g} and the cheaper of "
            f"the others {others:.4g}, {want} less; you have {got}"
        )
    return "right: never below 0.2, so no prices reach this member"


def _surfaces():
    """(F, its Hessian, λ, γ): logarithms of both signs of F_λγ, quadratics, square roots. All
    concave.
    """
    generator = torch.Generator().manual_seed(7)
    draw = lambda low, high: float(
        low + (high - low) * torch.rand(1, generator=generator, dtype=F64)
    )

    def logarithms(a, b, kappa):
        """a log λ + b log(γ − κλ): F of R = −a log(D + κC) − b log C, up to a constant."""
        F = lambda lam, gam: 2 + a * math.log(lam) + b * math.log(gam - kappa * lam)

        def hess(lam, gam):
            s = b / (gam - kappa * lam) ** 2
            return [[-a / lam**2 - kappa**2 * s, kappa * s], [kappa * s, -s]]

        return F, hess

    def quadratic(a, b, c):
        F = lambda lam, gam: 3 * lam + 2 * gam - 0.5 * a * lam**2 - 0.5 * b * gam**2 + c * lam * gam
        return F, lambda lam, gam: [[-a, c], [c, -b]]

    def roots(a, b):
        F = lambda lam, gam: a * math.sqrt(lam + 0.5 * gam) + b * math.sqrt(gam)

        def hess(lam, gam):
            s, t = -a / 4 * (lam + 0.5 * gam) ** -1.5, -b / 4 * gam**-1.5
            return [[s, 0.5 * s], [0.5 * s, 0.25 * s + t]]

        return F, hess

    cases = [
        (logarithms(1, 1, 1), 1.0, 3.0),
        (logarithms(0.7, 1.6, 0.4), 1.3, 0.9),
        (logarithms(1.2, 0.5, -0.8), 0.8, 1.1),
    ]
    for _ in range(3):
        a, b = draw(0.5, 2), draw(0.5, 2)
        for sign in (1, -1):
            cases.append(
                (
                    quadratic(a, b, sign * draw(0.2, 0.8) * math.sqrt(a * b)),
                    draw(0.3, 2),
                    draw(0.3, 2),
                )
            )
        cases += [
            (roots(a, b), draw(0.5, 2), draw(0.5, 2)),
            (logarithms(a, b, draw(-1, -0.2)), draw(0.5, 2), draw(0.5, 2)),
        ]
    for (F, hess), lam, gam in cases:
        yield F, torch.tensor(hess(lam, gam), dtype=F64), lam, gam


@on_cpu
def check_surface_hessian(surface_hessian):
    """Against −(Hess F)⁻¹ of free energies whose Hessian is known in closed form."""
    for F, hess, lam, gam in _surfaces():
        want, exact = -torch.linalg.inv(hess), hess
        got = surface_hessian(F, lam, gam)
        assert got is not None, "surface_hessian returned None: the stub is not filled in"
        got = array(got, "surface_hessian", (2, 2), ": a matrix")
        close = lambda other: near(got, other, 2e-3 * float(other.abs().max()))
        if close(want):
            continue
        if close(-want):
            raise AssertionError(
                "the sign: Hess R · Hess F = −I, and the surface is convex where F is strictly "
                "concave"
            )
        if close(exact) or close(-exact):
            raise AssertionError("that is Hess F (up to its sign): invert the matrix")
        if close(-1 / exact) or close(1 / exact):
            raise AssertionError(
                "each entry is inverted by itself: what is needed is the inverse of the matrix"
            )
        if near(got[0, 1], 0.0, 1e-6) and near(got[1, 0], 0.0, 1e-6):
            raise AssertionError("the mixed derivative F_λγ is missing: D depends on γ too")
        if close(want.abs()) or close(want * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])):
            raise AssertionError(
                "the mixed derivative has the wrong sign: F_λγ may be positive or negative, and "
                "Hess R has its sign"
            )
        if close(want.flip(0, 1)):
            raise AssertionError(
                "D and C are exchanged: the first row and column belong to λ and D"
            )
        raise AssertionError(
            f"Hess R at ({lam:.3g}, {gam:.3g}) is {want.numpy().round(3).tolist()}, you have "
            f"{got.numpy().round(3).tolist()}: is the mixed difference divided by 4h²?"
        )
    return (
        "right: minus the inverse of Hess F, on surfaces of known curvature, cooperating and "
        "competing"
    )


def _functions():
    """(F, F_λ, F_γ, λ, γ), not all of them rising: a distortion that is a log-density may be
    negative. F − λF_λ − γF_γ has both signs too.
    """
    log_e = lambda a, b: (
        lambda lam, gam: 0.5 * (1 + math.log(2 * (a * lam + b * gam))),
        lambda lam, gam: (0.5 * a / (a * lam + b * gam), 0.5 * b / (a * lam + b * gam)),
    )
    plane = (lambda lam, gam: 1.5 - 0.7 * lam + 0.4 * gam), (lambda lam, gam: (-0.7, 0.4))
    mixed = (
        (lambda lam, gam: 2 * math.sqrt(lam * gam) - 3 * gam),
        (lambda lam, gam: (math.sqrt(gam / lam), math.sqrt(lam / gam) - 3)),
    )
    bent = (
        (lambda lam, gam: math.log(1 + lam) - 0.2 * lam**2 + 0.3 * lam * gam - gam**2),
        (lambda lam, gam: (1 / (1 + lam) - 0.4 * lam + 0.3 * gam, 0.3 * lam - 2 * gam)),
    )
    generator = torch.Generator().manual_seed(8)
    for F, slopes in (
        log_e(1, 2),
        log_e(1, 2),
        log_e(0.6, 0.3),
        log_e(0.05, 0.1),
        plane,
        mixed,
        bent,
    ):
        for lam, gam in [(1.0, 2.0)] + (
            0.5 + 2 * torch.rand(3, 2, generator=generator, dtype=F64)
        ).tolist():
            yield F, *slopes(lam, gam), lam, gam


@on_cpu
def check_functionals(functionals_from_F):
    """Against free energies whose R, D and C are known in closed form."""
    for F, right_D, right_C, lam, gam in _functions():
        answer = several(
            functionals_from_F(F, lam, gam), "functionals_from_F", 3, "the three numbers (R, D, C)"
        )
        R, D, C = (number(v, "functionals_from_F") for v in answer)
        value, size = F(lam, gam), max(1.0, abs(right_D), abs(right_C))
        right_R = value - lam * right_D - gam * right_C
        same = lambda got, want: near(got, want, 1e-6 * size, size)
        if same(D, right_D) and same(C, right_C) and near(R, right_R, 1e-5 * size, 3 * size):
            continue
        if same(D, right_C) and same(C, right_D):
            raise AssertionError("D and C are exchanged: D is the slope in λ")
        if same(D, -right_D) and same(C, -right_C) and not (same(D, right_D) and same(C, right_C)):
            raise AssertionError(
                "D and C have the wrong sign: they are the slopes of F themselves, not minus "
                "the "
                "slopes"
            )
        if (
            same(D, abs(right_D))
            and same(C, abs(right_C))
            and not (same(D, right_D) and same(C, right_C))
        ):
            raise AssertionError(
                "the sign of a slope is dropped: D or C is negative here (minus the logarithm "
                "of "
                "a density may be)"
            )
        if not (same(D, right_D) and same(C, right_C)):
            raise AssertionError(
                f"the slopes at ({lam:.3g}, {gam:.3g}) are {right_D:.8f} and {right_C:.8f}, you "
                f"have {D:.8f} and {C:.8f}; one-sided differences are not good to 1e-6"
            )
        if right_R < 0 and (near(R, -right_R, 1e-5 * size) or near(R, 0.0, 1e-9)):
            raise AssertionError(
                f"R is what is left, F − λD − γC, with its sign: here F makes it {right_R:.6f}, "
                f"you have {R:.6f}"
            )
        if same(R, value):
            raise AssertionError("R is F less what the prices contribute: R = F − λD − γC")
        right_R, R = apart(right_R, R)
        raise AssertionError(
            f"R = F − λD − γC is {right_R} at ({lam:.3g}, {gam:.3g}), you have {R}"
        )
    return "right: slopes and rate agree with the closed forms"


def _least_rate(D, R, at):
    """The lower hull that all prices λ ≥ 0 together give, at distortions not below the smallest D:
    by every chord.
    """
    rows = [torch.cat([torch.where(D <= a, R, math.inf), _chords(D, R, a)]).min() for a in at]
    return torch.stack(rows)


def _chords(D, R, a):
    low, high = D <= a, D > a
    if not high.any():
        return R.new_zeros(0)
    (D0, R0), (D1, R1) = (D[low], R[low]), (D[high], R[high])
    w = (a - D0[:, None]) / (D1 - D0[:, None])
    return ((1 - w) * R0[:, None] + w * R1).flatten()


@on_cpu
def check_lower_hull(lower_hull):
    """On convex curves, dents and random members in any order: between the hull of the given prices
    and that of all prices.
    """
    generator = torch.Generator().manual_seed(9)
    lams, line = torch.linspace(0, 50, 5001, dtype=F64), torch.linspace(0.1, 2, 200, dtype=F64)
    dent = torch.tensor([0.0, 1.0, 2.0], dtype=F64), torch.tensor([2.0, 1.6, 0.0], dtype=F64)
    cases = [
        ("convex", line, 1 / line, lams, line[[20, 75, 150]]),
        ("dent", *dent, lams, torch.tensor([1.0], dtype=F64)),
        ("dent", *dent, lams, torch.tensor([1.9, 0.3, 2.5, 1.0], dtype=F64)),
    ]
    for n in (1, 4, 30):
        D, R = (
            torch.rand(n, generator=generator, dtype=F64) * 3,
            torch.rand(n, generator=generator, dtype=F64) * 2,
        )
        mixed = torch.cat([lams, 1e4 * torch.rand(50, generator=generator, dtype=F64)])
        cases.append(
            (
                "random",
                D,
                R,
                mixed[torch.randperm(len(mixed), generator=generator)],
                D.min() + 3 * torch.rand(5, generator=generator, dtype=F64),
            )
        )
    # every price dear: beyond the members the hull of these is negative
    cases.append(
        (
            "random",
            D,
            R,
            torch.linspace(1, 20, 40, dtype=F64),
            D.max() + torch.tensor([0.5, 3.0], dtype=F64),
        )
    )
    for kind, D, R, prices, at in cases:
        got = lower_hull(D.clone(), R.clone(), prices.clone(), at.clone())
        assert got is not None, "lower_hull returned None: the stub is not filled in"
        got = array(got, "lower_hull", tuple(at.shape), ": one value for each entry of `at`")
        F = (R + prices[:, None] * D).min(1).values
        low, high = (F[:, None] - prices[:, None] * at).max(0).values, _least_rate(D, R, at)
        tol = 1e-9 * max(1.0, float(F.abs().max()))
        if all(
            near(g, min(max(float(g), float(a)), float(b)), tol, max(1.0, float(F.abs().max())))
            for g, a, b in zip(got, low, high)
        ):
            continue
        worst = int(
            torch.where(got.isfinite(), torch.maximum(low - got, got - high), math.inf).argmax()
        )
        a, g, want = float(at[worst]), float(got[worst]), float(low[worst])
        if any(float(v) == a for v in D) and near(g, R[(D - a).abs().argmin()], 1e-6):
            raise AssertionError(
                f"this goes through the dent: the member ({a:.3g}, {g:.3g}) lies above a chord "
                f"between two others, where the hull is {want:.3f}"
            )
        if not g <= float(high[worst]) + tol:
            raise AssertionError(
                f"at D = {a:.3g} the hull is {want:.3f}, you have {g:.3f}: it lies below the "
                "members and below every chord between them, in whatever order the members "
                "come. "
                "F is a minimum over members, R** a maximum over prices"
            )
        if kind == "convex":
            raise AssertionError(
                "on a convex curve the hull is the curve itself, to the fineness of the prices: "
                f"at D = {a:.3g} it is {want:.3f}, you have {g:.3f}"
            )
        raise AssertionError(
            f"at D = {a:.3g} the given prices give the hull {want:.3f} (in a dent it is the "
            f"chord), you have {g:.3f}: use all prices, the maximum over them"
        )
    return "right: convex curves are kept, dents are bridged"


@on_cpu
def check_first_law(first_law_residual):
    """Against the sum itself on random records; on exact records it is of second order in the step,
    and a broken one is found.
    """

    def record(n, broken=0.0):
        """Of F = ½(1 + log 2(λ + 2γ)), on a curve of prices."""
        s = torch.linspace(0, 1, n + 1, dtype=F64)
        lam, gam = 1 + s, 2 - s + s.square()
        e = lam + 2 * gam
        return torch.stack([lam, gam, 0.5 * (2 * e).log() + broken * s, 0.5 / e, 1 / e], 1)

    generator = torch.Generator().manual_seed(10)
    stated = torch.tensor([[1, 2, 1.2, 0.5, 0.3], [2, 2, 1.6, 0.3, 0.2]], dtype=F64)
    drawn = [
        torch.randn(n, 5, generator=generator, dtype=F64)
        + torch.tensor([3.0, 3, 0, 0, 0], dtype=F64)
        for n in (2, 3, 8, 40)
    ]
    cases = [
        stated,
        record(10),
        record(20),
        record(20, 0.3),
        record(20, -0.3),
        record(1),
        record(10).flip(0),
        *drawn,
    ]
    for rows in cases:
        got = number(first_law_residual(rows.clone()), "first_law_residual")
        mean, change = 0.5 * (rows[1:] + rows[:-1]), rows.diff(dim=0)
        rate, spent, lost = (
            float(v.sum())
            for v in (change[:, 2], mean[:, 0] * change[:, 3], mean[:, 1] * change[:, 4])
        )
        size = float(change[:, 2].abs().sum() + (mean[:, :2] * change[:, 3:]).abs().sum())
        same = lambda want: near(got, want, 1e-9 * max(1.0, size), max(1.0, size))
        right = rate + spent + lost
        if same(right):
            continue
        swapped = float((mean[:, 1] * change[:, 3] + mean[:, 0] * change[:, 4]).sum())
        before = rate + float((rows[:-1, :2] * change[:, 3:]).sum())
        after = rate + float((rows[1:, :2] * change[:, 3:]).sum())
        for wrong, hint in (
            (
                abs(right),
                "the absolute value is taken: the residual has a sign, a rate that grows too "
                "little counts negative",
            ),
            (
                float(
                    (change[:, 2] + mean[:, 0] * change[:, 3] + mean[:, 1] * change[:, 4])
                    .abs()
                    .sum()
                ),
                "the absolute value of each step is taken: steps of opposite sign cancel",
            ),
            (
                rate + swapped,
                "the prices are exchanged: λ (column 0) goes with D (column 3), γ (column 1) "
                "with "
                "C (column 4)",
            ),
            (before, "the price before each step is used: take the mean price of each step"),
            (after, "the price after each step is used: take the mean price of each step"),
            (
                rate - spent - lost,
                "check the signs: dR′ = −λ dD − γ dC, so the residual adds λ̄ ΔD + γ̄ ΔC to ΔR′",
            ),
            (-right, "the sign of the whole: the residual is ΔR′ + Σ λ̄ ΔD + γ̄ ΔC"),
            (spent + lost, "ΔR′ is left out: an exact record has a residual near zero"),
            (rate, "the losses are left out: an exact record has a residual near zero"),
            (right / len(change), "the sum over the steps is asked for, not the mean"),
        ):
            if same(wrong):
                raise AssertionError(hint)
        right, got = apart(right, got)
        raise AssertionError(
            f"on a record of {len(rows)} rows the residual ΔR′ + Σ λ̄ ΔD + γ̄ ΔC is {right}, "
            f"you have {got}: {rate:.4g} from R′, {spent:.4g} from D, {lost:.4g} from C"
        )
    return "right: zero to second order on an exact record, and it finds a broken one"
