"""The Gibbs encoder and its partition function: exact on a grid, bracketed by sampling where no
grid is fine enough.

For one image x with label y the Hamiltonian of a code z is (paper, eq. 11)

    H(z; x) = −log m(z) − λ log d(x|z) − γ log c(y|z),        log d(x|z) := −‖x − x̂(z)‖²,

the best encoder is its Gibbs law e*(z|x) = exp(−H) / Z_x (eq. 9), and J = −E log Z_x (eq. 14). Ways
to log Z:

* a quadrature rule with nodes z_k and weights m_k that include m(z): log Z ≈ log Σ_k m_k d(x|z_k)^λ
  c(y|z_k)^γ.
  Spectrally accurate in one or two dimensions, hopeless beyond four: `Grid`, `GibbsObjective`,
  `check_resolution`;
* importance sampling from a good proposal, and annealed importance sampling from below and from
  above: `fe.sampling`,
  for which `log_joint` prepares H.

m(z) = N(0, I) throughout, d the dimension of z (where it is not the decoder), N images, K nodes, Y
classes; nats.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from .errors import check_data, check_finite, check_weights
from .objective import Ridged, flatten
from .rate_distortion import _array, _distribution
from .sampling import log_standard_normal


class GridTooCoarse(RuntimeError):
    """The posterior is too narrow for the spacing of the nodes, or reaches beyond them."""


def log_d(x, xhat):
    """log d(x_n|z_s) = −‖x_n − x̂_s‖² for every pair, without ½ and without a constant.

    By one matrix product. Both sides are centred first: rounding is then of the order of the spread
    of the data times machine epsilon, not of its distance from the origin.

    Args:
        x: (N, D)
        xhat: (S, D), the decoder's output at S codes

    Returns:
        (N, S)
    """
    centre = x.mean(0)
    a, b = x - centre, xhat - centre
    return 2 * a @ b.T - a.square().sum(1, keepdim=True) - b.square().sum(1)


def log_c(y, logits):
    """log c(y_n|z_s) of the softmax classifier: y (N,) int64, logits (S, Y) -> (N, S); Σ_y y_ny log
    c(y|z_s) for y (N, Y).
    """
    log_probs = torch.log_softmax(logits, 1).T  # (Y, S)
    return y @ log_probs if y.is_floating_point() else log_probs[y]


def hamiltonian(log_m, log_d, log_c, p):
    """H = −log m − λ log d − γ log c (eq. 11); the three broadcast against each other, p = (λ, γ,
    …).
    """
    return -log_m - p[0] * log_d - p[1] * log_c


def log_joint(decoder, classifier, x, y, p):
    """−H as a function of codes paired with images, which is what the samplers below ask for.

    Returns:
        function z (S, N, d) -> (S, N); the value [s, n] belongs to code z[s, n] and image x[n]
    """
    check_data(x, y)

    def minus_hamiltonian(z):
        if z.ndim != 3 or z.shape[1] != len(x):
            raise ValueError(
                f"z must have shape (S, {len(x)}, d), a code for each image, got {tuple(z.shape)}"
            )
        flat = z.reshape(-1, z.shape[-1])  # (S N, d)
        xhat = decoder(flat).view(*z.shape[:2], -1)  # (S, N, D)
        log_probs = torch.log_softmax(classifier(flat), 1).view(*z.shape[:2], -1)  # (S, N, Y)
        log_cls = log_probs.gather(2, y.expand(len(z), -1)[..., None])[..., 0]
        return -hamiltonian(log_standard_normal(z), -(x - xhat).square().sum(-1), log_cls, p)

    return minus_hamiltonian


@dataclass(frozen=True)
class Grid:
    """A quadrature rule for averages over m(z): Σ_k exp(log_weights_k) f(z_k) ≈ ∫ m(z) f(z) dz."""

    nodes: torch.Tensor  # (K, d)
    log_weights: torch.Tensor  # (K,), m(z) included, exp of them sums to one


def _tensor_rule(node, log_weight, dim, dtype, device):
    if dim < 1 or len(node) ** dim > 2_000_000:
        raise ValueError(
            f"a rule of n={len(node)} nodes a side in dim={dim} has {len(node)}^{dim} nodes; at "
            "most 2e6, "
            "and dim ≥ 1. Beyond four dimensions use annealed_importance_sampling"
        )
    mesh = [
        torch.meshgrid(*[torch.as_tensor(v, dtype=dtype, device=device)] * dim, indexing="ij")
        for v in (node, log_weight)
    ]
    nodes = torch.stack([c.reshape(-1) for c in mesh[0]], 1)
    return Grid(nodes, torch.log_softmax(sum(c.reshape(-1) for c in mesh[1]), 0))


def gauss_hermite(n, dim, *, dtype=torch.float64, device=None):
    """Tensor product of the n-point Gauss–Hermite rule: exact for polynomials of degree 2n − 1 in
    each coordinate.

    Best while the posterior is not much narrower than m and its logarithm close to a polynomial:
    the n-point rule spaces its inner nodes by about π/√n, and on tanh or ReLU features it converges
    far more slowly than `uniform_grid`.

    Raises:
        ValueError: n < 2, more than two million nodes, or n > 300: the outer weights underflow soon
            after
    """
    if not 2 <= n <= 300:
        raise ValueError(f"n must be between 2 and 300, got {n}; use uniform_grid for more nodes")
    node, weight = np.polynomial.hermite_e.hermegauss(n)
    return _tensor_rule(node, np.log(weight), dim, dtype, device)


def uniform_grid(n, dim, half_width=6.0, *, dtype=torch.float64, device=None):
    """n equidistant nodes a side on [−half_width, half_width]^dim, weighted by N(0, I) and
    normalised.

    The trapezoidal rule: for a smooth integrand that vanishes at the ends its error falls like
    exp(−2π²s²/h²), s the width of the posterior and h the spacing (Trefethen and Weideman, SIAM
    Review 56, 2014). Raises `ValueError` for n < 2.
    """
    if n < 2 or not 0 < half_width < math.inf:
        raise ValueError(
            f"need n ≥ 2 and a finite half_width > 0, got n={n}, half_width={half_width}"
        )
    node = np.linspace(-half_width, half_width, n)
    log_weight = -0.5 * node**2
    log_weight[[0, -1]] -= math.log(2)  # the ends of a trapezoidal rule count half
    return _tensor_rule(node, log_weight, dim, dtype, device)


def log_partition(log_weights, log_d, log_c, p):
    """log Z_x = log Σ_k m_k d^λ c^γ (eq. 9): log_weights (K,), log_d and log_c (N, K) -> (N,)."""
    return torch.logsumexp(-hamiltonian(log_weights, log_d, log_c, p), 1)


def gibbs_posterior(log_weights, log_d, log_c, p):
    """The probabilities that e* gives to the nodes (eq. 9), (N, K); rows sum to one. It sees the
    label, through c.
    """
    return torch.softmax(-hamiltonian(log_weights, log_d, log_c, p), 1)


@dataclass(frozen=True)
class Resolution:
    """What a grid can and cannot see of each posterior."""

    effective_nodes: torch.Tensor  # (N,) exp of the entropy over the nodes
    largest_mass: torch.Tensor  # (N,) mass of the heaviest node
    edge_mass: torch.Tensor  # (N,) mass on the outermost nodes


def check_resolution(posterior, grid, *, nodes_per_dim=3.0, max_edge_mass=0.01, fraction=0.01):
    """Raise if the grid is too coarse or too small for more than a `fraction` of the posteriors.

    A Gaussian of width s on nodes spaced by h occupies s√(2πe)/h ≈ 4.1 s/h of them in each
    dimension. Three correspond to s/h = 0.73, where the trapezoidal rule is still good to 2
    exp(−2π²s²/h²) ≈ 6e-5; four give 2e-8. A posterior of several separate peaks occupies more nodes
    than each peak does: the number is then an optimistic one.

    Args:
        posterior: (N, K), from `gibbs_posterior`
        grid: the Grid it lives on
        nodes_per_dim: effective nodes needed are nodes_per_dim ** d
        max_edge_mass: largest mass tolerated on the outermost nodes of any coordinate

    Returns:
        Resolution

    Raises:
        GridTooCoarse: with the number of posteriors that are too narrow, or that reach the edge
    """
    if posterior.ndim != 2 or posterior.shape[1] != len(grid.nodes):
        raise ValueError(
            f"posterior must have shape (N, {len(grid.nodes)}) to match the grid, got "
            f"{tuple(posterior.shape)}"
        )
    check_finite("posterior", posterior)
    effective = torch.special.entr(posterior).sum(1).exp()
    edge = ((grid.nodes == grid.nodes.amin(0)) | (grid.nodes == grid.nodes.amax(0))).any(1)
    report = Resolution(effective, posterior.amax(1), posterior[:, edge].sum(1))
    needed = nodes_per_dim ** grid.nodes.shape[1]
    narrow, outside = effective < needed, report.edge_mass > max_edge_mass
    if narrow.double().mean() > fraction:
        raise GridTooCoarse(
            f"{int(narrow.sum())} of {len(posterior)} posteriors occupy fewer than {needed:.3g} "
            "effective nodes (the least "
            f"{float(effective.min()):.3g}, heaviest node "
            f"{float(report.largest_mass.max()):.3g}): log Z is not to be trusted. "
            "Use more nodes, a smaller λ or γ, or importance_sampling around the peaks"
        )
    if outside.double().mean() > fraction:
        raise GridTooCoarse(
            f"{int(outside.sum())} of {len(posterior)} posteriors have more than "
            f"{max_edge_mass:.3g} of their mass on the "
            f"outermost nodes (the most {float(report.edge_mass.max()):.3g}): they reach beyond "
            "the grid. Make it wider"
        )
    return report


def check_modules(x, **modules):
    """Raise unless J is a fixed smooth function of the modules' parameters, of x's dtype, none of
    them shared.
    """
    owner = {}
    for name, module in modules.items():
        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"{name} must be a torch.nn.Module, got {type(module).__name__}")
        for part in module.modules():
            if part.training and isinstance(
                part, torch.nn.modules.batchnorm._BatchNorm | torch.nn.modules.dropout._DropoutNd
            ):
                raise ValueError(
                    f"{name} has a {type(part).__name__} in training mode: J would depend on the "
                    "minibatch or on "
                    f"chance, and products with its Hessian would be wrong. Call {name}.eval() "
                    "first"
                )
        for parameter in module.parameters():
            if (parameter.dtype, parameter.device) != (x.dtype, x.device):
                raise TypeError(
                    f"{name} has parameters in {parameter.dtype} on {parameter.device}, but x is "
                    f"{x.dtype} on "
                    f"{x.device}; write {name}.to(x)"
                )
            if owner.setdefault(id(parameter), name) != name:
                raise ValueError(
                    f"{name} shares a parameter with {owner[id(parameter)]}: the flat θ would "
                    "hold it twice, untied"
                )


def check_outputs(decoder, classifier, z, x, y):
    """Raise unless decoder(z) has the shape of images and classifier(z) a logit for every label."""
    with torch.no_grad():
        try:
            xhat, logits = decoder(z), classifier(z)
        except RuntimeError as e:
            raise ValueError(
                f"decoder and classifier must accept codes of shape {tuple(z.shape)}: {e}"
            ) from e
    if xhat.shape != (len(z), x.shape[1]):
        raise ValueError(
            f"decoder(z) must have shape {(len(z), x.shape[1])} like the images, got "
            f"{tuple(xhat.shape)}"
        )
    if logits.ndim != 2 or len(logits) != len(z):
        raise ValueError(
            f"classifier(z) must have shape ({len(z)}, classes), got {tuple(logits.shape)}"
        )
    check_data(x, y, logits.shape[1])


class GibbsObjective(Ridged):
    """J(θ, p) = −Σ_n w_n log Z_n + ½ρ‖θ‖² (eq. 14) of any decoder and classifier, with z on a grid.

    Args:
        decoder, classifier: nn.Modules, z (K, d) -> x̂ (K, D) and z (K, d) -> logits (K, Y)
        x: (N, D)
        y: (N,) int64
        grid: Grid of K nodes in d dimensions
        ridge: ρ
        weights: (N,) probabilities of the images (default 1/N each)

    θ stacks the parameters of decoder and classifier; `theta0` holds the present ones,
    `unflatten(theta)` gives [dict, dict]. The modules themselves are never changed. J is smooth
    only if they are: with ReLU its Hessian misses the kinks.

    Raises:
        ValueError, TypeError: NaN, empty or mis-shaped data, labels out of range, batch
            normalisation or dropout in training mode

    Example:
        With x̂ = 0 and one class nothing depends on z, so that Z = exp(−λ‖x‖²) and J = λ E‖x‖²:

        >>> decoder, classifier = torch.nn.Linear(2, 3).double(), torch.nn.Linear(2, 1).double()
        >>> x, y = torch.ones(5, 3, dtype=torch.float64), torch.zeros(5, dtype=torch.int64)
        >>> J = GibbsObjective(decoder, classifier, x, y, gauss_hermite(8, 2))
        >>> p = torch.tensor([0.5, 1.0], dtype=torch.float64)
        >>> round(float(J(0 * J.theta0, p)), 12)
        1.5
    """

    def __init__(self, decoder, classifier, x, y, grid, ridge=0.0, weights=None):
        check_data(x, y)
        if (grid.nodes.dtype, grid.nodes.device) != (x.dtype, x.device):
            raise TypeError(
                f"grid is {grid.nodes.dtype} on {grid.nodes.device}, but x is {x.dtype} on "
                f"{x.device}"
            )
        check_modules(x, decoder=decoder, classifier=classifier)
        check_outputs(decoder, classifier, grid.nodes[:2], x, y)
        self.decoder, self.classifier, self.x, self.y, self.grid = decoder, classifier, x, y, grid
        self.ridge, self.weights = ridge, check_weights(weights, x)
        self.theta0, self.unflatten = flatten(decoder, classifier)
        self.n_parameters = self.theta0.numel()

    def log_likelihoods(self, theta):
        """log d(x_n|z_k) and log c(y_n|z_k), each (N, K)."""
        decoder, classifier = self.unflatten(theta)
        xhat = torch.func.functional_call(self.decoder, decoder, (self.grid.nodes,))
        logits = torch.func.functional_call(self.classifier, classifier, (self.grid.nodes,))
        return log_d(self.x, xhat), log_c(self.y, logits)

    def __call__(self, theta, p):
        log_z = log_partition(self.grid.log_weights, *self.log_likelihoods(theta), p)
        return self.penalty(theta) - self.weights.dot(log_z)

    def posterior(self, theta, p):
        """The Gibbs encoder on the nodes, (N, K)."""
        return gibbs_posterior(self.grid.log_weights, *self.log_likelihoods(theta), p)

    def terms(self, theta, p):
        """R = KL(e*‖m), D and C as averages under e* (eq. 1, 4): by definition, not as derivatives
        of J.
        """
        ld, lc = self.log_likelihoods(theta)
        e = gibbs_posterior(self.grid.log_weights, ld, lc, p)
        R = (-torch.special.entr(e) - e * self.grid.log_weights).sum(1)
        return (
            self.weights.dot(R),
            -self.weights.dot((e * ld).sum(1)),
            -self.weights.dot((e * lc).sum(1)),
        )

    def resolution(self, theta, p, **limits):
        """`check_resolution` of the posterior at (θ, p): raises `GridTooCoarse`. Call it where a
        path ends.
        """
        return check_resolution(self.posterior(theta, p), self.grid, **limits)


class TabularModel(Ridged):
    r"""J(θ, p) of eq. (14) on finite alphabets, exactly:

        J = −Σ_x p(x) log Σ_z m(z) d(x|z)^λ c(y_x|z)^γ + ½ρ‖θ‖².

    θ holds the logits of m (Z,), of c (Z, Y) and, without `distortion`, of d (Z, X), each made a
    probability by a softmax.
    A learned d is thus a probability *over the alphabet*, D a cross-entropy, and H − D ≤ I ≤ R (eq.
    2) holds. J does
    not change when a constant is added to one softmax's logits, so A = ∇²J has 1 + 2Z null
    directions (1 + Z with a
    fixed distortion) unless ρ > 0. θ = 0 makes all codes alike and is stationary in every exchange
    of codes: start
    from `initial`.

    Args:
        p_x: (X,) probabilities
        y: (X,) integer labels y_x in 0 … n_classes − 1
        n_codes, n_classes: sizes Z and Y of the alphabets
        ridge: ρ ≥ 0
        distortion: (X, Z) fixed −log d(x|z), or None to learn d

    p[0] = λ and p[1] = γ; further controls are ignored. Works under every transform of torch.func.
    """

    def __init__(self, p_x, y, n_codes, n_classes, ridge=0.0, distortion=None):
        self.p_x = _distribution("p_x", p_x)
        if n_codes < 1 or n_classes < 1:
            raise ValueError(
                f"n_codes and n_classes must be at least 1, got {n_codes} and {n_classes}"
            )
        self.y = torch.as_tensor(y, device=self.p_x.device)
        if self.y.dtype != torch.int64 or self.y.shape != self.p_x.shape:
            raise ValueError(
                f"y must be {len(self.p_x)} int64 labels, got {self.y.dtype} of shape "
                f"{tuple(self.y.shape)}"
            )
        low, high = int(self.y.min()), int(self.y.max())
        if low < 0 or high >= n_classes:
            raise ValueError(
                f"y runs from {low} to {high}, but n_classes = {n_classes} allows 0 … "
                f"{n_classes - 1}"
            )
        self.distortion = (
            None if distortion is None else _array("distortion", distortion, 2).to(self.p_x.device)
        )
        if distortion is not None and self.distortion.shape != (len(self.p_x), n_codes):
            raise ValueError(
                f"distortion must be (X, Z) = {(len(self.p_x), n_codes)}, got "
                f"{tuple(self.distortion.shape)}"
            )
        self.n_codes, self.n_classes, self.ridge = n_codes, n_classes, ridge
        self.n_parameters = n_codes * (1 + n_classes + (len(self.p_x) if distortion is None else 0))

    def unpack(self, theta):
        """Logits of m (Z,), of c (Z, Y) and of d (Z, X), the last None when the distortion is
        fixed.
        """
        if theta.shape[-1] != self.n_parameters:
            raise ValueError(
                f"theta must have {self.n_parameters} entries, got shape {tuple(theta.shape)}"
            )
        Z, split = self.n_codes, self.n_codes * (1 + self.n_classes)
        d = theta[split:].view(Z, -1) if self.distortion is None else None
        return theta[:Z], theta[Z:split].view(Z, self.n_classes), d

    def log_probabilities(self, theta):
        """log m(z) (Z,), log d(x|z) (X, Z), log c(y_x|z) (X, Z)."""
        m, c, d = self.unpack(theta)
        log_d = -self.distortion if d is None else torch.log_softmax(d, 1).T
        return torch.log_softmax(m, 0), log_d, torch.log_softmax(c, 1).T[self.y]

    def log_joint(self, theta, p):
        """−H(z; x, θ, λ, γ) of eq. (11): log m(z) + λ log d(x|z) + γ log c(y_x|z), (X, Z)."""
        log_m, log_d, log_c = self.log_probabilities(theta)
        return log_m + p[0] * log_d + p[1] * log_c

    def posterior(self, theta, p):
        """The Gibbs encoder e(z|x) of eq. (9), (X, Z)."""
        return torch.softmax(self.log_joint(theta, p), 1)

    def __call__(self, theta, p):
        log_z = torch.logsumexp(self.log_joint(theta, p), 1)  # (X,)
        return -(self.p_x @ log_z) + self.penalty(theta)

    def initial(self, seed, scale=1.0):
        """θ drawn from N(0, scale²), the same for the same seed on every device."""
        draw = torch.randn(
            self.n_parameters,
            generator=torch.Generator("cpu").manual_seed(seed),
            dtype=torch.float64,
            device="cpu",
        )
        return scale * draw.to(self.p_x.device)
