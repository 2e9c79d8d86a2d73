"""A network retrained along its exact path: the run at tiny size, and the invariants of the stored
one.
"""

import pytest
import torch

import fe
from fe.reproduce import rest

TINY = rest.Exact(
    n=20, classes=2, hidden=1, codes=1, draws=1, ridge=0.5, lam_end=2.2, start_epochs=30,
    epochs=[1, 2], batch_size=10, seeds=[0],
)  # fmt: skip


def test_stopped_between_parts_the_result_is_the_same(tmp_path, monkeypatch):
    whole = rest.exact_network(TINY, folder=tmp_path / "a", progress=False)
    going, stopped = rest.retrained, []

    def stop(*a, **b):
        if len(stopped) == 1:
            raise KeyboardInterrupt
        stopped.append(1)
        return going(*a, **b)

    monkeypatch.setattr(rest, "retrained", stop)
    with pytest.raises(KeyboardInterrupt):
        rest.exact_network(TINY, folder=tmp_path / "b", progress=False)
    monkeypatch.setattr(rest, "exact_path", None)  # is not asked for again
    monkeypatch.setattr(rest, "retrained", going)
    again = rest.exact_network(TINY, folder=tmp_path / "b", progress=False)
    assert again["exact"] == whole["exact"] and again["runs"] == whole["runs"]
    check(whole, TINY)


def test_training_with_fixed_noise_stays_at_the_minimum():
    """From the exact minimum 40 epochs end where they began, to what minibatches leave; kicked, the
    network comes back. Each member is the network trained alone.
    """
    J = rest.objective(TINY)
    p = J.x.new_tensor([2.0, 5.0])
    e = fe.minimise(J, J.theta0, p)
    kick = 0.03 * torch.randn(len(e.theta), generator=torch.Generator().manual_seed(0)).to(p)
    both = torch.stack([e.theta, e.theta + kick])
    out = rest.train(J, both, p.repeat(2, 1), 40, (0, 1), 10)
    excess = [float(J(t, p)) - e.value for t in (both[1], *out)]
    assert 0 <= excess[1] < 0.01 * excess[0] and excess[2] < 0.2 * excess[0]
    alone = rest.train(J, both[1:], p[None], 40, (0, 1), 10)
    torch.testing.assert_close(alone[0], out[1], rtol=1e-9, atol=1e-9)


def test_slopes_of_an_exact_free_energy():
    """∂(D, ln C)/∂(ln λ, ln γ) by differences and from Hess F, where F = −λ²γ/2 − λγ²: the error of
    central differences is of second order.
    """
    F = lambda p: -(p[0] ** 2 * p[1] / 2 + p[0] * p[1] ** 2) + 40 * p.sum()
    p, found = torch.tensor([2.0, 3.0], dtype=torch.float64), []
    D, C = torch.func.grad(F)(p).tolist()
    exact = torch.tensor(rest.log_slopes(torch.func.hessian(F)(p), p, C))
    for delta in (0.2, 0.1):
        rows = [dict(zip("DC", torch.func.grad(F)(q).tolist())) for q in rest.shifted(p, delta)]
        found.append((torch.tensor(rest.slopes(rows, delta)) - exact).abs().max())
    assert 3.5 < found[0] / found[1] < 4.5 and found[1] < 0.1


def check(record, settings):
    """What holds whatever the numbers: rest and C along the exact path, concavity, the first law
    there and back, the identity of sums, a certificate for every run.
    """
    for exact in record["exact"]:
        points = exact["points"]
        assert all(q["gradient_norm"] < 1e-9 and q["curvature"] > 0 for q in points)
        assert max(abs(q["C"] / points[0]["C"] - 1) for q in points) < 1e-8
        assert all(b["R"] > a["R"] and b["D"] < a["D"] for a, b in zip(points, points[1:]))
        assert all(q["slopes"][0][0] < 0 and q["slopes"][1][1] < 0 for q in points)
        assert min(exact["lowest"]) > 0
    wanted = {(s, n, *run) for s in settings.seeds for n in settings.epochs for run in rest.RUNS}
    assert {(r["seed"], r["epochs"], r["start"], r["prices"]) for r in record["runs"]} == wanted
    for run in record["runs"]:
        (exact,) = [e for e in record["exact"] if e["seed"] == run["seed"]]
        rows = {k: torch.tensor(v, dtype=torch.float64) for k, v in run["rows"].items()}
        mean = lambda v: (v[1:] + v[:-1]) / 2
        paid = mean(rows["D"]) * rows["lam"].diff() + mean(rows["C"]) * rows["gam"].diff()
        assert run["work"] == pytest.approx(
            float(rows["F"][-1] - rows["F"][0] - paid.sum()), abs=1e-7
        )
        assert run["worst"] >= 0 and run["promised"] >= 0
        points = exact["points"]
        if run["prices"] == "prices":
            there = [*points, *points[-2::-1]]
            assert rows["lam"].tolist() == pytest.approx([q["lam"] for q in there])
            if run["epochs"] in (settings.epochs[0], settings.epochs[-1]):
                assert run["turn"]["excess"] >= -1e-9 and run["end"]["excess"] >= -1e-9
        if run["prices"] == "frozen":
            assert len(set(run["rows"]["gam"])) == 1
