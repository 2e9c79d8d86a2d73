"""Optimal transport between two sets of images: which source image becomes which target image
(paper, eq. 36, App. F).

Given sources x_i with weights a and targets x'_j with weights b, a *plan* Γ moves the mass a_i to
the targets,

    Γ* = argmin Σ_ij Γ_ij κ_ij,   Σ_j Γ_ij = a_i,   Σ_i Γ_ij = b_j,   κ_ij = ‖x_i − x'_j‖².

An optimal Γ has at most n + m − 1 pairs with mass (it is a permutation for equal numbers with equal
weights), so the pairs are what is kept. The solvers are those of POT (Flamary et al., JMLR 22,
2021); every plan comes with a certificate. Between features of the images (Remark 12) it is the
plan of these for the images themselves.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
import scipy.special
import torch

from .errors import NotConverged, about, check_data, check_finite, check_shape, check_weights
from .gibbs import squared_distances

_SWEEPS = 10_000  # of Sinkhorn, at most


class Plan(NamedTuple):
    """The pairs of a plan: source i[k] gives mass[k] to target j[k]; K pairs of total mass one."""

    i: torch.Tensor  # (K,) int64
    j: torch.Tensor  # (K,) int64
    mass: torch.Tensor  # (K,)
    cost: float  # Σ_k mass_k κ_{i_k j_k}
    gap: float  # ≥ 0: the cost exceeds the least possible one by no more than this


def _problem(source, target, a, b, cost):
    """The weights (n,) and (m,) and the costs (n, m) as the solvers want them: on the CPU."""
    for name, x in (("source", source), ("target", target)):
        with about(name):
            check_data(x)
    a, b = check_weights(a, source, "source_weights"), check_weights(b, target, "target_weights")
    if cost is None:
        check_shape("target, with as many pixels as source,", target, "m", source.shape[1])
        ends = (x.detach().cpu().double() for x in (source, target))
        cost = squared_distances(*ends).clamp_(min=0)
    check_shape("cost", cost, len(source), len(target))
    check_finite("cost", cost)
    a, b, cost = (v.detach().cpu().double().numpy() for v in (a, b, cost))
    return a / a.sum(), b / b.sum(), np.ascontiguousarray(cost)


def _certified(i, j, mass, a, b, kappa, u, like):
    """A `Plan` with its duality gap: for any u, v_j = min_i (κ_ij − u_i) is dual feasible, and a·u
    + b·v ≤ the least cost.
    """
    cost = float((mass * kappa[i, j]).sum())
    v = (kappa - u[:, None]).min(0)
    gap = max(cost - float(a @ u + b @ v), 0.0)
    i, j = (torch.from_numpy(np.asarray(k, dtype=np.int64)).to(like.device) for k in (i, j))
    return Plan(i, j, torch.from_numpy(mass).to(like.dtype).to(like.device), cost, gap)


def optimal_plan(
    source, target, source_weights=None, target_weights=None, *, cost=None, max_iterations=10**7
):
    """The optimal plan between two weighted sets of images, by the network simplex (paper, eq. 36).

    Args:
        source, target: images (n, D) and (m, D), or features of them; n and m may differ
        source_weights, target_weights: probabilities (n,) and (m,) (default: equal)
        cost: (n, m) in place of squared distances
        max_iterations: of the simplex (POT's default, 100,000, is too few for thousands of images)

    κ and Γ are 16 nm bytes, and at its peak the solver holds some 43 nm (measured; 1 GB at n = m =
    5,000); the `Plan` holds n + m − 1 pairs at most. Raises `NotConverged` if max_iterations are
    used up, `ValueError` or `TypeError` for images or weights that do not fit.
    """
    import ot  # here and not above: everything else in fe does without it

    a, b, kappa = _problem(source, target, source_weights, target_weights, cost)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is raised below
        gamma, log = ot.emd(a, b, kappa, numItermax=max_iterations, log=True)
    if log["warning"]:
        advice = f"raise max_iterations (now {max_iterations})"
        raise NotConverged(f"the transport solver stopped early: {log['warning']}; {advice}")
    # less is what rounding leaves of a mass that has been used up: the sum is one
    i, j = np.nonzero(gamma > 1e-15)
    return _certified(i, j, gamma[i, j], a, b, kappa, log["u"], source)


def sinkhorn_plan(
    source, target, source_weights=None, target_weights=None, *, blur, cost=None, keep=1e-4
):
    """The entropic plan argmin Σ Γ κ + ε Σ Γ log Γ (Cuturi 2013) by Sinkhorn's iteration in the log
    domain, what the paper computes with.

    It spreads each source over many targets, the more the larger ε: `partners` counts them.

    Args:
        blur: ε, in units of the mean of κ
        keep: pairs with less than this share of their source's mass are dropped, and the rest
            scaled up

    Raises `NotConverged` if the marginals are off by more than 1e-6 after 10,000 iterations.
    """
    import ot

    a, b, kappa = _problem(source, target, source_weights, target_weights, cost)
    if not 0 < blur < math.inf:
        raise ValueError(f"blur must be a finite number > 0, got {blur}")
    epsilon = blur * kappa.mean()
    how = dict(method="sinkhorn_log", numItermax=_SWEEPS, stopThr=1e-9, log=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gamma, log = ot.sinkhorn(a, b, kappa, epsilon, **how)
    off = np.abs(gamma.sum(1) - a).sum() + np.abs(gamma.sum(0) - b).sum()
    if not off < 1e-6:
        what = f"off by {off:.1e} after {_SWEEPS} iterations at blur {blur}: raise the blur"
        raise NotConverged(f"Sinkhorn's marginals are {what}")
    i, j = np.nonzero(gamma > keep * gamma.sum(1, keepdims=True))
    mass = gamma[i, j] / gamma[i, j].sum()
    return _certified(i, j, mass, a, b, kappa, epsilon * log["log_u"], source)


def partners(plan):
    """Effective number of targets of a source: exp of the entropy of its masses, averaged with the
    sources' weights. 1 for a permutation; the number of targets for the independent plan.
    """
    i, mass = plan.i.cpu().numpy(), plan.mass.detach().cpu().double().numpy()
    total = np.bincount(i, mass)
    entropy = np.bincount(i, scipy.special.entr(mass / total[i]))
    return float(total @ np.exp(entropy) / total.sum())
