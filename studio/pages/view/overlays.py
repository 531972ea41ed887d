"""Overlays of the videos: people, floor, capture volume and 2D detections, without widgets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.geometry import project
from core.geometry.overlay import floor_grid_px, volume_px
from core.rendering.skeleton_geometry import skeleton_geometry
from core.session import Take
from core.types import CameraRig, CaptureVolume, Pose2D
from core.types.arrays import F64
from studio.viewport.layers.skeletons import marked_colours
from studio.viewport.layers.spec import ViewOptions
from studio.viewport.palette import Palette
from studio.viewport.scene_data import SceneData, nearest_frame
from studio.widgets.images.pane_overlay import ProjectedSkeleton

_MIN_SCORE = 0.15


def skeletons_px(
    data: SceneData, camera: str, time_s: float, options: ViewOptions, palette: Palette
) -> tuple[ProjectedSkeleton, ...]:
    """Project both results into a camera with the colours of the 3D view, ghosts first so that they are below."""
    if data.rig is None:
        return ()
    skeletons: list[ProjectedSkeleton] = []
    for poses, ghost in ((data.ghost, True), (data.poses, False)):
        index = nearest_frame(poses, time_s) if poses is not None else None
        if poses is None or index is None:
            continue
        geometry, columns = skeleton_geometry(poses.skeleton), poses.people_at(index)
        points, score = geometry.points(poses.xyz_mm[index, columns], poses.score[index, columns])
        pixels = project(data.rig[camera], points)
        joints, bones = (None, None) if ghost else marked_colours(poses.skeleton, score, options, palette)
        skeletons += [
            ProjectedSkeleton(
                xy_px=pixels[row],
                score=score[row],
                bones=geometry.bones,
                size=geometry.size,
                person=None if ghost else int(person),
                joint_colour=None if joints is None else joints[row],
                bone_colour=None if bones is None else bones[row],
            )
            for row, person in enumerate(columns)
        ]
    return tuple(skeletons)


class VolumeLines:
    """Floor and capture volume in the images, projected once per camera.

    Args:
        rig: Cameras, or None.
        volume: Capture volume, or None.
    """

    def __init__(self, rig: CameraRig | None, volume: CaptureVolume | None) -> None:
        self._rig, self._volume = rig, volume
        self._floor: dict[str, tuple[F64, ...]] = {}
        self._box: dict[str, tuple[F64, ...]] = {}

    def floor(self, camera: str) -> tuple[F64, ...]:
        """Return polylines (n, 2) of the floor grid; empty without cameras or volume."""
        if self._rig is None or self._volume is None:
            return ()
        if camera not in self._floor:
            self._floor[camera] = tuple(floor_grid_px(self._rig[camera], self._volume))
        return self._floor[camera]

    def box(self, camera: str) -> tuple[F64, ...]:
        """Return polylines (n, 2) of the edges of the volume; empty without cameras or volume."""
        if self._rig is None or self._volume is None:
            return ()
        if camera not in self._box:
            self._box[camera] = tuple(volume_px(self._rig[camera], self._volume))
        return self._box[camera]


class DetectionReader:
    """Reader of the 2D poses of a take on demand."""

    def __init__(self) -> None:
        self._estimator = ""
        self._poses: dict[str, Pose2D] | None = None

    def select(self, estimator: str) -> None:
        """Select an estimator; if the take has no poses of it, the first available one is used."""
        if estimator != self._estimator:
            self._estimator, self._poses = estimator, None

    def reading(self, take: Take, rig: CameraRig | None) -> Callable[[], None] | None:
        """Return a function that reads the 2D poses in a thread; None if they are already known.

        The function raises CoreError once if they are damaged.
        """
        if self._poses is not None:
            return None
        self._poses, estimator = {}, self._estimator

        def read() -> None:
            if known := take.estimators():
                poses = take.poses2d(estimator if estimator in known else known[0], rig)
                if estimator == self._estimator:
                    self._poses = poses

        return read

    def at(self, camera: str, frame: int) -> F64 | None:
        """Return the confident joints (n, 2) in an image in px; None without 2D poses."""
        poses = (self._poses or {}).get(camera)
        if poses is None or frame >= poses.n_frames:
            return None
        return np.asarray(poses.xy_px[frame][poses.score[frame] >= _MIN_SCORE], float)
