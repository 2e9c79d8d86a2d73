"""Lag or another branch? A network whose exact path is known, retrained along it: `python -m
fe.reproduce exact-network`.

A tanh network small enough for Newton, with the noise of its code fixed, is a deterministic
objective, and `fe.follow` walks its iso-classification path at ‖∇J‖ ≤ 1e-10. The same objective is
then retrained by Adam on minibatches, there and back along these prices, with more and more epochs
a stage, from the exact equilibrium and from where ordinary training ends.
"""

import copy
import math
import time
from dataclasses import dataclass, field

import torch
from torch import nn
from tqdm.auto import tqdm

from ..amortised import AmortisedObjective
from ..data import digits
from ..equilibrium import Equilibrium, minimise
from ..errors import NotConverged
from ..journal import Journal
from ..networks import Classifier, Encoder
from ..objective import classification, functionals
from ..path import Conserve, follow
from ..response import Local, conjugate_gradient
from ..training import generator, schedule, step_decay
from .curvature import gauss_newton, predicted_decrease
from .records import rounded
from .settings import Settings, one_thread

_NAMES = "lam", "gam", "F", "R", "D", "C", "gradient_norm"  # R = F − λD − γC carries the ridge
# (start, how the prices move) of the networks that are trained side by side
_RUNS = [(a, b) for a in ("rest", "trained") for b in ("prices", "law", "frozen")]


@dataclass(frozen=True)
class Exact(Settings):
    """Of the network with a known path: 64–12–3 tanh units, 300 digits of five classes, P = 1,758;
    λ from `lam` to `lam_end` and back in stages of `epochs`.
    """

    n: int = 300
    classes: int = 5
    hidden: int = 12
    codes: int = 3
    draws: int = 8
    ridge: float = 5e-2
    lam: float = 2.0
    lam_end: float = 2.4
    step: float = 0.1
    gam: float = 5.0
    start_epochs: int = 200
    start_rate: float = 1e-2
    epochs: list = field(default_factory=lambda: [3, 12, 48, 192])
    batch_size: int = 50
    delta: float = 0.1
    network: int = 0
    seeds: list = field(default_factory=lambda: [0, 1, 2])


def _objective(settings):
    """The network and its images, the noise of the code fixed."""
    x, y = digits(settings.n, classes=range(settings.classes), dtype=torch.float64)
    h, d = settings.hidden, settings.codes
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.network)
        nets = [Encoder((64, h, d), norm=None)]
        nets += [Classifier(sizes, norm=None) for sizes in ((d, h, 64), (d, settings.classes))]
    for net in nets[:2]:
        net.layers[1] = nn.Tanh()  # smooth
    made = dict(generator=generator(1), dtype=x.dtype, device=x.device)
    noise = torch.randn(settings.draws, len(x), d, **made)
    return AmortisedObjective(*(net.double() for net in nets), x, y, noise, settings.ridge)


def _train(J, theta, p, epochs, seeds, batch_size, rate=schedule):
    """Adam on minibatches of J for M networks at once, theta (M, P) at prices p (M, 2): θ (M, P).

    The order of a network's minibatches is a function of its integers in `seeds`, M tuples; an
    image keeps its noise, so that the equilibria are those of J.
    """
    theta, n, k = theta.clone().requires_grad_(), len(J.x) // batch_size, 0
    adam, weights = (
        torch.optim.Adam([theta]),
        torch.full_like(J.weights[:batch_size], 1 / batch_size),
    )

    def loss(theta, p, x, y, noise):
        batch = copy.copy(J)
        batch.x, batch.y, batch.noise, batch.weights = x, y, noise.transpose(0, 1), weights
        return batch(theta, p)

    for epoch in range(epochs):
        draws = [generator(*s, epoch) for s in seeds]
        orders = [torch.randperm(len(J.x), generator=g, device=J.x.device) for g in draws]
        for i in torch.stack(orders)[:, : n * batch_size].split(batch_size, 1):  # (M, B)
            adam.param_groups[0]["lr"] = rate(k, n * epochs)
            data = J.x[i], J.y[i], J.noise.transpose(0, 1)[i]
            (theta.grad,) = torch.autograd.grad(torch.func.vmap(loss)(theta, p, *data).sum(), theta)
            adam.step()
            k += 1
    return theta.detach()


def _measure(J, theta, p):
    """One row of `_NAMES`, on all images."""
    F, R, D, C = (float(v) for v in functionals(J, theta, p))
    size = float(torch.func.grad(J)(theta, p).norm())
    return dict(zip(_NAMES, (*p.tolist(), F, R, D, C, size)))


def _hessian(J, theta, p, chunk=8):
    """A (P, P), by products."""
    local, eye = Local(J, theta, p), torch.diag(torch.ones_like(theta))
    A = torch.cat([local.hvp(v.T) for v in eye.split(chunk)], 1)
    return 0.5 * (A + A.T)


def _slopes(rows, delta):
    """∂(D, ln C)/∂(ln λ, ln γ) (2, 2) by central differences, from rows at λ±, γ±."""
    table = [(r["D"], math.log(r["C"])) for r in rows]
    return [[(table[k][i] - table[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]


def _shifted(p, delta):
    """The four prices of `_slopes`, (4, 2)."""
    shift = delta * p.new_tensor([[1, 0], [-1, 0], [0, 1], [0, -1]])
    return p * shift.exp()


def _log_slopes(hess, p, C):
    """Hess F in the units of `_slopes`."""
    scale = p.new_tensor([[1.0], [1 / C]])
    return (hess * scale * p).tolist()


def _exact_path(settings, progress=lambda text: None):
    """The exact path, and the states where it and its retrained copies begin.

    Returns a dict of numbers and the tensors of a checkpoint: `begin`, the trained θ (P,); `thetas`
    (T, P), the equilibria at the stages' prices; `L`, a factor of A at the first of them.
    """
    J, s = _objective(settings), settings
    p = J.x.new_tensor([s.lam, s.gam])
    rate = lambda k, n: step_decay(k, n, top=s.start_rate)
    begin = _train(J, J.theta0[None], p[None], s.start_epochs, [(0, 0)], s.batch_size, rate)[0]
    progress("to rest")
    rest = minimise(J, begin, p)
    L = torch.linalg.cholesky(_hessian(J, rest.theta, p))
    J.preconditioner = lambda *_: lambda v: torch.cholesky_solve(v, L)
    points, counted = [], 0
    for k in range(round((s.lam_end - s.lam) / s.step)):
        progress(f"exact path at λ = {s.lam + k * s.step:.2f}")
        last = points[-1] if points else rest
        steps = dict(step=s.step / 2, max_step=s.step)
        path = follow(J, last.theta, last.p, Conserve(classification), s.step, **steps)
        if path.jumps:
            raise NotConverged(f"the path meets a singular A near p = {last.p.tolist()}")
        points += path.points[-1:] if points else [path.points[0], path.points[-1]]
        counted += len(path.points) - 1
    found = dict(points=[_point(J, q) for q in points], followed=counted)
    found |= dict(gauss_newton=[_by_gauss_newton(J, q) for q in (points[0], points[-1])])
    # the smallest eigenvalue itself: that of a point is an upper bound, and exact to an error
    found |= dict(
        lowest=float(torch.linalg.eigvalsh(_hessian(J, points[-1].theta, points[-1].p))[0])
    )
    prices = _shifted(p, s.delta)
    near = [minimise(J, rest.theta, q) for q in prices]
    rows = [_measure(J, e.theta, q) for e, q in zip(near, prices)]
    found |= dict(differences=_slopes(rows, s.delta))
    found |= dict(trained=_measure(J, begin, p) | _certificate(J, begin, p, points[0]))
    return found, dict(begin=begin, thetas=torch.stack([q.theta for q in points]), L=L)


def _point(J, q):
    row = _measure(J, q.theta, q.p) | dict(curvature=q.curvature)
    return row | dict(slopes=_log_slopes(q.hess, q.p, q.classification))


def _by_gauss_newton(J, q):
    """The slopes with the Gauss–Newton matrix in place of A, at an equilibrium."""
    local, product = Local(J, q.theta, q.p), gauss_newton(J, q.theta, q.p)
    B = local.mixed()[0]
    X = conjugate_gradient(product, B, preconditioner=local.inverse(), rtol=1e-4)[0]
    return _log_slopes(-(B.T @ X), q.p, q.classification)


def _certificate(J, theta, p, exact):
    """How far from rest: what a Newton step promises, how far `fe.minimise` comes down from here,
    and whether it ends on the exact branch (`exact` has θ and the value of J at p).
    """
    e, promised = minimise(J, theta, p), predicted_decrease(J, theta, p)
    found = dict(promised=promised, excess=float(J(theta, p)) - e.value)
    apart = float((e.theta - exact.theta).norm())
    return found | dict(F_apart=e.value - exact.value, theta_apart=apart)


def _retrained(settings, epochs, begin, thetas, L, exact, progress=lambda text: None):
    """For every seed six networks there and back along the prices of the exact path: at these
    prices; with C held by a law that knows only measured slopes; and frozen; each from rest and
    from training. A stage is `epochs` of the schedule, Adam begins anew in each.
    """
    J, s = _objective(settings), settings
    prices = J.x.new_tensor([[q["lam"], q["gam"]] for q in exact["points"]])
    stops = [*range(1, len(prices)), *reversed(range(len(prices) - 1))]
    start, four = {"rest": thetas[0], "trained": begin}, _shifted(prices[0], s.delta)

    cases = [(seed, name) for seed in s.seeds for name in start]
    theta = torch.stack([start[name] for _, name in cases for _ in four])
    p, seeds = four.repeat(len(cases), 1), [(seed, epochs, 0) for seed, _ in cases for _ in four]
    theta = _train(J, theta, p, epochs, seeds, s.batch_size)
    rows = [_measure(J, t, q) for t, q in zip(theta, p)]
    measured = {case: _slopes(rows[4 * k : 4 * k + 4], s.delta) for k, case in enumerate(cases)}

    cases = [(seed, *run) for seed in s.seeds for run in _RUNS]
    theta, p = torch.stack([start[name] for _, name, _ in cases]), prices[:1].repeat(len(cases), 1)
    tables = [[_measure(J, t, q)] for t, q in zip(theta, p)]
    for stage, stop in enumerate(stops, 1):
        progress(f"{epochs} epochs a stage: stage {stage} of {len(stops)}")
        planned = zip(cases, tables)
        p = [_next(how, measured[s_, name][1], prices[stop], t) for (s_, name, how), t in planned]
        p, seeds = J.x.new_tensor(p), [(seed, epochs, stage) for seed, *_ in cases]
        theta = _train(J, theta, p, epochs, seeds, s.batch_size)
        for table, t, q in zip(tables, theta, p):
            table.append(_measure(J, t, q))
        if stop == len(prices) - 1:
            turn = theta
    J.preconditioner, found = lambda *_: lambda v: torch.cholesky_solve(v, L), []
    for k, ((seed, name, how), table) in enumerate(zip(cases, tables)):
        run = dict(seed=seed, epochs=epochs, start=name, prices=how, slopes=measured[seed, name])
        run |= dict(rows={column: [row[column] for row in table] for column in _NAMES})
        run |= loop_of(run["rows"]) | dict(promised=predicted_decrease(J, theta[k], p[k]))
        if how == "prices" and seed == s.seeds[0] and epochs in (s.epochs[0], s.epochs[-1]):
            for place, at, i in (("turn", turn, -1), ("end", theta, 0)):
                there = Equilibrium(thetas[i], prices[i], exact["points"][i]["F"], 0, 0, 0, None, 0)
                run[place] = _certificate(J, at[k], prices[i], there)
        found.append(run)
    return found


def _next(kind, slope, planned, table):
    """The prices of the next stage: the planned ones; or λ as planned and γ by the measured slopes
    of ln C, with half of what its miss asks for; or the old ones.
    """
    last, lam = table[-1], float(planned[0])
    if kind != "law":
        return planned.tolist() if kind == "prices" else [last["lam"], last["gam"]]
    miss = math.log(last["C"] / table[0]["C"])
    change = -(slope[0] * math.log(lam / last["lam"]) + 0.5 * miss) / slope[1]
    return [lam, last["gam"] * math.exp(max(-0.5, min(0.5, change)))]


def loop_of(rows):
    """Of one loop: the work that was not paid, ∮ dR + λdD + γdC by the trapezoid rule (nats), its
    area in the (D, R) plane (nats pixel²), the worst deviation of ln C.
    """
    lam, gam, R, D, C = (
        torch.tensor(rows[k], dtype=torch.float64, device="cpu") for k in _NAMES[:2] + _NAMES[3:6]
    )
    mean = lambda v: (v[1:] + v[:-1]) / 2
    work = (R.diff() + mean(lam) * D.diff() + mean(gam) * C.diff()).sum()
    area = 0.5 * (D * R.roll(-1) - R * D.roll(-1)).sum()
    return dict(work=float(work), area=float(area), worst=float((C / C[0]).log().abs().max()))


@one_thread
def exact_network(settings, executor=None, folder=None, progress=True):
    """The exact path, then its retrained copies by epochs a stage, in one process; what is done is
    kept, part by part.
    """
    journal = Journal(folder and folder / "exact_network.pt")
    if any(entry.get("settings") != settings.arguments() for entry in journal.entries):
        raise ValueError(f"{journal.path} belongs to a run with other settings: delete it")
    parts = [0, *settings.epochs]
    with tqdm(total=len(parts), disable=not progress, unit="part") as bar:
        bar.update(len(journal.entries))
        for epochs in parts[len(journal.entries) :]:
            began, show, kept = time.process_time(), bar.set_description, dict(journal.tensors)
            if epochs:
                exact = journal.entries[0]["found"]
                found = _retrained(settings, epochs, exact=exact, progress=show, **kept)
            else:
                found, kept = _exact_path(settings, show)
            seconds = round(time.process_time() - began, 1)
            entry = dict(found=rounded(found, 10), seconds=seconds, settings=settings.arguments())
            journal.save(kept, entry)
            bar.update()
    exact, *runs = [entry["found"] for entry in journal.entries]
    return {
        "what": "one network on scikit-learn's digits at exact equilibria along its "
        "iso-classification path, and retrained along it by Adam, there and back; the noise of the "
        "code is fixed; training data; nats per example; R = F − λD − γC carries the ridge; "
        "seconds of the processor",
        "seconds": sum(entry["seconds"] for entry in journal.entries),
        "provenance": dict(parameters=_objective(settings).n_parameters),
        "exact": exact,
        "runs": [run for part in runs for run in part],
    }
