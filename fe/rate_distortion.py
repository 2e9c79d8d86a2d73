"""Finite alphabets: x, z and y take finitely many values, and every expectation is a finite sum.

With decoder and classifier fixed, min over encoders and marginals of R + E[energy] is convex:
`blahut_arimoto` reaches the global minimum and certifies it. Probabilities are float64, information
in nats. Arguments may be lists; what is no distribution, or does not fit, raises `ValueError`.
"""

from typing import NamedTuple

import torch

from .errors import NotConverged, check_finite, check_shape


def _array(name, values, *shape):
    values = torch.as_tensor(values, dtype=torch.float64, device=getattr(values, "device", "cpu"))
    check_shape(name, values, *shape)
    check_finite(name, values)
    return values


def _distribution(name, p, *shape):
    """`p` as float64, checked to be of this shape and probabilities along its last axis."""
    p = _array(name, p, *shape)
    if (p < 0).any():
        least = p.min().item()
        raise ValueError(f"{name} must not be negative, its least is {least}; are these logits?")
    error = (p.sum(-1) - 1).abs().max().item()
    if error > 1e-9:
        raise ValueError(f"{name} must sum to 1 (over its last axis), it is off by {error:.3g}")
    return p


def entropy(p):
    """H = −Σ p log p ≥ 0 (eq. 1), with 0 log 0 = 0, of p (n,)."""
    return torch.special.entr(_distribution("p", p, "n")).sum()


def rate(p_x, encoder, marginal):
    """R = Σ_x p(x) Σ_z e(z|x) log(e(z|x)/m(z)) (eq. 1) of p_x (X,), encoder (X, Z) and marginal
    (Z,); infinite where m(z) = 0 < e(z|x), and I_e(x; z) for the best marginal, p_x @ encoder.
    """
    e = _distribution("encoder", encoder, "X", "Z")
    joint = _distribution("p_x", p_x, len(e)).to(e.device)[:, None] * e  # (X, Z)
    m = _distribution("marginal", marginal, e.shape[1])
    return (torch.xlogy(joint, e) - torch.xlogy(joint, m)).sum()


def expected(p_x, encoder, energy):
    """Σ_x p(x) Σ_z e(z|x) energy(x, z), of p_x (X,), encoder and energy (X, Z): D for energy =
    −log d(x|z), C for −log c(y_x|z) (eq. 1, 4).
    """
    e = _distribution("encoder", encoder, "X", "Z")
    p_x = _distribution("p_x", p_x, len(e)).to(e.device)
    return (p_x[:, None] * e * _array("energy", energy, *e.shape)).sum()


class RateDistortionPoint(NamedTuple):
    """The minimum of R + E[energy]; the true minimum lies in [value − gap, value]."""

    value: torch.Tensor  # −Σ p(x) log Σ_z m(z) exp(−energy), nats
    encoder: torch.Tensor  # (X, Z), the Gibbs encoder e(z|x) of `marginal`
    marginal: torch.Tensor  # (Z,)
    rate: torch.Tensor  # R of (encoder, marginal)
    gap: float  # certified duality gap, nats
    iterations: int


def blahut_arimoto(p_x, energy, *, tol=1e-12, max_iterations=100_000):
    """Global minimum over e(z|x) and m(z) of R + E[energy] (eq. 8, decoder and classifier fixed).

    With Z(x) = Σ_z m(z) exp(−energy), the best encoder for a given m is Gibbs' (eq. 9) and leaves
    G(m) = −Σ_x p(x) log Z(x), convex in m. The step m ← m c, c(z) = Σ_x p(x) exp(−energy(x, z)) /
    Z(x), never increases G, which is above its minimum by at most gap = max_z log c(z) (Csiszár).

    Other than the textbook's the step is m ← m c^s / Σ m c^s, and s doubles while it does not
    overshoot: as ∂G/∂m = −c and G is convex, G has not increased where Σ_z (m'(z) − m(z)) c'(z) ≥ 0
    at the new m'. Else the step is taken back and s divided by 8, down to s = 1, always safe. Small
    slopes, and codes that fall out of use, take tens of iterations instead of 10⁵.

    Args:
        p_x: (X,) probabilities
        energy: (X, Z) finite, in nats: −λ log d(x|z) − γ log c(y_x|z)
        tol: largest gap to accept, in nats; round-off puts a floor of about 1e-15 under it
        max_iterations: `NotConverged` if more are needed: codes are many and nearly alike

    References: Blahut, IEEE Trans. IT 18 (1972) 460; Csiszár, IEEE Trans. IT 20 (1974) 122.
    """
    energy = _array("energy", energy, "X", "Z")
    p_x = _distribution("p_x", p_x, len(energy)).to(energy.device)
    if not tol > 0 or max_iterations < 1:
        raise ValueError(f"tol and max_iterations must be positive, got {tol} and {max_iterations}")
    log_m = torch.full_like(energy[0], 1 / energy.shape[1]).log()
    log_p, step, before = p_x.log(), 1.0, None
    for iteration in range(1, max_iterations + 1):
        log_z = torch.logsumexp(log_m - energy, 1)  # (X,)
        log_c = torch.logsumexp((log_p - log_z)[:, None] - energy, 0)  # (Z,)
        # Σ m c = 1 makes max c ≥ 1; only round-off makes it less
        gap = max(log_c.max().item(), 0.0)
        if gap <= tol:
            encoder = (log_m - energy - log_z[:, None]).exp()
            value, R = -(p_x @ log_z), (p_x[:, None] * encoder * (-energy - log_z[:, None])).sum()
            return RateDistortionPoint(value, encoder, log_m.exp(), R, gap, iteration)
        # Σ (m' − m) = 0, so c' − 1 may stand for c': expm1 keeps its sign right when both factors
        # are tiny
        if step > 1 and (log_m.exp() - before[0].exp()) @ torch.expm1(log_c) < 0:
            (log_m, log_c), step = before, max(1.0, step / 8)
        else:
            before, step = (log_m, log_c), min(2 * step, 1e12)
        log_m = torch.log_softmax(log_m + step * log_c, 0)
    raise NotConverged(
        f"blahut_arimoto: after {max_iterations} iterations the duality gap is {gap:.3g} nats, "
        f"above tol = {tol:.3g}: codes are nearly interchangeable. Allow more iterations, or a "
        "larger tol (the value is wrong by at most the gap)"
    )
