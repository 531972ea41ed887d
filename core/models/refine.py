"""The last correction: joints moved onto the heatmap peaks that they explain.

Robust Gauss-Newton on sub-pixel peaks near the network's reprojections, weighed against the network's own joint, so
that one with few or no peaks stays where the network put it; then again, with the peaks near the joints found so far
and with bone lengths of a person of this size. Gives a covariance.

Legend: P person, V view, J joint, K bone, H W heatmap.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from core.models.body_prior import BONES, bone_lengths
from core.models.config import RefineConfig
from core.models.projection import RigProjector, to_heatmap
from core.models.views import Views

_STEP_MM = 4.0
"""For the Jacobian's central differences: far above float32 rounding, far below the scale at which a lens bends."""


def refine(
    projector: RigProjector,
    views: Views,
    xyz_mm: Tensor,
    spread_mm: Tensor,
    bone_share: Tensor,
    sigma_px: float,
    config: RefineConfig,
) -> tuple[Tensor, Tensor]:
    """Most probable skeletons given peaks, the network's joints and bone lengths.

    Args:
        projector: The rig.
        views: What the cameras show of each person: P entries.
        xyz_mm: (P, J, 3) the network's joints.
        spread_mm: (P, J) of their soft-argmax.
        bone_share: (K,) each bone's share of the sum of all lengths.
        sigma_px: Standard deviation of the heatmaps' Gaussians.
        config: Weights and iterations.

    Returns:
        Joints (P, J, 3) mm and covariances (P, J, 3, 3) mm².
    """
    prior = 1 / (config.prior_mm**2 + spread_mm**2)[..., None, None] * torch.eye(3, device=xyz_mm.device)

    def peaks_near(now: Tensor) -> tuple[Tensor, Tensor]:
        """Peaks (P, V, J, 2) that joints explain, and how much each is to be believed (P, V, J)."""
        start, ahead = _reproject(projector, views.affine, now)
        peak_xy, height = nearest_peaks(views.heatmaps, start, config.window_sigmas * sigma_px)
        known = ahead & (height >= config.min_peak)
        # Estimators score a joint about as the inverse of its error, and a measurement's weight is that squared.
        return peak_xy, height**2 * known * views.view_weight[..., None]

    def point_terms(now: Tensor, peak_xy: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Normal matrices (P, J, 3, 3) and right sides (P, J, 3) of each joint by itself."""
        slope, uv, _ = jacobian(projector, views.affine, now)  # (P, V, J, 2, 3)
        residual, scaled = (peak_xy - uv) / config.noise_px, slope / config.noise_px
        weight = confidence * (config.huber / residual.norm(dim=-1).clamp_min(1e-6)).clamp_max(1)
        normal = torch.einsum("pvj,pvjri,pvjrk->pjik", weight, scaled, scaled) + prior
        right = torch.einsum("pvj,pvjri,pvjr->pji", weight, scaled, residual)
        return normal, right + torch.einsum("pjik,pjk->pji", prior, xyz_mm - now)

    now, peaks = xyz_mm, peaks_near(xyz_mm)
    for _ in range(config.iterations):
        normal, right = point_terms(now, *peaks)
        now = now + torch.linalg.solve(normal, right)
    covariance = torch.linalg.inv(normal)
    if not config.bones or not bool(bone_share.any()):
        return now, covariance
    peaks = peaks_near(now)
    length_mm = _expected_lengths(now, covariance, bone_share)
    for _ in range(config.iterations):
        full, right = _with_bones(now, *point_terms(now, *peaks), length_mm, config.bones)
        now = now + torch.linalg.solve(full, right).view_as(now)
    blocks = torch.linalg.inv(full).view(*xyz_mm.shape[:2], 3, *xyz_mm.shape[1:])
    return now, torch.diagonal(blocks, dim1=1, dim2=3).movedim(-1, 1)


def _expected_lengths(xyz_mm: Tensor, covariance: Tensor, bone_share: Tensor) -> Tensor:
    """Bone lengths (P, K) of people of a size that their well-seen bones tell."""
    ends = torch.tensor(BONES, device=xyz_mm.device)
    variance = torch.diagonal(covariance, dim1=-2, dim2=-1).sum(-1)
    certainty = 1 / (variance[:, ends[:, 0]] + variance[:, ends[:, 1]])
    size = (certainty * bone_lengths(xyz_mm)).sum(-1) / (certainty * bone_share).sum(-1)
    return size[:, None] * bone_share


def _with_bones(now: Tensor, normal: Tensor, right: Tensor, length_mm: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """One system (P, 3J, 3J) and right side (P, 3J) for the whole skeleton: bones couple its joints."""
    P, J, _ = now.shape
    ends = torch.tensor(BONES, device=now.device)
    along = now[:, ends[:, 0]] - now[:, ends[:, 1]]  # (P, K, 3)
    length = along.norm(dim=-1).clamp_min(1.0)
    unit = along / length[..., None]
    precision = 1 / (share * length_mm) ** 2
    # A bone's length changes with one end along it and with the other against it.
    slope = torch.zeros(P, len(BONES), J, 3, device=now.device)
    bone = torch.arange(len(BONES), device=now.device)
    slope[:, bone, ends[:, 0]], slope[:, bone, ends[:, 1]] = unit, -unit
    slope = slope.flatten(2)  # (P, K, 3J)
    full = torch.einsum("pk,pki,pkj->pij", precision, slope, slope)
    joint = torch.arange(J, device=now.device)
    blocks = full.view(P, J, 3, J, 3)
    blocks[:, joint, :, joint] += normal.movedim(1, 0)
    pull = torch.einsum("pk,pki,pk->pi", precision, slope, length_mm - length)
    return full, right.flatten(1) + pull


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


def jacobian(projector: RigProjector, affine: Tensor, xyz_mm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derivative (P, V, J, 2, 3) of the heatmap px by the joint, the px (P, V, J, 2) themselves, and whether they are
    ahead of the camera (P, V, J)."""
    J = xyz_mm.shape[1]
    step = _STEP_MM * torch.eye(3, device=xyz_mm.device)
    steps = torch.cat([torch.zeros_like(step[:1]), step, -step])  # (7, 3)
    uv, ahead = projector((xyz_mm[:, None] + steps[:, None]).flatten(1, 2))
    uv = to_heatmap(affine, uv).view(*uv.shape[:2], 7, J, 2)
    slope = (uv[:, :, 1:4] - uv[:, :, 4:7]) / (2 * _STEP_MM)  # (P, V, 3, J, 2)
    return slope.permute(0, 1, 3, 4, 2), uv[:, :, 0], ahead[:, :, :J]
