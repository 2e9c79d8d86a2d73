"""A reader presses the stop button in a long cell: the kernel lives, what was measured is kept, and the run can be taken up again."""

import queue
import time

import pytest
from jupyter_client.manager import start_new_kernel

SETUP = """
import torch
torch.set_num_threads(1)
import fe
from fe import experiments
from fe.process import Conserve, classification
from fe.retraining import Retraining, iso_classification

torch.set_default_dtype(torch.float32)
settings = experiments.SMALL | dict(hidden=16, codes=3)
x, y = (a[:500] for a in experiments.load(settings)[0])
options = dict(start_epochs=20, step=0.05, max_step=0.06, tolerance=0.05, band=0.5, settle=(10.0, 1.0))

def new_run(journal=None):
    return Retraining(experiments.networks(settings, x, y, 0), x, y, epochs=2, batch_size=50, journal=journal)
"""
TRAINING = """
rows, run = [], new_run()
iso_classification(run, 0.25, 4.0, 1.0, **options, on_row=lambda row: (rows.append(row), print("row", flush=True)))
"""
RESUMED = """
again, _ = iso_classification(new_run(run.journal), 0.25, 4.0, 1.0, **options)
whole, _ = iso_classification(new_run(), 0.25, 4.0, 1.0, **options)
print(2 <= len(rows) < len(whole), again == whole, rows == whole[:len(rows)])
"""
PATH = """
torch.set_default_dtype(torch.float64)
X, Y = fe.digits(150)
J = fe.TopographicMap(X, Y, grid=11, features=3, ridge=1e-3)
points = []
fe.follow(J, J.initial(), torch.tensor([0.25, 4.0], dtype=X.dtype), Conserve(classification), 3.0, preconditioner=J.preconditioner,
          on_point=lambda point: (points.append(point), print("row", flush=True)))
"""
KEPT = """
print(len(points) >= 2, all(abs(q.classification / points[0].classification - 1) < 1e-8 for q in points), fe.minimise(J, points[-1].theta, points[-1].p).value == points[-1].value)
"""


class Reader:
    """Runs cells in a kernel as a notebook does."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def cell(self, code, stop_after=None, timeout=240):
        """What a cell prints, and the name of its error; the stop button is pressed after `stop_after` lines."""
        request, text, pressed, end = self.client.execute(code), "", False, time.monotonic() + timeout
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no answer in {timeout} s; printed so far: {text[-300:]}")
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "stream":
                text += message["content"]["text"]
            if stop_after and not pressed and text.count("\n") >= stop_after:
                pressed = True
                self.manager.interrupt_kernel()
            if message["msg_type"] == "error":
                text += message["content"]["ename"]
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return text

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    assert reader.cell(SETUP) == ""
    yield reader
    reader.close()


def test_an_interrupted_training_keeps_its_rows_and_can_be_resumed(reader):
    assert reader.cell(TRAINING, stop_after=2).endswith("KeyboardInterrupt")
    assert reader.cell(RESUMED).strip() == "True True True"


def test_an_interrupted_path_keeps_its_points(reader):
    assert reader.cell(PATH, stop_after=3).endswith("KeyboardInterrupt")
    assert reader.cell(KEPT).strip() == "True True True"
