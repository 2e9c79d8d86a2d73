"""The picture of the README and the front page, explained in chapter 5: python
benchmarks/surface.py in the book's folder writes book/_static/surface.png.
"""

import json

import matplotlib.pyplot as plt

from fe import plot

plot.style()
with open("results/digits_path.json") as file:
    run = json.load(file)
points, jumps = run["points"], run["jumps"]
after = {j["after"]["s"] for j in jumps}
cuts = [0] + [i for i, q in enumerate(points) if q["s"] in after] + [len(points)]
panels = [
    ("R", "D", "rate R′, with the ridge (nats)", "distortion D (pixel²)"),
    ("lam", "gam", "λ", "γ"),
    ("lam", "curvature", "λ", "smallest eigenvalue of A"),
]
marks = ("before", "x", 1, "A loses rank"), ("after", "o", 2, "new branch")
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.3))
for ax, (a, b, xlabel, ylabel) in zip(axes, panels):
    for i, k in zip(cuts, cuts[1:]):  # piece by piece: a line across a jump would be a lie
        ax.plot(*([q[name] for q in points[i:k]] for name in (a, b)), color=plot.COLOURS[0])
    for when, marker, k, says in marks:
        x, y = ([j[when][name] for j in jumps] for name in (a, b))
        ax.plot(x, y, marker, color=plot.COLOURS[k], mfc="white", ms=8, mew=3 - k, label=says)
    ax.set(xlabel=xlabel, ylabel=ylabel)
axes[0].legend()
fig.savefig("book/_static/surface.png", dpi=160)
