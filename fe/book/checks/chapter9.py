"""Checks of the exercises of chapter 9: against equation (30), solved, and against geodesics that
are really followed.
"""

import functools
from fractions import Fraction

import torch

from ... import LinearGaussian, follow
from ...path import Geodesic
from .answers import near, number, on_cpu, several

F64 = torch.float64


def _draws(seed):
    """A function (low, high, *shape) -> uniform numbers in double precision."""
    draw = torch.Generator().manual_seed(seed)
    return lambda low, high, *shape: (
        low + (high - low) * torch.rand(shape, generator=draw, dtype=F64)
    )


@functools.cache
def _geodesics(*starts):
    """First points of real geodesics: for each (λ, γ, k) there and back between two Gaussian tasks,
    (F_t, λ, k, Point).
    """
    c = 0.5 * 0.5**0.5
    a = torch.tensor([[1.0, 0.0, 0.2], [0.0, 0.5, c], [0.2, c, 1.0]], dtype=F64)
    b = torch.tensor([[1.4, 0.1, 0.5], [0.1, 0.6, c], [0.5, c, 1.2]], dtype=F64)
    found = []
    for first, last in ((a, b), (b, a)):
        ends = [LinearGaussian(cov, dim_x=2, k=1) for cov in (first, last)]
        for lam, gam, k in starts:
            p = torch.tensor([lam, gam, 0.0], dtype=F64)
            theta = ends[0].optimum(p[:2])
            F_t = float(ends[1](theta, p[:2]) - ends[0](theta, p[:2]))
            J = lambda th, q: (1 - q[2]) * ends[0](th, q[:2]) + q[2] * ends[1](th, q[:2])
            found.append(
                (
                    F_t,
                    lam,
                    k,
                    follow(J, theta, p, Geodesic(k), 1e-5, step=1e-5, max_step=1e-5).points[0],
                )
            )
    return found


@on_cpu
def check_shares(shares):
    """`shares(F_t, lam, k)` -> what R and λD pay; on real geodesics of two Gaussian tasks, there
    and back, and on random numbers.
    """
    cases = []
    for F_t, lam, k, point in _geodesics(
        (1.3, 4.0, 0.0), (1.3, 4.0, 0.4), (0.7, 5.0, 2.0), (1.3, 4.0, -0.2), (0.7, 5.0, -3.0)
    ):
        D_dot = float(point.hess[0] @ point.velocity)
        cases.append((F_t, lam, k, F_t - lam * D_dot, lam * D_dot))  # the first law, with Ċ = 0
    uniform = _draws(0)
    while len(cases) < 30:
        F_t, lam, k = (float(v) for v in uniform(-3, 3, 3))
        if abs(1 + k * abs(lam)) > 0.1:
            lam, hess, right = (
                abs(lam),
                torch.tensor([[-2.0, 0.7], [0.7, -1.0]], dtype=F64),
                uniform(-2, 2, 2),
            )
            wanted = torch.stack(
                [k / (1 + k * lam) * torch.tensor(F_t, dtype=F64) - right[0], -right[1]]
            )  # eq. (30) with D_t, C_t = right
            D_dot = float(hess[0] @ torch.linalg.solve(hess, wanted) + right[0])
            cases.append((F_t, lam, k, F_t - lam * D_dot, lam * D_dot))
    cases.append((1.0, 2.0, -0.49, 50.0, -49.0))  # near to the singularity
    for F_t, lam, k, R, lam_D in cases:
        rate, price = (
            number(v, "shares")
            for v in several(shares(F_t, lam, k), "shares", 2, "two numbers, Ṙ and λḊ")
        )
        scale = max(abs(R), abs(lam_D))
        if near(rate, R, 1e-7 * scale, scale) and near(price, lam_D, 1e-7 * scale, scale):
            continue
        same = lambda x, y: near(x, y, 1e-6 * scale, scale)
        where = f"F_t = {F_t:.4g}, λ = {lam:.4g}, k = {k:.4g}: "
        if k == 0 and not same(price, 0.0):
            raise AssertionError(where + "with k = 0 the distortion stays, and the rate pays all")
        if same(rate, F_t):
            raise AssertionError(
                where + "Ṙ is not F_t: D moves too, Ḋ = kṘ, and takes its part. Put Ḋ = kṘ in Ṙ = "
                "F_t − "
                "λḊ"
            )
        if same(rate, R) and same(price * lam, lam_D):
            raise AssertionError(
                where + "the second number is λḊ, not Ḋ: what D costs at its price"
            )
        if same(rate, lam_D) and same(price, R):
            raise AssertionError(where + "the two are exchanged: first Ṙ, then λḊ")
        if same(abs(rate), abs(R)) and same(abs(price), abs(lam_D)):
            raise AssertionError(
                where + "a sign is lost: F_t and 1 + kλ have either sign, and the shares follow"
            )
        if not same(rate + price, F_t):
            raise AssertionError(
                where + f"with Ċ = 0 the two pay F_t together: {rate:.4f} + {price:.4f} is not "
                f"{F_t:.4f}"
            )
        raise AssertionError(
            where + f"the geodesic moves R by {R:.4f} and λD by {lam_D:.4f} a unit of t, you "
            "have "
            f"{rate:.4f} and {price:.4f}"
        )
    return "right: as real geodesics share the bill"


@on_cpu
def check_geodesic_velocity(geodesic_velocity):
    """`geodesic_velocity(hess, F_t, lam, k)` on random concave F, slopes of both signs: Ċ = 0, Ḋ =
    kṘ by the first law, and the guard.
    """
    uniform = _draws(0)
    hess = torch.tensor([[-2.0, 0.0, 1.0], [0.0, -1.0, 3.0], [1.0, 3.0, 0.0]], dtype=F64)
    cases = []
    while len(cases) < 30:
        M, (F_t, lam, k) = uniform(-1, 1, 3, 3), (float(v) for v in uniform(-3, 3, 3))
        if abs(1 + k * abs(lam)) > 0.1:
            cases.append((-(M @ M.T) - 0.3 * torch.eye(3, dtype=F64), F_t, abs(lam), k))
    cases += [
        (hess, 2.0, 1.0, 1.0),
        (hess, 2.0, 2.0, -0.48995),
        (hess, -1.0, 2.0, -0.51005),
    ]  # 1 + kλ = ±0.0201 are allowed
    for hess, F_t, lam, k in cases:
        where = f"F_t = {F_t:.3g}, λ = {lam:.3g}, k = {k:.3g}: "
        try:
            answer = geodesic_velocity(hess.clone(), F_t, lam, k)
        except ValueError as e:
            side = "a falling slope is no error, nor is 1 + kλ below zero; " if k < 0 else ""
            raise AssertionError(
                where
                + f"1 + kλ = {1 + k * lam:.4f} is refused ({e}), but it is at least 0.02 away "
                f"from zero: {side}solve there"
            ) from None
        v = [
            number(x, "geodesic_velocity")
            for x in several(answer, "geodesic_velocity", 2, "two numbers, λ̇ and γ̇")
        ]
        solve = lambda D, C: torch.linalg.solve(
            hess[:2, :2], torch.tensor([D, C], dtype=F64) - hess[:2, 2]
        )
        D_dot = k * F_t / (1 + k * lam)
        want = solve(D_dot, 0.0)
        scale = float(want.abs().max()) + abs(D_dot)
        if near(v, want, 1e-9 * scale, scale):
            continue
        same = lambda other: near(v, other, 1e-7 * scale, scale)
        p_dot = torch.tensor([*v, 1.0], dtype=F64)
        D, C = float(hess[0] @ p_dot), float(hess[1] @ p_dot)
        if same(solve(k * F_t, 0.0)):
            raise AssertionError(
                where
                + "the denominator is missing: Ṙ is not F_t but F_t/(1 + kλ), since D moves too"
            )
        if same(solve(abs(D_dot), 0.0)):
            raise AssertionError(where + "a sign is lost: k, F_t and 1 + kλ may each be negative")
        if abs(C) > 1e-4 * scale:
            raise AssertionError(
                where
                + f"C moves by {C:.3g}: the second row is C_λ λ̇ + C_γ γ̇ + C_t = 0, with C_t = "
                "hess[1, 2] brought to the right with a minus"
            )
        raise AssertionError(
            where
            + f"D moves by {D:.3g} and kR by {k * (F_t - lam * D):.3g}: the right-hand side is "
            "k "
            "F_t/(1 + kλ) − D_t"
        )
    for lam, k in ((2.0, -0.5), (2.0, -0.49005), (2.0, -0.50995), (0.25, -4.04)):
        try:
            geodesic_velocity(hess.clone(), 1.0, lam, k)
        except ValueError:
            continue
        except Exception as e:
            raise AssertionError(
                f"at λ = {lam}, k = {k} the denominator 1 + kλ is {1 + k * lam:.4f}: raise "
                f"ValueError there, not {type(e).__name__}"
            ) from None
        raise AssertionError(
            f"at λ = {lam}, k = {k} the denominator 1 + kλ is {1 + k * lam:.4f}, within 0.02 of "
            "zero on one side or the other: raise ValueError there"
        )
    return "right: C stays, the slope is k, and the singular line is refused"


@on_cpu
def check_fate(fate):
    """`fate(F_t, lam, k)` against geodesics of two Gaussian tasks that start on either side of λ*,
    with F_t > 0 and, walked backwards, F_t < 0; and by the theorem, for F_t, λ and k of any size.
    """
    uniform = _draws(4)
    sized = lambda low, high: float(10.0 ** uniform(low, high))
    signed = lambda low, high: sized(low, high) * (1 if uniform(-1, 1) > 0 else -1)
    for k in (0.0, 0.5, 3.0, 0, *(sized(-6, 6) for _ in range(12))):
        for F_t, lam in ((0.4, 1.0), (-0.4, 1.0), (signed(-9, 6), sized(-4, 4))):
            answer = _fate(fate, F_t, lam, k)
            assert answer == "none", (
                f"for k = {k} ≥ 0 the denominator 1 + kλ is at least one: no singularity; you "
                "say "
                f"{answer!r}"
            )
    starts = [
        (lam, gam, -1 / (lam * far))
        for lam, gam in ((1.0, 4.0), (0.8, 3.0), (2.2, 5.0))
        for far in (0.93, 1.07)
    ]
    for F_t, lam, k, point in _geodesics(*starts):
        answer = _fate(fate, F_t, lam, k)
        assert answer != "none", (
            f"for k = {k:.3f} there is λ* = {-1 / k:.2f}, and λ = {lam:.2f} is near it"
        )
        found = "attracts" if (1 + k * lam) * k * float(point.velocity[0]) < 0 else "repels"
        side = "above" if 1 + k * lam > 0 else "below"
        assert answer == found, (
            f"a geodesic with k = {k:.3f} that starts at λ = {lam:.2f}, 1 + kλ {side} zero, "
            "with "
            f"F_t = {F_t:.2f}, shows that λ* {found}; you say {answer!r}"
        )
    # far from λ*, where a geodesic shows nothing of it, and at a small F_t: by the theorem
    anywhere = [(signed(-9, 6), sized(-4, 4), -sized(-6, 6)) for _ in range(60)]
    for F_t, lam, k in (
        (0.02, 3.0, -1.0),
        (-1e-6, 3.0, -1.0),
        (1e-6, 0.1, -1.0),
        (-2.0, 0.1, -1.0),
        (0.3, 2.0, -1e-3),
        (-0.3, 2.0, -200.0),
        (2, 3, -1),
        (-2, 3, -1),
        *anywhere,
    ):
        answer, want = _fate(fate, F_t, lam, k), "attracts" if F_t > 0 else "repels"
        assert answer == want, (
            f"for k = {k:g} there is λ* = {-1 / k:g}, and at λ = {lam:g}, F_t = {F_t:g} it {want}, "
            f"however far or weakly; you say {answer!r}"
        )
    return "right: the sign of F_t decides, on both sides"


def _fate(fate, F_t, lam, k):
    answer = fate(F_t, lam, k)
    assert answer is not None, "fate returned None: the stub is not filled in"
    assert isinstance(answer, str) and answer in ("none", "attracts", "repels"), (
        f'return "none", "attracts" or "repels", not {answer!r}'
    )
    return str(answer)


@on_cpu
def check_area(area):
    """`area(spent, accuracy)` on the example, on random curves with unequal stretches, and on one
    measurement alone.
    """
    uniform = _draws(3)
    cases = [
        (uniform(0.2, 20, n).cumsum(0).tolist(), uniform(0, 1, n).tolist())
        for n in (3, 2, 5, 9, 13, 1)
    ]
    cases += [([10.0, 30.0], [0.2, 0.6]), ([1.0, 5.0, 6.0], [0.7, 0.7, 0.7])]
    for spent, accuracy in cases:
        value = number(area(list(spent), list(accuracy)), "area")
        x, y, n = [0.0, *spent], [accuracy[0], *accuracy], len(spent)
        trapezoid = lambda x, y: sum(
            (y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(len(x) - 1)
        )
        want = trapezoid(x, y) / x[-1]
        if near(value, want, 1e-10):
            continue
        same = lambda other: near(value, other, 1e-9)
        where = (
            f"spent = {[round(v, 2) for v in spent]}, accuracy = "
            f"{[round(v, 2) for v in accuracy]}: "
        )
        if same(sum(accuracy) / n):
            raise AssertionError(
                where
                + "that is the mean over measurements: weigh each stretch with its epochs, the "
                "first one too"
            )
        if same(trapezoid(spent, accuracy) / x[-1]):
            raise AssertionError(
                where + "the epochs before the first measurement count too, at the first value"
            )
        if same(trapezoid(x, y)):
            raise AssertionError(where + "divide by the epochs of the run")
        if same(trapezoid(range(n + 1), y) / n):
            raise AssertionError(
                where + "the stretches are not equally long: each counts with its own epochs"
            )
        if same(sum(y[i + 1] * (x[i + 1] - x[i]) for i in range(n)) / x[-1]) or same(
            sum(y[i] * (x[i + 1] - x[i]) for i in range(n)) / x[-1]
        ):
            raise AssertionError(
                where
                + "that is a staircase: the trapezoidal rule takes the mean of the two ends of "
                "a "
                "stretch"
            )
        raise AssertionError(where + f"expected {want:.6g}, got {value:.6g}")
    return "right: an average over epochs"


def _slopes():
    """(k, λ, q, slope, what rounding is relative to): first with eq. (30) solved on random concave
    F, then with k, λ and q of any size, to either side of 1 + kλ = 0 and of Ṙ = 0, exactly.
    """
    uniform, done = _draws(1), 0
    while done < 30:
        M, (D_t, C_t, F_t, q, lam, k) = uniform(-1, 1, 2, 2), uniform(-2, 2, 6)
        lam, hess = lam.abs(), -(M @ M.T) - 0.3 * torch.eye(2, dtype=F64)
        if done == 0:
            k = torch.tensor(0.0, dtype=F64)
        elif done == 1:
            q = torch.tensor(1.0, dtype=F64)  # right by accident
        if abs(1 + k * lam) < 0.2 or abs(1 + k * lam * (1 - q)) < 0.2 or abs(F_t) < 0.1:
            continue  # singular, or Ṙ = 0
        done += 1
        right = torch.stack([k / (1 + k * lam) * q * F_t - D_t, -C_t])
        D_dot = float(hess[0] @ torch.linalg.solve(hess, right) + D_t)
        q, lam, k, F_t = (float(v) for v in (q, lam, k, F_t))
        truth = D_dot / (F_t - lam * D_dot)  # the first law, with Ċ = 0
        yield k, lam, q, truth, 1 + abs(truth)
    sized = lambda low, high: float(10.0 ** uniform(low, high))
    signed = lambda low, high: sized(low, high) * (1 if uniform(-1, 1) > 0 else -1)
    cases = [(signed(-3, 3), sized(-3, 3), signed(-3, 3)) for _ in range(40)]
    for k, lam, q in [(signed(-1, 1), sized(-1, 1), signed(-1, 1)) for _ in range(8)]:
        cases += [(-(1 + signed(-1.4, -0.5)) / lam, lam, q)]  # near 1 + kλ = 0
        cases += [(k, lam, 1 + (1 + signed(-1.4, -0.5)) / (k * lam))]  # near Ṙ = 0
        cases += [(k, lam, 0.0), (0.0, lam, q), (0.0, lam, 0.0), (k, lam, 1.0)]
    cases += [(2, 1, 3), (-2, 1, -1)]
    for k, lam, q in cases:
        exact, price, factor = (Fraction(v) for v in (k, lam, q))
        if 50 * abs(1 + exact * price) < 1:
            continue  # there `Geodesic` refuses
        D_dot = exact / (1 + exact * price) * factor  # eq. (30), F_t = 1
        R_dot = 1 - price * D_dot  # the first law
        size = (1 + abs(exact * price) * (1 + abs(factor))) / abs(1 + exact * price)
        truth = float(D_dot / R_dot)
        yield k, lam, q, truth, abs(truth) * float(size / abs(R_dot)) or 1.0


@on_cpu
def check_slope(slope):
    """`slope(k, lam, q)`: dD/dR if q F_t stands in the place of F_t in eq. (30); by solving that
    equation on random concave F, and where it is nearly singular.
    """
    for k, lam, q, truth, scale in _slopes():
        where = f"k = {k:.4g}, λ = {lam:.4g}, q = {q:.4g}: "
        try:
            found = number(slope(k, lam, q), "slope")
        except (ValueError, ArithmeticError) as refusal:
            raise AssertionError(
                where + f"there is a slope, {truth:.4g}, and you refuse it ({refusal})"
            ) from None
        if near(found, truth, 1e-9 * scale, scale):
            continue
        hints = (
            (k, "k comes out only for q = 1"),
            (k * q, "D has the factor q, but R has not: Ṙ = F_t − λḊ, with the true F_t"),
            (k * q / (1 + k * lam), "this is Ḋ/F_t; divide by Ṙ/F_t = 1 − λḊ/F_t"),
            (k * q / (1 + k * lam * (1 + q) or 1), "Ṙ = F_t − λḊ has a minus"),
            (-truth, "the sign: k and q may each be negative"),
        )
        why = next(
            (f": {hint}" for value, hint in hints if near(found, value, 1e-8 * scale, scale)), ""
        )
        raise AssertionError(
            where + f"solving the equation gives a slope of {truth:.5g}, you have {found:.5g}{why}"
        )
    return "right: the slope that the wrong candidate draws"


@on_cpu
def check_paired(paired):
    """`paired(a, b)` -> mean difference and its standard error, on pairs that share what a seed
    does to both; two to nine seeds.
    """
    uniform = _draws(2)
    cases = [(torch.tensor([3.0, 5.0, 7.0], dtype=F64), torch.tensor([1.0, 2.0, 3.0], dtype=F64))]
    for n in (2, 3, 3, 5, 9):
        shared = uniform(-5, 5, n)
        cases += [
            (shared + uniform(-1, 1, n), shared + uniform(-1, 1, n) + shift)
            for shift in (0.5, -0.5)
        ]
    for a, b in cases:
        mean, error = (
            number(v, "paired")
            for v in several(
                paired(a.clone(), b.clone()),
                "paired",
                2,
                "two numbers, the mean difference and its standard error",
            )
        )
        d, n = a - b, len(a)
        size = 1 + float(a.abs().max() + b.abs().max())
        want = float(d.mean()), float(d.std(correction=1)) / n**0.5
        if near(mean, want[0], 1e-9, size) and near(error, want[1], 1e-9, size):
            continue
        same = lambda x, y: near(x, float(y), 1e-8, size)
        where = f"a − b = {[round(float(v), 3) for v in d]}: "
        if not same(mean, want[0]):
            if same(mean, -want[0]):
                raise AssertionError(where + "the sign is reversed or lost: a less b")
            raise AssertionError(where + f"the mean is {want[0]:.4g}; you have {mean:.4g}")
        for other, why in (
            (
                (a.var() / n + b.var() / n).sqrt(),
                "what a seed does to both methods counts as noise here: take the differences "
                "seed "
                "by seed first",
            ),
            (
                d.std(correction=1),
                "this is the spread of one difference; the error of the mean of n is smaller by √n",
            ),
            (
                d.std(correction=0) / n**0.5,
                "the sum of squares is divided by n − 1, not by n: one of the n is spent on the "
                "mean",
            ),
            (d.std(correction=1) / n, "the spread is divided by √n, not by n"),
            (d.var() / n, "this is the square of the error"),
        ):
            if same(error, other):
                raise AssertionError(where + why)
        raise AssertionError(where + f"the standard error is {want[1]:.4g}; you have {error:.4g}")
    return "right: mean and error of the differences, seed by seed"
