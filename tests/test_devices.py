"""Without a GPU: torch's default device is one on which nothing can be read, every input lies on
the CPU, and every call that the book or the README makes still works.

A tensor of our own that is made without a device, or a generator for the wrong one, fails at once.
What is on a GPU behaves so where the default is the CPU.
"""

import ast
import concurrent.futures
import pathlib

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from test_names import MODULES, names_of_fe, public, users
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

import fe
from fe import (
    gibbs,
    plot,
    reproduce,
    tasks,
    transport,
)
from fe.amortised import kl_to_standard_normal
from fe.book import notebook
from fe.book.sliders import explore, live
from fe.processes import (
    ConstraintLost,
    FreeEnergyRate,
    finite_differences,
    iso_classification,
    walk,
)
from fe.rate_distortion import entropy, expected
from fe.reproduce import figures, images
from fe.reproduce.curvature import network_response, predicted_decrease
from fe.response import (
    Local,
    check_stability,
    conjugate_gradient,
    smallest_eigenpair,
)
from fe.retraining import Retraining, Row, Stage
from fe.training import (
    Ensemble,
    evaluate,
    generator,
    refresh_statistics,
    step_decay,
    train_ensemble,
)

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
    x, y = images.npz(tmp_path / "a.npz")
    assert x.device.type == y.device.type == "cpu" and float(x.sum()) == 12


def test_exact_models():
    e = fe.minimise(MAP, MAP.initial(), P)
    f = fe.functionals(MAP, e.theta, P)
    assert float(f.rate) == pytest.approx(float(MAP.bare_rate(e.theta, P) + MAP.penalty(e.theta)))
    for quantity in (fe.rate, fe.distortion, fe.classification):
        value = getattr(f, quantity.__name__)
        assert float(quantity(MAP, e.theta, P)) == pytest.approx(float(value))
    r = fe.linear_response(MAP, e.theta, P)
    assert (
        torch.isfinite(r.hess).all()
        and torch.isfinite(Local(fe.Ridge(MAP, 0.1), e.theta, P).hvp(e.theta)).all()
    )
    path = fe.follow(MAP, e.theta, P, fe.Conserve(fe.classification), 0.05)
    assert path["classification"][-1] == pytest.approx(path["classification"][0])
    assert MAP.predict(e.theta, P).shape == (60, 10)
    e = fe.LinearGaussian(torch.diag(torch.tensor([3.0, 0.8, 0.5], **CPU)), 2, 2)
    assert float(fe.minimise(e, e.initial(0), P).value) == pytest.approx(float(e.free_energy(P)))
    assert e.active(P) >= 1 and len(e.thresholds(gam=0.8)) and torch.isfinite(e.hessian(P)).all()


def test_laws_and_what_response_is_made_of():
    e = fe.minimise(MAP, MAP.initial(), P)
    local = Local(MAP, e.theta, P)
    b = torch.ones_like(e.theta)
    check_stability(local)
    assert smallest_eigenpair(local.hvp, b)[0] > 0
    assert conjugate_gradient(local.hvp, b[:, None])[0].isfinite().all()
    half = (X[:30], Y[:30]), (X[30:], Y[30:])
    J = fe.TaskObjective(MAP, fe.Mixture(*half))
    start = fe.minimise(J, e.theta, torch.tensor([0.5, 4.0, 0.0], **CPU), tol=1e-8)
    for law in (fe.QuasiStatic((0.0, 0.0, 1.0)), fe.Geodesic(k=0.0)):
        path = fe.follow(J, start.theta, start.p, law, 0.05)
        assert path["rate"][0] == pytest.approx(float(fe.rate(J, start.theta, start.p)))


def test_finite_alphabets():
    p_x, energy = torch.full((4,), 0.25, **CPU), torch.rand(4, 3, **CPU)
    point = fe.blahut_arimoto(p_x, energy)
    assert float(
        fe.rate_distortion.rate(p_x, point.encoder, point.marginal / point.marginal.sum())
    ) == pytest.approx(float(point.rate))
    assert torch.equal(fe.blahut_arimoto([0.25] * 4, energy.tolist()).rate, point.rate)


def test_sums_over_an_alphabet():
    p_x, e = torch.full((4,), 0.25, **CPU), torch.softmax(torch.rand(4, 3, **CPU), 1)
    assert 0 < float(fe.rate_distortion.rate(p_x, e, p_x @ e)) < float(entropy(p_x))
    assert float(expected(p_x, e, e)) > 0
    log_m, d, c = e[0].log(), gibbs.log_d(X, X[:3]), gibbs.log_c(Y, torch.zeros(3, 10, **CPU))
    law = torch.softmax(log_m + P[0] * d + P[1] * c, 1)
    with pytest.raises(fe.GridTooCoarse):
        gibbs.check_resolution(law, gibbs.Grid(X[:3, 10:11], log_m))


def test_grids():
    decoder, classifier = torch.nn.Linear(1, 64, **CPU), torch.nn.Linear(1, 10, **CPU)
    grid = fe.uniform_grid(80, 1, device="cpu")
    J = fe.GridModel(decoder, classifier, X, Y, grid, ridge=0.1)
    assert torch.equal(fe.flatten(decoder, classifier)[0], J.theta0)
    assert (
        torch.isfinite(J(J.theta0, P))
        and J.posterior(J.theta0, P).isfinite().all()
        and gibbs.gauss_hermite(5, 2, device="cpu").nodes.shape == (25, 2)
    )


def test_tasks():
    half = (X[:30], Y[:30] % 2), (X[30:], Y[30:] % 2)
    plan = transport.optimal_plan(half[0][0], half[1][0])
    assert len(tasks.plan_by_class(half[0], half[0]).i) == 30
    tasks.align_labels(*half)
    for task in (fe.Mixture(*half), fe.Displacement(*half, plan, n_classes=10)):
        J = fe.TaskObjective(MAP, task)
        assert (
            torch.isfinite(J(MAP.initial(), torch.tensor([0.5, 4.0, 0.3], **CPU)))
            and tasks.training_set(task, 0.3, 20)[0].device.type == "cpu"
        )


def test_amortised_training():
    """The same numbers as where the default is the CPU: the order of the minibatches is a function
    of the seed alone.
    """
    x, found = X.float(), []
    for default in ("meta", "cpu"):
        torch.set_default_device(default)
        modules = reproduce.networks(
            reproduce.SMALL | dict(hidden=8, codes=2, dropout=0.1), x, Y, 0
        )[0]
        one = Ensemble([modules])
        history, modules = (
            train_ensemble(one, x, Y, 0.5, 4.0, 2, fe.schedule, batch_size=20),
            one[0],
        )
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
        assert predicted_decrease(J, J.theta0, P.float()) > 0
        gap = fe.free_energy_gap(
            J, J.theta0, P.float(), grid=fe.uniform_grid(40, 2, dtype=torch.float32, device="cpu")
        )
        found.append(history.flatten().tolist() + response.hess.flatten().tolist() + gap.tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("M", [1, 3])
def test_ensembles(M):
    x, settings = X.float(), reproduce.SMALL | dict(hidden=8, codes=2, dropout=0.1)
    ensemble = Ensemble([reproduce.networks(settings, x, Y, 0)[0]] * M)
    train_ensemble(ensemble, x, Y, [0.5] * M, 4.0, 2, 1e-3, 0, batch_size=20)
    refresh_statistics(ensemble, x, Y)
    assert evaluate(ensemble, x, Y).rate.isfinite().all()


def test_processes_of_networks():
    x = X.float()
    settings, hard = reproduce.SMALL | dict(hidden=8, codes=2), dict(tolerance=9.0, band=9.0)
    network = reproduce.networks(settings, x, Y, 0)
    run = Retraining(
        network, (x, Y), dict(val=(x, Y)), batch_size=20, on_progress=notebook.progress_bar()
    )
    assert (
        run.follow(finite_differences(0.5, 4.0, 2)).slopes and generator(1, 2).device.type == "cpu"
    )
    hard |= dict(epochs=2)
    try:
        run.follow(iso_classification(0.5, 4.0, 0.55, start_epochs=20, settle=(9.0, 9.0), **hard))
    except ConstraintLost as e:
        assert "does not answer" in str(e)
    task = fe.Mixture((x[:30], Y[:30]), (x[30:], Y[30:]))
    run = Retraining(network, lambda t: task.sample(t, 30), batch_size=20)
    try:
        run.follow(walk((0.5, 4.0, 0.0), fe.Geodesic(1.0), [0.0, 0.5, 1.0], **hard))
    except ConstraintLost as e:
        assert "does not answer" in str(e)

    def by_hand():
        yield Stage(0.5, 4.0, 1, t=0.0)
        yield Row({})
        return (yield FreeEnergyRate(0.0, 0.1, 0.5, 4.0))["F_t"]

    run = Retraining(network, lambda t: task.sample(t, 30), batch_size=20)
    assert abs(run.follow(by_hand())) < 1e3


def test_jobs_of_the_figures():
    """From the data to the plain numbers, as the command line runs them."""
    small = dict(hidden=8, codes=2, start_epochs=2, epochs=1, images_used=300)
    options = dict(step=0.5, tolerance=9.0, band=99.0, settle=(1e3, 1e3))
    path = (
        reproduce.SMALL
        | small
        | dict(lam_end=2.5, compare=[[5.0, 0]], repeats=2, images=50, options=options)
    )
    assert (
        reproduce.path_job(path, 5.0, 0)["rows"]
        and reproduce.relaxation_job(path, 0, epochs=2)["moves"]
    )
    task = (
        reproduce.SMALL5
        | small
        | dict(size=100, steps=2, plan_images=200, options=dict(tolerance=9.0, band=99.0))
    )
    for kind in task.kinds:
        assert reproduce.transfer_job(task, kind, 0)["runs"]["fixed"]["rows"]
    few = reproduce.Digits(n=40, grid=7, features=2, lam_end=0.3)
    assert reproduce.digits_path(few, progress=False)["points"]
    assert plot.images(X[:3])


def test_jobs_on_exact_paths_and_loops():
    small = dict(hidden=8, codes=2, start_epochs=2, images_used=300, data="digits", stages=1)
    loop = reproduce.Loops() | small | dict(options=dict(tolerance=9.0, band=99.0))
    assert np.isfinite(reproduce.loop_job(loop, 5.0, 0, 1)["work"])
    assert reproduce.scratch_job(loop | dict(epochs=1), 0.5, 4.0, 0)["F"] < 1e3
    assert reproduce.frozen_job(loop | dict(epochs=1), 4.0, 0, 1)["rows"]
    exact = dict(n=20, classes=2, hidden=1, codes=1, draws=1, ridge=0.5, lam_end=2.2, seeds=[0])
    exact |= dict(start_epochs=30, epochs=[1], batch_size=10)
    assert reproduce.exact_network(reproduce.Exact(**exact), progress=False)["runs"]


def test_a_network_that_comes_with_the_book():
    ensemble, about = reproduce.state("fig5_aligned_s0_held")
    x = torch.zeros(2, about["pixels"], dtype=torch.float32, device="cpu")
    assert evaluate(ensemble, x, torch.zeros(2, dtype=int, device="cpu")).rate.isfinite().all()


def test_parts_of_the_experiments(tmp_path):
    (x, y), _ = reproduce.load(reproduce.SMALL)
    settings = reproduce.SMALL5 | dict(size=100, plan_images=200)
    task = reproduce.task_of(settings, settings.kinds[0])[0]
    assert (
        task.sample(0.5, 10)[0].device.type == x.device.type == "cpu" and 0 < step_decay(1, 10) < 1
    )
    with torch.device("cpu"):  # as torch's own, they are made on the default device
        encoder, decoder, classifier = (
            fe.Encoder((64, 8, 2)),
            fe.Decoder((2, 8, 64)),
            fe.Classifier((2, 8, 10)),
        )
    mu, log_sigma = encoder.float()(x[:20])
    assert kl_to_standard_normal(mu, log_sigma).shape == (20,)
    assert decoder.float()(mu).shape == (20, 64) and classifier.float()(mu).shape == (20, 10)
    assert transport.squared_distances(x[:3], x[:4]).shape == (3, 4)
    tiny = reproduce.SMALL | dict(seeds=[0], hidden=8, codes=2, start_epochs=2, images_used=300)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        record = reproduce.save(tmp_path / "fig4a.json", "fig4a", tiny, pool, progress=False)
    assert record["runs"]


def test_what_notebooks_call(monkeypatch, capsys):
    monkeypatch.delenv("FE_SCALE", raising=False)
    assert notebook.start(device="cpu")[0].type == "cpu" and notebook.own()
    draw = lambda a: plt.subplots(figsize=(2, 1))[0]
    assert live(draw, [1.0, 2.0], "a", "nothing at {value}", name="a").data and explore(
        draw, a=(0, 2, 1)
    )
    assert figures.fig2(notebook.results("fig2.json")) and figures.fig4b(
        notebook.results("fig2.json")
    )
    assert figures.fig4a(notebook.results("fig4a.json"))
    record = notebook.results("fig5.json")
    kind, runs = record["runs"][0]["kind"], record["runs"][0]["runs"]
    assert figures.transfer_figure(record) and figures.seeds_of(record, kind, next(iter(runs)))
    figures.beside("fig2")
    plot.style(), plt.close("all")


def test_this_file_calls_all_that_readers_call():
    """Functions and classes that a chapter, an exercise or the README names, from wherever they
    import them, and the jobs. Laws of transfer by their name in the jobs.
    """
    here = names_of_fe(pathlib.Path(__file__).read_text())
    readers = lambda who: who.startswith("chapter") or who.endswith(".md")
    names = public(MODULES["fe.reproduce.jobs"])
    jobs = [("fe.reproduce.jobs", name) for name in names if name.endswith("_job")]
    jobs += [("fe.reproduce.rest", "exact_network")]
    idle = []
    for (module, name), who in users().items():
        node = public(MODULES[module]).get(name) if module in MODULES else None
        raised = isinstance(node, ast.ClassDef) and "Error" in ast.unparse(node.bases)
        called = isinstance(node, ast.FunctionDef | ast.ClassDef) and not raised
        read = any(map(readers, who)) or (module, name) in jobs
        if called and read and (module, name) not in here:
            idle.append(f"{module}.{name}")
    assert idle == []


def bare(v):
    """The tensor itself, of one that is wrapped by torch.func."""
    functorch = torch._C._functorch
    return bare(functorch.get_unwrapped(v)) if functorch.is_functorch_wrapped_tensor(v) else v


class WithoutFloat64(TorchFunctionMode):
    """Every tensor counts as one on a device that has no float64, unless it was put on the CPU by
    that name, or follows from such tensors alone. Of the others the device is "cpu:0".
    """

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = options or {}
        leaves = tree_leaves((arguments, options))
        given = [bare(v) for v in leaves if isinstance(v, torch.Tensor)]
        found = function(*arguments, **options)
        if getattr(function, "__self__", None) is torch.Tensor.device:
            return found if getattr(given[0], "on_cpu", False) else torch.device("cpu:0")
        named = [v for v in (*arguments, *options.values()) if isinstance(v, str | torch.device)]
        by_name = function is torch.Tensor.cpu or "cpu" in map(str, named)
        if function is torch.Tensor.cpu:
            found = torch.ops.aten.alias(found)
        for v in tree_leaves(found):
            if isinstance(v, torch.Tensor):
                v = bare(v)
                v.on_cpu = (
                    by_name or bool(given) and all(getattr(u, "on_cpu", False) for u in given)
                )
                if v.dtype == torch.float64 and not v.on_cpu:
                    raise TypeError(
                        f"{function} makes a float64 tensor on a device without float64"
                    )
        return found


def test_a_device_without_float64(single):
    """Networks, their data, tasks and plans, and models on a grid in float32 need none."""
    x, p = X.float(), P.float()
    settings = reproduce.SMALL | dict(hidden=8, codes=2)
    modules = reproduce.networks(settings, x, Y, 0)[0]
    with WithoutFloat64():
        x, y = fe.digits(60, dtype=torch.float32)
        ensemble = Ensemble([modules])
        train_ensemble(ensemble, x, y, 0.5, 4.0, 2, 1e-3, 0, batch_size=20)
        assert evaluate(ensemble, x, y).rate.isfinite().all()
        J = fe.AmortisedObjective(*modules, x, y, x.new_zeros(2, 60, 2), ridge=0.1)
        assert network_response(J, J.theta0, p, damping=0.1).hess.isfinite().all()
        half = (x[:30], y[:30]), (x[30:], y[30:])
        plan = transport.optimal_plan(half[0][0], half[1][0])
        assert plan.cost > 0
        tasks.training_set(fe.Displacement(*half, plan, n_classes=10), 0.5, 10)
        fe.Mixture(*half).sample(0.5, 10)
        grid = fe.uniform_grid(40, 2, dtype=torch.float32, device=x.device)
        G = fe.GridModel(*modules[1:], x, y, grid, ridge=0.1)
        assert (
            fe.functionals(G, G.theta0, p).rate.isfinite()
            and fe.check_resolution(G.posterior(G.theta0, p), grid).min() > 1
        )
        J = fe.TopographicMap(x, y, grid=7, features=2, ridge=1e-1)
        e = fe.minimise(J, J.initial(), p, tol=1e-4)
        run = Retraining(modules, (x, y), batch_size=20)
        run.stage(0.5, 4.0, 60, 1e-2)
        how = dict(tolerance=9.0, band=9.0, corrections=1, epochs=10)
        found = run.follow(walk((0.5, 4.0), fe.Conserve(fe.classification), [0.5, 0.6], **how))
        assert len(found.rows) == 2
        with pytest.raises(TypeError, match="float64"):
            fe.blahut_arimoto(x[0] / x[0].sum(), [[0.0]] * 64)
    assert e.gradient_norm < 1e-4
