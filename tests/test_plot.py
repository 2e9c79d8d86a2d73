"""Figures: what a live figure promises without a kernel, image grids, and the first line of a notebook."""

import base64
import io
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

from fe import notebook, plot


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
    arguments = dict(draw=line, values=[1, 2, 3], label="slope", alt="A line of slope {value}", name="a-line") | changes
    return Elements(plot.live(**arguments).data)


def test_live_is_a_named_slider_over_its_frames():
    page = live(start=1)
    (slider,), frames = page.all("input"), page.all("img")
    assert slider["type"] == "range" and (slider["min"], slider["max"], slider["value"]) == ("0", "2", "1")
    assert page.all("label")[0]["for"] == slider["id"], "the label must name the slider"
    assert slider["aria-valuetext"] == "2" and page.all("output")[0]["aria-live"] == "polite"
    assert [f["alt"] for f in frames] == ["A line of slope 1", "A line of slope 2", "A line of slope 3"]
    assert ["display:none" in f["style"] for f in frames] == [True, False, True], "only the starting frame shows"


def test_live_frames_are_different_pictures_of_one_size():
    pictures = [Image.open(io.BytesIO(base64.b64decode(f["src"].split(",")[1]))) for f in live().all("img")]
    assert len({p.size for p in pictures}) == 1
    assert len({p.convert("RGB").tobytes() for p in pictures}) == 3


def test_live_needs_nothing_from_outside_and_closes_its_figures():
    plt.close("all")
    text = plot.live(line, [1, 2], "slope", "A line of slope {value}", name="a-line").data
    assert not re.search(r"https?:|require|src=\"(?!data:)", text)
    assert plt.get_fignums() == []


def test_live_is_the_same_text_each_time():
    assert live().tags == live().tags


def test_live_quotes_what_it_is_given():
    page = live(label="<b>γ & λ</b>", alt='slope "{value}" < 4')
    assert "<b>γ & λ</b>" in page.words and not page.all("b")
    assert page.all("img")[0]["alt"] == 'slope "1" < 4'


def test_live_shows_its_texts_as_written():
    """The slider writes them from its script, where no HTML entity is read, and a `</script>` would end it."""
    text = plot.live(line, [1, 2], "slope", "A line of slope {value}", name="a-line", format='</script>"{}" < ½').data
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert json.loads(re.search(r"var t=(\[.*?\]),", script)[1]) == ['</script>"1" < ½', '</script>"2" < ½']
    assert '</script>"1" < ½' in Elements(text).words


@pytest.mark.parametrize("name", ["", "two words", "1st", "a.b"])
def test_live_refuses_names_that_are_no_id(name):
    with pytest.raises(ValueError, match="name must be"):
        live(name=name)


@pytest.mark.parametrize("wrong", [dict(values=[]), dict(start=3), dict(start=-1)])
def test_live_refuses_no_frames_and_a_start_outside_them(wrong):
    with pytest.raises(ValueError, match="start"):
        live(**wrong)


def test_images_stand_in_reading_order():
    x = np.arange(3)[:, None] * np.ones((3, 4)) / 2  # three flat 2×2 images of grey 0, ½, 1
    ax = plot.images(x, columns=2)
    canvas = np.asarray(ax.images[0].get_array().filled(np.nan))
    assert canvas.shape == (5, 5)
    assert (canvas[:2, :2] == 0).all() and (canvas[:2, 3:] == 0.5).all() and (canvas[3:, :2] == 1).all()
    assert np.isnan(canvas[2]).all() and np.isnan(canvas[3:, 3:]).all(), "gaps and the missing fourth image stay empty"
    plt.close("all")


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


def test_figures_are_opaque_cards_with_legible_text():
    """On a dark page a transparent figure loses its black labels: the card is opaque, its text at WCAG's 7 : 1."""
    plot.style()
    for key in ("figure.facecolor", "savefig.facecolor", "axes.facecolor"):
        assert matplotlib.colors.to_rgba(plt.rcParams[key])[3] == 1
    card = luminance(plt.rcParams["figure.facecolor"])
    for key in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"):
        assert (card + 0.05) / (luminance(plt.rcParams[key]) + 0.05) >= 7, key
    assert len(set(plot.COLOURS)) == len(set(plot.MARKERS)) == len(plot.COLOURS)


def test_start_prints_one_line_and_seeds(capsys, monkeypatch):
    monkeypatch.delenv("FE_SCALE", raising=False)
    device, scale = notebook.start(seed=3)
    first = torch.rand(2)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and all(word in printed for word in (device.type, "small", torch.__version__))
    assert scale == "small" and first.dtype == torch.float64
    monkeypatch.setenv("FE_SCALE", "paper")
    assert notebook.start(seed=3)[1] == "paper"
    torch.testing.assert_close(torch.rand(2), first, rtol=0, atol=0)


def test_start_refuses_an_unknown_scale(monkeypatch):
    monkeypatch.setenv("FE_SCALE", "huge")
    with pytest.raises(ValueError, match="FE_SCALE.*'huge'"):
        notebook.start()
