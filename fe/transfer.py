"""Transfer of trained networks: (λ, γ) follow a task that changes (paper, eq. 24–30, 38; App. G).

What `fe.retraining` does on one task, with the training set drawn anew at every t. At stations the
slopes of (R, D, ln C) against (ln λ, ln γ, t) are measured by copies trained on common random
numbers; a step in t then solves

    geodesic (30)       C_λ λ̇ + C_γ γ̇ + C_t = 0,   D_λ λ̇ + D_γ γ̇ + D_t = k F_t/(1 + kλ)
    heuristic (38)      C_λ λ̇ + C_γ γ̇ + C_t = 0,   λ̇ given

for the prices, trains, and corrects γ (or both) until C is back. F_t, at fixed θ by the envelope
theorem, needs no training.
"""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from .retraining import ConstraintLost, Record, Row, Stage, around, clipped, state_of
from .training import evaluate


class Slopes(NamedTuple):
    """Slopes of (R, D, ln C) (rows) against (ln λ, ln γ, t) (columns), and F_t at fixed θ."""

    t: float
    lam: float
    gam: float
    C: float
    table: list  # 3 × 3
    F_t: float


class Fixed:
    """λ and γ stay as they are: the control, and fine-tuning if the task jumps to the target.

    What every law has: `moves`, whether its prices do; `step`, the factors of λ and γ for t + dt
    from the `Slopes`, F_t and what is missing of ln C; `correct`, the factors after a stage that
    has left `missing` of ln C and `off` of what else the law holds, `held(state)`; `singular`, why
    the law has no answer at this λ, or None.
    """

    moves = False

    def held(self, state):
        """What is held beside C."""
        return 0.0

    def singular(self, lam):
        """Why there is no answer at this λ."""
        return None


@dataclass(frozen=True)
class Heuristic(Fixed):
    """Eq. (38): λ̇ = speed, γ̇ from Ċ = 0."""

    speed: float = 0.0
    moves = True

    def step(self, slopes, lam, dt, F_t, missing):
        """Factors of λ and γ; raises `ValueError` if λ would vanish."""
        new = lam + self.speed * dt
        if not new > 0:
            raise ValueError(
                f"λ would become {new:.3g}: a speed of {self.speed} from λ = {lam:.3g} is too fast"
            )
        C_lam, C_gam, C_t = slopes.table[2]
        push = (missing - C_t * dt - C_lam * math.log(new / lam)) / C_gam
        return new / lam, clipped(push, 0.7)

    def correct(self, slopes, lam, off, missing):
        """γ alone answers."""
        return 1.0, clipped(missing / slopes.table[2][1], 0.5)


@dataclass(frozen=True)
class GeodesicLaw(Fixed):
    """Eq. (30): Ċ = 0 and dD/dR = k; both prices answer."""

    k: float
    moves = True

    def held(self, state):
        """D − kR, which moves by (1 + kλ) δD where the task and C stay."""
        return state["distortion"] - self.k * state["rate"]

    def singular(self, lam):
        """Near 1 + kλ = 0 the line is parallel to the surface."""
        if abs(1 + self.k * lam) < 0.05:
            return (
                f"the geodesic with k = {self.k:.4g} is singular: 1 + kλ = {1 + self.k * lam:.3f} "
                f"at λ = {lam:.4g}"
            )

    def _solve(self, slopes, D, C):
        rows = [row[:2] for row in slopes.table[1:]]
        return tuple(map(clipped, np.linalg.solve(rows, [D, C]).tolist(), (0.3, 0.7)))

    def step(self, slopes, lam, dt, F_t, missing):
        """Factors of λ and γ."""
        (*_, D_t), (*_, C_t) = slopes.table[1:]
        D = self.k / (1 + self.k * lam) * F_t * dt - D_t * dt
        return self._solve(slopes, D, missing - C_t * dt)

    def correct(self, slopes, lam, off, missing):
        """Both lines brought back."""
        return self._solve(slopes, off / (1 + self.k * lam), missing)


@dataclass(frozen=True)
class FreeEnergyRate:
    """A request for F_t at fixed θ: (G on the task at t + dt − G on the task at t)/dt."""

    t: float
    dt: float
    lam: float
    gam: float

    def words(self):
        """What identifies it in a journal."""
        return asdict(self)

    def measure(self, run):
        """Two evaluations of the network as it is, no training."""
        values = []
        for t in (self.t, self.t + self.dt):
            R, D, C, _ = (float(v) for v in evaluate(run.network, *run.data(t), seed=2))
            values.append(R + self.lam * D + self.gam * C)
        return dict(F_t=(values[1] - values[0]) / self.dt)


def _measure_slopes(t, lam, gam, epochs, *, delta=0.3, dt=0.05):
    """A process: `Slopes` from five copies at t and one at t ± dt, on common random numbers.

    All begin with the network of the last row.
    """
    dt = dt if t + dt <= 1 else -dt
    lams, gams = around(lam, gam, delta)
    # as a list of one, so that it is measured on the same images as the copies
    moved = yield Stage([lam], [gam], epochs, t=t + dt, start="row", ahead=1)
    copies = yield Stage(lams, gams, epochs, t=t, start="row")

    def slope(name, f):
        v, m = [f(u) for u in copies[name]], f(moved[name][0])
        return [(v[1] - v[2]) / (2 * delta), (v[3] - v[4]) / (2 * delta), (m - v[0]) / dt]

    table = [slope("rate", float), slope("distortion", float), slope("classification", math.log)]
    F_t = (yield FreeEnergyRate(t, dt, lam, gam))["F_t"]
    return Slopes(t, lam, gam, copies["classification"][0], table, F_t)


def transfer(
    lam,
    gam,
    times,
    law,
    *,
    epochs=3,
    start=None,
    target=None,
    tolerance=0.03,
    band=0.15,
    corrections=3,
    station=4,
    span=(0.0, 1.0),
):
    """A process: from a network trained on the task at times[0] through the other `times`.

    Args:
        lam: λ at the start.
        gam: γ at the start.
        times: Of the task, from 0 to 1.
        law: `Heuristic`, `GeodesicLaw` or `Fixed`.
        epochs: Length of a stage.
        start: Name of the kept network to begin with (default: the network as it is).
        target: C to hold (default: C after a first stage).
        tolerance: Size of ln C/C₀ at which corrections stop.
        band: Beyond it the run stops.
        corrections: At most so many a step.
        station: Steps between two measurements of the slopes.
        span: What part of a longer process this is.

    Returns:
        `Record` with rows and slopes (`Slopes`).

    Raises:
        ConstraintLost: C outside the band after all corrections, ∂C/∂γ not negative, 1 + kλ = 0, or
            λ ≤ 0; its `record` is what was recorded before.
        ValueError: times outside 0 … 1, or that do not increase (with `Fixed` they may).
    """
    times, record, spent = [float(t) for t in times], Record(), 0
    later = list(zip(times, times[1:]))
    if (
        not times
        or min(times) < 0
        or max(times) > 1
        or (law.moves and any(b <= a for a, b in later))
    ):
        raise ValueError(
            f"times must increase within 0 … 1 (with Fixed they may stay or go back), got {times}"
        )

    def stage(t):
        nonlocal spent, start
        done = span[0] + (span[1] - span[0]) * len(record.rows) / len(times)
        entry = yield Stage(lam, gam, epochs, t=t, start=start, span=(done, done))
        spent, start = spent + entry["epochs"], None
        return state_of(entry, lam, gam)

    def row(t, **more):
        record.rows.append(state | dict(t=t, spent=spent, **more))
        return Row(record.rows[-1])

    state = yield from stage(times[0])
    target = state["classification"] if target is None else target
    anchor = law.held(state)
    miss = lambda: math.log(state["classification"] / target)
    yield row(times[0], miss=0.0, drift=miss(), corrections=0)
    for number, (t, new) in enumerate(later):
        F_t, count = math.nan, 0
        if law.moves:
            if number % station == 0:
                slopes = yield from _measure_slopes(t, lam, gam, epochs)
                record.slopes.append(slopes)
                spent += 6 * epochs
                if not slopes.table[2][1] < -0.02:
                    raise ConstraintLost(
                        f"at t = {t:.3g}, λ = {lam:.3g}, γ = {gam:.3g} C does not answer to γ: "
                        f"∂ln C/∂ln γ = {slopes.table[2][1]:.3g} (should be well below 0)",
                        record,
                    )
            if law.singular(lam):
                raise ConstraintLost(law.singular(lam), record)
            F_t = (yield FreeEnergyRate(t, new - t, lam, gam))["F_t"]
            try:
                factors = law.step(slopes, lam, new - t, F_t, -miss())
            except ValueError as e:
                raise ConstraintLost(str(e), record) from e
            lam, gam = lam * factors[0], gam * factors[1]
        state = yield from stage(new)
        first = miss()
        while law.moves and abs(miss()) > tolerance and count < corrections:
            factors = law.correct(slopes, lam, anchor - law.held(state), -miss())
            lam, gam, count = lam * factors[0], gam * factors[1], count + 1
            state = yield from stage(new)
        if law.moves and abs(miss()) > band:
            raise ConstraintLost(
                f"C left its band of {band:.0%} at t = {new:.3g}: {state['classification']:.4g} "
                f"against {target:.4g} after {count} corrections; before them it was off by "
                f"{first:+.2f} in ln C. There ∂ln C/∂t = {slopes.table[2][2]:.3g} against "
                f"∂ln C/∂ln γ = {slopes.table[2][1]:.3g}",
                record,
            )
        yield row(new, miss=first, drift=miss(), corrections=count, F_t=F_t)
    return record
