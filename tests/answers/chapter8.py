"""Plausible wrong answers to chapter 8's exercises."""

WRONG = {
    "ex-8-1": [
        ("the nearest pair first", "not the cheapest", """
def by_hand():
    return (1, 0, 2), (4, 1, -2), (0, 3, 6)
"""),
        ("prices that are too high", "dearer than doing it yourself", """
def by_hand():
    return (0, 1, 2), (4, 4, 4), (0, 0, 0)
"""),
        ("prices that prove too little", "raise them", """
def by_hand():
    return (0, 1, 2), (0, 0, 0), (1, 1, 4)
"""),
        ("a target used twice", "every target once", """
def by_hand():
    return (0, 0, 2), (4, 1, -2), (0, 3, 6)
"""),
        ("no prices", "three triples", """
def by_hand():
    return (0, 1, 2)
"""),
    ],
    "ex-8-2": [
        ("the cost", "index tensor", """
def plan_1d(x, y):
    return (x - y).square().mean()
"""),
        ("the nearest target for each", "every target must be used once", """
def plan_1d(x, y):
    return torch.cdist(x[:, None], y[:, None]).argmin(1)
"""),
        ("the smallest to the largest", "dearest", """
def plan_1d(x, y):
    return y.argsort(descending=True)[x.argsort().argsort()]
"""),
        ("argsort taken for the rank", "rank of each x", """
def plan_1d(x, y):
    return y.argsort()[x.argsort()]
"""),
        ("only the targets sorted", "sources are not", """
def plan_1d(x, y):
    return y.argsort()
"""),
        ("in the order given", "equal ranks", """
def plan_1d(x, y):
    return torch.arange(len(x))
"""),
    ],
    "ex-8-3": [
        ("plain sums", "weighed", """
def dual_bound(kappa, a, b, u):
    return u.sum() + (kappa - u[:, None]).min(0).values.sum()
"""),
        ("the largest difference", "minimum", """
def dual_bound(kappa, a, b, u):
    return a @ u + b @ (kappa - u[:, None]).max(0).values
"""),
        ("v without u", "u is missing", """
def dual_bound(kappa, a, b, u):
    return a @ u + b @ kappa.min(0).values
"""),
        ("the delivery alone", "a·u is missing", """
def dual_bound(kappa, a, b, u):
    return b @ (kappa - u[:, None]).min(0).values
"""),
        ("u added in v", "sign of u", """
def dual_bound(kappa, a, b, u):
    return a @ u + b @ (kappa + u[:, None]).min(0).values
"""),
        ("one price for all deliveries", "strong duality|not the best", """
def dual_bound(kappa, a, b, u):
    return a @ u + (kappa - u[:, None]).min()
"""),
        ("the plan that is everyone to everyone", "no bound", """
def dual_bound(kappa, a, b, u):
    return a @ kappa @ b
"""),
    ],
    "ex-8-4": [
        ("the ends exchanged", "backwards", """
def interpolate(xs, xt, plan, t):
    return t * xs[plan.i] + (1 - t) * xt[plan.j], plan.mass
"""),
        ("equal weights", "masses", """
def interpolate(xs, xt, plan, t):
    return (1 - t) * xs[plan.i] + t * xt[plan.j], torch.full_like(plan.mass, 1 / len(plan.mass))
"""),
        ("rows in the order given", "one image and one weight", """
def interpolate(xs, xt, plan, t):
    n = min(len(xs), len(xt))
    return (1 - t) * xs[:n] + t * xt[:n], plan.mass[:n]
"""),
        ("both ends kept", "mean image", """
def interpolate(xs, xt, plan, t):
    return torch.cat([xs, xt])[: len(plan.i)], plan.mass
"""),
        ("all to the mean of the target", "distances to the ends", """
def interpolate(xs, xt, plan, t):
    return (1 - t) * xs[plan.i] + t * (plan.mass @ xt[plan.j]), plan.mass
"""),
        ("a jump in the middle", "straight line", """
def interpolate(xs, xt, plan, t):
    return (xs[plan.i] if t < 0.5 else xt[plan.j]), plan.mass
"""),
        ("the images without weights", "two tensors", """
def interpolate(xs, xt, plan, t):
    return (1 - t) * xs[plan.i] + t * xt[plan.j]
"""),
    ],
    "ex-8-5": [
        ("the factor of the squares", "belongs to the problem with squares", """
def least(t, W):
    return t * (1 - t) * W
"""),
        ("the value with squares", "with squares", """
def least(t, W):
    return t * (1 - t) * W**2
"""),
        ("the value on the road", "an end is cheaper", """
def least(t, W):
    return 2 * t * (1 - t) * W
"""),
        ("the farther end", "take the nearer", """
def least(t, W):
    return max(t, 1 - t) * W
"""),
        ("half of the way", "a search over p", """
def least(t, W):
    return W / 2
"""),
    ],
    "ex-8-6": [
        ("the share forgotten", "only the share q", """
def floor(t, q):
    return sum(-s * math.log(s) for s in (t, 1 - t) if s > 0)
"""),
        ("bits", "in bits", """
def floor(t, q):
    return q * sum(-s * math.log2(s) for s in (t, 1 - t) if s > 0)
"""),
        ("the largest at every t", "log 2 is the largest", """
def floor(t, q):
    return q * math.log(2)
"""),
        ("no minus", "sign is reversed", """
def floor(t, q):
    return q * sum(s * math.log(s) for s in (t, 1 - t) if s > 0)
"""),
        ("one class", "both classes", """
def floor(t, q):
    return -q * t * math.log(t)
"""),
        ("the logarithm of zero", "mind 0 log 0", """
def floor(t, q):
    return -q * (t * math.log(t) + (1 - t) * math.log(1 - t))
"""),
    ],
    "ex-8-7": [
        ("rows alone", "columns do not sum", """
def sinkhorn(kappa, a, b, eps, steps):
    return a[:, None] * torch.softmax(-kappa / eps, 1)
"""),
        ("no logarithms", "underflows", """
def sinkhorn(kappa, a, b, eps, steps):
    K, r = torch.exp(-kappa / eps), torch.ones_like(a)
    for _ in range(steps):
        s = b / (K.T @ r)
        r = a / (K @ s)
    return r[:, None] * K * s
"""),
        ("epsilon on the wrong side", "Is ε where it belongs", """
def sinkhorn(kappa, a, b, eps, steps):
    u, v, eps = torch.zeros_like(a), torch.zeros_like(b), eps / 3
    for _ in range(steps):
        u = eps * (a.log() - torch.logsumexp((v - kappa) / eps, 1))
        v = eps * (b.log() - torch.logsumexp((u[:, None] - kappa) / eps, 0))
    return torch.exp((u[:, None] + v - kappa) / eps)
"""),
        ("masses forgotten", "do not sum", """
def sinkhorn(kappa, a, b, eps, steps):
    u, v = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(steps):
        u = eps * (-math.log(len(a)) - torch.logsumexp((v - kappa) / eps, 1))
        v = eps * (-math.log(len(b)) - torch.logsumexp((u[:, None] - kappa) / eps, 0))
    return torch.exp((u[:, None] + v - kappa) / eps)
"""),
        ("everyone to everyone", "no sum u_i", """
def sinkhorn(kappa, a, b, eps, steps):
    return a[:, None] * b
"""),
        ("the prices", "the plan", """
def sinkhorn(kappa, a, b, eps, steps):
    u, v = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(steps):
        u = eps * (a.log() - torch.logsumexp((v - kappa) / eps, 1))
        v = eps * (b.log() - torch.logsumexp((u[:, None] - kappa) / eps, 0))
    return u, v
"""),
    ],
}
