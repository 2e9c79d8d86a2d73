"""Retraining: a network, the stages that it is asked to go through, and the journal of them.

A process is a generator of requests (`fe.processes` has the book's),

    entry = yield Stage(lam, gam, epochs)

trains, measures on the whole data set and answers with plain numbers; what to ask for next, the
process decides from them. `drive` answers. It keeps what was asked and answered in a journal: a run
that was stopped begins its process anew and is sent the old answers. Processes that wait at the
same time are trained as one ensemble.
"""

import copy
import functools
import json
import time
from dataclasses import asdict, dataclass

import torch
from tqdm.auto import tqdm

from .equilibrium import schedule
from .journal import Journal
from .training import Ensemble, evaluate, refresh_statistics, train_ensemble

_FEW = 20_000  # images on which statistics are refreshed, and several copies measured


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
        object.__setattr__(self, "epochs", int(self.epochs))

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
        lr = [self.lr(k, 100) for k in range(0, 100, 9)] if callable(self.lr) else self.lr
        named = asdict(self) | dict(lr=lr)
        return {k: v for k, v in named.items() if k not in ("needs", "span")}


@dataclass(frozen=True)
class Row:
    """A request to record a state; the network as it is is kept under the name "row"."""

    values: dict


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
        self.moves = callable(data)
        self.data = functools.lru_cache(1)(data) if self.moves else lambda t: data
        self.probes = ({"val": validation} if validation is not None else {}) | (probes or {})
        self.seed, self.batch_size, self.save_every = seed, batch_size, save_every
        self.journal, self.on_row, self.on_progress = journal or Journal(), on_row, on_progress
        self.done, self.kept = 0, {}
        if not self.journal.entries:
            self._resume()

    def follow(self, process):
        """What the process returns, its requests answered one by one, from the network as it is.

        A process that was interrupted goes on in a new run with the journal of this one.
        """
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
        words = request.words() if hasattr(request, "words") else asdict(request)
        words = dict(kind=type(request).__name__.lower()) | words
        number = self.done + words.pop("ahead", 0)
        whose = dict(number=number, seed=self.seed, batch_size=self.batch_size)
        return json.loads(json.dumps(words | whose))

    def known(self, request):
        """The answer that needs no work: a row is recorded, or the journal holds it; else None."""
        at_a_time = getattr(request, "t", None) is not None
        if at_a_time != self.moves and not isinstance(request, Row):
            raise ValueError(
                "a run whose images are a function of t needs stages at a t, one of fixed images "
                f"stages without, got {request}"
            )
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
    if len({id(run) for run, _ in processes.values()}) < len(processes):
        raise ValueError("a run follows one process at a time: make one `Retraining` for each")
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
    net = run.network.net
    plain = [[v for v in vars(m).items() if v[0][0] != "_"] for m in net.modules() if m is not net]
    what = run.batch_size, x.shape, x.dtype, y.dtype, x.device, shapes, net, plain
    return request.epochs, request.lr, begun["epoch"] if begun else 0, str(what)


def _train(asked):
    """The answers to stages that are trained together, each a (run, stage)."""
    run, stage = asked[0]
    M, places = 0, []
    for _, s in asked:
        places.append(slice(M, M + s.copies))
        M += s.copies
    ensemble, parts = Ensemble([run.network[0]] * M), [r.partial(s) for r, s in asked]
    adam = torch.optim.Adam(ensemble.parameters(), fused=True)
    states = [p["ensemble"] if p else r.state(s.start, s.copies) for (r, s), p in zip(asked, parts)]
    whole = {k: torch.cat([state[k].cpu() for state in states]) for k in states[0]}
    ensemble.load(whole, adam if parts[0] else None)
    first, spent, traced = 0, 0.0, []
    if parts[0]:
        first, spent, traced = (parts[0][k] for k in ("epoch", "seconds", "trace"))
    elif stage.trace:
        traced = [_traced(ensemble, *run.data(stage.t))]
    began = saved = time.monotonic()

    def on_epoch(epoch, adam, _):
        nonlocal saved
        now = time.monotonic()
        if stage.trace:
            traced.append(_traced(ensemble, *run.data(stage.t)))
        keep = epoch < stage.epochs and now - saved > min(r.save_every for r, _ in asked)
        saved, whole = (now, ensemble.state(adam)) if keep else (saved, None)
        for (r, s), place in zip(asked, places):
            if r.on_progress and s.span:
                r.on_progress(s.span[0] + (s.span[1] - s.span[0]) * epoch / s.epochs)
            if keep and r.journal.path:
                partial = dict(ensemble={k: v[place] for k, v in whole.items()}, epoch=epoch)
                partial |= dict(request=r.words(s), trace=traced, seconds=spent + now - began)
                r.journal.save(r.journal.tensors | dict(partial=partial))

    members = [(r, s, r.data(s.t)) for r, s in asked for _ in range(s.copies)]
    x, y = zip(*(data for *_, data in members))
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
