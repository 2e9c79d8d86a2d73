"""Plausible wrong answers to chapter 9's exercises."""

WRONG = {
    "ex-9-1": [
        ("the rate pays all", "Ṙ is not F_t", """
def shares(F_t, lam, k):
    return F_t, k * lam * F_t
"""),
        ("the distortion without its price", "not Ḋ", """
def shares(F_t, lam, k):
    return F_t / (1 + k * lam), k * F_t / (1 + k * lam)
"""),
        ("the two exchanged", "the distortion stays|exchanged", """
def shares(F_t, lam, k):
    return k * lam * F_t / (1 + k * lam), F_t / (1 + k * lam)
"""),
        ("no price in the denominator", "pay F_t together", """
def shares(F_t, lam, k):
    return F_t / (1 + k), k * lam * F_t / (1 + k)
"""),
        ("half and half", "the distortion stays", """
def shares(F_t, lam, k):
    return F_t / 2, F_t / 2
"""),
        ("one number", "two numbers", """
def shares(F_t, lam, k):
    return F_t / (1 + k * lam)
"""),
    ],
    "ex-9-2": [
        ("C_t with the wrong sign", "C moves", """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / (1 + k * lam) * F_t - hess[0, 2], hess[1, 2]]))
"""),
        ("no denominator", "denominator is missing", """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k * F_t - hess[0, 2], -hess[1, 2]]))
"""),
        ("D_t forgotten", "D_t", """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / (1 + k * lam) * torch.as_tensor(F_t, dtype=hess.dtype), -hess[1, 2]]))
"""),
        ("no guard", "raise ValueError", """
def geodesic_velocity(hess, F_t, lam, k):
    divided = k / (1 + k * lam) if 1 + k * lam else float("inf")
    return torch.linalg.solve(hess[:2, :2], torch.stack([divided * F_t - hess[0, 2], -hess[1, 2]]))
"""),
        ("three velocities", "two numbers", """
def geodesic_velocity(hess, F_t, lam, k):
    return torch.zeros(3)
"""),
    ],
    "ex-9-3": [
        ("the slope asked for", "only for q = 1", """
def slope(k, lam, q):
    return k
"""),
        ("the factor on both", "R has not", """
def slope(k, lam, q):
    return k * q
"""),
        ("D alone", "divide by Ṙ", """
def slope(k, lam, q):
    return k * q / (1 + k * lam)
"""),
        ("the sign of the first law", "has a minus", """
def slope(k, lam, q):
    return k * q / (1 + k * lam + (q - 1) * k * lam)
"""),
        ("one minus q of the wrong side", "you have", """
def slope(k, lam, q):
    return k * q / (1 + k * (1 - q))
"""),
    ],
    "ex-9-4": [
        ("a singularity for every k", "no singularity", """
def fate(F_t, lam, k):
    return "attracts" if F_t > 0 else "repels"
"""),
        ("none for any k", "there is λ", """
def fate(F_t, lam, k):
    return "none"
"""),
        ("the two exchanged", "shows that", """
def fate(F_t, lam, k):
    if k >= 0:
        return "none"
    return "repels" if F_t > 0 else "attracts"
"""),
        ("by the side on which one starts", "shows that", """
def fate(F_t, lam, k):
    if k >= 0:
        return "none"
    return "attracts" if 1 + k * lam > 0 else "repels"
"""),
        ("true or false", "return", """
def fate(F_t, lam, k):
    return k < 0 and F_t > 0
"""),
    ],
    "ex-9-5": [
        ("a mean over measurements", "mean over measurements", """
def area(spent, accuracy):
    return sum(accuracy) / len(accuracy)
"""),
        ("not divided", "divide", """
def area(spent, accuracy):
    x, y = [0.0, *spent], [accuracy[0], *accuracy]
    return sum((y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(len(spent)))
"""),
        ("the beginning left out", "before the first", """
def area(spent, accuracy):
    x, y = spent, accuracy
    return sum((y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(len(spent) - 1)) / x[-1]
"""),
        ("zero before the first measurement", "expected 1/3", """
def area(spent, accuracy):
    x, y = [0.0, *spent], [0.0, *accuracy]
    return sum((y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(len(spent))) / x[-1]
"""),
    ],
    "ex-9-6": [
        ("two separate errors", "seed by seed", """
def paired(a, b):
    return (a - b).mean(), (a.var() / len(a) + b.var() / len(b)).sqrt()
"""),
        ("the spread", "smaller by √n", """
def paired(a, b):
    return (a - b).mean(), (a - b).std()
"""),
        ("divided by n", "n − 1", """
def paired(a, b):
    return (a - b).mean(), (a - b).std(correction=0) / len(a) ** 0.5
"""),
        ("b less a", "sign is reversed", """
def paired(a, b):
    return (b - a).mean(), (b - a).std() / len(a) ** 0.5
"""),
        ("the mean alone", "two numbers", """
def paired(a, b):
    return (a - b).mean()
"""),
        ("divided by n twice", "n − 1|too small", """
def paired(a, b):
    return (a - b).mean(), (a - b).std() / len(a)
"""),
    ],
}
