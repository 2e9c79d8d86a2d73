"""Optimal plans of MNIST images against the bare solvers, side by side in one run: python
benchmarks/transport.py --root DATA

n images of the digits 0–4 to n of 5–9, equal weights, so that the optimal plan is a permutation and
scipy's assignment solver gives an independent optimum. Each row in a process of its own: seconds
and peak memory, both from the images on, matrix of costs included; cost; pairs kept; whether the
solver said that it stopped early.

Prints and writes results/benchmark_transport.json. No test asserts a time.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import torch

from fe import reproduce

CODE = """
import json, sys, time, warnings
import numpy as np, ot, torch
from scipy.optimize import linear_sum_assignment
from fe.reproduce import images
from fe.transport import optimal_plan
warnings.simplefilter("ignore")
torch.set_num_threads(1)
name, n, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]
x, y = images.mnist(root)
source, target = x[y < 5][:n].double(), x[y >= 5][:n].double()
optimal_plan(source[:20], target[:20]), ot.dist(source[:20].numpy(), target[:20].numpy())  # whatever is loaded late is loaded now
read = lambda key: int(open("/proc/self/status").read().split(key + ":")[1].split()[0]) / 1024
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew here
before, began, early = read("VmRSS"), time.perf_counter(), False
if name == "optimal_plan":
    plan = optimal_plan(source, target)
    cost, pairs, gap = plan.cost, len(plan.i), plan.gap
else:
    kappa, gap = ot.dist(source.numpy(), target.numpy()), None
    if name == "scipy assignment":
        i, j = linear_sum_assignment(kappa)
        cost, pairs = float(kappa[i, j].mean()), n
    else:
        gamma, log = ot.emd(np.full(n, 1 / n), np.full(n, 1 / n), kappa, log=True, **(dict(numItermax=10**7) if "raised" in name else {}))
        cost, pairs, early = float(log["cost"]), int((gamma > 0).sum()), log["warning"] is not None
seconds = time.perf_counter() - began
print(json.dumps(dict(seconds=seconds, peak_mb=read("VmHWM") - before, cost=cost, pairs=pairs, gap=gap, stopped_early=early)))
"""  # noqa: E501
SOLVERS = ["optimal_plan", "ot.emd", "ot.emd, limit raised", "scipy assignment"]


def row(name, n, root):
    out = subprocess.run(
        [sys.executable, "-c", CODE, name, str(n), root],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="data", help="folder with MNIST/raw")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 2_000, 5_000])
    parser.add_argument(
        "--out",
        default=pathlib.Path(__file__).resolve().parents[1]
        / "results"
        / "benchmark_transport.json",
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    began, rows = time.perf_counter(), {}
    for n in chosen.sizes:
        rows[n] = found = {name: row(name, n, chosen.root) for name in SOLVERS}
        best = found["scipy assignment"]
        for r in found.values():
            r |= {
                "seconds_over_optimal_plan": r["seconds"] / found["optimal_plan"]["seconds"],
                "cost_over_assignment_less_one": r["cost"] / best["cost"] - 1,
                "peak_over_8nn_bytes": r["peak_mb"] * 2**20 / (8 * n * n),
            }
        print(n, json.dumps(found, indent=1), flush=True)
    record = {
        "what": "n MNIST images of 0-4 to n of 5-9, one thread",
        "provenance": reproduce.provenance(
            time.perf_counter() - began, root="MNIST", sizes=chosen.sizes
        ),
    }
    reproduce.save_json(
        chosen.out, reproduce.rounded(record | {"rows": {str(n): r for n, r in rows.items()}})
    )


if __name__ == "__main__":
    main()
