"""Answers to the exercises of chapter 1, right and wrong, and the numbers that their statements
name.
"""

GAPS = """
def close_gaps(p_x, encoder):
    joint = p_x[:, None] * encoder
    m, d = joint.sum(0), (joint / joint.sum(0)).T
"""

BRACKET = """
def bracket(p_x, energy, m):
    log_z = torch.logsumexp(m.log() - energy, 1)
    log_c = torch.logsumexp(p_x.log()[:, None] - energy - log_z[:, None], 0)
    G = -(p_x @ log_z)
"""

WATER = """
def gaussian_rate(variances, D):
    low, high = 0.0, float(variances.max())
    for _ in range(200):
        level = 0.5 * (low + high)
        low, high = (level, high) if float(variances.clamp(max=level).sum()) < D else (low, level)
    rate = 0.5 * (variances / high).clamp(min=1).log().sum()
"""

WRONG = {
    "ex-1-convention": [
        (
            "the half forgotten",
            "½ is missing",
            """
def convert(lam, rate, distortion):
    return lam * 255**2, rate, distortion / 255**2
""",
        ),
        (
            "the half on the wrong side",
            "wrong side",
            """
def convert(lam, rate, distortion):
    return lam * 2 * 255**2, rate, distortion / 255**2 / 2
""",
        ),
        (
            "pixels not squared",
            "pixels are squared",
            """
def convert(lam, rate, distortion):
    return lam * 255 / 2, rate, 2 * distortion / 255
""",
        ),
        (
            "the rate converted too",
            "rate needs no conversion",
            """
def convert(lam, rate, distortion):
    return lam * 255**2 / 2, rate * 255**2 / 2, 2 * distortion / 255**2
""",
        ),
        (
            "the price left alone",
            "must not change",
            """
def convert(lam, rate, distortion):
    return lam, rate, 2 * distortion / 255**2
""",
        ),
        (
            "the distortion left alone",
            "not converted",
            """
def convert(lam, rate, distortion):
    return lam, rate, distortion
""",
        ),
        (
            "two numbers",
            "three things",
            """
def convert(lam, rate, distortion):
    return lam * 255**2 / 2, 2 * distortion / 255**2
""",
        ),
        (
            "hard-wired to the statement",
            "mean D =",
            """
def convert(lam, rate, distortion):
    return 3.2513, rate, 1.8454
""",
        ),
        (
            "a price divided where it is multiplied",
            "must not change",
            """
def convert(lam, rate, distortion):
    return lam * 2 / 255**2, rate, 2 * distortion / 255**2
""",
        ),
    ],
    "ex-1-gaps": [
        (
            "x weighed evenly",
            r"weigh each x with p\(x\)",
            """
def close_gaps(p_x, encoder):
    joint = encoder / len(p_x)
    return joint.sum(0), (joint / joint.sum(0)).T
""",
        ),
        ("a uniform marginal", "uniform", GAPS + "    return torch.full_like(m, 1 / len(m)), d\n"),
        ("the decoder transposed", "transposed", GAPS + "    return m, d.T\n"),
        (
            "the encoder turned round and normalised",
            "turned round",
            GAPS + "    return m, encoder.T / encoder.T.sum(1, keepdim=True)\n",
        ),
        ("the encoder turned round", "turned round", GAPS + "    return m, encoder.T\n"),
        ("the joint law", "joint law", GAPS + "    return m, joint.T\n"),
        ("a sharpened decoder", "not Bayes", GAPS + "    return m, d**2\n"),
        ("a squared marginal", "must vanish", GAPS + "    return m**2, d\n"),
        ("the marginal alone", "two things", GAPS + "    return m\n"),
        (
            "hard-wired to the statement",
            "weights|must return",
            """
def close_gaps(p_x, encoder):
    return torch.tensor([0.55, 0.45]), torch.tensor([[9 / 11, 2 / 11], [1 / 9, 8 / 9]])
""",
        ),
        (
            "right where the encoder has no zeros",
            "not Bayes",
            """
def close_gaps(p_x, encoder):
    m = p_x @ encoder
    log_d = p_x.log()[:, None] + encoder.log() - m.log()
    return m, (encoder * log_d).exp().T * 0 + torch.exp(torch.nan_to_num(log_d, neginf=-5.0)).T
""",
        ),
    ],
    "ex-1-certificate": [
        ("log Z without its minus", "MINUS", BRACKET + "    return -G - log_c.max(), -G\n"),
        (
            "x weighed evenly",
            "weighed with p",
            BRACKET + "    return -log_z.mean() - log_c.max(), -log_z.mean()\n",
        ),
        (
            "c in place of its logarithm",
            "not max c",
            BRACKET + "    return G - log_c.exp().max(), G\n",
        ),
        ("the gap added", "subtract the gap", BRACKET + "    return G + log_c.max(), G\n"),
        (
            "an average over the notes",
            "certifies nothing",
            BRACKET + "    return G - m @ log_c, G\n",
        ),
        ("no gap", "above the minimum", BRACKET + "    return G, G\n"),
        (
            "twice the gap: valid, but wide",
            "wider than",
            BRACKET + "    return G - 2 * log_c.max(), G\n",
        ),
        (
            "without logarithms",
            "underflows",
            """
def bracket(p_x, energy, m):
    Z = torch.exp(-energy) @ m
    c = (p_x / Z) @ torch.exp(-energy)
    G = -(p_x @ Z.log())
    return G - c.log().max(), G
""",
        ),
        (
            "one shift for all rows",
            "underflows",
            """
def bracket(p_x, energy, m):
    low = energy.min()
    boltzmann = torch.exp(low - energy)
    Z = boltzmann @ m
    c = (p_x / Z) @ boltzmann
    G = low - p_x @ Z.log()
    return G - c.log().max(), G
""",
        ),
        (
            "hard-wired to the statement",
            "below the minimum",
            """
def bracket(p_x, energy, m):
    return 0.22, 0.42
""",
        ),
        (
            "c + 1 in place of the logarithm: valid, but wide",
            "wider than",
            BRACKET + "    return G - (log_c.exp().max() + 1), G\n",
        ),
        (
            "an iteration without a certificate",
            "above the minimum",
            """
def bracket(p_x, energy, m):
    log_m = m.log()
    for _ in range(100):
        log_z = torch.logsumexp(log_m - energy, 1)
        log_m = log_m + torch.logsumexp(p_x.log()[:, None] - energy - log_z[:, None], 0)
    G = -(p_x @ torch.logsumexp(log_m - energy, 1))
    return G, G
""",
        ),
        (
            "the absolute value of log c",
            "wider than",
            BRACKET + "    return G - log_c.abs().max(), G\n",
        ),
        (
            "logarithms kept finite by force",
            "below the minimum",
            """
def bracket(p_x, energy, m):
    Z = (torch.exp(-energy) @ m).clamp(min=1e-300)
    c = ((p_x / Z) @ torch.exp(-energy)).clamp(min=1e-300)
    G = -(p_x @ Z.log())
    return G - c.log().max(), G
""",
        ),
        (
            "everything",
            "not finite",
            """
def bracket(p_x, energy, m):
    return -math.inf, math.inf
""",
        ),
        (
            "a wide guess that is safe",
            "wider than",
            """
def bracket(p_x, energy, m):
    G = -(p_x @ torch.logsumexp(m.log() - energy, 1))
    return torch.minimum(energy.min(), G), G
""",
        ),
    ],
    "ex-1-water": [
        (
            "the distortion shared evenly",
            "shared evenly",
            """
def gaussian_rate(variances, D):
    return 0.5 * (variances * len(variances) / D).log().sum()
""",
        ),
        (
            "the level not raised",
            "give D",
            """
def gaussian_rate(variances, D):
    return 0.5 * (variances * len(variances) / D).clamp(min=1).log().sum()
""",
        ),
        ("the half forgotten", "½ is missing", WATER + "    return 2 * rate\n"),
        ("bits", "bits", WATER + "    return rate / math.log(2)\n"),
        ("a negative rate", "< 0", WATER + "    return rate if D < 4 else torch.tensor(-0.3)\n"),
        (
            "no answer where no code is needed",
            "no case matched",
            WATER + "    return rate if D < 4 else None\n",
        ),
        (
            "hard-wired to the statement",
            "give D",
            """
def gaussian_rate(variances, D):
    return 0.5 * math.log(4 / (5 / 8) ** 2)
""",
        ),
        (
            "variances taken to be sorted",
            "give D|shared evenly|costs nothing",
            """
def gaussian_rate(variances, D):
    v = variances
    if D >= v.sum():
        return 0.0
    for r in range(len(v), 0, -1):
        level = (D - v[r:].sum()) / r
        if 0 < level <= v[r - 1]:
            return 0.5 * (v[:r] / level).log().sum()
    return 0.0
""",
        ),
        (
            "the absolute value of each logarithm",
            "give D|½ is missing|bits",
            WATER + "    return 0.5 * (variances / high).log().abs().sum()\n",
        ),
        (
            "one step of raising the level",
            "give D|½ is missing",
            """
def gaussian_rate(variances, D):
    level = D / len(variances)
    low = variances < level
    if low.any():
        level = (D - variances[low].sum()) / max(1, int((~low).sum()))
    return 0.5 * (variances / level).clamp(min=1).log().sum() if D < variances.sum() else torch.zeros(())
""",
        ),
        (
            "a coarse bisection",
            "give D",
            """
def gaussian_rate(variances, D):
    low, high = 0.0, float(variances.max())
    for _ in range(10):
        level = 0.5 * (low + high)
        low, high = (level, high) if float(variances.clamp(max=level).sum()) < D else (low, level)
    return 0.5 * (variances / high).clamp(min=1).log().sum()
""",
        ),
    ],
    "ex-1-split": [
        (
            "the two forgotten",
            "twice too large",
            """
def first_split(x):
    centred = x - x.mean(0)
    return float(1 / torch.linalg.eigvalsh(centred.T @ centred / len(x))[-1])
""",
        ),
        (
            "the total variance",
            "total variance",
            """
def first_split(x):
    return float(1 / (2 * x.var(0, correction=0).sum()))
""",
        ),
        (
            "the smallest eigenvalue",
            "largest variance",
            """
def first_split(x):
    centred = x - x.mean(0)
    return float(1 / (2 * torch.linalg.eigvalsh(centred.T @ centred / len(x))[0]))
""",
        ),
        (
            "the inverse",
            "inverse",
            """
def first_split(x):
    centred = x - x.mean(0)
    return float(2 * torch.linalg.eigvalsh(centred.T @ centred / len(x))[-1])
""",
        ),
        (
            "the mean not subtracted",
            "subtract the mean",
            """
def first_split(x):
    return float(1 / (2 * torch.linalg.eigvalsh(x.T @ x / len(x))[-1]))
""",
        ),
        (
            "the pixel of largest variance",
            "need not be a pixel",
            """
def first_split(x):
    return float(1 / (2 * x.var(0, correction=0).max()))
""",
        ),
        (
            "the unbiased covariance",
            "too small",
            """
def first_split(x):
    return float(1 / (2 * torch.linalg.eigvalsh(torch.cov(x.T))[-1]))
""",
        ),
        (
            "hard-wired to the statement",
            "too (large|small)|total variance|need not be a pixel",
            """
def first_split(x):
    return 0.75
""",
        ),
        (
            "hard-wired to the digits",
            "too (large|small)",
            """
def first_split(x):
    return 0.6932
""",
        ),
        (
            "a standard deviation in place of the variance",
            "square root",
            """
def first_split(x):
    return float(1 / (2 * torch.linalg.svdvals(x - x.mean(0))[0] / len(x) ** 0.5))
""",
        ),
        (
            "minus",
            "positive",
            """
def first_split(x):
    centred = x - x.mean(0)
    return float(-1 / (2 * torch.linalg.eigvalsh(centred.T @ centred / len(x))[-1]))
""",
        ),
    ],
}

RIGHT = {
    "ex-1-convention": [
        (
            "an array, the price from what must not change",
            """
import numpy as np

def convert(lam, rate, distortion):
    D = np.float64(distortion) * 2 / 65025
    return np.array([lam * distortion / D, rate, D])
""",
        ),
        (
            "a list of torch scalars",
            """
def convert(lam, rate, distortion):
    numbers = torch.tensor([lam, rate, distortion], dtype=torch.float64)
    return list(numbers * torch.tensor([32512.5, 1.0, 1 / 32512.5], dtype=torch.float64))
""",
        ),
        (
            "single precision",
            """
def convert(lam, rate, distortion):
    return torch.tensor([lam * 255 * 127.5, rate, distortion / 255 / 127.5], dtype=torch.float32)
""",
        ),
    ],
    "ex-1-gaps": [
        (
            "loops over lists",
            """
def close_gaps(p_x, encoder):
    p, e = p_x.tolist(), encoder.tolist()
    m = [sum(p[x] * e[x][z] for x in range(len(p))) for z in range(len(e[0]))]
    return [m, [[p[x] * e[x][z] / m[z] for x in range(len(p))] for z in range(len(m))]]
""",
        ),
        (
            "numpy",
            """
import numpy as np

def close_gaps(p_x, encoder):
    p, e = np.asarray(p_x), np.asarray(encoder)
    joint = np.einsum("x,xz->zx", p, e)
    return joint.sum(axis=1), joint / joint.sum(axis=1, keepdims=True)
""",
        ),
        (
            "single precision",
            """
def close_gaps(p_x, encoder):
    joint = torch.diag(p_x.float()) @ encoder.float()
    m = p_x.new_ones(len(p_x)).float() @ joint
    return m, torch.diag(1 / m) @ joint.T
""",
        ),
    ],
    "ex-1-certificate": [
        (
            "numpy, the largest exponent taken out",
            """
import numpy as np

def bracket(p_x, energy, m):
    p, E, m = np.asarray(p_x), np.asarray(energy), np.asarray(m)
    low = E.min(axis=1, keepdims=True)
    Z = np.exp(low - E) @ m                                  # Z(x) e^low(x)
    c = p @ (np.exp(low - E) / Z[:, None])
    G = float(p @ (low[:, 0] - np.log(Z)))
    return [G - float(np.log(c.max())), G]
""",
        ),
        (
            "tighter: the best ends of fifty steps",
            """
def bracket(p_x, energy, m):
    log_m, ends = m.log(), []
    for _ in range(50):
        log_z = torch.logsumexp(log_m - energy, 1)
        log_c = torch.logsumexp(p_x.log()[:, None] - energy - log_z[:, None], 0)
        G = -float(p_x @ log_z)
        ends.append((G - float(log_c.max()), G))
        log_m = log_m + log_c
    lower, upper = zip(*ends)
    return max(lower), min(upper)
""",
        ),
        (
            "the library's algorithm, value and gap",
            """
def bracket(p_x, energy, m):
    point = fe.blahut_arimoto(p_x, energy, tol=1e-9 * max(1.0, float(energy.abs().max())))
    return point.value - point.gap, point.value
""",
        ),
        (
            "single precision, loops",
            """
def bracket(p_x, energy, m):
    p, E, m = p_x.float(), energy.float(), m.float()
    log_z = torch.stack([torch.logsumexp(m.log() - row, 0) for row in E])
    log_c = torch.stack([torch.logsumexp(p.log() - E[:, z] - log_z, 0) for z in range(len(m))])
    return torch.stack([-(p @ log_z) - log_c.max(), -(p @ log_z)])
""",
        ),
    ],
    "ex-1-water": [
        (
            "bisection on the level, numpy",
            """
import numpy as np

def gaussian_rate(variances, D):
    v = np.asarray(variances, dtype=float)
    if v.sum() <= D:
        return 0.0
    low, high = 0.0, v.max()
    while high - low > 1e-15 * high:
        level = (low + high) / 2
        if level in (low, high):
            break
        low, high = (level, high) if np.minimum(v, level).sum() < D else (low, level)
    return np.maximum(0, 0.5 * np.log(v / high)).sum()
""",
        ),
        (
            "directions left out one by one, from the smallest",
            """
def gaussian_rate(variances, D):
    active, rest = sorted(variances.tolist()), D
    while active and rest / len(active) >= active[0]:
        rest -= active.pop(0)
    return sum(math.log(v * len(active) / rest) for v in active) / 2
""",
        ),
        (
            "all levels at once, single precision",
            """
def gaussian_rate(variances, D):
    v = variances.float()
    if float(variances.sum()) <= D:
        return torch.zeros(1)
    u = v.sort(descending=True).values
    r = torch.arange(1, len(u) + 1)
    tail = u.sum() - u.cumsum(0)
    tail[-1] = 0.0
    level = (D - tail) / r
    rates = torch.where(level > 0, 0.5 * (u.log().cumsum(0) - r * level.clamp(min=1e-30).log()), -torch.inf)
    good = (level > 0) & (level <= u * (1 + 1e-6))
    return rates[good][-1]
""",
        ),
    ],
    "ex-1-split": [
        (
            "singular values, numpy",
            """
import numpy as np

def first_split(x):
    a = np.asarray(x)
    s = np.linalg.svd(a - a.mean(axis=0), compute_uv=False)[0]
    return len(a) / (2 * s**2)
""",
        ),
        (
            "power iteration",
            """
def first_split(x):
    centred = x - x.mean(0, keepdim=True)
    v = torch.ones(x.shape[1], dtype=x.dtype) + 0.1 * torch.arange(x.shape[1], dtype=x.dtype)
    for _ in range(3000):
        v = centred.T @ (centred @ v)
        v = v / v.norm()
    return 0.5 / (centred @ v).square().mean()
""",
        ),
        (
            "the Gram matrix, single precision",
            """
def first_split(x):
    centred = (x - x.mean(0)).float()
    return 0.5 / torch.linalg.eigvalsh(centred @ centred.T / len(x))[-1:]
""",
        ),
    ],
}

CODE = "torch.tensor([0.5, 0.5]).double(), torch.tensor([[0.9, 0.1], [0.2, 0.8]]).double()"
COIN = "torch.tensor([0.5, 0.5]).double(), 1 - torch.eye(2).double(), torch.tensor([0.8, 0.2]).double()"
SOURCE = "torch.tensor([4.0, 1.0, 0.25]).double(), 1.5"

STATED = {
    "ex-1-convention": [("3.25", "convert(1e-4, 3.1, 60000.0)[0]")],
    "ex-1-gaps": [("0.55", f"close_gaps({CODE})[0][0]"), ("0.45", f"close_gaps({CODE})[0][1]")],
    "ex-1-certificate": [
        ("0.22", f"bracket({COIN})[0]"),
        ("0.42", f"bracket({COIN})[1]"),
        ("0.38", "fe.blahut_arimoto([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]]).value"),
        (
            r"\log\frac{2}{1+1/e}",
            "fe.blahut_arimoto([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]]).value",
            "math.log(2 / (1 + math.exp(-1)))",
        ),
    ],
    "ex-1-water": [
        ("1.163", f"gaussian_rate({SOURCE})"),
        (r"\tfrac58", f"2 * math.exp(-gaussian_rate({SOURCE}))", "5 / 8"),
    ],
    "ex-1-split": [
        (r"\tfrac34", "first_split(torch.tensor([[-1.0], [0.0], [1.0]]).double())", "3 / 4")
    ],
}

GIVEN = {"ex-1-convention": "3.1", "ex-1-gaps": "0.9 0.1 0.2 0.8", "ex-1-certificate": "0.8 0.2"}
