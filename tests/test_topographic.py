"""The map on real digits: Lemma 5's written-out expectations, eq. (21), finite differences,
Maxwell, and bad input.
"""

import math

import pytest
import torch

import fe
from fe.response import Local

P = torch.tensor([0.5, 3.0], dtype=torch.float64)


@pytest.fixture(scope="module")
def small():
    """60 digits of three classes in their first 6 pixels with variance: P = 5·(6 + 3) = 45, dense
    algebra is cheap.
    """
    x, y = fe.digits(60, classes=(0, 1, 2))
    x = x[:, x.var(0).argsort(descending=True)[:6]].contiguous()
    J = fe.TopographicMap(x, y, 3, grid=9, features=2, ridge=1e-2)
    return J, fe.minimise(J, J.initial(), P)


@pytest.fixture(scope="module")
def full():
    """1,000 digits, 1,258 parameters."""
    x, y = fe.digits(1000)
    J = fe.TopographicMap(x, y)
    return J, fe.minimise(J, J.initial(), torch.tensor([0.25, 4.0]))


def hamiltonian(J, theta, p):
    return -J.log_joint(theta, p)  # (N, K)


def gibbs(J, theta, p):
    """⟨f⟩ and E⟨f⟩ under the Gibbs law, for f of shape (N, K, …)."""
    e = J.posterior(theta, p)
    return lambda f: torch.einsum("nk,nk...->n...", e, f), lambda f: torch.einsum(
        "n,n...->...", J.weights, f
    )


def test_objective_is_the_sum_written_out(small):
    """J against loops over n and k with the densities written out: rounding only."""
    J, e = small
    W, V = J.unpack(e.theta)
    total = 0.0
    for n in range(0, len(J.x)):
        z = 0.0
        for k in range(len(J.nodes)):
            phi = J.phi[k]
            d = -float((J.x[n] - phi @ W).square().sum())
            c = float((phi @ V)[J.y[n]] - torch.logsumexp(phi @ V, 0))
            z += math.exp(float(J.log_m[k]) + float(P[0]) * d + float(P[1]) * c)
        total -= math.log(z) / len(J.x)
    assert math.isclose(
        total + 0.005 * float(e.theta.dot(e.theta)), float(J(e.theta, P)), rel_tol=1e-12
    )


def test_lemma_5_written_out(small):
    """A, b_λ, b_γ of eq. (17) as expectations under the Gibbs law, against automatic
    differentiation, to 1e-10.
    """
    J, _ = small
    x = J.x[:20, J.x.var(0).argsort(descending=True)[:8]]  # H has (20, 81, 55, 55) derivatives
    J = fe.TopographicMap(x, J.y[:20], 3, grid=9, features=2, ridge=1e-2)
    theta = J.initial() + 0.1 * torch.randn(J.n_parameters)  # Lemma 5 holds off equilibrium too
    bracket, E = gibbs(J, theta, P)
    grad_H = torch.func.jacrev(lambda th: hamiltonian(J, th, P))(theta)  # (N, K, P)
    hess_H = torch.func.hessian(lambda th: hamiltonian(J, th, P))(theta)  # (N, K, P, P)
    mean = bracket(grad_H)
    A = E(
        bracket(hess_H)
        + mean[:, :, None] * mean[:, None, :]
        - bracket(grad_H[..., :, None] * grad_H[..., None, :])
    )
    A = A + J.ridge * torch.eye(len(theta))
    local = Local(J, theta, P)
    auto = local.hvp(torch.eye(len(theta)))
    torch.testing.assert_close(A, auto, rtol=0, atol=1e-10)
    torch.testing.assert_close(J.dense_hessian(theta, P), auto, rtol=0, atol=1e-12)
    labels, weights = torch.randn(len(J.x), 3).softmax(1), torch.randn(len(J.x)).softmax(0)
    soft = J.on(J.x, labels, weights)
    torch.testing.assert_close(
        soft.dense_hessian(theta, P),
        Local(soft, theta, P).hvp(torch.eye(len(theta))),
        rtol=0,
        atol=1e-12,
    )
    B, _ = local.mixed()
    log_d, log_c = J.log_likelihoods(theta)
    grad_d, grad_c = torch.func.jacrev(lambda th: J.log_likelihoods(th))(theta)
    for q, (dH, d_grad) in enumerate([(-log_d, -grad_d), (-log_c, -grad_c)]):
        b = -E(bracket(d_grad) - bracket(dH[..., None] * grad_H) + bracket(dH)[:, None] * mean)
        torch.testing.assert_close(B[:, q], b, rtol=0, atol=1e-10)


def test_equation_21_written_out(small):
    """C_λ and C_γ of eq. (21) against the second row of Hess F. Both sides are exact to rounding
    times 1/ridge.
    """
    J, e = small
    r = fe.linear_response(J, e.theta, P, rtol=1e-13)
    bracket, E = gibbs(J, e.theta, P)
    log_d, ell = J.log_likelihoods(e.theta)
    grad_H = torch.func.jacrev(lambda th: hamiltonian(J, th, P))(e.theta)
    grad_ell = torch.func.jacrev(lambda th: J.log_likelihoods(th)[1])(e.theta)
    for q, dH in enumerate([-log_d, -ell]):
        along = grad_H @ r.theta_p[:, q]
        C_q = -E(
            bracket(dH) * bracket(ell)
            - bracket(ell * dH)
            + bracket(along) * bracket(ell)
            - bracket(ell * along)
            + bracket(grad_ell @ r.theta_p[:, q])
        )
        torch.testing.assert_close(C_q, r.hess[1, q], rtol=0, atol=1e-10)


def test_hess_f_against_reminimised_differences(small):
    J, e = small
    r = fe.linear_response(J, e.theta, P, rtol=1e-12)
    h = 1e-3
    for q in range(2):
        ends = []
        for sign in (1, -1):
            p = P + sign * h * torch.eye(2)[q]
            there = fe.minimise(J, e.theta + sign * h * r.theta_p[:, q], p, tol=1e-12)
            ends.append(fe.functionals(J, there.theta, p))
        difference = torch.stack([(a - b) / (2 * h) for a, b in zip(ends[0][2:], ends[1][2:])])
        # central differences: h² F'''' ≈ 1e-6 times numbers of order one
        torch.testing.assert_close(difference, r.hess[:, q], rtol=0, atol=1e-6)
    assert r.maxwell < 1e-8
    assert torch.linalg.eigvalsh(r.hess).max() <= 0  # F is concave (Lemma 3)


def test_functionals_and_the_dual_hessian(small):
    """The bare R is KL(e‖m) by its definition; with the ridge Hess R · Hess F = −I (Lemma 3, App.
    B).
    """
    J, e = small
    f = fe.functionals(J, e.theta, P)
    posterior = J.posterior(e.theta, P)
    kl = J.weights @ (posterior * (posterior.log() - J.log_m)).sum(1)
    torch.testing.assert_close(J.bare_rate(e.theta, P), kl, rtol=0, atol=1e-12)
    log_d, log_c = J.log_likelihoods(e.theta)
    torch.testing.assert_close(
        f.distortion, -J.weights @ (posterior * log_d).sum(1), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(
        f.classification, -J.weights @ (posterior * log_c).sum(1), rtol=0, atol=1e-12
    )
    hess_f = fe.linear_response(J, e.theta, P, rtol=1e-12).hess
    # R̃ = R + ½ρ‖θ*‖² as a function of (D, C) has slopes −λ, −γ. Solve (D, C)(p) = target ± h for p
    # by Newton and read λ and γ off: the Jacobian of −p in (D, C) is Hess R̃, found without
    # inverting Hess F's formula at the centre
    centre, h = torch.stack([f.distortion, f.classification]), 1e-4

    def controls_at(target):
        p, theta = P.clone(), e.theta
        for _ in range(20):
            now = fe.minimise(J, theta, p, tol=1e-12)
            dp = torch.linalg.solve(
                hess_f, target - torch.stack(list(fe.functionals(J, now.theta, p)[2:]))
            )
            p, theta = p + dp, now.theta
            if dp.abs().max() < 1e-11:
                return p
        raise AssertionError("chord iteration did not settle")

    hess_r = torch.stack(
        [-(controls_at(centre + s) - controls_at(centre - s)) / (2 * h) for s in h * torch.eye(2)],
        1,
    )
    # truncation: third derivatives of R (about 1/F_γγ³ F_γγγ) times h²
    torch.testing.assert_close(hess_r @ hess_f, -torch.eye(2), rtol=0, atol=1e-4)


def test_full_size_equilibrium_and_response(full):
    """1,000 images, 1,258 parameters: ‖∇J‖ ≤ 1e-10, Maxwell 1e-8, derivatives within 1e-5 of
    re-minimised differences.
    """
    J, e = full
    assert J.n_parameters >= 1000 and e.gradient_norm <= 1e-10 and e.curvature > 0
    r = fe.linear_response(J, e.theta, e.p)
    assert r.maxwell < 1e-8
    h = 2e-4
    for q, scale in enumerate((1.0, 10.0)):
        ends = []
        for sign in (1, -1):
            step = sign * h * scale * torch.eye(2)[q]
            theta = e.theta + r.theta_p @ step
            there = fe.minimise(J, theta, e.p + step, tol=1e-12)
            ends.append(torch.stack(list(fe.functionals(J, there.theta, there.p)[2:])))
        difference = (ends[0] - ends[1]) / (2 * h * scale)
        # truncation h²/6 · F''''/F'' stays below 1e-6 for these h; rounding 1e-14/h = 1e-10 against
        # entries ≥ 0.02
        torch.testing.assert_close(difference, r.hess[:, q], rtol=1e-5, atol=0)


def test_rotating_the_images_changes_nothing(small):
    """x → xQ with W → WQ leaves J as it is: the theory sees distances only."""
    J, e = small
    Q = torch.linalg.qr(torch.randn(6, 6)).Q
    turned = fe.TopographicMap(J.x @ Q, J.y, 3, grid=9, features=2, ridge=1e-2)
    W, V = J.unpack(e.theta)
    theta = torch.cat([(W @ Q).flatten(), V.flatten()])
    torch.testing.assert_close(turned(theta, P), J(e.theta, P), rtol=0, atol=1e-13)


def test_without_a_ridge_the_softmax_shift_is_a_null_direction(small):
    """Adding one number to every class of a feature changes nothing: M null directions, met as
    such.
    """
    J, e = small
    bare = fe.TopographicMap(J.x, J.y, 3, grid=9, features=2, ridge=0.0)
    A = Local(bare, e.theta, P).hvp(torch.eye(len(e.theta)))
    _, V = bare.unpack(torch.arange(len(e.theta)).double())
    for feature in range(J.n_features):
        u = torch.zeros(len(e.theta))
        u[V[feature].long()] = 1.0
        assert (A @ u).abs().max() < 1e-13


def test_weights(small):
    """Doubling a weight is repeating an image."""
    J, e = small
    w = torch.full((60,), 1 / 61)
    w[0] = 2 / 61
    twice = fe.TopographicMap(
        torch.cat([J.x, J.x[:1]]), torch.cat([J.y, J.y[:1]]), 3, grid=9, features=2, ridge=1e-2
    )
    weighted = J.on(J.x, J.y, w)
    torch.testing.assert_close(twice(e.theta, P), weighted(e.theta, P), rtol=0, atol=1e-13)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda(small):
    J, e = small
    there = fe.TopographicMap(J.x.cuda(), J.y.cuda(), 3, grid=9, features=2, ridge=1e-2)
    r = fe.linear_response(there, e.theta.cuda(), P.cuda())
    torch.testing.assert_close(
        r.hess.cpu(), fe.linear_response(J, e.theta, P).hess, rtol=0, atol=1e-9
    )


X, Y = torch.rand(10, 4, dtype=torch.float64), torch.arange(10) % 3


@pytest.mark.parametrize(
    "change, error, words",
    [
        (dict(x=X.clone().fill_(float("nan"))), ValueError, "x has 40 NaN"),
        (dict(x=X[:, :, None]), ValueError, "flatten"),
        (dict(x=X[:0], y=Y[:0]), ValueError, "x must have shape .N, D."),
        (dict(x=X.long()), TypeError, "floating"),
        (dict(y=Y.double()), TypeError, "int64"),
        (dict(y=Y[:-1]), ValueError, "y must have shape .10,."),
        (dict(n_classes=2), ValueError, "labels run from 0 to 2"),
        (dict(y=Y - 1), ValueError, "labels run from -1"),
        (dict(ridge=-1.0), ValueError, "ridge"),
        (dict(grid=1), ValueError, "grid"),
    ],
)
def test_bad_input(change, error, words):
    with pytest.raises(error, match=words):
        fe.TopographicMap(**(dict(x=X, y=Y) | change))


def test_wrong_theta_shape():
    with pytest.raises(ValueError, match="theta must have shape"):
        fe.TopographicMap(X, Y)(torch.zeros(3), P)


def test_digits():
    x, y = fe.digits(100, classes=range(5))
    assert (
        x.shape == (100, 64)
        and x.min() >= 0
        and x.max() == 1
        and set(y.tolist()) == {0, 1, 2, 3, 4}
    )
    assert torch.equal(fe.digits(5)[0], fe.digits(10)[0][:5])
    for bad in (dict(n=0), dict(n=2000), dict(classes=[11]), dict(classes=[])):
        with pytest.raises(ValueError):
            fe.digits(**bad)
