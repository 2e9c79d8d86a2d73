import pytest
import torch

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
