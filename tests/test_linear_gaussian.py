"""The linear–Gaussian closed forms against J, automatic differentiation, finite differences and
dense algebra.

Covariances have entries of order 1 and at most 7 dimensions, so float64 sums carry an error of
about 1e-14.
"""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fe.linear_gaussian import LinearGaussian

quick = settings(max_examples=30, deadline=None, derandomize=True)


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def covariance(seed, n, rank=None):
    root = torch.randn(
        n, rank or n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return root @ root.T / n


def spectrum(model, p):
    """e₁ ≥ e₂ ≥ … of Cov u."""
    scale = (2 * p).sqrt().repeat_interleave(torch.tensor([model.dim_x, model.dim_y]))
    return torch.linalg.eigvalsh(scale[:, None] * model.cov * scale).flip(0)


def null_directions(model, p):
    """Dimension of A's null space at `optimum(p)`, away from thresholds: with r active codes the
    orbit of rotations z → Qz has r(r−1)/2 + r(k−r), for those that fix (W, V) form O(k−r). At λ = 0
    all of W is null, at γ = 0 all of V.
    """
    r, k = model.active(p), model.k
    idle = model.dim_x * (p[0] == 0) + model.dim_y * (p[1] == 0)
    return r * (r - 1) // 2 + r * (k - r) + int(idle) * k


def is_regular(model, p, margin=1e-2):
    """Away from thresholds and from e_k = e_{k+1}, by a margin that keeps condition numbers
    (1/margin) moderate.
    """
    e, k = spectrum(model, p), model.k
    return (e - 1).abs().min() > margin and (
        k >= len(e) or e[k - 1] < 1 or e[k - 1] - e[k] > margin
    )


@st.composite
def problems(draw):
    dx, dy, k = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 8))
    rank = draw(st.integers(1, dx + dy))  # singular covariances included
    model = LinearGaussian(covariance(draw(st.integers(0, 10**6)), dx + dy, rank), dx, k)
    p = vector(draw(st.floats(0.05, 4)), draw(st.floats(0.05, 4)))
    assume(is_regular(model, p))
    return model, p


fixed = LinearGaussian(covariance(1, 6), 4, 3), vector(0.9, 1.4)


# ------------------------------------------------------------------------------- value and slopes


@pytest.mark.parametrize("lam, gam", [(0.8, 1.7), (0.0, 1.7), (0.8, 0.0)])
def test_J_is_minus_log_Z(lam, gam):
    """J against −log Z = ½ log det(I + AAᵀ) + ½ uᵀ(I + AAᵀ)⁻¹u (d × d, one x at a time),
    averaged
    over data.
    """
    xy = torch.randn(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model, scale = (
        LinearGaussian(xy.T @ xy / 20, 3, 2),
        vector(*[2 * lam] * 3, *[2 * gam] * 2).sqrt(),
    )
    theta = model.initial(0, scale=1.0)
    A, u = scale[:, None] * torch.cat(model.unpack(theta)), xy * scale
    K = torch.eye(5) + A @ A.T
    log_z = -0.5 * torch.linalg.slogdet(K)[1] - 0.5 * (u * torch.linalg.solve(K, u.T).T).sum(1)
    assert model(theta, vector(lam, gam)).item() == pytest.approx(-log_z.mean().item(), abs=1e-13)


def test_J_is_the_integral_over_z():
    """k = 1: quadrature of m(z) exp(−λ(x − wz)² − γ(y − vz)²); a uniform grid is exact to
    round-off
    for a Gaussian.
    """
    x, y, lam, gam, w, v = 0.7, -1.2, 0.8, 1.7, 0.9, -0.4
    z = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    integrand = (-0.5 * z**2 - lam * (x - w * z) ** 2 - gam * (y - v * z) ** 2).exp() / math.sqrt(
        2 * math.pi
    )
    log_z = (integrand.sum() * (z[1] - z[0])).log()
    xy = vector(x, y)
    model = LinearGaussian(torch.outer(xy, xy), 1, 1)
    assert model(vector(w, v), vector(lam, gam)).item() == pytest.approx(-log_z.item(), abs=1e-13)


@quick
@given(problems())
def test_optimum(problem):
    model, p = problem
    theta = model.optimum(p)
    gradient, value = torch.func.grad_and_value(model)(theta, p)
    assert value.item() == pytest.approx(model.free_energy(p).item(), abs=1e-12)
    assert (
        gradient.norm() <= 1e-10
    )  # round-off 1e-15, times λ ≤ 4 and cond(I + M) = e₁ up to about 50
    # R is the Gaussian rate ½ Σ log e_i: an independent closed form, not the difference F − λD −
    # γC
    F, R, D, C = model.free_energy(p), model.rate(p), model.distortion(p), model.classification(p)
    assert (R + p[0] * D + p[1] * C).item() == pytest.approx(F.item(), abs=1e-10)
    assert torch.allclose(
        torch.stack([D, C]), torch.func.grad(model, argnums=1)(theta, p), rtol=0, atol=1e-11
    )


@quick
@given(problems(), st.integers(0, 10**6))
def test_optimum_is_global(problem, seed):
    """No θ is below F; (13)'s surface is an orbit: J is the same at all rotations z → Qz,
    anywhere.
    """
    model, p = problem
    for scale in (0.1, 1.0, 5.0):
        theta = model.initial(seed, scale)
        assert model(theta, p) >= model.free_energy(p) - 1e-12
        Q = torch.linalg.qr(model.initial(seed + 1).new_tensor(covariance(seed, model.k).tolist()))[
            0
        ]
        rotated = (theta.view(-1, model.k) @ Q).flatten()
        # θ of size 5 makes M of order 1e3, and round-off 1e-13 relative to J's terms of order 10
        assert model(rotated, p).item() == pytest.approx(model(theta, p).item(), abs=1e-11)


def test_optimum_is_found_by_descent():
    model, p = fixed
    theta = model.initial(0).requires_grad_()
    solver = torch.optim.LBFGS(
        [theta],
        max_iter=2000,
        tolerance_grad=1e-10,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        solver.zero_grad()
        value = model(theta, p)
        value.backward()
        return value

    solver.step(closure)
    # J − F is quadratic in the remaining gradient, so round-off is what is left
    assert model(theta, p).item() == pytest.approx(model.free_energy(p).item(), abs=1e-12)
    # the minimisers form one orbit, on which (W; V)(W; V)ᵀ is constant: first order in the
    # gradient
    # 1e-10 / curvature 1e-2
    found, exact = theta.detach().view(-1, model.k), model.optimum(p).view(-1, model.k)
    assert torch.allclose(found @ found.T, exact @ exact.T, rtol=0, atol=1e-6)


def test_one_pixel_by_hand():
    """x of variance s, label independent, k = 1: e = 2λs; D = s collapsed, D = 1/(2λ) active
    (reverse water-filling).
    """
    model = LinearGaussian(torch.diag(vector(2.0, 1.0)), 1, 1)
    below, above = vector(0.2, 0.1), vector(1.0, 0.1)
    assert (model.active(below), model.active(above)) == (0, 1)
    assert model.distortion(below).item() == pytest.approx(2.0, abs=1e-14)
    assert model.distortion(above).item() == pytest.approx(0.5, abs=1e-14)
    assert model.classification(above).item() == pytest.approx(1.0, abs=1e-14)
    assert model.optimum(above)[0].abs().item() == pytest.approx(
        math.sqrt(2.0 - 0.5), abs=1e-14
    )  # W² = s − 1/(2λ)
    # dD/dλ = −1/(2λ²)
    assert model.hessian(above)[0, 0].item() == pytest.approx(-0.5, abs=1e-14)
    assert torch.equal(
        model.hessian(below), torch.zeros(2, 2, dtype=torch.float64)
    )  # collapsed: F is linear


# ----------------------------------------------------------------------------- second derivatives


def implicit_hessian(model, p):
    """J_pp − Bᵀ A⁺ B (Lemma 5) by dense algebra, with the eigenvalues of A."""
    theta = model.optimum(p)
    A, mixed, J_pp = (
        torch.func.hessian(model)(theta, p),
        torch.func.jacfwd(torch.func.grad(model), argnums=1)(theta, p),
        torch.func.hessian(model, argnums=1)(theta, p),
    )
    return J_pp - mixed.T @ torch.linalg.pinv(
        A, rtol=1e-9, hermitian=True
    ) @ mixed, torch.linalg.eigvalsh(A)


@quick
@given(problems())
def test_hessian_and_null_directions(problem):
    model, p = problem
    H = model.hessian(p)
    implicit, eigenvalues = implicit_hessian(model, p)
    # round-off 1e-14 in A and B, amplified by A⁺: curvatures are at least about λ·margin = 5e-4,
    # squared in the worst case
    assert torch.allclose(H, implicit, rtol=1e-8, atol=1e-8)
    assert torch.linalg.eigvalsh(H)[-1] <= 1e-12  # Lemma 3
    # null eigenvalues are round-off (1e-14), the others at least about 1e-4
    assert (eigenvalues.abs() < 1e-9).sum() == null_directions(model, p)
    assert eigenvalues[0] > -1e-10
    step = 1e-4
    e = torch.eye(2, dtype=torch.float64)
    assume(
        all(is_regular(model, p + s * step * e[i], margin=5e-3) for i in range(2) for s in (-1, 1))
    )
    difference = torch.stack(
        [
            (model.gradient(p + step * e[i]) - model.gradient(p - step * e[i])) / (2 * step)
            for i in range(2)
        ]
    )
    # central differences of the analytic gradient: step² F'''/6 ≈ 1e-8 · F''', and F''' reaches
    # 1/(λ² margin²) at worst
    assert torch.allclose(H, difference, rtol=1e-3, atol=1e-3 * (1 + H.abs().max()))


def test_hessian_to_many_digits():
    """One problem with well-separated eigenvalues (0.1 or more apart, and from 1), where tight
    tolerances are honest.
    """
    model, p = fixed
    H, step, e = model.hessian(p), 1e-4, torch.eye(2, dtype=torch.float64)
    assert is_regular(model, p, margin=0.1)
    # second differences of F: truncation step² F''''/12 ≈ 1e-8, round-off 1e-15/step² = 1e-7
    F = model.free_energy
    for i in range(2):
        for j in range(2):
            a, b = step * e[i], step * e[j]
            second = (F(p + a + b) - F(p + a - b) - F(p - a + b) + F(p - a - b)) / (4 * step**2)
            assert second.item() == pytest.approx(H[i, j].item(), abs=2e-6)
    # first differences of the gradient: truncation step²/6 F''' ≈ 1e-8
    for i in range(2):
        first = (model.gradient(p + step * e[i]) - model.gradient(p - step * e[i])) / (2 * step)
        assert torch.allclose(first, H[i], rtol=0, atol=1e-7)
    assert torch.allclose(implicit_hessian(model, p)[0], H, rtol=0, atol=1e-11)
    # autograd through eigh (simple eigenvalues): no common code with the divided differences
    assert torch.allclose(
        torch.func.hessian(lambda q: 0.5 * model_F(model, q))(p), H, rtol=0, atol=1e-11
    )


def model_F(model, p):
    """2F from Cov u as the paper's convention has it, written again: (diag √(2p)) Σ (diag
    √(2p)).
    """
    scale = torch.cat(
        [(2 * p[0]).sqrt().expand(model.dim_x), (2 * p[1]).sqrt().expand(model.dim_y)]
    )
    e = torch.linalg.eigvalsh(scale[:, None] * model.cov * scale).flip(0)
    active = (e > 1) & (torch.arange(len(e)) < model.k)
    return torch.where(active, 1 + e.log(), e).sum()


def test_equal_eigenvalues():
    """Σ = 2I: every eigenvalue is double. Enough codes: all derivatives exist. Too few: F has a
    kink, which is said.
    """
    p, cov = vector(1.0, 1.0), 2 * torch.eye(4, dtype=torch.float64)
    model = LinearGaussian(cov, 2, 4)
    # F = Σ ½(1 + log 2λ·2) twice, and the same in γ: F_λλ = −1/λ², F_λγ = 0
    assert torch.allclose(model.hessian(p), -torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-13)
    assert torch.allclose(implicit_hessian(model, p)[0], model.hessian(p), rtol=0, atol=1e-11)
    few = LinearGaussian(cov, 2, 3)
    for closed_form in (few.hessian, few.gradient):
        with pytest.raises(ValueError, match="e_3 = e_4 = 4 > 1.*serve either direction"):
            closed_form(p)
    assert few.free_energy(p).item() == pytest.approx(
        few(few.optimum(p), p).item(), abs=1e-13
    )  # F itself is fine
    # the kink: D jumps where the code moves from the label's direction to the pixel's
    one = LinearGaussian(torch.diag(vector(2.0, 2.0)), 1, 1)
    left, right = (
        one.distortion(vector(1 - 1e-9, 1.0)).item(),
        one.distortion(vector(1 + 1e-9, 1.0)).item(),
    )
    assert (left, right) == (pytest.approx(2.0, abs=1e-8), pytest.approx(0.5, abs=1e-8))


@pytest.mark.parametrize("p", [(0.0, 1.5), (1.5, 0.0), (0.0, 0.0)])
def test_a_control_at_zero(p):
    """λ and γ enter polynomially: derivatives exist at 0, one-sided differences agree, and the
    idle
    decoder is all null.
    """
    model, p = LinearGaussian(covariance(3, 5), 3, 2), vector(*p)
    assert is_regular(model, p, margin=0.05)
    theta = model.optimum(p)
    assert model(theta, p).item() == pytest.approx(model.free_energy(p).item(), abs=1e-13)
    assert torch.func.grad(model)(theta, p).norm() < 1e-13
    assert torch.allclose(
        torch.func.grad(model, argnums=1)(theta, p), model.gradient(p), rtol=0, atol=1e-13
    )
    implicit, eigenvalues = implicit_hessian(model, p)
    assert torch.allclose(implicit, model.hessian(p), rtol=0, atol=1e-10)
    assert (eigenvalues.abs() < 1e-9).sum() == null_directions(model, p)
    step = 1e-6  # one-sided: truncation ½ step F''' ≈ 1e-5
    for i in range(2):
        ahead = p.clone()
        ahead[i] += step
        assert torch.allclose(
            (model.gradient(ahead) - model.gradient(p)) / step,
            model.hessian(p)[i],
            rtol=0,
            atol=1e-3,
        )


# ------------------------------------------------------------------------------------ transitions


@quick
@given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 7),
    st.floats(0, 3),
)
def test_thresholds(seed, dx, dy, k, held):
    """One eigenvalue is 1 at each threshold, and the number of active codes goes up by one
    across
    it.
    """
    model = LinearGaussian(covariance(seed, dx + dy), dx, k)
    control = lambda v: vector(v, held)
    assume((spectrum(model, control(0.0)) - 1).abs().min() > 1e-2)
    found = model.thresholds(held)
    for value in found.tolist():
        e = spectrum(model, control(value))
        # eigenvalues carry 1e-15 · e₁, the Schur complement 1/margin more; μ small beside μ_max
        # costs their ratio again
        assert (e - 1).abs().min() < 1e-12 * max(1.0, e[0].item()) ** 2
    all_values = [model.active(control(0.0))] + [
        model.active(control(v * (1 + 1e-6))) for v in found.tolist()
    ]
    assert all_values == list(range(all_values[0], all_values[0] + len(found) + 1))
    # nothing is missed: with all directions of x switched on, the count is what the dimensions and
    # k allow
    assert model.active(control(1e9)) == all_values[-1]


@pytest.mark.parametrize("gam", [0.0, 0.3, 2.0])
def test_rank_is_lost_exactly_at_the_threshold(gam):
    """On either side of λ* A has full rank but for rotations; at λ* every idle column adds a
    null
    direction.
    """
    model = LinearGaussian(covariance(5, 5), 3, 4)
    lam = model.thresholds(gam=gam)[0].item()
    assert (spectrum(model, vector(lam, gam)) - 1).abs().min() < 1e-13
    curvature = {}
    for factor in (0.9, 0.99, 1.0, 1.01, 1.1):
        p = vector(lam * factor, gam)
        A = torch.func.hessian(model)(model.optimum(p), p)
        null = null_directions(model, p) if factor != 1 else None
        eigenvalues = torch.linalg.eigvalsh(A)
        if null is not None:
            assert (eigenvalues.abs() < 1e-9).sum() == null
            curvature[factor] = eigenvalues[null].item()
        else:
            r = model.active(
                vector(lam * 0.99, gam)
            )  # idle columns k − r, each with one soft direction, besides the orbit's
            idle = model.dim_y * model.k if gam == 0 else 0
            assert (eigenvalues.abs() < 1e-9).sum() == r * (r - 1) // 2 + r * (
                model.k - r
            ) + idle + (model.k - r)
            with pytest.raises(ValueError, match="threshold at which that code collapses"):
                model.hessian(p)
    # the smallest curvature falls in proportion to |λ − λ*| on both sides (10 % of the way: 10 % of
    # it, to first order)
    assert curvature[0.99] / curvature[0.9] == pytest.approx(0.1, abs=0.05)
    assert curvature[1.01] / curvature[1.1] == pytest.approx(0.1, abs=0.05)
    # a second-order transition: F and its slopes are continuous, the Hessian jumps down
    low, high = vector(lam * (1 - 1e-7), gam), vector(lam * (1 + 1e-7), gam)
    assert torch.allclose(model.gradient(low), model.gradient(high), rtol=0, atol=1e-5)
    assert model.hessian(low)[0, 0] - model.hessian(high)[0, 0] > 1e-2
    assert model.active(high) == model.active(low) + 1


def test_collapsed_point_is_stationary_for_ever_and_a_saddle_beyond():
    """θ = 0: ∇J is exactly 0 for every (λ, γ), so exact dynamics cannot leave it. Its curvature
    is
    ∝ 1 − e_j.
    """
    model, zero = LinearGaussian(covariance(5, 5), 3, 2), torch.zeros(10, dtype=torch.float64)
    lam = model.thresholds(gam=0.1)[0].item()
    for factor in (0.5, 0.99, 1.01, 2.0, 50.0):
        p = vector(lam * factor, 0.1)
        assert (torch.func.grad(model)(zero, p) == 0).all()
        smallest = torch.linalg.eigvalsh(torch.func.hessian(model)(zero, p))[0]
        assert (smallest > 0) == (factor < 1)
        assert (model.active(p) == 0) == (factor < 1) == torch.equal(model.optimum(p), zero)


# --------------------------------------------------------------------------------------- the rest


def test_torch_func():
    model, p = fixed
    gradient = torch.func.grad(model)
    thetas, v = torch.stack([model.initial(s, 1.0) for s in range(3)]), model.initial(9, 1.0)
    batch = torch.func.vmap(gradient, in_dims=(0, None))(thetas, p)
    assert torch.allclose(batch, torch.stack([gradient(t, p) for t in thetas]), rtol=0, atol=1e-13)
    A = torch.func.hessian(model)(thetas[0], p)
    forward = torch.func.jvp(lambda t: gradient(t, p), (thetas[0],), (v,))[1]
    reverse = torch.func.vjp(lambda t: gradient(t, p), thetas[0])[1](v)[0]
    assert torch.allclose(A @ v, forward, rtol=0, atol=1e-13) and torch.allclose(
        A @ v, reverse, rtol=0, atol=1e-13
    )
    assert torch.autograd.gradcheck(
        lambda t, q: model(t, q), (thetas[0].requires_grad_(), p.clone().requires_grad_())
    )


def test_ridge_is_inside_J_and_closed_forms_refuse_it():
    model, p = fixed
    ridged = LinearGaussian(model.cov, model.dim_x, model.k, ridge=0.3)
    theta = model.initial(0, 1.0)
    assert (ridged(theta, p) - model(theta, p)).item() == pytest.approx(
        0.15 * theta.dot(theta).item(), abs=1e-13
    )
    for closed_form in (ridged.optimum, ridged.free_energy, ridged.hessian, ridged.active):
        with pytest.raises(ValueError, match="ridge = 0 only"):
            closed_form(p)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (
            {"cov": torch.tensor([[1.0, 0.5], [0.4, 1.0]], dtype=torch.float64)},
            ValueError,
            "cov must be symmetric",
        ),
        ({"cov": torch.diag(vector(1.0, -0.1))}, ValueError, "positive semi-definite"),
        ({"cov": torch.diag(vector(1.0, math.nan))}, ValueError, "cov has 1 NaN or infinite"),
        (
            {"cov": torch.ones(2, 3, dtype=torch.float64)},
            ValueError,
            "cov must have shape .2, 2., got .2, 3.",
        ),
        ({"cov": torch.eye(2, dtype=torch.float32)}, TypeError, "float64"),
        ({"cov": [[1.0]]}, TypeError, "cov must be a floating torch.Tensor, got list"),
        ({"dim_x": 2}, ValueError, "1 ≤ dim_x ≤ 1 .*dim_x=2"),
        ({"dim_x": 0}, ValueError, "dim_x=0"),
        ({"k": 0}, ValueError, "k ≥ 1, got .*k=0"),
        ({"ridge": -1.0}, ValueError, "ridge must be"),
    ],
)
def test_bad_model(change, error, message):
    with pytest.raises(error, match=message):
        LinearGaussian(**{"cov": torch.eye(2, dtype=torch.float64), "dim_x": 1, "k": 1, **change})


def test_bad_arguments():
    model, _ = fixed
    for p, error in [
        ((-1.0, 0.0), ValueError),
        ((0.0, -1.0), ValueError),
        ((1.0,), ValueError),
        ((1.0, math.inf), ValueError),
    ]:
        with pytest.raises(error, match="p (must|has)"):
            model.free_energy(vector(*p))
    with pytest.raises(TypeError, match="p must be a floating torch.Tensor"):
        model.free_energy([1.0, 1.0])
    with pytest.raises(ValueError, match="λ ≥ 0 and γ ≥ 0"):
        model.thresholds(gam=-1.0)
    by_hand = LinearGaussian(torch.diag(vector(2.0, 1.0)), 1, 2)
    assert by_hand.thresholds(gam=0.1).tolist() == pytest.approx([0.25], abs=1e-15)
    with pytest.raises(ValueError, match="threshold by itself"):
        by_hand.thresholds(gam=0.5)
    with pytest.raises(ValueError, match=r"theta must have shape .18,."):
        model.unpack(torch.zeros(3))
