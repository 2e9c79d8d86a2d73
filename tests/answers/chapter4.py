"""Plausible wrong answers to chapter 4's exercises."""

WRONG = {
    "ex-4-schedule": [
        ("the exponents exchanged", "exponent of s is a", """
def bump(a, b):
    beta = math.exp(math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2))
    return b / (a + b), beta * (a + b) ** (a + b) / (a**a * b**b)
"""),
        ("the mean alone", "divide it by the maximum", """
def bump(a, b):
    return a / (a + b), math.exp(math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2))
"""),
        ("upside down", "upside down", """
def bump(a, b):
    beta = math.exp(math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(a + b + 2))
    return a / (a + b), a**a * b**b / (a + b) ** (a + b) / beta
"""),
        ("Euler's beta one too low", r"B\(a \+ 1, b \+ 1\)", """
def bump(a, b):
    beta = math.exp(math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
    return a / (a + b), beta * (a + b) ** (a + b) / (a**a * b**b)
"""),
        ("factorials of whole numbers only", "need not be whole", """
def bump(a, b):
    f = math.factorial
    return a / (a + b), f(a) * f(b) / f(a + b + 1) * (a + b) ** (a + b) / (a**a * b**b)
"""),
    ],
    "ex-4-markov": [
        ("after minus before", "sign", """
def divergence_drop(p, pi, P):
    kl = lambda q: (torch.special.xlogy(q, q) - torch.special.xlogy(q, pi)).sum()
    return kl(p @ P) - kl(p)
"""),
        ("the matrix from the wrong side", "sums over the first index", """
def divergence_drop(p, pi, P):
    kl = lambda q: (torch.special.xlogy(q, q) - torch.special.xlogy(q, pi)).sum()
    return kl(p) - kl(P @ p)
"""),
        ("the divergence the wrong way round", "wrong way round", """
def divergence_drop(p, pi, P):
    kl = lambda q: (pi * (pi / q).log()).sum()
    return kl(p) - kl(p @ P)
"""),
        ("only what is left", r"subtract it", """
def divergence_drop(p, pi, P):
    q = p @ P
    return (q * (q / pi).log()).sum()
"""),
        ("0 log 0 computed", "NaN", """
def divergence_drop(p, pi, P):
    kl = lambda q: (q * (q / pi).log()).sum()
    return kl(p) - kl(p @ P)
"""),
        ("in bits", "bits", """
def divergence_drop(p, pi, P):
    kl = lambda q: (q * (q / pi).log2()).nansum()
    return kl(p) - kl(p @ P)
"""),
    ],
    "ex-4-frozen": [
        ("the encoder moves along", "detach", """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p)
    energy = -J.weights.dot((encoder * J.log_joint(theta, p)).sum(1)) + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
"""),
        ("no ridge", "ridge is missing", """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    return torch.autograd.grad(-J.weights.dot((encoder * J.log_joint(theta, p)).sum(1)), theta)[0]
"""),
        ("uphill", "sign", """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    energy = J.weights.dot((encoder * J.log_joint(theta, p)).sum(1)) - 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
"""),
        ("images averaged evenly", "J.weights", """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    energy = -(encoder * J.log_joint(theta, p)).sum(1).mean() + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
"""),
        ("images summed", "summed.*J.weights", """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    energy = -(encoder * J.log_joint(theta, p)).sum() + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
"""),
        ("the classifier left out", "shape", """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, p).detach()
    energy = -J.weights.dot((encoder * J.log_joint(theta, p)).sum(1)) + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0][: J.n_features * J.x.shape[1]]
"""),
        ("both prices doubled", "differs from ∇J", """
def frozen_gradient(J, theta, p):
    theta = theta.clone().requires_grad_()
    encoder = J.posterior(theta, 2 * p).detach()
    energy = -J.weights.dot((encoder * J.log_joint(theta, 2 * p)).sum(1)) + 0.5 * J.ridge * theta.dot(theta)
    return torch.autograd.grad(energy, theta)[0]
"""),
    ],
    "ex-4-lyapunov": [
        ("Gibbs's covariance", "ignores the noise", """
def stationary_covariance(A, S, sigma):
    return 0.5 * sigma * torch.linalg.inv(A)
"""),
        ("as if A and S commuted", "commute", """
def stationary_covariance(A, S, sigma):
    return 0.5 * sigma * torch.linalg.solve(A, S)
"""),
        ("half of it", "factor 2 too small", """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ (0.5 * sigma * (U.T @ S @ U) / (a[:, None] + a)) @ U.T
"""),
        ("one pull instead of two", "twice too large", """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ (sigma * (U.T @ S @ U) / (0.5 * (a[:, None] + a))) @ U.T
"""),
        ("the step size forgotten", "divided by σ", """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ ((U.T @ S @ U) / (a[:, None] + a)) @ U.T
"""),
        ("the step size twice", "multiplied by σ", """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return U @ (sigma**2 * (U.T @ S @ U) / (a[:, None] + a)) @ U.T
"""),
        ("left in the eigenbasis", "eigenbasis on both sides", """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return sigma * (U.T @ S @ U) / (a[:, None] + a)
"""),
        ("the diagonal alone", "shape", """
def stationary_covariance(A, S, sigma):
    a, U = torch.linalg.eigh(A)
    return sigma * (U.T @ S @ U).diagonal() / (2 * a)
"""),
    ],
    "ex-4-decrement": [
        ("no half", "½", """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return g @ torch.linalg.solve(A, g)
"""),
        ("the change instead of the gain", "sign", """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return -0.5 * g @ torch.linalg.solve(A, g)
"""),
        ("the gradient squared", "½‖g‖²", """
def newton_decrement(J, theta, p):
    return 0.5 * torch.func.grad(J)(theta, p).square().sum()
"""),
        ("multiplied instead of solved", "solve with A", """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return 0.5 * g @ A @ g
"""),
        ("the diagonal of A alone", "on a quadratic", """
def newton_decrement(J, theta, p):
    g, A = torch.func.grad(J)(theta, p), torch.func.jacrev(torch.func.grad(J))(theta, p)
    return 0.5 * (g.square() / A.diagonal()).sum()
"""),
    ],
    "ex-4-exists": [
        ("no ridge in it", "without a ridge", """
def well(rho):
    return math.sqrt(0.5)
"""),
        ("first order in the ridge", "first order", """
def well(rho):
    return math.sqrt(max(1 - 4 * rho, 0) / 2)
"""),
        ("u for w", "u = 1 \\+ 2w²", """
def well(rho):
    u = 4 / (math.sqrt(1 + 4 * rho) + 1)
    return u if u > 1 else 0.0
"""),
        ("the 2 of 2w² forgotten", "2w² = u − 1", """
def well(rho):
    return math.sqrt(max(4 / (math.sqrt(1 + 4 * rho) + 1) - 1, 0))
"""),
        ("0/0 without a ridge", "numerator and denominator", """
def well(rho):
    u = (math.sqrt(1 + 4 * rho) - 1) / rho
    return math.sqrt(max(u - 1, 0) / 2)
"""),
        ("no collapse", "no well", """
def well(rho):
    return math.sqrt((4 / (math.sqrt(1 + 4 * rho) + 1) - 1) / 2)
"""),
    ],
}
