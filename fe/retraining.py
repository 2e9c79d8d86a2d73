"""Processes with trained networks (paper, eq. 22, 31; Remark 7): each is a generator of stages.

`fe.path` follows an equilibrium that Newton's method finds to the last digit. A network trained
on minibatches has no such equilibrium: its C carries the noise of training, and equation (31) adds
that noise up step by step. So a process here asks for one *stage* after another,

    entry = yield Stage(lam, gam, epochs)

which trains, measures on the whole data set and answers with plain numbers; what to ask for next,
the process decides from them. `drive` answers. It keeps what was asked and answered in a journal: a
run that was stopped begins its process anew and is sent the old answers. Processes that wait at the
same time are trained as one ensemble.

`iso_classification` holds C. Its derivatives come from five copies trained at (λ, γ), (λe^±δ, γ),
(λ, γe^±δ) on common random numbers, for ln C and D against ln λ and ln γ. A step predicts γ from
them, trains, and then *corrects* γ by (ln C₀ − ln C)/(∂ln C/∂ln γ), until C is within `tolerance`.
A step that does not arrive is taken back and halved; where C does not answer to γ at all, the
process ends and says so. `fe.transfer` holds C while the task changes.
"""

import copy
import functools
import json
import math
import time
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from .amortised import AmortisedObjective
from .equilibrium import schedule
from .gauss_newton import network_response
from .journal import Journal
from .training import Ensemble, evaluate, generator, refresh_statistics, train_ensemble

_FEW = 20_000  # images on which statistics are refreshed, and several copies measured


class ConstraintLost(RuntimeError):
    """C could not be held: it left its band, or it does not answer to γ; `record` holds the states
    until then.
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


class Derivatives(NamedTuple):
    """∂(D, ln C)/∂(ln λ, ln γ) at one point, and their standard errors (NaN from one repeat)."""

    lam: float
    gam: float
    D: float
    C: float
    slopes: list  # [[∂D/∂ln λ, ∂D/∂ln γ], [∂ln C/∂ln λ, ∂ln C/∂ln γ]]
    errors: list

    @classmethod
    def of(cls, lam, gam, D, C, tables):
        """The mean and its error of repeated tables."""
        t = torch.tensor(tables, dtype=torch.float64, device="cpu")
        error = t.std(0) / math.sqrt(len(t)) if len(t) > 1 else torch.full_like(t[0], math.nan)
        return cls(lam, gam, D, C, t.mean(0).tolist(), error.tolist())

    def hessian(self):
        """[[D_λ, D_γ], [C_λ, C_γ]] = Hess F and its standard errors."""
        scale = [[1 / self.lam, 1 / self.gam], [self.C / self.lam, self.C / self.gam]]
        return tuple(
            [[v * s for v, s in zip(*row)] for row in zip(table, scale)]
            for table in (self.slopes, self.errors)
        )


@dataclass(frozen=True)
class Stage:
    """A request: train at (λ, γ), then measure R, D, C and accuracy.

    Its answer is a dict of lists: rate, distortion, classification, accuracy, of copies on the
    first 20,000 images; of one network on all, and the same on every probe (`val_rate`, …); epochs
    trained, times the copies; seconds; with `trace` also (R, D, C) of every copy after each epoch.

    Args:
        lam: λ, a number, or a tuple of M: copies, of which the first stays.
        gam: γ, likewise.
        epochs: Passes over the training set.
        lr: Learning rate, or function (step, steps) -> learning rate.
        t: Time on the task, for a run whose images are a function of it.
        start: Name of the kept network to begin with (default: the network as it is).
        keep: Name under which the trained network is kept.
        ahead: Minibatches and noise are a function of (the run's seed, number of the stage); those
            of the stage that is so many further on are taken.
        trace: Whether to measure after each epoch.
        needs: Names of probes without which the process would be lost.
        span: What part of the whole process this is, from 0 to 1, for a progress bar.
    """

    lam: float | tuple
    gam: float | tuple
    epochs: int
    lr: object = schedule
    t: float | None = None
    start: str | None = None
    keep: str | None = None
    ahead: int = 0
    trace: bool = False
    needs: tuple = ()
    span: tuple | None = None

    def __post_init__(self):
        several = [isinstance(q, tuple | list) for q in (self.lam, self.gam)]
        if any(several) and not (all(several) and len(self.lam) == len(self.gam)):
            raise ValueError(
                "λ and γ must be two numbers, or two lists of one length, got "
                f"{self.lam} and {self.gam}"
            )
        for name, value in (("lam", self.lam), ("gam", self.gam)):
            value = tuple(map(float, value)) if several[0] else float(value)
            object.__setattr__(self, name, value)

    @property
    def prices(self):
        """(λ's, γ's) of the networks that it trains."""
        return tuple(q if isinstance(q, tuple) else (q,) for q in (self.lam, self.gam))

    @property
    def copies(self):
        """The number of networks that it trains."""
        return len(self.prices[0])

    def words(self):
        """What identifies it in a journal."""
        named = asdict(self) | dict(lr=getattr(self.lr, "__name__", self.lr))
        return {k: v for k, v in named.items() if k not in ("needs", "span")}


@dataclass(frozen=True)
class Row:
    """A request to record a state; the network as it is is kept under the name "row"."""

    values: dict


@dataclass(frozen=True)
class FreeEnergyHessian:
    """A request for Hess F by Lemma 5 (`network_response`) on the k-th set of `images` images."""

    lam: float
    gam: float
    images: int
    part: int
    damping: float

    def words(self):
        """What identifies it in a journal."""
        return asdict(self)

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


class Retraining:
    """A network, its images, and the journal of what was done to it.

    `run.follow(process)` gives what the process returns; `run.stage(lam, gam, epochs)` is a process
    of one stage.

    Args:
        network: (encoder, decoder, classifier), or an `Ensemble` of one; it changes in place.
        data: Training set (x, y), or a function t -> (x, y).
        validation: (x, y), or None.
        probes: Dict name -> (x, y), further sets on which the network is measured.
        seed: Every stage's minibatches and noise are functions of (seed, number of the stage).
        batch_size: B.
        journal: `Journal`; a process is resumed with the one that it was begun with.
        on_row: Called with each recorded row.
        on_progress: Called with the part of the process that is done, from 0 to 1.
        save_every: Seconds between checkpoints inside a stage.
    """

    def __init__(
        self,
        network,
        data,
        validation=None,
        *,
        probes=None,
        seed=0,
        batch_size=250,
        journal=None,
        on_row=None,
        on_progress=None,
        save_every=15.0,
    ):
        self.network = network if isinstance(network, Ensemble) else Ensemble([network])
        self.data = functools.lru_cache(1)(data) if callable(data) else lambda t: data
        self.probes = ({"val": validation} if validation is not None else {}) | (probes or {})
        self.seed, self.batch_size, self.save_every = seed, batch_size, save_every
        self.journal, self.on_row, self.on_progress = journal or Journal(), on_row, on_progress
        self.done, self.kept = 0, {}
        if not self.journal.entries:
            self._resume()

    def follow(self, process):
        """What the process returns, its requests answered one by one."""
        return drive({"": (self, process)})[""]

    def stage(self, lam, gam, epochs, lr=schedule, **options):
        """The answer to one `Stage`."""

        def process():
            return (yield Stage(lam, gam, epochs, lr, **options))

        return self.follow(process())

    @property
    def replaying(self):
        """Whether the journal holds the answer to the next request."""
        return self.done < len(self.journal.entries)

    def _resume(self):
        if "network" in self.journal.tensors:
            self.network.load(self.journal.tensors["network"])
            self.kept = dict(self.journal.tensors["kept"])

    def words(self, request):
        """What the journal keeps of a request."""
        words = dict(kind=type(request).__name__.lower(), **request.words())
        number = self.done + words.pop("ahead", 0)
        whose = dict(number=number, seed=self.seed, batch_size=self.batch_size)
        return json.loads(json.dumps(words | whose))

    def known(self, request):
        """The answer that needs no work: a row is recorded, or the journal holds it; else None."""
        missing = [name for name in getattr(request, "needs", ()) if name not in self.probes]
        if missing:
            raise ValueError(
                f"the process needs the probes {missing}, and this run has {sorted(self.probes)}; "
                '"val" is its validation set: hold must be "train" for a run without one'
            )
        if isinstance(request, Row):
            if not self.replaying:
                self.kept["row"] = self.network.state()
            if self.on_row:
                self.on_row(request.values)
            return {}
        if not self.replaying:
            return None
        entry = copy.deepcopy(self.journal.entries[self.done])
        self.check(entry.pop("request"), request)
        self.done += 1
        if not self.replaying:
            self._resume()
        return entry

    def check(self, found, request):
        """Raise `ValueError` unless the journal's request is this one."""
        if found != self.words(request):
            raise ValueError(
                f"stage {self.done} of the journal was {found}, and this run asks for "
                f"{self.words(request)}: it is the journal of another run"
            )

    def answer(self, request, entry, network=None):
        """Write an answer down, then take over the network that belongs to it."""
        network, name = network or self.network.state(), getattr(request, "keep", None)
        kept = self.kept | ({name: network} if name else {})
        record = entry | dict(request=self.words(request))
        self.journal.save(dict(network=network, kept=kept), record)
        self.network.load(network)
        self.kept, self.done = kept, self.done + 1
        return entry

    def state(self, start, copies):
        """The kept network of this name, or the one as it is, as the state of so many copies."""
        if start and start not in self.kept:
            raise ValueError(f"no network was kept as {start!r}; there are {sorted(self.kept)}")
        state = self.kept[start] if start else self.network.state()
        return {k: v.expand(copies, *v.shape[1:]) for k, v in state.items()}

    def partial(self, stage):
        """A copy of what the journal holds of a stage that was interrupted, or None."""
        found = copy.deepcopy(self.journal.tensors.get("partial"))
        if found:
            self.check(found["request"], stage)
        return found


def progress_bar(label=""):
    """A function for `on_progress` that moves a bar, in a terminal or in a notebook."""
    bar = tqdm(total=100, desc=label, leave=False, bar_format="{desc} {percentage:3.0f}% |{bar}|")

    def show(done):
        bar.n = 100 * done
        bar.refresh()
        if done == 1:
            bar.close()

    return show


def drive(processes):
    """What each of several processes returns; stages that wait at the same time are one ensemble.

    Args:
        processes: Dict name -> (`Retraining`, generator).

    Returns:
        Dict name -> what the generator returns.

    Raises:
        ValueError: A journal holds other requests than the process makes.
    """
    results, waiting = {}, {}

    def send(name, answer):
        run, process = processes[name]
        try:
            request = process.send(answer)
            while (answer := run.known(request)) is not None:
                request = process.send(answer)
            waiting[name] = request
        except StopIteration as end:
            waiting.pop(name, None)
            results[name] = end.value
            if run.on_progress:
                run.on_progress(1.0)

    for name in processes:
        send(name, None)
    while waiting:
        groups = {}
        for name, request in waiting.items():
            groups.setdefault(_key(processes[name][0], request, name), []).append(name)
        for names in groups.values():
            asked = [(processes[name][0], waiting[name]) for name in names]
            run, request = asked[0]
            stages = isinstance(request, Stage)
            answers = _train(asked) if stages else [run.answer(request, request.measure(run))]
            for name, answer in zip(names, answers):
                send(name, answer)
    return results


def _key(run, request, name):
    """Requests with one key are answered together: stages of one length on networks of one kind.

    `_train` then has one architecture, one number of images, and one epoch to go on from.
    """
    if not isinstance(request, Stage) or request.trace:
        return name
    (x, y), begun = run.data(request.t), run.partial(request)
    shapes = [(k, tuple(v.shape)) for k, v in run.network.tensors().items()]
    what = run.batch_size, tuple(x.shape), y.dtype, x.device, shapes, run.network.net
    return request.epochs, request.lr, begun["epoch"] if begun else 0, str(what)


def _train(asked):
    """The answers to stages that are trained together, each a (run, stage)."""
    run, stage = asked[0]
    M, places = 0, []
    for _, s in asked:
        places.append(slice(M, M + s.copies))
        M += s.copies
    ensemble, parts = Ensemble([run.network[0]] * M), [r.partial(s) for r, s in asked]
    states = [
        part["ensemble"] if part else r.state(s.start, s.copies)
        for (r, s), part in zip(asked, parts)
    ]
    ensemble.load({k: torch.cat([state[k].cpu() for state in states]) for k in states[0]})
    adam = torch.optim.Adam(ensemble.parameters(), fused=True)
    first, spent, traced = 0, 0.0, []
    if parts[0]:
        first, spent, traced = (parts[0][k] for k in ("epoch", "seconds", "trace"))
        averages = _joined([part["adam"] for part in parts], M)
        adam.load_state_dict(adam.state_dict() | dict(state=averages))
    elif stage.trace:
        traced = [_traced(ensemble, *run.data(stage.t))]
    began = saved = time.monotonic()

    def on_epoch(epoch, adam, _):
        nonlocal saved
        now = time.monotonic()
        if stage.trace:
            traced.append(_traced(ensemble, *run.data(stage.t)))
        keep = epoch < stage.epochs and now - saved > min(r.save_every for r, _ in asked)
        saved, whole = (now, ensemble.state()) if keep else (saved, None)
        for (r, s), place in zip(asked, places):
            if r.on_progress and s.span:
                r.on_progress(s.span[0] + (s.span[1] - s.span[0]) * epoch / s.epochs)
            if keep and r.journal.path:
                partial = dict(request=r.words(s), epoch=epoch, trace=traced)
                partial |= dict(ensemble={k: v[place] for k, v in whole.items()})
                partial |= dict(adam=_cut(adam.state_dict()["state"], place, M))
                partial |= dict(seconds=spent + now - began)
                r.journal.save(r.journal.tensors | dict(partial=partial))

    members = [(r, s, r.data(s.t)) for r, s in asked for _ in range(s.copies)]
    common = len({id(x) for _, _, (x, _) in members}) == 1
    x, y = members[0][2] if common else zip(*(data for *_, data in members))
    train_ensemble(
        ensemble,
        x,
        y,
        [v for _, s in asked for v in s.prices[0]],
        [v for _, s in asked for v in s.prices[1]],
        stage.epochs,
        stage.lr,
        [(r.seed, r.words(s)["number"]) for r, s, _ in members],
        batch_size=run.batch_size,
        first=first,
        adam=adam,
        on_epoch=on_epoch,
    )
    answers, whole = [], ensemble.state()
    for (r, s), place in zip(asked, places):
        copies = Ensemble([r.network[0]] * s.copies)
        copies.load({k: v[place] for k, v in whole.items()})
        entry = _measured(copies, r, s)
        seconds = round((spent + time.monotonic() - began) * s.copies / M, 2)
        entry |= dict(epochs=s.epochs * s.copies, seconds=seconds)
        entry |= dict(trace=traced) if s.trace else {}
        answers.append(r.answer(s, entry, {k: v[:1] for k, v in copies.state().items()}))
    return answers


def _measured(copies, run, stage):
    """The numbers of a stage; statistics are refreshed first."""
    x, y = run.data(stage.t)
    refresh_statistics(copies, x[:_FEW], y[:_FEW])
    if isinstance(stage.lam, tuple):
        return {k: v.tolist() for k, v in evaluate(copies, x[:_FEW], y[:_FEW])._asdict().items()}
    entry = {k: v.tolist() for k, v in evaluate(copies, x, y)._asdict().items()}
    for name, probe in run.probes.items():
        found = evaluate(copies, *probe, seed=1)._asdict()
        entry |= {f"{name}_{k}": v.tolist() for k, v in found.items()}
    return entry


def _traced(ensemble, x, y):
    """(R, D, C) of every member now, with refreshed statistics; training is not disturbed."""
    ensemble, x, y = copy.deepcopy(ensemble), x[:_FEW], y[:_FEW]
    refresh_statistics(ensemble, x, y)
    return torch.stack(evaluate(ensemble, x, y)[:3], 1).tolist()


def _cut(averages, place, M):
    """Adam's state of some members; its tensors have their axis only if there are several."""
    cut = lambda k, v: v if k == "step" else (v[None] if M == 1 else v)[place]
    return {i: {k: cut(k, v) for k, v in state.items()} for i, state in averages.items()}


def _joined(parts, M):
    """Adam's state of all members from those of `_cut`."""
    join = lambda i, k: parts[0][i][k] if k == "step" else torch.cat([p[i][k] for p in parts])
    states = {i: {k: join(i, k) for k in state} for i, state in parts[0].items()}
    one = lambda k, v: v[0] if M == 1 and k != "step" else v
    return {i: {k: one(k, v) for k, v in state.items()} for i, state in states.items()}


def around(lam, gam, delta):
    """Prices (λ's, γ's) of the five copies of a difference: (λ, γ), (λe^±δ, γ), (λ, γe^±δ)."""
    up, down = math.exp(delta), math.exp(-delta)
    return [lam, lam * up, lam * down, lam, lam], [gam, gam, gam, gam * up, gam * down]


def finite_differences(lam, gam, epochs=3, delta=0.3, repeats=1, start=None):
    """A process: `Derivatives` from five copies on common random numbers, `repeats` times, the
    first from the kept network `start`.

    Raises:
        ValueError: Not delta > 0 and repeats ≥ 1.
    """
    if not (delta > 0 and repeats >= 1):
        raise ValueError(f"need delta > 0 and repeats ≥ 1, got {delta} and {repeats}")
    tables, (lams, gams) = [], around(lam, gam, delta)
    for _ in range(repeats):
        entry, start = (yield Stage(lams, gams, epochs, start=start)), None
        D, C = entry["distortion"], entry["classification"]
        values = torch.tensor([D, C], dtype=torch.float64, device="cpu")
        values[1].log_()
        table = torch.stack([values[:, 1] - values[:, 2], values[:, 3] - values[:, 4]], 1)
        tables.append((table / (2 * delta)).tolist())
    return Derivatives.of(lam, gam, D[0], C[0], tables)


def linear_response(lam, gam, images=10_000, batches=3, damping=0.1):
    """A process: `Derivatives` by Lemma 5 on `batches` disjoint sets of images, and the matrices
    that were used. The spread between the sets is the error.
    """
    if not (batches >= 1 and images >= 1):
        raise ValueError(f"need batches ≥ 1 of images ≥ 1 each, got {batches} of {images}")
    tables, states, matrices = [], [], []
    for part in range(batches):
        entry = yield FreeEnergyHessian(float(lam), float(gam), images, part, damping)
        (D_lam, D_gam), (C_lam, C_gam) = entry["hess"]
        C = entry["C"]
        tables.append([[D_lam * lam, D_gam * gam], [C_lam * lam / C, C_gam * gam / C]])
        states.append([entry["D"], C])
        matrices.append(entry["matrix"])
    D, C = torch.tensor(states, dtype=torch.float64, device="cpu").mean(0).tolist()
    return Derivatives.of(lam, gam, D, C, tables), matrices


def state_of(entry, lam, gam):
    """What a stage at (λ, γ) has left of its first member: its numbers, prices, F = R + λD + γC."""
    state = {k: v[0] for k, v in entry.items() if isinstance(v, list)}
    F = state["rate"] + lam * state["distortion"] + gam * state["classification"]
    return state | dict(lam=lam, gam=gam, F=F)


def clipped(value, most):
    """e^value, with the value within ± `most`: no price changes by more in one step."""
    return math.exp(max(-most, min(most, value)))


def iso_classification(
    lam,
    gam,
    lam_end,
    *,
    start_epochs=120,
    start_lr=1e-3,
    epochs=3,
    step=0.06,
    max_step=0.07,
    tolerance=0.01,
    band=0.05,
    corrections=4,
    station=5,
    repeats=1,
    delta=0.3,
    settle=(0.1, 0.02),
    hold="train",
    corrector=True,
    response=None,
    span=(0.0, 1.0),
):
    """A process: from new weights, trained at (λ, γ), to λ_end with C held at its first value.

    Args:
        lam: λ at the start.
        gam: γ at the start.
        lam_end: λ at the end.
        start_epochs: Of the training from scratch that comes first.
        start_lr: Its learning rate.
        epochs: Length of an equilibration.
        step: First step in √λ.
        max_step: Longest step in √λ.
        tolerance: On the size of ln C/C₀, to stop correcting.
        band: On the size of ln C/C₀, to accept a step.
        corrections: At most so many after a step.
        station: Accepted steps between two measurements of the derivatives.
        repeats: Of a measurement, for its error.
        delta: Of the differences in ln λ and ln γ.
        settle: (nats of F, ln C) by which one more equilibration may change the start for it to
            count as an equilibrium.
        hold: "train" or "validation", the set on which C is held.
        corrector: False for the paper's recipe, to see it drift.
        response: Arguments of `linear_response`, for a second measurement at every station.
        span: What part of a longer process this is.

    Returns:
        `Record` with rows, slopes (`Derivatives`) and responses.

    Raises:
        ConstraintLost: C left the band however small the step, or ∂C/∂γ is not negative.
        ValueError: Not 0 < λ < λ_end, γ > 0 and step > 0; hold is something else, or "validation"
            for a run without a validation set.
    """
    if not (0 < lam < lam_end < math.inf and 0 < gam < math.inf and step > 0):
        raise ValueError(
            f"need 0 < λ < λ_end, γ > 0 and step > 0, got {lam}, {lam_end}, {gam} and {step}"
        )
    if hold not in ("train", "validation"):
        raise ValueError(f'hold must be "train" or "validation", got {hold!r}')
    name = {"train": "classification", "validation": "val_classification"}[hold]
    needs = ("val",) if hold == "validation" else ()
    record, begun, lam_0 = Record(), span[0] + 0.4 * (span[1] - span[0]), lam
    ln_C = lambda entry: math.log(entry[name][0])

    def stage():
        done = (math.sqrt(lam) - math.sqrt(lam_0)) / (math.sqrt(lam_end) - math.sqrt(lam_0))
        at = begun + (span[1] - begun) * done
        return Stage(lam, gam, epochs, needs=needs, span=(at, at))

    def row(entry, **more):
        record.rows.append(state_of(entry, lam, gam) | more)
        return Row(record.rows[-1])

    entry = yield Stage(lam, gam, start_epochs, start_lr, needs=needs, span=(span[0], begun))
    for rounds in range(1, 7):
        before, entry = entry, (yield stage())
        change = state_of(entry, lam, gam)["F"] - state_of(before, lam, gam)["F"]
        if abs(change) < settle[0] and abs(ln_C(entry) - ln_C(before)) < settle[1]:
            break
    target = ln_C(entry)
    yield row(entry, step=0.0, corrections=rounds, miss=0.0, change_F=change)
    h, since = step, station
    while lam < lam_end * (1 - 1e-9):
        if since >= station:
            measure = finite_differences(lam, gam, epochs, delta, repeats, start="row")
            record.slopes.append((yield from measure))
            if response:
                found, matrices = yield from linear_response(lam, gam, **response)
                record.responses.append(found._asdict() | dict(matrices=matrices))
            since, (along, lever) = 0, record.slopes[-1].slopes[1]
            if not lever < -0.05:
                raise ConstraintLost(
                    f"at λ = {lam:.3g}, γ = {gam:.3g} C does not answer to γ: ∂ln C/∂ln γ = "
                    f"{lever:.3g} (should be well below 0)",
                    record,
                )
        old, missing = (lam, gam), target - math.log(record.rows[-1][name]) if corrector else 0.0
        lam = min((math.sqrt(lam) + h) ** 2, lam_end)
        gam *= clipped((missing - along * math.log(lam / old[0])) / lever, 0.5)
        entry = yield stage()
        first, count = ln_C(entry) - target, 0
        while corrector and abs(ln_C(entry) - target) > tolerance and count < corrections:
            gam *= clipped((target - ln_C(entry)) / lever, 0.3)
            entry, count = (yield stage()), count + 1
        miss = ln_C(entry) - target
        if corrector and abs(miss) > band:
            lam, gam = old
            h, since = h / 2, station
            if h < step / 16:
                raise ConstraintLost(
                    f"C left its band of {band:.0%} at λ = {lam:.3g}: {entry[name][0]:.4g} "
                    f"against {math.exp(target):.4g}",
                    record,
                )
            continue
        yield row(entry, step=h, corrections=count, miss=first, drift=miss)
        since += 1
        if corrector:
            h = min(max_step, h * (1.3 if abs(first) < 0.03 else 0.7 if abs(first) > 0.12 else 1.0))
    return record
