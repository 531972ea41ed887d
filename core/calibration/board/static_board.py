"""Where a board lies that nobody moves: on the floor, for the world frame."""

from __future__ import annotations

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.extrinsics import board_poses
from core.calibration.board.state import BoardImages
from core.errors import CoreError
from core.geometry import project
from core.geometry.so3 import angle_rad, exp, mean
from core.types.arrays import F64
from core.types.camera import CameraRig

_STILL_MM, _STILL_RAD = 30.0, np.radians(4)


def static_board_pose(rig: CameraRig, seen: BoardObservations) -> tuple[F64, F64]:
    """Pose of a board that does not move, from everything that all cameras see of it.

    Args:
        rig: Posed cameras, others are left out.
        seen: The board at rest.

    Returns:
        (3, 3) and (3,) board to world, mm.

    Raises:
        CoreError: No posed camera saw it, or it was moved.
    """
    names = [n for n in seen.cameras if n in rig.names and rig[n].posed]
    images = BoardImages.of(seen)
    images = images.where(np.isin(images.view, [seen.cameras.index(n) for n in names]))
    poses = board_poses(images, [rig[n] if n in names else None for n in seen.cameras])
    if not poses.known.any():
        raise CoreError(
            "No calibrated camera saw the board on the floor.", "Lay it where at least one camera sees all of it."
        )
    back = [rig[n].pose if n in names else (np.eye(3), np.zeros(3)) for n in seen.cameras]
    R_camera, t_camera = (np.stack([b[i] for b in back]) for i in (0, 1))
    view = images.view
    R = np.swapaxes(R_camera[view], -1, -2)[:, None] @ poses.R
    t = (np.swapaxes(R_camera[view], -1, -2)[:, None] @ (poses.t_mm - t_camera[view][:, None])[..., None])[..., 0]
    # Of the two poses that a flat board may have in an image, the one on which most images agree.
    flat_R, flat_t = R.reshape(-1, 3, 3), t.reshape(-1, 3)
    possible = np.isfinite(poses.error_px).ravel()
    flat_R, flat_t = flat_R[possible], flat_t[possible]
    apart = angle_rad(np.swapaxes(flat_R, -1, -2)[:, None] @ flat_R)
    near = (apart < 3 * _STILL_RAD) & (np.linalg.norm(flat_t[:, None] - flat_t, axis=-1) < 5 * _STILL_MM)
    members = near[int(near.sum(1).argmax())]
    pose_R, pose_t = mean(flat_R[members]), np.median(flat_t[members], axis=0)
    if members.sum() < 0.6 * poses.known.sum():
        raise CoreError(
            "The board on the floor moves, or the cameras do not agree on where it lies.",
            "Let it lie still while it is filmed, and check the calibration.",
        )
    return _refined(rig, seen, names, pose_R, pose_t)


def _refined(rig: CameraRig, seen: BoardObservations, names: list[str], R: F64, t: F64) -> tuple[F64, F64]:
    """Gauss-Newton on all corners that fit."""
    points = seen.board.points_mm
    for _ in range(8):
        normal, right = np.zeros((6, 6)), np.zeros(6)
        for name in names:
            mine = seen.view == seen.cameras.index(name)
            board, xy = points[seen.point[mine]], seen.xy_px[mine]
            base = project(rig[name], board @ R.T + t)
            step = 1e-4
            columns = []
            for i in range(6):  # six derivatives, each over all corners at once
                d = np.zeros(6)
                d[i] = step if i < 3 else 10 * step
                moved = project(rig[name], board @ (R @ exp(d[:3])).T + t + d[3:])
                columns.append((moved - base) / d[i])
            miss = xy - base
            length = np.linalg.norm(miss, axis=-1)
            good = np.isfinite(length) & (length < 20)
            weight = np.where(good, 1 / (1 + (np.nan_to_num(length) / 3) ** 2), 0.0)
            J = np.nan_to_num(np.stack(columns, -1))
            normal += np.einsum("n,nki,nkj->ij", weight, J, J)
            right += np.einsum("n,nki,nk->i", weight, J, np.nan_to_num(miss))
        change = np.asarray(np.linalg.solve(normal + 1e-9 * np.eye(6), right), np.float64)
        R, t = R @ exp(change[:3]), t + change[3:]
        if np.abs(change[:3]).max() < 1e-7 and np.abs(change[3:]).max() < 1e-3:
            break
    return R, t
