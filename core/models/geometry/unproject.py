"""Unprojection of the heatmaps of all views into voxel volumes.

Legend: B batch, V view, J joint, H W heatmap, X Y Z voxel, N = X·Y·Z points.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.geometry.multiview_gather import BilinearCorners, can_gather, multiview_gather
from core.models.geometry.projection import RigProjector, to_heatmap
from core.types.volume import CaptureVolume

_MIN_AGREEING = 2.0
"""Smallest divisor of the mean over views: a voxel seen by one view is halved, since one ray is no intersection."""


def grid_points(size_mm: Tensor, voxels: tuple[int, int, int]) -> Tensor:
    """Return the (X·Y·Z, 3) points of a box around the origin, including its faces, x slowest and z fastest."""
    axes = [torch.linspace(-0.5, 0.5, n, device=size_mm.device) * size for n, size in zip(voxels, size_mm, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def log_evidence(heatmaps: Tensor, floor: float) -> Tensor:
    """Map heatmaps h to log-likelihoods log(1 + h/floor) / log(1 + 1/floor) in 0..1; unchanged for floor 0."""
    if floor <= 0:
        return heatmaps
    return torch.log1p(heatmaps * (1 / floor)).mul_(1 / math.log1p(1 / floor))


def fuse_views(heatmaps: Tensor, xy: Tensor, seen: Tensor, view_weight: Tensor) -> Tensor:
    """Sample each view at projected points, and average over the views that see them.

    Args:
        heatmaps: (B, V, J, H, W) heatmaps.
        xy: (B, V, N, 2) heatmap px.
        seen: (B, V, N) bool, True inside the camera's image. Points outside the heatmap are masked as well, since
            content that an augmentation moved out of the heatmap is unknown, not absent.
        view_weight: (B, V) weights of the views; 0 excludes a camera.

    Returns:
        (B, J, N) weighted mean.
    """
    B, V, J, H, W = heatmaps.shape
    edge = xy.new_tensor([W - 1, H - 1])
    # Pixel centres: -1 and 1 are the first and the last one, hence align_corners.
    grid = xy * (2 / edge) - 1
    seen = seen & (grid.abs() <= 1).all(-1)
    # Points that a view does not see are moved outside its map, where samples are 0, which saves a product with a mask.
    grid = torch.where(seen[..., None], grid, 2.0)
    weighted = heatmaps if bool((view_weight == 1).all()) else heatmaps * view_weight[:, :, None, None, None]
    total = functional.grid_sample(
        weighted.flatten(0, 1), grid.flatten(0, 1)[:, None], mode="bilinear", padding_mode="zeros", align_corners=True
    )
    share = (seen * view_weight[:, :, None]).sum(1).clamp_min(_MIN_AGREEING)
    return total.view(B, V, J, -1).sum(1) / share[:, None]


def _fill(heatmaps: Tensor, affine: Tensor, xy_px: Tensor, seen: Tensor, view_weight: Tensor) -> Tensor:
    """Compute `fuse_views` for points in image px and affines (B, V, 2, 3), with the faster kernel of the device."""
    if can_gather(heatmaps):
        return multiview_gather(heatmaps, affine, xy_px, seen, view_weight, _MIN_AGREEING)
    return fuse_views(heatmaps, to_heatmap(affine, xy_px), seen, view_weight)


class VolumeUnprojector(nn.Module):
    """Unprojection into the capture volume; voxels are projected once per rig, and each call applies the affine.

    On a CPU the corner pixels of all voxels are also cached, for the most recent affines shared by a whole batch.
    """

    xy_px: Tensor
    on_image: Tensor

    def __init__(self, projector: RigProjector, volume: CaptureVolume) -> None:
        super().__init__()
        self.voxels = volume.voxels
        device = projector.R.device
        points = grid_points(torch.tensor(volume.size_mm, dtype=torch.float32, device=device), volume.voxels)
        points = points + torch.tensor(np.asarray(volume.centre_mm), dtype=torch.float32, device=device)
        xy_px, ahead = projector(points)
        on_image = ahead & projector.inside(xy_px)
        self.register_buffer("xy_px", torch.where(on_image[..., None], xy_px, -1e4), persistent=False)
        self.register_buffer("on_image", on_image, persistent=False)
        self._cached: tuple[Tensor, Tensor, tuple[int, int], BilinearCorners] | None = None

    def forward(self, heatmaps: Tensor, affine: Tensor, view_weight: Tensor) -> Tensor:
        """Unproject heatmaps (B, V, J, H, W), affines (B, V, 2, 3) and weights (B, V) to volumes (B, J, X, Y, Z)."""
        B, V, J, H, W = heatmaps.shape
        if can_gather(heatmaps) and _all_equal(affine) and _all_equal(view_weight):
            # Every frame is a column of one table.
            table = heatmaps.permute(1, 3, 4, 0, 2).flatten().view(V * H * W, B * J)
            fused = self._corners(affine[0], view_weight[0], (H, W)).mean(table).T.contiguous()
        else:
            xy_px, seen = self.xy_px.expand(B, -1, -1, -1), self.on_image.expand(B, -1, -1)
            fused = _fill(heatmaps, affine, xy_px, seen, view_weight)
        return fused.reshape(B, J, *self.voxels)

    def _corners(self, affine: Tensor, view_weight: Tensor, size_hw: tuple[int, int]) -> BilinearCorners:
        """Return all voxels' corner pixels for one affine (V, 2, 3) and weights (V,), cached from the previous call."""
        cached = self._cached
        if cached and cached[2] == size_hw and torch.equal(cached[0], affine) and torch.equal(cached[1], view_weight):
            return cached[3]
        x, y = (axis.T.contiguous() for axis in to_heatmap(affine, self.xy_px).unbind(-1))
        seen = self.on_image.T.contiguous()
        corners = BilinearCorners.around(x, y, seen, size_hw, view_weight, _MIN_AGREEING)
        self._cached = (affine.clone(), view_weight.clone(), size_hw, corners)
        return corners


def _all_equal(entries: Tensor) -> bool:
    return bool((entries == entries[:1]).all())


class ProjectedGrid(nn.Module):
    """Fine grid over the whole capture volume, projected once per rig; the cube of a person is a slice of it.

    The cached grid of Faster-VoxelPose (ECCV 2022).

    Args:
        projector: Projector of the rig.
        volume: Capture volume that contains the roots.
        cube_mm: Edge length of a cube.
        voxels: Number of points along an edge, including both ends.
    """

    xy_px: Tensor
    seen: Tensor
    low_mm: Tensor

    def __init__(self, projector: RigProjector, volume: CaptureVolume, cube_mm: float, voxels: int) -> None:
        super().__init__()
        self.cube_mm, self.voxels, self.spacing_mm = cube_mm, voxels, cube_mm / (voxels - 1)
        device = projector.R.device
        low, counts = _grid_extent(volume, cube_mm, voxels)
        self.register_buffer("low_mm", torch.tensor(low, dtype=torch.float32, device=device), persistent=False)
        axes = [torch.arange(n, device=device) * self.spacing_mm + start for n, start in zip(counts, low, strict=True)]
        # One layer of x at a time: all points at once would take several times the final memory.
        y, z = torch.meshgrid(axes[1], axes[2], indexing="ij")
        shape = (*counts.tolist(), len(projector))
        self.register_buffer("xy_px", torch.empty(*shape, 2, device=device), persistent=False)
        self.register_buffer("seen", torch.empty(shape, dtype=torch.bool, device=device), persistent=False)
        for number, x in enumerate(axes[0]):
            xy, ahead = projector(torch.stack([x.expand_as(y), y, z], -1).view(-1, 3))
            seen = ahead & projector.inside(xy)
            # The views of a point are contiguous, since they are read together.
            self.xy_px[number] = torch.where(seen[..., None], xy, -1e4).transpose(0, 1).reshape(*shape[1:], 2)
            self.seen[number] = seen.T.reshape(shape[1:])

    @staticmethod
    def size_mib(views: int, volume: CaptureVolume, cube_mm: float, voxels: int) -> float:
        """Return the memory of a grid in MiB."""
        return float(views * np.prod(_grid_extent(volume, cube_mm, voxels)[1].astype(float)) * 9 / 2**20)

    def place(self, centre_mm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cut out the cubes around points (P, 3), which are snapped to the grid by at most half a spacing.

        Returns:
            Centres (P, 3) of the cubes, pixels (P, V, N, 2) of their points, and their visibility (P, V, N).
        """
        n, most = self.voxels, torch.tensor(self.seen.shape[:3], device=centre_mm.device) - self.voxels
        index = ((centre_mm - self.cube_mm / 2 - self.low_mm) / self.spacing_mm).round().long()
        index = torch.minimum(index.clamp_min(0), most)
        # Slices instead of gathered points: a loop over people that copies blocks.
        parts = [(slice(x, x + n), slice(y, y + n), slice(z, z + n)) for x, y, z in index.tolist()]
        xy = torch.stack([self.xy_px[part] for part in parts]).flatten(1, 3)
        seen = torch.stack([self.seen[part] for part in parts]).flatten(1, 3)
        return self.low_mm + index * self.spacing_mm + self.cube_mm / 2, xy.transpose(1, 2), seen.transpose(1, 2)


def _grid_extent(volume: CaptureVolume, cube_mm: float, voxels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lowest corner (3,) mm and number of points (3,) of a grid that contains the cubes around all points."""
    spacing = cube_mm / (voxels - 1)
    return np.asarray(volume.low_mm - cube_mm / 2), np.ceil((volume.size_mm + cube_mm) / spacing).astype(int) + 1


class CubeUnprojector(nn.Module):
    """Unprojection into the cubes of all people of a batch: sliced from a projected grid, or projected on the fly."""

    offsets_mm: Tensor

    def __init__(self, cube_mm: float, voxels: int) -> None:
        super().__init__()
        self.voxels = (voxels, voxels, voxels)
        self.register_buffer("offsets_mm", grid_points(torch.full((3,), cube_mm), self.voxels), persistent=False)

    def forward(
        self,
        source: RigProjector | ProjectedGrid,
        heatmaps: Tensor,
        affine: Tensor,
        view_weight: Tensor,
        centre_mm: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Unproject heatmaps into one cube per batch entry.

        Args:
            source: Rig, whose cubes are centred exactly on `centre_mm`, or projected grid, to which cubes are snapped.
            heatmaps: (B, V, J, H, W) heatmaps.
            affine: (B, V, 2, 3) image px to heatmap px.
            view_weight: (B, V) weights of the views.
            centre_mm: (B, 3) centres of the cubes.

        Returns:
            Fused volumes (B, J, X, Y, Z), and their centres (B, 3).
        """
        with torch.no_grad():
            if isinstance(source, ProjectedGrid):
                centre_mm, xy_px, seen = source.place(centre_mm)
            else:
                xy_px, ahead = source(centre_mm[:, None] + self.offsets_mm)
                seen = ahead & source.inside(xy_px)
        return _fill(heatmaps, affine, xy_px, seen, view_weight).view(len(heatmaps), -1, *self.voxels), centre_mm
