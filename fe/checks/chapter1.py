"""Checks of chapter 1's exercises. Each takes the reader's function, raises `AssertionError` with a hint, or says what is right."""

import math

import torch

from .. import finite

F64 = torch.float64


def _law(generator, *shape):
    return torch.softmax(torch.randn(*shape, generator=generator, dtype=F64), -1)


def _several(value, name, number="two", n=2):
    if value is None:
        raise AssertionError(f"{name} returned None: the stub is not filled in")
    if not isinstance(value, (tuple, list)) or len(value) != n:
        raise AssertionError(f"{name} must return {number} things, got {type(value).__name__}")
    return value


def check_convert(convert):
    """Against one code of random images whose three numbers are computed in both conventions."""
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(6, 9, generator=generator, dtype=F64)  # pixels from 0 to 1
    drawings, m = torch.rand(4, 9, generator=generator, dtype=F64), _law(generator, 4)
    ours = torch.cdist(x, drawings).square()
    theirs = 0.5 * torch.cdist(255 * x, 255 * drawings).square()
    p = torch.full((6,), 1 / 6, dtype=F64)
    for lam_theirs in (1e-4, 3e-5):
        e = torch.softmax(m.log() - lam_theirs * theirs, 1)  # the best encoder at the colleague's price
        R, D, D_theirs = finite.rate(p, e, m), float(finite.expected(p, e, ours)), float(finite.expected(p, e, theirs))
        lam, rate, distortion = map(float, _several(convert(lam_theirs, float(R), D_theirs), "convert", "three", 3))
        if abs(rate - float(R)) > 1e-9:
            raise AssertionError("the rate needs no conversion: a relative entropy does not change with the unit of x")
        if abs(distortion - D) > 1e-9 * D:
            for wrong, hint in (
                (D_theirs, "D is not converted: its unit is the square of a pixel's"),
                (D_theirs / 255**2, "the ½ is missing: D' = ½ · 255² D"),
                (D_theirs / 255**2 / 2, "the ½ is on the wrong side: D' = ½ · 255² D, so D is twice D' over 255²"),
                (2 * D_theirs / 255, "pixels are squared, and so is the factor 255"),
            ):
                if abs(distortion / wrong - 1) < 1e-9:
                    raise AssertionError(hint)
            raise AssertionError(f"one code of six images has D = {D:.6g} with pixels from 0 to 1, you have {distortion:.6g}")
        if abs(lam * distortion - lam_theirs * D_theirs) > 1e-9 * lam_theirs * D_theirs:
            raise AssertionError(f"λD is a rate and must not change: λ'D' = {lam_theirs * D_theirs:.6g}, you have λD = {lam * distortion:.6g}")
        assert torch.allclose(torch.softmax(m.log() - lam * ours, 1), e, rtol=0, atol=1e-9)
    return "right: the same code, the same encoder, the same R + λD in both conventions"


def check_close_gaps(close_gaps):
    """Exercise: the marginal e(z) and the decoder e(x|z), which make both bounds of eq. (2) tight."""
    generator = torch.Generator().manual_seed(1)
    for X, Z in ((3, 2), (4, 4), (2, 5)):
        p, e = _law(generator, X), _law(generator, X, Z)
        m, d = _several(close_gaps(p, e), "close_gaps")
        joint = p[:, None] * e
        right_m, right_d = joint.sum(0), (joint / joint.sum(0)).T
        if m.shape != (Z,):
            raise AssertionError(f"the marginal must have shape ({Z},), one number a note, got {tuple(m.shape)}")
        if not torch.allclose(m, right_m, rtol=0, atol=1e-12):  # sums of five terms
            if torch.allclose(m, e.mean(0), rtol=0, atol=1e-12):
                raise AssertionError("the marginal averages e(z|x) evenly over x: weigh each x with p(x)")
            if torch.allclose(m, torch.full_like(m, 1 / Z), rtol=0, atol=1e-12):
                raise AssertionError("the marginal is uniform: R − I = KL(e(z)‖m(z)) vanishes only at m(z) = e(z)")
            raise AssertionError(f"R − I = KL(e(z)‖m(z)) must vanish: the marginal is off by {float((m - right_m).abs().max()):.2g}")
        if d.shape != (Z, X):
            hint = "; is it transposed?" if d.shape == (X, Z) else ""
            raise AssertionError(f"the decoder must have shape (Z, X) = ({Z}, {X}), got {tuple(d.shape)}{hint}")
        if not torch.allclose(d, right_d, rtol=0, atol=1e-12):
            if torch.allclose(d, e.T, rtol=0, atol=1e-12) or torch.allclose(d, e.T / e.T.sum(1, keepdim=True), rtol=0, atol=1e-12):
                raise AssertionError("the decoder is the encoder turned round, without p(x): Bayes' rule weighs each x with p(x)")
            if X == Z and torch.allclose(d, right_d.T, rtol=0, atol=1e-12):
                raise AssertionError("the decoder is transposed: rows are notes z, and each row sums to 1 over x")
            if torch.allclose(d, joint.T, rtol=0, atol=1e-12):
                raise AssertionError("this is the joint law p(x) e(z|x): divide by e(z), so that each row sums to 1")
            raise AssertionError("I − (H − D) must vanish: the decoder is not Bayes' rule e(x|z) = p(x) e(z|x) / e(z)")
        D = finite.expected(p, e, -d.log().T)
        assert abs(float(D - finite.conditional_entropy(p, e))) < 1e-12
    return "right: R = I and D = H − I for three random encoders"


def check_bracket(bracket):
    """Exercise: [G(m) − max log c, G(m)] from any marginal."""
    generator = torch.Generator().manual_seed(2)
    for X, Z, size in ((2, 2, 1.0), (5, 3, 3.0), (4, 6, 900.0)):
        p, energy, m = _law(generator, X), size * (1 + torch.rand(X, Z, generator=generator, dtype=F64)), _law(generator, Z)
        lower, upper = map(float, _several(bracket(p, energy, m), "bracket"))
        if not (math.isfinite(lower) and math.isfinite(upper)):
            raise AssertionError("not finite at energies of several hundred: exp(−energy) underflows, use torch.logsumexp")
        log_z = torch.logsumexp(m.log() - energy, 1)
        log_c = torch.logsumexp(p.log()[:, None] - energy - log_z[:, None], 0)
        G, gap, tol = float(-(p @ log_z)), float(log_c.max()), 1e-11 * max(1.0, size)
        if abs(upper + G) < tol:
            raise AssertionError("the sign: G is MINUS the average of log Z")
        if abs(upper - float(-log_z.mean())) < tol:
            raise AssertionError("the average over x must be weighed with p(x)")
        if abs(upper - G) > tol:
            raise AssertionError(f"the upper end is G(m) = −Σ p(x) log Z(x) = {G:.4f}, got {upper:.4f}")
        if abs(lower - (G - float(log_c.exp().max()))) < tol:
            raise AssertionError("subtract max log c, not max c")
        if abs(lower - (G + gap)) < tol:
            raise AssertionError("the lower end lies above the upper one: subtract the gap")
        if abs(lower - (G - float(m @ log_c.exp()))) < tol or abs(lower - (G - float(m @ log_c))) < tol:
            raise AssertionError("an average over m of c is always 1 and certifies nothing: take the largest log c over z")
        if abs(lower - (G - gap)) > tol:
            best = finite.blahut_arimoto(p, energy, tol=1e-9)
            what = "it is even above the minimum" if lower > float(best.value) + 1e-9 else "it is below the minimum, but not the bound of the chapter"
            raise AssertionError(f"the lower end is G − max log c = {G - gap:.4f}, got {lower:.4f}; {what}")
    return "right: the minimum lies between the two numbers, also at energies of several hundred"


def check_gaussian_rate(gaussian_rate):
    """Exercise: R(D) of a Gaussian source by reverse water-filling."""
    variances = torch.tensor([0.25, 4.0, 1.0], dtype=F64)
    for D, level in ((1.5, 5 / 8), (0.3, 0.1), (3.0, 1.75), (2.25, 1.0), (5.25, None), (7.0, None)):
        got = gaussian_rate(variances, D)
        if got is None:
            raise AssertionError("gaussian_rate returned None: the stub is not filled in, or no case matched")
        right = 0.0 if level is None else 0.5 * float((variances / level).clamp(min=1).log().sum())
        got = float(got)
        if abs(got - right) < 1e-9:  # closed form; bisection is welcome if it goes on to the end
            continue
        spread = 0.5 * float((variances * len(variances) / D).log().sum())
        if abs(got - spread) < 1e-9:
            raise AssertionError(f"at D = {D} the distortion is shared evenly: no direction can be worse than its own variance, the level must rise in the others")
        if abs(got - 2 * right) < 1e-9:
            raise AssertionError("the ½ is missing: a direction costs ½ log(σ²/level)")
        if abs(got - right / math.log(2)) < 1e-9:
            raise AssertionError("this is in bits: use natural logarithms")
        if got < 0:
            raise AssertionError(f"R(D) = {got:.3f} < 0 at D = {D}: a direction below the level, or D above the total variance, costs nothing")
        raise AssertionError(f"R({D}) = {right:.4f} nats for variances 4, 1, ¼; got {got:.4f}. Does Σ min(σ², level) give D?")
    return "right: six distortions, from all directions in use to none"


def check_first_split(first_split):
    """Against c(μ + v) summed over the data, for small v along the directions of largest variance."""
    for seed, shape in ((5, (40, 3)), (6, (25, 8))):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(shape, generator=generator, dtype=F64) * (1 + torch.arange(shape[1], dtype=F64)) + 3
        answer = first_split(x)
        if answer is None:
            raise AssertionError("first_split returned None: the stub is not filled in")
        answer, centred = float(answer), x - x.mean(0)
        directions = torch.linalg.svd(centred, full_matrices=False)[2]

        def largest(lam):  # log c at short distances from the mean, per unit of |v|²
            v = 1e-4 * directions
            log_c = torch.logsumexp(lam * (2 * centred @ v.T - v.square().sum(1)), 0) - math.log(len(x))
            return float(log_c.max()) / 1e-8

        variances = torch.linalg.svdvals(centred).square() / len(x)
        for wrong, hint in (
            (1 / float(variances[0]), "twice too large: with ‖x − x̂‖² and no ½, the second-order term of c is λ vᵀ(2λΣ − I)v"),
            (1 / (2 * float(variances.sum())), "this takes the total variance: a drawing moves in one direction, so the largest eigenvalue counts"),
            (1 / (2 * float(variances[-1])), "this is where the last direction enters: the first to split is the one of largest variance"),
            (float(2 * variances[0]), "this is 2σ₁²: the price is its inverse, large variance splits early"),
            (1 / (2 * float(x.square().mean(0).max())), "subtract the mean: what counts is the covariance"),
            (1 / (2 * float(torch.linalg.eigvalsh(x.T @ x / len(x))[-1])), "subtract the mean: what counts is the covariance"),
            (1 / (2 * float(x.var(0, correction=0).max())), "this takes the pixel of largest variance: the direction of largest variance need not be a pixel"),
        ):
            if abs(answer / wrong - 1) < 1e-6:
                raise AssertionError(hint)
        below, above = largest(0.98 * answer), largest(1.02 * answer)
        if below > 0:
            raise AssertionError(f"too large: at λ = {0.98 * answer:.4g} a drawing beside the mean has c > 1 already")
        if above < 0:
            raise AssertionError(f"too small: at λ = {1.02 * answer:.4g} every drawing beside the mean still has c < 1")
    return "right: just below this price c < 1 all around the mean, just above it c > 1 in one direction"
