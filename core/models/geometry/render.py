"""Rendering of joints as heatmaps: one implementation for inputs, targets and predictions.

Legend: V view, P person, J joint, H W heatmap.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

_LEAST = 1e-12
"""Smallest divisor; far from all people the sum of Gaussians underflows."""


def render_heatmaps(xy: Tensor, peak: Tensor, size_hw: tuple[int, int], sigma_px: float) -> Tensor:
    """Render the sum over people of a Gaussian per joint, clipped to 0..1; differentiable in `xy` and `peak`.

    Centres are sub-pixel and Gaussians are not truncated, as in SelfPose3d's renderer. Gaussians are separable: a map
    is a product of its rows and columns, and no tensor of size P x H x W is allocated.

    Args:
        xy: (..., P, J, 2) heatmap px; ignored where `peak` is 0, even if NaN.
        peak: (..., P, J) height of each Gaussian.
        size_hw: Height and width.
        sigma_px: Standard deviation in heatmap px.

    Returns:
        (..., J, H, W).
    """
    return _summed(xy, peak, size_hw, sigma_px, 2).clamp(0, 1)


def render_max(xy: Tensor, peak: Tensor, size_hw: tuple[int, int], sigma_px: float) -> Tensor:
    """Render the maximum of the people's Gaussians, as in the paper's targets; see `render_heatmaps`.

    People a few sigmas apart keep separate peaks, where the clipped sum merges them into a plateau.
    """
    people = range(xy.shape[-3])  # few; all maps at once would take too much memory
    maps = (_summed(xy[..., [p], :, :], peak[..., [p], :], size_hw, sigma_px, 2) for p in people)
    empty = xy.new_zeros(*xy.shape[:-3], xy.shape[-2], *size_hw)
    return functools.reduce(torch.maximum, maps, empty).clamp_max(1)


def render_windows(xy: Tensor, shown: Tensor, size_hw: tuple[int, int], half_width_px: float) -> Tensor:
    """Render windows around joints, 1 at the joint and falling to 0: exp(-x^4 / 2) along both axes, x in half widths.

    Args:
        xy: (..., P, J, 2) heatmap px.
        shown: (..., P, J) in 0..1, 0 where missing.
        size_hw: Height and width.
        half_width_px: Distance at which the window has dropped to 0.6.

    Returns:
        (..., J, H, W).
    """
    return _summed(xy, shown, size_hw, half_width_px, 4).clamp(0, 1)


def render_ownership(xy: Tensor, part: Tensor, whole: Tensor, size_hw: tuple[int, int], sigma_px: float) -> Tensor:
    """Render the fraction of each pixel that belongs to a person: the mean of `part / whole` with Gaussian weights.

    Args:
        xy: (..., P, J, 2) heatmap px.
        part: (..., P, J), at most `whole`.
        whole: (..., P, J), 0 where missing.
        size_hw: Height and width.
        sigma_px: Softness of the border between two people.

    Returns:
        (..., J, H, W) in 0..1; 0 far from all people.
    """
    mine = _summed(xy, part, size_hw, sigma_px, 2)
    return mine / _summed(xy, whole, size_hw, sigma_px, 2).clamp_min(_LEAST)


def _summed(xy: Tensor, peak: Tensor, size_hw: tuple[int, int], width_px: float, power: int) -> Tensor:
    """Sum `peak * exp(-(|x|^power + |y|^power) / 2)` over people, with x and y in units of `width_px`."""
    rows, columns = size_hw
    xy = torch.where(peak[..., None] > 0, xy, -1e4)
    x_at = torch.arange(columns, device=xy.device, dtype=xy.dtype)
    y_at = torch.arange(rows, device=xy.device, dtype=xy.dtype)
    scale = -0.5 / width_px**power
    across = torch.exp(scale * (x_at - xy[..., 0, None]) ** power)  # (..., P, J, W)
    down = torch.exp(scale * (y_at - xy[..., 1, None]) ** power) * peak[..., None]  # (..., P, J, H)
    # As a batched matrix product over people: (..., J, H, P) @ (..., J, P, W).
    people_last = down.movedim(-3, -1)
    people_first = across.movedim(-3, -2)
    return people_last @ people_first
