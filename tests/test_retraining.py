"""Stages and their driver: a killed run ends as if it had not been, watching disturbs nothing, and
processes that wait together are trained together.
"""

import math
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from host import DEVICES

from fe import TopographicMap, reproduce, retraining
from fe.journal import Journal
from fe.reproduce.jobs import _losses
from fe.retraining import Retraining, Stage, drive
from fe.tasks import Mixture, TaskObjective, training_set

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("single")]
TINY = reproduce.SMALL | dict(
    images_used=500,
    start_epochs=6,
    epochs=2,
    hidden=16,
    codes=3,
    lam=0.25,
    lam_end=0.4,
    gammas=[4.0],
    compare=[[4.0, 0]],
    repeats=2,
    images=100,
    options=dict(step=0.05, tolerance=0.05, band=0.5, settle=(10.0, 1.0)),
)


def strip(found):
    return {k: v for k, v in found.items() if k != "seconds"}


def test_killed_at_ten_random_moments_the_result_is_the_same(tmp_path):
    """kill -9 of a forked process, which may be in the middle of an epoch, of a checkpoint, or
    of a
    measurement.
    """
    settings = TINY | dict(save_every=0.0)
    began = time.perf_counter()
    expected = strip(reproduce.path_job(settings, 4.0, 0))
    length, path = time.perf_counter() - began, tmp_path / "job.pt"
    chance, killed = random.Random(0), 0
    for attempt in range(60):
        pid = os.fork()
        if pid == 0:
            try:
                reproduce.path_job(settings, 4.0, 0, checkpoint=str(path))
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0.02, 0.25) * length)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
        if killed == 10:
            break
        if not os.WIFSIGNALED(status):  # it had finished: begin anew
            for f in tmp_path.iterdir():
                f.unlink()
    assert killed == 10
    assert Journal(path).tensors, "no kill fell behind the first checkpoint"
    assert strip(reproduce.path_job(settings, 4.0, 0, checkpoint=str(path))) == expected


def test_relaxation_traces_both_copies(tmp_path):
    found = reproduce.relaxation_job(TINY, 0, str(tmp_path / "r.pt"), epochs=4)
    assert (
        len(found["moves"]) == len(found["stays"]) == 5 and found["moves"][0] == found["stays"][0]
    )
    assert found["moves"][4] != found["stays"][4]
    assert strip(reproduce.relaxation_job(TINY, 0, str(tmp_path / "r.pt"), epochs=4)) == strip(
        found
    )


def tiny(data=None, network=None, device="cpu", **options):
    x, y = (v.to(device) for v in reproduce.load(TINY)[0])
    network = network or reproduce.networks(TINY, x, y, 0)
    return Retraining(network, data or (x, y), **dict(batch_size=50) | options)


def test_watching_does_not_disturb():
    """R, D, C at every epoch are read off copies of the statistics: the weights come out the same,
    to the last bit.
    """
    ends = []
    for trace in (False, True):
        run = tiny()
        run.stage(0.3, 4.0, 3, watch=_losses if trace else None)
        ends.append(run.network.state())
    assert all(torch.equal(v, ends[1][k]) for k, v in ends[0].items())


def test_threads_do_not_disturb_each_other():
    with ThreadPoolExecutor(2) as pool:
        a, b = pool.map(lambda seed: strip(reproduce.scratch_job(TINY, 0.3, 4.0, seed)), (0, 1))
    assert a == strip(reproduce.scratch_job(TINY, 0.3, 4.0, 0)) and b == strip(
        reproduce.scratch_job(TINY, 0.3, 4.0, 1)
    )


@pytest.fixture
def notebook_dtype():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("settings", [TINY, reproduce.SMALL3 | dict(width=4, codes=4)])
def test_a_seed_means_the_same_weights_in_a_notebook_and_on_the_command_line(
    settings, notebook_dtype, monkeypatch
):
    """Whatever torch's default dtype and device; and they, the random numbers and those of a GPU
    are left as they were.
    """
    x, y = (
        torch.rand(4, 64 if settings is TINY else 3 * 16 * 16, dtype=torch.float32),
        torch.arange(4),
    )
    monkeypatch.setattr(
        torch.cuda,
        "manual_seed_all",
        lambda seed: pytest.fail("the random numbers of all GPUs were seeded"),
    )
    random = torch.get_rng_state()
    states = [reproduce.networks(settings, x, y, 3).state()]
    assert torch.get_default_dtype() == torch.float64 and torch.equal(torch.get_rng_state(), random)
    torch.set_default_dtype(torch.float32)
    states.append(reproduce.networks(settings, x, y, 3).state())
    torch.set_default_device("meta")
    try:
        states.append(reproduce.networks(settings, x, y, 3).state())
    finally:
        torch.set_default_device(None)
    for state in states[1:]:
        assert all(torch.equal(v, state[k]) for k, v in states[0].items())


def test_a_job_gives_the_same_numbers_under_another_default_dtype_and_leaves_the_threads(
    notebook_dtype,
):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = strip(reproduce.path_job(TINY, 4.0, 0))
        assert torch.get_num_threads() == 2
        torch.set_default_dtype(torch.float32)
        assert found == strip(reproduce.path_job(TINY, 4.0, 0))
    finally:
        torch.set_num_threads(before)


class Stop(KeyboardInterrupt):
    """The stop button, pressed at a chosen place."""


def stages(lam=0.3, trace=False):
    """A process: a stage of three epochs, one of two copies, and one more."""
    found = [(yield Stage(lam, 4.0, 3, watch=_losses if trace else None, span=(0, 3)))]
    found.append((yield Stage([lam, 0.4], [4.0, 5.0], 3, span=(3, 6))))
    found.append((yield Stage(lam, 5.0, 3)))
    return [{k: v for k, v in f.items() if k != "seconds"} for f in found]


def stage(journal=None, stop=None, lam=0.3, trace=False, **where):
    """A run of three stages, stopped after an epoch of the whole or not: (run, results)."""

    def press(epoch):
        if round(epoch) == stop:
            raise Stop

    run = tiny(journal=journal, save_every=0.0, on_progress=press, **where)
    try:
        return run, run.follow(stages(lam, trace))
    except Stop:
        return run, None


@pytest.mark.parametrize("stop", [2, 3, 4, 6])
def test_the_journal_in_memory_is_the_one_on_disk(tmp_path, stop):
    """Stopped between two epochs, after training went on behind the last checkpoint; taken up
    from
    the object and from the file, twice.
    """
    _, whole = stage(trace=True)
    stopped, _ = stage(Journal(tmp_path / "a.pt"), stop, trace=True)
    again, _ = stage(stopped.journal, stop, trace=True)
    from_disk = stage(Journal(tmp_path / "a.pt"), trace=True)[1]
    assert stage(again.journal, trace=True)[1] == whole
    assert from_disk == whole


@pytest.mark.parametrize("stop", [2, 5])
@pytest.mark.parametrize("device", DEVICES)
def test_a_run_on_a_gpu_is_taken_up_again(tmp_path, device, stop):
    """From what lies on the disk when it stops in its first stage, or in the copies of its second,
    it goes on to the numbers of the whole; a GPU may take some sums in another order.
    """
    _, whole = stage(device=device)
    assert stage(Journal(tmp_path / "a.pt"), stop, device=device)[1] is None
    assert Journal(tmp_path / "a.pt").tensors["partial"]["epoch"] == 1
    run, again = stage(Journal(tmp_path / "a.pt"), device=device)
    assert {v.device.type for v in run.network.state().values()} == {device}
    for mine, theirs in zip(again, whole, strict=True):
        close = {k: pytest.approx(v, rel=1e-5 if device == "cuda" else 0) for k, v in mine.items()}
        assert theirs == close


@pytest.mark.parametrize("stop", [2, 6])
def test_an_interrupted_stage_leaves_the_network_as_it_was(stop):
    """The same stage, asked for once more of the same object, is then the same stage."""
    run, _ = stage(stop=stop)
    assert not any(m.training for m in run.network.net.modules())
    _, whole = stage()
    run.on_progress = None
    rest = [(0.3, 4.0), ([0.3, 0.4], [4.0, 5.0]), (0.3, 5.0)][run.done :]
    found = [run.stage(*prices, 3) for prices in rest]
    assert [{k: v for k, v in f.items() if k != "seconds"} for f in found] == whole[3 - len(rest) :]


def test_what_a_reader_does_with_an_answer_does_not_change_the_journal():
    run, _ = stage()
    for _ in range(2):
        again = tiny(journal=run.journal)
        assert again.stage(0.3, 4.0, 3).pop("rate")


@pytest.mark.parametrize("change", [dict(seed=1), dict(batch_size=40)])
def test_a_journal_in_a_notebook_is_refused_by_a_run_of_another_seed(change):
    """A journal made without `arguments`, as a reader does: it would give the numbers of the first
    seed as those of the second.
    """
    run, _ = stage()
    with pytest.raises(ValueError, match="another run"):
        tiny(journal=run.journal, **change).stage(0.3, 4.0, 3)


def test_several_processes_are_one_ensemble():
    """Three curves that wait at the same time are trained together, each with its own minibatches,
    and come out as alone, to the rounding of another order of sums; a process without a stage left
    ends while the others go on.
    """
    sizes, alone = [], {}

    def process(gam, count):
        found = [(yield Stage(0.3, gam, 3))]
        for _ in range(count):
            found.append((yield Stage([0.3, 0.4], [gam, gam], 2)))
        return [v for f in found for v in f["distortion"]]

    jobs = {f"{seed}": (process, 4.0 + seed, seed) for seed in range(3)}
    for name, (make, gam, count) in jobs.items():
        alone[name] = tiny(seed=count).follow(make(gam, count))
    runs = {name: tiny(seed=count) for name, (*_, count) in jobs.items()}
    train = retraining.train_ensemble

    def counted(ensemble, *arguments, **options):
        sizes.append(len(ensemble))
        return train(ensemble, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retraining, "train_ensemble", counted)
        together = drive({n: (runs[n], make(g, c)) for n, (make, g, c) in jobs.items()})
    together = {name: future.result() for name, future in together.items()}
    assert sizes == [3, 4, 2]
    for name, values in alone.items():
        assert together[name] == pytest.approx(values, rel=1e-3)


@pytest.mark.parametrize("stop", range(1, 7))
def test_several_processes_are_resumed_from_their_journals(stop):
    """Stopped after any answer and begun anew with the journals: the same numbers."""

    def process(gam):
        first = yield Stage(0.3, gam, 1, keep="first")
        second = yield Stage([0.3, 0.4], [gam, gam], 1)
        back = yield Stage(0.3, gam * first["distortion"][0] / 8, 1, start="first")
        return [*first["distortion"], *second["distortion"], *back["distortion"]]

    def go(journals, stop=None):
        calls = []

        for journal in journals:
            save = Journal.save.__get__(journal)

            def counted(*arguments, save=save):
                save(*arguments)
                calls.append(len(arguments) > 1)
                if sum(calls) == stop:
                    raise Stop

            journal.save = counted
        runs = [tiny(seed=k, journal=j) for k, j in enumerate(journals)]
        found = drive({f"{k}": (run, process(4.0 + k)) for k, run in enumerate(runs)})
        return {name: future.result() for name, future in found.items()}

    whole, journals = go([Journal(), Journal()]), [Journal(), Journal()]
    with pytest.raises(Stop):
        go(journals, stop)
    again = go(journals)
    assert {k: pytest.approx(v, rel=1e-3) for k, v in whole.items()} == again


def test_a_network_that_was_not_kept_is_named():
    with pytest.raises(ValueError, match="no network was kept as 'source'"):
        tiny().stage(0.3, 4.0, 1, start="source")


@pytest.mark.parametrize("lam, gam", [(0.3, [4.0, 5.0]), ([0.3, 0.4], [4.0, 5.0, 6.0])])
def test_prices_of_copies_that_do_not_match_are_refused(lam, gam):
    with pytest.raises(ValueError, match="two lists of one length"):
        Stage(lam, gam, 1)


@pytest.mark.parametrize("stop", [None, 2])
def test_the_journal_of_another_run_is_refused(tmp_path, stop):
    """After whole stages and after a part of one; without a word it would give the other run's
    numbers.
    """
    stopped, _ = stage(Journal(tmp_path / "a.pt"), stop)
    for journal in (stopped.journal, Journal(tmp_path / "a.pt")):
        with pytest.raises(
            ValueError,
            match="journal was {'lam': 0.3}.* asks for {'lam': 0.31}.*another run",
        ):
            stage(journal, lam=0.31)


def test_a_journal_of_other_settings_is_refused(tmp_path):
    """With `compare` the journal holds answers that a run without it does not ask for; with dropout
    the network is another one, with the same weights.
    """
    settings, path = TINY | dict(lam_end=0.26), str(tmp_path / "a.pt")
    reproduce.path_job(settings, 4.0, 0, checkpoint=path)
    for change, other in ((dict(compare=[]), "gam, lam"), (dict(dropout=0.1), "network")):
        with pytest.raises(ValueError, match=f"another run .other {other}"):
            reproduce.path_job(settings | change, 4.0, 0, checkpoint=path)


def test_a_schedule_is_known_by_its_values():
    """Two functions of one name are two learning rates; a journal of the other is refused."""
    journal = Journal()
    tiny(journal=journal).stage(0.3, 4.0, 1, lambda k, n: 1e-2)
    assert tiny(journal=journal).stage(0.3, 4.0, 1, lambda k, n: 1e-2)
    with pytest.raises(ValueError, match="another run"):
        tiny(journal=journal).stage(0.3, 4.0, 1, lambda k, n: 1e-3)


def test_stages_at_a_time_belong_to_images_that_are_a_function_of_it():
    (x, y), _ = reproduce.load(TINY)
    for run, t in ((tiny(), 0.5), (tiny(lambda t: (x, y)), None)):
        with pytest.raises(ValueError, match="function of t"):
            run.stage(0.3, 4.0, 1, t=t)


def test_a_run_follows_one_process_at_a_time():
    run = tiny()
    with pytest.raises(ValueError, match="one process at a time"):
        drive({"a": (run, stages()), "b": (run, stages())})


def test_networks_that_differ_in_a_number_are_not_one_architecture():
    """One repr and one set of shapes, but another forward: each run keeps its own."""

    class Scaled(torch.nn.Linear):
        def __init__(self, scale):
            super().__init__(64, 6)
            self.scale = scale

        def forward(self, x):
            return (self.scale * super().forward(x)).chunk(2, 1)

    def run(scale):
        torch.manual_seed(0)
        nets = Scaled(scale), torch.nn.Linear(3, 64), torch.nn.Linear(3, 10)
        return tiny(network=nets)

    alone = run(0.1).stage(0.3, 4.0, 2)["rate"]

    def process():
        return (yield Stage(0.3, 4.0, 2))

    together = drive({f"{scale}": (run(scale), process()) for scale in (1.0, 0.1)})
    assert together["0.1"].result()["rate"] == alone


def one(lam=0.3, gam=4.0, **options):
    """A process of one stage."""
    return (yield Stage(lam, gam, 2, **options))["rate"]


def test_one_run_that_fails_does_not_end_the_others():
    """One whose loss becomes infinite, one whose process raises, one that asks for a probe that it
    lacks: two others come out as without them.
    """
    (x, y), _ = reproduce.load(TINY)
    wild = reproduce.networks(TINY, x, y, 0)[0]
    with torch.no_grad():
        wild[0].layers[-1].bias += 100.0  # σ = e¹⁰⁰ is infinite in single precision

    def raises():
        yield Stage(0.3, 4.0, 2)
        raise RuntimeError("the process said no")

    with pytest.warns(UserWarning, match="3 runs, trained as one, failed.*NaN or infinite"):
        found = drive(
            {
                "wild": (tiny(network=wild), one()),
                "raises": (tiny(), raises()),
                "probe": (tiny(), one(hold="val")),
                "good": (tiny(), one()),
            }
        )
    alone = tiny().follow(one())
    assert found["good"].result() == pytest.approx(alone, rel=1e-4)
    for name, words in (
        ("wild", "NaN or infinite"),
        ("raises", "said no"),
        ("probe", "needs the probe"),
    ):
        with pytest.raises((ValueError, RuntimeError), match=words):
            found[name].result()


def test_labels_that_do_not_fit_are_named_in_a_group_too():
    (x, y), _ = reproduce.load(TINY)
    network = reproduce.networks(TINY, x, y, 0)
    late = lambda t: (x, y + 5 * (t == 0.5))  # a run looks at its images where they begin and end
    bad = Retraining(network, late, batch_size=tiny().batch_size)
    one_at = lambda: (yield Stage(0.3, 4.0, 2, t=0.5))
    with pytest.warns(UserWarning, match="2 runs, trained as one, failed: labels run from 5"):
        found = drive({"bad": (bad, one_at()), "good": (tiny(), one())})
    assert found["good"].result() == pytest.approx(tiny().follow(one()), rel=1e-4)
    with pytest.raises(ValueError, match="labels run from 5"):
        found["bad"].result()


def test_a_frozen_network_beside_a_free_one_stays_frozen():
    networks = tiny().network[0]
    networks[0].requires_grad_(False)
    frozen, free = tiny(network=networks), tiny(seed=1)
    before = [v.clone() for v in frozen.network[0][0].parameters()]
    for future in drive({"frozen": (frozen, one()), "free": (free, one())}).values():
        future.result()
    after = list(frozen.network[0][0].parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_images_that_are_not_there_end_one_run_alone():
    """A task that raises, in the middle of what is driven together."""

    def deaf(t):
        if t == 0.5:
            raise OSError("no images at t = 0.5")
        return reproduce.load(TINY)[0]

    bad = Retraining(tiny().network[0], deaf, seed=0, batch_size=100)
    stage = lambda: (yield Stage(0.3, 4.0, 2, t=0.5))
    found = drive({"bad": (bad, stage()), "good": (tiny(), one())})
    with pytest.raises(OSError, match="no images"):
        found["bad"].result()
    assert found["good"].result() == pytest.approx(tiny().follow(one()))


def test_what_does_not_fit_into_memory_is_parted(monkeypatch):
    """Room for two of five networks, and the numbers of all five at once."""
    sizes, train = [], retraining.train_ensemble

    def counted(ensemble, *arguments, **options):
        sizes.append(len(ensemble))
        if len(ensemble) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(ensemble, *arguments, **options)

    def go():
        found = drive({f"{k}": (tiny(seed=k), one()) for k in range(5)})
        return [value for future in found.values() for value in future.result()]

    monkeypatch.setattr(retraining, "train_ensemble", counted)
    room = 5
    whole, room = go(), 2
    with pytest.warns(UserWarning, match="5 runs, trained as one, failed: CUDA out of memory"):
        parts = go()
    assert sizes == [5, 5, 2, 3, 1, 2]
    assert parts == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("partly", [False, True])
@pytest.mark.parametrize("other", ["images", "network"])
def test_a_journal_knows_its_images_and_first_weights(tmp_path, other, partly, on_disk):
    """Going on with others would mix two runs without a word; also where only a label differs, and
    where the stage was interrupted.
    """
    (x, y), _ = reproduce.load(TINY)
    journal = Journal(tmp_path / "a.pt")
    stage(journal, stop=2 if partly else None)
    change = dict(network=reproduce.networks(TINY, x, y, 1))
    if other == "images":
        y = y.clone()
        y[70] = (y[70] + 1) % 10
        change = dict(data=(x, y))
    journal = Journal(tmp_path / "a.pt") if on_disk else journal
    with pytest.raises(ValueError, match=f"another run .other {other}"):
        tiny(journal=journal, **change).follow(stages())
    assert tiny(journal=journal).follow(stages())  # its own go on


def test_a_journal_knows_the_target_of_its_task():
    """Two tasks with one source: their first stages are the same."""
    (x, y), _ = reproduce.load(TINY)
    parts = [(x[y % 3 == k], y[y % 3 == k]) for k in range(3)]
    tasks = [Mixture(parts[0], target) for target in parts[1:]]
    journal = Journal()
    tiny(tasks[0], journal=journal).stage(0.3, 4.0, 1, t=0.0)
    with pytest.raises(ValueError, match="another run .other images"):
        tiny(tasks[1], journal=journal).stage(0.3, 4.0, 1, t=0.0)
    assert tiny(tasks[0], journal=journal).stage(0.3, 4.0, 1, t=0.0)


class Locked:
    """What can be copied or pickled no more than an open window can."""

    def __init__(self):
        self.lock = threading.Lock()

    def rate(self, step, steps):
        return 1e-3

    def watch(self, ensemble, x, y):
        return len(x)


def test_a_schedule_and_a_watcher_need_not_be_copied():
    one = Locked()
    assert tiny().stage(0.3, 4.0, 2, one.rate, watch=one.watch)["trace"] == [500] * 3


def test_what_is_no_run_is_refused_in_words(tmp_path):
    (x, y), _ = reproduce.load(TINY)
    for change, error, words in (
        (dict(data=torch.utils.data.TensorDataset(x, y)), TypeError, "a task must be a function"),
        (dict(probes=(x, y)), TypeError, "probes must be a dict"),
        (dict(data=(x.numpy(), y)), TypeError, "x must be a floating torch.Tensor, got ndarray"),
        (dict(data=(x, y.numpy())), TypeError, "y must be a torch.Tensor of int64 labels, got nd"),
        (dict(data=((16 * x).byte(), y)), TypeError, "data: x must be a floating .*uint8"),
        (dict(data=(x.to("meta"), y.to("meta"))), TypeError, "data: encoder .* on meta"),
        (dict(data=(x, y, y)), TypeError, r"data: must be a pair \(x, y\), got tuple"),
        (dict(probes=dict(val=x)), TypeError, "val: a task must be a function of t.*got Tensor"),
        (dict(probes=dict(val=(x, y + 5))), ValueError, "val: labels run from 5 to 14"),
        (dict(data=(x, y + 5), probes=dict(data=(x, y))), ValueError, "data: labels run from 5"),
        (dict(probes=dict(val=(x[:, :32], y))), ValueError, "val: encoder must accept images"),
        (dict(probes=dict(val=(x.double(), y))), TypeError, "val: encoder .*float64"),
        (dict(probes=dict(val=(x * float("nan"), y))), ValueError, "val: x has .* NaN"),
        (dict(batch_size=0), ValueError, "batch_size must be an integer from 2 on, got 0"),
        (dict(seed="3"), ValueError, "seed must be an integer from 0 on, got '3'"),
        (dict(journal=tmp_path), OSError, "cannot read .* a journal is one file"),
        (dict(journal="/proc/a.pt"), OSError, "cannot write /proc/a.pt"),
    ):
        with pytest.raises(error, match=words):
            tiny(**change)


def test_numbers_of_a_stage_may_be_of_any_kind():
    double = lambda v: torch.tensor(v, dtype=torch.float64)
    kinds = float, np.float64, double, lambda v: double([v]), lambda v: np.array([v])
    stages = (Stage(as_(0.3), as_(4.0), 1, as_(1e-3), t=as_(0.5)) for as_ in kinds)
    told = [tiny().words(stage) for stage in stages]
    assert all(t == told[0] for t in told)
    for pair in (lambda *v: [*v], lambda *v: torch.tensor(v), lambda *v: np.array(v)):
        assert Stage(pair(0.3, 0.5), pair(4.0, 5.0), 1).gam == [4.0, 5.0]
    journal = Journal()
    for seed, size in ((3, 50), (np.int64(3), torch.tensor(50))):
        assert tiny(journal=journal, seed=seed, batch_size=size).stage(0.3, 4.0, 1)["rate"]
    assert len(journal.entries) == 1


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(epochs=1.5), "epochs must be an integer from 1 on, got 1.5"),
        (dict(epochs="3"), "epochs must be an integer from 1 on, got '3'"),
        (dict(epochs=0), "epochs must be an integer from 1 on, got 0"),
        (dict(lam=math.nan), "λ must be a finite number from 0 on, got nan"),
        (dict(lam="0.3"), "λ must be a finite number from 0 on, got '0.3'"),
        (dict(gam=-1), "γ must be a finite number from 0 on, got -1"),
        (dict(gam=None), "γ must be a finite number"),
        (dict(lr=math.nan), "lr must be a finite number from 0 on, got nan"),
        (dict(lr=None), "lr must be a finite number from 0 on, got None"),
        (dict(t="late"), "t must be a finite number from 0 on, got 'late'"),
    ],
)
def test_a_stage_that_cannot_be_trained(change, words):
    with pytest.raises(ValueError, match=words):
        Stage(**dict(lam=0.3, gam=4.0, epochs=1) | change)


@pytest.mark.parametrize("request_", [None, 3, (0.3, 4.0, 1), Stage])
def test_what_is_no_request_is_refused(request_):
    def process():
        yield request_

    with pytest.raises(TypeError, match="must yield requests, a Stage, a Row"):
        tiny().follow(process())
    with pytest.raises(TypeError, match="a generator: call the function .*, got function"):
        tiny().follow(process)


def test_a_path_is_a_journal_too(tmp_path):
    first = tiny(journal=tmp_path / "a.pt").stage(0.3, 4.0, 1)
    assert tiny(journal=str(tmp_path / "a.pt")).stage(0.3, 4.0, 1) == first


def test_a_task_is_what_it_is_to_an_exact_model():
    """A mixture, a function with weights, and one without: the same t -> (x, y), as is sampled by
    hand; and `TaskObjective` takes each of them.
    """
    (x, y), _ = reproduce.load(TINY)
    task = Mixture((x[y < 5], y[y < 5]), (x[y >= 5], y[y >= 5] - 5))
    half = lambda t: (x, y, torch.where(y < 5, 1 - t, t).to(x) / torch.where(y < 5, 1 - t, t).sum())
    plain = lambda t: ((1 - t / 2) * x, y)
    by_hand = {
        "mixture": (task, lambda t: task.sample(t, int((y < 5).sum()), 0)),
        "plain": (plain, plain),
    }
    for data, sampled in by_hand.values():
        a, b = (tiny(d).stage(0.3, 4.0, 2, t=0.25)["rate"] for d in (data, sampled))
        assert a == b
    _, labels = tiny(half).data(0.25)
    share = float(half(0.25)[2][y < 5].sum())
    assert float((labels < 5).double().mean()) == pytest.approx(share, abs=0.02) and share > 0.7
    map_ = TopographicMap(x[:50], y[:50] % 5, 5, grid=7, features=2, ridge=1e-2)
    p = torch.tensor([0.5, 4.0, 0.25], dtype=x.dtype)
    for data in (task, half, plain):
        few = lambda t, data=data: tuple(v[:50] for v in getattr(data, "at", data)(t))
        J = TaskObjective(lambda x, y, w: map_.on(x, y % 5, w / w.sum()), few)
        assert torch.isfinite(J(map_.initial(), p))


def test_a_task_is_a_probe_as_it_is():
    """A mixture, and a function with weights: what is measured on them at t is what would be on
    their images at t, the same for every seed of the run.
    """
    (x, y), _ = reproduce.load(TINY)
    task = Mixture((x[y < 5], y[y < 5]), (x[y >= 5], y[y >= 5] - 5))
    weighed = lambda t: (
        x,
        y,
        torch.where(y < 5, 1 - t, t).to(x) / torch.where(y < 5, 1 - t, t).sum(),
    )
    for probe in (task, weighed):
        by_hand = lambda t, probe=probe: training_set(probe, t)
        run = tiny(task, probes=dict(test=probe, same=by_hand), seed=3)
        entry = run.stage(0.3, 4.0, 2, t=0.25)
        assert entry["test_rate"] == entry["same_rate"] != entry["rate"]
