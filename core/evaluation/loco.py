"""The honest figure without labels: 3D people from all cameras but one predict what that one sees.

Letters in shapes: T time, V view, D detection, J joint, N observations. An observation is a joint that the 2D estimator
saw confidently in the camera that was left out. Its error holds the noise of that 2D joint as well, which is the same
for all methods, so that differences mean more than values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from core.association.assignment import assign_detections, size_px
from core.errors import CoreError
from core.geometry import project
from core.progress import Reporter, check
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import PANOPTIC15, convert

Fit = Callable[[str], Pose3DSequence]
"""3D people from all cameras but the named one."""

_MIN_SCORE = 0.3  # Joints below are guesses of the 2D estimator, no yardstick.
_MIN_JOINTS = 5
_REACH = 0.5  # Furthest mean distance of a matched person, as a share of their size in the image: generous.
_SKELETON = PANOPTIC15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """Confident 2D joints of all cameras in the frames that are measured, in the joints of PANOPTIC15.

    Only joints that the estimator itself names: derived ones would count shoulders and hips twice.

    Attributes:
        frames: (F,) frame numbers.
        xy_px: View to (F, D, J, 2), NaN where not confident.
        size_px: View to (F, D) size of the person in the image.
    """

    frames: np.ndarray
    xy_px: Mapping[str, F64]
    size_px: Mapping[str, F64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """Errors of one method.

    Attributes:
        error_px: View to (F, D, J), NaN where there is no observation or no prediction for it.
        observations: The yardstick.
    """

    error_px: Mapping[str, F64]
    observations: Observations


def observations(poses2d: Mapping[str, Pose2D], cameras: tuple[str, ...], frames: np.ndarray) -> Observations:
    """What the left-out cameras will be asked about.

    Args:
        poses2d: Camera name to detections of the whole take.
        cameras: Names.
        frames: (F,) numbers of the frames to measure on.
    """
    xy, size = {}, {}
    for name in cameras:
        pose = poses2d[name]
        own = np.array([joint in pose.skeleton.joints for joint in _SKELETON.joints])
        found, score = convert(
            np.asarray(pose.xy_px[frames], float), np.asarray(pose.score[frames], float), pose.skeleton, _SKELETON
        )
        sure = (score >= _MIN_SCORE) & own
        sure &= (sure.sum(-1) >= _MIN_JOINTS)[..., None]
        xy[name] = np.where(sure[..., None], found, np.nan)
        # The size of the whole detection, not of its confident part.
        size[name] = size_px(np.asarray(pose.xy_px[frames], float))
    return Observations(frames=frames, xy_px=xy, size_px=size)


def view_left_out(
    rig: CameraRig, seen: Observations, time_s: F64, fit: Fit, reporter: Reporter, text: str = "Leaving views out"
) -> LeftOut:
    """Errors of a method in every camera, each predicted by the others.

    A detection is matched with the predicted person nearest to it as a whole, one to one, so that a method cannot pick
    the best person joint by joint.

    Args:
        rig: All cameras.
        seen: From `observations`.
        time_s: (T,) frames of the take, to find the frames in what `fit` returns.
        fit: The method. Its result may cover the whole take or only the frames asked for.
        reporter: Told of progress; cancels between cameras.
        text: What to call the work.

    Raises:
        CoreError: Fewer than three cameras: leaving one out would leave no 3D.
    """
    if len(rig) < 3:
        raise CoreError("Leaving a view out needs at least three cameras.", "Add a camera to the rig.")
    errors = {}
    for v, camera in enumerate(rig):
        check(reporter)
        reporter.progress(v, len(rig), f"{text}: {camera.name}")
        errors[camera.name] = _errors(camera, seen, fit(camera.name), np.asarray(time_s)[seen.frames])
    reporter.progress(len(rig), len(rig), text)
    return LeftOut(error_px=errors, observations=seen)


def reprojection(rig: CameraRig, seen: Observations, sequence: Pose3DSequence, time_s: F64) -> LeftOut:
    """Errors of finished 3D people in the cameras that they were made of: how well they fit, not how right they are."""
    times = np.asarray(time_s)[seen.frames]
    return LeftOut(error_px={c.name: _errors(c, seen, sequence, times) for c in rig}, observations=seen)


def _errors(camera: Camera, seen: Observations, sequence: Pose3DSequence, times: F64) -> F64:
    """(F, D, J) px."""
    xyz, _ = convert(sequence.xyz_mm, sequence.score, sequence.skeleton, _SKELETON)
    predicted = project(camera, _at(xyz, sequence.time_s, times))
    found, size = seen.xy_px[camera.name], seen.size_px[camera.name]
    owner = assign_detections(predicted, found, _REACH * size)
    if not predicted.shape[1]:
        return np.full(found.shape[:-1], np.nan)
    mine = np.take_along_axis(predicted, np.maximum(owner, 0)[..., None, None], axis=1)
    error = np.linalg.norm(mine - found, axis=-1)
    return np.where((owner >= 0)[..., None], error, np.nan)


def _at(xyz: F64, have_s: F64, want_s: F64) -> F64:
    """The rows of xyz (T, ...) at the wanted frames (F,); NaN where a frame is not there."""
    if not len(have_s):
        return np.full((len(want_s), *xyz.shape[1:]), np.nan)
    nearest = np.clip(np.searchsorted(have_s, want_s), 0, len(have_s) - 1)
    nearest = np.where(
        (nearest > 0) & (np.abs(have_s[nearest - 1] - want_s) < np.abs(have_s[nearest] - want_s)), nearest - 1, nearest
    )
    there = np.abs(have_s[nearest] - want_s) < 1e-6
    return np.where(there.reshape(-1, *([1] * (xyz.ndim - 1))), xyz[nearest], np.nan)
