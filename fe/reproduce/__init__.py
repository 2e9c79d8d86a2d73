"""The long runs behind the book's figures, from the command line: `python -m fe.reproduce fig2
--scale small`.

Each writes one small JSON file with its provenance (arguments, seeds, versions, device, time),
which chapters plot. A run that was stopped or killed goes on where it was when the same command is
given again, to the same result (digits-path alone, of some minutes, begins anew). One that is done
is not done again, unless `--again` asks for it; the old result is then kept under another name.
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path as File

import matplotlib.pyplot as plt
from tqdm.auto import tqdm

from ..data import digits
from ..objective import classification
from ..path import Conserve, follow
from ..plot import STYLE
from ..retraining import drive
from ..topographic import TopographicMap
from . import figures
from .jobs import frozen_job, loop_job, path_job, relaxation_job, scratch_job, shared, transfer_job
from .records import columns, done, own, provenance, rounded, save_json, set_aside
from .rest import Exact, exact_network
from .settings import (
    PAPER,
    PAPER3,
    PAPER5,
    PAPER6,
    SMALL,
    SMALL3,
    SMALL5,
    SMALL6,
    Digits,
    Loops,
    load,
    networks,
    one_thread,
    state,
    task_of,
)


def _row(point):
    (lam, gam), ((F_ll, F_lg), (_, F_gg)) = point.p.tolist(), point.hess.tolist()
    row = dict(s=point.s, lam=lam, gam=gam, F=point.value, R=point.rate, D=point.distortion)
    row |= dict(C=point.classification, drift=point.drift, curvature=point.curvature)
    row |= dict(gradient_norm=point.gradient_norm, F_ll=F_ll, F_lg=F_lg, F_gg=F_gg)
    return rounded(row, 10)


@one_thread
def digits_path(settings, executor=None, folder=None, progress=True):
    """Iso-classification of the topographic map on digits (paper, eq. 19–20): points and jumps
    (rows `before` and `after`).

    About a minute on one core with 1,000 digits, and no checkpoints: stopped, it begins anew.
    """
    began, length = time.perf_counter(), settings.lam_end - settings.lam
    x, y = digits(settings.n, seed=settings.seed)
    shape = dict(grid=settings.grid, features=settings.features, ridge=settings.ridge)
    J, p = TopographicMap(x, y, **shape), x.new_tensor([settings.lam, settings.gam])
    shown = "{l_bar}{bar}| λ − λ₀ = {n:.3f} [{elapsed}<{remaining}]"
    with tqdm(total=length, unit="λ", disable=not progress, bar_format=shown) as bar:

        def on_point(point):
            bar.n = min(point.s, bar.total)
            bar.refresh()

        law = Conserve(classification)
        try:
            path = follow(J, J.initial(), p, law, length, on_point=on_point)
        except KeyboardInterrupt:
            print("stopped. digits-path keeps no checkpoints: the same command begins anew")
            raise

    def jump(j):
        ends = dict(before=_row(j.before), after=_row(j.after))
        return dict(lam=float(j.before.p[0]), overlap=rounded(j.overlap, 3)) | ends

    return {
        "what": "iso-classification on scikit-learn's digits; Gibbs encoder (sees the label), "
        "training data; nats per example; R = F − λD − γC carries the ridge",
        "seconds": time.perf_counter() - began,
        "provenance": dict(parameters=J.n_parameters),
        "points": [_row(point) for point in path.points],
        "jumps": [jump(j) for j in path.jumps],
    }


class JobsFailed(RuntimeError):
    """Some jobs of a run failed; what the others did is kept in their checkpoints."""


def run_jobs(jobs, executor, folder, progress=True, label=""):
    """Results of `jobs`, a dict name -> function (`functools.partial` of a job) that takes the path
    of its `checkpoint`; names are checkpoints.

    A bar shows the time left. One failure does not stop the others.

    Args:
        executor: Any `concurrent.futures.Executor`, one job a task; or None: all jobs in this
            process, as one computation (`fe.retraining.drive`), which is what a GPU is for.

    Raises:
        JobsFailed: after all others are done, with the first failure as its cause
    """
    files = {name: dict(checkpoint=str(folder / f"{name}.pt")) for name in jobs}
    shape = "{desc} {percentage:3.0f}% |{bar}| [{elapsed} < {remaining}]"
    with tqdm(total=100 * len(jobs), disable=not progress, desc=label, bar_format=shape) as bar:
        try:
            if executor is None:
                futures = _together(jobs, files, folder, bar)
            else:
                futures = {name: executor.submit(job, **files[name]) for name, job in jobs.items()}
            try:
                while wait(futures.values(), timeout=1).not_done:
                    _show(bar, folder, [name for name, f in futures.items() if not f.done()])
            finally:
                for f in futures.values():
                    f.cancel()
        except KeyboardInterrupt:
            print(f"stopped. What is done is kept in {folder}; the same command goes on from there")
            raise
    failed = {name: f.exception() for name, f in futures.items() if f.exception()}
    if failed:
        name, error = next(iter(failed.items()))
        raise JobsFailed(
            f"{len(failed)} of {len(jobs)} jobs failed ({', '.join(failed)}); the first: {error}. "
            f"What is done is kept in {folder}; run the same command again to go on"
        ) from error
    return {name: f.result() for name, f in futures.items()}


def _together(jobs, files, folder, bar):
    """The futures of jobs that are one computation; one that cannot be built has failed."""
    built, futures, going = {}, {}, set(jobs)
    shared.cache_clear()
    for name, job in jobs.items():
        try:
            built[name] = job.func.build(*job.args, **job.keywords, **files[name])
        except Exception as e:
            futures[name] = Future()
            futures[name].set_exception(e)
            going.discard(name)
    shared.cache_clear()

    def following(name, show):
        def on_progress(done):
            show(done)
            going.discard(name if done == 1 else None)
            _show(bar, folder, going)

        return on_progress

    for name, (run, _) in built.items():
        run.on_progress = following(name, run.on_progress)
    return futures | drive(built)


def _show(bar, folder, going):
    """The bar from the progress files of the jobs that are going on; the others are done."""
    rest = sum(1 - _fraction(folder / f"{name}.progress") for name in going)
    bar.n = bar.total - 100 * rest
    bar.refresh()


def _fraction(path):
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0


@contextlib.contextmanager
def pool(workers):
    """A process pool whose workers end at once if their parent does, even by kill -9, or leaves the
    `with` block by an exception.

    Their checkpoints are whole at any moment, and none goes on writing those of a run that has been
    taken up again.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    ends = dict(mp_context=context, initializer=_end_with, initargs=(here,))
    with ProcessPoolExecutor(workers, **ends) as executor:
        try:
            yield executor
        except BaseException:
            there.close()
            raise


def _end_with(pipe):
    def watch():
        pipe.poll(None)  # until its other end is closed, which the end of a process does too
        os._exit(1)

    # a terminal interrupts the workers too; what becomes of them is the parent's decision
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def fig2(settings, executor, folder, progress=True):
    """Iso-classification from λ to λ_end for every γ₀ and seed; then models from scratch where the
    first seed's curves end, and the start of every curve, trained on at its own prices for as long.
    """
    name = "g{:g}_s{}".format
    starts = [(g, s) for s in settings.seeds for g in settings.gammas]
    jobs = {name(g, s): partial(path_job, settings, g, s) for g, s in starts}
    g, s = settings.gammas[0], settings.seeds[0]
    variants = {"uncorrected": dict(corrector=False), "validation": dict(hold="val")}
    variants = variants if settings.variants else {}
    named = {
        f"{name(g, s)}_{v}": partial(path_job, settings, g, s, variant=options)
        for v, options in variants.items()
    }
    found = run_jobs(jobs | named, executor, folder, progress, "curves")
    ends = [
        (r["rows"][-1]["lam"], r["rows"][-1]["gam"], r["gam"])
        for n, r in found.items()
        if n in jobs and r["seed"] == s and r["gam"] in settings.scratch and not r["stopped"]
    ]
    scratch = {
        f"scratch_g{g:g}_s{k}": partial(scratch_job, settings, lam, gam, 100 + k)
        for lam, gam, g in ends
        for k in range(3)
    }
    frozen = {
        f"frozen_{n}": partial(frozen_job, settings, r["gam"], r["seed"], stages)
        for n, r in found.items()
        if settings.frozen and n in jobs and not r["stopped"]
        for stages in [r["rows"][-1]["own"] // settings.epochs]
    }
    ended = run_jobs(scratch | frozen, executor, folder, progress, "controls")
    held = {"train": "training", "val": "validation"}[settings.options.get("hold", "train")]
    return {
        "what": "iso-classification of networks by retraining; amortised encoder; C held on the "
        f"{held} set; nats per example",
        "seconds": sum(r["seconds"] for r in (found | ended).values()),
        "runs": [columns(found[n]) for n in jobs],
        "variants": {v: columns(found[f"{name(g, s)}_{v}"]) for v in variants},
        "scratch": [rounded(ended[n]) for n in scratch],
        "frozen": [columns(ended[n]) for n in frozen],
    }


def fig4a(settings, executor, folder, progress=True):
    """F during equilibration from (0.5, 1) to (0.51, 1.04), beside one that stays at (0.5, 1)."""
    epochs = 100 if settings.data == "mnist" else 30
    jobs = {
        f"relaxation_s{s}": partial(relaxation_job, settings, s, epochs=epochs)
        for s in settings.seeds
    }
    found = run_jobs(jobs, executor, folder, progress, "relaxation")
    return {
        "what": "R, D, C at every epoch of an equilibration, first 20,000 training images; "
        "amortised encoder; nats per example",
        "seconds": sum(r["seconds"] for r in found.values()),
        "runs": [rounded(r) for r in found.values()],
    }


def fig5(settings, executor, folder, progress=True):
    """Transfer from source to target classes with C held, by every kind of task in the settings,
    and its controls.
    """
    jobs = {
        f"{kind}_s{s}": partial(transfer_job, settings, kind, s)
        for s in settings.seeds
        for kind in settings.kinds
    }
    found = run_jobs(jobs, executor, folder, progress, "transfer")
    return {
        "what": "transfer of networks with C held on the training set of the task at t; controls "
        "at equal epochs of the network itself, `…_longer` at equal compute, `…_end` at the prices "
        "at which it ends, `fixed_mean` at their mean on the way; amortised "
        "encoder; source_…, target_… and test_… (task at t) on test images; nats per example; "
        "own, spent: epochs of `size` images since the source, without and with copies; `rest`: "
        "the source after each round of its last training",
        "seconds": sum(r["seconds"] for r in found.values()),
        "runs": [
            rounded(r | dict(runs={name: columns(run) for name, run in r["runs"].items()}))
            for r in found.values()
        ],
    }


def loops(settings, executor, folder, progress=True):
    """There and back with C held by epochs a stage, a frozen control beside each; the first of them
    also from a start that is trained for longer; then models from scratch at the prices of the
    turn, trained for as long as the path's network had been and one equilibration more.
    """
    name, seeds = "g{:g}_n{}_s{}".format, settings.seeds
    starts = [(g, n, s) for n in settings.lengths for g in settings.gammas for s in seeds]
    jobs = {name(g, n, s): partial(loop_job, settings, g, s, n) for g, n, s in starts}
    longer = settings | dict(start_epochs=settings.rested)
    g, n = settings.gammas[0], settings.lengths[0]
    rested = {f"rested_{name(g, n, s)}": partial(loop_job, longer, g, s, n) for s in seeds}
    found = run_jobs(jobs | rested, executor, folder, progress, "loops")
    scratch = {}
    for key in jobs:
        if not (r := found[key])["stopped"]:
            turn = max(r["rows"], key=lambda row: row["lam"])  # steps that were halved add rows
            again = settings | dict(start_epochs=settings.start_epochs + turn["own"])
            at = turn["lam"], turn["gam"]
            scratch[f"scratch_{key}"] = partial(scratch_job, again, *at, 100 + r["seed"])
    ended = run_jobs(scratch, executor, folder, progress, "from scratch")
    still = lambda r: columns(r) | dict(frozen=columns(dict(rows=r["frozen"]))["rows"])
    return {
        "what": "there and back with C held on the training set, a frozen control beside each run, "
        "and models from scratch at the turn, trained for as many epochs; `rested`: from a start "
        "of more epochs; amortised encoder; nats per example",
        "seconds": sum(r["seconds"] for r in (found | ended).values()),
        "runs": [still(found[key]) for key in jobs],
        "rested": [still(found[key]) for key in rested],
        "scratch": [rounded(r | dict(beside=key)) for key, r in ended.items()],
    }


# figure 3 is figure 2 on other images, figure 4b its first curve
RUNS = dict.fromkeys(("fig2", "fig3", "fig4b"), fig2) | dict.fromkeys(("fig5", "fig6"), fig5)
RUNS |= {"fig4a": fig4a, "digits-path": digits_path, "exact-network": exact_network, "loops": loops}
EXACT = "digits-path", "exact-network"  # on scikit-learn's digits, in one process
SETTINGS = {  # (small, paper)
    "digits-path": (Digits(n=150, grid=11, features=3, lam_end=1.5), Digits()),
    "exact-network": (
        Exact(n=60, classes=2, hidden=2, codes=1, draws=2, lam_end=2.2, epochs=[2, 8], seeds=[0]),
        Exact(),
    ),
    "loops": (
        Loops(
            data="digits",
            hidden=64,
            codes=4,
            batch_size=50,
            start_epochs=100,
            lam=2.0,
            lam_end=4.0,
            stages=4,
            gammas=[10.0],
            seeds=[0],
            lengths=[3, 12],
            rested=300,
        ),
        Loops(),
    ),
    "fig2": (SMALL, PAPER),
    "fig3": (SMALL3, PAPER3),
    "fig4a": (SMALL, PAPER),
    "fig4b": tuple(s | dict(gammas=s.gammas[:1], compare=[]) for s in (SMALL, PAPER)),
    "fig5": (SMALL5, PAPER5),
    "fig6": (SMALL6, PAPER6),
}


def main(arguments=None):
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m fe.reproduce", description=about)
    add = parser.add_argument
    add("run", choices=RUNS)
    add(
        "--scale",
        choices=("small", "paper"),
        help="small: minutes on any CPU; paper: the paper's networks and data (hours; fig3 and "
        "fig6 want a GPU). Default: paper for digits-path and exact-network (minutes), else small",
    )
    add("--seed", type=int, action="append", help="seeds; may be given several times")
    add(
        "--again",
        action="store_true",
        help="run it although its result is there already; that one is kept under another name "
        "(fig2.before1.json) once the new one is complete",
    )
    add(
        "--out",
        default=own(),
        help="folder of the JSON file; checkpoints go into checkpoints/ in it (default: "
        "$FE_RESULTS, else results/own in the book's repository, else results)",
    )
    add(
        "--data",
        help='"digits", "mnist", "cifar10", a .npz file, or a folder with train/ and test/ '
        "(default: by figure and scale)",
    )
    add("--root", default="data", help="where MNIST or CIFAR-10 is, or is to go (default: data)")
    add("--download", action="store_true", help="let torchvision download into --root")
    add(
        "--hold",
        choices=("train", "val"),
        default="train",
        help="the set on which fig2, fig3 and fig4b hold C; val: test images (default: train)",
    )
    several = "processes (default: one a core; on a GPU one process trains everything at once)"
    add("--workers", type=int, help=several)
    add("--device", default="cpu")
    chosen = parser.parse_args(arguments)
    run, seeds, exact = chosen.run, chosen.seed or [], chosen.run in EXACT
    scale = chosen.scale or ("paper" if exact else "small")
    settings = SETTINGS[run][scale == "paper"]
    if exact:
        if chosen.data or chosen.device != "cpu" or run == "digits-path" and len(seeds) > 1:
            parser.error(
                f"{run} has an exact path on scikit-learn's digits, on the CPU: it takes no "
                "--data, no --device, and digits-path one --seed"
            )
        if seeds:
            settings |= dict(seed=seeds[0]) if run == "digits-path" else dict(seeds=seeds)
    else:
        settings |= dict(root=chosen.root, download=chosen.download, device=chosen.device)
        settings |= dict(data=chosen.data) if chosen.data else {}
        settings |= dict(seeds=seeds) if seeds else {}
    if chosen.hold != "train":
        if run not in ("fig2", "fig3", "fig4b"):
            parser.error(f"--hold {chosen.hold}: {run} has no held-out set to hold C on")
        settings |= dict(options=settings.options | dict(hold=chosen.hold))
    name = run.replace("-", "_") + ("" if scale == "paper" else f"_{scale}")
    target = File(chosen.out) / f"{name}.json"
    if not chosen.again and _done(target, settings):
        return
    # an unwritable folder or a full disk shows now, not after the run
    save_json(target.with_suffix(".probe"), {})
    target.with_suffix(".probe").unlink()
    if not exact:
        load(settings)  # missing data shows now, and a download happens once
    here = exact or chosen.device != "cpu" and not chosen.workers
    with contextlib.nullcontext() if here else pool(chosen.workers or os.cpu_count()) as executor:
        save(target, run, settings, executor, again=True)


def _done(target, settings):
    return done(target, settings.arguments(), type(settings)().arguments())


def save(target, run, settings, executor, progress=True, again=False):
    """Run one of `RUNS` over any Executor (None: see `run_jobs`), write `target` (JSON) and its
    figure; checkpoints beside it.

    The checkpoints are deleted once the results are written; states of networks go into states/. If
    `target` is there already, it is returned, see `done`; with again=True it is run all the same,
    and what was there is kept under another name, see `set_aside`.
    """
    target = File(target)
    record = None if again else _done(target, settings)
    if record:
        return record
    folder = target.parent / "checkpoints" / target.stem
    record = RUNS[run](settings, executor, folder, progress)
    seconds, what = record.pop("seconds"), record.pop("what")
    made = provenance(seconds, **settings.arguments()) | dict(threads=1)
    made |= record.pop("provenance", {})
    record = dict(what=what, provenance=made) | record
    set_aside(target)
    save_json(target, record)
    if run in figures.FIGURES:
        with plt.rc_context(STYLE):
            figure = figures.FIGURES[run](record)
            figure.savefig(target.with_suffix(".png"), dpi=150)
        plt.close(figure)
    if folder.exists():
        for path in folder.glob("*.safetensors"):
            named = path.stem.replace(".", "_") + path.suffix
            (target.parent / "states").mkdir(exist_ok=True)
            path.replace(target.parent / "states" / f"{target.stem}_{named}")
        shutil.rmtree(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    print(f"wrote {target}; {seconds:.0f} s")
    return record
