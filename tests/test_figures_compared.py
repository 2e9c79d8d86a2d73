"""The rough comparison of figures that conftest.py adds to nbval: it sees a curve that is gone or
elsewhere, and neither a font nor a move by a line's width.
"""

import base64
import functools
import importlib.util
import io
import pathlib
import sys

import matplotlib
import nbformat
import numpy as np
import pytest

from fe import plot

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from execute import smaller  # noqa: E402

spec = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)


def picture(powers=(1, 2, 3), colours=plot.COLOURS, moved=0.0, points=False, **style):
    """Curves x^k, each in its colour; the second one `moved`."""
    plot.style()
    with plt.rc_context(style):
        fig, ax = plt.subplots(figsize=(4.2, 3.3))
        x = np.linspace(0, 1, 60)
        for k in powers:
            y = x**k + moved * (k == 2)
            ax.plot(x, y, "o" if points else "-", color=colours[k - 1])
        ax.set(xlabel="λ (nats per pixel²)", ylabel="D (pixel²)", xlim=(0, 1), ylim=(0, 1.2))
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png", bbox_inches="tight")
        plt.close(fig)
    return base64.b64encode(buffer.getvalue()).decode()


@functools.cache
def stored(colours=tuple(plot.COLOURS)):
    """The three curves as they are, drawn once."""
    return picture(colours=colours)


BLACK = ["black"] * 3
A_LINES_WIDTH = 1.8 / 72 / (3.3 * 0.77) * 1.2  # of 1.8 points, in units of the vertical axis


@pytest.mark.parametrize("colours", [plot.COLOURS, BLACK], ids=["coloured", "black"])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"moved": A_LINES_WIDTH},
        {"moved": -A_LINES_WIDTH},
        {"font.size": 9.5},
        {"font.size": 12},
        {"font.family": "serif"},
        {"lines.linewidth": 1.6},
    ],
    ids=str,
)
def test_the_same_figure_passes(changed, colours):
    assert conftest.unlike(stored(tuple(colours)), picture(colours=colours, **changed)) is None


@pytest.mark.parametrize("colours", [plot.COLOURS, BLACK], ids=["coloured", "black"])
@pytest.mark.parametrize(
    "changed",
    [
        {"powers": ()},
        *({"powers": two} for two in [(1, 2), (1, 3), (2, 3)]),
        {"powers": (1, 2, 3), "moved": 0.15},
        {"moved": -0.15},
        {"points": True},
    ],
    ids=str,
)
def test_another_figure_does_not(changed, colours):
    found = conftest.unlike(stored(tuple(colours)), picture(colours=colours, **changed))
    assert "not the stored one" in found


def test_exchanged_colours_are_seen():
    orange_first = [plot.COLOURS[k] for k in (1, 0, 2)]
    assert conftest.unlike(stored(), picture(colours=orange_first))


def test_what_is_stored_with_fewer_shades_passes():
    assert conftest.unlike(smaller(stored()), picture()) is None


def test_it_is_what_nbval_uses():
    """A cell whose figure comes out empty fails, one whose figure is the stored one passes."""
    from nbval.plugin import IPyNbCell

    class Cell:
        sanitize = staticmethod(lambda text: text)
        colors = type("NoColours", (), {"FAIL": "", "ENDC": "", "OKBLUE": ""})

        def compare(self, stored, new):
            self.comparison_traceback = []
            outputs = [
                [nbformat.v4.new_output("display_data", {"image/png": png})]
                for png in (new, stored)
            ]
            return IPyNbCell.compare_outputs(self, *outputs, skip_compare=("image/png", "metadata"))

    cell = Cell()
    assert cell.compare(stored(), picture())
    assert (
        not cell.compare(stored(), picture(powers=()))
        and "not the stored one" in cell.comparison_traceback[0]
    )
