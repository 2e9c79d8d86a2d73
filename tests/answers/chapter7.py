"""Plausible wrong answers to chapter 7's exercises."""

WRONG = {
    "ex-7-1": [
        ("what the frozen model costs", "cost of the frozen model", """
def gain(F0, F_t0, F1):
    return F0 + F_t0
"""),
        ("the tangent's rise alone", "the two ends", """
def gain(F0, F_t0, F1):
    return F_t0
"""),
        ("the parabola of the postcard", "half of F_t", """
def gain(F0, F_t0, F1):
    return F_t0 / 2
"""),
        ("trained less frozen", "sign is reversed", """
def gain(F0, F_t0, F1):
    return F1 - (F0 + F_t0)
"""),
        ("the difference of the ends", "tangent at t = 0", """
def gain(F0, F_t0, F1):
    return F1 - F0
"""),
    ],
    "ex-7-2": [
        ("source less target", "sign is reversed", """
def F_t(J_source, J_target, theta, p):
    return J_source(theta, p[:2]) - J_target(theta, p[:2])
"""),
        ("J itself", "not its derivative", """
def F_t(J_source, J_target, theta, p):
    return (1 - p[2]) * J_source(theta, p[:2]) + p[2] * J_target(theta, p[:2])
"""),
        ("the shares kept", "drop out", """
def F_t(J_source, J_target, theta, p):
    return p[2] * J_target(theta, p[:2]) - (1 - p[2]) * J_source(theta, p[:2])
"""),
        ("each task at its own minimum", "at the θ that serves", """
def F_t(J_source, J_target, theta, p):
    def own(J):
        zero = torch.zeros(len(theta), dtype=theta.dtype)
        return J(zero - torch.func.grad(J)(zero, p[:2]) / (2 * p[0]), p[:2])  # one Newton step on a quadratic
    return own(J_target) - own(J_source)
"""),
        ("the target alone", "less J of the source", """
def F_t(J_source, J_target, theta, p):
    return J_target(theta, p[:2])
"""),
    ],
    "ex-7-3": [
        ("the task forgotten", "C_t is missing", """
def velocity_28(hess, lam_dot):
    return -hess[1, 0] * lam_dot / hess[1, 1]
"""),
        ("the other price forgotten", "C_λ λ̇ is missing", """
def velocity_28(hess, lam_dot):
    return -hess[1, 2] / hess[1, 1]
"""),
        ("no minus", "sign is reversed", """
def velocity_28(hess, lam_dot):
    return (hess[1, 0] * lam_dot + hess[1, 2]) / hess[1, 1]
"""),
        ("the row of D", "holds D", """
def velocity_28(hess, lam_dot):
    return -(hess[0, 0] * lam_dot + hess[0, 2]) / hess[0, 1]
"""),
        ("F_tt for C_t", "C moves", """
def velocity_28(hess, lam_dot):
    return -(hess[1, 0] * lam_dot + hess[2, 2]) / hess[1, 1]
"""),
    ],
    "ex-7-4": [
        ("the weights alone", "two tensors", """
def mixture_weights(ns, nt, t):
    return torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
"""),
        ("a weight for each task", "one entry for each image", """
def mixture_weights(ns, nt, t):
    return torch.tensor([1 - t, t]), torch.tensor([-1.0, 1.0])
"""),
        ("not divided by the numbers", "sum to", """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), 1.0 - t), torch.full((nt,), float(t))])
    return w, torch.cat([torch.full((ns,), -1 / ns), torch.full((nt,), 1 / nt)])
"""),
        ("all images alike", "hold", """
def mixture_weights(ns, nt, t):
    n = ns + nt
    return torch.full((n,), 1 / n), torch.cat([torch.full((ns,), -1 / ns), torch.full((nt,), 1 / nt)])
"""),
        ("the target first", "source", """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((nt,), t / nt), torch.full((ns,), (1 - t) / ns)])
    return w, torch.cat([torch.full((nt,), 1 / nt), torch.full((ns,), -1 / ns)])
"""),
        ("the source keeps its weight", "must lose", """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
    return w, torch.cat([torch.zeros(ns), torch.full((nt,), 1 / nt)])
"""),
        ("time runs backwards in the derivative", "sign is reversed", """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
    return w, torch.cat([torch.full((ns,), 1 / ns), torch.full((nt,), -1 / nt)])
"""),
        ("a derivative of twice the size", "not the derivative", """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
    return w, torch.cat([torch.full((ns,), -2 / ns), torch.full((nt,), 2 / nt)])
"""),
    ],
    "ex-7-5": [
        ("at fixed parameters", "the parameters move too", """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source
"""),
        ("the response alone", "the weights move", """
def C_t(C_source, C_target, b_gam, b_t, A):
    return -b_gam @ torch.linalg.solve(A, b_t)
"""),
        ("the response added", "sign of the response", """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source + b_gam @ torch.linalg.solve(A, b_t)
"""),
        ("source less target", "counts with \\+", """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_source - C_target - b_gam @ torch.linalg.solve(A, b_t)
"""),
        ("multiplied by A", "solve with A", """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source - b_gam @ A @ b_t
"""),
        ("a vector", "one number", """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source - b_gam * torch.linalg.solve(A, b_t)
"""),
    ],
    "ex-7-6": [
        ("no half in the force of the ridge", "½ρ", """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / gam
        L = math.log((1 - q) / q)
    return q, L + 1 / (1 + rho / (gam * q * (1 - q))) / (1 - q)
"""),
        ("the classifier does not answer", "q moves too", """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / (2 * gam)
        L = math.log((1 - q) / q)
    return q, L
"""),
        ("q' not over 1 - q", "q′/\\(1 − q\\)", """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / (2 * gam)
        L = math.log((1 - q) / q)
    return q, L + 1 / (1 + rho / (2 * gam * q * (1 - q)))
"""),
        ("the old class", "belongs to the new", """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / (2 * gam)
        L = math.log((1 - q) / q)
    return 1 - q, L + 1 / (1 + rho / (2 * gam * q * (1 - q))) / (1 - q)
"""),
        ("q alone", "two numbers", """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / (2 * gam)
        L = math.log((1 - q) / q)
    return q
"""),
    ],
}
