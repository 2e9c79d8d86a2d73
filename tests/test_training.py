"""Ensembles against members trained one by one with plain modules; restarts; evaluation against its
definition.
"""

import contextlib
import copy
import importlib
import json
import math
import pathlib
import pickle
import subprocess

import numpy as np
import pytest
import torch
from host import DEVICES, Reads

from fe import digits, reproduce, schedule, training
from fe.networks import Classifier, Decoder, Encoder
from fe.training import (
    Ensemble,
    _CapturedStep,
    evaluate,
    generator,
    refresh_statistics,
    step_decay,
    train_ensemble,
)

ROOT = pathlib.Path(__file__).resolve().parents[1]


def members(seed=0, norm="batch", dtype=torch.float64):
    torch.manual_seed(seed)
    return tuple(
        m.to(dtype)
        for m in (
            Encoder((64, 12, 3), norm),
            Decoder((3, 12, 64), norm),
            Classifier((3, 6, 10), norm),
        )
    )


def by_hand(members, x, y, lam, gam, epochs, lr, seed, batch_size):
    """What a reader would write for one model, with the same random numbers."""
    encoder, decoder, classifier = copy.deepcopy(members)
    modules = torch.nn.ModuleList([encoder, decoder, classifier]).train()
    optimiser = torch.optim.Adam(modules.parameters(), lr=lr)
    for epoch in range(epochs):
        random = generator(seed, epoch)
        order = torch.randperm(len(x), generator=random)
        for k in range(len(x) // batch_size):
            index = order[k * batch_size : (k + 1) * batch_size]
            mu, log_sigma = encoder(x[index])
            z = mu + log_sigma.exp() * torch.randn(len(index), 3, generator=random, dtype=x.dtype)
            R = (0.5 * (mu**2 + (2 * log_sigma).exp() - 1) - log_sigma).sum(1).mean()
            D = ((x[index] - decoder(z)) ** 2).sum(1).mean()
            C = torch.nn.functional.cross_entropy(classifier(z), y[index])
            optimiser.zero_grad()
            (R + lam * D + gam * C).backward()
            optimiser.step()
    return modules.eval()


@pytest.mark.parametrize("norm", ["batch", None])
@pytest.mark.parametrize("prices", [[(0.5, 4.0)], [(0.5, 4.0), (0.65, 4.0), (0.5, 6.0)]])
def test_every_member_is_the_model_trained_alone(norm, prices):
    """Same arithmetic in another order: float64 rounding, grown by Adam's division over 24
    steps,
    stays below 1e-8.
    """
    x, y = digits(250)
    start = members(norm=norm)
    ensemble = Ensemble([start] * len(prices))
    lam, gam = (torch.tensor(q, dtype=torch.float64) for q in zip(*prices))
    train_ensemble(ensemble, x, y, lam, gam, 3, 1e-3, 7, batch_size=30)
    for i, (a, b) in enumerate(prices):
        alone = by_hand(start, x, y, a, b, 3, 1e-3, 7, 30)
        for mine, theirs in zip(ensemble[i], alone):
            for (name, u), v in zip(mine.state_dict().items(), theirs.state_dict().values()):
                torch.testing.assert_close(u, v, rtol=1e-8, atol=1e-8, msg=lambda m: f"{name}: {m}")


def test_members_with_seeds_of_their_own_differ_by_more_than_the_prices():
    """Common random numbers: a change of λ by a tenth shows, where two seeds differ by many
    times
    as much.
    """
    x, y = digits(500, dtype=torch.float32)
    start = members(dtype=torch.float32)
    pair = Ensemble([start] * 2)
    train_ensemble(pair, x, y, torch.tensor([0.5, 0.55]), 4.0, 8, 1e-3, 1, batch_size=50)
    other = Ensemble([start])
    train_ensemble(other, x, y, 0.55, 4.0, 8, 1e-3, 2, batch_size=50)
    parameters = [
        torch.cat([v[i].flatten() for v in e.state().values()])
        for e, i in ((pair, 0), (pair, 1), (other, 0))
    ]
    common, apart = (
        (parameters[0] - parameters[1]).norm().detach(),
        (parameters[0] - parameters[2]).norm().detach(),
    )
    assert 0 < float(common) < 0.5 * float(apart)


def test_equal_members_stay_equal():
    x, y = digits(200)
    ensemble = Ensemble([members()] * 2)
    train_ensemble(ensemble, x, y, 0.5, 4.0, 2, 1e-3, 0, batch_size=40)
    for value in ensemble.state().values():
        torch.testing.assert_close(value[0], value[1], rtol=1e-8, atol=1e-8)


def test_a_run_in_two_parts_is_the_run():
    x, y = digits(200, dtype=torch.float32)
    whole, parts = (Ensemble([members(dtype=torch.float32)] * 2) for _ in range(2))
    lr = step_decay
    train_ensemble(whole, x, y, 0.5, 4.0, 6, lr, 3, batch_size=40)
    seen = []

    class Stop(Exception):
        pass

    def stop(epoch, state):
        seen.append((epoch, state()))
        if epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        train_ensemble(parts, x, y, 0.5, 4.0, 6, lr, 3, batch_size=40, on_epoch=stop)
    train_ensemble(parts, x, y, 0.5, 4.0, 6, lr, 3, batch_size=40, resume=seen[-1])
    for name, value in whole.state().items():
        assert torch.equal(value, parts.state()[name]), name


def test_statistics_are_those_of_the_data():
    """The first layer's mean and variance have a closed form in the data; 400 images in two
    chunks.
    """
    x, y = digits(400)
    ensemble = Ensemble([members(0), members(1)])
    refresh_statistics(ensemble, x, y, chunk=200)
    for i in range(2):
        linear, norm = ensemble[i][0].layers[0], ensemble[i][0].layers[1]
        a = linear(x).detach()
        torch.testing.assert_close(norm.running_mean, a.mean(0), rtol=1e-10, atol=1e-12)
        within = torch.stack([c.var(0) for c in a.split(200)]).mean(0)
        torch.testing.assert_close(norm.running_var, within, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(
            norm.running_var, a.var(0), rtol=0.05, atol=0
        )  # chunks of 200 miss 1/200 or so


def test_evaluate_is_the_average_over_images_and_noise():
    x, y = digits(150)
    ensemble = Ensemble([members(0), members(1)])
    state = evaluate(ensemble, x, y, seed=5, chunk=60)
    noise_generator = generator(5, 2)
    noise = torch.cat(
        [torch.randn(8, n, 3, generator=noise_generator, dtype=x.dtype) for n in (60, 60, 30)], 1
    )
    for i in range(2):
        encoder, decoder, classifier = ensemble[i]
        with torch.no_grad():
            mu, log_sigma = encoder(x)
            z = mu + log_sigma.exp() * noise
            logits = torch.stack([classifier(v) for v in z])
            C = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.repeat(8))
            D = (x - decoder(z[0])).square().sum(1).mean()
        torch.testing.assert_close(state.classification[i], C, rtol=1e-10, atol=0)
        torch.testing.assert_close(state.distortion[i], D, rtol=1e-10, atol=0)
        assert float(state.accuracy[i]) == pytest.approx(
            float((logits.argmax(2) == y).double().mean()), abs=1e-12
        )


class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.f = torch.nn.Sequential(
            torch.nn.Unflatten(1, (1, 8, 8)),
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.GroupNorm(2, 4),
            torch.nn.GELU(),
            torch.nn.Flatten(),
            torch.nn.Linear(144, 6),
        )

    def forward(self, x):
        return self.f(x).chunk(2, 1)


def test_a_readers_own_modules_with_dropout():
    x, y = digits(300)
    classifier = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(3, 10))
    ensemble = Ensemble([(Own(), torch.nn.Linear(3, 64), classifier)] * 2)
    before = evaluate(ensemble, x, y)
    train_ensemble(ensemble, x, y, torch.tensor([0.5, 1.0]), 4.0, 3, 3e-3, 0, batch_size=30)
    after = evaluate(ensemble, x, y)
    assert (after.distortion < before.distortion).all() and (
        after.classification < before.classification
    ).all()


class Counting(torch.nn.Linear):
    """Counts its minibatches in a buffer that `state_dict` leaves out."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("count", torch.zeros(()), persistent=False)

    def forward(self, z):
        if self.training:
            self.count += 1
        return super().forward(z)


def test_buffers_that_are_not_persistent_come_back():
    x, y = digits(60)
    encoder, decoder, _ = members(norm=None)
    classifier = Counting(3, 10)
    one = Ensemble([(encoder, decoder, classifier)])
    train_ensemble(one, x, y, 0.5, 4.0, 2, 1e-3, 0, batch_size=20)
    assert one[0][2].count == 6


def test_bad_input_is_named():
    x, y = digits(100)
    with pytest.raises(ValueError, match="one architecture"):
        Ensemble([members(), members(norm=None)])
    with pytest.raises(ValueError, match="at least one"):
        Ensemble([])
    ensemble = Ensemble([members()])
    for options, message in (
        (dict(lam=-1.0), "λ must be a finite number from 0 on, got -1.0"),
        (dict(gam=float("nan")), "γ must be a finite number from 0 on, got nan"),
        (dict(epochs=0), "epochs must be an integer from 1 on, got 0"),
        (dict(epochs=1.5), "epochs must be an integer from 1 on, got 1.5"),
        (dict(epochs="3"), "epochs must be an integer from 1 on, got '3'"),
        (dict(batch_size=1), "batch_size must be an integer from 2 on, got 1"),
        (dict(batch_size=2.5), "batch_size must be an integer"),
        (dict(x=x * float("nan")), "NaN"),
        (dict(x=x[:1], y=y[:1]), "the number of images must be an integer from 2 on, got 1"),
        (dict(lr=1e200), "learning rate"),
        (dict(lr=-1e-3), "lr must be a finite number from 0 on, got -0.001"),
        (dict(lr=lambda k, n: None), "lr must be a finite number from 0 on, got None"),
        (dict(seed="7"), "seed must be an integer from 0 on, got '7'"),
        (dict(seed=(1, -2)), "seed must be an integer from 0 on, got -2"),
        (dict(seed=torch.tensor([1, 2])), "seed must be an integer from 0 on, got tensor"),
        (dict(y=torch.eye(12, dtype=x.dtype)[y]), r"soft labels must have shape \(100, 10\)"),
        (dict(y=y.double()), r"soft labels must have shape \(100, Y\), got \(100,\)"),
        (dict(y=y[:, None]), r"y must have shape \(100,\), got \(100, 1\)"),
    ):
        arguments = (
            dict(x=x, y=y, lam=0.5, gam=4.0, epochs=2, lr=1e-3, seed=0, batch_size=20) | options
        )
        with pytest.raises(ValueError, match=message):
            train_ensemble(Ensemble([members()]), **arguments)
    assert len(ensemble) == 1


def test_soft_labels():
    """Certain soft labels train and measure as labels do; uncertain ones put the entropy of the
    label under C.
    """
    torch.manual_seed(0)
    x, y = torch.rand(80, 6, dtype=torch.float32), torch.randint(0, 3, (80,))
    member = tuple(
        m.float() for m in (Encoder((6, 16, 2)), Decoder((2, 16, 6)), Classifier((2, 3)))
    )
    found = []
    for labels in (y, torch.eye(3, dtype=torch.float32)[y]):
        e = Ensemble([member])
        train_ensemble(e, x, labels, 1.0, 5.0, 3, 1e-3, 0, batch_size=20)
        found.append(torch.stack(evaluate(e, x, labels)))
    torch.testing.assert_close(
        *found, rtol=1e-5, atol=1e-6
    )  # twelve steps; the two losses round differently
    half = torch.tensor([0.5, 0.5, 0.0]).float().expand(80, 3)
    assert float(evaluate(e, x, half).classification) > math.log(2) - 1e-6
    with pytest.raises(ValueError, match="sum 1"):
        train_ensemble(e, x, 2 * half, 1.0, 5.0, 1, 1e-3, 0)


class Stop(Exception):
    """Stands for an interruption at a chosen place."""


def stop(*arguments, **options):
    raise Stop


@pytest.mark.parametrize("M", [1, 3])
def test_an_interrupted_training_leaves_evaluation_mode_and_its_statistics(M, monkeypatch):
    """Batch statistics and dropout would be on in everything that is done with the network
    afterwards.
    """
    x, y = digits(90)
    ensemble = Ensemble([members()] * M)
    norms = [m for m in ensemble.net.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    momenta = [m.momentum for m in norms]
    with pytest.raises(Stop):
        train_ensemble(ensemble, x, y, 0.5, 4.0, 3, 1e-3, 0, batch_size=30, on_epoch=stop)
    assert not any(m.training for m in ensemble.net.modules())
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Ensemble, "__call__", stop)
        train_ensemble(ensemble, x, y, 0.5, 4.0, 3, 1e-3, 0, batch_size=30)
    assert not any(m.training for m in ensemble.net.modules())
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Ensemble, "__call__", stop)
        refresh_statistics(ensemble, x, y, chunk=40)
    assert (
        not any(m.training for m in ensemble.net.modules())
        and [m.momentum for m in norms] == momenta
    )


def test_statistics_where_one_image_is_left_over():
    """Batch normalisation cannot take the variance of one; found after the training, it would
    have
    cost the stage.
    """
    x, y = digits(101)
    ensemble = Ensemble([members()])
    refresh_statistics(ensemble, x, y, chunk=50)
    first = ensemble[0][0].layers
    torch.testing.assert_close(
        first[1].running_mean, first[0](x).mean(0).detach(), rtol=0, atol=0.02
    )


@pytest.mark.parametrize("again", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
@pytest.mark.parametrize("M", [1, 2])
def test_a_copy_of_an_ensemble_trains(again, M):
    """The only member trains in the memory of its parameters; in a copy that memory must be the
    copy's own.
    """
    x, y = digits(60)
    ensemble = Ensemble([members()] * M)
    twin = again(ensemble)
    for e in (ensemble, twin):
        train_ensemble(e, x, y, 0.5, 4.0, 1, 1e-3, 0, batch_size=30)
    for name, value in ensemble.state().items():
        assert torch.equal(twin.state()[name], value), name
        assert (
            name.startswith("classifier")
            or value.shape[1:] == ()
            or not torch.equal(value, Ensemble([members()] * M).state()[name])
        ), name


def test_the_state_of_another_ensemble_is_refused():
    """It would be broadcast: three members with the weights of one, or a layer with the weights
    of
    one unit.
    """
    three = Ensemble([members()] * 3)
    for other in (Ensemble([members()]), Ensemble([members(norm=None)] * 3)):
        with pytest.raises(ValueError, match="another ensemble"):
            three.load(other.state())


def test_new_networks_leave_every_generator_as_it_was(monkeypatch):
    """Two generators on the CPU stand for those of two GPUs."""
    gpus = tuple(torch.Generator("cpu").manual_seed(k) for k in range(2))
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    everything = lambda: [g.get_state() for g in (torch.default_generator, *gpus)]
    x, before = torch.rand(4, 64, dtype=torch.float32), everything()
    found = [reproduce.networks(reproduce.SMALL, x, torch.arange(4), seed) for seed in (5, 5, 6)]
    assert all(torch.equal(a, b) for a, b in zip(everything(), before))
    first, again, other = (torch.cat([v.flatten() for v in e.parameters()]) for e in found)
    assert torch.equal(first, again) and not torch.equal(first, other)


def with_dropout(dtype=torch.float64):
    torch.manual_seed(0)
    nets = Encoder((64, 12, 3), dropout=0.2), Decoder((3, 12, 64), dropout=0.2)
    return tuple(m.to(dtype) for m in (*nets, Classifier((3, 6, 10))))


def same(ensemble, i, other, tolerance=1e-8):
    for mine, theirs in zip(ensemble[i], other[0]):
        for (name, u), v in zip(mine.state_dict().items(), theirs.state_dict().values()):
            torch.testing.assert_close(u, v, rtol=tolerance, atol=tolerance, msg=lambda m: name + m)


def test_members_with_seeds_and_tasks_of_their_own():
    """Each member of one computation is the network trained alone on its images with its seed, with
    dropout: masks come from the seed, whoever trains beside.
    """
    x, y = digits(240)
    tasks = [(x[:120], y[:120]), (x[120:], y[120:]), (x[:120], y[:120])]
    seeds, lams = [(1, 5), (1, 5), 2], [0.5, 0.5, 0.8]
    ensemble = Ensemble([with_dropout()] * 3)
    xs, ys = ([t[k] for t in tasks] for k in (0, 1))
    train_ensemble(ensemble, xs, ys, lams, 4.0, 3, 1e-3, seeds, batch_size=30)
    for i, (task, seed, lam) in enumerate(zip(tasks, seeds, lams)):
        alone = Ensemble([with_dropout()])
        train_ensemble(alone, *task, lam, 4.0, 3, 1e-3, seed, batch_size=30)
        same(ensemble, i, alone)


def test_dropout_is_common_to_one_member_and_many():
    x, y = digits(120)
    one, three = Ensemble([with_dropout()]), Ensemble([with_dropout()] * 3)
    for e in (one, three):
        train_ensemble(e, x, y, 0.5, 4.0, 3, 1e-3, 7, batch_size=30)
    for i in range(3):
        same(three, i, one)
    without = Ensemble([members(0)])
    train_ensemble(without, x, y, 0.5, 4.0, 3, 1e-3, 7, batch_size=30)
    w = lambda e: e[0][0].layers[0].weight.flatten()[:9]
    assert not torch.allclose(w(without), w(one))
    assert isinstance(one[0][0].layers[3], torch.nn.Dropout)


def test_masks_drop_as_often_as_they_are_asked_to(monkeypatch):
    ensemble = Ensemble([with_dropout()])
    x, y = digits(100)
    seen, draw = [], training._draws

    def watched(*arguments):
        seen.append(draw(*arguments))
        return seen[-1]

    monkeypatch.setattr(training, "_draws", watched)
    train_ensemble(ensemble, x, y, 0.5, 4.0, 40, 1e-3, 0, batch_size=50)
    masks = torch.cat([m.flatten() for _, _, *masks in seen for m in masks])
    values, counts = masks.unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.0, 1.25], dtype=masks.dtype))
    share = float(counts[0]) / len(masks)  # 96,000 draws: 0.0013 is one standard deviation
    assert abs(share - 0.2) < 0.006


class Graph:
    """Stands for `torch.cuda.CUDAGraph`: it keeps what a capture recorded, and does it again."""

    made = []

    def __init__(self):
        self.step, self.replays = None, 0
        Graph.made.append(self)

    def replay(self):
        self.replays += 1
        self.step()


@pytest.fixture
def no_gpu(monkeypatch):
    """torch.cuda's calls without a GPU. A replay reads the static tensors of the capture alone."""
    stream = type("Stream", (), {"wait_stream": lambda self, other: None})
    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda s: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)

    class Capture(_CapturedStep):
        def __init__(self, step, arguments, undo):
            @contextlib.contextmanager
            def graph(g):
                g.step = lambda: step(*self.static)
                recording.append(True)
                yield
                recording.pop()

            recording = []
            monkeypatch.setattr(torch.cuda, "graph", graph)
            quiet = lambda *a: None if recording else step(*a)  # a capture runs nothing
            super().__init__(quiet, arguments, undo)

    monkeypatch.setattr(training, "_CapturedStep", Capture)
    Graph.made = []


@pytest.mark.parametrize("M", [1, 3])
def test_the_captured_step_is_the_step(M, no_gpu):
    """Warmed up, brought back, recorded once and replayed with other minibatches, the same numbers
    to the last bit: fresh, and resumed with Adam's averages.
    """
    x, y = digits(200, dtype=torch.float32)
    ends = []
    for capture in (False, True):
        e = Ensemble([with_dropout(torch.float32)] * M)
        lam = [0.5 + 0.1 * k for k in range(M)]
        how, seen = dict(batch_size=40, capture=capture), []
        keep = lambda epoch, state: seen.append((epoch, state()))
        history = train_ensemble(e, x, y, lam, 4.0, 4, step_decay, 1, on_epoch=keep, **how)
        whole = e.state()
        again = train_ensemble(e, x, y, lam, 4.0, 4, step_decay, 1, resume=seen[1], **how)
        assert all(torch.equal(v, whole[k]) for k, v in e.state().items())
        ends.append({**whole, "history": history, "again": again})
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
    assert [g.replays for g in Graph.made] == [20, 10]


def drawn_on_the_cpu(monkeypatch):
    """The chance of an epoch, wherever it is trained, is that of the CPU, moved there."""
    draw = training._draws

    def moved(seeds, batches, size, x, d, drops):
        like = torch.empty(x.shape, dtype=x.dtype)
        return [v.to(x.device) for v in draw(seeds, batches, size, like, d, drops)]

    monkeypatch.setattr(training, "_draws", moved)


@pytest.mark.parametrize("dtype, close", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("seeds", [0, [1, 2, 2]])
@pytest.mark.parametrize("device", DEVICES)
def test_on_a_gpu(device, seeds, dtype, close, monkeypatch, request):
    """Three networks with dropout, R, D and C while they train and after: the captured graph is the
    steps one by one, and with the chance of the CPU both are what the CPU gives, to rounding.

    Where the CPU takes its sums in another order, in a stack of three instead of one network, they
    differ by 2e-7 in float32, and by another seed by 0.1; the weights may differ by 0.01 there, for
    of a bias before a batch normalisation the gradient is rounding alone, which Adam scales up.
    The rate 2⁻¹⁰ is one number in float32, which Adam takes on a GPU, and in float64.
    """
    if device == "cpu":
        request.getfixturevalue("no_gpu")

    def trained(device, capture):
        x, y = digits(200, dtype=dtype, device=device)
        e = Ensemble([tuple(m.to(device) for m in with_dropout(dtype))] * 3)
        how = dict(batch_size=40, capture=capture)
        history = train_ensemble(e, x, y, [0.5, 0.6, 0.7], 4.0, 3, 2**-10, seeds, **how)
        refresh_statistics(e, x, y)
        return torch.cat([history.mT, torch.stack(evaluate(e, x, y)[:3])[None]])

    one, captured = (trained(device, capture) for capture in (False, True))
    torch.testing.assert_close(captured, one, rtol=close, atol=0)
    drawn_on_the_cpu(monkeypatch)
    there = trained("cpu", False)
    for found in (trained(device, False), trained(device, True)):
        torch.testing.assert_close(found, there, rtol=close, atol=0)


@pytest.mark.parametrize("M", [1, 3])
def test_an_epoch_reads_nothing_from_the_device(M):
    """As many reads in an epoch of two steps as in one of twenty, three: none in a step, two behind
    the last, its means and whether they are finite, and one before the first, of the order of the
    images, which lies on the CPU. Each step has one shape.
    """
    x, y = digits(400, dtype=torch.float32)
    reads = []
    for size in (20, 200):
        for epochs in (1, 3):
            e = Ensemble([with_dropout(torch.float32)] * M)
            with Reads() as mode:
                train_ensemble(e, x, y, 0.5, 4.0, epochs, schedule, 0, batch_size=size)
            reads.append(mode.n)
            assert {shapes[1] for shapes in mode.called["index_select"]} == {(size,)}
    assert reads[0] == reads[2] and reads[1] == reads[3], reads
    assert reads[1] - reads[0] == 2 * 3, reads


@pytest.mark.parametrize("M, seeds", [(1, 0), (3, 0), (3, [0, 1, 1])])
def test_an_epoch_runs_on_a_device_that_cannot_be_read(M, seeds, monkeypatch):
    """All steps of an epoch, from the choice of images to Adam's update, on the meta device, where
    a read is an error: the first is that of the epoch's means, behind its last step. Left out are
    the checks before the first step, and the numbers of the chance, which are drawn elsewhere.
    """
    fused, calls, call = torch._fused_adam_, [], Ensemble.__call__
    drawn_on_the_cpu(monkeypatch)
    monkeypatch.setattr(training, "check_networks", lambda *_: 3)
    # torch's fused Adam knows no meta device in its check, and none for a rate that is a tensor
    adam = importlib.import_module("torch.optim.adam")
    monkeypatch.setattr(adam, "_device_dtype_check_for_fused", lambda p: None)
    number = lambda *tensors, lr, **how: calls.append(lr) or fused(*tensors, lr=1e-3, **how)
    monkeypatch.setattr(torch, "_fused_adam_", number)
    monkeypatch.setattr(Ensemble, "__call__", lambda *a, **how: calls.append(0) or call(*a, **how))
    e = Ensemble([tuple(m.to("meta") for m in with_dropout(torch.float32))] * M)
    x = torch.zeros(40, 64, device="meta", dtype=torch.float32)
    y = torch.zeros(40, dtype=torch.int64, device="meta")
    with pytest.raises(NotImplementedError, match="meta"), Reads() as reads:
        train_ensemble(e, x, y, 0.5, 4.0, 2, seed=seeds, batch_size=10)
    assert len(calls) == 8 and all(rate.is_meta for rate in calls[1::2])
    assert {"index_select", "_log_softmax_backward_data", "_fused_adam_"} <= {*reads.called}


def test_images_of_any_shape():
    """Convolutions take and give (N, 1, 8, 8): the same numbers as with flat images between."""
    torch.manual_seed(0)
    x, y = digits(120, dtype=torch.float32)

    class Encode(torch.nn.Sequential):
        def forward(self, x):
            return super().forward(x).chunk(2, 1)

    convolve = lambda: [torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten()]
    encoder = Encode(*convolve(), torch.nn.Linear(72, 4)).float()
    flat = Encode(torch.nn.Unflatten(1, (1, 8, 8)), *copy.deepcopy(encoder)).float()
    decoder, head = torch.nn.Linear(2, 64).float(), torch.nn.Linear(2, 10).float()
    square = torch.nn.Sequential(copy.deepcopy(decoder), torch.nn.Unflatten(1, (1, 8, 8)))
    found = []
    for nets, images in (
        ((encoder, square, head), x.view(-1, 1, 8, 8)),
        ((flat, decoder, head), x),
    ):
        e = Ensemble([nets] * 2)
        history = train_ensemble(e, images, y, [0.5, 1.0], 4.0, 2, 1e-3, 0, batch_size=40)
        refresh_statistics(e, images, y)
        found.append(torch.cat([*history.mT, torch.stack(evaluate(e, images, y))]))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize(
    "change, error, words",
    [
        (dict(encoder=torch.nn.Linear(64, 3)), ValueError, r"\(mu, log_sigma\).*got \(2, 3\)"),
        (dict(encoder=Encoder((32, 3), None)), ValueError, r"accept images of shape \(64,\)"),
        (dict(decoder=Decoder((3, 16, 1), None)), ValueError, "decoder.z. must have shape .2, 64."),
        (dict(classifier=Classifier((3, 4), None)), ValueError, "labels run from 0 to 9"),
        (dict(classifier=Classifier((5, 10), None)), ValueError, "accept codes of shape"),
        (dict(encoder=Encoder((64, 3), None).double()), TypeError, r"float64.*write encoder.to\(x"),
        (dict(lam=(0.5, 1.0)), ValueError, "need one value or 1, one for each member, got 2"),
        (dict(lam="half"), ValueError, "λ must be a finite number from 0 on, got 'half'"),
        (dict(seed=[1, 2]), ValueError, "need one value or 1"),
        (dict(x=[1.0, 2.0]), ValueError, "need one value or 1, one for each member, got 2"),
        (dict(x=[1.0]), TypeError, "x must be a floating torch.Tensor, got float"),
        (dict(x=np.zeros((60, 64))), TypeError, "x must be a floating torch.Tensor, got ndarray"),
        (dict(resume=(1, None)), ValueError, "epochs must be an integer from 2 on, got 1"),
    ],
)
def test_what_does_not_fit_is_said_in_words(change, error, words):
    x, y = digits(60, dtype=torch.float32)
    nets = Encoder((64, 3), None), Decoder((3, 64), None), Classifier((3, 10), None)
    parts = dict(zip(("encoder", "decoder", "classifier"), (n.float() for n in nets)))
    for name, module in change.items():
        if name in parts:
            parts[name] = module if name == "encoder" and "64" in words[:8] else module.float()
    options = dict(x=x, y=y, lam=0.5, gam=4.0, epochs=1, lr=1e-3, seed=0, batch_size=20)
    options |= {k: v for k, v in change.items() if k not in parts}
    with pytest.raises(error, match=words):
        train_ensemble(Ensemble([tuple(parts.values())]), **options)


def test_a_buffer_named_step_is_each_members_own():
    x, y = digits(60, dtype=torch.float32)
    nets = [Encoder((64, 3), None), Decoder((3, 64), None), Classifier((3, 10), None)]
    for net in nets:
        net.float().register_buffer("step", torch.zeros(()))
    two = Ensemble([nets] * 2)
    two.load(two.state() | {"encoder.step": torch.tensor([1.0, 2.0])})
    assert two.tensors()["encoder.step"].tolist() == [1.0, 2.0]


def test_training_is_in_single_precision_whatever_the_default_is():
    x, y = digits(100, dtype=torch.float32)
    nets, ends = with_dropout(torch.float32), []
    for default in (torch.float32, torch.float64):
        torch.set_default_dtype(default)
        try:
            two = Ensemble([nets] * 2)
            train_ensemble(two, x, y, [0.5, 0.6], 4.0, 2, 1e-3, 0, batch_size=25)
            refresh_statistics(two, x, y)
            ends.append({**two.state(), **evaluate(two, x, y)._asdict()})
        finally:
            torch.set_default_dtype(torch.float64)  # of all tests, which follow in any order
    assert all(torch.equal(v, ends[1][k]) for k, v in ends[0].items())


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """The module benchmarks/gpu.py, with a narrow ResNet; results go into `tmp_path`."""
    monkeypatch.setenv("FE_RESULTS", str(tmp_path))
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    gpu = importlib.import_module("gpu")
    monkeypatch.setattr(gpu.reproduce, "PAPER6", gpu.reproduce.PAPER6 | dict(width=2, codes=2))
    return gpu


def raising(error):
    def fails(*_, **__):
        raise error

    return fails


def test_the_list_for_a_gpu_goes_on_where_it_was_stopped(gpu, monkeypatch, tmp_path, capsys):
    """On a CPU it does parts 2 and 4, here on a few images; and the stored figure is at no distance
    from itself.
    """
    how = ["--device", "cpu", "--images", "60", "--members", "2"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(gpu, "resnet", raising(KeyboardInterrupt()))
        gpu.main(how)
    gpu.main(how)
    assert "2 members: from" in capsys.readouterr().out
    found = json.loads((tmp_path / "benchmark_gpu.json").read_text())
    assert found["2 members"]["eager"] > 0 and found["ResNet"]["hours_a_seed"] > 0
    stored = gpu.ends(json.loads((ROOT / "results" / "fig2.json").read_text()))
    assert {v for row in gpu.distance(stored, stored).values() for v in row.values()} == {0.0}


def test_what_fails_is_left_out_and_tried_again(gpu, monkeypatch, tmp_path):
    """A part that wants more memory than there is, tests that are red, and a root without data, on
    what is a GPU by its name alone: the parts behind them are done all the same.
    """
    rand, arange = torch.rand, torch.arange
    monkeypatch.setattr(torch, "rand", lambda *size, device: rand(*size, dtype=torch.float32))
    monkeypatch.setattr(torch, "arange", lambda n, device: arange(n))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: device)
    few = lambda m, x, y: dict(eager=float(m))
    calls, red = [], subprocess.CompletedProcess([], 1, stdout="1 failed")
    fine = subprocess.CompletedProcess([], 0, stdout="2 passed")
    how = ["--device", "cuda:7", "--images", "60", "--members", "1", "100", "--root", "nowhere"]
    found = lambda: json.loads((tmp_path / "benchmark_gpu.json").read_text())

    def members(m, x, y):
        calls.append(m)
        return few(m, x, y) if m < 100 else raising(torch.OutOfMemoryError("too many"))()

    monkeypatch.setattr(gpu, "plain_seconds", lambda x, y: 1.0)
    monkeypatch.setattr(gpu, "resnet", lambda images, device: dict(epoch=1.0))
    with monkeypatch.context() as patch:
        patch.setattr(gpu, "members", members)
        patch.setattr(gpu.subprocess, "run", lambda *_, **__: red)
        patch.setattr(gpu.reproduce, "save", raising(reproduce.JobsFailed("no MNIST")))
        gpu.main(how)
    left = ("tests", "100 members", "figure 2")
    why = ("RuntimeError: 1 failed", "OutOfMemoryError: too many", "JobsFailed: no MNIST")
    assert found()["left_out"] == dict(zip(left, why)) and not found().keys() & {*left}
    assert found()["1 members"] == dict(eager=1.0) and found()["ResNet"] == dict(epoch=1.0)
    monkeypatch.setattr(gpu, "members", lambda m, x, y: calls.append(m) or few(m, x, y))
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: fine)
    monkeypatch.setattr(gpu, "figure_2", lambda root, device: dict(root=root))
    gpu.main([*how[:-1], "elsewhere"])
    assert calls == [1, 100, 100] and found()["left_out"] == {}
    assert found()["tests"] == dict(says="2 passed") and found()["100 members"] == dict(eager=100.0)
    assert found()["figure 2"] == dict(root="elsewhere")
    assert not (tmp_path / "benchmark_gpu.parts.json").exists()


def test_figure_2_of_a_cpu_is_not_taken_for_that_of_the_gpu(gpu, monkeypatch, tmp_path):
    """Made with the same arguments, it would be the answer of `reproduce.save` beside it."""
    stored, made = json.loads((ROOT / "results" / "fig2.json").read_text()), []
    settings = reproduce.PAPER | dict(root="data", device="cpu")
    stored["provenance"]["arguments"] = settings.arguments()
    (tmp_path / "fig2.json").write_text(json.dumps(stored))
    beside = reproduce.save(tmp_path / "fig2.json", "fig2", settings, None)
    assert beside["provenance"]["seconds"] == stored["provenance"]["seconds"]

    def new(settings, executor, folder, progress):
        made.append(folder)
        return dict(what="new", seconds=3.0, runs=stored["runs"])

    monkeypatch.setitem(reproduce.RUNS, "fig2", new)
    monkeypatch.setattr(reproduce.figures, "FIGURES", {})
    found = gpu.figure_2("data", "cpu")
    assert found["seconds"] == 3.0 and len(made) == 1 and found["device"].startswith("cpu")


def test_tasks_of_one_set_of_images_and_other_labels_are_kept_apart():
    """Two members see the same tensor of images, each with labels of its own."""
    x, y = digits(200, dtype=torch.float32)
    nets = members(dtype=torch.float32)
    apart, together = [Ensemble([nets]) for _ in range(2)], Ensemble([nets] * 2)
    labels = [y, 9 - y]
    for ensemble, own in zip(apart, labels):
        train_ensemble(ensemble, x, own, 0.5, 8.0, 3, 1e-3, batch_size=50)
    train_ensemble(together, [x, x], labels, 0.5, 8.0, 3, 1e-3, batch_size=50)
    for k, own in enumerate(labels):
        alone = evaluate(apart[k], x, own).classification[0]
        assert float(evaluate(together, x, own).classification[k]) == pytest.approx(
            float(alone), rel=1e-3
        )


def test_frozen_layers_stay_frozen_in_an_ensemble():
    x, y = digits(100, dtype=torch.float32)
    nets = members(dtype=torch.float32)
    nets[0].requires_grad_(False)
    ensemble = Ensemble([nets] * 2)
    before = ensemble.state()
    train_ensemble(ensemble, x, y, 0.5, 8.0, 2, 1e-2, batch_size=50)
    moved = {k: not torch.equal(v, before[k]) for k, v in ensemble.tensors().items()}
    weights = ("weight", "bias")  # statistics of batch normalisation move
    assert not any(v for k, v in moved.items() if "encoder" in k and k.endswith(weights))
    assert all(v for k, v in moved.items() if "decoder" in k and "weight" in k)


def test_numbers_of_any_kind_are_the_same_numbers():
    """Prices, seeds, sizes and rates of Python, NumPy and torch."""
    x, y = digits(60, dtype=torch.float32)
    ends = []
    for as_ in (float, np.float64, torch.tensor, lambda v: torch.tensor([v]), np.array):
        e, count = Ensemble([members(dtype=torch.float32)]), lambda n: int(n)
        count = count if as_ is float else np.int64 if as_ is np.float64 else torch.tensor
        how = dict(batch_size=count(30), lr=as_(1e-3), seed=count(3))
        train_ensemble(e, x, y, as_(0.5), as_(4.0), count(2), **how)
        ends.append(e.state())
    for end in ends[1:]:
        assert all(torch.equal(v, end[k]) for k, v in ends[0].items())


@pytest.mark.parametrize("measure", [evaluate, refresh_statistics])
def test_what_is_measured_is_checked_too(measure):
    x, y = digits(60, dtype=torch.float32)
    e = Ensemble([members(dtype=torch.float32)])
    for data, error, words in (
        ((x, y + 1), ValueError, "labels run from 1 to 10, but n_classes=10"),
        ((x.double(), y), TypeError, "write encoder.to"),
        ((x[:, :32], y), ValueError, "encoder must accept images of shape .32,."),
        ((x.to("meta"), y.to("meta")), TypeError, "cpu, but x is torch.float32 on meta"),
    ):
        with pytest.raises(error, match=words):
            measure(e, *data)


@pytest.mark.parametrize(
    "others, error, words",
    [
        ([members(1, norm=None)], ValueError, "one has .*BatchNorm1d.*, another .*ReLU"),
        ([(*members()[:2], torch.nn.Sequential())], ValueError, "one architecture: one has"),
        ([members()[:2]], TypeError, "three modules .*, got .'Encoder', 'Decoder'."),
        (members(), TypeError, "three modules .*, got .'Encoder'."),
        ([(len, len, len)], TypeError, "three modules"),
    ],
)
def test_members_that_are_not_alike(others, error, words):
    with pytest.raises(error, match=words):
        Ensemble([members(), *others])


def test_members_that_differ_in_no_tensor():
    """They have the same parameters; one would have been trained as the other."""
    nets = lambda layer: (*members()[:2], torch.nn.Sequential(torch.nn.Linear(3, 10), layer))
    Ensemble([nets(torch.nn.Dropout(0.1)), nets(torch.nn.Dropout(0.1))])
    for layer in (torch.nn.Dropout(0.5), torch.nn.Tanh()):
        with pytest.raises(ValueError, match=r"one has .1.: Dropout\(p=0.1"):
            Ensemble([nets(torch.nn.Dropout(0.1)), nets(layer)])


@pytest.mark.parametrize("first", [0, 1])
def test_a_member_with_a_tensor_more_is_seen(first):
    """The last of all lines, whichever member has it."""
    plain, more = members(), members()
    more[2].register_buffer("more", torch.zeros(2))
    with pytest.raises(ValueError, match="one architecture: one has .*classifier.more|no more"):
        Ensemble([plain, more] if first else [more, plain])


class Channels(torch.nn.Sequential):
    def forward(self, x):
        return super().forward(x).chunk(2, 1)


@pytest.mark.parametrize("layer", [torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d])
def test_whole_channels_are_dropped_alike_in_one_member_and_many(layer):
    """And they are whole: two numbers a channel are both there or both gone."""
    x, y = digits(120)
    seen, shape = [], (4, 2, *[1] * (int(layer.__name__[-2]) - 1))
    torch.manual_seed(0)
    drop = [torch.nn.Linear(64, 8), torch.nn.Unflatten(1, shape), layer(0.5), torch.nn.Flatten()]
    encoder = Channels(*drop, torch.nn.Linear(8, 6))
    one, three = (Ensemble([(encoder, *members()[1:])] * M) for M in (1, 3))
    look = lambda module, inputs: seen.append(inputs[0].detach())
    one.net.encoder[4].register_forward_pre_hook(look)
    for e in (one, three):
        train_ensemble(e, x, y, 0.5, 4.0, 2, 1e-3, 7, batch_size=30)
    for i in range(3):
        same(three, i, one)
    kept = torch.cat(seen[1:]).view(-1, 4, 2) != 0
    assert torch.equal(kept[..., 0], kept[..., 1]) and 0.3 < float(kept.double().mean()) < 0.7


def test_what_sets_dropped_numbers_to_something_else_is_refused():
    classifier = torch.nn.Sequential(torch.nn.AlphaDropout(0.1), torch.nn.Linear(3, 10))
    with pytest.raises(ValueError, match="AlphaDropout has no common masks: take nn.Dropout"):
        Ensemble([(*members()[:2], classifier)])
