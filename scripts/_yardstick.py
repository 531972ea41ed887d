"""Unit of all speed measurements: a pass of a plain-torch fp32 Pose-ResNet-50 on a 960x512 image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_PARAMETERS = 34.0
"""Expected number of parameters of the published network, in millions."""


def pose_resnet50() -> nn.Module:
    """Build ResNet-50 with three deconvolutions to 15 heatmaps (Xiao et al., 2018, Simple Baselines)."""
    import torch
    from torch import Tensor, nn

    class Bottleneck(nn.Module):
        def __init__(self, inputs: int, width: int, stride: int) -> None:
            super().__init__()
            self.block = nn.Sequential(
                *(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
                *(nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
                *(nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)),
            )
            same = stride == 1 and inputs == 4 * width
            self.shortcut = (
                nn.Identity()
                if same
                else nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
            )

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.block(x) + self.shortcut(x))

    layers: list[nn.Module] = [
        *(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)),
    ]
    channels = 64
    for depth, width, stride in ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)):
        for number in range(depth):
            layers.append(Bottleneck(channels, width, stride if number == 0 else 1))
            channels = 4 * width
    for _ in range(3):
        layers += [nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU(inplace=True)]
        channels = 256
    network = nn.Sequential(*layers, nn.Conv2d(channels, 15, 1))
    count = sum(p.numel() for p in network.parameters()) / 1e6
    if round(count, 1) != _PARAMETERS:
        raise RuntimeError(f"the yardstick has {count:.2f} M parameters instead of {_PARAMETERS}")
    return network
