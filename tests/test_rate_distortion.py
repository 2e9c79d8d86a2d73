"""Finite alphabets against closed forms, certificates and inequalities. All in float64, nats."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tabular import TabularModel

from fe import rate_distortion as rd
from fe.errors import NotConverged

seeds = st.integers(0, 10**6)
quick = settings(max_examples=30, deadline=None, derandomize=True)
log2 = math.log(2)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def draw(seed, *shape):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def probabilities(seed, *shape):
    return torch.softmax(draw(seed, *shape), -1)


def minimise(J, theta, p):
    theta = theta.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [theta],
        max_iter=4000,
        tolerance_grad=1e-11,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        solver.zero_grad()
        value = J(theta, p)
        value.backward()
        return value

    solver.step(closure)
    return theta.detach()


# ------------------------------------------------------------------------------------ information


@quick
@given(seeds, st.integers(1, 6), st.integers(1, 5))
def test_H_minus_D_below_I_below_R(seed, X, Z):
    p_x, e, m, d = (
        probabilities(seed, X),
        probabilities(seed + 1, X, Z),
        probabilities(seed + 2, Z),
        probabilities(seed + 3, Z, X),
    )
    H, I, R = rd.entropy(p_x), rd.rate(p_x, e, p_x @ e), rd.rate(p_x, e, m)
    D = rd.expected(p_x, e, -d.log().T)
    # sums of at most 30 terms of order 1: round-off below 1e-14
    assert H - D <= I + 1e-13 and I <= R + 1e-13
    # both are equalities at the best decoder d(x|z) = p(x) e(z|x) / m(z) and the best marginal
    m = p_x @ e
    D = rd.expected(p_x, e, -(p_x[:, None] * e / m).log())
    assert D.item() == pytest.approx(H.item() - I.item(), abs=1e-13)
    assert rd.rate(p_x, e, m / m.sum()).item() == pytest.approx(I.item(), abs=1e-13)


def test_information_with_zeros():
    p = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    assert rd.entropy(p).item() == pytest.approx(log2, abs=1e-15)
    e = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], dtype=torch.float64)
    assert rd.rate(p, e, p @ e).item() == pytest.approx(log2, abs=1e-15)
    assert rd.rate(p, e, torch.tensor([1.0, 0.0])).item() == math.inf


# --------------------------------------------------------------------------------- Blahut–Arimoto


@pytest.mark.parametrize("q", [0.5, 0.3])
def test_binary_source_closed_form(q):
    """R(D) = h(q) − h(D) for a Bernoulli(q) source and Hamming distortion, D = 1/(1 + e^λ) while
    D
    < min(q, 1 − q).
    """
    p_x, hamming = (
        torch.tensor([1 - q, q], dtype=torch.float64),
        1 - torch.eye(2, dtype=torch.float64),
    )
    lams = torch.tensor([0.95, 1.0, 2.0, 5.0], dtype=torch.float64)  # D(0.95) = 0.279 < 0.3
    points = [rd.blahut_arimoto(p_x, lam * hamming) for lam in lams]
    found_D = torch.stack([rd.expected(p_x, q.encoder, hamming) for q in points])
    D = 1 / (1 + lams.exp())
    h = lambda a: -torch.xlogy(a, a) - torch.xlogy(1 - a, 1 - a)
    R = h(torch.tensor(q, dtype=torch.float64)) - h(D)
    # F is within the gap 1e-12. D and R are first order in the error of m, which the gap bounds as
    # well: its slope in m is at least about D(1 − D) here, 0.007 at λ = 5, so 1e-12 becomes at most
    # 2e-10.
    assert torch.allclose(torch.stack([q.value for q in points]), R + lams * D, rtol=0, atol=2e-12)
    assert torch.allclose(found_D, D, rtol=0, atol=1e-9)
    assert torch.allclose(torch.stack([q.rate for q in points]), R, rtol=0, atol=1e-9)


def test_below_the_critical_slope_one_code_is_left():
    p_x, hamming = (
        torch.tensor([0.7, 0.3], dtype=torch.float64),
        1 - torch.eye(2, dtype=torch.float64),
    )
    critical = math.log(
        0.7 / 0.3
    )  # there D = 1/(1 + e^λ) = 0.3, which saying "0" always costs as well
    for lam in (1e-4, 0.5, critical - 1e-4, critical):
        point = rd.blahut_arimoto(
            p_x, lam * hamming, max_iterations=100
        )  # the textbook's iteration takes 1e5 at both ends
        assert point.value.item() == pytest.approx(0.3 * lam, abs=2e-12)
        assert lam == critical or (
            point.marginal[1] < 1e-7 and point.rate < 1e-7
        )  # G's slope in m(1) is small near critical


@quick
@given(seeds, st.integers(1, 6), st.integers(1, 6), st.integers(1, 200))
def test_gap_certifies(seed, X, Z, iterations):
    """Stopped early or late, the true minimum lies in [value − gap, value]."""
    p_x, energy = probabilities(seed, X), 3 * draw(seed + 1, X, Z).abs()
    best = rd.blahut_arimoto(p_x, energy, tol=1e-9)
    early = rd.blahut_arimoto(p_x, energy, tol=1.0 / iterations)
    assert (
        early.value - early.gap <= best.value + 1e-14
        and best.value - best.gap <= early.value + 1e-14
    )
    # R + E[energy] = value and Σ m = 1 at every stop, to round-off
    assert (early.rate + rd.expected(p_x, early.encoder, energy)).item() == pytest.approx(
        early.value.item(), abs=1e-13
    )
    assert early.marginal.sum().item() == pytest.approx(1, abs=1e-13)
    # no other marginal does better than the certified bound
    other = -(p_x @ torch.logsumexp(probabilities(seed + 2, Z).log() - energy, 1))
    assert other >= best.value - best.gap - 1e-14


@quick
@given(seeds, st.floats(0, 5), st.floats(0, 5), st.floats(0, 5), st.floats(0, 5), st.floats(0, 1))
def test_F_is_concave(seed, lam0, gam0, lam1, gam1, s):
    """Lemma 3 with decoder and classifier fixed: a minimum of functions linear in (λ, γ)."""
    p_x, d, c = probabilities(seed, 5), draw(seed + 1, 5, 4).abs(), draw(seed + 2, 5, 4).abs()
    F = lambda lam, gam: rd.blahut_arimoto(p_x, lam * d + gam * c, tol=1e-8)
    middle, left, right = (
        F((1 - s) * lam0 + s * lam1, (1 - s) * gam0 + s * gam1),
        F(lam0, gam0),
        F(lam1, gam1),
    )
    # left and right are too high by at most 1e-8, their gaps
    assert middle.value >= (1 - s) * (left.value - left.gap) + s * (right.value - right.gap) - 1e-14


def test_large_energies_and_impossible_symbols():
    """exp(−1000) underflows; log-domain sums do not. p(x) = 0 must not make a NaN."""
    energy = torch.tensor([[1000.0, 1001.0], [1001.0, 1000.0], [5.0, 900.0]], dtype=torch.float64)
    point = rd.blahut_arimoto([0.5, 0.5, 0.0], energy)
    # the fair coin at λ = 1 on top of 1000: log 2 − log(1 + 1/e); 1000 · 2.2e-16 is the
    # round-off
    assert point.value.item() == pytest.approx(1000 + log2 - math.log1p(math.exp(-1)), abs=2e-12)


def test_not_converged_is_said():
    with pytest.raises(
        NotConverged, match=r"after 3 iterations the duality gap is .* nearly interchangeable"
    ):
        rd.blahut_arimoto([0.7, 0.3], [[0.0, 0.5], [0.5, 0.0]], max_iterations=3)


@pytest.mark.parametrize(
    "p_x, energy, message",
    [
        ([0.5, 0.6], [[0.0], [1.0]], "p_x must sum to 1"),
        ([1.5, -0.5], [[0.0], [1.0]], "p_x must not be negative"),
        ([0.5, 0.5], [[0.0], [math.nan]], "energy has 1 NaN or infinite"),
        ([0.5, 0.5], [[0.0], [math.inf]], "energy has 1 NaN or infinite"),
        ([0.5, 0.5], [[0.0, 1.0]], "p_x must have shape .1,., got .2,."),
        ([0.5, 0.5], [0.0, 1.0], "energy must have shape .X, Z., got .2,."),
        ([], [[0.0]], "p_x must have shape .1,., got .0,."),
    ],
)
def test_bad_input(p_x, energy, message):
    with pytest.raises(ValueError, match=message):
        rd.blahut_arimoto(p_x, energy)


@pytest.mark.parametrize("options", [dict(tol=0.0), dict(tol=math.nan), dict(max_iterations=0)])
def test_no_budget_is_refused(options):
    with pytest.raises(ValueError, match="tol and max_iterations must be positive"):
        rd.blahut_arimoto([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], **options)


def test_bad_input_elsewhere():
    with pytest.raises(ValueError, match="marginal must have shape .2,., got .3,."):
        rd.rate([1.0], [[0.5, 0.5]], [0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match="energy must have shape"):
        rd.expected([1.0], [[0.5, 0.5]], [[1.0]])


# ------------------------------------------------------------------------------ the learned model


def test_tabular_model_meets_blahut_arimoto():
    """Two solvers without common code, one minimum: gradients over logits of m, and the
    alternating
    iteration.
    """
    p_x, distortion, y = probabilities(0, 6), draw(1, 6, 4).abs(), torch.tensor([0, 1, 0, 1, 2, 2])

    class Fixed(TabularModel):
        """d is given; its logits in θ are idle."""

        def log_probabilities(self, theta):
            log_m, _, log_c = super().log_probabilities(theta)
            return log_m, -distortion, log_c

    model, p = Fixed(p_x, y, 4, 3), torch.tensor([2.0, 1.5], dtype=torch.float64)
    theta = minimise(model, model.initial(0), p)
    log_m, _, log_c = model.log_probabilities(theta)
    exact = rd.blahut_arimoto(p_x, p[0] * distortion - p[1] * log_c)
    # J − F is quadratic in the distance where all codes are in use; an unused code's logit is left
    # where its gradient, about m(z)(1 − c(z)), is lost, and J − F is about that too. L-BFGS stops
    # at gradients of 1e-12 or at round-off of J.
    assert model(theta, p).item() == pytest.approx(exact.value.item(), abs=1e-9)
    # the derivatives of J are the functionals of the encoder (envelope theorem)
    D, C = torch.func.grad(model, argnums=1)(theta, p)
    e = model.posterior(theta, p)
    assert D.item() == pytest.approx(rd.expected(p_x, e, distortion).item(), abs=1e-13)
    assert C.item() == pytest.approx(rd.expected(p_x, e, -log_c).item(), abs=1e-13)
    R = model(theta, p) - p @ torch.stack([D, C])
    assert R.item() == pytest.approx(rd.rate(p_x, e, log_m.exp()).item(), abs=1e-13)


@quick
@given(seeds, st.floats(0, 3))
def test_infinite_capacity_bounds_every_model(seed, lam):
    """R ≥ 0, D ≥ 0 and R + D ≥ H make R + λD ≥ min(λ, 1) H, for every θ (γ = 0)."""
    model = TabularModel(probabilities(seed, 4), torch.zeros(4, dtype=torch.int64), 5, 2)
    p = torch.tensor([lam, 0.0], dtype=torch.float64)
    for theta in (model.initial(seed), model.initial(seed, scale=20.0)):
        assert model(theta, p) >= min(lam, 1) * rd.entropy(model.weights) - 1e-13


@pytest.mark.parametrize("lam", [0.5, 1.0, 2.0])
def test_infinite_capacity_is_attained(lam):
    """F(λ) = min(λ, 1) H and R + D = H: the straight RD line of fig. 1a."""
    X = 4
    p_x = probabilities(3, X)
    H = rd.entropy(p_x).item()
    model, p = (
        TabularModel(p_x, torch.zeros(X, dtype=torch.int64), X, 1),
        torch.tensor([lam, 0.0], dtype=torch.float64),
    )
    # one code a symbol, d = δ to e^−40 (γ = 0 leaves the classifier free)
    separate = torch.cat(
        [p_x.log(), torch.zeros(X), 40 * torch.eye(X, dtype=torch.float64).flatten()]
    )
    # all codes alike, d = p
    collapsed = torch.cat([p_x.log(), torch.zeros(X), p_x.log().repeat(X)])
    theta = collapsed if lam < 1 else separate
    # e^−40 = 4e-18: the limit is reached to round-off
    assert model(theta, p).item() == pytest.approx(min(lam, 1) * H, abs=1e-14)
    D = torch.func.grad(model, argnums=1)(theta, p)[0]
    R = model(theta, p) - lam * D
    assert (R + D).item() == pytest.approx(H, abs=1e-14)
    if lam <= 1:
        # the minimum is found from a random start. For λ > 1 it lies at infinity and J has other
        # local minima; at λ = 1, J is the likelihood of a mixture over the alphabet, and any θ
        # whose mixture is p attains H
        found = minimise(model, model.initial(0), p)
        assert model(found, p).item() == pytest.approx(lam * H, abs=1e-9)


def test_torch_func():
    """grad, vjp, jvp, vmap and the Hessian agree with one another, and the softmaxes' shifts are
    null directions of A.
    """
    X, Z, Y = 4, 3, 2
    model = TabularModel(probabilities(4, X), torch.tensor([0, 1, 1, 0]), Z, Y)
    p, thetas = (
        torch.tensor([0.7, 1.3], dtype=torch.float64),
        torch.stack([model.initial(s) for s in range(3)]),
    )
    gradient = torch.func.grad(model)
    batch = torch.func.vmap(gradient, in_dims=(0, None))(thetas, p)
    assert torch.allclose(batch, torch.stack([gradient(t, p) for t in thetas]), rtol=0, atol=1e-15)
    v, A = model.initial(9), torch.func.hessian(model)(thetas[0], p)
    forward = torch.func.jvp(lambda t: gradient(t, p), (thetas[0],), (v,))[1]
    reverse = torch.func.vjp(lambda t: gradient(t, p), thetas[0])[1](v)[0]
    assert torch.allclose(A @ v, forward, rtol=0, atol=1e-14) and torch.allclose(
        A @ v, reverse, rtol=0, atol=1e-14
    )
    step = 1e-5  # central differences: truncation 1e-10, round-off 1e-16 / 1e-5 = 1e-11
    difference = (gradient(thetas[0] + step * v, p) - gradient(thetas[0] - step * v, p)) / (
        2 * step
    )
    assert torch.allclose(A @ v, difference, rtol=0, atol=1e-8)
    shifts = torch.zeros(1 + 2 * Z, model.n_parameters, dtype=torch.float64)
    shifts[0, :Z] = 1
    for z in range(Z):
        shifts[1 + z, Z + z * Y : Z + (z + 1) * Y] = 1
        shifts[1 + Z + z, Z + Z * Y + z * X : Z + Z * Y + (z + 1) * X] = 1
    assert (A @ shifts.T).abs().max() < 1e-14
    assert (torch.linalg.eigvalsh(A).abs() < 1e-12).sum() == len(
        shifts
    )  # and there are no others here


def test_ridge():
    args = (probabilities(4, 4), torch.tensor([0, 1, 1, 0]), 3, 2)
    bare, model, p = (
        TabularModel(*args),
        TabularModel(*args, ridge=0.2),
        torch.tensor([1.0, 1.0], dtype=torch.float64),
    )
    theta = model.initial(1)
    assert (model(theta, p) - bare(theta, p)).item() == pytest.approx(
        0.1 * theta.dot(theta).item(), abs=1e-14
    )
    assert (
        model.ridge == 0.2
        and torch.equal(model.initial(1), theta)
        and not torch.equal(model.initial(2), theta)
    )
