"""Answers to the exercises of chapter 2, right and wrong, and the numbers that their statements
name.
"""

WRONG = {
    "ex-2-1": [
        (
            "the dearer member",
            "lower envelope",
            """
def two_planes(lam, gam):
    return max(3 * lam + 2 * gam, 2 + lam + gam)
""",
        ),
        (
            "the mean of the members",
            "cheaper one",
            """
def two_planes(lam, gam):
    return 0.5 * (3 * lam + 2 * gam + 2 + lam + gam)
""",
        ),
        (
            "D and C exchanged",
            "prices are exchanged",
            """
def two_planes(lam, gam):
    return min(2 * lam + 3 * gam, 2 + lam + gam)
""",
        ),
        (
            "the wrong kink",
            "the members cost",
            """
def two_planes(lam, gam):
    return 3 * lam + 2 * gam if lam + gam < 1 else 2 + lam + gam
""",
        ),
        (
            "one plane only",
            "one member at all prices",
            """
def two_planes(lam, gam):
    return 2 + lam + gam
""",
        ),
        (
            "hard-wired to the statement",
            "the members cost",
            """
def two_planes(lam, gam):
    return 4.0
""",
        ),
        (
            "right below the kink only",
            "the members cost|one member",
            """
def two_planes(lam, gam):
    return 3 * lam + 2 * gam if gam < 2 else 2 + lam + gam
""",
        ),
    ],
    "ex-2-2": [
        (
            "the sign turned round",
            "the sign",
            """
def above(lam, gam):
    return min(3 * lam + 2 * gam, 2 + lam + gam) - (1.2 + 2 * lam + 1.6 * gam)
""",
        ),
        (
            "above the midpoint",
            "midpoint",
            """
def above(lam, gam):
    return 0.2 + 0.1 * gam
""",
        ),
        (
            "F not subtracted",
            "subtract F",
            """
def above(lam, gam):
    return 1.2 + 2 * lam + 1.6 * gam
""",
        ),
        (
            "above the second member always",
            "the cheaper of the others",
            """
def above(lam, gam):
    return 1.2 + 2 * lam + 1.6 * gam - (2 + lam + gam)
""",
        ),
        (
            "hard-wired to the smallest value",
            "the cheaper of the others",
            """
def above(lam, gam):
    return 0.2
""",
        ),
        (
            "turned round and cut off at zero",
            "that is zero",
            """
def above(lam, gam):
    return max(0.0, min(3 * lam + 2 * gam, 2 + lam + gam) - (1.2 + 2 * lam + 1.6 * gam))
""",
        ),
        (
            "the absolute difference to the first",
            "the cheaper of the others",
            """
def above(lam, gam):
    return abs(1.2 + 2 * lam + 1.6 * gam - (3 * lam + 2 * gam))
""",
        ),
    ],
    "ex-2-3": [
        (
            "D and C exchanged",
            "exchanged",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = (F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return F(lam, gam) - lam * D - gam * C, C, D
""",
        ),
        (
            "minus the slopes",
            "wrong sign",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    D = -(F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = -(F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return F(lam, gam) - lam * D - gam * C, D, C
""",
        ),
        (
            "F in place of R",
            "what the prices contribute",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = (F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return F(lam, gam), D, C
""",
        ),
        (
            "one-sided differences",
            "one-sided",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam, gam)) / h
    C = (F(lam, gam + h) - F(lam, gam)) / h
    return F(lam, gam) - lam * D - gam * C, D, C
""",
        ),
        (
            "hard-wired to the statement",
            "the slopes at",
            """
import math

def functionals_from_F(F, lam, gam, h=1e-4):
    return 0.5 * math.log(10), 0.1, 0.2
""",
        ),
        (
            "the closed form of the statement's F",
            "the slopes at",
            """
import math

def functionals_from_F(F, lam, gam, h=1e-4):
    e = lam + 2 * gam
    return 0.5 * math.log(2 * e), 0.5 / e, 1 / e
""",
        ),
        (
            "the absolute value of the slopes",
            "sign of a slope",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    D = abs(F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = abs(F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return F(lam, gam) - lam * D - gam * C, D, C
""",
        ),
        (
            "the absolute value of R",
            "with its sign",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = (F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return abs(F(lam, gam) - lam * D - gam * C), D, C
""",
        ),
        (
            "a rate cut off at zero",
            "with its sign",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = (F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return max(0.0, F(lam, gam) - lam * D - gam * C), D, C
""",
        ),
        (
            "the difference not halved",
            "the slopes at",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam - h, gam)) / h
    C = (F(lam, gam + h) - F(lam, gam - h)) / h
    return F(lam, gam) - lam * D - gam * C, D, C
""",
        ),
    ],
    "ex-2-4": [
        (
            "the nearest member",
            "through the dent",
            """
def lower_hull(D, R, lams, at):
    return torch.stack([R[(D - a).abs().argmin()] for a in at])
""",
        ),
        (
            "a single number",
            "one value for each",
            """
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).min(1).values
    return (F[:, None] - lams[:, None] * at[None]).max()[None]
""",
        ),
        (
            "F as a maximum",
            "below the members",
            """
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).max(1).values
    return (F[:, None] - lams[:, None] * at[None]).max(0).values
""",
        ),
        (
            "a minimum over the prices",
            "the curve itself",
            """
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).min(1).values
    return (F[:, None] - lams[:, None] * at[None]).min(0).values
""",
        ),
        (
            "cheap prices only",
            "the curve itself",
            """
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:3, None] * D[None]).min(1).values
    return (F[:, None] - lams[:3, None] * at[None]).max(0).values
""",
        ),
        (
            "hard-wired to the statement",
            "one value for each|the curve itself",
            """
def lower_hull(D, R, lams, at):
    return torch.ones_like(at)
""",
        ),
        (
            "straight lines between neighbours",
            "through the dent|every chord",
            """
import numpy as np

def lower_hull(D, R, lams, at):
    return torch.as_tensor(np.interp(at, D, R))
""",
        ),
        (
            "members taken to be sorted",
            "the given prices|every chord",
            """
def lower_hull(D, R, lams, at):
    hull = []
    for a, b in zip(D.tolist(), R.tolist()):
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (a - hull[-2][0]) >= (b - hull[-2][1]) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append((a, b))
    def value(a):
        for (D0, R0), (D1, R1) in zip(hull, hull[1:]):
            if D0 <= a <= D1:
                return R0 + (R1 - R0) * (a - D0) / (D1 - D0)
        return hull[-1][1] if a > hull[-1][0] else hull[0][1]
    return torch.tensor([value(a) for a in at.tolist()])
""",
        ),
        (
            "the sign of the price dropped",
            "the curve itself|every chord",
            """
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).min(1).values
    return (F[:, None] + lams[:, None] * at[None]).max(0).values
""",
        ),
        (
            "the dearest price only",
            "the curve itself",
            """
def lower_hull(D, R, lams, at):
    return (R + lams[-1] * D).min() - lams[-1] * at
""",
        ),
        (
            "the absolute value of the hull",
            "the hull is -.* it lies below the members",
            """
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).min(1).values
    return (F[:, None] - lams[:, None] * at[None]).max(0).values.abs()
""",
        ),
    ],
    "ex-2-5": [
        (
            "the losses subtracted",
            "check the signs",
            """
def first_law_residual(record):
    mean, change = 0.5 * (record[1:] + record[:-1]), record.diff(dim=0)
    return float((change[:, 2] - mean[:, 0] * change[:, 3] - mean[:, 1] * change[:, 4]).sum())
""",
        ),
        (
            "the price before each step",
            "mean price of each step",
            """
def first_law_residual(record):
    change = record.diff(dim=0)
    return float((change[:, 2] + record[:-1, 0] * change[:, 3] + record[:-1, 1] * change[:, 4]).sum())
""",
        ),
        (
            "the prices exchanged",
            "prices are exchanged",
            """
def first_law_residual(record):
    mean, change = 0.5 * (record[1:] + record[:-1]), record.diff(dim=0)
    return float((change[:, 2] + mean[:, 1] * change[:, 3] + mean[:, 0] * change[:, 4]).sum())
""",
        ),
        (
            "the losses summed, the rate left out",
            "near zero",
            """
def first_law_residual(record):
    mean, change = 0.5 * (record[1:] + record[:-1]), record.diff(dim=0)
    return float((mean[:, 0] * change[:, 3] + mean[:, 1] * change[:, 4]).sum())
""",
        ),
        (
            "blind to a broken record",
            "the residual",
            """
def first_law_residual(record):
    return 1e-3 * len(record) ** -2.0
""",
        ),
        (
            "the absolute value",
            "absolute value is taken",
            """
def first_law_residual(record):
    mean, change = 0.5 * (record[1:] + record[:-1]), record.diff(dim=0)
    return abs(float((change[:, 2] + mean[:, 0] * change[:, 3] + mean[:, 1] * change[:, 4]).sum()))
""",
        ),
        (
            "the absolute value of each step",
            "absolute value",
            """
def first_law_residual(record):
    mean, change = 0.5 * (record[1:] + record[:-1]), record.diff(dim=0)
    return float((change[:, 2] + mean[:, 0] * change[:, 3] + mean[:, 1] * change[:, 4]).abs().sum())
""",
        ),
        (
            "hard-wired to the statement",
            "the residual",
            """
def first_law_residual(record):
    return -0.1
""",
        ),
        (
            "one mean price for the whole record",
            "the residual",
            """
def first_law_residual(record):
    mean, change = record.mean(0), record[-1] - record[0]
    return float(change[2] + mean[0] * change[3] + mean[1] * change[4])
""",
        ),
        (
            "right for evenly spaced prices only: the middle row's prices",
            "the residual",
            """
def first_law_residual(record):
    half, change = 0.5 * (record[0] + record[-1]), record[-1] - record[0]
    return float(change[2] + half[0] * change[3] + half[1] * change[4])
""",
        ),
    ],
    "ex-2-7": [
        (
            "plus the inverse",
            "the sign",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return torch.linalg.inv(torch.tensor([[F_ll, F_lg], [F_lg, F_gg]]))
""",
        ),
        (
            "Hess F itself",
            "invert the matrix",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return -torch.tensor([[F_ll, F_lg], [F_lg, F_gg]])
""",
        ),
        (
            "each entry inverted",
            "each entry",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return -1 / torch.tensor([[F_ll, F_lg], [F_lg, F_gg]])
""",
        ),
        (
            "no mixed derivative",
            "mixed derivative F_λγ is missing",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    return -torch.diag(1 / torch.tensor([F_ll, F_gg]))
""",
        ),
        (
            "a mixed difference four times too large",
            "4h²",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / h**2
    return -torch.linalg.inv(torch.tensor([[F_ll, F_lg], [F_lg, F_gg]]))
""",
        ),
        (
            "hard-wired to the statement",
            "Hess R at",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    return torch.tensor([[1.0, 1.0], [1.0, 5.0]])
""",
        ),
        (
            "the mixed derivative without its sign",
            "wrong sign",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = abs(at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return -torch.linalg.inv(torch.tensor([[F_ll, F_lg], [F_lg, F_gg]], dtype=torch.float64))
""",
        ),
        (
            "every entry without its sign",
            "wrong sign|the sign",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return torch.linalg.inv(torch.tensor([[F_ll, F_lg], [F_lg, F_gg]], dtype=torch.float64)).abs()
""",
        ),
        (
            "D and C exchanged",
            "exchanged",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return -torch.linalg.inv(torch.tensor([[F_gg, F_lg], [F_lg, F_ll]], dtype=torch.float64))
""",
        ),
        (
            "a mixed derivative guessed from the two others",
            "Hess R at|mixed derivative",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    F_ll = (F(lam + h, gam) - 2 * F(lam, gam) + F(lam - h, gam)) / h**2
    F_gg = (F(lam, gam + h) - 2 * F(lam, gam) + F(lam, gam - h)) / h**2
    mixed = (F_ll * F_gg) ** 0.5 * 0.4472135955
    return -torch.linalg.inv(torch.tensor([[F_ll, mixed], [mixed, F_gg]], dtype=torch.float64))
""",
        ),
    ],
}

RIGHT = {
    "ex-2-1": [
        (
            "by cases",
            """
def two_planes(lam, gam):
    if 2 * lam + gam < 2:
        return 3 * lam + 2 * gam
    return lam + gam + 2
""",
        ),
        (
            "a torch scalar",
            """
def two_planes(lam, gam):
    members = torch.tensor([[0.0, 3.0, 2.0], [2.0, 1.0, 1.0]], dtype=torch.float64)
    return (members @ torch.tensor([1.0, lam, gam], dtype=torch.float64)).min()
""",
        ),
        (
            "numpy, single precision",
            """
import numpy as np

def two_planes(lam, gam):
    prices = np.array([1, lam, gam], dtype=np.float32)
    return np.min(np.array([[0, 3, 2], [2, 1, 1]], dtype=np.float32) @ prices)
""",
        ),
    ],
    "ex-2-2": [
        (
            "the larger of two differences",
            """
def above(lam, gam):
    return max(1.2 - lam - 0.4 * gam, -0.8 + lam + 0.6 * gam)
""",
        ),
        (
            "numpy",
            """
import numpy as np

def above(lam, gam):
    cost = np.array([[0, 3, 2], [2, 1, 1], [1.2, 2, 1.6]]) @ np.array([1, lam, gam])
    return cost[2] - cost[:2].min()
""",
        ),
    ],
    "ex-2-3": [
        (
            "five points, an array",
            """
import numpy as np

def functionals_from_F(F, lam, gam, h=1e-4):
    h = 10 * h
    slope = lambda f: (f(-2) - 8 * f(-1) + 8 * f(1) - f(2)) / (12 * h)
    D, C = slope(lambda s: F(lam + s * h, gam)), slope(lambda s: F(lam, gam + s * h))
    return np.array([F(lam, gam) - lam * D - gam * C, D, C])
""",
        ),
        (
            "extrapolated to a vanishing step, a tensor",
            """
def functionals_from_F(F, lam, gam, h=1e-4):
    def slope(a, b):
        coarse, fine = ((F(lam + s * a, gam + s * b) - F(lam - s * a, gam - s * b)) / (2 * s) for s in (2 * h, h))
        return (4 * fine - coarse) / 3

    prices, slopes = torch.tensor([lam, gam], dtype=torch.float64), torch.tensor([slope(1, 0), slope(0, 1)], dtype=torch.float64)
    return torch.cat([F(lam, gam) - prices @ slopes.view(2, 1), slopes])
""",
        ),
    ],
    "ex-2-4": [
        (
            "loops, a list",
            """
def lower_hull(D, R, lams, at):
    F = {lam: min(r + lam * d for d, r in zip(D.tolist(), R.tolist())) for lam in lams.tolist()}
    return [max(value - lam * a for lam, value in F.items()) for a in at.tolist()]
""",
        ),
        (
            "numpy, one column after the other",
            """
import numpy as np

def lower_hull(D, R, lams, at):
    D, R, lams = (np.asarray(v) for v in (D, R, lams))
    F = np.min(np.add.outer(np.zeros(len(lams)), R) + np.outer(lams, D), axis=1)
    return np.array([np.max(F - lams * float(a)) for a in at])
""",
        ),
        (
            "geometry: the lower convex chain of the sorted members",
            """
def lower_hull(D, R, lams, at):
    hull = []
    for d, r in sorted(zip(D.tolist(), R.tolist())):
        if hull and r >= hull[-1][1]:
            continue
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (d - hull[-2][0]) >= (r - hull[-2][1]) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append((d, r))

    def value(a):
        for (d0, r0), (d1, r1) in zip(hull, hull[1:]):
            if a <= d1:
                return r0 + (r1 - r0) * (a - d0) / (d1 - d0)
        return hull[-1][1]

    return torch.tensor([value(a) for a in at.tolist()], dtype=torch.float64)
""",
        ),
        (
            "single precision",
            """
def lower_hull(D, R, lams, at):
    D, R, lams, at = D.float(), R.float(), lams.float(), at.float()
    F = torch.stack([(R + lam * D).min() for lam in lams])
    return torch.stack([(F - lams * a).max() for a in at])
""",
        ),
    ],
    "ex-2-5": [
        (
            "a loop over the rows",
            """
def first_law_residual(record):
    total, rows = 0.0, record.tolist()
    for (lam0, gam0, R0, D0, C0), (lam1, gam1, R1, D1, C1) in zip(rows, rows[1:]):
        total += R1 - R0 + (lam0 + lam1) / 2 * (D1 - D0) + (gam0 + gam1) / 2 * (C1 - C0)
    return total
""",
        ),
        (
            "trapezoids, a tensor",
            """
def first_law_residual(record):
    lam, gam, R, D, C = record.T
    return R[-1:] - R[:1] + torch.trapezoid(lam, D) + torch.trapezoid(gam, C)
""",
        ),
        (
            "numpy, summed by parts, single precision",
            """
import numpy as np

def first_law_residual(record):
    a = np.asarray(record)
    F = a[:, 2] + (a[:, :2] * a[:, 3:]).sum(1)
    mean = (a[1:, 3:] + a[:-1, 3:]) / 2
    return np.float32(F[-1] - F[0] - (mean * np.diff(a[:, :2], axis=0)).sum())
""",
        ),
    ],
    "ex-2-7": [
        (
            "by hand, a list of lists",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    f0 = F(lam, gam)
    a = (F(lam + h, gam) + F(lam - h, gam) - 2 * f0) / h**2
    d = (F(lam, gam + h) + F(lam, gam - h) - 2 * f0) / h**2
    s = (F(lam + h, gam + h) + F(lam - h, gam - h) - 2 * f0) / h**2
    b = (s - a - d) / 2
    det = a * d - b * b
    return [[-d / det, b / det], [b / det, -a / det]]
""",
        ),
        (
            "numpy, differences of the slopes",
            """
import numpy as np

def surface_hessian(F, lam, gam, h=1e-3):
    p, eye = np.array([lam, gam]), np.eye(2)
    slope = lambda q: np.array([(F(*(q + h * e)) - F(*(q - h * e))) / (2 * h) for e in eye])
    return np.linalg.inv(np.stack([(slope(p - h * e) - slope(p + h * e)) / (2 * h) for e in eye]))
""",
        ),
        (
            "a quadratic fitted to nine values, solved, single precision at the end",
            """
def surface_hessian(F, lam, gam, h=1e-3):
    h = 3 * h
    steps = torch.cartesian_prod(torch.arange(-1.0, 2), torch.arange(-1.0, 2)).double()
    values = torch.tensor([F(lam + h * float(i), gam + h * float(j)) for i, j in steps], dtype=torch.float64)
    i, j = steps.T
    columns = torch.stack([torch.ones(9).double(), i, j, i * i / 2, i * j, j * j / 2], 1)
    a = torch.linalg.lstsq(columns, values[:, None]).solution[:, 0] / h**2
    hess = torch.stack([a[3:5], a[4:6]])
    return torch.linalg.solve(-hess, torch.eye(2).double()).float()
""",
        ),
    ],
}

STATED_F = "lambda lam, gam: 0.5 * (1 + torch.tensor(2.0 * (lam + 2 * gam), dtype=torch.float64).log().item())"
MEMBERS = "torch.tensor([0.0, 1.0, 2.0]), torch.tensor([2.0, 1.6, 0.0]), torch.linspace(0, 10, 101), torch.tensor([1.0])"
CURVED = "lambda lam, gam: 2 + torch.tensor(lam, dtype=torch.float64).log().item() + torch.tensor(gam - lam, dtype=torch.float64).log().item()"

STATED = {
    "ex-2-1": [("F = 4", "two_planes(1.0, 1.0)", "4")],
    "ex-2-2": [("0.2", "min(above(0.02 * i, 0.02 * k) for i in range(151) for k in range(151))")],
    "ex-2-3": [
        ("1.151", f"functionals_from_F({STATED_F}, 1.0, 2.0)[0]"),
        ("0.1", f"functionals_from_F({STATED_F}, 1.0, 2.0)[1]"),
        ("0.2", f"functionals_from_F({STATED_F}, 1.0, 2.0)[2]"),
    ],
    "ex-2-4": [("1.0", f"lower_hull({MEMBERS})[0]")],
    "ex-2-5": [
        ("-0.1", "first_law_residual(torch.tensor([[1, 2, 1.2, 0.5, 0.3], [2, 2, 1.6, 0.3, 0.2]]))")
    ],
    "ex-2-7": [
        (
            r"\begin{pmatrix}1&1\\1&5\end{pmatrix}",
            f"1e-3 * round(1e3 * float(surface_hessian({CURVED}, 1.0, 3.0)[{i}, {k}]))",
            value,
        )
        for i, k, value in ((0, 0, "1"), (0, 1, "1"), (1, 0, "1"), (1, 1, "5"))
    ],
}

GIVEN = {
    "ex-2-2": "1.2 1.6",
    "ex-2-4": "1.6",
    "ex-2-5": "1.2 0.5 0.3 1.6 0.2 0.4 1.5",
}
