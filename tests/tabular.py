"""The Gibbs objective on finite alphabets: every table is a parameter."""

import torch

from fe import gibbs
from fe.objective import normal


class TabularModel(gibbs.GibbsObjective):
    """J = −Σ_x p(x) log Σ_z m(z) d(x|z)^λ c(y_x|z)^γ + ½ρ‖θ‖² for p_x (X,), labels y (X,), and Z
    codes. θ holds the logits of m (Z,), of c (Z, Y) and of d (Z, X); the softmaxes' shifts are 1 +
    2Z null directions of A unless ρ > 0.
    """

    def __init__(self, p_x, y, n_codes, n_classes, ridge=0.0):
        super().__init__(ridge)
        self.weights, self.y = p_x, y
        self.sizes = n_codes, n_codes * n_classes, n_codes * len(p_x)
        self.n_parameters = sum(self.sizes)

    def log_probabilities(self, theta):
        m, c, d = (v.view(self.sizes[0], -1) for v in theta.split(self.sizes))
        return torch.log_softmax(m[:, 0], 0), torch.log_softmax(d, 1).T, gibbs.log_c(self.y, c)

    def log_joint(self, theta, p):
        log_m, log_d, log_c = self.log_probabilities(theta)
        return log_m + p[0] * log_d + p[1] * log_c

    def initial(self, seed, scale=1.0):
        return scale * normal(self.n_parameters, seed=seed, like=self.weights)
