"""A reader presses the stop button in a long cell: the kernel lives, what was measured is kept,
and the run can be taken up again.
"""

import os
import queue
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

from fe import reproduce
from fe.journal import Journal

from aside import begin, module

pytestmark = pytest.mark.long

SETUP = """
import torch
torch.set_num_threads(1)
import fe
from fe import Conserve, classification, reproduce
from fe.processes import iso_classification
from fe.retraining import Retraining

torch.set_default_dtype(torch.float32)
settings = reproduce.SMALL | dict(hidden=16, codes=3)
x, y = (a[:500] for a in reproduce.load(settings)[0])
options = dict(start_epochs=20, epochs=2, step=0.05, tolerance=0.05, band=0.5, settle=(10.0, 1.0))

def new_run(journal=None):
    on_row = lambda row: (rows.append(row), print("row", flush=True))
    network = reproduce.networks(settings, x, y, 0)
    return Retraining(network, (x, y), batch_size=50, journal=journal, on_row=on_row)
"""  # noqa: E501
TRAINING = """
rows, run = [], new_run()
run.follow(iso_classification(0.25, 4.0, 1.0, **options))
"""  # noqa: E501
RESUMED = """
kept, rows = rows, []
again = new_run(run.journal).follow(iso_classification(0.25, 4.0, 1.0, **options)).rows
whole = new_run().follow(iso_classification(0.25, 4.0, 1.0, **options)).rows
print("", 2 <= len(kept) < len(whole), again == whole, kept == whole[:len(kept)])
"""
PATH = """
torch.set_default_dtype(torch.float64)
X, Y = fe.digits(150)
J = fe.TopographicMap(X, Y, grid=11, features=3, ridge=1e-3)
points = []
fe.follow(J, J.initial(), torch.tensor([0.25, 4.0], dtype=X.dtype), Conserve(classification), 3.0,
          on_point=lambda point: (points.append(point), print("row", flush=True)))
"""  # noqa: E501
KEPT = """
print(len(points) >= 2, all(abs(q.classification / points[0].classification - 1) < 1e-8 for q in points), fe.minimise(J, points[-1].theta, points[-1].p).value == points[-1].value)
"""  # noqa: E501


class Reader:
    """Runs cells in a kernel as a notebook does."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def cell(self, code, stop_after=None, when=None, press=None, timeout=900):
        """What a cell prints, and the name of its error; the stop button is pressed after
        `stop_after` lines, or when `when()` is true.
        """
        request, text, self.pressed, end = (
            self.client.execute(code),
            "",
            None,
            time.monotonic() + timeout,
        )
        while True:
            if not self.pressed and (
                text.count("\n") >= stop_after if stop_after else when and when()
            ):
                self.pressed = time.monotonic()
                (press or self.manager.interrupt_kernel)()
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                if time.monotonic() < end:
                    continue
                pytest.fail(f"no answer in {timeout} s; printed so far: {text[-300:]}")
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "stream":
                text += message["content"]["text"]
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
    assert reader.cell(RESUMED).endswith(" True True True\n")


def test_an_interrupted_path_keeps_its_points(reader):
    assert reader.cell(PATH, stop_after=3).endswith("KeyboardInterrupt")
    assert reader.cell(KEPT).strip() == "True True True"


SETTINGS = reproduce.SMALL | dict(
    hidden=16, codes=3, batch_size=500, start_epochs=60, seeds=[0, 1], save_every=0.0
)
ENDLESS = SETTINGS | dict(
    start_epochs=200_000, seeds=[0, 1, 2]
)  # a quarter of an hour a job and more: what ends within a minute was stopped
LONG_RUN = """
from fe import reproduce
from fe.reproduce.settings import Curves
reproduce.SETTINGS["fig4a"] = ({settings}, None)
reproduce.main(["fig4a", "--scale", "small", "--workers", "{workers}", "--out", {folder!r}])
"""


def epoch(path):
    """Up to which epoch a job has come, by its checkpoint; 0 without one."""
    return Journal(path).tensors.get("partial", {"epoch": 0})["epoch"] if path.exists() else 0


def stopped_at_once(folder, kernel, workers):
    """No worker lives, the first jobs are where they were, and the next, which the pool had taken
    in already, has not begun.
    """
    alive = lambda: [
        p
        for p in psutil.Process(kernel).children(recursive=True)
        if "spawn_main" in " ".join(p.cmdline())
    ]
    until = time.monotonic() + 60
    while alive() and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive()
    assert not list(folder.glob(f"relaxation_s{workers}.*"))
    assert all(
        float((folder / f"relaxation_s{k}.progress").read_text()) < 1 for k in range(workers)
    )
    return [epoch(folder / f"relaxation_s{k}.pt") for k in range(workers)]


def test_a_long_run_stops_within_seconds_and_goes_on(reader, tmp_path):
    """`reproduce.main` in a cell, three endless jobs of which one runs, then two. Others interrupt
    the kernel alone, Jupyter's button the whole process group.
    """
    folder = tmp_path / "checkpoints" / "fig4a_small"
    kernel, came = reader.manager.provisioner.pid, []
    for workers, press in ((1, lambda: os.kill(kernel, signal.SIGINT)), (2, None)):
        code = LONG_RUN.format(settings=ENDLESS, folder=str(tmp_path), workers=workers)
        before = [*came, *[0] * (workers - len(came))]
        further = lambda before=before: all(
            k < epoch(folder / f"relaxation_s{i}.pt") for i, k in enumerate(before)
        )
        text = reader.cell(code, when=further, press=press)
        assert reader.pressed and time.monotonic() - reader.pressed < 60
        assert text.endswith("KeyboardInterrupt") and "the same command goes on from there" in text
        came = stopped_at_once(folder, kernel, workers)
        assert all(b < c for b, c in zip(before, came)), "it went on where it was"


def test_a_long_run_that_was_stopped_ends_with_the_same_numbers(reader, tmp_path, single):
    """Stopped in the kernel, and gone on with here."""
    first = tmp_path / "checkpoints" / "fig4a_small" / "relaxation_s0.pt"
    code = LONG_RUN.format(settings=SETTINGS, folder=str(tmp_path), workers=1)
    assert reader.cell(code, when=first.exists).endswith("KeyboardInterrupt")
    assert list(first.parent.glob("relaxation_s0*.pt")), "there is something to go on from"
    with ThreadPoolExecutor(1) as here:
        record = reproduce.save(tmp_path / "fig4a_small.json", "fig4a", SETTINGS, here)
    assert len(record["runs"]) == 2
    for run in record["runs"]:
        whole = reproduce.rounded(reproduce.relaxation_job(SETTINGS, run["seed"], epochs=30))
        assert run | dict(seconds=0) == whole | dict(seconds=0)


def test_a_command_stops_within_seconds(tmp_path):
    """Ctrl-C in a terminal goes to the command and to its workers. All of its jobs would take
    some five minutes.
    """
    seeds = [word for seed in range(100) for word in ("--seed", seed)]
    command = ["fig4a", "--scale", "small", "--workers", 1, "--out", tmp_path, *seeds]
    folder, until = tmp_path / "checkpoints" / "fig4a_small", time.monotonic() + 240
    with open(tmp_path / "said", "w") as said:
        process = psutil.Process(begin(module, "fe.reproduce", *command, out=said))
    try:
        while not (folder / "relaxation_s0.progress").exists() and time.monotonic() < until:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(timeout=90)
    finally:
        if process.is_running():
            process.kill()
    assert code == 130 and "the same command goes on" in (tmp_path / "said").read_text()
    assert not (folder / "relaxation_s1.progress").exists()
