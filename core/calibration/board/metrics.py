"""Accuracy of a calibration on a recording: held-out errors in comparison with the effect of corner noise alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.bundle import BoardSolution, adjust_board
from core.calibration.board.adjustment.motion_prior import motion_prior, raised
from core.calibration.board.adjustment.state import N_UNKNOWNS, BoardImages, Cameras, nominal_noise_px
from core.calibration.board.adjustment.trajectory import interpolate, poses_at
from core.calibration.board.calibrate import BoardCalibration
from core.calibration.board.cross_validation import Prediction, predict
from core.calibration.board.initial.extrinsics import BoardPoses, board_poses
from core.calibration.board.initial.initialization import frame_period_s, initial_trajectory
from core.calibration.board.initial.intrinsics import Coverage, coverage
from core.errors import CoreError
from core.geometry.intrinsics import N_INTRINSICS, intrinsics_of
from core.types.arrays import F64, I64
from core.types.camera import CameraRig

INLIER_WEIGHT = 0.25
"""Smallest IRLS weight of an inlier, at 1.7 Cauchy scales."""
_MAX_MOTION_UPDATES, _MAX_STEPS, _TOLERANCE = 3, 15, 1e-4  # of trajectories with fixed cameras
_LEAST_DETERMINANT = (
    0.05  # of the normal matrix of a triangulated corner, 2 sin^2 of the angle between two rays (9 degrees)
)
_PLACEHOLDER_FOCAL = 1000.0  # of cameras that are not in the rig, px


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quality:
    """Accuracy of one rig on one recording of a board.

    Attributes:
        cameras: (V,) names of the cameras.
        loco_px: (V,) median leave-one-camera-out (LOCO) error of each camera, on held-out frames if there are any.
        expected_px: (V,) median LOCO error expected from corner noise alone.
        in_sample_px: (V,) median LOCO error of the rig on the frames of its fit. Held-out errors are those of rigs
            fitted to half of the recording, which may be too little.
        loco_mm: (V,) median LOCO error at the board.
        reprojection_px: (V,) root mean square reprojection error of inliers.
        length_mm: (M,) sides of squares between individually triangulated corners.
        shared: (V, V) number of frames in which both cameras saw the board.
        coverage: (V,) coverage of each camera's image.
        frame_px: (T,) median LOCO error of each frame; NaN without predictions.
        prediction: Errors of each point.
    """

    cameras: tuple[str, ...]
    loco_px: F64
    expected_px: F64
    in_sample_px: F64
    loco_mm: F64
    reprojection_px: F64
    length_mm: F64
    shared: I64
    coverage: tuple[Coverage, ...]
    frame_px: F64
    prediction: Prediction

    @property
    def overall_px(self) -> float:
        """Median LOCO error of all cameras together."""
        errors = self.prediction.of()
        return float(np.median(errors)) if len(errors) else np.nan

    def to_mapping(self) -> dict[str, Any]:
        """Convert to plain JSON values."""

        def plain(values: F64, digits: int = 3) -> list[float | None]:
            return [round(float(v), digits) if np.isfinite(v) else None for v in values]

        return {
            "loco_px": dict(zip(self.cameras, plain(self.loco_px), strict=True)),
            "loco_expected_px": dict(zip(self.cameras, plain(self.expected_px), strict=True)),
            "loco_mm": dict(zip(self.cameras, plain(self.loco_mm), strict=True)),
            "loco_median_px": plain(np.array([self.overall_px]))[0],
            "loco_rms_px": plain(np.array([_rms(self.prediction.of())]))[0],
            "reprojection_px": dict(zip(self.cameras, plain(self.reprojection_px), strict=True)),
            "square_mm": plain(np.array([np.median(self.length_mm) if len(self.length_mm) else np.nan]))[0],
            "shared_frames": self.shared.tolist(),
            "coverage": {
                name: {
                    "images": c.images,
                    "share": round(c.share, 3),
                    "tilt_deg": plain(np.percentile(c.tilt_deg, [5, 95]), 1) if len(c.tilt_deg) else None,
                    "cells": c.cells.tolist(),
                }
                for name, c in zip(self.cameras, self.coverage, strict=True)
            },
            "frame_px": plain(self.frame_px),
        }


def measure(calibration: BoardCalibration) -> Quality:
    """Return the accuracy of a calibration on its recording; LOCO errors are those of held-out time blocks."""
    return _measure(calibration.rig, calibration.seen, calibration.images, calibration.poses, calibration.prediction)


def measure_rig(rig: CameraRig, seen: BoardObservations) -> Quality:
    """Return the accuracy of any rig, such as an imported one, on a recording of a board.

    Raises:
        CoreError: The rig and the recording share fewer than two cameras.
    """
    posed = [n for n in seen.cameras if n in rig.names and rig[n].posed]
    if len(posed) < 2:
        raise CoreError("The rig and the recording share fewer than two cameras.", "Use the same camera names in both.")
    images = BoardImages.of(seen)
    images = images.where(np.isin(images.view, [seen.cameras.index(n) for n in posed]))
    poses = board_poses(images, [rig[n] if n in posed else None for n in seen.cameras])
    return _measure(rig, seen, images, poses, None)


def _measure(
    rig: CameraRig, seen: BoardObservations, images: BoardImages, poses: BoardPoses, held_out: Prediction | None
) -> Quality:
    cameras, period_s, noise_px = cameras_of(rig, seen), frame_period_s(seen), nominal_noise_px(seen.sizes_px)
    views = len(seen.cameras)
    fitted = fit_trajectory(images, poses, cameras, noise_px, period_s)

    def predicted(images: BoardImages) -> Prediction:
        everything = [(np.ones(len(images), bool), cameras)]
        return predict(images, poses, everything, period_s, noise_px, fitted.motion, fitted.sigma_px)

    # LOCO errors of exact cameras with the actual corner noise.
    rng = np.random.default_rng(0)
    exact = images.xy_px - np.nan_to_num(fitted.residual_px)
    noisy = dataclasses.replace(images, xy_px=exact + rng.normal(0, fitted.sigma_px, exact.shape))
    expected, in_sample = predicted(noisy), predicted(images)
    prediction = in_sample if held_out is None else held_out

    def medians(values: F64, group: I64, count: int) -> F64:
        parts = [values[(group == i) & np.isfinite(values)] for i in range(count)]
        return np.array([np.median(part) if len(part) else np.nan for part in parts])

    length = np.where(np.isfinite(fitted.residual_px[..., 0]), np.linalg.norm(fitted.residual_px, axis=-1), np.nan)
    inlier = np.where(fitted.weight > INLIER_WEIGHT, length, np.nan)
    tilt = np.degrees(np.arccos(np.clip(np.abs(poses.R[:, 0, 2, 2]), 0, 1)))
    return Quality(
        cameras=seen.cameras,
        loco_px=medians(prediction.error_px, prediction.view, views),
        expected_px=medians(expected.error_px, expected.view, views),
        in_sample_px=medians(in_sample.error_px, in_sample.view, views),
        loco_mm=medians(prediction.loco_mm, prediction.view, views),
        reprojection_px=np.array([_rms(inlier[images.view == v].ravel()) for v in range(views)]),
        length_mm=_sides(seen, images, cameras, fitted),
        shared=_shared(images, poses, views),
        coverage=tuple(
            coverage(seen, name, tilt[(images.view == v) & poses.known]) for v, name in enumerate(seen.cameras)
        ),
        frame_px=medians(prediction.error_px, prediction.frame, len(seen.time_s)),
        prediction=prediction,
    )


def quick_loco_px(rig: CameraRig, seen: BoardObservations) -> float:
    """Return only the median LOCO error of a rig on a recording; infinite without predictions."""
    cameras = [rig[n] if n in rig.names and rig[n].posed else None for n in seen.cameras]
    images = BoardImages.of(seen)
    images = images.where(np.array([c is not None for c in cameras])[images.view])
    poses = board_poses(images, cameras)
    state, period_s, noise_px = cameras_of(rig, seen), frame_period_s(seen), nominal_noise_px(seen.sizes_px)
    fitted = fit_trajectory(images, poses, state, noise_px, period_s)
    everything = [(np.ones(len(images), bool), state)]
    errors = predict(images, poses, everything, period_s, noise_px, fitted.motion, fitted.sigma_px).of()
    return float(np.median(errors)) if len(errors) else np.inf


def _shared(images: BoardImages, poses: BoardPoses, views: int) -> I64:
    """Return the number (V, V) of frames in which both cameras have a pose of the board."""
    shown = np.zeros((views, int(images.frame.max(initial=0)) + 1), np.int64)
    shown[images.view[poses.known], images.frame[poses.known]] = 1
    return np.asarray(shown @ shown.T)


def _rms(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else np.nan


def cameras_of(rig: CameraRig, seen: BoardObservations) -> Cameras:
    """Convert a rig to parameters in the order of the observations; unposed cameras are at the origin."""
    known = [rig[n] if n in rig.names else None for n in seen.cameras]
    views = len(known)
    intrinsics = np.zeros((views, N_INTRINSICS))
    intrinsics[:, :2] = _PLACEHOLDER_FOCAL
    R, t, time_offset = np.tile(np.eye(3), (views, 1, 1)), np.zeros((views, 3)), np.zeros(views)
    for v, camera in enumerate(known):
        if camera is not None:
            intrinsics[v], time_offset[v] = intrinsics_of(camera), camera.time_offset_s
            if camera.posed:
                R[v], t[v] = camera.pose
    models = tuple("pinhole" if c is None else c.distortion_model for c in known)
    return Cameras(distortion_model=models, intrinsics=intrinsics, R=R, t_mm=t, time_offset_s=time_offset)


def fit_trajectory(
    images: BoardImages, poses: BoardPoses, cameras: Cameras, noise_px: float, period_s: float
) -> BoardSolution:
    """Estimate the board's trajectory with fixed cameras."""
    trajectory = initial_trajectory(period_s, images, poses, cameras)
    fixed = np.zeros((len(cameras), N_UNKNOWNS), bool)
    motion = motion_prior(period_s)
    for _ in range(_MAX_MOTION_UPDATES):
        solution = adjust_board(
            images,
            cameras,
            trajectory,
            fixed,
            noise_px=noise_px,
            motion=motion,
            max_steps=_MAX_STEPS,
            tolerance=_TOLERANCE,
        )
        trajectory = solution.trajectory
        wider = raised(motion, period_s, trajectory)
        if wider is None:
            break
        motion = wider
    return solution


def _sides(seen: BoardObservations, images: BoardImages, cameras: Cameras, fitted: BoardSolution) -> F64:
    """Return the sides (M,) of squares between individually triangulated corners in mm.

    Images taken at other times are first corrected by the motion of the board.
    """
    columns, rows = seen.board.grid
    if seen.board.is_grid or columns < 2:
        return np.zeros(0)
    frames, count = len(seen.time_s), len(seen.board.points_mm)
    normal, right = np.zeros((frames, count, 3, 3)), np.zeros((frames, count, 3))
    views = np.zeros((frames, count), np.int64)
    common_s = np.nanmedian(seen.time_s, axis=1)
    path = fitted.trajectory
    at_frame = poses_at(path, interpolate(path.time_s, path.segment, common_s[images.frame]), derivatives=False)
    true_s = images.time_s - cameras.time_offset_s[images.view]
    at_image = poses_at(path, interpolate(path.time_s, path.segment, true_s), derivatives=False)
    R_camera, t_camera = cameras.R[images.view], cameras.t_mm[images.view]
    world = images.board_mm @ np.swapaxes(at_image.R, -1, -2) + at_image.t_mm[:, None]
    local = world @ np.swapaxes(R_camera, -1, -2) + t_camera[:, None]
    focal = cameras.intrinsics[images.view, :2][:, None]
    local[..., :2] += np.nan_to_num(fitted.residual_px) / focal * local[..., 2:]
    observed = (local - t_camera[:, None]) @ R_camera
    centre = -(np.swapaxes(R_camera, -1, -2) @ t_camera[..., None])[..., 0]
    # Rays are moved with the board from the time of the image to that of the frame.
    rotation = at_frame.R @ np.swapaxes(at_image.R, -1, -2)

    def moved(points: F64) -> F64:
        return (points - at_image.t_mm[:, None]) @ np.swapaxes(rotation, -1, -2) + at_frame.t_mm[:, None]

    start, end = moved(np.repeat(centre[:, None], observed.shape[1], 1)), moved(observed)
    ray = end - start
    ray /= np.maximum(np.linalg.norm(ray, axis=-1, keepdims=True), 1e-9)
    across = np.eye(3) - ray[..., :, None] * ray[..., None, :]
    usable = images.valid & np.isfinite(fitted.residual_px[..., 0]) & (fitted.weight > INLIER_WEIGHT)
    p, i = np.nonzero(usable)
    corner = (images.frame[p], seen.point[images.row[p, i]])
    np.add.at(normal, corner, across[p, i])
    np.add.at(right, corner, (across[p, i] @ start[p, i][..., None])[..., 0])
    np.add.at(views, corner, 1)
    side = seen.board.points_per_side
    good = (views[:, :side] >= 2) & (np.linalg.det(normal[:, :side]) > _LEAST_DETERMINANT)
    safe = np.where(good[..., None, None], normal[:, :side], np.eye(3))
    xyz = np.where(good[..., None], np.linalg.solve(safe, right[:, :side, :, None])[..., 0], np.nan)
    grid = xyz.reshape(frames, rows, columns, 3)
    lengths = np.concatenate([np.linalg.norm(np.diff(grid, axis=axis), axis=-1).ravel() for axis in (1, 2)])
    return np.asarray(lengths[np.isfinite(lengths)])
