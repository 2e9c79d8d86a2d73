"""Processes on the equilibrium surface: follow θ*(p) while p moves by a law that the surface itself
supplies.

`QuasiStatic` moves p at a given velocity (paper, eq. 16–17). `Conserve` holds one function of the
state constant, or several, so that some components of ṗ are given and the others follow
(iso-classification, eq. 19–20; Remark 8; transfer, eq. 26 and 38). `Geodesic` is the case of two: C
and D − kR (eq. 30). All are read off the linear response at the current point; `follow` does the
rest:

* predict: p + h ṗ, θ + h Σ_q θ_q ṗ_q;
* correct: Newton on ∇_θJ = 0 and on what is conserved together (a bordered system, solved with A⁻¹
  only);
* control the step, by how hard the correction was;
* watch the smallest eigenvalue of A. Where it reaches zero the branch ends: locate the point, leave
  along the null
  direction, minimise onto the stable branch, restore the conserved value, record the jump, go on.
"""

import contextlib
import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from .equilibrium import minimise
from .errors import NegativeCurvature, NotConverged, NotFinite, SingularHessian
from .objective import _functionals
from .response import Local, check_stability, conjugate_gradient, hessian_of_free_energy


class Point(NamedTuple):
    """One equilibrium on a path. Scalars are floats, in nats per example."""

    s: float  # position along the path: the integral of the step
    p: torch.Tensor  # (n,)
    theta: torch.Tensor  # (P,)
    value: float  # J = F
    rate: float  # J − λD − γC: with the ridge, where J has one
    distortion: float
    classification: float
    gradient: torch.Tensor  # (n,) F_p = (D, C, …)
    hess: torch.Tensor  # (n, n) Hess F on this branch
    velocity: torch.Tensor  # (n,) ṗ
    gradient_norm: float
    drift: (
        float  # conserved quantity − its target (the largest of several; 0 if nothing is conserved)
    )
    curvature: float  # smallest eigenvalue of A
    theta_p: torch.Tensor  # (P, n)


class Jump(NamedTuple):
    """A place where A lost rank and the path changed branch."""

    s: float
    before: Point  # last point of the old branch
    after: Point  # first point of the new branch, conserved value restored
    direction: torch.Tensor  # (P,) null direction at `before`
    # largest |cos(direction, b_q)|: 0 at a symmetric (pitchfork) bifurcation, not at a fold
    overlap: float


@dataclass
class Path:
    """The points of a path in order, and its jumps. `path["rate"]` is a list over points;
    `path.controls` is (T, n).
    """

    points: list = field(default_factory=list)
    jumps: list = field(default_factory=list)

    def __getitem__(self, name):
        return [getattr(point, name) for point in self.points]

    @property
    def controls(self):
        return torch.stack([point.p for point in self.points])


class QuasiStatic:
    """ṗ = velocity, a tensor (n,) or a function p -> (n,) (paper, eq. 17 with λ̇, γ̇ given)."""

    def __init__(self, velocity):
        self._velocity = velocity

    def value(self, J, theta, p):
        """Nothing is conserved."""
        return None

    def velocity(self, p, total):
        """ṗ (n,), as given."""
        return self._velocity(p) if callable(self._velocity) else self._velocity


class Conserve:
    """Hold g(θ, p) constant: ṗ = along + σ·adjust with σ such that dg/dp · ṗ = 0 (paper, eq. 20,
    26, 38; Remark 8).

    Args:
        quantity: function of (J, theta, p) -> scalar tensor, or (m,) for m quantities at once,
            differentiable. `classification`, `distortion` and `rate` of this module are ready; C +
            R/β is `lambda J, th, p: classification(J, th, p) + rate(J, th, p) / beta`.
        along: (n,) the part of ṗ that is given (default λ̇ = 1); (λ̇, 0, 1) for eq. (38), with t
            the third control
        adjust: (n,) the direction of p that is free (default γ), or (m, n): as many directions as
            quantities

    Raises:
        ValueError: while following, if dg/dp · adjust is singular: then nothing in those directions
            can hold g
    """

    def __init__(self, quantity, along=(1.0, 0.0), adjust=(0.0, 1.0)):
        self.quantity, self.along, self.adjust = quantity, along, adjust

    def value(self, J, theta, p):
        """g(θ, p), what the corrector brings back."""
        return self.quantity(J, theta, p)

    def vectors(self, p):
        """along (n,) and adjust (m, n) as tensors like p."""
        along, adjust = (
            torch.as_tensor(v, dtype=p.dtype, device=p.device) for v in (self.along, self.adjust)
        )
        adjust = adjust.reshape(-1, adjust.shape[-1])
        if along.shape != p.shape or adjust.shape[1:] != p.shape:
            raise ValueError(
                f"along and adjust must have the {len(p)} entries of p, got {tuple(along.shape)} "
                f"and {tuple(adjust.shape)}"
            )
        return along, adjust

    def velocity(self, p, total):
        """ṗ from total = dg/dp along the branch, (n,) or (m, n)."""
        along, adjust = self.vectors(p)
        total = total.reshape(-1, len(p))
        if len(adjust) != len(total):
            raise ValueError(
                f"{len(total)} conserved quantities need as many directions in `adjust`, got "
                f"{len(adjust)}"
            )
        lever = total @ adjust.T  # (m, m)
        if float(torch.linalg.svdvals(lever / total.norm(dim=1, keepdim=True))[-1]) <= 1e-10:
            raise ValueError(
                "the conserved quantity does not respond to the direction `adjust`: dg/dp·adjust "
                f"= {lever.tolist()} at p = {p.tolist()}"
            )
        return along - torch.linalg.solve(lever, total @ along) @ adjust


class Geodesic(Conserve):
    """Geodesic transfer (paper, eq. 30): while t runs, C stays and the state moves on a line dD/dR
    = k.

    Both demands are conserved quantities, C and D − kR, and both prices answer for them; p = (λ, γ,
    t). With Ṙ = F_t − λḊ − γĊ (the first law for a task that changes), Ḋ = kṘ and Ċ = 0 are the
    paper's D_λ λ̇ + D_γ γ̇ + D_t = k F_t/(1 + kλ).

    Args:
        k: slope; for example that of the chord between two equilibria of one C, one on each task

    Raises:
        ValueError: while following, where 1 + kλ comes to within 0.02 of zero. There the line is
            parallel to the RD curve of the task as it stands, dR = −λ dD: the prices move the state
            along the line only, and cannot follow the task.
    """

    def __init__(self, k):
        if not math.isfinite(k):
            raise ValueError(f"k must be a finite slope dD/dR, got {k}")
        self.k = k
        super().__init__(
            self._quantity, along=(0.0, 0.0, 1.0), adjust=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
        )

    def _quantity(self, J, theta, p):
        f = _functionals(J, theta, p)
        return torch.stack([f.classification, f.distortion - self.k * f.rate])

    def velocity(self, p, total):
        """ṗ of eq. (30); raises `ValueError` near 1 + kλ = 0."""
        if abs(1 + self.k * float(p[0])) < 0.02:
            raise ValueError(
                f"the geodesic with k = {self.k:.4g} is singular at λ = −1/k: 1 + kλ = "
                f"{1 + self.k * float(p[0]):.3f} at "
                f"λ = {float(p[0]):.4g}, t = {float(p[2]):.4g}. Choose another slope, or start at "
                "another λ"
            )
        return super().velocity(p, total)


def rate(J, theta, p):
    """R(θ, p) = J − λD − γC, with the ridge where J has one; to conserve or to plot."""
    return _functionals(J, theta, p).rate


def distortion(J, theta, p):
    """D(θ, p) = ∂J/∂λ."""
    return _functionals(J, theta, p).distortion


def classification(J, theta, p):
    """C(θ, p) = ∂J/∂γ."""
    return _functionals(J, theta, p).classification


class _Lost(Exception):
    """The corrector did not arrive: the step was too long, or there is no branch to arrive at."""


def follow(
    J,
    theta,
    p,
    process,
    length,
    *,
    step=None,
    max_step=None,
    min_step=1e-6,
    preconditioner=None,
    tol=1e-10,
    constraint_tol=1e-10,
    rtol=1e-8,
    max_points=2000,
    on_point=None,
):
    """Follow an equilibrium from (θ, p) for `length` units of s (with `Conserve`'s default, λ from
    p[0] to p[0] + length).

    Args:
        J: objective
        theta, p: (P,) and (n,), where to start; minimised first
        process: `QuasiStatic` or `Conserve`, or an object with their methods (`vectors` only if it
            conserves something)
        length: how far to go
        step, max_step: first and longest step (defaults length/50, length/15)
        min_step: a step below this that still fails counts as a place where A is singular
        preconditioner: callable (theta, p) -> apply, as for `minimise`
        tol: ‖∇J‖ at every recorded point
        constraint_tol: relative deviation of the conserved quantity there
        on_point: called with each recorded Point, for progress bars and checkpoints

    Returns:
        Path

    Raises:
        NotConverged: a bifurcation could not be crossed, or max_points was reached
        ValueError: λ or γ would become negative however short the step, or the conserved quantity
            cannot be controlled
    """
    if not length > 0:
        raise ValueError(
            f"length must be positive, got {length}; to walk backwards reverse the velocity"
        )
    step, max_step = (
        length / 50 if step is None else step,
        length / 15 if max_step is None else max_step,
    )
    if not min(step, max_step, min_step) > 0:
        raise ValueError(
            f"step, max_step and min_step must be positive, got {step}, {max_step} and {min_step}"
        )
    follower = _Follower(
        J, process, preconditioner or (lambda theta, p: None), tol, constraint_tol, rtol
    )
    start = minimise(J, theta, p, tol=tol, preconditioner=preconditioner)
    follower.probe = start.direction[:, None]
    point = follower.measure(0.0, start.theta, start.p)
    path = Path([point])
    if on_point:
        on_point(point)
    end_fudge = 1e-12 * length
    while point.s < length - end_fudge:
        if len(path.points) >= max_points:
            raise NotConverged(
                f"{max_points} points and only at s = {point.s:.4g} of {length}: raise max_points "
                "or max_step"
            )
        h = min(step, length - point.s)
        try:
            new, effort = follower.advance(point, h)
        except (_Lost, NegativeCurvature, SingularHessian, NotConverged, NotFinite):
            if h / 2 >= min_step:
                step = h / 2
                continue
            ahead = point.p + 4 * min_step * point.velocity
            if (ahead[:2] < 0).any():
                raise ValueError(
                    f"the process leads to negative multipliers: from p = {point.p.tolist()} at s "
                    f"= {point.s:.6g} to {ahead.tolist()}"
                )
            jump = follower.cross(point, min_step, length - point.s)
            path.jumps.append(jump)
            new, effort, h = jump.after, 99, 0.0
            step = max(length / 200, 16 * min_step)
        if h:
            step = h * (1.6 if effort <= 2 else 1.0 if effort == 3 else 0.6)
        step = min(step, max_step)
        point = new
        path.points.append(point)
        if on_point:
            on_point(point)
    return path


class _Follower:
    def __init__(self, J, process, make, tol, constraint_tol, rtol):
        self.J, self.process, self.make = J, process, make
        self.tol, self.constraint_tol, self.rtol = tol, constraint_tol, rtol
        self.target = None

    @torch.enable_grad()
    def conserved(self, theta, p):
        """g (m,), ∂g/∂θ (m, P), ∂g/∂p (m, n) at (θ, p); None if the process conserves nothing."""
        theta, p = theta.detach().requires_grad_(), p.detach().requires_grad_()
        g = self.process.value(self.J, theta, p)
        if g is None:
            return None
        g = g.reshape(-1)
        rows = [
            torch.autograd.grad(v, (theta, p), materialize_grads=True, retain_graph=True) for v in g
        ]
        return g.detach(), torch.stack([r[0] for r in rows]), torch.stack([r[1] for r in rows])

    def measure(self, s, theta, p):
        """The Point at an equilibrium: functionals, Hess F, velocity, smallest eigenvalue."""
        local, apply = Local(self.J, theta, p), self.make(theta, p)
        B, _ = local.mixed()
        X, report = conjugate_gradient(local.hvp, B, preconditioner=apply, rtol=self.rtol)
        hess, _ = hessian_of_free_energy(local, X)
        # atol: an eigenvalue known to 1e-6 of the scale of A is enough to see it come down
        mu, u = check_stability(
            local, apply, report.curvatures[1], start=self.probe, rtol=1e-2, max_iterations=40
        )
        self.probe = (
            torch.stack([u, self.probe[:, -1]], 1) if self.probe.shape[1] > 1 else u[:, None]
        )
        f = [float(v) for v in _functionals(self.J, theta, p)]
        held, total = self.conserved(theta, p), None
        if held is not None:
            g, g_theta, g_p = held
            if self.target is None:
                self.target = g
            total = g_p + g_theta @ X
        velocity = torch.as_tensor(self.process.velocity(p, total), dtype=p.dtype, device=p.device)
        drift = 0.0 if held is None else float(max(held[0] - self.target, key=abs))
        return Point(
            s, p, theta, *f, local.dp, hess, velocity, float(local.gradient.norm()), drift, mu, X
        )

    def advance(self, point, h):
        """One predictor–corrector step of length h; raises `_Lost` where it does not arrive."""
        p = point.p + h * point.velocity
        if (p[:2] < 0).any():
            raise _Lost
        theta = point.theta + h * point.theta_p @ point.velocity
        try:
            theta, p, effort = self.correct(theta, p)
        except (
            ValueError,
            torch.linalg.LinAlgError,
        ) as e:  # J or its derivatives overflow where so long a step leads
            raise _Lost from e
        new = self.measure(point.s + h, theta, p)
        # landing on another branch shows: F leaves its second-order expansion by more than the
        # second-order terms
        # (prices and t apart: F is concave in each, not in both, and the sum may pass through zero)
        dp, H = p - point.p, point.hess
        surprise = new.value - point.value - float(point.gradient @ dp + 0.5 * dp @ H @ dp)
        a, b = dp[:2], dp[2:]
        second = 0.5 * float((a @ H[:2, :2] @ a).abs() + (b @ H[2:, 2:] @ b).abs()) + abs(
            float(a @ H[:2, 2:] @ b)
        )
        if abs(surprise) > 0.5 * second + 1e-9 * (1 + abs(new.value)):
            raise _Lost
        return new, effort

    def correct(self, theta, p, max_iterations=8):
        """Newton on ∇_θJ = 0 and g = target together: δθ = −A⁻¹∇J + Σ_q θ_q δp_q, δp along
        `adjust`.
        """
        last = math.inf
        for iteration in range(max_iterations):
            local, held = Local(self.J, theta, p), self.conserved(theta, p)
            size, there = float(local.gradient.norm()), True
            error, columns = size, [-local.gradient[:, None]]
            if held is not None:
                adjust, miss = self.process.vectors(p)[1], self.target - held[0]
                there = bool(
                    (miss.abs() <= self.constraint_tol * self.target.abs().clamp_min(1e-3)).all()
                )
                error += float(miss.abs().max())
                columns.append(local.mixed()[0] @ adjust.T)
            if size <= self.tol and there:
                return theta, p, iteration
            if not math.isfinite(error) or (iteration > 1 and error > 0.9 * last):
                raise _Lost
            last = error
            X, _ = conjugate_gradient(
                local.hvp, torch.cat(columns, 1), preconditioner=self.make(theta, p), rtol=1e-6
            )
            delta = X[:, 0]
            if held is not None:
                lever = held[2] @ adjust.T + held[1] @ X[:, 1:]  # (m, m)
                sigma, info = torch.linalg.solve_ex(lever, miss - held[1] @ delta)
                if info:
                    raise _Lost
                p, delta = p + sigma @ adjust, delta + X[:, 1:] @ sigma
                if (p[:2] < 0).any():
                    raise _Lost
            theta = theta + delta
        raise _Lost

    def cross(self, point, min_step, room):
        """Past a singular A: leave along the null direction, minimise, restore the conserved
        quantity.

        Just past the point there may be no stable state with the conserved value (C jumps over C₀
        as γ varies). So the landing is tried further and further along the path, each time from
        both sides of the null direction.
        """
        local = Local(self.J, point.theta, point.p)
        u = self.probe[:, 0] / self.probe[:, 0].norm()
        B, _ = local.mixed()
        overlap = float((u @ B / B.norm(dim=0).clamp_min(1e-300)).abs().max())
        kick, last = 1e-2 * max(float(point.theta.norm()), 1.0), 0.0
        for h in (min(8 * min_step * 5**k, room) for k in range(6)):
            # near a fold the velocity along `adjust` diverges, and `restore` finds that component
            # anyway
            p = point.p + h * (
                point.velocity if self.target is None else self.process.vectors(point.p)[0]
            )
            if (p[:2] < 0).any() or h == last:
                break
            found, last = [], h
            for sign in (1, -1):
                with contextlib.suppress(
                    NotConverged, ValueError, torch.linalg.LinAlgError
                ):  # J may have no minimum there, or overflow on the way to it
                    found.append(
                        minimise(
                            self.J,
                            point.theta + sign * kick * u,
                            p,
                            tol=self.tol,
                            preconditioner=self.make,
                        )
                    )
            for best in sorted(found, key=lambda e: e.value):
                try:
                    theta, p = self.restore(best)
                    self.probe = torch.stack([best.direction, u], 1)
                    return Jump(point.s, point, self.measure(point.s + h, theta, p), u, overlap)
                except (
                    NotConverged,
                    NegativeCurvature,
                    SingularHessian,
                    ValueError,
                ):  # there C may not answer to `adjust`
                    continue
        raise NotConverged(
            f"A is singular at s = {point.s:.6g}, p = {point.p.tolist()}, and up to s = "
            f"{point.s + last:.4g} no stable "
            "branch with the conserved value was found"
        )

    def restore(self, equilibrium, max_iterations=12):
        """Back to g = target by damped Newton in `adjust`, minimising anew each time: robust far
        from the target.
        """
        theta, p = equilibrium.theta, equilibrium.p
        if self.target is None:
            return theta, p
        adjust = self.process.vectors(p)[1]
        for _ in range(max_iterations):
            try:
                return self.correct(theta, p)[:2]
            except (_Lost, NegativeCurvature, SingularHessian, NotConverged, NotFinite):
                pass
            here = self.measure(0.0, theta, p)
            g, g_theta, g_p = self.conserved(theta, p)
            lever = g_p @ adjust.T + g_theta @ (here.theta_p @ adjust.T)
            sigma, info = torch.linalg.solve_ex(lever, self.target - g)
            limit = 0.1 * (adjust * p).norm(dim=1).clamp_min(1e-3)
            p = p + sigma.clamp(-limit, limit) @ adjust
            if info or (p[:2] < 0).any():
                break
            e = minimise(self.J, theta, p, tol=self.tol, preconditioner=self.make)
            theta = e.theta
        raise NotConverged(
            "after a bifurcation the conserved quantity could not be brought back to "
            f"{self.target.tolist()}"
        )
