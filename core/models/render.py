"""Joints to heatmaps: one function for inputs, targets and rendered predictions.

Legend: V view, P person, J joint, H W heatmap.
"""

from __future__ import annotations

import torch
from torch import Tensor


def render(xy: Tensor, peak: Tensor, size_hw: tuple[int, int], sigma_px: float) -> Tensor:
    """Sums a Gaussian a joint over people and clips to 0..1; differentiable in `xy` and `peak`.

    Centres are sub-pixel and Gaussians untruncated (method of SelfPose3d's renderer). A Gaussian is separable, so a map
    is a product of its rows and columns: nothing of size P x H x W is ever made.

    Args:
        xy: (..., P, J, 2) heatmap px; values where `peak` is 0 are ignored, even NaN.
        peak: (..., P, J) height of each Gaussian.
        size_hw: Height and width.
        sigma_px: Standard deviation in heatmap px.

    Returns:
        (..., J, H, W).
    """
    rows, columns = size_hw
    xy = torch.where(peak[..., None] > 0, xy, -1e4)
    x_at = torch.arange(columns, device=xy.device, dtype=xy.dtype)
    y_at = torch.arange(rows, device=xy.device, dtype=xy.dtype)
    scale = -0.5 / sigma_px**2
    across = torch.exp(scale * (x_at - xy[..., 0, None]) ** 2)  # (..., P, J, W)
    down = torch.exp(scale * (y_at - xy[..., 1, None]) ** 2) * peak[..., None]  # (..., P, J, H)
    # As a batched matrix product over people: (..., J, H, P) @ (..., J, P, W).
    people_last = down.movedim(-3, -1)
    people_first = across.movedim(-3, -2)
    return (people_last @ people_first).clamp(0, 1)
