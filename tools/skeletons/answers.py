"""Answers to chapterN's exercises, right and wrong, and their statements' numbers."""

WRONG, RIGHT, STATED, GIVEN = {}, {}, {}, {}


WRONG["LABEL"] = [
    (
        "hard-wired to the statement",
        "not twice",
        """
def FUNCTION(x):
    return 3.0
""",
    ),
    (
        "the sign lost",
        "sign is lost",
        """
def FUNCTION(x):
    return abs(2 * x)
""",
    ),
    (
        "squared",
        "not twice",
        """
def FUNCTION(x):
    return x * x
""",
    ),
    (
        "right where numbers are small",
        "not twice",
        """
def FUNCTION(x):
    return 2 * x if abs(x) < 1e100 else x
""",
    ),
]
RIGHT["LABEL"] = [
    (
        "a sum",
        """
def FUNCTION(x):
    return x + x
""",
    ),
    (
        "numpy's own",
        """
import numpy as np


def FUNCTION(x):
    return np.add(x, x)
""",
    ),
]
STATED["LABEL"] = [("3.0", "FUNCTION(1.5)")]
GIVEN["LABEL"] = "1.5"
