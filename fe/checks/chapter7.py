"""Checks of chapter 7's exercises: they use problems with known answers and say what a failure points to."""

import torch

from .. import linear_response, minimise


def check_F_t(F_t):
    """`F_t(J_source, J_target, theta, p)` on quadratic tasks whose mixture has its minimum and F(t) in closed form."""
    a, b = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([2.5, 0.5], dtype=torch.float64)

    def J_source(theta, p):
        return p[0] * (theta - a).square().sum() + p[1] * 0.3

    def J_target(theta, p):
        return p[0] * (theta - b).square().sum() + p[1] * 0.9

    for lam, gam, t in ((0.5, 4.0, 0.25), (2.0, 1.0, 0.8)):
        p = torch.tensor([lam, gam, t], dtype=torch.float64)
        found = F_t(J_source, J_target, (1 - t) * a + t * b, p)  # the minimum of the mixture
        assert found is not None, "F_t returned None: the stub is not filled in"
        found = float(found)
        want = lam * (1 - 2 * t) * float((b - a).square().sum()) + 0.6 * gam  # F = λ t(1−t)|b−a|² + γ(0.3 + 0.6 t)
        parts = lam * t**2 * float((b - a).square().sum()) + 0.3 * gam, lam * (1 - t) ** 2 * float((b - a).square().sum()) + 0.9 * gam
        if abs(found + want) < 1e-9:
            raise AssertionError("the sign is reversed: t leads from the source to the target, so the target counts with +")
        if abs(found - (1 - t) * parts[0] - t * parts[1]) < 1e-9:
            raise AssertionError("this is J at time t, not its derivative by t")
        if abs(found - t * parts[1] + (1 - t) * parts[0]) < 1e-9:
            raise AssertionError("the shares 1 − t and t drop out when J = (1 − t)Jˢ + tJᵗ is differentiated by t")
        if abs(found - 0.6 * gam) < 1e-9:
            raise AssertionError("this compares each task at its own minimum; both have to be taken at the θ that serves the mixture")
        assert abs(found - want) < 1e-9, f"F_t is {want:.6g} here, you have {found:.6g}: J of the target less J of the source, at θ, with the prices p[:2]"
    return "right: F_t is the difference of the two tasks at the θ that serves both"


def check_velocity_28(velocity_28):
    """`velocity_28(hess, lam_dot)` on random symmetric 3×3 Hess F with F_γγ < 0, and on the level line of a known C."""
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        root = torch.randn(3, 3, generator=g, dtype=torch.float64)
        hess = root + root.T
        hess[1, 1] = -0.2 - hess[1, 1].abs()
        for lam_dot in (0.0, 0.7):
            found = velocity_28(hess, lam_dot)
            assert found is not None, "velocity_28 returned None: the stub is not filled in"
            found = float(found)
            C_dot = float(hess[1] @ torch.tensor([lam_dot, found, 1.0], dtype=torch.float64))
            if abs(C_dot) < 1e-9:
                continue
            if abs(found + lam_dot * float(hess[1, 0] / hess[1, 1])) < 1e-9:
                raise AssertionError("C_t is missing: the task moves C even where the prices rest")
            if abs(found + float(hess[1, 2] / hess[1, 1])) < 1e-9:
                raise AssertionError("C_λ λ̇ is missing: λ moves too when lam_dot is not zero")
            if abs(float(hess[1] @ torch.tensor([lam_dot, -found, 1.0], dtype=torch.float64))) < 1e-9:
                raise AssertionError("the sign is reversed: γ has to undo what λ and t do to C")
            if abs(float(hess[0] @ torch.tensor([lam_dot, found, 1.0], dtype=torch.float64))) < 1e-9:
                raise AssertionError("this holds D: you used the first row of Hess F; C is the second, (C_λ, C_γ, C_t)")
            raise AssertionError(f"C moves, Ċ = {C_dot:.3g}: solve C_λ λ̇ + C_γ γ̇ + C_t = 0 for γ̇, with the clock at ṫ = 1")
    return "right: Ċ = 0 with λ, γ and t all moving"


def check_mixture_weights(mixture_weights):
    """`mixture_weights(ns, nt, t)`: the weights and their derivative by t, against what a distribution must satisfy."""
    for ns, nt, t in ((3, 5, 0.25), (4, 4, 0.0), (2, 7, 1.0)):
        answer = mixture_weights(ns, nt, t)
        assert answer is not None, "mixture_weights returned None: the stub is not filled in"
        assert isinstance(answer, tuple) and len(answer) == 2, "return two tensors, w and its derivative by t"
        w, dw = (torch.as_tensor(v, dtype=torch.float64) for v in answer)
        assert w.shape == dw.shape == (ns + nt,), f"w and dw need one entry for each image, {ns + nt} in all, got {tuple(w.shape)} and {tuple(dw.shape)}"
        if abs(float(w.sum()) - 1) > 1e-12:
            raise AssertionError(f"the weights sum to {float(w.sum()):.4g}, not to 1: each task's images share (1 − t) or t, so divide by ns or nt")
        if ns != nt and 0 < t < 1 and torch.allclose(w, w.mean().expand_as(w)) or abs(float(w[:ns].sum()) - (1 - t)) > 1e-12:
            raise AssertionError(f"the source's images hold {float(w[:ns].sum()):.4g} of the weight and should hold 1 − t = {1 - t:.4g}; they come first")
        assert torch.allclose(w[:ns], w[0].expand(ns)) and torch.allclose(w[ns:], w[-1].expand(nt)), "images of one task have equal weights"
        if abs(float(dw.sum())) > 1e-12:
            raise AssertionError(f"the derivatives sum to {float(dw.sum()):.4g}: what the target gains the source must lose, so they sum to 0")
        if float(dw[0]) > 0:
            raise AssertionError("the sign is reversed: the source loses weight as t grows")
        h = 0.125 if t < 1 else -0.125
        other = torch.as_tensor(mixture_weights(ns, nt, t + h)[0], dtype=torch.float64)
        torch.testing.assert_close(dw, (other - w) / h, rtol=0, atol=1e-12, msg=lambda m: "dw is not the derivative of w, which is linear in t\n" + m)
    return "right: weights of a distribution at every t, and a derivative with sum zero"


def check_gain(gain):
    """`gain(F0, F_t0, F1)` on two quadratic tasks of different curvature: the frozen source model against one trained on the target."""
    g = torch.Generator().manual_seed(3)
    for _ in range(5):
        P, Q = (M @ M.T + 0.5 * torch.eye(2, dtype=torch.float64) for M in torch.randn(2, 2, 2, generator=g, dtype=torch.float64))
        a, b = torch.randn(2, 2, generator=g, dtype=torch.float64)
        F0, F1 = (float(v) for v in torch.rand(2, generator=g, dtype=torch.float64))
        frozen = F1 + 0.5 * float((a - b) @ Q @ (a - b))  # the source's minimum a, on the target
        F_t0 = frozen - F0
        found = gain(F0, F_t0, F1)
        assert found is not None, "gain returned None: the stub is not filled in"
        found, truth = float(found), frozen - F1
        if abs(found + truth) < 1e-9:
            raise AssertionError("the sign is reversed: the gain is what the frozen model costs more than the trained one, and is never negative")
        if abs(found - frozen) < 1e-9:
            raise AssertionError("this is the cost of the frozen model on the target, F(0) + F_t(0); subtract what a trained model costs")
        if abs(found - F_t0) < 1e-9:
            raise AssertionError("F_t(0) alone is the way along the tangent; the two ends F(0) and F(1) count too")
        if abs(found - 0.5 * F_t0) < 1e-9:
            raise AssertionError("half of F_t(0) is the gain only where F is a parabola with equal ends; use F(0) and F(1)")
        assert abs(found - truth) < 1e-9, (
            f"the frozen model costs {frozen:.4f} on the target and a trained one {F1:.4f}, a gain of {truth:.4f}; you have {found:.4f}. "
            "The tangent at t = 0 is the frozen model")
    return "right: what lies between the tangent and F at t = 1"


def check_C_t(C_t):
    """`C_t(C_source, C_target, b_gam, b_t, A)` on quadratic mixtures, against differences of C at minima solved anew."""
    g = torch.Generator().manual_seed(5)
    for _ in range(5):
        centre = torch.randn(2, 2, 3, generator=g, dtype=torch.float64)  # of D and C on source and target
        root = torch.randn(2, 2, 3, 3, generator=g, dtype=torch.float64)
        weight = root @ root.transpose(-1, -2) + 0.3 * torch.eye(3, dtype=torch.float64)
        lam, gam, t, h = 0.7, 1.6, 0.35, 1e-4
        price = torch.tensor([lam, gam], dtype=torch.float64)[:, None, None]

        def share(t):
            return torch.tensor([1 - t, t], dtype=torch.float64)

        def minimum(t):  # of Σ price share ½ (θ − centre)ᵀ weight (θ − centre)
            w = price[..., None] * share(t)[None, :, None, None] * weight
            return torch.linalg.solve(w.sum((0, 1)), (w @ centre[..., None]).sum((0, 1))[:, 0])

        def losses(theta):  # C on source and on target
            off = theta - centre[1]
            return 0.5 * torch.einsum("si,sij,sj->s", off, weight[1], off)

        theta, truth = minimum(t), float(share(t + h) @ losses(minimum(t + h)) - share(t - h) @ losses(minimum(t - h))) / (2 * h)
        slope = torch.einsum("qsij,qsj->qsi", weight, theta - centre)  # ∇ of D and C on source and target
        b_gam, b_t = -share(t) @ slope[1], -(price[:, 0] * (slope[:, 1] - slope[:, 0])).sum(0)
        A = (price[..., None] * share(t)[None, :, None, None] * weight).sum((0, 1))
        source, target = (float(v) for v in losses(theta))
        found = C_t(source, target, b_gam, b_t, A)
        assert found is not None, "C_t returned None: the stub is not filled in"
        assert torch.as_tensor(found).numel() == 1, f"return one number, not a tensor of shape {tuple(torch.as_tensor(found).shape)}"
        found, response = float(found), float(b_gam @ torch.linalg.solve(A, b_t))
        for value, why in ((target - source, "the parameters move too: C answers to θ_t = A⁻¹b_t, by −b_γ·θ_t"),
                           (-response, "C of the target less C of the source is missing: the weights move even where θ rests"),
                           (target - source + response, "the sign of the response: ∇C = −b_γ, so θ_t changes C by −b_γ·θ_t"),
                           (source - target - response, "t leads from the source to the target: the target's loss counts with +"),
                           (target - source - float(b_gam @ A @ b_t), "θ_t = A⁻¹b_t: solve with A, do not multiply by it")):
            assert abs(found - truth) < 1e-6 or abs(found - value) > 1e-9, why
        assert abs(found - truth) < 1e-6, f"differences of C at minima solved anew give {truth:.6f}, you have {found:.6f}"
    return "right: as C moves when the model settles at the next t"


def check_new_class(new_class):
    """`new_class(rho, gam)` -> q, C_t at t = 0; against the two-logit classifier, minimised, and its linear response."""

    def J(rho):
        def f(theta, p):
            log_c = torch.log_softmax(theta, 0)
            return -p[1] * ((1 - p[2]) * log_c[0] + p[2] * log_c[1]) + 0.5 * rho * theta.dot(theta)

        return f

    for rho, gam in ((1e-2, 4.0), (1e-3, 4.0), (0.1, 1.5)):
        answer = new_class(rho, gam)
        assert answer is not None, "new_class returned None: the stub is not filled in"
        assert isinstance(answer, tuple) and len(answer) == 2, "return two numbers, q and C_t"
        p = torch.tensor([0.5, gam, 0.0], dtype=torch.float64)
        at = minimise(J(rho), torch.zeros(2, dtype=torch.float64), p)
        q, C_t = float(torch.softmax(at.theta, 0)[1]), float(linear_response(J(rho), at.theta, p).hess[1, 2])
        found = [float(v) for v in answer]
        assert abs(found[0] - (1 - q)) > 1e-9, "this is the old class's probability 1 − q; q belongs to the new one"
        assert abs(found[0] / q - 1) < 1e-6, f"ρ = {rho:g}, γ = {gam:g}: the minimum has q = {q:.6f}, you have {found[0]:.6f}; solve γq = ½ρ log((1 − q)/q)"
        L = float(torch.logit(torch.tensor(1 - q, dtype=torch.float64)))
        assert abs(found[1] - L) > 1e-9, "L is the derivative by t at a fixed classifier; q moves too, by q′"
        assert abs(found[1] / C_t - 1) < 1e-6, f"ρ = {rho:g}, γ = {gam:g}: linear response gives C_t = {C_t:.6f}, you have {found[1]:.6f}; the part through q is q′/(1 − q)"
    return "right: as the minimised classifier answers"
