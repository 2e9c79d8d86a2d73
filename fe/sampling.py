"""log Z_x where no grid is fine enough: importance sampling, and annealing from both sides.

Both want −H of eq. (11) as a function `log_joint` of codes paired with images, z (S, N, d) ->
(S, N): S samples (or independent chains) for each of N images, d the dimension of z; m = N(0, I).
"""

import math
from typing import NamedTuple

import torch

from .errors import check_finite, check_shape


class TooFewSamples(RuntimeError):
    """So few samples carry the weights that the estimate and its error bar mean nothing."""


def log_standard_normal(z):
    """log m(z) of N(0, I), summed over the last axis."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)


class Estimate(NamedTuple):
    """log Z by sampling. The error bar is that of the delta method: it presumes a large `ess`."""

    log_z: torch.Tensor  # (N,)
    std_error: torch.Tensor  # (N,)
    ess: torch.Tensor  # (N,) effective number of samples (Σw)²/Σw², between 1 and S
    acceptance: torch.Tensor | None = None  # (T − 2,) Metropolis acceptance at each temperature


def _estimate(log_weights):
    """log w̄ of log w (S, N) with Var log w̄ ≈ Var w / (S w̄²) = (1/ess − 1/S) S/(S − 1)."""
    if not torch.isfinite(log_weights.amax(0)).all() or torch.isnan(log_weights).any():
        raise ValueError("a log weight is NaN or +∞, or all of them are −∞: log_joint overflows")
    S = len(log_weights)
    ess = 1 / torch.softmax(log_weights, 0).square().sum(0)
    error = ((1 / ess - 1 / S).clamp_min(0) * S / max(S - 1, 1)).sqrt()
    return Estimate(torch.logsumexp(log_weights, 0) - math.log(S), error, ess)


@torch.no_grad()
def importance_sampling(
    log_joint, proposal_mean, proposal_std, n_samples, generator, *, min_ess=10.0
):
    """`Estimate` of log Z_n by samples of q_n = N(mean_n, diag std_n²): w = exp(−H)/q.

    Args:
        log_joint: z (S, N, d) -> (S, N), −H of eq. (11)
        proposal_mean, proposal_std: (N, d), for example the amortised encoder's
        n_samples: S ≥ 2
        generator: torch.Generator on the device of the proposal
        min_ess: `TooFewSamples` if some image has fewer effective samples. A large ess is
            necessary, not sufficient: a mode that no sample met leaves no trace.

    Source: Owen, *Monte Carlo theory, methods and examples*, chapter 9 (2013).
    """
    mean, std = proposal_mean, proposal_std
    if mean.ndim != 2 or std.shape != mean.shape or not bool((std > 0).all()):
        got = f"{tuple(mean.shape)} and {tuple(std.shape)}"
        raise ValueError(f"proposal_mean and proposal_std must be (N, d), std > 0; got {got}")
    check_finite("proposal_mean", mean)
    if n_samples < 2:
        raise ValueError(f"n_samples must be at least 2, got {n_samples}")
    size = n_samples, *mean.shape
    noise = torch.randn(size, generator=generator, dtype=mean.dtype, device=mean.device)
    log_q = log_standard_normal(noise) - std.log().sum(-1)
    found = _estimate(log_joint(mean + std * noise) - log_q)
    few = int((found.ess < min_ess).sum())
    if few:
        raise TooFewSamples(
            f"{few} of {len(mean)} images have fewer than {min_ess:.3g} effective samples out of "
            f"{n_samples} (the least {float(found.ess.min()):.3g}): log Z is off, its error bar "
            "too small. Use a proposal closer to the posterior, or more samples"
        )
    return found


def annealed_importance_sampling(log_joint, z, betas, generator, *, step_size, n_leapfrog=10):
    """`Estimate` of log Z by walks along π_β ∝ m(z) (d^λ c^γ)^β, between m(z) and e*.

    From m to e* w = Π_t (d^λ c^γ)(z_t)^{β_{t+1} − β_t} estimates Z without bias (Neal, Statistics
    and Computing 11, 2001), z_t moved by one Hamiltonian Monte Carlo step with Metropolis
    correction at β_t, so that by Jensen's inequality E log w̄ ≤ log Z. From e* back to m it
    estimates 1/Z (Grosse, Ghahramani and Adams, arXiv 1511.02543, 2015), and log Z is estimated too
    high on average: where the two meet, it is known. Nothing adapts during a run: a step size tuned
    on the way would break detailed balance and with it unbiasedness.

    Args:
        log_joint: z (S, N, d) -> (S, N), −H of eq. (11)
        z: (S, N, d) independent samples of m; on the way back of e*, which one has where the data
            were simulated (z ~ m, x ~ N(x̂(z), ½I), y ~ c, at λ = γ = 1) or from a fine grid
        betas: (T,) from 0 up to 1, or back from 1 down to 0
        step_size: number, or function of β (narrower laws want smaller steps) to anything that
            broadcasts with (S, N, 1); each move takes it times a random factor between 0.8 and 1.2
        n_leapfrog: leapfrog steps of one move; aim for an `acceptance` of 0.6–0.95
    """
    betas = torch.as_tensor(betas, dtype=z.dtype, device=z.device)
    check_shape("betas", betas, "T")
    if n_leapfrog < 1:
        raise ValueError(f"n_leapfrog must be at least 1, got {n_leapfrog}")
    betas = betas.tolist()
    up = sorted(set(betas))
    if betas not in (up, up[::-1]) or up[:1] + up[-1:] != [0, 1]:
        raise ValueError(f"betas must go from 0 up to 1, or from 1 down to 0, got {betas[:5]} …")
    check_shape("the first codes", z, "S", "N", "d")
    check_finite("the first codes", z)

    def local(z, beta):
        """log π_β (S, N) up to its constant, ℓ = λ log d + γ log c (S, N), ∇ log π_β (S, N, d)."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            log_m, joint = log_standard_normal(z), log_joint(z)
            check_shape("log_joint(z)", joint, *z.shape[:2])
            value = log_m + beta * (joint - log_m)
            (gradient,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), (joint - log_m).detach(), gradient

    z, rates, like = z.detach(), [], dict(generator=generator, dtype=z.dtype, device=z.device)
    ell = local(z, betas[0])[1]
    total = torch.zeros_like(ell)
    for before, after in zip(betas[:-1], betas[1:]):
        total = total + (after - before) * ell
        if after == betas[-1]:
            break  # a move at the last temperature would not change the weight
        # A trajectory of half a period would bring a Gaussian coordinate back to −z for ever: vary
        # its length by a fifth, independently of the state, which leaves detailed balance alone
        # (Neal, in Handbook of MCMC, 2011, section 5.4.2.2)
        jitter = 0.8 + 0.4 * torch.rand(*total.shape, 1, **like)
        eps = jitter * (step_size(after) if callable(step_size) else step_size)
        momentum = torch.randn(z.shape, **like)
        value, _, gradient = local(z, after)
        new, v = z, momentum + 0.5 * eps * gradient
        for step in range(n_leapfrog):
            new = new + eps * v
            new_value, new_ell, gradient = local(new, after)
            v = v + (0.5 if step == n_leapfrog - 1 else 1.0) * eps * gradient
        log_ratio = new_value - value - 0.5 * (v.square() - momentum.square()).sum(-1)
        # an overflow gives NaN here, which rejects: the rate of acceptance shows it
        accept = torch.rand(total.shape, **like).log() < log_ratio
        z, ell = torch.where(accept[..., None], new, z), torch.where(accept, new_ell, ell)
        rates.append(accept.to(z.dtype).mean())
    found = _estimate(total)
    log_z = found.log_z if betas[0] == 0 else -found.log_z
    return found._replace(log_z=log_z, acceptance=torch.stack(rates) if rates else None)
