"""Processes on the equilibrium surface: follow θ*(p) while p moves by a law.

`QuasiStatic` moves p at a given velocity (paper, eq. 16–17), `Conserve` holds functions of the
state constant (iso-classification, eq. 19–20; Remark 8; transfer, eq. 26 and 38), `Geodesic` two of
them, C and D − kR (eq. 30). ṗ is read off the linear response; `follow` does the rest:

* predict: θ and p move by their slopes, ṗ and Σ_q θ_q ṗ_q, at the last two points;
* correct: Newton on ∇_θJ = 0 and on what is conserved together (a bordered system);
* control the step, by how hard the correction was, and by the smallest eigenvalue of A, whose fall
  says how far it is to a fold;
* watch that eigenvalue. Where it reaches zero the branch ends: leave along the null
  direction, minimise onto the stable branch, restore the conserved value, record the jump, go on.
"""

import contextlib
import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from .equilibrium import descend, minimise
from .errors import NegativeCurvature, NotConverged, NotFinite, SingularHessian
from .response import Local, Solver, check_stability, hessian_of_free_energy, jacobian


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
    drift: float  # conserved quantity − its target; the largest of several, 0 if there is none
    curvature: float  # smallest eigenvalue of A
    theta_p: torch.Tensor  # (P, n)


class Jump(NamedTuple):
    """A place where A lost rank and the path changed branch."""

    s: float
    before: Point  # last point of the old branch
    after: Point  # first point of the new branch, conserved value restored
    direction: torch.Tensor  # (P,) null direction at `before`
    overlap: float  # largest |cos(direction, b_q)|: 0 at a symmetric (pitchfork) bifurcation


@dataclass
class Path:
    """The points of a path in order, and its jumps. `path["rate"]` is a list over points."""

    points: list = field(default_factory=list)
    jumps: list = field(default_factory=list)

    def __getitem__(self, name):
        return [getattr(point, name) for point in self.points]

    @property
    def controls(self):
        """p at every point, (T, n)."""
        return torch.stack([point.p for point in self.points])


class Conserve:
    """Hold g(θ, p) constant: ṗ = along + σ·adjust such that dg/dp · ṗ = 0 (paper, eq. 20, 26, 38).

    Args:
        quantity: differentiable function g: (J, theta, p) -> scalar, or (m,): `classification`, or
            for Remark 8 `classification(J, th, p) + rate(J, th, p) / beta`
        along: (n,) the part of ṗ that is given (default λ̇ = 1), or a function p -> (n,); (λ̇, 0, 1)
            for eq. (38), with t the third control
        adjust: (n,) the direction of p that is free (default γ), or (m, n), one for each quantity
    """

    def __init__(self, quantity, along=(1.0, 0.0), adjust=(0.0, 1.0)):
        self.quantity, self.along, self.adjust = quantity, along, adjust

    def value(self, J, theta, p):
        """g(θ, p) (m,), what the corrector brings back."""
        return self.quantity(J, theta, p).reshape(-1)

    def vectors(self, p):
        """along (n,) and adjust (m, n) as tensors like p."""
        given = self.along(p) if callable(self.along) else self.along, self.adjust
        along, adjust = (torch.as_tensor(v, dtype=p.dtype, device=p.device) for v in given)
        if along.shape != p.shape or adjust.numel() % len(p):
            got = f"{tuple(along.shape)} and {tuple(adjust.shape)}"
            raise ValueError(f"along and adjust must have the {len(p)} entries of p, got {got}")
        return along, adjust.view(-1, len(p))

    def correction(self, p, total, miss):
        """δp (n,) along `adjust` with total·δp = miss (m,) = target − g; total (m, n) = dg/dp along
        the branch.
        """
        adjust = self.vectors(p)[1]
        if len(adjust) != len(total):
            raise ValueError(f"{len(total)} conserved quantities, but {len(adjust)} of `adjust`")
        lever = total @ adjust.T  # (m, m)
        relative = (lever / total.norm(dim=1, keepdim=True)).nan_to_num()
        if (torch.linalg.svdvals(relative) <= 1e-10).any():
            found = f"dg/dp·adjust = {lever.tolist()} at p = {p.tolist()}"
            raise ValueError(f"the conserved quantity does not respond to `adjust`: {found}")
        return torch.linalg.solve(lever, miss) @ adjust

    def velocity(self, p, total):
        """ṗ (n,) from total (m, n) = dg/dp along the branch."""
        along = self.vectors(p)[0]
        return along + self.correction(p, total, -(total @ along))

    def hops(self, p, new):
        """Whether a step from p to `new` passes over a place where the law has no answer."""
        return False


class QuasiStatic(Conserve):
    """ṗ = velocity, a tensor (n,) or a function p -> (n,); nothing is conserved (paper, eq. 17). Of
    a function p is integrated with an error of second order in the steps, which is not measured.
    """

    def __init__(self, velocity):
        super().__init__(lambda J, theta, p: p[:0], along=velocity, adjust=())


class Geodesic(Conserve):
    """Geodesic transfer (paper, eq. 30): while t runs, C and D − kR are conserved, the state moves
    on a line dD/dR = k. Both prices answer for it; p = (λ, γ, t).

    By the first law, Ṙ = F_t − λḊ − γĊ, this is the paper's D_λ λ̇ + D_γ γ̇ + D_t = k F_t/(1 + kλ).
    Where 1 + kλ = 0 the line is parallel to the RD curve of the task as it stands, dR = −λ dD: to
    within 0.02 of it `velocity` raises `ValueError`.
    """

    def __init__(self, k):
        if not math.isfinite(k):
            raise ValueError(f"k must be a finite slope dD/dR, got {k}")
        self.k = k

        def line(J, theta, p):  # C and D − kR by one derivative
            dJ, value = torch.func.grad_and_value(J, argnums=1)(theta, p)
            return torch.stack([dJ[1], dJ[0] - k * (value - dJ[:2] @ p[:2])])

        super().__init__(line, along=(0, 0, 1), adjust=((1, 0, 0), (0, 1, 0)))

    def velocity(self, p, total):
        """ṗ of eq. (30)."""
        lam, t = p[0].item(), p[-1].item()
        if abs(1 + self.k * lam) < 0.02:
            raise ValueError(
                f"the geodesic with k = {self.k:.4g} is singular at λ = −1/k: 1 + kλ = "
                f"{1 + self.k * lam:.3f} at λ = {lam:.4g}, t = {t:.4g}. Choose another slope, or "
                "start at another λ"
            )
        return super().velocity(p, total)

    def hops(self, p, new):
        """Whether 1 + kλ changes its sign between p and `new`."""
        return bool((1 + self.k * p[0]) * (1 + self.k * new[0]) <= 0)


_MAX_POINTS = 2000  # of a path
_KNOWN = 1e-8  # a smallest eigenvalue that is neither a rotation's nor rounding
_MIN_STEP = 1e-6  # the step at which a correction that still fails is taken for the branch's end


class _Lost(Exception):
    """The corrector did not arrive, and why: the step was too long, or there is no branch there."""


_LOST = (_Lost, NegativeCurvature, SingularHessian, NotConverged, NotFinite)
_FAILED = (*_LOST, ValueError, torch.linalg.LinAlgError)  # far from the path J may overflow


def follow(J, theta, p, law, length, *, step=None, max_step=None, tol=1e-10, on_point=None):
    """The `Path` of an equilibrium from (θ, p) for `length` units of s (by default, of λ).

    Args:
        theta, p: (P,) and (n,), where to start; minimised first
        law: `QuasiStatic`, `Conserve`, `Geodesic`, or an object with their methods
        step, max_step: first and longest step (defaults length/50, length/15)
        tol: ‖∇J‖ at every point; what is conserved is held to 1e-10 of itself, or to rounding
        on_point: called with each Point, for progress bars and checkpoints

    Beyond a few hundred parameters the smallest eigenvalue is certified by a factor of A where the
    path begins and on each new branch; between them it is searched for, with a neighbour's factor.

    Raises `NotConverged` where a correction fails however short the step and no other branch is
    found, or after too many points; `ValueError` where λ or γ would be negative, or what is
    conserved cannot be controlled.
    """
    if not length > 0:
        raise ValueError(f"length must be positive, got {length}; to go back reverse the velocity")
    step = length / 50 if step is None else step
    max_step = length / 15 if max_step is None else max_step
    if not min(step, max_step) > 0:
        raise ValueError(f"step and max_step must be positive, got {step} and {max_step}")
    start = minimise(J, theta, p, tol=tol)
    here = _State(J, law, start.theta, start.p)
    follower = _Follower(J, law, tol, here.g, start.direction[:, None])
    path = Path()

    def record(point):
        path.points.append(point)
        if on_point:
            on_point(point)
        return point

    last, point = None, record(follower.measure(0.0, here))
    while point.s < length * (1 - 1e-12):
        if len(path.points) >= _MAX_POINTS:
            where = f"only at s = {point.s:.4g} of {length}"
            raise NotConverged(f"{_MAX_POINTS} points, {where}: raise max_step or go in parts")
        h = min(step, length - point.s)
        try:
            new, effort = follower.advance(last, point, h)
        except _LOST as why:
            if h / 2 >= _MIN_STEP:
                step = h / 2
                continue
            ahead = point.p + 4 * _MIN_STEP * point.velocity
            if (ahead[:2] < 0).any():
                way = f"from p = {point.p.tolist()} at s = {point.s:.6g} to {ahead.tolist()}"
                raise ValueError(f"the law leads to negative multipliers: {way}")
            path.jumps.append(follower.cross(point, length - point.s, why))
            last, new, step = None, path.jumps[-1].after, max(length / 200, 16 * _MIN_STEP)
        else:
            step = h * (2.0, 2.0, 2.0, 1.5, 1.0, 0.6)[effort]  # `correct` takes 5 at most
            # towards a fold at a distance d the smallest eigenvalue falls like √d; where it falls
            # like d, as towards a pitchfork, this is half the way
            fall = (point.curvature**2 - new.curvature**2) / h
            if fall > 0 and new.curvature > _KNOWN:
                step = min(step, 0.9 * new.curvature**2 / fall)
            last = point
        point, step = record(new), min(max(step, 2 * _MIN_STEP), max_step)
    return path


class _State(Local):
    """J and what is conserved at (θ, p): g (m,), its derivatives g_theta (m, P) and g_p (m, n)."""

    def __init__(self, J, law, theta, p):
        super().__init__(J, theta, p)
        at = self.theta, self.p
        with torch.enable_grad():
            g = law.value(J, *at)
        self.g, (self.g_theta, self.g_p) = g.detach(), jacobian(g, at)


def _predict(last, point, h):
    """(θ, p) at a distance h beyond a point, by the slopes there and at the last point (the rule of
    Adams and Bashforth of second order), or by the tangent.
    """
    slopes = [(p.theta_p @ p.velocity, p.velocity) for p in (last or point, point)]
    ahead = 0.5 * h**2 / (point.s - last.s) if last else 0.0
    return [y + h * f + ahead * (f - f0) for y, f0, f in zip((point.theta, point.p), *slopes)]


@dataclass
class _Follower:
    J: object
    law: object
    tol: float
    target: torch.Tensor  # (m,) g at the start
    probe: torch.Tensor  # (P, k) first guess of the softest direction
    solve: Solver = field(default_factory=Solver)

    def measure(self, s, here):
        """The Point at an equilibrium: functionals, Hess F, velocity, smallest eigenvalue."""
        theta, p = here.theta.detach(), here.p.detach()
        mu, u, _ = check_stability(here, self.probe, self.solve.whole)
        self.probe = u[:, None]
        X = self.solve(here, here.mixed()[0], 1e-8)
        hess, _ = hessian_of_free_energy(here, X)
        velocity = self.law.velocity(p, here.g_p + here.g_theta @ X)
        F, size, D, *rest = here.value.item(), here.gradient.norm().item(), *here.dp.tolist()
        R, C = F - float(here.dp[:2] @ p[:2]), rest[0] if rest else 0.0
        off = here.g - self.target
        drift = float(off[off.abs().argmax()]) if len(off) else 0.0
        return Point(s, p, theta, F, R, D, C, here.dp, hess, velocity, size, drift, mu, X)

    def advance(self, last, point, h):
        """One predictor–corrector step of length h, and how many corrections it took."""
        try:
            here, effort = self.correct(*_predict(last, point, h))
        except _FAILED as e:
            raise _Lost(e) from e
        probe, new = self.probe, self.measure(point.s + h, here)
        # on another branch F is off its expansion by more than the second-order terms (of prices
        # and t apart: F is concave in each, not in both, and the sum may pass through zero), or θ
        # is off the mean of its slopes at both ends by more than half of them: on a square root, as
        # before a fold, nine tenths of the way to it, by 0.27
        dp = new.p - point.p
        q = 0.5 * dp[:, None] * point.hess * dp
        surprise = new.value - point.value - float(point.gradient @ dp + q.sum())
        second = sum(abs(float(v.sum())) for v in (q[:2, :2], q[2:, 2:], 2 * q[:2, 2:]))
        before, after = 0.5 * point.theta_p @ dp, 0.5 * new.theta_p @ dp
        off = (new.theta - point.theta - before - after).norm()
        moved, eps = before.norm() + after.norm(), torch.finfo(new.p.dtype).eps
        size = max(point.gradient_norm, new.gradient_norm)  # over the curvature: what θ is off by
        known = 2 * size / new.curvature if new.curvature > _KNOWN else 0.0
        allowed = 0.5 * second + size * (2 * moved + 0.5 * known)  # F_p is off by θ_pᵀ∇J
        if abs(surprise) > allowed + (1e-9 + 100 * eps) * (1 + abs(new.value)):
            self.probe = probe
            raise _Lost(f"F is off its expansion by {surprise:.1e}: this is another branch")
        if off > 0.5 * moved + known + 100 * math.sqrt(eps) * (1 + new.theta.norm()):
            self.probe = probe
            raise _Lost(f"θ is {off:.1e} off, of {moved:.1e}: this is another branch")
        return new, effort

    def correct(self, theta, p):
        """The `_State` where ∇_θJ = 0 and g = target, and in how many Newton steps, at most 5. With
        W = A⁻¹g_θᵀ, dg/dp along the branch is g_p + WᵀB, B = −∂_p∇_θJ, and g at θ − A⁻¹∇J is off
        by miss + Wᵀ∇J; δp along `adjust` makes up for that, and δθ = A⁻¹(B δp − ∇J).
        """
        last, eps = math.inf, torch.finfo(p.dtype).eps
        for iteration in range(6):
            here = _State(self.J, self.law, theta, p)
            miss, size = self.target - here.g, float(here.gradient.norm())
            rounding = eps * (here.g_theta.abs() @ theta.abs() + here.g_p.abs() @ p.abs())
            allowed = torch.maximum(1e-10 * self.target.abs(), 100 * rounding)
            if size <= self.tol and bool((miss.abs() <= allowed).all()):
                return here, iteration
            error = size + float(miss.norm())
            if not math.isfinite(error) or (iteration > 1 and error > 0.9 * last):
                break
            last, rtol, B = error, min(1e-2, max(error, 0.1 * self.tol / error)), here.mixed()[0]
            W = self.solve(here, here.g_theta.T, rtol)
            dp = self.law.correction(p, here.g_p + W.T @ B, miss + W.T @ here.gradient)
            right = B @ dp - here.gradient
            p, theta = p + dp, theta + self.solve(here, right[:, None], rtol)[:, 0]
        off, most = ([f"{v:.1e}" for v in w] for w in (miss, allowed))
        held = f"what is conserved off by {off} (allowed {most})"
        raise _Lost(f"it ends at ‖∇J‖ = {size:.1e} (wanted {self.tol:.0e}), {held}")

    def cross(self, point, room, why):
        """The Jump past a singular A: leave along the null direction, minimise, restore g; further
        and further along the path, for at first there may be no stable state with this g.
        """
        B, _ = Local(self.J, point.theta, point.p).mixed()
        u = self.probe[:, 0]
        overlap = float((u @ B / B.norm(dim=0).clamp_min(1e-300)).abs().max())
        kick, last = 1e-2 * max(float(point.theta.norm()), 1.0), 0.0
        for h in (min(8 * _MIN_STEP * 5**k, room) for k in range(6)):
            # near a fold the velocity along `adjust` diverges, and `restore` finds that component
            p = point.p + h * self.law.vectors(point.p)[0]
            if (p[:2] < 0).any() or h == last:
                break
            found, last = [], h
            for start in (point.theta + kick * u, point.theta - kick * u):
                with contextlib.suppress(*_FAILED):  # no minimum there
                    found.append(self.settle(start, p))
            for best in sorted(found, key=lambda e: e.value):
                with contextlib.suppress(*_FAILED):  # there g may not answer to `adjust`
                    self.probe = torch.stack([best.direction, u], 1)
                    after = self.measure(point.s + h, self.restore(best))
                    return Jump(point.s, point, after, u, overlap)
        raise NotConverged(
            f"at s = {point.s:.6g}, p = {point.p.tolist()} every step fails, however short: {why}. "
            f"The smallest eigenvalue of A is {point.curvature:.1e} (at 0 the branch ends), and up "
            f"to s = {point.s + last:.4g} no other stable branch with the conserved value was found"
        ) from why

    def settle(self, theta, p):
        """The `Equilibrium` below θ. Where A is cheap, LLᵀ, it is sought from x = Lᵀθ, in which
        soft directions are as easy as stiff ones.
        """
        L = Local(self.J, theta, p).factor()
        if L is not None:
            back = lambda x: torch.linalg.solve_triangular(L.T, x[:, None], upper=True)[:, 0]
            x, _ = descend(lambda x, p: self.J(back(x), p), L.T @ theta, p, 1e-6, 5000)
            theta = back(x)
        return minimise(self.J, theta, p, tol=self.tol)

    def restore(self, e):
        """The `_State` with g = target near the equilibrium e, by damped Newton in `adjust`, from a
        new minimum each time: robust far from the target.
        """
        for _ in range(12):
            with contextlib.suppress(*_FAILED):
                return self.correct(e.theta, e.p)[0]
            here = _State(self.J, self.law, e.theta, e.p)
            total = here.g_p + here.g_theta @ self.solve(here, here.mixed()[0], 1e-8)
            dp = self.law.correction(e.p, total, self.target - here.g)
            longest = 0.1 * e.p.abs().clamp_min(1e-2) / dp.abs()
            e = self.settle(e.theta, e.p + dp * longest.min().clamp_max(1.0))
        raise NotConverged(f"what is conserved cannot be brought back to {self.target.tolist()}")
