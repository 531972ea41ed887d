"""Peaks of confidence maps in any number of dimensions, to a fraction of a cell.

Legend: B batch, K peak, D dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor


def parabola_peak(values: Tensor, at: Tensor) -> Tensor:
    """Offset (B, K, D) in cells, within half a cell, of the peak of a parabola along each axis; 0 at the border.

    Args:
        values: (B, ...) maps with D axes.
        at: (B, K, D) cells that are no lower than their neighbours.
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
