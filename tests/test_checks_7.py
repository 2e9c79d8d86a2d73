"""The checks of chapter 7: the reference passes, the stub fails helpfully, plausible mistakes are named."""

import pytest
import torch

from fe.checks import chapter7


def F_t(J_source, J_target, theta, p):
    return J_target(theta, p[:2]) - J_source(theta, p[:2])


def at_own_minimum(J, p):
    """min over θ of a quadratic task p[0]‖θ − c‖² + const: J at its minimum, found by one Newton step."""
    zero = torch.zeros(2, dtype=torch.float64)
    return J(zero - torch.func.grad(J)(zero, p[:2]) / (2 * p[0]), p[:2])


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda s, g, th, p: None, "stub"),
        (lambda s, g, th, p: s(th, p) - g(th, p), "sign is reversed"),
        (lambda s, g, th, p: (1 - p[2]) * s(th, p) + p[2] * g(th, p), "not its derivative"),
        (lambda s, g, th, p: p[2] * g(th, p) - (1 - p[2]) * s(th, p), "drop out"),
        (lambda s, g, th, p: at_own_minimum(g, p) - at_own_minimum(s, p), "at the θ that serves"),
        (lambda s, g, th, p: g(th, p), "less J of the source"),
    ],
)
def test_F_t(wrong, words):
    assert chapter7.check_F_t(F_t).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter7.check_F_t(wrong)


def velocity_28(hess, lam_dot):
    return -(hess[1, 0] * lam_dot + hess[1, 2]) / hess[1, 1]


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda h, v: None, "stub"),
        (lambda h, v: -v * h[1, 0] / h[1, 1], "C_t is missing"),
        (lambda h, v: -h[1, 2] / h[1, 1], "C_λ λ̇ is missing"),
        (lambda h, v: (h[1, 0] * v + h[1, 2]) / h[1, 1], "sign is reversed"),
        (lambda h, v: -(h[0, 0] * v + h[0, 2]) / h[0, 1], "holds D"),
        (lambda h, v: -(h[1, 0] * v + h[2, 2]) / h[1, 1], "C moves"),
    ],
)
def test_velocity_28(wrong, words):
    assert chapter7.check_velocity_28(velocity_28).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter7.check_velocity_28(wrong)


def mixture_weights(ns, nt, t):
    one = torch.ones(ns, dtype=torch.float64) / ns, torch.ones(nt, dtype=torch.float64) / nt
    return torch.cat([(1 - t) * one[0], t * one[1]]), torch.cat([-one[0], one[1]])


def swapped(ns, nt, t):
    w, dw = mixture_weights(nt, ns, 1 - t)
    return w, -dw


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda ns, nt, t: None, "stub"),
        (lambda ns, nt, t: mixture_weights(ns, nt, t)[0], "two tensors"),
        (lambda ns, nt, t: (torch.tensor([1 - t, t]), torch.tensor([-1.0, 1.0])), "one entry for each image"),
        (lambda ns, nt, t: (torch.cat([torch.full((ns,), 1 - t), torch.full((nt,), t)]), mixture_weights(ns, nt, t)[1]), "sum to"),
        (lambda ns, nt, t: (torch.ones(ns + nt) / (ns + nt), mixture_weights(ns, nt, t)[1]), "hold"),
        (swapped, "source"),
        (lambda ns, nt, t: (mixture_weights(ns, nt, t)[0], mixture_weights(ns, nt, t)[1].clamp(min=0)), "must lose"),
        (lambda ns, nt, t: (mixture_weights(ns, nt, t)[0], -mixture_weights(ns, nt, t)[1]), "sign is reversed"),
        (lambda ns, nt, t: (mixture_weights(ns, nt, t)[0], 2 * mixture_weights(ns, nt, t)[1]), "not the derivative"),
    ],
)
def test_mixture_weights(wrong, words):
    assert chapter7.check_mixture_weights(mixture_weights).startswith("right")
    with pytest.raises(AssertionError, match=words):
        chapter7.check_mixture_weights(wrong)
