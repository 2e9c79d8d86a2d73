"""The picture of the README and the front page, from results/digits_path.json."""

import json
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from fe import plot

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    run = json.loads((ROOT / "results" / "digits_path.json").read_text())
    plot.style()
    points, jumps = run["points"], run["jumps"]
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.3))
    panels = [
        ("R", "D", "rate R′, with the ridge (nats)", "distortion D (pixel²)"),
        ("lam", "gam", "λ", "γ"),
        ("lam", "curvature", "λ", "smallest eigenvalue of A"),
    ]
    for ax, (a, b, xlabel, ylabel) in zip(axes, panels):
        # a path is drawn piece by piece: a line across a jump would be a lie
        cuts = (
            [0]
            + [i for i, q in enumerate(points) if any(q["s"] == j["after"]["s"] for j in jumps)]
            + [len(points)]
        )
        for i, j in zip(cuts, cuts[1:]):
            ax.plot([q[a] for q in points[i:j]], [q[b] for q in points[i:j]], color=plot.COLOURS[0])
        for k, jump in enumerate(jumps):
            ax.plot(
                jump["before"][a],
                jump["before"][b],
                "x",
                color=plot.COLOURS[1],
                ms=8,
                mew=2,
                label="A loses rank" if not k else None,
            )
            ax.plot(
                jump["after"][a],
                jump["after"][b],
                "o",
                color=plot.COLOURS[2],
                mfc="white",
                label="new branch" if not k else None,
            )
        ax.set(xlabel=xlabel, ylabel=ylabel)
    axes[0].legend()
    fig.savefig(ROOT / "book" / "_static" / "surface.png", dpi=160)


if __name__ == "__main__":
    main()
