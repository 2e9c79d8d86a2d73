"""Lemma 5 on a trained network, beside the differences that `fe.processes` measures."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..amortised import AmortisedObjective, gauss_newton
from ..errors import NegativeCurvature, NotConverged, SingularHessian
from ..processes import Slopes, relayed
from ..response import Local, conjugate_gradient
from ..training import generator


class NetworkResponse(NamedTuple):
    """The answer of `network_response`."""

    hess: torch.Tensor  # (2, 2): [[D_λ, D_γ], [C_λ, C_γ]]
    matrix: str  # "Hessian" or "Gauss-Newton"
    D: float
    C: float


def network_response(J, theta, p, *, damping=1e-3, rtol=1e-2, max_iterations=400):
    """Hess F = −Bᵀ(A + damping)⁻¹B of an `AmortisedObjective` where training left it.

    A is the Hessian if no negative curvature is met while solving, and the Gauss–Newton matrix
    otherwise; the answer says which. No equilibrium is demanded: compare (chapter 6). `damping` is
    to be small against the curvatures in which B acts, large against those that training never
    resolved.

    Raises:
        ValueError: damping is negative or not finite
        NotConverged: the solver used up its iterations: raise damping
    """
    if not 0 <= damping < math.inf:
        raise ValueError(f"damping must be ≥ 0 and finite, got {damping}")
    local = Local(J, theta, p)
    B, options = local.mixed()[0], dict(rtol=rtol, max_iterations=max_iterations)
    try:
        matrix = "Hessian"
        X, _ = conjugate_gradient(lambda V: local.hvp(V) + damping * V, B, **options)
    except (NegativeCurvature, SingularHessian, NotConverged):
        matrix, product = "Gauss-Newton", gauss_newton(J, theta, p)
        X, _ = conjugate_gradient(lambda V: product(V) + damping * V, B, **options)
    hess = -(B.T @ X)
    return NetworkResponse(0.5 * (hess + hess.T), matrix, *local.dp.tolist())


@dataclass(frozen=True)
class FreeEnergyHessian:
    """A request for Hess F by Lemma 5 (`network_response`) on the k-th set of `images` images."""

    lam: float
    gam: float
    images: int
    part: int
    damping: float

    def measure(self, run):
        """Hess F and the matrix that was used ("Hessian" or "Gauss-Newton")."""
        x, y = (v[self.part * self.images : (self.part + 1) * self.images] for v in run.data(None))
        if len(x) < self.images:
            raise ValueError(
                f"need batches ≥ 1 of images ≥ 1 each, in all at most the "
                f"{len(run.data(None)[0])} there are, got part {self.part} of {self.images}"
            )
        random, d = generator(run.seed, run.done, 3), run.network.code_size(x)
        noise = torch.randn(1, len(x), d, generator=random, dtype=x.dtype, device="cpu")
        J = AmortisedObjective(*run.network[0], x, y, noise.to(x.device))
        p = torch.tensor([self.lam, self.gam], dtype=x.dtype, device=x.device)
        found = network_response(J, J.theta0, p, damping=self.damping)
        return dict(hess=found.hess.tolist(), matrix=found.matrix, D=found.D, C=found.C)


def lemma_5(lam, gam, images=10_000, batches=3, damping=0.1):
    """A process: `Slopes` by Lemma 5 on `batches` disjoint sets of images, and the matrices that
    were used. The spread between the sets is the error.
    """
    if not (batches >= 1 and images >= 1):
        raise ValueError(f"need batches ≥ 1 of images ≥ 1 each, got {batches} of {images}")
    tables, found = [], []
    for part in range(batches):
        found.append((yield FreeEnergyHessian(float(lam), float(gam), images, part, damping)))
        (D_lam, D_gam), (C_lam, C_gam) = found[-1]["hess"]
        C = found[-1]["C"]
        tables.append([[D_lam * lam, D_gam * gam], [C_lam * lam / C, C_gam * gam / C]])
    D, C = (sum(entry[k] for entry in found) / batches for k in "DC")
    return Slopes.of(lam, gam, D, C, tables), [entry["matrix"] for entry in found]


def compared(process, found, **how):
    """The same process; after each measurement of its slopes `lemma_5` measures them too, and what
    comes out is appended to `found`.
    """
    copies, last = lambda request: isinstance(getattr(request, "lam", None), tuple), None

    def ask(request):
        nonlocal last
        if copies(last) and not copies(request):
            slopes, matrices = yield from lemma_5(last.lam[0], last.gam[0], **how)
            found.append(slopes._asdict() | dict(matrices=matrices))
        last = request
        return (yield request)

    return relayed(process, ask)
