"""What a take offers to look at, measured once: paths of people, image planes of cameras, the size of the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry.accuracy import AccuracyMap
from core.types import CameraRig, CaptureVolume, Pose3DSequence, SyntheticRange
from core.types.arrays import F64, I64
from studio.viewport.reliability import CameraReliability, reprojection_reliability

_EMPTY_FLOOR_M = 3
_LARGEST_FLOOR_M = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneData:
    """A take's world.

    Attributes:
        poses: The 3D result looked at, or None.
        ghost: A second result to compare with, or None.
        space: The box that the networks look into, or None.
        synthetic: Where in it synthetic people may be.
        accuracy: How well points can be located over the floor, or None.
        cameras: (V,) names of the posed cameras.
        centre_mm: (V, 3) camera centres.
        reliability: What is known of the cameras' errors.
        level: (V,) 0 good, 1 doubtful, 2 bad, -1 unknown.
        corner_mm: (V, 4, 3) corners of the image planes: top left, top right, bottom right, bottom left.
        middle_mm: (T, P, 3) each person's middle: the hips, else the mean joint; NaN where absent.
        low_m: Lowest x and y of the floor, whole metres.
        high_m: Highest x and y of the floor, whole metres.
        extent_mm: (N, 3) points that "show everything" brings into view.
        azimuth_deg: Direction from which no camera stands between the viewer and the people.
    """

    poses: Pose3DSequence | None
    ghost: Pose3DSequence | None
    volume: CaptureVolume | None
    synthetic: SyntheticRange
    accuracy: AccuracyMap | None
    cameras: tuple[str, ...]
    centre_mm: F64
    reliability: CameraReliability
    level: I64
    corner_mm: F64
    middle_mm: F64
    low_m: tuple[int, int]
    high_m: tuple[int, int]
    extent_mm: F64
    azimuth_deg: float

    @classmethod
    def build(
        cls,
        rig: CameraRig | None = None,
        poses: Pose3DSequence | None = None,
        ghost: Pose3DSequence | None = None,
        volume: CaptureVolume | None = None,
        synthetic: SyntheticRange | None = None,
        accuracy: AccuracyMap | None = None,
        reliability: CameraReliability | None = None,
    ) -> SceneData:
        """Measures a take. Everything may be missing; unposed cameras are left out.

        Without `reliability`, cameras are judged by the errors that came with the rig.
        """
        if reliability is None:
            reliability = reprojection_reliability(rig) if rig is not None else CameraReliability()
        posed = [c for c in rig if c.posed] if rig else []
        centre = np.array([c.centre_mm for c in posed]).reshape(-1, 3)
        people = _people_box(poses if poses is not None else ghost)
        depth = _plane_depth(centre, people)
        corner = np.array([_image_plane(c.K, c.size_px, *c.pose, depth) for c in posed]).reshape(-1, 4, 3)
        frame = np.concatenate([centre, corner.reshape(-1, 3), people])
        low_m, high_m = _floor(np.concatenate([centre, people]))
        return cls(
            poses=poses,
            ghost=ghost,
            volume=volume,
            synthetic=synthetic or SyntheticRange(),
            accuracy=accuracy,
            cameras=tuple(c.name for c in posed),
            centre_mm=centre,
            reliability=reliability,
            level=np.array([reliability.level.get(c.name, -1) for c in posed], np.int64),
            corner_mm=corner,
            middle_mm=np.zeros((0, 0, 3)) if poses is None else middles(poses),
            low_m=low_m,
            high_m=high_m,
            extent_mm=frame,
            azimuth_deg=_clear_azimuth(centre, people),
        )


def frame_of(sequence: Pose3DSequence, time_s: float) -> int | None:
    """Index of the result's frame at `time_s`, or None if the nearest one is more than a frame away."""
    times = sequence.time_s
    if not len(times):
        return None
    right = int(np.clip(np.searchsorted(times, time_s), 1, max(len(times) - 1, 1)))
    index = right - 1 if len(times) == 1 or time_s - times[right - 1] <= times[right] - time_s else right
    step = 1 / sequence.fps if sequence.fps else np.inf
    return index if abs(times[index] - time_s) <= step else None


def middles(poses: Pose3DSequence) -> F64:
    """(T, P, 3) the middle of each person: mean of both hips, else of all known joints, NaN where absent."""
    xyz = poses.xyz_mm
    known = np.asarray(np.isfinite(xyz).all(-1))
    count = np.maximum(known.sum(-1), 1)[..., None]
    middle = np.where(known[..., None], xyz, 0.0).sum(-2) / count
    middle[~known.any(-1)] = np.nan
    if {"left_hip", "right_hip"} <= set(poses.skeleton.joints):
        hips = (xyz[..., poses.skeleton.index("left_hip"), :] + xyz[..., poses.skeleton.index("right_hip"), :]) / 2
        middle = np.where(np.isfinite(hips), hips, middle)
    return np.asarray(middle)


def _people_box(poses: Pose3DSequence | None) -> F64:
    """(8, 3) corners of where the people are, or (0, 3). Percentiles: one stray joint must not shrink the view."""
    points = np.zeros((0, 3)) if poses is None else poses.xyz_mm.reshape(-1, 3)
    points = points[np.isfinite(points).all(-1)]
    if not len(points):
        return np.zeros((0, 3))
    low, high = np.percentile(points, (1, 99), axis=0)
    low[2] = min(low[2], 0.0)
    corners = np.stack(np.meshgrid(*np.stack([low, high], -1), indexing="ij"), -1)
    return np.asarray(corners.reshape(-1, 3))


def _plane_depth(centre_mm: F64, people_mm: F64) -> float:
    """How far before its camera an image plane is drawn: a fifth of the way to the people, 0.3 to 3 m."""
    if len(centre_mm) < 2:
        return 600.0
    middle = (people_mm if len(people_mm) else centre_mm)[:, :2].mean(0)
    distance = float(np.median(np.linalg.norm(centre_mm[:, :2] - middle, axis=-1)))
    return float(np.clip(0.2 * distance, 300.0, 3000.0))


def _clear_azimuth(centre_mm: F64, people_mm: F64) -> float:
    """Middle of the widest gap between the cameras, seen from the people, in the viewer's degrees."""
    if not len(centre_mm):
        return 30.0
    middle = (people_mm if len(people_mm) else centre_mm)[:, :2].mean(0)
    towards = centre_mm[:, :2] - middle
    angles = np.sort(np.arctan2(towards[:, 1], towards[:, 0]))
    gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    widest = int(gaps.argmax())
    # A viewer at azimuth 0 stands on the negative y side.
    return float(np.degrees(angles[widest] + gaps[widest] / 2) + 90.0)


def _image_plane(K: F64, size_px: tuple[int, int], R: F64, t_mm: F64, depth_mm: float) -> F64:
    """(4, 3) corners of the image at `depth_mm`, without distortion: the plane is a sketch, drawn flat."""
    width, height = size_px
    pixels = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    ahead = np.concatenate([(pixels - K[:2, 2]) @ np.linalg.inv(K[:2, :2]).T, np.ones((4, 1))], -1) * depth_mm
    return np.asarray((ahead - t_mm) @ R)


def _floor(points_mm: F64) -> tuple[tuple[int, int], tuple[int, int]]:
    """Whole metres around all points; a small square around the origin where there are none."""
    if not len(points_mm):
        return (-_EMPTY_FLOOR_M, -_EMPTY_FLOOR_M), (_EMPTY_FLOOR_M, _EMPTY_FLOOR_M)
    low = np.floor((points_mm[:, :2].min(0)) / 1000).clip(-_LARGEST_FLOOR_M, 0).astype(int)
    high = np.ceil((points_mm[:, :2].max(0)) / 1000).clip(0, _LARGEST_FLOOR_M).astype(int)
    return (int(low[0]), int(low[1])), (max(int(high[0]), int(low[0]) + 1), max(int(high[1]), int(low[1]) + 1))
