"""Functionals as derivatives of J, on objectives whose R, D and C are known independently."""

import pytest
import torch

import fe


def amortised(theta, p):
    """R + λD + γC with R = ½‖θ‖², D = Σ(θ − 1)², C = Σ cos θ: the parts are known by
    construction.
    """
    return 0.5 * theta.dot(theta) + p[0] * (theta - 1).square().sum() + p[1] * theta.cos().sum()


THETA, P = (
    torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64),
    torch.tensor([0.7, 2.5], dtype=torch.float64),
)


def test_functionals_are_the_parts():
    f = fe.functionals(amortised, THETA, P)
    # sums of a few numbers of order one: only rounding separates the two sides
    torch.testing.assert_close(f.rate, 0.5 * THETA.dot(THETA), rtol=0, atol=1e-14)
    torch.testing.assert_close(f.distortion, (THETA - 1).square().sum(), rtol=0, atol=1e-14)
    torch.testing.assert_close(f.classification, THETA.cos().sum(), rtol=0, atol=1e-14)


def test_the_rate_carries_the_ridge():
    plain, ridged = (
        fe.functionals(amortised, THETA, P),
        fe.functionals(fe.Ridge(amortised, 0.4), THETA, P),
    )
    for name in ("distortion", "classification"):
        torch.testing.assert_close(getattr(ridged, name), getattr(plain, name), rtol=0, atol=1e-14)
    for name in ("objective", "rate"):
        torch.testing.assert_close(
            getattr(ridged, name) - getattr(plain, name), 0.2 * THETA.dot(THETA), rtol=0, atol=1e-14
        )
    torch.testing.assert_close(
        fe.Ridge(amortised, 0.4).bare_rate(THETA, P), plain.rate, rtol=0, atol=1e-14
    )


def test_the_rate_needs_no_attribute_of_the_objective():
    """A factory, or a reader's own J, that hides its ridge gets the same R as a model that knows
    it.
    """
    x, y = torch.rand(6, 4), torch.tensor([0, 1, 0, 1, 1, 0])
    task = fe.Mixture((x[:3], y[:3]), (x[3:], y[3:]))
    model = fe.TopographicMap(x, y, 2, grid=5, features=2, ridge=0.1)
    theta, p = model.initial(), torch.tensor([0.7, 2.0, 0.4])
    known, factory = (
        fe.TaskObjective(model, task),
        fe.TaskObjective(lambda *data: model.on(*data), task),
    )
    for J in (known, factory, lambda theta, p: known(theta, p)):
        f = fe.functionals(J, theta, p)
        torch.testing.assert_close(
            f.rate,
            known.at(0.4).bare_rate(theta, p[:2]) + 0.05 * theta.dot(theta),
            rtol=0,
            atol=1e-12,
        )


@pytest.mark.parametrize(
    "J, got",
    [
        (lambda theta, p: 1.0, "float"),
        (lambda theta, p: (theta.dot(theta) * p.sum())[None], r"torch.Size\(\[1\]\)"),
    ],
)
def test_an_objective_returns_a_scalar_tensor(J, got):
    for use in (fe.functionals, fe.minimise, fe.linear_response):
        with pytest.raises(ValueError, match=f"J must return a scalar tensor, got {got}"):
            use(J, THETA, P)


def test_one_control_has_no_classifier():
    f = fe.functionals(lambda theta, p: theta.dot(theta) + p[0] * theta.sum(), THETA, P[:1])
    assert f.classification == 0
    torch.testing.assert_close(f.rate, THETA.dot(THETA))


def test_flatten_round_trip():
    nets = (
        torch.nn.Linear(3, 2),
        torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)),
    )
    theta, unflatten = fe.flatten(*nets)
    x = torch.randn(5, 3)
    first, second = unflatten(theta)
    out = torch.func.functional_call(
        nets[1], second, (torch.func.functional_call(nets[0], first, (x,)),)
    )
    assert torch.equal(out, nets[1](nets[0](x)))
    with pytest.raises(ValueError, match="expects"):
        unflatten(theta[:-1])
    with pytest.raises(ValueError, match="no parameters"):
        fe.flatten(torch.nn.ReLU())


@pytest.mark.parametrize(
    "theta, p, error, words",
    [
        (THETA, torch.tensor([-0.1, 1.0]), ValueError, "λ = -0.1"),
        (THETA, torch.tensor([0.1, -1.0]), ValueError, "γ = -1"),
        (THETA, torch.tensor([float("nan"), 1.0]), ValueError, "NaN"),
        (torch.tensor([1.0, float("inf")]), P, ValueError, "theta has 1 NaN or infinite"),
        (THETA, P.float(), TypeError, "float32"),
        (THETA.long(), P, TypeError, "floating"),
        (THETA[None], P, ValueError, "theta must have shape .P,., got .1, 3."),
        (THETA, (0.1, 1.0), TypeError, "torch.Tensor"),
        (THETA[:0], P, ValueError, "theta must have shape .P,., got .0,."),
    ],
)
def test_bad_input(theta, p, error, words):
    with pytest.raises(error, match=words):
        fe.functionals(amortised, theta, p)


def test_bad_ridge():
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="ridge must be"):
            fe.Ridge(amortised, bad)
