"""The convolutional networks of figures 3 and 6: shapes, size, and that an ensemble of them
trains.
"""

import pytest
import torch
import torchvision

from fe.networks import Classifier, Decoder, Encoder
from fe.reproduce.convolutional import ConvolutionalDecoder, ResNetEncoder
from fe.training import Ensemble, evaluate, refresh_statistics, train_ensemble


@pytest.mark.parametrize("side, width", [(32, 8), (16, 4), (48, 4)])
def test_shapes(side, width):
    x = torch.rand(5, 3 * side * side)
    mu, log_sigma = ResNetEncoder(6, (3, side, side), width)(x)
    assert mu.shape == log_sigma.shape == (5, 6)
    xhat = ConvolutionalDecoder(6, (3, side, side), width)(mu)
    assert xhat.shape == x.shape and bool((xhat >= 0).all() and (xhat <= 1).all())


def test_at_full_width_it_is_torchvisions_resnet18():
    """Same number of parameters but for the first convolution (3×3 instead of 7×7) and the last
    layer.
    """
    ours, theirs = ResNetEncoder(256, width=64), torchvision.models.resnet18()
    count = lambda m: sum(p.numel() for p in m.parameters())
    difference = 64 * 3 * (49 - 9) + (512 * 1000 + 1000) - (512 * 512 + 512)
    assert count(theirs) - count(ours) == difference
    assert (
        sum(isinstance(m, torch.nn.ConvTranspose2d) for m in ConvolutionalDecoder().modules()) == 4
    )


@pytest.mark.parametrize("shape", [(3, 20, 20), (3, 32, 16), (3, 8, 8)])
def test_shapes_that_do_not_fit(shape):
    for network in (ResNetEncoder, ConvolutionalDecoder):
        with pytest.raises(ValueError, match="side of 16, 32"):
            network(4, shape)


def test_copies_of_a_convolutional_network_train_as_one_does():
    """Five copies at one price on common random numbers stay alike, and like the network trained
    alone, to float32 rounding.
    """
    torch.manual_seed(0)
    shape = (3, 16, 16)
    member = tuple(
        m.float()
        for m in (ResNetEncoder(3, shape, 4), ConvolutionalDecoder(3, shape, 4), Classifier((3, 2)))
    )
    x, y = torch.rand(64, 768, dtype=torch.float32), torch.randint(0, 2, (64,))
    one, three = Ensemble([member]), Ensemble([member] * 3)
    for e in (one, three):
        train_ensemble(e, x, y, 1.0, 4.0, 1, 1e-4, 0, batch_size=16)
        refresh_statistics(e, x, y)
    R1, R3 = evaluate(one, x, y).rate, evaluate(three, x, y).rate
    # four steps of Adam at 1e-4: rounding differs between the batched and the plain convolution
    torch.testing.assert_close(R3, R1.expand(3), rtol=2e-2, atol=1e-3)


def test_statistics_do_not_see_dropout():
    """Refreshed twice from one state they are the same numbers: dropout, which would draw anew,
    stays off.
    """
    torch.manual_seed(0)
    member = tuple(
        m.float()
        for m in (
            Encoder((64, 16, 3), dropout=0.5),
            Decoder((3, 16, 64), dropout=0.5),
            Classifier((3, 2)),
        )
    )
    x, y = torch.rand(50, 64, dtype=torch.float32), torch.randint(0, 2, (50,))
    found = []
    for _ in range(2):
        e = Ensemble([member])
        refresh_statistics(e, x, y)
        found.append(e.state())
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name
