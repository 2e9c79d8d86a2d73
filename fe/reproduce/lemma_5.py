"""Lemma 5 on a trained network, beside the differences that `fe.processes` measures."""

from dataclasses import dataclass

import torch

from ..amortised import AmortisedObjective
from ..networks import check_networks
from ..processes import Slopes
from ..training import generator
from .curvature import network_response


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
        random, d = generator(run.seed, run.done, 3), check_networks(*run.network[0], x, y)
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
    copies, last = lambda request: isinstance(getattr(request, "lam", None), list), None
    answer = None
    while True:
        try:
            request = process.send(answer)
        except StopIteration as end:
            return end.value
        if copies(last) and not copies(request):
            slopes, matrices = yield from lemma_5(last.lam[0], last.gam[0], **how)
            found.append(slopes._asdict() | dict(matrices=matrices))
        last, answer = request, (yield request)
