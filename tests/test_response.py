"""Linear response against closed forms, dense algebra and finite differences; and each failure must
fail in words.
"""

import math
import warnings

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fe
from fe.response import Local, check_stability, hessian_of_free_energy


def quadratic(n, m, seed, spread=3.0):
    """J = ½θᵀAθ − θᵀBp + ½pᵀGp with known answer θ_p = A⁻¹B, Hess F = G − BᵀA⁻¹B."""
    g = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(n, n, generator=g)).Q
    A = (Q * torch.logspace(-spread / 2, spread / 2, n)) @ Q.T
    A = 0.5 * (A + A.T)
    B, G = torch.randn(n, m, generator=g), torch.randn(m, m, generator=g)
    G = G + G.T
    return (lambda th, p: 0.5 * th @ A @ th - th @ B @ p + 0.5 * p @ G @ p), A, B, G


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 3), st.integers(0, 10_000))
def test_quadratic_problems_with_known_answer(n, m, seed):
    J, A, B, G = quadratic(n, m, seed)
    p = torch.rand(m) + 0.1
    theta_p = torch.linalg.solve(A, B)
    r = fe.linear_response(J, theta_p @ p, p, rtol=1e-10)
    # condition number 1e3: θ_p good to rtol·√κ ≈ 3e-9 relative, Hess F to the square of rtol, that
    # is, to rounding
    torch.testing.assert_close(r.theta_p, theta_p, rtol=0, atol=1e-7 * float(theta_p.abs().max()))
    torch.testing.assert_close(
        r.hess, G - B.T @ theta_p, rtol=0, atol=1e-11 * float((B.T @ theta_p).abs().max() + 1)
    )
    assert math.isclose(r.curvature, float(torch.linalg.eigvalsh(A)[0]), rel_tol=1e-2)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10_000))
def test_conjugate_gradient_recovers_x_and_reports(n, seed):
    _, A, _, _ = quadratic(n, 1, seed)
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    M = torch.diag(1 / A.diagonal())
    for preconditioner in (None, lambda v: M @ v):
        got, iterations = fe.conjugate_gradient(
            lambda v: A @ v, A @ x, preconditioner=preconditioner, rtol=1e-11
        )
        torch.testing.assert_close(
            got, x, rtol=0, atol=1e-7 * float(x.abs().max())
        )  # rtol √κ with room
        error = ((got - x) * (A @ (got - x))).sum(0) / (x * (A @ x)).sum(0)
        assert error.max() < 1e-16 and iterations > 0


def test_singular_consistent_gives_least_norm():
    A = torch.diag(torch.tensor([0.0, 0.0, 1.0, 2.0, 5.0]))
    b = torch.tensor([[0.0], [0.0], [1.0], [1.0], [1.0]])
    x, _ = fe.conjugate_gradient(lambda v: A @ v, b)
    torch.testing.assert_close(
        x, torch.linalg.lstsq(A, b, driver="gelsd").solution, rtol=0, atol=1e-14
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 20), st.integers(1, 8), st.integers(0, 10_000))
def test_singular_consistent_problems_stop_at_rounding(n, rank, seed):
    """A of low rank in a random basis, b in its range up to rounding: the least-norm solution, no
    false alarm.
    """
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(n, min(rank, n - 1), generator=g)
    A = root @ root.T
    x = A @ torch.randn(n, 2, generator=g)
    got, _ = fe.conjugate_gradient(lambda v: A @ v, A @ x)
    condition = float(torch.linalg.svdvals(root)[[0, -1]].log().diff().neg().exp()) ** 2
    torch.testing.assert_close(got, x, rtol=0, atol=1e-7 * condition * float(x.abs().max()))


def test_zero_right_hand_side():
    x, iterations = fe.conjugate_gradient(lambda v: v, torch.zeros(4, 2))
    assert torch.equal(x, torch.zeros(4, 2)) and iterations == 0


def test_singular_inconsistent_is_refused():
    A = torch.diag(torch.tensor([0.0, 1.0, 2.0]))
    with pytest.raises(fe.SingularHessian, match="no solution"):
        fe.conjugate_gradient(lambda v: A @ v, torch.ones(3, 1))


def test_negative_curvature_is_refused_with_its_direction():
    A = torch.diag(torch.tensor([-1e-3, 1.0, 2.0]))
    with pytest.raises(fe.NegativeCurvature, match="not a minimum") as e:
        fe.conjugate_gradient(lambda v: A @ v, torch.ones(3, 1))
    u = e.value.direction
    assert u @ A @ u < 0 and math.isclose(float(u @ A @ u), e.value.curvature, rel_tol=1e-9)


def test_iteration_limit_says_what_it_had_reached():
    J, A, B, _ = quadratic(12, 1, 0, spread=6)
    with pytest.raises(fe.NotConverged, match="after 3 iterations"):
        fe.conjugate_gradient(lambda v: A @ v, B, max_iterations=3)


def test_indefinite_preconditioner_is_refused():
    with pytest.raises(ValueError, match="not positive definite"):
        fe.conjugate_gradient(lambda v: v, torch.ones(3, 1), preconditioner=lambda v: -v)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 40), st.integers(0, 1000))
def test_smallest_eigenpair(n, seed):
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(n, n, generator=g)
    A = A + A.T
    mu, u, residual = fe.smallest_eigenpair(
        lambda v: A @ v, torch.randn(n, 2, generator=g), rtol=1e-8, max_iterations=500
    )
    want = torch.linalg.eigvalsh(A)[0]
    assert residual <= 1e-8 * abs(mu) and math.isclose(
        mu, want, rel_tol=1e-8
    )  # value error ≤ residual for symmetric A
    torch.testing.assert_close(A @ u, mu * u, rtol=0, atol=1e-7 * abs(mu))


def test_the_smallest_eigenvalue_is_true_to_its_digits_where_A_is_too_large_to_write_out():
    """A network of 362 parameters, by products only: its error bound holds, against the dense A."""
    x, y = fe.digits(40, classes=(0, 1, 2))
    net = torch.nn.Sequential(torch.nn.Linear(64, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    classify, unflatten = fe.flatten(net)
    noise = 0.3 * torch.randn(8, len(x), 64)

    def J(theta, p):
        logits = torch.func.functional_call(net, *unflatten(theta), (x + noise,))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.repeat(8))
        return p[1] * loss + 0.5 * p[0] * 1e-2 * theta.dot(theta)

    p = torch.tensor([1.0, 4.0])
    e = fe.minimise(J, classify, p, tol=1e-9)
    r = fe.linear_response(J, e.theta, p)
    exact = float(torch.linalg.eigvalsh(Local(J, e.theta, p).hvp(torch.eye(len(e.theta))))[0])
    for found in (e, r):
        assert abs(found.curvature - exact) <= found.curvature_error + 1e-12
        assert found.curvature == pytest.approx(exact, rel=1e-3)


def test_the_smallest_eigenvalue_below_a_crowd():
    """0.0004 beside 0.0085 and a crowd up to 10: what a hundred steps did not tell apart."""
    values = torch.cat([torch.tensor([4e-4]), torch.logspace(math.log10(8.5e-3), 1, 1757)])
    matvec = lambda V: values[:, None] * V
    mu, u, error = fe.smallest_eigenpair(matvec, torch.randn(1758, 2))
    assert abs(mu - 4e-4) <= error <= 1e-3 * mu and abs(float(u[0])) > 0.99
    rough = fe.smallest_eigenpair(matvec, torch.randn(1758, 2), max_iterations=30)
    assert rough[0] - 4e-4 <= rough[2] and rough[2] > 1e-3  # cut short, it says how far off


def test_a_model_that_writes_out_A_and_one_that_does_not_agree():
    x, y = fe.digits(40, classes=(0, 1, 2))
    J = fe.TopographicMap(x, y, 3, grid=7, features=2, ridge=1e-2)  # 335 parameters
    e = fe.minimise(J, J.initial(), P)
    own, products = (fe.linear_response(K, e.theta, P) for K in (J, lambda th, p: J(th, p)))
    # two iterations and many: errors 1e-8 in the energy norm, their squares in Hess F
    assert own.iterations <= 3 < 30 < products.iterations
    torch.testing.assert_close(own.hess, products.hess, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(own.theta_p, products.theta_p, rtol=1e-5, atol=1e-6)
    assert own.curvature == pytest.approx(products.curvature, rel=1e-3)


def test_second_order_formula_for_the_hessian():
    """An error ε in θ_p moves Hess F by ε², not ε."""
    J, A, B, G = quadratic(8, 2, 1)
    p = torch.tensor([0.5, 1.0])
    X = torch.linalg.solve(A, B)
    local = Local(J, X @ p, p)
    exact = G - B.T @ X
    errors = [
        float((hessian_of_free_energy(local, X + eps * torch.ones_like(X))[0] - exact).abs().max())
        for eps in (1e-3, 1e-4)
    ]
    assert 80 < errors[0] / errors[1] < 120


# ---- a nonlinear objective of the reader's own: ten lines, none of ours ----


def readers_own(theta, p):
    """Smooth, not quadratic, one minimum near θ = (p0, p1)."""
    a, b = theta[:1], theta[1:]
    fit = (a - p[0]).square().sum() + (b - p[1]).square().sum()
    return fit + 0.1 * (a * b).sum().sin() + 0.05 * theta.pow(4).sum()


def test_readers_own_objective_against_finite_differences():
    p = torch.tensor([0.8, 1.5])
    at = lambda p: fe.minimise(readers_own, torch.ones(2), p)
    e = at(p)
    assert e.gradient_norm <= 1e-10 and e.curvature > 0
    r = fe.linear_response(readers_own, e.theta, p, rtol=1e-12)
    h = 1e-4
    for q in range(2):
        step = torch.eye(2)[q] * h
        up, down = at(p + step), at(p - step)
        # central differences: truncation h² ≈ 1e-8, rounding 1e-10/h = 1e-6 at worst for θ known to
        # 1e-10
        torch.testing.assert_close(
            r.theta_p[:, q], (up.theta - down.theta) / (2 * h), rtol=0, atol=1e-6
        )
        F_p = [fe.response.Local(readers_own, x.theta, x.p).dp for x in (up, down)]
        torch.testing.assert_close(r.hess[q], (F_p[0] - F_p[1]) / (2 * h), rtol=0, atol=1e-6)
    assert r.maxwell < 1e-10


def test_three_controls():
    """t is one more column; nothing else changes."""
    J, A, B, G = quadratic(6, 3, 4)
    p = torch.tensor([0.5, 1.0, 0.3])
    r = fe.linear_response(J, torch.linalg.solve(A, B @ p), p)
    assert r.theta_p.shape == (6, 3) and r.hess.shape == (3, 3)
    torch.testing.assert_close(r.hess, G - B.T @ torch.linalg.solve(A, B), rtol=1e-9, atol=1e-9)


def test_dense_agrees_with_matrix_free():
    p = torch.tensor([0.8, 1.5])
    e = fe.minimise(readers_own, torch.ones(2), p)
    r = fe.linear_response(readers_own, e.theta, p, rtol=1e-12)
    grad, hessian = torch.func.grad(readers_own), torch.func.hessian(readers_own, (0, 1))
    (A, _), (_, J_pp) = hessian(e.theta, p)
    B = -torch.func.jacrev(grad, argnums=1)(e.theta, p)
    theta_p, values = torch.linalg.solve(A, B), torch.linalg.eigvalsh(A)
    hess = J_pp - B.T @ theta_p
    torch.testing.assert_close(r.theta_p, theta_p, rtol=0, atol=1e-10)
    torch.testing.assert_close(r.hess, hess, rtol=0, atol=1e-10)
    assert math.isclose(values[0], r.curvature, rel_tol=1e-3)


# ---- what must be refused ----

P = torch.tensor([0.5, 1.0], dtype=torch.float64)


def test_unconverged_theta_is_refused():
    with pytest.raises(fe.NotAtEquilibrium, match="Minimise first"):
        fe.linear_response(readers_own, torch.ones(2), P)


def test_a_symmetric_saddle_is_refused_though_b_is_zero():
    """θ = 0 of a double well: ∇J = 0, b = 0, and conjugate gradients alone would return a plausible
    0.
    """
    J = lambda th, p: p[0] * (th.square() - 1).square().sum() + p[1] * th.square().sum() * 0.1
    with pytest.raises(fe.NegativeCurvature, match="saddle"):
        fe.linear_response(J, torch.zeros(3), P)


def test_right_hand_side_outside_the_range_is_refused():
    J = lambda th, p: th[0].square() + p[0] * th[1] * 1e-7  # flat in θ₁, which λ pushes
    with pytest.raises(fe.SingularHessian, match="no solution"):
        fe.linear_response(J, torch.zeros(2), P)


def test_nan_and_randomness_are_refused():
    with pytest.raises(ValueError, match="is nan"):
        fe.linear_response(lambda th, p: th.sum() * float("nan"), torch.zeros(2), P)
    with pytest.raises(ValueError, match="sqrt or log"):
        fe.linear_response(lambda th, p: th.abs().sqrt().sum() * p[0], torch.zeros(2), P)
    with pytest.raises(ValueError, match="not deterministic"):
        fe.linear_response(lambda th, p: th.dot(th) + torch.rand(()), torch.zeros(2), P)
    with pytest.raises(ValueError, match="scalar"):
        fe.linear_response(lambda th, p: th * p[0], torch.zeros(2), P)


@pytest.mark.parametrize("p", [torch.tensor([-0.1, 1.0]), torch.tensor([float("nan"), 1.0])])
def test_bad_controls(p):
    with pytest.raises(ValueError, match="p "):
        fe.linear_response(readers_own, torch.zeros(2), p.double())


def test_an_objective_that_ignores_a_control():
    """γ absent: its column is zero, not an error."""
    J = lambda th, p: (th - p[0]).square().sum()
    r = fe.linear_response(J, torch.full((3,), 0.5), P)
    torch.testing.assert_close(r.theta_p, torch.stack([torch.ones(3), torch.zeros(3)], 1))
    assert r.hess.abs().max() < 1e-12


@settings(max_examples=40, deadline=None)
@example(7, 6, 828)  # three blocks of two vectors nearly fill the space: LOBPCG breaks down there
@given(st.integers(3, 80), st.integers(1, 10), st.integers(0, 10_000))
def test_no_false_alarm_on_semi_definite_matrices(n, rank, seed):
    """Low rank: the smallest eigenvalue is 0, and rounding must not pass for negative curvature."""
    root = torch.randn(n, min(rank, n - 1), generator=torch.Generator().manual_seed(seed))
    A = root @ root.T
    scale = float(torch.linalg.matrix_norm(A, 2))
    start = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed + 1))
    mu, u, _ = fe.smallest_eigenpair(lambda v: A @ v, start, atol=1e-11 * scale, max_iterations=100)
    assert -1e-14 * scale < mu < 1e-9 * scale  # a Rayleigh quotient of A ⪰ 0, to rounding
    assert abs(float(u @ A @ u) - mu) < 1e-14 * scale * n


def test_a_right_hand_side_that_is_none_is_refused():
    """With NaN in it no column would be active, and the answer zero."""
    A = torch.eye(3)
    with pytest.raises(ValueError, match="B has 1 NaN"):
        fe.conjugate_gradient(lambda V: A @ V, torch.tensor([[1.0], [math.nan], [0.0]]))
    with pytest.raises(ValueError, match="B must have shape"):
        fe.conjugate_gradient(lambda V: A @ V, torch.ones(3))


def test_a_hessian_that_is_of_another_J_is_refused():
    """A subclass that changes J and inherits the dense A would get a wrong Hess F in silence."""

    class Changed(fe.TopographicMap):
        def __call__(self, theta, p):
            return super().__call__(theta, p) + 0.1 * theta.square().square().sum()

    x, y = fe.digits(40, classes=(0, 1))
    J = Changed(x[:, 20:28].contiguous(), y, 2, grid=5, features=2)
    p = torch.tensor([0.5, 2.0], dtype=x.dtype)
    with pytest.raises(ValueError, match="dense_hessian of Changed is not the Hessian of J"):
        fe.minimise(J, J.initial(), p)


def test_the_smallest_eigenvalue_is_certified_where_A_is_written_out():
    """Davidson's method begins with the vector of a neighbour, an eigenvector here, and another
    eigenvalue has crossed below.
    """
    values = torch.linspace(1.0, 2.0, 400, dtype=torch.float64)
    values[7], values[300] = 0.02, -0.01

    def J(theta, p):
        return 0.5 * (values * theta).dot(theta) * p[0]

    J.dense_hessian = lambda theta, p: torch.diag(values) * p[0]
    old = torch.zeros(400, dtype=torch.float64)
    old[7] = 1.0
    local = Local(J, torch.zeros(400, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    with pytest.raises(fe.NegativeCurvature) as e:
        check_stability(local, start=old)
    assert e.value.curvature == pytest.approx(-0.01, abs=1e-5)


def test_a_search_for_the_smallest_eigenvalue_that_has_not_settled_says_so():
    """400 parameters, A known by products only, and a budget that is too small: the bound is said,
    and that the sign is open.
    """
    values = torch.linspace(1e-3, 2.0, 400)
    J = lambda theta, p: 0.5 * (values * theta).dot(theta) * p[0]
    local = Local(J, torch.zeros(400), torch.ones(1))
    with pytest.warns(RuntimeWarning, match="has not settled.*perhaps below zero") as caught:
        mu, _, error = check_stability(local, max_iterations=5)
    assert f"at most {mu:.2e}" in str(caught[0].message) and mu > 1e-3 and error > 1e-3 * mu
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_stability(local)[0] == pytest.approx(1e-3, rel=1e-3)


def test_float32_is_solved_to_its_rounding():
    """rtol = 1e-8 is beyond float32: the best there is is returned, and no singular A is seen."""
    _, A, _, _ = quadratic(12, 1, 0, spread=2)
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)).float()
    A = A.float()
    got, _ = fe.conjugate_gradient(lambda v: A @ v, A @ x)
    torch.testing.assert_close(got, x, rtol=0, atol=1e-4)  # eps κ = 1e-5


def test_a_preconditioner_that_gives_nan_is_refused():
    with pytest.raises(ValueError, match="gives NaN"):
        fe.conjugate_gradient(
            lambda v: 2 * v,
            torch.ones(5, 1, dtype=torch.float64),
            preconditioner=lambda v: v * torch.nan,
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 24), st.integers(0, 10_000), st.sampled_from([1e-5, 1e-3, 1e-1]))
def test_a_null_direction_on_which_b_acts_is_refused_in_any_basis(n, seed, share):
    """A = Q diag(0, 1e-3 … 1) Qᵀ, b not in its range: no plausible answer comes back."""
    g = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(n, n, generator=g)).Q
    A = (Q[:, 1:] * torch.logspace(-3, 0, n - 1)) @ Q[:, 1:].T
    b = Q[:, 1:] @ torch.randn(n - 1, generator=g)
    b = b / b.norm() + share * Q[:, 0]
    J = lambda th, p: 0.5 * th @ A @ th - th @ b * p[0]
    with pytest.raises((fe.SingularHessian, fe.NegativeCurvature, fe.NotConverged)):
        fe.linear_response(J, torch.zeros(n), torch.zeros(1))


@pytest.mark.parametrize("soft", [1e-4, 1e-6])
def test_a_soft_direction_beside_a_rotation_is_not_taken_for_one(soft):
    """Soft by less than ‖∇J‖/‖θ‖, but ∇J acts there, and b: θ₂ = λ, θ₃ = λ, F_λλ = 0, and from
    afar as well.
    """

    def J(theta, p):
        ring = (theta[:2].square().sum() - 1).square()
        return ring + 0.5 * soft * (theta[2] - p[0]).square() + 0.5 * (theta[3] - p[0]).square()

    p, start = torch.tensor([1.0]), torch.tensor([1.0, 0.0, 0.9, 1.0])
    assert float(fe.minimise(J, start, p).theta[2]) == pytest.approx(1.0, abs=1e-5)
    if soft < 1e-4:  # else it is no equilibrium
        r = fe.linear_response(J, start, p)
        torch.testing.assert_close(r.theta_p[2:, 0], torch.ones(2), rtol=0, atol=1e-6)
        assert float(r.hess.abs()) < 1e-9


@pytest.mark.parametrize("share", [1e-3, 1e-1])
def test_a_null_direction_is_refused_where_J_writes_out_its_hessian(share):
    """With more parameters than A is written out for by products; with no share of it in b the
    answer is that of the least norm.
    """
    n, g = 350, torch.Generator().manual_seed(0)
    Q = torch.linalg.qr(torch.randn(n, n, generator=g)).Q
    A = (Q[:, 1:] * torch.logspace(-3, 0, n - 1)) @ Q[:, 1:].T
    A = 0.5 * (A + A.T)
    b = Q[:, 1:] @ torch.randn(n - 1, generator=g)
    b = b / b.norm()

    class J:
        def __init__(self, b):
            self.b = b

        def __call__(self, th, p):
            return 0.5 * th @ A @ th - th @ self.b * p[0]

        def dense_hessian(self, th, p):
            return A

    with pytest.raises(fe.SingularHessian, match="null direction"):
        fe.linear_response(J(b + share * Q[:, 0]), torch.zeros(n), torch.zeros(1))
    found = fe.linear_response(J(b), torch.zeros(n), torch.zeros(1))
    assert float(found.hess) == pytest.approx(-float(b @ torch.linalg.pinv(A) @ b), rel=1e-6)


def test_the_preconditioner_of_J_is_used_where_A_is_not_written_out(monkeypatch):
    """Fewer than half the iterations, and the same answers: θ_q, Hess F, smallest eigenvalue."""
    x, y = fe.digits(60, classes=(0, 1, 2))
    known = fe.TopographicMap(x, y, 3, grid=7, features=2, ridge=1e-2)
    p = torch.tensor([0.5, 3.0], dtype=x.dtype)
    monkeypatch.setattr(fe.response, "ASSEMBLED", 0)
    monkeypatch.setattr(fe.response, "BY_PRODUCTS", 0)
    e = fe.minimise(known, known.initial(), p)
    r = fe.linear_response(known, e.theta, p)
    plain = fe.linear_response(lambda theta, p: known(theta, p), e.theta, p)
    assert 2 * r.iterations < plain.iterations
    torch.testing.assert_close(r.theta_p, plain.theta_p, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(r.hess, plain.hess, rtol=1e-8, atol=0)
    A = known.dense_hessian(e.theta, p)
    assert r.curvature == pytest.approx(float(torch.linalg.eigvalsh(A)[0]), rel=1e-2)
