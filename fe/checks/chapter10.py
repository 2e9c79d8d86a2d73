"""Checks of the exercises of chapter 10: against closed forms and against quadratic bowls that are really minimised."""

import numpy as np
import torch

from .. import LinearGaussian


def check_lever(lever):
    """`lever(hess, lam, gam, beta)` against differences of C + R/β in the linear–Gaussian model's closed form."""
    c = 0.5 * 0.5**0.5
    model = LinearGaussian(torch.tensor([[1, 0, 0.2], [0, 0.5, c], [0.2, c, 1]], dtype=torch.float64), dim_x=2, k=1)
    beta, h = 5.0, 1e-5
    for lam, gam in ((0.5, 3.0), (1.5, 6.0)):
        p = lambda e: torch.tensor([lam, gam + e], dtype=torch.float64)
        value = lever(model.hessian(p(0.0)).tolist(), lam, gam, beta)
        assert value is not None, "return a number"
        hess = model.hessian(p(0.0))
        assert abs(float(value) - float(hess[1, 1])) > 1e-9, "that is dC/dγ alone: the rate moves too"
        total = lambda e: float(model.classification(p(e)) + model.rate(p(e)) / beta)
        truth = (total(h) - total(-h)) / (2 * h)  # error h² and rounding 1e-16/h: about 1e-10
        without = float(hess[1, 1]) * (1 - gam / beta)
        assert abs(float(value) - without) > 1e-9, "the term −(λ/β) F_λγ is missing: D moves with γ as well, and R pays for it"
        assert abs(float(value) - truth) < 1e-7, f"differences of C + R/β give {truth:.6f}, you have {float(value):.6f}: dR/dγ = −λ F_λγ − γ F_γγ"
    return "right: it is the slope of C + R/β"


def check_lag(lag):
    """`lag(gradient, mu)` on quadratic bowls, where it must hold, and be attained along the softest direction."""
    draw = torch.Generator().manual_seed(0)
    for _ in range(20):
        M = torch.randn(5, 5, generator=draw, dtype=torch.float64)
        A = M @ M.T + 0.3 * torch.eye(5, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(A)
        for delta in (torch.randn(5, generator=draw, dtype=torch.float64), vectors[:, 0]):
            found = lag(A @ delta, float(values[0]))
            assert found is not None and len(found) == 2, "return two numbers, a distance and an excess"
            distance, excess = float(delta.norm()), 0.5 * float(delta @ A @ delta)
            assert found[0] >= distance * (1 - 1e-9), "the distance is larger than your bound: divide the norm of the gradient by μ"
            assert found[1] >= excess * (1 - 1e-9), "J exceeds its minimum by more than your bound ‖∇J‖²/(2μ)"
        assert abs(found[0] / distance - 1) < 1e-9, "along the softest direction the distance is exactly ‖∇J‖/μ: your bound is not tight"
        assert abs(found[1] / excess - 1) < 1e-9, "along the softest direction the excess is exactly ‖∇J‖²/(2μ): your bound is not tight"
    try:
        lag(torch.ones(2), -1.0)
    except ValueError:
        return "right: both bounds hold, and are attained"
    raise AssertionError("with a negative curvature there is no bound: raise ValueError")


def check_schedule(schedule):
    """`schedule(t, g, K)`: even for constant g, and for g = 4t the closed form t_k = (k/K)^(2/3)."""
    t = np.linspace(0, 1, 2001)
    found = schedule(t, np.full_like(t, 3.0), 5)
    assert found is not None and len(found) == 6, "return K + 1 times, both ends included"
    assert np.allclose(found, np.linspace(0, 1, 6), atol=1e-9), "for a constant metric the steps must be even"
    found, truth = np.asarray(schedule(t, 4 * t, 4)), (np.arange(5) / 4) ** (2 / 3)
    by_g = (np.arange(5) / 4) ** 0.5
    assert not np.allclose(found, by_g, atol=1e-3), "you integrate g: the length is the integral of its square root"
    assert np.allclose(found, truth, atol=1e-3), f"for g = 4t the times are (k/K)^(2/3) = {truth.round(3).tolist()}, you have {found.round(3).tolist()}"
    uneven = np.sort(np.concatenate([np.linspace(0, 0.1, 50), np.linspace(0.11, 1, 1000)]))
    assert np.allclose(schedule(uneven, np.ones_like(uneven), 4), np.linspace(0, 1, 5), atol=1e-9), "the times t need not be even: weigh each with its interval"
    return "right: equal lengths"


def check_neutral_beta(neutral_beta):
    """`neutral_beta(hess, lam, gam)`: the β at which C + R/β does not answer to γ; by differences in a closed form."""
    c, h = 0.5 * 0.5**0.5, 1e-5
    model = LinearGaussian(torch.tensor([[1, 0, 0.2], [0, 0.5, c], [0.2, c, 1]], dtype=torch.float64), dim_x=2, k=1)
    for lam, gam in ((0.5, 3.0), (1.5, 6.0), (3.0, 1.0)):
        p = lambda e: torch.tensor([lam, gam + e], dtype=torch.float64)
        hess = model.hessian(p(0.0))
        beta = neutral_beta(hess.tolist(), lam, gam)
        assert beta is not None, "neutral_beta returned None: the stub is not filled in"
        beta, shift = float(beta), lam * float(hess[0, 1] / hess[1, 1])
        assert abs(beta - gam) > 1e-9, "β = γ is right only where F_λγ = 0: the distortion answers to γ as well"
        assert abs(beta - gam + shift) > 1e-9, "the sign: set F_γγ(1 − γ/β) equal to +(λ/β) F_λγ"
        total = lambda e: float(model.classification(p(e)) + model.rate(p(e)) / beta)
        slope = (total(h) - total(-h)) / (2 * h)
        assert abs(slope) < 1e-7, f"at λ = {lam}, γ = {gam} and your β = {beta:.4f} the sum C + R/β still moves by {slope:.2e} a unit of γ"
    return "right: there the sum does not answer to γ"


def check_waste(waste):
    """`waste(t, F_t, F)` against real relaxations of a quadratic mixture, step by step."""
    draw = torch.Generator().manual_seed(7)
    for K in (1, 4, 7):
        P, Q = (M @ M.T + 0.3 * torch.eye(3, dtype=torch.float64) for M in torch.randn(2, 3, 3, generator=draw, dtype=torch.float64))
        a, b = torch.randn(2, 3, generator=draw, dtype=torch.float64)
        costs = lambda th: (0.5 * (th - a) @ P @ (th - a) + 0.3, 0.5 * (th - b) @ Q @ (th - b) + 0.1)
        J = lambda th, t: float((1 - t) * costs(th)[0] + t * costs(th)[1])
        rest = lambda t: torch.linalg.solve((1 - t) * P + t * Q, (1 - t) * P @ a + t * Q @ b)
        t = np.sort(np.concatenate([[0.0, 1.0], torch.rand(K - 1, generator=draw, dtype=torch.float64).numpy()]))
        F_t, F = (np.array(v) for v in zip(*[(float(costs(rest(s))[1] - costs(rest(s))[0]), J(rest(s), s)) for s in t]))
        truth = sum(J(rest(s), u) - J(rest(u), u) for s, u in zip(t, t[1:]))
        found = waste(t, F_t, F)
        assert found is not None, "waste returned None: the stub is not filled in"
        assert np.ndim(found) == 0, "return one number, the sum over all steps"
        found, rise = float(found), F[-1] - F[0]
        for value, why in ((np.sum(F_t[:-1] * np.diff(t)), "this is what the frozen models cost more; subtract what F rises by"),
                           (np.sum(F_t[1:] * np.diff(t)) - rise, "a step is made with the model of its beginning: F_t at t_k, not at t_{k+1}"),
                           (np.sum((F_t[1:] + F_t[:-1]) / 2 * np.diff(t)) - rise, "the trapezoidal rule follows the relaxed model; the frozen one keeps the slope of its beginning"),
                           (rise - np.sum(F_t[:-1] * np.diff(t)), "the sign is reversed: waste is never negative")):
            assert abs(found - truth) < 1e-9 or abs(found - value) > 1e-9, why
        assert abs(found - truth) < 1e-9, f"relaxing for real takes out {truth:.5f} nats in {K} steps, you have {found:.5f}"
    return "right: to the last digit what is relaxed"
