"""The paper's figures 2 to 6 from the records of `fe.reproduce`."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..plot import LINES, MARKERS


def _curves(record):
    """(colour index, run, columns as arrays) of every curve that has more than its start."""
    starts = sorted({run["gam"] for run in record["runs"]})
    for run in record["runs"]:
        yield (
            starts.index(run["gam"]),
            run,
            {k: np.array(v, dtype=float) for k, v in run["rows"].items()},
        )


def _log_ticks(axis, low, high):
    """A logarithmic axis with plain numbers on it."""
    axis.axes.set_yscale("log")
    ticks = [t * 10.0**k for k in range(-4, 4) for t in (1, 1.5, 2, 3, 4, 6, 8)]
    ticks = [t for t in ticks if low / 1.15 <= t <= high * 1.15]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))


def fig2(record):
    """Four panels: the curves in the (D, R) plane, in the (λ, γ) plane, training C, and validation
    accuracy along λ.
    """
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 6.6))
    seen = set()
    for i, run, c in _curves(record):
        style = dict(
            color=LINES[i % len(LINES)], marker=MARKERS[i % len(MARKERS)], markersize=3, linewidth=1
        )
        style["label"] = None if i in seen else f"$\\gamma_0 = {run['gam']:g}$"
        seen.add(i)
        axes[0, 0].plot(c["distortion"], c["rate"], **style)
        axes[0, 1].plot(c["lam"], c["gam"], **style)
        axes[1, 0].plot(c["lam"], c["classification"], **style)
        axes[1, 1].plot(c["lam"], 100 * c["val_accuracy"], **style)
    axes[0, 0].set(
        xlabel="distortion D (pixel²)", ylabel="rate R (nats)", title="(a) rate and distortion"
    )
    axes[0, 1].set(xlabel="λ", ylabel="γ", title="(b) the prices")
    axes[1, 0].set(xlabel="λ", ylabel="training loss C (nats)", title="(c) the held loss")
    axes[1, 1].set(
        xlabel="λ", ylabel="validation accuracy (%)", title="(d) accuracy on unseen images"
    )
    for ax, name in ((axes[0, 1], "gam"), (axes[1, 0], "classification")):
        values = np.concatenate([c[name] for _, _, c in _curves(record)])
        _log_ticks(ax.yaxis, values.min(), values.max())
    axes[0, 0].legend()
    return figure


def fig4a(record):
    """F − F(start) of the copy that moves and of the copy that stays, against the epoch."""
    figure, ax = plt.subplots(figsize=(6.4, 3.8))
    for k, run in enumerate(record["runs"]):
        for i, (name, (lam, gam)) in enumerate((("moves", run["after"]), ("stays", run["before"]))):
            R, D, C = np.array(run[name]).T
            ax.plot(
                R + lam * D + gam * C,
                color=LINES[i],
                alpha=0.9,
                linewidth=1.3,
                linestyle="-" if i == 0 else "--",
                label=f"({lam:g}, {gam:g})" if k == 0 else None,
            )
    ax.set(xlabel="epoch since the change", ylabel="F = R + λD + γC (nats)")
    ax.legend(title="trained at (λ, γ) =")
    return figure


def fig4b(record):
    """F along the curves of the smallest γ₀ against the recorded step."""
    figure, ax = plt.subplots(figsize=(6.4, 3.8))
    for i, run, c in _curves(record):
        if i == 0:
            seed = run["seed"]
            ax.plot(
                c["F"],
                color=LINES[seed % len(LINES)],
                marker=MARKERS[seed % len(MARKERS)],
                label=f"seed {seed}",
            )
    ax.set(xlabel="recorded step", ylabel="F = R + λD + γC (nats)")
    ax.legend()
    return figure


NAMES = {
    "held": "C held (38)",
    "unbounded": "C held, no band",
    "geodesic": "geodesic (30)",
    "fixed": "(λ, γ) fixed, same path",
    "finetuned": "fine-tuning",
    "scratch": "from scratch",
}


def seeds_of(record, kind, name):
    """The rows (dict of arrays) of one run of one kind of task, for every seed that has it and
    finished.
    """
    runs = [r["runs"][name] for r in record["runs"] if r["kind"] == kind and name in r["runs"]]
    return [
        {k: np.array(v, dtype=float) for k, v in run["rows"].items()} for run in runs if run["rows"]
    ]


def transfer_figure(record, kind=None):
    """Four panels of one kind of task: (D, R), the prices, training C along t, and accuracy on the
    target against epochs.
    """
    kind = kind or record["runs"][0]["kind"]
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 6.8))
    for i, (name, label) in enumerate(NAMES.items()):
        for number, c in enumerate(seeds_of(record, kind, name)):
            colour = LINES[max(0, i - 1)]  # with and without a band it is one method
            style = dict(
                color=colour,
                marker=MARKERS[i],
                markersize=3,
                linewidth=1,
                label=label if number == 0 else None,
            )
            moves = len(set(c["t"])) > 1
            if moves:
                axes[0, 0].plot(c["rate"], c["distortion"], **style)
                axes[1, 0].plot(c["t"], c["classification"], **style)
            if moves and name != "fixed":
                axes[0, 1].plot(c["lam"], c["gam"], **style)
            axes[1, 1].plot(c["spent"], 100 * c["target_accuracy"], **style)
    axes[0, 0].set(
        xlabel="rate R (nats)",
        ylabel="distortion D (pixel²)",
        title="(a) rate and distortion along t",
    )
    axes[0, 1].set(xlabel="λ", ylabel="γ", title="(b) the prices")
    axes[1, 0].set(
        xlabel="t (0 source, 1 target)",
        ylabel="training loss C (nats)",
        title="(c) the loss on the task at t",
    )
    axes[1, 1].set(
        xlabel="epochs spent",
        ylabel="accuracy on the target (%)",
        title="(d) test images of the target",
    )
    axes[1, 0].set_ylim(bottom=0)
    axes[1, 1].legend()
    return figure


FIGURES = {
    "fig2": fig2,
    "fig3": fig2,
    "fig4a": fig4a,
    "fig4b": fig4b,
    "fig5": transfer_figure,
    "fig6": transfer_figure,
}
