"""The picture of the README and the front page, figure 6.1 in brief: python benchmarks/surface.py
in the book's folder writes book/_static/surface.png.
"""

import json

import matplotlib.pyplot as plt

from fe import plot

plot.style()
with open("results/fig2.json") as file:
    runs = [run for run in json.load(file)["runs"] if run["gam"] in (4, 8, 15)]
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8), width_ratios=[1.15, 1])
for run in runs:
    rows, k = run["rows"], (4, 8, 15).index(run["gam"])
    look = dict(color=plot.COLOURS[k], marker=plot.MARKERS[k], ms=3, lw=1.2, alpha=0.8)
    left.plot(rows["rate"], rows["distortion"], **look)
    right.plot(rows["lam"], rows["classification"], **look)
for lam, at, where in ((0.25, (5.3, 30.2), (9, 29)), (3.5, (21.6, 11.5), (15.5, 18))):
    arrow = dict(arrowstyle="->", color="0.3")
    says = f"λ = {lam}: {'a rough picture' if lam < 1 else 'a good one'}"
    left.annotate(says, at, where, arrowprops=arrow, fontsize=11)
left.set(
    xlabel="rate R: length of the code (nats)",
    ylabel="distortion D (pixel²)",
    ylim=(0, 33),
    xlim=(4, 23),
)
left.set_title("The picture gets better, the code pays")
right.set(xlabel="price λ of the distortion", ylabel="classification loss C (nats)", ylim=(0, 0.16))
right.set_title("The loss on the label stays where it was")
for k, (gam, C) in enumerate(((4, 0.146), (8, 0.072), (15, 0.042))):
    right.text(3.5, C, f"γ₀ = {gam}", color=plot.COLOURS[k], ha="right", va="bottom", fontsize=11)
fig.savefig("book/_static/surface.png", dpi=160)
