"""Processes with trained networks (paper, eq. 22, 31, 38; Remark 7): the laws of `fe.path` on
slopes that are measured.

`fe.path` follows an equilibrium that Newton's method finds to the last digit. A network trained
on minibatches has none: its C carries the noise of training, and equation (31) adds that noise up
step by step. What a law needs is the same, the free energy to second order around p = (λ, γ) or
(λ, γ, t),

    F(p + δ) = F + D δλ + C δγ + F_t δt + ½ δᵀ (Hess F) δ,

and here it is measured: Hess F from copies trained at (λ, γ), (λe^±δ, γ), (λ, γe^±δ) and at t + dt
on common random numbers, F_t at fixed θ, by the envelope theorem. `walk` predicts from it, trains,
measures what the law holds, and corrects until that is back within a tolerance. A step that does
not arrive is taken back and halved; where C does not answer to γ at all, the process ends and says
so.

Each process is a generator: it asks for `Stage`s, which `fe.retraining` answers.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from .amortised import AmortisedObjective
from .path import Conserve, classification
from .response import network_response
from .retraining import Row, Stage
from .training import evaluate, generator


class ConstraintLost(RuntimeError):
    """What a law holds left its band, or C does not answer to γ; `record` has the states until
    then.
    """

    def __init__(self, message, record):
        super().__init__(message)
        self.record = record

    def __reduce__(self):  # for process pools
        return type(self), (str(self), self.record)


@dataclass
class Record:
    """What a process went through: `record["lam"]` is a column of its rows, as with `fe.Path`."""

    rows: list = field(default_factory=list)  # dicts: prices, R, D, C, F, accuracy, …
    slopes: list = field(default_factory=list)  # measured on the way
    responses: list = field(default_factory=list)  # by Lemma 5, where that was asked for

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

    def hessian(self, lam=None, gam=None, C=None):
        """[[D_λ, D_γ, …], [C_λ, C_γ, …]], rows of Hess F, and standard errors; logarithmic slopes
        vary less, and serve at other (λ, γ), C too.
        """
        lam, gam, C = lam or self.lam, gam or self.gam, C or self.C
        scale = [[c / lam, c / gam, c] for c in (1.0, C)]
        return tuple(
            [[v * s for v, s in zip(*row)] for row in zip(table, scale)]
            for table in (self.slopes, self.errors)
        )


def finite_differences(lam, gam, epochs=3, delta=0.3, repeats=1, start=None, t=None, dt=0.05):
    """A process: `Slopes` from five copies, at (λ, γ), (λe^±δ, γ) and (λ, γe^±δ), on common random
    numbers, `repeats` times, from the kept network `start` or the one as it is.

    With t, the time on a task, also the slope against t, from one copy more at t + dt (t − dt near
    the end); all begin with the kept network `start`.

    Raises:
        ValueError: Not delta > 0 and repeats ≥ 1, or t without start.
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
class FreeEnergyHessian:
    """A request for Hess F by Lemma 5 (`network_response`) on the k-th set of `images` images."""

    lam: float
    gam: float
    images: int
    part: int
    damping: float

    def measure(self, run):
        """Hess F and the matrix that was used ("Hessian" or "Gauss-Newton")."""
        x, y = (v[self.part * self.images : (self.part + 1) * self.images] for v in run.data(None))
        if len(x) < self.images:
            raise ValueError(
                f"need batches ≥ 1 of images ≥ 1 each, in all at most the "
                f"{len(run.data(None)[0])} there are, got part {self.part} of {self.images}"
            )
        random, d = generator(run.seed, run.done, 3), run.network.code_size(x)
        noise = torch.randn(1, len(x), d, generator=random, dtype=x.dtype, device="cpu")
        J = AmortisedObjective(*run.network[0], x, y, noise.to(x.device))
        p = torch.tensor([self.lam, self.gam], dtype=x.dtype, device=x.device)
        found = network_response(J, J.theta0, p, damping=self.damping)
        return dict(hess=found.hess.tolist(), matrix=found.matrix, D=found.D, C=found.C)


def lemma_5(lam, gam, images=10_000, batches=3, damping=0.1):
    """A process: `Slopes` by Lemma 5 on `batches` disjoint sets of images, and the matrices that
    were used. The spread between the sets is the error.
    """
    if not (batches >= 1 and images >= 1):
        raise ValueError(f"need batches ≥ 1 of images ≥ 1 each, got {batches} of {images}")
    tables, found = [], []
    for part in range(batches):
        found.append((yield FreeEnergyHessian(float(lam), float(gam), images, part, damping)))
        (D_lam, D_gam), (C_lam, C_gam) = found[-1]["hess"]
        C = found[-1]["C"]
        tables.append([[D_lam * lam, D_gam * gam], [C_lam * lam / C, C_gam * gam / C]])
    D, C = (sum(entry[k] for entry in found) / batches for k in "DC")
    return Slopes.of(lam, gam, D, C, tables), [entry["matrix"] for entry in found]


@dataclass(frozen=True)
class FreeEnergyRate:
    """A request for F_t at fixed θ: (G on the task at t + dt − G on the task at t)/dt."""

    t: float
    dt: float
    lam: float
    gam: float

    def measure(self, run):
        """Two evaluations of the network as it is, no training, with statistics of batch
        normalisation from the task at t.
        """
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


def _moved(law, p, h, total, miss):
    """p after a step h of the law that also makes up for `miss`; what is not given changes no price
    by more than half.
    """
    given = law.vectors(p)[0]
    answer = h * (law.velocity(p, total) - given) + law.correction(p, total, miss)
    answer[:2] = answer[:2].clamp(-0.5 * p[:2], 0.5 * p[:2])
    new = p + h * given + answer
    if not (new[:2] > 0).all():
        raise ValueError(f"a price would vanish: the law leads from {_words(p)} to {_words(new)}")
    return new


def _words(p):
    return ", ".join(f"{name} = {v:.3g}" for name, v in zip("λγt", p.tolist()))


def _with_gradient(f, x):
    """f(x) (m,) and its Jacobian (m, len(x)), zero where f does not depend on x."""
    x = x.clone().requires_grad_()
    with torch.enable_grad():
        value = f(x)
        rows = [
            torch.autograd.grad(v, x, retain_graph=True, materialize_grads=True)[0]
            if v.requires_grad
            else torch.zeros_like(x)
            for v in value
        ]
    return value.detach(), torch.stack(rows) if rows else x.new_zeros(0, len(x))


class _Held:
    """What a law holds, on the set of images `hold`: how far it is from its target."""

    def __init__(self, law, hold, target):
        self.law, self.prefix = law, "" if hold == "train" else f"{hold}_"
        self.target, self.scale = target, None

    def expand(self, p, state, slopes=None, F_t=0.0):
        """g (m,) and dg/dp (m, n) along the branch, from F to second order around p; F_tt is not
        measured and enters neither D, C nor R = F − λD − γC to first order.
        """
        R, D, C = self.functionals(state)
        F_p, H = p.new_tensor([D, C, F_t])[: len(p)], p.new_zeros(len(p), len(p))
        if slopes:
            (D_lam, _, *D_t), (C_lam, C_gam, *C_t) = slopes.hessian(*p[:2].tolist(), C)[0]
            # D_γ = C_λ, and of the two C_λ has less noise: C is an average over eight samples of z
            H[:2] = p.new_tensor([[D_lam, C_lam, *D_t], [C_lam, C_gam, *C_t]])
            H[2:, :2] = H[:2, 2:].T

        def J(_, q):
            return R + p[:2] @ F_p[:2] + F_p @ (q - p) + 0.5 * (q - p) @ H @ (q - p)

        return _with_gradient(lambda q: self.law.value(J, p.new_zeros(0), q), p)

    def functionals(self, state):
        """R, D, C as measured."""
        return [state[self.prefix + k] for k in ("rate", "distortion", "classification")]

    def begin(self, p, state):
        """The target, where none is given, and the scale of what is held: the sizes of its terms in
        R, D and C, which is C for C, D + |k|R for D − kR.
        """
        u = p.new_tensor(self.functionals(state))
        J = lambda u: lambda _, q: u[0] + q[:2] @ u[1:]
        g, slope = _with_gradient(lambda u: self.law.value(J(u), p.new_zeros(0), p), u)
        self.scale = (slope * u).abs().sum(1)
        target = g if self.target is None else torch.as_tensor(self.target, device="cpu").to(g)
        if target.numel() != len(g):
            raise ValueError(f"target must have {len(g)} values, one for each held, got {target}")
        self.target = target.reshape(g.shape)

    def answers(self, p, total, slopes):
        """Raise `ValueError` unless what is held changes with its price by more than noise; where γ
        answers, C must fall as it rises, which a concave F demands.
        """
        if not len(self.target):
            return
        adjust, C_gam = self.law.vectors(p)[1], slopes.slopes[1][1]
        lever = total @ (adjust * p).T / self.scale[:, None]
        weak = len(lever) == 1 and float(lever.abs()) < 0.02
        if weak or (adjust[:, 1].any() and not C_gam < -0.02):
            raise ValueError(
                f"at {_words(p)} what is held does not answer to the prices: ∂ln C/∂ln γ = "
                f"{C_gam:.3g} (should be well below 0)"
            )

    def missing(self, p, state):
        """target − g (m,), and ln(1 + (g − target)/scale) as m numbers: ln C/C₀ where C is held."""
        off = self.expand(p, state)[0] - self.target
        return -off, (off / self.scale).clamp_min(-0.999).log1p().tolist()


def walk(
    p,
    law,
    stops,
    *,
    epochs=3,
    start=None,
    settle=None,
    target=None,
    tolerance=0.01,
    band=0.05,
    corrections=4,
    station=5,
    repeats=1,
    delta=0.3,
    hold="train",
    corrector=True,
    response=None,
    span=(0.0, 1.0),
):
    """A process: from a network at p through the `stops` of a law (paper, eq. 22, 30, 31, 38).

    Args:
        p: (λ, γ), or (λ, γ, t) for a run whose images are a function of t.
        law: `fe.Conserve` of quantities made of R, D and C, `fe.Geodesic` or `fe.QuasiStatic`.
        stops: Values of s, of which p is at the first: λ where the law's `along` is (1, …, 0), t
            where it is (…, 1). They may go back, and stay.
        epochs: Length of an equilibration.
        start: Name of the kept network to begin with (default: the network as it is).
        settle: (nats of F, ln C) by which one more equilibration may change the start; up to six
            are tried (default: one, whatever it changes).
        target: What is held (default: its value at the start).
        tolerance: On the size of ln C/C₀, or of ln(1 + (g − target)/scale) where g is held, of the
            scale of its terms in R, D and C; to stop correcting.
        band: On the same, to accept a step.
        corrections: At most so many after a step.
        station: Accepted steps between two measurements of the slopes.
        repeats: Of a measurement, for its error.
        delta: Of the differences in ln λ and ln γ.
        hold: "train", or the probe ("val": the validation set) on which it is held; the slopes are
            those of the training set.
        corrector: False for the paper's recipe, to see it drift.
        response: Arguments of `lemma_5`, for a second measurement at every station.
        span: What part of a longer process this is.

    Returns:
        `Record` with rows, slopes (`Slopes`) and responses. In a row, `miss` and `drift` are ln
        C/C₀, or the like of the first quantity held, before and after correcting, `off` is the
        largest of all, and F_t belongs to the step that led there (0 where nothing is held); in the
        first row, `change_F` is what the last of `settle` changed.

    Raises:
        ConstraintLost: Out of the band however small the step, nothing answers to the prices, 1 +
            kλ = 0 for a geodesic, or a price that would vanish; its `record` is what was recorded
            before.
        ValueError: Prices that are not positive, no stops, p not at the first, t outside 0 … 1, a
            law of another number of controls, not 0 < tolerance ≤ band.
    """
    p, stops = torch.tensor(list(p), dtype=torch.float64, device="cpu"), [float(s) for s in stops]
    if not (stops and (p[:2] > 0).all() and all(map(math.isfinite, [*p.tolist(), *stops]))):
        raise ValueError(f"need λ > 0, γ > 0 and at least one stop, got {p.tolist()} and {stops}")
    if not 0 < tolerance <= band:
        raise ValueError(f"need 0 < tolerance ≤ band, got {tolerance} and {band}")
    if response is not None and len(p) == 3:
        raise ValueError("response: Lemma 5 is for images that are no function of t")
    given, _ = law.vectors(p)
    at = [p[i].item() for i in (-1, 0) if given[i] == 1 and not callable(law.along)][:1]
    if at and abs(at[0] - stops[0]) > 1e-9:
        raise ValueError(f"p = {p.tolist()} is not at the first of the stops, {stops[0]}")
    times = [p[2].item() + given[2].item() * (s - stops[0]) for s in stops] if len(p) == 3 else []
    if any(not -1e-9 < t < 1 + 1e-9 for t in times):
        raise ValueError(f"t must stay within 0 … 1, got {times}")
    record, held, F_t, spent = Record(), _Held(law, hold, target), 0.0, 0
    ahead = [(b, abs(b - a)) for a, b in zip(stops, stops[1:])]  # stops, and their distances

    def stage(p, start=None):
        nonlocal spent
        (lam, gam), t = p[:2].tolist(), round(p[2].item(), 9) if len(p) == 3 else None
        done = span[1] - (span[1] - span[0]) * sum(s in stops for s, _ in ahead) / len(stops)
        needs = () if hold == "train" else (hold,)
        entry = yield Stage(lam, gam, epochs, t=t, start=start, needs=needs, span=(done, done))
        spent += entry["epochs"]
        return state_of(entry, lam, gam) | ({} if t is None else dict(t=t))

    def row(**more):
        off = held.missing(p, state)[1]
        more |= dict(drift=(*off, 0.0)[0], off=max(map(abs, off), default=0.0), spent=spent)
        record.rows.append(state | more | (dict(F_t=F_t) if len(p) == 3 else {}))
        return Row(record.rows[-1])

    state, rounds, rest = (yield from stage(p, start)), 0, {}
    while settle and rounds < 6:
        before, state, rounds = state, (yield from stage(p)), rounds + 1
        ln_C = [math.log(u[held.prefix + "classification"]) for u in (before, state)]
        rest = dict(change_F=state["F"] - before["F"])
        if abs(rest["change_F"]) < settle[0] and abs(ln_C[1] - ln_C[0]) < settle[1]:
            break
    held.begin(p, state)
    holds = len(held.target)
    yield row(step=0.0, corrections=rounds, miss=0.0, **rest)
    s, since, slopes = stops[0], station, None
    while ahead:
        (lam, gam), h = p[:2].tolist(), ahead[0][0] - s
        if holds and since >= station:
            how = (epochs, delta, repeats, "row", state.get("t"))
            slopes, since = (yield from finite_differences(lam, gam, *how)), 0
            spent += (5 + len(times[:1])) * repeats * epochs
            record.slopes.append(slopes)
            if response is not None:
                found, matrices = yield from lemma_5(lam, gam, **response)
                record.responses.append(found._asdict() | dict(matrices=matrices))
        dt = h * law.vectors(p)[0][2].item() if holds and times else 0.0
        if dt:
            F_t = (yield FreeEnergyRate(state["t"], dt, lam, gam))["F_t"]
        _, total = held.expand(p, state, slopes, F_t)
        new, miss, first, count = p, held.missing(p, state)[0] * corrector, None, 0
        while True:
            try:
                new = _moved(law, new, 0.0 if count else h, total, miss)
                if since == 0 and count == 0:
                    held.answers(p, total, slopes)
            except ValueError as e:
                raise ConstraintLost(str(e), record) from e
            there = yield from stage(new)
            miss, off = held.missing(new, there)
            worst, first = max(map(abs, off), default=0.0), first or off[:1] or [0.0]
            if not corrector or worst <= tolerance or count == corrections:
                break
            _, total = held.expand(new, there, slopes, F_t)
            count += 1
        if corrector and not worst <= band:
            ahead.insert(0, (s + h / 2, ahead[0][1]))
            since = station  # a measurement begins with the network of the last row
            if abs(h) <= ahead[0][1] / 16:
                raise ConstraintLost(
                    f"what is held left its band of {band:.0%} at {_words(new)}, by "
                    f"{', '.join(f'{v:+.2f}' for v in off)} after {count} corrections, "
                    f"{first[0]:+.2f} before them. There the slopes of ln C against ln λ, ln γ "
                    f"(and t) are {slopes.slopes[1]}",
                    record,
                )
            continue
        p, state, (s, _), since = new, there, ahead.pop(0), since + 1
        yield row(step=h, corrections=count, miss=first[0])
    return record


def iso_classification(
    lam,
    gam,
    lam_end,
    *,
    start_epochs=120,
    start_lr=1e-3,
    step=0.06,
    settle=(0.1, 0.02),
    hold="train",
    span=(0.0, 1.0),
    **options,
):
    """A process: new weights, trained at (λ, γ), then `walk` to λ_end with C held (eq. 22, 31).

    Args:
        lam: λ at the start.
        gam: γ at the start.
        lam_end: λ at the end.
        start_epochs: Of the training from scratch that comes first.
        start_lr: Its learning rate.
        step: Longest step in √λ.
        settle, hold, span, options: As for `walk`.

    Returns:
        `Record`.

    Raises:
        ConstraintLost: See `walk`.
        ValueError: Not 0 < λ, 0 < λ_end, γ > 0 and step > 0.
    """
    if not (0 < min(lam, lam_end, gam, step) and max(lam, lam_end, gam) < math.inf):
        raise ValueError(f"need λ, λ_end, γ and step > 0, got {lam}, {lam_end}, {gam} and {step}")
    begun, needs = span[0] + 0.4 * (span[1] - span[0]), () if hold == "train" else (hold,)
    yield Stage(lam, gam, start_epochs, start_lr, needs=needs, span=(span[0], begun))
    ends = math.sqrt(lam), math.sqrt(lam_end)
    stops = np.linspace(*ends, 1 + math.ceil(abs(ends[1] - ends[0]) / step - 1e-9)) ** 2
    options |= dict(settle=settle, hold=hold, span=(begun, span[1]))
    return (yield from walk((lam, gam), Conserve(classification), stops, **options))
