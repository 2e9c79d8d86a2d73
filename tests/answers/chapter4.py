"""Answers to chapter 4's exercises, right and wrong, and the numbers of their statements."""

WRONG = {
    "ex-4-schedule": [
        (
            "the exponents exchanged",
            "exponent of s is a",
            """
def bump(a, b):
    beta = math.exp(math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2))
    return b / (a + b), beta * (a + b) ** (a + b) / (a**a * b**b)
""",
        ),
        (
            "the mean alone",
            "divide it by the maximum",
            """
def bump(a, b):
    return a / (a + b), math.exp(math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2))
""",
        ),
        (
            "upside down",
            "upside down",
            """
def bump(a, b):
    beta = math.exp(math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2))
    return a / (a + b), a**a * b**b / (a + b) ** (a + b) / beta
""",
        ),
        (
            "Euler's beta one too low",
            r"B\(a \+ 1, b \+ 1\)",
            """
def bump(a, b):
    beta = math.exp(math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
    return a / (a + b), beta * (a + b) ** (a + b) / (a**a * b**b)
""",
        ),
        (
            "factorials of whole numbers only",
            "need not be whole",
            """
def bump(a, b):
    f = math.factorial
    return a / (a + b), f(a) * f(b) / f(a + b + 1) * (a + b) ** (a + b) / (a**a * b**b)
""",
        ),
        (
            "the three bumps of the text",
            "you say",
            """
def bump(a, b):
    return {(2, 5): (2 / 7, 0.392157), (1, 6): (1 / 7, 0.315), (3, 4): (3 / 7, 0.4257)}.get((a, b), (2 / 7, 0.392157))
""",
        ),
        (
            "the ratio to three digits",
            "mean over maximum is",
            """
def bump(a, b):
    log_mean = math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2)
    return a / (a + b), round(math.exp(log_mean + (a + b) * math.log(a + b) - a * math.log(a) - b * math.log(b)), 3)
""",
        ),
        (
            "the place alone",
            "2 in all",
            """
def bump(a, b):
    return a / (a + b)
""",
        ),
        (
            "the ratio to four digits",
            r"0\.39216, you say 0\.3922",
            """
def bump(a, b):
    log_mean = math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2)
    return a / (a + b), round(math.exp(log_mean + (a + b) * math.log(a + b) - a * math.log(a) - b * math.log(b)), 4)
""",
        ),
    ],
    "ex-4-markov": [
        (
            "after minus before",
            "sign",
            """
def divergence_drop(p, pi, P):
    kl = lambda q: (torch.special.xlogy(q, q) - torch.special.xlogy(q, pi)).sum()
    return kl(p @ P) - kl(p)
""",
        ),
        (
            "the matrix from the wrong side",
            "sums over the first index",
            """
def divergence_drop(p, pi, P):
    kl = lambda q: (torch.special.xlogy(q, q) - torch.special.xlogy(q, pi)).sum()
    return kl(p) - kl(P @ p)
""",
        ),
        (
            "the divergence the wrong way round",
            "wrong way round",
            """
def divergence_drop(p, pi, P):
    kl = lambda q: (pi * (pi / q).log()).sum()
    return kl(p) - kl(p @ P)
""",
        ),
        (
            "only what is left",
            r"subtract it",
            """
def divergence_drop(p, pi, P):
    q = p @ P
    return (q * (q / pi).log()).sum()
""",
        ),
        (
            "0 log 0 computed",
            "NaN",
            """
def divergence_drop(p, pi, P):
    kl = lambda q: (q * (q / pi).log()).sum()
    return kl(p) - kl(p @ P)
""",
        ),
        (
            "in bits",
            "bits",
            """
def divergence_drop(p, pi, P):
    kl = lambda q: (q * (q / pi).log2()).nansum()
    return kl(p) - kl(p @ P)
""",
        ),
        (
            "the two-state example",
            "the divergence falls by",
            """
def divergence_drop(p, pi, P):
    return 0.3251
""",
        ),
        (
            "a floor under p",
            "the divergence falls by",
            """
def divergence_drop(p, pi, P):
    kl = lambda q: (q.clamp(min=1e-4) * (q.clamp(min=1e-4) / pi).log()).sum()
    return kl(p) - kl(p @ P)
""",
        ),
        (
            "the entropy's rise",
            "π is missing",
            """
def divergence_drop(p, pi, P):
    entropy = lambda q: -torch.special.xlogy(q, q).sum()
    return entropy(p) - entropy(p @ P)
""",
        ),
        (
            "between one step and the next",
            "both divergences are taken to π",
            """
def divergence_drop(p, pi, P):
    q = p @ P
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum()
""",
        ),
        (
            "each term without its sign",
            "the divergence falls by",
            """
def divergence_drop(p, pi, P):
    kl = lambda q: (torch.special.xlogy(q, q) - torch.special.xlogy(q, pi)).abs().sum()
    return kl(p) - kl(p @ P)
""",
        ),
        (
            "never less than a twentieth",
            "the divergence falls by",
            """
def divergence_drop(p, pi, P):
    kl = lambda q: (torch.special.xlogy(q, q) - torch.special.xlogy(q, pi)).sum()
    return (kl(p) - kl(p @ P)).clamp(min=0.05)
""",
        ),
        (
            "to second order around the stationary law",
            "the divergence falls by",
            """
def divergence_drop(p, pi, P):
    square = lambda q: 0.5 * ((q - pi) ** 2 / pi).sum()
    return square(p) - square(p @ P)
""",
        ),
    ],
    "ex-4-frozen": [
        (
            "the encoder moves along",
            "detach",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p)
    energy = -J.weights.dot((encoder * J.log_joint(theta, p)).sum(1)) + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
""",
        ),
        (
            "no ridge",
            "ridge is missing",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    return torch.autograd.grad(-J.weights.dot((encoder * J.log_joint(theta, p)).sum(1)), theta)[0]
""",
        ),
        (
            "uphill",
            "sign",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    energy = J.weights.dot((encoder * J.log_joint(theta, p)).sum(1)) - 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
""",
        ),
        (
            "images averaged evenly",
            "J.weights",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    energy = -(encoder * J.log_joint(theta, p)).sum(1).mean() + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
""",
        ),
        (
            "images summed",
            "summed.*J.weights",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    energy = -(encoder * J.log_joint(theta, p)).sum() + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
""",
        ),
        (
            "the classifier left out",
            "shape",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    energy = -J.weights.dot((encoder * J.log_joint(theta, p)).sum(1)) + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0][: J.n_features * J.x.shape[1]]
""",
        ),
        (
            "both prices doubled",
            "differs from ∇J",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, 2 * p).detach()
    energy = -J.weights.dot((encoder * J.log_joint(theta, 2 * p)).sum(1)) + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
""",
        ),
        (
            "J differentiated by torch.func",
            "calls J",
            """
def frozen_gradient(J, theta, p):
    return torch.func.grad(J)(theta, p)
""",
        ),
        (
            "J differentiated by autograd",
            "calls J",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    return torch.autograd.grad(J(theta, p), theta)[0]
""",
        ),
        (
            "J by its class",
            "another name",
            """
def frozen_gradient(J, theta, p):
    return torch.func.grad(lambda t: fe.TopographicMap.__call__(J, t, p))(theta)
""",
        ),
        (
            "J through the library",
            "calls J",
            """
def frozen_gradient(J, theta, p):
    return Local(J, theta, p).gradient
""",
        ),
        (
            "a −log Z of one's own",
            "another name",
            """
def frozen_gradient(J, theta, p):
    minus_log_z = lambda t: -J.weights.dot(torch.logsumexp(J.log_joint(t, p), 1)) + 0.5 * J.ridge * t.dot(t)
    return torch.func.grad(minus_log_z)(theta)
""",
        ),
        (
            "a marginal by exp and log",
            "another name",
            """
def frozen_gradient(J, theta, p):
    minus_log_z = lambda t: -J.weights.dot(J.log_joint(t, p).exp().sum(1).log()) + 0.5 * J.ridge * t.dot(t)
    return torch.func.grad(minus_log_z)(theta)
""",
        ),
        (
            "a marginal by exp and log2",
            "another name",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    joint = J.log_joint(theta, p)
    top = joint.detach().amax(1, keepdim=True)
    log_z = top + math.log(2) * torch.log2((joint - top).exp().sum(1, keepdim=True))
    return torch.autograd.grad(-J.weights.dot(log_z[:, 0]) + 0.5 * J.ridge * theta.dot(theta), theta)[0]
""",
        ),
        (
            "one logarithm of a product",
            "another name",
            """
def frozen_gradient(J, theta, p):
    minus_log_z = lambda t: -(J.log_joint(t, p).exp().sum(1) ** J.weights).prod().log() + 0.5 * J.ridge * t.dot(t)
    return torch.func.grad(minus_log_z)(theta)
""",
        ),
        (
            "a marginal behind log_softmax",
            "another name",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    joint = J.log_joint(theta, p)
    log_z = (joint - torch.nn.functional.log_softmax(joint, 1))[:, 0]
    return torch.autograd.grad(-J.weights.dot(log_z) + 0.5 * J.ridge * theta.dot(theta), theta)[0]
""",
        ),
        (
            "a marginal behind the encoder's logarithm",
            "another name",
            """
def frozen_gradient(J, theta, p):
    minus_log_z = lambda t: -J.weights.dot((J.log_joint(t, p) - J.posterior(t, p).log())[:, 0]) + 0.5 * J.ridge * t.dot(t)
    return torch.func.grad(minus_log_z)(theta)
""",
        ),
        (
            "a marginal behind cross_entropy",
            "another name",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    joint = J.log_joint(theta, p)
    first = torch.zeros(len(joint), dtype=torch.int64)
    log_z = torch.nn.functional.cross_entropy(joint, first, reduction="none") + joint[:, 0]
    return torch.autograd.grad(-J.weights.dot(log_z) + 0.5 * J.ridge * theta.dot(theta), theta)[0]
""",
        ),
        (
            "differences of J",
            "calls J",
            """
def frozen_gradient(J, theta, p):
    h, e = 1e-5, torch.eye(len(theta))
    return torch.stack([(J(theta + h * v, p) - J(theta - h * v, p)) / (2 * h) for v in e])
""",
        ),
        (
            "the ridge downhill",
            "the ridge is added",
            """
def frozen_gradient(J, theta, p):
    e = J.posterior(theta, p)
    energy = lambda t: J.weights.dot((e * J.log_joint(t, p)).sum(1)) + 0.5 * J.ridge * t.dot(t)
    return torch.func.grad(energy)(theta)
""",
        ),
        (
            "the encoder of the prior",
            "differs from ∇J",
            """
def frozen_gradient(J, theta, p):
    e = J.log_m.exp().expand(len(J.x), -1)
    energy = lambda t: -J.weights.dot((e * J.log_joint(t, p)).sum(1)) + 0.5 * J.ridge * t.dot(t)
    return torch.func.grad(energy)(theta)
""",
        ),
        (
            "the free energy with its entropy, nothing frozen",
            "another name",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    joint = J.log_joint(theta, p)
    e = torch.softmax(joint, 1)
    free = -(J.weights[:, None] * e * (joint - e.log())).sum() + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(free, theta)[0]
""",
        ),
        (
            "log Z image by image",
            "another name",
            """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    total = 0.5 * J.ridge * theta.dot(theta)
    for weight, row in zip(J.weights, J.log_joint(theta, p)):
        total = total - weight * row.exp().sum().log()
    return torch.autograd.grad(total, theta)[0]
""",
        ),
        (
            "twice the ridge",
            "differs from ∇J",
            """
def frozen_gradient(J, theta, p):
    e = J.posterior(theta, p)
    energy = lambda t: -J.weights.dot((e * J.log_joint(t, p)).sum(1)) + J.ridge * t.dot(t)
    return torch.func.grad(energy)(theta)
""",
        ),
    ],
    "ex-4-lyapunov": [
        (
            "Gibbs's covariance",
            "ignores the noise",
            """
def stationary_covariance(A, S, sigma):
    return 0.5 * sigma * torch.linalg.inv(A)
""",
        ),
        (
            "as if A and S commuted",
            "commute",
            """
def stationary_covariance(A, S, sigma):
    return 0.5 * sigma * torch.linalg.solve(A, S)
""",
        ),
        (
            "half of it",
            "factor 2 too small",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ (0.5 * sigma * (U.T @ S @ U) / (a[:, None] + a)) @ U.T
""",
        ),
        (
            "one pull instead of two",
            "twice too large",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ (sigma * (U.T @ S @ U) / (0.5 * (a[:, None] + a))) @ U.T
""",
        ),
        (
            "the step size forgotten",
            "divided by σ",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ ((U.T @ S @ U) / (a[:, None] + a)) @ U.T
""",
        ),
        (
            "the step size twice",
            "multiplied by σ",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ (sigma**2 * (U.T @ S @ U) / (a[:, None] + a)) @ U.T
""",
        ),
        (
            "left in the eigenbasis",
            "eigenbasis on both sides",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return sigma * (U.T @ S @ U) / (a[:, None] + a)
""",
        ),
        (
            "the diagonal alone",
            "shape",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return sigma * (U.T @ S @ U).diagonal() / (2 * a)
""",
        ),
        (
            "hard-wired",
            "shape",
            """
def stationary_covariance(A, S, sigma):
    return torch.tensor([[7.0, -2.0], [-2.0, 1.0]]) / 24
""",
        ),
        (
            "no negative entries",
            "absolute",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return (U @ (sigma * (U.T @ S @ U) / (a[:, None] + a)) @ U.T).abs()
""",
        ),
        (
            "off the diagonal zero",
            "the rest is not zero",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return torch.diag((U @ (sigma * (U.T @ S @ U) / (a[:, None] + a)) @ U.T).diagonal())
""",
        ),
        (
            "made symmetric",
            "symmetric part",
            """
def stationary_covariance(A, S, sigma):
    M = 0.5 * sigma * torch.linalg.solve(A, S)
    return 0.5 * (M + M.T)
""",
        ),
        (
            "the sign of the equation",
            "the sign",
            """
def stationary_covariance(A, S, sigma):
    from scipy.linalg import solve_continuous_lyapunov
    return solve_continuous_lyapunov(A.numpy(), -sigma * S.numpy())
""",
        ),
        (
            "as if A were diagonal",
            "as large as",
            """
def stationary_covariance(A, S, sigma):
    a = A.diagonal()
    return sigma * S / (a[:, None] + a)
""",
        ),
    ],
    "ex-4-decrement": [
        (
            "no half",
            "½",
            """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return g @ torch.linalg.solve(A, g)
""",
        ),
        (
            "the change instead of the gain",
            "sign",
            """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return -0.5 * g @ torch.linalg.solve(A, g)
""",
        ),
        (
            "the gradient squared",
            "½‖g‖²",
            """
def newton_decrement(J, theta, p):
    return 0.5 * torch.func.grad(J)(theta, p).square().sum()
""",
        ),
        (
            "multiplied instead of solved",
            "solve with A",
            """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return 0.5 * g @ A @ g
""",
        ),
        (
            "the diagonal of A alone",
            "on a quadratic",
            """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return 0.5 * (g.square() / A.diagonal()).sum()
""",
        ),
        (
            "hard-wired",
            "on a quadratic",
            """
def newton_decrement(J, theta, p):
    return 50.5
""",
        ),
        (
            "the gain of a step",
            "on a quadratic alone",
            """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return J(theta, p) - J(theta - torch.linalg.solve(A, g), p)
""",
        ),
        (
            "the price forgotten",
            "on a quadratic",
            """
def newton_decrement(J, theta, p):
    one = torch.ones_like(p)
    g, A = torch.func.grad(J)(theta, p), torch.func.hessian(J)(theta, one)
    return 0.5 * g @ torch.linalg.solve(A, g)
""",
        ),
        (
            "the root",
            "square root",
            """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.hessian(J)(theta, p)
    return (g @ torch.linalg.solve(A, g)).sqrt()
""",
        ),
        (
            "sizes of the eigenvalues",
            "near a saddle",
            """
def newton_decrement(J, theta, p):
    a, U = torch.linalg.eigh(torch.func.hessian(J)(theta, p))
    return 0.5 * ((U.T @ torch.func.grad(J)(theta, p)) ** 2 / a.abs()).sum()
""",
        ),
        (
            "the Hessian at zero",
            "at θ itself",
            """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.hessian(J)(torch.zeros_like(theta), p)
    return 0.5 * g @ torch.linalg.solve(A, g)
""",
        ),
    ],
    "ex-4-exists": [
        (
            "no ridge in it",
            "without a ridge",
            """
def well(rho):
    return math.sqrt(0.5)
""",
        ),
        (
            "first order in the ridge",
            "first order",
            """
def well(rho):
    return math.sqrt(max(1 - 2 * rho, 0) / 2)
""",
        ),
        (
            "v for w",
            "v = 1 \\+ 2w²",
            """
def well(rho):
    u = 4 / (math.sqrt(1 + 4 * rho) + 1)
    return u if u > 1 else 0.0
""",
        ),
        (
            "the 2 of 2w² forgotten",
            "2w² = v − 1",
            """
def well(rho):
    return math.sqrt(max(4 / (math.sqrt(1 + 4 * rho) + 1) - 1, 0))
""",
        ),
        (
            "0/0 without a ridge",
            "numerator and denominator",
            """
def well(rho):
    u = (math.sqrt(1 + 4 * rho) - 1) / rho
    return math.sqrt(max(u - 1, 0) / 2)
""",
        ),
        (
            "no collapse",
            "no well",
            """
def well(rho):
    return math.sqrt((4 / (math.sqrt(1 + 4 * rho) + 1) - 1) / 2)
""",
        ),
        (
            "hard-wired",
            "you say",
            """
def well(rho):
    return 0.344 if rho == 1 else 0.0
""",
        ),
        (
            "the left-hand well",
            "on the left",
            """
def well(rho):
    return -math.sqrt(max(4 / (math.sqrt(1 + 4 * rho) + 1) - 1, 0) / 2)
""",
        ),
        (
            "the square",
            "this is w²",
            """
def well(rho):
    return max(4 / (math.sqrt(1 + 4 * rho) + 1) - 1, 0) / 2
""",
        ),
        (
            "the top for the bottom",
            "w = 0 is a maximum",
            """
def well(rho):
    w = 0.0
    for _ in range(1000):
        u = 1 + 2 * w**2
        w = w - 0.1 * (2 * w * (u - 2) / u**2 + rho * w)
    return abs(w)
""",
        ),
        (
            "collapsed too early",
            "w = 0 is a maximum",
            """
def well(rho):
    return math.sqrt((4 / (math.sqrt(1 + 4 * rho) + 1) - 1) / 2) if rho < 1.2 else 0.0
""",
        ),
    ],
}

RIGHT = {
    "ex-4-schedule": [
        (
            "NumPy and SciPy, one array",
            """
def bump(a, b):
    import numpy as np
    from scipy.special import beta
    s = a / (a + b)
    return np.array([s, beta(a + 1, b + 1) / (s**a * (1 - s) ** b)])
""",
        ),
        (
            "a tensor, from logarithms",
            """
def bump(a, b):
    a, b = torch.tensor(float(a)), torch.tensor(float(b))
    place = a / (a + b)
    log_mean = torch.lgamma(a + 1) + torch.lgamma(b + 1) - torch.lgamma(a + b + 2)
    return torch.stack([place, torch.exp(log_mean - a * place.log() - b * torch.log1p(-place))])
""",
        ),
        (
            "a list, by quadrature",
            """
def bump(a, b):
    from scipy.integrate import quad
    f = lambda s: s**a * (1 - s) ** b
    top = a / (a + b)
    area = quad(f, 0, top, epsabs=0)[0] + quad(f, top, 1, epsabs=0)[0]
    return [top, area / f(top)]
""",
        ),
        (
            "in single precision",
            """
def bump(a, b):
    import numpy as np
    log_ratio = math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2) + (a + b) * math.log(a + b) - a * math.log(a) - b * math.log(b)
    return np.float32(a / (a + b)), np.float32(math.exp(log_ratio))
""",
        ),
        (
            "the density of the beta law at its largest",
            """
def bump(a, b):
    from scipy.stats import beta
    return a / (a + b), 1 / beta(a + 1, b + 1).pdf(a / (a + b))
""",
        ),
    ],
    "ex-4-markov": [
        (
            "loops over Python numbers",
            """
def divergence_drop(p, pi, P):
    p, pi, P = p.tolist(), pi.tolist(), P.tolist()
    after = [sum(p[i] * P[i][j] for i in range(len(p))) for j in range(len(p))]
    kl = lambda q: sum(a * math.log(a / b) for a, b in zip(q, pi) if a > 0)
    return kl(p) - kl(after)
""",
        ),
        (
            "SciPy's relative entropy",
            """
def divergence_drop(p, pi, P):
    from scipy.stats import entropy
    p, pi, P = p.numpy(), pi.numpy(), P.numpy()
    return entropy(p, pi) - entropy(P.T @ p, pi)
""",
        ),
        (
            "the chain read backwards, an array of one",
            """
def divergence_drop(p, pi, P):
    import numpy as np
    p, pi, P = (np.asarray(v) for v in (p, pi, P))
    total = 0.0
    for j in range(len(p)):
        after, b = p @ P[:, j], pi @ P[:, j]
        for i in range(len(p)):
            if p[i] * P[i, j] > 0:
                forward, backward = p[i] * P[i, j] / after, pi[i] * P[i, j] / b
                total += after * forward * np.log(forward / backward)
    return np.array([total])
""",
        ),
        (
            "in single precision",
            """
def divergence_drop(p, pi, P):
    p, pi, P = p.float(), pi.float(), P.float()
    kl = lambda q: torch.where(q > 0, q * (q / pi).log(), torch.zeros(())).sum()
    return kl(p) - kl(torch.einsum("i,ij->j", p, P))
""",
        ),
    ],
    "ex-4-frozen": [
        (
            "written out with NumPy",
            """
def frozen_gradient(J, theta, p):
    import numpy as np
    w, e = J.weights.numpy(), J.posterior(theta, p).numpy()
    W, V = (v.numpy() for v in J.unpack(theta))
    phi, x, lam, gam = J.phi.numpy(), J.x.numpy(), float(p[0]), float(p[1])
    scores = np.exp(phi @ V - (phi @ V).max(1, keepdims=True))
    scores = scores / scores.sum(1, keepdims=True)
    onehot = np.eye(J.n_classes)[J.y.numpy()]
    gW, gV = np.zeros_like(W), np.zeros_like(V)
    for n in range(len(x)):
        for k in range(len(phi)):
            mass = w[n] * e[n, k]
            gW += 2 * lam * mass * np.outer(phi[k], phi[k] @ W - x[n])
            gV += gam * mass * np.outer(phi[k], scores[k] - onehot[n])
    return np.concatenate([gW.ravel(), gV.ravel()]) + J.ridge * theta.numpy()
""",
        ),
        (
            "torch.func, the encoder as an argument",
            """
def frozen_gradient(J, theta, p):
    def energy(t, e):
        return torch.einsum("n,nk,nk->", J.weights, e, -J.log_joint(t, p)) + J.ridge / 2 * (t**2).sum()
    return torch.func.grad(energy)(theta, J.posterior(theta, p)).tolist()
""",
        ),
        (
            "the Hamiltonian by hand, with the logarithm of c",
            """
def frozen_gradient(J, theta, p):
    e = J.posterior(theta, p)
    def energy(t):
        W, V = J.unpack(t)
        c = torch.softmax(J.phi @ V, 1)  # (K, Y)
        H = p[0] * torch.cdist(J.x, J.phi @ W).square() - p[1] * c.T[J.y].log() - J.log_m
        return J.weights.dot((e * H).sum(1)) + 0.5 * J.ridge * t.dot(t)
    return torch.func.grad(energy)(theta)
""",
        ),
        (
            "Bayes' rule by hand, backward()",
            """
def frozen_gradient(J, theta, p):
    t = theta.detach().clone()
    t.requires_grad = True
    minus_H = J.log_joint(t, p)
    with torch.no_grad():
        e = torch.exp(minus_H - torch.logsumexp(minus_H, 1, keepdim=True))
    loss = -(J.weights[:, None] * e * minus_H).sum() + 0.5 * J.ridge * (t * t).sum()
    loss.backward()
    return t.grad
""",
        ),
        (
            "a vector–Jacobian product, the ridge by hand",
            """
def frozen_gradient(J, theta, p):
    _, pull = torch.func.vjp(lambda t: J.log_joint(t, p), theta)
    return J.ridge * theta - pull(J.weights[:, None] * J.posterior(theta, p))[0]
""",
        ),
        (
            "the classifier normalised by logsumexp",
            """
def frozen_gradient(J, theta, p):
    e = J.posterior(theta, p)
    def energy(t):
        W, V = J.unpack(t)
        scores = J.phi @ V  # (K, Y)
        log_c = (scores - torch.logsumexp(scores, 1, keepdim=True)).T[J.y]
        H = p[0] * torch.cdist(J.x, J.phi @ W).square() - p[1] * log_c - J.log_m
        return (J.weights[:, None] * e * H).sum() + 0.5 * J.ridge * t @ t
    return torch.func.grad(energy)(theta)
""",
        ),
        (
            "code by code, with the cross entropy of the labels",
            """
def frozen_gradient(J, theta, p):
    e, t = J.posterior(theta, p), theta.clone().requires_grad_()
    W, V = J.unpack(t)
    energy = 0.5 * J.ridge * t @ t
    for k, (features, log_m) in enumerate(zip(J.phi, J.log_m)):
        scores = (features @ V).expand(len(J.x), -1)
        minus_log_c = torch.nn.functional.cross_entropy(scores, J.y, reduction="none")
        H = p[0] * (J.x - features @ W).square().sum(1) + p[1] * minus_log_c - log_m
        energy = energy + (J.weights * e[:, k] * H).sum()
    energy.backward()
    return t.grad
""",
        ),
        (
            "one number at a time",
            """
def frozen_gradient(J, theta, p):
    e, t = J.posterior(theta, p), theta.clone().requires_grad_()
    W, V = J.unpack(t)
    c, energy = torch.softmax(J.phi @ V, 1), 0.5 * J.ridge * t @ t
    for n in range(len(J.x)):
        for k in range(len(J.phi)):
            square = ((J.x[n] - J.phi[k] @ W) ** 2).sum()
            H = p[0] * square - p[1] * c[k, J.y[n]].log() - J.log_m[k]
            energy = energy + J.weights[n] * e[n, k] * H
    energy.backward()
    return t.grad
""",
        ),
    ],
    "ex-4-lyapunov": [
        (
            "SciPy, an array",
            """
def stationary_covariance(A, S, sigma):
    from scipy.linalg import solve_continuous_lyapunov
    return solve_continuous_lyapunov(A.numpy(), sigma * S.numpy())
""",
        ),
        (
            "n² linear equations, nested lists",
            """
def stationary_covariance(A, S, sigma):
    import numpy as np
    A, S = A.numpy(), S.numpy()
    n = len(A)
    system = np.kron(A, np.eye(n)) + np.kron(np.eye(n), A)
    return np.linalg.solve(system, (sigma * S).ravel()).reshape(n, n).tolist()
""",
        ),
        (
            "the integral ∫e^{−At} σS e^{−At} dt by doubling",
            """
def stationary_covariance(A, S, sigma):
    h = 1e-5
    step = torch.matrix_exp(-h * A)
    first = torch.matrix_exp(-0.5 * h * A)
    total = h * first @ (sigma * S) @ first  # the middle of the first h
    total = total + h**2 / 24 * h * (A @ A @ total + 2 * A @ total @ A + total @ A @ A) / h
    for _ in range(30):
        total, step = total + step @ total @ step, step @ step
    return total
""",
        ),
        (
            "in single precision",
            """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A.float())
    return U @ ((sigma * U.T @ S.float() @ U) / (a[:, None] + a[None, :])) @ U.T
""",
        ),
    ],
    "ex-4-decrement": [
        (
            "autograd's Hessian, NumPy's least squares",
            """
def newton_decrement(J, theta, p):
    import numpy as np
    A = torch.autograd.functional.hessian(lambda t: J(t, p), theta).numpy()
    t = theta.clone().requires_grad_()
    g = torch.autograd.grad(J(t, p), t)[0].numpy()
    return 0.5 * float(g @ np.linalg.lstsq(A, g, rcond=None)[0])
""",
        ),
        (
            "in the eigenbasis, a tensor of shape (1,)",
            """
def newton_decrement(J, theta, p):
    a, U = torch.linalg.eigh(torch.func.hessian(J)(theta, p))
    c = U.T @ torch.func.jacrev(J)(theta, p)
    return (c**2 / a).sum().reshape(1) / 2
""",
        ),
        (
            "the library's products and conjugate gradients",
            """
def newton_decrement(J, theta, p):
    here = Local(J, theta, p)
    step, _ = fe.conjugate_gradient(here.hvp, here.gradient[:, None], rtol=1e-12)
    return 0.5 * here.gradient.dot(step[:, 0])
""",
        ),
        (
            "Cholesky, in single precision",
            """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p).float(), torch.func.hessian(J)(theta, p).float()
    return torch.linalg.solve_triangular(torch.linalg.cholesky(A), g[:, None], upper=False).square().sum() / 2
""",
        ),
    ],
    "ex-4-exists": [
        (
            "bisection of the force",
            """
def well(rho):
    force = lambda w: 2 * (2 * w * w - 1) / (1 + 2 * w * w) ** 2 + rho  # over w
    if force(1e-9) >= 0:
        return 0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if force(middle) < 0 else (low, middle)
    return high
""",
        ),
        (
            "numerical minimisation, an array",
            """
def well(rho):
    import numpy as np
    from scipy.optimize import minimize_scalar
    J = lambda w: 0.5 * np.log1p(2 * w**2) + 1 / (1 + 2 * w**2) + 0.5 * rho * w**2
    found = minimize_scalar(J, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})
    return np.array(found.x if J(found.x) < J(0.0) - 1e-12 else 0.0)
""",
        ),
        (
            "the quadratic for v, ρ = 0 apart",
            """
def well(rho):
    if rho == 0:
        return torch.tensor(2.0) ** -0.5
    u = (-1 + (1 + 4 * rho) ** 0.5) / rho
    return torch.tensor((u - 1) / 2).clamp(min=0).sqrt().float()
""",
        ),
    ],
}

STATED = {
    "ex-4-schedule": [("s=2/7", "bump(2, 5)[0]", "2 / 7"), ("0.392", "bump(2, 5)[1]")],
    "ex-4-markov": [
        (
            "0.3251",
            "divergence_drop(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]), "
            "torch.tensor([[0.9, 0.1], [0.1, 0.9]]))",
        )
    ],
    "ex-4-frozen": [
        (
            "ten digits",
            "(lambda J, t, p: (frozen_gradient(J, t, p) - torch.func.grad(J)(t, p)).norm() < "
            "1e-10 * torch.func.grad(J)(t, p).norm())("
            "*(lambda J: (J, J.initial() + 0.1, torch.tensor([1.0, "
            "4.0])))(fe.TopographicMap(*fe.digits(50), grid=5, features=2)))",
            "1",
        ),
    ],
    "ex-4-lyapunov": [
        (
            "0.2917",
            "stationary_covariance(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), "
            "torch.diag(torch.tensor([1.0, 0.0])), 1.0)[0, 0]",
        ),
        (
            "7/24",
            "stationary_covariance(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), "
            "torch.diag(torch.tensor([1.0, 0.0])), 1.0)[0, 0]",
            "7 / 24",
        ),
    ],
    "ex-4-decrement": [
        (
            "50.5",
            "newton_decrement(lambda t, p: 0.5 * (t[0] ** 2 + 100 * t[1] ** 2), torch.ones(2), "
            "torch.ones(2))",
        )
    ],
    "ex-4-exists": [("0.344", "well(1.0)"), ("$0$", "well(3.0)", "0")],
}
GIVEN = {"ex-4-markov": "0.1"}
