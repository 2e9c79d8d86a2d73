"""Answers to chapter 10's exercises, right and wrong, and the numbers of their statements."""

WRONG = {
    "ex-10-1": [
        (
            "as if the distortion stayed",
            "only where F_λγ = 0",
            """
def neutral_beta(hess, lam, gam):
    return gam
""",
        ),
        (
            "the sign of the cross term",
            "the sign",
            """
def neutral_beta(hess, lam, gam):
    return gam - lam * hess[0][1] / hess[1][1]
""",
        ),
        (
            "the price λ forgotten",
            "still moves",
            """
def neutral_beta(hess, lam, gam):
    return gam + hess[0][1] / hess[1][1]
""",
        ),
        (
            "the other diagonal entry",
            "still moves",
            """
def neutral_beta(hess, lam, gam):
    return gam + lam * hess[0][1] / hess[0][0]
""",
        ),
        (
            "hard-wired to the example",
            "still moves",
            """
def neutral_beta(hess, lam, gam):
    return 1.0
""",
        ),
        (
            "the size of the cross term",
            "sign",
            """
def neutral_beta(hess, lam, gam):
    return gam - lam * abs(hess[0][1] / hess[1][1])
""",
        ),
    ],
    "ex-10-2": [
        (
            "C alone",
            "the rate moves too",
            """
def lever(hess, lam, gam, beta):
    return hess[1][1]
""",
        ),
        (
            "the cross term forgotten",
            "is missing",
            """
def lever(hess, lam, gam, beta):
    return hess[1][1] * (1 - gam / beta)
""",
        ),
        (
            "dR/dγ with the wrong sign",
            "differences of C",
            """
def lever(hess, lam, gam, beta):
    return hess[1][1] * (1 + gam / beta) + lam / beta * hess[0][1]
""",
        ),
        (
            "hard-wired to the example",
            "differences of C",
            """
def lever(hess, lam, gam, beta):
    return -0.75
""",
        ),
        (
            "never positive",
            "sign",
            """
def lever(hess, lam, gam, beta):
    return -abs(hess[1][1] * (1 - gam / beta) - lam / beta * hess[0][1])
""",
        ),
    ],
    "ex-10-3": [
        (
            "multiplied by the curvature",
            "divide the norm",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(gradient.norm())
    return (size * mu if mu < 1 else 0.0), size**2
""",
        ),
        (
            "no square",
            "more than your bound|not tight",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(gradient.norm())
    return size / mu, 0.1 * size / mu
""",
        ),
        (
            "twice the excess",
            "not tight",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(gradient.norm())
    return size / mu, size**2 / mu
""",
        ),
        (
            "no guard",
            "no bound",
            """
def lag(gradient, mu):
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "the distance alone",
            "two numbers",
            """
def lag(gradient, mu):
    return (float(gradient.norm()) / mu,)
""",
        ),
        (
            "the largest entry for the norm",
            "larger than your bound|more than|not tight",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(abs(gradient).max())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "zero let through",
            "no bound",
            """
def lag(gradient, mu):
    if mu < 0:
        raise ValueError
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "guards three values only",
            "no bound",
            """
def lag(gradient, mu):
    if mu in (-1.0, 0.0) or mu != mu:
        raise ValueError
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "small curvatures refused",
            "is positive",
            """
def lag(gradient, mu):
    if not mu > 0.5:
        raise ValueError("too flat")
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "another kind of error",
            "not TypeError",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise TypeError("mu")
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "a little more in the denominator",
            "larger than your bound|not tight",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size, mu = float(gradient.norm()), mu + 1e-12
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "a floor under the curvature",
            "larger than your bound|not tight",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size, mu = float(gradient.norm()), max(mu, 0.01)
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "curvatures near zero refused",
            "is positive",
            """
def lag(gradient, mu):
    if not mu > 1e-3:
        raise ValueError("singular within rounding")
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "large curvatures refused",
            "is positive",
            """
def lag(gradient, mu):
    if not 0 < mu < 50:
        raise ValueError("no such bowl")
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "the state of rest refused",
            "is positive",
            """
def lag(gradient, mu):
    size = float(gradient.norm())
    if not mu > 0 or size == 0:
        raise ValueError("nothing to bound")
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "not a number at rest",
            "you have nan",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = (gradient / gradient.norm()) @ gradient
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "nought at rest, whatever the curvature",
            "no bound",
            """
def lag(gradient, mu):
    size = float(gradient.norm())
    if size == 0:
        return 0.0, 0.0
    if not mu > 0:
        raise ValueError
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "eight parameters at most",
            "your bound|not tight",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(gradient[:8].norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "very negative curvatures let through",
            "no bound",
            """
def lag(gradient, mu):
    if -40 <= mu <= 0 or mu != mu or mu == -math.inf:
        raise ValueError
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
""",
        ),
        (
            "exchanged",
            "exchanged",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(gradient.norm())
    return size**2 / (2 * mu), size / mu
""",
        ),
    ],
    "ex-10-4": [
        (
            "the start left out",
            "K \\+ 1",
            """
def schedule(t, g, K):
    root = np.sqrt(g)
    length = np.concatenate([[0], np.cumsum((root[1:] + root[:-1]) / 2 * np.diff(t))])
    return np.interp(np.linspace(0, length[-1], K + 1), length, t)[1:]
""",
        ),
        (
            "no square root",
            "square root",
            """
def schedule(t, g, K):
    length = np.concatenate([[0], np.cumsum((g[1:] + g[:-1]) / 2 * np.diff(t))])
    return np.interp(np.linspace(0, length[-1], K + 1), length, t)
""",
        ),
        (
            "even in t",
            "for g = 4t",
            """
def schedule(t, g, K):
    return np.linspace(t[0], t[-1], K + 1)
""",
        ),
        (
            "a sum without the intervals",
            "even|weigh",
            """
def schedule(t, g, K):
    total = np.cumsum(np.sqrt(g))
    return np.interp(np.linspace(0, 1, K + 1), total / total[-1], t)
""",
        ),
        (
            "from nought to one",
            "need not be even",
            """
def schedule(t, g, K):
    root = np.sqrt(g)
    length = np.concatenate([[0], np.cumsum((root[1:] + root[:-1]) / 2 * np.diff(t))])
    return np.interp(np.linspace(0, length[-1], K + 1), length, np.linspace(0, 1, len(t)) if t[0] == 0 else t)
""",
        ),
        (
            "the trapezoidal rule as if the times were even",
            "weigh",
            """
def schedule(t, g, K):
    root = np.sqrt(g)
    length = np.concatenate([[0], np.cumsum((root[1:] + root[:-1]) / 2)])
    return np.interp(np.linspace(0, length[-1], K + 1), length, t)
""",
        ),
        (
            "the closed form of one example",
            "for g = 4t|need not",
            """
def schedule(t, g, K):
    if np.allclose(g, g[0]):
        return np.linspace(t[0], t[-1], K + 1)
    return (np.arange(K + 1) / K) ** (2 / 3)
""",
        ),
    ],
    "ex-10-5": [
        (
            "the frozen models alone",
            "subtract what F rises by",
            """
def waste(t, F_t, F):
    return np.sum(F_t[:-1] * np.diff(t))
""",
        ),
        (
            "the slope of the end of a step",
            "the model of its beginning",
            """
def waste(t, F_t, F):
    return np.sum(F_t[1:] * np.diff(t)) - (F[-1] - F[0])
""",
        ),
        (
            "the trapezoidal rule",
            "trapezoidal",
            """
def waste(t, F_t, F):
    return np.sum((F_t[1:] + F_t[:-1]) / 2 * np.diff(t)) - (F[-1] - F[0])
""",
        ),
        (
            "the sign",
            "sign is reversed",
            """
def waste(t, F_t, F):
    return F[-1] - F[0] - np.sum(F_t[:-1] * np.diff(t))
""",
        ),
        (
            "a number for each step",
            "one number",
            """
def waste(t, F_t, F):
    return F_t[:-1] * np.diff(t) - np.diff(F)
""",
        ),
        (
            "hard-wired to the example",
            "relaxing for real",
            """
def waste(t, F_t, F):
    return 1.0
""",
        ),
        (
            "as if F_t fell at every step",
            "relaxing for real",
            """
def waste(t, F_t, F):
    each = F_t[:-1] * np.diff(t) - np.diff(F)
    return np.sum(each * (np.diff(F_t) <= 0))
""",
        ),
        (
            "as on a smooth branch, half the square of each step",
            "relaxing for real",
            """
def waste(t, F_t, F):
    return -0.5 * np.sum(np.diff(F_t) * np.diff(t))
""",
        ),
        (
            "even steps assumed",
            "need not be even",
            """
def waste(t, F_t, F):
    return np.mean(F_t[:-1]) - (F[-1] - F[0])
""",
        ),
        (
            "the rise of F without its sign",
            "with its sign",
            """
def waste(t, F_t, F):
    return np.sum(F_t[:-1] * np.diff(t)) - abs(F[-1] - F[0])
""",
        ),
    ],
}

RIGHT = {
    "ex-10-1": [
        (
            "by a root of the lever",
            """
from scipy.optimize import brentq

def neutral_beta(hess, lam, gam):
    (_, cross), (_, second) = [[float(v) for v in row] for row in hess]
    scaled = lambda beta: second * (beta - gam) - lam * cross  # β times the lever, linear in β
    return brentq(scaled, -1e4, 1e4, xtol=1e-13, rtol=1e-14)
""",
        ),
        (
            "numpy, a 0-d array",
            """
def neutral_beta(hess, lam, gam):
    F = np.asarray(hess, dtype=float)
    return np.array(gam + lam * F[0, 1] / F[1, 1])
""",
        ),
        (
            "comma indices, single precision",
            """
def neutral_beta(hess, lam, gam):
    return (gam + lam * hess[1, 0] / hess[1, 1]).float()
""",
        ),
    ],
    "ex-10-2": [
        (
            "through the first law",
            """
def lever(hess, lam, gam, beta):
    dD, dC = hess[0, 1], hess[1, 1]
    dR = -lam * dD - gam * dC
    return dC + dR / beta
""",
        ),
        (
            "numpy product, an array of one",
            """
def lever(hess, lam, gam, beta):
    weights = np.array([-lam / beta, 1 - gam / beta])
    return np.atleast_1d(weights @ np.asarray(hess)[:, 1])
""",
        ),
    ],
    "ex-10-3": [
        (
            "entry by entry, a dictionary",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError(f"μ = {mu}")
    square = sum(float(g) ** 2 for g in gradient)
    return {"distance": math.sqrt(square) / mu, "excess": square / mu / 2}
""",
        ),
        (
            "the worst point of a bowl of that curvature, an array",
            """
def lag(gradient, mu):
    if math.isnan(mu) or mu <= 0:
        raise ValueError("no bowl")
    away = gradient / mu  # where the minimum of the roundest bowl lies
    return np.stack([away.norm().numpy(), (0.5 * mu * away @ away).numpy()])
""",
        ),
        (
            "numpy, a list",
            """
def lag(gradient, mu):
    if math.isnan(mu) or mu <= 0:
        raise ValueError("mu")
    size = np.sqrt(np.sum(np.asarray(gradient) ** 2))
    return [size / mu, 0.5 * size * size / mu]
""",
        ),
        (
            "one tensor, single precision",
            """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError(mu)
    size = torch.linalg.vector_norm(gradient.float())
    return torch.stack([size / mu, size.square() / (2 * mu)])
""",
        ),
    ],
    "ex-10-4": [
        (
            "a loop, a list",
            """
def schedule(t, g, K):
    length = [0.0]
    for i in range(1, len(t)):
        length.append(length[-1] + 0.5 * (math.sqrt(g[i]) + math.sqrt(g[i - 1])) * (t[i] - t[i - 1]))
    times, i = [], 0
    for k in range(K + 1):
        want = length[-1] * k / K
        while i < len(t) - 2 and length[i + 1] < want:
            i += 1
        piece = length[i + 1] - length[i]
        times.append(t[i] + (t[i + 1] - t[i]) * ((want - length[i]) / piece if piece else 0.0))
    times[-1] = t[-1]
    return times
""",
        ),
        (
            "from the far end, an array read backwards",
            """
def schedule(t, g, K):
    pieces = (np.sqrt(g[1:]) + np.sqrt(g[:-1])) / 2 * np.diff(t)
    left = np.concatenate([np.cumsum(pieces[::-1])[::-1], [0.0]])  # the length still ahead
    return np.interp(np.linspace(0, left[0], K + 1), left[::-1], t[::-1])[::-1]
""",
        ),
        (
            "in single precision throughout, a tuple",
            """
def schedule(t, g, K):
    t, root = np.asarray(t, dtype=np.float32), np.sqrt(np.asarray(g, dtype=np.float32))
    length = np.concatenate([np.zeros(1, np.float32), np.cumsum((root[1:] + root[:-1]) / 2 * np.diff(t))])
    at = np.linspace(0, length[-1], K + 1, dtype=np.float32)
    return tuple(np.interp(at, length, t).astype(np.float32))
""",
        ),
        (
            "scipy and torch",
            """
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import interp1d

def schedule(t, g, K):
    length = cumulative_trapezoid(np.sqrt(g), t, initial=0)
    keep = np.concatenate([[True], np.diff(length) > 0])
    return torch.tensor(interp1d(length[keep], np.asarray(t)[keep], fill_value="extrapolate")(np.linspace(0, length[-1], K + 1)))
""",
        ),
    ],
    "ex-10-5": [
        (
            "step by step",
            """
def waste(t, F_t, F):
    total = 0.0
    for k in range(len(t) - 1):
        total += F[k] + F_t[k] * (t[k + 1] - t[k]) - F[k + 1]
    return total
""",
        ),
        (
            "torch, a tensor of one",
            """
def waste(t, F_t, F):
    t, F_t, F = (torch.as_tensor(v) for v in (t, F_t, F))
    return (F_t[:-1].dot(t.diff()) - F[-1] + F[0]).reshape(1)
""",
        ),
    ],
}

STATED = {
    "ex-10-1": [("it is 1", "neutral_beta([[-2, 1], [1, -1]], 1, 2)", "1")],
    "ex-10-2": [("-0.75", "lever([[-2, 1], [1, -1]], 1, 2, 4)")],
    "ex-10-4": [
        (
            "they are even",
            "abs(schedule(np.linspace(0, 1, 9), np.full(9, 2.0), 5) - np.linspace(0, 1, 6)).max()",
            "0",
        )
    ],
    "ex-10-5": [
        (
            "it is 1",
            "waste(np.array([0, 0.5, 1]), np.array([2.0, 0, -2]), np.array([0, 0.5, 0]))",
            "1",
        )
    ],
}
GIVEN = {"ex-10-5": "0.5"}
