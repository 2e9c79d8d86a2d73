"""The metric of chapter 10: what has to be relaxed after a sudden change of prices and task."""

import torch

import fe


def test_the_metric_is_what_has_to_be_relaxed():
    """J(θ*(p), p + dp) − F(p + dp) = ½ dpᵀ(J_pp − Hess F)dp + O(dp³), with prices and task moved
    together.
    """
    x, y = fe.digits(60, classes=range(2))
    xt, yt = fe.digits(60, classes=range(2, 4))
    model = fe.TopographicMap(x, y, 2, grid=7, features=2, ridge=3e-2)
    J = fe.TaskObjective(model, fe.Mixture((x, y), (xt, yt - 2)))
    p = torch.tensor([0.5, 4.0, 0.4])
    e = fe.minimise(J, model.initial(), p)
    r = fe.linear_response(J, e.theta, p)
    g = torch.func.hessian(J, argnums=1)(e.theta, p) - r.hess
    assert (
        float(torch.linalg.eigvalsh(g).min()) > -1e-9
        and float(torch.linalg.eigvalsh(r.hess).max()) > 0
    )  # g ≥ 0 though Hess F is not ≤ 0
    direction, ratios = torch.tensor([0.3, -1.0, 0.5]), []
    for h in (2e-2, 1e-2):
        q = p + h * direction
        excess = float(J(e.theta, q)) - fe.minimise(J, e.theta, q).value
        ratios.append(excess / (0.5 * h**2 * float(direction @ g @ direction)) - 1)
    assert (
        abs(ratios[1]) < 0.02 and 1.7 < ratios[0] / ratios[1] < 2.3
    )  # the error of the ratio is of first order in h
