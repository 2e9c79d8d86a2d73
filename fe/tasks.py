"""A task that changes: paths t ↦ p(x, t) from a source to a target (paper, §4.1–4.2, App. F).

A task at time t, 0 ≤ t ≤ 1, is a set of images with labels and weights: x (N, …), y, w (N,) with
sum one. It is a function t -> (x, y), or t -> (x, y, w) where not all weigh the same, or an object
of which `at` is that function. Networks train on its `training_set`. For exact models x, y and w
are differentiable functions of t, so that t is one more control of J(θ, p), p = (λ, γ, t): F_t =
∂J/∂t, θ_t and C_t come from the same linear response (Lemma 9), and `fe.follow` follows it.
"""

import math

import torch
from scipy.optimize import linear_sum_assignment

from .errors import about, check_data, check_like, check_shape, check_weights
from .training import generator
from .transport import Plan, optimal_plan


def _check_time(t):
    """Raise `ValueError` unless 0 ≤ t ≤ 1 (to rounding)."""
    value = float(t.detach() if isinstance(t, torch.Tensor) else t)
    if not -1e-9 <= value <= 1 + 1e-9:
        raise ValueError(f"t must lie between 0 (source) and 1 (target), got {value}")


def _check_pair(source, target):
    for name, (x, y) in (("source", source), ("target", target)):
        with about(name):
            check_data(x, y)
    check_shape("target images, as the source's,", target[0], "M", source[0].shape[1])
    check_like("target[0]", target[0], "source[0]", source[0])


def _deal(weights, n, random):
    """n indices with the given probabilities, stratified, in random order (systematic sampling)."""
    shift = torch.rand(1, generator=random, dtype=torch.float64, device="cpu")
    points = (torch.arange(n, device="cpu") + shift) / n
    index = torch.searchsorted(weights.cpu().double().cumsum(0), points)
    index = index.clamp_(max=len(weights) - 1)
    return index[torch.randperm(n, generator=random, device="cpu")].to(weights.device)


def training_set(task, t, n=None, seed=0):
    """(x, y) to train a network on, of any task at time t: its `sample`, if it has one; what it
    says, where it has no weights; else n of its images (default: as many as it has), drawn by their
    weights, the same at every t. Of images that stay, a pair, themselves.
    """
    if isinstance(task, tuple | list):
        return task
    if hasattr(task, "sample"):
        return task.sample(t, n, seed)
    at = getattr(task, "at", task)
    if not callable(at):
        what = f"a function of t, or have one as `at`, got {type(task).__name__}"
        raise TypeError(f"a task must be {what}; images that stay are a pair (x, y)")
    x, y, *weights = at(t)
    if not weights:
        return x, y
    check_weights(*weights, x)
    index = _deal(*weights, n or len(x), generator(seed, 12))
    return x[index], y[index]


class Mixture:
    """p(x, t) = (1 − t) pˢ + t pᵗ (paper, eq. 23): images and labels stay, their weights move.

    Args:
        source, target: (x (N, D), y (N,) int64) each; numbers of images may differ

    Data that do not fit, and t outside [0, 1] when called, raise `ValueError` or `TypeError`.
    """

    def __init__(self, source, target):
        _check_pair(source, target)
        self.source, self.target = source, target
        self.x, self.y = torch.cat([source[0], target[0]]), torch.cat([source[1], target[1]])
        self.weights = [check_weights(None, x) for x, _ in (source, target)]

    def at(self, t):
        """(x (N, D), y (N,), w (N,)) at time t, a number or a scalar tensor."""
        _check_time(t)
        return self.x, self.y, torch.cat([(1 - t) * self.weights[0], t * self.weights[1]])

    def sample(self, t, n=None, seed=0):
        """A training set of n images (default: as many as the source has): slot k holds a source
        image until t passes u_k, then a target image.

        The u_k are stratified: the share of target images is t to within 1/n. Images, slots and u_k
        are functions of the seed alone: two sets at t and t + δ differ in the δn slots that they
        must differ in.
        """
        _check_time(t)
        random, n = generator(seed, 11), n or len(self.weights[0])
        draws = [_deal(w, n, random) for w in self.weights]
        u = ((torch.randperm(n, generator=random, device="cpu") + 0.5) / n).to(self.x.device)
        index = torch.where(u < float(t), len(self.weights[0]) + draws[1], draws[0])
        return self.x[index], self.y[index]


class Displacement:
    """p(x, t) = Σ Γ_ij δ(x − (1 − t)x_i − t x'_j) (paper, eq. 37): images move along the pairs of a
    plan, and labels as probabilities y(t) = (1 − t) δ_{y_i} + t δ_{y'_j} (K, Y) (Remark 11).

    Where labels differ they put a floor under C, `label_entropy`; a plan by class (`plan_by_class`)
    has pairs of one label only.

    Args:
        source, target: (x (N, D), y (N,) int64) each, as in `Mixture`
        plan: `fe.transport.Plan` between them
        n_classes: Y (default: the largest label + 1)
    """

    def __init__(self, source, target, plan, n_classes=None):
        _check_pair(source, target)
        for images, k in ((source[0], plan.i), (target[0], plan.j)):
            if not 0 < len(k) or not int(k.max()) < len(images):
                sizes = f"{len(source[0])} and {len(target[0])} images"
                raise ValueError(f"the plan has {len(k)} pairs, but not of these {sizes}")
        most = 1 + max(int(source[1].max()), int(target[1].max()))
        self.n_classes = most if n_classes is None else n_classes
        if self.n_classes < most:
            raise ValueError(f"n_classes = {n_classes}, but labels run to {most - 1}")
        self.plan, self.weights = plan, plan.mass.to(source[0])
        ys, yt = source[1][plan.i], target[1][plan.j]
        self._ends = source[0][plan.i], target[0][plan.j], ys, yt
        # the mass of changing labels
        self._changing = float(self.weights @ (ys != yt).to(self.weights))

    def at(self, t):
        """(x (K, D), y, w (K,)) at time t; y (K,) if no pair's labels differ, else (K, Y)."""
        _check_time(t)
        xs, xt, ys, yt = self._ends
        x = (1 - t) * xs + t * xt
        if not self._changing:
            return x, ys, self.weights
        one = torch.eye(self.n_classes, dtype=xs.dtype, device=xs.device)
        return x, (1 - t) * one[ys] + t * one[yt], self.weights

    def label_entropy(self, t):
        """E H(y(x, t)) ≤ log 2 in nats: no classifier has a smaller C on uncertain labels."""
        _check_time(t)
        ends = float(t), 1 - float(t)
        return self._changing * sum(-q * math.log(q) for q in ends if q > 0)


class TaskObjective:
    """J(θ, p), p = (λ, γ, t), of a model on a task that changes.

    Args:
        model: an objective with `on(x, y, weights)`, as `TopographicMap`, `GridModel` and
            `AmortisedObjective` have it, or any function (x, y, weights) -> objective
        task: `Mixture`, `Displacement` or one of your own, differentiable in t
    """

    def __init__(self, model, task):
        self.on, self.task = getattr(model, "on", model), task
        for name in ("dense_hessian", "preconditioner"):  # the model's, on the task at time p[2]
            if hasattr(model, name):
                of = lambda th, p, name=name: getattr(self.at(p[2]), name)(th, p[:2])
                setattr(self, name, of)

    def __call__(self, theta, p):
        if len(p) != 3:
            raise ValueError(f"p must be (λ, γ, t), got {len(p)} controls")
        return self.at(p[2])(theta, p[:2])

    def at(self, t):
        """The objective J(θ, (λ, γ)) of the task as it is at time t."""
        x, y, *weights = getattr(self.task, "at", self.task)(t)
        return self.on(x, y, *(weights or [check_weights(None, x)]))


def align_labels(source, target):
    """Rename the target's classes so that each takes the name of the source class that costs least
    to turn into it, by W₂² between classes: the label of a pair can stay while its image moves.

    Returns y (M,), the target's labels renamed; names, a dict old -> new; cost (classes, classes).
    Raises `ValueError` if the numbers of classes differ.
    """
    _check_pair(source, target)
    old, new = target[1].unique().tolist(), source[1].unique().tolist()
    if len(old) != len(new):
        raise ValueError(f"{len(new)} classes of the source cannot be paired with {len(old)}")
    of = lambda data, label: data[0][data[1] == label]
    cost = [[optimal_plan(of(source, a), of(target, b)).cost for b in old] for a in new]
    rows, columns = linear_sum_assignment(cost)
    names = {old[c]: new[r] for r, c in zip(rows, columns)}
    y = target[1].clone()
    for b, a in names.items():
        y[target[1] == b] = a
    return y, names, torch.tensor(cost, device="cpu")


def plan_by_class(source, target):
    """The best plan among those that join equal labels only: an optimal plan within each class,
    classes weighed as in the source. Raises `ValueError` if a class is in one set only.
    """
    _check_pair(source, target)
    classes = source[1].unique().tolist()
    if classes != target[1].unique().tolist():
        raise ValueError(
            f"source has the labels {classes}, target {target[1].unique().tolist()}: every class "
            "needs a partner (see align_labels)"
        )
    parts = []
    for c in classes:
        here, there = (data[1].eq(c).nonzero()[:, 0] for data in (source, target))
        plan = optimal_plan(source[0][here], target[0][there])
        share = len(here) / len(source[1])
        parts.append((here[plan.i], there[plan.j], *(share * v for v in plan[2:])))
    i, j, mass, cost, gap = zip(*parts)
    return Plan(torch.cat(i), torch.cat(j), torch.cat(mass), sum(cost), sum(gap))
