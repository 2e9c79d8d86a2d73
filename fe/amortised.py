"""The amortised encoder, a Gaussian N(μ(x), diag σ²(x)): what the paper's experiments train.

It sees the image and not the label, and it is a Gaussian; the Gibbs encoder e* of eq. (9) is bound
by neither. Hence

    G(θ, p) = R + λD + γC ≥ J(θ, p),        G − J = E KL(e_θ ‖ e*) over the data.

With z = μ + σε and the noise ε held fixed (common random numbers), G is a deterministic function of
θ, to which everything else in fe applies as to J.
"""

import torch
from torch.nn.functional import cross_entropy

from .errors import check_finite, check_like, check_shape, check_weights
from .gibbs import GridModel, check_resolution
from .networks import check_networks
from .objective import Imaged, check_state, flatten


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
        self.x, self.y, self.weights = x, y, check_weights(None, x)
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
    check_resolution(J.posterior(theta, p), grid)
    return R + p[0] * D + p[1] * C + J.log_partition(theta, p)
