"""What becomes of the jumps of results/digits_path.json where C alone is held, and no price: python
benchmarks/jumps.py

The path is followed once more, to just behind the last jump. From the last state before each jump
the curve ∇J = 0, C = C₀ in the space of (θ, γ, λ) is continued along its own arc by Newton's method
with the bordered matrix, which is regular where A is not, until λ has turned back: through the
place where A loses rank (μ = 0), to the fold at fixed C (ν = 0). A is dense here, by Lemma 5.

Writes results/digits_jumps.json; about ten minutes on one core.
"""

import json
import pathlib
import time

import scipy.linalg
import torch

import fe
from fe import classification
from fe.reproduce import provenance, save_json
from fe.response import Local

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
RESULTS = pathlib.Path(__file__).resolve().parents[1] / "results"


def lemma5(J, theta, p):
    """A, B and J_pp, ∇J and C of a topographic map as sums over images and codes; nothing is
    differentiated.

    ∂H/∂W = 2λ φ(z) (x̂(z) − x)ᵀ and ∂H/∂V = γ φ(z) (c(·|z) − y)ᵀ: with θ as one matrix (W V), ∇H
    =
    φ(z) rᵀ, r = a(z) − t.
    """
    (W, V), (lam, gam), w = J.unpack(theta), p.tolist(), J.weights
    phi, soft = J.phi, torch.softmax(J.phi @ V, 1)
    hot = torch.nn.functional.one_hot(J.y, J.n_classes).to(w)
    M, D, Q = J.n_features, J.x.shape[1], J.x.shape[1] + J.n_classes
    a = torch.cat([2 * lam * phi @ W, gam * soft], 1)  # (K, Q)
    t = torch.cat([2 * lam * J.x, gam * hot], 1)  # (N, Q)
    log_d_c = torch.stack(J.log_likelihoods(theta))  # (2, N, K)
    e = J.posterior(theta, p)
    we, g = w[:, None] * e, w @ e
    mean = (e @ (phi[:, :, None] * a[:, None]).flatten(1)).view(-1, M, Q) - (e @ phi)[
        :, :, None
    ] * t[:, None]  # ⟨∇H⟩ (N, M, Q)
    cross = a[:, :, None] * (we.T @ t)[:, None]  # (K, Q, Q)
    r_r = (
        g[:, None, None] * a[:, :, None] * a[:, None]
        - cross
        - cross.mT
        + (we.T @ (t[:, :, None] * t[:, None]).flatten(1)).view(-1, Q, Q)
    )
    second = (
        ((phi[:, :, None] * phi[:, None]).flatten(1).T @ r_r.flatten(1))
        .view(M, M, Q, Q)
        .permute(0, 2, 1, 3)
    )
    A = (mean.flatten(1).T @ (w[:, None] * mean.flatten(1))).view(M, Q, M, Q) - second
    for q in range(D):
        A[:, q, :, q] += 2 * lam * (phi.T * g) @ phi
    A[:, D:, :, D:] += gam * torch.einsum(
        "k,km,kl,kij->milj", g, phi, phi, torch.diag_embed(soft) - soft[:, :, None] * soft[:, None]
    )
    index = torch.arange(M * Q).view(M, Q)
    # W first, then V, as in θ
    order = torch.cat([index[:, :D].flatten(), index[:, D:].flatten()])
    A = A.reshape(M * Q, M * Q)[order][:, order] + J.ridge * torch.eye(M * Q)
    slope, columns = torch.einsum("n,nmq->mq", w, mean), []
    inner = (e * log_d_c).sum(2)  # ⟨log d⟩, ⟨log c⟩ (2, N)
    for part, price, f, f_mean in (
        (slice(None, D), lam, log_d_c[0], inner[0]),
        (slice(D, None), gam, log_d_c[1], inner[1]),
    ):
        explicit, weight = torch.zeros(M, Q), we * (f - f_mean[:, None])
        explicit[:, part] = slope[:, part] / price
        columns.append(
            -(explicit + (phi.T * weight.sum(0)) @ a - phi.T @ weight.T @ t).flatten()[order]
        )
    J_pp = -torch.einsum("nk,ink,jnk->ij", we, log_d_c, log_d_c) + (w * inner) @ inner.T
    C = -float(w @ inner[1])
    return A, torch.stack(columns, 1), J_pp, slope.flatten()[order] + J.ridge * theta, C


class Curve:
    """States (θ, γ, λ) with ∇J = 0 and C = C₀."""

    def __init__(self, J, target):
        self.J, self.target = J, target

    def solve(self, guess, start, direction):
        """Newton on ∇J = 0, C = C₀ and direction·(X − guess) = 0; returns X, its row, and the
        tangent there.
        """
        X = guess
        for _ in range(12):
            A, B, J_pp, slope, C = lemma5(self.J, X[:-2], X[[-1, -2]])
            rows = [
                torch.cat([A, -B[:, [1, 0]]], 1),
                torch.cat([-B[:, 1], J_pp[1, [1, 0]]])[None],
                direction[None],
            ]
            matrix, miss = (
                torch.cat(rows),
                torch.cat(
                    [slope, torch.tensor([C - self.target]), (direction @ (X - guess))[None]]
                ),
            )
            if miss.norm() < 1e-13:
                break
            X = X - torch.linalg.solve(matrix, miss)
        last = torch.zeros(len(X))
        last[-1] = 1
        tangent = torch.linalg.solve(matrix, last)
        return (
            X,
            self.row(X, A, B, J_pp) | dict(s=start + float((X - guess).norm())),
            tangent / tangent.norm(),
        )

    def row(self, X, A, B, J_pp):
        values, vectors = scipy.linalg.eigh(A.numpy(), subset_by_index=[0, 0])
        mu, u, b = float(values[0]), torch.as_tensor(vectors[:, 0]), B[:, 1]
        nu = float(
            scipy.linalg.eigvalsh(
                (A - torch.outer(b, b) / J_pp[1, 1]).numpy(), subset_by_index=[0, 0]
            )[0]
        )
        hess = J_pp - B.T @ torch.linalg.solve(A, B)
        others = float(hess[1, 1]) + float(u @ b) ** 2 / mu  # F_γγ without the soft direction
        cosines = ((u @ B) / B.norm(dim=0)).abs().tolist()
        return dict(
            lam=float(X[-1]),
            gam=float(X[-2]),
            mu=mu,
            nu=nu,
            F_ll=float(hess[0, 0]),
            F_lg=float(hess[0, 1]),
            F_gg=float(hess[1, 1]),
            D_lam=float(hess[0, 0] - hess[0, 1] ** 2 / hess[1, 1]),
            cos_lam=cosines[0],
            cos_gam=cosines[1],
            mu_c=-(float(u @ b) ** 2) / others,
        )


def pack(point):
    return torch.cat([point.theta, point.p[[1, 0]]])


def beyond(J, target, earlier, last):
    """Rows from the state `last` on (after `earlier`), along the curve, until ν is well below
    zero.
    """
    curve, X = Curve(J, target), pack(last)
    chord = X - pack(earlier)
    X, row, tangent = curve.solve(X, 0.0, chord / chord.norm())
    rows, fall = [row], (earlier.curvature - last.curvature) / float(chord.norm())  # −dμ/ds
    while rows[-1]["nu"] > -0.7 * row["mu_c"]:
        aim = max(0.5 * rows[-1]["mu"], row["mu_c"] / 4)  # the next fall of μ
        step = aim / fall
        X_new, new, turned = curve.solve(X + step * tangent, 0.0, tangent)
        new["s"] = rows[-1]["s"] + step
        fall = (rows[-1]["mu"] - new["mu"]) / step
        X, tangent = X_new, turned if turned @ tangent > 0 else -turned
        rows.append(new)
        print(
            "  λ {lam:.9f}  γ {gam:.6f}  μ {mu:+.3e}  ν {nu:+.3e}  F_γγ {F_gg:+.3e}  dD/dλ "
            "{D_lam:+.3f}".format(**new),
            flush=True,
        )
    return rows


def crossing(rows, name, *others):
    """`others` where row[name] = 0, by parabolas in s through the three rows around it."""
    i = next(i for i, r in enumerate(rows) if r[name] < 0)
    near = rows[max(i - 2, 0) : max(i - 2, 0) + 3]
    s = torch.tensor([r["s"] for r in near])
    parabola = lambda key: torch.linalg.solve(
        torch.stack([s**0, s - s[1], (s - s[1]) ** 2], 1), torch.tensor([r[key] for r in near])
    )
    c0, c1, c2 = parabola(name).tolist()
    root = -2 * c0 / (c1 - (c1**2 - 4 * c0 * c2) ** 0.5)  # c1 < 0
    return [float(parabola(key) @ torch.tensor([1, root, root**2])) for key in others]


def rounded(row):
    return {k: float(f"{v:.10g}" if k in ("lam", "gam") else f"{v:.5g}") for k, v in row.items()}


class Enough(Exception):
    pass


def main():
    stored = json.loads((RESULTS / "digits_path.json").read_text())
    a, began = stored["provenance"]["arguments"], time.perf_counter()
    J = fe.TopographicMap(
        *fe.digits(a["n"], seed=a["seed"]), grid=a["grid"], features=a["features"], ridge=a["ridge"]
    )
    wanted = [j["after"]["s"] for j in stored["jumps"]]
    points = []

    def on_point(point):
        points.append(point)
        print(f"λ {float(point.p[0]):.4f}", end="\r", flush=True)
        if point.s > wanted[-1]:
            raise Enough

    try:
        fe.follow(
            J,
            J.initial(),
            torch.tensor([a["lam"], a["gam"]]),
            fe.Conserve(classification),
            a["lam_end"] - a["lam"],
            on_point=on_point,
        )
    except Enough:
        pass
    first = points[0]
    local, probe = (
        Local(J, first.theta, first.p),
        torch.randn(J.n_parameters, generator=torch.Generator().manual_seed(0)),
    )
    A, B, J_pp, *_ = lemma5(J, first.theta, first.p)
    assert (A @ probe - local.hvp(probe)).abs().max() < 1e-10 and (
        B - local.mixed()[0]
    ).abs().max() < 1e-10
    jumps = []
    for s in wanted:
        i = min(range(len(points)), key=lambda k: abs(points[k].s - s))
        assert abs(points[i].s - s) < 1e-5, (
            f"this path jumps elsewhere than the stored one, at s = {points[i].s}, not {s}"
        )
        print(f"\njump at λ = {float(points[i - 1].p[0]):.6f}")
        rows = beyond(J, first.classification, points[i - 2], points[i - 1])
        lam, lam_c = (
            crossing(rows, "mu", "lam", "cos_lam", "cos_gam", "mu_c"),
            crossing(rows, "nu", "lam", "mu"),
        )
        jumps.append(
            dict(
                lam=lam[0],
                cos_lam=lam[1],
                cos_gam=lam[2],
                mu_c=lam[3],
                lam_c=lam_c[0],
                mu_at_c=lam_c[1],
                gap=lam_c[0] - lam[0],
                rows=[rounded(r | dict(ahead=lam_c[0] - r["lam"])) for r in rows],
            )
        )
    save_json(
        RESULTS / "digits_jumps.json",
        {
            "what": "each jump of digits_path.json with C held and no price: through the place "
            "where A loses rank (mu = 0, at lam) to the fold at fixed C "
            "(nu = 0, at lam_c); mu, nu: smallest eigenvalues of A and of the Hessian at fixed "
            "C; "
            "mu_c: -mu at the fold as predicted at lam",
            "provenance": provenance(time.perf_counter() - began, **a)
            | {"parameters": J.n_parameters},
            "jumps": jumps,
        },
    )


if __name__ == "__main__":
    main()
