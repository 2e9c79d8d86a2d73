"""One scalar function carries the theory.

Write p = (λ, γ, …) for the controls. An *objective* is any callable `J(theta, p) -> scalar` that
torch can differentiate twice: the Gibbs free energy −E log Z (paper, eq. 14), the amortised R + λD
+ γC, or a reader's own. By the envelope theorem the functionals are its derivatives at fixed θ,

    D = ∂J/∂λ,    C = ∂J/∂γ,    R = J − λD − γC,

exactly. *The rate carries the ridge*: where J holds a penalty ½ρ‖θ‖², the R of this library is R′ =
R + ½ρ‖θ‖². For R′ the first law, Lemma 3 (Hess R · Hess F = −I) and eq. (29), (30) hold to the last
digit. A model that knows its ridge gives the bare R (`Ridged.bare_rate`).

An objective that knows more about A = ∇²_θ J says so by methods, which all that solves with A uses:
`dense_hessian(theta, p)` gives A (P, P) itself, for at most 4,000 parameters;
`preconditioner(theta, p)` gives an approximate A⁻¹, a function (P, m) -> (P, m), for where A is not
written out.
"""

import copy
from typing import NamedTuple

import torch

from .errors import check_floating, check_like, number, scalar


class Functionals(NamedTuple):
    """Scalar tensors, in nats per example."""

    objective: torch.Tensor  # J
    rate: torch.Tensor  # J − λD − γC: R, and the ridge where J has one
    distortion: torch.Tensor  # D = ∂J/∂λ
    classification: torch.Tensor  # C = ∂J/∂γ


def check_state(theta, p):
    """`ValueError` or `TypeError` unless θ (P,) and p = (λ, γ, …) are finite floating vectors of
    one dtype and device, λ ≥ 0 and γ ≥ 0.
    """
    check_floating("theta", theta, "P")
    check_floating("p", p, "n")
    check_like("p", p, "theta", theta)
    for name, value in zip(("λ", "γ"), p.tolist()):
        if value < 0:
            raise ValueError(f"p must have λ ≥ 0 and γ ≥ 0, got {name} = {value}")


def check_objective(J, theta, p):
    """`check_state`, and `ValueError` unless J is a scalar, the same at two calls: noise would make
    products with A meaningless.
    """
    check_state(theta, p)
    with torch.no_grad():
        first, second = scalar(J(theta, p)), J(theta, p)
    if not torch.equal(first, second) and not (torch.isnan(first) and torch.isnan(second)):
        got = f"two calls gave {float(first)} and {float(second)}"
        raise ValueError(f"J is not deterministic: {got}. Fix the noise; call eval() of modules")


def functionals(J, theta, p):
    """R, D and C as derivatives of J (paper, eq. 1 and 4): `Functionals`, differentiable in both.

    J is a function (theta (P,), p (n,)) -> scalar, or `ValueError`; with n = 1 there is no
    classifier and C is 0. Raises what `check_state` does.
    """
    check_state(theta, p)
    dJ, value = torch.func.grad_and_value(lambda *at: scalar(J(*at)), argnums=1)(theta, p)
    C = dJ[1] if len(p) > 1 else torch.zeros_like(value)
    return Functionals(value, value - dJ[:2] @ p[:2], dJ[0], C)


def rate(J, theta, p):
    """R(θ, p) = J − λD − γC, with the ridge where J has one; to conserve or to plot."""
    dJ, value = torch.func.grad_and_value(J, argnums=1)(theta, p)
    return value - dJ[:2] @ p[:2]


def distortion(J, theta, p):
    """D(θ, p) = ∂J/∂λ."""
    return torch.func.grad(J, argnums=1)(theta, p)[0]


def classification(J, theta, p):
    """C(θ, p) = ∂J/∂γ."""
    return torch.func.grad(J, argnums=1)(theta, p)[1]


def normal(*size, seed, like):
    """N(0, 1) of this size, a function of the seed on every device, as `like` is."""
    random = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(size, generator=random, dtype=torch.float64, device="cpu").to(like)


class Ridged:
    """What the models of `fe` that have a ridge ½ρ‖θ‖² inside J share; `ridge` is ρ ≥ 0."""

    def __init__(self, ridge):
        self.ridge = number("ridge", ridge)

    def penalty(self, theta):
        """½ρ‖θ‖², the part of J that is no average over images."""
        return 0.5 * self.ridge * theta.dot(theta)

    def bare_rate(self, theta, p):
        """R without the ridge, KL(e‖m) averaged over images, in nats per example; for plots."""
        return functionals(self, theta, p).rate - self.penalty(theta)


class Imaged(Ridged):
    """What the models of `fe` that are an average over images x with labels y share."""

    def on(self, x, y, weights):
        """The same model on other images: y (N,) labels or (N, Y) probabilities, weights (N,), not
        checked: all three may depend on a control that is differentiated (`fe.tasks`).
        """
        other = copy.copy(self)
        other.x, other.y, other.weights = x, y, weights
        return other


class Ridge(Ridged):
    """J + ½ρ‖θ‖²: the ridge *inside* the objective keeps the envelope theorem exact, and gives the
    curvature ρ to directions along which J is flat. `bare_rate` takes off this ridge, none of J's.
    """

    def __init__(self, J, rho):
        super().__init__(rho)
        self.J = J

    def __call__(self, theta, p):
        return self.J(theta, p) + self.penalty(theta)


def flatten(*modules):
    """The parameters of ordinary modules as one vector θ (P,), a copy, and the way back: theta ->
    one dict of named parameters a module, for `torch.func.functional_call`.

    >>> net, x = torch.nn.Linear(3, 2), torch.ones(1, 3)
    >>> theta, unflatten = flatten(net)
    >>> torch.equal(torch.func.functional_call(net, *unflatten(theta), (x,)), net(x))
    True
    """
    named = [dict(m.named_parameters()) for m in modules]
    parts = [v.detach().reshape(-1) for group in named for v in group.values()]
    if not parts:
        raise ValueError("flatten: the modules have no parameters")
    theta, sizes = torch.cat(parts), [len(v) for v in parts]

    def unflatten(vector):
        if vector.shape[-1] != len(theta):
            got = tuple(vector.shape)
            raise ValueError(f"unflatten expects {len(theta)} parameters, got {got}")
        rest = iter(vector.split(sizes))
        return [{name: next(rest).view(v.shape) for name, v in g.items()} for g in named]

    return theta, unflatten
