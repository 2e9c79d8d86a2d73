"""The rough comparison of figures that conftest.py adds to nbval: it sees a lost curve, and neither
a font nor a line that moved a little.
"""

import base64
import importlib.util
import io
import pathlib

import matplotlib
import nbformat
import numpy as np
import pytest

from fe import plot

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)


def picture(curves=3, moved=0.0, points=False, **style):
    plot.style()
    with plt.rc_context(style):
        fig, ax = plt.subplots(figsize=(4.2, 3.3))
        x = np.linspace(0, 1, 60)
        for k in range(curves):
            ax.plot(x, x ** (k + 1) + moved, "o" if points else "-", color=plot.COLOURS[k])
        ax.set(xlabel="λ (nats per pixel²)", ylabel="D (pixel²)", xlim=(0, 1), ylim=(0, 1.2))
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png", bbox_inches="tight")
        plt.close(fig)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    "changed", [{}, {"moved": 0.02}, {"font.size": 9.5}, {"font.family": "serif"}]
)
def test_the_same_figure_passes(changed):
    assert conftest.unlike(picture(), picture(**changed)) is None


@pytest.mark.parametrize("changed", [{"curves": 0}, {"curves": 2}, {"points": True}])
def test_a_figure_that_lost_something_does_not(changed):
    assert "of colour a pixel" in conftest.unlike(picture(), picture(**changed))


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
    assert cell.compare(picture(), picture())
    assert (
        not cell.compare(picture(), picture(curves=0))
        and "of colour a pixel" in cell.comparison_traceback[0]
    )
