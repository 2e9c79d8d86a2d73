"""The checks of chapter 1's exercises: right answers pass, stubs and plausible mistakes are told apart."""

import math

import pytest
import torch

from fe.checks import chapter1


def gaps(p, e, *, weigh=True, shape="right"):
    joint = p[:, None] * e if weigh else e / len(p)
    m, d = joint.sum(0), (joint / joint.sum(0)).T
    return m, d


def bracket(p, energy, m, *, log=torch.log):
    log_z = torch.logsumexp(m.log() - energy, 1)
    log_c = torch.logsumexp(p.log()[:, None] - energy - log_z[:, None], 0)
    G = -(p @ log_z)
    return G - log_c.max(), G


def water(variances, D):
    """By bisection on the level, so that the chapter's solution is not tested against itself."""
    low, high = 0.0, float(variances.max())
    for _ in range(200):
        level = 0.5 * (low + high)
        low, high = (level, high) if float(variances.clamp(max=level).sum()) < D else (low, level)
    return 0.5 * (variances / high).clamp(min=1).log().sum()


def test_reference_solutions_pass():
    assert chapter1.close_gaps(gaps).startswith("holds")
    assert chapter1.bracket(bracket).startswith("holds")
    assert chapter1.gaussian_rate(water).startswith("holds")


@pytest.mark.parametrize("check", [chapter1.close_gaps, chapter1.bracket, chapter1.gaussian_rate])
def test_stubs_are_called_empty(check):
    with pytest.raises(AssertionError, match="stub is still empty"):
        check(lambda *arguments: None)


@pytest.mark.parametrize("answer, hint", [
    (lambda p, e: gaps(p, e, weigh=False), r"weigh each x with p\(x\)"),
    (lambda p, e: (torch.full_like(e[0], 1 / e.shape[1]), gaps(p, e)[1]), "uniform"),
    (lambda p, e: (gaps(p, e)[0], gaps(p, e)[1].T), "transposed"),
    (lambda p, e: (gaps(p, e)[0], e.T / e.T.sum(1, keepdim=True)), "turned round"),
    (lambda p, e: (gaps(p, e)[0], e.T), "turned round"),
    (lambda p, e: (gaps(p, e)[0], (p[:, None] * e).T), "joint law"),
    (lambda p, e: (gaps(p, e)[0], gaps(p, e)[1] ** 2), "not Bayes"),
    (lambda p, e: (gaps(p, e)[0] ** 2, gaps(p, e)[1]), "must vanish"),
    (lambda p, e: gaps(p, e)[0], "two things"),
])
def test_wrong_gaps(answer, hint):
    with pytest.raises(AssertionError, match=hint):
        chapter1.close_gaps(answer)


def changed(function):
    """An answer that gets (log_z, log_c, p, m) and combines them in its own way."""

    def answer(p, energy, m):
        log_z = torch.logsumexp(m.log() - energy, 1)
        return function(log_z, torch.logsumexp(p.log()[:, None] - energy - log_z[:, None], 0), p, m)

    return answer


def underflows(p, energy, m):
    Z = torch.exp(-energy) @ m
    c = (p / Z) @ torch.exp(-energy)
    G = -(p @ Z.log())
    return G - c.log().max(), G


@pytest.mark.parametrize("answer, hint", [
    (changed(lambda z, c, p, m: (p @ z - c.max(), p @ z)), "MINUS"),
    (changed(lambda z, c, p, m: (-z.mean() - c.max(), -z.mean())), "weighed with p"),
    (changed(lambda z, c, p, m: (-(p @ z) - c.exp().max(), -(p @ z))), "not max c"),
    (changed(lambda z, c, p, m: (-(p @ z) + c.max(), -(p @ z))), "subtract the gap"),
    (changed(lambda z, c, p, m: (-(p @ z) - m @ c, -(p @ z))), "certifies nothing"),
    (changed(lambda z, c, p, m: (-(p @ z), -(p @ z))), "above the minimum"),
    (changed(lambda z, c, p, m: (-(p @ z) - 2 * c.max(), -(p @ z))), "not the bound"),
    (underflows, "underflows"),
])
def test_wrong_brackets(answer, hint):
    with pytest.raises(AssertionError, match=hint):
        chapter1.bracket(answer)


def unclamped(variances, D):
    return 0.5 * (variances * len(variances) / D).log().sum()


def never_zero(variances, D):
    level = D / len(variances)
    return 0.5 * (variances / level).clamp(min=1).log().sum()


@pytest.mark.parametrize("answer, hint", [
    (unclamped, "shared evenly"),
    (never_zero, "give D"),
    (lambda v, D: 2 * water(v, D), "½ is missing"),
    (lambda v, D: water(v, D) / math.log(2), "bits"),
    (lambda v, D: water(v, D) if D < 4 else torch.tensor(-0.3), "< 0"),
    (lambda v, D: water(v, D) if D < 4 else None, "no case matched"),
])
def test_wrong_rates(answer, hint):
    with pytest.raises(AssertionError, match=hint):
        chapter1.gaussian_rate(answer)
