"""Checks of chapter 7's exercises: they use problems with known answers and say what a failure
points to.
"""

import torch

from ... import linear_response, minimise
from .answers import array, near, number, on_cpu, several

F64 = torch.float64


def _random(seed):
    return torch.Generator().manual_seed(seed)


def _two_prices(f):
    """An objective J(θ, (λ, γ)) that says so when it is handed the task's time as well."""

    def J(theta, prices):
        assert len(prices) == 2, (
            f"the objectives take (θ, (λ, γ)), and you hand in {len(prices)} controls: the prices "
            "are p[:2]"
        )
        return f(theta, *prices)

    return J


def _hint(found, candidates, fallback, tol=1e-6):
    for value, words in candidates:
        if near(found, value, tol):
            raise AssertionError(words)
    raise AssertionError(fallback)


@on_cpu
def check_F_t(F_t):
    """`F_t(J_source, J_target, theta, p)` on mixtures with a minimum in closed form, and on some
    that are no quadratics.
    """
    a, b = torch.tensor([1.0, -2.0], dtype=F64), torch.tensor([2.5, 0.5], dtype=F64)
    square = float((b - a).square().sum())

    def quadratic(centre, loss):
        return _two_prices(
            lambda theta, lam, gam: lam * (theta - centre).square().sum() + gam * loss
        )

    def other(seed, shift):
        root = torch.randn(3, 4, generator=_random(seed), dtype=F64)
        return _two_prices(
            lambda theta, lam, gam: (
                lam * torch.cosh(0.5 * (theta @ root - shift)).sum()
                + gam * torch.nn.functional.softplus(root.T @ theta + shift).sum()
                + 0.05 * theta @ theta
            )
        )

    problems = []
    for lam, gam, t in (
        (0.5, 4.0, 0.25),
        (2.0, 1.0, 0.8),
        (0.7, 0.3, 0.6),
    ):  # F = λt(1−t)|b−a|² + γ(0.3 + 0.6t); at ½ and beyond F_t < 0
        p = torch.tensor([lam, gam, t], dtype=F64)
        tasks, centres = (quadratic(a, 0.3), quadratic(b, 0.9)), (a, b)
        problems.append(
            (tasks, (1 - t) * a + t * b, p, lam * (1 - 2 * t) * square + 0.6 * gam, centres)
        )
    for seed, (lam, gam, t) in enumerate(((1.5, 0.4, 0.1), (0.3, 2.0, 0.5), (1.0, 1.0, 0.9))):
        p = torch.tensor([lam, gam, t], dtype=F64)
        tasks = other(seed, 0.4), other(seed + 10, -0.8)
        mixed = lambda theta, p, tasks=tasks: (
            (1 - p[2]) * tasks[0](theta, p[:2]) + p[2] * tasks[1](theta, p[:2])
        )
        at = minimise(mixed, torch.zeros(3, dtype=F64), p).theta
        alone = [
            minimise(lambda theta, q, task=task: task(theta, q[:2]), at, p).theta for task in tasks
        ]
        want = float(tasks[1](at, p[:2]) - tasks[0](at, p[:2]))
        problems.append((tasks, at, p, want, alone))
    for tasks, theta, p, want, alone in problems:
        found = number(F_t(*tasks, theta, p), "F_t")
        source, target = (float(task(theta, p[:2])) for task in tasks)
        if near(found, want, 1e-6, scale=abs(source) + abs(target)):
            continue
        t, own = float(p[2]), [float(task(at, p[:2])) for task, at in zip(tasks, alone)]
        _hint(
            found,
            (
                (
                    -want,
                    f"the sign is reversed: F_t is {want:.4g} here. t leads from the source to "
                    "the target, so the target counts with +; "
                    "behind the top of the bump F_t is negative",
                ),
                ((1 - t) * source + t * target, "this is J at time t, not its derivative by t"),
                (
                    t * target - (1 - t) * source,
                    "the shares 1 − t and t drop out when J = (1 − t)Jˢ + tJᵗ is differentiated "
                    "by t",
                ),
                (
                    own[1] - own[0],
                    "this compares each task at its own minimum; both have to be taken at the θ "
                    "that serves the mixture",
                ),
            ),
            f"F_t is {want:.6g} here, you have {found:.6g}: J of the target less J of the source, "
            "at θ, with the prices p[:2]",
        )
    return "right: F_t is the difference of the two tasks at the θ that serves both"


@on_cpu
def check_velocity_28(velocity_28):
    """`velocity_28(hess, lam_dot)` on random symmetric 3×3 Hess F with F_γγ < 0, for λ at rest,
    rising and falling.
    """
    g = _random(0)
    for _ in range(20):
        root = torch.randn(3, 3, generator=g, dtype=F64)
        hess = root + root.T
        hess[1, 1] = -0.2 - hess[1, 1].abs()
        for lam_dot in (0.0, 0.7, -1.3):
            C_lam, C_gam, C_t = hess[1].tolist()
            found, want = (
                number(velocity_28(hess.clone(), lam_dot), "velocity_28"),
                -(C_lam * lam_dot + C_t) / C_gam,
            )
            if near(found, want, scale=(abs(C_lam * lam_dot) + abs(C_t)) / abs(C_gam)):
                continue
            D_lam, D_gam, D_t = hess[0].tolist()
            _hint(
                found,
                (
                    (
                        -C_lam * lam_dot / C_gam,
                        "C_t is missing: the task moves C even where the prices rest",
                    ),
                    (-C_t / C_gam, "C_λ λ̇ is missing: λ moves too when lam_dot is not zero"),
                    (
                        -want,
                        "the sign is reversed: γ has to undo what λ and t do to C, and so it may "
                        f"fall; here γ̇ is {want:.4g}",
                    ),
                    (
                        -(C_t - C_lam * lam_dot) / C_gam,
                        "the sign of λ̇: C_λ λ̇ and C_t stand on one side, with the same sign",
                    ),
                    (
                        -(D_lam * lam_dot + D_t) / D_gam,
                        "this holds D: you used the first row of Hess F; C is the second, (C_λ, "
                        "C_γ, C_t)",
                    ),
                ),
                f"C moves, Ċ = {C_lam * lam_dot + C_gam * found + C_t:.3g}: solve C_λ λ̇ + C_γ γ̇ "
                "+ C_t = 0 for γ̇, with the clock at ṫ = 1",
            )
    return "right: Ċ = 0 with λ, γ and t all moving"


@on_cpu
def check_mixture_weights(mixture_weights):
    """`mixture_weights(ns, nt, t)`: the weights of every image and their derivatives by t, at both
    ends and between.
    """
    for ns, nt, t in (
        (3, 5, 0.25),
        (4, 4, 0.0),
        (2, 7, 1.0),
        (1, 1, 0.5),
        (6, 2, 0.9),
        (150, 97, 0.37),
    ):
        answer = several(
            mixture_weights(ns, nt, t),
            "mixture_weights",
            2,
            "two vectors, w and its derivative by t",
        )
        each = f": one entry for each image, {ns + nt} in all"
        w, dw = (array(v, "mixture_weights", (ns + nt,), each) for v in answer)
        share = torch.tensor([1 - t] * ns + [t] * nt, dtype=F64) / torch.tensor(
            [ns] * ns + [nt] * nt, dtype=F64
        )
        speed = torch.tensor([-1 / ns] * ns + [1 / nt] * nt, dtype=F64)
        if near(w, share, 1e-12) and near(dw, speed, 1e-12):
            continue
        if not near(w.sum(), 1.0, 1e-4):
            raise AssertionError(
                f"the weights sum to {float(w.sum()):.8g} and should sum to 1: each task's images "
                "share (1 − t) or t, so divide by ns or nt"
            )
        if not near(w[:ns].sum(), 1 - t, 1e-4):
            raise AssertionError(
                f"the source's images hold {float(w[:ns].sum()):.4g} of the weight and should "
                f"hold 1 − t = {1 - t:.4g}; they come first"
            )
        assert near(w, share, 1e-6), "images of one task have equal weights"
        if not near(dw.sum(), 0.0, 1e-4):
            raise AssertionError(
                f"the derivatives sum to {float(dw.sum()):.4g}: what the target gains the source "
                "must lose, so they sum to 0"
            )
        if near(dw, -speed, 1e-6):
            raise AssertionError("the sign is reversed: the source loses weight as t grows")
        raise AssertionError(
            f"dw is not the derivative of w, which is linear in t: for ns = {ns}, nt = {nt} a "
            f"source image loses {1 / ns:.4g} per unit of t, "
            f"you have {float(-dw[0]):.4g}"
        )
    return "right: weights of a distribution at every t, and a derivative with sum zero"


@on_cpu
def check_gain(gain):
    """`gain(F0, F_t0, F1)` on pairs of tasks: the frozen source model against one trained on the
    target, well or badly.
    """
    g = _random(3)

    def bowl(centre, kind):
        P = torch.randn(2, 2, generator=g, dtype=F64)
        P, floor = (
            P @ P.T + 0.5 * torch.eye(2, dtype=F64),
            10 * float(torch.randn((), generator=g, dtype=F64)),  # so that F_t has either sign
        )
        if kind == "quadratic":
            return lambda theta: floor + 0.5 * float((theta - centre) @ P @ (theta - centre))
        return lambda theta: floor + float(torch.log(torch.cosh(2 * P @ (theta - centre))).sum())

    for kind in 3 * ("quadratic", "log cosh"):
        a, b, elsewhere = torch.randn(3, 2, generator=g, dtype=F64)
        source, target = bowl(a, kind), bowl(b, kind)
        for trained in (b, b + 8 * elsewhere):  # at the target's minimum, and lost on the way
            F0, frozen, F1 = source(a), target(a), target(trained)
            F_t0, truth = frozen - F0, frozen - F1
            found = number(gain(F0, F_t0, F1), "gain")
            if near(found, truth, scale=abs(F0) + abs(F_t0) + abs(F1)):
                continue
            _hint(
                found,
                (
                    (
                        -truth,
                        "the sign is reversed: the gain is what the frozen model costs more than "
                        "the trained one; it is negative if training went astray",
                    ),
                    (
                        max(truth, 0.0),
                        "a training that ends above the frozen model has gained less than nothing",
                    ),
                    (
                        frozen,
                        "this is the cost of the frozen model on the target, F(0) + F_t(0); "
                        "subtract what a trained model costs",
                    ),
                    (
                        F_t0,
                        "F_t(0) alone is the way along the tangent; the two ends F(0) and F(1) "
                        "count too",
                    ),
                    (
                        0.5 * F_t0,
                        "half of F_t(0) is the gain only where F is a parabola with equal ends; "
                        "use F(0) and F(1)",
                    ),
                ),
                f"the frozen model costs {frozen:.4f} on the target and the trained one {F1:.4f}, "
                f"a gain of {truth:.4f}; you have {found:.4f}. "
                "The tangent at t = 0 is the frozen model",
            )
    return "right: what lies between the tangent and F at t = 1"


@on_cpu
def check_C_t(C_t):
    """`C_t(C_source, C_target, b_gam, b_t, A)` on mixtures, quadratic and not, against differences
    of C at minima solved anew.
    """
    eye = torch.eye(3, dtype=F64)
    for seed in range(8):
        g = _random(seed)
        centre = torch.randn(
            2, 2, 3, generator=g, dtype=F64
        )  # of D and C (first index) on source and target (second)
        root = torch.randn(2, 2, 3, 3, generator=g, dtype=F64)
        p, h = torch.tensor([0.7, 1.6, 0.35], dtype=F64), 1e-4

        def losses(theta, which, curved=seed % 2, centre=centre, root=root):
            off = torch.einsum("sij,sj->si", root[which] + 0.5 * eye, theta - centre[which])
            return (torch.log(torch.cosh(2 * off)) if curved else 0.5 * off.square()).sum(1)

        def J(theta, p, losses=losses):
            share = torch.stack([1 - p[2], p[2]])
            return (
                p[0] * share @ losses(theta, 0)
                + p[1] * share @ losses(theta, 1)
                + 0.01 * theta @ theta
            )

        step = torch.tensor([0.0, 0.0, h], dtype=F64)
        theta = minimise(J, torch.zeros(3, dtype=F64), p, tol=1e-12).theta
        C = [
            torch.func.grad(J, argnums=1)(minimise(J, theta, q, tol=1e-12).theta, q)[1]
            for q in (p - step, p + step)
        ]
        truth = float(C[1] - C[0]) / (2 * h)
        rows = [
            torch.func.grad(lambda theta, p, k=k: torch.func.grad(J)(theta, p)[k], argnums=(0, 1))(
                theta, p
            )
            for k in range(3)
        ]
        A, (b_gam, b_t) = (
            torch.stack([row for row, _ in rows]),
            (-torch.stack([row[q] for _, row in rows]) for q in (1, 2)),
        )
        source, target = losses(theta, 1).tolist()
        response = float(b_gam @ torch.linalg.solve(A, b_t))
        found = number(C_t(source, target, b_gam, b_t, A), "C_t")
        if near(found, truth, 1e-6, scale=abs(source) + abs(target) + abs(response)):
            continue
        _hint(
            found,
            (
                (
                    target - source,
                    "the parameters move too: C answers to θ_t = A⁻¹b_t, by −b_γ·θ_t",
                ),
                (
                    -response,
                    "C of the target less C of the source is missing: the weights move even where "
                    "θ rests",
                ),
                (
                    target - source + response,
                    "the sign of the response: ∇C = −b_γ, so θ_t changes C by −b_γ·θ_t",
                ),
                (
                    source - target - response,
                    "t leads from the source to the target: the target's loss counts with +",
                ),
                (
                    -truth,
                    "the sign is reversed: C may fall as well as rise when the task changes, and "
                    "C_t is then negative",
                ),
                (
                    target - source - float(b_gam @ A @ b_t),
                    "θ_t = A⁻¹b_t: solve with A, do not multiply by it",
                ),
                (
                    target - source - float((b_gam / A.diagonal()) @ b_t),
                    "θ_t = A⁻¹b_t: A is no diagonal matrix, solve with all of it",
                ),
            ),
            f"differences of C at minima solved anew give {truth:.6f}, you have {found:.6f}",
        )
    return "right: as C moves when the model settles at the next t"


@on_cpu
def check_new_class(new_class):
    """`new_class(rho, gam)` -> q, C_t at t = 0; against the two-logit classifier, minimised, and
    its linear response.
    """

    def J(rho):
        def f(theta, p):
            log_c = torch.log_softmax(theta, 0)
            return -p[1] * ((1 - p[2]) * log_c[0] + p[2] * log_c[1]) + 0.5 * rho * theta.dot(theta)

        return f

    for rho, gam in ((1e-2, 4.0), (1e-3, 4.0), (0.1, 1.5), (1e-5, 20.0), (0.7, 0.4), (30.0, 2.0)):
        answer = several(new_class(rho, gam), "new_class", 2, "two numbers, q and C_t")
        found_q, found_C = (number(v, "new_class") for v in answer)
        p = torch.tensor([0.5, gam, 0.0], dtype=F64)
        at = minimise(J(rho), torch.zeros(2, dtype=F64), p, tol=1e-13)
        q, C_t = (
            float(torch.softmax(at.theta, 0)[1]),
            float(linear_response(J(rho), at.theta, p).hess[1, 2]),
        )
        where = f"ρ = {rho:g}, γ = {gam:g}"
        if not near(found_q, q, 1e-6 * q):
            _hint(
                found_q,
                ((1 - q, "this is the old class's probability 1 − q; q belongs to the new one"),),
                f"{where}: the minimum has q = {q:.6g}, you have {found_q:.6g}; solve γq = ½ρ "
                "log((1 − q)/q)",
                tol=1e-6 * q,
            )
        if not near(found_C, C_t, 1e-6 * C_t):
            L = float(at.theta[0] - at.theta[1])
            moved = 1 / (1 + rho / (2 * gam * q * (1 - q)))
            _hint(
                found_C,
                (
                    (L, "L is the derivative by t at a fixed classifier; q moves too, by q′"),
                    (
                        L - moved / (1 - q),
                        "q′ counts with +: as q grows the old class's loss −log(1 − q) grows",
                    ),
                ),
                f"{where}: linear response gives C_t = {C_t:.6f}, you have {found_C:.6f}; the "
                "part through q is q′/(1 − q)",
            )
    return "right: as the minimised classifier answers"
