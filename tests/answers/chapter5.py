"""Plausible wrong answers to chapter 5's exercises."""

WRONG = {
    "ex-5-1": [
        ("the other sign of θ", r"θ\* is.*sign", """
def quadratic(a, b, lam):
    return -lam * b / a, -b / a, -0.5 * lam**2 * b**2 / a, -(b**2) / a
"""),
        ("a stiffness forgotten", "stiffness", """
def quadratic(a, b, lam):
    return lam * b / a, b, -0.5 * lam**2 * b**2 / a, -(b**2) / a
"""),
        ("F without the energy of the spring", "half of it back", """
def quadratic(a, b, lam):
    return lam * b / a, b / a, -(lam**2) * b**2 / a, -(b**2) / a
"""),
        ("frozen parameters", r"θ\* moves", """
def quadratic(a, b, lam):
    return lam * b / a, b / a, -0.5 * lam**2 * b**2 / a, 0.0
"""),
        ("convex", "concave", """
def quadratic(a, b, lam):
    return lam * b / a, b / a, -0.5 * lam**2 * b**2 / a, b**2 / a
"""),
    ],
    "ex-5-2": [
        ("θ for μ", "J″ = 2θ", """
def fold(eps):
    return eps**0.5, eps**0.5, -0.5 * eps**-0.5
"""),
        ("∂ε/∂λ = +1", r"D is.*∂J/∂λ = \+θ", """
def fold(eps):
    return 2 * eps**0.5, -(eps**0.5), -0.5 * eps**-0.5
"""),
        ("F for D", "this is F", """
def fold(eps):
    return 2 * eps**0.5, -2 / 3 * eps**1.5, -0.5 * eps**-0.5
"""),
        ("rising D", "D_λ is.*sign", """
def fold(eps):
    return 2 * eps**0.5, eps**0.5, 0.5 * eps**-0.5
"""),
        ("the derivative of a root", r"1/\(2√ε\)", """
def fold(eps):
    return 2 * eps**0.5, eps**0.5, -(eps**-0.5)
"""),
    ],
    "ex-5-3": [
        ("nothing returned", "return two tensors", """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
"""),
        ("b without its minus", "wrong sign", """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, J_pp - B.T @ theta_p
"""),
        ("derivatives taken in the other order", "shape", """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=0)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B.T).T
    return theta_p, J_pp - B @ theta_p.T
"""),
        ("a step of steepest descent instead of a solve", "not A⁻¹B", """
def response(J, theta, p):
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    return B, J_pp - B.T @ B
"""),
        ("the response added", "lower F", """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, J_pp + B.T @ theta_p
"""),
        ("no change at frozen parameters", "J_pp is missing", """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, -B.T @ theta_p
"""),
        ("half the second derivative", "not J_pp", """
def response(J, theta, p):
    A = torch.func.jacrev(torch.func.grad(J))(theta, p)
    B = -torch.func.jacrev(torch.func.grad(J, argnums=0), argnums=1)(theta, p)
    J_pp = torch.func.jacrev(torch.func.grad(J, argnums=1), argnums=1)(theta, p)
    theta_p = torch.linalg.solve(A, B)
    return theta_p, 0.5 * (J_pp - B.T @ theta_p)
"""),
    ],
    "ex-5-4": [
        ("every jump is a fold", "this is a pitchfork and you say fold.*overlap", """
def kind(path):
    return "fold"
"""),
        ("every jump is a pitchfork", "this is a fold and you say pitchfork.*overlap", """
def kind(path):
    return "pitchfork"
"""),
        ("the two names exchanged", "overlap", """
def kind(path):
    (jump,) = path.jumps
    return "pitchfork" if jump.overlap > 0.5 else "fold"
"""),
        ("the overlap itself", "return 'fold' or 'pitchfork'", """
def kind(path):
    return path.jumps[0].overlap
"""),
    ],
    "ex-5-5": [
        ("no root", "take the root", """
def energy_error(alphas, rho, k):
    return float((alphas[k:] * rho[k:]).sum())
"""),
        ("the steps already done", "already done|j ≥ k", """
def energy_error(alphas, rho, k):
    return float((alphas[:k] * rho[:k]).sum().sqrt())
"""),
        ("the residual instead of the error", "j ≥ k", """
def energy_error(alphas, rho, k):
    return float(rho[k].sqrt())
"""),
        ("one step too late", "j ≥ k", """
def energy_error(alphas, rho, k):
    return float((alphas[k + 1 :] * rho[k + 1 :]).sum().sqrt())
"""),
    ],
    "ex-5-7": [
        ("as if the codes were known", "subtract the covariance", """
def gibbs_hessian(e, dH, ddH):
    return torch.einsum("nk,nkij->ij", e, ddH) / len(e)
"""),
        ("the covariance added", "sign of the missing", """
def gibbs_hessian(e, dH, ddH):
    mean = torch.einsum("nk,nki->ni", e, dH)
    return (torch.einsum("nk,nkij->ij", e, ddH) + torch.einsum("nk,nki,nkj->ij", e, dH, dH) - mean.T @ mean) / len(e)
"""),
        ("second moments instead of a covariance", "add ⟨∇H⟩⟨∇H⟩ᵀ back", """
def gibbs_hessian(e, dH, ddH):
    return (torch.einsum("nk,nkij->ij", e, ddH) - torch.einsum("nk,nki,nkj->ij", e, dH, dH)) / len(e)
"""),
        ("one mean for all images", "belongs to one image", """
def gibbs_hessian(e, dH, ddH):
    mean = torch.einsum("nk,nki->i", e, dH) / len(e)
    return (torch.einsum("nk,nkij->ij", e, ddH) - torch.einsum("nk,nki,nkj->ij", e, dH, dH)) / len(e) + torch.outer(mean, mean)
"""),
        ("summed over images", "images are summed", """
def gibbs_hessian(e, dH, ddH):
    mean = torch.einsum("nk,nki->ni", e, dH)
    return torch.einsum("nk,nkij->ij", e, ddH) - torch.einsum("nk,nki,nkj->ij", e, dH, dH) + mean.T @ mean
"""),
        ("all codes alike", "weights e are missing", """
def gibbs_hessian(e, dH, ddH):
    mean = dH.mean(1)
    return ddH.mean((0, 1)) - torch.einsum("nki,nkj->ij", dH, dH) / dH[..., 0].numel() + mean.T @ mean / len(e)
"""),
    ],
    "ex-5-8": [
        ("symmetric generators", "antisymmetric", """
def turns(T):
    columns = []
    for a in range(T.shape[1]):
        for b in range(a):
            omega = torch.zeros(T.shape[1], T.shape[1])
            omega[a, b], omega[b, a] = 1.0, 1.0
            columns.append((T @ omega).flatten())
    return torch.stack(columns, 1)
"""),
        ("one corner of the generator", "in the other", """
def turns(T):
    columns = []
    for a in range(T.shape[1]):
        for b in range(a):
            omega = torch.zeros(T.shape[1], T.shape[1])
            omega[a, b] = 1.0
            columns.append((T @ omega).flatten())
    return torch.stack(columns, 1)
"""),
        ("the diagonal too", "diagonal is zero", """
def turns(T):
    columns = []
    for a in range(T.shape[1]):
        for b in range(a + 1):
            omega = torch.zeros(T.shape[1], T.shape[1])
            omega[a, b], omega[b, a] = 1.0, -1.0
            columns.append((T @ omega).flatten())
    return torch.stack(columns, 1)
"""),
        ("each plane twice", "planes", """
def turns(T):
    columns = []
    for a in range(T.shape[1]):
        for b in range(T.shape[1]):
            if a != b:
                omega = torch.zeros(T.shape[1], T.shape[1])
                omega[a, b], omega[b, a] = 1.0, -1.0
                columns.append((T @ omega).flatten())
    return torch.stack(columns, 1)
"""),
        ("the pixels turned", "one direction a column|planes|multiplied from the right", """
def turns(T):
    columns = []
    for a in range(T.shape[0]):
        for b in range(a):
            omega = torch.zeros(T.shape[0], T.shape[0])
            omega[a, b], omega[b, a] = 1.0, -1.0
            columns.append((omega @ T).flatten())
    return torch.stack(columns, 1)
"""),
        ("all planes with the first code", "independent", """
def turns(T):
    k = T.shape[1]
    columns = []
    for a in range(k):
        for b in range(a):
            omega = torch.zeros(k, k)
            omega[1, 0], omega[0, 1] = 1.0, -1.0
            columns.append((T @ omega).flatten())
    return torch.stack(columns, 1)
"""),
    ],
}
