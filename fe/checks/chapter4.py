"""Checks of chapter 4's exercises. Each takes the reader's function, raises `AssertionError` with a hint, or says what holds."""

import math

import torch

from ..topographic import TopographicMap

F64 = torch.float64


def _numbers(value, name, what):
    """The numbers that an answer returned as floats, or a hint."""
    if value is None:
        raise AssertionError(f"{name} returned None: the stub is not filled in; return {what}")
    values = value if isinstance(value, (tuple, list)) else (value,)
    if len(values) != len(what.split(" and ")):
        raise AssertionError(f"{name} must return {what}, got {len(values)} values")
    return [float(v) for v in values]


def check_bump(answer):
    """(place of the maximum, mean over maximum) of s^a (1 − s)^b, against sums over 400,000 points."""
    s = (torch.arange(400_000, dtype=F64) + 0.5) / 400_000
    for a, b in ((2, 5), (1, 6), (4, 3), (0.5, 1.5)):
        shape = s**a * (1 - s) ** b
        place, top, mean = float(s[shape.argmax()]), float(shape.max()), float(shape.mean())
        try:
            found, ratio = _numbers(answer(a, b), "bump", "the place of the maximum and the ratio")
        except (TypeError, ValueError) as error:
            raise AssertionError(f"a = {a}, b = {b} fails ({error}). a and b need not be whole: n! is Γ(n + 1), "
                                 "and math.lgamma takes every positive number") from error
        if abs(found - place) > 1e-5:  # the points are 2.5e-6 apart
            swapped = "; this is 1 − s: the exponent of s is a" if abs(found - (1 - place)) < 1e-5 else ""
            raise AssertionError(f"for a = {a}, b = {b} the largest value is at s = {place:.4f}, you say {found:.4f}{swapped}")
        if abs(ratio - mean / top) > 1e-5:
            hints = {mean: "this is the mean; divide it by the maximum", top / mean: "this is maximum over mean, upside down",
                     top: "this is the maximum itself",
                     mean / top * (a + b + 1) * (a + b) / (a * b): "this takes B(a, b); the integral of s^a (1 − s)^b is B(a + 1, b + 1)"}
            why = next((hint for value, hint in hints.items() if abs(ratio / value - 1) < 1e-4), "the mean is B(a + 1, b + 1)")
            raise AssertionError(f"for a = {a}, b = {b} mean over maximum is {mean / top:.4f}, you say {ratio:.4f}: {why}")
    return "right: place and ratio of four bumps, one with exponents that are not whole"


def check_divergence_drop(answer):
    """KL(p‖π) − KL(p′‖π), against the sum over j of p′(j) KL(p(i|j)‖π(i|j)) of the chain read backwards."""
    generator = torch.Generator().manual_seed(7)
    cases = []
    for n in (2, 3, 6):
        P = torch.rand(n, n, generator=generator, dtype=F64) + 0.05
        P = P / P.sum(1, keepdim=True)
        pi = torch.linalg.matrix_power(P, 2000)[0]  # every row of a high power is the stationary law
        p = torch.rand(n, generator=generator, dtype=F64)
        cases.append((p / p.sum(), pi / pi.sum(), P))
    cases.append((torch.eye(6, dtype=F64)[2], cases[-1][1], cases[-1][2]))
    kl = lambda p, q: float((torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum())
    for p, pi, P in cases:
        (got,) = _numbers(answer(p, pi, P), "divergence_drop", "the drop")
        joint, back = p[:, None] * P, pi[:, None] * P  # (i, j)
        want = kl(joint, back) - kl(joint.sum(0), back.sum(0))
        if abs(got - want) < 1e-10:
            continue
        if math.isnan(got):
            raise AssertionError("NaN: where p(i) = 0 the term p log p is 0; torch.special.xlogy(p, p) knows that")
        after, wrong_way = p @ P, P @ p
        hints = {-want: "the sign: the divergence before, minus the divergence after",
                 kl(after, pi): "this is KL(p′‖π); subtract it from KL(p‖π)",
                 kl(p, pi) - kl(wrong_way, pi): "p′ is wrong: P[i, j] = P(j|i), so p′ = p @ P sums over the first index",
                 kl(pi, p) - kl(pi, after): "the divergence is taken the wrong way round: KL(p‖π) = Σ p log(p/π)",
                 want / math.log(2): "this is in bits: natural logarithms give nats"}
        why = next((hint for value, hint in hints.items() if abs(got - value) < 1e-9 * max(1, abs(value))), "KL(p‖π) − KL(p′‖π), p′ = p @ P")
        raise AssertionError(f"the divergence falls by {want:.6f}, you say {got:.6f}: {why}")
    return "right: the drop is never negative, also from a law with zeros"


def check_well(answer):
    """|w| at the minimum of ½ log(1 + 2w²) + 1/(1 + 2w²) + ½ρw², against a fine grid of w."""
    w = torch.linspace(0, 1.5, 300_001, dtype=F64)
    u = 1 + 2 * w.square()
    for rho in (0.0, 0.3, 1.0, 1.9, 3.0):
        want = float(w[(0.5 * u.log() + 1 / u + 0.5 * rho * w.square()).argmin()])
        try:
            (got,) = _numbers(answer(rho), "well", "|w|")
        except (ZeroDivisionError, ValueError, TypeError) as error:
            raise AssertionError(f"ρ = {rho} fails ({error}): "
                                 + ("multiply numerator and denominator by √(1 + 4ρ) + 1" if rho == 0 else "where u ≤ 1 there is no well, and w = 0")) from error
        if abs(got - want) < 2e-5:  # four steps of the grid
            continue
        root = math.sqrt(1 + 4 * rho)
        if rho == 0 and math.isnan(got):
            raise AssertionError("0/0 at ρ = 0: multiply numerator and denominator by √(1 + 4ρ) + 1")
        if math.isnan(got) or (want == 0 and got):
            raise AssertionError(f"at ρ = {rho} the ridge has collapsed the code: u would be {4 / (root + 1):.3f} ≤ 1, and |w| is 0, not {got:.3f}")
        hints = {4 / (root + 1): "this is u; w follows from u = 1 + 2w²",
                 math.sqrt(max(4 / (root + 1) - 1, 0)): "2w² = u − 1, so w = √((u − 1)/2)",
                 math.sqrt(max((1 - 4 * rho) / 2, 0)): "u ≈ 2 − 4ρ is the first order in ρ only; solve 2(2 − u) = ρu² exactly",
                 math.sqrt(0.5): "this is the well without a ridge"}
        why = next((hint for value, hint in hints.items() if abs(got - value) < 1e-4), "the force 2w(u − 2)/u² + ρw is zero there")
        raise AssertionError(f"at ρ = {rho} the minimum is at |w| = {want:.4f}, you say {got:.4f}: {why}")
    return "right: the well moves in with ρ and is gone at ρ = 2"


def _matrix(value, name, n):
    if value is None:
        raise AssertionError(f"{name} returned None: the stub is not filled in")
    if not isinstance(value, torch.Tensor) or value.shape != (n, n):
        raise AssertionError(f"{name} must return a tensor of shape ({n}, {n}), got {getattr(value, 'shape', type(value).__name__)}")
    return value


def check_stationary_covariance(answer):
    """Σ with A Σ + Σ A = σ S, for matrices that do not commute."""
    generator = torch.Generator().manual_seed(4)
    for n in (1, 2, 5):
        M, K = (torch.randn(n, n, generator=generator, dtype=F64) for _ in range(2))
        A, S, sigma = M @ M.T + torch.eye(n, dtype=F64), K @ K.T + 0.1 * torch.eye(n, dtype=F64), 0.07
        got = _matrix(answer(A, S, sigma), "stationary_covariance", n)
        gibbs, one_sided = 0.5 * sigma * torch.linalg.inv(A), 0.5 * sigma * torch.linalg.solve(A, S)
        residual = A @ got + got @ A - sigma * S
        # A is at least the identity, so an error of Σ is at most half the residual
        if float(residual.abs().max()) < 1e-10:
            continue
        for factor, why in ((2.0, "a factor 2 too small: dΣ/dt has the noise σS, not σS/2"),
                            (0.5, "twice too large: both AΣ and ΣA pull Σ back"),
                            (sigma, "divided by σ: the noise of dθ per unit of time is σS, because one step of noise σ²S takes the time σ"),
                            (1 / sigma, "multiplied by σ once too often: one step of noise σ²S takes the time σ")):
            if torch.allclose(factor * (A @ got + got @ A), sigma * S, rtol=1e-8, atol=1e-12):
                raise AssertionError(f"Σ is off by a constant: {why}")
        if torch.allclose(got, gibbs, rtol=1e-8):
            raise AssertionError("this is Gibbs's covariance (σ/2) A⁻¹: it ignores the noise covariance S")
        if torch.allclose(got, one_sided, rtol=1e-8) or torch.allclose(got, one_sided.T, rtol=1e-8):
            raise AssertionError("½σ A⁻¹S solves the equation only if A and S commute; here it is not even symmetric")
        if not torch.allclose(got, got.T, rtol=1e-8, atol=1e-12):
            raise AssertionError("a covariance must be symmetric: go to the eigenbasis of A, divide entry (i, j) by a_i + a_j, and go back")
        raise AssertionError(f"A Σ + Σ A − σ S is as large as {float(residual.abs().max()):.1e}: did you go back from A's eigenbasis on both sides?")
    return "right: A Σ + Σ A = σ S for three pairs that do not commute"


def check_newton_decrement(answer):
    """δ = ½ gᵀA⁻¹g, the height above the minimum that the second-order model sees."""
    generator = torch.Generator().manual_seed(5)
    M = torch.randn(6, 4, generator=generator, dtype=F64)
    A, c = M.T @ M, torch.randn(4, generator=generator, dtype=F64)
    J = lambda theta, p: 0.5 * p[0] * (theta - c) @ A @ (theta - c) + 3.0
    theta, p = torch.randn(4, generator=generator, dtype=F64), torch.tensor([2.0, 0.0], dtype=F64)
    got = answer(J, theta, p)
    if got is None:
        raise AssertionError("newton_decrement returned None: the stub is not filled in")
    got, right = float(got), float(J(theta, p)) - 3.0
    g = torch.func.grad(J)(theta, p)
    hints = {
        2 * right: "gᵀA⁻¹g lacks its ½: the gain of a Newton step is g·s minus half of it",
        -right: "the sign: the decrement is how far J can still fall, a positive number",
        float(g.dot(g)): "this is ‖g‖²: a gradient says how steep J is, only A⁻¹ says how far the minimum lies",
        0.5 * float(g.dot(g)): "this is ½‖g‖²: a gradient says how steep J is, only A⁻¹ says how far the minimum lies",
        0.5 * float(g @ (2 * A) @ g): "this is ½ gᵀAg: solve with A, do not multiply by it",
        float(J(theta, p)): "this is J itself",
    }
    if abs(got - right) > 1e-9 * right:  # a quadratic: exact up to the conditioning of A times rounding
        for value, why in hints.items():
            if abs(got - value) < 1e-8 * abs(value):
                raise AssertionError(why)
        raise AssertionError(f"on a quadratic ½gᵀA⁻¹g = J − min J = {right:.6f}, got {got:.6f}")
    T = torch.randn(4, 4, generator=generator, dtype=F64) + 3 * torch.eye(4, dtype=F64)
    same = float(answer(lambda u, p: J(T @ u, p), torch.linalg.solve(T, theta), p))
    if abs(same - right) > 1e-8 * right:
        raise AssertionError(f"in coordinates u with θ = Tu the decrement must be the same {right:.6f}, got {same:.6f}")
    return "right: J − min J on a quadratic, and the same in other coordinates"


def check_frozen_gradient(answer):
    """the gradient of eq. (12), E⟨H⟩ with the encoder frozen, plus that of the ridge."""
    generator = torch.Generator().manual_seed(6)
    x, y = torch.rand(8, 3, generator=generator, dtype=F64), torch.arange(8) % 2
    w = torch.softmax(torch.randn(8, generator=generator, dtype=F64), 0)
    J = TopographicMap(x, y, grid=4, features=2, ridge=0.1, weights=w)
    theta, p = 0.5 * torch.randn(J.n_parameters, generator=generator, dtype=F64), torch.tensor([0.7, 1.5], dtype=F64)
    got, right = answer(J, theta, p), torch.func.grad(J)(theta, p)
    if got is None:
        raise AssertionError("frozen_gradient returned None: the stub is not filled in")
    if got.shape != right.shape:
        raise AssertionError(f"the gradient must have the shape of θ, {tuple(right.shape)}, got {tuple(got.shape)}")

    def energy(t, weights, ridge=J.ridge):
        e = J.posterior(t, p) if weights is None else weights
        return -w.dot((e * J.log_joint(t, p)).sum(1)) + 0.5 * ridge * t.dot(t)

    e = J.posterior(theta, p)
    mistakes = {
        "the encoder moved along: take e out of the graph (detach), or you add −E Cov(H, ∇H)": torch.func.grad(energy)(theta, None),
        "the ridge is missing: J holds ½ρ‖θ‖² as well": torch.func.grad(energy)(theta, e, 0.0),
        "the sign: H is minus log_joint": -right,
        "images were summed, or averaged evenly: weigh each with J.weights": torch.func.grad(
            lambda t: -(e * J.log_joint(t, p)).sum(1).mean() + 0.5 * J.ridge * t.dot(t))(theta),
        "images were summed: weigh each with J.weights": torch.func.grad(
            lambda t: -(e * J.log_joint(t, p)).sum() + 0.5 * J.ridge * t.dot(t))(theta),
    }
    if not torch.allclose(got, right, rtol=0, atol=1e-10):  # sums of some hundred numbers of order one
        for why, value in mistakes.items():
            if torch.allclose(got, value, rtol=0, atol=1e-10):
                raise AssertionError(why)
        raise AssertionError(f"differs from ∇J by up to {float((got - right).abs().max()):.1e}")
    return "right: the gradient of E⟨H⟩ at a frozen encoder is ∇J"
