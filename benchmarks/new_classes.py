"""C held with classes that the source has never seen, over the first hundredth of the way, for four
ridges: python benchmarks/new_classes.py

The map and the digits of chapter 7, "New classes": 120 of 0–3 to 120 of 4–7, eight outputs, λ = ½,
γ from 4. A ridge at which `follow` refuses to go on is recorded with how far it came and what it
said. At weak ridges the path jumps, and rounding may decide where it lands.

Writes results/new_classes.json; the stored run took under a minute on one core.
"""

import pathlib
import time

import torch

import fe
from fe import classification
from fe.reproduce import provenance, save_json
from fe.tasks import Mixture, TaskObjective

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
RESULTS = pathlib.Path(__file__).resolve().parents[1] / "results"
RIDGES, LENGTH = (1e-2, 1e-3, 1e-4, 1e-5), 0.01


def walk(ridge, length=LENGTH):
    """The record of one ridge: t, γ and C at every point, the places of the jumps, and what stopped
    it.
    """
    source, old = fe.digits(120, classes=range(4)), fe.digits(120, classes=range(4, 8))
    model = fe.TopographicMap(*source, 8, grid=11, features=3, ridge=ridge)
    J, seen = TaskObjective(model, Mixture(source, old)), []
    hold_C = fe.Conserve(classification, along=(0, 0, 1), adjust=(0, 1, 0))
    began, jumps, refusal = time.perf_counter(), None, None
    try:
        path = fe.follow(
            J,
            model.initial(),
            torch.tensor([0.5, 4.0, 0.0]),
            hold_C,
            length,
            on_point=seen.append,
        )
        jumps = [float(jump.before.p[2]) for jump in path.jumps]
    except (ValueError, fe.NotConverged) as error:
        refusal = str(error)
    rows = {
        "t": [round(float(q.p[2]), 7) for q in seen],
        "gam": [round(float(q.p[1]), 5) for q in seen],
        "classification": [q.classification for q in seen],
    }
    return {
        "ridge": ridge,
        "jumps": jumps,
        "refusal": refusal,
        "seconds": round(time.perf_counter() - began, 1),
        **rows,
    }


if __name__ == "__main__":
    began, found = time.perf_counter(), []
    for ridge in RIDGES:
        found.append(walk(ridge))
        print(
            {k: v if not isinstance(v, list) else v[-1:] for k, v in found[-1].items()}, flush=True
        )
    save_json(
        RESULTS / "new_classes.json",
        {
            "what": "t, γ and C (nats) while γ holds C over the first hundredth of a mixture "
            "whose target has classes of its own, for each ridge",
            "provenance": provenance(
                time.perf_counter() - began, ridges=RIDGES, length=LENGTH, lam=0.5, gam=4.0
            ),
            "ridges": found,
        },
    )
