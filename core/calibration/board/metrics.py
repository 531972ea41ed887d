"""Figures of a calibration: what it predicts that it was not fitted to, beside what corner noise alone would cause."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.bundle import N_UNKNOWNS, USUAL_PX, Cameras, Images, Solution, accelerations, hand, solve
from core.calibration.board.calibrate import BoardCalibration
from core.calibration.board.cross_validation import Prediction, predict
from core.calibration.board.extrinsics import BoardPoses, board_poses
from core.calibration.board.initialization import initial_trajectory, numbers_of, period_of
from core.calibration.board.intrinsics import Coverage, coverage
from core.calibration.board.trajectory import Trajectory, blend, poses_at
from core.errors import CoreError
from core.types.arrays import F64, I64
from core.types.camera import CameraRig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quality:
    """Figures of one rig on one recording of a board.

    Attributes:
        cameras: (V,) names.
        loco_px: (V,) median error with which the other cameras predict the board in this one.
        expected_px: (V,) the same from corner noise alone.
        as_delivered_px: (V,) the same with the rig as it is, which has seen these frames; half the recording, which
            held-out figures rest on, may be too little for a rig that all of it makes good.
        loco_mm: (V,) median error at the board.
        reprojection_px: (V,) root mean square reprojection error of ordinary points.
        length_mm: (M,) sides of squares as triangulated, corner by corner.
        shared: (V, V) frames in which both cameras saw the board.
        coverage: Of each camera.
        frame_px: (T,) median left-out error of each frame, px; NaN where nothing was predicted.
        prediction: All of it, point by point.
    """

    cameras: tuple[str, ...]
    loco_px: F64
    expected_px: F64
    as_delivered_px: F64
    loco_mm: F64
    reprojection_px: F64
    length_mm: F64
    shared: I64
    coverage: tuple[Coverage, ...]
    frame_px: F64
    prediction: Prediction

    @property
    def overall_px(self) -> float:
        """Median left-out error of all cameras together."""
        errors = self.prediction.of()
        return float(np.median(errors)) if len(errors) else np.nan

    def to_mapping(self) -> dict[str, Any]:
        """Plain JSON values."""

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
    """Figures of a calibration that was made from this very recording; predictions are of held-out stretches."""
    return _measure(calibration.rig, calibration.seen, calibration.images, calibration.poses, calibration.prediction)


def measure_rig(rig: CameraRig, seen: BoardObservations) -> Quality:
    """Figures of any rig, such as an imported one, on a recording of a board.

    Raises:
        CoreError: Rig and recording share fewer than two cameras.
    """
    posed = [n for n in seen.cameras if n in rig.names and rig[n].posed]
    if len(posed) < 2:
        raise CoreError("The rig and the recording share fewer than two cameras.", "Name the cameras alike.")
    lenses = [rig[n] if n in posed else None for n in seen.cameras]
    images = Images.of(seen)
    images = images.where(np.isin(images.view, [seen.cameras.index(n) for n in posed]))
    poses = board_poses(images, lenses)
    return _measure(rig, seen, images, poses, None)


def _measure(
    rig: CameraRig, seen: BoardObservations, images: Images, poses: BoardPoses, prediction: Prediction | None
) -> Quality:
    cameras, period = cameras_of(rig, seen), period_of(seen)
    scale = USUAL_PX * float(seen.sizes_px.max(1).mean())
    views = len(seen.cameras)
    everything = [np.ones(len(images), bool)]
    way = initial_trajectory(period, images, poses, cameras)
    fitted = way_of_board(images, cameras, way, scale, period)
    own = predict(images, poses, everything, cameras, period, scale, fitted.hand, fitted.sigma_px)
    prediction = own if prediction is None else prediction
    expected = _expected(images, poses, cameras, fitted, period, scale)

    def each(values: F64, view: I64) -> F64:
        parts = [values[(view == v) & np.isfinite(values)] for v in range(views)]
        return np.array([np.median(part) if len(part) else np.nan for part in parts])

    error = prediction.error_px
    frame_px = np.full(len(seen.time_s), np.nan)
    for m in np.unique(prediction.frame):
        of_frame = error[(prediction.frame == m) & np.isfinite(error)]
        if len(of_frame):
            frame_px[m] = np.median(of_frame)
    length = np.where(np.isfinite(fitted.residual_px[..., 0]), np.linalg.norm(fitted.residual_px, axis=-1), np.nan)
    ordinary = np.where(fitted.weight > 0.25, length, np.nan)
    tilt = np.degrees(np.arccos(np.clip(np.abs(poses.R[:, 0, 2, 2]), 0, 1)))
    return Quality(
        cameras=seen.cameras,
        loco_px=each(error, prediction.view),
        expected_px=each(expected.error_px, expected.view),
        as_delivered_px=each(own.error_px, own.view),
        loco_mm=each(prediction.loco_mm, prediction.view),
        reprojection_px=np.array([_rms(ordinary[images.view == v].ravel()) for v in range(views)]),
        length_mm=_sides(seen, images, cameras, fitted),
        shared=_shared(images, poses, views),
        coverage=tuple(
            coverage(seen, name, tilt[(images.view == v) & poses.known]) for v, name in enumerate(seen.cameras)
        ),
        frame_px=frame_px,
        prediction=prediction,
    )


def _shared(images: Images, poses: BoardPoses, views: int) -> I64:
    """(V, V) frames in which both cameras saw enough of the board."""
    shown = np.zeros((views, int(images.frame.max(initial=0)) + 1), np.int64)
    shown[images.view[poses.known], images.frame[poses.known]] = 1
    return np.asarray(shown @ shown.T)


def _rms(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else np.nan


def cameras_of(rig: CameraRig, seen: BoardObservations) -> Cameras:
    """A rig as the solver counts it, in the order of the observations; unposed cameras stand at the origin."""
    known = [rig[n] if n in rig.names else None for n in seen.cameras]
    numbers = np.zeros((len(known), 12))
    numbers[:, :2] = 1000.0
    R, t, late = np.tile(np.eye(3), (len(known), 1, 1)), np.zeros((len(known), 3)), np.zeros(len(known))
    for v, camera in enumerate(known):
        if camera is not None:
            numbers[v], late[v] = numbers_of(camera), camera.time_offset_s
            if camera.posed:
                R[v], t[v] = camera.pose
    distortion_model = tuple("pinhole" if c is None else c.distortion_model for c in known)
    return Cameras(distortion_model=distortion_model, numbers=numbers, R=R, t_mm=t, time_offset_s=late)


def _expected(
    images: Images, poses: BoardPoses, cameras: Cameras, fitted: Solution, period: float, scale: float
) -> Prediction:
    """What leaving cameras out would show if the cameras were exact and the corners as noisy as they are."""
    rng = np.random.default_rng(0)
    exact = images.xy_px - np.nan_to_num(fitted.residual_px)
    noisy = dataclasses.replace(images, xy_px=exact + rng.normal(0, fitted.sigma_px, exact.shape))
    everything = [np.ones(len(images), bool)]
    return predict(noisy, poses, everything, cameras, period, scale, fitted.hand, fitted.sigma_px)


def way_of_board(images: Images, cameras: Cameras, way: Trajectory, scale: float, period: float) -> Solution:
    """The board's way with cameras that stay as they are."""
    nothing = np.zeros((len(cameras.distortion_model), N_UNKNOWNS), bool)
    usual = hand(period)
    for _ in range(3):
        fitted = solve(images, cameras, way, nothing, scale_px=scale, hand=usual, steps=15, tolerance=1e-4)
        faster = hand(period, accelerations(fitted.way))
        if faster[0] < 1.3 * usual[0] and faster[1] < 1.3 * usual[1]:
            break
        usual, way = faster, fitted.way
    return fitted


def _sides(seen: BoardObservations, images: Images, cameras: Cameras, fitted: Any) -> F64:
    """(M,) sides of squares between corners that were each triangulated by themselves, mm.

    An image taken at another time is first corrected by how far the board moved in it meanwhile.
    """
    columns, rows = seen.board.grid
    if seen.board.kind == "markers" or columns < 2:
        return np.zeros(0)
    frames, count = len(seen.time_s), len(seen.board.points_mm)
    normal, right = np.zeros((frames, count, 3, 3)), np.zeros((frames, count, 3))
    views = np.zeros((frames, count), np.int64)
    common = np.nanmedian(np.where(np.isfinite(seen.time_s), seen.time_s, np.nan), axis=1)
    now = poses_at(fitted.way, blend(fitted.way.time_s, fitted.way.piece, common[images.frame]))
    then_s = images.time_s - cameras.time_offset_s[images.view]
    then = poses_at(fitted.way, blend(fitted.way.time_s, fitted.way.piece, then_s))
    # Directions in the world, corrected: a ray moves along with the board from then to now.
    R_camera, t_camera = cameras.R[images.view], cameras.t_mm[images.view]
    world_then = images.board_mm @ np.swapaxes(then.R, -1, -2) + then.t_mm[:, None]
    local = world_then @ np.swapaxes(R_camera, -1, -2) + t_camera[:, None]
    focal = cameras.numbers[images.view, :2][:, None]
    seen_local = local.copy()
    seen_local[..., :2] += np.nan_to_num(fitted.residual_px) / focal * local[..., 2:]
    back = (seen_local - t_camera[:, None]) @ R_camera
    centre = -(np.swapaxes(R_camera, -1, -2) @ t_camera[..., None])[..., 0]
    # From where the board was then to where it is now, camera and ray alike.
    turn = now.R @ np.swapaxes(then.R, -1, -2)

    def along(points: F64) -> F64:
        return (points - then.t_mm[:, None]) @ np.swapaxes(turn, -1, -2) + now.t_mm[:, None]

    start, end = along(np.repeat(centre[:, None], back.shape[1], 1)), along(back)
    ray = end - start
    ray /= np.maximum(np.linalg.norm(ray, axis=-1, keepdims=True), 1e-9)
    across = np.eye(3) - ray[..., :, None] * ray[..., None, :]
    usable = images.valid & np.isfinite(fitted.residual_px[..., 0]) & (fitted.weight > 0.25)
    p, i = np.nonzero(usable)
    where = (images.frame[p], seen.point[images.row[p, i]])
    np.add.at(normal, where, across[p, i])
    np.add.at(right, where, (across[p, i] @ start[p, i][..., None])[..., 0])
    np.add.at(views, where, 1)
    side = seen.board.points_per_side
    good = (views[:, :side] >= 2) & (np.linalg.det(normal[:, :side]) > 0.05)
    safe = np.where(good[..., None, None], normal[:, :side], np.eye(3))
    xyz = np.where(good[..., None], np.linalg.solve(safe, right[:, :side, :, None])[..., 0], np.nan)
    grid = xyz.reshape(frames, rows, columns, 3)
    sides = [np.linalg.norm(np.diff(grid, axis=axis), axis=-1).ravel() for axis in (1, 2)]
    lengths = np.concatenate(sides)
    return np.asarray(lengths[np.isfinite(lengths)])
