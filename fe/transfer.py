"""Transfer of trained networks: (λ, γ) follow a task that changes (paper, eq. 24–30 and 38; App.
G).

What `fe.retraining` does on one task, with the training set drawn anew at every t. At stations the
slopes of (R, D, ln C) against (ln λ, ln γ, t) are measured by copies trained on common random
numbers; a step in t then solves

    geodesic (30)       C_λ λ̇ + C_γ γ̇ + C_t = 0,   D_λ λ̇ + D_γ γ̇ + D_t = k F_t/(1 + kλ)
    heuristic (38)      C_λ λ̇ + C_γ γ̇ + C_t = 0,   λ̇ given

for the prices, equilibrates, and corrects γ (or both) until C is back. F_t, at fixed θ by the
envelope theorem, needs no training.
"""

import math
from typing import NamedTuple

import torch

from .retraining import ConstraintLost, row
from .training import evaluate


class Slopes(NamedTuple):
    """Slopes of (R, D, ln C) (rows) against (ln λ, ln γ, t) (columns) at one point, and F_t at
    fixed θ.
    """

    t: float
    lam: float
    gam: float
    C: float
    table: list  # 3 × 3
    F_t: float


class Fixed:
    """λ and γ stay as they are: the control experiment, and fine-tuning if the task jumps to the
    target at once.

    What every law has: `prices`, the (λ, γ) predicted for t + dt from the `Slopes`, F_t and what is
    missing of ln C; `correct`, the (λ, γ) after a stage that has left `state` = {R, D, C} off the
    target; `singular`, why the law has no answer at this λ, or None.
    """

    def prices(self, slopes, lam, gam, dt, F_t, miss, anchor):
        return lam, gam

    def correct(self, slopes, lam, gam, state, target, anchor):
        return lam, gam

    def singular(self, lam):
        return None


class Heuristic(Fixed):
    """Eq. (38): λ̇ = speed, γ̇ from Ċ = 0."""

    def __init__(self, speed=0.0):
        self.speed = speed

    def prices(self, slopes, lam, gam, dt, F_t, miss, anchor):
        new = lam + self.speed * dt
        if not new > 0:
            raise ValueError(
                f"λ would become {new:.3g}: a speed of {self.speed} from λ = {lam:.3g} is too fast"
            )
        _, _, (C_lam, C_gam, C_t) = slopes.table
        push = (miss - C_t * dt - C_lam * math.log(new / lam)) / C_gam
        return new, gam * math.exp(max(-0.7, min(0.7, push)))

    def correct(self, slopes, lam, gam, state, target, anchor):
        return lam, gam * math.exp(
            max(-0.5, min(0.5, math.log(target / state["C"]) / slopes.table[2][1]))
        )


class GeodesicLaw(Fixed):
    """Eq. (30): Ċ = 0 and dD/dR = k; both prices answer."""

    def __init__(self, k):
        self.k = k

    def _solve(self, slopes, lam, gam, right_D, right_C):
        _, D, C = (row[:2] for row in slopes.table)
        slopes, right, limit = (
            torch.tensor(v, dtype=torch.float64, device="cpu")
            for v in ([D, C], [right_D, right_C], [0.3, 0.7])
        )
        step = torch.linalg.solve(slopes, right).clamp(-limit, limit).tolist()
        return lam * math.exp(step[0]), gam * math.exp(step[1])

    def singular(self, lam):
        if abs(1 + self.k * lam) < 0.05:
            return (
                f"the geodesic with k = {self.k:.4g} is singular: 1 + kλ = {1 + self.k * lam:.3f} "
                f"at λ = {lam:.4g}"
            )

    def prices(self, slopes, lam, gam, dt, F_t, miss, anchor):
        return self._solve(
            slopes,
            lam,
            gam,
            self.k / (1 + self.k * lam) * F_t * dt - slopes.table[1][2] * dt,
            miss - slopes.table[2][2] * dt,
        )

    def correct(self, slopes, lam, gam, state, target, anchor):
        off = anchor - (
            state["D"] - self.k * state["R"]
        )  # D − kR moves by (1 + kλ) δD where the task and C stay
        return self._solve(
            slopes, lam, gam, off / (1 + self.k * lam), math.log(target / state["C"])
        )


def free_energy_rate(run, task, t, lam, gam, size, dt):
    """F_t at fixed θ: (G on the task at t + dt − G on the task at t)/dt of the network as it is.
    Two evaluations.
    """
    values = []
    for s in (t, t + dt):
        R, D, C, _ = (
            float(v) for v in evaluate(run.network, *task.sample(s, size, run.seed), seed=2)
        )
        values.append(R + lam * D + gam * C)
    return (values[1] - values[0]) / dt


def measure_slopes(run, task, t, lam, gam, size, *, delta=0.3, dt=0.05):
    """`Slopes` at (λ, γ, t): five copies at t and one at t ± dt, all on the same minibatches and
    noise. Trains the network on.
    """
    dt = dt if t + dt <= 1 else -dt
    run.keep("station")
    run.x, run.y = task.sample(t + dt, size, run.seed)
    moved = run.stage(
        [lam], [gam], number=run.done + 1
    )  # a list: measured on the same images as the copies
    run.back("station")
    run.x, run.y = task.sample(t, size, run.seed)
    up, down = math.exp(delta), math.exp(-delta)
    copies = run.stage([lam, lam * up, lam * down, lam, lam], [gam, gam, gam, gam * up, gam * down])

    def slope(name, f):
        v, m = [f(u) for u in copies[name]], f(moved[name][0])
        return [(v[1] - v[2]) / (2 * delta), (v[3] - v[4]) / (2 * delta), (m - v[0]) / dt]

    table = [slope("rate", float), slope("distortion", float), slope("classification", math.log)]
    F_t = _answered(run, task, t, lam, gam, size, dt)
    return Slopes(t, lam, gam, copies["classification"][0], table, F_t)


def transfer(
    run,
    task,
    lam,
    gam,
    times,
    law,
    *,
    size,
    target=None,
    tolerance=0.03,
    band=0.15,
    corrections=3,
    station=4,
    epochs=None,
    on_row=None,
):
    """From a network trained on the task at times[0], through the task at the other `times`, by
    `law`.

    Args:
        run: Retraining of the trained network
        task: with `sample(t, n, seed)` -> (x, y)
        law: `Heuristic`, `GeodesicLaw` or `Fixed`
        size: images in the training set of every stage
        target: C to hold (default: C after a first equilibration)
        tolerance: of `|ln C/C₀|` at which corrections stop
        band: beyond it the run stops
        corrections: at most so many a step
        station: steps between two measurements of the slopes

    Returns:
        rows (list of dict), slopes (list of Slopes)

    Raises:
        ConstraintLost: C outside the band after all corrections, ∂C/∂γ not negative, 1 + kλ = 0, or
            λ ≤ 0; its `rows` and `measured` are the rows and slopes before
        ValueError: times outside 0 … 1, or that do not increase (with `Fixed` they may stay or go
            back)
    """
    rows, measured, spent, anchor = [], [], 0, 0.0
    corrected, times = not type(law) is Fixed, [float(t) for t in times]
    if (
        not times
        or min(times) < 0
        or max(times) > 1
        or (corrected and any(b <= a for a, b in zip(times, times[1:])))
    ):
        raise ValueError(
            f"times must increase within 0 … 1 (with Fixed they may stay or go back), got {times}"
        )

    def record(entry, t, **more):
        rows.append(row(entry, lam, gam) | dict(t=t, spent=spent, **more))
        if on_row:
            on_row(rows[-1])

    def stage(t):
        nonlocal spent
        run.x, run.y = task.sample(t, size, run.seed)
        entry = run.stage(lam, gam, epochs)
        spent += entry["epochs"]
        return entry, dict(
            R=entry["rate"][0], D=entry["distortion"][0], C=entry["classification"][0]
        )

    entry, state = stage(times[0])
    target = target or state["C"]
    if isinstance(law, GeodesicLaw):
        anchor = state["D"] - law.k * state["R"]
    record(entry, times[0], miss=0.0, drift=math.log(state["C"] / target), corrections=0)
    for number, (t, new) in enumerate(zip(times, times[1:])):
        F_t = math.nan
        if corrected:
            if number % station == 0:
                slopes = measure_slopes(run, task, t, lam, gam, size)
                spent += 6 * (epochs or run.epochs)
                measured.append(slopes)
                if not slopes.table[2][1] < -0.02:
                    raise ConstraintLost(
                        f"at t = {t:.3g}, λ = {lam:.3g}, γ = {gam:.3g} C does not answer to γ: "
                        "∂ln C/∂ln γ = "
                        f"{slopes.table[2][1]:.3g} (should be well below 0)",
                        rows,
                        measured,
                    )
            if law.singular(lam):
                raise ConstraintLost(law.singular(lam), rows, measured)
            F_t = _answered(run, task, t, lam, gam, size, new - t)
        try:
            lam, gam = law.prices(
                slopes if corrected else None,
                lam,
                gam,
                new - t,
                F_t,
                math.log(target / state["C"]),
                anchor,
            )
        except ValueError as e:
            raise ConstraintLost(str(e), rows, measured) from e
        entry, state = stage(new)
        first, count = math.log(state["C"] / target), 0
        while corrected and abs(math.log(state["C"] / target)) > tolerance and count < corrections:
            lam, gam = law.correct(slopes, lam, gam, state, target, anchor)
            entry, state = stage(new)
            count += 1
        drift = math.log(state["C"] / target)
        if corrected and abs(drift) > band:
            raise ConstraintLost(
                f"C left its band of {band:.0%} at t = {new:.3g}: {state['C']:.4g} against "
                f"{target:.4g} after {count} corrections; before "
                f"them it was off by {first:+.2f} in ln C. There ∂ln C/∂t = "
                f"{slopes.table[2][2]:.3g} against ∂ln C/∂ln γ = "
                f"{slopes.table[2][1]:.3g}",
                rows,
                measured,
            )
        record(entry, new, miss=first, drift=drift, corrections=count, F_t=F_t)
    return rows, measured


def _answered(run, task, t, lam, gam, size, dt):
    return run.answer(
        ["F_t", *map(float, (t, lam, gam, dt)), size, run.seed],
        lambda: dict(F_t=free_energy_rate(run, task, t, lam, gam, size, dt)),
    )["F_t"]
