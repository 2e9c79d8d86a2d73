"""A topographic map with a classifier: the whole theory exact, on real images.

The latent code z takes the K nodes of a square grid in the plane, with weights m_k ∝ N(z_k; 0, I).
Decoder and classifier are linear in M fixed features φ(z) (Gaussian bumps and a constant),

    x̂(z) = Wᵀφ(z),        c(y|z) = softmax(Vᵀφ(z))_y,

so that the integral over z in eq. (9) is a finite sum. Without the classifier this is the
generative topographic mapping of Bishop, Svensén and Williams (Neural Computation 10, 1998).
"""

import torch

from . import gibbs
from .errors import check_data, check_shape, check_weights
from .objective import check_state


def _triangle(n, device):
    """Row and column of each entry of the upper triangle of n × n; the place of each of n × n."""
    i, j = torch.triu_indices(n, n, device=device)
    place = i.new_empty(n, n)
    place[i, j] = place[j, i] = torch.arange(len(i), device=device)
    return i, j, place


class TopographicMap(gibbs.GibbsObjective):
    """The objective J(θ, p) of eq. (14) for a map with K = grid² nodes and M = features² + 1
    features; θ stacks W (M, D) and V (M, Y), `n_parameters` = M (D + Y) numbers.

    Args:
        x: (N, D) images, pixels in [0, 1]
        y: (N,) int64 labels
        n_classes: number of classes Y (default: max(y) + 1)
        grid: nodes a side, z ∈ [−2.5, 2.5]²
        features: bumps a side; their width is their spacing
        ridge: ρ of ½ρ‖θ‖²
    """

    def __init__(self, x, y, n_classes=None, *, grid=15, features=4, ridge=1e-3):
        check_data(x, y, n_classes)
        if grid < 2 or features < 1:
            raise ValueError(f"need grid ≥ 2 and features ≥ 1; got {grid} and {features}")
        super().__init__(ridge)
        self.n_classes = n_classes = int(y.max()) + 1 if n_classes is None else n_classes
        self.x, self.y, self.weights = x, y, check_weights(None, x)
        line = lambda n: torch.linspace(-2.5, 2.5, n, dtype=x.dtype, device=x.device)
        self.nodes = torch.cartesian_prod(line(grid), line(grid))  # (K, 2)
        self.log_m = torch.log_softmax(-0.5 * self.nodes.square().sum(1), 0)  # (K,)
        inner = line(features + 2)[1:-1]
        distance = torch.cdist(self.nodes, torch.cartesian_prod(inner, inner))
        bumps = torch.exp(-0.5 * (distance / (5 / (features + 1))).square())
        self.phi = torch.cat([bumps, torch.ones_like(bumps[:, :1])], 1)  # (K, M)
        self.n_features = self.phi.shape[1]
        self.n_parameters = self.n_features * (x.shape[1] + n_classes)

    def _labels(self):
        """The labels as probabilities, (N, Y)."""
        one = torch.eye(self.n_classes, dtype=self.x.dtype, device=self.x.device)
        return self.y if self.y.is_floating_point() else one[self.y]

    def unpack(self, theta):
        """W (M, D) and V (M, Y) as views of θ."""
        check_shape("theta", theta, self.n_parameters)
        W, V = theta.split([self.n_features * self.x.shape[1], self.n_features * self.n_classes])
        return W.view(self.n_features, -1), V.view(self.n_features, -1)

    def log_likelihoods(self, theta):
        """log d(x_n|z_k) = −‖x_n − x̂(z_k)‖² and log c(y_n|z_k), each (N, K)."""
        W, V = self.unpack(theta)
        return gibbs.log_d(self.x, self.phi @ W), gibbs.log_c(self.y, self.phi @ V)

    def log_joint(self, theta, p):
        """−H(z_k; x_n) of eq. (11), (N, K): one product of what belongs to images and to nodes."""
        W, V = self.unpack(theta)
        xhat = self.phi @ W  # (K, D)
        log_c = torch.log_softmax(self.phi @ V, 1)  # (K, Y)
        last = torch.stack([-p[0].expand_as(self.log_m), self.log_m - p[0] * xhat.square().sum(1)])
        sizes = self.x.square().sum(1, keepdim=True)  # ‖x_n‖², (N, 1)
        images = torch.cat([self.x, self._labels(), sizes, torch.ones_like(sizes)], 1)
        return images @ torch.cat([(2 * p[0] * xhat).T, p[1] * log_c.T, last])

    def predict(self, theta, p, x=None):
        """Class probabilities (N, Y) from the image alone: e ∝ m d^λ, the label unseen, then c
        averaged over it.
        """
        W, V = self.unpack(theta)
        log_d = gibbs.log_d(self.x if x is None else x, self.phi @ W)
        return torch.softmax(self.log_m + p[0] * log_d, 1) @ torch.softmax(self.phi @ V, 1)

    def initial(self):
        """θ that lays the grid on the plane of the first two principal components; c is uniform."""
        mean = self.weights @ self.x
        centred = (self.x - mean) * self.weights.sqrt()[:, None]
        _, s, vt = torch.linalg.svd(centred, full_matrices=False)
        vt = vt * vt.gather(1, vt.abs().argmax(1, keepdim=True)).sign()  # svd leaves the sign open
        plane = self.nodes[:, : len(s)] @ (s[:2, None] * vt[:2]) + mean  # (K, D)
        gram = self.phi.T @ self.phi
        gram.diagonal().add_(1e-6 * gram.diagonal().mean())
        W = torch.linalg.solve(gram, self.phi.T @ plane)
        return torch.cat([W.flatten(), W.new_zeros(self.n_features * self.n_classes)])

    def _blocks(self, theta, p, g):
        """E⟨∇²H⟩ where g (K,) are the mean probabilities of the nodes: (M, M) for W, the same for
        every pixel, and (M, M, Y, Y) for V.
        """
        phi, c = self.phi, (self.phi @ self.unpack(theta)[1]).softmax(1)
        fisher = g[:, None, None] * (torch.diag_embed(c) - c[:, :, None] * c[:, None])
        block_v = p[1] * torch.einsum("ka,kb,kij->abij", phi, phi, fisher)
        return 2 * p[0] * (phi.T * g) @ phi, block_v

    def dense_hessian(self, theta, p):
        """A = ∇²_θ J (P, P) by Lemma 5, as sums over images and nodes: nothing is differentiated.

        With θ as one matrix (W V), ∇H = φ(z)(a − t)ᵀ, where a = (2λx̂(z), γc(· | z)) belongs to the
        node, t = (2λx, γy) to the image, and A = E[⟨∇²H⟩ − Cov(∇H)] + ρI. As x̂ is linear in φ, so
        is a in b = (φ, c): a = Lᵀb. The covariances are of φbᵀ, with few entries.
        """
        outer = lambda u, v: (u[:, :, None] * v[:, None]).flatten(1)
        (W, V), (lam, gam), w, phi = self.unpack(theta), p, self.weights, self.phi
        M, D, Y = self.n_features, self.x.shape[1], self.n_classes
        c, one = (phi @ V).softmax(1), torch.eye(Y, dtype=w.dtype, device=w.device)
        L = torch.block_diag(2 * lam * W, gam * one)  # (B, Q), B = M + Y, Q = D + Y
        t = torch.cat([2 * lam * self.x, gam * self._labels()], 1)  # (N, Q)
        # the products φbᵀ, of which those of two features are symmetric: each once, (K, U)
        i, j, pair = _triangle(M, w.device)
        place = torch.arange(len(i), len(i) + M * Y, device=w.device).view(M, Y)
        place = torch.cat([pair, place], 1).flatten()  # (M B,)
        phi_b = torch.cat([phi[:, i] * phi[:, j], outer(phi, c)], 1)
        e = self.posterior(theta, p)  # (N, K)
        we, g, mean_phi, mean = w[:, None] * e, w @ e, e @ phi, e @ phi_b
        w_mean = w[:, None] * mean
        # E Cov(φb, φb) L − 2 E Cov(φb, φ) ⊗ t, its half with L from the left, (M Q, M Q)
        twice = (phi_b.T @ (g[:, None] * phi_b) - mean.T @ w_mean)[place[:, None], place]
        cross = phi_b.T @ outer(phi, we.T @ t) - w_mean.T @ outer(mean_phi, t)
        twice = (twice.view(-1, M + Y) @ L).view(len(place), -1) - 2 * cross[place]
        twice = (L.T @ twice.view(M, M + Y, -1)).flatten(0, 1)
        # −E Cov(φ, φ) ⊗ ttᵀ, of ttᵀ each product once, (M, Q, M, Q)
        cov = w_mean[:, : len(i)] - w[:, None] * mean_phi[:, i] * mean_phi[:, j]  # (N, pairs)
        cov_tt = torch.cat([cov.T @ (t[:, k:] * t[:, k : k + 1]) for k in range(D + Y)], 1)
        A = -cov_tt[pair[:, None, :, None], _triangle(D + Y, w.device)[2][:, None]]
        block_w, block_v = self._blocks(theta, p, g)
        A.diagonal(0, 1, 3)[..., :D] += block_w[..., None]
        A[:, D:, :, D:] += block_v.transpose(1, 2)
        A = A.view(twice.shape).sub_(twice, alpha=0.5).sub_(twice.T, alpha=0.5)
        rows = torch.arange(len(A), device=w.device).view(M, -1).split([D, Y], 1)
        order = torch.cat([r.flatten() for r in rows])  # θ: W first, then V
        A = A[order[:, None], order]
        A.diagonal().add_(self.ridge)
        return A

    def preconditioner(self, theta, p):
        """An approximate inverse of A, (P,) or (P, m) -> the same shape: that of E⟨∇²H⟩ + ρI, the
        Hessian of the M-step of EM, which A would be if the codes z were known.
        """
        check_state(theta, p)
        g = self.weights @ self.posterior(theta, p)  # (K,)
        block_w, block_v = self._blocks(theta, p, g)
        M, size = self.n_features, self.n_features * self.n_classes
        block_v = block_v.transpose(1, 2).reshape(size, size)
        floor = max(self.ridge, 1e-9 * float(block_w.diagonal().max() + block_v.diagonal().max()))
        for block in (block_w, block_v):
            block.diagonal().add_(floor)
        chol_w, chol_v = torch.linalg.cholesky(block_w), torch.linalg.cholesky(block_v)

        def apply(v):
            w, v = v[:-size], v[-size:]
            w_solved = torch.cholesky_solve(w.reshape(M, -1), chol_w).reshape(w.shape)
            v_solved = torch.cholesky_solve(v.reshape(size, -1), chol_v).reshape(v.shape)
            return torch.cat([w_solved, v_solved])

        return apply
