"""The paper's figures 2 to 6 from the records of `fe.reproduce`."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..plot import LINES, MARKERS
from .records import STORED, own, read

_SMALL = dict(markersize=3, linewidth=1)


def _arrays(rows):
    return {name: np.array(column, dtype=float) for name, column in rows.items()}


def _curves(record):
    """(number of its γ₀, run, columns as arrays) of every curve."""
    starts = sorted({run["gam"] for run in record["runs"]})
    for run in record["runs"]:
        yield starts.index(run["gam"]), run, _arrays(run["rows"])


def _style(i, label, **more):
    """Of the i-th kind of points joined by lines."""
    return dict(color=LINES[i % len(LINES)], marker=MARKERS[i % len(MARKERS)], label=label) | more


def _log_ticks(axis, low, high):
    """A logarithmic axis with plain numbers on it."""
    axis.axes.set_yscale("log")
    ticks = [t * 10.0**k for k in range(-4, 4) for t in (1, 1.5, 2, 3, 4, 6, 8)]
    ticks = [t for t in ticks if low / 1.15 <= t <= high * 1.15]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))


def _titled(axes, *titles):
    """Panels (a) to (d): x label, y label and title of each."""
    for ax, letter, (x, y, title) in zip(axes.flat, "abcd", titles):
        ax.set(xlabel=x, ylabel=y, title=f"({letter}) {title}")


def fig2(record):
    """Four panels: the curves in the (D, R) plane, in the (λ, γ) plane, training C, and validation
    accuracy along λ. Large marks are starts, filled ones the first seed.
    """
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 6.6))
    seen = set()
    for i, run, c in _curves(record):
        style = _style(i, None if i in seen else f"$\\gamma_0 = {run['gam']:g}$", **_SMALL)
        style |= dict(mfc=None if run["seed"] == 0 else "white")  # the first seed filled
        seen.add(i)
        panels = (
            (axes[0, 0], c["distortion"], c["rate"]),
            (axes[0, 1], c["lam"], c["gam"]),
            (axes[1, 0], c["lam"], c["classification"]),
            (axes[1, 1], c["lam"], 100 * c["val_accuracy"]),
        )
        for ax, x, y in panels:
            ax.plot(x, y, **style)
            ax.plot(x[:1], y[:1], **style | dict(markersize=7, label=None))  # where it starts
    _titled(
        axes,
        ("distortion D (pixel²)", "rate R (nats)", "rate and distortion"),
        ("λ", "γ", "the prices"),
        ("λ", "training loss C (nats)", "the held loss"),
        ("λ", "validation accuracy (%)", "accuracy on unseen images"),
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
            style = dict(color=LINES[i], alpha=0.9, linewidth=1.3, linestyle=("-", "--")[i])
            label = f"({lam:g}, {gam:g})" if k == 0 else None
            ax.plot(R + lam * D + gam * C, label=label, **style)
    ax.set(xlabel="epoch since the change", ylabel="F = R + λD + γC (nats)")
    ax.legend(title="trained at (λ, γ) =")
    return figure


def fig4b(record):
    """F against λ along the curves of the smallest γ₀."""
    figure, ax = plt.subplots(figsize=(6.4, 3.8))
    for i, run, c in _curves(record):
        if i == 0:
            seed = run["seed"]
            ax.plot(c["lam"], c["F"], **_style(seed, f"seed {seed}"))
    ax.set(xlabel="λ", ylabel="F = R + λD + γC (nats)")
    ax.legend()
    return figure


NAMES = {
    "held": "C held (38)",
    "unbounded": "C held, no band",
    "geodesic": "rising line (30)",
    "falling": "falling line (30)",
    "fixed": "prices fixed, same path",
    "finetuned": "fine-tuning",
    "scratch": "from scratch",
    "frozen": "task frozen at t = 0",
}
KINDS = {
    "aligned": "paired, mixture",
    "mixture": "ten outputs, mixture",
    "transport": "paired, transport",
    "paired": "paired, mixture",
}
_LOOKS = dict(held=0, unbounded=0, geodesic=1, falling=3, fixed=2, finetuned=3, scratch=4, frozen=4)


def seeds_of(record, kind, name):
    """The rows (dict of arrays) of one run of one kind of task, for every seed that has it."""
    runs = [r["runs"][name] for r in record["runs"] if r["kind"] == kind and name in r["runs"]]
    return [_arrays(run["rows"]) for run in runs if run["rows"]]


def _drawn(ax, record, kind, names, x, y):
    """Lines of all seeds: y against x, names of columns or functions of the rows; the first seed
    strong, an open mark at its start and a full one at its end.
    """
    of = lambda c, q: q(c) if callable(q) else c[q]
    for name in names:
        for number, c in enumerate(seeds_of(record, kind, name)):
            style = dict(
                color=LINES[_LOOKS[name]], lw=1 if number else 1.8, alpha=0.5 + (not number) / 2
            )
            style |= dict(ls="--" if name in ("fixed", "frozen") else "-")
            ax.plot(of(c, x), of(c, y), label=None if number else NAMES[name], **style)
            for at, fill in ((0, "white"), (-1, style["color"])):
                marks = dict(color=style["color"], markerfacecolor=fill, alpha=style["alpha"])
                ax.plot(of(c, x)[at], of(c, y)[at], MARKERS[_LOOKS[name]], **marks)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)  # below: lines are anywhere


def _asked(ax, record, kind):
    """The straight lines that the runs of the first seed were asked for."""
    for name in ("geodesic", "falling"):
        runs = [r["runs"][name] for r in record["runs"] if r["kind"] == kind and name in r["runs"]]
        for run in [run for run in runs if run.get("k")][:1]:
            R, D = (np.array(run["rows"][q], dtype=float) for q in ("rate", "distortion"))
            ends = np.array([R.min(), R.max()])
            ax.plot(ends, D[0] + run["k"] * (ends - R[0]), color="0.6", lw=1, zorder=0)


def transfer_figure(record, kind=None, panels="abcd"):
    """Panels of one kind of task, all seeds: (a) plane of rate and distortion with the lines that
    were asked for, (b) C on the training set of the task at t against the network's own epochs,
    (c) γ along t, (d) accuracy on test images of the target against own epochs; lettered as drawn.
    """
    kind, n = kind or record["runs"][0]["kind"], len(panels)
    figure, axes = plt.subplots(-(-n // 2), 2, figsize=(8.4, 3.8 * -(-n // 2)), squeeze=False)
    has = [name for name in NAMES if seeds_of(record, kind, name)]
    lead = "held" if "unbounded" not in has else "unbounded"
    titles = dict(
        a=("rate R (nats)", "distortion D (pixel²)", "on a line?"),
        b=(
            "epochs of the network itself",
            "training C / C at the start",
            "the loss on the task at t",
        ),
        c=("t (0 source, 1 target)", "γ", "the price of a nat of C"),
        d=("epochs of the network itself", "accuracy (%)", "test images of the target"),
    )
    drawn = dict(
        a=([q for q in ("geodesic", "falling") if q in has] or [lead], "rate", "distortion"),
        b=(
            [lead, "fixed", "frozen"],
            "own",
            lambda c: c["classification"] / c["classification"][0],
        ),
        c=([lead, "geodesic", "falling"], "t", "gam"),
        d=([lead, "fixed", "finetuned", "scratch"], "own", lambda c: 100 * c["target_accuracy"]),
    )
    for ax, letter, shown in zip(axes.flat, panels, "abcd"):
        names, x, y = drawn[letter]
        _drawn(ax, record, kind, [q for q in names if q in has], x, y)
        x, y, title = titles[letter]
        ax.set(xlabel=x, ylabel=y, title=f"({shown}) {title}")
        if letter == "a":
            _asked(ax, record, kind)
    return figure


FIGURES = {
    "fig2": fig2,
    "fig3": fig2,
    "fig4a": fig4a,
    "fig4b": fig4b,
    "fig5": transfer_figure,
    "fig6": transfer_figure,
}


def beside(run):
    """The figure of the result that comes with the book, then that of your own run, if any."""
    found = {"the book's run": STORED / f"{run}.json", "your own run": own() / f"{run}.json"}
    for title, path in found.items():
        if path.exists():
            FIGURES[run](read(path)).suptitle(title)
