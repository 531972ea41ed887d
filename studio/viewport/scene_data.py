"""Contents of a 3D view, computed once per take or rig: results, cameras, image planes, extent of the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.body.sequence import BodyMotion
from core.geometry.accuracy import AccuracyMap
from core.rendering.orbit import clear_azimuth_deg
from core.rendering.skeleton_geometry import person_centres_mm
from core.types import BodySequence, CameraRig, CaptureVolume, Pose3DSequence, SyntheticRange
from core.types.arrays import F64, I64
from core.types.rate import nearest_samples
from studio.once import once_each
from studio.viewport.primitives import box_corners
from studio.viewport.reliability import CameraReliability, reprojection_reliability

_EMPTY_FLOOR_M = 3
_MAX_FLOOR_M = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardTrack:
    """Calibration board through its recording.

    Attributes:
        points_mm: (T, N, 3) board points; NaN where unknown.
        centre_mm: (T, 3) centre of the board; NaN where unknown.
    """

    points_mm: F64
    centre_mm: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneData:
    """Take or rig, ready for the layer builders.

    Attributes:
        rig: Cameras, or None.
        poses: Selected 3D result, or None.
        ghost: Second result for comparison, or None.
        bodies: Bodies fitted to the selected result, or None.
        volume: Capture volume, or None.
        synthetic: Range of synthetic people within the volume.
        accuracy: Localization accuracy over the floor, or None.
        board: Calibration board, or None.
        cameras: (V,) names of the posed cameras.
        camera_centre_mm: (V, 3) camera centres.
        reliability: Errors of the cameras.
        camera_level: (V,) reliability level: 0 good, 1 fair, 2 poor, -1 unknown.
        image_corner_mm: (V, 4, 3) corners of the image planes: top left, top right, bottom right, bottom left.
        person_centre_mm: (T, P, 3) centre of each person, as by `person_centres_mm`.
        floor_low_m: Lowest x and y of the floor, whole metres.
        floor_high_m: Highest x and y of the floor, whole metres.
        extent_mm: (N, 3) points that "Frame all" brings into view.
        people_mm: (N, 3) corners of a box around the people; N is 0 without any.
        middle_mm: (3,) middle of the people, or of what the cameras look at.
        azimuth_deg: Viewing direction without a camera between the viewer and the people.
    """

    rig: CameraRig | None
    poses: Pose3DSequence | None
    ghost: Pose3DSequence | None
    bodies: BodyMotion | None
    volume: CaptureVolume | None
    synthetic: SyntheticRange
    accuracy: AccuracyMap | None
    board: BoardTrack | None
    cameras: tuple[str, ...]
    camera_centre_mm: F64
    reliability: CameraReliability
    camera_level: I64
    image_corner_mm: F64
    person_centre_mm: F64
    floor_low_m: tuple[int, int]
    floor_high_m: tuple[int, int]
    extent_mm: F64
    people_mm: F64
    middle_mm: F64
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
        board: BoardTrack | None = None,
        bodies: BodyMotion | None = None,
    ) -> SceneData:
        """Build scene data. Everything is optional; cameras without a pose are omitted.

        Args:
            rig: Cameras.
            poses: Selected 3D result.
            ghost: Second result for comparison.
            volume: Capture volume.
            synthetic: Range of synthetic people within the volume.
            accuracy: Localization accuracy over the floor.
            reliability: Errors of the cameras; by default the reprojection errors stored with the rig.
            board: Calibration board.
            bodies: Bodies fitted to the selected result.
        """
        if reliability is None:
            reliability = reprojection_reliability(rig) if rig is not None else CameraReliability()
        posed = [c for c in rig if c.posed] if rig else []
        centre = np.array([c.centre_mm for c in posed]).reshape(-1, 3)
        shown = poses if poses is not None else ghost
        people = np.zeros((0, 3)) if shown is None else people_corners_mm(shown)
        depth = _plane_depth(centre, people)
        corner = np.array([_image_plane(c.K, c.size_px, *c.pose, depth) for c in posed]).reshape(-1, 4, 3)
        floor_low_m, floor_high_m = _floor_extent_m(np.concatenate([centre, people]))
        return cls(
            rig=rig,
            poses=poses,
            ghost=ghost,
            bodies=bodies,
            volume=volume,
            synthetic=synthetic or SyntheticRange(),
            accuracy=accuracy,
            board=board,
            cameras=tuple(c.name for c in posed),
            camera_centre_mm=centre,
            reliability=reliability,
            camera_level=np.array([reliability.level.get(c.name, -1) for c in posed], np.int64),
            image_corner_mm=corner,
            person_centre_mm=np.zeros((0, 0, 3)) if poses is None else centres_mm(poses),
            floor_low_m=floor_low_m,
            floor_high_m=floor_high_m,
            extent_mm=np.concatenate([centre, corner.reshape(-1, 3), people]),
            people_mm=people,
            middle_mm=people.mean(0) if len(people) else corner.reshape(-1, 3).mean(0) if posed else np.zeros(3),
            azimuth_deg=clear_azimuth_deg(centre, people),
        )


def nearest_frame(sequence: Pose3DSequence | BodySequence, time_s: float) -> int | None:
    """Return the index of the frame nearest to a time, or None if it is more than a frame period away."""
    index = int(nearest_frames(sequence, np.array([time_s]))[0])
    return index if index >= 0 else None


def nearest_frames(sequence: Pose3DSequence | BodySequence, time_s: F64) -> I64:
    """Return the index of the frame nearest to each time (T,); -1 where it is more than a frame period away."""
    return nearest_samples(sequence.time_s, time_s, _fps(sequence))


@once_each
def _fps(sequence: Pose3DSequence | BodySequence) -> float:
    return sequence.fps


centres_mm = once_each(person_centres_mm)


@once_each
def people_corners_mm(poses: Pose3DSequence) -> F64:
    """Return the corners (8, 3) of a box around the people, or (0, 3). Percentiles: a stray joint must not widen it."""
    points = poses.xyz_mm.reshape(-1, 3)
    points = points[np.isfinite(points).all(-1)]
    if not len(points):
        return np.zeros((0, 3))
    low, high = np.percentile(points, (1, 99), axis=0)
    low[2] = min(low[2], 0.0)
    return box_corners(low, high)


def _plane_depth(centre_mm: F64, people_mm: F64) -> float:
    """Return the distance from camera to image plane: a fifth of the distance to the people, at most 3 m."""
    if len(centre_mm) < 2:
        return 600.0
    centre = (people_mm if len(people_mm) else centre_mm)[:, :2].mean(0)
    distance = float(np.median(np.linalg.norm(centre_mm[:, :2] - centre, axis=-1)))
    return float(np.clip(0.2 * distance, 20.0, 3000.0))


def _image_plane(K: F64, size_px: tuple[int, int], R: F64, t_mm: F64, depth_mm: float) -> F64:
    """Return the corners (4, 3) of the image at a depth. Distortion is ignored: the plane is drawn flat."""
    width, height = size_px
    pixels = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    camera_mm = np.concatenate([(pixels - K[:2, 2]) @ np.linalg.inv(K[:2, :2]).T, np.ones((4, 1))], -1) * depth_mm
    return np.asarray((camera_mm - t_mm) @ R)


def _floor_extent_m(points_mm: F64) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return whole metres around all points; a small square around the origin if there are none."""
    if not len(points_mm):
        return (-_EMPTY_FLOOR_M, -_EMPTY_FLOOR_M), (_EMPTY_FLOOR_M, _EMPTY_FLOOR_M)
    low = np.floor((points_mm[:, :2].min(0)) / 1000).clip(-_MAX_FLOOR_M, 0).astype(int)
    high = np.ceil((points_mm[:, :2].max(0)) / 1000).clip(0, _MAX_FLOOR_M).astype(int)
    return (int(low[0]), int(low[1])), (max(int(high[0]), int(low[0]) + 1), max(int(high[1]), int(low[1]) + 1))
