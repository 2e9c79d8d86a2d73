"""Linear response of a trained network, whose Hessian is seldom positive: the Gauss–Newton matrix
in its place.

G = R + λD + γC is convex in what the networks put out, o = (μ, log σ, x̂, logits), and o is a
nonlinear function of θ:

    ∇²G = J_oᵀ (∇²_o G) J_o + Σ_k (∂G/∂o_k) ∇² o_k,        J_o = ∂o/∂θ.

The first term, the Gauss–Newton matrix (Schraudolph 2002), is positive semi-definite by
construction; the second, which makes ∇²G indefinite away from a minimum, weighs the curvature of
the networks with what is left of the error. Leaving it out turns Lemma 5 into an approximation;
chapter 6 compares its slopes with those of five trained copies.
"""

import math
from typing import NamedTuple

import torch

from .errors import NegativeCurvature, NotConverged, SingularHessian
from .response import CGReport, Local, conjugate_gradient


class NetworkResponse(NamedTuple):
    """Hess F of a network by Lemma 5 with the matrix that was usable."""

    hess: torch.Tensor  # (2, 2): [[D_λ, D_γ], [C_λ, C_γ]]
    matrix: str  # "Hessian" or "Gauss-Newton"
    damping: float
    gradient_norm: float
    D: float
    C: float
    report: CGReport


def _gauss_newton(J, theta, p):
    """V (P, m) -> (J_oᵀ ∇²_o G J_o + ρ) V (P, m) of an `AmortisedObjective` at (θ, p)."""
    outputs, pull = torch.func.vjp(J.outputs, theta)
    _, log_sigma, _, logits = (o.detach() for o in outputs)
    images, draws = (
        J.weights[:, None],
        J.noise_weights[:, None, None] * J.weights[:, None],
    )  # (N, 1), (S, N, 1)
    prob = torch.softmax(logits, 2)

    def product(v):
        mu, ls, xhat, lg = torch.func.jvp(J.outputs, (theta,), (v,))[1]
        softmax = prob * lg - prob * (prob * lg).sum(2, keepdim=True)
        second = (
            images * mu,
            images * 2 * (2 * log_sigma).exp() * ls,
            2 * p[0] * draws * xhat,
            p[1] * draws * softmax,
        )
        return pull(second)[0] + J.ridge * v

    return lambda V: torch.stack([product(v) for v in V.T], 1)


def network_response(J, theta, p, *, damping=1e-3, rtol=1e-2, max_iterations=400):
    """Hess F = −Bᵀ(A + damping)⁻¹B of an `AmortisedObjective` at parameters that training left, not
    Newton.

    A is the Hessian if no negative curvature is met while solving, and the Gauss–Newton matrix
    otherwise; the answer says which. No equilibrium is demanded: the caller is to compare (chapter
    6).

    Args:
        damping: added to A; small against the curvatures in which B acts, large against those that
            training never resolved

    Raises:
        NotConverged: the solver used up its iterations: raise damping
    """
    if not 0 <= damping < math.inf:
        raise ValueError(f"damping must be ≥ 0 and finite, got {damping}")
    local = Local(J, theta, p)
    B, _ = local.mixed()
    options = dict(rtol=rtol, max_iterations=max_iterations)
    try:
        matrix = "Hessian"
        X, report = conjugate_gradient(lambda V: local.hvp(V) + damping * V, B, **options)
    except (NegativeCurvature, SingularHessian, NotConverged):
        matrix, product = "Gauss-Newton", _gauss_newton(J, theta, p)
        X, report = conjugate_gradient(lambda V: product(V) + damping * V, B, **options)
    hess = -(B.T @ X)
    _, D, C = J.terms(theta)
    return NetworkResponse(
        0.5 * (hess + hess.T),
        matrix,
        damping,
        float(local.gradient.norm()),
        float(D),
        float(C),
        report,
    )
