"""Heatmaps of all views lifted into voxels.

Legend: B batch, V view, J joint, H W heatmap, X Y Z voxel, N = X·Y·Z points.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.projection import RigProjector, to_heatmap
from core.types.space import CaptureSpace

_MIN_AGREEING = 2.0
"""A voxel that one view sees alone is divided by two all the same: one ray is no agreement."""


def grid_points(size_mm: Tensor, voxels: tuple[int, int, int]) -> Tensor:
    """(X·Y·Z, 3) points of a box around the origin, end points included, x slowest and z fastest."""
    axes = [torch.linspace(-0.5, 0.5, n, device=size_mm.device) * size for n, size in zip(voxels, size_mm, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def evidence(heatmaps: Tensor, floor: float) -> Tensor:
    """Heatmaps as log-likelihoods in 0..1 with a floor for outliers; with floor 0 as they are."""
    return torch.log1p(heatmaps / floor) / math.log1p(1 / floor) if floor > 0 else heatmaps


def fuse(heatmaps: Tensor, xy: Tensor, seen: Tensor, view_weight: Tensor) -> Tensor:
    """Samples each view at the projected points and averages over the views that see them.

    Args:
        heatmaps: (B, V, J, H, W).
        xy: (B, V, N, 2) heatmap px.
        seen: (B, V, N) bool: on the camera's picture. Points outside the heatmap are masked here as well: content that
            an augmentation pushed out of the frame is unknown, not absent.
        view_weight: (B, V); 0 leaves a camera out.

    Returns:
        (B, J, N) weighted mean.
    """
    B, V, J, H, W = heatmaps.shape
    edge = xy.new_tensor([W - 1, H - 1])
    seen = seen & ((xy >= 0) & (xy <= edge)).all(-1)
    # Pixel centres: -1 and 1 are the first and the last one, hence align_corners.
    grid = (xy * (2 / edge) - 1).clamp(-1.1, 1.1)
    samples = functional.grid_sample(
        heatmaps.flatten(0, 1), grid.flatten(0, 1)[:, None], mode="bilinear", padding_mode="zeros", align_corners=True
    ).view(B, V, J, -1)
    weight = seen * view_weight[:, :, None]
    total = torch.einsum("bvjn,bvn->bjn", samples, weight)
    return total / weight.sum(1).clamp_min(_MIN_AGREEING)[:, None]


class SpaceUnprojector(nn.Module):
    """The root space: its voxels are projected once per rig, each call only applies the affine and samples."""

    xy_px: Tensor
    on_picture: Tensor

    def __init__(self, projector: RigProjector, space: CaptureSpace) -> None:
        super().__init__()
        self.voxels = space.voxels
        device = projector.R.device
        points = grid_points(torch.tensor(space.size_mm, dtype=torch.float32, device=device), space.voxels)
        points = points + torch.tensor(np.asarray(space.centre_mm), dtype=torch.float32, device=device)
        xy_px, ahead = projector(points)
        on_picture = ahead & projector.inside(xy_px)
        self.register_buffer("xy_px", torch.where(on_picture[..., None], xy_px, -1e4), persistent=False)
        self.register_buffer("on_picture", on_picture, persistent=False)

    def forward(self, heatmaps: Tensor, affine: Tensor, view_weight: Tensor) -> Tensor:
        """Fused volume (B, J, X, Y, Z) of heatmaps (B, V, J, H, W) with affines (B, V, 2, 3) and weights (B, V)."""
        xy = to_heatmap(affine, self.xy_px[None])
        seen = self.on_picture.expand(len(heatmaps), -1, -1)
        return fuse(heatmaps, xy, seen, view_weight).view(len(heatmaps), -1, *self.voxels)


class CubeUnprojector(nn.Module):
    """Cubes around people: projected anew, because every one lies elsewhere; all cubes of a batch at once."""

    offsets_mm: Tensor

    def __init__(self, cube_mm: float, voxels: int) -> None:
        super().__init__()
        self.voxels = (voxels, voxels, voxels)
        self.register_buffer("offsets_mm", grid_points(torch.full((3,), cube_mm), self.voxels), persistent=False)

    def forward(
        self, projector: RigProjector, heatmaps: Tensor, affine: Tensor, view_weight: Tensor, centre_mm: Tensor
    ) -> Tensor:
        """Fused volumes (B, J, X, Y, Z), one cube a batch entry, around `centre_mm` (B, 3)."""
        with torch.no_grad():
            xy_px, ahead = projector(centre_mm[:, None] + self.offsets_mm)
            seen = ahead & projector.inside(xy_px)
            xy = to_heatmap(affine, xy_px)
        return fuse(heatmaps, xy, seen, view_weight).view(len(heatmaps), -1, *self.voxels)
