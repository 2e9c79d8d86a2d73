"""The checks of chapter 3: the reference passes, the stub fails helpfully, plausible mistakes are named."""

import pytest
import torch

from fe.checks import chapter3


def encoder(log_m, log_d, log_c, lam, gam):
    minus_h = log_m + lam * log_d + gam * log_c
    return torch.softmax(minus_h, 1), torch.logsumexp(minus_h, 1)


def naive(log_m, log_d, log_c, lam, gam):
    product = (log_m + lam * log_d + gam * log_c).exp()
    return product / product.sum(1, keepdim=True), product.sum(1).log()


def test_the_reference_encoder_passes():
    assert chapter3.check_gibbs_encoder(encoder).startswith("right")


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda *a: None, "return two tensors"),
        (lambda m, d, c, l, g: encoder(0 * m, d, c, l, g), "marginal m is missing"),
        (lambda m, d, c, l, g: encoder(m, d, c, g, l), "exchanged"),
        (lambda m, d, c, l, g: ((m + l * d + g * c).exp(), encoder(m, d, c, l, g)[1]), "sum to one"),
        (lambda *a: (encoder(*a)[0], -encoder(*a)[1]), "free energy"),
        (naive, "underflows"),
    ],
)
def test_wrong_encoders(wrong, words):
    with pytest.raises(AssertionError, match=words):
        chapter3.check_gibbs_encoder(wrong)


def excess(e, *problem):
    best, _ = encoder(*problem)
    return (torch.xlogy(e, e) - e * best.log()).sum(1)


def test_the_reference_excess_passes():
    assert chapter3.check_excess(excess).startswith("right")


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda e, *p: None, "stub"),
        (lambda e, *p: (encoder(*p)[0] * (encoder(*p)[0].log() - e.log())).sum(1), "KL\\(e\\* ‖ e\\)"),
        (lambda e, *p: excess(e, *p) - encoder(*p)[1], "subtract the cost"),
        (lambda e, *p: excess(e, *p).mean(), "one number an image"),
        (lambda e, *p: (e * (e.log() - encoder(*p)[0].log())).sum(1), "0 log 0"),
    ],
)
def test_wrong_excesses(wrong, words):
    with pytest.raises(AssertionError, match=words):
        chapter3.check_excess(wrong)


def test_the_reference_ess_passes():
    assert chapter3.check_ess(lambda w: float(1 / torch.softmax(w, 0).square().sum())).startswith("right")


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda w: None, "stub"),
        (lambda w: float(len(w)), "carries all"),
        (lambda w: float(1 / torch.softmax(w, 0).max()), "over the largest"),
        (lambda w: float(w.exp().sum() ** 2 / w.exp().square().sum()), "common factor"),
    ],
)
def test_wrong_ess(wrong, words):
    with pytest.raises(AssertionError, match=words):
        chapter3.check_ess(wrong)
