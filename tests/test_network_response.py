"""The Gauss–Newton product against the matrix written out, and network response against Lemma 5
where that is exact.
"""

import pytest
import torch

import fe
from fe import AmortisedObjective, Classifier, Decoder, Encoder, digits
from fe.reproduce.curvature import gauss_newton, network_response, predicted_decrease


def objective(ridge=1e-3, n=20):
    x, y = digits(n)
    members = Encoder((64, 5, 2), None), Decoder((2, 5, 64), None), Classifier((2, 10))
    return AmortisedObjective(
        *(m.double() for m in members), x, y, torch.randn(2, n, 2, dtype=x.dtype), ridge=ridge
    )


def test_the_product_is_the_matrix():
    """Jᵀ H J + ρ with both factors from automatic differentiation of other functions; rounding of
    sums of 3,000 terms.
    """
    J, p = objective(), torch.tensor([0.5, 4.0], dtype=torch.float64)
    theta, x, y, n = J.theta0, J.x, J.y, len(J.x)

    def of_outputs(mu, log_sigma, xhat, logits):
        R = (0.5 * (mu**2 + torch.exp(2 * log_sigma) - 1) - log_sigma).sum() / n
        D = (x - xhat).square().sum() / (2 * n)
        return (
            R
            + p[0] * D
            + p[1] * torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.repeat(2))
        )

    o = J.outputs(theta)
    shapes, sizes = [v.shape for v in o], [v.numel() for v in o]

    def flat(vector):
        return of_outputs(*(v.view(s) for v, s in zip(vector.split(sizes), shapes)))

    jacobian = torch.func.jacrev(lambda t: torch.cat([v.flatten() for v in J.outputs(t)]))(theta)
    hessian = torch.func.jacrev(torch.func.grad(flat))(torch.cat([v.flatten() for v in o]))
    eye = torch.eye(len(theta), dtype=theta.dtype)
    expected = jacobian.T @ hessian @ jacobian + J.ridge * eye
    found = gauss_newton(J, theta, p)(eye)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert float(torch.linalg.eigvalsh(found)[0]) > 0.99 * J.ridge


def test_the_predicted_decrease_is_that_of_the_matrix():
    """½ gᵀG⁻¹g with G written out; far from rest it is not the gradient's square or zero."""
    J, p = objective(ridge=0.1), torch.tensor([0.5, 4.0], dtype=torch.float64)
    g = torch.func.grad(J)(J.theta0, p)
    G = gauss_newton(J, J.theta0, p)(torch.eye(len(g), dtype=g.dtype))
    expected = 0.5 * float(g @ torch.linalg.solve(G, g))
    assert predicted_decrease(J, J.theta0, p, rtol=1e-6) == pytest.approx(expected, rel=1e-6)
    assert predicted_decrease(J, J.theta0, p) == pytest.approx(expected, rel=1e-2)


class Smooth(torch.nn.Module):
    """An encoder without kinks, so that Newton's method arrives."""

    def __init__(self):
        super().__init__()
        self.f = torch.nn.Linear(64, 2)

    def forward(self, x):
        return self.f(x).chunk(2, 1)


def test_at_a_minimum_it_is_lemma_5():
    x, y = digits(60)
    modules = Smooth().double(), torch.nn.Linear(1, 64).double(), torch.nn.Linear(1, 10).double()
    J, p = (
        AmortisedObjective(*modules, x, y, torch.randn(4, 60, 1, dtype=x.dtype), ridge=1e-2),
        torch.tensor([0.5, 4.0], dtype=x.dtype),
    )
    e = fe.minimise(J, J.theta0, p, tol=1e-9)
    exact = fe.linear_response(J, e.theta, p, rtol=1e-9).hess
    found = network_response(J, e.theta, p, damping=0.0, rtol=1e-7, max_iterations=2000)
    assert found.matrix == "Hessian"
    # two solves, errors 1e-7 and 1e-9 in the energy norm: their squares in bᵀA⁻¹b, but cross terms
    # of C_λ cancel: 1e-5
    torch.testing.assert_close(found.hess, exact, rtol=1e-5, atol=1e-7)
    # away from it the Hessian is indefinite, and the answer says that it used the other matrix
    torch.manual_seed(3)
    far = network_response(J, e.theta + 0.5 * torch.randn_like(e.theta), p, damping=1e-2)
    assert far.matrix == "Gauss-Newton"
    assert (
        float(torch.linalg.eigvalsh(far.hess)[1]) <= 0
    )  # −Bᵀ A⁻¹ B with A > 0: concave whatever θ is
    with pytest.raises(ValueError, match="damping"):
        network_response(J, e.theta, p, damping=-1.0)
