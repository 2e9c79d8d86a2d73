"""The long runs behind the book's figures, from the command line: `python -m fe.reproduce digits-path`.

Each writes one small JSON file with its provenance (arguments, seed, versions, device, wall time), which chapters plot.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path as File

import torch
from tqdm.auto import tqdm

from .data import digits
from .process import Conserve, classification, follow
from .topographic import TopographicMap


def provenance(seconds, **arguments):
    """What a reader needs to run the same thing again."""
    return {
        "arguments": arguments, "torch": torch.__version__.split("+")[0], "python": platform.python_version(),
        "threads": torch.get_num_threads(), "device": platform.machine(), "seconds": round(seconds, 1),
    }


def save_json(path, record):
    """Write beside the target and rename: a reader never sees half a file, and a full disk leaves the old one."""
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
        raise OSError(f"cannot write {path}: {e.strerror or e}; choose another folder with --out") from e


def _row(point):
    F = point.hess
    row = dict(
        s=point.s, lam=float(point.p[0]), gam=float(point.p[1]), F=point.value, R=point.rate, D=point.distortion,
        C=point.classification, drift=point.drift, curvature=point.curvature, gradient_norm=point.gradient_norm,
        F_ll=float(F[0, 0]), F_lg=float(F[0, 1]), F_gg=float(F[1, 1]),
    )
    return {name: float(f"{value:.10g}") for name, value in row.items()}


def digits_path(n=1000, lam=0.25, lam_end=3.5, gam=4.0, *, seed=0, grid=15, features=4, ridge=1e-3, progress=True, **options):
    """Iso-classification of the topographic map on n digits from (λ, γ) = (0.25, 4) to λ = 3.5 (paper, eq. 19–20).

    Returns a dict with `provenance`, `points` (rows) and `jumps` (rows `before` and `after`). About five minutes on one
    core at n = 1000. `options` go to `fe.follow`.
    """
    x, y = digits(n, seed=seed)
    J = TopographicMap(x, y, grid=grid, features=features, ridge=ridge)
    began, bar = time.perf_counter(), tqdm(total=lam_end - lam, unit="λ", disable=not progress, bar_format="{l_bar}{bar}| λ − λ₀ = {n:.3f} [{elapsed}<{remaining}]")

    def on_point(point):
        bar.n = min(point.s, bar.total)
        bar.refresh()

    path = follow(
        J, J.initial(), torch.tensor([lam, gam], dtype=x.dtype), Conserve(classification), lam_end - lam,
        preconditioner=J.preconditioner, on_point=on_point, **options,
    )
    bar.close()
    arguments = dict(n=n, lam=lam, lam_end=lam_end, gam=gam, seed=seed, grid=grid, features=features, ridge=ridge)
    return {
        "what": "iso-classification on scikit-learn's digits; Gibbs encoder (sees the label), training data; nats per example",
        "provenance": provenance(time.perf_counter() - began, **arguments) | {"parameters": J.n_parameters},
        "points": [_row(point) for point in path.points],
        "jumps": [
            dict(lam=float(j.before.p[0]), overlap=float(f"{j.overlap:.3g}"), before=_row(j.before), after=_row(j.after))
            for j in path.jumps
        ],
    }


RUNS = {"digits-path": (digits_path, {"small": dict(n=150, grid=11, features=3, lam_end=1.5), "paper": {}})}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m fe.reproduce", description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--scale", choices=("small", "paper"), default="paper", help="small: seconds; paper: what the book shows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="results", help="folder of the JSON file (default: results)")
    chosen = parser.parse_args(arguments)
    run, scales = RUNS[chosen.run]
    name = chosen.run.replace("-", "_") + ("" if chosen.scale == "paper" else f"_{chosen.scale}")
    target = File(chosen.out) / f"{name}.json"
    save_json(target.with_suffix(".probe"), {})  # an unwritable folder or a full disk shows now, not after the run
    target.with_suffix(".probe").unlink()
    record = run(seed=chosen.seed, **scales[chosen.scale])
    save_json(target, record)
    print(f"wrote {target}: {len(record['points'])} points, {len(record['jumps'])} jumps, {record['provenance']['seconds']} s")


if __name__ == "__main__":
    main()
