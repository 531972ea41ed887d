"""V2V encoder-decoder of all heads (VoxelPose's), in three, two or one dimension.

Legend: B batch, X Y Z voxel. Sizes are halved twice, so every axis is a multiple of 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.models.config import VolumeNetConfig
from core.models.device import autocast_to

_INIT_STD = 0.001
_FEWEST_BF16 = 12
"""Number of points along the first axis below which a CPU computes in float32.

In bf16, oneDNN reads parts of a kernel's gradient from uninitialised memory if that axis is too short (torch 2.13: two
points and an edge of 3, 4 and 7).
"""
_CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_UP: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_LAYOUT = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d}
Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
Up = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def swaps_axes(module: nn.Module, x: Tensor) -> bool:
    """Return whether a network runs with its last two axes exchanged.

    Capture volumes are low and wide, and a CPU computes kernel gradients up to twice as fast if the last axis is long.
    """
    return module.training and x.ndim == 5 and x.device.type == "cpu"


def _upsample(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a transposed convolution of kernel size and stride 2 as a matrix product, with a faster CPU gradient.

    Args:
        x: (B, C, X, Y, Z), channels last.
        weight: (C, D, 2, 2, 2).
        bias: (D,).

    Returns:
        (B, D, 2 X, 2 Y, 2 Z), channels last.
    """
    B, C, X, Y, Z = x.shape
    D = weight.shape[1]
    parts = x.movedim(1, -1).reshape(-1, C) @ weight.movedim(1, -1).reshape(C, -1)
    out = parts.view(B, X, Y, Z, 2, 2, 2, D).permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(B, 2 * X, 2 * Y, 2 * Z, D)
    return (out if bias is None else out + bias.to(out.dtype)).movedim(-1, 1)


class ConvBlock(nn.Module):
    """Convolution or transposed convolution, batch norm, and a ReLU unless a skip connection is added first."""

    def __init__(self, conv: Conv | Up, *, relu: bool = True) -> None:
        super().__init__()
        self.conv: Any = conv
        self.norm: nn.Module = _NORM[conv.weight.ndim - 2](conv.out_channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        x = self.norm(self._swapped(x) if swaps_axes(self, x) else self.conv(x))
        return functional.relu(x) if self.relu else x

    def _swapped(self, x: Tensor) -> Tensor:
        """Convolve a volume (B, C, X, Z, Y) with its last two axes exchanged."""
        weight = self.conv.weight.transpose(-1, -2)
        if isinstance(self.conv, nn.ConvTranspose3d):
            return _upsample(x, weight, self.conv.bias)
        out: Tensor = functional.conv3d(x, weight, self.conv.bias, padding=self.conv.padding)
        return out

    def fold(self) -> None:
        """Fold the batch norm into the convolution; for inference only."""
        if isinstance(self.norm, _BatchNorm):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm, transpose=isinstance(self.conv, Up))
            self.norm = nn.Identity()


def conv(kernel: int, inputs: int, outputs: int, dims: int, *, relu: bool = True) -> ConvBlock:
    """Build a same-size convolution with bias, batch norm and ReLU."""
    return ConvBlock(_CONV[dims](inputs, outputs, kernel, padding=kernel // 2), relu=relu)


def up(inputs: int, outputs: int, dims: int) -> ConvBlock:
    """Build a transposed convolution that doubles the size."""
    return ConvBlock(_UP[dims](inputs, outputs, kernel_size=2, stride=2))


class Residual(nn.Module):
    """Residual block of two convolutions of kernel size 3; the skip is the identity if the widths agree."""

    def __init__(self, inputs: int, outputs: int, dims: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, inputs, outputs, dims), conv(3, outputs, outputs, dims, relu=False))
        self.skip: nn.Module = nn.Identity() if inputs == outputs else conv(1, inputs, outputs, dims, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return functional.relu(self.body(x) + self.skip(x))


class VolumeNet(nn.Module):
    """Encoder-decoder with two skip connections.

    Args:
        inputs: Input channels.
        outputs: Output channels; no activation follows them.
        config: Width and front kernel.
        dims: 3 for volumes, 2 for planes, 1 for columns.
    """

    def __init__(self, inputs: int, outputs: int, config: VolumeNetConfig, dims: int = 3) -> None:
        super().__init__()
        self.dims = dims
        self.precision: torch.dtype | None = None
        self.engine: Callable[[Tensor], Tensor] | None = None
        a, b, c, d = (max(4, round(n * config.width)) for n in (16, 32, 64, 128))
        self.front = nn.Sequential(conv(config.front_kernel, inputs, a, dims), Residual(a, b, dims))
        self.skip_full = Residual(b, b, dims)
        self.encode_half = Residual(b, c, dims)
        self.skip_half = Residual(c, c, dims)
        self.middle = nn.Sequential(Residual(c, d, dims), Residual(d, d, dims), Residual(d, d, dims))
        self.up_half = up(d, c, dims)
        self.decode_half = Residual(c, c, dims)
        self.up_full = up(c, b, dims)
        self.out = _CONV[dims](b, outputs, 1)
        for module in self.modules():
            if isinstance(module, Conv | Up):
                nn.init.normal_(module.weight, std=_INIT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, volume: Tensor) -> Tensor:
        """Map (B, inputs, X, Y, Z) to (B, outputs, X, Y, Z), with as many spatial axes as `dims`; float32."""
        if self.engine is not None:
            return self.engine(volume)
        short = self.dims == 3 and volume.device.type == "cpu" and volume.shape[2] < _FEWEST_BF16
        with autocast_to(volume.device, None if short else self.precision):
            return self._forward(volume.to(self.out.weight.dtype)).float()

    def _forward(self, volume: Tensor) -> Tensor:
        if swaps_axes(self, volume):
            return self._body(volume.transpose(-1, -2)).transpose(-1, -2)
        return self._body(volume)

    def _body(self, volume: Tensor) -> Tensor:
        pool = _POOL[self.dims]
        front = self.front(volume.contiguous(memory_format=_LAYOUT[self.dims]))
        half = self.encode_half(pool(front, 2))
        x = self.middle(pool(half, 2))
        x = self.decode_half(self.up_half(x) + self.skip_half(half))
        x = self.up_full(x) + self.skip_full(front)
        out: Tensor = self.out(x)
        return out

    def fold(self) -> None:
        """Fold every batch norm into its convolution: the same output in evaluation mode, a fifth faster."""
        for module in self.modules():
            if isinstance(module, ConvBlock):
                module.fold()
