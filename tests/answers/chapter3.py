"""Answers to the exercises of chapter 3: plausible wrong ones, right ones, and the numbers of
the
statements.
"""

GIBBS = """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d + gam * log_c
    e, log_Z = torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
"""

EXCESS = """
def excess(e, log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d + gam * log_c
    log_best, log_Z = torch.log_softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
    kl = (torch.xlogy(e, e) - e * log_best).sum(1)
"""

WRONG = {
    "ex-3-1": [
        (
            "the prices exchanged",
            "prices are exchanged",
            """
def postcard(lam, gam):
    return 0.5 * 8.0**-gam * 2.0**-lam + 0.25 * 2.0**-gam * 2.0**-lam + 0.25 * 2.0**-gam
""",
        ),
        (
            "no marginal",
            "m is missing",
            """
def postcard(lam, gam):
    return 8.0**-lam * 2.0**-gam + 2.0**-lam * 2.0**-gam + 2.0**-lam
""",
        ),
        (
            "prices as factors",
            "exponents, not factors",
            """
def postcard(lam, gam):
    return lam * gam * (0.5 / 8 * 0.5 + 0.25 * 0.5 * 0.5 + 0.25 * 0.5)
""",
        ),
        (
            "the free energy",
            "return Z itself",
            """
def postcard(lam, gam):
    Z = 0.5 * 8.0**-lam * 2.0**-gam + 0.25 * 2.0**-lam * 2.0**-gam + 0.25 * 2.0**-lam
    return -float(torch.tensor(Z).log())
""",
        ),
        (
            "the classifier left out",
            "add up to",
            """
def postcard(lam, gam):
    return 0.5 * 8.0**-lam + 0.25 * 2.0**-lam + 0.25 * 2.0**-lam
""",
        ),
        (
            "hard-wired to the printed example",
            "add up to",
            """
def postcard(lam, gam):
    return 17 / 128 if (lam, gam) == (2, 0) else 7 / 32 if (lam, gam) == (1, 1) else 1.0
""",
        ),
        (
            "whole prices alone",
            "add up to",
            """
def postcard(lam, gam):
    lam, gam = int(lam), int(gam)
    return 0.5 * 8.0**-lam * 2.0**-gam + 0.25 * 2.0**-lam * 2.0**-gam + 0.25 * 2.0**-lam
""",
        ),
        (
            "the sign of the exponents",
            "add up to",
            """
def postcard(lam, gam):
    return 0.5 * 8.0**lam * 2.0**gam + 0.25 * 2.0**lam * 2.0**gam + 0.25 * 2.0**lam
""",
        ),
    ],
    "ex-3-7": [
        (
            "a Gaussian with its half",
            "no ½",
            """
def tempered(x, w, lam):
    return lam * w * x / (1 + lam * w**2), 1 / (1 + lam * w**2)
""",
        ),
        (
            "the standard deviation",
            "standard deviation",
            """
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return 2 * lam * w * x / precision, precision**-0.5
""",
        ),
        (
            "the precision",
            "inverse",
            """
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return 2 * lam * w * x / precision, precision
""",
        ),
        (
            "the prior left out",
            "m is missing",
            """
def tempered(x, w, lam):
    return x / w, 1 / (2 * lam * w**2)
""",
        ),
        (
            "w lost in the mean",
            "complete the square",
            """
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return 2 * lam * x / precision, 1 / precision
""",
        ),
        (
            "the mean alone",
            "two numbers",
            """
def tempered(x, w, lam):
    return [2 * lam * w * x / (1 + 2 * lam * w**2)]
""",
        ),
        (
            "hard-wired to the printed example",
            "the variance is",
            """
def tempered(x, w, lam):
    return 2.0, 1 / 3
""",
        ),
        (
            "the absolute value of w",
            "wrong sign",
            """
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return 2 * lam * abs(w) * x / precision, 1 / precision
""",
        ),
        (
            "the absolute value of the mean",
            "wrong sign",
            """
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return abs(2 * lam * w * x) / precision, 1 / precision
""",
        ),
        (
            "the two exchanged",
            "exchanged",
            """
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return 1 / precision, 2 * lam * w * x / precision
""",
        ),
        (
            "a sum over a coarse grid",
            "the variance is|the mean is",
            """
def tempered(x, w, lam):
    z = torch.linspace(-10, 10, 401)
    law = torch.softmax(-0.5 * z**2 - lam * (x - w * z) ** 2, 0)
    mean = float(law @ z)
    return mean, float(law @ (z - mean) ** 2)
""",
        ),
        (
            "nothing where almost nothing is paid",
            "the mean is",
            """
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return (2 * lam * w * x / precision, 1 / precision) if lam > 1e-6 else (0.0, 1.0)
""",
        ),
        (
            "the pixel where almost nothing is paid",
            "missing from the mean|the mean is",
            """
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return (2 * lam * w * x / precision if lam > 1e-6 else x), 1 / precision
""",
        ),
    ],
    "ex-3-3": [
        (
            "the marginal left out",
            "marginal m is missing",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = lam * log_d + gam * log_c
    return torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
""",
        ),
        (
            "the prices exchanged",
            "prices are exchanged",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + gam * log_d + lam * log_c
    return torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
""",
        ),
        ("the free energy", "the free energy", GIBBS + "    return e, -log_Z\n"),
        ("the encoder transposed", "shapes", GIBBS + "    return e.T, log_Z\n"),
        (
            "normalised over the images",
            "sum to one, over the codes",
            GIBBS + "    return e / e.sum(0), log_Z\n",
        ),
        ("log Z shifted", "not the log of the sum", GIBBS + "    return e, log_Z + 1\n"),
        ("the encoder alone", "return two tensors", GIBBS + "    return e\n"),
        (
            "products in place of logarithms",
            "stay in logarithms",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    product = log_m.exp() * log_d.exp() ** lam * log_c.exp() ** gam
    return product / product.sum(1, keepdim=True), product.sum(1).log()
""",
        ),
        (
            "products kept above zero",
            "stay in logarithms",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    product = (log_m + lam * log_d + gam * log_c).exp().clamp(min=1e-300)
    return product / product.sum(1, keepdim=True), product.sum(1).log()
""",
        ),
        (
            "logarithms that are cut off",
            "stay in logarithms",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = (log_m + lam * log_d + gam * log_c).clamp(min=-700, max=700)
    return torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
""",
        ),
        (
            "one largest value for all images",
            "stay in logarithms",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d + gam * log_c
    top = minus_H.max()
    w = (minus_H - top).exp()
    return w / (w.sum(1, keepdim=True) + 1e-300), (w.sum(1) + 1e-300).log() + top
""",
        ),
        (
            "a good encoder and a naive log Z",
            "stay in logarithms",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d + gam * log_c
    return torch.softmax(minus_H, 1), torch.nan_to_num(minus_H.exp().sum(1).log())
""",
        ),
        (
            "the energy with the wrong sign",
            "sign",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m - lam * log_d - gam * log_c
    return torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
""",
        ),
        (
            "absolute values",
            "sign",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d.abs() + gam * log_c.abs()
    return torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
""",
        ),
        (
            "hard-wired to the postcard",
            "shape",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    return torch.tensor([[1 / 7, 2 / 7, 4 / 7]]), torch.tensor([7 / 32]).log()
""",
        ),
        (
            "Z itself",
            "return its logarithm",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d + gam * log_c
    return torch.softmax(minus_H, 1), minus_H.exp().sum(1)
""",
        ),
        (
            "not normalised",
            "not normalised",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d + gam * log_c
    return minus_H.exp(), torch.logsumexp(minus_H, 1)
""",
        ),
    ],
    "ex-3-4": [
        (
            "the divergence the other way round",
            r"KL\(e\* ‖ e\)",
            EXCESS + "    return (log_best.exp() * (log_best - e.log())).sum(1)\n",
        ),
        ("the cost of e itself", "subtract the cost of e", EXCESS + "    return kl - log_Z\n"),
        ("a mean over the images", "one number an image", EXCESS + "    return kl.mean()\n"),
        ("0 log 0", "0 log 0 is 0", EXCESS + "    return (e * (e.log() - log_best)).sum(1)\n"),
        ("twice as much", "not R", EXCESS + "    return 2 * kl\n"),
        ("the sign reversed", "the sign", EXCESS + "    return -kl\n"),
        (
            "hard-wired to the postcard",
            "shape",
            EXCESS + "    return torch.tensor([7 / 4]).log()\n",
        ),
        (
            "no marginal in the rate",
            "marginal m is missing",
            EXCESS + "    return (e * (e.log() - lam * log_d - gam * log_c)).sum(1) + log_Z\n",
        ),
        (
            "a best encoder that underflows",
            "log_softmax|stay in logarithms",
            """
def excess(e, log_m, log_d, log_c, lam, gam):
    best = torch.softmax(log_m + lam * log_d + gam * log_c, 1)
    return (torch.xlogy(e, e) - torch.xlogy(e, best)).sum(1)
""",
        ),
        (
            "a best encoder kept above zero",
            "log_softmax",
            """
def excess(e, log_m, log_d, log_c, lam, gam):
    best = torch.softmax(log_m + lam * log_d + gam * log_c, 1).clamp(min=1e-12)
    return (torch.xlogy(e, e) - e * best.log()).sum(1)
""",
        ),
        (
            "certain encoders kept a little uncertain",
            "not R|excess",
            """
def excess(e, log_m, log_d, log_c, lam, gam):
    e = e.clamp(min=1e-4)
    e = e / e.sum(1, keepdim=True)
    return (e * (e.log() - torch.log_softmax(log_m + lam * log_d + gam * log_c, 1))).sum(1)
""",
        ),
    ],
    "ex-3-5": [
        (
            "the inverse",
            "50 equal weights",
            """
def effective_sample_size(log_w):
    return float(torch.softmax(log_w, 0).square().sum())
""",
        ),
        (
            "over the largest weight",
            "over the largest weight",
            """
def effective_sample_size(log_w):
    return float(log_w.exp().sum() / log_w.exp().max())
""",
        ),
        (
            "without logarithms",
            "common factor",
            """
def effective_sample_size(log_w):
    return float(log_w.exp().sum() ** 2 / log_w.exp().square().sum())
""",
        ),
        (
            "the exponential of the entropy",
            "1.6 effective samples",
            """
def effective_sample_size(log_w):
    return float(torch.special.entr(torch.softmax(log_w, 0)).sum().exp())
""",
        ),
        (
            "hard-wired to the printed example",
            "50 equal weights",
            """
def effective_sample_size(log_w):
    return 1.6
""",
        ),
        (
            "three examples by heart",
            "is",
            """
def effective_sample_size(log_w):
    if len(log_w) == 2:
        return 1.6
    return float(len(log_w)) if log_w[0] == log_w[-1] == log_w[7] else 1.0
""",
        ),
        (
            "the logarithms themselves as weights",
            "carries all",
            """
def effective_sample_size(log_w):
    return float(log_w.abs().sum() ** 2 / log_w.square().sum()) if log_w.any() else float(len(log_w))
""",
        ),
        (
            "infinities swept away",
            "common factor",
            """
def effective_sample_size(log_w):
    w = torch.nan_to_num(log_w.clamp(-300, 300).exp())
    return float(w.sum() ** 2 / w.square().sum())
""",
        ),
        (
            "the mean in place of the largest",
            "beside each other",
            """
def effective_sample_size(log_w):
    w = (log_w - log_w.median()).exp()
    return float(torch.nan_to_num(w.sum() ** 2 / w.square().sum(), nan=1.0, posinf=1.0))
""",
        ),
        (
            "by the spread of the weights, n − 1",
            "carries all",
            """
def effective_sample_size(log_w):
    w = torch.softmax(log_w, 0)
    return float(len(w) / (1 + (w.var() / w.mean() ** 2 if len(w) > 1 else 0)))
""",
        ),
    ],
}

RIGHT = {
    "ex-3-1": [
        (
            "a loop over the three codes, a torch scalar",
            """
def postcard(lam, gam):
    Z = torch.zeros(())
    for m, d, c in ((1 / 2, 1 / 8, 1 / 2), (1 / 4, 1 / 2, 1 / 2), (1 / 4, 1 / 2, 1.0)):
        Z = Z + m * d**lam * c**gam
    return Z
""",
        ),
        (
            "powers of two in numpy",
            """
def postcard(lam, gam):
    import numpy as np
    return np.exp2(-1 - 3 * lam - gam) + np.exp2(-2.0 - lam) * (1 + np.exp2(-gam))
""",
        ),
        (
            "in single precision, one element of a list",
            """
def postcard(lam, gam):
    m, d, c = (torch.tensor(v, dtype=torch.float32) for v in ([0.5, 0.25, 0.25], [0.125, 0.5, 0.5], [0.5, 0.5, 1.0]))
    return [float((m * d**lam * c**gam).sum())]
""",
        ),
    ],
    "ex-3-7": [
        (
            "the posterior by its precision, as an array",
            """
def tempered(x, w, lam):
    import numpy as np
    information = np.array([1.0, w * w * 2 * lam])
    return np.array([information[1] * x / w if w else 0.0, 1.0]) / information.sum()
""",
        ),
        (
            "Kalman's gain, a tensor",
            """
def tempered(x, w, lam):
    noise = 1 / (2 * lam)
    gain = w / (w * w + noise)
    return torch.tensor([gain * x, 1 - gain * w], dtype=torch.float64)
""",
        ),
        (
            "single precision, a list",
            """
def tempered(x, w, lam):
    x, w, lam = (torch.tensor(float(v), dtype=torch.float32) for v in (x, w, lam))
    variance = 1 / (1 + 2 * lam * w * w)
    return [2 * lam * w * x * variance, variance]
""",
        ),
        (
            "from derivatives of the energy",
            """
def tempered(x, w, lam):
    energy = lambda z: 0.5 * z**2 + lam * (x - w * z) ** 2
    zero = torch.zeros((), dtype=torch.float64)
    slope, curvature = torch.func.grad(energy)(zero), torch.func.grad(torch.func.grad(energy))(zero)
    return {"mean": -slope / curvature, "variance": 1 / curvature}
""",
        ),
    ],
    "ex-3-3": [
        (
            "a list, the largest energy taken out by hand",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    energy = -(log_m[None, :] + lam * log_d + gam * log_c)
    lowest, _ = energy.min(dim=1, keepdim=True)
    weights = torch.exp(lowest - energy)
    Z = weights.sum(dim=1, keepdim=True)
    return [weights / Z, (torch.log(Z) - lowest).squeeze(1)]
""",
        ),
        (
            "in place",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    log_d *= lam
    log_d += log_m
    log_c *= gam
    log_d += log_c
    return log_d.softmax(1), log_d.logsumexp(1)
""",
        ),
        (
            "numpy, image by image",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    import numpy as np
    log_m, log_d, log_c = (np.asarray(v) for v in (log_m, log_d, log_c))
    e, log_Z = np.zeros(log_d.shape), np.zeros(len(log_d))
    for n in range(len(log_d)):
        a = log_m + lam * log_d[n] + gam * log_c[n]
        log_Z[n] = np.logaddexp.reduce(a)
        e[n] = np.exp(a - log_Z[n])
    return e, log_Z
""",
        ),
        (
            "single precision",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    a = log_m.float() + lam * log_d.float() + gam * log_c.float()
    log_Z = a.logsumexp(1)
    return (a - log_Z[:, None]).exp(), log_Z
""",
        ),
        (
            "nested lists of Python numbers",
            """
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    import math
    rows, logs = [], []
    for d, c in zip(log_d.tolist(), log_c.tolist()):
        a = [m + lam * u + gam * v for m, u, v in zip(log_m.tolist(), d, c)]
        top = max(a)
        z = sum(math.exp(t - top) for t in a)
        rows.append([math.exp(t - top) / z for t in a])
        logs.append(top + math.log(z))
    return rows, logs
""",
        ),
    ],
    "ex-3-4": [
        (
            "term by term, R + λD + γC + log Z",
            """
def excess(e, log_m, log_d, log_c, lam, gam):
    log_e = torch.where(e > 0, e, torch.ones_like(e)).log()
    R, D, C = (e * (log_e - log_m)).sum(1), -(e * log_d).sum(1), -(e * log_c).sum(1)
    return R + lam * D + gam * C + torch.logsumexp(log_m + lam * log_d + gam * log_c, 1)
""",
        ),
        (
            "numpy and a loop over the images, a list",
            """
def excess(e, log_m, log_d, log_c, lam, gam):
    import numpy as np
    result = []
    for row, d, c in zip(e.numpy(), log_d.numpy(), log_c.numpy()):
        a = log_m.numpy() + lam * d + gam * c
        used = row > 0
        result.append(np.sum(row[used] * (np.log(row[used]) - a[used])) + np.logaddexp.reduce(a))
    return result
""",
        ),
        (
            "PyTorch's own divergence",
            """
def excess(e, log_m, log_d, log_c, lam, gam):
    log_best = (log_m + lam * log_d + gam * log_c).log_softmax(-1)
    return torch.nn.functional.kl_div(log_best, e, reduction="none").sum(-1)
""",
        ),
        (
            "single precision",
            """
def excess(e, log_m, log_d, log_c, lam, gam):
    a = (log_m + lam * log_d + gam * log_c).float()
    e = e.float()
    return -torch.special.entr(e).sum(1) - (e * (a - a.logsumexp(1, keepdim=True))).sum(1)
""",
        ),
    ],
    "ex-3-5": [
        (
            "two log sums",
            """
def effective_sample_size(log_w):
    return torch.exp(2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0))
""",
        ),
        (
            "numpy, the largest taken out",
            """
def effective_sample_size(log_w):
    import numpy as np
    w = np.exp(np.asarray(log_w) - np.max(np.asarray(log_w)))
    return w.sum() ** 2 / (w @ w)
""",
        ),
        (
            "single precision, a list of one",
            """
def effective_sample_size(log_w):
    w = torch.exp(log_w.float() - log_w.float().max())
    return [w.sum().square() / w.square().sum()]
""",
        ),
        (
            "by the spread of the weights, n",
            """
def effective_sample_size(log_w):
    w = torch.softmax(log_w, 0)
    return len(w) / (1 + w.var(correction=0) / w.mean() ** 2)
""",
        ),
    ],
}

CARD = "torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor([[0.125, 0.5, 0.5]]).log(), torch.tensor([[0.5, 0.5, 1.0]]).log(), 1.0, 1.0"
STATED = {
    "ex-3-1": [("17/128", "postcard(2.0, 0.0)", "17 / 128")],
    "ex-3-7": [
        ("N(2, \\tfrac13)", "tempered(3.0, 1.0, 1.0)[0]", "2"),
        ("\\tfrac13", "tempered(3.0, 1.0, 1.0)[1]", "1 / 3"),
    ],
    "ex-3-3": [
        ("\\tfrac17", f"gibbs_encoder({CARD})[0][0, 0]", "1 / 7"),
        ("\\tfrac27", f"gibbs_encoder({CARD})[0][0, 1]", "2 / 7"),
        ("\\tfrac47", f"gibbs_encoder({CARD})[0][0, 2]", "4 / 7"),
        ("-1.520", f"gibbs_encoder({CARD})[1][0]"),
        ("\\log\\tfrac7{32}", f"gibbs_encoder({CARD})[1][0]", "__import__('math').log(7 / 32)"),
    ],
    "ex-3-4": [
        ("0.560", f"excess(torch.tensor([[0.0, 0.0, 1.0]]), {CARD})[0]"),
        (
            "\\log\\tfrac74",
            f"excess(torch.tensor([[0.0, 0.0, 1.0]]), {CARD})[0]",
            "__import__('math').log(7 / 4)",
        ),
    ],
    "ex-3-5": [("16/10 = 1.6", "effective_sample_size(torch.tensor([3.0, 1.0]).log())", "1.6")],
}
