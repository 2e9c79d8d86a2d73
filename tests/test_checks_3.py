"""The checks of chapter 3: the reference passes, the stub fails helpfully, plausible mistakes are named."""

import pytest
import torch

from fe.checks import chapter3


def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_h = log_m + lam * log_d + gam * log_c
    return torch.softmax(minus_h, 1), torch.logsumexp(minus_h, 1)


def excess(e, log_m, log_d, log_c, lam, gam):
    best, _ = gibbs_encoder(log_m, log_d, log_c, lam, gam)
    return (torch.xlogy(e, e) - e * best.log()).sum(1)


def effective_sample_size(log_w):
    return float(1 / torch.softmax(log_w, 0).square().sum())


def changed(change):
    """The reference encoder with its answer changed: (e*, log Z, log_m, …) -> answer."""
    return lambda *problem: change(*gibbs_encoder(*problem), *problem)


def by_products(log_m, log_d, log_c, lam, gam):
    product = log_m.exp() * log_d.exp() ** lam * log_c.exp() ** gam
    return product / product.sum(1, keepdim=True), product.sum(1).log()


def test_the_references_pass():
    for message in (chapter3.check_gibbs_encoder(gibbs_encoder), chapter3.check_excess(excess), chapter3.check_ess(effective_sample_size)):
        assert message.startswith("right")


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda *problem: None, "return two tensors"),
        (lambda m, d, c, lam, gam: gibbs_encoder(0 * m, d, c, lam, gam), "marginal m is missing"),
        (lambda m, d, c, lam, gam: gibbs_encoder(m, d, c, gam, lam), "prices are exchanged"),
        (changed(lambda e, z, *problem: (e, -z)), "the free energy"),
        (changed(lambda e, z, *problem: (e.T, z)), "shapes"),
        (changed(lambda e, z, *problem: (e / e.sum(0), z)), "sum to one, over the codes"),
        (changed(lambda e, z, *problem: (e, z + 1)), "not the log of the sum"),
        (by_products, "stay in logarithms"),
    ],
)
def test_wrong_encoders(answer, words):
    with pytest.raises(AssertionError, match=words):
        chapter3.check_gibbs_encoder(answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda *problem: None, "stub is not filled in"),
        (lambda e, *problem: (gibbs_encoder(*problem)[0] * (gibbs_encoder(*problem)[0] / e).log()).sum(1), r"KL\(e\* ‖ e\)"),
        (lambda e, *problem: excess(e, *problem) - gibbs_encoder(*problem)[1], "subtract the cost of e"),
        (lambda e, *problem: excess(e, *problem).mean(), "one number an image"),
        (lambda e, *problem: (e * (e / gibbs_encoder(*problem)[0]).log()).sum(1), "0 log 0 is 0"),
        (lambda e, *problem: 2 * excess(e, *problem), "not R"),
    ],
)
def test_wrong_excess(answer, words):
    with pytest.raises(AssertionError, match=words):
        chapter3.check_excess(answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda log_w: None, "stub is not filled in"),
        (lambda log_w: 1 / effective_sample_size(log_w), "50 equal weights"),
        (lambda log_w: float(log_w.exp().sum() / log_w.exp().max()), "over the largest weight"),
        (lambda log_w: float(log_w.exp().sum() ** 2 / log_w.exp().square().sum()), "common factor"),
        (lambda log_w: float(torch.special.entr(torch.softmax(log_w, 0)).sum().exp()), "1.6 effective samples"),
    ],
)
def test_wrong_effective_sample_sizes(answer, words):
    with pytest.raises(AssertionError, match=words):
        chapter3.check_ess(answer)
