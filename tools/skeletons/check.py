"""Checks of chapterN's exercises. Each takes the reader's function, raises
`AssertionError` with a hint, or says what is right.
"""

import torch

from .answers import near, number, on_cpu


@on_cpu
def check_FUNCTION(FUNCTION):
    """REWRITE: random problems with a seed, beside the statement's; extremes."""
    generator = torch.Generator().manual_seed(0)
    more = torch.randn(5, generator=generator, dtype=torch.float64).tolist()
    for x in (1.5, 0.0, -1e200, *more):
        got = number(FUNCTION(x), "FUNCTION")
        if not near(got, 2 * x, 1e-9 * abs(x)):
            lost = near(got, abs(2 * x), 1e-9 * abs(x))
            hint = "the sign is lost" if lost else "it is not twice the number"
            raise AssertionError(
                f"at x = {x:.4g} you have {got:.6g}, it is {2 * x:.6g}: {hint}"
            )
    return "right: twice each number"
