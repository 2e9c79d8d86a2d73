"""Chapter 9: geodesic transfer."""

_FINAL = "100 * [r for r in notebook.results('fig5.json')['runs'] if r['kind'] == 'aligned'][{}]['runs']['{}']['rows']['target_accuracy'][-1]"

RIGHT = {
    "ex-9-1": [
        (
            "a list, from the two equations as a system",
            """
import numpy

def shares(F_t, lam, k):
    # Ṙ + λḊ = F_t and λḊ − kλṘ = 0
    return list(numpy.linalg.solve([[1.0, 1.0], [-k * lam, 1.0]], [F_t, 0.0]))
""",
        ),
        (
            "what is left of F_t, a float32 array",
            """
import numpy

def shares(F_t, lam, k):
    rate = numpy.float32(F_t / (1 + k * lam))
    return numpy.array([rate, F_t - rate], dtype=numpy.float32)
""",
        ),
        (
            "a tensor, the weights kλ : 1",
            """
def shares(F_t, lam, k):
    weights = torch.tensor([1.0, k * lam])
    return F_t * weights / weights.sum()
""",
        ),
    ],
    "ex-9-2": [
        (
            "Cramer's rule, two floats, indexing row by row",
            """
def geodesic_velocity(hess, F_t, lam, k):
    u = 1 + k * lam
    if -0.02 < u < 0.02:
        raise ValueError(f"1 + kλ = {u}")
    a, b, c, d = (float(hess[i][j]) for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    x, y = k * F_t / u - float(hess[0][2]), -float(hess[1][2])
    det = a * d - b * c
    return (d * x - b * y) / det, (a * y - c * x) / det
""",
        ),
        (
            "with numpy, from the conserved quantity D − kR",
            """
import numpy as np

def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError("singular")
    H = np.asarray(hess)
    # d(D − kR) = (1 + kλ) dD − k F_t dt + kγ dC, and dC = 0
    rows = np.array([H[1], (1 + k * lam) * H[0] - k * np.array([0, 0, F_t])])
    return np.linalg.solve(rows[:, :2], -rows[:, 2])
""",
        ),
        (
            "γ̇ eliminated, float32",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    h = hess.float()
    lam_dot = (k * F_t / (1 + k * lam) - h[0, 2] + h[0, 1] * h[1, 2] / h[1, 1]) / (h[0, 0] - h[0, 1] * h[1, 0] / h[1, 1])
    return [lam_dot, -(h[1, 0] * lam_dot + h[1, 2]) / h[1, 1]]
""",
        ),
    ],
    "ex-9-3": [
        (
            "Ṙ and Ḋ as a system",
            """
import numpy

def slope(k, lam, q):
    # Ḋ (1 + kλ) = kq and Ṙ + λḊ = 1
    R, D = numpy.linalg.solve([[0.0, 1 + k * lam], [1.0, lam]], [k * q, 1.0])
    return [D / R]
""",
        ),
        (
            "step by step with F_t = 1",
            """
def slope(k, lam, q):
    D = k / (1 + k * lam) * q
    R = 1 - lam * D
    return D / R
""",
        ),
        (
            "the reciprocal, as a numpy scalar",
            """
import numpy as np

def slope(k, lam, q):
    if k == 0 or q == 0:
        return np.float64(0)
    return np.float64(1) / ((1 / k + lam) / q - lam)
""",
        ),
        (
            "a tensor in single precision",
            """
def slope(k, lam, q):
    k, lam, q = torch.tensor([k, lam, q], dtype=torch.float32)
    return k * q / (1 + k * lam - k * lam * q)
""",
        ),
    ],
    "ex-9-4": [
        (
            "from the velocity on both sides of λ*",
            """
def fate(F_t, lam, k):
    if k >= 0:
        return "none"
    star = -1 / k
    velocity = lambda at: -k * F_t / (1 + k * at)  # its sign, near λ*
    inward = velocity(0.5 * star) > 0 and velocity(1.5 * star) < 0
    return "attracts" if inward else "repels"
""",
        ),
        (
            "torch, by the sign of the product k F_t",
            """
def fate(F_t, lam, k):
    k, F_t = torch.tensor(k), torch.tensor(F_t)
    if not bool(torch.signbit(k)) or k == 0:
        return "none"
    return ("repels", "attracts")[int((torch.sign(k) * torch.sign(F_t)).item() < 0)]
""",
        ),
        (
            "by the sign of d(1 + kλ)²/dt",
            """
def fate(F_t, lam, k):
    if not k < 0:
        return "none"
    growth = -F_t
    return {True: "repels", False: "attracts"}[growth > 0]
""",
        ),
        (
            "numpy's sign as an index, a string of numpy",
            """
import numpy as np

def fate(F_t, lam, k):
    names = np.array(["repels", "none", "attracts"])
    return names[1 + int(np.sign(F_t)) * (k < 0)]
""",
        ),
    ],
    "ex-9-5": [
        (
            "with numpy.trapezoid",
            """
import numpy as np

def area(spent, accuracy):
    x = np.concatenate([[0.0], spent])
    y = np.concatenate([accuracy[:1], accuracy])
    return np.trapezoid(y, x) / x[-1]
""",
        ),
        (
            "a running sum, rectangle and triangle",
            """
def area(spent, accuracy):
    total, x, y = spent[0] * accuracy[0], spent[0], accuracy[0]
    for new_x, new_y in zip(spent[1:], accuracy[1:]):
        total += (new_x - x) * y + 0.5 * (new_x - x) * (new_y - y)
        x, y = new_x, new_y
    return total / x
""",
        ),
        (
            "torch in single precision, weights of the measurements",
            """
def area(spent, accuracy):
    x, y = torch.tensor([0.0] + spent, dtype=torch.float32), torch.tensor([accuracy[0]] + accuracy, dtype=torch.float32)
    return torch.trapezoid(y, x) / x[-1]
""",
        ),
    ],
    "ex-9-6": [
        (
            "the statistics module, a list",
            """
import statistics

def paired(a, b):
    d = [float(x) - float(y) for x, y in zip(a, b)]
    return [statistics.mean(d), statistics.stdev(d) / len(d) ** 0.5]
""",
        ),
        (
            "with numpy, an array",
            """
import numpy as np

def paired(a, b):
    d = np.asarray(a) - np.asarray(b)
    return np.array([d.mean(), np.sqrt(((d - d.mean()) ** 2).sum() / (d.size * (d.size - 1)))])
""",
        ),
        (
            "stacked from covariances",
            """
def paired(a, b):
    n, C = len(a), torch.cov(torch.stack([a, b]))
    return torch.stack([a.mean() - b.mean(), ((C[0, 0] + C[1, 1] - 2 * C[0, 1]) / n).sqrt()])
""",
        ),
    ],
}

WRONG = {
    "ex-9-1": [
        (
            "the rate pays all",
            "Ṙ is not F_t",
            """
def shares(F_t, lam, k):
    return F_t, k * lam * F_t
""",
        ),
        (
            "the distortion without its price",
            "not Ḋ",
            """
def shares(F_t, lam, k):
    return F_t / (1 + k * lam), k * F_t / (1 + k * lam)
""",
        ),
        (
            "the two exchanged",
            "the distortion stays|exchanged",
            """
def shares(F_t, lam, k):
    return k * lam * F_t / (1 + k * lam), F_t / (1 + k * lam)
""",
        ),
        (
            "no price in the denominator",
            "pay F_t together",
            """
def shares(F_t, lam, k):
    return F_t / (1 + k), k * lam * F_t / (1 + k)
""",
        ),
        (
            "half and half",
            "the distortion stays",
            """
def shares(F_t, lam, k):
    return F_t / 2, F_t / 2
""",
        ),
        (
            "one number",
            "two numbers",
            """
def shares(F_t, lam, k):
    return F_t / (1 + k * lam)
""",
        ),
        (
            "the printed example",
            "the distortion stays",
            """
def shares(F_t, lam, k):
    return 1, 2
""",
        ),
        (
            "absolute values",
            "a sign is lost",
            """
def shares(F_t, lam, k):
    return abs(F_t / (1 + k * lam)), abs(k * lam * F_t / (1 + k * lam))
""",
        ),
        (
            "right for rising slopes only",
            "the geodesic moves",
            """
def shares(F_t, lam, k):
    share = 1 / (1 + k * lam) if k >= 0 else 1 / (1 - k * lam)
    return F_t * share, F_t * (1 - share)
""",
        ),
    ],
    "ex-9-2": [
        (
            "C_t with the wrong sign",
            "C moves",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / (1 + k * lam) * F_t - hess[0, 2], hess[1, 2]]))
""",
        ),
        (
            "no denominator",
            "denominator is missing",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k * F_t - hess[0, 2], -hess[1, 2]]))
""",
        ),
        (
            "D_t forgotten",
            "D_t",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / (1 + k * lam) * torch.as_tensor(F_t, dtype=hess.dtype), -hess[1, 2]]))
""",
        ),
        (
            "no guard",
            "raise ValueError",
            """
def geodesic_velocity(hess, F_t, lam, k):
    divided = k / (1 + k * lam) if 1 + k * lam else float("inf")
    return torch.linalg.solve(hess[:2, :2], torch.stack([divided * F_t - hess[0, 2], -hess[1, 2]]))
""",
        ),
        (
            "a guard on one side",
            "raise ValueError",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if 0 <= 1 + k * lam < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / (1 + k * lam) * F_t - hess[0, 2], -hess[1, 2]]))
""",
        ),
        (
            "every falling slope refused",
            "a falling slope is no error",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if k < 0:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / (1 + k * lam) * F_t - hess[0, 2], -hess[1, 2]]))
""",
        ),
        (
            "everything beyond the singular line refused",
            r"nor is 1 \+ kλ below zero",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if 1 + k * lam < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / (1 + k * lam) * F_t - hess[0, 2], -hess[1, 2]]))
""",
        ),
        (
            "a guard in shares of kλ",
            "is refused|raise ValueError",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02 * abs(k * lam):
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / (1 + k * lam) * F_t - hess[0, 2], -hess[1, 2]]))
""",
        ),
        (
            "the denominator without its sign",
            "D moves|a sign is lost",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return torch.linalg.solve(hess[:2, :2], torch.stack([k / abs(1 + k * lam) * F_t - hess[0, 2], -hess[1, 2]]))
""",
        ),
        (
            "the example alone",
            "D moves|C moves",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return 0.0, 3.0
""",
        ),
        (
            "as if Hess F were diagonal",
            "C moves",
            """
def geodesic_velocity(hess, F_t, lam, k):
    if abs(1 + k * lam) < 0.02:
        raise ValueError
    return (k / (1 + k * lam) * F_t - hess[0, 2]) / hess[0, 0], -hess[1, 2] / hess[1, 1]
""",
        ),
        (
            "three velocities",
            "two numbers",
            """
def geodesic_velocity(hess, F_t, lam, k):
    return torch.zeros(3)
""",
        ),
    ],
    "ex-9-3": [
        (
            "no line steeper than two",
            "you have",
            """
def slope(k, lam, q):
    k = max(-2.0, min(2.0, k))
    return k * q / (1 + k * lam * (1 - q))
""",
        ),
        (
            "no price above two",
            "you have",
            """
def slope(k, lam, q):
    lam = min(lam, 2.0)
    return k * q / (1 + k * lam * (1 - q))
""",
        ),
        (
            "k near the singular line",
            "only for q = 1",
            """
def slope(k, lam, q):
    if abs(1 + k * lam) < 0.2:
        return k
    return k * q / (1 + k * lam * (1 - q))
""",
        ),
        (
            "nearly singular refused",
            "you refuse it",
            """
def slope(k, lam, q):
    if abs(1 + k * lam) < 0.15:
        raise ValueError("singular")
    return k * q / (1 + k * lam * (1 - q))
""",
        ),
        (
            "infinite near the turn of R",
            "you have inf",
            """
def slope(k, lam, q):
    if abs(1 + k * lam * (1 - q)) < 0.2:
        return float("inf")
    return k * q / (1 + k * lam * (1 - q))
""",
        ),
        (
            "nought taken as missing",
            "you have",
            """
def slope(k, lam, q):
    q = q or 1.0
    return k * q / (1 + k * lam * (1 - q))
""",
        ),
        (
            "a large factor taken as a mistake",
            "only for q = 1",
            """
def slope(k, lam, q):
    if abs(q) > 2:
        return k
    return k * q / (1 + k * lam * (1 - q))
""",
        ),
        (
            "the slope asked for",
            "only for q = 1",
            """
def slope(k, lam, q):
    return k
""",
        ),
        (
            "the factor on both",
            "R has not",
            """
def slope(k, lam, q):
    return k * q
""",
        ),
        (
            "D alone",
            "divide by Ṙ",
            """
def slope(k, lam, q):
    return k * q / (1 + k * lam)
""",
        ),
        (
            "the sign of the first law",
            "has a minus",
            """
def slope(k, lam, q):
    return k * q / (1 + k * lam * (1 + q))
""",
        ),
        (
            "one minus q of the wrong side",
            "you have",
            """
def slope(k, lam, q):
    return k * q / (1 + k * (1 - q))
""",
        ),
        (
            "the postcard's number",
            "you have",
            """
def slope(k, lam, q):
    return k * 0.155 / 1.5
""",
        ),
        (
            "absolute value",
            "the sign",
            """
def slope(k, lam, q):
    return abs(k * q / (1 + k * lam * (1 - q)))
""",
        ),
    ],
    "ex-9-4": [
        (
            "only near the singularity",
            "however far",
            """
def fate(F_t, lam, k):
    if k >= 0 or abs(1 + k * lam) > 0.1:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "a singularity for every k",
            "no singularity",
            """
def fate(F_t, lam, k):
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "none for a gentle slope",
            "however far",
            """
def fate(F_t, lam, k):
    if k > -0.1:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "none for a steep slope",
            "however far",
            """
def fate(F_t, lam, k):
    if k >= 0 or k < -5:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "none for a weak force",
            "or weakly",
            """
def fate(F_t, lam, k):
    if k >= 0 or abs(F_t) < 0.01:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "none for any k",
            "there is λ",
            """
def fate(F_t, lam, k):
    return "none"
""",
        ),
        (
            "the two exchanged",
            "shows that",
            """
def fate(F_t, lam, k):
    if k >= 0:
        return "none"
    return "repels" if F_t > 0 else "attracts"
""",
        ),
        (
            "by the side on which one starts",
            "shows that",
            """
def fate(F_t, lam, k):
    if k >= 0:
        return "none"
    return "attracts" if 1 + k * lam > 0 else "repels"
""",
        ),
        (
            "every falling slope runs into it",
            "shows that",
            """
def fate(F_t, lam, k):
    return "none" if k >= 0 else "attracts"
""",
        ),
        (
            "by the sign of k F_t on one side",
            "shows that",
            """
def fate(F_t, lam, k):
    if k >= 0:
        return "none"
    return "attracts" if F_t / (1 + k * lam) > 0 else "repels"
""",
        ),
        (
            "none for three rising slopes",
            "no singularity",
            """
def fate(F_t, lam, k):
    if k in (0.0, 0.5, 3.0):
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "rising slopes by the force where λ is large",
            "no singularity",
            """
def fate(F_t, lam, k):
    if k >= 0 and lam <= 1:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "a slope of nought within a tolerance",
            "however far",
            """
def fate(F_t, lam, k):
    if k > -1e-4:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "none for a force as small as rounding",
            "or weakly",
            """
def fate(F_t, lam, k):
    if k >= 0 or abs(F_t) < 1e-7:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "none far out",
            "however far",
            """
def fate(F_t, lam, k):
    if k >= 0 or abs(1 + k * lam) > 500:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "none for λ* beyond a few thousand",
            "however far",
            """
def fate(F_t, lam, k):
    if k >= 0 or -1 / k > 5000:
        return "none"
    return "attracts" if F_t > 0 else "repels"
""",
        ),
        (
            "a strong force always attracts",
            "however far",
            """
def fate(F_t, lam, k):
    if k >= 0:
        return "none"
    return "attracts" if F_t > 0 or F_t < -2.5 else "repels"
""",
        ),
        (
            "the other way round for the steepest slopes",
            "however far",
            """
def fate(F_t, lam, k):
    if k >= 0:
        return "none"
    return "attracts" if (F_t > 0) == (k > -500) else "repels"
""",
        ),
        (
            "true or false",
            "return",
            """
def fate(F_t, lam, k):
    return k < 0 and F_t > 0
""",
        ),
    ],
    "ex-9-5": [
        (
            "a mean over measurements",
            "mean over measurements",
            """
def area(spent, accuracy):
    return sum(accuracy) / len(accuracy)
""",
        ),
        (
            "not divided",
            "divide",
            """
def area(spent, accuracy):
    x, y = [0.0, *spent], [accuracy[0], *accuracy]
    return sum((y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(len(spent)))
""",
        ),
        (
            "the beginning left out",
            "before the first",
            """
def area(spent, accuracy):
    x, y = spent, accuracy
    return sum((y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(len(spent) - 1)) / x[-1]
""",
        ),
        (
            "zero before the first measurement",
            "expected",
            """
def area(spent, accuracy):
    x, y = [0.0, *spent], [0.0, *accuracy]
    return sum((y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(len(spent))) / x[-1]
""",
        ),
        (
            "all stretches equal",
            "not equally long",
            """
def area(spent, accuracy):
    y = [accuracy[0], *accuracy]
    return sum((y[i] + y[i + 1]) / 2 for i in range(len(accuracy))) / len(accuracy)
""",
        ),
        (
            "equal stretches after the first",
            "expected",
            """
def area(spent, accuracy):
    n, a = len(spent), accuracy
    if n == 1:
        return a[0]
    h = (spent[-1] - spent[0]) / (n - 1)
    return (spent[0] * a[0] + sum((a[i] + a[i + 1]) / 2 * h for i in range(n - 1))) / spent[-1]
""",
        ),
        (
            "a staircase",
            "staircase",
            """
def area(spent, accuracy):
    x = [0.0, *spent]
    return sum(a * (x[i + 1] - x[i]) for i, a in enumerate(accuracy)) / x[-1]
""",
        ),
        (
            "a third",
            "expected",
            """
def area(spent, accuracy):
    return 1 / 3
""",
        ),
    ],
    "ex-9-6": [
        (
            "two separate errors",
            "seed by seed",
            """
def paired(a, b):
    return (a - b).mean(), (a.var() / len(a) + b.var() / len(b)).sqrt()
""",
        ),
        (
            "the spread",
            "smaller by √n",
            """
def paired(a, b):
    return (a - b).mean(), (a - b).std()
""",
        ),
        (
            "divided by n",
            "n − 1",
            """
def paired(a, b):
    return (a - b).mean(), (a - b).std(correction=0) / len(a) ** 0.5
""",
        ),
        (
            "b less a",
            "sign is reversed",
            """
def paired(a, b):
    return (b - a).mean(), (b - a).std() / len(a) ** 0.5
""",
        ),
        (
            "the size of the difference",
            "sign is reversed or lost",
            """
def paired(a, b):
    return (a - b).mean().abs(), (a - b).std() / len(a) ** 0.5
""",
        ),
        (
            "the mean alone",
            "two numbers",
            """
def paired(a, b):
    return (a - b).mean()
""",
        ),
        (
            "divided by n twice",
            "not by n",
            """
def paired(a, b):
    return (a - b).mean(), (a - b).std() / len(a)
""",
        ),
        (
            "three seeds for ever",
            "standard error is",
            """
def paired(a, b):
    return (a - b).mean(), (a - b).std() / 3 ** 0.5
""",
        ),
        (
            "the printed example",
            "the mean is",
            """
def paired(a, b):
    return 3, 0.57735026919
""",
        ),
    ],
}

STATED = {
    "ex-9-1": [("(1, 2)", "shares(3, 2, 1)[0]", "1"), ("(1, 2)", "shares(3, 2, 1)[1]", "2")],
    "ex-9-2": [
        (
            "(0, 3)",
            "geodesic_velocity(torch.tensor([[-2., 0, 1], [0, -1, 3], [1, 3, 0]], "
            "dtype=torch.float64), 2, 1, 1)[0]",
            "0",
        ),
        (
            "(0, 3)",
            "geodesic_velocity(torch.tensor([[-2., 0, 1], [0, -1, 3], [1, 3, 0]], "
            "dtype=torch.float64), 2, 1, 1)[1]",
            "3",
        ),
    ],
    "ex-9-3": [("0.155", "slope(1.5, 1, 0.224)")],
    "ex-9-5": [
        ("1/3", "area([10, 30], [0.2, 0.6])", "1 / 3"),
        (r"10\cdot0.2 + 20\cdot0.4", "30 * area([10, 30], [0.2, 0.6])", "10 * 0.2 + 20 * 0.4"),
    ],
    "ex-9-6": [
        *(
            (number, _FINAL.format(seed, name))
            for name, numbers in (
                ("held", ("89.35", "88.73", "89.31")),
                ("fixed", ("86.72", "86.26", "86.84")),
            )
            for seed, number in enumerate(numbers)
        ),
        ("(3, 0.577)", "paired(torch.tensor([3., 5, 7]), torch.tensor([1., 2, 3]))[0]", "3"),
        ("0.577", "paired(torch.tensor([3., 5, 7]), torch.tensor([1., 2, 3]))[1]"),
    ],
}

GIVEN = {"ex-9-2": "0.02", "ex-9-3": "1.5 0.224", "ex-9-5": "0.2 0.6"}
