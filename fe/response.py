"""Linear response: how an equilibrium moves when its controls do (paper, Lemma 5, eq. 16–18).

∇_θ J(θ*(p), p) = 0 for every p (eq. 16). Differentiating in p, with F(p) = J(θ*(p), p),

    A θ_q = b_q,      A = ∇²_θ J,      b_q = −∂_q ∇_θ J,
    F_q = ∂_q J,      Hess F = J_pp − Bᵀ A⁻¹ B,      B = [b_λ b_γ …].

There is one solver, conjugate gradients (Hestenes and Stiefel 1952) on products A v from one
reverse pass through the gradient (Pearlmutter 1994). Where A itself is cheap its Cholesky factor is
the preconditioner, and two iterations do.
"""

import contextlib
import math
import warnings
from typing import NamedTuple

import torch

from .errors import (
    NegativeCurvature,
    NotAtEquilibrium,
    NotConverged,
    NotFinite,
    SingularHessian,
    check_floating,
)
from .objective import check_objective, check_state, normal

# most parameters for which A is written out, by products or by J
BY_PRODUCTS, ASSEMBLED = 300, 4000


@torch.enable_grad()
def jacobian(outputs, at):
    """∂outputs/∂v (m, len(v)) for each vector v of `at`, from m reverse passes."""
    none = [torch.zeros_like(v) for v in at]
    keep = dict(retain_graph=True, materialize_grads=True)
    rows = [torch.autograd.grad(o, at, **keep) if o.requires_grad else none for o in outputs]
    return [torch.stack(c).detach() for c in zip(*rows)] or [v.new_zeros(0, len(v)) for v in none]


class Local:
    """J at (θ, p): `value` (), `gradient` = ∇_θ J (P,), `dp` = ∂J/∂p (n,); their graph stays."""

    def __init__(self, J, theta, p):
        self.J, self.theta, self.p = J, *(v.detach().requires_grad_() for v in (theta, p))
        with torch.enable_grad():
            value = J(self.theta, self.p)
            self._gradient, self._dp = torch.autograd.grad(
                value, (self.theta, self.p), create_graph=True, materialize_grads=True
            )
        self.value, self.gradient = value.detach(), self._gradient.detach()
        self.dp, self._mixed, self._dense = self._dp.detach(), None, None
        self._factor, self._shift, self._inverse = None, 0.0, None
        self.null = self.theta.new_zeros(len(theta), 0)  # directions that `inverse` takes out
        if not torch.isfinite(self.gradient.sum() + self.value) & (p[:2].detach() >= 0).all():
            check_state(theta, p)
            what = "look for an overflow, sqrt or log at 0, or NaN in the data"
            raise NotFinite(f"at p = {p.tolist()} J is {float(self.value)}, ∇J not finite: {what}")

    def hvp(self, v):
        """A v for v (P,), or A V for V (P, m): by A if it was written out, else a reverse pass."""
        if self._dense is not None:
            return self._dense @ v
        options = dict(retain_graph=True, materialize_grads=True, is_grads_batched=v.ndim == 2)
        rows = v.T.contiguous() if v.ndim == 2 else v
        (product,) = torch.autograd.grad(self._gradient, self.theta, rows, **options)
        return product.T if v.ndim == 2 else product

    def mixed(self):
        """B = −∂_p ∇_θ J (P, n) and J_pp (n, n), from n reverse passes."""
        if self._mixed is None:
            b, j = jacobian(self._dp, (self.theta, self.p))
            self._mixed = -b.T, j
        return self._mixed

    def dense(self):
        """A (P, P) where cheap: J's own `dense_hessian(theta, p)`, or few products; or None."""
        theta, n = self.theta.detach(), len(self.theta)
        if self._dense is None and hasattr(self.J, "dense_hessian") and n <= ASSEMBLED:
            v = torch.linspace(-1, 1, n, dtype=theta.dtype, device=theta.device)
            A, Av = self.J.dense_hessian(theta, self.p.detach()), self.hvp(v)
            if (A @ v - Av).norm() > 1e-3 * (1 + Av.norm()):
                wrong = "is not the Hessian of J: a product differs from autograd's"
                raise ValueError(f"dense_hessian of {type(self.J).__name__} {wrong}")
            self._dense = A
        elif self._dense is None and n <= BY_PRODUCTS:
            A = self.hvp(torch.eye(n, dtype=theta.dtype, device=theta.device))
            self._dense = 0.5 * (A + A.T)
        return self._dense

    def noise(self, scale):
        """Eigenvalues of A, of either sign, that are zero for all that is known here: rounding, and
        ‖∇J‖/‖θ‖, which null directions (rotations of z) have away from the exact minimum.
        """
        eps = torch.finfo(self.theta.dtype).eps
        size, norm = torch.stack([self.gradient.norm(), self.theta.detach().norm()]).tolist()
        return max(1e-10, 10 * eps) * float(scale) + 10 * size / max(norm, 1.0)

    def factor(self):
        """The Cholesky factor L (P, P) of A where A is cheap, or None; where A is not positive
        definite of A + εI, ε from 1e-8 of its largest entry on.
        """
        if self._factor is None and (A := self.dense()) is not None:
            top = float(A.abs().max())
            if not math.isfinite(top):
                raise NotFinite("A has NaN or infinite entries: J has no second derivative at θ")
            for self._shift in (0.0, *(100.0**k for k in range(-4, 3))):
                B = A.clone()
                B.diagonal().add_(self._shift * (top or 1.0))
                self._factor, failed = torch.linalg.cholesky_ex(B)
                pivots = self._factor.diagonal().square()
                if failed == 0:  # no pivot need be as small as the least eigenvalue
                    v = normal(len(A), 1, seed=1, like=A)
                    v = torch.cholesky_solve(v / v.norm(), self._factor)
                    least = torch.minimum(pivots.min(), 1 / v.norm())
                    if least > 1e4 * torch.finfo(A.dtype).eps * pivots.max():
                        break
        return self._factor

    def inverse(self):
        """An approximate A⁻¹, (P, m) -> (P, m): by the factor, or J's `preconditioner`; or None.
        Null directions on which neither ∇J nor b acts (rotations of z) are taken out: A + εI would
        enlarge what rounding leaves of v there.
        """
        if self._inverse is None and (L := self.factor()) is not None:
            self._inverse = lambda v: torch.cholesky_solve(v, L)
            if 0 < self._shift <= 1e-8:
                values, vectors = torch.linalg.eigh(self._dense)
                top = values.abs().max()
                acting = torch.cat([self.gradient[:, None], self.mixed()[0]], 1)
                acts = ((vectors.T @ acting).abs() > 1e-3 * acting.norm(dim=0)).any(1)
                rounding = max(1e-10, 10 * torch.finfo(values.dtype).eps) * top
                seen = (values.abs() > self.noise(top)) | acts & (values.abs() > rounding)
                V, inverse, self.null = vectors[:, seen], 1 / values[seen].abs(), vectors[:, ~seen]
                self._inverse = lambda v: V @ (inverse[:, None] * (V.T @ v))
        elif self._inverse is None and getattr(self.J, "preconditioner", None):
            self._inverse = self.J.preconditioner(self.theta.detach(), self.p.detach())
        return self._inverse


class Solver:
    """A⁻¹B at points near one another. A factor of A serves while seven iterations do with it, and
    where A is indefinite.
    """

    kept = None  # A⁻¹ by that factor, where A is cheap
    whole = None  # the same, where it takes no direction out

    def __call__(self, local, B, rtol):
        """A⁻¹B (P, m) to rtol in the energy norm. Rotations of z, along which B does not act, have
        away from the minimum a curvature of either sign, of ‖∇J‖/‖θ‖ or so: where it is below zero
        the answer is that of A + 20 ‖∇J‖/‖θ‖ I.
        """
        if not B.numel():  # nothing is conserved
            return B
        try:
            if self.kept and local._dense is None:
                with contextlib.suppress(NotConverged):
                    options = dict(preconditioner=self.kept, rtol=rtol, max_iterations=7)
                    return conjugate_gradient(local.hvp, B, **options)[0]
            inverse = local.inverse()
            if local.factor() is not None:
                if self.kept is None or local._shift <= 1e-8:  # else the neighbour's is better
                    self.kept, self.whole = inverse, None if local.null.shape[1] else inverse
                inverse = self.kept
            return conjugate_gradient(local.hvp, B, preconditioner=inverse, rtol=rtol)[0]
        except NegativeCurvature as e:
            noise, along = local.noise(0.0), (e.direction @ B).abs()
            if e.curvature < -0.1 * noise or (along > 1e-3 * B.norm(dim=0)).any():
                raise
        shifted = lambda v: local.hvp(v) + 2 * noise * v
        return conjugate_gradient(shifted, B, rtol=rtol)[0]


def conjugate_gradient(matvec, B, *, preconditioner=None, rtol=1e-8, max_iterations=None):
    """A⁻¹B (P, m) for positive semi-definite A by preconditioned conjugate gradients, and how many
    iterations that took.

    Stops on the energy norm, in which bᵀA⁻¹b is measured: after k steps ‖x − x_k‖²_A = Σ_{j≥k} α_j
    r_jᵀz_j exactly (Hestenes and Stiefel 1952), estimated by the last ten terms (Strakoš and Tichý
    2002), or by 1e4 times the last one where it is 1e-4 of the one before. For a singular A with b
    in its range x is, without a preconditioner, the solution of least norm.

    Args:
        matvec, preconditioner: (P, m) -> (P, m), A and an approximate A⁻¹
        rtol: relative error of every column in the energy norm; a bᵀA⁻¹b is then good to rtol²
        max_iterations: default 10 P; `NotConverged` when they are used up

    Raises `NegativeCurvature` where a direction with uᵀAu < 0 was met, `SingularHessian` where b is
    not in the range of A, `ValueError` for NaN and a preconditioner that is not positive definite.
    """
    check_floating("B", B, "P", "m")
    limit = 10 * len(B) if max_iterations is None else max_iterations
    M = preconditioner or (lambda v: v)
    eps, tiny = torch.finfo(B.dtype).eps, torch.finfo(B.dtype).tiny
    rtol = max(rtol, 10 * eps)
    X, R, Z = torch.zeros_like(B), B, M(B)
    D, start = Z, (B * Z).sum(0)
    if not (start >= 0).all():
        raise ValueError("the preconditioner is not positive definite or gives NaN: not bᵀM⁻¹b ≥ 0")
    rz, total, error, terms = start, torch.zeros_like(start), torch.zeros_like(start), []
    high, iterations = start.new_zeros(()), start.new_zeros(())  # largest curvature met
    active, stuck, curvature = start > 0, start < 0, start
    for k in range(limit + 1):
        if k < 4 or k % 4 == 0 or k == limit:  # the host looks
            failed, running = torch.stack([stuck.any(), active.any()]).tolist()
            if failed or not running:
                break
            if k == limit:
                raise NotConverged(
                    f"conjugate gradients stopped after {k} iterations at an error of about "
                    f"{float(error.max()):.1e} (wanted {rtol:.1e}): A is ill-conditioned. A ridge "
                    "inside J would help (fe.Ridge), or a method `preconditioner` of J"
                )
        AD = matvec(D)
        dad = (D * AD).sum(0)
        curvature = dad / (D * D).sum(0).clamp_min(tiny)
        # a residual at rounding level has lost its direction: in a singular A it points into the
        # null space by chance
        active = active & ~((rz <= 1e-18 * start) & (curvature.abs() <= 1e-8 * high))
        high = torch.maximum(high, torch.where(active, curvature, 0.0).max())
        stuck = stuck | active & ~(curvature > 100 * eps * high)  # none, below zero, or NaN
        active = active & ~stuck
        iterations = iterations + active.any()
        step = torch.where(active, rz / dad, 0.0)
        X, R = X + step * D, R - step * AD
        terms, total = [*terms[-9:], step * rz], total + step * rz
        Z = M(R)
        rz_new = (R * Z).sum(0)
        square = sum(terms) if len(terms) == 10 else torch.full_like(rz, math.inf)
        if len(terms) > 1:
            fallen = terms[-1] <= 1e-4 * terms[-2]
            square = torch.where(fallen, torch.minimum(square, 1e4 * terms[-1]), square)
        estimate = (square / total.clamp_min(tiny)).sqrt()
        estimate = torch.where(rz_new <= (10 * eps) ** 2 * start, 10 * eps, estimate)
        error = torch.where(active, estimate, error)
        active = active & ~(estimate <= rtol)
        D = torch.where(active, Z + rz_new / rz.clamp_min(tiny) * D, D)
        rz = torch.where(active, rz_new, rz)
    if failed:
        if not torch.isfinite(curvature).all():
            raise NotFinite("a product A v has NaN or infinite entries: J overflows near θ")
        worst = int(torch.where(stuck, curvature, math.inf).argmin())
        value, top = float(curvature[worst]), float(high)
        if value < -100 * eps * top:
            why = f"A has negative curvature {value:.3e}: θ is not a minimum. Use fe.minimise"
            raise NegativeCurvature(why, value, D[:, worst] / D[:, worst].norm())
        raise SingularHessian(
            f"A has curvature {value:.1e} (largest met {top:.1e}) where b acts: A x = b has no "
            "solution. θ sits on a bifurcation, or J lacks a minimum; a ridge inside J (fe.Ridge) "
            "makes A positive definite"
        )
    return X, int(iterations)


def smallest_eigenpair(
    matvec, start, *, preconditioner=None, rtol=1e-3, atol=0.0, max_iterations=1000
):
    """μ, u (P,) and ‖Au − μu‖: the smallest eigenvalue of a symmetric A and its unit eigenvector.

    Davidson's method (1975): Rayleigh and Ritz on a space that grows by M r, r the residual, and
    restarts at 60 vectors from the lowest twenty; without a preconditioner, Lanczos'. μ is an upper
    bound, and some eigenvalue lies within ‖r‖ of it: the smallest, unless `start` has nothing of
    its vector.

    Args:
        matvec, preconditioner: (P, m) -> (P, m), A and an approximate A⁻¹
        start: (P,) or (P, m) first guess; an old eigenvector on a path, random vectors otherwise
        rtol, atol: stop when ‖r‖ ≤ max(`rtol |μ|`, atol), or after max_iterations
    """
    M, eps = preconditioner or (lambda v: v), torch.finfo(start.dtype).eps
    V = torch.linalg.qr(start.reshape(len(start), -1)).Q
    AV = matvec(V)
    for _ in range(max_iterations + 1):
        H = V.T @ AV
        values, S = torch.linalg.eigh(0.5 * (H + H.T))
        u = V @ S[:, :1]
        r = AV @ S[:, :1] - values[0] * u
        mu, error, top = torch.stack([values[0], r.norm(), values.abs().max()]).tolist()
        if error <= max(rtol * abs(mu), atol, 10 * eps * top) or V.shape[1] == len(V):
            break
        if V.shape[1] >= 60:
            V, AV = V @ S[:, :20], AV @ S[:, :20]
        W = M(r)
        for _ in range(2):  # once leaves rounding along V
            W = W - V @ (V.T @ W)
            W = W / W.norm()
        V, AV = torch.cat([V, W], 1), torch.cat([AV, matvec(W)], 1)
    return mu, u[:, 0], error


def check_stability(local, start=None, inverse=None, **options):
    """(μ, u, error): the smallest eigenvalue of A, its vector (P,), and how far off μ may be.

    The search begins with `start`, the vector of a neighbour, and random ones, to which A⁻¹ was
    applied twice; `options` go to `smallest_eigenpair`. A few hundred eigenvalues are all computed.
    Where A is written out beyond, a Cholesky factor certifies that nothing lies below μ − error;
    `inverse`, an A⁻¹ of a neighbour, saves that. A search that has not settled warns.
    `NegativeCurvature` is raised for μ below zero by more than `Local.noise`.
    """
    theta, exact = local.theta.detach(), len(local.theta) <= BY_PRODUCTS
    A, eps = local.dense() if exact or inverse is None else None, torch.finfo(theta.dtype).eps
    if not exact:
        inverse = inverse or local.inverse()
        noise = normal(len(theta), 2, seed=0, like=theta)
        scale = float(local.hvp(noise).norm() / noise.norm())  # of the order of ‖A‖
        slack = local.noise(scale)
        noise = inverse(inverse(noise)) if inverse else noise
        start = noise if start is None else torch.cat([start.reshape(len(theta), -1), noise], 1)
        how = dict(atol=slack / 10, rtol=1e-3, preconditioner=inverse) | options
        mu, u, error = smallest_eigenpair(local.hvp, start, **how)
        if A is not None:  # does anything lie lower?
            one = torch.eye(len(A), dtype=A.dtype, device=A.device)
            exact = bool(torch.linalg.cholesky_ex(A - (mu - error - slack / 10) * one).info)
        elif error > max(how["rtol"] * abs(mu), how["atol"], 10 * eps * scale):
            sign = "" if mu > error + slack else "perhaps below zero, "
            warnings.warn(
                f"the search for the smallest eigenvalue of A has not settled: it is at most "
                f"{mu:.2e}, {sign}one is within {error:.1e}. A `preconditioner` of J would help",
                RuntimeWarning,
                stacklevel=3,
            )
    if exact:
        values, vectors = torch.linalg.eigh(A)
        scale = float(values.abs().max())
        mu, u, error, slack = float(values[0]), vectors[:, 0], 10 * eps * scale, local.noise(scale)
    if not mu >= -slack:
        why = f"A has a negative eigenvalue (at most {mu:.3e}): θ is a saddle, not a minimum. Move "
        raise NegativeCurvature(why + "along `direction` and minimise (fe.minimise does)", mu, u)
    return mu, u, error


class Response(NamedTuple):
    """The answer of `linear_response`."""

    theta_p: torch.Tensor  # (P, n): columns θ_λ, θ_γ, … (eq. 18)
    hess: torch.Tensor  # (n, n): Hess F; hess[0, 1] = C_λ = D_γ, hess[1, 1] = C_γ, hess[0, 0] = D_λ
    gradient: torch.Tensor  # (n,): F_p = (D, C, …)
    maxwell: float  # largest |F_qr − F_rq|, each from its own θ_q: the solver's error
    curvature: float  # smallest eigenvalue of A; NaN if not asked for
    curvature_error: float  # how far off it may be
    iterations: int  # of conjugate gradients


def hessian_of_free_energy(local, X):
    """Hess F (n, n) from approximate solutions X of A X = B, and `Response.maxwell`.

    XᵀB + BᵀX − XᵀAX is stationary at X = A⁻¹B, where it equals BᵀA⁻¹B: its error is of second order
    in that of X. That of XᵀB is of first, and the asymmetry of J_pp − XᵀB measures it.
    """
    B, J_pp = local.mixed()
    XB = X.T @ B
    hess = J_pp - (XB + XB.T - X.T @ local.hvp(X))
    asymmetry = (J_pp - XB) - (J_pp - XB).T
    return 0.5 * (hess + hess.T), float(asymmetry.abs().max())


def linear_response(J, theta, p, *, rtol=1e-8, gradient_tol=1e-5, stability=True):
    """θ_q = A⁻¹ b_q for every control, and Hess F (paper, Lemma 5, eq. 17–18; eq. 21 is its row 2).

    Args:
        J: any objective (theta (P,), p (n,)) -> scalar
        theta, p: an equilibrium, for example from `fe.minimise`
        rtol: relative error of each θ_q in the energy norm; Hess F is then good to about rtol²
        gradient_tol: largest ‖∇_θ J‖ that counts as an equilibrium, or `NotAtEquilibrium`
        stability: also look for negative curvature that no b_q sees

    Raises what `check_objective` and `conjugate_gradient` do; a part of b_q on null directions of A
    below 1e-6 of it is taken for rounding.

    >>> J = lambda theta, p: 0.5 * theta.dot(theta) - p[0] * theta.sum()  # F = −½λ²
    >>> three = torch.tensor([3.0], dtype=torch.float64)
    >>> r = linear_response(J, three, three)
    >>> float(r.theta_p), float(r.hess)
    (1.0, -1.0)
    """
    check_objective(J, theta, p)
    local = Local(J, theta, p)
    size = float(local.gradient.norm())
    if size > gradient_tol:
        raise NotAtEquilibrium(
            f"‖∇J‖ = {size:.2e} > {gradient_tol:.0e} at p = {p.tolist()}: linear response "
            "describes equilibria only. Minimise first (fe.minimise)"
        )
    B, _ = local.mixed()
    X, spent = conjugate_gradient(local.hvp, B, preconditioner=local.inverse(), rtol=rtol)
    mu = error = math.nan
    if stability:
        mu, _, error = check_stability(local)
    if (A := local.dense()) is not None:  # a direction that rounding cannot tell from a null one
        length, energy = X.norm(dim=0), (X * B).sum(0).abs()
        null = energy <= 10 * torch.finfo(A.dtype).eps * A.norm() * length.square()
        null &= energy > 1e-6 * B.norm(dim=0) * length
        if (null | ((local.null.T @ B).norm(dim=0) > 1e-6 * B.norm(dim=0))).any():
            why = "A has a null direction, to rounding, on which b acts: A x = b has no solution"
            raise SingularHessian(why)
    hess, maxwell = hessian_of_free_energy(local, X)
    return Response(X, hess, local.dp, maxwell, mu, error, spent)
