"""Undistorted detections of all cameras in common arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from core.association.config import AssociationConfig
from core.errors import CoreError
from core.geometry import ideal_points
from core.geometry.accuracy import pixel_scale
from core.geometry.projection import local_focal_px
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D, StoredPose2D
from core.types.skeleton import Skeleton

MIN_DEPTH_MM = 1.0
_BLOCK_FRAMES = 500


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewGeometry:
    """Geometry of V cameras and their gates.

    Attributes:
        rig: V posed cameras.
        skeleton: Joint set of the detections.
        R: (V, 3, 3) rotations, world to camera.
        t_mm: (V, 3) translations.
        centre_mm: (V, 3) camera centres.
        axes: (3, 3 V) rows of all rotations as columns: all first rows, then all second, then all third.
        products: (6, 6 V) symmetric outer products of rotation rows a and b as columns, upper triangles row by row:
            aa for the first, second and third row, then ab + ba for rows 1 and 2, 1 and 3, 2 and 3.
        focal_px: (V,) mean focal lengths.
        gate_px: (V,) pixel part of the gate, scaled to the image size.
        gate_mm: Metric part of the gate in mm.
    """

    rig: CameraRig
    skeleton: Skeleton
    R: F64
    t_mm: F64
    centre_mm: F64
    axes: F64
    products: F64
    focal_px: F64
    gate_px: F64
    gate_mm: float

    @classmethod
    def build(cls, rig: CameraRig, skeleton: Skeleton, config: AssociationConfig) -> ViewGeometry:
        """Build the geometry of a posed rig."""
        R = np.stack([c.pose[0] for c in rig])
        i, j = np.triu_indices(3)
        outer = R[:, :, None, i] * R[:, None, :, j] + R[:, :, None, j] * R[:, None, :, i]  # (V, a, b, 6)
        squares = [outer[:, a, a] / 2 for a in range(3)]
        return cls(
            rig=rig,
            skeleton=skeleton,
            R=R,
            t_mm=np.stack([c.pose[1] for c in rig]),
            centre_mm=np.stack([c.centre_mm for c in rig]),
            axes=R.transpose(1, 0, 2).reshape(-1, 3).T.copy(),
            products=np.stack([*squares, outer[:, 0, 1], outer[:, 0, 2], outer[:, 1, 2]]).reshape(-1, 6).T.copy(),
            focal_px=np.array([(c.K[0, 0] + c.K[1, 1]) / 2 for c in rig]),
            gate_px=config.gate_px * pixel_scale(rig),
            gate_mm=config.gate_mm,
        )

    def __len__(self) -> int:
        return len(self.R)

    def gate(self, depth_mm: F64, view: np.ndarray | int) -> F64:
        """Return the gate in mm at depths (...) of cameras `view`; the two broadcast."""
        pixel_part = self.gate_px[view] / self.focal_px[view] * depth_mm
        return np.asarray(np.hypot(self.gate_mm, pixel_part))

    def project_ideal(self, xyz_mm: F64) -> tuple[F64, F64]:
        """Project points without distortion.

        Args:
            xyz_mm: (..., 3) world points.

        Returns:
            Coordinates (V, ..., 2) on the ideal image planes and depths (V, ...), NaN behind a camera.
        """
        flat = xyz_mm.reshape(-1, 3)
        local = flat[None] @ self.R.transpose(0, 2, 1) + self.t_mm[:, None]
        depth = local[..., 2]
        depth = np.where(depth > MIN_DEPTH_MM, depth, np.nan)
        xy = local[..., :2] / depth[..., None]
        shape = (len(self.R), *xyz_mm.shape[:-1])
        return xy.reshape(*shape, 2), depth.reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TakeViews:
    """Detections of T frame sets, with D detection columns padded to the largest number in any view.

    Attributes:
        geometry: The V cameras.
        ideal: (T, V, D, J, 2) undistorted coordinates on the ideal image plane, NaN where missing or of low score.
        weight: (T, V, D, J) confidences, 0 where `ideal` is NaN.
        focal_px: (T, V, D, J) local pixels per unit of the ideal image plane, which vary with distortion.
    """

    geometry: ViewGeometry
    ideal: F64
    weight: F64
    focal_px: F64

    def __len__(self) -> int:
        return len(self.weight)

    def blocks(self) -> Iterator[tuple[slice, TakeViews]]:
        """Yield consecutive blocks of frames."""
        for block in _blocks(len(self)):
            yield (
                block,
                replace(self, ideal=self.ideal[block], weight=self.weight[block], focal_px=self.focal_px[block]),
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamedViews:
    """Detections of a take, stacked in blocks of frames to limit memory.

    Attributes:
        geometry: The V cameras.
        poses2d: Detections by camera name, in memory or in a file.
        config: Settings.
    """

    geometry: ViewGeometry
    poses2d: Mapping[str, Pose2D | StoredPose2D]
    config: AssociationConfig

    @classmethod
    def build(
        cls, rig: CameraRig, poses2d: Mapping[str, Pose2D | StoredPose2D], config: AssociationConfig
    ) -> StreamedViews:
        """Check the detections of all cameras of a rig, and build the views.

        Raises:
            CoreError: A camera has no 2D poses, skeletons or lengths differ, or there are fewer than two cameras.
        """
        first = _check(rig, poses2d)
        return cls(geometry=ViewGeometry.build(rig, first.skeleton, config), poses2d=poses2d, config=config)

    def __len__(self) -> int:
        return self.poses2d[self.geometry.rig.names[0]].n_frames

    def blocks(self) -> Iterator[tuple[slice, TakeViews]]:
        """Yield consecutive blocks of frames."""
        for block in _blocks(len(self)):
            rows = np.arange(block.start, block.stop)
            poses2d = {name: self.poses2d[name].select(rows) for name in self.geometry.rig.names}
            yield block, replace(stack_views(self.geometry.rig, poses2d, self.config), geometry=self.geometry)


def _blocks(n_frames: int) -> Iterator[slice]:
    for start in range(0, n_frames, _BLOCK_FRAMES):
        yield slice(start, min(start + _BLOCK_FRAMES, n_frames))


def stack_views(rig: CameraRig, poses2d: Mapping[str, Pose2D], config: AssociationConfig) -> TakeViews:
    """Stack the detections of all cameras of a rig.

    Raises:
        CoreError: A camera has no 2D poses, skeletons or lengths differ, or there are fewer than two cameras.
    """
    first = _check(rig, poses2d)
    views = [poses2d[name] for name in rig.names]
    n_columns = max(1, *(pose.xy_px.shape[1] for pose in views))
    xy = np.stack([_pad(np.asarray(p.xy_px, float), n_columns, np.nan) for p in views], axis=1)
    weight = np.stack([_pad(np.asarray(p.score, float), n_columns, 0.0) for p in views], axis=1)
    weight = np.where(weight >= config.min_joint_score, weight, 0.0)
    ideal = np.moveaxis(ideal_points(rig, np.moveaxis(xy, 1, 0)), 0, 1)
    used = np.asarray(np.isfinite(ideal).all(-1)) & (weight > 0)
    return TakeViews(
        geometry=ViewGeometry.build(rig, first.skeleton, config),
        ideal=np.where(used[..., None], ideal, np.nan),
        weight=np.where(used, weight, 0.0),
        focal_px=np.stack([local_focal_px(camera, ideal[:, v]) for v, camera in enumerate(rig)], axis=1),
    )


def _pad(values: F64, n_columns: int, fill: float) -> F64:
    out = np.full((values.shape[0], n_columns, *values.shape[2:]), fill)
    out[:, : values.shape[1]] = values
    return out


def _check(rig: CameraRig, poses2d: Mapping[str, Pose2D | StoredPose2D]) -> Pose2D | StoredPose2D:
    """Check that the detections of all cameras match, and return those of the first."""
    missing = [name for name in rig.names if name not in poses2d]
    if missing:
        raise CoreError(f"There are no 2D poses of camera {missing[0]}.", "Run pose2d on the take again.")
    if len(rig) < 2:
        raise CoreError("Triangulation needs at least two cameras.", "Use a rig and a take with two cameras or more.")
    views = [poses2d[name] for name in rig.names]
    first = views[0]
    for pose in views:
        if pose.skeleton.name != first.skeleton.name or pose.n_frames != first.n_frames:
            raise CoreError(
                f"2D poses of {pose.camera} ({pose.skeleton.name}, {pose.n_frames} frames) do not match those of "
                f"{first.camera} ({first.skeleton.name}, {first.n_frames} frames).",
                "Run pose2d on the take again with one estimator.",
            )
    return first
