"""V2V: the 3D encoder-decoder of both networks (VoxelPose's, restated in method terms).

Legend: B batch, X Y Z voxel. Sizes halve twice, so every axis is a multiple of 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.models.config import VolumeNetConfig

_INIT_STD = 0.001


class ConvBlock(nn.Module):
    """Convolution or transposed convolution, then batch norm; a ReLU unless a skip is to be added first."""

    def __init__(self, conv: nn.Conv3d | nn.ConvTranspose3d, *, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.norm: nn.Module = nn.BatchNorm3d(conv.out_channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return functional.relu(x) if self.relu else x

    def fold(self) -> None:
        """Moves the batch norm's running statistics into the convolution's weights; for inference only."""
        if isinstance(self.norm, nn.BatchNorm3d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm, transpose=isinstance(self.conv, nn.ConvTranspose3d))
            self.norm = nn.Identity()


def conv(kernel: int, inputs: int, outputs: int, *, relu: bool = True) -> ConvBlock:
    """Same-size convolution with bias, batch norm, ReLU."""
    return ConvBlock(nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2), relu=relu)


def up(inputs: int, outputs: int) -> ConvBlock:
    """Doubles the size."""
    return ConvBlock(nn.ConvTranspose3d(inputs, outputs, kernel_size=2, stride=2))


class Residual(nn.Module):
    """Two 3^3 convolutions beside a skip, which is the identity where the widths agree."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, inputs, outputs), conv(3, outputs, outputs, relu=False))
        self.skip: nn.Module = nn.Identity() if inputs == outputs else conv(1, inputs, outputs, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.skip(x))


class VolumeNet(nn.Module):
    """Encoder-decoder with two skips.

    Args:
        inputs: Input channels.
        outputs: Output channels; no activation follows them.
        config: Width and front kernel.
    """

    def __init__(self, inputs: int, outputs: int, config: VolumeNetConfig) -> None:
        super().__init__()
        a, b, c, d = (max(4, round(n * config.width)) for n in (16, 32, 64, 128))
        self.front = nn.Sequential(conv(config.front_kernel, inputs, a), Residual(a, b))
        self.skip_full = Residual(b, b)
        self.encode_half = Residual(b, c)
        self.skip_half = Residual(c, c)
        self.middle = nn.Sequential(Residual(c, d), Residual(d, d), Residual(d, d))
        self.up_half = up(d, c)
        self.decode_half = Residual(c, c)
        self.up_full = up(c, b)
        self.out = nn.Conv3d(b, outputs, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.normal_(module.weight, std=_INIT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, inputs, X, Y, Z) to (B, outputs, X, Y, Z)."""
        front = self.front(volume.contiguous(memory_format=torch.channels_last_3d))
        half = self.encode_half(functional.max_pool3d(front, 2))
        x = self.middle(functional.max_pool3d(half, 2))
        x = self.decode_half(self.up_half(x) + self.skip_half(half))
        x = self.up_full(x) + self.skip_full(front)
        return torch.as_tensor(self.out(x))

    def fold(self) -> None:
        """Folds every batch norm into its convolution: the same output in evaluation mode, a fifth faster."""
        for module in self.modules():
            if isinstance(module, ConvBlock):
                module.fold()
