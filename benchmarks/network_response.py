"""Slopes of a trained network two ways: python benchmarks/network_response.py --root DATA
[--checkpoint FILE]

Linear response (Gauss–Newton where the Hessian is indefinite) for several numbers of images and
dampings, against five copies trained on common random numbers: the slopes and the seconds of both.
Trains the paper's network on MNIST at (0.25, 4) first, unless the checkpoint of such a run is
given. Writes results/benchmark_network_response.json.
"""

import argparse
import time

from fe import reproduce
from fe.journal import Journal
from fe.processes import finite_differences
from fe.reproduce.lemma_5 import lemma_5
from fe.retraining import Retraining
from fe.training import step_decay

LAM, GAM = 0.25, 4.0
GRID = [(1_000, 0.1), (3_000, 0.1), (10_000, 0.1), (3_000, 1.0), (3_000, 0.02)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="data", help="folder with MNIST/raw")
    parser.add_argument(
        "--checkpoint", help="file of this run's checkpoint, to go on after an interruption"
    )
    parser.add_argument("--out", default="results/benchmark_network_response.json")
    chosen = parser.parse_args()
    began = time.perf_counter()
    settings = reproduce.PAPER | dict(root=chosen.root)
    train, _ = reproduce.load(settings)
    journal = Journal(chosen.checkpoint)
    run = Retraining(reproduce.networks(settings, *train, 0), train, journal=journal)
    run.stage(LAM, GAM, settings.start_epochs, step_decay)
    run.stage(LAM, GAM, settings.epochs)
    rows = []
    for images, damping in GRID:
        clock = time.perf_counter()
        found, matrices = run.follow(lemma_5(LAM, GAM, images, 2, damping))
        rows.append(
            dict(
                images=images,
                damping=damping,
                matrices=matrices,
                slopes=found.slopes,
                errors=found.errors,
                seconds_a_batch=(time.perf_counter() - clock) / 2,
            )
        )
        print(rows[-1], flush=True)
    clock = time.perf_counter()
    d = run.follow(finite_differences(LAM, GAM, settings.epochs, repeats=4))
    copies = dict(
        slopes=d.slopes, errors=d.errors, seconds_a_repeat=(time.perf_counter() - clock) / 4
    )
    print(copies)
    record = {
        "what": "slopes [[dD/dlnλ, dD/dlnγ], [dlnC/dlnλ, dlnC/dlnγ]] at (0.25, 4), MNIST, the "
        "paper's network",
        "provenance": reproduce.provenance(time.perf_counter() - began, root="MNIST"),
        "linear_response": rows,
        "copies": copies,
    }
    reproduce.save_json(chosen.out, reproduce.rounded(record))


if __name__ == "__main__":
    main()
