"""Answers to chapter 6's exercises, right and wrong, and the numbers of their statements."""

WRONG = {
    "ex-6-1": [
        (
            "C held as in the text",
            "this holds C",
            """
def hold_distortion(hess, alpha):
    return -alpha * hess[1, 1], alpha * hess[0, 1]
""",
        ),
        (
            "the two entries swapped",
            "swapped",
            """
def hold_distortion(hess, alpha):
    return -alpha * hess[0, 0], alpha * hess[0, 1]
""",
        ),
        (
            "backwards",
            "γ falls",
            """
def hold_distortion(hess, alpha):
    return -alpha * hess[0, 1], alpha * hess[0, 0]
""",
        ),
        (
            "a sign",
            "D moves",
            """
def hold_distortion(hess, alpha):
    return -alpha * hess[0, 1], -alpha * hess[0, 0]
""",
        ),
        (
            "γ as the clock",
            "speed",
            """
def hold_distortion(hess, alpha):
    return -alpha * hess[0, 1] / hess[0, 0], alpha
""",
        ),
        (
            "the example's numbers",
            "nothing moves|moves|speed|α is missing",
            """
def hold_distortion(hess, alpha):
    return 1.0, 2.0
""",
        ),
        (
            "absolute values",
            "sign of λ̇",
            """
def hold_distortion(hess, alpha):
    return abs(alpha * hess[0, 1]), abs(alpha * hess[0, 0])
""",
        ),
        (
            "no α",
            "twice the α",
            """
def hold_distortion(hess, alpha):
    return hess[0, 1], -hess[0, 0]
""",
        ),
        (
            "of length α",
            "speed",
            """
def hold_distortion(hess, alpha):
    v = torch.stack([hess[0, 1], -hess[0, 0]])
    return alpha * v / v.norm()
""",
        ),
    ],
    "ex-6-2": [
        (
            "the two entries swapped",
            "swapped",
            """
def velocity(hess, alpha):
    return alpha * hess[0, 1], -alpha * hess[1, 1]
""",
        ),
        (
            "both with a minus",
            "C moves",
            """
def velocity(hess, alpha):
    return -alpha * hess[1, 1], -alpha * hess[0, 1]
""",
        ),
        (
            "backwards",
            "λ falls",
            """
def velocity(hess, alpha):
    return alpha * hess[1, 1], -alpha * hess[0, 1]
""",
        ),
        (
            "the row of D",
            "holds D",
            """
def velocity(hess, alpha):
    return -alpha * hess[0, 1], alpha * hess[0, 0]
""",
        ),
        (
            "no α",
            "twice the α",
            """
def velocity(hess, alpha):
    return -hess[1, 1], hess[0, 1]
""",
        ),
        (
            "λ as the clock",
            "speed",
            """
def velocity(hess, alpha):
    return alpha, -alpha * hess[0, 1] / hess[1, 1]
""",
        ),
        (
            "the example's numbers",
            "moves|speed|α is missing",
            """
def velocity(hess, alpha):
    return [1, 1]
""",
        ),
        (
            "absolute values",
            "sign of γ̇",
            """
def velocity(hess, alpha):
    return abs(alpha * hess[1, 1]), abs(alpha * hess[0, 1])
""",
        ),
        (
            "nothing moves",
            "nothing moves",
            """
def velocity(hess, alpha):
    return 0.0, 0.0
""",
        ),
    ],
    "ex-6-3": [
        (
            "uphill",
            "wrong direction",
            """
def correct(gam, C, target, slope):
    return gam * math.exp(-math.log(target / C) / slope)
""",
        ),
        (
            "Newton's step in γ itself",
            "in ln γ",
            """
def correct(gam, C, target, slope):
    return gam + (target - C) / (slope * C / gam)
""",
        ),
        (
            "multiplied by the slope",
            "divide",
            """
def correct(gam, C, target, slope):
    return gam * math.exp(math.log(target / C) * slope)
""",
        ),
        (
            "left in logarithms",
            "take its exponential",
            """
def correct(gam, C, target, slope):
    return math.log(gam) + math.log(target / C) / slope
""",
        ),
        (
            "only the step",
            "factor by which",
            """
def correct(gam, C, target, slope):
    return math.exp(math.log(target / C) / slope)
""",
        ),
        (
            "the example's number",
            "lands at|wrong direction",
            """
def correct(gam, C, target, slope):
    return 16.0
""",
        ),
        (
            "right for a small correction",
            "small correction",
            """
def correct(gam, C, target, slope):
    return gam * (1 + math.log(target / C) / slope)
""",
        ),
        (
            "ln C expanded",
            "small correction",
            """
def correct(gam, C, target, slope):
    return gam * math.exp((target - C) / (C * slope))
""",
        ),
        (
            "the slope's sign lost",
            "wrong direction|a sign is lost",
            """
def correct(gam, C, target, slope):
    return gam * (target / C) ** (1 / abs(slope))
""",
        ),
        (
            "γ always falls",
            "wrong direction|a sign is lost",
            """
def correct(gam, C, target, slope):
    return gam * math.exp(-abs(math.log(target / C) / slope))
""",
        ),
        (
            "a slope of −0.8 built in",
            "lands at|wrong direction",
            """
def correct(gam, C, target, slope):
    return gam * (target / C) ** (-1 / 0.8)
""",
        ),
    ],
    "ex-6-4": [
        (
            "a new seed for each copy",
            "different seeds",
            """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(delta), math.exp(-delta)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed + 1), train(lam, gam * u, seed + 2), train(lam, gam * v, seed + 3)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]
""",
        ),
        (
            "a δ of its own",
            "handed in",
            """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(1e-4), math.exp(-1e-4)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed), train(lam, gam * u, seed), train(lam, gam * v, seed)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / 2e-4 for k in (0, 2)] for i in (0, 1)]
""",
        ),
        (
            "the mean over three seeds",
            "not with the one alone",
            """
def log_slopes(train, lam, gam, delta, seed):
    u, v, total = math.exp(delta), math.exp(-delta), np.zeros((2, 2))
    for s in (seed, seed + 1, seed + 2):
        ends = [train(lam * u, gam, s), train(lam * v, gam, s), train(lam, gam * u, s), train(lam, gam * v, s)]
        table = [(D, math.log(C)) for D, C in ends]
        total += [[(table[k][i] - table[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]
    return total / 3
""",
        ),
        (
            "half the distance",
            "twice too large",
            """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(delta), math.exp(-delta)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed), train(lam, gam * u, seed), train(lam, gam * v, seed)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / delta for k in (0, 2)] for i in (0, 1)]
""",
        ),
        (
            "C instead of ln C",
            "ln C",
            """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(delta), math.exp(-delta)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed), train(lam, gam * u, seed), train(lam, gam * v, seed)]
    return [[(ends[k][i] - ends[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]
""",
        ),
        (
            "forward differences",
            "central difference",
            """
def log_slopes(train, lam, gam, delta, seed):
    u = math.exp(delta)
    ends = [train(lam * u, gam, seed), train(lam, gam, seed), train(lam, gam * u, seed), train(lam, gam, seed)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / delta for k in (0, 2)] for i in (0, 1)]
""",
        ),
        (
            "the transposed table",
            "exchanged",
            """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(delta), math.exp(-delta)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed), train(lam, gam * u, seed), train(lam, gam * v, seed)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / (2 * delta) for i in (0, 1)] for k in (0, 2)]
""",
        ),
        (
            "steps of λ(1 ± δ)",
            "instead of|central",
            """
def log_slopes(train, lam, gam, delta, seed):
    ends = [train(lam * (1 + delta), gam, seed), train(lam * (1 - delta), gam, seed), train(lam, gam * (1 + delta), seed), train(lam, gam * (1 - delta), seed)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]
""",
        ),
        (
            "a seed of its own for every call",
            "different seeds",
            """
def log_slopes(train, lam, gam, delta, seed):
    import itertools
    u, count = math.exp(delta), itertools.count(seed)
    f = lambda l, g: torch.tensor([(D, math.log(C)) for D, C in [train(l, g, next(count))]])[0]
    return torch.stack([f(lam * u, gam) - f(lam / u, gam), f(lam, gam * u) - f(lam, gam / u)], 1) / (2 * delta)
""",
        ),
        (
            "the seed that was handed in is not used",
            "handed in",
            """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(delta), math.exp(-delta)
    ends = [train(lam * u, gam, 0), train(lam * v, gam, 0), train(lam, gam * u, 0), train(lam, gam * v, 0)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]
""",
        ),
        (
            "the sign",
            "sign",
            """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(-delta), math.exp(delta)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed), train(lam, gam * u, seed), train(lam, gam * v, seed)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]
""",
        ),
        (
            "slopes that were seen once",
            "instead of",
            """
def log_slopes(train, lam, gam, delta, seed):
    return [[-6.3, -0.8], [-0.3, -0.9]]
""",
        ),
    ],
    "ex-6-5": [
        (
            "no half",
            "½",
            """
def euler_drift(C_p, C_pp, h):
    slope = -C_p[0] / C_p[1]
    return h**2 * (C_pp[0, 0] + 2 * C_pp[0, 1] * slope + C_pp[1, 1] * slope**2)
""",
        ),
        (
            "the mixed term once",
            "twice",
            """
def euler_drift(C_p, C_pp, h):
    slope = -C_p[0] / C_p[1]
    return 0.5 * h**2 * (C_pp[0, 0] + C_pp[0, 1] * slope + C_pp[1, 1] * slope**2)
""",
        ),
        (
            "the slope without its minus",
            "has a minus",
            """
def euler_drift(C_p, C_pp, h):
    slope = C_p[0] / C_p[1]
    return 0.5 * h**2 * (C_pp[0, 0] + 2 * C_pp[0, 1] * slope + C_pp[1, 1] * slope**2)
""",
        ),
        (
            "first order in h",
            "second order",
            """
def euler_drift(C_p, C_pp, h):
    slope = -C_p[0] / C_p[1]
    return 0.5 * h * (C_pp[0, 0] + 2 * C_pp[0, 1] * slope + C_pp[1, 1] * slope**2)
""",
        ),
        (
            "λ alone",
            "γ moves too",
            """
def euler_drift(C_p, C_pp, h):
    return 0.5 * h**2 * C_pp[0, 0]
""",
        ),
        (
            "the example's number",
            "second derivative",
            """
def euler_drift(C_p, C_pp, h):
    return 0.01
""",
        ),
        (
            "absolute value",
            "sign is lost",
            """
def euler_drift(C_p, C_pp, h):
    v = torch.stack([torch.ones_like(C_p[0]), -C_p[0] / C_p[1]])
    return abs(0.5 * h**2 * v @ C_pp @ v)
""",
        ),
        (
            "the inverse slope",
            "not −C_γ/C_λ",
            """
def euler_drift(C_p, C_pp, h):
    v = torch.stack([torch.ones_like(C_p[0]), -C_p[1] / C_p[0]])
    return 0.5 * h**2 * v @ C_pp @ v
""",
        ),
        (
            "right for a diagonal C_pp",
            "mixed term",
            """
def euler_drift(C_p, C_pp, h):
    return 0.5 * h**2 * (C_pp[0, 0] + C_pp[1, 1] * (C_p[0] / C_p[1]) ** 2)
""",
        ),
    ],
    "ex-6-7": [
        (
            "the left end of each step",
            "left end",
            """
def work(lam, gam, D, C):
    return (D[:-1] * lam.diff() + C[:-1] * gam.diff()).sum()
""",
        ),
        (
            "the right end of each step",
            "right end",
            """
def work(lam, gam, D, C):
    return (D[1:] * lam.diff() + C[1:] * gam.diff()).sum()
""",
        ),
        (
            "prices times changes",
            "first law",
            """
def work(lam, gam, D, C):
    mean = lambda v: (v[1:] + v[:-1]) / 2
    return (mean(lam) * D.diff() + mean(gam) * C.diff()).sum()
""",
        ),
        (
            "λ alone",
            "part of γ is missing",
            """
def work(lam, gam, D, C):
    return torch.trapezoid(D, lam)
""",
        ),
        (
            "start minus end",
            "sign",
            """
def work(lam, gam, D, C):
    return -torch.trapezoid(D, lam) - torch.trapezoid(C, gam)
""",
        ),
        (
            "the example's number",
            "you find 1.7",
            """
def work(lam, gam, D, C):
    return 1.7
""",
        ),
        (
            "even steps taken for granted",
            "not of one length",
            """
def work(lam, gam, D, C):
    return D.mean() * (lam[-1] - lam[0]) + C.mean() * (gam[-1] - gam[0])
""",
        ),
        (
            "prices that only rise",
            "falls does negative work",
            """
def work(lam, gam, D, C):
    mean = lambda v: (v[1:] + v[:-1]) / 2
    return (mean(D) * lam.diff().abs() + mean(C) * gam.diff().abs()).sum()
""",
        ),
        (
            "sums in place of means",
            "has a ½",
            """
def work(lam, gam, D, C):
    both = lambda v: v[1:] + v[:-1]
    return (both(D) * lam.diff() + both(C) * gam.diff()).sum()
""",
        ),
    ],
}
RIGHT = {
    "ex-6-1": [
        (
            "solved for, a tensor",
            """
def hold_distortion(hess, alpha):
    turned = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=hess.dtype)
    return alpha * turned @ hess[0]
""",
        ),
        (
            "numpy in single precision",
            """
def hold_distortion(hess, alpha):
    h = np.asarray(hess, dtype=np.float32)
    return np.float32(alpha) * np.array([h[1][0], -h[0][0]])
""",
        ),
        (
            "a list of Python numbers",
            """
def hold_distortion(hess, alpha):
    (a, b), _ = hess.tolist()
    return [alpha * b, -alpha * a]
""",
        ),
    ],
    "ex-6-2": [
        (
            "from the adjugate",
            """
def velocity(hess, alpha):
    adjugate = torch.linalg.det(hess) * torch.linalg.inv(hess)
    return -alpha * adjugate[:, 0]
""",
        ),
        (
            "numpy, other indexing",
            """
def velocity(hess, alpha):
    h = np.array(hess)
    return np.array([-alpha * h[1][1], alpha * h[1][0]])
""",
        ),
        (
            "single precision, a list of tensors",
            """
def velocity(hess, alpha):
    h = hess.float()
    return [-alpha * h[1, 1], alpha * h[0, 1]]
""",
        ),
    ],
    "ex-6-3": [
        (
            "a power",
            """
def correct(gam, C, target, slope):
    return gam * (target / C) ** (1 / slope)
""",
        ),
        (
            "the constant first, numpy",
            """
def correct(gam, C, target, slope):
    ln_a = np.log(C) - slope * np.log(gam)
    return np.exp((np.log(target) - ln_a) / slope)
""",
        ),
        (
            "tensors",
            """
def correct(gam, C, target, slope):
    return torch.exp(torch.log(gam) + (torch.log(target) - torch.log(C)) / slope)
""",
        ),
        (
            "bisection in ln γ",
            """
def correct(gam, C, target, slope):
    low, high = math.log(gam) - 60, math.log(gam) + 60
    for _ in range(200):
        mid = (low + high) / 2
        above = math.log(C) + slope * (mid - math.log(gam)) > math.log(target)
        low, high = (mid, high) if above == (slope < 0) else (low, mid)
    return math.exp(low)
""",
        ),
    ],
    "ex-6-4": [
        (
            "an array, prices in logarithms",
            """
def log_slopes(train, lam, gam, delta, seed):
    table = np.zeros((2, 2))
    for j in range(2):
        for sign in (1, -1):
            x = np.log([lam, gam])
            x[j] += sign * delta
            D, C = train(*np.exp(x), seed=seed)
            table[:, j] += sign * np.array([D, np.log(C)])
    return table / 2 / delta
""",
        ),
        (
            "a tensor in single precision",
            """
def log_slopes(train, lam, gam, delta, seed):
    f = lambda l, g: torch.tensor(train(l, g, seed), dtype=torch.float32)
    up = torch.stack([f(lam * math.exp(delta), gam), f(lam, gam * math.exp(delta))], 1)
    down = torch.stack([f(lam * math.exp(-delta), gam), f(lam, gam * math.exp(-delta))], 1)
    d = up - down
    d[1] = torch.log(up[1] / down[1])
    return d / (2 * delta)
""",
        ),
        (
            "tuples",
            """
def log_slopes(train, lam, gam, delta, seed):
    def difference(up, down):
        return (up[0] - down[0]) / (2 * delta), math.log(up[1] / down[1]) / (2 * delta)

    a = difference(train(lam * math.exp(delta), gam, seed), train(lam / math.exp(delta), gam, seed))
    b = difference(train(lam, gam * math.exp(delta), seed), train(lam, gam / math.exp(delta), seed))
    return (a[0], b[0]), (a[1], b[1])
""",
        ),
    ],
    "ex-6-5": [
        (
            "written out",
            """
def euler_drift(C_p, C_pp, h):
    slope = -float(C_p[0]) / float(C_p[1])
    return h * h / 2 * (float(C_pp[0][0]) + 2 * slope * float(C_pp[0][1]) + slope**2 * float(C_pp[1][1]))
""",
        ),
        (
            "numpy's einsum",
            """
def euler_drift(C_p, C_pp, h):
    p, pp = np.array(C_p), np.array(C_pp)
    v = np.array([1.0, -p[0] / p[1]]) * h
    return 0.5 * np.einsum("i,ij,j", v, pp, v)
""",
        ),
        (
            "by differentiating the expansion",
            """
def euler_drift(C_p, C_pp, h):
    step = torch.tensor([1.0, float(-C_p[0] / C_p[1])], dtype=torch.float64)
    C = lambda s: s * (C_p @ step) + s**2 / 2 * (step @ (C_pp @ step))
    return C(torch.tensor(h, dtype=torch.float64)).reshape(1)
""",
        ),
        (
            "single precision",
            """
def euler_drift(C_p, C_pp, h):
    p, pp = C_p.float(), C_pp.float()
    v = torch.stack([p[1], -p[0]]) / p[1]
    return h**2 / 2 * (v @ pp @ v)
""",
        ),
    ],
    "ex-6-7": [
        (
            "torch's trapezoid",
            """
def work(lam, gam, D, C):
    return torch.trapezoid(D, lam) + torch.trapezoid(C, gam)
""",
        ),
        (
            "a loop over floats",
            """
def work(lam, gam, D, C):
    total = 0.0
    for k in range(1, len(lam)):
        total += 0.5 * float(D[k] + D[k - 1]) * float(lam[k] - lam[k - 1])
        total += 0.5 * float(C[k] + C[k - 1]) * float(gam[k] - gam[k - 1])
    return total
""",
        ),
        (
            "numpy in single precision",
            """
def work(lam, gam, D, C):
    lam, gam, D, C = (np.asarray(v, dtype=np.float32) for v in (lam, gam, D, C))
    return np.trapezoid(D, lam) + np.trapezoid(C, gam)
""",
        ),
        (
            "by parts",
            """
def work(lam, gam, D, C):
    total = D[-1] * lam[-1] - D[0] * lam[0] + C[-1] * gam[-1] - C[0] * gam[0]
    return total - torch.trapezoid(lam, D) - torch.trapezoid(gam, C)
""",
        ),
    ],
}
HESS = "torch.tensor([[-2.0, 1.0], [1.0, -1.0]])"
STATED = {
    "ex-6-1": [
        ("(1,2)", f"hold_distortion({HESS}, 1)[0]", "1"),
        ("(1,2)", f"hold_distortion({HESS}, 1)[1]", "2"),
    ],
    "ex-6-2": [
        ("(1,1)", f"velocity({HESS}, 1)[0]", "1"),
        ("(1,1)", f"velocity({HESS}, 1)[1]", "1"),
    ],
    "ex-6-3": [("is 16", "correct(4.0, 0.2, 0.1, -0.5)", "16")],
    "ex-6-5": [
        (
            "0.01",
            "euler_drift(torch.tensor([2.0, 1.0]), torch.tensor([[2.0, 0.0], [0.0, 0.0]]), 0.1)",
            "1.1**2 + 0.8 - 2",
        )
    ],
    "ex-6-7": [
        (
            "1.7",
            "work(*(torch.tensor(v) for v in ([1.0, 2.0], [4.0, 3.0], [3.0, 1.0], [0.2, 0.4])))",
        )
    ],
}
GIVEN = {"ex-6-3": "0.2 0.1 0.5", "ex-6-5": "0.1", "ex-6-7": "0.2 0.4"}
