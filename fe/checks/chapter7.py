"""Checks of chapter 7's exercises: they use problems with known answers and say what a failure points to."""

import torch


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
