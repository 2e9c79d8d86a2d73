"""The long runs: the small setting end to end, the stored result against a fresh computation, and unwritable folders."""

import json
import pathlib

import pytest
import torch

import fe
from fe import reproduce

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_the_command_line(tmp_path, monkeypatch, capsys):
    tiny = dict(n=60, grid=9, features=2, lam_end=0.3, progress=False)
    monkeypatch.setitem(reproduce.RUNS, "digits-path", (reproduce.digits_path, {"small": tiny}))
    reproduce.main(["digits-path", "--scale", "small", "--out", str(tmp_path)])
    assert [f.name for f in tmp_path.iterdir()] == ["digits_path_small.json"] and "wrote" in capsys.readouterr().out


def test_a_small_run_and_its_file(tmp_path):
    record = reproduce.digits_path(n=60, grid=9, features=2, lam_end=0.4, progress=False)
    reproduce.save_json(tmp_path / "deep" / "run.json", record)
    again = json.loads((tmp_path / "deep" / "run.json").read_text())
    assert again == record and again["points"][-1]["lam"] == pytest.approx(0.4)
    c = [q["C"] for q in again["points"]]
    assert max(abs(v / c[0] - 1) for v in c) < 1e-8


def test_an_unwritable_folder_is_named(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(OSError, match="--out"):
        reproduce.save_json(blocker / "run.json", {})


@pytest.fixture(scope="module")
def stored():
    return json.loads((ROOT / "results" / "digits_path.json").read_text())


def test_stored_path_keeps_c_and_is_at_equilibrium(stored):
    points, jumps = stored["points"], stored["jumps"]
    arguments = stored["provenance"]["arguments"]
    assert arguments["n"] >= 1000 and stored["provenance"]["parameters"] >= 1000
    assert points[0]["lam"] == pytest.approx(0.25) and points[-1]["lam"] == pytest.approx(3.5)
    for q in points:
        assert abs(q["C"] / points[0]["C"] - 1) < 1e-8 and q["gradient_norm"] <= 1e-10
        assert q["F_gg"] < 0 and q["F_ll"] * q["F_gg"] >= q["F_lg"] ** 2  # Hess F ⪯ 0
        ridge = q["F"] - q["R"] - q["lam"] * q["D"] - q["gam"] * q["C"]
        assert ridge > 0  # R + λD + γC is F without the ridge
    assert len(jumps) >= 1
    for j in jumps:
        assert abs(j["before"]["curvature"]) < 1e-5 < j["after"]["curvature"]
        assert abs(j["after"]["C"] / points[0]["C"] - 1) < 1e-8


def test_stored_path_starts_where_a_fresh_run_does(stored):
    """The first stored points again, from the arguments in the file."""
    a = stored["provenance"]["arguments"]
    x, y = fe.digits(a["n"], seed=a["seed"])
    J = fe.TopographicMap(x, y, grid=a["grid"], features=a["features"], ridge=a["ridge"])
    p = torch.tensor([a["lam"], a["gam"]])
    path = fe.follow(J, J.initial(), p, fe.Conserve(fe.process.classification), 0.04, step=0.0325, preconditioner=J.preconditioner)
    for q, name in ((path.points[0], 0), (path.points[-1], None)):
        if name is None:
            # the same curve at another λ: interpolate between stored neighbours with their slopes
            rows = stored["points"]
            i = max(i for i, r in enumerate(rows) if r["lam"] <= float(q.p[0]) and r["lam"] < rows[0]["lam"] + 0.06)
            row = rows[i]
            slope = -row["F_lg"] / row["F_gg"]
            assert abs(float(q.p[1]) - row["gam"] - slope * (float(q.p[0]) - row["lam"])) < 1e-3
        else:
            row = stored["points"][name]
            # another machine or torch may round otherwise; both are minima to ‖∇J‖ ≤ 1e-10
            assert q.value == pytest.approx(row["F"], rel=1e-8) and q.rate == pytest.approx(row["R"], rel=1e-6)
            assert q.distortion == pytest.approx(row["D"], rel=1e-6) and q.classification == pytest.approx(row["C"], rel=1e-6)
