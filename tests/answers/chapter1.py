"""Plausible wrong answers to the exercises of chapter 1."""

GAPS = '''
def close_gaps(p_x, encoder):
    joint = p_x[:, None] * encoder
    m, d = joint.sum(0), (joint / joint.sum(0)).T
'''

BRACKET = '''
def bracket(p_x, energy, m):
    log_z = torch.logsumexp(m.log() - energy, 1)
    log_c = torch.logsumexp(p_x.log()[:, None] - energy - log_z[:, None], 0)
    G = -(p_x @ log_z)
'''

WATER = '''
def gaussian_rate(variances, D):
    low, high = 0.0, float(variances.max())
    for _ in range(200):
        level = 0.5 * (low + high)
        low, high = (level, high) if float(variances.clamp(max=level).sum()) < D else (low, level)
    rate = 0.5 * (variances / high).clamp(min=1).log().sum()
'''

WRONG = {
    "ex-1-convention": [
        ("the half forgotten", "½ is missing", '''
def convert(lam, rate, distortion):
    return lam * 255**2, rate, distortion / 255**2
'''),
        ("the half on the wrong side", "wrong side", '''
def convert(lam, rate, distortion):
    return lam * 2 * 255**2, rate, distortion / 255**2 / 2
'''),
        ("pixels not squared", "pixels are squared", '''
def convert(lam, rate, distortion):
    return lam * 255 / 2, rate, 2 * distortion / 255
'''),
        ("the rate converted too", "rate needs no conversion", '''
def convert(lam, rate, distortion):
    return lam * 255**2 / 2, rate * 255**2 / 2, 2 * distortion / 255**2
'''),
        ("the price left alone", "must not change", '''
def convert(lam, rate, distortion):
    return lam, rate, 2 * distortion / 255**2
'''),
        ("the distortion left alone", "not converted", '''
def convert(lam, rate, distortion):
    return lam, rate, distortion
'''),
        ("two numbers", "three things", '''
def convert(lam, rate, distortion):
    return lam * 255**2 / 2, 2 * distortion / 255**2
'''),
    ],
    "ex-1-gaps": [
        ("x weighed evenly", r"weigh each x with p\(x\)", '''
def close_gaps(p_x, encoder):
    joint = encoder / len(p_x)
    return joint.sum(0), (joint / joint.sum(0)).T
'''),
        ("a uniform marginal", "uniform", GAPS + "    return torch.full_like(m, 1 / len(m)), d\n"),
        ("the decoder transposed", "transposed", GAPS + "    return m, d.T\n"),
        ("the encoder turned round and normalised", "turned round", GAPS + "    return m, encoder.T / encoder.T.sum(1, keepdim=True)\n"),
        ("the encoder turned round", "turned round", GAPS + "    return m, encoder.T\n"),
        ("the joint law", "joint law", GAPS + "    return m, joint.T\n"),
        ("a sharpened decoder", "not Bayes", GAPS + "    return m, d**2\n"),
        ("a squared marginal", "must vanish", GAPS + "    return m**2, d\n"),
        ("the marginal alone", "two things", GAPS + "    return m\n"),
    ],
    "ex-1-certificate": [
        ("log Z without its minus", "MINUS", BRACKET + "    return -G - log_c.max(), -G\n"),
        ("x weighed evenly", "weighed with p", BRACKET + "    return -log_z.mean() - log_c.max(), -log_z.mean()\n"),
        ("c in place of its logarithm", "not max c", BRACKET + "    return G - log_c.exp().max(), G\n"),
        ("the gap added", "subtract the gap", BRACKET + "    return G + log_c.max(), G\n"),
        ("an average over the notes", "certifies nothing", BRACKET + "    return G - m @ log_c, G\n"),
        ("no gap", "above the minimum", BRACKET + "    return G, G\n"),
        ("twice the gap", "not the bound", BRACKET + "    return G - 2 * log_c.max(), G\n"),
        ("without logarithms", "underflows", '''
def bracket(p_x, energy, m):
    Z = torch.exp(-energy) @ m
    c = (p_x / Z) @ torch.exp(-energy)
    G = -(p_x @ Z.log())
    return G - c.log().max(), G
'''),
    ],
    "ex-1-water": [
        ("the distortion shared evenly", "shared evenly", '''
def gaussian_rate(variances, D):
    return 0.5 * (variances * len(variances) / D).log().sum()
'''),
        ("the level not raised", "give D", '''
def gaussian_rate(variances, D):
    return 0.5 * (variances * len(variances) / D).clamp(min=1).log().sum()
'''),
        ("the half forgotten", "½ is missing", WATER + "    return 2 * rate\n"),
        ("bits", "bits", WATER + "    return rate / math.log(2)\n"),
        ("a negative rate", "< 0", WATER + "    return rate if D < 4 else torch.tensor(-0.3)\n"),
        ("no answer where no code is needed", "no case matched", WATER + "    return rate if D < 4 else None\n"),
    ],
    "ex-1-split": [
        ("the two forgotten", "twice too large", '''
def first_split(x):
    centred = x - x.mean(0)
    return float(1 / torch.linalg.eigvalsh(centred.T @ centred / len(x))[-1])
'''),
        ("the total variance", "total variance", '''
def first_split(x):
    return float(1 / (2 * x.var(0, correction=0).sum()))
'''),
        ("the smallest eigenvalue", "largest variance", '''
def first_split(x):
    centred = x - x.mean(0)
    return float(1 / (2 * torch.linalg.eigvalsh(centred.T @ centred / len(x))[0]))
'''),
        ("the inverse", "inverse", '''
def first_split(x):
    centred = x - x.mean(0)
    return float(2 * torch.linalg.eigvalsh(centred.T @ centred / len(x))[-1])
'''),
        ("the mean not subtracted", "subtract the mean", '''
def first_split(x):
    return float(1 / (2 * torch.linalg.eigvalsh(x.T @ x / len(x))[-1]))
'''),
        ("the pixel of largest variance", "need not be a pixel", '''
def first_split(x):
    return float(1 / (2 * x.var(0, correction=0).max()))
'''),
        ("the unbiased covariance", "too small", '''
def first_split(x):
    return float(1 / (2 * torch.linalg.eigvalsh(torch.cov(x.T))[-1]))
'''),
    ],
}
