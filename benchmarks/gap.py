"""The gap between trained networks and the Gibbs encoder, split into its parts: python
benchmarks/gap.py

Chapter 3 shows the split for one network; this is the same for five trainings and several seeds, on
digits that the network was trained on and on all others, apart. Each seed draws its own training
digits, weights, minibatches and noise. Four encoders are compared on one decoder and one
classifier, codes in the plane, every integral a sum over 121 × 121 nodes:

    gibbs            e* ∝ m d^λ c(y_x|z)^γ, the label seen
    reconstruction   e⁰ ∝ m d^λ, neither label nor classifier
    averaged         e^p ∝ m d^λ Π_y c(y|z)^{γ p(y|x)}, with p(y|x) = ∫ e_θ c dz as the
                     network predicts it
    network          e_θ, the Gaussian of the trained network

C averages −log c(y_x|z) over the codes, the log-loss is −log of the averaged c. Parts of the gap G
− J = KL(e_θ‖e*), with q* and q^p the Gaussians nearest to e* and e^p (in the divergence of the
Gaussian from them):

    family        KL(q*‖e*)
    label         cost(q^p) − cost(q*), both at the true label
    amortisation  cost(e_θ) − cost(q^p)

Writes results/gibbs_gap.json; about ten minutes of one core that has nothing else to do.
"""

import argparse
import time

import torch

import fe
from fe import amortised, gibbs, networks, reproduce
from fe.training import Ensemble, train_ensemble

P = 1.0, 4.0  # λ, γ
SETTINGS = [  # hidden units of the encoder, training digits, epochs; minibatches of 100
    (48, 1000, 60),
    (128, 1000, 60),
    (48, 1000, 180),
    (128, 1000, 180),
    (128, 1500, 120),
]
SEEDS, SEEN, STEPS = 5, 400, 80
F64 = torch.float64
AXIS = torch.linspace(-6, 6, 121, dtype=F64)
PLANE = gibbs.uniform_grid(121, 2, half_width=6.0)


def masses(mu, log_sigma):
    """N(μ, diag σ²) on the axis of each coordinate, normalised there: (N, 2) twice -> (N, 2,
    121).
    """
    return torch.softmax(-0.5 * ((AXIS - mu[..., None]) / log_sigma.exp()[..., None]).square(), -1)


def law_of(q):
    """The Gaussians q = (μ, log σ) on the nodes of the plane, (N, K)."""
    a = masses(*q)
    return (a[:, 0, :, None] * a[:, 1, None, :]).flatten(1)


def cost(q, energy):
    """R + Σ_z q(z|x) energy(z; x) of Gaussians q, (N,), for energy (N, K); R in closed form."""
    a = masses(*q)
    mean = torch.einsum("ni,nij,nj->n", a[:, 0], energy.view(-1, 121, 121), a[:, 1])
    return amortised.kl_to_standard_normal(*q) + mean


def nearest_gaussian(law, energy, steps=STEPS, start=None):
    """The Gaussians of least cost, by Adam from the mean and the spread of `law` (N, K), or from
    `start`.
    """
    mean = law @ PLANE.nodes
    spread = 0.5 * (law @ PLANE.nodes.square() - mean.square()).clamp(min=1e-4).log()
    q = [t.clone().requires_grad_() for t in start or (mean, spread)]
    optimiser = torch.optim.Adam(q, lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        cost(q, energy).sum().backward()
        optimiser.step()
        schedule.step()
    return [t.detach() for t in q]


def measure(encoder, decoder, classifier, x, y):
    """The four encoders and the split of the gap, each an average over the images x, y; in nats
    per
    image.
    """
    lam, gam = P
    # log c, (K, Y)
    classes, images = torch.log_softmax(classifier(PLANE.nodes), 1), range(len(y))
    log_d, log_m = gibbs.log_d(x, decoder(PLANE.nodes)), PLANE.log_weights
    network = [t.detach() for t in encoder(x)]
    laws = {"network": law_of(network)}
    predicted = laws["network"] @ classes.exp()  # p(y|x), (N, Y)
    true = torch.nn.functional.one_hot(y, classes.shape[1]).to(x)
    energy = {
        name: -lam * log_d - gam * p @ classes.T
        for name, p in (("gibbs", true), ("averaged", predicted))
    }
    energy["reconstruction"] = -lam * log_d
    laws |= {name: torch.softmax(log_m - E, 1) for name, E in energy.items()}
    log_z = torch.logsumexp(log_m - energy["gibbs"], 1)
    for law in laws.values():
        gibbs.check_resolution(law, PLANE)
    found = {"images": len(y), "encoders": {}}
    for name in ("gibbs", "reconstruction", "averaged", "network"):
        c = laws[name] @ classes.exp()  # (N, Y)
        found["encoders"][name] = {
            "C": -float((laws[name] * classes.T[y]).sum(1).mean()),
            "log_loss": -float(c[images, y].log().mean()),
            "accuracy": float((c.argmax(1) == y).to(F64).mean()),
        }
    q = {name: nearest_gaussian(laws[name], energy[name]) for name in ("gibbs", "averaged")}
    at_truth = {name: cost(g, energy["gibbs"]) for name, g in q.items()} | {
        "network": cost(network, energy["gibbs"])
    }
    e_p, log_best = laws["averaged"], log_m - energy["gibbs"] - log_z[:, None]
    log_z_y = torch.stack(
        [torch.logsumexp(log_m + lam * log_d + gam * column, 1) for column in classes.T], 1
    )
    read = predicted.argmax(1) == y
    further = nearest_gaussian(
        laws["gibbs"][:50], energy["gibbs"][:50], 2 * STEPS, [t[:50] for t in q["gibbs"]]
    )
    label = at_truth["averaged"] - at_truth["gibbs"]
    parts = {
        "gap": at_truth["network"] + log_z,
        "family": at_truth["gibbs"] + log_z,
        "label": label,
        "amortisation": at_truth["network"] - at_truth["averaged"],
        "label_misread": label
        * ~read,  # the share of the label's part that digits bear which the network misreads
        "kl_averaged": (torch.xlogy(e_p, e_p) - e_p * log_best).sum(
            1
        ),  # KL(e^p ‖ e*): the label first, then the family
        "expected_price": (predicted * log_z_y).sum(1)
        - torch.logsumexp(log_m - energy["averaged"], 1),  # the lemma's bracket
        "left_in_fit": at_truth["gibbs"][:50]
        - cost(further, energy["gibbs"][:50]),  # what twice the steps still gain
    }
    return found | {name: float(value.mean()) for name, value in parts.items()}


def train(hidden, digits, epochs, seed):
    """Encoder, decoder and classifier trained on the first `digits` of the shuffled digits; and
    these digits, and the others.
    """
    torch.manual_seed(seed)
    x, y = fe.digits(seed=seed)
    nets = (
        networks.Encoder((64, hidden, 2), norm=None).to(F64),
        networks.Decoder((2, 32, 64), norm=None).to(F64),
        networks.Classifier((2, 16, 10), norm=None).to(F64),
    )
    ensemble = Ensemble([nets])
    train_ensemble(ensemble, x[:digits], y[:digits], *P, epochs, 3e-3, seed, batch_size=100)
    nets = [net.requires_grad_(False) for net in ensemble[0]]
    return nets, (x[:digits], y[:digits]), (x[digits:], y[digits:])


def run(hidden, digits, epochs, seed, seen=SEEN):
    """One row of the record: a training, and what is measured on `seen` of its digits and on all
    others.
    """
    nets, (x, y), others = train(hidden, digits, epochs, seed)
    row = dict(
        hidden=hidden, digits=digits, epochs=epochs, steps=epochs * -(-digits // 100), seed=seed
    )
    return row | {"training": measure(*nets, x[:seen], y[:seen]), "unseen": measure(*nets, *others)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="results/gibbs_gap.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(F64)
    began, rows = time.perf_counter(), []
    for seed in range(SEEDS):
        for setting in SETTINGS:
            rows.append(run(*setting, seed))
            print(
                *setting,
                "seed",
                seed,
                *(
                    f"{s}: gap {rows[-1][s]['gap']:.3f}, label {rows[-1][s]['label']:.3f};"
                    for s in ("training", "unseen")
                ),
                flush=True,
            )
    record = {
        "what": "encoders of one decoder and classifier on digits: C and log-loss, and the "
        "split "
        "of G − J; nats per image",
        "lam": P[0],
        "gam": P[1],
        "provenance": reproduce.provenance(time.perf_counter() - began, seeds=SEEDS),
        "runs": rows,
    }
    reproduce.save_json(chosen.out, reproduce.rounded(record))


if __name__ == "__main__":
    main()
