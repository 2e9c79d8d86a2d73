r"""The linear–Gaussian model: all that the theory asserts, phase transitions too, in closed form.

Decoder log d(x|z) = −‖x − Wz‖², classifier log c(y|z) = −‖y − Vz‖² for a real-valued label y, m(z)
= N(0, I_k), and the Gibbs encoder of eq. (9), which is Gaussian. Data enter through their
covariance Σ of (x, y) alone (means are zero).

Put u = (√(2λ) x, √(2γ) y) and A = (√(2λ) W; √(2γ) V). Integrating out z,

    J = −E log Z = ½ log det(I + AᵀA) + ½ tr((I + AAᵀ)⁻¹ Cov u),

but for constants the likelihood of probabilistic PCA on u, whose minimum is known (Tipping and
Bishop, J. R. Stat. Soc. B 61 (1999) 611–622). With e₁ ≥ e₂ ≥ … the eigenvalues of Cov u, and code
i ≤ k *active* when e_i > 1,

    F = Σ_active ½(1 + log e_i) + Σ_rest ½ e_i,        R = Σ_active ½ log e_i.

The e_i are also the eigenvalues of T(λ, γ) = Lᵀ diag(2λ I, 2γ I) L, Σ = LLᵀ, which is *linear* in
(λ, γ): all derivatives of F follow from T's eigenvectors, also at λ = 0 or γ = 0. Where an e_i
passes 1 a code collapses, and Hess F jumps. Where e_k = e_{k+1} > 1 (too few codes) the minimum
passes to another branch, and the gradient of F jumps.
"""

import torch

from .errors import check_floating, check_like, check_shape
from .objective import Ridged, normal


class LinearGaussian(Ridged):
    """J(θ, p) for θ = (W, V) flattened, p = (λ, γ), and its exact minimum.

    Args:
        cov: (dx + dy, dx + dy) symmetric, positive semi-definite covariance Σ of (x, y), float64
        dim_x: dx, 1 ≤ dx < dx + dy
        k: number of codes, k ≥ 1
        ridge: ρ ≥ 0, adds ½ρ‖θ‖² to J

    `J(theta, p)` works under every transform of torch.func; further controls in p are ignored. The
    closed forms return tensors, and raise `ValueError` unless p = (λ, γ) ≥ 0 and ρ = 0.
    """

    def __init__(self, cov, dim_x, k, ridge=0.0):
        check_floating("cov", cov, "n", "n")
        check_shape("cov", cov, len(cov), len(cov))
        if cov.dtype != torch.float64:
            raise TypeError(f"cov must be float64, got {cov.dtype}")
        if not 1 <= dim_x < len(cov) or k < 1:
            raise ValueError(f"need 1 ≤ dim_x ≤ {len(cov) - 1} and k ≥ 1, got {dim_x=}, {k=}")
        self.cov, skew = (cov + cov.T) / 2, (cov - cov.T).abs().max().item()
        eigenvalues, vectors = torch.linalg.eigh(self.cov)
        least, slack = eigenvalues[0].item(), 1e-10 * cov.abs().max().item()
        if skew > slack or least < -slack:  # eigh's own error is 1e-15 of the largest entry
            raise ValueError(
                "cov must be symmetric and positive semi-definite, but differs from its transpose "
                f"by {skew:.3g} and has an eigenvalue {least:.3g}"
            )
        super().__init__(ridge)
        self.k, self.dim_x, self.dim_y = k, dim_x, len(cov) - dim_x
        self.n_parameters = len(cov) * k
        self._root = vectors * eigenvalues.clamp(min=0).sqrt()  # L, Σ = LLᵀ
        Lx, Ly = self._root[:dim_x], self._root[dim_x:]
        self._slopes = torch.stack([2 * Lx.T @ Lx, 2 * Ly.T @ Ly])  # T_λ, T_γ: T = λ T_λ + γ T_γ

    def unpack(self, theta):
        """W (dx, k) and V (dy, k)."""
        check_shape("theta", theta, self.n_parameters)
        return theta.view(-1, self.k).split([self.dim_x, self.dim_y])

    def __call__(self, theta, p):
        """J = ½ log det(I + M) + ½ tr Cov u − ½ tr((I + M)⁻¹ G), M = AᵀA, G = Aᵀ Cov(u) A."""
        W, V = self.unpack(theta)
        lam, gam = 2 * p[0], 2 * p[1]
        eye = torch.eye(self.k, dtype=theta.dtype, device=theta.device)
        K = eye + lam * W.T @ W + gam * V.T @ V
        B = torch.cat([lam * W, gam * V])
        G = B.T @ self.cov @ B
        variances, n = self.cov.diagonal(), self.dim_x
        trace = lam * variances[:n].sum() + gam * variances[n:].sum()
        J = 0.5 * (torch.linalg.slogdet(K)[1] + trace - torch.linalg.solve(K, G).trace())
        return J + self.penalty(theta)

    def initial(self, seed, scale=0.1):
        """θ drawn from N(0, scale²), the same on every device; θ = 0 is stationary for every p."""
        return scale * normal(self.n_parameters, seed=seed, like=self.cov)

    def _spectrum(self, p):
        """Eigenvalues e (descending) and eigenvectors of T, the mask of the active ones, and e
        where active, else 1.
        """
        check_floating("p", p, 2)
        check_like("p", p, "cov", self.cov)
        if (p < 0).any():
            raise ValueError(f"p must be (λ, γ) with λ ≥ 0 and γ ≥ 0, got {p.tolist()}")
        if self.ridge:
            raise ValueError(f"the closed forms hold for ridge = 0 only, got ridge = {self.ridge}")
        e, vectors = torch.linalg.eigh(torch.einsum("q,qij->ij", p, self._slopes))
        e = e.flip(0)
        active = (e > 1) & (torch.arange(len(e), device=e.device) < self.k)
        return e, vectors.flip(1), active, torch.where(active, e, 1.0)

    def active(self, p):
        """Number r ≤ k of codes in use: those with e_i > 1."""
        return int(self._spectrum(p)[2].sum())

    def optimum(self, p):
        """A minimiser θ* (P,), unique up to rotations of z: columns (W; V)_i = L v_i √(1 − 1/e_i)
        for active i, else 0.
        """
        e, vectors, _, used = self._spectrum(p)
        columns = self._root @ vectors * (1 - 1 / used).sqrt()
        theta = torch.zeros(len(e), self.k, dtype=e.dtype, device=e.device)
        theta[:, : len(e)] = columns[:, : self.k]
        return theta.flatten()

    def free_energy(self, p):
        """F(λ, γ) = min_θ J (eq. 10)."""
        e, _, active, used = self._spectrum(p)
        return 0.5 * torch.where(active, 1 + used.log(), e).sum()

    def rate(self, p):
        """R = Σ_active ½ log e_i."""
        return 0.5 * self._spectrum(p)[3].log().sum()

    def gradient(self, p):
        """(D, C) = dF, (2,)."""
        self._regular(p, "gradient")
        return torch.func.grad(self.free_energy)(p)

    def distortion(self, p):
        """D = F_λ = E‖x − Wz‖² at the optimum."""
        return self.gradient(p)[0]

    def classification(self, p):
        """C = F_γ = E‖y − Vz‖² at the optimum."""
        return self.gradient(p)[1]

    def hessian(self, p):
        r"""Hess F, (2, 2), negative semi-definite (Lemma 3). In T's eigenbasis,

            F_pq = −½ Σ_ij g_ij (T_p)_ij (T_q)_ij / (u_i u_j),   g_ij = (u_i − u_j) / (e_i − e_j),

        with u_i = e_i for an active code, else 1, and g_ij = 1 for two active codes, also where e_i
        = e_j. `ValueError` where the Hessian jumps.
        """
        self._regular(p, "Hessian", thresholds=True)
        e, vectors, active, used = self._spectrum(p)
        both, one = active[:, None] & active, active[:, None] ^ active  # (i, j)
        apart = torch.where(one, e[:, None] - e, 1.0)
        g = torch.where(one, (used[:, None] - used) / apart, both.to(e))
        rotated = vectors.T @ self._slopes @ vectors  # (2, i, j)
        weights = -0.5 * g / torch.outer(used, used)
        return torch.einsum("ij,pij,qij->pq", weights, rotated, rotated)

    def _regular(self, p, what, thresholds=False):
        """Raise where the closed form of `what` does not exist, to the eigenvalues' round-off."""
        e, k, why = self._spectrum(p)[0], self.k, None
        slack = 1e-12 * max(1.0, e[0].item())
        at_one = (e[:k] - 1).abs() <= slack
        if k < len(e) and e[k] > 1 and e[k - 1] - e[k] <= slack:
            equal = f"e_{k} = e_{k + 1} = {e[k].item():.6g} > 1"
            why = f"{equal}, so k = {k} codes serve either direction equally well"
        elif thresholds and at_one.any():
            number = int(at_one.nonzero()[0]) + 1
            why = f"e_{number} is 1, the threshold at which that code collapses"
        if why:
            raise ValueError(f"F has no {what} at p = {p.tolist()}: {why}; move p")

    def thresholds(self, gam):
        """Values of λ at which one of the k codes enters use, ascending, at a given γ ≥ 0.

        There det(diag(2λ, 2γ)⁻¹ − Σ) = 0: 1/(2λ) is an eigenvalue μ > 0 of the Schur complement
        Σ_xx + Σ_xy (I/(2γ) − Σ_yy)⁻¹ Σ_yx. `ValueError` where γ is a threshold by itself.
        """
        gam, n = float(gam), self.dim_x
        already = self.active(self.cov.new_tensor([0.0, gam]))  # checks the sign too
        xx, yy, xy = self.cov[:n, :n], self.cov[n:, n:], self.cov[:n, n:]
        block = torch.eye(len(yy), dtype=yy.dtype, device=yy.device) - 2 * gam * yy
        size = max(1.0, 2 * gam * yy.abs().max().item())
        if torch.linalg.eigvalsh(block).abs().min() <= 1e-12 * size:
            raise ValueError(f"γ = {gam} is a threshold by itself; move it")
        mu = torch.linalg.eigvalsh(xx + 2 * gam * xy @ torch.linalg.solve(block, xy.T))
        positive = mu[mu > 1e-13 * mu.abs().max()].flip(0)
        return 1 / (2 * positive[: self.k - already])
