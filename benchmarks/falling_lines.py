"""Which falling lines can networks follow? Figure 5's sources, labels paired, asked for three
slopes: python benchmarks/falling_lines.py --root DATA

A line is followed until it arrives, or stops where the law has no answer: at 1 + kλ = 0.

Writes results/falling_lines.json; the stored run took half an hour on one core of a busy machine.
"""

import argparse
import pathlib

import torch

from fe.path import Geodesic
from fe.processes import ConstraintLost, walk
from fe.reproduce import PAPER5, networks, provenance, save_json, task_of
from fe.reproduce.records import columns
from fe.retraining import Retraining, Stage
from fe.training import step_decay

RESULTS = pathlib.Path(__file__).resolve().parents[1] / "results"
SLOPES = -3.0, -5.0, -10.0
KEPT = "t", "lam", "gam", "rate", "distortion", "classification", "miss", "off", "own", "spent"


def lines(settings, seed, slopes=SLOPES):
    """The rows of the lines of these slopes from one source, and how each was stopped."""
    task, _, classes = task_of(settings, "aligned")
    images = lambda t: task.sample(t, settings.size, seed)
    network = networks(settings, *images(0.0), seed, classes)
    run = Retraining(network, images, seed=seed, batch_size=settings.batch_size)
    at, found = (settings.lam, settings.gam), []
    times = [k / settings.steps for k in range(settings.steps + 1)]
    limits = dict(tolerance=settings.line[0], band=settings.line[1])
    how = settings.options | limits | dict(epochs=settings.epochs, start="start")

    def process():
        yield Stage(*at, settings.start_epochs, step_decay, t=0.0)
        yield Stage(*at, settings.round, t=0.0, keep="start")
        for k in slopes:
            stopped = None
            try:
                record = yield from walk((*at, 0.0), Geodesic(k), times, **how)
            except ConstraintLost as e:
                record, stopped = e.record, str(e)
            rows = [{name: row[name] for name in KEPT} for row in record.rows]
            found.append(columns(dict(k=k, seed=seed, stopped=stopped, rows=rows)))
            print(seed, k, stopped or "arrives", flush=True)

    run.follow(process())
    seconds = sum(entry.get("seconds", 0.0) for entry in run.journal.entries)
    return found, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default="data")
    settings = PAPER5 | dict(root=parser.parse_args().root)
    torch.set_num_threads(1)
    found, seconds = zip(*(lines(settings, seed) for seed in settings.seeds))
    what = (
        "lines dD/dR = k with C held, falling, by retraining from the sources of figure 5, labels "
        "paired; training set of the task at t; nats per example"
    )
    made = provenance(sum(seconds), slopes=SLOPES, **settings.arguments())
    record = dict(what=what, provenance=made, runs=[run for runs in found for run in runs])
    save_json(RESULTS / "falling_lines.json", record)


if __name__ == "__main__":
    main()
