"""Checks of chapter 1's exercises. Each takes the reader's function, raises `AssertionError` with a hint, or says what holds."""

import math

import torch

from .. import finite

F64 = torch.float64


def _law(generator, *shape):
    return torch.softmax(torch.randn(*shape, generator=generator, dtype=F64), -1)


def _pair(value, name):
    if value is None:
        raise AssertionError(f"{name} returned None: the stub is still empty")
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise AssertionError(f"{name} must return two things, got {type(value).__name__}")
    return value


def close_gaps(answer):
    """Exercise: the marginal e(z) and the decoder e(x|z), which make both bounds of eq. (2) tight."""
    generator = torch.Generator().manual_seed(1)
    for X, Z in ((3, 2), (4, 4), (2, 5)):
        p, e = _law(generator, X), _law(generator, X, Z)
        m, d = _pair(answer(p, e), "close_gaps")
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
    return "holds: R = I and D = H − I for three random encoders"


def bracket(answer):
    """Exercise: [G(m) − max log c, G(m)] from any marginal."""
    generator = torch.Generator().manual_seed(2)
    for X, Z, size in ((2, 2, 1.0), (5, 3, 3.0), (4, 6, 900.0)):
        p, energy, m = _law(generator, X), size * (1 + torch.rand(X, Z, generator=generator, dtype=F64)), _law(generator, Z)
        lower, upper = map(float, _pair(answer(p, energy, m), "bracket"))
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
    return "holds: the minimum lies between the two numbers, also at energies of several hundred"


def gaussian_rate(answer):
    """Exercise: R(D) of a Gaussian source by reverse water-filling."""
    variances = torch.tensor([0.25, 4.0, 1.0], dtype=F64)
    for D, level in ((1.5, 5 / 8), (0.3, 0.1), (3.0, 1.75), (2.25, 1.0), (5.25, None), (7.0, None)):
        got = answer(variances, D)
        if got is None:
            raise AssertionError("gaussian_rate returned None: the stub is still empty, or no case matched")
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
    return "holds: six distortions, from all directions in use to none"
