"""Checks of chapter 5's exercises: they use problems with known answers and say what a failure points to."""

import torch

from ..process import QuasiStatic, follow


def check_response(response):
    """`response(J, theta, p)` on quadratic problems, whose θ_p = A⁻¹B and Hess F = G − BᵀA⁻¹B are known."""
    for seed in range(3):
        g = torch.Generator().manual_seed(seed)
        root, B = torch.randn(5, 5, generator=g, dtype=torch.float64), torch.randn(5, 2, generator=g, dtype=torch.float64)
        A, G = root @ root.T + torch.eye(5).double(), -torch.eye(2).double()

        def J(theta, p):
            return 0.5 * theta @ A @ theta - theta @ B @ p + 0.5 * p @ G @ p

        p = torch.tensor([0.7, 1.3], dtype=torch.float64)
        want = torch.linalg.solve(A, B)
        answer = response(J, want @ p, p)
        assert isinstance(answer, tuple) and len(answer) == 2, "return two tensors, θ_p and Hess F"
        theta_p, hess = answer
        assert theta_p.shape == (5, 2), f"θ_p must have shape (P, n) = (5, 2), got {tuple(theta_p.shape)}"
        if torch.allclose(theta_p, -want):
            raise AssertionError("θ_p has the wrong sign: b_q = −∂_q∇J, with the minus")
        torch.testing.assert_close(theta_p, want, rtol=0, atol=1e-9, msg=lambda m: "θ_p is not A⁻¹B; is A the Hessian in θ alone?\n" + m)
        if torch.allclose(hess, G + B.T @ want):
            raise AssertionError("the response must lower F: Hess F = J_pp − BᵀA⁻¹B, with the minus")
        if torch.allclose(hess, -B.T @ want):
            raise AssertionError("J_pp is missing: D and C change at frozen θ too")
        torch.testing.assert_close(hess, G - B.T @ want, rtol=0, atol=1e-9, msg=lambda m: "Hess F is not J_pp − BᵀA⁻¹B\n" + m)
    return "right: θ_p and Hess F agree with the known answers"


def check_kind(kind):
    """`kind(path)` on a fold and a pitchfork of one dimension."""
    models = {
        "fold": (lambda th, p: (0.25 * th.pow(4) - 0.5 * th.square() - p[0] * th).sum(), -1.0),
        "pitchfork": (lambda th, p: (0.25 * th.pow(4) - 0.5 * (p[0] - 0.5) * th.square()).sum(), 0.0),
    }
    for name, (J, at) in models.items():
        start = torch.tensor([at], dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64)
        said = kind(follow(J, *start, QuasiStatic(torch.ones(1, dtype=torch.float64)), 0.6))
        assert said in ("fold", "pitchfork"), f"return 'fold' or 'pitchfork', got {said!r}"
        assert said == name, f"this is a {name} and you say {said}: at a {name} the overlap of b with the null direction is {'1' if name == 'fold' else '0'}"
    return "right: both kinds told apart"


def check_energy_error(energy_error):
    """`energy_error(alphas, rho, k)` against ‖x − x_k‖_A computed from A itself."""
    g = torch.Generator().manual_seed(0)
    root, b = torch.randn(6, 6, generator=g, dtype=torch.float64), torch.randn(6, generator=g, dtype=torch.float64)
    A = root @ root.T + torch.eye(6).double()
    x, r, d, states, alphas, rho = torch.zeros_like(b), b.clone(), b.clone(), [], [], []
    for _ in range(6):
        states.append(x)
        alphas.append(r @ r / (d @ A @ d)), rho.append(r @ r)
        x, new = x + alphas[-1] * d, r - alphas[-1] * (A @ d)
        d, r = new + (new @ new) / (r @ r) * d, new
    alphas, rho, solution = torch.stack(alphas), torch.stack(rho), torch.linalg.solve(A, b)
    for k in range(6):
        error = solution - states[k]
        want, got = float((error @ A @ error).sqrt()), energy_error(alphas, rho, k)
        assert got is not None, "energy_error returned None: the stub is not filled in"
        got = float(got)
        if abs(got - want**2) < 1e-6 * want**2 and abs(want - 1) > 1e-3:
            raise AssertionError("this is the square of the error: take the root")
        done = float((alphas[:k] * rho[:k]).sum().sqrt())
        if k and abs(got - done) < 1e-6 * done:
            raise AssertionError("this sums the steps already done (j < k); the error is in those still to come (j ≥ k)")
        assert abs(got - want) < 1e-6 * (1 + want), f"after {k} steps the error is {want:.6f}, you have {got:.6f}: sum α_j r_jᵀr_j over j ≥ k"
    return "right: the sum of the steps to come is the error"
