"""The amortised encoder, a Gaussian N(μ(x), diag σ²(x)): what the paper's experiments train.

It sees the image and not the label, and it is a Gaussian; the Gibbs encoder e* of eq. (9) is bound
by neither. Hence

    G(θ, p) = R + λD + γC ≥ J(θ, p),        G − J = E KL(e_θ ‖ e*) over the data,

with equality only if the two agree. With z = μ + σε and the noise ε held fixed (common random
numbers), G is a deterministic function of θ, so that linear response and everything else in fe
applies to it as to J.
"""

import copy

import torch

from .errors import check_data, check_finite, check_weights
from .gibbs import check_modules, check_resolution, log_c, log_d, log_partition
from .objective import Ridged, check_controls, flatten


def kl_to_standard_normal(mu, log_sigma):
    """KL(N(μ, diag σ²) ‖ N(0, I)) = Σ_j ½(μ_j² + σ_j² − 1) − log σ_j, summed over the last axis;
    nats.
    """
    return (0.5 * (mu.square() + torch.expm1(2 * log_sigma)) - log_sigma).sum(-1)


def check_networks(encoder, decoder, classifier, x, y):
    """Raise, in words, unless the three modules fit together and to the images x (N, …), labels y.

    Raises:
        ValueError, TypeError: What does not fit: an encoder that does not return (μ, log σ), images
            of another shape than the decoder's, too few logits, parameters of another dtype or
            device, NaN or empty data.
    """
    check_data(x.flatten(1) if isinstance(x, torch.Tensor) and x.ndim > 2 else x, y, soft=True)
    check_modules(x, encoder=encoder, decoder=decoder, classifier=classifier)
    few, shape = x[:2], tuple(x.shape[1:])
    with torch.no_grad():
        try:
            code = encoder(few)
        except RuntimeError as e:
            raise ValueError(f"encoder must accept images of shape {shape}: {e}") from e
        pair = isinstance(code, tuple | list) and len(code) == 2
        if not pair or code[0].shape != code[1].shape or code[0].ndim != 2:
            got = [tuple(v.shape) for v in (code if isinstance(code, tuple | list) else [code])]
            raise ValueError(
                "encoder(x) must return (mu, log_sigma), two tensors of one shape (N, d), got "
                f"{' and '.join(map(str, got))}; a layer of 2d units can be split by .chunk(2, 1)"
            )
        try:
            xhat, logits = decoder(code[0]), classifier(code[0])
        except RuntimeError as e:
            size = tuple(code[0].shape)
            raise ValueError(
                f"decoder and classifier must accept codes of shape {size}: {e}"
            ) from e
    if xhat.shape != few.shape:
        raise ValueError(
            f"decoder(z) must have shape {tuple(few.shape)} like the images, got "
            f"{tuple(xhat.shape)}; nn.Flatten and nn.Unflatten(1, {shape}) go from one to the other"
        )
    if logits.ndim != 2 or len(logits) != len(few):
        raise ValueError(f"classifier(z) must have shape (N, classes), got {tuple(logits.shape)}")
    check_data(x.flatten(1), y.argmax(1) if y.is_floating_point() else y, logits.shape[1])


class AmortisedObjective(Ridged):
    """G(θ, p) = R + λD + γC + ½ρ‖θ‖² of any encoder, decoder and classifier (eq. 8 with an
    amortised e_θ).

    Args:
        encoder: x (N, D) -> (μ, log σ), each (N, d)
        decoder: z (M, d) -> x̂ (M, D)
        classifier: z (M, d) -> logits (M, Y)
        x: (N, D)
        y: (N,) int64
        noise: (S, N, d), samples of N(0, I), or the nodes of a quadrature rule repeated for every
            image
        ridge: ρ
        weights: (N,) probabilities of the images (default 1/N each)
        noise_weights: (S,) with sum one (default 1/S each); those of a quadrature rule make G exact
            for small d

    θ stacks encoder, decoder and classifier; `theta0`, `unflatten`, `n_parameters` as in
    `GridModel`.

    Raises:
        ValueError, TypeError: NaN, empty or mis-shaped data or noise, labels out of range, batch
            normalisation or dropout in training mode
    """

    def __init__(
        self, encoder, decoder, classifier, x, y, noise, ridge=0.0, weights=None, noise_weights=None
    ):
        check_networks(encoder, decoder, classifier, x, y)
        with torch.no_grad():
            shape = len(x), encoder(x[:1])[0].shape[1]
        if (
            noise.ndim != 3
            or noise.shape[1:] != shape
            or len(noise) == 0
            or (noise.dtype, noise.device) != (x.dtype, x.device)
        ):
            raise ValueError(
                f"noise must be {x.dtype} on {x.device}, of shape (S, {shape[0]}, {shape[1]}) "
                f"with S ≥ 1, got {noise.dtype} "
                f"on {noise.device}, {tuple(noise.shape)}"
            )
        check_finite("noise", noise)
        if noise_weights is None:
            noise_weights = torch.full_like(noise[:, 0, 0], 1 / len(noise))
        if (
            noise_weights.shape != noise.shape[:1]
            or not abs(float(noise_weights.sum()) - 1) <= 1e-6
        ):
            raise ValueError(
                f"noise_weights must be {len(noise)} numbers with sum 1, got shape "
                f"{tuple(noise_weights.shape)}"
            )
        self.encoder, self.decoder, self.classifier, self.x, self.y = (
            encoder,
            decoder,
            classifier,
            x,
            y,
        )
        self.noise, self.noise_weights = noise, noise_weights.to(noise)
        super().__init__(ridge)
        self.weights = check_weights(weights, x)
        self.theta0, self.unflatten = flatten(encoder, decoder, classifier)
        self.n_parameters = self.theta0.numel()

    def on(self, x, y, weights):
        """The same networks and noise on as many other images: y (N,) labels or (N, Y)
        probabilities. Nothing is checked.
        """
        other = copy.copy(self)
        other.x, other.y, other.weights = x, y, weights
        return other

    def outputs(self, theta):
        """What the networks say: μ, log σ (N, d), x̂ (S, N, D), logits (S, N, Y). G is convex in
        these, and a net in θ.
        """
        encoder, decoder, classifier = self.unflatten(theta)
        mu, log_sigma = torch.func.functional_call(self.encoder, encoder, (self.x,))
        z = (mu + log_sigma.exp() * self.noise).flatten(0, 1)  # (S N, d)
        xhat = torch.func.functional_call(self.decoder, decoder, (z,)).view(
            len(self.noise), len(self.x), -1
        )
        logits = torch.func.functional_call(self.classifier, classifier, (z,)).view(
            len(self.noise), len(self.x), -1
        )
        return mu, log_sigma, xhat, logits

    def per_example(self, theta):
        """R_n (exact), D_n and C_n (averages over the noise), each (N,)."""
        mu, log_sigma, xhat, logits = self.outputs(theta)
        log_cls = torch.log_softmax(logits, 2)  # (S, N, Y)
        if self.y.is_floating_point():
            log_cls = (log_cls * self.y).sum(2)
        else:
            log_cls = log_cls.gather(2, self.y.expand(len(self.noise), -1)[..., None])[..., 0]
        D = self.noise_weights @ (self.x.flatten(1) - xhat).square().sum(2)
        return kl_to_standard_normal(mu, log_sigma), D, -(self.noise_weights @ log_cls)

    def terms(self, theta):
        """R without the ridge, D, C, nats per example: they do not depend on p, so that D = ∂G/∂λ
        and C = ∂G/∂γ at once.
        """
        return tuple(self.weights.dot(term) for term in self.per_example(theta))

    def __call__(self, theta, p):
        R, D, C = self.terms(theta)
        return R + p[0] * D + p[1] * C + self.penalty(theta)


@torch.no_grad()
def free_energy_gap(objective, theta, p, *, grid=None, log_z=None):
    """KL(e_θ ‖ e*) = G_n + log Z_n of every image, (N,), without the ridge.

    Args:
        objective: AmortisedObjective
        grid: Grid on which log Z is computed (d up to about 3); its resolution is checked
        log_z: (N,) in place of the grid, for example from `annealed_importance_sampling`

    With noise that is not a quadrature rule G_n has an error of order 1/√S, and may come out below
    −log Z_n by as much. With log_z from forward annealing, a lower bound on average, the gap is too
    small by the error of log_z.

    Raises:
        ValueError: neither or both of grid and log_z
        GridTooCoarse: the grid does not resolve the posteriors
    """
    check_controls(p, theta)
    if (grid is None) == (log_z is None):
        raise ValueError("give exactly one of grid and log_z")
    R, D, C = objective.per_example(theta)
    if log_z is None:
        _, decoder, classifier = objective.unflatten(theta)
        ld = log_d(
            objective.x, torch.func.functional_call(objective.decoder, decoder, (grid.nodes,))
        )
        lc = log_c(
            objective.y, torch.func.functional_call(objective.classifier, classifier, (grid.nodes,))
        )
        log_z = log_partition(grid.log_weights, ld, lc, p)
        check_resolution(torch.exp(grid.log_weights + p[0] * ld + p[1] * lc - log_z[:, None]), grid)
    if log_z.shape != R.shape:
        raise ValueError(f"log_z must have shape {tuple(R.shape)}, got {tuple(log_z.shape)}")
    return R + p[0] * D + p[1] * C + log_z
