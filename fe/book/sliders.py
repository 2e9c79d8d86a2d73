"""Figures with sliders: `live` needs no kernel, `explore` calls the reader's function again."""

import base64
import html
import io
import json
import pathlib
import re
import string

import matplotlib.pyplot as plt
import numpy as np

from ..plot import STYLE


def palette(picture):
    """An RGB picture in 256 colours of its own, none of its pixels off by more than 24 of 255; a
    photograph that needs more stays as it is.

    The colours cover all that occur, the rare ones too: a palette of the most frequent would turn
    a single marker into its neighbour's colour, and coarser steps tint what is grey.
    """
    from PIL import Image, ImageChops

    few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE)
    off = ImageChops.difference(few.convert("RGB"), picture).getextrema()
    return few if max(high for _, high in off) <= 24 else picture


def _data_uri(figure, dpi):
    """The figure as a data URI with two pixels a pixel, and its width and height on the page;
    closes it.
    """
    from PIL import Image

    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=2 * dpi, pil_kwargs=dict(compress_level=0))
    plt.close(figure)
    picture = palette(Image.open(buffer).convert("RGB")).convert("RGB")
    picture.save(small, format="webp", lossless=True)  # a third less than PNG
    return (
        "data:image/webp;base64," + base64.b64encode(small.getvalue()).decode(),
        picture.width // 2,
        picture.height // 2,
    )


def live(draw, values, label, alt, *, name, format="{:.3g}", start=0, dpi=STYLE["figure.dpi"]):
    """A figure with a slider and no kernel: one precomputed frame a value, in a labelled range
    input.

    Works in the rendered book, in JupyterLab and in Colab, by mouse, touch and arrow keys, with no
    file from outside; prints its first frame. A screen reader says the value at each step, and what
    the picture shows once the slider rests.

    To make one of your own, write a function that draws one frame and returns its figure, and give
    the values:

    >>> def draw(slope):
    ...     figure, ax = plt.subplots(figsize=(4, 3))
    ...     ax.plot([0, 1], [0, slope])
    ...     ax.set(xlabel="x", ylabel="y", ylim=(0, 3))  # the same in all frames, or the axes jump
    ...     return figure
    >>> alt = "A line through the origin that rises to {value} at x = 1"
    >>> live(draw, [1, 2, 3], "slope a", alt, name="my-line")
    <IPython.core.display.HTML object>

    Make it the last expression of its cell, and tag that cell `nbval-ignore-output`: its output
    holds pictures, which nbval would compare byte by byte. What takes long (a training, a path)
    belongs before `draw`, which runs once a value.

    Args:
        draw: value -> matplotlib figure, all of one size
        values: the frames' values; at most about 15 keep a page small (a frame is 20 to 50 kB)
        label: what the slider moves, with its unit
        alt: what the picture shows, in words; "{value}" is replaced by the value as the slider
            shows it
        name: identifier, unique on the page: letters, digits and hyphens
        format: how a value is written beside the slider, "{:.2f}" for two decimals
        start: number of the first frame that shows, from 0; it is also the one in print
        dpi: pixels an inch on the page. The picture itself has twice as many

    Returns:
        IPython.display.HTML
    """
    from IPython.display import HTML

    values = list(values)
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise ValueError(
            f"name must be letters, digits and hyphens (it becomes an HTML id), got {name!r}"
        )
    if not values or not 0 <= start < len(values):
        raise ValueError(
            f"live needs at least one value and 0 ≤ start < {len(values)}, got start = {start}"
        )
    texts = [format.format(v) for v in values]
    frames = [_data_uri(draw(v), dpi) for v in values]
    sizes = {(width, height) for _, width, height in frames}
    if len(sizes) > 1:
        raise ValueError(
            f"all frames must have one size, or the page jumps; got {sorted(sizes)}: give every "
            "figure the same figsize"
        )
    shown = lambda i: "" if i == start else "display:none"
    pictures = "".join(
        f'<img src="{src}" alt="{html.escape(alt.replace("{value}", text))}" width="{width}" '
        f'height="{height}" style="max-width:100%;height:auto;background:white;{shown(i)}">'
        for i, ((src, width, height), text) in enumerate(zip(frames, texts))
    )
    page = string.Template(pathlib.Path(__file__).with_name("live.html").read_text())
    return HTML(
        page.substitute(
            name=name,
            label=html.escape(label),
            text=html.escape(texts[start]),
            last=len(values) - 1,
            start=start,
            pictures=pictures,
            wide=max(map(len, texts)),  # a longer value must not break the line
            texts=json.dumps(texts).replace("<", "\\u003c"),  # no HTML entity is read in a script
        ).rstrip("\n")
    )


def explore(draw, **controls):
    """Sliders for a running notebook: `draw` is called again with every new setting, so nothing is
    precomputed.

    Needs a kernel; on a page of the rendered book nothing is shown. Tag the cell `explore` and
    `nbval-ignore-output`: its output is not stored.

    Args:
        draw: keyword arguments named like the controls -> matplotlib figure
        controls: name = (lowest, highest, first value). Whole numbers give a slider of whole
            numbers; a range of positive numbers that spans a factor of ten or more gives a
            logarithmic one

    Returns:
        ipywidgets.VBox: the sliders, the figure, and a place for what `draw` prints or raises

    Example:
        >>> box = explore(lambda lam, n: plt.figure(), lam=(0.1, 10.0, 1.0), n=(1, 5, 2))
        >>> [type(slider).__name__ for slider in box.children[:2]]
        ['FloatLogSlider', 'IntSlider']
    """
    import ipywidgets as widgets

    sliders = {}
    for name, (low, high, first) in controls.items():
        if not low <= first <= high:
            raise ValueError(f"{name} starts at {first}, outside its range {low} to {high}")
        how = dict(description=name, value=first, continuous_update=False)
        how["layout"] = widgets.Layout(width="28em")
        if all(isinstance(v, int) for v in (low, high, first)):
            sliders[name] = widgets.IntSlider(min=low, max=high, **how)
            continue
        how["readout_format"] = ".3g"
        if low > 0 and high / low >= 10:
            ends = dict(min=np.log10(low), max=np.log10(high), step=0.01)
            sliders[name] = widgets.FloatLogSlider(**ends, **how)
        else:
            step = (high - low) / 100
            sliders[name] = widgets.FloatSlider(min=low, max=high, step=step, **how)
    picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
    report = widgets.Output()

    def redraw(change=None):
        figure = draw(**{name: slider.value for name, slider in sliders.items()})
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=2 * STYLE["figure.dpi"])  # two pixels a pixel
        picture.layout.width = f"{figure.get_figwidth() * STYLE['figure.dpi']:.0f}px"
        plt.close(figure)
        picture.value = buffer.getvalue()

    shown = report.capture(clear_output=True)(redraw)  # an error shows below, not in a hidden log
    for slider in sliders.values():
        slider.observe(shown, "value")
    redraw()
    return widgets.VBox([*sliders.values(), picture, report])
