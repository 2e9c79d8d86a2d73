"""Checks of chapter 6's exercises: they use problems with known answers and say what a failure
points to.
"""

import math

import torch

from ...linear_gaussian import LinearGaussian
from .answers import array, near, number, on_cpu, several


def _hessians(seed):
    """(Hess F, α): the example of the text, F_λγ of both signs and zero, several sizes, random
    ones.
    """
    for off, size, alpha in (
        (1.0, 1.0, 1.0),
        (-0.6, 1.0, 0.7),
        (0.0, 1.0, 2.5),
        (1.2, 1e-3, 40.0),
        (-0.3, 1e3, 0.02),
    ):
        yield size * torch.tensor([[-2.0, off], [off, -1.0]], dtype=torch.float64), alpha
    g = torch.Generator().manual_seed(seed)
    for _ in range(20):
        root = torch.randn(2, 2, generator=g, dtype=torch.float64)
        yield (
            -root @ root.T - 0.1 * torch.eye(2, dtype=torch.float64),
            0.1 + 2 * float(torch.rand(1, generator=g)),
        )


def _pair(v, name):
    """The two velocities that were returned, as a float64 tensor."""
    return torch.stack(
        [
            torch.tensor(number(q, name), dtype=torch.float64)
            for q in several(v, name, 2, "two numbers, (λ̇, γ̇)")
        ]
    )


def _held(name, solve, seed, held, other, holds_other, backwards, lost):
    """`solve(hess, alpha)` is to hold row `held` of Hess F (0: D, 1: C): λ̇ = −αF_{held,γ}, γ̇ =
    αF_{held,λ}, up to the sign that is asked for.
    """
    letter, sign = "DC"[held], (-1, 1)[held]
    for hess, alpha in _hessians(seed):
        v = _pair(solve(hess.clone(), alpha), name)
        row, rest = hess[held], hess[other]
        want = sign * alpha * torch.stack([-row[1], row[0]])
        scale = float(want.abs().max())
        if near(v, want, 1e-9 * scale):
            continue
        alike = lambda w: near(v, w, 1e-9 * scale)
        if not bool(v.abs().max() > 0):
            raise AssertionError("this velocity is zero: nothing moves")
        if abs(float(rest @ v)) < 1e-9 * float(rest.norm() * v.norm()):
            raise AssertionError(holds_other)
        if alike(want.abs()):
            raise AssertionError(f"{lost}; here F_λγ = {float(hess[0, 1]):.3g}")
        moves = float(row @ v)
        if not abs(moves) < 1e-4 * float(row.norm() * v.norm()):
            right = ("λ̇ takes F_λγ and γ̇ takes −F_λλ", "λ̇ takes −F_γγ and γ̇ takes +F_λγ")[held]
            raise AssertionError(
                f"{letter} moves: {letter}̇ = {moves:.3g}. {right}; are they swapped, or is it "
                "a "
                "sign?"
            )
        if float(v @ want) < 0:
            raise AssertionError(backwards)
        if alpha != 1 and near(v, want / alpha, 1e-9 * scale / alpha):
            raise AssertionError("α is missing: twice the α must give twice the velocity")
        changes = "CD"[held]
        found, right = float(rest @ v), float(rest @ want)
        raise AssertionError(
            f"{letter} is held, but {changes}̇ must be −α det Hess F = {right:.4g}, you have "
            f"{found:.4g}: is the speed right?"
        )


@on_cpu
def check_hold_distortion(hold_distortion):
    """`hold_distortion(hess, alpha)` on negative definite Hess F of many kinds: D still, γ rising,
    C falling at α det Hess F.
    """
    _held(
        "hold_distortion",
        hold_distortion,
        1,
        0,
        1,
        "this holds C, as in the text; D is the first row of Hess F, (F_λλ, F_λγ)",
        "D is held, but γ falls: F_λλ is negative, so γ̇ = −αF_λλ needs its minus",
        "the sign of λ̇ is that of F_λγ, which may be negative",
    )
    return "right: Ḋ = 0, γ̇ > 0, Ċ = −α det Hess F < 0"


@on_cpu
def check_velocity(velocity):
    """`velocity(hess, alpha)` on negative definite Hess F of many kinds: C still, D falling, λ
    rising, speed proportional to α.
    """
    _held(
        "velocity",
        velocity,
        0,
        1,
        0,
        "this holds D: you used the first row of Hess F; C is the second, (F_λγ, F_γγ)",
        "C is held, but λ falls: F_γγ is negative, so λ̇ = −αF_γγ needs its minus",
        "the sign of γ̇ is that of F_λγ, which may be negative",
    )
    return "right: Ċ = 0, Ḋ = −α det Hess F, λ̇ > 0"


def _paths():
    """(lam, gam, D, C): the example, random records of several lengths and uneven steps that turn
    round, and equilibria of a model.
    """
    t64 = lambda *v: torch.tensor(v, dtype=torch.float64)
    yield t64(1, 2), t64(4, 3), t64(3, 1), t64(0.2, 0.4)
    g = torch.Generator().manual_seed(2)
    for n in (2, 3, 7, 30):
        lam, gam, D, C = (torch.rand(n, generator=g, dtype=torch.float64) for _ in range(4))
        yield 0.2 + 3 * lam, 1 + 9 * gam, 20 * D, C
    c = 0.5 * 0.5**0.5
    model = LinearGaussian(
        torch.tensor([[1, 0, 0], [0, 0.5, c], [0, c, 1]], dtype=torch.float64), dim_x=2, k=1
    )
    t = torch.linspace(0, 1, 40, dtype=torch.float64)
    for lam, gam in (
        (0.4 + 1.6 * t, 4 + 0 * t),
        (0.4 + 0 * t, 4 + 6 * t),
        (0.4 + 1.6 * t**2, 4 - 2 * torch.sin(3 * t)),
        (2 - 1.5 * t, 3 + 0 * t),
    ):
        states = torch.stack([lam, gam], 1)
        yield (
            lam,
            gam,
            *(
                torch.stack([f(p) for p in states])
                for f in (model.distortion, model.classification)
            ),
        )


@on_cpu
def check_work(work):
    """`work(lam, gam, D, C)` against the trapezoid rule, on records with uneven steps and on
    equilibria of a model.
    """
    mean = lambda v: (v[1:] + v[:-1]) / 2
    for lam, gam, D, C in _paths():
        got = number(work(*(v.clone() for v in (lam, gam, D, C))), "work")
        want = float((mean(D) * lam.diff() + mean(C) * gam.diff()).sum())
        scale = float((mean(D).abs() * lam.diff().abs() + mean(C).abs() * gam.diff().abs()).sum())
        if near(got, want, 1e-9 * scale, scale):
            continue
        hints = {
            float(
                (D[:-1] * lam.diff() + C[:-1] * gam.diff()).sum()
            ): "the left end of each step alone is wrong at first order: take the mean of both "
            "ends",
            float(
                (D[1:] * lam.diff() + C[1:] * gam.diff()).sum()
            ): "the right end of each step alone is wrong at first order: take the mean of both "
            "ends",
            float(
                (mean(lam) * D.diff() + mean(gam) * C.diff()).sum()
            ): "this is ∫ λ dD + γ dC, which is −ΔR by the first law; prices move, D and C "
            "stand "
            "before them",
            float(
                D.mean() * (lam[-1] - lam[0]) + C.mean() * (gam[-1] - gam[0])
            ): "the steps are not of one length: each has its own mean and its own change of "
            "the "
            "prices",
            float(
                (mean(D) * lam.diff().abs() + mean(C) * gam.diff().abs()).sum()
            ): "a price that falls does negative work: the sign of Δλ and Δγ belongs in",
            float((mean(D) * lam.diff()).sum()): "the part of γ is missing",
            float((mean(C) * gam.diff()).sum()): "the part of λ is missing",
            -want: "the sign: end minus start",
            2 * want: "twice too much: the mean of two ends has a ½",
        }
        why = next(
            (hint for value, hint in hints.items() if near(got, value, 1e-6 * scale)),
            "½(D_k + D_{k+1})(λ_{k+1} − λ_k), and the same with C and γ, summed",
        )
        raise AssertionError(
            f"on a path of {len(lam)} states the work is {want:.6g}, you find {got:.6g}: {why}"
        )
    return "right: the trapezoid rule along nine paths"


def _drifts():
    """(C_p, C_pp, h): the example, random ones with slopes of both signs, and the derivatives of a
    function that is no polynomial.
    """
    yield (
        torch.tensor([2.0, 1.0], dtype=torch.float64),
        torch.tensor([[2.0, 0.0], [0.0, 0.0]], dtype=torch.float64),
        0.1,
    )
    g = torch.Generator().manual_seed(3)
    for h in (0.3, 1e-3, -0.2, 0.05, 1.0, 0.1):
        C_p, root = (
            torch.randn(2, generator=g, dtype=torch.float64),
            torch.randn(2, 2, generator=g, dtype=torch.float64),
        )
        yield C_p + 0.2 * C_p.sign(), root + root.T, h
    C = lambda p: torch.exp(-0.3 * p[1]) * (1 + 0.5 * p[0] ** 2) + 0.1 * p[0] * p[1]
    p = torch.tensor([0.6, 1.7], dtype=torch.float64)
    yield torch.func.grad(C)(p), torch.func.jacrev(torch.func.grad(C))(p), 1e-2


@on_cpu
def check_euler_drift(euler_drift):
    """`euler_drift(C_p, C_pp, h)` against ½h²(C_λλ + 2C_λγ γ′ + C_γγ γ′²) with γ′ = −C_λ/C_γ, on
    many second derivatives.
    """
    for C_p, C_pp, h in _drifts():
        got = number(euler_drift(C_p.clone(), C_pp.clone(), h), "euler_drift")
        a, b, d, s = (
            float(C_pp[0, 0]),
            float(C_pp[0, 1]),
            float(C_pp[1, 1]),
            float(-C_p[0] / C_p[1]),
        )
        want = 0.5 * h**2 * (a + 2 * b * s + d * s**2)
        scale = 0.5 * h**2 * (abs(a) + 2 * abs(b * s) + abs(d) * s**2)
        if near(got, want, 1e-9 * scale, scale):
            continue
        half = 0.5 * h**2
        hints = {
            2 * want: "twice too large: the second-order term of Taylor's formula has a ½",
            want / h: "one power of h too few: the term is of second order",
            want * h: "one power of h too many",
            half * (a + b * s + d * s**2): "C_λγ stands in the matrix twice: 2 C_λγ γ′",
            half * (a - 2 * b * s + d * s**2): "γ′ = −C_λ/C_γ has a minus",
            half * (a + 2 * b / s + d / s**2): "γ′ = −C_λ/C_γ, not −C_γ/C_λ",
            half * (a + d * s**2): "the mixed term 2 C_λγ γ′ is missing",
            half * a: "γ moves too: C_λγ and C_γγ are missing",
            -want: "the sign is lost: C at the end of the step minus C at its start, and C_pp "
            "may "
            "have either sign",
        }
        why = next(
            (hint for value, hint in hints.items() if near(got, value, 1e-7 * scale)),
            "½h² times the second derivative of C along (1, γ′)",
        )
        raise AssertionError(
            f"with C_p = {[round(v, 4) for v in C_p.tolist()]} a step of h = {h} changes C by "
            f"{want:.6g} at second order, you say {got:.6g}: {why}"
        )
    return "right: the first term of the drift, on eight second derivatives"


def _as_given(function, *values):
    """The answer on Python numbers; if it is written for tensors alone, on tensors."""
    try:
        return function(*values)
    except (TypeError, AttributeError):
        return function(*(torch.tensor(v, dtype=torch.float64) for v in values))


@on_cpu
def check_correct(correct):
    """`correct(gam, C, target, slope)` where C = aγ^slope exactly: one step in logarithms must
    arrive, however far it is.
    """
    g = torch.Generator().manual_seed(4)
    cases = [
        (0.5, -0.8, 4.0, 0.12),
        (1.0, -1.3, 10.0, 0.08),
        (0.3, -0.5, 2.0, 0.2),
        (0.4, -0.5, 4.0, 0.1),
        (1e-3, -0.2, 30.0, 2e-4),
        (2.0, -2.0, 1e-2, 1e2),
        (0.2, 0.6, 3.0, 0.7),
    ]
    cases += [
        (0.1 + a, -0.1 - 1.5 * s, 0.5 + 20 * c, 0.02 + t)
        for a, s, c, t in torch.rand(12, 4, generator=g, dtype=torch.float64).tolist()
    ]
    for a, slope, gam, target in cases:
        C = a * gam**slope
        new = number(_as_given(correct, gam, C, target, slope), "correct")
        x = math.log(target / C) / slope
        want = gam * math.exp(x)
        if near(new, want, 1e-9 * want):
            continue
        alike = lambda value: near(new, value, 1e-9 * max(abs(value), gam))
        C_new = (
            f"for γ = {gam:.4g}, C = {C:.4g}, target {target:.4g}, slope {slope:.4g} the answer "
            f"is {want:.6g}, you have {new:.6g}"
        )
        if alike(math.log(gam) + x):
            raise AssertionError(f"this is ln γ: take its exponential ({C_new})")
        if alike(math.exp(x)):
            raise AssertionError(
                f"this is the factor by which γ changes: multiply γ by it ({C_new})"
            )
        if alike(gam + (target - C) / (slope * C / gam)):
            raise AssertionError(
                "a Newton step in γ itself: right at first order, but C is nearly a power of γ. "
                f"Step in ln γ, from ln C ({C_new})"
            )
        if alike(gam * (1 + x)) or alike(gam * math.exp((target / C - 1) / slope)):
            raise AssertionError(
                "one of the two logarithms was expanded: right for a small correction only "
                f"({C_new})"
            )
        if alike(gam * math.exp(abs(x))) or (slope > 0 and alike(gam * math.exp(-x))):
            raise AssertionError(
                f"a sign is lost: ln(target/C) and the slope have one each ({C_new})"
            )
        if not math.isfinite(new) or (new > gam) != (want > gam):
            raise AssertionError(f"wrong direction: ln γ changes by ln(target/C)/slope ({C_new})")
        raise AssertionError(
            f"C lands at {a * new**slope if new > 0 else math.nan:.4g}, not at {target:.4g}: "
            f"divide ln(target/C) by ∂ln C/∂ln γ ({C_new})"
        )
    return "right: one step arrives where C is a power of γ"


class _Training:
    """A training script with a closed form: D and ln C are cubic in (ln λ, ln γ), so that a
    difference is that of its δ and no other; the noise is a function of the seed.
    """

    def __init__(self, g):
        rand = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)
        self.first = torch.tensor([[-6.0, -0.8], [-0.3, -0.9]], dtype=torch.float64) * (
            1 + 0.3 * rand(2, 2)
        )
        self.second, self.third, self.seeds = 0.3 * rand(2, 3), 0.3 * rand(2, 2), []

    def __call__(self, lam, gam, seed):
        self.seeds.append(int(seed))
        noise = torch.randn(2, generator=torch.Generator().manual_seed(int(seed))).tolist()
        u, v = math.log(lam), math.log(gam)
        one, two = (
            torch.tensor([u, v], dtype=torch.float64),
            torch.tensor([u * u, u * v, v * v], dtype=torch.float64),
        )
        D, ln_C = (self.first @ one + self.second @ two + self.third @ one**3).tolist()
        return 30.0 + D + 3.0 * noise[0], math.exp(-2.0 + ln_C + 0.5 * noise[1])

    def slopes(self, lam, gam, delta):
        """Central differences of ±δ; at δ = 0 the derivatives."""
        u, v = math.log(lam), math.log(gam)
        (a, b, c), (d, e) = self.second.T, self.third.T
        cubic = [d * (3 * u * u + delta**2), e * (3 * v * v + delta**2)]
        return (
            self.first
            + torch.stack([2 * a * u + b * v, b * u + 2 * c * v], 1)
            + torch.stack(cubic, 1)
        )


@on_cpu
def check_log_slopes(log_slopes):
    """`log_slopes(train, lam, gam, delta, seed)` with trainings whose noise is a function of the
    seed, as large as the differences.
    """
    g = torch.Generator().manual_seed(5)
    what = "[[D by ln λ, D by ln γ], [ln C by ln λ, ln C by ln γ]]"
    for lam, gam, delta, seed in (
        (0.7, 5.0, 0.3, 11),
        (2.4, 0.6, 0.1, 3),
        (1.0, 1.0, 0.5, 7),
        (0.25, 12.0, 0.2, 1000),
    ):
        train = _Training(g)
        found = log_slopes(
            lambda lam, gam, seed, train=train: train(lam, gam, seed), lam, gam, delta, seed
        )
        found = array(found, "log_slopes", (2, 2), f": return {what}")
        want = train.slopes(lam, gam, delta)
        used = set(train.seeds)
        if near(
            found, want, 1e-8, scale=10
        ):  # in single precision differences of D = 30 are what limits it
            if used != {seed}:
                raise AssertionError(
                    f"the trainings ran with the seeds {sorted(used)}, not with the one alone "
                    f"that was handed in ({seed})"
                )
            continue
        if len(used) > 1:
            raise AssertionError(
                "the copies were trained with different seeds: their noise does not cancel. "
                "Give "
                "all the same seed"
            )
        alike = lambda w: near(found, w, 1e-6)
        ends = [
            (D, math.log(C))
            for D, C in (
                train(lam, gam, seed),
                train(lam * math.exp(delta), gam, seed),
                train(lam, gam * math.exp(delta), seed),
            )
        ]
        base, *up = torch.tensor(ends, dtype=torch.float64)
        forward = torch.stack([(v - base) / delta for v in up], 1)
        if alike(2 * want):
            raise AssertionError("twice too large: from −δ to +δ is a distance of 2δ")
        if near(found, train.slopes(lam, gam, 0.0), 1e-4):
            raise AssertionError(
                f"the derivative, and not the difference at the δ that was handed in ({delta}): a "
                "training script is too noisy for a smaller one"
            )
        if alike(want.T):
            raise AssertionError(f"rows and columns are exchanged: return {what}")
        if alike(-want):
            raise AssertionError("the sign: the value at +δ minus the value at −δ")
        if alike(forward) or alike(2 * want - forward):
            raise AssertionError(
                "the curvature of D and ln C is in it: take a central difference, λe^δ against "
                "λe^−δ"
            )
        if near(found[0], want[0], 1e-6):
            raise AssertionError("D is right and C is not: take the difference of ln C, not of C")
        shown = lambda table: [[round(v, 4) for v in row] for row in table.tolist()]
        raise AssertionError(
            f"{shown(found)} instead of {shown(want)} at δ = {delta}: scale λ and γ by exp(±δ), "
            "one at a time, and divide by 2δ"
        )
    return "right: central, logarithmic, on common random numbers"
