"""The stored split of the gap G − J (chapter 3), and the script that makes it: parts that add up,
bounds that must hold.
"""

import importlib.util
import json
import pathlib

import pytest
import torch

ROOT = pathlib.Path(__file__).resolve().parents[1]
RECORD = json.loads((ROOT / "results" / "gibbs_gap.json").read_text())


@pytest.fixture(scope="module")
def gap():
    spec = importlib.util.spec_from_file_location("gap", ROOT / "benchmarks" / "gap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(found, rounding=1e-5):
    """What holds for any network, whatever it learned: adding up, and non-negative divergences."""
    assert abs(found["gap"] - found["family"] - found["label"] - found["amortisation"]) < rounding
    for name in ("gap", "family", "label", "kl_averaged", "expected_price"):
        assert found[name] > 0, name
    assert abs(found["left_in_fit"]) < 2e-3, "the Gaussians are not fitted to the end"
    assert 0 <= found["label_misread"] <= found["label"] + rounding
    for losses in found["encoders"].values():  # Jensen
        assert 0 <= losses["log_loss"] <= losses["C"] and 0 <= losses["accuracy"] <= 1
    # at fixed parameters C falls with γ: e⁰ is the Gibbs encoder at γ = 0
    assert found["encoders"]["gibbs"]["C"] < found["encoders"]["reconstruction"]["C"]


@pytest.mark.parametrize(
    "row",
    RECORD["runs"],
    ids=lambda row: "-".join(str(row[k]) for k in ("hidden", "digits", "epochs", "seed")),
)
def test_the_stored_split(row):
    check(row["training"])
    check(row["unseen"])
    assert row["unseen"]["images"] == 1797 - row["digits"], "all unseen digits"


def test_every_training_has_every_seed(gap):
    assert (
        RECORD["provenance"]["arguments"] == {"seeds": gap.SEEDS}
        and (RECORD["lam"], RECORD["gam"]) == gap.P
    )
    done = sorted(
        (row["hidden"], row["digits"], row["epochs"], row["seed"]) for row in RECORD["runs"]
    )
    assert done == sorted((*setting, seed) for setting in gap.SETTINGS for seed in range(gap.SEEDS))


@pytest.fixture(scope="module")
def trained(gap):
    """A network that was trained for two epochs on 100 digits, and 30 digits that it has not
    seen.
    """
    nets, _, (x, y) = gap.train(16, 100, 2, 0)
    return nets, x[:30], y[:30]


def test_the_script_on_a_few_digits(gap, trained):
    nets, x, y = trained
    check(gap.measure(*nets, x, y), rounding=1e-9)


def test_costs_on_the_plane_are_the_integrals(gap, trained):
    """cost(q, energy) against Gauss–Hermite quadrature of the same Gaussian; and KL(e_θ‖e*)
    summed
    over the plane.
    """
    (encoder, decoder, classifier), x, y = trained
    q = encoder(x)
    rule = gap.gibbs.gauss_hermite(30, 2)
    z = q[0] + q[1].exp() * rule.nodes[:, None]
    minus_log_d = (x - decoder(z)).square().sum(-1)
    minus_log_c = -torch.log_softmax(classifier(z), -1).gather(2, y.expand(len(z), -1)[..., None])[
        ..., 0
    ]
    want = gap.amortised.kl_to_standard_normal(*q) + rule.log_weights.exp() @ (
        gap.P[0] * minus_log_d + gap.P[1] * minus_log_c
    )
    log_d = gap.gibbs.log_d(x, decoder(gap.PLANE.nodes))
    log_c = gap.gibbs.log_c(y, classifier(gap.PLANE.nodes))
    found = gap.cost(q, -gap.P[0] * log_d - gap.P[1] * log_c)
    torch.testing.assert_close(
        found, want, rtol=1e-3, atol=0
    )  # ReLU: neither rule is spectrally exact
    law = gap.law_of(q)
    log_joint = gap.PLANE.log_weights + gap.P[0] * log_d + gap.P[1] * log_c
    log_best, log_z = torch.log_softmax(log_joint, 1), torch.logsumexp(log_joint, 1)
    torch.testing.assert_close(
        (torch.xlogy(law, law) - law * log_best).sum(1), found + log_z, rtol=1e-3, atol=1e-4
    )


def test_the_price_of_the_label_is_the_lemmas(gap, trained):
    """Σ_y p(y|x) KL(e‖e*_y) = KL(e‖e^p) + [Σ_y p log Z_y − log Z^p] for the network's own e and
    p,
    on the nodes.
    """
    (encoder, decoder, classifier), x, y = trained
    lam, gam = gap.P
    law = gap.law_of(encoder(x))
    classes = torch.log_softmax(classifier(gap.PLANE.nodes), 1)
    p = law @ classes.exp()
    base = gap.PLANE.log_weights + lam * gap.gibbs.log_d(x, decoder(gap.PLANE.nodes))
    kl = lambda minus_h: (torch.xlogy(law, law) - law * torch.log_softmax(minus_h, 1)).sum(1)
    left = sum(p[:, k] * kl(base + gam * classes[:, k]) for k in range(10))
    averaged = base + gam * p @ classes.T
    bracket = sum(
        p[:, k] * torch.logsumexp(base + gam * classes[:, k], 1) for k in range(10)
    ) - torch.logsumexp(averaged, 1)
    torch.testing.assert_close(left, kl(averaged) + bracket, rtol=0, atol=1e-9)
    assert bracket.min() > 0
