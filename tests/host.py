"""Devices to test on, and what keeps one waiting: how often the host reads a tensor."""

import sys

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
# on the CPU a test of a GPU does all it can do there, so that the test itself is tested
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]

READS = {"tolist", "item", "cpu", "numpy", "equal", "nonzero", "is_nonzero", "masked_select"}
READS |= {"_local_scalar_dense", "_unique2", "unique_consecutive", "repeat_interleave"}
READS |= {f"__{kind}__" for kind in ("array", "bool", "float", "int", "index", "contains", "repr")}


def reads(function, arguments, options):
    """Whether a call needs numbers of a tensor on the host."""
    name, given = function.__name__.split(".")[0], [*arguments, *options.values()]
    if name == "to":  # x.to(y.device) is on the CPU only because this test is
        return any(isinstance(v, str) and v == "cpu" for v in given)
    if name in ("tensor", "new_tensor"):  # of tensors, one by one
        several = [v for v in given if isinstance(v, list | tuple)]
        return any(isinstance(v, torch.Tensor) for v in tree_leaves(several))
    if name in ("index", "index_put"):
        return any(getattr(v, "dtype", 0) == torch.bool for v in tree_leaves(given[1]))
    return name in READS


def searching(frame):
    """Whether the caller is torch's L-BFGS, whose own numbers lie on the CPU wherever J is."""
    return frame.f_code.co_filename.endswith("lbfgs.py")


class Reads(TorchFunctionMode):
    """`n` reads by the host in a `with` block: `tolist`, `cpu`, `bool`, …, each once, be the tensor
    where it may, so that on the CPU none is overlooked. What a routine of torch looks at by itself
    is not seen (whether `torch.linalg.eigh` has converged). `called`: name -> shapes of the tensors
    that an operation was given.
    """

    def __init__(self):
        super().__init__()
        self.n, self.called, self.operations = 0, {}, _Operations(self)

    def __enter__(self):
        self.operations.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.operations.__exit__(*error)

    def __torch_function__(self, function, types, arguments=(), options=None):
        before, options = self.n, options or {}
        found = function(*arguments, **options)
        if searching(sys._getframe(1)):
            self.n = before
        elif reads(function, arguments, options):
            self.n = before + 1
        return found


class _Operations(TorchDispatchMode):
    """What torch does below its functions, for `Reads`."""

    def __init__(self, outer):
        super().__init__()
        self.outer = outer

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        self.outer.n += reads(function, arguments, options)
        shapes = tuple(tuple(v.shape) for v in arguments if isinstance(v, torch.Tensor))
        self.outer.called.setdefault(function.__name__.split(".")[0], set()).add(shapes)
        return function(*arguments, **options)
