"""Transfer of networks: C stays in its band or the run says why not, F_t needs no training, a
killed run ends as one that was not.
"""

import math

import pytest
import torch

from fe import reproduce, retraining
from fe.journal import Journal
from fe.retraining import ConstraintLost, Retraining
from fe.training import evaluate, step_decay
from fe.transfer import (
    Fixed,
    FreeEnergyRate,
    GeodesicLaw,
    Heuristic,
    Slopes,
    _measure_slopes,
    transfer,
)

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("single")]
TINY = reproduce.SMALL5 | dict(
    hidden=24,
    codes=4,
    size=400,
    start_epochs=150,
    epochs=10,
    steps=4,
    options=dict(tolerance=0.05, band=0.5, corrections=2, station=2),
)


@pytest.fixture(scope="module")
def found():
    torch.set_default_dtype(torch.float32)
    return reproduce.transfer_job(TINY, "aligned", 0)


def start(kind="aligned", seed=0, journal=None, epochs=30, size=300):
    task, probes, classes = reproduce.task_of(TINY, kind)
    data = lambda t: task.sample(t, size, seed)
    network = reproduce.networks(TINY, *data(0.0), seed, classes)
    run = Retraining(network, data, probes=probes, seed=seed, batch_size=50, journal=journal)
    run.stage(4.0, 8.0, epochs, step_decay, t=0.0)
    return run, task


def go(run, times, law, **options):
    return run.follow(transfer(4.0, 8.0, times, law, **dict(epochs=4) | options))


def test_a_transfer_and_its_controls(found):
    runs = found["runs"]
    assert {"held", "geodesic", "fixed", "finetuned", "scratch"} <= set(runs)
    for name in ("held", "fixed"):
        rows = runs[name]["rows"]
        assert runs[name]["stopped"] is None and [row["t"] for row in rows] == pytest.approx(
            [0, 0.25, 0.5, 0.75, 1]
        )
        assert (
            rows[-1]["target_accuracy"] > rows[0]["target_accuracy"] + 0.1
        )  # it has learned the new digits
        assert rows[0]["source_accuracy"] > 0.5
    drift = [row["drift"] for row in runs["held"]["rows"]]
    assert max(abs(d) for d in drift) <= 0.5  # the band
    assert {row["lam"] for row in runs["held"]["rows"]} == {4.0}  # λ̇ = 0
    # equal compute: as many stages, and to within rounding as many epochs, as the transfer
    spent = {name: run["rows"][-1]["spent"] for name, run in runs.items() if not run["stopped"]}
    for name in ("fixed", "finetuned", "scratch"):
        assert abs(spent[name] - spent["held"]) <= (TINY.steps + 1) / 2, spent
    for name in ("finetuned", "scratch"):
        assert {row["t"] for row in runs[name]["rows"]} == {1.0}


def test_the_geodesic_run_ends_for_a_reason(found):
    """F = R + λD + γC in every row, and a run that stops says that it was singular or left its
    band. (The law itself: `test_laws_by_hand`.)
    """
    run = found["runs"]["geodesic"]
    for row in run["rows"]:
        assert row["F"] == pytest.approx(
            row["rate"] + row["lam"] * row["distortion"] + row["gam"] * row["classification"]
        )
    assert run["stopped"] is None or "singular" in run["stopped"] or "band" in run["stopped"]


def test_the_rate_of_F_is_that_of_the_mixture():
    """For a mixture F_t = J_target − J_source at the network as it is; half a step and a whole step
    agree.
    """
    run, task = start()
    a, b = (FreeEnergyRate(0.0, dt, 4.0, 8.0).measure(run)["F_t"] for dt in (0.5, 1.0))
    ends = []
    for t in (0.0, 1.0):
        R, D, C, _ = (float(v) for v in evaluate(run.network, *task.sample(t, 300, 0), seed=2))
        ends.append(R + 4 * D + 8 * C)
    assert b == pytest.approx(ends[1] - ends[0], rel=1e-5)
    assert a == pytest.approx(b, rel=0.25)  # other images in the slots that changed


def test_slopes_have_the_signs_of_a_concave_F():
    run, task = start(epochs=60)
    run.kept["row"] = run.network.state()
    slopes = run.follow(_measure_slopes(0.0, 4.0, 8.0, 4))
    assert slopes.table[1][0] < 0 and slopes.table[2][1] < 0  # D_λ, C_γ
    assert slopes.table[2][2] > 0  # at t = 0 new digits raise C


def test_slopes_compare_what_was_measured_on_the_same_images(monkeypatch):
    """Copies are measured on the first 20,000 images; so is then the network at t + dt, or ∂C/∂t
    would hold the difference of two sets.
    """
    seen = []
    monkeypatch.setattr(retraining, "_FEW", 50)
    monkeypatch.setattr(
        retraining,
        "evaluate",
        lambda ensemble, x, y, **options: (
            seen.append(len(x)) or evaluate(ensemble, x, y, **options)
        ),
    )
    run, task = start(epochs=2)
    seen.clear()
    run.kept["row"] = run.network.state()
    run.follow(_measure_slopes(0.0, 4.0, 8.0, 4))
    assert seen == [50, 50]


@pytest.mark.parametrize(
    "law, times",
    [
        (Heuristic(), [0.0, 0.5, 0.5]),
        (Fixed(), [0.5, -0.1]),
        (Fixed(), [0.0, 1.5]),
        (Heuristic(), []),
    ],
)
def test_times_that_do_not_run_forward_are_refused_before_the_training(law, times):
    run, task = start(epochs=2)
    done = run.done
    with pytest.raises(ValueError, match="times must increase within 0 … 1"):
        go(run, times, law)
    assert run.done == done


def test_a_band_that_cannot_be_kept_stops_the_run():
    run, task = start("mixture")
    with pytest.raises(ConstraintLost, match="left its band of 1%.*∂ln C/∂t") as e:
        hard = dict(band=0.01, tolerance=0.001, corrections=1)
        go(run, [0.0, 0.5, 1.0], Heuristic(), **hard)
    assert len(e.value.record.rows) >= 1 and len(e.value.record.slopes) == 1


def test_laws_by_hand():
    """C = γ⁻¹ e^{2t}, D = λ⁻¹: held at ln γ̇ = 2; with k = 0 the geodesic keeps D, hence λ."""
    slopes = Slopes(
        0.0, 2.0, 3.0, 1 / 3, [[1.0, 1.0, 0.0], [-0.5, 0.0, 0.0], [0.0, -1.0, 2.0]], 1.0
    )
    missing = math.log(0.3 / 0.36)
    lam, gam = Heuristic(-1.5).step(slopes, 2.0, 0.1, 1.0, 0.0)
    assert 2 * lam == pytest.approx(1.85) and gam == pytest.approx(math.exp(0.2))
    assert Heuristic().correct(slopes, 2.0, 0.0, missing) == (1.0, pytest.approx(0.36 / 0.3))
    lam, gam = GeodesicLaw(0.0).step(slopes, 2.0, 0.1, 1.0, 0.0)
    assert lam == pytest.approx(1.0, abs=1e-6) and gam == pytest.approx(math.exp(0.2), rel=1e-6)
    # Ḋ = k F_t/(1 + kλ): with k = 0.5, F_t = 1, dt = 0.1 D must rise by 0.025
    lam, _ = GeodesicLaw(0.5).step(slopes, 2.0, 0.1, 1.0, 0.0)
    assert -0.5 * math.log(lam) == pytest.approx(0.5 / 2 * 0.1, rel=1e-5)
    # the corrector: D − kR stands 0.02 below its line and C at 0.36 instead of 0.3. With dR = −λ
    # dD, D must rise by 0.02/(1 + kλ)
    assert GeodesicLaw(0.5).held(dict(distortion=0.5, rate=1.0)) == 0.0
    lam, gam = GeodesicLaw(0.5).correct(slopes, 2.0, 0.02, missing)
    rise = -0.5 * math.log(lam)
    assert rise == pytest.approx(0.01, rel=1e-5) and rise - 0.5 * (-2 * rise) == pytest.approx(
        0.02, rel=1e-5
    )
    assert gam == pytest.approx(0.36 / 0.3, rel=1e-5)
    assert "1 + kλ = 0.000" in GeodesicLaw(-0.5).singular(2.0)
    assert GeodesicLaw(0.5).singular(2.0) is None
    with pytest.raises(ValueError, match="too fast"):
        Heuristic(-30.0).step(slopes, 2.0, 0.1, 1.0, 0.0)


def test_cut_at_every_entry_the_result_is_the_same(tmp_path):
    """A journal cut off after any entry resumes to the same rows: what a kill between two stages
    leaves behind.
    """

    class Killed(Exception):
        pass

    def cut(path, stop=None):
        journal = Journal(path, {})
        if stop is not None:
            save, first = journal.save, len(journal.entries)

            def counted(*arguments):
                save(*arguments)
                if len(journal.entries) >= first + stop:
                    raise Killed

            journal.save = counted
        run, _ = start(journal=journal, epochs=60, size=400)
        options = dict(band=9.0, corrections=1, station=1, epochs=6)
        return go(run, [0.0, 0.5, 1.0], GeodesicLaw(1.0), **options)

    whole = cut(tmp_path / "whole.pt")
    for tries in range(60):
        try:
            again = cut(tmp_path / "cut.pt", stop=1 + tries % 2)
            break
        except Killed:
            continue
    else:
        raise AssertionError("never ended")
    assert tries > 5 and again == whole


def test_an_unknown_kind_of_task_is_refused():
    with pytest.raises(ValueError, match="kinds of task are .* got 'transprot'"):
        reproduce.task_of(TINY, "transprot")


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(target=[5, 6]), "cannot be paired"),
        (dict(source=[0, 1, 2, 3, 11]), "no images with the labels"),
    ],
)
def test_label_sets_that_do_not_match(change, words):
    with pytest.raises(ValueError, match=words):
        reproduce.task_of(TINY | change, "aligned")


def test_a_price_that_would_vanish_ends_the_run_with_its_rows():
    """λ̇ = −6 from λ = 4: after two of three steps there is none left. The controls that come next
    still run.
    """
    run, task = start()
    with pytest.raises(ConstraintLost, match="too fast") as e:
        go(run, [0.0, 0.25, 0.5, 1.0], Heuristic(-6.0), band=9.0, corrections=0)
    assert e.value.record["t"] == [0.0, 0.25, 0.5] and e.value.record.slopes


@pytest.mark.parametrize(
    "kind, source, target, labels",
    [("paired", [3, 1], [1, 7], ([0, 1], [0, 1])), ("mixture", [3, 1], [1, 7], ([0, 1], [1, 2]))],
)
def test_a_class_in_source_and_target(kind, source, target, labels):
    """It has one name in each: the target's must not rename the source's images."""
    task, probes, classes = reproduce.task_of(TINY | dict(source=source, target=target), kind)
    assert [task.source[1].unique().tolist(), task.target[1].unique().tolist()] == list(
        labels
    ) and classes == 1 + labels[1][1]
    assert [probes[k][1].unique().tolist() for k in ("source", "target")] == list(labels)
    (x, y), _ = reproduce.load(TINY)
    assert torch.equal(
        task.source[1], torch.tensor([source.index(int(v)) for v in y if int(v) in source])
    )
