"""Plausible wrong answers to the exercises of chapter 2."""

WRONG = {
    "ex-2-1": [
        ("the dearer member", "lower envelope", '''
def two_planes(lam, gam):
    return max(3 * lam + 2 * gam, 2 + lam + gam)
'''),
        ("the mean of the members", "cheaper one", '''
def two_planes(lam, gam):
    return 0.5 * (3 * lam + 2 * gam + 2 + lam + gam)
'''),
        ("D and C exchanged", "prices are exchanged", '''
def two_planes(lam, gam):
    return min(2 * lam + 3 * gam, 2 + lam + gam)
'''),
        ("the wrong kink", "the members cost", '''
def two_planes(lam, gam):
    return 3 * lam + 2 * gam if lam + gam < 1 else 2 + lam + gam
'''),
        ("one plane only", "one member at all prices", '''
def two_planes(lam, gam):
    return 2 + lam + gam
'''),
    ],
    "ex-2-2": [
        ("the sign turned round", "the sign", '''
def above(lam, gam):
    return min(3 * lam + 2 * gam, 2 + lam + gam) - (1.2 + 2 * lam + 1.6 * gam)
'''),
        ("above the midpoint", "midpoint", '''
def above(lam, gam):
    return 0.2 + 0.1 * gam
'''),
        ("F not subtracted", "subtract F", '''
def above(lam, gam):
    return 1.2 + 2 * lam + 1.6 * gam
'''),
        ("above the second member always", "the cheaper of the others", '''
def above(lam, gam):
    return 1.2 + 2 * lam + 1.6 * gam - (2 + lam + gam)
'''),
    ],
    "ex-2-3": [
        ("D and C exchanged", "exchanged", '''
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = (F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return F(lam, gam) - lam * D - gam * C, C, D
'''),
        ("minus the slopes", "wrong sign", '''
def functionals_from_F(F, lam, gam, h=1e-4):
    D = -(F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = -(F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return F(lam, gam) - lam * D - gam * C, D, C
'''),
        ("F in place of R", "what the prices contribute", '''
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam - h, gam)) / (2 * h)
    C = (F(lam, gam + h) - F(lam, gam - h)) / (2 * h)
    return F(lam, gam), D, C
'''),
        ("one-sided differences", "one-sided", '''
def functionals_from_F(F, lam, gam, h=1e-4):
    D = (F(lam + h, gam) - F(lam, gam)) / h
    C = (F(lam, gam + h) - F(lam, gam)) / h
    return F(lam, gam) - lam * D - gam * C, D, C
'''),
    ],
    "ex-2-4": [
        ("the nearest member", "through the dent", '''
def lower_hull(D, R, lams, at):
    return torch.stack([R[(D - a).abs().argmin()] for a in at])
'''),
        ("a single number", "one value for each", '''
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).min(1).values
    return (F[:, None] - lams[:, None] * at[None]).max()[None]
'''),
        ("F as a maximum", "below the members", '''
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).max(1).values
    return (F[:, None] - lams[:, None] * at[None]).max(0).values
'''),
        ("a minimum over the prices", "the curve itself", '''
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:, None] * D[None]).min(1).values
    return (F[:, None] - lams[:, None] * at[None]).min(0).values
'''),
        ("cheap prices only", "the curve itself", '''
def lower_hull(D, R, lams, at):
    F = (R[None] + lams[:3, None] * D[None]).min(1).values
    return (F[:, None] - lams[:3, None] * at[None]).max(0).values
'''),
    ],
    "ex-2-5": [
        ("the losses subtracted", "signs", '''
def first_law_residual(record):
    mean, change = 0.5 * (record[1:] + record[:-1]), record.diff(dim=0)
    return float((change[:, 2] - mean[:, 0] * change[:, 3] - mean[:, 1] * change[:, 4]).sum())
'''),
        ("the price before each step", "near zero|mean price", '''
def first_law_residual(record):
    change = record.diff(dim=0)
    return float((change[:, 2] + record[:-1, 0] * change[:, 3] + record[:-1, 1] * change[:, 4]).sum())
'''),
        ("the prices exchanged", "prices are exchanged", '''
def first_law_residual(record):
    mean, change = 0.5 * (record[1:] + record[:-1]), record.diff(dim=0)
    return float((change[:, 2] + mean[:, 1] * change[:, 3] + mean[:, 0] * change[:, 4]).sum())
'''),
        ("the losses summed, the rate left out", "near zero", '''
def first_law_residual(record):
    mean, change = 0.5 * (record[1:] + record[:-1]), record.diff(dim=0)
    return float((mean[:, 0] * change[:, 3] + mean[:, 1] * change[:, 4]).sum())
'''),
        ("blind to a broken record", "0.3", '''
def first_law_residual(record):
    return 1e-3 * len(record) ** -2.0
'''),
    ],
    "ex-2-7": [
        ("plus the inverse", "the sign", '''
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return torch.linalg.inv(torch.tensor([[F_ll, F_lg], [F_lg, F_gg]]))
'''),
        ("Hess F itself", "invert the matrix", '''
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return -torch.tensor([[F_ll, F_lg], [F_lg, F_gg]])
'''),
        ("each entry inverted", "each entry", '''
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h**2)
    return -1 / torch.tensor([[F_ll, F_lg], [F_lg, F_gg]])
'''),
        ("no mixed derivative", "mixed derivative F_λγ is missing", '''
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    return -torch.diag(1 / torch.tensor([F_ll, F_gg]))
'''),
        ("a mixed difference four times too large", "4h²", '''
def surface_hessian(F, lam, gam, h=1e-3):
    at = lambda i, j: F(lam + i * h, gam + j * h)
    F_ll = (at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    F_gg = (at(0, 1) - 2 * at(0, 0) + at(0, -1)) / h**2
    F_lg = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / h**2
    return -torch.linalg.inv(torch.tensor([[F_ll, F_lg], [F_lg, F_gg]]))
'''),
    ],
}
