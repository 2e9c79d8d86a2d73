"""Answers to chapter 8's exercises, right and wrong, and the numbers of their statements."""

RIGHT = {
    "ex-8-1": [
        (
            "lists, other prices",
            """
def by_hand():
    return [[0, 1, 2], [1.5, -1.5, -4.5], [2.5, 5.5, 8.5]]
""",
        ),
        (
            "one array, shifted prices",
            """
def by_hand():
    import numpy as np
    return np.array([[0, 1, 2], [14, 11, 8], [-10, -7, -4]])
""",
        ),
        (
            "tensors, the prices by the Hungarian method's shifts",
            """
def by_hand():
    x, y = torch.tensor([0.0, 1, 6]), torch.tensor([2.0, 3, 4])
    kappa = (x[:, None] - y).square()
    v = torch.tensor([0.0, 2.9, 5.8])
    u = (kappa - v).min(1).values
    v = (kappa - u[:, None]).min(0).values
    return torch.arange(3), u.float(), v.float()
""",
        ),
    ],
    "ex-8-2": [
        (
            "NumPy ranks",
            """
def plan_1d(x, y):
    import numpy as np
    ranks = np.argsort(np.argsort(np.asarray(x), kind="stable"), kind="stable")
    return np.argsort(np.asarray(y), kind="stable")[ranks]
""",
        ),
        (
            "a list, by sorting pairs",
            """
def plan_1d(x, y):
    sources = sorted(range(len(x)), key=lambda k: float(x[k]))
    targets = sorted(range(len(y)), key=lambda k: float(y[k]))
    partner = dict(zip(sources, targets))
    return [partner[k] for k in range(len(x))]
""",
        ),
        (
            "an assignment solver",
            """
def plan_1d(x, y):
    from scipy.optimize import linear_sum_assignment
    return tuple(linear_sum_assignment((x[:, None] - y).square().numpy())[1])
""",
        ),
        (
            "crossed pairs uncrossed, 32-bit integers",
            """
def plan_1d(x, y):
    n = len(x)
    j = torch.arange(n, dtype=torch.int32)
    for _ in range(n):
        for k in range(n):
            for i in range(k):
                if (x[i] - x[k]) * (y[int(j[i])] - y[int(j[k])]) < 0:
                    j[i], j[k] = int(j[k]), int(j[i])
    return j
""",
        ),
    ],
    "ex-8-3": [
        (
            "NumPy loops",
            """
def dual_bound(kappa, a, b, u):
    n, m = kappa.shape
    bill = sum(float(a[i]) * float(u[i]) for i in range(n))
    return bill + sum(float(b[j]) * min(float(kappa[i, j]) - float(u[i]) for i in range(n)) for j in range(m))
""",
        ),
        (
            "by targets, in a list",
            """
def dual_bound(kappa, a, b, u):
    v = -torch.amax(u - kappa.T, dim=1)
    return [torch.cat([a, b]).dot(torch.cat([u, v]))]
""",
        ),
        (
            "single precision",
            """
def dual_bound(kappa, a, b, u):
    kappa, a, b, u = (k.to(torch.float32) for k in (kappa, a, b, u))
    return (a * u).sum() + (b * torch.min(kappa - u.unsqueeze(1), dim=0)[0]).sum()
""",
        ),
    ],
    "ex-8-4": [
        (
            "a loop over the pairs, lists",
            """
def interpolate(xs, xt, plan, t):
    x, w = [], []
    for i, j, mass in zip(plan.i.tolist(), plan.j.tolist(), plan.mass.tolist()):
        x.append([(1 - t) * float(p) + t * float(q) for p, q in zip(xs[i], xt[j])])
        w.append(mass)
    return [x, w]
""",
        ),
        (
            "lerp, the pairs in reverse order",
            """
def interpolate(xs, xt, plan, t):
    back = torch.arange(len(plan.i)).flip(0)
    return torch.lerp(xs[plan.i[back]], xt[plan.j[back]], t), plan.mass[back]
""",
        ),
        (
            "NumPy, single precision",
            """
def interpolate(xs, xt, plan, t):
    start, end = xs.numpy()[plan.i.numpy()], xt.numpy()[plan.j.numpy()]
    return (start + t * (end - start)).astype("float32"), plan.mass.numpy().astype("float32")
""",
        ),
    ],
    "ex-8-5": [
        (
            "two cases",
            """
def least(t, W):
    if t <= 0.5:
        return torch.tensor(t * W)
    return torch.tensor((1 - t) * W)
""",
        ),
        (
            "by absolute values",
            """
def least(t, W):
    return [W * (0.5 - abs(t - 0.5))]
""",
        ),
        (
            "a linear programme over α and β",
            """
def least(t, W):
    from scipy.optimize import linprog
    return linprog([1 - t, t], A_ub=[[-1, -1]], b_ub=[-W]).fun
""",
        ),
    ],
    "ex-8-6": [
        (
            "torch's entr",
            """
def floor(t, q):
    return q * torch.special.entr(torch.tensor([t, 1 - t])).sum()
""",
        ),
        (
            "the ends apart, log1p",
            """
def floor(t, q):
    if t <= 0 or t >= 1:
        return 0
    return q * (t * -math.log(t) - (1 - t) * math.log1p(-t))
""",
        ),
        (
            "scipy, an array",
            """
def floor(t, q):
    from scipy.stats import entropy
    return q * entropy([t, 1 - t]).reshape(1)
""",
        ),
    ],
    "ex-8-7": [
        (
            "NumPy, columns first",
            """
def sinkhorn(kappa, a, b, eps, steps):
    import numpy as np
    k = kappa.numpy() / eps
    f, la, lb = np.zeros(len(a)), np.log(a.numpy()), np.log(b.numpy())

    def lse(z, axis):
        top = z.max(axis, keepdims=True)
        return (np.log(np.exp(z - top).sum(axis, keepdims=True)) + top).squeeze(axis)

    for _ in range(steps):
        g = lb - lse(f[:, None] - k, 0)
        f = la - lse(g - k, 1)
    return np.exp(f[:, None] + g - k)
""",
        ),
        (
            "scaling log Γ itself",
            """
def sinkhorn(kappa, a, b, eps, steps):
    log_plan = -kappa / eps
    for _ in range(steps):
        log_plan = torch.log_softmax(log_plan, 1) + a.log()[:, None]
        log_plan = torch.log_softmax(log_plan, 0) + b.log()
    return log_plan.exp().tolist()
""",
        ),
        (
            "POT in the log domain",
            """
def sinkhorn(kappa, a, b, eps, steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ot.sinkhorn(a, b, kappa, eps, method="sinkhorn_log", numItermax=steps, stopThr=1e-12)
""",
        ),
        (
            "single precision",
            """
def sinkhorn(kappa, a, b, eps, steps):
    k, la, lb = (kappa / eps).float(), a.log().float(), b.log().float()
    g = torch.zeros_like(lb)
    for _ in range(steps):
        f = la - torch.logsumexp(g - k, 1)
        g = lb - torch.logsumexp(f[:, None] - k, 0)
    return torch.exp(f[:, None] + g - k)
""",
        ),
    ],
}

WRONG = {
    "ex-8-1": [
        (
            "the nearest pair first",
            "not the cheapest",
            """
def by_hand():
    return (1, 0, 2), (4, 1, -2), (0, 3, 6)
""",
        ),
        (
            "prices that are too high",
            "dearer than doing it yourself",
            """
def by_hand():
    return (0, 1, 2), (4, 4, 4), (0, 0, 0)
""",
        ),
        (
            "prices that prove too little",
            "raise them",
            """
def by_hand():
    return (0, 1, 2), (0, 0, 0), (1, 1, 4)
""",
        ),
        (
            "a target used twice",
            "every target once",
            """
def by_hand():
    return (0, 0, 2), (4, 1, -2), (0, 3, 6)
""",
        ),
        (
            "no prices",
            "three triples",
            """
def by_hand():
    return (0, 1, 2)
""",
        ),
        (
            "prices of one sign only",
            "raise them",
            """
def by_hand():
    return (0, 1, 2), (4, 1, 0), (0, 1, 4)
""",
        ),
    ],
    "ex-8-2": [
        (
            "the cost",
            "an index for each source",
            """
def plan_1d(x, y):
    return (x - y).square().mean()
""",
        ),
        (
            "the nearest target for each",
            "every target must be used once",
            """
def plan_1d(x, y):
    return torch.cdist(x[:, None], y[:, None]).argmin(1)
""",
        ),
        (
            "the smallest to the largest",
            "dearest",
            """
def plan_1d(x, y):
    return y.argsort(descending=True)[x.argsort().argsort()]
""",
        ),
        (
            "argsort taken for the rank",
            "rank of each x",
            """
def plan_1d(x, y):
    return y.argsort()[x.argsort()]
""",
        ),
        (
            "only the targets sorted",
            "sources are not",
            """
def plan_1d(x, y):
    return y.argsort()
""",
        ),
        (
            "in the order given",
            "equal ranks",
            """
def plan_1d(x, y):
    return torch.arange(len(x))
""",
        ),
        (
            "the nearest that is left",
            "equal ranks",
            """
def plan_1d(x, y):
    left, j = list(range(len(y))), []
    for k in range(len(x)):
        j.append(min(left, key=lambda i: abs(float(x[k] - y[i]))))
        left.remove(j[-1])
    return j
""",
        ),
        (
            "right for sorted sources only",
            "sources are not|argsort says|equal ranks",
            """
def plan_1d(x, y):
    return list(y.argsort().numpy())
""",
        ),
        (
            "ranks among absolute values",
            "permutations|dearest",
            """
def plan_1d(x, y):
    return y.argsort()[x.abs().argsort().argsort()]
""",
        ),
        (
            "the sorted targets instead of their index",
            "whole numbers",
            """
def plan_1d(x, y):
    return y.sort().values[x.argsort().argsort()]
""",
        ),
    ],
    "ex-8-3": [
        (
            "plain sums",
            "weighed",
            """
def dual_bound(kappa, a, b, u):
    return u.sum() + (kappa - u[:, None]).min(0).values.sum()
""",
        ),
        (
            "the largest difference",
            "minimum",
            """
def dual_bound(kappa, a, b, u):
    return a @ u + b @ (kappa - u[:, None]).max(0).values
""",
        ),
        (
            "v without u",
            "u is missing",
            """
def dual_bound(kappa, a, b, u):
    return a @ u + b @ kappa.min(0).values
""",
        ),
        (
            "the delivery alone",
            "a·u is missing",
            """
def dual_bound(kappa, a, b, u):
    return b @ (kappa - u[:, None]).min(0).values
""",
        ),
        (
            "u added in v",
            "sign of u",
            """
def dual_bound(kappa, a, b, u):
    return a @ u + b @ (kappa + u[:, None]).min(0).values
""",
        ),
        (
            "one price for all deliveries",
            "strong duality|not the best|no bound",
            """
def dual_bound(kappa, a, b, u):
    return a @ u + (kappa - u[:, None]).min()
""",
        ),
        (
            "the plan that is everyone to everyone",
            "no bound",
            """
def dual_bound(kappa, a, b, u):
    return a @ kappa @ b
""",
        ),
        (
            "no price below zero",
            "may be negative",
            """
def dual_bound(kappa, a, b, u):
    return a @ u + b @ (kappa - u[:, None]).min(0).values.clamp(min=0)
""",
        ),
        (
            "the least cost whatever the prices",
            "these prices u allow",
            """
def dual_bound(kappa, a, b, u):
    return ot.emd2(a, b, kappa)
""",
        ),
        (
            "the prices of the sources raised as well",
            "raise u as well",
            """
def dual_bound(kappa, a, b, u):
    v = (kappa - u[:, None]).min(0).values
    return a @ (kappa - v).min(1).values + b @ v
""",
        ),
        (
            "absolute prices",
            "bound|weighed",
            """
def dual_bound(kappa, a, b, u):
    return a @ u.abs() + b @ (kappa - u.abs()[:, None]).min(0).values
""",
        ),
        (
            "equal masses taken for granted",
            "bound|weighed",
            """
def dual_bound(kappa, a, b, u):
    return u.mean() + (kappa - u[:, None]).min(0).values.mean()
""",
        ),
    ],
    "ex-8-4": [
        (
            "the ends exchanged",
            "backwards",
            """
def interpolate(xs, xt, plan, t):
    return t * xs[plan.i] + (1 - t) * xt[plan.j], plan.mass
""",
        ),
        (
            "equal weights",
            "masses",
            """
def interpolate(xs, xt, plan, t):
    return (1 - t) * xs[plan.i] + t * xt[plan.j], torch.full_like(plan.mass, 1 / len(plan.mass))
""",
        ),
        (
            "rows in the order given",
            "one image and one weight",
            """
def interpolate(xs, xt, plan, t):
    n = min(len(xs), len(xt))
    return (1 - t) * xs[:n] + t * xt[:n], plan.mass[:n]
""",
        ),
        (
            "both ends kept",
            "mean image",
            """
def interpolate(xs, xt, plan, t):
    return torch.cat([xs, xt])[: len(plan.i)], plan.mass
""",
        ),
        (
            "all to the mean of the target",
            "distances to the ends",
            """
def interpolate(xs, xt, plan, t):
    return (1 - t) * xs[plan.i] + t * (plan.mass @ xt[plan.j]), plan.mass
""",
        ),
        (
            "a jump in the middle",
            "straight line",
            """
def interpolate(xs, xt, plan, t):
    return (xs[plan.i] if t < 0.5 else xt[plan.j]), plan.mass
""",
        ),
        (
            "the images without weights",
            "two tensors",
            """
def interpolate(xs, xt, plan, t):
    return (1 - t) * xs[plan.i] + t * xt[plan.j]
""",
        ),
        (
            "right for equal numbers only",
            "one image and one weight",
            """
def interpolate(xs, xt, plan, t):
    order = plan.j[: len(xs)]
    return (1 - t) * xs + t * xt[order], plan.mass[: len(xs)]
""",
        ),
        (
            "on a circle",
            "mean image|distances to the ends",
            """
def interpolate(xs, xt, plan, t):
    c, s = math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)
    return c * xs[plan.i] + s * xt[plan.j], plan.mass
""",
        ),
    ],
    "ex-8-5": [
        (
            "the factor of the squares",
            "belongs to the problem with squares",
            """
def least(t, W):
    return t * (1 - t) * W
""",
        ),
        (
            "the value with squares",
            "with squares",
            """
def least(t, W):
    return t * (1 - t) * W**2
""",
        ),
        (
            "the value on the road",
            "an end is cheaper",
            """
def least(t, W):
    return 2 * t * (1 - t) * W
""",
        ),
        (
            "the farther end",
            "the other end is cheaper",
            """
def least(t, W):
    return max(t, 1 - t) * W
""",
        ),
        (
            "half of the way",
            "a search over p",
            """
def least(t, W):
    return W / 2
""",
        ),
        (
            "the printed example",
            "you have 0.6",
            """
def least(t, W):
    return 0.6
""",
        ),
        (
            "right before the middle only",
            "beyond t = ½",
            """
def least(t, W):
    return t * W
""",
        ),
    ],
    "ex-8-6": [
        (
            "the share forgotten",
            "only the share q",
            """
def floor(t, q):
    return sum(-s * math.log(s) for s in (t, 1 - t) if s > 0)
""",
        ),
        (
            "bits",
            "in bits",
            """
def floor(t, q):
    return q * sum(-s * math.log2(s) for s in (t, 1 - t) if s > 0)
""",
        ),
        (
            "the largest at every t",
            "log 2 is the largest",
            """
def floor(t, q):
    return q * math.log(2)
""",
        ),
        (
            "no minus",
            "sign is reversed",
            """
def floor(t, q):
    return q * sum(s * math.log(s) for s in (t, 1 - t) if s > 0)
""",
        ),
        (
            "one class",
            "both classes",
            """
def floor(t, q):
    return -q * t * math.log(t)
""",
        ),
        (
            "the logarithm of zero",
            "mind 0 log 0",
            """
def floor(t, q):
    return -q * (t * math.log(t) + (1 - t) * math.log(1 - t))
""",
        ),
        (
            "the ends cut off",
            "you have",
            """
def floor(t, q):
    s = min(max(t, 1e-4), 1 - 1e-4)
    return q * (-s * math.log(s) - (1 - s) * math.log(1 - s)) if 0 < t < 1 else 0.0
""",
        ),
        (
            "the printed example",
            "only the share q|log 2|you have",
            """
def floor(t, q):
    return 0.562335
""",
        ),
    ],
    "ex-8-7": [
        (
            "rows alone",
            "columns do not sum",
            """
def sinkhorn(kappa, a, b, eps, steps):
    return a[:, None] * torch.softmax(-kappa / eps, 1)
""",
        ),
        (
            "no logarithms",
            "underflows",
            """
def sinkhorn(kappa, a, b, eps, steps):
    K, r = torch.exp(-kappa / eps), torch.ones_like(a)
    for _ in range(steps):
        s = b / (K.T @ r)
        r = a / (K @ s)
    return r[:, None] * K * s
""",
        ),
        (
            "epsilon on the wrong side",
            "Is ε where it belongs",
            """
def sinkhorn(kappa, a, b, eps, steps):
    u, v, eps = torch.zeros_like(a), torch.zeros_like(b), eps / 3
    for _ in range(steps):
        u = eps * (a.log() - torch.logsumexp((v - kappa) / eps, 1))
        v = eps * (b.log() - torch.logsumexp((u[:, None] - kappa) / eps, 0))
    return torch.exp((u[:, None] + v - kappa) / eps)
""",
        ),
        (
            "masses forgotten",
            "do not sum",
            """
def sinkhorn(kappa, a, b, eps, steps):
    u, v = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(steps):
        u = eps * (-math.log(len(a)) - torch.logsumexp((v - kappa) / eps, 1))
        v = eps * (-math.log(len(b)) - torch.logsumexp((u[:, None] - kappa) / eps, 0))
    return torch.exp((u[:, None] + v - kappa) / eps)
""",
        ),
        (
            "everyone to everyone",
            "no sum u_i",
            """
def sinkhorn(kappa, a, b, eps, steps):
    return a[:, None] * b
""",
        ),
        (
            "the prices",
            "the plan Γ|must return",
            """
def sinkhorn(kappa, a, b, eps, steps):
    u, v = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(steps):
        u = eps * (a.log() - torch.logsumexp((v - kappa) / eps, 1))
        v = eps * (b.log() - torch.logsumexp((u[:, None] - kappa) / eps, 0))
    return u, v
""",
        ),
        (
            "no logarithms, the smallest cost taken off",
            "underflows",
            """
def sinkhorn(kappa, a, b, eps, steps):
    K, r = torch.exp(-(kappa - kappa.min()) / eps), torch.ones_like(a)
    for _ in range(steps):
        s = b / (K.T @ r)
        r = a / (K @ s)
    return r[:, None] * K * s
""",
        ),
        (
            "no logarithms, kept from zero",
            "no sum u_i|underflow",
            """
def sinkhorn(kappa, a, b, eps, steps):
    K, r = torch.exp(-kappa / eps).clamp(min=1e-300), torch.ones_like(a)
    for _ in range(steps):
        s = b / (K.T @ r).clamp(min=1e-300)
        r = a / (K @ s).clamp(min=1e-300)
    return r[:, None] * K * s
""",
        ),
        (
            "no logarithms, rows and columns reduced, kept from zero",
            "underflow",
            """
def sinkhorn(kappa, a, b, eps, steps):
    k = (kappa - kappa.min(1, keepdim=True).values) / eps
    K, r = torch.exp(-(k - k.min(0).values)).clamp(min=1e-300), torch.ones_like(a)
    for _ in range(steps):
        s = b / (K.T @ r).clamp(min=1e-300)
        r = a / (K @ s).clamp(min=1e-300)
    return r[:, None] * K * s
""",
        ),
        (
            "no logarithms, in extended precision",
            "underflow|no sum u_i",
            """
def sinkhorn(kappa, a, b, eps, steps):
    import numpy as np
    k = kappa.numpy().astype(np.longdouble)
    with np.errstate(all="ignore"):
        K, r = np.exp(-k / eps), np.ones(len(a), dtype=np.longdouble)
        for _ in range(steps):
            s = b.numpy() / (K.T @ r)
            r = a.numpy() / (K @ s)
        return r[:, None] * K * s
""",
        ),
        (
            "no logarithms, in extended precision, rows and columns reduced, kept from zero",
            "underflow",
            """
def sinkhorn(kappa, a, b, eps, steps):
    import numpy as np
    k = kappa.numpy().astype(np.longdouble)
    k = k - k.min(1, keepdims=True)
    k, least = k - k.min(0), np.finfo(np.longdouble).tiny
    with np.errstate(all="ignore"):
        K, r = np.maximum(np.exp(-k / eps), least), np.ones(len(a), dtype=np.longdouble)
        for _ in range(steps):
            s = b.numpy() / np.maximum(K.T @ r, least)
            r = a.numpy() / np.maximum(K @ s, least)
        return r[:, None] * K * s
""",
        ),
        (
            "the exact plan",
            "zero or negative",
            """
def sinkhorn(kappa, a, b, eps, steps):
    return ot.emd(a, b, kappa)
""",
        ),
        (
            "the printed example",
            "must return",
            """
def sinkhorn(kappa, a, b, eps, steps):
    return torch.tensor([[0.366, 0.134], [0.134, 0.366]])
""",
        ),
    ],
}

STATED = {
    "ex-8-1": [
        (
            "W_2^2 = 4",
            "sum((x - (2, 3, 4)[j]) ** 2 for x, j in zip((0, 1, 6), by_hand()[0])) / 3",
            "4",
        )
    ],
    "ex-8-2": [
        (
            "$(1, 0, 2)$",
            "(torch.as_tensor(plan_1d(torch.tensor([5.0, -1, 9]), torch.tensor([0.0, 3, 8]))) - "
            "torch.tensor([1, 0, 2])).abs().max()",
            "0",
        )
    ],
    "ex-8-5": [
        ("0.6", "least(0.2, 3)"),
        ("1.44", "0.2 * 0.8 * 3**2"),
    ],
    "ex-8-6": [("0.562", "floor(0.25, 1)")],
    "ex-8-7": [
        (
            "0.366",
            "sinkhorn(torch.tensor([[0.0, 1], [1, 0]]), torch.full((2,), 0.5), torch.full((2,), "
            "0.5), 1, 50)[0, 0]",
        ),
        (
            "0.134",
            "sinkhorn(torch.tensor([[0.0, 1], [1, 0]]), torch.full((2,), 0.5), torch.full((2,), "
            "0.5), 1, 50)[0, 1]",
        ),
    ],
}

GIVEN = {"ex-8-5": "0.2", "ex-8-7": "0.0"}
