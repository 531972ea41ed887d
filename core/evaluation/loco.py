"""Leave-one-camera-out (LOCO) error: 3D people from all cameras but one, compared with the detections in that one.

This is leave-one-group-out cross-validation with cameras as groups, and needs no labels. An observation is a joint that
the 2D estimator detected with confidence. Its noise contributes equally to the errors of all methods, so differences
between methods are more meaningful than absolute values.

Letters in shapes: T time, V view, F measured frame, D detection, P person, J joint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.association.assignment import assign_detections, size_px
from core.errors import CoreError
from core.geometry import project
from core.progress import Reporter, check
from core.types.arrays import F32, F64
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D, StoredPose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import DERIVED_JOINTS, Skeleton, convert, skeleton

FitWithout = Callable[[str], Pose3DSequence]
"""Function that reconstructs 3D people from all cameras except the named one."""
Variant = Callable[[Pose3DSequence], Pose3DSequence]
"""Function that modifies the result of a method, such as a smoother."""
_TIME_TOLERANCE_S = 1e-6
_BLOCK_FRAMES = 2000  # Limits the memory for a long take.


@dataclass(frozen=True, slots=True, kw_only=True)
class LocoConfig:
    """Settings of the LOCO error.

    Attributes:
        skeleton: Name of the joint set for all methods. If empty, that of the 2D estimator.
        min_score: Lowest score of a joint that counts as an observation.
        min_joints: Smallest number of observations of a person.
        gate: Largest mean distance between a detection and its person, relative to the person's size in the image.
    """

    skeleton: str = ""
    min_score: float = 0.3
    min_joints: int = 5
    gate: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewObservations:
    """Confident 2D joints of all cameras in the measured frames.

    Derived joints are excluded, because they would count shoulders and hips twice.

    Attributes:
        skeleton: Joint set.
        gate: Relative gate of the assignment to people.
        frames: (F,) frame indices.
        xy_px: View to (F, D, J, 2) pixels, NaN where not confident.
        size_px: View to (F, D) size of the person in the image in px.
    """

    skeleton: Skeleton
    gate: float
    frames: np.ndarray
    xy_px: Mapping[str, F32]
    size_px: Mapping[str, F32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewErrors:
    """Errors of one method in every view.

    Attributes:
        error_px: View to (F, D, J) distance in px from the observation, NaN without an observation or a prediction.
        observations: The observations.
        time_s: (F,) times of the measured frames.
        joints: (J,) bool, observed joints in the joint set of the method. The others do not count as missed; see
            `core.evaluation.compare.shared_joints`.
    """

    error_px: Mapping[str, F32]
    observations: ViewObservations
    time_s: F64
    joints: np.ndarray


def derivable_joints(source: Skeleton, target: Skeleton) -> np.ndarray:
    """Return the mask (J,) of the joints of `target` that `source` contains or that can be derived from it."""
    return np.array([source.has(j) or source.has(*DERIVED_JOINTS.get(j, (j,))) for j in target.joints], bool)


def collect_observations(
    poses2d: Mapping[str, Pose2D | StoredPose2D],
    cameras: tuple[str, ...],
    frames: np.ndarray,
    config: LocoConfig | None = None,
) -> ViewObservations:
    """Collect the confident joints of all cameras.

    Args:
        poses2d: Detections of the whole take by camera name.
        cameras: Camera names.
        frames: (F,) indices of the frames to measure.
        config: Joint set and thresholds.
    """
    config = config or LocoConfig()
    target = skeleton(config.skeleton) if config.skeleton else poses2d[cameras[0]].skeleton
    xy, size = {}, {}
    for name in cameras:
        blocks = [_observed(poses2d[name].select(frames[rows]), target, config) for rows in _blocks(len(frames))]
        xy[name], size[name] = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return ViewObservations(skeleton=target, gate=config.gate, frames=frames, xy_px=xy, size_px=size)


def _blocks(n_frames: int) -> Iterator[slice]:
    """Yield at least one block of frames."""
    for start in range(0, max(n_frames, 1), _BLOCK_FRAMES):
        yield slice(start, min(start + _BLOCK_FRAMES, n_frames))


def _observed(pose: Pose2D, target: Skeleton, config: LocoConfig) -> tuple[F32, F32]:
    """Return the confident joints (F, D, J, 2) of one camera, and the sizes (F, D) of the people."""
    detected_itself = np.zeros(len(target), bool)
    detected_itself[list(target.shared_joints(pose.skeleton))] = True
    detected, score = convert(np.asarray(pose.xy_px, float), np.asarray(pose.score, float), pose.skeleton, target)
    confident = (score >= config.min_score) & detected_itself
    confident &= (confident.sum(-1) >= config.min_joints)[..., None]
    # Size of all detected joints, not only of the confident ones.
    size = size_px(np.asarray(pose.xy_px, float))
    return np.where(confident[..., None], detected, np.nan).astype(np.float32), size.astype(np.float32)


def loco_errors(
    rig: CameraRig,
    observations: ViewObservations,
    time_s: F64,
    fit: FitWithout,
    reporter: Reporter,
    text: str = "Leaving one camera out",
) -> ViewErrors:
    """Compute the errors of a method in every camera, each predicted from the others.

    Detections are assigned one to one to predicted people by mean joint distance, so that a method cannot pick the best
    person per joint.

    Args:
        rig: All cameras.
        observations: Observations from `collect_observations`.
        time_s: (T,) times of the take.
        fit: The method. Its result may cover the entire take or only the measured frames.
        reporter: Receives progress; cancels between cameras.
        text: Name of the step for the progress bar.

    Raises:
        CoreError: The rig has fewer than three cameras.
    """
    return loco_errors_of_variants(rig, observations, time_s, fit, [lambda sequence: sequence], reporter, text)[0]


def loco_errors_of_variants(
    rig: CameraRig,
    observations: ViewObservations,
    time_s: F64,
    fit: FitWithout,
    variants: Sequence[Variant],
    reporter: Reporter,
    text: str,
) -> list[ViewErrors]:
    """Compute the errors of variants of a method, which is fitted once per camera; see `loco_errors`."""
    if len(rig) < 3:
        raise CoreError("Leave-one-camera-out needs at least three cameras.", "Add a camera to the rig.")
    times = np.asarray(time_s)[observations.frames]
    errors: list[dict[str, F32]] = [{} for _ in variants]
    joints = np.ones((len(variants), len(observations.skeleton)), bool)
    for v, camera in enumerate(rig):
        check(reporter)
        reporter.progress(v, len(rig), f"{text}: {camera.name}")
        fitted = fit(camera.name)
        for n, variant in enumerate(variants):
            sequence = variant(fitted)
            joints[n] &= derivable_joints(sequence.skeleton, observations.skeleton)
            errors[n][camera.name] = _errors(camera, observations, sequence, times)
    reporter.progress(len(rig), len(rig), text)
    return [
        ViewErrors(error_px=of_variant, observations=observations, time_s=times, joints=joints[n])
        for n, of_variant in enumerate(errors)
    ]


def reprojection_errors(
    rig: CameraRig, observations: ViewObservations, sequence: Pose3DSequence, time_s: F64
) -> ViewErrors:
    """Compute the errors of 3D people in the cameras used to reconstruct them: goodness of fit, not accuracy."""
    times = np.asarray(time_s)[observations.frames]
    errors = {c.name: _errors(c, observations, sequence, times) for c in rig}
    joints = derivable_joints(sequence.skeleton, observations.skeleton)
    return ViewErrors(error_px=errors, observations=observations, time_s=times, joints=joints)


def _errors(camera: Camera, observations: ViewObservations, sequence: Pose3DSequence, times: F64) -> F32:
    """Return the errors (F, D, J) in px of one view."""
    xy_px, size_px = observations.xy_px[camera.name], observations.size_px[camera.name]
    errors = np.full(xy_px.shape[:-1], np.nan, np.float32)
    for rows in _blocks(len(times)):
        xyz = rows_at_times(sequence.xyz_mm, sequence.time_s, times[rows])
        score = np.nan_to_num(rows_at_times(sequence.score, sequence.time_s, times[rows]))
        xyz, _ = convert(xyz, score, sequence.skeleton, observations.skeleton)
        detected, size = xy_px[rows].astype(np.float64), size_px[rows].astype(np.float64)
        errors[rows] = _block_errors(project(camera, xyz), detected, observations.gate * size)
    return errors


def _block_errors(projected: F64, detected: F64, gate_px: F64) -> F64:
    """Return the errors (F, D, J) in px between detections and the people (F, P, J, 2) assigned to them."""
    person = assign_detections(projected, detected, gate_px)
    if not projected.shape[1]:
        return np.full(detected.shape[:-1], np.nan)
    assigned = np.take_along_axis(projected, np.maximum(person, 0)[..., None, None], axis=1)
    error = np.linalg.norm(assigned - detected, axis=-1)
    return np.where((person >= 0)[..., None], error, np.nan)


def rows_at_times(xyz: F64, time_s: F64, wanted_s: F64) -> F64:
    """Return the rows of xyz (T, ...) at the wanted times (F,), NaN where there is no frame at that time.

    Args:
        xyz: (T, ...) values.
        time_s: (T,) times of the values, increasing.
        wanted_s: (F,) times.
    """
    if not len(time_s):
        return np.full((len(wanted_s), *xyz.shape[1:]), np.nan)
    nearest = np.clip(np.searchsorted(time_s, wanted_s), 0, len(time_s) - 1)
    before = (nearest > 0) & (np.abs(time_s[nearest - 1] - wanted_s) < np.abs(time_s[nearest] - wanted_s))
    nearest = np.where(before, nearest - 1, nearest)
    exists = np.abs(time_s[nearest] - wanted_s) < _TIME_TOLERANCE_S
    return np.where(exists.reshape(-1, *([1] * (xyz.ndim - 1))), xyz[nearest], np.nan)
