"""Checks of chapter 3's exercises: identities and direct sums, with a hint in every failure."""

import math

import torch

from .answers import apart, array, near, number, on_cpu, several


def _problem(seed, n=3, k=5, scale=1.0, offset=0.0):
    """log m (K,), log d and log c (N, K) of random problems; `offset` moves each image's log d by
    another multiple of it.
    """
    g = torch.Generator().manual_seed(seed)
    log_m = torch.log_softmax(torch.randn(k, generator=g, dtype=torch.float64), 0)
    log_d, log_c = (-scale * torch.rand(n, k, generator=g, dtype=torch.float64) for _ in range(2))
    return log_m, log_d + offset * torch.arange(n, dtype=torch.float64)[:, None], log_c


@on_cpu
def check_postcard(postcard):
    """Against the sum of three products, at prices that tell the parts apart."""
    m, d, c = (1 / 2, 1 / 4, 1 / 4), (1 / 8, 1 / 2, 1 / 2), (1 / 2, 1 / 2, 1)
    drawn = (
        6 * torch.rand(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ).tolist()
    prices = [
        (1.0, 1.0),
        (2.0, 0.0),
        (0.0, 0.0),
        (0.5, 3.0),
        (1.7, 0.2),
        (0.0, 40.0),
        (30.0, 0.0),
        *drawn,
    ]
    Z = lambda lam, gam, m=m: sum(a * b**lam * k**gam for a, b, k in zip(m, d, c))
    values = [number(postcard(*p), "postcard") for p in prices]
    close = lambda value, want: near(value, want, 1e-9 * abs(want))
    wrong = [i for i, p in enumerate(prices) if not close(values[i], Z(*p))]
    if not wrong:
        return "right: Z at twelve pairs of prices, and Z = 1 where both are zero"
    same = lambda other: all(close(values[i], other(*prices[i])) for i in wrong)
    if same(lambda lam, gam: Z(gam, lam)):
        raise AssertionError("the prices are exchanged: λ goes with d, γ with c")
    if same(lambda lam, gam: Z(lam, gam, (1, 1, 1))):
        raise AssertionError(
            "the marginal m is missing: at λ = γ = 0 the sum of m must remain, Z = 1"
        )
    if same(lambda lam, gam: sum(a * lam * b * gam * k for a, b, k in zip(m, d, c))):
        raise AssertionError("the prices are exponents, not factors: m d^λ c^γ")
    if same(lambda lam, gam: math.log(Z(lam, gam))) or same(
        lambda lam, gam: -math.log(Z(lam, gam))
    ):
        raise AssertionError("that is log Z or −log Z: return Z itself")
    lam, gam = prices[wrong[0]]
    want, got = apart(Z(lam, gam), values[wrong[0]])
    raise AssertionError(
        f"at (λ, γ) = ({lam:.3g}, {gam:.3g}) the three products m d^λ c^γ add up to "
        f"{want}, you have {got}"
    )


@on_cpu
def check_tempered(tempered):
    """Against the Gaussian read off three values of the energy ½z² + λ(x − wz)²; signs, tiny and
    large λ among the problems.
    """
    drawn = torch.randn(
        4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).tolist()
    problems = [
        (-1.2, 0.6, 2.5),
        (3.0, 1.0, 0.7),
        (3.0, 1.0, 1.0),
        (0.8, 2.0, 0.1),
        (0.7, -1.5, 2.0),
        (2.0, 0.5, 1e-9),
        (-0.4, 1.3, 2e4),
    ]
    for x, w, lam in [*problems, *((x, w, math.exp(s)) for x, w, s in drawn)]:
        answer = several(
            tempered(x, w, lam), "tempered", 2, "two numbers, the mean and the variance"
        )
        got_mean, got_variance = (number(v, "tempered") for v in answer)
        energy = lambda z: 0.5 * z**2 + lam * (x - w * z) ** 2
        precision, slope = energy(1) - 2 * energy(0) + energy(-1), 0.5 * (energy(1) - energy(-1))
        mean, variance = -slope / precision, 1 / precision
        close = lambda a, b: near(a, b, 1e-8 * abs(b), abs(b))  # also a mean of 1e-9 is a number
        right_mean, right_variance = close(got_mean, mean), close(got_variance, variance)
        if right_mean and right_variance:
            continue
        at = f"at x = {x:.3g}, w = {w:.3g}, λ = {lam:.3g}"
        if close(got_mean, variance) and close(got_variance, mean):
            raise AssertionError("the two are exchanged: the mean first, then the variance")
        if not right_variance:
            if close(got_variance, math.sqrt(variance)):
                raise AssertionError("that is the standard deviation: return the variance")
            if close(got_variance, precision):
                raise AssertionError("that is the precision: the variance is its inverse")
            if lam * w and close(got_variance, 1 / (2 * lam * w**2)):
                raise AssertionError("the marginal m is missing: its ½z² belongs to the energy")
            if close(got_variance, 1 / (1 + lam * w**2)):
                raise AssertionError(
                    "a factor 2: −log d = (x − wz)² has no ½, so the precision gains 2λw²"
                )
            variance, got_variance = apart(variance, got_variance)
            raise AssertionError(f"{at} the variance is {variance}, you have {got_variance}")
        if w and close(got_mean, x / w):
            raise AssertionError(
                "the marginal m is missing from the mean: its ½z² belongs to the energy"
            )
        if close(got_mean, -mean):
            raise AssertionError(f"{at} the mean has the wrong sign: it has the sign of w x")
        mean, got_mean = apart(mean, got_mean)
        raise AssertionError(f"{at} the mean is {mean}, you have {got_mean}: complete the square")
    return (
        "right: mean and variance follow from the energy, for either sign of x and w and for "
        "prices from 1e-9 to 20,000"
    )


@on_cpu
def check_gibbs_encoder(gibbs_encoder):
    """Against softmax and logsumexp of −H, on moderate problems and on log-likelihoods of
    thousands, of either sign.
    """
    hard = (
        "exp underflows at −1000 and overflows at +1000: stay in logarithms (logsumexp, softmax), "
        "image by image"
    )
    problems = [
        (_problem(0), 0.7, 2.5, ""),
        (_problem(4, 4, 7), 3.0, 0.4, ""),
        (_problem(5, 1, 2), 0.0, 0.0, ""),
        (_problem(6, offset=-1000.0), 1.0, 2.0, hard),
        (_problem(7, offset=900.0), 1.5, 1.0, hard),
        (_problem(1, scale=3000.0), 0.7, 2.5, hard),
    ]
    for (log_m, log_d, log_c), lam, gam, hint in problems:
        shape = tuple(log_d.shape)
        answer = several(
            gibbs_encoder(log_m.clone(), log_d.clone(), log_c.clone(), lam, gam),
            "gibbs_encoder",
            2,
            "two tensors, e* and log Z",
        )
        e = array(answer[0], "e*", shape, ": the shapes must be (N, K) and (N,)")
        log_z = array(answer[1], "log Z", shape[:1], ": the shapes must be (N, K) and (N,)")
        minus_h = log_m + lam * log_d + gam * log_c
        want, want_z = torch.softmax(minus_h, 1), torch.logsumexp(minus_h, 1)
        size = max(1.0, float(minus_h.abs().max()))
        right_e, right_z = (
            near(e, want, 1e-10, 1.0 if not hint else 20.0),
            near(log_z, want_z, 1e-12 * size, size),
        )
        if right_e and right_z:
            continue
        if hint:
            raise AssertionError(
                f"log-likelihoods near {float(minus_h.min()):.0f}: log Z is "
                f"{float(want_z[-1]):.6g} for the last image, "
                f"you have {float(log_z[-1]):.6g}. {hint}"
                if not right_z
                else f"e* is wrong for large log-likelihoods. {hint}"
            )
        if not right_e:
            if near(e, torch.softmax(minus_h - log_m, 1), 1e-9):
                raise AssertionError("the marginal m is missing: e* ∝ m d^λ c^γ")
            if near(e, torch.softmax(log_m + gam * log_d + lam * log_c, 1), 1e-9):
                raise AssertionError("the prices are exchanged: λ goes with d, γ with c")
            if near(e, torch.softmax(log_m - lam * log_d - gam * log_c, 1), 1e-9):
                raise AssertionError(
                    "the sign: likely codes are probable, e* ∝ exp(+log m + λ log d + γ log c)"
                )
            if near(e, minus_h.exp(), 1e-9):
                raise AssertionError(
                    "not normalised: divide m d^λ c^γ by Z; each row of e* must sum to one, "
                    "over "
                    "the codes"
                )
            assert near(e.sum(1), torch.ones(shape[0]), 1e-9), (
                "each row of e* must sum to one, over the codes"
            )
            worst = (e - want).abs().max()
            raise AssertionError(
                f"e* is not m d^λ c^γ / Z: the largest deviation is {float(worst):.3g}"
            )
        if near(log_z, -want_z, 1e-9):
            raise AssertionError("that is −log Z, the free energy; return log Z")
        if near(log_z, want_z.exp(), 1e-9):
            raise AssertionError("that is Z; return its logarithm")
        raise AssertionError(
            f"log Z is not the log of the sum: {float(want_z[0]):.6g} for the first image, you "
            f"have {float(log_z[0]):.6g}"
        )
    return (
        "right: encoder and log Z on six problems, also for log-likelihoods from −4,000 to +2,700"
    )


@on_cpu
def check_excess(excess):
    """Against Σ e log(e/e*) in logarithms; zero for e* itself; encoders that are certain; codes
    that e* gives exp(−2000).
    """
    problems = [
        (_problem(2), 1.3, 0.8),
        (_problem(8, 4, 6), 0.4, 3.0),
        (_problem(9, offset=-1000.0), 1.0, 1.0),
        (_problem(10, scale=2000.0), 1.0, 2.0),
    ]
    for seed, ((log_m, log_d, log_c), lam, gam) in enumerate(problems):
        n, k = log_d.shape
        minus_h = log_m + lam * log_d + gam * log_c
        log_best, log_z = torch.log_softmax(minus_h, 1), torch.logsumexp(minus_h, 1)
        size = max(1.0, float(minus_h.abs().max()))
        mixed = torch.softmax(
            torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), 1
        )
        certain = torch.eye(k, dtype=torch.float64)[(torch.arange(n) + seed) % k]
        for kind, e in (("mixed", mixed), ("best", log_best.exp()), ("certain", certain)):
            want = (torch.xlogy(e, e) - e * log_best).sum(1)
            got = array(
                excess(e.clone(), log_m.clone(), log_d.clone(), log_c.clone(), lam, gam),
                "excess",
                (n,),
                ": one number an image, shape (N,)",
            )
            if near(got, want, 1e-11 * size, size if seed > 1 else 1.0):
                continue
            if kind == "mixed" and seed < 2:
                if near(got, (log_best.exp() * (log_best - e.log())).sum(1), 1e-9):
                    raise AssertionError(
                        "that is KL(e* ‖ e); the excess is KL(e ‖ e*), averaged under the "
                        "encoder "
                        "that is used"
                    )
                if near(got, want - log_z, 1e-9):
                    raise AssertionError("that is the cost of e; subtract the cost of e*, −log Z")
                if near(got, -want, 1e-9):
                    raise AssertionError(
                        "the sign: e costs more than e*, so the excess is positive"
                    )
                if near(got, want + (e * log_m).sum(1), 1e-9) or near(
                    got, (e * (e.log() - minus_h + log_m)).sum(1), 1e-9
                ):
                    raise AssertionError(
                        "the marginal m is missing from R: its integrand is log(e/m)"
                    )
            if kind == "best":
                raise AssertionError(
                    f"the Gibbs encoder itself has no excess, you have {float(got[0]):.3g}"
                )
            if kind == "certain" and not torch.isfinite(got).all():
                raise AssertionError(
                    "0 log 0 is 0: an encoder may be certain (torch.xlogy), and e* too small "
                    "for "
                    "exp (stay in logarithms)"
                )
            worst = int((got - want).abs().argmax())
            right, found = apart(want[worst], got[worst])
            if seed > 1:
                raise AssertionError(
                    f"for log-likelihoods near {float(minus_h.min()):.0f} the excess is "
                    f"{right}, you have {found}: take log e* by log_softmax, not the logarithm "
                    "of a "
                    "probability that underflows"
                )
            raise AssertionError(
                f"not R + λD + γC less −log Z: {right} for image {worst}, you have {found}"
            )
    return (
        "right: the excess is KL(e ‖ e*), also for certain encoders and for codes that e* all but "
        "excludes"
    )


@on_cpu
def check_ess(effective_sample_size):
    """Equal weights, one dominant weight, known and random mixtures, log weights near ±1000 and
    spread over thousands.
    """

    def ess(log_w):
        # an answer may work in place
        log_w = torch.as_tensor(log_w, dtype=torch.float64).clone()
        return number(effective_sample_size(log_w), "effective_sample_size")

    def value(log_w):
        log_w = torch.as_tensor(log_w, dtype=torch.float64)
        return float(torch.exp(2 * torch.logsumexp(log_w, 0) - torch.logsumexp(2 * log_w, 0)))

    same = lambda got, want, large=0.0: near(got, want, 1e-8 * want, want * max(1.0, large / 30))
    got = ess(torch.zeros(50))
    assert same(got, 50.0), f"50 equal weights are 50 effective samples, not {got:.3g}"
    lone = torch.full((50,), -1e4)
    lone[7] = 0.0
    got = ess(lone)
    assert same(got, 1.0), f"one weight that carries all is 1 effective sample, not {got:.3g}"
    mixed = [math.log(3), 0.0]
    got = ess(mixed)
    if not same(got, 1.6):
        if same(got, 4 / 3):
            raise AssertionError(
                "that is the sum over the largest weight; the effective sample size is (Σw)²/Σw²"
            )
        if same(got, math.exp(math.log(4) - 0.75 * math.log(3))):
            raise AssertionError(
                "that is exp of the entropy; weights 3 and 1 have (3 + 1)²/(9 + 1) = 1.6 "
                "effective samples"
            )
        raise AssertionError(
            f"weights 3 and 1 have (3 + 1)²/(9 + 1) = 1.6 effective samples, you have {got:.4g}"
        )
    drawn = torch.randn(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for log_w in (*drawn, 3 * drawn[0], [0.3], [2.0, 2.0, -1.0]):
        got = ess(log_w)
        assert same(got, value(log_w)), "for {} weights (Σw)²/Σw² is {}, you have {}".format(
            len(log_w), *apart(value(log_w), got)
        )
    for shift in (1000.0, -1000.0):
        for base in (torch.tensor(mixed, dtype=torch.float64), drawn[1]):
            got = ess(base + shift)
            assert same(got, value(base), 1000.0), (
                f"log weights near {shift:.0f}: {value(base):.4g} effective samples, you have "
                f"{got:.4g}. A common factor of the weights must "
                "cancel, also when exp overflows or underflows: subtract the largest log weight "
                "first"
            )
    spread = torch.tensor([0.0, -1.0, -800.0, -3000.0], dtype=torch.float64)
    for log_w in (spread, spread - 5000.0):
        got = ess(log_w)
        assert same(got, value(log_w), 5000.0), (
            f"log weights from 0 to −3000 beside each other: {value(log_w):.4g} effective "
            f"samples, you have {got:.4g}"
        )
    return "right: between 1 and S, and blind to a common factor"
