"""log Z_x where no grid is fine enough, by importance sampling; chapter 3 goes on to annealing."""

import math
from typing import NamedTuple

import torch

from .errors import check_finite


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
