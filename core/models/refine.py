"""The last correction: joints moved onto the heatmap peaks that they explain.

Robust Gauss-Newton on sub-pixel peaks near the network's reprojections, weighed against the network's own joint as a
prior, so that a joint with few or no peaks stays where the network put it. Gives a covariance.

Legend: P person, V view, J joint, H W heatmap.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from core.models.config import RefineConfig
from core.models.projection import RigProjector, to_heatmap
from core.models.views import Views

_STEP_MM = 4.0
"""For the Jacobian's central differences: far above float32 rounding, far below the scale at which a lens bends."""


def refine(
    projector: RigProjector, views: Views, xyz_mm: Tensor, sigma_px: float, config: RefineConfig
) -> tuple[Tensor, Tensor]:
    """Joints and their covariances.

    Args:
        projector: The rig.
        views: What the cameras show of each person: P entries.
        xyz_mm: (P, J, 3) the network's joints.
        sigma_px: Standard deviation of the heatmaps' Gaussians.
        config: Weights and iterations.

    Returns:
        Joints (P, J, 3) mm and covariances (P, J, 3, 3) mm².
    """
    start, ahead = _reproject(projector, views.affine, xyz_mm)
    peak_xy, height = nearest_peaks(views.heatmaps, start, config.window_sigmas * sigma_px)
    known = ahead & (height >= config.min_peak)
    confidence = height * known * views.view_weight[..., None]  # (P, V, J)
    prior = torch.eye(3, device=xyz_mm.device) / config.prior_mm**2
    now = xyz_mm
    for _ in range(config.iterations):
        jacobian, uv = _jacobian(projector, views.affine, now)  # (P, V, J, 2, 3)
        residual = (peak_xy - uv) / config.noise_px
        scaled = jacobian / config.noise_px
        length = residual.norm(dim=-1).clamp_min(1e-6)
        weight = confidence * (config.huber / length).clamp_max(1)
        normal = torch.einsum("pvj,pvjri,pvjrk->pjik", weight, scaled, scaled) + prior
        right = torch.einsum("pvj,pvjri,pvjr->pji", weight, scaled, residual) + (xyz_mm - now) @ prior
        now = now + torch.linalg.solve(normal, right)
    return now, torch.linalg.inv(normal)


def nearest_peaks(heatmaps: Tensor, near_xy: Tensor, radius_px: float) -> tuple[Tensor, Tensor]:
    """The strongest local maximum around given places, to sub-pixel by a parabola through logarithms.

    For a Gaussian that parabola is exact.

    Args:
        heatmaps: (P, V, J, H, W).
        near_xy: (P, V, J, 2) heatmap px.
        radius_px: How far a peak may lie.

    Returns:
        Peaks (P, V, J, 2) in heatmap px and their heights (P, V, J); height 0 where the window holds none.
    """
    H, W = heatmaps.shape[-2:]
    reach = math.ceil(radius_px) + 1
    offsets = torch.arange(-reach, reach + 1, device=heatmaps.device)
    centre = near_xy.round().clamp(-1e4, 1e4).long()
    columns = centre[..., 0, None, None] + offsets  # (P, V, J, 1, K)
    rows = centre[..., 1, None, None] + offsets[:, None]  # (P, V, J, K, 1)
    window = _gather(heatmaps, rows, columns)
    # The nearer of two people's peaks wins: heights fade with the distance from where the joint should be.
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
    """Values (P, V, J, K, L) of maps (P, V, J, H, W) at rows (..., K, 1) and columns (..., 1, L); 0 outside."""
    H, W = heatmaps.shape[-2:]
    index = rows.clamp(0, H - 1) * W + columns.clamp(0, W - 1)
    values = heatmaps.flatten(-2).gather(-1, index.flatten(-2)).view(index.shape)
    return values * ((rows >= 0) & (rows < H) & (columns >= 0) & (columns < W))


def _vertex(values: Tensor) -> Tensor:
    """Offset of a parabola's vertex through three values (..., 3) at -1, 0, 1; within half a pixel."""
    low, mid, high = values.unbind(-1)
    curvature = low - 2 * mid + high
    offset = 0.5 * (low - high) / torch.where(curvature < -1e-6, curvature, 1.0)
    return torch.where(curvature < -1e-6, offset, 0.0).clamp(-0.5, 0.5)


def _reproject(projector: RigProjector, affine: Tensor, xyz_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Heatmap px (P, V, J, 2) and whether the lens can show the joint (P, V, J)."""
    uv, ahead = projector(xyz_mm)
    return to_heatmap(affine, uv), ahead & projector.inside(uv)


def _jacobian(projector: RigProjector, affine: Tensor, xyz_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Derivative (P, V, J, 2, 3) of the heatmap px by the joint, and the px (P, V, J, 2) themselves."""
    J = xyz_mm.shape[1]
    steps = _STEP_MM * torch.eye(3, device=xyz_mm.device)
    moved = torch.cat([xyz_mm, *(xyz_mm + s for s in steps), *(xyz_mm - s for s in steps)], 1)
    uv = to_heatmap(affine, projector(moved)[0])
    uv = uv.view(*uv.shape[:2], 7, J, 2)
    slope = (uv[:, :, 1:4] - uv[:, :, 4:7]) / (2 * _STEP_MM)  # (P, V, 3, J, 2)
    return slope.permute(0, 1, 3, 4, 2), uv[:, :, 0]
