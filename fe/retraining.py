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
import math
import time
import warnings
from concurrent.futures import Future
from dataclasses import KW_ONLY, asdict, dataclass

import torch
from tqdm.auto import tqdm

from .journal import Journal
from .tasks import training_set
from .training import Ensemble, evaluate, refresh_statistics, schedule, train_ensemble

_FEW = 20_000  # images on which statistics are refreshed, and several copies measured


@dataclass(frozen=True)
class Stage:
    """A request: train at (λ, γ), then measure R, D, C and accuracy.

    Its answer is a dict of lists: rate, distortion, classification, accuracy, of copies on the
    first 20,000 images; of one network on all, and the same on every probe (`val_rate`, …); epochs
    trained, times the copies; seconds; with `trace` also (R, D, C) of every copy after each epoch.

    Minibatches and noise are a function of (the run's seed, number of the stage).
    """

    lam: float | tuple  #: λ, a number, or M of them: copies, of which the first stays
    gam: float | tuple  #: γ, likewise
    epochs: int  #: passes over the training set
    lr: object = schedule  #: learning rate, or function (step, steps) -> learning rate
    t: float | None = None  #: time on the task, for a run whose images are a function of it
    start: str | None = None  #: the kept network to begin with (default: the one as it is)
    keep: str | None = None  #: name under which the trained network is kept
    ahead: int = 0  #: take the chance of the stage that is so many further on
    trace: bool = False  #: measure after each epoch
    needs: tuple = ()  #: names of probes without which the process would be lost
    span: tuple | None = None  #: what part of the process this is, of 0 … 1, for a progress bar

    def __post_init__(self):
        several = [isinstance(q, tuple | list) for q in (self.lam, self.gam)]
        if any(several) and not (all(several) and len(self.lam) == len(self.gam)):
            what = f"two numbers, or two lists of one length, got {self.lam} and {self.gam}"
            raise ValueError(f"λ and γ must be {what}")
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


@dataclass(eq=False)
class Retraining:
    """A network, its images, and the journal of what was done to it.

    A process is resumed with the journal that it was begun with, which knows the images and the
    network's first weights, and refuses others.
    """

    network: object  #: (encoder, decoder, classifier), or an `Ensemble` of one: changes in place
    data: object  #: training set (x, y), or a task: see `fe.tasks.training_set`
    validation: tuple | None = None  #: (x, y)
    _: KW_ONLY
    probes: dict | None = None  #: name -> (x, y), or a function of t that says it
    seed: int = 0  #: every stage's minibatches and noise follow from (seed, number of the stage)
    batch_size: int = 250
    journal: Journal | None = None  #: what resumes a run; default: one that is not on disk
    on_row: object = None  #: called with each recorded row
    on_progress: object = None  #: called with the part of the process that is done, of 0 … 1
    save_every: float = 15.0  #: seconds between checkpoints inside a stage

    def __post_init__(self):
        data, validation = self.data, self.validation
        if not isinstance(self.network, Ensemble):
            self.network = Ensemble([self.network])
        self.moves = not isinstance(data, tuple | list)
        at = functools.lru_cache(1)(lambda t: training_set(data, t, seed=self.seed))
        self.data = at if self.moves else lambda t: data
        self.probes = ({} if validation is None else {"val": validation}) | (self.probes or {})
        self.journal, self.done, self.kept = self.journal or Journal(), 0, {}
        self.first, self.images = _fingerprint(self.network.state().values()), None
        if not self.replaying:
            self._resume()

    def follow(self, process):
        """What the process returns, its requests answered one by one, from the network as it is.

        A process that was interrupted goes on in a new run with the journal of this one.
        """
        return drive({"": (self, process)})[""].result()

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

    def sets(self, t):
        """The probes as they are at t: name -> (x, y)."""
        return {name: v(t) if callable(v) else v for name, v in self.probes.items()}

    def words(self, request):
        """What the journal keeps of a request."""
        words = request.words() if hasattr(request, "words") else asdict(request)
        words = dict(kind=type(request).__name__.lower()) | words
        if self.images is None:
            sets = self.data(words.get("t")), *self.sets(words.get("t")).values()
            self.images = _fingerprint(v for data in sets for v in data)
        whose = dict(seed=self.seed, batch_size=self.batch_size, images=self.images)
        words |= whose | {"number": self.done + words.pop("ahead", 0), "first weights": self.first}
        return json.loads(json.dumps(words))

    def known(self, request):
        """The answer that needs no work: a row is recorded, or the journal holds it; else None."""
        if isinstance(request, Row):
            if not self.replaying:
                self.kept["row"] = self.network.state()
            if self.on_row:
                self.on_row(request.values)
            return {}
        if (getattr(request, "t", None) is not None) != self.moves:
            are = "a function of t: it needs" if self.moves else "no function of t: it needs no"
            raise ValueError(f"the images of this run are {are} stages at a t, got {request}")
        missing = [name for name in getattr(request, "needs", ()) if name not in self.probes]
        if missing:
            raise ValueError(
                f"the process needs the probes {missing}, and this run has {sorted(self.probes)}; "
                '"val" is its validation set: hold must be "train" for a run without one'
            )
        if not self.replaying:
            return None
        entry = copy.deepcopy(self.journal.entries[self.done])
        self.check(entry.pop("request"), request)
        self.done += 1
        if not self.replaying:
            self._resume()
        return entry

    def check(self, found, request):
        """Raise `ValueError` unless the journal's request is this one. A journal that does not say
        what its images and first weights were is believed.
        """
        mine = self.words(request)
        unsaid = {"images", "first weights"} - set(found)
        differ = sorted(k for k in {*mine, *found} - unsaid if mine.get(k) != found.get(k))
        if differ:
            raise ValueError(
                f"stage {self.done} of the journal was {found}, and this run asks for {mine}: it "
                f"is the journal of another run (other {', '.join(differ)})"
            )

    def answer(self, request, entry, network):
        """Write an answer down, then take over the network that belongs to it."""
        name = getattr(request, "keep", None)
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


def _fingerprint(tensors):
    """The same on any device: of labels, and of numbers to a thousandth, where rounding elsewhere
    changes no pixel k/255 nor the mean of four.
    """
    whole = hashlib.sha256()
    for v in tensors:
        for part in v.detach().split(5000) if v.ndim else [v]:
            part = (1000 * part).round().to(torch.int32) if part.is_floating_point() else part
            whole.update(part.cpu().contiguous().numpy())
    return whole.hexdigest()[:16]


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
    """Run several processes; stages that wait at the same time are one ensemble.

    Args:
        processes: Dict name -> (`Retraining`, generator).

    Returns:
        Dict name -> `concurrent.futures.Future`, all done: its `result()` is what the generator
        returned, or raises what ended it. The others go on when one fails.
    """
    if len({id(run) for run, _ in processes.values()}) < len(processes):
        raise ValueError("a run follows one process at a time: make one `Retraining` for each")
    futures, waiting = {name: Future() for name in processes}, {}

    def send(name, found=None):
        run, process = processes[name]
        request = waiting.pop(name, None)
        try:
            if isinstance(found, Exception):
                raise found
            request = process.send(found and run.answer(request, *found))
            while (answer := run.known(request)) is not None:
                request = process.send(answer)
            waiting[name] = request
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
        for name, request in list(waiting.items()):
            try:
                groups.setdefault(_key(processes[name][0], request, name), []).append(name)
            except Exception as e:
                send(name, e)
        for names in groups.values():
            asked = [(processes[name][0], waiting[name]) for name in names]
            for name, found in zip(names, _found(asked)):
                send(name, found)
    return futures


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
    frozen = [v.requires_grad for v in run.network.parameters()]
    what = run.batch_size, x.shape, x.dtype, y.dtype, x.device, shapes, frozen, net, plain
    return request.epochs, request.lr, begun["epoch"] if begun else 0, str(what)


def _found(asked):
    """For each (run, request) its answer and the network that belongs to it, or what went wrong.

    A group that does not fit into memory, or in which something fails, is parted in two.
    """
    half, (run, request) = len(asked) // 2, asked[0]
    try:
        if not isinstance(request, Stage):
            return [(request.measure(run), run.network.state())]
        if not half or _bytes(asked) <= _room(run.data(request.t)[0].device):
            return _train(asked)
    except Exception as e:
        if not half:
            return [e]
        warnings.warn(f"{len(asked)} runs, trained as one, failed: {e}", stacklevel=2)
    return _found(asked[:half]) + _found(asked[half:])


def _room(device):
    """The bytes that one ensemble may take: on a GPU half of what is free."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else math.inf


def _bytes(asked):
    """What the ensemble of these (run, stage) takes: images, weights with gradient and Adam's two
    averages, and what a step of each member keeps for its backward pass.
    """
    run, stage = asked[0]
    x, y = (v[: run.batch_size] for v in run.data(stage.t))
    y, kept = torch.zeros_like(y), []  # labels that do not fit are refused in training, in words
    with torch.autograd.graph.saved_tensors_hooks(kept.append, kept.append):
        run.network(x, y, x.new_zeros(len(x), run.network.code_size(x)))
    kept = {v.data_ptr(): v.nbytes for v in kept}
    kept |= {v.data_ptr(): 4 * v.nbytes for v in run.network.parameters()}
    images = sum(v.nbytes for r, s in asked for v in r.data(s.t))
    return images + sum(s.copies for _, s in asked) * sum(kept.values())


def _train(asked):
    """For each (run, stage) its answer and its trained network, all trained as one ensemble."""
    (run, stage), sizes = asked[0], [s.copies for _, s in asked]

    def each(state):
        parts = zip(*(v.split(sizes) for v in state.values()))
        return zip(asked, (dict(zip(state, part)) for part in parts))

    ensemble, parts = Ensemble([run.network[0]] * sum(sizes)), [r.partial(s) for r, s in asked]
    if len({p["epoch"] if p else 0 for p in parts}) > 1:  # one of them could not write its last
        raise RuntimeError("their checkpoints are of different epochs")
    adam = torch.optim.Adam(ensemble.parameters(), fused=True)
    states = [p["ensemble"] if p else r.state(s.start, s.copies) for (r, s), p in zip(asked, parts)]
    whole = {k: torch.cat([state[k].cpu() for state in states]) for k in states[0]}
    ensemble.load(whole, adam if parts[0] else None)
    trace = lambda: [_traced(ensemble, *run.data(stage.t))] if stage.trace else []
    begun = parts[0] or dict(epoch=0, seconds=0.0, trace=trace())
    traced, began = begun["trace"], time.monotonic()
    saved = began

    def on_epoch(epoch, adam, _):
        nonlocal saved
        now = time.monotonic()
        traced.extend(trace())
        for r, s in asked:
            if r.on_progress and s.span:
                r.on_progress(s.span[0] + (s.span[1] - s.span[0]) * epoch / s.epochs)
        if epoch < stage.epochs and now - saved > min(r.save_every for r, _ in asked):
            saved, done = now, dict(epoch=epoch, seconds=begun["seconds"] + now - began)
            for (r, s), state in each(ensemble.state(adam)):
                if r.journal.path:
                    partial = dict(request=r.words(s), ensemble=state, trace=traced) | done
                    r.journal.save(r.journal.tensors | dict(partial=partial))

    x, y = zip(*(r.data(s.t) for r, s in asked for _ in range(s.copies)))
    lam, gam = ([q for _, s in asked for q in s.prices[i]] for i in (0, 1))
    seeds = [(r.seed, r.words(s)["number"]) for r, s in asked for _ in range(s.copies)]
    how = dict(batch_size=run.batch_size, first=begun["epoch"], adam=adam, on_epoch=on_epoch)
    train_ensemble(ensemble, x, y, lam, gam, stage.epochs, stage.lr, seeds, **how)
    seconds, found = (begun["seconds"] + time.monotonic() - began) / len(ensemble), []
    for (r, s), state in each(ensemble.state()):
        copies = Ensemble([r.network[0]] * s.copies)
        copies.load(state)
        entry = _measured(copies, r, s)
        entry |= dict(epochs=s.epochs * s.copies, seconds=round(seconds * s.copies, 2))
        entry |= dict(trace=traced) if s.trace else {}
        found.append((entry, {k: v[:1] for k, v in copies.state().items()}))
    return found


def _measured(copies, run, stage):
    """The numbers of a stage; statistics are refreshed first."""
    x, y = run.data(stage.t)
    refresh_statistics(copies, x[:_FEW], y[:_FEW])
    if isinstance(stage.lam, tuple):
        sets = {"": (x[:_FEW], y[:_FEW])}
    else:
        sets = {"": (x, y)} | {f"{k}_": v for k, v in run.sets(stage.t).items()}
    return {
        prefix + name: values.tolist()
        for prefix, data in sets.items()
        for name, values in evaluate(copies, *data, seed=int(prefix != ""))._asdict().items()
    }


def _traced(ensemble, x, y):
    """(R, D, C) of every member now, with refreshed statistics; training is not disturbed."""
    ensemble, x, y = copy.deepcopy(ensemble), x[:_FEW], y[:_FEW]
    refresh_statistics(ensemble, x, y)
    return torch.stack(evaluate(ensemble, x, y)[:3], 1).tolist()
