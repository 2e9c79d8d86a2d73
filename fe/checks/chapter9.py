"""Checks of the exercises of chapter 9: against equations and against geodesics that are really followed."""

import torch

from .. import LinearGaussian, follow
from ..process import Geodesic


def check_geodesic_velocity(geodesic_velocity):
    """`geodesic_velocity(hess, F_t, lam, k)` on random concave F: Ċ = 0, Ḋ = kṘ by the first law, and the guard."""
    draw = torch.Generator().manual_seed(0)
    for _ in range(20):
        M = torch.randn(3, 3, generator=draw, dtype=torch.float64)
        hess, F_t = -(M @ M.T) - 0.1 * torch.eye(3, dtype=torch.float64), float(torch.randn((), generator=draw, dtype=torch.float64))
        lam, k = 1.3, 0.7
        v = geodesic_velocity(hess, F_t, lam, k)
        assert v is not None and len(v) == 2, "return two numbers, λ̇ and γ̇"
        p_dot = torch.tensor([float(v[0]), float(v[1]), 1.0], dtype=torch.float64)
        D_dot, C_dot = float(hess[0] @ p_dot), float(hess[1] @ p_dot)
        assert abs(C_dot) < 1e-9, "C moves: the second row is C_λ λ̇ + C_γ γ̇ + C_t = 0, with C_t = hess[1, 2] brought to the right with a minus"
        R_dot = F_t - lam * D_dot
        assert abs(D_dot - k * F_t) > 1e-9, "the denominator is missing: Ṙ is not F_t but F_t/(1 + kλ), since D moves too"
        assert abs(D_dot - k * R_dot) < 1e-9, f"D moves by {D_dot:.3g} and kR by {k * R_dot:.3g}: the right-hand side is k F_t/(1 + kλ) − D_t"
    try:
        geodesic_velocity(hess, 1.0, 2.0, -0.5)
    except ValueError:
        return "right: C stays, the slope is k, and the singular line is refused"
    except ZeroDivisionError:
        pass
    raise AssertionError("at λ = 2, k = −0.5 the denominator 1 + kλ is zero: raise ValueError there")


def check_fate(fate):
    """`fate(F_t, lam, k)` against geodesics of two Gaussian tasks, one with F_t > 0 and the same walked backwards, F_t < 0."""
    c = 0.5 * 0.5**0.5
    a = torch.tensor([[1.0, 0.0, 0.2], [0.0, 0.5, c], [0.2, c, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.4, 0.1, 0.5], [0.1, 0.6, c], [0.5, c, 1.2]], dtype=torch.float64)
    p = torch.tensor([1.0, 4.0, 0.0], dtype=torch.float64)
    for first, last in ((a, b), (b, a)):
        ends = [LinearGaussian(cov, dim_x=2, k=1) for cov in (first, last)]
        theta = ends[0].optimum(p[:2])
        F_t = float(ends[1](theta, p[:2]) - ends[0](theta, p[:2]))
        for k in (-1.1, -0.9, 0.5):
            answer = fate(F_t, 1.0, k)
            assert answer in ("none", "attracts", "repels"), f'return "none", "attracts" or "repels", not {answer!r}'
            if k >= 0:
                assert answer == "none", f"for k = {k} ≥ 0 the denominator 1 + kλ is at least one: no singularity"
                continue
            assert answer != "none", f"for k = {k} there is λ* = {-1 / k:.2f}"
            distances = []
            try:
                follow(lambda th, q: (1 - q[2]) * ends[0](th, q[:2]) + q[2] * ends[1](th, q[:2]), theta, p, Geodesic(k), 0.02,
                       on_point=lambda point: distances.append(abs(1 + k * float(point.p[0]))))
                found = "repels" if distances[-1] > distances[0] else "attracts"
            except ValueError:
                found = "attracts"
            side = "above" if 1 + k > 0 else "below"
            assert answer == found, f"with F_t = {F_t:.2f} and k = {k} a geodesic that starts with 1 + kλ {side} zero shows that λ* {found}"
    return "right: the sign of F_t decides, from both sides"


def check_area(area):
    """`area(spent, accuracy)` on curves whose average is known."""
    value = area([10.0, 30.0], [0.2, 0.6])
    assert value is not None, "return a number"
    assert abs(value - 0.4) > 1e-9, "that is the mean over measurements: weigh each stretch with its epochs, the first ten too"
    assert abs(value - 4 / 15) > 1e-9, "the epochs before the first measurement count too, at the first value"
    assert abs(value - 10.0) > 1e-9, "divide by the epochs of the run"
    assert abs(value - 1 / 3) < 1e-12, f"expected 1/3, got {value}"
    constant = area([1.0, 5.0, 6.0], [0.7, 0.7, 0.7])
    assert abs(constant - 0.7) < 1e-12, f"a constant accuracy of 0.7 must average to 0.7, got {constant}"
    return "right: an average over epochs"
