"""Equilibria: the surface Θ_{λ,γ} = {θ : J(θ, λ, γ) = F(λ, γ)} of eq. (13).

`minimise` goes to ‖∇J‖ ≤ 1e-10 on smooth objectives, by L-BFGS, then Newton steps, and ends with
the smallest eigenvalue of A, so that a saddle is never taken for a minimum.
"""

import math
from typing import NamedTuple

import torch

from .errors import NegativeCurvature, NotConverged, NotFinite, SingularHessian
from .objective import check_objective
from .response import Local, Solver, check_stability


class Equilibrium(NamedTuple):
    """A point with ∇_θ J = 0 and its certificate."""

    theta: torch.Tensor  # (P,)
    p: torch.Tensor  # (n,)
    value: float  # J(θ, p), which is F(p) if the minimum is global
    gradient_norm: float  # ‖∇_θ J‖
    curvature: float  # smallest eigenvalue of A
    curvature_error: float  # how far off it may be
    direction: torch.Tensor  # (P,) its eigenvector
    iterations: int  # L-BFGS evaluations + Newton steps


def minimise(J, theta, p, *, tol=1e-10, max_iterations=5000):
    """A local minimum of J(·, p) near θ (P,), to ‖∇J‖ ≤ tol, with positive semi-definite A.

    Raises `NotConverged` where no descent is left but ‖∇J‖ > tol (float32, or J is not smooth),
    L-BFGS has used up max_iterations evaluations of ∇J, or every way down ends at a saddle; and
    what `check_objective` does.

    >>> J = lambda theta, p: p[0] * (theta.square() - 1).square().sum()  # minima at ±1
    >>> e = minimise(J, torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    >>> round(abs(float(e.theta)), 9), round(e.curvature, 6)
    (1.0, 8.0)
    """
    check_objective(J, theta, p)
    theta, p, spent, solve = theta.detach().clone(), p.detach().clone(), 0, Solver()
    for _ in range(10):
        theta, calls = descend(J, theta, p, max(1e-4, tol), max_iterations - spent)
        local, steps = _newton(J, theta, p, tol, solve)
        theta, size = local.theta.detach(), float(local.gradient.norm())
        spent += calls + steps
        try:
            mu, u, error = check_stability(local)
        except NegativeCurvature as saddle:
            mu, theta = saddle.curvature, _leave(J, theta, p, saddle)
            continue
        if size <= tol:
            return Equilibrium(theta, p, float(local.value), size, mu, error, u, spent)
        if spent >= max_iterations:
            break
    raise NotConverged(
        f"minimise stopped at ‖∇J‖ = {size:.2e} (wanted {tol:.0e}), smallest curvature {mu:.1e} "
        f"(below zero: a saddle), after {spent} evaluations at p = {p.tolist()}; {theta.dtype}. "
        "float32 reaches about 1e-5, a J with ReLU kinks no limit"
    )


def descend(J, theta, p, tol, budget):
    """θ where no entry of ∇J √P exceeds tol, J falls no more, or L-BFGS has spent its budget, and
    its evaluations.

    The search runs on the CPU: of the device it asks one answer an evaluation. It begins anew every
    100 evaluations: where J is concave torch's line search may end, or take all that is left.
    """
    x, calls, value = theta.detach().cpu().clone().requires_grad_(), 0, math.inf

    def closure():
        nonlocal calls
        calls += 1
        here = x.detach().to(theta.device).requires_grad_()
        value = J(here, p)
        answer = torch.cat([torch.autograd.grad(value, here)[0], value.detach()[None]]).cpu()
        x.grad = answer[:-1]
        return answer[-1]

    stop = dict(tolerance_grad=tol / math.sqrt(len(theta)), tolerance_change=0.0, max_iter=100)
    while calls < max(budget, 1):
        stop["max_eval"] = min(100, max(budget, 1) - calls)
        search = torch.optim.LBFGS([x], history_size=20, line_search_fn="strong_wolfe", **stop)
        before, value = value, float(search.step(closure))
        if not value < before:
            break
    far = x.detach().norm() / (1 + theta.norm().cpu())
    if not (far < 1e30 and math.isfinite(value)):
        raise ValueError(f"J overflows or is unbounded below at p = {p.tolist()}")
    return x.detach().to(theta.device), calls


def _newton(J, theta, p, tol, solve):
    """Newton steps with a backtracking line search, until ‖∇J‖ ≤ tol or no progress."""
    local, steps = Local(J, theta, p), 0
    value, size = torch.stack([local.value, local.gradient.norm()]).tolist()
    while size > tol and steps < 60:
        try:
            step = solve(local, -local.gradient[:, None], min(1e-2, size))[:, 0]
        except NegativeCurvature as e:
            u = e.direction if float(e.direction @ local.gradient) <= 0 else -e.direction
            step = u * min(1.0, 1e-2 * max(float(local.theta.detach().norm()), 1e-2))
        except (SingularHessian, NotConverged):
            step = -local.gradient
        slope, length = float(step @ local.gradient), 1.0
        rounding = 1e3 * torch.finfo(theta.dtype).eps * max(abs(value), 1.0)
        while length > 1e-8:
            try:
                new = Local(J, local.theta + length * step, p)
            except NotFinite:
                length /= 2
                continue
            there, new_size = torch.stack([new.value, new.gradient.norm()]).tolist()
            # J decreases, or (where J no longer resolves the difference) the gradient does
            falls = there <= value + 1e-4 * length * slope and abs(length * slope) > rounding
            if falls or (abs(there - value) <= rounding and new_size < 0.9 * size):
                break
            length /= 2
        else:
            break
        local, value, size, steps = new, there, new_size, steps + 1
    return local, steps


@torch.no_grad()
def _leave(J, theta, p, saddle):
    """A point lower than the saddle, along its direction of negative curvature."""
    here, length = J(theta, p), 1e-2 * max(float(theta.norm()), 1.0)
    for halved in range(20):
        trials = [theta + sign * length / 2**halved * saddle.direction for sign in (1, -1)]
        lowest = min(trials, key=lambda trial: J(trial, p))
        if J(lowest, p) < here:
            return lowest
    what = f"a direction of curvature {saddle.curvature:.1e} lowers J by less than rounding"
    raise NotConverged(f"{what} at p = {p.tolist()}")
