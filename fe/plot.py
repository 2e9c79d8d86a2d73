"""One look for all figures."""

import sys

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler

# Okabe and Ito's palette. With full colour vision and with each of the three deficiencies any two
# of these colours stay 15 apart in CIELAB. On white, LINES stand 3 : 1 and more; the two light
# colours do not, so they are for areas and for marks with an outline.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
LINES = [COLOURS[i] for i in (0, 1, 2, 3, 6)]

STYLE = {
    "figure.figsize": (6.4, 3.8),
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=LINES),
    "axes.labelsize": 11,
    "axes.titlesize": 11,
    "font.size": 10.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "image.cmap": "cividis",
    "figure.constrained_layout.use": True,
}


def style():
    """The book's style for every figure that follows; in a notebook with two pixels a pixel."""
    plt.rcParams.update(STYLE)
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        from matplotlib_inline.config import InlineBackend

        inline = InlineBackend.instance(parent=shell)
        inline.shell = shell  # at once, or matplotlib's first figure would set the format anew
        inline.figure_formats = {"retina"}


def images(x, *, columns=10, ax=None):
    """Draw square images x (n, side²), pixels in [0, 1], in a grid; the axes."""
    x = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=float)
    side, rows = round(x.shape[1] ** 0.5), -(-len(x) // columns)
    canvas = np.full((rows * (side + 1) - 1, columns * (side + 1) - 1), np.nan)
    for i, image in enumerate(x):
        top, left = i // columns * (side + 1), i % columns * (side + 1)
        canvas[top : top + side, left : left + side] = image.reshape(side, side)
    if ax is None:
        _, ax = plt.subplots(figsize=(0.62 * columns, 0.62 * rows + 0.2))
    cmap = plt.get_cmap("gray_r").with_extremes(bad="white")
    ax.imshow(canvas, cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return ax
