"""The curvature of a network where training left it, which is no minimum of its objective."""

import math
from typing import NamedTuple

import torch

from ..errors import NegativeCurvature, NotConverged, SingularHessian
from ..response import Local, conjugate_gradient


def gauss_newton(J, theta, p):
    """V (P, m) -> (J_oᵀ ∇²_o G J_o + ρ) V, J_o = ∂o/∂θ, of an `AmortisedObjective` at (θ, p).

    G = R + λD + γC is convex in what the networks put out, o = (μ, log σ, x̂, logits): this matrix
    (Schraudolph 2002) is positive semi-definite. What ∇²G has beyond it, Σ_k (∂G/∂o_k) ∇²o_k,
    weighs the curvature of the networks with what is left of the error.
    """
    outputs, pull = torch.func.vjp(J.outputs, theta)
    _, log_sigma, _, logits = (o.detach() for o in outputs)
    images = J.weights[:, None]  # (N, 1)
    draws = J.noise_weights[:, None, None] * images  # (S, N, 1)
    prob = torch.softmax(logits, 2)

    def product(v):
        mu, ls, xhat, lg = torch.func.jvp(J.outputs, (theta,), (v,))[1]
        softmax = prob * lg - prob * (prob * lg).sum(2, keepdim=True)
        sigma = 2 * (2 * log_sigma).exp() * ls
        second = images * mu, images * sigma, 2 * p[0] * draws * xhat, p[1] * draws * softmax
        return pull(second)[0] + J.ridge * v

    return lambda V: torch.stack([product(v) for v in V.T], 1)


def predicted_decrease(J, theta, p, *, rtol=1e-2, max_iterations=2000):
    """How many nats a Newton step on an `AmortisedObjective` promises: ½ gᵀG⁻¹g with g = ∇J and the
    Gauss–Newton matrix G, ridge included; zero at rest. Raises what `conjugate_gradient` does.
    """
    local, options = Local(J, theta, p), dict(rtol=rtol, max_iterations=max_iterations)
    g, M = local.gradient[:, None], local.inverse()
    X, _ = conjugate_gradient(gauss_newton(J, theta, p), g, preconditioner=M, **options)
    return 0.5 * float((g * X).sum())


class NetworkResponse(NamedTuple):
    """The answer of `network_response`."""

    hess: torch.Tensor  # (2, 2): [[D_λ, D_γ], [C_λ, C_γ]]
    matrix: str  # "Hessian" or "Gauss-Newton"
    D: float
    C: float


def network_response(J, theta, p, *, damping=1e-3, rtol=1e-2, max_iterations=400):
    """Hess F = −Bᵀ(A + damping)⁻¹B of an `AmortisedObjective` where training left it.

    A is the Hessian if no negative curvature is met while solving, and the Gauss–Newton matrix
    otherwise; the answer says which. No equilibrium is demanded: compare (chapter 6). `damping` is
    to be small against the curvatures in which B acts, large against those that training never
    resolved.

    Raises:
        ValueError: damping is negative or not finite
        NotConverged: the solver used up its iterations: raise damping
    """
    if not 0 <= damping < math.inf:
        raise ValueError(f"damping must be ≥ 0 and finite, got {damping}")
    local = Local(J, theta, p)
    B, options = local.mixed()[0], dict(rtol=rtol, max_iterations=max_iterations)
    try:
        matrix = "Hessian"
        X, _ = conjugate_gradient(lambda V: local.hvp(V) + damping * V, B, **options)
    except (NegativeCurvature, SingularHessian, NotConverged):
        matrix, product = "Gauss-Newton", gauss_newton(J, theta, p)
        X, _ = conjugate_gradient(lambda V: product(V) + damping * V, B, **options)
    hess = -(B.T @ X)
    return NetworkResponse(0.5 * (hess + hess.T), matrix, *local.dp.tolist())
