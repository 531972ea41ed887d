"""Observations of a board that moves along a straight line, by a known rig."""

from __future__ import annotations

import numpy as np

from core.board.observations import BoardObservations
from core.board.pattern import Board
from core.geometry import project_rig
from core.types import CameraRig
from core.types.arrays import F64

BOARD = Board(columns=5, rows=4, square_mm=60, marker_mm=45, dictionary="DICT_4X4_50", back="none")
STEP_S = 0.05


def corners(time_s: F64, rotation: F64 | None = None) -> F64:
    """Return the corners (T, P, 3) of a board that moves along x at 0.5 m/s."""
    local = BOARD.points_mm[: BOARD.points_per_side]
    local = (local - local.mean(0)) @ (np.eye(3) if rotation is None else rotation).T
    centre = np.stack([500 * time_s - 400, np.full_like(time_s, 100.0), np.full_like(time_s, 900.0)], -1)
    return np.asarray(centre[:, None] + local)


def filmed(rig: CameraRig, count: int = 30, hidden: tuple[tuple[int, int], ...] = ()) -> BoardObservations:
    """Observe the board by the cameras of a rig, with their time offsets.

    Args:
        rig: Cameras.
        count: Number of frames.
        hidden: (camera, frame) of images without the board.
    """
    stamped = np.arange(count) * STEP_S
    views = [project_rig(CameraRig(cameras=(c,)), corners(stamped - c.time_offset_s))[0] for c in rig]
    xy = np.stack(views)
    points = xy.shape[2]
    view, frame, point = (g.ravel() for g in np.meshgrid(*map(np.arange, xy.shape[:3]), indexing="ij"))
    keep = np.isfinite(xy.reshape(-1, 2)).all(-1)
    for v, t in hidden:
        keep &= ~((view == v) & (frame == t))
    assert points == BOARD.points_per_side
    return BoardObservations(
        board=BOARD,
        cameras=rig.names,
        sizes_px=np.array([c.size_px for c in rig]),
        time_s=np.repeat(stamped[:, None], len(rig), 1),
        view=view[keep],
        frame=frame[keep],
        point=point[keep],
        xy_px=xy.reshape(-1, 2)[keep],
        image_index=np.repeat(np.arange(count)[:, None], len(rig), 1),
    )
