"""The Gibbs encoder and its partition function, exact where z takes K values or lies on a grid.

For one image x with label y the Hamiltonian of a code z is (paper, eq. 11)

    H(z; x) = −log m(z) − λ log d(x|z) − γ log c(y|z),        log d(x|z) := −‖x − x̂(z)‖²,

the best encoder is its Gibbs law e*(z|x) = exp(−H) / Z_x (eq. 9), and J = −E log Z_x (eq. 14). A
model says what log m, log d and log c are at its K codes, and `GibbsObjective` does the rest.

N images, K codes, Y classes, d the dimension of z (where it is not the decoder); nats.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from .errors import check_data, check_finite, check_shape, check_weights
from .networks import check_modules, check_outputs
from .objective import Imaged, flatten


class GridTooCoarse(RuntimeError):
    """The posterior is too narrow for the spacing of the nodes, or reaches beyond them."""


def squared_distances(a, b):
    """‖a_i − b_j‖² (n, m) of a (n, D) and b (m, D), by one matrix product; centred, so that the
    rounding is of the order of their spread.
    """
    centre = a.mean(0)
    a, b = a - centre, b - centre
    return a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T


def log_d(x, xhat):
    """log d(x_n|z_k) = −‖x_n − x̂_k‖², x (N, D) and x̂ (K, D) -> (N, K), no ½ and no constant."""
    return -squared_distances(x, xhat)


def log_c(y, logits):
    """log c(y_n|z_k) (N, K) of the softmax classifier with logits (K, Y), for labels y (N,), or its
    average Σ_y y_ny log c(y|z_k) for probabilities y (N, Y).
    """
    log_probs = torch.log_softmax(logits, 1).T  # (Y, K)
    return y @ log_probs if y.is_floating_point() else log_probs[y]


class GibbsObjective(Imaged):
    """J(θ, p) = −Σ_n w_n log Z_n + ½ρ‖θ‖² (eq. 14) of a model that has `weights` w (N,), the
    probabilities of the images, `ridge` ρ, `log_m` (K,), and `log_likelihoods(theta)`, which are
    log d and log c (N, K).

    p[0] = λ and p[1] = γ; further controls are ignored. Works under every transform of torch.func.
    """

    def log_joint(self, theta, p):
        """−H(z_k; x_n) of eq. (11), (N, K)."""
        log_d, log_c = self.log_likelihoods(theta)
        return self.log_m + p[0] * log_d + p[1] * log_c

    def log_partition(self, theta, p):
        """log Z_n, (N,). Written out: torch.logsumexp's derivatives compute exp once more each."""
        log_joint = self.log_joint(theta, p)
        top = log_joint.detach().amax(1, keepdim=True).nan_to_num(0.0, 0.0, 0.0)
        return (log_joint - top).exp().sum(1).log() + top[:, 0]

    def posterior(self, theta, p):
        """The Gibbs encoder e*(z_k|x_n), (N, K)."""
        return torch.softmax(self.log_joint(theta, p), 1)

    def __call__(self, theta, p):
        return self.penalty(theta) - self.weights.dot(self.log_partition(theta, p))


class Grid(NamedTuple):
    """A quadrature rule for averages over m(z): Σ_k exp(log_weights_k) f(z_k) ≈ ∫ m(z) f(z) dz."""

    nodes: torch.Tensor  # (K, d)
    log_weights: torch.Tensor  # (K,), m(z) included, exp of them sums to one


def _tensor_rule(node, log_weight, dim, dtype, device):
    if dim < 1 or len(node) ** dim > 2_000_000:
        most = "at most 2e6, and dim ≥ 1. Beyond four dimensions sample (chapter 3)"
        raise ValueError(f"a rule has n^dim nodes, here {len(node)}^{dim}; {most}")
    each = (torch.as_tensor(v, dtype=dtype, device=device) for v in (node, log_weight))
    nodes, log_weights = (torch.cartesian_prod(*[v] * dim).view(-1, dim) for v in each)
    return Grid(nodes, torch.log_softmax(log_weights.sum(1), 0))


def gauss_hermite(n, dim, *, dtype=torch.float64, device=None):
    """The `Grid` of n-point Gauss–Hermite rules, exact for polynomials of degree 2n − 1 in each
    coordinate; 2 ≤ n ≤ 300 (the outer weights underflow soon after), n^dim ≤ 2e6. Best while the
    posterior is not much narrower than m; on tanh or ReLU features `uniform_grid` converges faster.
    """
    if not 2 <= n <= 300:
        raise ValueError(f"n must be between 2 and 300, got {n}; use uniform_grid for more nodes")
    node, weight = np.polynomial.hermite_e.hermegauss(n)
    return _tensor_rule(node, np.log(weight), dim, dtype, device)


def uniform_grid(n, dim, half_width=6.0, *, dtype=torch.float64, device=None):
    """The `Grid` of n ≥ 2 nodes a side on [−half_width, half_width]^dim, weighted by N(0, I), the
    trapezoidal rule; n^dim ≤ 2e6. Its error falls like exp(−2π²s²/h²) with the width s of the
    posterior over the spacing h (Trefethen and Weideman, SIAM Review 56, 2014).
    """
    if n < 2 or not 0 < half_width < math.inf:
        raise ValueError(f"need n ≥ 2 and a finite half_width > 0, got n={n}, {half_width=}")
    node = np.linspace(-half_width, half_width, n)
    log_weight = -0.5 * node**2
    log_weight[[0, -1]] -= math.log(2)  # the ends of a trapezoidal rule count half
    return _tensor_rule(node, log_weight, dim, dtype, device)


def check_resolution(posterior, grid):
    """The effective numbers of nodes (N,), exp of the entropy, of posteriors (N, K).

    Raises `GridTooCoarse` if more than one in a hundred have fewer than 3^d, or more than 1 % of
    their mass on the outermost nodes. A Gaussian of width s on nodes spaced by h occupies 4.1 s/h
    of them in each dimension; at three the trapezoidal rule is good to 6e-5, at four to 2e-8.
    """
    check_shape("posterior, on the nodes of this grid,", posterior, "N", len(grid.nodes))
    check_finite("posterior", posterior)
    effective, needed = torch.special.entr(posterior).sum(1).exp(), 3 ** grid.nodes.shape[1]
    edge = ((grid.nodes == grid.nodes.amin(0)) | (grid.nodes == grid.nodes.amax(0))).any(1)
    outermost = posterior[:, edge].sum(1)
    few = f"fewer than {needed} effective nodes (the least {effective.min():.3g}); use more nodes"
    cut = f"over 1 % of their mass on the outermost (up to {outermost.max():.3g}); widen the grid"
    for bad, what in ((effective < needed, few), (outermost > 0.01, cut)):
        if bad.sum() > 0.01 * len(bad):
            raise GridTooCoarse(f"{int(bad.sum())} of {len(bad)} posteriors have {what}")
    return effective


class GridModel(GibbsObjective):
    """The Gibbs objective of any decoder and classifier, with z on a grid.

    Args:
        decoder, classifier: nn.Modules, z (K, d) -> x̂ (K, D) and z (K, d) -> logits (K, Y); smooth,
            in eval mode, and never changed
        x, y: (N, D) images and (N,) int64 labels
        grid: Grid of K nodes in d dimensions
        ridge: ρ

    θ stacks the parameters of both; `theta0` holds the present ones, `unflatten(theta)` gives
    [dict, dict].
    """

    def __init__(self, decoder, classifier, x, y, grid, ridge=0.0):
        check_data(x, y)
        grid = Grid(*(v.to(x) for v in grid))
        check_modules(x, decoder=decoder, classifier=classifier)
        check_outputs(decoder, classifier, grid.nodes[:2], x, y)
        super().__init__(ridge)
        self.x, self.y, self.weights = x, y, check_weights(None, x)
        self.decoder, self.classifier, self.grid = decoder, classifier, grid
        self.log_m = grid.log_weights
        self.theta0, self.unflatten = flatten(decoder, classifier)
        self.n_parameters = self.theta0.numel()

    def log_likelihoods(self, theta):
        decoder, classifier = self.unflatten(theta)
        xhat = torch.func.functional_call(self.decoder, decoder, (self.grid.nodes,))
        logits = torch.func.functional_call(self.classifier, classifier, (self.grid.nodes,))
        return log_d(self.x, xhat), log_c(self.y, logits)
