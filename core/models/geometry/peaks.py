"""Peaks of confidence maps and heatmaps with sub-cell accuracy.

Legend: B batch, P person, V view, J joint, K peak, D dimension, H W heatmap.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def parabola_peak(values: Tensor, at: Tensor) -> Tensor:
    """Compute the offset of a parabola's peak along each axis.

    Args:
        values: (B, ...) maps with D axes.
        at: (B, K, D) cells that are not lower than their neighbours.

    Returns:
        (B, K, D) cells, within half a cell; 0 at the border.
    """
    batch = torch.arange(len(values), device=values.device)[:, None]
    sizes = torch.tensor(values.shape[1:], device=values.device)
    offsets = []
    for axis in range(at.shape[-1]):
        step = torch.zeros(at.shape[-1], dtype=at.dtype, device=at.device)
        step[axis] = 1
        before, after = (at - step).clamp_min(0), torch.minimum(at + step, sizes - 1)
        low, mid, high = (values[(batch, *p.unbind(-1))] for p in (before, at, after))
        curvature = low - 2 * mid + high
        bent = (curvature < -1e-6) & (at[..., axis] > 0) & (at[..., axis] < sizes[axis] - 1)
        offset = 0.5 * (low - high) / torch.where(bent, curvature, 1.0)
        offsets.append(torch.where(bent, offset, 0.0).clamp(-0.5, 0.5))
    return torch.stack(offsets, -1)


def nearest_peaks(heatmaps: Tensor, near_xy: Tensor, radius_px: float) -> tuple[Tensor, Tensor]:
    """Find the strongest local maximum near given positions, with sub-pixel accuracy.

    The sub-pixel offset is that of a parabola through the logarithms, which is exact for a Gaussian.

    Args:
        heatmaps: (P, V, J, H, W) heatmaps.
        near_xy: (P, V, J, 2) positions, heatmap px.
        radius_px: Largest distance of a peak.

    Returns:
        Peaks (P, V, J, 2) in heatmap px and their heights (P, V, J), 0 where there is none.
    """
    H, W = heatmaps.shape[-2:]
    reach = math.ceil(radius_px) + 1
    offsets = torch.arange(-reach, reach + 1, device=heatmaps.device)
    centre = near_xy.round().clamp(-1e4, 1e4).long()
    columns = centre[..., 0, None, None] + offsets  # (P, V, J, 1, K)
    rows = centre[..., 1, None, None] + offsets[:, None]  # (P, V, J, K, 1)
    window = _gather(heatmaps, rows, columns)
    # Heights are weighted down with the distance from the expected joint, so that the nearest person's peak wins.
    apart = (columns - near_xy[..., 0, None, None]) ** 2 + (rows - near_xy[..., 1, None, None]) ** 2
    peaks = functional.max_pool2d(window.flatten(0, 2), 3, 1, 1).view(window.shape) == window
    faded = torch.where(peaks & (apart <= radius_px**2), window * torch.exp(-0.5 * apart / radius_px**2), 0.0)
    best = faded.flatten(-2).argmax(-1)
    x = centre[..., 0] + offsets[best % len(offsets)]
    y = centre[..., 1] + offsets[best // len(offsets)]
    step = torch.arange(-1, 2, device=heatmaps.device)
    around = _gather(heatmaps, y[..., None, None] + step[:, None], x[..., None, None] + step)  # (P, V, J, 3, 3)
    height = around[..., 1, 1]
    is_peak = (faded.flatten(-2).amax(-1) > 0) & (x > 0) & (x < W - 1) & (y > 0) & (y < H - 1)
    logs = around.clamp_min(1e-6).log()
    shift = torch.stack([_vertex(logs[..., 1, :]), _vertex(logs[..., :, 1])], -1)
    return torch.stack([x, y], -1) + shift, height * is_peak


def _gather(heatmaps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return values (P, V, J, K, L) of maps (P, V, J, H, W) at rows (..., K, 1) and columns (..., 1, L); 0 outside."""
    H, W = heatmaps.shape[-2:]
    index = rows.clamp(0, H - 1) * W + columns.clamp(0, W - 1)
    values = heatmaps.flatten(-2).gather(-1, index.flatten(-2)).view(index.shape)
    return values * ((rows >= 0) & (rows < H) & (columns >= 0) & (columns < W))


def _vertex(values: Tensor) -> Tensor:
    """Return the offset of a parabola's vertex through three values (..., 3) at -1, 0, 1, within half a pixel."""
    low, mid, high = values.unbind(-1)
    curvature = low - 2 * mid + high
    offset = 0.5 * (low - high) / torch.where(curvature < -1e-6, curvature, 1.0)
    return torch.where(curvature < -1e-6, offset, 0.0).clamp(-0.5, 0.5)
