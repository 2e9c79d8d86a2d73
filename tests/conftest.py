import pathlib

import pytest
import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)  # the theory is checked in double precision




@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Side by side, a notebook's cells stay in one worker, and so do the tests of one PDF; the longest groups start first."""
    for item in items:
        path = pathlib.Path(str(item.path))
        if path.suffix == ".ipynb":
            item.add_marker(pytest.mark.xdist_group(path.stem))
        elif path.name == "test_pdf.py":
            item.add_marker(pytest.mark.xdist_group("pdf"))
    items.sort(key=lambda item: (not item.get_closest_marker("xdist_group"), not item.get_closest_marker("long")))


@pytest.fixture
def single():
    """Networks train in float32, as readers' do."""
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(torch.float64)


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same seed."""
    torch.manual_seed(0)
