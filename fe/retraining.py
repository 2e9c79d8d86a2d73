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
import hashlib
import json
import time
import warnings
from concurrent.futures import Future
from dataclasses import KW_ONLY, dataclass, field

import torch

from .errors import about, number, numbers
from .journal import Journal
from .networks import check_networks
from .tasks import training_set
from .training import (
    Ensemble,
    architecture,
    evaluate,
    refresh_statistics,
    schedule,
    train_ensemble,
)

_FEW = 20_000  # images on which statistics are refreshed, and several copies measured


@dataclass(frozen=True)
class Stage:
    """A request: train at (λ, γ), then measure R, D, C and accuracy.

    Its answer is a dict of lists: rate, distortion, classification, accuracy, of copies on the
    first 20,000 images; of one network on all, and the same on every probe (`val_rate`, …); epochs
    trained, times the copies; seconds; with `watch` also `trace`, the list of what that said.

    Minibatches and noise are a function of (the run's seed, number of the stage).
    """

    lam: float | list  #: λ, a number, or M of them: copies, of which the first stays
    gam: float | list  #: γ, likewise
    epochs: int  #: passes over the training set
    lr: object = schedule  #: learning rate, or function (step, steps) -> learning rate
    t: float | None = None  #: time on the task, for a run whose images are a function of it
    start: str | None = None  #: the kept network to begin with (default: the one as it is)
    keep: str | None = None  #: name under which the trained network is kept
    ahead: int = 0  #: take the chance of the stage that is so many further on
    watch: object = None  #: called with (a copy of the ensemble, x, y), at first and each epoch
    hold: str = "train"  #: the set that the process goes by: "train", or a probe, refused if absent
    span: tuple | None = None  #: what part of the process this is, of 0 … 1, for a progress bar

    def __post_init__(self):
        lam, gam = numbers("λ", self.lam), numbers("γ", self.gam)
        if len({len(q) if isinstance(q, list) else None for q in (lam, gam)}) > 1:
            what = f"two numbers, or two lists of one length, got {lam} and {gam}"
            raise ValueError(f"λ and γ must be {what}")
        lr = self.lr if callable(self.lr) else number("lr", self.lr)
        t, epochs = self.t, number("epochs", self.epochs, 1, whole=True)
        t = t if t is None else number("t", t)
        vars(self).update(lam=lam, gam=gam, lr=lr, t=t, epochs=epochs)

    @property
    def prices(self):
        """[(λ, γ)] of the networks that it trains."""
        several = isinstance(self.lam, list)
        return [*zip(self.lam, self.gam)] if several else [(self.lam, self.gam)]


@dataclass(frozen=True)
class Row:
    """A request to record a state; the network as it is is kept under the name "row"."""

    values: dict
    keep: str | None = None  #: another name under which it is kept


@dataclass(eq=False)
class Retraining:
    """A network, its images, and the journal of what was done to it.

    An interrupted process goes on in a new run with the journal of the old one, which knows the
    images and the network's first weights, and refuses others.
    """

    network: object  #: (encoder, decoder, classifier), or an `Ensemble` of one: changes in place
    data: object  #: training set (x, y), or a task: see `fe.tasks.training_set`
    #: name -> what to measure on, likewise; a task only where the data are one
    probes: dict = field(default_factory=dict)
    _: KW_ONLY
    seed: int = 0  #: every stage's minibatches and noise follow from (seed, number of the stage)
    batch_size: int = 250
    journal: object = None  #: `Journal` or its path: resumes a run (default: not on disk)
    on_row: object = None  #: called with each recorded row
    on_progress: object = None  #: called with the part of the process that is done, of 0 … 1
    save_every: float = 15.0  #: seconds between checkpoints inside a stage

    def __post_init__(self):
        if not isinstance(self.network, Ensemble):
            self.network = Ensemble([self.network])
        if len(self.network) > 1:
            raise ValueError(f"a run has one network, got {len(self.network)}")
        if not isinstance(self.probes, dict):
            raise TypeError('probes must be a dict name -> (x, y), for example {"val": (x, y)}')
        if not isinstance(self.journal, Journal):
            self.journal = Journal(self.journal)
        self.seed = number("seed", self.seed, whole=True)
        self.batch_size = number("batch_size", self.batch_size, 2, whole=True)
        data, self.moves = self.data, not isinstance(self.data, tuple | list)
        self.data = functools.lru_cache(1)(lambda t: training_set(data, t, seed=self.seed))
        self.done, self.kept, images = 0, {}, []
        for t in (0.0, 1.0) if self.moves else (None,):
            for name, pair in [("data", self.data(t)), *self.sets(t).items()]:
                with about(name):
                    if not isinstance(pair, tuple | list) or len(pair) != 2:
                        raise TypeError(f"must be a pair (x, y), got {type(pair).__name__}")
                    check_networks(*self.network[0], *pair)
                images += pair
        weights = _fingerprint(self.network.state().values(), str(self.network.net))
        self.whose = dict(seed=self.seed, batch_size=self.batch_size, network=weights)
        self.whose |= dict(images=_fingerprint(images))

    def follow(self, process):
        """What the process returns, its requests answered one by one, from the network as it is."""
        return drive({"": (self, process)})[""].result()

    def stage(self, *arguments, **options):
        """The answer to one `Stage`."""

        def process():
            return (yield Stage(*arguments, **options))

        return self.follow(process())

    def sets(self, t):
        """The probes as they are at t: name -> (x, y)."""
        return {name: about(name)(training_set)(v, t) for name, v in self.probes.items()}

    @property
    def replaying(self):
        """Whether the journal holds the answer to the next request."""
        return self.done < len(self.journal.entries)

    def known(self, request):
        """The answer that needs no work: a row is recorded, or the journal holds it; else None."""
        if not isinstance(request, Row | Stage) and not hasattr(type(request), "measure"):
            what = "a Stage, a Row, or what has a method measure(run)"
            raise TypeError(f"a process must yield requests, {what}, got {request!r}")
        if isinstance(request, Row):
            if not self.replaying:
                self.kept |= dict.fromkeys(("row", request.keep or "row"), self.network.state())
            if self.on_row:
                self.on_row(request.values)
            return {}
        if (getattr(request, "t", None) is not None) != self.moves:
            are = "a function of t: it needs" if self.moves else "no function of t: it needs no"
            raise ValueError(f"the images of this run are {are} stages at a t, got {request}")
        if (hold := getattr(request, "hold", "train")) not in ("train", *self.probes):
            raise ValueError(f"hold needs the probe {hold!r}, there are {[*self.probes]}")
        if not self.replaying:
            return None
        entry = copy.deepcopy(self.journal.entries[self.done])
        self.check(entry.pop("request"), request)
        self.done += 1
        if not self.replaying:  # behind the last answer, the network is as the journal has it
            self.network.load(self.journal.tensors["network"])
            self.kept = dict(self.journal.tensors["kept"])
        return entry

    def write(self, request, entry, network):
        """Put an answer, and the network that belongs to it, into the journal."""
        name = getattr(request, "keep", None)
        tensors = dict(network=network, kept=self.kept | ({name: network} if name else {}))
        self.journal.save(tensors, entry | dict(request=self.words(request)))

    def words(self, request):
        """What the journal keeps of a request, and of whose it was."""
        words = dict(kind=type(request).__name__) | vars(request) | self.whose
        if isinstance(request, Stage):
            lr = request.lr  # a schedule is known by its values
            lr = [number("lr", lr(k, 100)) for k in range(0, 100, 9)] if callable(lr) else lr
            words |= dict(lr=lr, watch=bool(request.watch))
            del words["hold"], words["span"]
        return json.loads(json.dumps(words))

    def check(self, found, request):
        """Raise `ValueError` unless the journal's request is this one."""
        mine = self.words(request)
        differ = sorted(k for k in {*mine, *found} if mine.get(k) != found.get(k))
        if differ:
            was, asked = ({k: words.get(k) for k in differ} for words in (found, mine))
            raise ValueError(
                f"stage {self.done} of the journal was {was}, and this run asks for {asked}: it is "
                f"the journal of another run (other {', '.join(differ)}). Delete it, or choose "
                "another place"
            )

    def begun(self, stage):
        """What there is of a stage: epochs done, seconds, trace, and the copies that it trains, as
        the journal has them if it was interrupted.
        """
        if found := copy.deepcopy(self.journal.tensors.get("partial")):
            self.check(found["request"], stage)
            return found
        if stage.start and stage.start not in self.kept:
            kept = sorted(self.kept)
            raise ValueError(f"no network was kept as {stage.start!r}; there are {kept}")
        state = self.kept[stage.start] if stage.start else self.network.state()
        state = {k: v.expand(len(stage.prices), *v.shape[1:]) for k, v in state.items()}
        return dict(epoch=0, seconds=0.0, trace=[], state=state)


def _fingerprint(tensors, text=""):
    """The same on any device: of labels, and of numbers to a thousandth, where rounding elsewhere
    changes no pixel k/255 nor the mean of four.
    """
    whole = hashlib.sha256(text.encode())
    for v in tensors:
        v = torch.as_tensor(v, device=getattr(v, "device", "cpu"))
        v = (1000 * v).round().to(torch.int32) if v.is_floating_point() else v
        whole.update(v.detach().cpu().contiguous().numpy())
    return whole.hexdigest()[:16]


def drive(processes):
    """Run several processes, a dict name -> (`Retraining`, generator); stages that wait at the same
    time are one ensemble, and where one fails the others go on.

    Returns a dict name -> `concurrent.futures.Future`, all done: its `result()` is what the
    generator returned, or raises what ended it.
    """
    if len({id(run) for run, _ in processes.values()}) < len(processes):
        raise ValueError("a run follows one process at a time: make one `Retraining` for each")
    for _, process in processes.values():
        if not hasattr(process, "send"):
            what = "a generator: call the function that yields its stages"
            raise TypeError(f"a process must be {what}, got {type(process).__name__}")
    futures, waiting = {name: Future() for name in processes}, {}

    def send(name, found=None):
        (run, process), (request, _) = processes[name], waiting.pop(name, (None, None))
        try:
            if isinstance(found, Exception):
                raise found
            if found:
                run.write(request, *found)
            request = request or next(process)
            while (answer := run.known(request)) is not None:
                request = process.send(answer)
            waiting[name] = request, _key(run, request, name)
            return
        except StopIteration as end:
            futures[name].set_result(end.value)
        except Exception as e:
            futures[name].set_exception(e)
        if run.on_progress:
            run.on_progress(1.0)

    for name in processes:
        send(name)
    while waiting:
        groups = {}
        for name, (_, key) in waiting.items():
            groups.setdefault(key, []).append(name)
        for names in groups.values():
            asked = [(processes[name][0], waiting[name][0]) for name in names]
            for name, found in zip(names, _found(asked)):
                send(name, found)
    return futures


def _key(run, request, name):
    """Requests with one key are answered together: stages of one length on networks of one kind,
    with one number of images, and one epoch to go on from.
    """
    if not isinstance(request, Stage) or request.watch:
        return name
    (x, y), epoch = run.data(request.t), run.begun(request)["epoch"]
    images = run.batch_size, x.shape, x.dtype, y.dtype, x.device
    what = f"{images} {architecture(run.network.net)}"
    return request.epochs, request.lr, epoch, what


def _found(asked):
    """For each (run, request) its answer and the network that belongs to it, or what went wrong.

    A group in which something fails, for example for want of memory, is parted in two.
    """
    half, (run, request) = len(asked) // 2, asked[0]
    try:
        if isinstance(request, Stage):
            return _train(asked)
        return [(request.measure(run), run.network.state())]
    except Exception as e:
        if not half:
            return [e]
        warnings.warn(f"{len(asked)} runs, trained as one, failed: {e}", stacklevel=2)
    return _found(asked[:half]) + _found(asked[half:])


def _train(asked):
    """For each (run, stage) its answer and its trained network, all trained as one ensemble."""
    (run, stage), sizes = asked[0], [len(s.prices) for _, s in asked]

    def each(state):
        parts = zip(*(v.split(sizes) for v in state.values()))
        return zip(asked, (dict(zip(state, part)) for part in parts))

    begun = [r.begun(s) for r, s in asked]
    epoch, seconds, traced = (begun[0][k] for k in ("epoch", "seconds", "trace"))
    if any(part["epoch"] != epoch for part in begun):  # one of them could not write its last
        raise RuntimeError("their checkpoints are of different epochs")
    ensemble, states = Ensemble([run.network[0]] * sum(sizes)), [part["state"] for part in begun]
    state = {k: torch.cat([v[k].cpu() for v in states]) for k in states[0]}
    began = saved = time.monotonic()

    def watch():
        if stage.watch:
            traced.append(stage.watch(copy.deepcopy(ensemble), *run.data(stage.t)))

    def on_epoch(epoch, state):
        nonlocal saved
        now = time.monotonic()
        watch()
        for r, s in asked:
            if r.on_progress and s.span:
                r.on_progress(s.span[0] + (s.span[1] - s.span[0]) * epoch / s.epochs)
        if epoch < stage.epochs and now - saved > min(r.save_every for r, _ in asked):
            saved, done = now, dict(epoch=epoch, seconds=seconds + now - began, trace=traced)
            for (r, s), part in each(state()):
                if r.journal.path:
                    part = dict(request=r.words(s), state=part) | done
                    r.journal.save(r.journal.tensors | dict(partial=part))

    if not epoch:
        ensemble.load(state)
        watch()
    x, y = map(list, zip(*(r.data(s.t) for r, s in asked for _ in s.prices)))
    lam, gam = zip(*(prices for _, s in asked for prices in s.prices))
    seeds = [(r.seed, r.done + s.ahead) for r, s in asked for _ in s.prices]
    how = dict(resume=(epoch, state) if epoch else None, on_epoch=on_epoch)
    how |= dict(batch_size=run.batch_size)
    train_ensemble(ensemble, x, y, lam, gam, stage.epochs, stage.lr, seeds, **how)
    seconds, found = (seconds + time.monotonic() - began) / len(ensemble), []
    for (r, s), state in each(ensemble.state()):
        M = len(s.prices)
        copies = Ensemble([r.network[0]] * M)
        copies.load(state)
        entry = _measured(copies, r, s)
        entry |= dict(epochs=s.epochs * M, seconds=round(seconds * M, 2))
        entry |= dict(trace=traced) if s.watch else {}
        found.append((entry, {k: v[:1] for k, v in copies.state().items()}))
    return found


def _measured(copies, run, stage):
    """The numbers of a stage; statistics are refreshed first."""
    x, y = run.data(stage.t)
    refresh_statistics(copies, x[:_FEW], y[:_FEW])
    if isinstance(stage.lam, list):
        sets = {"": (x[:_FEW], y[:_FEW])}
    else:
        sets = {"": (x, y)} | {f"{k}_": v for k, v in run.sets(stage.t).items()}
    return {
        prefix + name: values.tolist()
        for prefix, data in sets.items()
        for name, values in evaluate(copies, *data, seed=int(prefix != ""))._asdict().items()
    }
