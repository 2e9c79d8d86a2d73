"""A network retrained along its exact path: the run at tiny size, and the invariants of the stored
one.
"""

import json
import math
import pathlib

import pytest
import torch

import fe
from fe import reproduce
from fe.reproduce import rest

TINY = rest.Exact(
    n=20, classes=2, hidden=1, codes=1, draws=1, ridge=0.5, lam_end=2.2, start_epochs=30,
    epochs=[1, 2], batch_size=10, seeds=[0],
)  # fmt: skip


def stored(name):
    path = pathlib.Path(__file__).resolve().parents[1] / "results" / f"{name}.json"
    return json.loads(path.read_text())


def test_stopped_between_parts_the_result_is_the_same(tmp_path, monkeypatch):
    walk, going, stopped, walked = rest._exact_path, rest._retrained, [], []

    def once(*a, **b):
        walked.append(walked[0] if walked else walk(*a, **b))
        return walked[0]

    monkeypatch.setattr(rest, "_exact_path", once)
    whole = rest.exact_network(TINY, folder=tmp_path / "a", progress=False)

    def stop(*a, **b):
        if len(stopped) == 1:
            raise KeyboardInterrupt
        stopped.append(1)
        return going(*a, **b)

    monkeypatch.setattr(rest, "_retrained", stop)
    with pytest.raises(KeyboardInterrupt):
        rest.exact_network(TINY, folder=tmp_path / "b", progress=False)
    monkeypatch.setattr(rest, "_exact_path", None)  # is not asked for again
    monkeypatch.setattr(rest, "_retrained", going)
    again = rest.exact_network(TINY, folder=tmp_path / "b", progress=False)
    assert again["runs"] == whole["runs"] and len(walked) == 2
    check(whole, TINY)


def test_training_with_fixed_noise_stays_at_the_minimum():
    """From the exact minimum 40 epochs end where they began, to what minibatches leave; kicked, the
    network comes back. Each member is the network trained alone.
    """
    J = rest._objective(TINY)
    p = J.x.new_tensor([2.0, 5.0])
    e = fe.minimise(J, J.theta0, p)
    kick = 0.03 * torch.randn(len(e.theta), generator=torch.Generator().manual_seed(0)).to(p)
    both = torch.stack([e.theta, e.theta + kick])
    out = rest._train(J, both, p.repeat(2, 1), 40, [(0, 1)] * 2, 10)
    excess = [float(J(t, p)) - e.value for t in (both[1], *out)]
    assert 0 <= excess[1] < 0.01 * excess[0] and excess[2] < 0.2 * excess[0]
    alone = rest._train(J, both[1:], p[None], 40, [(0, 1)], 10)
    torch.testing.assert_close(alone[0], out[1], rtol=1e-9, atol=1e-9)


def test_slopes_of_an_exact_free_energy():
    """∂(D, ln C)/∂(ln λ, ln γ) by differences and from Hess F, where F = −λ²γ/2 − λγ²: the error of
    central differences is of second order.
    """
    F = lambda p: -(p[0] ** 2 * p[1] / 2 + p[0] * p[1] ** 2) + 40 * p.sum()
    p, found = torch.tensor([2.0, 3.0], dtype=torch.float64), []
    D, C = torch.func.grad(F)(p).tolist()
    exact = torch.tensor(rest._log_slopes(torch.func.hessian(F)(p), p, C))
    for delta in (0.2, 0.1):
        rows = [dict(zip("DC", torch.func.grad(F)(q).tolist())) for q in rest._shifted(p, delta)]
        found.append((torch.tensor(rest._slopes(rows, delta)) - exact).abs().max())
    assert 3.8 < found[0] / found[1] < 4.2 and found[1] < 0.2


def test_the_stored_run_shows_what_chapter_6_says():
    """From rest: less lag with more epochs, and a frozen copy that stays. From where training
    ended: the excess at the end is the frozen copy's. Slopes of few epochs let γ fall too far, with
    C held.
    """
    record, settings = stored("exact_network"), rest.Exact()
    made = record["provenance"]
    assert made["arguments"] == settings.arguments() and made["parameters"] == 1758
    check(record, settings)
    points, turn = record["exact"]["points"], len(record["exact"]["points"]) - 1

    def mean(start, prices, epochs, name, row):
        found = [
            r["rows"][name][row]
            for r in record["runs"]
            if (r["start"], r["prices"], r["epochs"]) == (start, prices, epochs)
        ]
        assert len(found) == 3
        return sum(found) / 3

    gaps = [mean("rest", "prices", n, "D", turn) - points[-1]["D"] for n in settings.epochs]
    assert all(0 < b < 0.85 * a for a, b in zip(gaps, gaps[1:])) and gaps[0] < 4.2 * gaps[-1]
    assert mean("rest", "frozen", 192, "F", -1) - points[0]["F"] < 3e-5
    for n in settings.epochs:
        ends = [mean("trained", how, n, "F", -1) - points[0]["F"] for how in ("prices", "frozen")]
        assert ends[0] == pytest.approx(ends[1], rel=0.02)
    gammas = [mean("rest", "law", n, "gam", turn) for n in settings.epochs]
    assert gammas == sorted(gammas) and gammas[-1] < points[-1]["gam"]
    assert (5 - gammas[0]) > 5 * (5 - points[-1]["gam"])
    for run in record["runs"]:
        assert run["prices"] != "law" or run["worst"] < 0.033
        if "turn" in run and run["start"] == "rest":
            assert abs(run["turn"]["F_apart"]) < 1e-8 and run["turn"]["theta_apart"] < 1e-6


def test_loops_of_networks_have_a_frozen_control_and_models_from_scratch(tmp_path):
    """At tiny size: stages there and back, as many of the control, epochs of the path's own."""
    settings = reproduce.Loops(
        data="digits", images_used=None, hidden=8, codes=3, batch_size=100,
        start_epochs=15, lam=0.25, lam_end=0.3, stages=1, gammas=[4.0], seeds=[0], lengths=[3],
        rested=18, options=dict(tolerance=0.5, band=2.0, corrections=1, station=9),
    )  # fmt: skip
    record = reproduce.loops(settings, None, tmp_path, progress=False)
    (run,) = record["runs"]
    (fresh,) = record["scratch"]
    (rested,) = record["rested"]
    assert rested["rows"]["lam"] == run["rows"]["lam"] and len(rested["frozen"]["lam"]) >= 3
    assert rested["trained"] == 18 + rested["rows"]["own"][-1]
    assert run["rows"]["lam"] == pytest.approx([0.25, 0.3, 0.25]) and not run["stopped"]
    # of every measurement one copy is the path's own network, trained on
    stages = 3 + sum(run["rows"]["corrections"]) + len(run["slopes"])
    assert run["trained"] == 15 + 3 * stages
    assert run["frozen"]["lam"] == [0.25] * stages and run["frozen"]["gam"] == [4.0] * stages
    assert len(run["still"]) == 2
    off = [
        abs(math.log(c / run["rows"]["classification"][0])) for c in run["rows"]["classification"]
    ]
    assert run["worst"] == pytest.approx(max(off), rel=1e-3) and len(run["slopes"]) >= 1
    assert fresh["lam"] == pytest.approx(0.3) and fresh["gam"] == run["rows"]["gam"][1]


def test_stored_loops_are_not_at_rest():
    """Chapter 6's words on a tenth of MNIST: budgets are equal, C is held, frozen copies go on
    learning, models from scratch lie lower, and where γ starts at 8 its rise shrinks with longer
    equilibrations.
    """
    record = stored("loops")
    arguments = record["provenance"]["arguments"]
    assert [(r["epochs"], r["gam"], r["seed"]) for r in record["runs"]] == [
        (n, g, s)
        for n in arguments["lengths"]
        for g in arguments["gammas"]
        for s in arguments["seeds"]
    ]
    rise, above, slopes = {}, {}, {8.0: [], 4.0: []}
    for run, fresh in zip(record["runs"], record["scratch"], strict=True):
        row, frozen, n, g = run["rows"], run["frozen"], run["epochs"], run["gam"]
        k = row["lam"].index(max(row["lam"]))
        assert not run["stopped"] and run["trained"] == arguments["start_epochs"] + row["own"][-1]
        assert len(frozen["F"]) * n == row["own"][-1] and set(frozen["gam"]) == {g}
        assert fresh["beside"] == f"scratch_g{g:g}_n{n}_s{run['seed']}"
        assert (fresh["lam"], fresh["gam"]) == pytest.approx((row["lam"][k], row["gam"][k]))
        held = [abs(math.log(c / row["classification"][0])) for c in row["classification"]]
        assert max(held) == pytest.approx(run["worst"], rel=1e-3) and run["worst"] < 0.15
        assert run["slopes"][0]["slopes"][1][0] < 0 and row["gam"][1] < g
        assert frozen["F"][-1] < frozen["F"][0] - 0.4 and row["F"][k] > fresh["F"] + 3
        assert frozen["classification"][-1] < 0.7 * row["classification"][0]
        (at_turn,) = (s["slopes"][1][0] for s in run["slopes"] if s["lam"] == 3.5)
        slopes[g].append(at_turn)
        rise.setdefault((g, n), []).append(row["gam"][k] - min(row["gam"][: k + 1]))
        above.setdefault((g, n), []).append(row["F"][k] - fresh["F"])
    assert min(rise[8, 3]) > 1.1 and max(rise[8, 48]) < 0.4
    assert min(slopes[8]) > 0 > max(slopes[4])
    # from a start of 2,000 epochs: nearer to rest, γ falls further, and F is above models from
    # scratch with a twelfth of its epochs
    fresh = {f["beside"]: f for f in record["scratch"]}
    for run in record["rested"]:
        row, frozen = run["rows"], run["frozen"]
        k = row["lam"].index(max(row["lam"]))
        assert not run["stopped"] and run["trained"] == 2000 + row["own"][-1] and run["worst"] < 0.1
        assert 0.05 < frozen["F"][-1] - row["F"][0] < 0.15 and min(row["gam"]) < 4
        assert row["F"][k] > fresh[f"scratch_g8_n3_s{run['seed']}"]["F"] + 7
        assert row["gam"][k] > min(row["gam"][: k + 1]) + 1
        assert all(s["slopes"][1][0] < 0 for s in run["slopes"] if s["lam"] in (0.25, 3.5))
    for g in (8, 4):
        assert min(above[g, 3]) > max(above[g, 12]) and min(above[g, 12]) > max(above[g, 48])


def check(record, settings):
    """What holds whatever the numbers: rest and C along the exact path, concavity, the identity of
    sums, a certificate for every run, and nothing below the minimum that `fe.minimise` finds.
    """
    exact, points = record["exact"], record["exact"]["points"]
    assert all(q["gradient_norm"] < 1e-9 and q["curvature"] > 0 for q in points)
    assert exact["lowest"] > 0 and max(abs(q["C"] / points[0]["C"] - 1) for q in points) < 1e-8
    assert all(b["R"] > a["R"] and b["D"] < a["D"] for a, b in zip(points, points[1:]))
    assert all(q["slopes"][0][0] < 0 and q["slopes"][1][1] < 0 for q in points)
    wanted = {(s, n, *run) for s in settings.seeds for n in settings.epochs for run in rest._RUNS}
    assert {(r["seed"], r["epochs"], r["start"], r["prices"]) for r in record["runs"]} == wanted
    for run in record["runs"]:
        c = {k: torch.tensor(v, dtype=torch.float64) for k, v in run["rows"].items()}
        mean = lambda v: (v[1:] + v[:-1]) / 2
        paid = (mean(c["D"]) * c["lam"].diff() + mean(c["C"]) * c["gam"].diff()).sum()
        assert run["work"] == pytest.approx(float(c["F"][-1] - c["F"][0] - paid), abs=1e-7)
        assert run["worst"] >= 0 and run["promised"] >= 0 and (c["gradient_norm"] > 0).all()
        if run["prices"] == "prices":
            there = [q["lam"] for q in [*points, *points[-2::-1]]]
            assert c["lam"].tolist() == pytest.approx(there)
        for place in ("turn", "end"):
            assert run.get(place, dict(excess=0))["excess"] >= -1e-9
        assert run["prices"] != "frozen" or len(set(run["rows"]["gam"])) == 1
