"""One look for all figures, and live figures that need no kernel."""

import base64
import html
import io
import json
import re

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler

# Okabe and Ito's palette, told apart under every common colour-vision deficiency; each colour has its own marker too
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]

STYLE = {
    "figure.figsize": (6.4, 3.8), "figure.dpi": 110, "savefig.dpi": 160, "figure.facecolor": "white",
    "savefig.facecolor": "white", "axes.facecolor": "white", "axes.grid": True, "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS), "axes.labelsize": 11, "axes.titlesize": 11, "font.size": 10.5,
    "legend.frameon": False, "legend.fontsize": 9.5, "lines.linewidth": 1.8, "lines.markersize": 4.5,
    "image.cmap": "cividis", "figure.constrained_layout.use": True,
}


def style():
    """Use the book's style for every figure that follows: white card (legible on dark pages), colour-blind-safe."""
    plt.rcParams.update(STYLE)


def images(x, *, columns=10, shape=None, titles=None, ax=None, vmin=0.0, vmax=1.0):
    """Draw images x (n, D) in a grid with `columns` columns; returns the axes. Squares are assumed without `shape`."""
    x = np.asarray(x, dtype=float)
    side = round(x.shape[1] ** 0.5)
    h, w = shape or (side, side)
    rows = -(-len(x) // columns)
    canvas = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for i, image in enumerate(x):
        r, c = divmod(i, columns)
        canvas[r * (h + 1) : r * (h + 1) + h, c * (w + 1) : c * (w + 1) + w] = image.reshape(h, w)
    if ax is None:
        _, ax = plt.subplots(figsize=(0.62 * columns, 0.62 * rows + 0.2))
    cmap = plt.get_cmap("gray_r").with_extremes(bad="white")
    ax.imshow(canvas, cmap=cmap, vmin=vmin, vmax=vmax, interpolation="nearest")
    ax.set_axis_off()
    if titles is not None:
        for i, title in enumerate(titles):
            r, c = divmod(i, columns)
            ax.text(c * (w + 1) + w / 2 - 0.5, r * (h + 1) - 0.8, str(title), ha="center", va="bottom", fontsize=8)
    return ax


def data_uri(figure, dpi=110):
    """The figure as a PNG data URI with a palette of 64 colours (a third of the bytes); closes it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    plt.close(figure)
    from PIL import Image

    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(64).save(small, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode()


def live(draw, values, label, alt, *, name, format="{:.3g}", start=0, dpi=110):
    """A figure with a slider and no kernel: one precomputed frame a value, in a labelled range input.

    Works in the rendered book, in Jupyter and in Colab, by mouse, touch and arrow keys; prints its first frame. The
    output is HTML, which nbval would compare byte by byte: tag the cell `nbval-ignore-output`.

    Parameters
    ----------
    draw : value -> matplotlib figure (all of one size)
    values : the frames' values (at most about 15 keeps a page small)
    label : what the slider moves, with its unit;  alt : what the picture shows ("{value}" is replaced)
    name : identifier, unique on the page, letters and hyphens

    Returns
    -------
    IPython.display.HTML
    """
    from IPython.display import HTML

    values = list(values)
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise ValueError(f"name must be letters, digits and hyphens (it becomes an HTML id), got {name!r}")
    if not values or not 0 <= start < len(values):
        raise ValueError(f"live needs at least one value and 0 ≤ start < {len(values)}, got start = {start}")
    texts = [format.format(v) for v in values]
    frames = [data_uri(draw(v), dpi) for v in values]
    shown = [html.escape(alt.replace("{value}", t), quote=True) for t in texts]
    pictures = "".join(
        f'<img src="{src}" alt="{words}" style="max-width:100%;background:white;{"" if i == start else "display:none"}">'
        for i, (src, words) in enumerate(zip(frames, shown))
    )
    options = json.dumps(texts).replace("<", "\\u003c")  # inside a script no HTML entity is read
    texts = [html.escape(t) for t in texts]
    return HTML(
        f'<div class="fe-live" id="{name}"><label for="{name}-range" style="display:block">{html.escape(label)}: '
        f'<output for="{name}-range" id="{name}-value" aria-live="polite">{texts[start]}</output></label>'
        f'<input type="range" id="{name}-range" min="0" max="{len(values) - 1}" step="1" value="{start}" '
        f'aria-valuetext="{texts[start]}" style="width:min(100%,32em)"><div>{pictures}</div>'
        f"<script>(function(){{var t={options},r=document.getElementById('{name}-range'),"
        f"o=document.getElementById('{name}-value'),f=document.querySelectorAll('#{name} img');"
        "r.addEventListener('input',function(){for(var i=0;i<f.length;i++)f[i].style.display=i==r.value?'':'none';"
        "o.textContent=t[r.value];r.setAttribute('aria-valuetext',t[r.value]);});})();</script></div>"
    )


def explore(draw, **controls):
    """Sliders for a running notebook: `draw` is called again with every new setting, so nothing is precomputed.

    Needs a kernel; on a page of the rendered book nothing is shown. Tag the cell `explore` and `nbval-ignore-output`:
    its output is not stored.

    Parameters
    ----------
    draw : keyword arguments named like the controls -> matplotlib figure
    controls : name = (lowest, highest, first value). Whole numbers give a slider of whole numbers; a range of positive
        numbers that spans a factor of ten or more gives a logarithmic one

    Returns
    -------
    ipywidgets.VBox, with the sliders above the figure

    >>> box = explore(lambda lam, n: plt.figure(), lam=(0.1, 10.0, 1.0), n=(1, 5, 2))
    >>> [type(slider).__name__ for slider in box.children[:-1]]
    ['FloatLogSlider', 'IntSlider']
    """
    import ipywidgets as widgets

    sliders = {}
    for name, (low, high, first) in controls.items():
        if not low <= first <= high:
            raise ValueError(f"{name} starts at {first}, outside its range {low} to {high}")
        options = dict(description=name, value=first, continuous_update=False, layout=widgets.Layout(width="28em"))
        if all(isinstance(v, int) for v in (low, high, first)):
            sliders[name] = widgets.IntSlider(min=low, max=high, **options)
        elif low > 0 and high / low >= 10:
            sliders[name] = widgets.FloatLogSlider(min=np.log10(low), max=np.log10(high), step=0.01, readout_format=".3g", **options)
        else:
            sliders[name] = widgets.FloatSlider(min=low, max=high, step=(high - low) / 100, readout_format=".3g", **options)
    picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", width="fit-content"))

    def redraw(change=None):
        figure = draw(**{name: slider.value for name, slider in sliders.items()})
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        plt.close(figure)
        picture.value = buffer.getvalue()

    for slider in sliders.values():
        slider.observe(redraw, "value")
    redraw()
    return widgets.VBox([*sliders.values(), picture])
