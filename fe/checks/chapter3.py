"""Checks of chapter 3's exercises: identities and direct sums, with a hint in every failure."""

import math

import torch


def _problem(seed, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    log_m = torch.log_softmax(torch.randn(5, generator=g, dtype=torch.float64), 0)
    log_d, log_c = (-scale * torch.rand(3, 5, generator=g, dtype=torch.float64) for _ in range(2))
    return log_m, log_d, log_c


def check_postcard(postcard):
    """Against the sum of three products, at prices that tell the parts apart."""
    m, d, c = (1 / 2, 1 / 4, 1 / 4), (1 / 8, 1 / 2, 1 / 2), (1 / 2, 1 / 2, 1)
    prices = (1, 1), (2, 0), (0, 0), (0.5, 3.0), (1.7, 0.2)
    Z = lambda lam, gam, m=m: sum(a * b**lam * k**gam for a, b, k in zip(m, d, c))
    values = [postcard(*p) for p in prices]
    assert None not in values, "postcard returned None: the stub is not filled in"
    values = [float(v) for v in values]
    same = lambda other: all(abs(a - b) < 1e-12 for a, b in zip(values, other))
    if same(Z(lam, gam) for lam, gam in prices):
        return "right: Z at five pairs of prices, and Z = 1 where both are zero"
    if same(Z(gam, lam) for lam, gam in prices):
        raise AssertionError("the prices are exchanged: λ goes with d, γ with c")
    if same(Z(lam, gam, (1, 1, 1)) for lam, gam in prices):
        raise AssertionError("the marginal m is missing: at λ = γ = 0 the sum of m must remain, Z = 1")
    if same(sum(a * lam * b * gam * k for a, b, k in zip(m, d, c)) for lam, gam in prices):
        raise AssertionError("the prices are exponents, not factors: m d^λ c^γ")
    if same(-math.log(Z(lam, gam)) for lam, gam in prices) or same(math.log(Z(lam, gam)) for lam, gam in prices):
        raise AssertionError("that is log Z or −log Z: return Z itself")
    at = next(i for i, p in enumerate(prices) if abs(values[i] - Z(*p)) >= 1e-12)
    raise AssertionError(f"at (λ, γ) = {prices[at]} the three products m d^λ c^γ add up to {Z(*prices[at]):.6f}, you have {values[at]:.6f}")


def check_tempered(tempered):
    """Against the mean and variance of m d^λ summed on a fine grid of codes."""
    z = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    for x, w, lam in ((-1.2, 0.6, 2.5), (3.0, 1.0, 0.7), (0.8, 2.0, 0.1)):
        answer = tempered(x, w, lam)
        assert answer is not None, "tempered returned None: the stub is not filled in"
        assert isinstance(answer, (tuple, list)) and len(answer) == 2, "return two numbers, the mean and the variance"
        law = torch.softmax(-0.5 * z.square() - lam * (x - w * z).square(), 0)
        mean = float(law @ z)
        variance = float(law @ (z - mean).square())
        got_mean, got_variance = map(float, answer)
        near = lambda a, b: abs(a - b) < 1e-8 * (1 + abs(b))
        if near(got_variance, math.sqrt(variance)):
            raise AssertionError("that is the standard deviation: return the variance")
        if near(got_variance, 1 / variance):
            raise AssertionError("that is the precision: the variance is its inverse")
        if near(got_variance, 1 / (2 * lam * w**2)) or near(got_mean, x / w):
            raise AssertionError("the marginal m is missing: its ½z² belongs to the energy")
        if near(got_variance, 1 / (1 + lam * w**2)):
            raise AssertionError("a factor 2: −log d = (x − wz)² has no ½, so the precision gains 2λw²")
        assert near(got_variance, variance), f"at x = {x}, w = {w}, λ = {lam} the variance is {variance:.6f}, you have {got_variance:.6f}"
        assert near(got_mean, mean), f"at x = {x}, w = {w}, λ = {lam} the mean is {mean:.6f}, you have {got_mean:.6f}: complete the square"
    return "right: mean and variance agree with sums over a fine grid"


def check_gibbs_encoder(gibbs_encoder):
    """Against the products m d^λ c^γ written out, and for log-likelihoods of −1000."""
    log_m, log_d, log_c = _problem(0)
    lam, gam = 0.7, 2.5
    answer = gibbs_encoder(log_m, log_d, log_c, lam, gam)
    assert answer is not None, "gibbs_encoder returned None: the stub is not filled in; return two tensors, e* and log Z"
    assert isinstance(answer, tuple) and len(answer) == 2, "return two tensors, e* and log Z"
    e, log_z = answer
    product = log_m.exp() * log_d.exp() ** lam * log_c.exp() ** gam
    want = product / product.sum(1, keepdim=True)
    assert e.shape == want.shape and log_z.shape == (3,), f"shapes must be (N, K) and (N,), got {tuple(e.shape)} and {tuple(log_z.shape)}"
    if torch.allclose(e, (product / log_m.exp()) / (product / log_m.exp()).sum(1, keepdim=True)):
        raise AssertionError("the marginal m is missing: e* ∝ m d^λ c^γ")
    assert torch.allclose(e.sum(1), torch.ones(3, dtype=e.dtype)), "each row of e* must sum to one, over the codes"
    swapped = log_m.exp() * log_d.exp() ** gam * log_c.exp() ** lam
    if torch.allclose(e, swapped / swapped.sum(1, keepdim=True)):
        raise AssertionError("the prices are exchanged: λ goes with d, γ with c")
    torch.testing.assert_close(e, want, rtol=0, atol=1e-12, msg=lambda m: "e* is not m d^λ c^γ / Z\n" + m)
    if torch.allclose(log_z, -product.sum(1).log()):
        raise AssertionError("that is −log Z, the free energy; return log Z")
    torch.testing.assert_close(log_z, product.sum(1).log(), rtol=0, atol=1e-12, msg=lambda m: "log Z is not the log of the sum\n" + m)
    e, log_z = gibbs_encoder(*_problem(1, 3000.0), lam, gam)
    assert torch.isfinite(log_z).all() and torch.isfinite(e).all(), "exp underflows at −1000: stay in logarithms (logsumexp, softmax)"
    return "right: encoder and log Z agree with the products, and survive −1000"


def check_excess(excess):
    """Against R + λD + γC + log Z computed term by term; zero for e* itself."""
    log_m, log_d, log_c = _problem(2)
    lam, gam = 1.3, 0.8
    minus_h = log_m + lam * log_d + gam * log_c
    best, log_z = torch.softmax(minus_h, 1), torch.logsumexp(minus_h, 1)
    e = torch.softmax(torch.randn(3, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64), 1)
    want = (e * (e.log() - log_m - lam * log_d - gam * log_c)).sum(1) + log_z
    got = excess(e, log_m, log_d, log_c, lam, gam)
    assert got is not None, "excess returned None: the stub is not filled in"
    assert got.shape == (3,), f"one number an image, shape (3,), got {tuple(got.shape)}"
    if torch.allclose(got, (best * (best.log() - e.log())).sum(1)):
        raise AssertionError("that is KL(e* ‖ e); the excess is KL(e ‖ e*), averaged under the encoder that is used")
    if torch.allclose(got, want - log_z):
        raise AssertionError("that is the cost of e; subtract the cost of e*, −log Z")
    torch.testing.assert_close(got, want, rtol=0, atol=1e-12, msg=lambda m: "not R + λD + γC less −log Z\n" + m)
    assert excess(best, log_m, log_d, log_c, lam, gam).abs().max() < 1e-12, "the Gibbs encoder itself has no excess"
    corner = torch.eye(5, dtype=torch.float64)[:3]
    assert torch.isfinite(excess(corner, log_m, log_d, log_c, lam, gam)).all(), "0 log 0 is 0: an encoder may be certain (torch.xlogy)"
    return "right: the excess is KL(e ‖ e*)"


def check_ess(effective_sample_size):
    """Equal weights, one dominant weight, a known mixture, and log weights near ±1000."""
    equal = effective_sample_size(torch.zeros(50, dtype=torch.float64))
    assert equal is not None, "effective_sample_size returned None: the stub is not filled in"
    assert abs(float(equal) - 50) < 1e-9, f"50 equal weights are 50 effective samples, not {float(equal):.3g}"
    lone = torch.full((50,), -1e4, dtype=torch.float64)
    lone[7] = 0.0
    assert abs(float(effective_sample_size(lone)) - 1) < 1e-9, "one weight that carries all is 1 effective sample"
    mixed = torch.tensor([math.log(3), 0.0], dtype=torch.float64)
    value = float(effective_sample_size(mixed))
    if abs(value - 4 / 3) < 1e-9:
        raise AssertionError("that is the sum over the largest weight; the effective sample size is (Σw)²/Σw²")
    assert abs(value - 1.6) < 1e-9, f"weights 3 and 1 have (3 + 1)²/(9 + 1) = 1.6 effective samples, you have {value:.4g}"
    for shift in (1000.0, -1000.0):
        value = float(effective_sample_size(mixed + shift))
        assert math.isfinite(value) and abs(value - 1.6) < 1e-9, "a common factor of the weights must cancel, also when exp overflows: subtract the largest log weight first"
    return "right: between 1 and S, and blind to a common factor"
