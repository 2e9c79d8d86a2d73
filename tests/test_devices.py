"""Without a GPU: torch's default device is one on which nothing can be read, every input lies on
the CPU, and every public call still works.

A tensor of our own that is made without a device, or a generator for the wrong one, fails at once.
What is on a GPU behaves so where
the default is the CPU.
"""

import numpy as np
import pytest
import torch

import fe
from fe import data, experiments, gibbs, plot, process, reproduce, sampling, tasks, transport
from fe.gauss_newton import network_response
from fe.retraining import Retraining, iso_classification
from fe.training import Ensemble, evaluate, refresh_statistics, train_ensemble
from fe.transfer import GeodesicLaw, transfer

X, Y = fe.digits(60)
P, CPU = torch.tensor([0.5, 4.0]), dict(dtype=torch.float64, device="cpu")
MAP = fe.TopographicMap(X, Y, grid=7, features=2, ridge=1e-2)


@pytest.fixture(autouse=True)
def nothing_by_default():
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def test_data():
    x, y = fe.digits(20, classes=range(3))
    assert x.device.type == y.device.type == "cpu" and y.max() < 3


def test_data_of_ones_own(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((4, 3)), y=np.array([0, 1, 0, 1]))
    x, y = data.npz(tmp_path / "a.npz")
    assert x.device.type == y.device.type == "cpu" and float(x.sum()) == 12


def test_exact_models():
    e = fe.minimise(MAP, MAP.initial(), P, preconditioner=MAP.preconditioner)
    f = fe.functionals(MAP, e.theta, P)
    assert float(f.rate) == pytest.approx(float(MAP.bare_rate(e.theta, P) + MAP.penalty(e.theta)))
    r = fe.linear_response(MAP, e.theta, P)
    assert (
        torch.isfinite(r.hess).all()
        and torch.isfinite(fe.dense_response(fe.Ridge(MAP, 0.1), e.theta, P)[1]).all()
    )
    path = fe.follow(
        MAP,
        e.theta,
        P,
        fe.Conserve(process.classification),
        0.05,
        preconditioner=MAP.preconditioner,
    )
    assert path["classification"][-1] == pytest.approx(path["classification"][0])
    assert MAP.predict(e.theta, P).shape == (60, 10)
    e = fe.LinearGaussian(torch.diag(torch.tensor([3.0, 0.8, 0.5], **CPU)), 2, 2)
    assert float(fe.minimise(e, e.initial(0), P).value) == pytest.approx(float(e.free_energy(P)))
    assert (
        e.active(P) >= 1
        and len(e.thresholds(gam=0.8))
        and torch.isfinite(e.hessian(P)).all()
        and e.null_directions(P) >= 0
    )


def test_finite_alphabets():
    p_x, energy = torch.full((4,), 0.25, **CPU), torch.rand(4, 3, **CPU)
    point = fe.blahut_arimoto(p_x, energy)
    assert float(
        fe.rate_distortion.rate(p_x, point.encoder, point.marginal / point.marginal.sum())
    ) == pytest.approx(float(point.rate))
    assert (
        fe.rate_distortion_curve(p_x, energy, torch.tensor([0.5, 1.0], device="cpu"))
        .rate.isfinite()
        .all()
    )
    listed = fe.rate_distortion_curve([0.25] * 4, energy.tolist(), [0.5, 1.0])
    assert torch.equal(
        listed.rate, fe.rate_distortion_curve(p_x, energy, torch.tensor([0.5, 1.0], **CPU)).rate
    )
    model = fe.TabularModel(p_x, torch.tensor([0, 1, 0, 1], device="cpu"), 3, 2, ridge=0.1)
    assert fe.minimise(model, model.initial(0), P).gradient_norm < 1e-9


def test_grids_and_sampling():
    decoder, classifier = torch.nn.Linear(1, 64, **CPU), torch.nn.Linear(1, 10, **CPU)
    grid = fe.uniform_grid(80, 1, device="cpu")
    J = fe.GibbsObjective(decoder, classifier, X, Y, grid, ridge=0.1)
    assert (
        torch.isfinite(J(J.theta0, P))
        and len(J.terms(J.theta0, P)) == 3
        and fe.gauss_hermite(5, 2, device="cpu").nodes.shape == (25, 2)
    )
    random, p = torch.Generator("cpu").manual_seed(0), torch.tensor([0.01, 0.1], device="cpu")
    joint, z = (
        gibbs.log_joint(decoder, classifier, X, Y, p),
        torch.randn(50, 60, 1, generator=random, **CPU),
    )
    found = fe.annealed_importance_sampling(
        sampling.log_standard_normal, joint, z, [0, 0.5, 1], random, step_size=0.1
    )
    back = fe.reverse_annealed(
        sampling.log_standard_normal, joint, found.samples, [0, 0.5, 1], random, step_size=0.1
    )
    near = fe.importance_sampling(joint, z[0], torch.ones(60, 1, **CPU), 50, random, min_ess=0)
    assert all(v.log_z.isfinite().all() for v in (found, back, near))


def test_tasks():
    half = (X[:30], Y[:30] % 2), (X[30:], Y[30:] % 2)
    plan = transport.optimal_plan(half[0][0], half[1][0])
    assert (
        transport.partners(plan) == pytest.approx(1.0)
        and len(tasks.plan_by_class(half[0], half[0]).i) == 30
    )
    tasks.align_labels(*half), fe.sinkhorn_plan(half[0][0], half[1][0], blur=0.5)
    for task in (fe.Mixture(*half), fe.Displacement(*half, plan, n_classes=10)):
        J = fe.TaskObjective(MAP, task)
        assert (
            torch.isfinite(J(MAP.initial(), torch.tensor([0.5, 4.0, 0.3], **CPU)))
            and task.sample(0.3, 20)[0].device.type == "cpu"
        )


def test_amortised_training():
    """The same numbers as where the default is the CPU: the order of the minibatches is a function
    of the seed alone.
    """
    x, found = X.float(), []
    for default in ("meta", "cpu"):
        torch.set_default_device(default)
        modules = experiments.networks(
            experiments.SMALL | dict(hidden=8, codes=2, dropout=0.1), x, Y, 0
        )[0]
        history = fe.train(*modules, x, Y, (0.5, 4.0), 2, 20, fe.schedule, 0)
        noise = torch.randn(
            2,
            60,
            2,
            generator=torch.Generator("cpu").manual_seed(0),
            dtype=torch.float32,
            device="cpu",
        )
        J = fe.AmortisedObjective(*modules, x, Y, noise, ridge=0.1)
        response = network_response(J, J.theta0, P.float(), damping=0.1)
        gap = fe.free_energy_gap(
            J, J.theta0, P.float(), grid=fe.uniform_grid(40, 2, dtype=torch.float32, device="cpu")
        )
        found.append(
            torch.stack([*history]).flatten().tolist()
            + response.hess.flatten().tolist()
            + gap.tolist()
        )
    assert found[0] == found[1]


@pytest.mark.parametrize("M", [1, 3])
def test_ensembles(M):
    x, settings = X.float(), experiments.SMALL | dict(hidden=8, codes=2, dropout=0.1)
    ensemble = Ensemble([experiments.networks(settings, x, Y, 0)[0]] * M)
    train_ensemble(ensemble, x, Y, [0.5] * M, 4.0, 2, 1e-3, 0, batch_size=20)
    refresh_statistics(ensemble, x, Y)
    assert evaluate(ensemble, x, Y).rate.isfinite().all()


def test_processes_of_networks():
    x = X.float()
    settings, hard = experiments.SMALL | dict(hidden=8, codes=2), dict(tolerance=9.0, band=9.0)
    run = Retraining(experiments.networks(settings, x, Y, 0), x, Y, (x, Y), epochs=2, batch_size=20)
    try:
        iso_classification(
            run,
            0.5,
            4.0,
            0.55,
            start_epochs=20,
            settle=(9.0, 9.0),
            **hard,
            on_station=lambda d: run.linear_response(0.5, 4.0, 30, 2),
        )
    except fe.retraining.ConstraintLost as e:
        assert "does not answer" in str(e)
    task = fe.Mixture((x[:30], Y[:30]), (x[30:], Y[30:]))
    try:
        transfer(run, task, 0.5, 4.0, [0.0, 0.5, 1.0], GeodesicLaw(1.0), size=30, **hard)
    except fe.retraining.ConstraintLost as e:
        assert "does not answer" in str(e)


def test_jobs_of_the_figures():
    """From the data to the plain numbers, as the command line runs them."""
    small = dict(hidden=8, codes=2, start_epochs=4, epochs=1)
    options = dict(step=0.5, max_step=0.5, tolerance=9.0, band=99.0, settle=(1e3, 1e3))
    path = (
        experiments.SMALL
        | small
        | dict(lam_end=2.5, compare=[[5.0, 0]], repeats=2, images=50, options=options)
    )
    assert (
        experiments.path_job(path, 5.0, 0)["rows"]
        and experiments.relaxation_job(path, 0, epochs=2)["moves"]
    )
    task = (
        experiments.SMALL5
        | small
        | dict(size=100, steps=2, plan_images=200, options=dict(tolerance=9.0, band=99.0))
    )
    for kind in task["kinds"]:
        assert experiments.transfer_job(task, kind, 0)["runs"]["fixed"]["rows"]
    assert reproduce.digits_path(n=40, grid=7, features=2, lam_end=0.3, progress=False)["points"]
    assert plot.images(X[:3])
