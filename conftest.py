"""For all tests: their order side by side, and figures that nbval does not look at."""

import base64
import io
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image

ROWS = 12  # of blocks in a picture
FAINT = 0.03  # a share of ink in a block that goes for nothing
# fonts and moves by a line's width change a block by 0.3, a curve gained or lost by 0.6
MUCH = 0.45
# darkness of a pixel that goes for nothing: in what is stored, panes of 3-D axes are white
PANE = 0.1


def blocks(png, columns=None):
    """What a picture holds block by block, (rows, columns, 4): red, green, blue, each less their
    mean, and darkness, from 0 to 1. A block fades into its neighbours, so that a line that crosses
    its border changes it little.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    shape = columns or max(1, round(ROWS * picture.width / picture.height)), ROWS
    pixels = np.asarray(picture, np.float32) / 255
    mean = pixels.mean(-1, keepdims=True)
    channels = np.moveaxis(np.concatenate([pixels - mean, 1 - mean], -1), -1, 0)
    coarse = [np.asarray(Image.fromarray(c).resize(shape, Image.BILINEAR)) for c in channels]
    return np.stack(coarse, -1)


def unlike(stored, new):
    """Where the new picture is not the stored one, in words, or None."""
    before = blocks(stored)
    now = blocks(new, before.shape[1])
    change = np.abs(now - before).max(-1) / (FAINT + np.abs(before).max(-1))
    if change.max() > MUCH:
        row, column = np.unravel_index(change.argmax(), change.shape)
        place = f"row {row + 1} of {ROWS} from the top, column {column + 1} of {change.shape[1]}"
        return f"the figure is not the stored one: ink changed by {change.max():.0%} in {place}"


def pictures(outputs):
    return [
        output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]


def pytest_configure(config):
    """nbval compares what cells print; its cells compare their figures too, roughly, and leave out
    what tools/execute.py does not store.
    """
    from nbval.plugin import IPyNbCell

    sys.path.insert(0, str(pathlib.Path(__file__).parent / "tools"))
    compare = IPyNbCell.compare_outputs

    def with_figures(self, test, ref, skip_compare=None):
        from execute import WIDGET, smaller  # what is stored has fewer shades

        test = [output for output in test if WIDGET not in output.get("data", {})]
        if not compare(self, test, ref, skip_compare):
            return False
        new, stored = [smaller(png) for png in pictures(test)], pictures(ref)
        found = (
            [f"{len(new)} figures, {len(stored)} stored"]
            if len(new) != len(stored)
            else filter(None, map(unlike, stored, new))
        )
        self.comparison_traceback += found
        return not self.comparison_traceback

    IPyNbCell.compare_outputs = with_figures


def pytest_collection_modifyitems(items):
    """What takes longest starts first, so that workers end together: notebooks, what is marked as
    long, the rest.
    """
    items.sort(
        key=lambda i: 0 if i.path.suffix == ".ipynb" else 2 - bool(i.get_closest_marker("long"))
    )


SPREAD = "tests/browser/test_pages.py"  # each of its tests is long and shares nothing


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Side by side, a notebook's cells stay in one worker, and a file's tests, for they share what
    they set up; those of SPREAD go where there is room.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return nodeid if nodeid.startswith(SPREAD) else super()._split_scope(nodeid)

    return ByFile(config, log)
