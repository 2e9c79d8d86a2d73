"""Linear response: how an equilibrium moves when its controls do (paper, Lemma 5, eq. 16–18).

At an equilibrium ∇_θ J(θ*(p), p) = 0 for every p. Differentiating in p (the quasi-static condition,
eq. 16),

    A θ_q = b_q,      A = ∇²_θ J,      b_q = −∂_q ∇_θ J,

and the free energy F(p) = J(θ*(p), p) has F_q = ∂_q J and

    Hess F = J_pp − Bᵀ A⁻¹ B,      B = [b_λ b_γ …].

Everything is matrix-free: products A v from one reverse pass through the gradient (Pearlmutter
1994), A⁻¹ by conjugate gradients (Hestenes and Stiefel 1952).
"""

import math
from typing import NamedTuple

import torch

from .errors import (
    NegativeCurvature,
    NotAtEquilibrium,
    NotConverged,
    NotFinite,
    SingularHessian,
    check_finite,
    check_vector,
)
from .objective import check_controls


class Local:
    """J and its derivatives at one point (θ, p); the graph of the gradient is built once and
    reused.

    Attributes: `value` (), `gradient` = ∇_θ J (P,), `dp` = ∂J/∂p (n,).
    """

    def __init__(self, J, theta, p):
        check_vector("theta", theta)
        check_controls(p, theta)
        self.theta, self.p = theta.detach().requires_grad_(), p.detach().requires_grad_()
        with torch.enable_grad():
            value = J(self.theta, self.p)
            if not isinstance(value, torch.Tensor) or value.shape != ():
                raise ValueError(
                    "J must return a scalar tensor, got "
                    f"{getattr(value, 'shape', type(value).__name__)}"
                )
            if not torch.isfinite(value):
                raise NotFinite(
                    f"J(theta, p) is {float(value.detach())} at p = {p.tolist()}: an overflow, or "
                    "NaN in the data or in θ"
                )
            self._gradient, self._dp = torch.autograd.grad(
                value, (self.theta, self.p), create_graph=True, materialize_grads=True
            )
        self.value, self.gradient, self.dp = (
            value.detach(),
            self._gradient.detach(),
            self._dp.detach(),
        )
        if not torch.isfinite(self.gradient).all():
            raise NotFinite(
                f"∇J has NaN or infinite entries at p = {p.tolist()} although J is finite: look "
                "for sqrt or log at 0"
            )

    def hvp(self, v):
        """A v for v (P,), or A V for V (P, m): one reverse pass through the gradient, batched over
        columns.
        """
        if v.ndim == 1:
            return torch.autograd.grad(
                self._gradient, self.theta, v, retain_graph=True, materialize_grads=True
            )[0]
        return torch.autograd.grad(
            self._gradient,
            self.theta,
            v.T.contiguous(),
            retain_graph=True,
            is_grads_batched=True,
            materialize_grads=True,
        )[0].T

    @torch.enable_grad()
    def mixed(self):
        """B = −∂_p ∇_θ J (P, n) and J_pp (n, n), from n reverse passes."""
        rows = [
            torch.autograd.grad(d, (self.theta, self.p), retain_graph=True, materialize_grads=True)
            if d.requires_grad
            else (torch.zeros_like(self.theta), torch.zeros_like(self.p))
            for d in self._dp
        ]
        return -torch.stack([r[0].detach() for r in rows], 1), torch.stack(
            [r[1].detach() for r in rows]
        )


class CGReport(NamedTuple):
    """How conjugate gradients ended; `error` is what stopped them, `residual` is computed anew."""

    iterations: int
    error: float  # largest estimated relative error of a column in the energy norm √(xᵀAx)
    residual: float  # largest ‖b − A x‖ / ‖b‖, computed anew at the end
    curvatures: tuple  # smallest and largest uᵀAu / uᵀu met


def conjugate_gradient(matvec, B, *, preconditioner=None, rtol=1e-8, max_iterations=None):
    """Solve A X = B for positive semi-definite A by preconditioned conjugate gradients, all columns
    at once.

    Stops on the energy norm, the one in which bᵀA⁻¹b is measured: after k steps ‖x − x_k‖²_A =
    Σ_{j≥k} α_j r_jᵀz_j exactly (Hestenes and Stiefel 1952), estimated by the last ten terms, as
    Strakoš and Tichý (2002) propose. Waiting for a small residual instead takes many times as long
    when A is ill-conditioned, for nothing.

    From x = 0 and without a preconditioner a singular A with b in its range gives the solution of
    least norm.

    Args:
        matvec: (P, m) -> (P, m)
        B: (P, m)
        preconditioner: (P, m) -> (P, m), an approximate A⁻¹
        rtol: relative error of every column in the energy norm; a bᵀA⁻¹b is then good to rtol²
        max_iterations: default 10 P

    Returns:
        X (P, m), CGReport

    Raises:
        NegativeCurvature: a direction with uᵀAu < 0 was met
        SingularHessian: a direction of zero curvature with work left to do: b is not in the range
            of A
        NotConverged: max_iterations used up
        ValueError: B is no matrix or has NaN, the preconditioner is not positive definite
        NotFinite: a product A v has NaN
    """
    if B.ndim != 2:
        raise ValueError(f"B must have shape (P, m), got {tuple(B.shape)}")
    check_finite("B", B)
    X, R = torch.zeros_like(B), B.clone()
    limit = 10 * len(B) if max_iterations is None else max_iterations
    M = preconditioner or (lambda v: v)
    Z = M(R)
    D, rz = Z.clone(), (R * Z).sum(0)
    if (rz < 0).any():
        raise ValueError("the preconditioner is not positive definite: bᵀM⁻¹b < 0")
    start, terms = rz.clone(), []
    total = torch.zeros_like(rz)
    low, high = math.inf, 0.0
    active = rz > 0
    eps = torch.finfo(B.dtype).eps
    estimate = torch.zeros_like(rz)
    k = 0
    while active.any():
        if k == limit:
            raise NotConverged(
                f"conjugate gradients stopped after {k} iterations with an estimated relative "
                "error of "
                f"{float(estimate.max()):.1e} (wanted {rtol:.1e}); curvatures met: {low:.1e} … "
                f"{high:.1e}. A is "
                "ill-conditioned: pass a preconditioner, add a ridge inside J, or raise "
                "max_iterations"
            )
        AD = matvec(D)
        dd, dad = (D * D).sum(0), (D * AD).sum(0)
        if not torch.isfinite(dad).all():
            raise NotFinite(
                "a product A v has NaN or infinite entries: J overflows near θ or is not twice "
                "differentiable there"
            )
        # a residual at rounding level has lost its direction: in a singular A it points into the
        # null space by chance
        spent = active & (rz <= (1e-9) ** 2 * start) & (dad.abs() <= 1e-8 * high * dd)
        active = active & ~spent
        if not active.any():
            break
        curvature = torch.where(
            active, dad / dd.clamp_min(torch.finfo(B.dtype).tiny), torch.full_like(dad, math.inf)
        )
        worst = int(curvature.argmin())
        low, high = min(low, float(curvature[worst])), max(high, float(curvature[active].max()))
        floor = 100 * eps * high
        if curvature[worst] < -floor:
            raise NegativeCurvature(
                f"A has negative curvature {float(curvature[worst]):.3e} after {k} iterations of "
                "conjugate gradients: θ is "
                "not a minimum (a saddle, or not converged). Minimise further, for example with "
                "fe.minimise",
                float(curvature[worst]),
                D[:, worst] / dd[worst].sqrt(),
            )
        if curvature[worst] <= floor:
            raise SingularHessian(
                f"A is singular: curvature {float(curvature[worst]):.1e} (largest met {high:.1e}) "
                "along a direction in which "
                "the right-hand side still acts, so A x = b has no solution. θ sits on a "
                "bifurcation, or J lacks a minimum; "
                "a ridge inside J (fe.Ridge) makes A positive definite"
            )
        alpha = torch.where(active, rz / dad, torch.zeros_like(rz))
        X, R = X + alpha * D, R - alpha * AD
        terms.append(alpha * rz)
        total = total + terms[-1]
        k += 1
        Z = M(R)
        rz_new = (R * Z).sum(0)
        estimate = (
            torch.stack(terms[-10:]).sum(0) / total.clamp_min(torch.finfo(B.dtype).tiny)
        ).sqrt()
        exact = rz_new <= (10 * eps) ** 2 * start
        done = exact | ((estimate <= rtol) if len(terms) >= 10 else torch.zeros_like(exact))
        active = active & ~done
        D = torch.where(
            active, Z + (rz_new / rz.clamp_min(torch.finfo(B.dtype).tiny)) * D, torch.zeros_like(D)
        )
        rz = torch.where(active, rz_new, rz)
    norms = B.norm(dim=0)
    residual = (
        ((B - matvec(X)).norm(dim=0) / norms.clamp_min(torch.finfo(B.dtype).tiny)).max()
        if k
        else 0.0
    )
    return X, CGReport(
        k, float(estimate.max()) if k else 0.0, float(residual), (low if k else 0.0, high)
    )


def smallest_eigenpair(
    matvec, start, *, preconditioner=None, rtol=1e-3, atol=0.0, max_iterations=200
):
    """The smallest eigenvalue of a symmetric A and its unit eigenvector, by LOBPCG with one or more
    vectors.

    Each step minimises the Rayleigh quotient over span{X, M r, last step} (Knyazev 2001). The value
    is an upper bound on the true one at any time, so a negative value proves negative curvature.

    Args:
        start: (P,) or (P, m) first guess; an old eigenvector on a path, random vectors otherwise
        rtol, atol: stop when ‖A u − μ u‖ ≤ max(`rtol |μ|`, atol)

    Returns:
        μ (float), u (P,), residual (float)
    """
    if (
        len(start) <= 32
    ):  # as small as a few blocks of vectors: they turn dependent, and A itself is cheaper
        A = matvec(torch.eye(len(start), dtype=start.dtype, device=start.device))
        values, vectors = torch.linalg.eigh(0.5 * (A + A.T))
        u = vectors[:, 0]
        return float(values[0]), u, float((A @ u - values[0] * u).norm())
    M = preconditioner or (lambda v: v)
    X = torch.linalg.qr(start.reshape(len(start), -1)).Q
    m = X.shape[1]
    AX, step, A_step, fresh = matvec(X), None, None, True
    for iteration in range(max_iterations + 2):
        values, rotation = torch.linalg.eigh(X.T @ AX)
        X, AX = X @ rotation, AX @ rotation
        residual = AX - X * values
        mu, error = float(values[0]), float(residual[:, 0].norm())
        if error <= max(rtol * abs(mu), atol) or iteration >= max_iterations:
            if fresh:
                break
            # A X was carried along by linear combinations, and rounding with it: no verdict without
            # a true product
            X = torch.linalg.qr(X).Q
            AX, step, fresh = matvec(X), None, True
            continue
        W = M(residual)
        W = W - X @ (X.T @ W)
        W = W / W.norm(dim=0).clamp_min(torch.finfo(W.dtype).tiny)
        blocks, A_blocks = [X, W], [AX, matvec(W)]
        if step is not None:
            blocks.append(step), A_blocks.append(A_step)
        S, AS = torch.cat(blocks, 1), torch.cat(A_blocks, 1)
        scale, U = torch.linalg.eigh(S.T @ S)
        U = (
            U[:, scale > 1e-10 * scale[-1]] / scale[scale > 1e-10 * scale[-1]].sqrt()
        )  # drop dependent directions
        inner = U.T @ (S.T @ AS) @ U
        coefficients = U @ torch.linalg.eigh(0.5 * (inner + inner.T)).eigenvectors[:, :m]
        tail = coefficients.clone()
        tail[:m] = 0
        step, A_step = S @ tail, AS @ tail
        size = step.norm(dim=0).clamp_min(torch.finfo(W.dtype).tiny)
        step, A_step = step / size, A_step / size
        X, AX, fresh = S @ coefficients, AS @ coefficients, False
    return mu, X[:, 0], error


class Response(NamedTuple):
    """The answer of `linear_response`."""

    theta_p: torch.Tensor  # (P, n): columns θ_λ, θ_γ, … (eq. 18)
    hess: torch.Tensor  # (n, n): Hess F; hess[0, 1] = C_λ = D_γ, hess[1, 1] = C_γ, hess[0, 0] = D_λ
    gradient: torch.Tensor  # (n,): F_p = (D, C, …)
    # largest |F_qr − F_rq|, each side from its own θ_q: the solver's error, not the distance from
    # equilibrium
    maxwell: float
    # smallest eigenvalue of A found (an upper bound on the true one); NaN if not asked for
    curvature: float
    cg: CGReport


def hessian_of_free_energy(local, X):
    """Hess F from approximate solutions X of A X = B, with an error of second order in that of X.

    XᵀB alone is off by Xᵀ's error to first order. XᵀB + BᵀX − XᵀAX is stationary at X = A⁻¹B, where
    it equals BᵀA⁻¹B. Returns (hess, maxwell), both in nats per unit of control squared. maxwell is
    the asymmetry of the first-order form J_pp − XᵀB. It measures what the solver left undone;
    BᵀA⁻¹B is symmetric at any θ, at equilibrium or not.
    """
    B, J_pp = local.mixed()
    XB = X.T @ B
    hess = J_pp - (XB + XB.T - X.T @ local.hvp(X))
    asymmetry = (J_pp - XB) - (J_pp - XB).T
    return 0.5 * (hess + hess.T), float(asymmetry.abs().max())


def check_deterministic(J, theta, p):
    """Raise if two calls of J differ: dropout or fresh noise makes products with the Hessian
    meaningless.
    """
    with torch.no_grad():
        first, second = J(theta, p), J(theta, p)
    if not torch.equal(first, second) and not (torch.isnan(first) and torch.isnan(second)):
        raise ValueError(
            f"J(theta, p) is not deterministic: two calls gave {float(first)} and "
            f"{float(second)}. Fix the noise, and call "
            "module.eval() if there is dropout or batch normalisation"
        )


def linear_response(
    J,
    theta,
    p,
    *,
    preconditioner=None,
    rtol=1e-8,
    gradient_tol=1e-5,
    stability=True,
    max_iterations=None,
):
    """θ_q = A⁻¹ b_q for every control, and Hess F (paper, Lemma 5, eq. 17–18; eq. 21 is its second
    row).

    Args:
        J: any objective (theta (P,), p (n,)) -> scalar
        theta, p: an equilibrium, for example from `fe.minimise`
        preconditioner: (P, m) -> (P, m), an approximate A⁻¹ (for example
            `TopographicMap.preconditioner(theta, p)`)
        rtol: relative error of each θ_q in the energy norm; Hess F is then good to about rtol²
        gradient_tol: largest ‖∇_θ J‖ that counts as an equilibrium
        stability: also look for negative curvature that no b_q sees (up to 100 further products
            with A)

    Returns:
        Response

    Raises:
        NotAtEquilibrium: ‖∇_θ J‖ > gradient_tol
        NegativeCurvature: θ is a saddle or a maximum
        SingularHessian: A is singular and b_q is not in its range (θ sits on a bifurcation)
        NotConverged: conjugate gradients ran out of iterations
        ValueError, TypeError: NaN, wrong shapes or dtypes, λ < 0, a J that changes from call to
            call

    Example:
        J = ½θ² − λθ has θ* = λ and F = −½λ²:

        >>> J = lambda theta, p: 0.5 * theta.dot(theta) - p[0] * theta.sum()
        >>> theta = p = torch.tensor([3.0], dtype=torch.float64)
        >>> r = linear_response(J, theta, p)
        >>> float(r.theta_p), float(r.hess)
        (1.0, -1.0)
    """
    check_vector("theta", theta)
    check_controls(p, theta)
    check_deterministic(J, theta, p)
    local = Local(J, theta, p)
    size = float(local.gradient.norm())
    if size > gradient_tol:
        raise NotAtEquilibrium(
            f"‖∇J‖ = {size:.2e} > {gradient_tol:.0e} at p = {p.tolist()}: linear response "
            "describes equilibria only. "
            "Minimise first (fe.minimise), or raise gradient_tol and accept the bias"
        )
    B, _ = local.mixed()
    X, report = conjugate_gradient(
        local.hvp, B, preconditioner=preconditioner, rtol=rtol, max_iterations=max_iterations
    )
    mu = math.nan
    if stability:
        mu, u = check_stability(local, preconditioner, report.curvatures[1])
        overlap = float((u @ B).abs().max() / B.norm().clamp_min(torch.finfo(B.dtype).tiny))
        if abs(mu) <= 1e-12 * report.curvatures[1] and overlap > 1e-6:
            raise SingularHessian(
                f"A has a null direction (eigenvalue {mu:.1e}) on which the right-hand side acts "
                f"(cosine {overlap:.1e}): "
                "A x = b has no solution, θ sits on a bifurcation"
            )
    hess, maxwell = hessian_of_free_energy(local, X)
    return Response(X, hess, local.dp, maxwell, mu, report)


def check_stability(local, preconditioner=None, scale=0.0, start=None, **options):
    """(μ, u): the smallest eigenpair of A; raises `NegativeCurvature` if μ is below zero by more
    than rounding.

    On a symmetry orbit (rotations of z) A has null directions, and away from the exact minimum
    their curvature is of the order of ‖∇J‖/‖θ‖ with either sign: that much is tolerated, and 1e-10
    of the scale of A for rounding.
    """
    if start is None:
        noise = torch.Generator("cpu").manual_seed(0)
        start = torch.randn(
            len(local.theta), 2, generator=noise, dtype=torch.float64, device="cpu"
        )[:, : len(local.theta)]
        start = start.to(local.theta)
    scale = max(scale, float(local.hvp(start).norm() / start.norm()))  # of the order of ‖A‖
    slack = 1e-10 * scale + 10 * float(local.gradient.norm()) / max(
        float(local.theta.detach().norm()), 1.0
    )
    options = {"max_iterations": 100, "atol": slack / 10} | options
    mu, u, _ = smallest_eigenpair(local.hvp, start, preconditioner=preconditioner, **options)
    if mu < -slack:
        raise NegativeCurvature(
            f"A has a negative eigenvalue (at most {mu:.3e}): θ is a saddle, not a minimum, and F "
            "is not J here. "
            "Perturb θ along `direction` and minimise again (fe.minimise does)",
            mu,
            u,
        )
    return mu, u


def dense_response(J, theta, p):
    """The same answer from the dense A (P × P) and its eigenvalues: for teaching, and as an oracle
    for small P.

    Null directions are left out (pseudo-inverse). Returns (theta_p (P, n), hess (n, n), eigenvalues
    (P,)). Raises `SingularHessian` if B is not in the range of A.
    """
    local = Local(J, theta, p)
    A = local.hvp(torch.eye(len(theta), dtype=theta.dtype, device=theta.device))
    B, J_pp = local.mixed()
    values, vectors = torch.linalg.eigh(0.5 * (A + A.T))
    keep = values.abs() > 1e-10 * values.abs().max()
    coefficients = vectors.T @ B
    if coefficients[~keep].norm() > 1e-6 * B.norm():
        raise SingularHessian(
            "B has a component in the null space of A: A x = b has no solution, θ sits on a "
            "bifurcation"
        )
    theta_p = vectors[:, keep] @ (coefficients[keep] / values[keep, None])
    return theta_p, J_pp - B.T @ theta_p, values
