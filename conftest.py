"""For all tests: their order side by side, and figures that nbval does not look at."""

import base64
import io

import numpy as np
from PIL import Image

# lines move a little from machine to machine, and fonts differ; an empty plot or a lost curve among
# three is more
ROUGHLY = 0.2


def ink(png):
    """How much of a picture is coloured, and how much is dark: lines and points, and axes and
    words. Per pixel, from 0 to 1.
    """
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), float) / 255
    faint = 0.15  # what is stored has fewer shades: panes of three-dimensional axes are white in it
    return np.array(
        [
            np.maximum(np.ptp(picture, axis=-1) - faint, 0).mean(),
            np.maximum(1 - faint - picture.mean(-1), 0).mean(),
        ]
    )


def unlike(stored, new):
    """What is wrong with the new picture, in words, or None."""
    before, now = ink(stored), ink(new)
    for what, a, b in zip(("colour", "ink"), before, now, strict=True):
        if abs(a - b) > ROUGHLY * max(a, 0.002):
            return f"the figure has {b:.4f} of {what} a pixel, the stored one {a:.4f}"


def pictures(outputs):
    return [
        output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]


def pytest_configure(config):
    """nbval compares what cells print; its cells compare their figures too, roughly."""
    from nbval.plugin import IPyNbCell

    compare = IPyNbCell.compare_outputs

    def with_figures(self, test, ref, skip_compare=None):
        if not compare(self, test, ref, skip_compare):
            return False
        new, stored = pictures(test), pictures(ref)
        found = (
            [f"{len(new)} figures, {len(stored)} stored"]
            if len(new) != len(stored)
            else filter(None, map(unlike, stored, new))
        )
        self.comparison_traceback += found
        return not self.comparison_traceback

    IPyNbCell.compare_outputs = with_figures


LONG = {
    f"test_{name}.py"
    for name in (
        "reproduce",
        "retraining",
        "interrupt",
        "process",
        "transport",
        "transfer",
        "exercises",
        "publish",
        "new",
    )
}


def pytest_collection_modifyitems(items):
    """What takes longest starts first, so that workers end together: notebooks, files and tests of
    minutes, the rest.
    """

    def rank(item):
        return (
            0
            if item.path.suffix == ".ipynb"
            else 1
            if item.path.name in LONG or item.get_closest_marker("long")
            else 2
        )

    items.sort(key=rank)
