"""Checks of chapter 5's exercises: they use problems with known answers and say what a failure points to."""

import torch

from ..process import QuasiStatic, follow

F64 = torch.float64


def _numbers(value, n, what):
    assert value is not None, f"nothing was returned: the stub is not filled in; return {what}"
    values = value if isinstance(value, (tuple, list)) else (value,)
    assert len(values) == n, f"return {what}, got {len(values)} values"
    return [float(v) for v in values]


def _root(slope, low, high):
    """Where an increasing function is zero, by bisection."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return middle


def check_quadratic(quadratic):
    """`quadratic(a, b, lam)` for J = ½aθ² − λbθ, against a minimum found by bisection and differences of it."""
    for a, b, lam in ((4.0, 2.0, 0.5), (0.5, -3.0, 1.2), (2.0, 2.0, 3.0)):
        got = _numbers(quadratic(a, b, lam), 4, "θ*, θ_λ, F and F_λλ")
        at = lambda lam: _root(lambda theta: a * theta - lam * b, -1e3, 1e3)
        F = lambda lam: 0.5 * a * at(lam) ** 2 - lam * b * at(lam)
        h = 1e-2  # F is a parabola and θ* a line: differences have no truncation error, and rounding 1e-16/h² is small
        want = [at(lam), (at(lam + h) - at(lam - h)) / (2 * h), F(lam), (F(lam + h) - 2 * F(lam) + F(lam - h)) / h**2]
        hints = {"θ*": {-want[0]: "the sign: aθ − λb = 0", want[1]: "λ is missing"},
                 "θ_λ": {-want[1]: "the sign", want[0]: "this is θ* itself; differentiate it by λ", b: "divide by the stiffness a"},
                 "F": {-want[2]: "the sign: F is below J(0) = 0", 2 * want[2]: "½aθ*² gives half of it back", want[0]: "insert θ* into J"},
                 "F_λλ": {-want[3]: "the sign: the parameters give way, and F is concave", 0.0: "J_λλ = 0, but θ* moves with λ",
                          2 * want[3]: "F is −½λ²b²/a, so that the ½ and the 2 cancel"}}
        for name, w, g in zip(hints, want, got):
            if abs(g - w) > 1e-6 * (1 + abs(w)):
                why = next((hint for value, hint in hints[name].items() if abs(g - value) < 1e-6 * (1 + abs(value))), "a minimum has aθ = λb")
                raise AssertionError(f"for a = {a:g}, b = {b:g}, λ = {lam:g} {name} is {w:.4f}, you say {g:.4f}: {why}")
    return "right: the minimum, its motion, F and its curvature"


def check_fold(fold):
    """`fold(eps)` for J = ⅓θ³ − εθ, ε = λ* − λ, against a minimum found by bisection and differences of it."""
    for eps in (1.0, 0.25, 0.01):
        got = _numbers(fold(eps), 3, "μ, D and D_λ")
        at = lambda e: _root(lambda theta: theta**2 - e, 0.0, 10.0)
        h = 1e-4
        slope = lambda theta: theta**2 - eps
        # D = ∂J/∂λ = θ since ∂ε/∂λ = −1; λ + h means ε − h
        want = [(slope(at(eps) + h) - slope(at(eps) - h)) / (2 * h), at(eps), (at(eps - h * eps) - at(eps + h * eps)) / (2 * h * eps)]
        hints = {"μ": {want[1]: "this is θ; J″ = 2θ", 2 * eps: "θ is the root of ε"},
                 "D": {-want[1]: "ε = λ* − λ, so ∂J/∂λ = +θ", eps: "θ is the root of ε", -2 / 3 * eps**1.5: "this is F; D = ∂J/∂λ"},
                 "D_λ": {-want[2]: "the sign: ε falls as λ rises, and F is concave", 2 * want[2]: "d√ε/dε = 1/(2√ε)", -1 / want[0] ** 2: "b²/μ with μ = 2√ε, not 1/μ²"}}
        for name, w, g in zip(hints, want, got):
            if abs(g - w) > 1e-5 * abs(w):  # differences of step 1e-4: relative error about 1e-8
                why = next((hint for value, hint in hints[name].items() if abs(g - value) < 1e-5 * abs(value)), "the minimum is at θ = √ε")
                raise AssertionError(f"at ε = {eps} {name} is {w:.4f}, you say {g:.4f}: {why}")
    return "right: μ dies like a square root, D stays finite, D_λ does not"


def check_gibbs_hessian(gibbs_hessian):
    """`gibbs_hessian(e, dH, ddH)` of Lemma 5 on a random H(θ), against second derivatives of −E log Σ exp(−H)."""
    g = torch.Generator().manual_seed(3)
    N, K, P = 6, 5, 3
    M, phase = torch.randn(N, K, P, generator=g, dtype=F64), torch.randn(N, K, generator=g, dtype=F64)
    H = lambda theta: 1.5 * torch.sin(M @ theta + phase) + 0.5 * (M @ theta).square()
    theta = torch.randn(P, generator=g, dtype=F64)
    J = lambda th: -torch.logsumexp(-H(th), 1).mean()
    want = torch.func.jacrev(torch.func.grad(J))(theta)
    e, dH, ddH = torch.softmax(-H(theta), 1), torch.func.jacrev(H)(theta), torch.func.jacrev(torch.func.jacrev(H))(theta)
    A = gibbs_hessian(e, dH, ddH)
    assert A is not None, "nothing was returned: the stub is not filled in; return A (P, P)"
    assert isinstance(A, torch.Tensor) and A.shape == (P, P), f"A must be a tensor of shape (P, P) = ({P}, {P}), got {getattr(A, 'shape', type(A).__name__)}"
    if torch.allclose(A, want, rtol=0, atol=1e-10):
        return "right: complete minus missing information"
    mean = torch.einsum("nk,nki->ni", e, dH)
    complete, second = torch.einsum("nk,nkij->ij", e, ddH) / N, torch.einsum("nk,nki,nkj->ij", e, dH, dH) / N
    first, pooled = mean.T @ mean / N, torch.outer(mean.mean(0), mean.mean(0))
    hints = {"only the complete information: subtract the covariance of ∇H": complete,
             "the sign of the missing information: codes that are not known make A smaller": complete + second - first,
             "⟨∇H ∇Hᵀ⟩ is not yet a covariance: add ⟨∇H⟩⟨∇H⟩ᵀ back": complete - second,
             "the mean was taken over codes and images at once: ⟨∇H⟩⟨∇H⟩ᵀ belongs to one image, and is averaged afterwards": complete - second + pooled,
             "images are summed: E is the average over them": N * want,
             "the weights e are missing: ⟨·⟩ is an average under e, not over all codes evenly": ddH.mean((0, 1)) - (
                 torch.einsum("nki,nkj->ij", dH, dH) / (N * K) - torch.einsum("ni,nj->ij", dH.mean(1), dH.mean(1)) / N)}
    why = next((hint for hint, value in hints.items() if torch.allclose(A, value, rtol=0, atol=1e-10)), "E[⟨∇²H⟩ − ⟨∇H ∇Hᵀ⟩ + ⟨∇H⟩⟨∇H⟩ᵀ]")
    raise AssertionError(f"A differs from ∇²J by up to {float((A - want).abs().max()):.2g}: {why}")


def check_turns(turns):
    """`turns(T)`: directions in which functions of TTᵀ do not change, k(k − 1)/2 of them, independent."""
    g = torch.Generator().manual_seed(2)
    for n, k in ((5, 2), (6, 3), (4, 4)):
        T, count = torch.randn(n, k, generator=g, dtype=F64), k * (k - 1) // 2
        U = turns(T)
        assert U is not None, "nothing was returned: the stub is not filled in; return a tensor (n k, k (k − 1)/2)"
        assert isinstance(U, torch.Tensor) and U.ndim == 2 and len(U) == n * k, (
            f"for T ({n}, {k}) return a tensor with {n * k} rows, one direction a column, got {getattr(U, 'shape', type(U).__name__)}")
        if U.shape[1] == k * (k + 1) // 2:
            raise AssertionError("k(k + 1)/2 columns: a generator of rotations is antisymmetric, its diagonal is zero")
        assert U.shape[1] == count, f"{k} codes can be turned in k(k − 1)/2 = {count} planes, you give {U.shape[1]} directions"
        for _ in range(3):
            mix = torch.randn(n, n, generator=g, dtype=F64)
            J = lambda flat: torch.sin(mix * (flat.view(n, k) @ flat.view(n, k).T)).sum()  # invariant under T → TQᵀ
            change = torch.func.grad(J)(T.flatten()) @ U
            if not float(change.abs().max()) < 1e-9 * float(1 + U.norm()):
                raise AssertionError(
                    "J changes along a direction: T Qᵀ with Q = exp(sΩ) moves by −TΩ, Ω antisymmetric (+1 in one corner, −1 in the other), "
                    "multiplied from the right")
        rank = int(torch.linalg.matrix_rank(U))
        assert rank == count, f"only {rank} of the {count} directions are independent: one for each pair of codes a < b"
    return "right: as many null directions as planes of rotation"


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
