"""A task that changes: the response to t against differences and closed forms, App. E written out,
Maxwell, first law.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import fe
from fe import classification, distortion
from fe.response import Local
from fe.tasks import Displacement, Mixture, TaskObjective, align_labels, training_set
from fe.transport import optimal_plan

ROOT = Path(__file__).resolve().parents[1]
SIGMA_S = torch.tensor([[1, 0, 0], [0, 0.5, 0.35], [0, 0.35, 1]], dtype=torch.float64)
SIGMA_T = torch.tensor([[0.7, 0.1, 0.5], [0.1, 1.2, 0.3], [0.5, 0.3, 1]], dtype=torch.float64)


def controls(t, lam=0.5, gam=4.0):
    return torch.tensor([lam, gam, t], dtype=torch.float64)


def stencil(f, h):
    """f'(0) by the five-point rule: truncation h⁴ f⁗′/30."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def relative(found, truth):
    return float((found - truth).norm() / truth.norm())


class Case:
    """An objective of a changing task, an equilibrium of it inside (0, 1), and its linear
    response.
    """

    def __init__(self, model, task, t):
        self.model, self.task, self.J, self.p = model, task, TaskObjective(model, task), controls(t)
        self.eq = fe.minimise(self.J, model.initial(), self.p, tol=1e-12)
        self.response = fe.linear_response(
            self.J,
            self.eq.theta,
            self.p,
            rtol=1e-11,
        )

    def shifted(self, dp):
        """(θ*, F, D, C, F_t) of the equilibrium at p + dp, minimised anew."""
        q = self.p + torch.tensor(dp, dtype=torch.float64)
        eq = fe.minimise(self.J, self.eq.theta, q, tol=1e-12)
        return torch.cat(
            [
                eq.theta,
                torch.tensor([float(eq.value)], dtype=torch.float64),
                torch.func.grad(self.J, argnums=1)(eq.theta, q),
            ]
        )


def pair(n=60):
    """Digits 0–2 and 3–5 with shared labels."""
    source, target = fe.digits(n, classes=range(3)), fe.digits(n, classes=range(3, 6))
    return source, (target[0], align_labels(source, target)[0])


@pytest.fixture(scope="module")
def mixture():
    torch.manual_seed(0)
    source, target = pair()
    return Case(
        fe.TopographicMap(*source, 3, grid=9, features=2, ridge=1e-2), Mixture(source, target), 0.4
    )


@pytest.fixture(scope="module")
def displacement():
    source, target = fe.digits(60, classes=range(3)), fe.digits(60, classes=range(3, 6))
    task = Displacement(source, target, optimal_plan(source[0], target[0]), n_classes=6)
    return Case(fe.TopographicMap(*source, 6, grid=9, features=2, ridge=1e-2), task, 0.3)


@pytest.mark.parametrize("name", ["mixture", "displacement"])
def test_response_to_the_task_against_differences(name, request):
    """θ_t, F_t, D_t, C_t, F_tt at h = 1e-3: truncation h⁴ = 1e-12 times a fifth derivative;
    convergence 1e-12/(μh) ≤ 1e-6.
    """
    case = request.getfixturevalue(name)
    by_t = stencil(lambda e: case.shifted([0.0, 0.0, e]), 1e-3)
    r = case.response
    assert relative(r.theta_p[:, 2], by_t[:-4]) < 1e-5
    for found, truth in zip((r.gradient[2], r.hess[0, 2], r.hess[1, 2], r.hess[2, 2]), by_t[-4:]):
        assert relative(found, truth) < 1e-5


@pytest.mark.parametrize("name", ["mixture", "displacement"])
def test_maxwell_with_t(name, request):
    """∂D/∂t = ∂F_t/∂λ and ∂C/∂t = ∂F_t/∂γ, every side from its own re-minimised differences."""
    case = request.getfixturevalue(name)
    by_lam, by_gam, by_t = (
        stencil(lambda e, k=k: case.shifted([e * (k == i) for i in range(3)]), 1e-3)[-3:]
        for k in range(3)
    )
    assert (
        relative(by_t[0], by_lam[2]) < 1e-5
        and relative(by_t[1], by_gam[2]) < 1e-5
        and relative(by_lam[1], by_gam[0]) < 1e-5
    )
    torch.testing.assert_close(
        torch.stack([by_lam, by_gam, by_t]), case.response.hess, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_a_mixture_is_linear_in_t(t, mixture):
    """TaskObjective = (1 − t) Jˢ + t Jᵗ for sets of different size, at any θ."""
    source, target = mixture.task.source, tuple(v[:37] for v in mixture.task.target)
    parts = [
        fe.TopographicMap(*data, 3, grid=9, features=2, ridge=1e-2) for data in (source, target)
    ]
    J, p = TaskObjective(parts[0], Mixture(source, target)), controls(t)
    theta = mixture.eq.theta + 0.1 * torch.randn(len(mixture.eq.theta))
    values = [part(theta, p[:2]) for part in parts]
    assert abs(J(theta, p) - (1 - t) * values[0] - t * values[1]) < 1e-13 * max(
        1, float(abs(values[0])), float(abs(values[1]))
    )  # rounding of sums of 97 × 81 terms


def networks(n_classes=3):
    nets = [
        fe.Encoder((64, 8, 2), None),
        fe.Decoder((2, 8, 64), None),
        fe.Classifier((2, 8, n_classes), None),
    ]
    return [net.double().eval() for net in nets]


def test_an_amortised_mixture_is_linear_in_t(mixture):
    source, target = mixture.task.source, mixture.task.target
    nets, noise = networks(), torch.randn(4, 120, 2)
    both = fe.AmortisedObjective(
        *nets,
        torch.cat([source[0], target[0]]),
        torch.cat([source[1], target[1]]),
        noise,
        ridge=1e-2,
    )
    parts = [
        fe.AmortisedObjective(*nets, *data, e, ridge=1e-2)
        for data, e in ((source, noise[:, :60]), (target, noise[:, 60:]))
    ]
    J, p = TaskObjective(both, Mixture(source, target)), controls(0.3)
    values = [part(both.theta0, p[:2]) for part in parts]
    assert abs(J(both.theta0, p) - 0.7 * values[0] - 0.3 * values[1]) < 1e-13 * float(
        values[0] + values[1]
    )
    slope = torch.func.grad(J, argnums=1)(both.theta0, p)[2]
    assert abs(slope - (values[1] - values[0])) < 1e-12


def test_one_hot_labels_are_labels(mixture):
    """`on` with one-hot probabilities gives what `on` with labels gives, for both kinds of
    objective.
    """
    x, y = mixture.task.source
    one_hot = torch.eye(3, dtype=x.dtype)[y]
    w = torch.full((len(x),), 1 / len(x), dtype=x.dtype)
    amortised = fe.AmortisedObjective(*networks(), x, y, torch.randn(3, len(x), 2))
    for objective, theta in ((mixture.model, mixture.eq.theta), (amortised, amortised.theta0)):
        hard, soft = (
            objective.on(x, y, w)(theta, mixture.p[:2]),
            objective.on(x, one_hot, w)(theta, mixture.p[:2]),
        )
        assert abs(hard - soft) < 1e-12
        blurred = objective.on(x, 0.5 * one_hot + 0.5 / 3, w)(theta, mixture.p[:2])
        assert abs(blurred - hard) > 1e-3


def test_the_force_is_the_difference_of_the_tasks(mixture):
    J, p, theta = mixture.J, mixture.p, mixture.eq.theta
    ends = [mixture.model.on(*mixture.task.at(t))(theta, p[:2]) for t in (0.0, 1.0)]
    assert abs(mixture.response.gradient[2] - (ends[1] - ends[0])) < 1e-12
    # the frozen model is the tangent
    assert (
        abs(J(theta, controls(0.9)) - (mixture.eq.value + 0.5 * mixture.response.gradient[2]))
        < 1e-12
    )


def along(f, theta, direction):
    return torch.autograd.functional.jvp(f, theta, direction)[1]


def test_appendix_E_written_out(mixture):
    """b_t of eq. (25), C_t of eq. (27) and its twin D_t as averages under the Gibbs encoder,
    against two derivatives of J.
    """
    J, p, theta, r = mixture.J, mixture.p, mixture.eq.theta, mixture.response
    task = J.at(p[2])
    e = task.posterior(theta, p)
    mean = lambda f: (e * f).sum(1)
    dw = torch.cat([-mixture.task.weights[0], mixture.task.weights[1]])
    th = theta.clone().requires_grad_()
    b_t = -torch.autograd.grad(dw @ mean(-task.log_joint(th, p)), th)[0]  # the encoder is held
    torch.testing.assert_close(b_t, Local(J, theta, p).mixed()[0][:, 2], rtol=0, atol=1e-12)
    a = along(lambda v: -task.log_joint(v, p), theta, r.theta_p[:, 2])
    for which in (0, 1):
        f = task.log_likelihoods(theta)[which]
        b = along(lambda v, k=which: task.log_likelihoods(v)[k], theta, r.theta_p[:, 2])
        written = -dw @ mean(f) - task.weights @ (mean(a) * mean(f) - mean(f * a) + mean(b))
        assert abs(written - r.hess[which, 2]) < 1e-8  # CG stops at 1e-11 in the energy norm
    log_z = torch.logsumexp(task.log_joint(theta, p), 1)
    assert abs(-dw @ log_z - r.gradient[2]) < 1e-12
    assert abs(r.hess[2, 2] + b_t @ r.theta_p[:, 2]) < 1e-8  # F_tt = −b_tᵀA⁻¹b_t


def test_moving_labels_need_further_terms(displacement):
    """Where images and labels move, ∂_tC at fixed θ is −E[⟨∂_tℓ⟩ − ⟨ℓ ∂_tH⟩ + ⟨ℓ⟩⟨∂_tH⟩], and
    the
    term with ∂_tℓ is not small.
    """
    J, p, theta = displacement.J, displacement.p, displacement.eq.theta
    task = J.at(p[2])
    e, ell = task.posterior(theta, p), task.log_likelihoods(theta)[1]
    mean = lambda f: (e * f).sum(1)
    one = torch.ones((), dtype=torch.float64)
    dH = along(lambda t: -J.at(t).log_joint(theta, p), p[2], one)
    d_ell = along(lambda t: J.at(t).log_likelihoods(theta)[1], p[2], one)
    written = -task.weights @ (mean(d_ell) - mean(ell * dH) + mean(ell) * mean(dH))
    by_hand = Local(J, theta, p).mixed()[1][1, 2]  # ∂²J/∂γ∂t at fixed θ
    assert abs(written - by_hand) < 1e-10
    assert abs(task.weights @ mean(d_ell)) > 0.1 * abs(by_hand)


def test_linear_gaussian_closed_form():
    """Σ(t) = (1 − t)Σˢ + tΣᵗ: the response of (1 − t)Jˢ + tJᵗ against differences of the closed
    form at Σ(t ± h).
    """
    ends = [fe.LinearGaussian(S, dim_x=2, k=1) for S in (SIGMA_S, SIGMA_T)]
    at = lambda t: fe.LinearGaussian((1 - t) * SIGMA_S + t * SIGMA_T, dim_x=2, k=1)
    J = lambda theta, p: (1 - p[2]) * ends[0](theta, p[:2]) + p[2] * ends[1](theta, p[:2])
    for t in (0.2, 0.7):
        p = controls(t, 1.0, 2.0)
        theta = at(t).optimum(p[:2])
        r = fe.linear_response(J, theta, p)
        align = lambda th: th * torch.sign(th @ theta)
        for found, f in (
            (r.theta_p[:, 2], lambda e: align(at(t + e).optimum(p[:2]))),
            (r.hess[:2, 2], lambda e: at(t + e).gradient(p[:2])),
            (r.gradient[2], lambda e: at(t + e).free_energy(p[:2])),
        ):
            torch.testing.assert_close(found, stencil(f, 1e-3), rtol=0, atol=1e-9)
        torch.testing.assert_close(r.hess[:2, :2], at(t).hessian(p[:2]), rtol=0, atol=1e-9)


def test_F_is_concave_in_t(mixture):
    """A minimum of functions linear in t; Hess F in (λ, γ, t) together is not negative definite."""
    theta, values, ends = mixture.eq.theta, [], []
    for t in torch.linspace(0, 1, 6).tolist():
        eq = fe.minimise(mixture.J, theta, controls(t))
        theta = eq.theta
        values.append(float(eq.value))
        if t in (0.0, 1.0):
            r = fe.linear_response(mixture.J, theta, eq.p)
            assert r.hess[2, 2] < 0
            ends.append(float(torch.linalg.eigvalsh(r.hess)[-1]))
            assert torch.linalg.eigvalsh(r.hess[:2, :2])[-1] < 0
    values = torch.tensor(values)
    chord = torch.linspace(float(values[0]), float(values[-1]), 6)
    assert (values.diff().diff() < 0).all() and (values[1:-1] > chord[1:-1]).all()
    assert min(ends) > 0.1


def test_C_is_held_along_a_mixture(mixture):
    """Iso-classification while the task changes; first law dF = D dλ + C dγ + F_t dt; (28) for
    γ̇.
    """
    p = controls(0.0)
    path = fe.follow(
        mixture.J,
        mixture.eq.theta,
        p,
        fe.Conserve(classification, along=(0.1, 0, 1), adjust=(0, 1, 0)),
        0.4,
    )
    C, F, s = torch.tensor(path["classification"]), torch.tensor(path["value"]), path.controls
    assert not path.jumps and ((C / C[0] - 1).abs() < 1e-6).all()
    slopes = torch.stack(path["gradient"])  # (T, 3) = (D, C, F_t)
    work = ((slopes[1:] + slopes[:-1]) / 2 * s.diff(dim=0)).sum(1)
    # trapezoid: an interval's error is |δpᵀ(δ Hess F)δp|/12; steps of 0.03 and Hess F of order 10,
    # changing by order 1
    assert (F.diff() - work).abs().max() < 1e-4 and abs(float(F[-1] - F[0] - work.sum())) < 5e-4
    R = torch.tensor(path["rate"])
    D, F_t, lam = torch.tensor(path["distortion"]), slopes[:, 2], s[:, 0]
    law = (F_t[1:] + F_t[:-1]) / 2 * s[:, 2].diff() - (lam[1:] + lam[:-1]) / 2 * D.diff()
    assert (R.diff() - law).abs().max() < 1e-4  # dR = F_t dt − λ dD, C constant
    for q in path.points:
        assert abs(q.velocity[1] + (0.1 * q.hess[1, 0] + q.hess[1, 2]) / q.hess[1, 1]) < 1e-6 * (
            1 + abs(q.velocity[1])
        )


def test_two_quantities_along_a_mixture(mixture):
    """C and D held by γ and λ: then dR = F_t dt."""
    both = lambda J, th, p: torch.stack([classification(J, th, p), distortion(J, th, p)])
    path = fe.follow(
        mixture.J,
        mixture.eq.theta,
        controls(0.4),
        fe.Conserve(both, (0, 0, 1), ((1, 0, 0), (0, 1, 0))),
        0.03,
    )
    D, C = torch.tensor(path["distortion"]), torch.tensor(path["classification"])
    assert ((C / C[0] - 1).abs() < 1e-9).all() and ((D / D[0] - 1).abs() < 1e-9).all()
    R = torch.tensor(path["rate"])
    F_t, t = torch.stack(path["gradient"])[:, 2], path.controls[:, 2]
    assert abs(float(R[-1] - R[0] - ((F_t[1:] + F_t[:-1]) / 2 * t.diff()).sum())) < 1e-5


def test_new_classes_are_steep():
    """An unseen class costs −t log t: with a ridge the slope of C at t = 0 is finite, and grows
    as
    the ridge falls.
    """

    def frequencies(rho):
        def J(theta, p):
            log_c = torch.log_softmax(theta, 0)
            return -p[1] * ((1 - p[2]) * log_c[0] + p[2] * log_c[1]) + 0.5 * rho * theta.dot(theta)

        return J

    slopes = []
    for rho in (1e-2, 1e-4):
        eq = fe.minimise(frequencies(rho), torch.zeros(2), controls(0.0))
        slopes.append(fe.linear_response(frequencies(rho), eq.theta, eq.p).hess)
        q = float(torch.softmax(eq.theta, 0)[1])
        L = float(torch.tensor((1 - q) / q).log())
        want = L + 1 / (1 + rho / (8 * q * (1 - q))) / (1 - q)
        assert abs(float(slopes[-1][1, 2]) - want) < 1e-6 * want
    assert slopes[1][1, 2] > slopes[0][1, 2] + 3 and abs(slopes[1][1, 1]) < 0.1 * abs(
        slopes[0][1, 1]
    )


def test_weights_are_a_distribution_at_every_time(mixture):
    for t in (0.0, 0.25, 1.0):
        w = mixture.task.at(t)[2]
        assert (
            abs(float(w.sum()) - 1) < 1e-12
            and (w >= 0).all()
            and abs(float(w[:60].sum()) - (1 - t)) < 1e-12
        )
    growth = torch.func.grad(lambda t: mixture.task.at(t)[2].sum())(
        torch.tensor(0.3, dtype=torch.float64)
    )
    assert abs(growth) < 1e-12


@pytest.mark.parametrize(
    "deaf", [lambda t: float(t.detach()), lambda t: t.detach().clone()], ids=["float", "tensor"]
)
def test_weights_that_do_not_know_their_t(deaf, mixture):
    """A task whose weights go by float(t): F_t = 0 and θ_t = 0 to the last digit; chapter 7
    warns
    of it.
    """

    class Deaf(Mixture):
        def at(self, t):
            return super().at(deaf(t))

    J = TaskObjective(mixture.model, Deaf(mixture.task.source, mixture.task.target))
    assert J(mixture.eq.theta, mixture.p) == mixture.J(mixture.eq.theta, mixture.p)
    r = fe.linear_response(J, mixture.eq.theta, mixture.p)
    assert (
        r.gradient[2] == 0
        and not r.theta_p[:, 2].any()
        and abs(mixture.response.gradient[2]) > 0.01
    )


def test_two_controls_are_too_few(mixture):
    with pytest.raises(ValueError, match="λ, γ, t"):
        mixture.J(mixture.eq.theta, mixture.p[:2])
    with pytest.raises(ValueError, match="4 controls"):
        mixture.J(mixture.eq.theta, torch.cat([mixture.p, mixture.p[:1]]))


def test_a_function_of_t_is_a_task(mixture):
    """As for networks: t -> (x, y), all of one weight, or (x, y, w); and F_t = ∂J/∂t through it,
    for a map and for a model on a grid. Images scaled by 1 − t/2 are a D of its own at every t.
    """
    x, y = mixture.task.source
    w = torch.full((len(x),), 1 / len(x), dtype=x.dtype)
    decoder, classifier = torch.nn.Linear(2, 64).double(), torch.nn.Linear(2, 3).double()
    grid = fe.GridModel(decoder, classifier, x, y, fe.uniform_grid(9, 2), ridge=0.1)
    for model, theta in ((mixture.model, mixture.eq.theta), (grid, grid.theta0)):
        fade = TaskObjective(model, lambda t: ((1 - 0.5 * t) * x, y))
        weighed = TaskObjective(model, lambda t: ((1 - 0.5 * t) * x, y, w))
        p, h = controls(0.3), torch.tensor([0, 0, 1e-4], dtype=torch.float64)
        assert fade(theta, p) == weighed(theta, p) == model.on(0.85 * x, y, w)(theta, p[:2])
        slope = torch.func.grad(fade, argnums=1)(theta, p)[2]
        numeric = (fade(theta, p + h) - fade(theta, p - h)) / 2e-4
        assert abs(slope - numeric) < 1e-6 * abs(numeric) and abs(numeric) > 0.1  # h² F‴/6


@pytest.mark.parametrize("t", [-0.1, 1.01, float("nan")])
def test_a_time_outside_is_refused(t, mixture, displacement):
    for case in (mixture, displacement):
        with pytest.raises(ValueError, match="between 0"):
            case.task.at(t)
        with pytest.raises(ValueError, match="between 0"):
            training_set(case.task, t, 10)
        with pytest.raises(ValueError, match="between 0|NaN"):
            fe.functionals(case.J, case.eq.theta, controls(t))


def change(data, **parts):
    return parts.get("x", data[0]), parts.get("y", data[1])


@pytest.mark.parametrize("total", [2.0, float("nan")])
def test_weights_to_train_on_are_refused_by_name(total, mixture):
    x, y = mixture.task.source
    for w in (torch.full((len(x),), total / len(x)), torch.ones(1, dtype=x.dtype)):
        with pytest.raises(ValueError, match=f"weights must be {len(x)} numbers"):
            training_set(lambda t: (x, y, w), 0.5)


@pytest.mark.parametrize("which", ["source", "target"])
def test_bad_data_is_refused_by_name(which):
    good = fe.digits(10, classes=range(3))
    x, y = good
    nan = x.clone()
    nan[2, 5] = float("nan")
    for bad, words in (
        (change(good, x=nan), "NaN"),
        ((x[:0], y[:0]), "x must have shape"),
        (change(good, y=y[:4]), "y must have shape"),
        (change(good, y=y.double()), "int64"),
        (change(good, y=y - 5), "0 is the least"),
        (change(good, x=x[:, :30]), "shape"),
        (change(good, x=x[0]), "shape"),
    ):
        data = {"source": good, "target": good} | {which: bad}
        for make in (
            lambda s, t: Mixture(s, t),
            lambda s, t: Displacement(s, t, optimal_plan(x, x)),
            align_labels,
        ):
            with pytest.raises((ValueError, TypeError), match=words) as caught:
                make(data["source"], data["target"])
            assert which in str(caught.value)


def test_classes_that_cannot_be_paired_are_refused():
    with pytest.raises(ValueError, match="3 classes of the source cannot be paired with 2"):
        align_labels(fe.digits(20, classes=range(3)), fe.digits(20, classes=range(2)))


def test_fewer_classes_than_labels_are_refused():
    source, target = (
        (torch.rand(4, 3), torch.tensor([0, 1, 0, 1])),
        (torch.rand(4, 3), torch.tensor([0, 1, 2, 1])),
    )
    plan = fe.optimal_plan(source[0], target[0])
    with pytest.raises(ValueError, match="n_classes = 2, but labels run to 2"):
        fe.Displacement(source, target, plan, n_classes=2)


def test_stored_new_classes():
    """`results/new_classes.json`: C held at every point; jumps and the refusal at the weak
    ridges;
    and one start walked again.
    """
    stored = json.loads((ROOT / "results" / "new_classes.json").read_text())
    rows = {row["ridge"]: row for row in stored["ridges"]}
    assert (
        list(rows) == [1e-2, 1e-3, 1e-4, 1e-5]
        and stored["provenance"]["arguments"]["length"] == 0.01
    )
    for row in rows.values():
        c = torch.tensor(row["classification"], dtype=torch.float64)
        assert float((c / c[0] - 1).abs().max()) < 1e-9
    assert all(
        rows[ridge]["t"][-1] == pytest.approx(0.01) and rows[ridge]["refusal"] is None
        for ridge in (1e-2, 1e-3, 1e-4)
    )
    assert [len(rows[ridge]["jumps"]) for ridge in (1e-2, 1e-3)] == [0, 0] and len(
        rows[1e-4]["jumps"]
    ) > 0
    assert (
        rows[1e-5]["jumps"] is None
        and "does not respond" in rows[1e-5]["refusal"]
        and 0.005 < rows[1e-5]["t"][-1] < 0.01
    )
    spec = importlib.util.spec_from_file_location(
        "new_classes", ROOT / "benchmarks" / "new_classes.py"
    )
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    again, row = module.walk(1e-2, length=1e-3), rows[1e-2]
    assert again["gam"][-1] == pytest.approx(
        float(np.interp(1e-3, row["t"], row["gam"])), abs=5e-3
    )  # between two stored points
