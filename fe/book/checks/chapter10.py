"""Checks of the exercises of chapter 10: against closed forms and against minimisations that are
really done.
"""

import numpy as np
import torch

from ... import LinearGaussian
from .answers import SINGLE, array, near, number, on_cpu, several

F64 = torch.float64


def _states():
    """Equilibria of Gaussian models with one and two codes: (λ, γ), Hess F, and C + R/β as a
    function of γ.
    """
    c = 0.5 * 0.5**0.5
    covariance = torch.tensor([[1, 0, 0.2], [0, 0.5, c], [0.2, c, 1]], dtype=F64)
    for k, lam, gam in ((1, 0.5, 3.0), (1, 1.5, 6.0), (1, 3.0, 1.0), (2, 2.0, 2.5)):
        model = LinearGaussian(covariance, dim_x=2, k=k)
        p = lambda e, lam=lam, gam=gam: torch.tensor([lam, gam + e], dtype=F64)
        total = lambda e, beta, model=model, p=p: float(
            model.classification(p(e)) + model.rate(p(e)) / beta
        )
        yield lam, gam, model.hessian(p(0.0)), total


@on_cpu
def check_lever(lever):
    """`lever(hess, lam, gam, beta)` against differences of C + R/β in closed forms, β below, near
    and above γ.
    """
    h = 1e-5
    for lam, gam, hess, total in _states():
        for beta in (0.7, 5.0, 1e6):
            found = number(lever(hess.clone(), lam, gam, beta), "lever")
            truth = (total(h, beta) - total(-h, beta)) / (
                2 * h
            )  # error h² and rounding 1e-16/h: about 1e-10
            if near(found, truth, 1e-7 * max(1, abs(truth))):
                continue
            diagonal = float(hess[1, 1])
            for value, why in (
                (diagonal, "that is dC/dγ alone: the rate moves too"),
                (
                    diagonal * (1 - gam / beta),
                    "the term −(λ/β) F_λγ is missing: D moves with γ as well, and R pays for it",
                ),
                (-truth, "the sign is reversed"),
                (abs(truth), "the sign is lost: the lever may have either"),
            ):
                assert not near(found, value, 1e-7 * max(1, abs(truth))), why
            raise AssertionError(
                f"at λ = {lam}, γ = {gam}, β = {beta} differences of C + R/β give {truth:.6f}, "
                f"you have {found:.6f}: dR/dγ = −λ F_λγ − γ F_γγ"
            )
    return "right: it is the slope of C + R/β, of either sign"


@on_cpu
def check_neutral_beta(neutral_beta):
    """`neutral_beta(hess, lam, gam)`: the β at which C + R/β does not answer to γ; by differences
    in closed forms, F_λγ of both signs.
    """
    h = 1e-5
    for lam, gam, hess, total in _states():
        beta = number(neutral_beta(hess.clone(), lam, gam), "neutral_beta")
        shift = lam * float(hess[0, 1] / hess[1, 1])
        truth = gam + shift
        if near(beta, truth, 1e-7 * abs(truth)):
            slope = (total(h, truth) - total(-h, truth)) / (2 * h)
            assert abs(slope) < 1e-7  # the formula itself, against the closed form
            continue
        for value, why in (
            (gam, "β = γ is right only where F_λγ = 0: the distortion answers to γ as well"),
            (gam - shift, "the sign: set F_γγ(1 − γ/β) equal to +(λ/β) F_λγ"),
            (gam + abs(shift), "the sign of F_λγ is lost"),
            (gam - abs(shift), "the sign of F_λγ is lost"),
        ):
            assert not near(beta, value, 1e-7 * abs(truth)), why
        slope = (total(h, beta) - total(-h, beta)) / (2 * h) if beta else float("inf")
        raise AssertionError(
            f"at λ = {lam}, γ = {gam} and your β = {beta:.4f} the sum C + R/β still moves by "
            f"{slope:.2e} a unit of γ"
        )
    return "right: there the sum does not answer to γ"


def _lags():
    """(∇J, μ, distance from the minimum, excess of J) on bowls of least curvature μ, quadratic and
    not: some with μ near one, then sizes of μ and of the gradient over sixteen orders.
    """
    draw = torch.Generator().manual_seed(0)
    for n in (1, 5, 5, 8):
        M = torch.randn(n, n, generator=draw, dtype=F64)
        A = M @ M.T + (0.3 if n != 8 else 3.0) * torch.eye(n, dtype=F64)
        values, vectors = torch.linalg.eigh(A)
        mu = float(values[0])
        for delta in (
            torch.randn(n, generator=draw, dtype=F64),
            vectors[:, 0],
            -30 * vectors[:, 0],
            1e-4 * vectors[:, 0],
            0 * vectors[:, 0],  # at rest
        ):
            yield A @ delta, mu, float(delta.norm()), 0.5 * float(delta @ A @ delta)
    uniform = lambda low, high, *shape: (
        low + (high - low) * torch.rand(shape, generator=draw, dtype=F64)
    )
    for i in range(60):
        mu, size = (float(10.0**v) for v in uniform(-8, 8, 2))
        stiff = 10.0 ** uniform(0, 3, int(torch.randint(1, 60, (), generator=draw)))
        stiff[0] = 1.0  # the curvatures in units of μ; with a quartic part on every other bowl
        x, quartic = torch.randn(len(stiff), generator=draw, dtype=F64), float(i % 2)
        g = mu * (stiff * x + quartic * x**3)
        excess = mu * float((stiff * x**2 / 2 + quartic * x**4 / 4).sum())
        r = size / float(g.norm())  # r² J(θ/r) has the curvatures of J
        yield r * g, mu, r * float(x.norm()), r**2 * excess


@on_cpu
def check_lag(lag):
    """`lag(gradient, mu)` on bowls, quadratic and not, where it must hold, and be attained along
    the softest direction; also at rest, and for gradients and curvatures of any size.
    """
    what = "two numbers, a distance and an excess"
    for g, mu, distance, excess in _lags():
        try:
            answer = lag(g.clone(), mu)
        except ValueError as refusal:
            raise AssertionError(
                f"μ = {mu:.3g} is positive, and you refuse it ({refusal}): the bound holds"
            ) from None
        found = [number(v, "lag") for v in several(answer, "lag", 2, what)]
        truth = float(g.norm()) / mu, float(g @ g) / (2 * mu)
        if all(near(a, b, 1e-9 * b) for a, b in zip(found, truth)):
            continue
        assert not near(found, truth[::-1], 1e-9 * max(truth)), (
            "the two are exchanged: first the distance, then the excess"
        )
        assert not found[0] < distance * (1 - 1e-4), (
            "the distance is larger than your bound: divide the norm of the gradient by μ"
        )
        assert not found[1] < excess * (1 - 1e-4), (
            "J exceeds its minimum by more than your bound ‖∇J‖²/(2μ)"
        )
        raise AssertionError(
            f"for ‖∇J‖ = {float(g.norm()):.4g} and μ = {mu:.4g} the bounds are {truth[0]:.4g} "
            f"and {truth[1]:.4g}, you have "
            f"{found[0]:.4g} and {found[1]:.4g}: along the softest direction they are "
            "attained, so yours are not tight"
        )
    sizes = -(10.0 ** torch.linspace(-12.3, 12.3, 12, dtype=F64))
    for wrong in (-1.0, 0.0, float("nan"), -1e-9, -37.0, -float("inf"), *sizes.tolist()):
        for g in (torch.ones(2, dtype=F64), torch.zeros(2, dtype=F64)):
            try:
                found = f"do not return {lag(g, wrong)}"
            except ValueError:
                continue
            except Exception as error:
                found = f"not {type(error).__name__}"
            raise AssertionError(f"with μ = {wrong} there is no bound: raise ValueError, {found}")
    return "right: both bounds hold, and are attained"


@on_cpu
def check_schedule(schedule):
    """`schedule(t, g, K)`: even for constant g; else equal lengths by a trapezoidal rule and linear
    interpolation of its own.
    """
    draw = np.random.default_rng(0)
    even = np.linspace(0, 1, 2001)
    rough = np.sort(
        np.concatenate([[0.0, 2.0], 2 * draw.random(40)])
    )  # uneven times that do not end at 1
    late = np.linspace(-1.0, 3.0, 9)
    cases = [
        (even, np.full_like(even, 3.0), 5, "for a constant metric the steps must be even"),
        (even, 4 * even, 4, "for g = 4t the times are (k/K)^(2/3)"),
        (
            np.sort(np.concatenate([np.linspace(0, 0.1, 50), np.linspace(0.11, 1, 1000)])),
            np.ones(1050),
            4,
            "the times t need not be even: weigh each with its interval",
        ),
        (rough, 0.1 + draw.random(42), 7, "the times t need not be even, and need not end at 1"),
        (
            late,
            np.array([9.0, 4, 1, 0, 0, 1, 1, 16, 25]),
            3,
            "times from −1 to 3, with g = 0 in between",
        ),
        (rough, rough**2 + 0.01, 1, "one step leads from end to end"),
    ]
    for t, g, K, what in cases:
        found = array(schedule(t.copy(), g.copy(), K), "schedule")
        assert found.shape == (K + 1,), (
            f"return K + 1 = {K + 1} times, both ends included; got the shape {tuple(found.shape)}"
        )
        step = lambda v, t=t: np.concatenate([[0], np.cumsum((v[1:] + v[:-1]) / 2 * np.diff(t))])
        length = step(np.sqrt(g))
        at = lambda length, t=t, K=K: torch.as_tensor(
            np.interp(np.linspace(0, length[-1], K + 1), length, t)
        )
        lengths = np.interp(
            found.numpy(), t, length
        )  # a flat piece has no unique time: compare lengths
        # √g carries an error of the times into the lengths; in single precision that is some 1e-7
        # of the largest of both
        single = bool((found.float().double() == found).all())
        slack = (
            SINGLE * max(length[-1], float(np.sqrt(g).max() * abs(t).max()))
            if single
            else 1e-6 * length[-1]
        )
        if near(lengths, np.linspace(0, length[-1], K + 1), slack, scale=0) and near(
            found[[0, -1]], [t[0], t[-1]], 1e-9, scale=abs(t).max()
        ):
            continue
        twin = at(step(g))
        assert not near(found, twin, 1e-6, scale=abs(t).max()) or near(twin, at(length), 1e-6), (
            "you integrate g: the length is the integral of its square root"
        )
        raise AssertionError(
            f"{what}: the times are {at(length).numpy().round(3).tolist()}, you have "
            f"{found.numpy().round(3).tolist()}"
        )
    return "right: equal lengths"


def _bowls(draw, quartic):
    """Two tasks with one minimum each, and how a mixture of them comes to rest (by Newton)."""
    P, Q = (
        M @ M.T + 0.3 * torch.eye(3, dtype=F64)
        for M in torch.randn(2, 3, 3, generator=draw, dtype=F64)
    )
    a, b = torch.randn(2, 3, generator=draw, dtype=F64)

    def costs(th):
        bend = quartic * th.pow(4).sum()
        return (
            0.5 * (th - a) @ P @ (th - a) + 0.3 + bend,
            0.5 * (th - b) @ Q @ (th - b) - 0.1 + bend,
        )

    def rest(th, t):
        for _ in range(50):
            gradient = (1 - t) * P @ (th - a) + t * Q @ (th - b) + 4 * quartic * th**3
            th = th - torch.linalg.solve(
                (1 - t) * P + t * Q + torch.diag(12 * quartic * th**2), gradient
            )
        return th

    return costs, rest, a


def _valleys(tilt, target, slope):
    """The source has two valleys, tilted; the target is given with its slope. From the left
    valley, downhill: it ends before t = 1, and the state falls into the other one.
    """
    costs = lambda th: ((th * th - 1) ** 2 / 4 - tilt * th, target(th))

    def rest(th, t):
        for _ in range(2000):
            th -= 0.2 * ((1 - t) * (th**3 - th - tilt) + t * slope(th))
        return th

    return costs, rest, -1.0


@on_cpu
def check_waste(waste):
    """`waste(t, F_t, F)` against real relaxations of mixtures, step by step: of one minimum,
    quadratic and not, and of two valleys, where the state jumps.
    """
    draw = torch.Generator().manual_seed(7)
    problems = [(K, *_bowls(draw, quartic)) for K, quartic in ((1, 0), (4, 0), (7, 0), (5, 0.5))]
    # the same two valleys, tilted to the right: at the jump F_t falls
    tilted = lambda th: (th * th - 1) ** 2 / 4 - 0.6 * th, lambda th: th**3 - th - 0.6
    # a bowl between the two valleys, nearer to the left one: at the jump F_t rises
    bowl = lambda th: 0.25 * (th + 0.2) ** 2, lambda th: 0.5 * (th + 0.2)
    problems += [(9, *_valleys(-0.2, *tilted)), (12, *_valleys(0.24, *bowl))]
    for K, costs, rest, th in problems:
        J = lambda th, t, costs=costs: float((1 - t) * costs(th)[0] + t * costs(th)[1])
        t = np.sort(
            np.concatenate([[0.0, 1.0], torch.rand(K - 1, generator=draw, dtype=F64).numpy()])
        )
        states = []
        for s in t:
            th = rest(th, s)
            states.append(th)
        F_t = np.array([float(costs(th)[1] - costs(th)[0]) for th in states])
        F = np.array([J(th, s) for th, s in zip(states, t)])
        truth = sum(J(th, u) - value for th, u, value in zip(states, t[1:], F[1:]))
        answer = array(waste(t.copy(), F_t.copy(), F.copy()), "waste")
        assert answer.numel() == 1, (
            f"return one number, the sum over all steps; got the shape {tuple(answer.shape)}"
        )
        found, rise, scale = float(answer), F[-1] - F[0], abs(F_t).max()
        if near(found, truth, 1e-9, scale=scale):
            continue
        for value, why in (
            (
                np.sum(F_t[:-1] * np.diff(t)),
                "this is what the frozen models cost more; subtract what F rises by",
            ),
            (
                np.sum(F_t[1:] * np.diff(t)) - rise,
                "a step is made with the model of its beginning: F_t at t_k, not at t_{k+1}",
            ),
            (
                np.sum((F_t[1:] + F_t[:-1]) / 2 * np.diff(t)) - rise,
                "the trapezoidal rule follows the relaxed model; the frozen one keeps the slope "
                "of its beginning",
            ),
            (
                np.mean(F_t[:-1]) - rise,
                "the steps need not be even: weigh each slope with its own Δt",
            ),
            (
                np.sum(F_t[:-1] * np.diff(t)) - abs(rise),
                "F may fall as well: subtract F(1) − F(0) with its sign",
            ),
            (rise - np.sum(F_t[:-1] * np.diff(t)), "the sign is reversed: waste is never negative"),
        ):
            assert not near(found, value, 1e-9, scale=scale), why
        raise AssertionError(
            f"relaxing for real takes out {truth:.5f} nats in {K} steps, you have {found:.5f}"
        )
    return "right: to the last digit what is relaxed"
