"""Answers to chapter 5's exercises, right and wrong, and the numbers of their statements."""

import torch

WRONG = {
    "ex-5-1": [
        (
            "the other sign of θ",
            r"θ\* is.*sign",
            """
def quadratic(a, b, lam):
    return -lam * b / a, -b / a, -0.5 * lam**2 * b**2 / a, -(b**2) / a
""",
        ),
        (
            "a stiffness forgotten",
            "stiffness",
            """
def quadratic(a, b, lam):
    return lam * b / a, b, -0.5 * lam**2 * b**2 / a, -(b**2) / a
""",
        ),
        (
            "F without the energy of the spring",
            "half of it back",
            """
def quadratic(a, b, lam):
    return lam * b / a, b / a, -(lam**2) * b**2 / a, -(b**2) / a
""",
        ),
        (
            "frozen parameters",
            r"θ\* moves",
            """
def quadratic(a, b, lam):
    return lam * b / a, b / a, -0.5 * lam**2 * b**2 / a, 0.0
""",
        ),
        (
            "convex",
            "concave",
            """
def quadratic(a, b, lam):
    return lam * b / a, b / a, -0.5 * lam**2 * b**2 / a, b**2 / a
""",
        ),
        (
            "hard-wired to the example",
            "for a = 3",
            """
def quadratic(a, b, lam):
    return 0.5 * lam, 0.5, -0.5 * lam**2, -1.0
""",
        ),
        (
            "right for b > 0 only",
            r"θ\* is.*sign",
            """
def quadratic(a, b, lam):
    return lam * abs(b) / a, abs(b) / a, -0.5 * lam**2 * b**2 / a, -(b**2) / a
""",
        ),
        (
            "three numbers",
            "4 in all",
            """
def quadratic(a, b, lam):
    return lam * b / a, b / a, -0.5 * lam**2 * b**2 / a
""",
        ),
    ],
    "ex-5-2": [
        (
            "θ for μ",
            "J″ = 2θ",
            """
def fold(eps):
    return eps**0.5, eps**0.5, -0.5 * eps**-0.5
""",
        ),
        (
            "∂ε/∂λ = +1",
            r"D is.*∂J/∂λ = \+θ",
            """
def fold(eps):
    return 2 * eps**0.5, -(eps**0.5), -0.5 * eps**-0.5
""",
        ),
        (
            "F for D",
            "this is F",
            """
def fold(eps):
    return 2 * eps**0.5, -2 / 3 * eps**1.5, -0.5 * eps**-0.5
""",
        ),
        (
            "rising D",
            "D_λ is.*sign",
            """
def fold(eps):
    return 2 * eps**0.5, eps**0.5, 0.5 * eps**-0.5
""",
        ),
        (
            "the derivative of a root",
            r"1/\(2√ε\)",
            """
def fold(eps):
    return 2 * eps**0.5, eps**0.5, -(eps**-0.5)
""",
        ),
        (
            "hard-wired to ε = 1",
            "at ε = 0.3 μ is",
            """
def fold(eps):
    return 2.0, 1.0, -0.5
""",
        ),
        (
            "the maximum instead of the minimum",
            "there is a maximum",
            """
def fold(eps):
    return -2 * eps**0.5, -(eps**0.5), 0.5 * eps**-0.5
""",
        ),
        (
            "expanded about ε = 1",
            "at ε = 0.3",
            """
def fold(eps):
    return 2 + (eps - 1), 1 + (eps - 1) / 2, -0.5 + (eps - 1) / 4
""",
        ),
        (
            "a coarse difference for D_λ",
            "D_λ is",
            """
def fold(eps):
    return 2 * eps**0.5, eps**0.5, -((eps + 0.01) ** 0.5 - eps**0.5) / 0.01
""",
        ),
    ],
    "ex-5-3": [
        (
            "nothing returned",
            "stub is not filled in",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
""",
        ),
        (
            "b without its minus",
            "wrong sign",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, J_pp - B.T @ theta_p
""",
        ),
        (
            "derivatives taken in the other order",
            "shape",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=0)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B.T).T
    return theta_p, J_pp - B @ theta_p.T
""",
        ),
        (
            "a step of steepest descent instead of a solve",
            "not A⁻¹B",
            """
def response(J, theta, p):
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    return B, J_pp - B.T @ B
""",
        ),
        (
            "the response added",
            "lower F",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, J_pp + B.T @ theta_p
""",
        ),
        (
            "no change at frozen parameters",
            "J_pp is missing",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, -B.T @ theta_p
""",
        ),
        (
            "half the second derivative",
            "not J_pp",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, 0.5 * (J_pp - B.T @ theta_p)
""",
        ),
        (
            "J_pp hard-wired to −I",
            "J_pp is taken as −I",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, -torch.eye(len(p)) - B.T @ theta_p
""",
        ),
        (
            "hard-wired to the example",
            "shape|A⁻¹B",
            """
def response(J, theta, p):
    return torch.ones(1, 1), -torch.ones(1, 1)
""",
        ),
        (
            "right for quadratic problems only, A at θ = 0",
            "not quadratic",
            """
def response(J, theta, p):
    zero = torch.zeros_like(theta)
    A = torch.func.jacrev(torch.func.grad(J))(zero, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(zero, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, J_pp - B.T @ theta_p
""",
        ),
        (
            "B taken at p = 0",
            "not quadratic|J linear",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, torch.zeros_like(p))
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, J_pp - B.T @ theta_p
""",
        ),
        (
            "frozen parameters",
            "J_pp alone",
            """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    return torch.linalg.solve(A, B), torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
""",
        ),
    ],
    "ex-5-4": [
        (
            "a very small overlap taken for none",
            "this is a fold",
            """
def kind(path):
    return "pitchfork" if path.jumps[0].overlap < 1e-4 else "fold"
""",
        ),
        (
            "by how F_λλ grows, which is lost in what the other directions add",
            "this is a fold",
            """
def kind(path):
    hess = [float(h[0, 0]) for h, s in zip(path["hess"], path["s"]) if s <= path.jumps[0].s]
    return "fold" if hess[-1] < 3 * hess[0] - 1 else "pitchfork"
""",
        ),
        (
            "a small overlap taken for none",
            "this is a fold",
            """
def kind(path):
    return "pitchfork" if path.jumps[0].overlap < 0.01 else "fold"
""",
        ),
        (
            "every jump is a fold",
            "this is a pitchfork and you say fold; the overlap",
            """
def kind(path):
    return "fold"
""",
        ),
        (
            "every jump is a pitchfork",
            "this is a fold and you say pitchfork; the overlap",
            """
def kind(path):
    return "pitchfork"
""",
        ),
        (
            "the two names exchanged",
            "overlap",
            """
def kind(path):
    (jump,) = path.jumps
    return "pitchfork" if jump.overlap > 0.5 else "fold"
""",
        ),
        (
            "the overlap itself",
            "return 'fold' or 'pitchfork'",
            """
def kind(path):
    return path.jumps[0].overlap
""",
        ),
        (
            "told by the place of the two examples",
            "this is a",
            """
def kind(path):
    return "pitchfork" if float(path.jumps[0].before.p[0]) > 0.45 else "fold"
""",
        ),
        (
            "right in one dimension only",
            "this is a fold and you say pitchfork",
            """
def kind(path):
    return "pitchfork" if path.jumps[0].overlap < 0.5 else "fold"
""",
        ),
        (
            "the exponents exchanged",
            "you say",
            """
def kind(path):
    at = path.jumps[0].s
    near, far = [q for q in path.points if 1e-4 < at - q.s][-1], path.points[0]
    power = math.log(far.curvature / near.curvature) / math.log((at - far.s) / (at - near.s))
    return "fold" if power > 0.75 else "pitchfork"
""",
        ),
        (
            "told by how far from nought the path begins",
            "you say",
            """
def kind(path):
    return "fold" if float(path.points[0].theta.abs().max()) > 0.5 else "pitchfork"
""",
        ),
        (
            "told by how firm the new state is",
            "you say",
            """
def kind(path):
    return "fold" if path.jumps[0].after.curvature > 1 else "pitchfork"
""",
        ),
        (
            "told by the side on which the path goes on",
            "you say",
            """
def kind(path):
    return "fold" if float(path.jumps[0].after.theta[0]) > 0.5 else "pitchfork"
""",
        ),
    ],
    "ex-5-5": [
        (
            "no root",
            "take the root",
            """
def energy_error(alphas, squares, k):
    return float((alphas[k:] * squares[k:]).sum())
""",
        ),
        (
            "the steps already done",
            "already done|j ≥ k",
            """
def energy_error(alphas, squares, k):
    return float((alphas[:k] * squares[:k]).sum().sqrt())
""",
        ),
        (
            "the residual instead of the error",
            "j ≥ k",
            """
def energy_error(alphas, squares, k):
    return float(squares[k].sqrt())
""",
        ),
        (
            "one step too late",
            "j ≥ k",
            """
def energy_error(alphas, squares, k):
    return float((alphas[k + 1 :] * squares[k + 1 :]).sum().sqrt())
""",
        ),
        (
            "hard-wired to the example",
            "the error is",
            """
def energy_error(alphas, squares, k):
    return 0.407
""",
        ),
        (
            "the terms of one step",
            "j ≥ k",
            """
def energy_error(alphas, squares, k):
    return float((alphas[k] * squares[k]).sqrt()) if k < len(squares) else 0.0
""",
        ),
        (
            "right at the start only",
            "j ≥ k",
            """
def energy_error(alphas, squares, k):
    return float((alphas * squares).sum().sqrt())
""",
        ),
        (
            "without the α",
            "j ≥ k",
            """
def energy_error(alphas, squares, k):
    return float(squares[k:].sum().sqrt())
""",
        ),
    ],
    "ex-5-7": [
        (
            "as if the codes were known",
            "subtract the covariance",
            """
def gibbs_hessian(e, dH, ddH):
    return torch.einsum("nk,nkij->ij", e, ddH) / len(e)
""",
        ),
        (
            "the covariance added",
            "sign of the missing",
            """
def gibbs_hessian(e, dH, ddH):
    mean = torch.einsum("nk,nki->ni", e, dH)
    return (torch.einsum("nk,nkij->ij", e, ddH) + torch.einsum("nk,nki,nkj->ij", e, dH, dH) - mean.T @ mean) / len(e)
""",
        ),
        (
            "second moments instead of a covariance",
            "add ⟨∇H⟩⟨∇H⟩ᵀ back",
            """
def gibbs_hessian(e, dH, ddH):
    return (torch.einsum("nk,nkij->ij", e, ddH) - torch.einsum("nk,nki,nkj->ij", e, dH, dH)) / len(e)
""",
        ),
        (
            "one mean for all images",
            "belongs to one image",
            """
def gibbs_hessian(e, dH, ddH):
    mean = torch.einsum("nk,nki->i", e, dH) / len(e)
    return (torch.einsum("nk,nkij->ij", e, ddH) - torch.einsum("nk,nki,nkj->ij", e, dH, dH)) / len(e) + torch.outer(mean, mean)
""",
        ),
        (
            "summed over images",
            "images are summed",
            """
def gibbs_hessian(e, dH, ddH):
    mean = torch.einsum("nk,nki->ni", e, dH)
    return torch.einsum("nk,nkij->ij", e, ddH) - torch.einsum("nk,nki,nkj->ij", e, dH, dH) + mean.T @ mean
""",
        ),
        (
            "all codes alike",
            "weights e are missing",
            """
def gibbs_hessian(e, dH, ddH):
    mean = dH.mean(1)
    return ddH.mean((0, 1)) - torch.einsum("nki,nkj->ij", dH, dH) / dH[..., 0].numel() + mean.T @ mean / len(e)
""",
        ),
        (
            "hard-wired to the example",
            "must return A of shape|differs from",
            """
def gibbs_hessian(e, dH, ddH):
    return torch.eye(dH.shape[-1])
""",
        ),
        (
            "right for one image only",
            "differs from|belongs to one image|images are summed",
            """
def gibbs_hessian(e, dH, ddH):
    e, dH, ddH = e[0], dH[0], ddH[0]
    mean = e @ dH
    return torch.einsum("k,kij->ij", e, ddH) - dH.T @ (e[:, None] * dH) + torch.outer(mean, mean)
""",
        ),
        (
            "only the diagonal",
            "differs from",
            """
def gibbs_hessian(e, dH, ddH):
    mean = torch.einsum("nk,nki->ni", e, dH)
    A = (torch.einsum("nk,nkij->ij", e, ddH) - torch.einsum("nk,nki,nkj->ij", e, dH, dH) + mean.T @ mean) / len(e)
    return torch.diag(A.diagonal())
""",
        ),
    ],
    "ex-5-8": [
        (
            "symmetric generators",
            "antisymmetric",
            """
def turns(S):
    columns = []
    for a in range(S.shape[1]):
        for b in range(a):
            omega = torch.zeros(S.shape[1], S.shape[1])
            omega[a, b], omega[b, a] = 1.0, 1.0
            columns.append((S @ omega).flatten())
    return torch.stack(columns, 1)
""",
        ),
        (
            "one corner of the generator",
            "in the other",
            """
def turns(S):
    columns = []
    for a in range(S.shape[1]):
        for b in range(a):
            omega = torch.zeros(S.shape[1], S.shape[1])
            omega[a, b] = 1.0
            columns.append((S @ omega).flatten())
    return torch.stack(columns, 1)
""",
        ),
        (
            "the diagonal too",
            "diagonal is zero",
            """
def turns(S):
    columns = []
    for a in range(S.shape[1]):
        for b in range(a + 1):
            omega = torch.zeros(S.shape[1], S.shape[1])
            omega[a, b], omega[b, a] = 1.0, -1.0
            columns.append((S @ omega).flatten())
    return torch.stack(columns, 1)
""",
        ),
        (
            "each plane twice",
            "planes",
            """
def turns(S):
    columns = []
    for a in range(S.shape[1]):
        for b in range(S.shape[1]):
            if a != b:
                omega = torch.zeros(S.shape[1], S.shape[1])
                omega[a, b], omega[b, a] = 1.0, -1.0
                columns.append((S @ omega).flatten())
    return torch.stack(columns, 1)
""",
        ),
        (
            "the pixels turned",
            "one direction a column|planes|multiplied from the right",
            """
def turns(S):
    columns = []
    for a in range(S.shape[0]):
        for b in range(a):
            omega = torch.zeros(S.shape[0], S.shape[0])
            omega[a, b], omega[b, a] = 1.0, -1.0
            columns.append((omega @ S).flatten())
    return torch.stack(columns, 1)
""",
        ),
        (
            "all planes with the first code",
            "independent",
            """
def turns(S):
    k = S.shape[1]
    columns = []
    for a in range(k):
        for b in range(a):
            omega = torch.zeros(k, k)
            omega[1, 0], omega[0, 1] = 1.0, -1.0
            columns.append((S @ omega).flatten())
    return torch.stack(columns, 1)
""",
        ),
        (
            "two codes only",
            "you give 1 directions",
            """
def turns(S):
    omega = torch.zeros(S.shape[1], S.shape[1])
    omega[1, 0], omega[0, 1] = 1.0, -1.0
    return (S @ omega).flatten()[:, None]
""",
        ),
        (
            "hard-wired to the example",
            "rows",
            """
def turns(S):
    return torch.tensor([[0.0], [1.0], [-1.0], [0.0]])
""",
        ),
        (
            "no motion at all",
            "turns nothing",
            """
def turns(S):
    k = S.shape[1]
    return torch.zeros(S.numel(), k * (k - 1) // 2)
""",
        ),
        (
            "flattened column by column",
            "J changes",
            """
def turns(S):
    k, columns = S.shape[1], []
    for a in range(k):
        for b in range(a):
            omega = torch.zeros(k, k)
            omega[a, b], omega[b, a] = 1.0, -1.0
            columns.append((S @ omega).T.flatten())
    return torch.stack(columns, 1)
""",
        ),
    ],
}

RIGHT = {
    "ex-5-1": [
        (
            "by Newton's method on the derivatives of J, as a list",
            """
def quadratic(a, b, lam):
    theta = 0.0
    slope, curvature = a * theta - lam * b, a
    theta = theta - slope / curvature
    return [theta, b / a, a * theta * theta / 2 - lam * b * theta, -b * (b / a)]
""",
        ),
        (
            "with numpy in single precision",
            """
import numpy as np

def quadratic(a, b, lam):
    a, b, lam = np.float32(a), np.float32(b), np.float32(lam)
    return np.array([lam * b / a, b / a, -lam * lam * b * b / (2 * a), -b * b / a], dtype=np.float32)
""",
        ),
        (
            "as a tensor",
            """
def quadratic(a, b, lam):
    theta = torch.tensor(lam * b / a)
    return torch.stack([theta, torch.tensor(b / a), 0.5 * a * theta**2 - lam * b * theta, torch.tensor(-(b**2) / a)])
""",
        ),
    ],
    "ex-5-2": [
        (
            "through θ, as an array",
            """
import numpy as np

def fold(eps):
    theta = np.sqrt(eps)
    mu = 2 * theta
    return np.array([mu, theta, 0.0 - (-1.0) ** 2 / mu])
""",
        ),
        (
            "with autograd",
            """
def fold(eps):
    lam = torch.tensor(-eps, dtype=torch.float64)                    # λ* = 0
    D = lambda lam: torch.sqrt(-lam)
    return 2 * D(lam), D(lam), torch.func.grad(D)(lam)
""",
        ),
    ],
    "ex-5-3": [
        (
            "the Hessian of both together, numpy",
            """
import numpy as np

def response(J, theta, p):
    P = len(theta)
    whole = torch.autograd.functional.hessian(lambda q: J(q[:P], q[P:]), torch.cat([theta, p])).numpy()
    A, M, G = whole[:P, :P], whole[:P, P:], whole[P:, P:]
    X = np.linalg.solve(A, -M)
    return [X, G + M.T @ X]
""",
        ),
        (
            "column by column, with a Cholesky factor",
            """
def response(J, theta, p):
    A = torch.stack([torch.func.jvp(lambda t: torch.func.grad(J)(t, p), (theta,), (unit,))[1] for unit in torch.eye(len(theta)).to(theta)])
    slope = torch.func.grad(J, argnums=1)
    M = torch.func.jacfwd(slope, argnums=0)(theta, p)                  # (n, P)
    theta_p = -torch.cholesky_solve(M.T, torch.linalg.cholesky((A + A.T) / 2))
    return theta_p, torch.func.jacfwd(slope, argnums=1)(theta, p) + M @ theta_p
""",
        ),
        (
            "in single precision",
            """
def response(J, theta, p):
    A = torch.func.hessian(J)(theta, p).float()
    B = -torch.func.jacrev(torch.func.grad(J), argnums=1)(theta, p).float()
    J_pp = torch.func.hessian(J, argnums=1)(theta, p).float()
    X = torch.linalg.inv(A) @ B
    return X, J_pp - X.T @ B
""",
        ),
    ],
    "ex-5-4": [
        (
            "by whether J falls at the jump",
            """
def kind(path):
    (jump,) = path.jumps
    return ["pitchfork", "fold"][bool(jump.after.value < jump.before.value - 1e-3)]
""",
        ),
        (
            "by the power with which μ dies",
            """
def kind(path):
    at = path.jumps[0].s
    before = [(math.log(at - q.s), math.log(q.curvature)) for q in path.points if q.s < at]
    x, y = (sum(v) / len(before) for v in zip(*before))
    power = sum((a - x) * (b - y) for a, b in before) / sum((a - x) ** 2 for a, _ in before)
    return "fold" if power < 0.75 else "pitchfork"
""",
        ),
        (
            "by how far the state goes",
            """
def kind(path):
    before, after = path.jumps[0].before, path.jumps[0].after
    return "fold" if float((after.theta - before.theta).norm()) > 0.1 else "pitchfork"
""",
        ),
    ],
    "ex-5-5": [
        (
            "a loop over lists",
            """
def energy_error(alphas, squares, k):
    total = 0.0
    for alpha, square in list(zip(alphas.tolist(), squares.tolist()))[k:]:
        total += alpha * square
    return total**0.5
""",
        ),
        (
            "a reversed running sum, a numpy scalar",
            """
import numpy as np

def energy_error(alphas, squares, k):
    terms = np.append(np.cumsum((alphas * squares).numpy()[::-1])[::-1], 0.0)
    return np.sqrt(terms[k])
""",
        ),
    ],
    "ex-5-7": [
        (
            "image by image, with covariances",
            """
import numpy as np

def gibbs_hessian(e, dH, ddH):
    e, dH, ddH = e.numpy(), dH.numpy(), ddH.numpy()
    A = 0
    for weights, slopes, curvatures in zip(e, dH, ddH):
        centred = slopes - weights @ slopes
        A = A + np.tensordot(weights, curvatures, 1) - (centred * weights[:, None]).T @ centred
    return A / len(e)
""",
        ),
        (
            "in single precision",
            """
def gibbs_hessian(e, dH, ddH):
    e, dH, ddH = e.float(), dH.float(), ddH.float()
    centred = dH - (e.unsqueeze(-1) * dH).sum(1, keepdim=True)
    return ((e[..., None, None] * ddH).sum(1) - (e.sqrt()[..., None] * centred).mT @ (e.sqrt()[..., None] * centred)).mean(0)
""",
        ),
    ],
    "ex-5-8": [
        (
            "the null space of the differential of TTᵀ",
            """
def turns(S):
    n, k = S.shape
    change = torch.func.jacrev(lambda t: (t.view(n, k) @ t.view(n, k).T).flatten())(S.flatten())
    return torch.linalg.svd(change)[2][n * k - k * (k - 1) // 2 :].T
""",
        ),
        (
            "two columns at a time, numpy in single precision",
            """
import numpy as np

def turns(S):
    S = S.numpy().astype(np.float32)
    n, k = S.shape
    found = []
    for a in range(k):
        for b in range(a + 1, k):
            moved = np.zeros((n, k), dtype=np.float32)
            moved[:, a], moved[:, b] = S[:, b], -S[:, a]
            found.append(moved.ravel())
    return np.column_stack(found)
""",
        ),
        (
            "by a small turn, as lists",
            """
def turns(S):
    k, rows = S.shape[1], []
    for a in range(k):
        for b in range(a + 1, k):
            omega = torch.zeros(k, k, dtype=S.dtype)
            omega[a, b], omega[b, a] = 1.0, -1.0
            rows.append(((S @ torch.linalg.matrix_exp(1e-4 * omega) - S @ torch.linalg.matrix_exp(-1e-4 * omega)) / 2e-4).flatten().tolist())
    return [list(row) for row in zip(*rows)]
""",
        ),
    ],
}


def three_unknowns(energy_error):
    """The answer for the chapter's system of three unknowns after two steps of conjugate
    gradients.
    """
    A = torch.tensor([[4.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    r = d = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    alphas, rho = [], []
    for _ in range(3):
        alphas.append(r @ r / (d @ A @ d)), rho.append(r @ r)
        new = r - alphas[-1] * A @ d
        d, r = new + (new @ new) / (r @ r) * d, new
    return energy_error(torch.stack(alphas), torch.stack(rho), 2)


STATED = {
    "ex-5-1": [(r"F_{\lambda\lambda}=-1", "quadratic(4, 2, 0.7)[3]", "-1")],
    "ex-5-2": [
        ("$2$, $1$", "fold(1.0)[0]", "2"),
        ("$1$ and", "fold(1.0)[1]", "1"),
        (r"-\tfrac12", "fold(1.0)[2]", "-1 / 2"),
    ],
    "ex-5-3": [
        (
            "returns $1$",
            "response(lambda th, p: 0.5 * th @ th - (p * th).sum(), torch.ones(1), "
            "torch.ones(1))[0].item()",
            "1",
        ),
        (
            "and $-1$",
            "response(lambda th, p: 0.5 * th @ th - (p * th).sum(), torch.ones(1), "
            "torch.ones(1))[1].item()",
            "-1",
        ),
    ],
    "ex-5-5": [
        ("0.407", "__import__('answers.chapter5', fromlist=['x']).three_unknowns(energy_error)")
    ],
    "ex-5-7": [
        (
            "it is $1$",
            "gibbs_hessian(torch.full((1, 2), 0.5), torch.tensor([[[1.0], [-1.0]]]), "
            "torch.full((1, 2, 1, 1), 2.0)).item()",
            "1",
        )
    ],
    "ex-5-8": [
        (
            r"\pm(0,1,-1,0)",
            "(lambda u: (u / u[1] - torch.tensor([0.0, 1.0, -1.0, "
            "0.0])).abs().max())(turns(torch.eye(2))[:, 0])",
            "0",
        ),
        ("n(n-1)/2", "turns(torch.eye(4)).shape[1]", "4 * 3 / 2"),
    ],
}
GIVEN = {}


WRONG["ex-5-cut-short"] = [
    (
        "hard-wired to the statement",
        "off by",
        """
def cut_short(A, B, eta, T):
    return torch.tensor([[-0.375, 0.0625], [0.0625, -0.375]])
""",
    ),
    (
        "at rest",
        "slopes at rest",
        """
def cut_short(A, B, eta, T):
    return -B.T @ torch.linalg.solve(A, B)
""",
    ),
    (
        "the geometric sum, divided by A: right where A is not singular",
        "not finite|off by",
        """
def cut_short(A, B, eta, T):
    I = torch.eye(len(A), dtype=A.dtype)
    return -B.T @ (I - torch.linalg.matrix_power(I - eta * A, T)) @ torch.linalg.inv(A) @ B
""",
    ),
    (
        "the sign lost",
        "the sign",
        """
def cut_short(A, B, eta, T):
    moved = torch.zeros_like(B)
    for _ in range(T):
        moved = moved - eta * (A @ moved - B)
    return B.T @ moved
""",
    ),
    (
        "T times the first step",
        "T times the first step",
        """
def cut_short(A, B, eta, T):
    return -eta * T * B.T @ B
""",
    ),
    (
        "one step too many",
        "off by",
        """
def cut_short(A, B, eta, T):
    moved = eta * B
    for _ in range(T):
        moved = moved - eta * (A @ moved - B)
    return -B.T @ moved
""",
    ),
    (
        "gradient flow for the time ηT",
        "off by",
        """
def cut_short(A, B, eta, T):
    a, U = torch.linalg.eigh(A)
    k = torch.where(a.abs() < 1e-12, eta * T, -torch.expm1(-a * eta * T) / a)
    return -(U.T @ B).T @ (k[:, None] * (U.T @ B))
""",
    ),
    (
        "absolute values",
        "off by|the sign",
        """
def cut_short(A, B, eta, T):
    moved = torch.zeros_like(B)
    for _ in range(T):
        moved = moved - eta * (A @ moved - B)
    return (B.T @ moved).abs()
""",
    ),
]
RIGHT["ex-5-cut-short"] = [
    (
        "the sum of powers, in NumPy, nested lists",
        """
def cut_short(A, B, eta, T):
    import numpy as np
    A, B = np.asarray(A), np.asarray(B)
    K, power = np.zeros_like(A), np.eye(len(A))
    for _ in range(T):
        K += eta * power
        power = power @ (np.eye(len(A)) - eta * A)
    return (-B.T @ K @ B).tolist()
""",
    ),
    (
        "geometric sums in the eigenbasis, entry by entry",
        """
def cut_short(A, B, eta, T):
    a, U = torch.linalg.eigh(A)
    k = [eta * sum((1 - eta * float(v)) ** j for j in range(T)) for v in a]
    c = (U.T @ B).tolist()
    entry = lambda q, r: -sum(k[i] * c[i][q] * c[i][r] for i in range(len(k)))
    return (entry(0, 0), entry(0, 1)), (entry(1, 0), entry(1, 1))
""",
    ),
    (
        "descent itself on J = ½θᵀAθ − pᵀBᵀθ, differentiated",
        """
def cut_short(A, B, eta, T):
    def measured(p):
        theta = torch.zeros(len(A), dtype=A.dtype)
        for _ in range(T):
            theta = theta - eta * (A @ theta - B @ p)
        return -B.T @ theta
    return torch.func.jacfwd(measured)(torch.zeros(2, dtype=A.dtype))
""",
    ),
]
STATED["ex-5-cut-short"] = [
    (
        "0.0625",
        "cut_short(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.eye(2), 0.25, 2)[1][0]",
    )
]
GIVEN["ex-5-cut-short"] = "0.25"
