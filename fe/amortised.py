"""The amortised encoder, a Gaussian N(μ(x), diag σ²(x)): what the paper's experiments train.

It sees the image and not the label, and it is a Gaussian; the Gibbs encoder e* of eq. (9) is bound
by neither. Hence

    G(θ, p) = R + λD + γC ≥ J(θ, p),        G − J = E KL(e_θ ‖ e*) over the data.

With z = μ + σε and the noise ε held fixed (common random numbers), G is a deterministic function of
θ, to which everything else in fe applies as to J.
"""

import math
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy

from .errors import (
    NegativeCurvature,
    NotConverged,
    SingularHessian,
    check_finite,
    check_like,
    check_shape,
    check_weights,
)
from .gibbs import GridModel
from .networks import check_networks
from .objective import Imaged, check_state, flatten
from .response import Local, conjugate_gradient


def kl_to_standard_normal(mu, log_sigma):
    """KL(N(μ, diag σ²) ‖ N(0, I)) = Σ_j ½(μ_j² + σ_j² − 1) − log σ_j over the last axis; nats."""
    return (0.5 * (mu.square() + torch.expm1(2 * log_sigma)) - log_sigma).sum(-1)


class AmortisedObjective(Imaged):
    """G(θ, p) = R + λD + γC + ½ρ‖θ‖² of any encoder, decoder and classifier (eq. 8 with an
    amortised e_θ).

    Args:
        encoder, decoder, classifier: x (N, D) -> (μ, log σ), each (N, d); z (M, d) -> x̂ (M, D); z
            (M, d) -> logits (M, Y). θ stacks the three
        x, y: (N, D) images, of any shape that the networks take, and (N,) int64 labels
        noise: (S, N, d), samples of N(0, I), or the nodes of a quadrature rule for every image
        ridge: ρ
        noise_weights: (S,) with sum one (default 1/S each), those of the quadrature rule

    What does not fit raises `ValueError` or `TypeError`, see `check_networks`.
    """

    def __init__(self, encoder, decoder, classifier, x, y, noise, ridge=0.0, noise_weights=None):
        check_shape("noise", noise, "S", len(x), check_networks(encoder, decoder, classifier, x, y))
        check_like("noise", noise, "x", x)
        check_finite("noise", noise)
        super().__init__(ridge)
        self.noise, self.noise_weights = noise, check_weights(noise_weights, noise, "noise_weights")
        self.encoder, self.decoder, self.classifier = encoder, decoder, classifier
        self._show(x, y, check_weights(None, x))
        self.theta0, self.unflatten = flatten(encoder, decoder, classifier)
        self.n_parameters = self.theta0.numel()

    def outputs(self, theta):
        """What the networks say: μ, log σ (N, d), x̂ (S, N, D), logits (S, N, Y). G is convex in
        these, and a net in θ.
        """
        encoder, *others = self.unflatten(theta)
        mu, log_sigma = torch.func.functional_call(self.encoder, encoder, (self.x,))
        z = (mu + log_sigma.exp() * self.noise).flatten(0, 1)  # (S N, d)
        xhat, logits = (
            torch.func.functional_call(net, parameters, (z,)).view(*self.noise.shape[:2], -1)
            for net, parameters in zip((self.decoder, self.classifier), others)
        )
        return mu, log_sigma, xhat, logits

    def per_example(self, theta):
        """R_n (exact), D_n and C_n (averages over the noise), each (N,)."""
        mu, log_sigma, xhat, logits = self.outputs(theta)
        y = self.y.expand(len(self.noise), *self.y.shape).flatten(0, 1)
        C = cross_entropy(logits.flatten(0, 1), y, reduction="none").view(len(self.noise), -1)
        D = (self.x.flatten(1) - xhat).square().sum(2)  # (S, N)
        return kl_to_standard_normal(mu, log_sigma), self.noise_weights @ D, self.noise_weights @ C

    def terms(self, theta):
        """R without the ridge, D, C, nats per example: they do not depend on p, so that D = ∂G/∂λ
        and C = ∂G/∂γ at once.
        """
        return tuple(self.weights.dot(term) for term in self.per_example(theta))

    def __call__(self, theta, p):
        R, D, C = self.terms(theta)
        return R + p[0] * D + p[1] * C + self.penalty(theta)


@torch.no_grad()
def free_energy_gap(objective, theta, p, grid):
    """KL(e_θ ‖ e*) = G_n + log Z_n of every image, (N,), of an `AmortisedObjective`, without the
    ridge; log Z on a `Grid` (d up to about 3) whose resolution is checked (`GridTooCoarse`).

    With noise that is not a quadrature rule G_n has an error of order 1/√S, and may come out below
    −log Z_n by as much.
    """
    check_state(theta, p)
    R, D, C = objective.per_example(theta)
    J = GridModel(objective.decoder, objective.classifier, objective.x, objective.y, grid)
    theta = theta[-J.n_parameters :]  # of decoder and classifier, behind the encoder's
    J.resolution(theta, p)
    return R + p[0] * D + p[1] * C + J.log_partition(theta, p)


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


def predicted_decrease(J, theta, p, *, preconditioner=None, rtol=1e-2, max_iterations=2000):
    """How many nats a Newton step on an `AmortisedObjective` promises: ½ gᵀG⁻¹g with g = ∇J and the
    Gauss–Newton matrix G, ridge included; zero at rest. Raises what `conjugate_gradient` does.
    """
    g = Local(J, theta, p).gradient[:, None]
    options = dict(preconditioner=preconditioner, rtol=rtol, max_iterations=max_iterations)
    X, _ = conjugate_gradient(gauss_newton(J, theta, p), g, **options)
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
