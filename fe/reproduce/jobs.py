"""The paper's figures as jobs: functions of plain arguments that return plain numbers, for any
process anywhere.
"""

import contextlib
import functools
import math
from pathlib import Path

import torch

from ..journal import Journal
from ..objective import classification
from ..path import Conserve, Geodesic, QuasiStatic
from ..processes import ConstraintLost, iso_classification, state_of, walk
from ..retraining import Retraining, Stage
from ..tasks import training_set
from ..training import evaluate, refresh_statistics, step_decay
from .lemma_5 import compared
from .rest import loop_of
from .settings import Curves, load, networks, one_thread, ship, task_of

_DATA = "data", "root", "download", "device", "pool", "images_used", "network"


@functools.lru_cache(1)
def shared(chosen):
    """`load`, once for all jobs that are built together: equal data are the same tensors, which no
    job changes. Who builds jobs empties the cache, for files may change.
    """
    return load(Curves(**dict(chosen)))


def _run(settings, seed, checkpoint, data=None, classes=None, probes=None):
    """The `Retraining` of one job: its images (`data`, a function of t, or those of the settings)
    and network, its journal and its progress file, a number from 0 to 1 beside the checkpoint.
    """
    chosen = tuple((k, getattr(settings, k)) for k in _DATA)
    train, validation = shared(chosen) if data is None else (data(0.0), None)
    checkpoint = checkpoint and Path(checkpoint)

    def on_progress(done):
        if checkpoint:
            with contextlib.suppress(OSError):  # it is only for a bar
                part = checkpoint.with_suffix(".progress.part")
                part.write_text(f"{done:.4f}")
                part.replace(checkpoint.with_suffix(".progress"))

    return Retraining(
        networks(settings, *train, seed, classes),
        data or train,
        probes or dict(val=validation),
        seed=seed,
        batch_size=settings.batch_size,
        journal=Journal(checkpoint),
        on_progress=on_progress,
        save_every=settings.save_every,
    )


def _job(build):
    """A function that does alone what `build` prepares, (run, process), and says what it took.

    `job.build` prepares it for `fe.retraining.drive`, with others.
    """

    def counted(run, process):
        result, entries = (yield from process), run.journal.entries
        seconds = sum(e.get("seconds", 0.0) for e in entries)
        return result | dict(seconds=round(seconds, 1), stages=len(entries))

    def prepare(*arguments, **options):
        run, process = build(*arguments, **options)
        return run, counted(run, process)

    @functools.wraps(build)
    @one_thread
    def job(*arguments, **options):
        shared.cache_clear()
        try:
            run, process = prepare(*arguments, **options)
        finally:
            shared.cache_clear()  # no data outlive who has asked for them
        return run.follow(process)

    job.build = prepare
    return job


@_job
def path_job(settings, gam, seed, checkpoint=None, variant=None):
    """One curve of fig. 2: train from scratch at (λ, γ₀), then iso-classification to λ_end.

    Returns rows, derivatives by finite differences, and by linear response where
    settings.compare asks for both; for the first seed of the γ₀ in settings.scratch also
    `stays`, what the end of the curve becomes when it is trained on at its prices for as long as a
    model from scratch is.

    Args:
        variant: Options of `iso_classification` that differ from the settings', for example
            {"corrector": False}.
    """
    compare = [gam, seed] in [list(c) for c in settings.compare] and not variant
    run = _run(settings, seed, checkpoint)
    options = settings.options | (settings.coarse if seed or variant else {})
    options |= variant or {}
    options |= dict(repeats=settings.repeats) if compare else {}
    again = gam in settings.scratch and seed == settings.seeds[0] and not variant

    def process():
        stays = stopped = None
        start, epochs = settings.start_epochs, settings.epochs
        options.update(start_epochs=start, start_lr=step_decay, epochs=epochs)
        walk, responses = iso_classification(settings.lam, gam, settings.lam_end, **options), []
        if compare:  # of a small set of one's own, all
            images = min(settings.images, len(run.data(None)[0]) // settings.batches)
            how = dict(images=images, batches=settings.batches, damping=settings.damping)
            walk = compared(walk, responses, **how)
        try:
            record = yield from walk
        except ConstraintLost as e:
            record, stopped = e.record, str(e)
        if again and not stopped:
            at = record["lam"][-1], record["gam"][-1]
            yield Stage(*at, start, step_decay)
            stays = state_of((yield Stage(*at, epochs)), *at)
            if checkpoint:
                x, y = run.data(None)
                about = dict(gam0=gam, seed=seed, pixels=len(x[0]), classes=int(y.max()) + 1)
                ship(run, "row", record.rows[-1], settings, checkpoint, end="end", **about)
        derivatives = [d._asdict() for d in record.slopes]
        found = dict(rows=record.rows, derivatives=derivatives, responses=responses)
        found |= dict(stays=stays, stopped=stopped, worst=max(record["off"]))
        return dict(gam=gam, seed=seed, variant=variant or {}) | found

    return run, process()


def _frozen(lam, gam, epochs, stages, span, start=None):
    """A process: so many equilibrations at unchanged prices, what tells a path from learning."""
    rows = []
    for k in range(stages):
        done = span[0] + (span[1] - span[0]) * k / stages
        begin = None if k else start
        entry = yield Stage(lam, gam, epochs, start=begin, span=(done, done))
        rows.append(state_of(entry, lam, gam) | dict(own=(k + 1) * epochs))
    return rows


@_job
def scratch_job(settings, lam, gam, seed, checkpoint=None):
    """A model trained from scratch at (λ, γ), like the start of a curve and its first
    equilibration, for comparison.
    """
    run = _run(settings, seed, checkpoint)

    def process():
        yield Stage(lam, gam, settings.start_epochs, step_decay, span=(0.0, 0.99))
        entry = yield Stage(lam, gam, settings.epochs)
        return dict(seed=seed, **state_of(entry, lam, gam))

    return run, process()


@_job
def frozen_job(settings, gam, seed, stages, checkpoint=None):
    """The control of a curve: its start, trained on at its own prices for so many equilibrations.

    Returns rows, as those of a curve, without the start itself.
    """
    run, lam = _run(settings, seed, checkpoint), settings.lam

    def process():
        yield Stage(lam, gam, settings.start_epochs, step_decay, span=(0.0, 0.5))
        rows = yield from _frozen(lam, gam, settings.epochs, stages, (0.5, 0.99))
        return dict(gam=gam, seed=seed, rows=rows)

    return run, process()


@_job
def loop_job(settings, gam, seed, epochs, checkpoint=None):
    """There and back, λ to λ_end to λ with C held, `epochs` an equilibration; then its frozen
    control: the network of the start, its prices unchanged, for as many stages.

    Returns rows of both, what the control's last stage still changed in F and ln C, work not paid
    and area of the loop, its worst deviation of ln C; `trained`, the epochs of the path's own
    network.
    """
    run, lam = _run(settings, seed, checkpoint), settings.lam
    there = [lam + (settings.lam_end - lam) * k / settings.stages for k in range(settings.stages)]
    stops, how = [*there, settings.lam_end, *reversed(there)], dict(epochs=epochs, span=(0.3, 0.6))
    path = walk((lam, gam), Conserve(classification), stops, **how | settings.options)

    def process():
        start, stopped = settings.start_epochs, None
        yield Stage(lam, gam, start, step_decay, keep="start", span=(0.0, 0.3))
        try:
            record = yield from path
        except ConstraintLost as e:
            record, stopped = e.record, str(e)
        stages = record["own"][-1] // epochs
        frozen = yield from _frozen(lam, gam, epochs, stages, (0.6, 0.99), "start")
        last, before = frozen[-1], frozen[-2 if stages > 1 else -1]
        still = [
            last["F"] - before["F"],
            math.log(last["classification"] / before["classification"]),
        ]
        names = dict(R="rate", D="distortion", C="classification", lam="lam", gam="gam")
        found = loop_of({k: [row[name] for row in record.rows] for k, name in names.items()})
        found |= dict(rows=record.rows, slopes=[d._asdict() for d in record.slopes], frozen=frozen)
        found |= dict(still=still, trained=start + stages * epochs, stopped=stopped)
        return dict(gam=gam, seed=seed, epochs=epochs) | found

    return run, process()


def _losses(ensemble, x, y):
    """[(R, D, C) of every member] on 20,000 images, with refreshed statistics."""
    few = x[:20_000], y[:20_000]
    refresh_statistics(ensemble, *few)
    return torch.stack(evaluate(ensemble, *few)[:3], 1).tolist()


@_job
def relaxation_job(
    settings, seed, checkpoint=None, before=(0.5, 1.0), after=(0.51, 1.04), epochs=100
):
    """Fig. 4a: F at every epoch while a model in equilibrium at `before` goes to `after`, beside a
    copy that stays.

    The copies share minibatches and noise, so that their difference is what the change of (λ, γ)
    did.
    """
    run, prices = _run(settings, seed, checkpoint), dict(before=list(before), after=list(after))

    def process():
        yield Stage(*before, settings.start_epochs, step_decay, span=(0.0, 0.5))
        entry = yield Stage(*zip(before, after), epochs, watch=_losses, span=(0.5, 0.999))
        stays, moves = zip(*entry["trace"])
        return dict(seed=seed, **prices, stays=list(stays), moves=list(moves))

    return run, process()


def _of_test(row):
    """A row of a transfer, with C and accuracy on test images of the task at t: for a mixture those
    of source and target at its weights, else the probe `test`; without what no table reads.
    """
    t, names = row["t"], ("classification", "accuracy")
    ends = {f"test_{q}": (1 - t) * row[f"source_{q}"] + t * row[f"target_{q}"] for q in names}
    apart = [f"{of}_{q}" for of in ("source", "target", "test") for q in ("rate", "distortion")]
    return {k: v for k, v in (ends | row).items() if k not in apart}


def _stages(rows, epochs, name="t"):
    """The t (or λ, γ) of every stage in which a walk trained its own network, and the number of the
    last at each of its rows: at a measurement the copy that stays is trained at the row before.

    Rows know no prices before correcting: stages that correct have those that came out.
    """
    values, last, there = [], [], rows[0][name]
    for row in rows:
        at = 1 + row["corrections"]
        values += [there] * (row["own"] // epochs - len(values) - at) + [row[name]] * at
        last.append(len(values) - 1)
        there = row[name]
    return values, last


def _worst(rows, k=None):
    """The worst deviations of what is held from its value at the start: of ln C, and of D − kR in
    pixel².
    """
    C = [row["classification"] for row in rows]
    found = dict(C=max(abs(math.log(v / C[0])) for v in C))
    if k is not None:
        line = [row["distortion"] - k * row["rate"] for row in rows]
        found |= dict(line=max(abs(v - line[0]) for v in line))
    return found


@_job
def transfer_job(settings, kind, seed, checkpoint=None):
    """Transfer from source to target with C held, by eq. (38) and on the lines of eq. (30), from a
    source that is trained on until it rests; and the controls of the first, from the same source.

    `frozen` stays at t = 0 at its prices, `fixed` goes through the same tasks at its prices,
    `finetuned` and `scratch` are trained on the target, from the source and from new weights. Each
    has stage for stage the epochs that the network that held C was trained itself; its `…_longer`
    has as many stages as would take all that run's epochs, copies counted, at the same tasks in
    proportion; `fixed_end` and `finetuned_end` are at the prices at which that run ends,
    `fixed_mean` at the arithmetic mean of those of its stages. Their rows are those after the
    stages of the rows that hold C; `frozen` has all.

    Returns also `rest`, the source after every round of its last training, and in each run that
    holds something its `worst` deviation. For the first seed the source and the end of the run that
    holds C are saved beside the checkpoint.
    """
    task, probes, classes = task_of(settings, kind)
    size, steps, prices = settings.size, settings.steps, (settings.lam, settings.gam)
    epochs, images = settings.epochs, lambda t: training_set(task, t, size, seed)
    run = _run(settings, seed, checkpoint, images, classes, probes)
    run.kept["new"] = networks(settings, *images(0.0), 1000 + seed, classes).state()
    early = settings.early if kind == "mixture" else []
    times = [0.0, *early, *(k / steps for k in range(1, steps + 1) if k / steps > sum(early[-1:]))]
    hold_C = Conserve(classification, along=(settings.speed, 0, 1), adjust=(0, 1, 0))
    lines = dict(geodesic=settings.k, falling=settings.falling if kind == "aligned" else None)
    lines, found = {name: k for name, k in lines.items() if k is not None}, {}
    on_lines = settings.options | dict(tolerance=settings.line[0], band=settings.line[1])
    walk((*prices, 0.0), hold_C, times, epochs=epochs, **settings.options)  # refused at once
    for k in lines.values():
        walk((*prices, 0.0), Geodesic(k), times, epochs=epochs, **on_lines)
    total = 13 + len(lines)  # parts of the progress: source (2), C held, lines, controls (10)

    def go(name, law, t, start="start", k=None, at=prices, **options):
        number, stopped = 2 + len(found), None
        span = min(0.98, number / total), min(0.99, (number + 1) / total)
        options = dict(epochs=epochs, start=start, span=span) | options
        try:
            record = yield from walk((*at, t[0]), law, t, **options)
        except ConstraintLost as e:
            record, stopped = e.record, str(e)
        slopes, rows = [s._asdict() for s in record.slopes], [_of_test(r) for r in record.rows]
        found[name] = dict(rows=rows, slopes=slopes, stopped=stopped)
        found[name] |= dict(k=k, worst=_worst(rows, k)) if options.get("tolerance") else {}
        return rows

    def control(name, times, last, start="start", at=prices):
        law = QuasiStatic((0.0, 0.0, 1.0))
        rows = yield from go(name, law, times, start, at=at)
        idle = "drift", "off", "miss", "F_t", "step", "corrections"
        kept = [{k: v for k, v in rows[i].items() if k not in idle} for i in last]
        found[name] = dict(rows=kept, stopped=None)

    def process():
        yield Stage(*prices, settings.start_epochs, step_decay, t=0.0, span=(0.0, 1 / total))
        rest, options = [], settings.options
        for k in range(settings.rounds):
            span = ((1 + k / settings.rounds) / total, (1 + (k + 1) / settings.rounds) / total)
            rest.append((yield Stage(*prices, settings.round, t=0.0, keep="start", span=span)))
        rest = [_of_test(state_of(entry, *prices) | dict(t=0.0)) for entry in rest]
        yield from go("held", hold_C, times, keep="held", **options)
        lead = found["held"]
        if lead["stopped"]:  # once more without a band, to see what it would have done
            yield from go("unbounded", hold_C, times, **options | dict(band=math.inf))
            lead = found["unbounded"]
        for name, k in lines.items():
            yield from go(name, Geodesic(k), times, k=k, **on_lines)
        own, last = _stages(lead["rows"], epochs)
        short, n = len(own), lead["rows"][-1]["spent"] // epochs
        yield from control("frozen", [0.0] * short, range(short))
        longer = [own[j * short // n] for j in range(n)], [((s + 1) * n - 1) // short for s in last]
        for end, (t, at) in {"": (own, last), "_longer": longer}.items():
            yield from control(f"fixed{end}", t, at)
            yield from control(f"finetuned{end}", [1.0] * len(t), at)
            yield from control(f"scratch{end}", [1.0] * len(t), at, "new")
        ends = tuple(lead["rows"][-1][q] for q in ("lam", "gam"))
        yield from control("fixed_end", own, last, at=ends)
        yield from control("finetuned_end", [1.0] * short, last, at=ends)
        mean = [sum(_stages(lead["rows"], epochs, q)[0]) / short for q in ("lam", "gam")]
        yield from control("fixed_mean", own, last, at=mean)
        if checkpoint and seed == settings.seeds[0]:
            about = dict(kind=kind, seed=seed, pixels=len(images(0.0)[0][0]), classes=classes)
            for name, row in dict(start=rest[-1], held=found["held"]["rows"][-1]).items():
                ship(run, name, row, settings, checkpoint, **about)
        floor = [task.label_entropy(t) if kind == "transport" else 0.0 for t in times]
        return dict(kind=kind, seed=seed, label_entropy=floor, rest=rest, runs=found)

    return run, process()
