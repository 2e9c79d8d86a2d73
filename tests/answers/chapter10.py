"""Plausible wrong answers to chapter 10's exercises."""

WRONG = {
    "ex-10-1": [
        ("as if the distortion stayed", "only where F_λγ = 0", """
def neutral_beta(hess, lam, gam):
    return gam
"""),
        ("the sign of the cross term", "the sign", """
def neutral_beta(hess, lam, gam):
    return gam - lam * hess[0][1] / hess[1][1]
"""),
        ("the price λ forgotten", "still moves", """
def neutral_beta(hess, lam, gam):
    return gam + hess[0][1] / hess[1][1]
"""),
        ("the other diagonal entry", "still moves", """
def neutral_beta(hess, lam, gam):
    return gam + lam * hess[0][1] / hess[0][0]
"""),
    ],
    "ex-10-2": [
        ("C alone", "the rate moves too", """
def lever(hess, lam, gam, beta):
    return hess[1][1]
"""),
        ("the cross term forgotten", "is missing", """
def lever(hess, lam, gam, beta):
    return hess[1][1] * (1 - gam / beta)
"""),
        ("dR/dγ with the wrong sign", "differences of C", """
def lever(hess, lam, gam, beta):
    return hess[1][1] * (1 + gam / beta) + lam / beta * hess[0][1]
"""),
    ],
    "ex-10-3": [
        ("multiplied by the curvature", "divide the norm", """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(gradient.norm())
    return (size * mu if mu < 1 else 0.0), size**2
"""),
        ("no square", "more than your bound|not tight", """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(gradient.norm())
    return size / mu, 0.1 * size / mu
"""),
        ("twice the excess", "not tight", """
def lag(gradient, mu):
    if not mu > 0:
        raise ValueError
    size = float(gradient.norm())
    return size / mu, size**2 / mu
"""),
        ("no guard", "no bound", """
def lag(gradient, mu):
    size = float(gradient.norm())
    return size / mu, size**2 / (2 * mu)
"""),
        ("the distance alone", "two numbers", """
def lag(gradient, mu):
    return (float(gradient.norm()) / mu,)
"""),
    ],
    "ex-10-4": [
        ("the start left out", "K \\+ 1", """
def schedule(t, g, K):
    root = np.sqrt(g)
    length = np.concatenate([[0], np.cumsum((root[1:] + root[:-1]) / 2 * np.diff(t))])
    return np.interp(np.linspace(0, length[-1], K + 1), length, t)[1:]
"""),
        ("no square root", "square root", """
def schedule(t, g, K):
    length = np.concatenate([[0], np.cumsum((g[1:] + g[:-1]) / 2 * np.diff(t))])
    return np.interp(np.linspace(0, length[-1], K + 1), length, t)
"""),
        ("even in t", "for g = 4t", """
def schedule(t, g, K):
    return np.linspace(t[0], t[-1], K + 1)
"""),
        ("a sum without the intervals", "even|weigh", """
def schedule(t, g, K):
    total = np.cumsum(np.sqrt(g))
    return np.interp(np.linspace(0, 1, K + 1), total / total[-1], t)
"""),
    ],
    "ex-10-5": [
        ("the frozen models alone", "subtract what F rises by", """
def waste(t, F_t, F):
    return np.sum(F_t[:-1] * np.diff(t))
"""),
        ("the slope of the end of a step", "the model of its beginning", """
def waste(t, F_t, F):
    return np.sum(F_t[1:] * np.diff(t)) - (F[-1] - F[0])
"""),
        ("the trapezoidal rule", "trapezoidal", """
def waste(t, F_t, F):
    return np.sum((F_t[1:] + F_t[:-1]) / 2 * np.diff(t)) - (F[-1] - F[0])
"""),
        ("the sign", "sign is reversed", """
def waste(t, F_t, F):
    return F[-1] - F[0] - np.sum(F_t[:-1] * np.diff(t))
"""),
        ("a number for each step", "one number", """
def waste(t, F_t, F):
    return F_t[:-1] * np.diff(t) - np.diff(F)
"""),
    ],
}
