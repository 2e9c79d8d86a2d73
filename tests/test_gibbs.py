"""Hamiltonian, quadrature, GibbsObjective and the samplers, against closed forms and against one
another.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from chapters import own
from torch import nn

import fe
from fe import gibbs

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=F64)


def fill(module, scale, seed=0):
    """Random parameters that do not depend on torch's defaults."""
    for i, v in enumerate(module.parameters()):
        v.data = scale * randn(*v.shape, seed=seed + i)
    return module.double()


def linear_model(D, d, classes=3, scale=0.7, seed=1):
    """x̂ = Wz + b, and a classifier that ignores z: c = 1/classes."""
    return fill(nn.Linear(d, D), scale, seed), fill(nn.Linear(d, classes), 0.0)


def log_z_linear(decoder, x, p, classes=3):
    """∫ N(z; 0, I) exp(−λ‖r − Wz‖²) dz with r = x − b: a Gaussian integral of precision A = I +
    2λWᵀW, no ½ in d.
    """
    W, r = decoder.weight.detach(), x - decoder.bias.detach()
    A = torch.eye(W.shape[1], dtype=F64) + 2 * p[0] * W.T @ W
    h = 2 * p[0] * r @ W
    quadratic = 0.5 * (h * torch.linalg.solve(A, h.T).T).sum(1)
    return quadratic - p[0] * r.square().sum(1) - 0.5 * torch.logdet(A) - p[1] * math.log(classes)


def curved_model(seed=3):
    decoder = fill(nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 5)), 0.7, seed)
    return decoder, fill(nn.Linear(2, 3), 1.0, seed + 9)


def curved(n=7, nodes=121, ridge=0.0):
    decoder, classifier = curved_model()
    y = torch.arange(n) % 3
    return gibbs.GridModel(
        decoder, classifier, randn(n, 5, seed=7), y, gibbs.uniform_grid(nodes, 2, 9.0), ridge
    )


P = torch.tensor([0.8, 2.5], dtype=F64)
log_normal = own("03", "log_normal", math=math)
importance_sampling = own(
    "03", "importance_sampling", math=math, torch=torch, log_normal=log_normal
)
anneal = own("03", "anneal", torch=torch, log_normal=log_normal)


def paired(decoder, classifier, x, y, p):
    """−H as the samplers ask for it, written out: z (S, N, d) -> (S, N)."""

    def minus_hamiltonian(z):
        log_c = torch.log_softmax(classifier(z), 2).gather(2, y.expand(len(z), -1)[..., None])
        log_d = -(x - decoder(z)).square().sum(2)
        return log_normal(z) + p[0] * log_d + p[1] * log_c[..., 0]

    return minus_hamiltonian


# -------------------------------------------------------------------------- Hamiltonian and grids


def test_log_d_is_the_squared_distance_also_far_from_the_origin():
    x, xhat = randn(6, 4), randn(9, 4, seed=1)
    direct = -(x[:, None] - xhat).square().sum(2)
    torch.testing.assert_close(
        gibbs.log_d(x, xhat), direct, rtol=0, atol=1e-13
    )  # entries of order 10, some roundings
    # An offset of 1e6 rounds the inputs by 1e-10, so their squares (of order 10) by 1e-9. Without
    # centring: 1e12 ε ≈ 1e-3.
    torch.testing.assert_close(gibbs.log_d(x + 1e6, xhat + 1e6), direct, rtol=0, atol=2e-8)


def test_log_c_is_minus_cross_entropy():
    y, logits = torch.tensor([2, 0, 1]), randn(4, 3)
    for s in range(4):
        want = -nn.functional.cross_entropy(logits[s].expand(3, -1), y, reduction="none")
        torch.testing.assert_close(gibbs.log_c(y, logits)[:, s], want, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "grid", [gibbs.gauss_hermite(12, 2), gibbs.uniform_grid(61, 2, 8.0)], ids=["hermite", "uniform"]
)
def test_grids_integrate_the_moments_of_the_standard_normal(grid):
    w, (a, b) = grid.log_weights.exp(), grid.nodes.T
    got = torch.stack([w.sum(), w @ (a * b), w @ a**2, w @ b**4, w @ (a**2 * b**4)])
    # Hermite: exact. Uniform: mass of 1e-15 beyond ±8, times 8⁴ in the fourth moment.
    torch.testing.assert_close(got, torch.tensor([1.0, 0, 1, 3, 3], dtype=F64), rtol=0, atol=1e-10)


def test_the_ends_of_the_trapezoidal_rule_count_half():
    weights = torch.tensor([0.5 * math.exp(-0.5), 1.0, 0.5 * math.exp(-0.5)], dtype=F64)
    got = gibbs.uniform_grid(3, 1, 1.0).log_weights.exp()
    torch.testing.assert_close(got, weights / weights.sum(), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "d, grid",
    [
        (1, gibbs.gauss_hermite(100, 1)),
        (1, gibbs.uniform_grid(121, 1, 9.0)),
        (2, gibbs.gauss_hermite(100, 2)),
        (2, gibbs.uniform_grid(121, 2, 9.0)),
    ],
)
def test_log_partition_of_a_linear_decoder_is_the_gaussian_integral(d, grid):
    decoder, classifier = linear_model(4, d)
    x, y = randn(6, 4, seed=5), torch.arange(6) % 3
    J = gibbs.GridModel(decoder, classifier, x, y, grid)
    for p in torch.tensor([[0.0, 1.0], [0.3, 0.0], [1.0, 4.0]], dtype=F64):
        log_z = J.log_partition(J.theta0, p)
        # Spacing 0.15, posterior widths above 0.2: the error of the trapezoidal rule is below 1e-15
        # but for rounding
        torch.testing.assert_close(log_z, log_z_linear(decoder, x, p), rtol=0, atol=1e-10)
        torch.testing.assert_close(
            J(J.theta0, p), -log_z_linear(decoder, x, p).mean(), rtol=0, atol=1e-10
        )


# --------------------------------------------------------------------------------- GibbsObjective


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_partition_is_torchs_logsumexp(dtype):
    """Also of rows without a possible code, or with an infinite one: there a search backs off."""
    inf, eps = math.inf, torch.finfo(dtype).eps
    rows = [[-inf, -inf, -inf], [inf, 0, -inf], [0, -inf, 1], [1e4, 1e4, 1], [-1e4, -1e4, 3 - 1e4]]
    J = gibbs.GibbsObjective(0.0)
    J.log_joint = lambda theta, p: theta.view(-1, 3)
    a = torch.tensor(rows, dtype=dtype).flatten()
    want, got = torch.logsumexp(a.view(-1, 3), 1), J.log_partition(a, None)
    assert torch.equal(want.isinf(), got.isinf()) and torch.equal(want[:2], got[:2])
    assert ((want - got).abs()[2:] <= 4 * eps * want.abs()[2:]).all()
    log_z = lambda f: lambda a: f(a).square().sum()
    both = lambda a: torch.logsumexp(a.view(-1, 3), 1), lambda a: J.log_partition(a, None)
    finite = torch.tensor([0.3, -2, 1, 30, -4, 29], dtype=dtype)
    want, got = (torch.func.hessian(log_z(f))(finite) for f in both)
    assert (want - got).abs().max() <= 100 * eps * want.abs().max()


def test_posterior_averages_are_the_derivatives_of_J():
    J = curved(ridge=0.3)
    e, (log_d, log_c) = J.posterior(J.theta0, P), J.log_likelihoods(J.theta0)
    R = (torch.xlogy(e, e) - e * J.log_m).sum(1).mean()  # KL(e*‖m) by definition (eq. 1)
    D, C = -(e * log_d).sum(1).mean(), -(e * log_c).sum(1).mean()
    f = fe.functionals(J, J.theta0, P)
    # The same finite sums in another order; values of order 10
    for got, want in zip((J.bare_rate(J.theta0, P), f.distortion, f.classification), (R, D, C)):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-11)
    ridge = 0.5 * 0.3 * J.theta0.dot(J.theta0)
    torch.testing.assert_close(R + P[0] * D + P[1] * C + ridge, J(J.theta0, P), rtol=0, atol=1e-11)
    assert R > 0.1 and C > 0.01  # not the collapsed case, where all of this is trivial


def test_the_gibbs_encoder_is_the_best_encoder():
    """R + λD + γC of any other encoder on the nodes exceeds −log Z by its KL divergence from e*
    (eq. 8–10).
    """
    J = curved(nodes=31)
    best = J.posterior(J.theta0, P)
    other = torch.softmax(best.log() + 0.5 * randn(*best.shape), 1)
    H = -J.log_joint(J.theta0, P)
    free_energy = (other * (other.log() + H)).sum(1)
    excess = free_energy + J.log_partition(J.theta0, P)
    kl = (other * (other / best).log()).sum(1)
    torch.testing.assert_close(excess, kl, rtol=0, atol=1e-11)
    assert (kl > 0.01).all()


def test_gradient_against_finite_differences_and_both_hessian_products():
    J = curved(nodes=31, ridge=0.1)
    v = nn.functional.normalize(randn(J.n_parameters, seed=4), dim=0)
    gradient = torch.func.grad(J)
    # central differences: error h² J'''/6 with a third derivative of order 100, 2e-7; rounding
    # 1e-14/h = 1e-10
    h = 1e-4
    numeric = (J(J.theta0 + h * v, P) - J(J.theta0 - h * v, P)) / (2 * h)
    torch.testing.assert_close(gradient(J.theta0, P) @ v, numeric, rtol=0, atol=1e-6)
    forward = torch.func.jvp(lambda t: gradient(t, P), (J.theta0,), (v,))[1]
    reverse = torch.func.vjp(lambda t: gradient(t, P), J.theta0)[1](v)[0]
    torch.testing.assert_close(forward, reverse, rtol=0, atol=1e-11)
    difference = (gradient(J.theta0 + h * v, P) - gradient(J.theta0 - h * v, P)) / (2 * h)
    torch.testing.assert_close(forward, difference, rtol=0, atol=1e-5)


def test_rotation_of_the_code_leaves_J_unchanged():
    """m is isotropic: z -> Qz, undone in the first layers, is a symmetry, and A has a null
    direction along its orbit.
    """
    J = curved()
    angle = 0.7
    Q = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=F64
    )
    J2 = curved()
    J2.decoder[0].weight.data @= Q
    J2.classifier.weight.data @= Q
    rotated, _ = fe.flatten(J2.decoder, J2.classifier)
    assert (rotated - J.theta0).norm() > 0.5
    # The grid itself is not invariant. Its spacing is 0.15 and a posterior's mass beyond ±9
    # below
    # 1e-11
    torch.testing.assert_close(J(rotated, P), J(J.theta0, P), rtol=0, atol=1e-10)


def test_weights_of_images_count_like_copies():
    J = curved(n=2, nodes=31)
    decoder, classifier = J.decoder, J.classifier
    J = J.on(J.x, J.y, torch.tensor([0.75, 0.25], dtype=F64))
    copies = gibbs.GridModel(decoder, classifier, J.x[[0, 0, 0, 1]], J.y[[0, 0, 0, 1]], J.grid)
    torch.testing.assert_close(J(J.theta0, P), copies(J.theta0, P), rtol=0, atol=1e-13)


def test_linear_response_accepts_it():
    """The Maxwell relation at a minimum, each side from its own linear solve: the whole chain is
    consistent.
    """
    J = curved(nodes=25, ridge=0.05)
    e = fe.minimise(J, J.theta0, P, tol=1e-9)
    response = fe.linear_response(J, e.theta, P)
    assert response.maxwell < 1e-7 * response.hess.abs().max()  # rtol of the solves is 1e-8
    assert response.hess[0, 0] < 0 and response.hess[1, 1] < 0


def test_resolution_finds_a_coarse_and_a_small_grid():
    decoder, classifier = linear_model(4, 2, scale=1.0)
    x, y = randn(20, 4, seed=5), torch.zeros(20, dtype=torch.int64)

    def objective(grid):
        return gibbs.GridModel(decoder, classifier, x, y, grid)

    J, sharp = objective(gibbs.uniform_grid(15, 2, 6.0)), torch.tensor([50.0, 1.0], dtype=F64)
    error = (J.log_partition(J.theta0, sharp) - log_z_linear(decoder, x, sharp)).abs()
    assert error.max() > 0.5  # it is wrong indeed …
    with pytest.raises(gibbs.GridTooCoarse, match="effective nodes"):
        fe.check_resolution(J.posterior(J.theta0, sharp), J.grid)  # … and says so
    J, mild = objective(gibbs.uniform_grid(41, 2, 6.0)), torch.tensor([0.5, 1.0], dtype=F64)
    effective = fe.check_resolution(J.posterior(J.theta0, mild), J.grid)
    error = (J.log_partition(J.theta0, mild) - log_z_linear(decoder, x, mild)).abs()
    # nine effective nodes promise 6e-5 of Z; the width of the grid, mass below 1e-9 on its edge,
    # spoils nothing
    assert error.max() < 1e-4 and effective.min() >= 9
    # the posterior of z has the width s of A⁻¹: entropy log(2πe) + ½ log det A⁻¹, over cells of
    # area h²
    A = torch.eye(2, dtype=F64) + 2 * mild[0] * decoder.weight.detach().T @ decoder.weight.detach()
    want = 2 * math.pi * math.e / A.det().sqrt() / 0.3**2
    torch.testing.assert_close(effective, want.expand(20), rtol=1e-3, atol=0)
    with pytest.raises(gibbs.GridTooCoarse, match="outermost"):
        J = objective(gibbs.uniform_grid(41, 2, 0.8))
        fe.check_resolution(J.posterior(J.theta0, mild), J.grid)


# --------------------------------------------------------------------------------------- sampling


def mean_weight(log_w):
    """log w̄ (N,) of log weights (S, N)."""
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


def one_image(copies, index=0):
    """Copies of one image of the curved model: as many independent replicates. Returns
    log_joint,
    log Z, posterior, grid.
    """
    J = curved()
    x, y = J.x[index].expand(copies, -1).contiguous(), J.y[index].expand(copies)
    log_z = J.log_partition(J.theta0, P)[index]
    return (
        paired(J.decoder, J.classifier, x, y, P),
        log_z,
        J.posterior(J.theta0, P)[index],
        J.grid,
    )


def check_calibrated(log_z, std_error, truth):
    """The replicates' z-scores have mean 0 and standard deviation 1."""
    score = (log_z.detach() - truth) / std_error
    n = len(score)
    # n = 400: the mean of unit-variance scores is known to 0.05, five of which are 0.25; the bias
    # of log w̄, −½ std_error² per std_error, adds less than 0.1. Their standard deviation is known
    # to 3.5 %, five of which are 18 %; a little more for scores that are not normal.
    assert score.mean().abs() < 5 / math.sqrt(n) + 0.1 and 0.8 < score.std() < 1.25
    assert 1e-4 < std_error.median() < 0.2  # neither vacuous nor zero


def test_importance_sampling_is_right_within_calibrated_error_bars():
    log_joint, truth, posterior, grid = one_image(400)
    want = posterior @ grid.nodes
    std = (
        1.3 * (posterior @ grid.nodes.square() - want.square()).sqrt()
    )  # wider than the posterior: bounded weights
    proposal = want.expand(400, -1), std.expand(400, -1)
    log_z, std_error, _ = importance_sampling(log_joint, *proposal, 3000, generator(1))
    check_calibrated(log_z, std_error, truth)


def test_exact_proposal_has_no_variance():
    """With q = e* every weight is Z, whatever the sample."""
    decoder, classifier = linear_model(4, 2)
    decoder.weight.data = torch.linalg.qr(decoder.weight.data).Q * torch.tensor(
        [1.5, 0.6], dtype=F64
    )  # A diagonal
    x, y = randn(5, 4, seed=5), torch.zeros(5, dtype=torch.int64)
    variance = 1 / (1 + 2 * P[0] * decoder.weight.detach().square().sum(0))
    mean = variance * (2 * P[0] * (x - decoder.bias.detach()) @ decoder.weight.detach())
    log_joint = paired(decoder, classifier, x, y, P)
    std = variance.sqrt().expand_as(mean)
    log_z, std_error, ess = importance_sampling(log_joint, mean, std, 50, generator())
    torch.testing.assert_close(ess, torch.full((5,), 50.0, dtype=F64), rtol=1e-12, atol=0)
    torch.testing.assert_close(log_z, log_z_linear(decoder, x, P), rtol=0, atol=1e-12)
    assert std_error.max() < 1e-6  # the square root of the rounding of ess


def test_importance_sampling_fails_in_fifty_dimensions_and_says_so():
    decoder, classifier = linear_model(60, 50, scale=0.5)
    z = randn(3, 50, seed=8)
    x, y = (
        decoder(z).detach() + math.sqrt(0.5) * randn(3, 60, seed=9),
        torch.zeros(3, dtype=torch.int64),
    )
    p = torch.ones(2, dtype=F64)
    log_joint, zero = paired(decoder, classifier, x, y, p), torch.zeros(3, 50, dtype=F64)
    low, std_error, ess = importance_sampling(log_joint, zero, zero + 1, 2000, generator())
    error = log_z_linear(decoder, x, p) - low
    assert (ess < 5).all() and (error > 10 * std_error).all() and error.min() > 100
    # Annealing does the job. The posterior is N(A⁻¹h, A⁻¹), so exact samples for the way back are
    # to be had
    W = decoder.weight.detach()
    A = torch.eye(50, dtype=F64) + 2 * W.T @ W  # curvatures up to 98
    mean = torch.linalg.solve(A, 2 * W.T @ (x - decoder.bias.detach()).T).T
    start = mean + randn(20, 3, 50, seed=11) @ torch.linalg.inv(torch.linalg.cholesky(A))
    model, betas = SimpleNamespace(log_joint=log_joint, A=A), torch.linspace(0, 1, 150) ** 2
    options = dict(size=0.3, leaps=8)
    low, up = anneal(model, randn(20, 3, 50, seed=3), betas, generator(1), **options)
    back, down = anneal(model, start, betas.flip(0), generator(2), **options)
    low, high = mean_weight(low), -mean_weight(back)
    assert up > 0.8 and down > 0.8
    # On average low ≤ truth ≤ high; both runs land within 3 nats
    truth = log_z_linear(decoder, x, p)
    assert low.mean() < truth.mean() < high.mean()
    assert (low - truth).abs().max() < 3 and (high - truth).abs().max() < 3


BETAS = torch.linspace(0, 1, 12, dtype=F64) ** 2


@pytest.mark.parametrize("size, leaps, accepted", [(0.3, 5, (0.6, 1.0)), (1.1, 3, (0.0, 0.8))])
def test_annealing_is_unbiased_with_calibrated_error_bars(size, leaps, accepted):
    """E w = Z exactly, at any number of temperatures, if detailed balance holds. Without the
    correction by Metropolis steps of 1.1 would be far off: it is made.
    """
    log_joint, truth, _, _ = one_image(400)
    z, model = randn(64, 400, 2, seed=2), SimpleNamespace(log_joint=log_joint, A=torch.eye(1))
    log_w, share = anneal(model, z, BETAS, generator(1), size, leaps)
    assert accepted[0] < share < accepted[1]
    if size < 1:
        share = torch.softmax(log_w, 0).square().sum(0)  # the delta method, as for samples of q
        check_calibrated(mean_weight(log_w), (share - 1 / 64).sqrt(), truth)
    ratio = (mean_weight(log_w) - truth).exp()
    assert (ratio.mean() - 1).abs() < 5 * ratio.std() / 20


def test_single_chains_bracket_the_truth():
    """E log w ≤ log Z ≤ −E log w_reverse, with room: a coarse path makes both gaps many standard
    errors wide, and a finer path closes the bracket.
    """
    log_joint, truth, posterior, grid = one_image(2000)
    start = grid.nodes[torch.multinomial(posterior, 2000, replacement=True, generator=generator(2))]

    def bracket(log_joint, n, betas, seed):
        model = SimpleNamespace(log_joint=lambda z: log_joint(z[None])[0], A=torch.eye(1))
        low = anneal(model, randn(n, 2), betas, generator(seed), 0.3)[0]
        return low, -anneal(model, start[:n], betas.flip(0), generator(seed + 1), 0.3)[0]

    low, high = bracket(log_joint, 2000, torch.tensor([0.0, 0.1, 0.4, 1.0]), 1)
    error = lambda v: v.std() / math.sqrt(len(v))
    assert low.mean() + 4 * error(low) < truth < high.mean() - 4 * error(high)
    inverse = (truth - high).exp()  # the reverse weights estimate 1/Z without bias
    assert (inverse.mean() - 1).abs() < 5 * error(inverse)
    low2, high2 = bracket(one_image(500)[0], 500, torch.linspace(0, 1, 80), 4)
    assert high2.mean() - low2.mean() < 0.3 * (high.mean() - low.mean())


# -------------------------------------------------------------------------------------- bad input


def build(**change):
    decoder, classifier = curved_model()
    arguments = {
        "decoder": decoder,
        "classifier": classifier,
        "x": randn(4, 5),
        "y": torch.arange(4) % 3,
        "grid": gibbs.gauss_hermite(5, 2),
        "ridge": 0.0,
    } | change
    return gibbs.GridModel(**arguments)


def with_nan():
    x = randn(4, 5)
    x[2, 1] = float("nan")
    return x


SHARED = nn.Linear(2, 5).double()
BAD = {
    "NaN": ({"x": with_nan()}, ValueError, "NaN"),
    "integer x": ({"x": torch.zeros(4, 5, dtype=torch.int64)}, TypeError, "floating"),
    "no images": (
        {"x": torch.zeros(0, 5, dtype=F64), "y": torch.zeros(0, dtype=torch.int64)},
        ValueError,
        "x must have shape",
    ),
    "images not flat": ({"x": torch.zeros(4, 5, 1, dtype=F64)}, ValueError, "flatten"),
    "labels missing": ({"y": torch.zeros(3, dtype=torch.int64)}, ValueError, "y must have shape"),
    "float labels": ({"y": torch.zeros(4)}, TypeError, "int64"),
    "label too large": ({"y": torch.full((4,), 3)}, ValueError, "labels run from"),
    "label negative": ({"y": torch.full((4,), -1)}, ValueError, "labels run from"),
    "single precision x": ({"x": torch.zeros(4, 5).float()}, TypeError, "but x is torch.float32"),
    "single precision model": (
        {"decoder": nn.Linear(2, 5).float()},
        TypeError,
        r"decoder is torch.float32 .* write decoder.to\(x\)",
    ),
    "wrong width of code": ({"grid": gibbs.gauss_hermite(5, 1)}, ValueError, "accept codes"),
    "wrong width of image": ({"decoder": nn.Linear(2, 4).double()}, ValueError, r"decoder\(z\)"),
    "no module": ({"decoder": lambda z: z}, TypeError, "nn.Module"),
    "batch normalisation": (
        {"decoder": nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5)).double()},
        ValueError,
        "training mode",
    ),
    "dropout": (
        {"classifier": nn.Sequential(nn.Linear(2, 5), nn.Dropout(0.1)).double()},
        ValueError,
        "training mode",
    ),
    "shared parameter": (
        {"decoder": SHARED, "classifier": nn.Sequential(SHARED)},
        ValueError,
        "shares a parameter",
    ),
    "negative ridge": ({"ridge": -1.0}, ValueError, "ridge"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_model_or_data(case):
    change, error, message = BAD[case]
    with pytest.raises(error, match=message):
        build(**change)


def test_bad_theta_and_grids():
    J = build()
    with pytest.raises(ValueError, match="parameters"):
        J(torch.zeros(3, dtype=F64), P)
    for call in (
        lambda: gibbs.gauss_hermite(1, 2),
        lambda: gibbs.gauss_hermite(30, 8),
        lambda: gibbs.gauss_hermite(600, 1),
        lambda: gibbs.uniform_grid(10, 2, -1.0),
        lambda: gibbs.uniform_grid(10, 0),
        lambda: gibbs.check_resolution(torch.ones(2, 3, dtype=F64) / 3, J.grid),
    ):
        with pytest.raises(ValueError):
            call()
