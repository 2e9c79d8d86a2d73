"""Plausible wrong answers to the exercises of chapter 3."""

GIBBS = '''
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d + gam * log_c
    e, log_Z = torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
'''

EXCESS = '''
def excess(e, log_m, log_d, log_c, lam, gam):
    minus_H = log_m + lam * log_d + gam * log_c
    log_best, log_Z = torch.log_softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
    kl = (torch.xlogy(e, e) - e * log_best).sum(1)
'''

WRONG = {
    "ex-3-1": [
        ("the prices exchanged", "prices are exchanged", '''
def postcard(lam, gam):
    return 0.5 * 8.0**-gam * 2.0**-lam + 0.25 * 2.0**-gam * 2.0**-lam + 0.25 * 2.0**-gam
'''),
        ("no marginal", "m is missing", '''
def postcard(lam, gam):
    return 8.0**-lam * 2.0**-gam + 2.0**-lam * 2.0**-gam + 2.0**-lam
'''),
        ("prices as factors", "exponents, not factors", '''
def postcard(lam, gam):
    return lam * gam * (0.5 / 8 * 0.5 + 0.25 * 0.5 * 0.5 + 0.25 * 0.5)
'''),
        ("the free energy", "return Z itself", '''
def postcard(lam, gam):
    Z = 0.5 * 8.0**-lam * 2.0**-gam + 0.25 * 2.0**-lam * 2.0**-gam + 0.25 * 2.0**-lam
    return -float(torch.tensor(Z).log())
'''),
        ("the classifier left out", "add up to", '''
def postcard(lam, gam):
    return 0.5 * 8.0**-lam + 0.25 * 2.0**-lam + 0.25 * 2.0**-lam
'''),
    ],
    "ex-3-7": [
        ("a Gaussian with its half", "no ½", '''
def tempered(x, w, lam):
    return lam * w * x / (1 + lam * w**2), 1 / (1 + lam * w**2)
'''),
        ("the standard deviation", "standard deviation", '''
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return 2 * lam * w * x / precision, precision**-0.5
'''),
        ("the precision", "inverse", '''
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return 2 * lam * w * x / precision, precision
'''),
        ("the prior left out", "m is missing", '''
def tempered(x, w, lam):
    return x / w, 1 / (2 * lam * w**2)
'''),
        ("w lost in the mean", "complete the square", '''
def tempered(x, w, lam):
    precision = 1 + 2 * lam * w**2
    return 2 * lam * x / precision, 1 / precision
'''),
        ("the mean alone", "two numbers", '''
def tempered(x, w, lam):
    return [2 * lam * w * x / (1 + 2 * lam * w**2)]
'''),
    ],
    "ex-3-3": [
        ("the marginal left out", "marginal m is missing", '''
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = lam * log_d + gam * log_c
    return torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
'''),
        ("the prices exchanged", "prices are exchanged", '''
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    minus_H = log_m + gam * log_d + lam * log_c
    return torch.softmax(minus_H, 1), torch.logsumexp(minus_H, 1)
'''),
        ("the free energy", "the free energy", GIBBS + "    return e, -log_Z\n"),
        ("the encoder transposed", "shapes", GIBBS + "    return e.T, log_Z\n"),
        ("normalised over the images", "sum to one, over the codes", GIBBS + "    return e / e.sum(0), log_Z\n"),
        ("log Z shifted", "not the log of the sum", GIBBS + "    return e, log_Z + 1\n"),
        ("the encoder alone", "return two tensors", GIBBS + "    return e\n"),
        ("products in place of logarithms", "stay in logarithms", '''
def gibbs_encoder(log_m, log_d, log_c, lam, gam):
    product = log_m.exp() * log_d.exp() ** lam * log_c.exp() ** gam
    return product / product.sum(1, keepdim=True), product.sum(1).log()
'''),
    ],
    "ex-3-4": [
        ("the divergence the other way round", r"KL\(e\* ‖ e\)", EXCESS + "    return (log_best.exp() * (log_best - e.log())).sum(1)\n"),
        ("the cost of e itself", "subtract the cost of e", EXCESS + "    return kl - log_Z\n"),
        ("a mean over the images", "one number an image", EXCESS + "    return kl.mean()\n"),
        ("0 log 0", "0 log 0 is 0", EXCESS + "    return (e * (e.log() - log_best)).sum(1)\n"),
        ("twice as much", "not R", EXCESS + "    return 2 * kl\n"),
    ],
    "ex-3-5": [
        ("the inverse", "50 equal weights", '''
def effective_sample_size(log_w):
    return float(torch.softmax(log_w, 0).square().sum())
'''),
        ("over the largest weight", "over the largest weight", '''
def effective_sample_size(log_w):
    return float(log_w.exp().sum() / log_w.exp().max())
'''),
        ("without logarithms", "common factor", '''
def effective_sample_size(log_w):
    return float(log_w.exp().sum() ** 2 / log_w.exp().square().sum())
'''),
        ("the exponential of the entropy", "1.6 effective samples", '''
def effective_sample_size(log_w):
    return float(torch.special.entr(torch.softmax(log_w, 0)).sum().exp())
'''),
    ],
}
