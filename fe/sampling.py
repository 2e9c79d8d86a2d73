"""log Z_x where no grid is fine enough: importance sampling, and annealing from both sides.

All three want −H of eq. (11) as a function `log_joint` of codes paired with images, z (S, N, d) ->
(S, N): S samples (or independent chains) for each of N images, d the dimension of z.

* `importance_sampling` from a good proposal, for example an amortised encoder: cheap; its effective
  sample size says when it fails, which in many dimensions is soon;
* `annealed_importance_sampling` walks from m(z) to e* and is below log Z on average,
  `reverse_annealed` walks back and is above: where they meet, log Z is known.
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
    samples: torch.Tensor  # (S, N, d)
    weights: torch.Tensor  # (S, N) self-normalised: Σ_s w_s f(z_s) estimates ⟨f⟩ under e*
    acceptance: torch.Tensor | None = None  # (steps,) Metropolis acceptance at each temperature


def _estimate(log_weights, samples, min_ess=0.0, acceptance=None):
    """log w̄ with the delta method's Var log w̄ ≈ Var w / (S w̄²) = (1/ess − 1/S) S/(S − 1)."""
    if not torch.isfinite(log_weights.amax(0)).all() or torch.isnan(log_weights).any():
        raise ValueError("a log weight is NaN or +∞, or all of them are −∞: log_joint overflows")
    S = len(log_weights)
    weights = torch.softmax(log_weights, 0)
    ess = 1 / weights.square().sum(0)
    if (ess < min_ess).any():
        raise TooFewSamples(
            f"{int((ess < min_ess).sum())} of {len(ess)} images have fewer than {min_ess:.3g} "
            f"effective samples out of {S} (the least {float(ess.min()):.3g}): log Z is off, its "
            "error bar too small. Use a proposal closer to the posterior, or more samples"
        )
    error = ((1 / ess - 1 / S).clamp_min(0) * S / max(S - 1, 1)).sqrt()
    log_z = torch.logsumexp(log_weights, 0) - math.log(S)
    return Estimate(log_z, error, ess, samples, weights, acceptance)


@torch.no_grad()
def importance_sampling(
    log_joint, proposal_mean, proposal_std, n_samples, generator, *, min_ess=10.0
):
    """`Estimate` of log Z_n by samples of q_n = N(mean_n, diag std_n²): w = exp(−H)/q.

    Args:
        log_joint: z (S, N, d) -> (S, N), −H of eq. (11)
        proposal_mean, proposal_std: (N, d), for example the amortised encoder's
        n_samples: S
        generator: torch.Generator on the device of the proposal
        min_ess: floor of the effective number of samples of every image; 0 switches the check off

    Raises:
        TooFewSamples: some image has fewer than min_ess. A large ess is necessary, not sufficient:
            a mode that no sample met leaves no trace.

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
    z = mean + std * noise
    log_q = log_standard_normal(noise) - std.log().sum(-1)
    return _estimate(log_joint(z) - log_q, z, min_ess)


def annealed_importance_sampling(
    log_prior, log_joint, z0, betas, generator, *, step_size, n_leapfrog=10
):
    """`Estimate` of log Z from m(z) to e* along π_β ∝ m(z) (d^λ c^γ)^β: below log Z on average.

    w = Π_t (d^λ c^γ)(z_t)^{β_{t+1} − β_t} is an unbiased estimate of Z (Neal, Statistics and
    Computing 11, 2001), z_t moved by one Hamiltonian Monte Carlo step with Metropolis correction at
    β_t. By Jensen's inequality E log w̄ ≤ log Z. Nothing adapts during a run: a step size tuned on
    the way would break detailed balance and with it unbiasedness.

    Args:
        log_prior, log_joint: z (S, N, d) -> (S, N): log m, normalised (`log_standard_normal`), and
            −H
        z0: (S, N, d) independent samples of m
        betas: (T,) from 0 to 1, increasing, or `ValueError`
        step_size: number, or function of β (narrower laws want smaller steps) to anything that
            broadcasts with (S, N, 1); each move takes it times a random factor between 0.8 and 1.2
        n_leapfrog: leapfrog steps of one move; aim for an `acceptance` (T − 2,) of 0.6–0.95
    """
    return _anneal(log_prior, log_joint, z0, betas, generator, step_size, n_leapfrog)


def reverse_annealed(
    log_prior, log_joint, z_posterior, betas, generator, *, step_size, n_leapfrog=10
):
    """The same path walked from e* back to m(z): above log Z on average, a bracket with the other.

    Started from independent samples of e*, z_posterior (S, N, d), the weights estimate 1/Z without
    bias (Grosse, Ghahramani and Adams, arXiv 1511.02543, 2015). They are to be had where the data
    were simulated (z ~ m, then x ~ N(x̂(z), ½I) and y ~ c: z is a sample of e* at λ = γ = 1), or
    from the posterior on a fine grid. From other samples there is no bound. `weights` and `samples`
    of the `Estimate` belong to m(z).
    """
    options = dict(step_size=step_size, n_leapfrog=n_leapfrog, back=True)
    walk = _anneal(log_prior, log_joint, z_posterior, betas, generator, **options)
    return walk._replace(log_z=-walk.log_z)


def _anneal(log_prior, log_joint, z, betas, generator, step_size, n_leapfrog, back=False):
    """The weights exp Σ_t (β_{t+1} − β_t) ℓ(z_t) of a walk through the temperatures `betas`."""
    betas = torch.as_tensor(betas, dtype=z.dtype, device=z.device)
    ends = betas.ndim == 1 and len(betas) > 1 and betas[0] == 0 and betas[-1] == 1
    if not ends or not bool((betas.diff() > 0).all()):
        raise ValueError(f"betas must increase from 0 to 1, got {betas.tolist()[:5]} …")
    check_shape("the first codes", z, "S", "N", "d")
    check_finite("the first codes", z)
    if n_leapfrog < 1:
        raise ValueError(f"n_leapfrog must be at least 1, got {n_leapfrog}")

    def local(z, beta):
        """log π_β (S, N) up to its constant, ℓ = λ log d + γ log c (S, N), ∇ log π_β (S, N, d)."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            prior = log_prior(z)
            ell = log_joint(z) - prior
            value = prior + beta * ell
            (gradient,) = torch.autograd.grad(value.sum(), z)
        check_shape("log_joint(z)", value, *z.shape[:2])
        return value.detach(), ell.detach(), gradient

    z, rates, betas = z.detach(), [], betas.tolist()[:: -1 if back else 1]
    like = dict(generator=generator, dtype=z.dtype, device=z.device)
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
    return _estimate(total, z, acceptance=torch.stack(rates) if rates else z.new_zeros(0))
