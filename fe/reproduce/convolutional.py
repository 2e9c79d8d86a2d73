"""The paper's networks for CIFAR-10 (figs. 3 and 6): `ResNetEncoder`, `ConvolutionalDecoder`, and
`Classifier((256, 10))` of `fe.networks`. They too take and give flat images, (N, 3·32·32).
"""

import torch
from torch import nn


class ResNetEncoder(nn.Module):
    """e_θ(z|x) by ResNet-18 (torchvision's blocks), its first layers adapted to small images: x (N,
    C·s·s) -> (μ, log σ), each (N, d).

    The 7×7 convolution of stride 2 becomes a 3×3 one of stride 1 and the pooling behind it goes, as
    is usual for 32×32 pixels (He et al. 2016 do so for CIFAR-10): else nothing of the image would
    be left. `width` = 64 is ResNet-18; less is cheaper.
    """

    def __init__(self, codes=256, shape=(3, 32, 32), width=64):
        from torchvision.models.resnet import BasicBlock  # takes a second to import

        super().__init__()
        _check_image_shape(shape)
        self.shape, w = tuple(shape), width
        layers = [nn.Conv2d(shape[0], w, 3, padding=1, bias=False), nn.BatchNorm2d(w), nn.ReLU()]
        for a, b, stride in ((w, w, 1), (w, 2 * w, 2), (2 * w, 4 * w, 2), (4 * w, 8 * w, 2)):
            way = nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b)
            shortcut = nn.Sequential(*way) if stride > 1 else None
            layers += [BasicBlock(a, b, stride, shortcut), BasicBlock(b, b)]
        ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * w, 2 * codes)
        self.layers = nn.Sequential(*layers, *ends)

    def forward(self, x):
        return self.layers(x.view(-1, *self.shape)).chunk(2, -1)


class ConvolutionalDecoder(nn.Module):
    """x̂(z) by one fully connected and four deconvolution layers: z (N, d) -> (N, C·s·s), each
    layer doubling the side.
    """

    def __init__(self, codes=256, shape=(3, 32, 32), width=64):
        super().__init__()
        _check_image_shape(shape)
        side, sizes = shape[1] // 16, [8 * width, 4 * width, 2 * width, width]
        self.start, first = (sizes[0], side, side), sizes[0] * side * side
        self.first = nn.Sequential(nn.Linear(codes, first), nn.BatchNorm1d(first), nn.ReLU())
        layers = []
        for a, b in zip(sizes, [*sizes[1:], shape[0]]):
            up = nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
            layers += [up, nn.BatchNorm2d(b), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-2])

    def forward(self, z):
        return torch.sigmoid(self.layers(self.first(z).view(-1, *self.start))).flatten(1)


def _check_image_shape(shape):
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] < 16 or shape[1] % 16:
        raise ValueError(
            f"shape must be (channels, side, side) with a side of 16, 32, 48, …, got {tuple(shape)}"
        )
