"""Plausible wrong answers to chapter 6's exercises."""

WRONG = {
    "ex-6-1": [
        ("C held as in the text", "this holds C", """
def hold_distortion(hess, alpha):
    return -alpha * hess[1, 1], alpha * hess[0, 1]
"""),
        ("the two entries swapped", "swapped", """
def hold_distortion(hess, alpha):
    return -alpha * hess[0, 0], alpha * hess[0, 1]
"""),
        ("backwards", "γ falls", """
def hold_distortion(hess, alpha):
    return -alpha * hess[0, 1], alpha * hess[0, 0]
"""),
        ("a sign", "D moves", """
def hold_distortion(hess, alpha):
    return -alpha * hess[0, 1], -alpha * hess[0, 0]
"""),
        ("γ as the clock", "speed", """
def hold_distortion(hess, alpha):
    return -alpha * hess[0, 1] / hess[0, 0], alpha
"""),
    ],
    "ex-6-2": [
        ("the two entries swapped", "swapped", """
def velocity(hess, alpha):
    return alpha * hess[0, 1], -alpha * hess[1, 1]
"""),
        ("both with a minus", "C moves", """
def velocity(hess, alpha):
    return -alpha * hess[1, 1], -alpha * hess[0, 1]
"""),
        ("backwards", "λ falls", """
def velocity(hess, alpha):
    return alpha * hess[1, 1], -alpha * hess[0, 1]
"""),
        ("the row of D", "holds D", """
def velocity(hess, alpha):
    return -alpha * hess[0, 1], alpha * hess[0, 0]
"""),
        ("no α", "twice the α", """
def velocity(hess, alpha):
    return -hess[1, 1], hess[0, 1]
"""),
        ("λ as the clock", "speed", """
def velocity(hess, alpha):
    return alpha, -alpha * hess[0, 1] / hess[1, 1]
"""),
    ],
    "ex-6-3": [
        ("uphill", "wrong direction", """
def correct(gam, C, target, slope):
    return gam * math.exp(-math.log(target / C) / slope)
"""),
        ("Newton's step in γ itself", "in ln γ", """
def correct(gam, C, target, slope):
    return gam + (target - C) / (slope * C / gam)
"""),
        ("multiplied by the slope", "divide", """
def correct(gam, C, target, slope):
    return gam * math.exp(math.log(target / C) * slope)
"""),
        ("left in logarithms", "take its exponential", """
def correct(gam, C, target, slope):
    return math.log(gam) + math.log(target / C) / slope
"""),
        ("only the step", "wrong direction|divide", """
def correct(gam, C, target, slope):
    return math.exp(math.log(target / C) / slope)
"""),
    ],
    "ex-6-4": [
        ("a new seed for each copy", "different seeds", """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(delta), math.exp(-delta)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed + 1), train(lam, gam * u, seed + 2), train(lam, gam * v, seed + 3)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]
"""),
        ("half the distance", "twice too large", """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(delta), math.exp(-delta)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed), train(lam, gam * u, seed), train(lam, gam * v, seed)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / delta for k in (0, 2)] for i in (0, 1)]
"""),
        ("C instead of ln C", "ln C", """
def log_slopes(train, lam, gam, delta, seed):
    u, v = math.exp(delta), math.exp(-delta)
    ends = [train(lam * u, gam, seed), train(lam * v, gam, seed), train(lam, gam * u, seed), train(lam, gam * v, seed)]
    return [[(ends[k][i] - ends[k + 1][i]) / (2 * delta) for k in (0, 2)] for i in (0, 1)]
"""),
        ("forward differences", "central difference", """
def log_slopes(train, lam, gam, delta, seed):
    u = math.exp(delta)
    ends = [train(lam * u, gam, seed), train(lam, gam, seed), train(lam, gam * u, seed), train(lam, gam, seed)]
    table = [(D, math.log(C)) for D, C in ends]
    return [[(table[k][i] - table[k + 1][i]) / delta for k in (0, 2)] for i in (0, 1)]
"""),
    ],
    "ex-6-5": [
        ("no half", "½", """
def euler_drift(C_p, C_pp, h):
    slope = -C_p[0] / C_p[1]
    return h**2 * (C_pp[0, 0] + 2 * C_pp[0, 1] * slope + C_pp[1, 1] * slope**2)
"""),
        ("the mixed term once", "twice", """
def euler_drift(C_p, C_pp, h):
    slope = -C_p[0] / C_p[1]
    return 0.5 * h**2 * (C_pp[0, 0] + C_pp[0, 1] * slope + C_pp[1, 1] * slope**2)
"""),
        ("the slope without its minus", "has a minus", """
def euler_drift(C_p, C_pp, h):
    slope = C_p[0] / C_p[1]
    return 0.5 * h**2 * (C_pp[0, 0] + 2 * C_pp[0, 1] * slope + C_pp[1, 1] * slope**2)
"""),
        ("first order in h", "second order", """
def euler_drift(C_p, C_pp, h):
    slope = -C_p[0] / C_p[1]
    return 0.5 * h * (C_pp[0, 0] + 2 * C_pp[0, 1] * slope + C_pp[1, 1] * slope**2)
"""),
        ("λ alone", "γ moves too", """
def euler_drift(C_p, C_pp, h):
    return 0.5 * h**2 * C_pp[0, 0]
"""),
    ],
    "ex-6-7": [
        ("the left end of each step", "left end", """
def work(lam, gam, D, C):
    return (D[:-1] * lam.diff() + C[:-1] * gam.diff()).sum()
"""),
        ("the right end of each step", "right end", """
def work(lam, gam, D, C):
    return (D[1:] * lam.diff() + C[1:] * gam.diff()).sum()
"""),
        ("prices times changes", "first law", """
def work(lam, gam, D, C):
    mean = lambda v: (v[1:] + v[:-1]) / 2
    return (mean(lam) * D.diff() + mean(gam) * C.diff()).sum()
"""),
        ("λ alone", "part of γ is missing", """
def work(lam, gam, D, C):
    return torch.trapezoid(D, lam)
"""),
        ("start minus end", "sign", """
def work(lam, gam, D, C):
    return -torch.trapezoid(D, lam) - torch.trapezoid(C, gam)
"""),
    ],
}
