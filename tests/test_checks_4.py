"""The checks of chapter 4's exercises: right answers pass, stubs and plausible mistakes are told apart."""

import pytest
import torch

import fe
from fe.checks import chapter4


def covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ (sigma * (U.T @ S @ U) / (a[:, None] + a)) @ U.T


def decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return 0.5 * g @ torch.linalg.solve(A, g)


def energy_gradient(J, theta, p, *, frozen=True, ridge=True, weights=None):
    theta = theta.clone().requires_grad_()
    e = J.posterior(theta, p)
    e = e.detach() if frozen else e
    H = -J.log_joint(theta, p)
    value = (J.weights if weights is None else weights).dot((e * H).sum(1))
    value = value + 0.5 * J.ridge * theta.dot(theta) if ridge else value
    return torch.autograd.grad(value, theta)[0]


def test_reference_solutions_pass():
    assert chapter4.stationary_covariance(covariance).startswith("holds")
    assert chapter4.newton_decrement(decrement).startswith("holds")
    assert chapter4.frozen_gradient(energy_gradient).startswith("holds")


@pytest.mark.parametrize("check", [chapter4.stationary_covariance, chapter4.newton_decrement, chapter4.frozen_gradient])
def test_stubs_are_called_empty(check):
    with pytest.raises(AssertionError, match="stub is still empty"):
        check(lambda *arguments: None)


def in_eigenbasis(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return sigma * (U.T @ S @ U) / (a[:, None] + a)


@pytest.mark.parametrize("answer, hint", [
    (lambda A, S, s: 0.5 * s * torch.linalg.inv(A), "ignores the noise"),
    (lambda A, S, s: 0.5 * s * torch.linalg.solve(A, S), "commute"),
    (lambda A, S, s: 0.5 * covariance(A, S, s), "factor 2 too small"),
    (lambda A, S, s: 2 * covariance(A, S, s), "twice too large"),
    (lambda A, S, s: covariance(A, S, 1.0), "divided by σ"),
    (lambda A, S, s: s * covariance(A, S, s), "multiplied by σ"),
    (in_eigenbasis, "eigenbasis on both sides"),
    (lambda A, S, s: torch.zeros(3), "shape"),
])
def test_wrong_covariances(answer, hint):
    with pytest.raises(AssertionError, match=hint):
        chapter4.stationary_covariance(answer)


def gradient_squared(J, theta, p):
    return torch.func.grad(J)(theta, p).square().sum()


def multiplied(J, theta, p):
    g = torch.func.grad(J)(theta, p)
    return 0.5 * g @ torch.func.jacrev(torch.func.grad(J))(theta, p) @ g


def diagonal(J, theta, p):
    g = torch.func.grad(J)(theta, p)
    return 0.5 * (g.square() / torch.func.jacrev(torch.func.grad(J))(theta, p).diagonal()).sum()


@pytest.mark.parametrize("answer, hint", [
    (lambda *a: 2 * decrement(*a), "½"),
    (lambda *a: -decrement(*a), "sign"),
    (gradient_squared, r"‖g‖²"),
    (lambda *a: 0.5 * gradient_squared(*a), r"½‖g‖²"),
    (multiplied, "solve with A"),
    (diagonal, "on a quadratic"),
])
def test_wrong_decrements(answer, hint):
    with pytest.raises(AssertionError, match=hint):
        chapter4.newton_decrement(answer)


def summed(J, theta, p):
    return energy_gradient(J, theta, p, weights=torch.ones_like(J.weights))


def even(J, theta, p):
    return energy_gradient(J, theta, p, weights=torch.full_like(J.weights, 1 / len(J.x)))


@pytest.mark.parametrize("answer, hint", [
    (lambda *a: energy_gradient(*a, frozen=False), "detach"),
    (lambda *a: energy_gradient(*a, ridge=False), "ridge is missing"),
    (lambda *a: -energy_gradient(*a), "sign"),
    (summed, "J.weights"),
    (even, "J.weights"),
    (lambda J, theta, p: energy_gradient(J, theta, p)[:-1], "shape"),
    (lambda J, theta, p: energy_gradient(J, theta, 2 * p), "differs from ∇J"),
])
def test_wrong_gradients(answer, hint):
    with pytest.raises(AssertionError, match=hint):
        chapter4.frozen_gradient(answer)


def test_the_reference_gradient_is_the_librarys():
    x, y = fe.digits(20)
    J = fe.TopographicMap(x, y, grid=5, features=2)
    p = torch.tensor([0.5, 2.0])
    torch.testing.assert_close(energy_gradient(J, J.initial(), p), torch.func.grad(J)(J.initial(), p), rtol=0, atol=1e-12)
