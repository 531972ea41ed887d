"""Pose of a static board on the floor, to define world coordinates."""

from __future__ import annotations

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.state import BoardImages
from core.calibration.board.initial.extrinsics import board_poses
from core.errors import CoreError
from core.geometry import project
from core.geometry.so3 import angle_rad, mean, retract_right
from core.optimize.robust import cauchy_weight
from core.types.arrays import F64
from core.types.camera import CameraRig

# Usual errors of poses from single images, which agree within three times this angle and five times this distance.
_AGREE_RAD, _AGREE_MM = 3 * np.radians(4), 5 * 30.0
_LEAST_AGREEING = 0.6  # fraction of images that must agree on the pose
_MAX_STEPS = 8
_CAUCHY_SCALE_PX, _LARGEST_PX = 3.0, 20.0  # of residuals; larger ones are ignored
_PROBE_RAD, _PROBE_MM = 1e-4, 1e-3  # steps of the numerical derivatives
_CONVERGED_RAD, _CONVERGED_MM = 1e-7, 1e-3


def static_board_pose(rig: CameraRig, seen: BoardObservations) -> tuple[F64, F64]:
    """Estimate the pose of a static board from all images of all cameras.

    Args:
        rig: Rig; unposed cameras are ignored.
        seen: Observations of the board.

    Returns:
        Rotation (3, 3) and translation (3,) in mm from board to world coordinates.

    Raises:
        CoreError: No posed camera saw the board, or it was moved.
    """
    names = [n for n in seen.cameras if n in rig.names and rig[n].posed]
    images = BoardImages.of(seen)
    images = images.where(np.isin(images.view, [seen.cameras.index(n) for n in names]))
    poses = board_poses(images, [rig[n] if n in names else None for n in seen.cameras])
    if not poses.known.any():
        raise CoreError(
            "No calibrated camera saw the board on the floor.", "Place it where at least one camera sees all of it."
        )
    camera = [rig[n].pose if n in names else (np.eye(3), np.zeros(3)) for n in seen.cameras]
    R_camera, t_camera = (np.stack([pose[i] for pose in camera])[images.view] for i in (0, 1))
    to_world = np.swapaxes(R_camera, -1, -2)[:, None]
    possible = np.isfinite(poses.error_px)
    R = (to_world @ poses.R)[possible]
    t = (to_world @ (poses.t_mm - t_camera[:, None])[..., None])[..., 0][possible]
    # Of the two poses of a flat board in each image, the one with the most agreement between images.
    near = angle_rad(np.swapaxes(R, -1, -2)[:, None] @ R) < _AGREE_RAD
    near &= np.linalg.norm(t[:, None] - t, axis=-1) < _AGREE_MM
    members = near[int(near.sum(1).argmax())]
    if members.sum() < _LEAST_AGREEING * poses.known.sum():
        raise CoreError(
            "The board on the floor moves, or the cameras do not agree on its pose.",
            "Do not touch it while it is filmed, and check the calibration.",
        )
    return _refine(rig, seen, names, mean(R[members]), np.median(t[members], axis=0))


def _refine(rig: CameraRig, seen: BoardObservations, names: list[str], R: F64, t: F64) -> tuple[F64, F64]:
    """Minimise the robust reprojection error by Gauss-Newton steps with numerical derivatives."""
    points = seen.board.points_mm
    for _ in range(_MAX_STEPS):
        normal, right = np.zeros((6, 6)), np.zeros(6)
        for name in names:
            own = seen.view == seen.cameras.index(name)
            board, xy = points[seen.point[own]], seen.xy_px[own]
            predicted = project(rig[name], board @ R.T + t)
            columns = []
            for i in range(6):
                step = np.zeros(6)
                step[i] = _PROBE_RAD if i < 3 else _PROBE_MM
                R_moved, t_moved = retract_right(R, t, step)
                columns.append((project(rig[name], board @ R_moved.T + t_moved) - predicted) / step[i])
            residual = xy - predicted
            squared = (residual**2).sum(-1)
            good = squared < _LARGEST_PX**2
            weight = np.where(good, cauchy_weight(np.where(good, squared, 0.0), _CAUCHY_SCALE_PX), 0.0)
            jacobian = np.nan_to_num(np.stack(columns, -1))
            normal += np.einsum("n,nki,nkj->ij", weight, jacobian, jacobian)
            right += np.einsum("n,nki,nk->i", weight, jacobian, np.nan_to_num(residual))
        change = np.asarray(np.linalg.solve(normal + 1e-9 * np.eye(6), right), np.float64)
        R, t = retract_right(R, t, change)
        if np.abs(change[:3]).max() < _CONVERGED_RAD and np.abs(change[3:]).max() < _CONVERGED_MM:
            break
    return R, t
