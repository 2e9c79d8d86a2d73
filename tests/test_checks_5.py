"""The checks of chapter 5: the reference passes, the stub fails helpfully, plausible mistakes are named."""

import pytest
import torch

from fe.checks import chapter5


def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, J_pp - B.T @ theta_p, A, B, J_pp


def wrong_response(change):
    def answer(J, theta, p):
        theta_p, hess, A, B, J_pp = response(J, theta, p)
        return change(theta_p, hess, A, B, J_pp)

    return answer


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t, h, A, B, G: None, "return two tensors"),
        (lambda t, h, A, B, G: (-t, h), "wrong sign"),
        (lambda t, h, A, B, G: (t.T, h), "shape"),
        (lambda t, h, A, B, G: (B, h), "not A⁻¹B"),
        (lambda t, h, A, B, G: (t, G + B.T @ t), "lower F"),
        (lambda t, h, A, B, G: (t, -B.T @ t), "J_pp is missing"),
        (lambda t, h, A, B, G: (t, 2 * h), "not J_pp"),
    ],
)
def test_wrong_responses(change, words):
    with pytest.raises(AssertionError, match=words):
        chapter5.check_response(wrong_response(change))


def test_the_reference_response_passes():
    assert chapter5.check_response(wrong_response(lambda t, h, A, B, G: (t, h))).startswith("right")


@pytest.mark.parametrize(
    "kind, words",
    [
        (lambda path: None, "return 'fold' or 'pitchfork'"),
        (lambda path: "fold", "overlap"),
        (lambda path: "pitchfork", "overlap"),
        (lambda path: "pitchfork" if path.jumps[0].overlap > 0.5 else "fold", "overlap"),
    ],
)
def test_wrong_kinds(kind, words):
    with pytest.raises(AssertionError, match=words):
        chapter5.check_kind(kind)


def test_the_reference_kind_passes():
    assert chapter5.check_kind(lambda path: "pitchfork" if path.jumps[0].overlap < 1e-3 else "fold").startswith("right")


@pytest.mark.parametrize(
    "energy_error, words",
    [
        (lambda a, r, k: None, "stub"),
        (lambda a, r, k: (a[k:] * r[k:]).sum(), "take the root"),
        (lambda a, r, k: (a[:k] * r[:k]).sum().sqrt(), "already done|j ≥ k"),
        (lambda a, r, k: r[k].sqrt(), "j ≥ k"),
    ],
)
def test_wrong_energy_errors(energy_error, words):
    with pytest.raises(AssertionError, match=words):
        chapter5.check_energy_error(energy_error)


def test_the_reference_energy_error_passes():
    assert chapter5.check_energy_error(lambda a, r, k: (a[k:] * r[k:]).sum().sqrt()).startswith("right")
