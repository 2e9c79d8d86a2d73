"""Answers to chapter 7's exercises, right and wrong, and the numbers of their statements."""

RIGHT = {
    "ex-7-1": [
        (
            "frozen less trained, in NumPy",
            """
def gain(F0, F_t0, F1):
    frozen, trained = np.polyval([F_t0, F0], 1.0), np.float64(F1)
    return np.array([frozen - trained])
""",
        ),
        (
            "the tangent's rise less the rise of F, in single precision",
            """
def gain(F0, F_t0, F1):
    ends = torch.tensor([F0, F1], dtype=torch.float32)
    return torch.tensor(F_t0, dtype=torch.float32) - ends.diff()
""",
        ),
    ],
    "ex-7-2": [
        (
            "J differentiated by t",
            """
def F_t(J_source, J_target, theta, p):
    def J(t):
        return (1 - t) * J_source(theta, p[:2]) + t * J_target(theta, p[:2])
    return torch.func.grad(J)(p[2])
""",
        ),
        (
            "a difference quotient at fixed θ, as a float",
            """
def F_t(J_source, J_target, theta, p):
    lam, gam, t = p
    prices = torch.stack([lam, gam])
    J = lambda s: (1 - s) * J_source(theta, prices).item() + s * J_target(theta, prices).item()
    return (J(0.75) - J(0.25)) / 0.5
""",
        ),
        (
            "single precision, detached, in a list",
            """
def F_t(J_source, J_target, theta, p):
    values = [task(theta, p[:2]).detach().float() for task in (J_source, J_target)]
    return [values[1] - values[0]]
""",
        ),
    ],
    "ex-7-3": [
        (
            "indexed twice",
            """
def velocity_28(hess, lam_dot):
    row = hess[1]
    return (-row[0] * lam_dot - row[2]) / row[1]
""",
        ),
        (
            "NumPy, the equation solved as a system",
            """
def velocity_28(hess, lam_dot):
    h = np.asarray(hess)
    return np.linalg.solve(h[1:2, 1:2], -(h[1:2, [0, 2]] @ np.array([lam_dot, 1.0])))
""",
        ),
        (
            "the symmetric entries, float32",
            """
def velocity_28(hess, lam_dot):
    h = hess.float()
    moved = h @ torch.tensor([lam_dot, 0.0, 1.0], dtype=torch.float32)
    return -moved[1] / h[1][1]
""",
        ),
    ],
    "ex-7-4": [
        (
            "lists",
            """
def mixture_weights(ns, nt, t):
    w = [(1 - t) / ns for _ in range(ns)] + [t / nt for _ in range(nt)]
    return w, [-1 / ns] * ns + [1 / nt] * nt
""",
        ),
        (
            "NumPy, stacked",
            """
def mixture_weights(ns, nt, t):
    ps = np.r_[np.full(ns, 1 / ns), np.zeros(nt)]
    pt = np.r_[np.zeros(ns), np.full(nt, 1 / nt)]
    return np.stack([(1 - t) * ps + t * pt, pt - ps])
""",
        ),
        (
            "float32",
            """
def mixture_weights(ns, nt, t):
    one = torch.ones(ns + nt, dtype=torch.float32)
    one[:ns] /= ns
    one[ns:] /= nt
    new = torch.arange(ns + nt) >= ns
    return torch.where(new, t * one, (1 - t) * one), torch.where(new, one, -one)
""",
        ),
    ],
    "ex-7-5": [
        (
            "NumPy, by the inverse",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    b_gam, b_t, A = (np.asarray(v) for v in (b_gam, b_t, A))
    return np.float64(C_target - C_source - b_gam.dot(np.linalg.inv(A)).dot(b_t))
""",
        ),
        (
            "from the other side, by Cholesky",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    factor = torch.linalg.cholesky(A)
    theta_gam = torch.cholesky_solve(b_gam[:, None], factor)[:, 0]
    return [float(C_target) - float(C_source) - float(theta_gam.dot(b_t))]
""",
        ),
        (
            "by conjugate gradients, in single precision at the end",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    x, r = torch.zeros_like(b_t), b_t.clone()
    d = r.clone()
    for _ in range(3 * len(b_t)):
        if r.norm() < 1e-14:
            break
        step = (r @ r) / (d @ A @ d)
        x, new = x + step * d, r - step * (A @ d)
        d, r = new + (new @ new) / (r @ r) * d, new
    return torch.tensor(C_target - C_source - float(x @ b_gam), dtype=torch.float32)
""",
        ),
    ],
    "ex-7-6": [
        (
            "Newton in the logit",
            """
def new_class(rho, gam):
    L = math.log1p(2 * gam / rho)
    for _ in range(100):
        q = 1 / (1 + math.exp(L))
        L -= (0.5 * rho * L - gam * q) / (0.5 * rho + gam * q * (1 - q))
    q = 1 / (1 + math.exp(L))
    moved = gam / (gam + rho / (2 * q * (1 - q)))
    return [q, L + moved / (1 - q)]
""",
        ),
        (
            "scipy's root, NumPy",
            """
def new_class(rho, gam):
    from scipy.optimize import brentq
    L = brentq(lambda L: gam / (1 + np.exp(L)) - 0.5 * rho * L, 0, 60, xtol=1e-15, rtol=1e-14)
    q = 1 / (1 + np.exp(L))
    moved = -gam / (gam * q * (1 - q) + 0.5 * rho)  # dL/dt
    return np.array([q, L - moved * q])
""",
        ),
        (
            "the two-logit classifier minimised, float32 at the end",
            """
def new_class(rho, gam):
    v, one = torch.zeros(2), torch.tensor([1.0, 0.0])
    for _ in range(200):
        c = torch.softmax(v, 0)
        hessian = gam * (torch.diag(c) - torch.outer(c, c)) + rho * torch.eye(2)
        step = torch.linalg.solve(hessian, gam * (c - one) + rho * v)
        v = v - step / max(1.0, float(step.abs().max()))
    c = torch.softmax(v, 0)
    dv = torch.linalg.solve(gam * (torch.diag(c) - torch.outer(c, c)) + rho * torch.eye(2), gam * torch.tensor([-1.0, 1.0]))
    C_t = v[0] - v[1] + (c - one) @ dv
    return torch.stack([c[1], C_t]).float()
""",
        ),
    ],
}

WRONG = {
    "ex-7-1": [
        (
            "what the frozen model costs",
            "cost of the frozen model",
            """
def gain(F0, F_t0, F1):
    return F0 + F_t0
""",
        ),
        (
            "the tangent's rise alone",
            "the two ends",
            """
def gain(F0, F_t0, F1):
    return F_t0
""",
        ),
        (
            "the parabola of the postcard",
            "half of F_t",
            """
def gain(F0, F_t0, F1):
    return F_t0 / 2
""",
        ),
        (
            "trained less frozen",
            "sign is reversed",
            """
def gain(F0, F_t0, F1):
    return F1 - (F0 + F_t0)
""",
        ),
        (
            "the difference of the ends",
            "tangent at t = 0",
            """
def gain(F0, F_t0, F1):
    return F1 - F0
""",
        ),
        (
            "its absolute value",
            "negative if training",
            """
def gain(F0, F_t0, F1):
    return abs(F0 + F_t0 - F1)
""",
        ),
        (
            "the size of the slope",
            "you have",
            """
def gain(F0, F_t0, F1):
    return F0 + abs(F_t0) - F1
""",
        ),
        (
            "never less than nothing",
            "less than nothing",
            """
def gain(F0, F_t0, F1):
    return max(F0 + F_t0 - F1, 0.0)
""",
        ),
        (
            "the printed example",
            "you have 1.5",
            """
def gain(F0, F_t0, F1):
    return 1.5
""",
        ),
    ],
    "ex-7-2": [
        (
            "source less target",
            "sign is reversed",
            """
def F_t(J_source, J_target, theta, p):
    return J_source(theta, p[:2]) - J_target(theta, p[:2])
""",
        ),
        (
            "J itself",
            "not its derivative",
            """
def F_t(J_source, J_target, theta, p):
    return (1 - p[2]) * J_source(theta, p[:2]) + p[2] * J_target(theta, p[:2])
""",
        ),
        (
            "the shares kept",
            "drop out",
            """
def F_t(J_source, J_target, theta, p):
    return p[2] * J_target(theta, p[:2]) - (1 - p[2]) * J_source(theta, p[:2])
""",
        ),
        (
            "each task at its own minimum",
            "at the θ that serves",
            """
def F_t(J_source, J_target, theta, p):
    def own(J):
        return J(fe.minimise(lambda th, q: J(th, q[:2]), theta, p).theta, p[:2])
    return own(J_target) - own(J_source)
""",
        ),
        (
            "the target alone",
            "less J of the source",
            """
def F_t(J_source, J_target, theta, p):
    return J_target(theta, p[:2])
""",
        ),
        (
            "its absolute value",
            "F_t is negative",
            """
def F_t(J_source, J_target, theta, p):
    return abs(J_target(theta, p[:2]) - J_source(theta, p[:2]))
""",
        ),
        (
            "a Newton step, right on quadratics only",
            "at the θ that serves|less J of the source",
            """
def F_t(J_source, J_target, theta, p):
    def along(s):
        J = lambda th: (1 - s) * J_source(th, p[:2]) + s * J_target(th, p[:2])
        step = torch.linalg.solve(torch.func.hessian(J)(theta), torch.func.grad(J)(theta))
        return J(theta - step)
    return (along(1.0) - along(0.0)) / (1 - 2 * p[2]) if abs(p[2] - 0.5) > 0.05 else J_target(theta, p[:2]) * 0
""",
        ),
        (
            "all three controls handed on",
            "the prices are p",
            """
def F_t(J_source, J_target, theta, p):
    return J_target(theta, p) - J_source(theta, p)
""",
        ),
    ],
    "ex-7-3": [
        (
            "the task forgotten",
            "C_t is missing",
            """
def velocity_28(hess, lam_dot):
    return -hess[1, 0] * lam_dot / hess[1, 1]
""",
        ),
        (
            "the other price forgotten",
            "C_λ λ̇ is missing",
            """
def velocity_28(hess, lam_dot):
    return -hess[1, 2] / hess[1, 1]
""",
        ),
        (
            "no minus",
            "sign is reversed",
            """
def velocity_28(hess, lam_dot):
    return (hess[1, 0] * lam_dot + hess[1, 2]) / hess[1, 1]
""",
        ),
        (
            "the row of D",
            "holds D",
            """
def velocity_28(hess, lam_dot):
    return -(hess[0, 0] * lam_dot + hess[0, 2]) / hess[0, 1]
""",
        ),
        (
            "F_tt for C_t",
            "C moves",
            """
def velocity_28(hess, lam_dot):
    return -(hess[1, 0] * lam_dot + hess[2, 2]) / hess[1, 1]
""",
        ),
        (
            "its absolute value",
            "it may fall",
            """
def velocity_28(hess, lam_dot):
    return abs((hess[1, 0] * lam_dot + hess[1, 2]) / hess[1, 1])
""",
        ),
        (
            "the sign of the other price",
            "sign of λ̇",
            """
def velocity_28(hess, lam_dot):
    return -(hess[1, 2] - hess[1, 0] * lam_dot) / hess[1, 1]
""",
        ),
        (
            "the printed example",
            "C moves",
            """
def velocity_28(hess, lam_dot):
    return 2.0
""",
        ),
    ],
    "ex-7-4": [
        (
            "the weights alone",
            "two vectors",
            """
def mixture_weights(ns, nt, t):
    return torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
""",
        ),
        (
            "a weight for each task",
            "one entry for each image",
            """
def mixture_weights(ns, nt, t):
    return torch.tensor([1 - t, t]), torch.tensor([-1.0, 1.0])
""",
        ),
        (
            "not divided by the numbers",
            "sum to",
            """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), 1.0 - t), torch.full((nt,), float(t))])
    return w, torch.cat([torch.full((ns,), -1 / ns), torch.full((nt,), 1 / nt)])
""",
        ),
        (
            "all images alike",
            "hold",
            """
def mixture_weights(ns, nt, t):
    n = ns + nt
    return torch.full((n,), 1 / n), torch.cat([torch.full((ns,), -1 / ns), torch.full((nt,), 1 / nt)])
""",
        ),
        (
            "the target first",
            "source",
            """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((nt,), t / nt), torch.full((ns,), (1 - t) / ns)])
    return w, torch.cat([torch.full((nt,), 1 / nt), torch.full((ns,), -1 / ns)])
""",
        ),
        (
            "the source keeps its weight",
            "must lose",
            """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
    return w, torch.cat([torch.zeros(ns), torch.full((nt,), 1 / nt)])
""",
        ),
        (
            "time runs backwards in the derivative",
            "sign is reversed",
            """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
    return w, torch.cat([torch.full((ns,), 1 / ns), torch.full((nt,), -1 / nt)])
""",
        ),
        (
            "a derivative of twice the size",
            "not the derivative",
            """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
    return w, torch.cat([torch.full((ns,), -2 / ns), torch.full((nt,), 2 / nt)])
""",
        ),
        (
            "right for equal numbers only",
            "sum to",
            """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / ns)])
    return w, torch.cat([torch.full((ns,), -1 / ns), torch.full((nt,), 1 / ns)])
""",
        ),
        (
            "the printed example",
            "one entry for each image",
            """
def mixture_weights(ns, nt, t):
    return [0.25] * 4, [-0.5, -0.5, 0.5, 0.5]
""",
        ),
        (
            "the size of the change",
            "must lose",
            """
def mixture_weights(ns, nt, t):
    w = torch.cat([torch.full((ns,), (1 - t) / ns), torch.full((nt,), t / nt)])
    return w, torch.cat([torch.full((ns,), 1 / ns), torch.full((nt,), 1 / nt)])
""",
        ),
    ],
    "ex-7-5": [
        (
            "at fixed parameters",
            "the parameters move too",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source
""",
        ),
        (
            "the response alone",
            "the weights move",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return -b_gam @ torch.linalg.solve(A, b_t)
""",
        ),
        (
            "the response added",
            "sign of the response",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source + b_gam @ torch.linalg.solve(A, b_t)
""",
        ),
        (
            "source less target",
            "counts with \\+",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_source - C_target - b_gam @ torch.linalg.solve(A, b_t)
""",
        ),
        (
            "multiplied by A",
            "solve with A",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source - b_gam @ A @ b_t
""",
        ),
        (
            "a vector",
            "one number",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source - b_gam * torch.linalg.solve(A, b_t)
""",
        ),
        (
            "right for a diagonal A",
            "no diagonal matrix",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return C_target - C_source - (b_gam / A.diagonal()) @ b_t
""",
        ),
        (
            "its absolute value",
            "C_t is then negative",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return abs(C_target - C_source - b_gam @ torch.linalg.solve(A, b_t))
""",
        ),
        (
            "the printed example",
            "you have 1.166667",
            """
def C_t(C_source, C_target, b_gam, b_t, A):
    return 7 / 6
""",
        ),
    ],
    "ex-7-6": [
        (
            "no half in the force of the ridge",
            "½ρ",
            """
def new_class(rho, gam):
    low, high = 0.0, 50.0
    for _ in range(200):
        L = (low + high) / 2
        low, high = (L, high) if gam > rho * L * (1 + math.exp(L)) else (low, L)
    q = 1 / (1 + math.exp(L))
    return q, L + 1 / (1 + rho / (gam * q * (1 - q))) / (1 - q)
""",
        ),
        (
            "the classifier does not answer",
            "q moves too",
            """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / (2 * gam)
        L = math.log((1 - q) / q)
    return q, L
""",
        ),
        (
            "q' not over 1 - q",
            "q′/\\(1 − q\\)",
            """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / (2 * gam)
        L = math.log((1 - q) / q)
    return q, L + 1 / (1 + rho / (2 * gam * q * (1 - q)))
""",
        ),
        (
            "the old class",
            "belongs to the new",
            """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / (2 * gam)
        L = math.log((1 - q) / q)
    return 1 - q, L + 1 / (1 + rho / (2 * gam * q * (1 - q))) / (1 - q)
""",
        ),
        (
            "q alone",
            "two numbers",
            """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = rho * L / (2 * gam)
        L = math.log((1 - q) / q)
    return q
""",
        ),
        (
            "an iteration that ends in the easy regime only",
            "solve γq",
            """
def new_class(rho, gam):
    L = 1.0
    for _ in range(200):
        q = min(rho * L / (2 * gam), 1 - 1e-12)
        L = max(math.log((1 - q) / q), 1e-12)
    return q, L + 1 / (1 + rho / (2 * gam * q * (1 - q))) / (1 - q)
""",
        ),
        (
            "the classifier answers with the wrong sign",
            "counts with \\+",
            """
def new_class(rho, gam):
    low, high = 0.0, 50.0
    for _ in range(200):
        L = (low + high) / 2
        low, high = (L, high) if 2 * gam > rho * L * (1 + math.exp(L)) else (low, L)
    q = 1 / (1 + math.exp(L))
    return q, L - 1 / (1 + rho / (2 * gam * q * (1 - q))) / (1 - q)
""",
        ),
        (
            "the printed example",
            "solve γq",
            """
def new_class(rho, gam):
    return 0.006324, 5.9
""",
        ),
    ],
}

STATED = {
    "ex-7-1": [
        ("it is 1.5", "gain(4, 2, 4.5)", "1.5"),
        ("it is $-\\tfrac12$", "gain(4, 2, 6.5)", "-0.5"),
        ("1.7", "gain(3.950, 1.746, 3.947)"),  # F(0), F_t(0) and F(1) of the table on digits
    ],
    "ex-7-3": [
        (
            "the answer is 2",
            "velocity_28(torch.tensor([[-1.0, 0, 1], [0, -2, 4], [1, 4, -3]]), 0)",
            "2",
        )
    ],
    "ex-7-4": [
        ("all weights ¼", "mixture_weights(2, 2, 0.5)[0].max()", "1 / 4"),
        ("all weights ¼", "mixture_weights(2, 2, 0.5)[0].min()", "1 / 4"),
        (
            "$-½, -½, ½, ½$",
            "(mixture_weights(2, 2, 0.5)[1] - torch.tensor([-0.5, -0.5, 0.5, 0.5])).abs().max()",
            "0",
        ),
    ],
    "ex-7-5": [
        (
            "$1.1\\overline6$",
            "C_t(1, 1.5, torch.tensor([1.0, 0]), torch.tensor([0.0, 2]), torch.tensor([[2.0, "
            "1], "
            "[1, 2]]))",
            "7 / 6",
        )
    ],
    "ex-7-6": [
        ("5.06", "math.log(1 / new_class(1e-2, 4)[0] - 1)"),
        ("0.0063", "new_class(1e-2, 4)[0]"),
        ("5.90", "new_class(1e-2, 4)[1]"),
    ],
}

GIVEN = {"ex-7-1": "4.5 6.5", "ex-7-4": "0.5", "ex-7-5": "1.5"}
