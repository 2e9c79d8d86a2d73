"""Checks of chapter 4's exercises. Each takes the reader's function, raises `AssertionError` with a hint, or says what holds."""

import torch

from ..topographic import TopographicMap

F64 = torch.float64


def _matrix(value, name, n):
    if value is None:
        raise AssertionError(f"{name} returned None: the stub is still empty")
    if not isinstance(value, torch.Tensor) or value.shape != (n, n):
        raise AssertionError(f"{name} must return a tensor of shape ({n}, {n}), got {getattr(value, 'shape', type(value).__name__)}")
    return value


def stationary_covariance(answer):
    """Exercise: Σ with A Σ + Σ A = σ S, for matrices that do not commute."""
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
    return "holds: A Σ + Σ A = σ S for three pairs that do not commute"


def newton_decrement(answer):
    """Exercise: δ = ½ gᵀA⁻¹g, the height above the minimum that the second-order model sees."""
    generator = torch.Generator().manual_seed(5)
    M = torch.randn(6, 4, generator=generator, dtype=F64)
    A, c = M.T @ M, torch.randn(4, generator=generator, dtype=F64)
    J = lambda theta, p: 0.5 * p[0] * (theta - c) @ A @ (theta - c) + 3.0
    theta, p = torch.randn(4, generator=generator, dtype=F64), torch.tensor([2.0, 0.0], dtype=F64)
    got = answer(J, theta, p)
    if got is None:
        raise AssertionError("newton_decrement returned None: the stub is still empty")
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
    return "holds: J − min J on a quadratic, and the same in other coordinates"


def frozen_gradient(answer):
    """Exercise: the gradient of eq. (12), E⟨H⟩ with the encoder frozen, plus that of the ridge."""
    generator = torch.Generator().manual_seed(6)
    x, y = torch.rand(8, 3, generator=generator, dtype=F64), torch.arange(8) % 2
    w = torch.softmax(torch.randn(8, generator=generator, dtype=F64), 0)
    J = TopographicMap(x, y, grid=4, features=2, ridge=0.1, weights=w)
    theta, p = 0.5 * torch.randn(J.n_parameters, generator=generator, dtype=F64), torch.tensor([0.7, 1.5], dtype=F64)
    got, right = answer(J, theta, p), torch.func.grad(J)(theta, p)
    if got is None:
        raise AssertionError("frozen_gradient returned None: the stub is still empty")
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
    return "holds: the gradient of E⟨H⟩ at a frozen encoder is ∇J"
