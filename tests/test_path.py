"""Paths against closed forms: smooth ones, a pitchfork, a fold; iso-classification and Remark 8 on
digits.
"""

import math

import pytest
import torch
from host import DEVICES

import fe
from fe import classification, rate

pytestmark = pytest.mark.long


def pitchfork(theta, p):
    """¼θ⁴ − ½(λ − 1)θ²: minimum 0 up to λ = 1, then ±√(λ − 1)."""
    return 0.25 * theta.pow(4).sum() - 0.5 * (p[0] - 1) * theta.square().sum() + 0.0 * p[1]


def tilted(theta, p):
    """¼θ⁴ − ½θ² − λθ: the left well ends in a fold at λ = 2/(3√3)."""
    return (0.25 * theta.pow(4) - 0.5 * theta.square() - p[0] * theta).sum() + 0.0 * p[1]


def readers_own(theta, p):
    """Ten lines that are none of ours: a regression with a smooth penalty; C is the fit of the
    second half.
    """
    X = torch.linspace(-1, 1, 12, dtype=theta.dtype)[:, None] ** torch.arange(4)
    y = (3 * X[:, 1]).sin()
    residual = (X @ theta - y).square()
    R = 0.5 * (1 + theta.square()).log().sum()
    return R + p[0] * residual[:6].sum() + p[1] * residual[6:].sum()


START = torch.tensor([0.5, 1.0], dtype=torch.float64)


def test_quasi_static_is_the_equilibrium_at_every_point():
    path = fe.follow(
        readers_own, torch.zeros(4), START, fe.QuasiStatic(torch.tensor([1.0, -0.5])), 1.0
    )
    assert path.points[-1].s == pytest.approx(1.0) and not path.jumps
    torch.testing.assert_close(
        path.controls[-1], START + torch.tensor([1.0, -0.5]), rtol=0, atol=1e-12
    )
    for point in path.points:
        assert point.gradient_norm <= 1e-10
        again = fe.minimise(readers_own, point.theta + 0.01, point.p)
        # ‖∇J‖ ≤ 1e-10 on both sides; the smallest curvature of this problem is above 1e-2
        torch.testing.assert_close(again.theta, point.theta, rtol=0, atol=1e-7)


def test_readers_own_objective_keeps_c():
    path = fe.follow(readers_own, torch.zeros(4), START, fe.Conserve(classification), 2.0)
    c = torch.tensor(path["classification"])
    assert (c - c[0]).abs().max() <= 1e-10 * c[0] and len(path.points) > 15
    assert all(
        b < a for a, b in zip(path["distortion"], path["distortion"][1:])
    )  # Ḋ < 0 < Ṙ (Remark 10)
    assert all(b > a for a, b in zip(path["rate"], path["rate"][1:]))


def test_conserving_something_else_entirely():
    """Any function of (θ, p): here ‖θ‖², held by moving γ."""
    path = fe.follow(
        readers_own, torch.zeros(4), START, fe.Conserve(lambda J, th, p: th.dot(th)), 0.5
    )
    norms = torch.stack([t.dot(t) for t in path["theta"]])
    torch.testing.assert_close(norms, norms[:1].expand_as(norms), rtol=1e-9, atol=0)


def test_pitchfork_is_found_and_crossed():
    path = fe.follow(
        pitchfork, torch.zeros(1), START, fe.QuasiStatic(torch.tensor([1.0, 0.0])), 1.0
    )
    (jump,) = path.jumps
    assert (
        0.5 - 1e-5 < jump.before.s < 0.5 + 1e-9
    )  # λ* = 1 to ten times the shortest step, from below
    assert abs(jump.before.curvature) < 1e-4 and jump.overlap < 1e-9
    end = path.points[-1]
    assert abs(abs(float(end.theta)) - math.sqrt(0.5)) < 1e-9 and end.curvature > 0


def test_fold_is_found_and_crossed():
    start = torch.tensor([0.1, 1.0])
    path = fe.follow(
        tilted, torch.tensor([-1.0]), start, fe.QuasiStatic(torch.tensor([1.0, 0.0])), 0.5
    )
    (jump,) = path.jumps
    fold = 2 / (3 * math.sqrt(3)) - 0.1
    assert fold - 1e-4 < jump.before.s < fold + 1e-9
    assert jump.overlap > 0.99  # b pushes along the null direction
    # beyond the fold the only minimum is the root of θ³ − θ = λ on the right
    theta, lam = float(jump.after.theta), float(jump.after.p[0])
    assert theta > 1 and abs(theta**3 - theta - lam) < 1e-9


def test_few_steps_lead_to_a_fold():
    """The fall of the smallest eigenvalue tells how far it is: from a hundredth before it to a
    millionth at most five points, where halving the distance takes thirteen.
    """
    start, rise = torch.tensor([0.1, 1.0]), fe.QuasiStatic(torch.tensor([1.0, 0.0]))
    path = fe.follow(tilted, torch.tensor([-1.0]), start, rise, 0.5)
    distance = 2 / (3 * math.sqrt(3)) - torch.tensor([float(q.p[0]) for q in path.points])
    assert path.jumps and ((distance < 0.01) & (distance > 1e-6)).sum() <= 5


def test_a_velocity_that_depends_on_p_is_integrated_to_second_order():
    """γ̇ = −γ: against exp(−s), a quarter of the error for half the step."""
    J = lambda theta, p: (theta - p).square().sum()
    decay = fe.QuasiStatic(lambda p: torch.stack([torch.ones_like(p[1]), -p[1]]))
    errors = []
    for h in (0.05, 0.025, 0.0125):
        path = fe.follow(
            J, torch.zeros(2), torch.tensor([0.1, 1.0]), decay, 1.0, step=h, max_step=h
        )
        errors.append(abs(float(path.points[-1].p[1]) - math.exp(-1)))
    assert errors[0] < 2e-4
    for coarse, fine in zip(errors, errors[1:]):
        assert coarse / fine == pytest.approx(4, rel=0.1)


def test_starting_on_the_saddle_moves_to_the_stable_branch():
    path = fe.follow(
        pitchfork,
        torch.zeros(1),
        torch.tensor([1.5, 1.0]),
        fe.QuasiStatic(torch.tensor([1.0, 0.0])),
        0.2,
    )
    assert not path.jumps
    for point in path.points:
        assert abs(abs(float(point.theta)) - math.sqrt(float(point.p[0]) - 1)) < 1e-9


@pytest.fixture(scope="module")
def small():
    x, y = fe.digits(120, classes=(0, 1, 2, 3))
    x = x[:, x.var(0).argsort(descending=True)[:8]].contiguous()
    return fe.TopographicMap(x, y, 4, grid=9, features=3, ridge=1e-3)


def test_iso_classification_on_digits(small):
    J = small
    path = fe.follow(J, J.initial(), torch.tensor([0.25, 4.0]), fe.Conserve(classification), 1.75)
    c = torch.tensor(path["classification"])
    assert (c / c[0] - 1).abs().max() < 1e-8
    assert all(point.curvature > -1e-9 and point.gradient_norm <= 1e-10 for point in path.points)
    for point in path.points:
        assert torch.linalg.eigvalsh(point.hess).max() <= 1e-12
    assert path.jumps  # this map has one, near λ = 1.94
    for jump in path.jumps:
        assert (
            abs(jump.before.curvature) < 1e-5 and jump.after.curvature > 5e-4
        )  # rank lost before, regained after
        assert abs(jump.after.classification / c[0] - 1) < 1e-8  # C restored


def test_remark_8_on_digits(small):
    J, beta = small, 20.0
    process = fe.Conserve(lambda J, th, p: classification(J, th, p) + rate(J, th, p) / beta)
    path = fe.follow(J, J.initial(), torch.tensor([1.0, 4.0]), process, 0.3)
    held = torch.tensor(path["classification"]) + torch.tensor(path["rate"]) / beta
    assert (held / held[0] - 1).abs().max() < 1e-9
    assert max(path["classification"]) - min(path["classification"]) > 1e-4  # C alone does move


def test_drift_without_the_corrector_is_first_order(small):
    """Euler steps of (17) leave the surface at first order in the step: halving it halves the
    error
    of C.
    """
    J, p0, length = small, torch.tensor([1.0, 4.0]), 0.2
    start = fe.minimise(J, J.initial(), p0)
    process, drifts = fe.Conserve(classification), []
    for n in (8, 16):
        theta, p = start.theta, p0
        for _ in range(n):
            r = fe.linear_response(
                J,
                theta,
                p,
                gradient_tol=1e9,
                stability=False,
            )
            v = process.velocity(p, r.hess[1:2])
            theta, p = theta + length / n * r.theta_p @ v, p + length / n * v
        drifts.append(
            float(
                fe.functionals(J, theta, p).classification
                - fe.functionals(J, start.theta, p0).classification
            )
        )
    assert 1.6 < drifts[0] / drifts[1] < 2.5


@pytest.mark.parametrize(
    "process, length, words",
    [
        (fe.QuasiStatic(torch.tensor([-1.0, 0.0])), 1.0, "negative multipliers"),
        (fe.QuasiStatic(torch.tensor([1.0, 0.0])), -1.0, "length"),
        (fe.Conserve(classification, along=(1.0,)), 1.0, "entries of p"),
        (fe.Conserve(lambda J, th, p: p[0] * 1.0), 1.0, "does not respond"),
    ],
)
def test_bad_processes(process, length, words):
    with pytest.raises(ValueError, match=words):
        fe.follow(readers_own, torch.zeros(4), START, process, length)


def test_running_out_of_points_says_so(monkeypatch):
    monkeypatch.setattr(fe.path, "_MAX_POINTS", 3)
    law = fe.QuasiStatic(torch.tensor([1.0, 0.0]))
    with pytest.raises(fe.NotConverged, match="3 points"):
        fe.follow(readers_own, torch.zeros(4), START, law, 1.0)


def two_gaussian_tasks():
    """A linear–Gaussian model (one code, no ridge) whose covariance goes from one task to
    another.
    """
    c = 0.5 * 0.5**0.5
    source = torch.tensor([[1.0, 0, 0.2], [0, 0.5, c], [0.2, c, 1.0]])
    target = torch.tensor([[1.4, 0.1, 0.5], [0.1, 0.6, c], [0.5, c, 1.2]])
    ends = [fe.LinearGaussian(cov, dim_x=2, k=1) for cov in (source, target)]
    between = lambda t: fe.LinearGaussian((1 - t) * source + t * target, dim_x=2, k=1)
    J = lambda theta, p: (1 - p[2]) * ends[0](theta, p[:2]) + p[2] * ends[1](theta, p[:2])
    return ends, between, J


@pytest.mark.parametrize("n, k", [(3, 2), (4, 2), (5, 3), (6, 4)])
@pytest.mark.parametrize("law", [fe.QuasiStatic((1.0, 0.5)), fe.Conserve(classification)])
def test_codes_that_can_be_rotated_are_followed_like_any_others(n, k, law):
    """Two codes and more, no ridge: A has null directions, the rotations of z, and only there, of
    either sign and the size of rounding. Against the closed form.
    """
    M = torch.randn(n, 2 * n, generator=torch.Generator().manual_seed(n))
    model = fe.LinearGaussian(M @ M.T / n, n - 1, k)
    path = fe.follow(model, model.initial(k), torch.tensor([1.0, 1.0]), law, 1.0)
    assert len(path.points) < 30 and not path.jumps
    for point in path.points:
        assert point.value == pytest.approx(float(model.free_energy(point.p)), abs=1e-12)
        torch.testing.assert_close(point.hess, model.hessian(point.p), rtol=0, atol=1e-9)
    end = path.points[-1]
    again = fe.linear_response(model, end.theta, end.p)
    torch.testing.assert_close(again.hess, end.hess, rtol=0, atol=1e-9)


def test_geodesic_transfer_solves_equation_30():
    """Against the paper's own two equations, with every coefficient from closed forms: F_t = Jᵗ
    −
    Jˢ, the rest by differences.
    """
    ends, between, J = two_gaussian_tasks()
    p, k, h = torch.tensor([1.0, 4.0, 0.0]), 1.5, 1e-5
    path = fe.follow(J, ends[0].optimum(p[:2]), p, fe.path.Geodesic(k), 1.0)
    assert not path.jumps and float(path.points[-1].p[2]) == pytest.approx(1.0)
    for point in path.points[:: max(1, len(path.points) // 6)]:
        q, t = point.p[:2], float(point.p[2])
        here = between(t)
        hess = here.hessian(q)
        D_t, C_t = (between(t + h).gradient(q) - between(t - h).gradient(q)) / (
            2 * h
        )  # error h² ~ 1e-10, rounding 1e-16/h
        F_t = ends[1](point.theta, q) - ends[0](point.theta, q)
        right = torch.stack([k / (1 + k * q[0]) * F_t - D_t, -C_t])
        torch.testing.assert_close(
            point.velocity[:2], torch.linalg.solve(hess, right), rtol=1e-6, atol=1e-8
        )
    R, D, C = (torch.tensor(path[n]) for n in ("rate", "distortion", "classification"))
    assert (C / C[0] - 1).abs().max() < 1e-9 and (D - k * R - (D[0] - k * R[0])).abs().max() < 1e-9
    slope = (D[1:] - D[:-1]) / (R[1:] - R[:-1])
    assert (slope / k - 1)[(R[1:] - R[:-1]).abs() > 1e-3].abs().max() < 1e-6
    end = between(1.0)
    torch.testing.assert_close(
        torch.stack([D[-1], C[-1]]), end.gradient(path.points[-1].p[:2]), rtol=1e-9, atol=0
    )


def test_a_ridge_belongs_to_the_rate_of_a_geodesic():
    """Eq. (30) with F_t = Jᵗ − Jˢ: the line is straight in R′ = R + ½ρ‖θ‖², and held in the bare
    R
    it is another process.
    """
    c, ridge = 0.5 * 0.5**0.5, 0.05
    covs = [
        torch.tensor(v)
        for v in (
            [[1.0, 0, 0.2], [0, 0.5, c], [0.2, c, 1.0]],
            [[1.4, 0.1, 0.5], [0.1, 0.6, c], [0.5, c, 1.2]],
        )
    ]
    ends = [fe.LinearGaussian(cov, dim_x=2, k=1, ridge=ridge) for cov in covs]
    J = lambda theta, p: (1 - p[2]) * ends[0](theta, p[:2]) + p[2] * ends[1](theta, p[:2])
    p = torch.tensor([1.0, 4.0, 0.0])
    start = fe.minimise(
        ends[0], fe.LinearGaussian(covs[0], dim_x=2, k=1).optimum(p[:2]), p[:2]
    ).theta
    for k in (1.5, -3.0):
        path = fe.follow(J, start, p, fe.path.Geodesic(k), 0.02, step=0.01, max_step=0.01)
        for point in path.points:
            lam, H = point.p[0], point.hess
            F_t = ends[1](point.theta, point.p[:2]) - ends[0](point.theta, point.p[:2])
            wanted = torch.linalg.solve(
                H[:2, :2], torch.stack([k / (1 + k * lam) * F_t - H[0, 2], -H[1, 2]])
            )
            torch.testing.assert_close(point.velocity[:2], wanted, rtol=1e-6, atol=1e-8)
            # D − kR with the bare R: d(½ρ‖θ‖²) = ρ θ·dθ is missing from dR′ = F_t dt − λ dD − γ
            # dC
            d_rate = (
                torch.tensor([0.0, 0.0, float(F_t)])
                - lam * H[0]
                - point.p[1] * H[1]
                - ridge * point.theta @ point.theta_p
            )
            bare = torch.stack([H[1], H[0] - k * d_rate])
            bare = -torch.linalg.solve(bare[:, :2], bare[:, 2])
            assert (bare / wanted - 1).abs().max() > 1e-3  # so that this test can fail
        spread = lambda values: max(values) - min(values)
        on_line = spread([q.distortion - k * q.rate for q in path.points])
        off_line = spread(
            [q.distortion - k * float(ends[0].bare_rate(q.theta, q.p[:2])) for q in path.points]
        )
        assert on_line < 1e-8 < 1e-5 < off_line


def test_the_chord_between_two_equilibria_leads_from_one_to_the_other():
    """k from two states with one C, one on each task: the path along that line ends in the
    second.
    """
    ends, _, J = two_gaussian_tasks()
    p = torch.tensor([1.0, 4.0, 0.0])
    held = fe.follow(
        J,
        ends[0].optimum(p[:2]),
        p,
        fe.Conserve(classification, along=(0, 0, 1), adjust=(0, 1, 0)),
        1.0,
    )
    a, b = held.points[0], held.points[-1]
    k = (b.distortion - a.distortion) / (b.rate - a.rate)
    line = fe.follow(J, a.theta, p, fe.path.Geodesic(k), 1.0).points[-1]
    torch.testing.assert_close(line.p, b.p, rtol=1e-7, atol=1e-7)


def test_a_geodesic_stops_where_its_line_is_parallel_to_the_surface():
    ends, _, J = two_gaussian_tasks()
    with pytest.raises(ValueError, match="singular at λ = −1/k"):
        fe.follow(
            J,
            ends[0].optimum(torch.tensor([1.0, 4.0])),
            torch.tensor([1.0, 4.0, 0.0]),
            fe.path.Geodesic(-1.0),
            1.0,
        )
    with pytest.raises(ValueError, match="finite slope"):
        fe.path.Geodesic(math.inf)
    with pytest.raises(ValueError, match="must have the 2 entries of p"):  # no t
        fe.path.Geodesic(-1.0).velocity(torch.tensor([2.0, 4.0]), torch.ones(2, 2))


def test_falling_lines_reach_the_target_where_they_have_room():
    """Slope −1/λ* holds V = R + λ*D: it arrives if V exceeds Φ(t) = max_γ F(λ*, γ, t) − γC₀ all
    the
    way, also with F_t(0) > 0.
    """
    c = 0.5 * 0.5**0.5
    covs = [
        torch.tensor(v)
        for v in (
            [[1.0, 0, 0.2], [0, 0.5, c], [0.2, c, 1.0]],
            [[0.5, 0.1, c], [0.1, 1.0, 0.1], [c, 0.1, 1.1]],
        )
    ]
    ends = [fe.LinearGaussian(cov, dim_x=2, k=1) for cov in covs]
    between = lambda t: fe.LinearGaussian((1 - t) * covs[0] + t * covs[1], dim_x=2, k=1)
    J = lambda theta, p: (1 - p[2]) * ends[0](theta, p[:2]) + p[2] * ends[1](theta, p[:2])
    for lam, k, arrives in ((2.0, -3.0, True), (1.0, -0.1, True), (1.0, -0.5, False)):
        p = torch.tensor([lam, 4.0, 0.0])
        start, star = ends[0].optimum(p[:2]), -1 / k
        assert ends[1](start, p[:2]) > ends[0](start, p[:2])  # F_t > 0 at the start of them all
        D, C = ends[0].gradient(p[:2])
        at = lambda t: max(
            float(between(t).free_energy(torch.tensor([star, g])) - g * C)
            for g in torch.logspace(0, 1.5, 60).tolist()
        )
        room = float(ends[0].rate(p[:2]) + star * D) - max(
            at(t) for t in torch.linspace(0, 1, 11).tolist()
        )
        assert (room > 0) is arrives and abs(room) > 1e-3  # the grid of γ is good to 2e-4
        points = []
        follow = lambda: fe.follow(
            J,
            start,
            p,
            fe.path.Geodesic(k),
            1.0,
            step=0.08,
            max_step=0.15,
            on_point=points.append,
        )
        if arrives:
            follow()
            if k < -1:  # the direction of the paper's figure 5a
                assert (
                    points[-1].rate < points[0].rate
                    and points[-1].distortion > points[0].distortion
                )
        else:
            with pytest.raises(ValueError, match="singular at λ = −1/k"):
                follow()
            assert float(points[-1].p[2]) < 0.9


def test_the_heuristic_of_equation_38():
    ends, between, J = two_gaussian_tasks()
    path = fe.follow(
        J,
        ends[0].optimum(torch.tensor([1.0, 4.0])),
        torch.tensor([1.0, 4.0, 0.0]),
        fe.Conserve(classification, along=(0.4, 0, 1), adjust=(0, 1, 0)),
        1.0,
    )
    torch.testing.assert_close(path.controls[-1, [0, 2]], torch.tensor([1.4, 1.0]))
    for point in path.points:
        assert float(between(float(point.p[2])).classification(point.p[:2])) == pytest.approx(
            path.points[0].classification, rel=1e-9
        )


def test_as_many_directions_as_quantities():
    ends, _, J = two_gaussian_tasks()
    process = fe.Conserve(
        lambda J, th, p: torch.stack([classification(J, th, p), rate(J, th, p)]),
        along=(0, 0, 1),
        adjust=(0, 1, 0),
    )
    with pytest.raises(ValueError, match="2 conserved quantities"):
        fe.follow(
            J,
            ends[0].optimum(torch.tensor([1.0, 4.0])),
            torch.tensor([1.0, 4.0, 0.0]),
            process,
            1.0,
        )


def test_a_prediction_below_zero_is_a_step_too_long():
    """λ̇ = −4λ never reaches zero, but Euler's step of a third does."""
    path = fe.follow(
        readers_own,
        torch.zeros(4),
        START,
        fe.QuasiStatic(lambda p: torch.stack([-4 * p[0], 0 * p[1]])),
        1.0,
        step=1 / 3,
        max_step=1 / 3,
    )
    lam = path.controls[:, 0]
    assert (lam > 0).all() and (lam.diff() < 0).all() and path.points[-1].s == pytest.approx(1.0)


def test_a_multiplier_that_ends_is_said_in_words_and_is_no_bifurcation(monkeypatch):
    """λ̇ = −1 from λ = ½: the path goes on to λ = 0, to ten times the shortest step, and says so.
    Where C is held, γ ends in the same way.
    """
    monkeypatch.setattr(
        fe.path._Follower, "cross", lambda *a: pytest.fail("a bifurcation was looked for")
    )
    points = []
    with pytest.raises(ValueError, match="negative multipliers"):
        fe.follow(
            readers_own,
            torch.zeros(4),
            START,
            fe.QuasiStatic(torch.tensor([-1.0, 0.0])),
            1.0,
            on_point=points.append,
        )
    assert 0 <= float(points[-1].p[0]) < 1e-5
    points.clear()
    held = fe.Conserve(
        fe.distortion, along=(-1.0, 0.0)
    )  # without the corrector's help γ would be what it was
    with pytest.raises(ValueError, match="negative multipliers"):
        fe.follow(readers_own, torch.zeros(4), START, held, 1.0, on_point=points.append)
    assert 0 <= float(points[-1].p.min()) < 1e-5


@pytest.mark.parametrize(
    "error",
    [
        fe.NotConverged("out of iterations"),
        fe.errors.NotFinite("overflow"),
        ValueError("theta has 3 NaN or infinite entries"),
        torch.linalg.LinAlgError("cholesky: not positive-definite"),
    ],
)
def test_a_step_on_which_the_solver_fails_is_halved(monkeypatch, error):
    """Here it fails on steps longer than 0.1; the path arrives all the same, with the same end."""
    usual = fe.follow(readers_own, torch.zeros(4), START, fe.Conserve(classification), 0.5)
    correct, here = fe.path._Follower.correct, []

    def fails(self, theta, p, *arguments):
        if float(p[0]) - here[-1] > 0.1:
            raise error
        return correct(self, theta, p, *arguments)

    monkeypatch.setattr(fe.path._Follower, "correct", fails)
    path = fe.follow(
        readers_own,
        torch.zeros(4),
        START,
        fe.Conserve(classification),
        0.5,
        step=0.4,
        max_step=0.4,
        on_point=lambda point: here.append(float(point.p[0])),
    )
    assert max(path.controls[:, 0].diff()) <= 0.1 + 1e-12
    torch.testing.assert_close(path.controls[-1], usual.controls[-1], rtol=1e-9, atol=0)


def test_a_path_where_gradients_are_switched_off():
    with torch.no_grad():
        path = fe.follow(readers_own, torch.zeros(4), START, fe.Conserve(classification), 0.2)
    assert path["classification"][-1] == pytest.approx(path["classification"][0], rel=1e-9)


def test_beyond_the_bifurcation_a_multiplier_that_ends_ends_the_crossing(monkeypatch):
    """Crossing looks further and further along the path; where λ or γ would be negative it stops
    and says where it was.
    """
    asked = []

    def minimise(J, theta, p, **options):
        if not asked:
            asked.append(p)
            return usual(J, theta, p, **options)
        asked.append(p)
        raise fe.NotConverged("no stable branch on this side")

    usual = fe.path.minimise
    monkeypatch.setattr(fe.path, "minimise", minimise)
    fold = lambda theta, p: (
        (0.25 * theta.pow(4) - 0.5 * theta.square() - (0.39 - p[0]) * theta).sum() + 0.0 * p[1]
    )
    with pytest.raises(
        fe.NotConverged, match="at s = 0.094[89].*however short.*no other stable branch"
    ):  # λ from 0.1 falls to 0.39 − 2/(3√3) = 0.0051
        fe.follow(
            fold,
            torch.tensor([-1.0]),
            torch.tensor([0.1, 1.0]),
            fe.QuasiStatic(torch.tensor([-1.0, 0.0])),
            1.0,
        )
    assert len(asked) >= 7 and all((p >= 0).all() for p in asked)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("minimisation left the finite numbers"),
        fe.errors.NotFinite("overflow"),
        fe.NotConverged("J is not bounded below"),
    ],
)
def test_a_side_of_the_bifurcation_without_a_minimum_does_not_end_the_crossing(monkeypatch, error):
    """Of the two ways off the null direction one may lead to no minimum, or past all numbers;
    the
    other is taken.
    """
    usual, calls = fe.path.minimise, []

    def minimise(J, theta, p, **options):
        calls.append(float(theta[0]))
        if len(calls) > 1 and float(theta[0]) > 1e-3:
            raise error
        return usual(J, theta, p, **options)

    monkeypatch.setattr(fe.path, "minimise", minimise)
    path = fe.follow(
        pitchfork, torch.zeros(1), START, fe.QuasiStatic(torch.tensor([1.0, 0.0])), 1.0
    )
    assert len(path.jumps) == 1 and float(path.points[-1].theta) == pytest.approx(-math.sqrt(0.5))


@pytest.mark.parametrize("name", ["step", "max_step"])
def test_steps_are_positive(name):
    with pytest.raises(ValueError, match="step and max_step must be positive"):
        fe.follow(
            readers_own, torch.zeros(4), START, fe.Conserve(classification), 0.5, **{name: 0.0}
        )


def test_at_one_c_a_larger_ridge_has_its_jump_earlier():
    """Chapter 5, exercise on the ridge: at the C of ridge 1e-3, whose path jumps at λ = 1.94,
    ridge
    3e-3 jumps at 0.68 and 3e-2 nowhere.
    """
    x, y = fe.digits(120, classes=(0, 1, 2, 3))
    x = x[:, x.var(0).argsort(descending=True)[:8]].contiguous()
    found, target = {}, None
    for ridge in (1e-3, 3e-3, 3e-2):
        model = fe.TopographicMap(x, y, 4, grid=9, features=3, ridge=ridge)
        theta, p = model.initial(), torch.tensor([0.25, 4.0])
        for _ in range(30):  # Newton in ln γ
            e = fe.minimise(model, theta, p)
            r = fe.linear_response(model, e.theta, p)
            target = float(r.gradient[1]) if target is None else target
            if abs(float(r.gradient[1]) - target) < 1e-9:
                break
            step = (target - float(r.gradient[1])) / float(p[1] * r.hess[1, 1])
            theta, p = e.theta, p * torch.tensor([1.0, math.exp(max(-0.5, min(0.5, step)))])
        if ridge > 1e-3:  # that path is the chapter's
            path = fe.follow(model, e.theta, p, fe.Conserve(classification), 2.0)
            assert abs(path.points[-1].classification - target) < 1e-8
            found[ridge] = [round(float(j.before.p[0]), 2) for j in path.jumps]
    assert found == {3e-3: [0.68], 3e-2: []}


def test_a_path_in_float32():
    """What is conserved is held to what float32 resolves; nothing is taken for a bifurcation."""
    path = fe.follow(
        readers_own,
        torch.zeros(4).float(),
        START.float(),
        fe.Conserve(classification),
        0.5,
        tol=1e-4,
    )
    c = torch.tensor(path["classification"])
    assert not path.jumps and len(path.points) < 25
    assert (c / c[0] - 1).abs().max() < 3e-5  # a hundred roundings of the sums C is made of


def test_a_target_near_zero_is_held_to_rounding():
    theta = fe.minimise(readers_own, torch.zeros(4), START).theta
    C = float(classification(readers_own, theta, START))
    law = fe.Conserve(lambda J, th, p: 1e6 * (classification(J, th, p) - C))
    path = fe.follow(readers_own, theta, START, law, 0.5)
    assert not path.jumps and path["classification"][-1] == pytest.approx(C, rel=1e-10)


def test_what_cannot_be_held_is_not_called_a_singular_hessian():
    """A quantity that jitters by 1e-6 from state to state: the refusal says by how much it is off,
    and that A is regular.
    """
    jitter = lambda C: C + 1e-6 * (1e9 * C.detach()).sin()
    law = fe.Conserve(lambda J, th, p: jitter(classification(J, th, p)))
    with pytest.raises(fe.NotConverged, match="what is conserved off by .*-06.*A is 3.2e-01") as e:
        fe.follow(readers_own, torch.zeros(4), START, law, 0.5)
    assert "singular" not in str(e.value)


def test_where_the_equilibrium_is_linear_in_p_the_prediction_needs_no_correction(monkeypatch):
    A = torch.tensor([[2.0, 0.3, 0.0], [0.3, 1.0, 0.1], [0.0, 0.1, 0.5]])
    B = torch.tensor([[1.0, 0.2], [0.0, 1.0], [3.0, -1.0]])
    J = lambda theta, p: 0.5 * theta @ A @ theta - theta @ B @ p
    correct, efforts = fe.path._Follower.correct, []

    def counted(self, theta, p):
        here, effort = correct(self, theta, p)
        efforts.append(effort)
        return here, effort

    monkeypatch.setattr(fe.path._Follower, "correct", counted)
    path = fe.follow(J, torch.zeros(3), START, fe.QuasiStatic(torch.tensor([1.0, -0.5])), 1.0)
    assert len(efforts) == len(path.points) - 1 > 5 and set(efforts) == {0}
    end = torch.linalg.solve(A, B @ path.controls[-1])
    torch.testing.assert_close(path.points[-1].theta, end, rtol=0, atol=1e-9)


def test_a_step_onto_another_branch_is_not_taken():
    """A washboard that moves: the first step overshoots by 2π, where Newton's method finds the next
    well at once. F, which is constant on the branch, tells.
    """
    u = lambda theta, p: theta - 10 * p[0].square()
    J = lambda theta, p: (1 - u(theta, p).cos() + 0.1 * u(theta, p)).sum()
    h, rise = (2 * math.pi / 10) ** 0.5, fe.QuasiStatic(torch.tensor([1.0, 0.0]))
    path = fe.follow(J, torch.tensor([2.4]), START, rise, h, step=h, max_step=h)
    assert len(path.points) > 3 and not path.jumps
    for point in path.points:
        assert float(u(point.theta, point.p)) == pytest.approx(-math.asin(0.1), abs=1e-9)


def test_a_fold_is_not_passed_over_where_its_fall_of_F_is_small():
    """The fold of above, its wells a tenth as deep, under a price that costs much: in one step to
    behind it Newton's method lands in the other well, and F is off by less than the terms of second
    order. θ tells: it is off the mean of its slopes at both ends by more than half of them.
    """
    J = lambda theta, p: 0.1 * tilted(theta, p) - 150 * p[0].square()
    start, rise, h = torch.tensor([0.1, 1.0]), fe.QuasiStatic(torch.tensor([1.0, 0.0])), 0.3775
    (jump,) = fe.follow(J, torch.tensor([-1.0]), start, rise, h, step=h, max_step=h).jumps
    assert float(jump.before.p[0]) == pytest.approx(2 / (3 * math.sqrt(3)), abs=1e-5)


def test_a_loose_tolerance_makes_no_jumps():
    """One minimum everywhere; at ‖∇J‖ ≤ 1e-6 θ is known to 1e-3 only, its curvature being 1e-3."""
    J = lambda theta, p: 0.5e-3 * (theta[0] - 0.1 * p[0].sin()).square() + theta[1].square()
    start, rise = torch.tensor([0.1, 1.0]), fe.QuasiStatic(torch.tensor([1.0, 0.0]))
    assert not fe.follow(J, torch.zeros(2), start, rise, 3.0, tol=1e-6).jumps


def test_state_and_constraint_are_corrected_together():
    """J quadratic and g linear: one bordered Newton step from anywhere is exact."""
    A = torch.tensor([[2.0, 0.3], [0.3, 1.0]])
    J = lambda theta, p: 0.5 * theta @ A @ theta - theta @ p
    law = fe.Conserve(lambda J, theta, p: theta[0] + 2 * theta[1] + 0.1 * p[1])
    follower = fe.path._Follower(J, law, 1e-10, torch.tensor([3.0]), None)
    here, effort = follower.correct(torch.tensor([5.0, -2.0]), START)
    assert effort == 1 and float(here.g) == pytest.approx(3.0)


@pytest.mark.parametrize("J, theta, end, jumps", [(pitchfork, 0.0, 1.0, 1), (tilted, -1.0, 0.4, 1)])
def test_a_loose_tolerance_is_no_other_branch(J, theta, end, jumps):
    """Where ‖∇J‖ is up to 1e-4, F and θ are off by what that is worth; nothing else jumps."""
    start, rise = torch.tensor([0.1, 1.0]), fe.QuasiStatic(torch.tensor([1.0, 0.0]))
    start = START if J is pitchfork else start
    path = fe.follow(J, torch.tensor([theta]), start, rise, end, tol=1e-4)
    assert len(path.jumps) == jumps and len(path.points) < 80


def test_a_direction_that_was_null_is_seen_further_on():
    """400 parameters, A written out: null along t₀ where the path begins, not behind it."""

    class Softening:
        scales = torch.linspace(1, 2, 400)

        def __call__(self, theta, p):
            t = theta[0]
            soft = (p[0] - 1) * t.square() + 0.25 * t**4 - p[1] * theta[1]
            return soft + 0.5 * self.scales[1:].dot(theta[1:].square())

        def dense_hessian(self, theta, p):
            soft = 2 * (p[:1] - 1) + 3 * theta[:1].square()
            return torch.diag(torch.cat([soft, self.scales[1:]]))

    start, fall = torch.tensor([1 + 1e-12, 1.0]), fe.QuasiStatic(torch.tensor([-1.0, 0.0]))
    path = fe.follow(Softening(), torch.zeros(400), start, fall, 0.5)
    assert len(path.jumps) <= 1 and len(path.points) < 60
    assert abs(float(path.points[-1].theta[0])) == pytest.approx(1, abs=1e-6)  # t₀² = 2(1 − λ)


@pytest.mark.parametrize("device", DEVICES)
def test_a_path_on_a_gpu_is_that_of_the_cpu(device):
    """From one θ, as by symmetry `initial` has several minima as near. ‖∇J‖ ≤ 1e-10, and no
    curvature is below the ridge of 1e-2: θ is known to 1e-8. (On the CPU another order of the
    images, or other steps, move none of it by 1e-12.)
    """
    x, y = fe.digits(60, classes=(0, 1, 2))
    x, p, ends = x[:, 20:28].contiguous(), torch.tensor([0.5, 2.0]), []
    for place in ("cpu", device):
        J = fe.TopographicMap(x.to(place), y.to(place), 3, grid=7, features=2, ridge=1e-2)
        start = ends[0][0].theta if ends else fe.minimise(J, J.initial(), p).theta
        path = fe.follow(J, start.to(place), p.to(place), fe.Conserve(classification), 0.2)
        assert {v.device.type for v in path.points[-1] if torch.is_tensor(v)} == {place}
        ends.append((path.points[0], path.points[-1]))
    for there, here in zip(*ends):
        assert here.s == pytest.approx(there.s, abs=1e-12)
        for name in ("theta", "p", "gradient", "hess", "velocity", "theta_p"):
            mine, theirs = (getattr(point, name).cpu() for point in (here, there))
            torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8, msg=name)
        for name in ("value", "rate", "distortion", "classification", "curvature"):
            assert getattr(here, name) == pytest.approx(getattr(there, name), rel=1e-6), name
