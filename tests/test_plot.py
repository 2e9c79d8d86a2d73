"""Figures: what a live figure promises without a kernel, image grids, and the first line of a
notebook.
"""

import base64
import io
import itertools
import json
import re
from html.parser import HTMLParser

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from fe import plot
from fe.book import notebook, sliders


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text outside scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.inside = [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside != "script":
            self.words += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def line(value):
    figure, ax = plt.subplots()
    ax.plot([0, 1], [0, value])
    return figure


def live(**changes):
    arguments = (
        dict(
            draw=line, values=[1, 2, 3], label="slope", alt="A line of slope {value}", name="a-line"
        )
        | changes
    )
    return Elements(sliders.live(**arguments).data)


def test_live_is_a_named_slider_over_its_frames():
    page = live(start=1)
    (slider,), frames = page.all("input"), page.all("img")
    assert slider["type"] == "range" and (slider["min"], slider["max"], slider["value"]) == (
        "0",
        "2",
        "1",
    )
    assert page.all("label")[0]["for"] == slider["id"], "the label must name the slider"
    assert slider["aria-valuetext"] == "2"
    assert page.all("output")[0]["aria-live"] == "off", (
        "the slider says its value itself: not twice"
    )
    assert page.all("span")[0]["aria-live"] == "polite", (
        "what the picture shows is said once the slider rests"
    )
    assert "height:44px" in slider["style"], "a finger needs 44 pixels"
    assert [f["alt"] for f in frames] == [
        "A line of slope 1",
        "A line of slope 2",
        "A line of slope 3",
    ]
    assert ["display:none" in f["style"] for f in frames] == [True, False, True], (
        "only the starting frame shows"
    )


def test_live_frames_are_different_pictures_of_one_size():
    frames = live().all("img")
    pictures = [Image.open(io.BytesIO(base64.b64decode(f["src"].split(",")[1]))) for f in frames]
    (size,) = {p.size for p in pictures}
    assert {(2 * int(f["width"]), 2 * int(f["height"])) for f in frames} == {size}, (
        "two pixels a pixel, and room kept on the page"
    )
    assert all("height:auto" in f["style"] and "max-width:100%" in f["style"] for f in frames), (
        "it shrinks on a phone"
    )
    assert len({p.convert("RGB").tobytes() for p in pictures}) == 3


def test_live_needs_nothing_from_outside_and_closes_its_figures():
    plt.close("all")
    text = sliders.live(line, [1, 2], "slope", "A line of slope {value}", name="a-line").data
    assert not re.search(r"https?:|require|src=\"(?!data:)", text)
    assert plt.get_fignums() == []


def test_live_is_the_same_text_each_time():
    assert live().tags == live().tags


def test_live_quotes_what_it_is_given():
    page = live(label="<b>γ & λ</b>", alt='slope "{value}" < 4')
    assert "<b>γ & λ</b>" in page.words and not page.all("b")
    assert page.all("img")[0]["alt"] == 'slope "1" < 4'


def test_live_shows_its_texts_as_written():
    """The slider writes them from its script, where no HTML entity is read, and a `</script>` would
    end it.
    """
    text = sliders.live(
        line, [1, 2], "slope", "A line of slope {value}", name="a-line", format='</script>"{}" < ½'
    ).data
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert json.loads(re.search(r"var texts = (\[.*?\]),", script)[1]) == [
        '</script>"1" < ½',
        '</script>"2" < ½',
    ]
    assert '</script>"1" < ½' in Elements(text).words


@pytest.mark.parametrize("name", ["", "two words", "1st", "a.b"])
def test_live_refuses_names_that_are_no_id(name):
    with pytest.raises(ValueError, match="name must be"):
        live(name=name)


@pytest.mark.parametrize("wrong", [dict(values=[]), dict(start=3), dict(start=-1)])
def test_live_refuses_no_frames_and_a_start_outside_them(wrong):
    with pytest.raises(ValueError, match="start"):
        live(**wrong)


def test_live_keeps_the_colour_of_a_single_marker():
    """A palette of frequent colours would turn the one orange dot into a brown one."""

    def draw(value):
        figure, ax = plt.subplots()
        ax.imshow(np.random.default_rng(0).random((64, 64)), cmap="viridis")
        ax.plot(32, 32, "o", color=plot.COLOURS[1], ms=4)
        return figure

    (frame,) = live(draw=draw, values=[1]).all("img")
    pixels = (
        np.asarray(
            Image.open(io.BytesIO(base64.b64decode(frame["src"].split(",")[1]))).convert("RGB")
        )
        .reshape(-1, 3)
        .astype(int)
    )
    orange = np.array(matplotlib.colors.to_rgb(plot.COLOURS[1])) * 255
    assert (np.abs(pixels - orange).max(axis=1) <= 8).sum() > 50


def test_stored_figures_keep_their_colours_and_their_size():
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
    from execute import smaller

    figure, ax = plt.subplots()
    ax.scatter(
        *np.random.default_rng(0).random((2, 300)), c=[plot.COLOURS[i % 7] for i in range(300)]
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=220)
    plt.close(figure)
    before, after = (
        Image.open(buffer),
        Image.open(io.BytesIO(base64.b64decode(smaller(base64.b64encode(buffer.getvalue()))))),
    )
    assert after.size == before.size and after.info["dpi"] == before.info["dpi"], (
        "or the page would show it at another size"
    )
    off = np.asarray(after.convert("RGB")).astype(int) - np.asarray(before.convert("RGB"))
    assert np.abs(off).max() <= 24
    assert np.abs(off).mean() < 1, "the figure has another tint"
    assert (
        len(base64.b64decode(smaller(base64.b64encode(buffer.getvalue()))))
        < len(buffer.getvalue()) / 2
    )


def test_live_refuses_frames_of_two_sizes():
    """The page would jump with every step of the slider."""
    with pytest.raises(ValueError, match="one size"):
        live(draw=lambda v: plt.figure(figsize=(3 + v, 3)))


def test_explore_redraws_with_each_setting():
    seen = []

    def draw(lam, n):
        seen.append((round(lam, 6), n))
        return line(lam * n)

    box = sliders.explore(draw, lam=(0.1, 10.0, 1.0), n=(1, 5, 2))
    lam, n, picture, report = box.children
    first = picture.value
    n.value = 5
    lam.value = 10.0
    assert seen == [(1.0, 2), (1.0, 5), (10.0, 5)] and picture.value != first
    assert Image.open(io.BytesIO(picture.value)).width == 2 * int(
        picture.layout.width.removesuffix("px")
    ), "crisp, at its size"
    assert plt.get_fignums() == []


def test_explore_refuses_a_start_outside_its_range():
    with pytest.raises(ValueError, match="lam starts at 20"):
        sliders.explore(line, lam=(0.1, 10.0, 20.0))


def test_notebooks_get_two_pixels_a_pixel():
    """Before matplotlib's first figure and after it, whichever comes first; outside of a notebook
    nothing is touched.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from matplotlib_inline.config import InlineBackend

    plot.style()
    shell = InteractiveShell.instance()
    try:
        plot.style()
        assert InlineBackend.instance().figure_formats == {"retina"}
        picture, size = shell.display_formatter.formatters["image/png"](line(1))
        assert Image.open(io.BytesIO(base64.b64decode(picture))).width // 2 == size["width"]
    finally:
        plt.close("all")
        InlineBackend.clear_instance()
        InteractiveShell.clear_instance()


def test_images_stand_in_reading_order():
    x = np.arange(3)[:, None] * np.ones((3, 4)) / 2  # three flat 2×2 images of grey 0, ½, 1
    ax = plot.images(x, columns=2)
    canvas = np.asarray(ax.images[0].get_array().filled(np.nan))
    assert canvas.shape == (5, 5)
    assert (
        (canvas[:2, :2] == 0).all()
        and (canvas[:2, 3:] == 0.5).all()
        and (canvas[3:, :2] == 1).all()
    )
    assert np.isnan(canvas[2]).all() and np.isnan(canvas[3:, 3:]).all(), (
        "gaps and the missing fourth image stay empty"
    )
    plt.close("all")


class OnAGpu(torch.Tensor):
    """What NumPy sees of a tensor on a GPU: it cannot read it before `.cpu()`."""

    def __array__(self, *arguments, **options):
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the "
            "tensor to host memory first."
        )

    def cpu(self):
        return self.as_subclass(torch.Tensor)


@pytest.mark.parametrize(
    "x", [torch.rand(2, 9).requires_grad_(), torch.rand(2, 9).as_subclass(OnAGpu), [[0.5] * 9] * 2]
)
def test_images_are_drawn_wherever_they_come_from(x):
    plot.images(x)
    plt.close("all")


def linear(colour):
    return np.array(
        [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in matplotlib.colors.to_rgb(colour)
        ]
    )


def luminance(colour):
    return np.dot([0.2126, 0.7152, 0.0722], linear(colour))


def test_figures_are_opaque_cards_with_legible_text():
    """On a dark page a transparent figure loses its black labels: the card is opaque, its text at
    WCAG's 7 : 1.
    """
    plot.style()
    for key in ("figure.facecolor", "savefig.facecolor", "axes.facecolor"):
        assert matplotlib.colors.to_rgba(plt.rcParams[key])[3] == 1
    card = luminance(plt.rcParams["figure.facecolor"])
    for key in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"):
        assert (card + 0.05) / (luminance(plt.rcParams[key]) + 0.05) >= 7, key
    assert len(set(plot.COLOURS)) == len(set(plot.MARKERS)) == len(plot.COLOURS)


# Linear RGB as it is seen with a deficiency of full strength: G. M. Machado, M. M. Oliveira and L.
# A. F. Fernandes, A
# Physiologically-based Model for Simulation of Color Vision Deficiency, IEEE TVCG 15 (2009),
# doi:10.1109/TVCG.2009.113
SEEN = {
    "full colour vision": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(rgb):
    """CIELAB of linear sRGB under daylight D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = (to_xyz @ np.clip(rgb, 0, 1)) / to_xyz.sum(1)
    f = lambda t: np.cbrt(t) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29
    return np.array([116 * f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))])


def nearest(colours, matrix):
    """The smallest distance between two of the colours, and which they are."""
    seen = [lab(np.asarray(matrix) @ linear(c)) for c in colours]
    return min(
        (float(np.linalg.norm(a - b)), p, q)
        for (a, p), (b, q) in itertools.combinations(zip(seen, colours), 2)
    )


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_stay_apart_for_all_eyes(eyes):
    """15 in CIELAB is about six just noticeable differences of large patches (2.3, Mahy and others
    1994): the difference that can be
    seen shrinks with a mark's size, and the thin lines of a figure need several times that of a
    patch."""
    distance, p, q = nearest(plot.COLOURS, SEEN[eyes])
    assert distance >= 15, f"{p} and {q} are only {distance:.1f} apart with {eyes}"


def test_the_check_of_colours_can_fail():
    """Red and green of one lightness, the pair that deuteranopia cannot tell apart."""
    assert (
        nearest(["#C04000", "#707000"], SEEN["full colour vision"])[0]
        > 30
        > 15
        > nearest(["#C04000", "#707000"], SEEN["deuteranopia"])[0]
    )


def test_lines_stand_out_from_the_card():
    """WCAG 2.2, 1.4.11: what is needed to read a graphic has 3 : 1 against what lies beside it."""
    contrast = {c: 1.05 / (luminance(c) + 0.05) for c in plot.COLOURS}
    assert all(contrast[c] >= 3 for c in plot.LINES)
    assert {c for c in plot.COLOURS if contrast[c] < 3} == set(plot.COLOURS) - set(plot.LINES), (
        "the comment says which are light"
    )
    plot.style()
    # colours alone: a line style in the cycle would also change lines that name their colour
    assert list(plt.rcParams["axes.prop_cycle"]) == [{"color": c} for c in plot.LINES]


def test_start_prints_one_line_and_seeds(capsys, monkeypatch):
    monkeypatch.delenv("FE_SCALE", raising=False)
    device, scale = notebook.start(seed=3)
    first = torch.rand(2)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and all(
        word in printed for word in (device.type, "small", torch.__version__)
    )
    assert scale == "small" and first.dtype == torch.float64
    monkeypatch.setenv("FE_SCALE", "paper")
    assert notebook.start(seed=3)[1] == "paper"
    torch.testing.assert_close(torch.rand(2), first, rtol=0, atol=0)


def test_start_refuses_an_unknown_scale(monkeypatch):
    monkeypatch.setenv("FE_SCALE", "huge")
    with pytest.raises(ValueError, match="FE_SCALE.*'huge'"):
        notebook.start()


def test_images_that_are_no_squares_are_refused():
    with pytest.raises(ValueError, match="size 12 into shape .3,3."):
        plot.images(np.zeros((2, 12)))
    plt.close("all")
