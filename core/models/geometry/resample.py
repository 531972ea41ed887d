"""Resampling of images and heatmaps under an affine.

Legend: B batch, K channel, H W output, h w input.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def resampled(maps: Tensor, grid: Tensor, affine: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resample maps under an affine, bilinearly.

    Args:
        maps: (B, K, h, w) stored maps.
        grid: (2, 3) image px to stored px.
        affine: (B, 2, 3) image px to output px.
        size_hw: Height and width of the output.

    Returns:
        (B, K, H, W); 0 outside the stored map.
    """
    H, W = size_hw
    h, w = maps.shape[-2:]
    # heatmap px -> image px -> stored px -> grid_sample's -1 .. 1 between the centres of the first and last pixel.
    linear = grid[:, :2] @ torch.linalg.inv(affine[..., :2])
    shift = grid[:, 2] - (linear @ affine[..., 2:])[..., 0]
    edge = maps.new_tensor([w - 1, h - 1]).clamp_min(1)
    linear, shift = linear * (2 / edge)[:, None], shift * (2 / edge) - 1
    y, x = torch.meshgrid(torch.arange(H, device=maps.device), torch.arange(W, device=maps.device), indexing="ij")
    pixels = torch.stack([x, y], -1).to(maps.dtype)
    places = torch.einsum("bij,hwj->bhwi", linear, pixels) + shift[:, None, None]
    return functional.grid_sample(maps, places, mode="bilinear", padding_mode="zeros", align_corners=True)
