"""The amortised objective against the Gibbs one, its gap against an independent integral, and
training.
"""

import math

import pytest
import torch
from torch import nn

import fe
from fe import amortised, gibbs, networks
from fe.training import Ensemble, generator, train_ensemble

F64 = torch.float64
P = torch.tensor([0.8, 2.5], dtype=F64)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def fill(module, scale, seed=0):
    for i, v in enumerate(module.parameters()):
        v.data = scale * randn(*v.shape, seed=seed + i)
    return module.double()


def curved(n=4, rule=None, nodes=40, ridge=0.0):
    """A curved model with z in the plane; the noise is a quadrature rule, so G is exact but for
    its
    truncation.
    """
    encoder = fill(networks.Encoder((5, 2), norm=None), 0.3, 20)
    decoder = fill(nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 5)), 0.7, 3)
    classifier = fill(nn.Linear(2, 3), 1.0, 12)
    rule = rule or gibbs.gauss_hermite(nodes, 2)
    noise = rule.nodes[:, None].expand(-1, n, -1)
    x, y = randn(n, 5, seed=7), torch.arange(n) % 3
    return amortised.AmortisedObjective(
        encoder, decoder, classifier, x, y, noise, ridge, noise_weights=rule.log_weights.exp()
    )


def test_kl_to_the_prior_against_torch_distributions():
    mu, log_sigma = randn(6, 3), randn(6, 3, seed=1)
    normal = torch.distributions.Normal
    want = torch.distributions.kl_divergence(
        normal(mu, log_sigma.exp()), normal(torch.zeros_like(mu), torch.ones_like(mu))
    ).sum(1)
    torch.testing.assert_close(
        amortised.kl_to_standard_normal(mu, log_sigma), want, rtol=1e-13, atol=1e-13
    )
    # near the prior the divergence is σ's deviation squared: 1e-16 here, where 0.5 (σ² − 1) − log σ
    # as written gives noise
    tiny = torch.full((1, 1), 1e-8, dtype=F64)
    torch.testing.assert_close(
        amortised.kl_to_standard_normal(0 * tiny, tiny), tiny[0] ** 2, rtol=0.5, atol=0
    )


def test_functionals_are_the_terms():
    G = curved(nodes=8, ridge=0.2)
    R, D, C = G.terms(G.theta0)
    f = fe.functionals(G, G.theta0, P)
    for got, want in zip((G.bare_rate(G.theta0, P), f.distortion, f.classification), (R, D, C)):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)  # sums of numbers of order 10


def test_distortion_of_a_linear_decoder_in_closed_form():
    """E‖x − Wz − b‖² = ‖x − Wμ − b‖² + Σ_j σ_j²‖W_j‖²: a rule that is exact for quadratics gives
    it
    exactly.
    """
    G = curved(nodes=2)
    linear = fill(nn.Linear(2, 5), 0.8, 5)
    G = amortised.AmortisedObjective(
        G.encoder, linear, G.classifier, G.x, G.y, G.noise, noise_weights=G.noise_weights
    )
    with torch.no_grad():
        mu, log_sigma = G.encoder(G.x)
        want = (G.x - linear(mu)).square().sum(1) + (
            2 * log_sigma
        ).exp() @ linear.weight.square().sum(0)
    torch.testing.assert_close(G.per_example(G.theta0)[1], want, rtol=0, atol=1e-12)


def test_samples_of_the_noise_converge_to_the_quadrature():
    G, S = curved(), 20_000
    M = amortised.AmortisedObjective(G.encoder, G.decoder, G.classifier, G.x, G.y, randn(S, 4, 2))
    parts = [
        amortised.AmortisedObjective(G.encoder, G.decoder, G.classifier, G.x, G.y, n).terms(
            G.theta0
        )
        for n in randn(S, 4, 2).split(1000)
    ]
    for i in (1, 2):
        error = torch.stack([t[i] for t in parts]).std() / math.sqrt(len(parts))
        assert (
            M.terms(G.theta0)[i] - G.terms(G.theta0)[i]
        ).abs() < 5 * error  # 20 parts: error known to 16 %
    assert M.terms(G.theta0)[0] == G.terms(G.theta0)[0]  # the rate has no noise in it


def test_gap_is_the_divergence_from_the_gibbs_encoder():
    """KL(e ‖ e*) = ∫ e log(e/e*) dz, integrated on a grid of its own, where neither G nor log Z
    enters as such.
    """
    G = curved(rule=gibbs.uniform_grid(121, 2, 8.0))
    grid = gibbs.uniform_grid(201, 2, 18.0)  # the widest e has σ = 2.1
    gap = amortised.free_energy_gap(G, G.theta0, P, grid=grid)
    J = gibbs.GridModel(G.decoder, G.classifier, G.x, G.y, grid)
    best = J.posterior(J.theta0, P).log()
    with torch.no_grad():
        mu, log_sigma = G.encoder(G.x)
    log_e = -0.5 * ((grid.nodes - mu[:, None]) / log_sigma.exp()[:, None]).square().sum(2)
    log_e = torch.log_softmax(
        log_e, 1
    )  # cells of one size (half on the edge, where e has no mass): normalised on the grid
    kl = (log_e.exp() * (log_e - best)).sum(1)
    # Spacings of 0.13 σ and 0.18 for features with poles at a distance of about 0.6:
    # exp(−2π·0.6/0.13) and exp(−2π·0.6/0.18) are below 1e-8, and Gaussian tails at 8 σ below 1e-13
    torch.testing.assert_close(gap, kl, rtol=0, atol=1e-6)
    assert (gap > 0.05).all()
    torch.testing.assert_close(
        G(G.theta0, P) - J(J.theta0, P), gap.mean(), rtol=0, atol=1e-10
    )  # G ≥ J, by just that


def exact_encoder(orthogonal=True):
    """Linear decoder, classifier blind to z. If W has orthogonal columns the exact posterior is
    a
    diagonal Gaussian.
    """
    d, D = 2, 5
    decoder, classifier = fill(nn.Linear(d, D), 0.8, 5), fill(nn.Linear(d, 3), 0.0)
    if orthogonal:
        decoder.weight.data = torch.linalg.qr(decoder.weight.data).Q * torch.tensor(
            [1.4, 0.5], dtype=F64
        )
    else:
        decoder.weight.data = torch.tensor(
            [[1.0, 0.8], [0.5, 0.4], [0.0, 0.3], [-0.6, -0.2], [0.2, 0.2]], dtype=F64
        )
    encoder = fill(networks.Encoder((D, d), norm=None), 0.0)
    W = decoder.weight.detach()
    A = torch.eye(d, dtype=F64) + 2 * P[0] * W.T @ W
    gain = 2 * P[0] * torch.linalg.solve(A, W.T)  # (d, D)
    last = encoder.layers[-1]
    last.weight.data[:d], last.bias.data[:d] = gain, -gain @ decoder.bias.detach()
    last.bias.data[d:] = (
        -0.5 * A.diagonal().log()
    )  # the best diagonal Gaussian has the precision's diagonal
    rule = gibbs.gauss_hermite(3, d)
    noise = rule.nodes[:, None].expand(-1, 6, -1)
    x, y = randn(6, D, seed=2), torch.arange(6) % 3
    G = amortised.AmortisedObjective(
        encoder, decoder, classifier, x, y, noise, noise_weights=rule.log_weights.exp()
    )
    return G, A


def test_gap_vanishes_when_the_encoder_is_exact():
    G, _ = exact_encoder()
    gap = amortised.free_energy_gap(G, G.theta0, P, grid=gibbs.uniform_grid(121, 2, 8.0))
    assert gap.abs().max() < 1e-11  # both sides are of order 10 and good to rounding


def test_gap_of_a_correlated_posterior_is_that_of_the_mean_field():
    """KL of the best diagonal Gaussian from one of precision A is ½(log Π A_jj − log det A)
    (Hadamard).
    """
    G, A = exact_encoder(orthogonal=False)
    want = 0.5 * (A.diagonal().log().sum() - torch.logdet(A))
    gap = amortised.free_energy_gap(G, G.theta0, P, grid=gibbs.uniform_grid(121, 2, 8.0))
    torch.testing.assert_close(gap, want.expand(6), rtol=0, atol=1e-11)
    assert want > 0.01


def test_linear_response_accepts_it():
    """The minimum over the encoder and the rest: Maxwell relation, and Hess F against
    re-converged
    minima.
    """
    G = curved(nodes=6, ridge=0.05)
    e = fe.minimise(G, G.theta0, P, tol=1e-9)
    response = fe.linear_response(G, e.theta, P)
    assert response.maxwell < 1e-7 * response.hess.abs().max()
    h = 1e-3
    ends = [
        fe.functionals(
            G,
            fe.minimise(G, e.theta, P + s * h * torch.tensor([1.0, 0], dtype=F64), tol=1e-9).theta,
            P,
        )
        for s in (1, -1)
    ]
    numeric = torch.stack(
        [ends[0].distortion - ends[1].distortion, ends[0].classification - ends[1].classification]
    ) / (2 * h)
    torch.testing.assert_close(
        response.hess[0], numeric, rtol=1e-3, atol=1e-6
    )  # h² F''''/6 relative to F''


def networks_for(D=64, d=3, norm="batch", dropout=0.0):
    torch.manual_seed(0)
    return (
        networks.Encoder((D, 24, d), norm, dropout),
        networks.Decoder((d, 24, D), norm, dropout),
        networks.Classifier((d, 12, 10), norm),
    )


def test_networks_have_the_shapes_of_the_appendix():
    encoder, decoder, classifier = (
        networks.Encoder((784, 256, 16)).eval(),
        networks.Decoder((16, 256, 784)).eval(),
        networks.Classifier((16, 12, 10)).eval(),
    )
    mu, log_sigma = encoder(torch.rand(3, 784))
    assert mu.shape == log_sigma.shape == (3, 16)
    xhat = decoder(4 * mu)
    assert (
        xhat.shape == (3, 784)
        and 0 < xhat.min()
        and xhat.max() < 1
        and classifier(mu).shape == (3, 10)
    )
    assert [m.out_features for m in classifier.modules() if isinstance(m, nn.Linear)] == [12, 10]
    for sizes in ((), (5,), (5, 0), (5, -1, 2)):
        for kind in (networks.Encoder, networks.Decoder, networks.Classifier):
            if sizes or kind is not networks.Encoder:
                with pytest.raises(ValueError, match="at least two positive numbers"):
                    kind(sizes)
    with pytest.raises(ValueError, match='"batch" or None'):
        networks.Classifier((5, 2), norm="layer")


def trained(modules, x, y, p, *how):
    """(R, D, C) of every epoch, (epochs, 3), and the trained modules."""
    ensemble = Ensemble([modules])
    epochs, batch_size, lr, seed = how
    found = train_ensemble(ensemble, x, y, *p, epochs, lr, seed, batch_size=batch_size)
    return found[:, 0], ensemble[0]


def test_training_minimises_the_objective_it_reports():
    """At a learning rate of zero and with one batch the history is `terms` at the very same
    noise.
    """
    x, y = fe.digits(50)
    modules = [m.double() for m in networks_for(norm=None)]
    history, _ = trained(modules, x, y, P, 1, 50, lambda step, steps: 0.0, 4)
    random = generator(4, 0)  # of seed and epoch
    order = torch.randperm(50, generator=random)
    noise = torch.randn(1, 50, 3, generator=random, dtype=x.dtype)
    G = amortised.AmortisedObjective(*modules, x[order], y[order], noise)
    torch.testing.assert_close(
        history[0], torch.stack(G.terms(G.theta0)).detach(), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_training_is_deterministic_and_lowers_the_free_energy(dropout):
    x, y = fe.digits(400, dtype=torch.float32)
    runs, state = [], None
    for seed in (1, 1, 2):
        modules = [m.float() for m in networks_for(dropout=dropout)]
        torch.manual_seed(99 + len(runs))  # the caller's generator must not matter …
        state = torch.get_rng_state()
        lr = fe.schedule if dropout else 3e-3
        runs.append(trained(modules, x, y, (0.5, 5.0), 12, 50, lr, seed))
        assert torch.equal(torch.get_rng_state(), state)  # … nor change
    assert torch.equal(runs[0][0], runs[1][0])
    assert not torch.equal(runs[0][0][:, 1], runs[2][0][:, 1])
    G = runs[0][0] @ torch.tensor([1.0, 0.5, 5.0]).float()
    assert G[-1] < 0.9 * G[0] and not runs[0][1][0].training
    # in eval mode the theory's objective takes the trained networks, batch normalisation frozen
    noise = randn(2, 400, 3).float()
    value = amortised.AmortisedObjective(*runs[0][1], x, y, noise)
    assert math.isfinite(value(value.theta0, P.float()))


def test_bad_input():
    G = curved(nodes=3)
    e, d, c, x, y, noise = G.encoder, G.decoder, G.classifier, G.x, G.y, randn(2, 4, 2)

    def objective(**change):
        return amortised.AmortisedObjective(
            **(
                {"encoder": e, "decoder": d, "classifier": c, "x": x, "y": y, "noise": noise}
                | change
            )
        )

    nan = x.clone()
    nan[0, 0] = math.nan
    for change, error, message in [
        ({"x": nan}, ValueError, "NaN"),
        ({"y": y + 3}, ValueError, "labels run"),
        ({"y": y[:2]}, ValueError, "y must have shape"),
        ({"noise": noise[0]}, ValueError, r"noise must have shape \(S, 4, 2\)"),
        ({"noise": noise.float()}, TypeError, "noise is torch.float32"),
        ({"noise": noise[:, :3]}, ValueError, "noise must have"),
        ({"noise": noise[:0]}, ValueError, "noise must have"),
        ({"noise": noise * math.nan}, ValueError, "noise has"),
        ({"noise": noise.to("meta")}, TypeError, "noise is .* on meta, but x is .* on cpu"),
        ({"y": y.to("meta")}, TypeError, "y is on meta, but x is on cpu"),
        ({"noise_weights": torch.full((2,), math.nan, dtype=F64)}, ValueError, "sum 1"),
        ({"noise_weights": torch.ones(2, dtype=F64)}, ValueError, "sum 1"),
        ({"ridge": math.nan}, ValueError, "ridge"),
        ({"encoder": nn.Linear(5, 2).double()}, ValueError, "mu, log_sigma"),
        ({"encoder": networks.Encoder((5, 2), norm=None).float()}, TypeError, "encoder is"),
        ({"encoder": networks.Encoder((5, 4, 2)).double()}, ValueError, "training mode"),
    ]:
        with pytest.raises(error, match=message):
            objective(**change)
    with pytest.raises(gibbs.GridTooCoarse):
        amortised.free_energy_gap(G, G.theta0, 100 * P, grid=gibbs.uniform_grid(9, 2))
    with pytest.raises(ValueError, match="epochs must be an integer from 1 on"):
        trained((e, d, c), x, y, P, 0, 2, 1e-3, 0)
    with pytest.raises(ValueError, match="labels run"):
        trained((e, d, c), x, y + 3, P, 1, 2, 1e-3, 0)
    with pytest.raises(ValueError, match="learning rate"):
        trained([m.double() for m in networks_for(5, norm=None)], x, y, P, 20, 2, 1e6, 0)
    with pytest.raises(ValueError, match="λ must be a finite number from 0 on"):
        trained((e, d, c), x, y, -P, 1, 2, 1e-3, 0)
