import pathlib
import sys

import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent / "browser"))

from serving import ARGUMENTS, CHROMIUM

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)  # the theory is checked in double precision


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


@pytest.fixture(scope="session")
def browser():
    """One for all tests of a worker: Playwright does not start beside itself."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
