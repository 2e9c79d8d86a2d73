"""The long runs behind the book's figures, from the command line: `python -m fe.reproduce fig2
--scale small`.

Each writes one small JSON file with its provenance (arguments, seeds, versions, device, time),
which chapters plot. A run that was stopped or killed goes on where it was when the same command is
given again, to the same result (digits-path alone, of some minutes, begins anew). One that is done
is not done again, unless `--again` asks for it; the old result is then kept under another name.
"""

import argparse
import contextlib
import itertools
import json
import math
import multiprocessing
import os
import platform
import shutil
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path as File

import matplotlib.pyplot as plt
import torch
from tqdm.auto import tqdm

from ..book.notebook import own, read
from ..data import digits
from ..path import Conserve, classification, follow
from ..plot import STYLE
from ..retraining import drive
from ..topographic import TopographicMap
from . import figures
from .jobs import finished, path_job, relaxation_job, scratch_job, transfer_job
from .settings import (
    PAPER,
    PAPER3,
    PAPER5,
    PAPER6,
    SMALL,
    SMALL3,
    SMALL5,
    SMALL6,
    load,
    networks,
    task_of,
)

__all__ = [
    "DIGITS",
    "JobsFailed",
    "PAPER",
    "PAPER3",
    "PAPER5",
    "PAPER6",
    "RUNS",
    "SETTINGS",
    "SMALL",
    "SMALL3",
    "SMALL5",
    "SMALL6",
    "digits_path",
    "figures",
    "load",
    "main",
    "networks",
    "path_job",
    "pool",
    "provenance",
    "relaxation_job",
    "run_jobs",
    "save",
    "save_json",
    "scratch_job",
    "task_of",
    "transfer_job",
]


def provenance(seconds, **arguments):
    """What a reader needs to run the same thing again."""
    device, name, gpu = arguments.get("device", "cpu"), platform.machine(), {}
    if device.startswith("cuda"):
        name, where = torch.cuda.get_device_name(device), torch.backends
        # what may be rounded to ten bits: matrix products and, unless told otherwise, convolutions
        gpu = {"tf32": dict(products=where.cuda.matmul.allow_tf32, conv=where.cudnn.allow_tf32)}
    return {
        "arguments": arguments,
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "device": f"{device} ({name})",
        **gpu,
        "seconds": round(seconds, 1),
    }


def save_json(path, record):
    """Write beside the target and rename: a reader never sees half a file, and a full disk leaves
    the old one (and raises `OSError`).
    """
    path = File(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with open(part, "w") as f:
            json.dump(record, f, indent=1, allow_nan=False)
            f.flush()
            os.fsync(f.fileno())
        part.replace(path)
    except OSError as e:
        raise OSError(
            f"cannot write {path}: {e.strerror or e}; choose another folder with --out"
        ) from e


def _row(point):
    F = point.hess
    row = dict(
        s=point.s,
        lam=float(point.p[0]),
        gam=float(point.p[1]),
        F=point.value,
        R=point.rate,
        D=point.distortion,
        C=point.classification,
        drift=point.drift,
        curvature=point.curvature,
        gradient_norm=point.gradient_norm,
        F_ll=float(F[0, 0]),
        F_lg=float(F[0, 1]),
        F_gg=float(F[1, 1]),
    )
    return {name: float(f"{value:.10g}") for name, value in row.items()}


def digits_path(
    *,
    n=1000,
    lam=0.25,
    lam_end=3.5,
    gam=4.0,
    seed=0,
    grid=15,
    features=4,
    ridge=1e-3,
    progress=True,
    **options,
):
    """Iso-classification of the topographic map on n digits from (λ, γ) = (0.25, 4) to λ = 3.5
    (paper, eq. 19–20).

    Returns a dict with `provenance`, `points` (rows) and `jumps` (rows `before` and `after`). About
    six minutes on one core at n = 1000, and no checkpoints: stopped, it begins anew. `options` go
    to `fe.follow`.
    """
    x, y = digits(n, seed=seed)
    J = TopographicMap(x, y, grid=grid, features=features, ridge=ridge)
    began, bar = (
        time.perf_counter(),
        tqdm(
            total=lam_end - lam,
            unit="λ",
            disable=not progress,
            bar_format="{l_bar}{bar}| λ − λ₀ = {n:.3f} [{elapsed}<{remaining}]",
        ),
    )

    def on_point(point):
        bar.n = min(point.s, bar.total)
        bar.refresh()

    path = follow(
        J,
        J.initial(),
        torch.tensor([lam, gam], dtype=x.dtype, device=x.device),
        Conserve(classification),
        lam_end - lam,
        preconditioner=J.preconditioner,
        on_point=on_point,
        **options,
    )
    bar.close()
    arguments = dict(
        n=n, lam=lam, lam_end=lam_end, gam=gam, seed=seed, grid=grid, features=features, ridge=ridge
    )
    return {
        "what": "iso-classification on scikit-learn's digits; Gibbs encoder (sees the label), "
        "training data; nats per example; R = F − λD − γC carries the ridge",
        "provenance": provenance(time.perf_counter() - began, **arguments)
        | {"parameters": J.n_parameters},
        "points": [_row(point) for point in path.points],
        "jumps": [
            dict(
                lam=float(j.before.p[0]),
                overlap=float(f"{j.overlap:.3g}"),
                before=_row(j.before),
                after=_row(j.after),
            )
            for j in path.jumps
        ],
    }


def done(target, settings):
    """The record in `target` if these arguments, and no others, made it; None if there is no file.

    Raises `ValueError` if it is damaged or of another run. Where the data lie and what computes
    them makes no other run.
    """
    plain = isinstance(settings, dict)
    arguments = settings if plain else settings.arguments()
    arguments = json.loads(json.dumps(arguments, allow_nan=False))
    if not target.exists():
        return None
    record = read(target)
    made = record.get("provenance", {}).get("arguments", {})
    made = made if plain else type(settings)().arguments() | made
    apart = ("root", "download", "device", "save_every", "progress")
    differ = [
        k for k in {**arguments, **made} if k not in apart and made.get(k) != arguments.get(k)
    ]
    if differ:
        raise ValueError(
            f"{target} is of another run (other {', '.join(sorted(differ))}): move it away, or "
            "choose another folder with --out"
        )
    print(
        f"{target} is there already. To make it again, add --again: the old one is kept under "
        "another name"
    )
    return record


def set_aside(target):
    """Another name for the result in `target`, and for its figure, if there is one:
    fig2.before1.json, or the first number that is free.
    """
    number = next(
        n for n in itertools.count(1) if not target.with_suffix(f".before{n}.json").exists()
    )
    for path in (target, target.with_suffix(".png")):
        if path.exists():
            print(
                f"{path} is now "
                f"{path.rename(path.with_suffix(f'.before{number}{path.suffix}')).name}"
            )


class JobsFailed(RuntimeError):
    """Some jobs of a run failed; what the others did is kept in their checkpoints."""


def run_jobs(jobs, executor, folder, progress=True, label=""):
    """Results of `jobs`, a dict name -> (function, arguments, options); names are checkpoints.

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
                return _together(jobs, files, folder, bar)
            futures = {
                name: executor.submit(function, *arguments, **options, **files[name])
                for name, (function, arguments, options) in jobs.items()
            }
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
    built = {name: f.build(*a, **o, **files[name]) for name, (f, a, o) in jobs.items()}
    going = set(built)

    def following(name, show):
        def on_progress(done):
            show(done)
            going.discard(name if done == 1 else None)
            _show(bar, folder, going)

        return on_progress

    for name, (run, _) in built.items():
        run.on_progress = following(name, run.on_progress)
    found = drive(built)
    return {name: finished(built[name][0], found[name]) for name in jobs}


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
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_end_with, initargs=(here,)
    ) as executor:
        try:
            yield executor
        except BaseException:
            there.close()
            raise


def _end_with(pipe):
    def watch():
        pipe.poll(None)  # until its other end is closed, which the end of a process does too
        os._exit(1)

    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal interrupts the workers too; what becomes of them is the parent's decision
    threading.Thread(target=watch, daemon=True).start()


def fig2(settings, executor, folder, progress=True):
    """Iso-classification from λ to λ_end for every γ₀ and seed; then models from scratch where the
    first seed's curves end.
    """
    name = "g{:g}_s{}".format
    jobs = {
        name(g, s): (path_job, (settings, g, s), {})
        for s in settings.seeds
        for g in settings.gammas
    }
    g, s = settings.gammas[0], settings.seeds[0]
    variants = (
        {"uncorrected": dict(corrector=False), "validation": dict(hold="val")}
        if settings.variants
        else {}
    )
    named = {
        f"{name(g, s)}_{v}": (
            path_job,
            (settings, g, s),
            dict(variant=options),
        )
        for v, options in variants.items()
    }
    found = run_jobs(jobs | named, executor, folder, progress, "curves")
    ends = [
        (r["rows"][-1]["lam"], r["rows"][-1]["gam"], r["gam"])
        for n, r in found.items()
        if n in jobs and r["seed"] == s and r["gam"] in settings.scratch and not r["stopped"]
    ]
    scratch = {
        f"scratch_g{g:g}_s{k}": (scratch_job, (settings, lam, gam, 100 + k), {})
        for lam, gam, g in ends
        for k in range(3)
    }
    ended = run_jobs(scratch, executor, folder, progress, "from scratch")
    held = {"train": "training", "val": "validation"}[settings.options.get("hold", "train")]
    return {
        "what": "iso-classification of networks by retraining; amortised encoder; C held on the "
        f"{held} set; nats per example",
        "seconds": sum(r["seconds"] for r in (found | ended).values()),
        "runs": [_columns(found[n]) for n in jobs],
        "variants": {v: _columns(found[f"{name(g, s)}_{v}"]) for v in variants},
        "scratch": [_rounded(r) for r in ended.values()],
    }


def fig4a(settings, executor, folder, progress=True):
    """F during equilibration from (0.5, 1) to (0.51, 1.04), beside one that stays at (0.5, 1)."""
    epochs = 100 if settings.data == "mnist" else 30
    jobs = {
        f"relaxation_s{s}": (
            relaxation_job,
            (settings, s),
            dict(epochs=epochs),
        )
        for s in settings.seeds
    }
    found = run_jobs(jobs, executor, folder, progress, "relaxation")
    return {
        "what": "R, D, C at every epoch of an equilibration, first 20,000 training images; "
        "amortised encoder; nats per example",
        "seconds": sum(r["seconds"] for r in found.values()),
        "runs": [_rounded(r) for r in found.values()],
    }


def fig4b(settings, executor, folder, progress=True):
    """F along fig. 2's first curve, from (0.25, 4); several seeds."""
    return fig2(settings | dict(gammas=settings.gammas[:1], compare=[]), executor, folder, progress)


def fig3(settings, executor, folder, progress=True):
    """Iso-classification on CIFAR-10: fig. 2's curves without its variants."""
    return fig2(settings | dict(variants=False), executor, folder, progress)


def fig5(settings, executor, folder, progress=True):
    """Transfer from source to target classes with C held, by every kind of task in the settings,
    and its controls.
    """
    jobs = {
        f"{kind}_s{s}": (transfer_job, (settings, kind, s), {})
        for kind in settings.kinds
        for s in settings.seeds
    }
    found = run_jobs(jobs, executor, folder, progress, "transfer")
    return {
        "what": "transfer of networks with C held on the training set of the task at t, and "
        "controls at equal compute; amortised encoder; "
        "source_… and target_… on test images; nats per example; spent: epochs of `size` "
        "images, "
        "copies counted",
        "seconds": sum(r["seconds"] for r in found.values()),
        "runs": [
            _rounded(r | dict(runs={name: _columns(run) for name, run in r["runs"].items()}))
            for r in found.values()
        ],
    }


def _rounded(value):
    """Six significant digits: more than any of it is known to, and small files."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def _columns(result):
    """Rows of one run as columns."""
    names = sorted({k for row in result["rows"] for k in row})
    return _rounded(result | dict(rows={k: [row.get(k) for row in result["rows"]] for k in names}))


RUNS = {"fig2": fig2, "fig3": fig3, "fig4a": fig4a, "fig4b": fig4b, "fig5": fig5, "fig6": fig5}
SETTINGS = {  # (small, paper)
    "fig2": (SMALL, PAPER),
    "fig3": (SMALL3, PAPER3),
    "fig4a": (SMALL, PAPER),
    "fig4b": (SMALL, PAPER),
    "fig5": (SMALL5, PAPER5),
    "fig6": (SMALL6, PAPER6),
}
DIGITS = {"small": dict(n=150, grid=11, features=3, lam_end=1.5), "paper": {}}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m fe.reproduce", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", choices=["digits-path", *RUNS])
    parser.add_argument(
        "--scale",
        choices=("small", "paper"),
        help="small: minutes on any CPU; paper: the paper's networks and data (hours; "
        "fig3 and fig6 want a GPU). Default: paper for digits-path (six minutes), else small",
    )
    parser.add_argument(
        "--seed", type=int, action="append", help="seeds; may be given several times"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="run it although its result is there already; that one is kept under another "
        "name (fig2.before1.json) once the new one is complete",
    )
    parser.add_argument(
        "--out",
        default=own(),
        help="folder of the JSON file; checkpoints go into checkpoints/ in it (default: "
        "$FE_RESULTS, "
        "else results/own in the book's repository, else results)",
    )
    parser.add_argument(
        "--data",
        help='"digits", "mnist", "cifar10", a .npz file, or a folder with train/ and test/ '
        "(default: by figure and scale)",
    )
    parser.add_argument(
        "--root", default="data", help="where MNIST or CIFAR-10 is, or is to go (default: data)"
    )
    parser.add_argument(
        "--download", action="store_true", help="let torchvision download into --root"
    )
    parser.add_argument(
        "--hold",
        choices=("train", "val"),
        default="train",
        help="the set on which fig2, fig3 and fig4b hold C; val: test images (default: train)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=None,
        help="processes (default: one a core; on a GPU one process trains everything at once)",
    )
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args(arguments)
    scale = chosen.scale or ("paper" if chosen.run == "digits-path" else "small")
    target = (
        File(chosen.out)
        / f"{chosen.run.replace('-', '_')}{'' if scale == 'paper' else f'_{scale}'}.json"
    )
    if chosen.run == "digits-path":
        if chosen.data or chosen.device != "cpu" or len(chosen.seed or [0]) > 1:
            parser.error(
                "digits-path is one exact path on scikit-learn's digits, on the CPU: it takes "
                "no "
                "--data, no --device and one --seed"
            )
        settings = dict(seed=(chosen.seed or [0])[0], **DIGITS[scale])
    else:
        settings = SETTINGS[chosen.run][scale == "paper"] | dict(
            root=chosen.root, download=chosen.download, device=chosen.device
        )
        settings |= dict(data=chosen.data) if chosen.data else {}
        settings |= dict(seeds=chosen.seed) if chosen.seed else {}
    if chosen.hold != "train":
        if chosen.run not in ("fig2", "fig3", "fig4b"):
            parser.error(f"--hold {chosen.hold}: {chosen.run} has no held-out set to hold C on")
        settings |= dict(options=settings.options | dict(hold=chosen.hold))
    if not chosen.again and done(
        target, digits_path.__kwdefaults__ | settings if chosen.run == "digits-path" else settings
    ):
        return
    save_json(
        target.with_suffix(".probe"), {}
    )  # an unwritable folder or a full disk shows now, not after the run
    target.with_suffix(".probe").unlink()
    if chosen.run == "digits-path":
        try:
            record = digits_path(**settings)
        except KeyboardInterrupt:
            print("stopped. digits-path keeps no checkpoints: the same command begins anew")
            raise
        set_aside(target)
        save_json(target, record)
        print(
            f"wrote {target}: {len(record['points'])} points, {len(record['jumps'])} jumps, "
            f"{record['provenance']['seconds']} s"
        )
        return
    load(settings)  # missing data shows now, and a download happens once
    together = chosen.device != "cpu" and not chosen.workers
    with (
        contextlib.nullcontext() if together else pool(chosen.workers or os.cpu_count()) as executor
    ):
        save(target, chosen.run, settings, executor, again=chosen.again)


def save(target, run, settings, executor, progress=True, again=False):
    """Run one of `RUNS` over any Executor (None: see `run_jobs`), write `target` (JSON) and its
    figure; checkpoints beside it.

    The checkpoints are deleted once the results are written. If `target` is there already, it is
    returned, see `done`; with again=True it is run all the same, and what was there is kept under
    another name, see `set_aside`.
    """
    target = File(target)
    record = None if again else done(target, settings)
    if record:
        return record
    folder = target.parent / "checkpoints" / target.stem
    folder.mkdir(parents=True, exist_ok=True)
    record = RUNS[run](settings, executor, folder, progress)
    seconds = record.pop("seconds")
    record = {
        "what": record.pop("what"),
        "provenance": provenance(seconds, **settings.arguments()) | dict(threads=1),
        **record,
    }
    set_aside(target)
    save_json(target, record)
    with plt.rc_context(STYLE):
        figure = figures.FIGURES[run](record)
        figure.savefig(target.with_suffix(".png"), dpi=150)
    plt.close(figure)
    shutil.rmtree(folder)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
    print(f"wrote {target} and {target.with_suffix('.png').name}; {seconds:.0f} s of training")
    return record
