"""A task that changes: paths t ↦ p(x, t) from a source to a target (paper, §4.1–4.2, App. F).

A task at time t is a weighted set of images with labels: x (N, D), y, w (N,) with sum one. N does
not depend on t, and x, y and w are differentiable functions of it, so that t is one more control of
the objective,

    J(θ, p),   p = (λ, γ, t),

and everything in fe that takes p takes it: D, C and F_t = ∂J/∂t are derivatives of J, θ_t and C_t
come from the same linear response (Lemma 9), `fe.path` follows it.
"""

import math

import torch

from .errors import check_data, check_weights
from .training import generator


def _check_time(t):
    """Raise `ValueError` unless 0 ≤ t ≤ 1 (to rounding)."""
    value = float(t.detach() if isinstance(t, torch.Tensor) else t)
    if not -1e-9 <= value <= 1 + 1e-9:
        raise ValueError(f"t must lie between 0 (source) and 1 (target), got {value}")


def _check_pair(source, target):
    (xs, _), (xt, _) = source, target
    for name, (x, y) in (("source", source), ("target", target)):
        try:
            check_data(x, y)
        except (ValueError, TypeError) as e:
            raise type(e)(f"{name}: {e}") from None
        if int(y.min()) < 0:
            raise ValueError(f"{name}: labels must be ≥ 0, got {int(y.min())}")
    if xs.shape[1] != xt.shape[1] or (xs.dtype, xs.device) != (xt.dtype, xt.device):
        raise ValueError(
            f"source and target images differ: {xs.shape[1]} pixels of {xs.dtype} on {xs.device}, "
            f"{xt.shape[1]} of {xt.dtype} on {xt.device}"
        )


class Task:
    """What a path of tasks has: `at(t)`, from which the exact models and the networks both live.

    One of your own needs `at(t)` -> (x (N, …), y, w (N,)), differentiable in t for the exact half.
    For networks, whose training needs no more than images at each t, any function t -> (x, y) does.
    """

    def at(self, t):
        """Images, labels and weights at time t, from 0 to 1."""
        raise NotImplementedError("a task says what it is `at(t)`")

    def sample(self, t, n, seed=0):
        """A training set of n images at time t; which ones is a function of the seed, the same at
        every t as far as the weights are.
        """
        x, y, weights = self.at(t)
        index = _deal(weights, n, generator(seed, 12))
        return x[index], y[index]


class Mixture(Task):
    """p(x, t) = (1 − t) pˢ + t pᵗ (paper, eq. 23): images and labels stay, their weights move.

    Args:
        source, target: (x (N, D), y (N,) int64) each; numbers of images may differ
        source_weights, target_weights: probabilities within each (default: equal)

    Raises:
        ValueError, TypeError: empty, NaN or mis-shaped images, weights that do not sum to one; t
            outside [0, 1] when called
    """

    def __init__(self, source, target, source_weights=None, target_weights=None):
        _check_pair(source, target)
        self.source, self.target = source, target
        self.x, self.y = torch.cat([source[0], target[0]]), torch.cat([source[1], target[1]])
        self.weights = [
            check_weights(source_weights, source[0], "source_weights"),
            check_weights(target_weights, target[0], "target_weights"),
        ]

    def at(self, t):
        """(x (N, D), y (N,), w (N,)) at time t, a number or a scalar tensor."""
        _check_time(t)
        return self.x, self.y, torch.cat([(1 - t) * self.weights[0], t * self.weights[1]])

    def sample(self, t, n, seed=0):
        """A training set of n images at time t. Slot k holds a source image until t passes u_k, and
        then a target image.

        The u_k are stratified: the share of target images is t to within 1/n. Images, slots and u_k
        are functions of the seed alone, so that two sets at t and t + δ differ in the δn slots that
        they must differ in.
        """
        _check_time(t)
        random = generator(seed, 11)
        draws = [_deal(w, n, random) for w in self.weights]
        u = ((torch.randperm(n, generator=random, device="cpu") + 0.5) / n).to(self.x.device)
        index = torch.where(u < float(t), len(self.weights[0]) + draws[1], draws[0])
        return self.x[index], self.y[index]


def _deal(weights, n, random):
    """n indices with the given probabilities, stratified, in random order (systematic sampling)."""
    points = (
        torch.arange(n, device="cpu")
        + torch.rand(1, generator=random, dtype=torch.float64, device="cpu")
    ) / n
    index = torch.searchsorted(weights.cpu().double().cumsum(0), points).clamp_(
        max=len(weights) - 1
    )
    return index[torch.randperm(n, generator=random, device="cpu")].to(weights.device)


class Displacement(Task):
    """p(x, t) = Σ Γ_ij δ(x − (1 − t)x_i − t x'_j) (paper, eq. 37): images move along the pairs of a
    plan.

    Labels move too (Remark 11): y(t) = (1 − t) δ_{y_i} + t δ_{y'_j}, as probabilities (K, Y). Where
    they differ they put a floor under C, `label_entropy`; with `labels="source"` or `"target"` the
    image keeps one label all the way.

    Args:
        source, target: (x (N, D), y (N,) int64) each
        plan: `fe.transport.Plan` between them
        n_classes: Y (default: the largest label + 1)
        labels: "both", "source" or "target"

    Raises:
        ValueError, TypeError: data as in `Mixture`; a plan of other images; t outside [0, 1] when
            called
    """

    def __init__(self, source, target, plan, n_classes=None, labels="both"):
        _check_pair(source, target)
        last = [int(k.max()) if len(k) else math.inf for k in (plan.i, plan.j)]
        if last[0] >= len(source[0]) or last[1] >= len(target[0]):
            raise ValueError(
                f"the plan has {len(plan.i)} pairs up to ({last[0]}, {last[1]}), but there are "
                f"{len(source[0])} source and "
                f"{len(target[0])} target images"
            )
        if labels not in ("both", "source", "target"):
            raise ValueError(f'labels must be "both", "source" or "target", got {labels!r}')
        self.source, self.target, self.plan, self.labels = source, target, plan, labels
        self.weights = plan.mass.to(source[0])
        most = 1 + max(int(source[1].max()), int(target[1].max()))
        self.n_classes = most if n_classes is None else n_classes
        if self.n_classes < most:
            raise ValueError(f"n_classes = {n_classes}, but labels run to {most - 1}")
        self._ends = source[0][plan.i], target[0][plan.j], source[1][plan.i], target[1][plan.j]

    def at(self, t):
        """(x (K, D), y, w (K,)) at time t; y (K, Y) probabilities, or (K,) labels if no pair's
        labels differ.
        """
        _check_time(t)
        xs, xt, ys, yt = self._ends
        x = (1 - t) * xs + t * xt
        if self.labels != "both" or bool((ys == yt).all()):
            return x, yt if self.labels == "target" else ys, self.weights
        one = torch.eye(self.n_classes, dtype=xs.dtype, device=xs.device)
        return x, (1 - t) * one[ys] + t * one[yt], self.weights

    def label_entropy(self, t):
        """E H(y(x, t)) in nats: no classifier has a smaller C on labels that are themselves
        uncertain. ≤ log 2, at t = ½.
        """
        _check_time(t)
        if self.labels != "both":
            return 0.0
        t = min(max(float(t), 0.0), 1.0)
        h = sum(-q * math.log(q) for q in (t, 1 - t) if q > 0)
        return h * float(self.weights @ (self._ends[2] != self._ends[3]).to(self.weights))


class TaskObjective:
    """J(θ, p), p = (λ, γ, t), of a model on a task that changes.

    Args:
        model: an objective with `on(x, y, weights)`, as `TopographicMap` and `AmortisedObjective`
            have it, or any function (x, y, weights) -> objective
        task: `Mixture`, `Displacement`, or an object whose `at(t)` gives x, y, weights,
            differentiable in t

    For a mixture J = (1 − t) J_source + t J_target exactly, so that F_t = J_target − J_source:
    there two lines do as well.
    """

    def __init__(self, model, task):
        self.on, self.task = getattr(model, "on", model), task
        if hasattr(model, "dense_hessian"):  # the model's, on the task at time p[2]
            self.dense_hessian = lambda th, p: self.at(p[2]).dense_hessian(th, p[:2])

    def __call__(self, theta, p):
        if len(p) != 3:
            raise ValueError(f"p must be (λ, γ, t), got {len(p)} controls")
        return self.at(p[2])(theta, p[:2])

    def at(self, t):
        """The objective J(θ, (λ, γ)) of the task as it is at time t."""
        return self.on(*self.task.at(t))

    def preconditioner(self, theta, p):
        """The model's, on the task at time p[2]."""
        return self.at(p[2]).preconditioner(theta, p[:2])


def align_labels(source, target):
    """Rename the target's classes so that each takes the name of the source class that costs least
    to turn into it.

    The cost of a pair of classes is W₂² between them (`optimal_plan`); the pairing is the cheapest
    of all (an assignment). Then source and target share their labels, and the label of a pair can
    stay while its image moves.

    Returns:
        y (M,), the target's labels renamed; names, a dict old -> new; cost (classes, classes) of
        W₂²

    Raises:
        ValueError: the numbers of classes differ
    """
    from scipy.optimize import linear_sum_assignment

    from .transport import optimal_plan

    _check_pair(source, target)
    old, new = target[1].unique().tolist(), source[1].unique().tolist()
    if len(old) != len(new):
        raise ValueError(
            f"the source has {len(new)} classes and the target {len(old)}: they cannot be paired"
        )
    cost = torch.tensor(
        [
            [optimal_plan(source[0][source[1] == a], target[0][target[1] == b]).cost for b in old]
            for a in new
        ],
        device="cpu",
    )
    rows, columns = linear_sum_assignment(cost.numpy())
    names = {old[c]: new[r] for r, c in zip(rows, columns)}
    y = target[1].clone()
    for b, a in names.items():
        y[target[1] == b] = a
    return y, names, cost


def plan_by_class(source, target, **options):
    """The best plan among those that join equal labels only: an optimal plan within each class,
    classes weighed as in the source.

    Raises:
        ValueError: a class is in one set and not in the other
    """
    from .transport import Plan, optimal_plan

    _check_pair(source, target)
    classes = source[1].unique().tolist()
    if classes != target[1].unique().tolist():
        raise ValueError(
            f"source has the labels {classes}, target {target[1].unique().tolist()}: every class "
            "needs a partner (see align_labels)"
        )
    parts = []
    for c in classes:
        here, there = (source[1] == c).nonzero()[:, 0], (target[1] == c).nonzero()[:, 0]
        plan = optimal_plan(source[0][here], target[0][there], **options)
        share = len(here) / len(source[1])
        parts.append(
            (here[plan.i], there[plan.j], share * plan.mass, share * plan.cost, share * plan.gap)
        )
    i, j, mass, cost, gap = zip(*parts)
    return Plan(torch.cat(i), torch.cat(j), torch.cat(mass), sum(cost), sum(gap))
