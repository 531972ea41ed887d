"""2D poses of running cameras, estimated on small images and interpolated to a common time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from core.geometry.resize import at_size
from core.live.config import check_names
from core.pose2d.cards import model_card
from core.pose2d.config import Pose2DConfig
from core.pose2d.download import DownloadPolicy, model_files
from core.pose2d.estimator import ESTIMATORS, Detections, Estimator
from core.pose2d.quarter_turns import TurnedEstimator
from core.progress import NullReporter
from core.session.align import people_between
from core.types.arrays import U8
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton

STALE_S = 0.5
"""Lag of a camera's newest image behind the newest of all from which the others continue without it."""
_SAME_S = 0.003  # tolerance within which images are used without interpolation
_UPRIGHT = 0.5  # smallest length of the unit vertical in the image plane that defines "up" in an image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveImage:
    """Image of a running camera.

    Attributes:
        camera: Camera name.
        image: (H, W, 3) uint8 RGB, scaled down.
        size_px: Width and height of the camera's full image.
        time_ns: Recorded time on the shared clock.
    """

    camera: str
    image: U8
    size_px: tuple[int, int]
    time_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class TimedPoses:
    """Detections in one image with its times.

    Attributes:
        exposed_ns: Time of exposure: recorded time minus the camera's time offset.
        recorded_ns: Recorded time.
        poses: Detections of one frame in pixels of the full image.
    """

    exposed_ns: int
    recorded_ns: int
    poses: Pose2D


class LiveEstimator:
    """2D pose estimator for several cameras, one image per thread.

    On a CPU, one core per view is faster than all cores on one view after the other.

    Args:
        rig: Posed cameras, with intrinsics for the size of their images.
        config: Settings of the estimator.
        pool: Thread pool.
    """

    def __init__(self, rig: CameraRig, config: Pose2DConfig, pool: ThreadPoolExecutor) -> None:
        card = model_card(config.estimator)
        files = model_files(card, "", DownloadPolicy(), NullReporter())
        upright: Estimator = ESTIMATORS.get(card.runner)(card.name, files, config, threads=1)
        self.skeleton: Skeleton = upright.skeleton
        self._rig, self._pool = rig, pool
        turns = {camera.name: clockwise_deg(camera) for camera in rig}
        self._estimators = {
            name: TurnedEstimator(upright, degrees) if degrees else upright for name, degrees in turns.items()
        }

    def estimate(self, images: Sequence[LiveImage]) -> list[tuple[str, TimedPoses]]:
        """Return the camera and the detections of each image."""
        return list(self._pool.map(self._estimate, images))

    def _estimate(self, live: LiveImage) -> tuple[str, TimedPoses]:
        camera = self._rig[live.camera]
        (people,) = self._estimators[live.camera].estimate([live.image])
        poses = _in_full_pixels(live, people, self.skeleton)
        exposed_ns = live.time_ns - round(camera.time_offset_s * 1e9)
        return live.camera, TimedPoses(exposed_ns, live.time_ns, poses)


def _in_full_pixels(live: LiveImage, people: Detections, joints: Skeleton) -> Pose2D:
    """Return detections in pixels of the full image."""
    height, width = live.image.shape[:2]
    scale = np.array([live.size_px[0] / width, live.size_px[1] / height])
    xy_px = (people.xy_px + 0.5) * scale - 0.5
    box_px = (people.box_px + 0.5) * np.tile(scale, 2) - 0.5
    return Pose2D(
        camera=live.camera,
        skeleton=joints,
        xy_px=xy_px[None].astype(np.float32),
        score=people.score[None],
        box_px=box_px[None].astype(np.float32),
    )


def clockwise_deg(camera: Camera) -> int:
    """Return the clockwise rotation (0, 90, 180 or 270 degrees) that turns an image upright.

    The images of a camera that looks straight down are not rotated.
    """
    x, y = -camera.pose[0][:2, 2]  # the world's downward direction in the image
    if np.hypot(x, y) < _UPRIGHT:
        return 0
    return int(round(np.degrees(np.arctan2(x, y)) / 90) % 4 * 90)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommonPoses:
    """Detections of all cameras at a common time.

    Attributes:
        time_ns: Time of exposure.
        newest_ns: Recorded time of the newest image.
        cameras: Cameras with an image at that time.
        poses2d: Detections by camera; none in cameras without image.
    """

    time_ns: int
    newest_ns: int
    cameras: tuple[str, ...]
    poses2d: dict[str, Pose2D]


@dataclass(slots=True, eq=False)
class CommonTime:
    """Interpolation of the latest 2D poses of all cameras to a common time, between two images of each.

    Attributes:
        rig: Posed cameras.
        skeleton: Skeleton of the detections.
    """

    rig: CameraRig
    skeleton: Skeleton
    _latest: dict[str, tuple[TimedPoses, ...]] = field(default_factory=dict)
    _emitted_ns: int = 0

    def add(self, camera: str, found: TimedPoses) -> None:
        """Add the poses of a camera's next image."""
        before = self._latest.get(camera, ())
        if not before or found.exposed_ns > before[-1].exposed_ns:
            self._latest[camera] = (*before[-1:], found)

    def next(self) -> CommonPoses | None:
        """Return the detections at the latest time that all cameras have reached; None if that time has not advanced.

        Cameras that lag too far behind are ignored.
        """
        if not self._latest:
            return None
        newest_ns = max(pair[-1].exposed_ns for pair in self._latest.values())
        fresh = {n: p for n, p in self._latest.items() if newest_ns - p[-1].exposed_ns <= STALE_S * 1e9}
        time_ns = min(pair[-1].exposed_ns for pair in fresh.values())
        if time_ns <= self._emitted_ns:
            return None
        self._emitted_ns = time_ns
        poses = {
            name: _at(fresh[name], time_ns) if name in fresh else _no_detections(name, self.skeleton)
            for name in self.rig.names
        }
        return CommonPoses(
            time_ns=time_ns,
            newest_ns=max(pair[-1].recorded_ns for pair in fresh.values()),
            cameras=tuple(name for name in self.rig.names if name in fresh),
            poses2d=poses,
        )


def _at(pair: tuple[TimedPoses, ...], time_ns: int) -> Pose2D:
    """Return the poses of a camera at a time up to its last image."""
    last = pair[-1]
    if len(pair) < 2 or last.exposed_ns - time_ns <= _SAME_S * 1e9:
        return last.poses
    first = pair[0]
    if time_ns - first.exposed_ns <= _SAME_S * 1e9:
        return first.poses
    fraction = (time_ns - first.exposed_ns) / (last.exposed_ns - first.exposed_ns)
    xy_px, score, box_px = people_between(_concatenate(first.poses, last.poses), 0, 1, fraction)
    return Pose2D(
        camera=last.poses.camera,
        skeleton=last.poses.skeleton,
        xy_px=xy_px[None],
        score=score[None],
        box_px=box_px[None],
    )


def _concatenate(a: Pose2D, b: Pose2D) -> Pose2D:
    """Concatenate the poses of two images to a sequence of two frames."""
    columns = max(a.xy_px.shape[1], b.xy_px.shape[1])

    def padded(name: str, fill: float) -> np.ndarray:
        values = [getattr(pose, name) for pose in (a, b)]
        out = np.full((2, columns, *values[0].shape[2:]), fill, np.float32)
        for row, value in zip(out, values, strict=True):
            row[: value.shape[1]] = value[0]
        return out

    return Pose2D(
        camera=a.camera,
        skeleton=a.skeleton,
        xy_px=padded("xy_px", np.nan),
        score=padded("score", 0.0),
        box_px=padded("box_px", np.nan),
    )


def _no_detections(camera: str, joints: Skeleton) -> Pose2D:
    """Return a frame without detections."""
    return Pose2D(
        camera=camera,
        skeleton=joints,
        xy_px=np.zeros((1, 0, len(joints), 2), np.float32),
        score=np.zeros((1, 0, len(joints)), np.float32),
        box_px=np.zeros((1, 0, 4), np.float32),
    )


def live_rig(rig: CameraRig, sizes_px: Mapping[str, tuple[int, int]]) -> CameraRig:
    """Return the calibrated ones of the running cameras, with intrinsics for the size of their images.

    Args:
        rig: Posed cameras.
        sizes_px: Width and height of the images by running camera.

    Raises:
        CoreError: Fewer than two running cameras are calibrated, or the aspect ratio of a camera's images differs from
            the calibration.
    """
    check_names(rig.names, tuple(sizes_px))
    return CameraRig(cameras=tuple(at_size(rig[name], sizes_px[name]) for name in rig.names if name in sizes_px))
