"""The transitions on chapter 10's two exchanges of classes, at fixed prices: python
benchmarks/exchange.py

Each map is followed from t = 0 to 1, state by state (`fe.follow`). Wherever A loses rank on the way
the fall of F is recorded. The chapter's schedules leave such falls out of account; here they are
counted one by one.

Writes results/exchange_jumps.json; about half a minute on one core.
"""

import pathlib
import time

import torch

import fe
from fe.reproduce import provenance, save_json
from fe.tasks import Mixture, TaskObjective

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
RESULTS = pathlib.Path(__file__).resolve().parents[1] / "results"
MAPS = {"stiff": (2, 2, 0.1, 0.25, 4.0), "flexible": (3, 3, 3e-2, 0.25, 8.0)}  # as in the chapter


def main():
    began, maps = time.perf_counter(), {}
    for name, (n, features, ridge, lam, gam) in MAPS.items():
        old, new = (fe.digits(60, classes=range(a, a + n)) for a in (0, n))
        wide = fe.TopographicMap(*old, 2 * n, grid=9, features=features, ridge=ridge)
        J = TaskObjective(wide, Mixture(old, new))
        path = fe.follow(
            J,
            wide.initial(),
            torch.tensor([lam, gam, 0.0]),
            fe.QuasiStatic(torch.tensor([0.0, 0.0, 1.0])),
            1.0,
        )
        jumps = []
        for j in path.jumps:
            b, a = j.before, j.after
            fall = (
                b.value + float(b.gradient[2]) * float(a.p[2] - b.p[2]) - a.value
            )  # F of the old branch, to first order, at the landing
            jumps.append(
                dict(
                    t=round(float(b.p[2]), 6),
                    fall=float(f"{fall:.4g}"),
                    slope_fall=float(f"{float(b.gradient[2] - a.gradient[2]):.4g}"),
                    curvature=float(f"{b.curvature:.3g}"),
                    overlap=float(f"{j.overlap:.3g}"),
                )
            )
            print(name, jumps[-1], flush=True)
        t, root = (
            path.controls[:, 2],
            torch.tensor([max(-float(h[2, 2]), 0.0) for h in path["hess"]]).sqrt(),
        )
        length = float(((root[1:] + root[:-1]) / 2 * t.diff()).sum())
        maps[name] = dict(points=len(path.points), length=round(length, 4), jumps=jumps)
    save_json(
        RESULTS / "exchange_jumps.json",
        {
            "what": "places t where A loses rank while classes are exchanged at fixed prices, and "
            "by how much F and its slope F_t fall there (nats); "
            "length: the thermodynamic length of the path, over its own points",
            "provenance": provenance(
                time.perf_counter() - began, maps={k: list(v) for k, v in MAPS.items()}
            ),
            "maps": maps,
        },
    )


if __name__ == "__main__":
    main()
