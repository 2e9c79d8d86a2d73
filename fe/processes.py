"""Processes with trained networks (paper, eq. 22, 31, 38; Remark 7): the laws of `fe.path` on
slopes that are measured.

A network trained on minibatches is at no equilibrium: its C carries the noise of training, and
equation (31) adds that noise up step by step. What a law needs is the same as in `fe.path`, the
free energy to second order around p = (λ, γ) or (λ, γ, t),

    F(p + δ) = F + D δλ + C δγ + F_t δt + ½ δᵀ (Hess F) δ,

and here it is measured: Hess F from copies trained at (λ, γ), (λe^±δ, γ), (λ, γe^±δ) and at t + dt
on common random numbers, F_t at fixed θ, by the envelope theorem. `walk` predicts from it, trains,
measures what the law holds, and corrects until that is back within a tolerance. A step that does
not arrive is taken back and halved.
"""

import math
from dataclasses import dataclass, field
from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch

from .errors import about, number
from .objective import classification
from .path import Conserve
from .retraining import Row, Stage
from .training import evaluate


class ConstraintLost(RuntimeError):
    """A law cannot be followed any further; `record` has the states until then."""

    def __init__(self, message, record=None):  # a pickle, as process pools send it, adds it later
        super().__init__(message)
        self.record = record


@dataclass
class Record:
    """What a process went through: `record["lam"]` is a column of its rows, as in `fe.path`; but
    their `drift` is a logarithm, see `walk`, and that of a `Point` g − target.
    """

    rows: list = field(default_factory=list)  # dicts: prices, R, D, C, F, accuracy, …
    slopes: list = field(default_factory=list)  # `Slopes` measured on the way

    def __getitem__(self, name):
        return [row[name] for row in self.rows]


class Slopes(NamedTuple):
    """∂(D, ln C)/∂(ln λ, ln γ), or /∂(ln λ, ln γ, t), and standard errors (NaN from one repeat)."""

    lam: float
    gam: float
    D: float
    C: float
    slopes: list  # [[∂D/∂ln λ, ∂D/∂ln γ, …], [∂ln C/∂ln λ, ∂ln C/∂ln γ, …]]
    errors: list

    @classmethod
    def of(cls, lam, gam, D, C, tables):
        """The mean and its error of repeated tables."""
        t = torch.tensor(tables, dtype=torch.float64, device="cpu")
        error = t.std(0) / math.sqrt(len(t)) if len(t) > 1 else torch.full_like(t[0], math.nan)
        return cls(lam, gam, D, C, t.mean(0).tolist(), error.tolist())

    def hessian(self, lam, gam, C):
        """[[D_λ, D_γ, …], [C_λ, C_γ, …]], rows of Hess F at (λ, γ), C; logarithmic slopes vary
        less, so that they may have been measured elsewhere.
        """
        rows = zip(self.slopes, (1.0, C))
        return [[v * s for v, s in zip(row, (c / lam, c / gam, c))] for row, c in rows]


def finite_differences(lam, gam, epochs=3, delta=0.3, repeats=1, start=None, t=None, dt=0.05):
    """A process: `Slopes` from five copies, at (λ, γ), (λe^±δ, γ) and (λ, γe^±δ), on common random
    numbers, `repeats` times, from the kept network `start` or the one as it is.

    With t, the time on a task, also the slope against t, from one copy more at t + dt (t − dt near
    the end). Raises `ValueError` unless delta > 0 and repeats ≥ 1, and for t without start.
    """
    if not (delta > 0 and repeats >= 1):
        raise ValueError(f"need delta > 0 and repeats ≥ 1, got {delta} and {repeats}")
    up, down = math.exp(delta), math.exp(-delta)
    lams, gams = [lam, lam * up, lam * down, lam, lam], [gam, gam, gam, gam * up, gam * down]
    if t is not None and start is None:
        raise ValueError("slopes against t need a kept network to start from, got start = None")
    tables = []
    dt = dt if t is None or t + dt <= 1 else -dt
    for _ in range(repeats):
        if t is not None:
            # as a list of one, so that it is measured on the same images as the copies
            moved = yield Stage([lam], [gam], epochs, t=t + dt, start=start, ahead=1)
        entry = yield Stage(lams, gams, epochs, t=t, start=start)
        table = []
        for name, scale in (("distortion", float), ("classification", math.log)):
            v = [scale(u) for u in entry[name]]
            row = [(v[1] - v[2]) / (2 * delta), (v[3] - v[4]) / (2 * delta)]
            table.append(row if t is None else [*row, (scale(moved[name][0]) - v[0]) / dt])
        tables.append(table)
        start = None if t is None else start
    return Slopes.of(lam, gam, entry["distortion"][0], entry["classification"][0], tables)


@dataclass(frozen=True)
class FreeEnergyRate:
    """A request for F_t at fixed θ: (G on the task at t + dt − G on the task at t)/dt."""

    t: float
    dt: float
    lam: float
    gam: float

    def measure(self, run):
        """Two evaluations of the network as it is, batch normalisation as trained at t."""
        values = []
        for t in (self.t, round(self.t + self.dt, 9)):
            R, D, C, _ = (float(v) for v in evaluate(run.network, *run.data(t), seed=2))
            values.append(R + self.lam * D + self.gam * C)
        return dict(F_t=(values[1] - values[0]) / self.dt)


def state_of(entry, lam, gam):
    """What a stage at (λ, γ) has left of its first member: its numbers, prices, F = R + λD + γC."""
    state = {k: v[0] for k, v in entry.items() if isinstance(v, list)}
    F = state["rate"] + lam * state["distortion"] + gam * state["classification"]
    return state | dict(lam=lam, gam=gam, F=F)


class _Held:
    """What a law holds, on the set of images `hold`: R, D, C and what is made of them there, from
    a `state` and the slopes, F to second order in place of J.
    """

    def __init__(self, law, hold, p, state, record):
        self.law, self.record, self.prefix = law, record, "" if hold == "train" else f"{hold}_"
        u = p.new_tensor(self.functionals(state))
        J = lambda u: lambda _, q: u[0] + q[:2] @ u[1:]
        g = lambda u: law.value(J(u), p.new_zeros(1), p)
        # the sizes of its terms in R, D and C: C for C, D + |k|R for D − kR
        self.target, self.scale = g(u), (torch.func.jacrev(g)(u) * u).abs().sum(1)

    def functionals(self, state):
        """R, D, C as measured."""
        return [state[self.prefix + k] for k in ("rate", "distortion", "classification")]

    def expand(self, p, state, slopes=None, F_t=0.0):
        """g (m,) and dg/dp (m, n) along the branch, from F to second order around p; F_tt is not
        measured and enters neither D, C nor R = F − λD − γC to first order.
        """
        R, D, C = self.functionals(state)
        F_p, H = p.new_tensor([D, C, F_t])[: len(p)], p.new_zeros(len(p), len(p))
        if slopes:
            (D_lam, _, *D_t), (C_lam, C_gam, *C_t) = slopes.hessian(*p[:2].tolist(), C)
            # D_γ = C_λ, and of the two C_λ has less noise: C is an average over eight samples of z
            H[:2] = p.new_tensor([[D_lam, C_lam, *D_t], [C_lam, C_gam, *C_t]])
            H[2:, :2] = H[:2, 2:].T
        F = lambda _, q: R + p[:2] @ F_p[:2] + F_p @ (q - p) + 0.5 * (q - p) @ H @ (q - p)
        g = lambda q: self.law.value(F, p.new_zeros(1), q)
        return g(p), torch.func.jacrev(g)(p)

    def off(self, p, state):
        """ln(1 + (g − target)/scale) of each quantity: ln C/C₀ where C is held, 0 where nothing."""
        g, _ = self.expand(p, state)
        off = ((g - self.target) / self.scale).clamp_min(-0.999).log1p()
        return off.tolist() or [0.0]

    def step(self, p, state, slopes, F_t, h, corrector):
        """p after a step h of the law that also makes up for what is missing (with `corrector`);
        what is not given changes no price by more than half. Raises `ConstraintLost` where the law
        has no answer.
        """
        g, total = self.expand(p, state, slopes, F_t)
        given, miss = self.law.vectors(p)[0], (self.target - g) * corrector
        try:
            answer = h * (self.law.velocity(p, total) - given)
            answer += self.law.correction(p, total, miss)
        except ValueError as e:
            raise ConstraintLost(str(e), self.record) from e
        answer[:2] = answer[:2].clamp(-0.5 * p[:2], 0.5 * p[:2])
        new = p + h * given + answer
        if not (new[:2] > 0).all():
            lost = f"a price would vanish: the law leads from {_words(p)} to {_words(new)}"
            raise ConstraintLost(lost, self.record)
        return new

    def check(self, p, state, slopes):
        """Raise `ConstraintLost` unless what is held changes with its price by more than noise;
        where γ answers, C must fall as it rises, which a concave F demands.
        """
        adjust, C_gam = self.law.vectors(p)[1], slopes.slopes[1][1]
        lever = self.expand(p, state, slopes)[1] @ (adjust * p).T / self.scale[:, None]
        weak = len(lever) == 1 and float(lever.abs()) < 0.02
        if weak or (adjust[:, 1].any() and not C_gam < -0.02):
            lost = f"at {_words(p)} what is held does not answer to the prices: ∂ln C/∂ln γ = "
            raise ConstraintLost(f"{lost}{C_gam:.3g} (should be well below 0)", self.record)


def _words(p):
    return ", ".join(f"{name} = {v:.3g}" for name, v in zip("λγt", p.tolist()))


def walk(
    p,
    law,
    stops,
    *,
    epochs=3,
    start=None,
    keep=None,
    settle=None,
    tolerance=0.01,
    band=0.05,
    corrections=4,
    station=5,
    repeats=1,
    hold="train",
    corrector=True,
    span=(0.0, 1.0),
):
    """A process: from a network at p through the `stops` of a law (paper, eq. 22, 30, 31, 38).

    Args:
        p: (λ, γ), or (λ, γ, t) for a run whose images are a function of t.
        law: `fe.Conserve` of quantities made of R, D and C, `fe.Geodesic`, `fe.QuasiStatic`, or a
            class derived from them, or another object with their methods.
        stops: Values of s, of which p is at the first: λ where the law's `along` is (1, …, 0), t
            where it is (…, 1). They may go back, and stay.
        epochs: Length of an equilibration.
        start: Name of the kept network to begin with (default: the network as it is).
        keep: Name under which the network of the last row is kept.
        settle: (nats of F, ln C) by which one more equilibration may change the start; up to six
            are tried (default: one, whatever it changes).
        tolerance: Where to stop correcting: the size of ln C/C₀, or of ln(1 + (g − g₀)/scale)
            where g is held, of the scale of its terms in R, D and C. One number, or one for each g.
        band: On the same, to accept a step after at most so many `corrections`.
        station: Accepted steps between two measurements of the slopes, each of so many `repeats`.
        hold: "train", or the probe ("val": the validation set) on which it is held; the slopes are
            those of the training set.
        corrector: False for the paper's recipe, to see it drift.
        span: What part of a longer process this is, for a progress bar.

    Returns:
        `Record` with rows and `Slopes`. In a row, `miss` and `drift` are ln C/C₀, or the like of
        the first quantity held, before and after correcting, `off` is the largest of all, and F_t
        belongs to the step that led there (0 where nothing is held); `own` are the epochs that led
        this network there, `spent` those of all that was trained; in the first row, `change_F` is
        what the last of `settle` changed.

    Raises:
        ConstraintLost: Out of the band or over 1 + kλ = 0 (for a geodesic) however small the step,
            nothing answers to the prices, or a price that would vanish.
        ValueError, TypeError: At once, for arguments that do not fit; t outside 0 … 1.
    """
    whole = lambda name, value, least=1: number(name, value, least, whole=True)
    epochs, station = whole("epochs", epochs), whole("station", station)
    repeats, corrections = whole("repeats", repeats), whole("corrections", corrections, 0)
    if not isinstance(keep, str | None):
        raise TypeError(f"keep must be a name, got {keep!r}")
    given, lists = dict(p=p, stops=stops, span=span, settle=() if settle is None else settle), []
    given |= dict(tolerance=tolerance, band=band)  # one number for all, or several
    for name, v in given.items():
        with about(f"{name} = {v!r}"):
            lists.append([float(u) for u in (v if hasattr(v, "__len__") else [v])])
    p, stops, span, settle, tolerance, band = lists
    if not (len(p) in (2, 3) and min(p[:2]) > 0 and stops and all(map(math.isfinite, p + stops))):
        need = "p = (λ, γ) or (λ, γ, t), λ > 0, γ > 0, and at least one stop, all finite"
        raise ValueError(f"need {need}, got {p} and {stops}")
    if len(settle) not in (0, 2) or len(span) != 2:
        raise ValueError(f"settle and span must be two numbers each, got {settle} and {span}")
    methods = {"value", "vectors", "correction", "velocity", "hops"}
    if isinstance(law, type) or not methods <= {*dir(law)}:
        raise TypeError(f"law must be an object with the methods {sorted(methods)}, got {law!r}")
    p = torch.tensor(p, dtype=torch.float64, device="cpu")
    with about("law"):
        given, adjust = law.vectors(p)
        m = len(law.value(lambda _, q: 1 + q[:2].sum(), p.new_zeros(1), p))  # at R = D = C = 1
        if len(adjust) != m or not math.isfinite(float(given.sum() + adjust.sum())):
            adjusted = f"along {given.tolist()}, adjust {adjust.tolist()}"
            raise ValueError(f"it holds {m} and needs as many of `adjust`, finite: {adjusted}")
    fits = len(tolerance) == len(band) and len(band) in (1, m)
    if not fits or not all(0 < low <= high for low, high in zip(tolerance, band)):
        need = "0 < tolerance ≤ band, one number each or one for each quantity held"
        raise ValueError(f"need {need}, {m} in all, got {tolerance} and {band}")
    given, steady = given.tolist(), hasattr(law, "along") and not callable(law.along)
    at = [p[i].item() for i in (-1, 0) if given[i] == 1 and steady][:1]
    if at and abs(at[0] - stops[0]) > 1e-9:
        raise ValueError(f"p = {p.tolist()} is not at the first of the stops, {stops[0]}")
    (t,), (t_dot,) = (p[2:].tolist() or [0.0]), (given[2:] or [0.0])
    times = [t + t_dot * (s - stops[0]) for s in stops]
    if not -1e-9 < min(times) <= max(times) < 1 + 1e-9:
        raise ValueError(f"t must stay within 0 … 1, got {times}")

    def process(p):
        record, moves, spent, F_t = Record(), len(p) == 3, 0, 0.0
        ahead = [(b, abs(b - a)) for a, b in zip(stops, stops[1:])]  # stops, and their distances

        def train(p, own=0, start=None):
            nonlocal spent
            (lam, gam), t = p[:2].tolist(), dict(t=round(p[2].item(), 9)) if moves else {}
            done = span[1] - (span[1] - span[0]) * sum(s in stops for s, _ in ahead) / len(stops)
            entry = yield Stage(lam, gam, epochs, start=start, hold=hold, span=(done, done), **t)
            spent += entry["epochs"]
            return state_of(entry, lam, gam) | dict(own=own + epochs) | t

        def row(**more):
            off = held.off(p, state)
            more |= dict(drift=off[0], off=max(map(abs, off)), spent=spent)
            record.rows.append(state | more | (dict(F_t=F_t) if moves else {}))
            return Row(record.rows[-1], keep)

        state, settled = (yield from train(p, start=start)), dict(corrections=0)
        C = "classification" if hold == "train" else f"{hold}_classification"
        for count in range(6 if settle else 0):
            before, state = state, (yield from train(p, state["own"]))
            settled = dict(corrections=count + 1, change_F=state["F"] - before["F"])
            ln_C = math.log(state[C]) - math.log(before[C])
            if abs(settled["change_F"]) < settle[0] and abs(ln_C) < settle[1]:
                break
        held, s, slopes, since = _Held(law, hold, p, state, record), stops[0], None, station
        holds = len(held.target) > 0
        beyond = lambda off, most: max(abs(v) / q for v, q in zip(off, cycle(most)))
        yield row(step=0.0, miss=0.0, **settled)
        while ahead:
            h, own, prices = ahead[0][0] - s, state["own"], p[:2].tolist()
            if holds and since >= station:  # measure; the first of the copies stays
                dt = min(0.05, abs(h * t_dot)) or 0.05  # fast changes: over the step ahead
                how = dict(repeats=repeats, start="row", t=state.get("t"), dt=dt)
                slopes = yield from finite_differences(*prices, epochs, **how)
                record.slopes.append(slopes)
                held.check(p, state, slopes)
                spent, own = spent + (5 + moves) * repeats * epochs, own + repeats * epochs
                since = 0
            if holds and h * t_dot:
                F_t = (yield FreeEnergyRate(state["t"], h * t_dot, *prices))["F_t"]
            new, there, miss = p, state | dict(own=own), None
            for count in range(1 + corrections * bool(corrector)):  # predict, then correct
                here, new = new, held.step(new, there, slopes, F_t, 0.0 if count else h, corrector)
                if hops := law.hops(here, new):
                    break
                there = yield from train(new, there["own"])
                off = held.off(new, there)
                miss = miss if count else off[0]
                if beyond(off, tolerance) <= 1:
                    break
            if not hops and (beyond(off, band) <= 1 or not corrector):
                p, state, (s, _), since = new, there, ahead.pop(0), since + 1
                yield row(step=h, corrections=count, miss=miss)
            elif abs(h) > ahead[0][1] / 16:  # half as far, from the network of the last row
                ahead.insert(0, (s + h / 2, ahead[0][1]))
                since = station
            elif hops:
                where = f"{_words(here)} to {_words(new)}"
                raise ConstraintLost(f"the law has no answer on the way from {where}", record)
            else:
                bands, by = (f"{v:.0%}" for v in band), (f"{v:+.2f}" for v in off)
                lost = f"what is held left its band of {' and '.join(bands)} at {_words(new)}, by "
                lost += f"{', '.join(by)} after {count} corrections, {miss:+.2f} before. There the "
                lost += f"slopes of ln C against ln λ, ln γ (and t) are {slopes.slopes[1]}"
                raise ConstraintLost(lost, record)
        return record

    return process(p)


def iso_classification(lam, gam, lam_end, *, start_epochs=120, start_lr=1e-3, step=0.06, **options):
    """A process: new weights, trained at (λ, γ), then `walk` to λ_end with C held (eq. 22, 31).

    Args:
        lam, gam, lam_end: λ and γ at the start, λ at the end; > 0, or `ValueError`.
        start_epochs, start_lr: Of the training from scratch that comes first.
        step: Longest step in √λ.
        options: As for `walk`; `settle` is (0.1, 0.02) unless given.
    """
    names = "λ", "λ_end", "γ", "step"
    lam, lam_end, gam, step = map(number, names, (lam, lam_end, gam, step))
    if not min(lam, lam_end, gam, step) > 0:
        raise ValueError(f"need λ, λ_end, γ and step > 0, got {lam}, {lam_end}, {gam} and {step}")
    ends = math.sqrt(lam), math.sqrt(lam_end)
    stops = np.linspace(*ends, 1 + math.ceil(abs(ends[1] - ends[0]) / step - 1e-9)) ** 2
    options = dict(settle=(0.1, 0.02), span=(0.4, 1.0), hold="train") | options
    path = walk((lam, gam), Conserve(classification), stops, **options)  # refused before training
    yield Stage(lam, gam, start_epochs, start_lr, hold=options["hold"], span=(0.0, 0.4))
    return (yield from path)
