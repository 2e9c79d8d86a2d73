"""What the checks read as an answer: every container and precision of the right numbers, and no
words, for numbers.
"""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from fe.book.checks.answers import array, near, number, several

WANT = torch.tensor([[1.0, 2.0], [3.0, 4.5]], dtype=torch.float64)
PLAIN = WANT.tolist()
FLIPPED = np.array(PLAIN)[::-1, ::-1].copy()[::-1, ::-1]  # the right numbers under negative strides
READ_ONLY = np.array(PLAIN)
READ_ONLY.setflags(write=False)
objects = np.empty((2, 2), dtype=object)
objects[:] = [[torch.tensor(1.0), np.float32(2)], [Fraction(3), np.longdouble(4.5)]]
rows = np.empty(2, dtype=object)
rows[:] = [np.array(PLAIN[0]), tuple(PLAIN[1])]

CONTAINERS = {
    "list": PLAIN,
    "tuple of tensors": tuple(WANT),
    "tensor that requires a gradient": WANT.clone().requires_grad_(),
    "tensor in half precision": WANT.to(torch.bfloat16),
    "tensor of complex numbers": WANT.to(torch.complex128),
    "integers and a fraction": [[1, np.int8(2)], [True + 2, Decimal("4.5")]],
    "negative strides": FLIPPED,
    "list of views with negative strides": [FLIPPED[0], FLIPPED[1]],
    "column order": np.asfortranarray(PLAIN),
    "longdouble": np.array(PLAIN, dtype=np.longdouble),
    "longdouble, turned": np.array(PLAIN, dtype=np.longdouble).T[::-1][::-1].T,
    "list of longdoubles": [list(row) for row in np.array(PLAIN, dtype=np.longdouble)],
    "objects": objects,
    "objects that are rows": rows,
    "read-only": READ_ONLY,
    "float16": np.array(PLAIN, dtype=np.float16),
    "other byte order": np.array(PLAIN).astype(">f8"),
    "complex": np.array(PLAIN, dtype=complex),
    "matrix": np.asmatrix(PLAIN),
    "transposed twice": torch.from_numpy(np.array(PLAIN)).T.contiguous().T,
}


@pytest.mark.parametrize("value", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_of_the_right_numbers_is_read(value):
    with np.errstate(all="raise"):
        found = array(value, "f", (2, 2))
    assert found.dtype == torch.float64 and torch.equal(found, WANT)
    assert all(
        near(array(part, "f").flatten(), row)
        for part, row in zip(several(value, "f", 2, "two rows"), WANT)
    )


def test_an_array_is_copied():
    """What a check does to its copy does nothing to the answer, nor the other way round."""
    value = np.array(PLAIN)
    array(value, "f")[0, 0] = 7
    assert value[0, 0] == 1


@pytest.mark.parametrize(
    "value",
    [
        2,
        2.0,
        [2],
        np.float32(2),
        np.longdouble(2),
        np.array(2.0),
        np.array([2], dtype=object),
        np.array(2, dtype=object),
        torch.tensor(2),
        torch.tensor([[2.0]]),
        Fraction(2),
        2 + 0j,
        True + 1,
    ],
    ids=repr,
)
def test_one_number(value):
    assert number(value, "f") == 2.0


@pytest.mark.parametrize(
    "value",
    [
        "2",
        ["2.0"],
        [10**400],
        np.array(["2.0"]),
        np.array(["2"], dtype=object),
        b"2",
        {2: 2},
        [None],
        np.array([None]),
        pytest.param(object(), id="an-object"),
        [[1], [1, 2]],
        np.array(["2026-01-01"], dtype="datetime64[D]"),
    ],
    ids=repr,
)
def test_words_are_no_numbers(value):
    with pytest.raises(AssertionError, match="must return numbers"):
        number(value, "f")


def test_the_stub_and_the_wrong_shape_are_named():
    with pytest.raises(AssertionError, match="stub"):
        number(None, "f")
    with pytest.raises(AssertionError, match="one number, got the shape"):
        number([1, 2], "f")
    with pytest.raises(AssertionError, match=r"\(2, 3\) numbers, got the shape \(2, 2\), please"):
        array(PLAIN, "f", (2, 3), ", please")


def test_an_imaginary_part_is_no_number():
    for value in (1j, np.array([1j]), torch.tensor([1j])):
        assert torch.isnan(array(value, "f")).all()
    assert not near(array([float("nan")], "f"), torch.ones(1))


def test_single_precision_is_granted_where_all_numbers_are_single():
    want = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    assert near(array(np.float32([1 / 3, 2 / 3]), "f"), want)
    assert not near(array(np.longdouble([1, 2]) / 3 + 1e-8, "f"), want)
    assert near(array(np.longdouble([1, 2]) / 3, "f"), want)
