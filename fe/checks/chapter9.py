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


def check_shares(shares):
    """`shares(F_t, lam, k)` -> what R and λD pay; against one short step of real geodesics of two Gaussian tasks."""
    c = 0.5 * 0.5**0.5
    a = torch.tensor([[1.0, 0.0, 0.2], [0.0, 0.5, c], [0.2, c, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.4, 0.1, 0.5], [0.1, 0.6, c], [0.5, c, 1.2]], dtype=torch.float64)
    ends, lam, h = [LinearGaussian(cov, dim_x=2, k=1) for cov in (a, b)], 1.3, 1e-3
    p = torch.tensor([lam, 4.0, 0.0], dtype=torch.float64)
    theta = ends[0].optimum(p[:2])
    F_t = float(ends[1](theta, p[:2]) - ends[0](theta, p[:2]))
    for k in (0.0, 0.4, 2.0):
        found = shares(F_t, lam, k)
        assert found is not None, "shares returned None: the stub is not filled in"
        assert isinstance(found, tuple) and len(found) == 2, "return two numbers, Ṙ and λḊ"
        rate, distortion = (float(v) for v in found)
        path = follow(lambda th, q: (1 - q[2]) * ends[0](th, q[:2]) + q[2] * ends[1](th, q[:2]), theta, p, Geodesic(k), h, step=h, max_step=h)
        first, last = path.points[0], path.points[-1]
        truth = (last.rate - first.rate) / h, lam * (last.distortion - first.distortion) / h  # error of order h
        close = [abs(v - w) < 0.01 * abs(F_t) for v, w in zip((rate, distortion), truth)]
        if not all(close):
            assert k != 0 or abs(distortion) < 1e-9, "with k = 0 the distortion stays, and the rate pays all"
            assert abs(rate - F_t) > 1e-9, "Ṙ is not F_t: D moves too, Ḋ = kṘ, and takes its part. Put Ḋ = kṘ in Ṙ = F_t − λḊ"
            assert abs(distortion * lam - truth[1]) > 0.01 * abs(F_t), "the second number is λḊ, not Ḋ: what D costs at its price"
            assert abs(rate - truth[1]) + abs(distortion - truth[0]) > 0.02 * abs(F_t), "the two are exchanged: first Ṙ, then λḊ"
            assert abs(rate + distortion - F_t) < 1e-9, f"with Ċ = 0 the two pay F_t together: {rate:.4f} + {distortion:.4f} is not {F_t:.4f}"
            raise AssertionError(f"a geodesic with k = {k} at λ = {lam} moves R by {truth[0]:.4f} and λD by {truth[1]:.4f} a unit of t, you have {rate:.4f} and {distortion:.4f}")
    return "right: as real geodesics share the bill"


def check_slope(slope):
    """`slope(k, lam, q)`: dD/dR if q F_t stands in the place of F_t in eq. (30); by solving that equation on random concave F."""
    draw = torch.Generator().manual_seed(1)
    for _ in range(10):
        M = torch.randn(2, 2, generator=draw, dtype=torch.float64)
        hess = -(M @ M.T) - 0.2 * torch.eye(2, dtype=torch.float64)
        D_t, C_t = torch.randn(2, generator=draw, dtype=torch.float64)
        F_t, q, lam, k = 1.7, 0.2 + float(torch.rand((), generator=draw, dtype=torch.float64)), 1.4, 0.6
        right = torch.stack([k / (1 + k * lam) * q * F_t - D_t, -C_t])
        D_dot = float(hess[0] @ torch.linalg.solve(hess, right) + D_t)
        truth = D_dot / (F_t - lam * D_dot)  # the first law, with Ċ = 0
        found = slope(k, lam, q)
        assert found is not None, "slope returned None: the stub is not filled in"
        found = float(found)
        for value, why in ((k, "k comes out only for q = 1"), (k * q, "D has the factor q, but R has not: Ṙ = F_t − λḊ, with the true F_t"),
                           (k * q / (1 + k * lam), "this is Ḋ/F_t; divide by Ṙ/F_t = 1 − λḊ/F_t"),
                           (k * q / (1 + k * lam * q), "Ṙ = F_t − λḊ has a minus"),):
            assert abs(found - truth) < 1e-9 or abs(found - value) > 1e-9, why
        assert abs(found - truth) < 1e-9, f"k = {k}, λ = {lam}, q = {q:.3f}: solving the equation gives a slope of {truth:.4f}, you have {found:.4f}"
    return "right: the slope that the wrong candidate draws"


def check_paired(paired):
    """`paired(a, b)` -> mean difference, its standard error; on many simulated experiments with a known spread."""
    answer = paired(torch.tensor([3.0, 5.0, 7.0], dtype=torch.float64), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert answer is not None, "paired returned None: the stub is not filled in"
    assert isinstance(answer, tuple) and len(answer) == 2, "return two numbers, the mean difference and its standard error"
    assert abs(float(answer[0]) + 3) > 1e-9, "the sign is reversed: a less b"
    assert abs(float(answer[0]) - 3) < 1e-9, f"the differences are 2, 3 and 4, with the mean 3; you have {float(answer[0]):.4g}"
    draw = torch.Generator().manual_seed(2)
    noise = torch.randn(2000, 2, 3, generator=draw, dtype=torch.float64)
    seeds = 5 * torch.randn(2000, 1, 3, generator=draw, dtype=torch.float64)  # what a seed does to both methods alike
    found = torch.tensor([[float(v) for v in paired(*pair)] for pair in noise + seeds], dtype=torch.float64)
    ratio = float(found[:, 1].square().mean() / found[:, 0].var())  # of the claimed variance to the true one
    assert ratio < 4, "what a seed does to both methods counts as noise here: take the differences seed by seed first"
    assert ratio < 2, "this is the spread of one difference; the error of the mean of n is smaller by √n"
    assert ratio > 0.8, f"your errors are too small: {ratio:.2f} of the true variance on average. With three values the sum of squares is divided by n − 1"
    assert ratio < 1.2, f"over 2,000 simulated experiments your error squared is {ratio:.2f} times the variance of the mean difference"
    return "right: the errors match the spread of simulated experiments"
