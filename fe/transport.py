"""Optimal transport between two sets of images: which source image becomes which target image
(paper, eq. 36, App. F).

A *plan* Γ between sources x_i of weights a and targets x'_j of weights b is

    Γ* = argmin Σ_ij Γ_ij κ_ij,   Σ_j Γ_ij = a_i,   Σ_i Γ_ij = b_j,   κ_ij = ‖x_i − x'_j‖².

It has at most n + m − 1 pairs with mass (it is a permutation for equal numbers with equal weights),
and the pairs are what is kept. The solver is that of POT (Flamary et al., JMLR 22, 2021).
"""

import warnings
from typing import NamedTuple

import numpy as np
import torch

from .errors import NotConverged, about, check_data, check_finite, check_shape, check_weights
from .gibbs import squared_distances


class Plan(NamedTuple):
    """The pairs of a plan: source i[k] gives mass[k] to target j[k]; K pairs of total mass one."""

    i: torch.Tensor  # (K,) int64
    j: torch.Tensor  # (K,) int64
    mass: torch.Tensor  # (K,)
    cost: float  # Σ_k mass_k κ_{i_k j_k}
    gap: float  # ≥ 0: the cost exceeds the least possible one by no more than this


def optimal_plan(
    source, target, source_weights=None, target_weights=None, *, cost=None, max_iterations=10**7
):
    """The optimal plan between two weighted sets of images, by the network simplex (paper, eq. 36).

    Args:
        source, target: images (n, D) and (m, D), or features of them (Remark 12)
        source_weights, target_weights: probabilities (n,) and (m,) (default: equal)
        cost: (n, m) in place of squared distances
        max_iterations: of the simplex (POT's default, 100,000, is too few for thousands of images)

    At its peak the solver holds some 43 nm bytes (1 GB at n = m = 5,000). Raises `NotConverged` if
    max_iterations are used up, `ValueError` or `TypeError` for what does not fit.
    """
    import ot  # here and not above: everything else in fe does without it

    for name, x in (("source", source), ("target", target)):
        with about(name):
            check_data(x)
    a = check_weights(source_weights, source, "source_weights")
    b = check_weights(target_weights, target, "target_weights")
    if cost is None:
        check_shape("target, with as many pixels as source,", target, "m", source.shape[1])
        ends = (x.detach().cpu().double() for x in (source, target))
        cost = squared_distances(*ends).clamp_(min=0)
    check_shape("cost", cost, len(source), len(target))
    check_finite("cost", cost)
    a, b, kappa = (v.detach().cpu().double().numpy() for v in (a, b, cost))
    a, b, kappa = a / a.sum(), b / b.sum(), np.ascontiguousarray(kappa)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is raised below
        gamma, log = ot.emd(a, b, kappa, numItermax=max_iterations, log=True)
    if log["warning"]:
        advice = f"raise max_iterations (now {max_iterations})"
        raise NotConverged(f"the transport solver stopped early: {log['warning']}; {advice}")
    # less is what rounding leaves of a mass that has been used up: the sum is one
    i, j = np.nonzero(gamma > 1e-15)
    mass, u = gamma[i, j], log["u"]
    cost = float((mass * kappa[i, j]).sum())
    # v_j = min_i (κ_ij − u_i) is dual feasible for any u, and a·u + b·v ≤ the least cost
    gap = max(cost - float(a @ u + b @ (kappa - u[:, None]).min(0)), 0.0)
    mass = torch.from_numpy(mass).to(source.dtype)
    i, j, mass = (v.to(source.device) for v in (*map(torch.from_numpy, (i, j)), mass))
    return Plan(i, j, mass, cost, gap)
