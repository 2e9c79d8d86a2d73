"""Plausible wrong answers to chapter 5's exercises."""

WRONG = {
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
}
