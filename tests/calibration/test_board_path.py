"""Where the board was: exact for a known path, also with a camera that is late."""

from __future__ import annotations

import dataclasses

import numpy as np

from core.calibration.board import Board
from core.calibration.board_path import board_path_mm, board_points_mm
from core.calibration.observations import BoardObservations
from core.geometry import project_rig
from core.synthetic.rigs import ring_rig
from core.types import CameraRig
from core.types.arrays import F64

BOARD = Board(columns=5, rows=4, square_mm=60, marker_mm=45, dictionary="DICT_4X4_50", back="none")
STEP_S = 0.05


def corners(time_s: F64, turn: F64 | None = None) -> F64:
    """(T, P, 3) of a board that goes along x at half a metre a second."""
    local = BOARD.points_mm[: BOARD.points_per_side]
    local = (local - local.mean(0)) @ (np.eye(3) if turn is None else turn).T
    middle = np.stack([500 * time_s - 400, np.full_like(time_s, 100.0), np.full_like(time_s, 900.0)], -1)
    return np.asarray(middle[:, None] + local)


def filmed(rig: CameraRig, count: int = 30, hidden: tuple[tuple[int, int], ...] = ()) -> BoardObservations:
    """What the cameras of a rig see of it: a camera that is late shows what was before.

    Args:
        rig: The cameras.
        count: Moments.
        hidden: Camera and moment of pictures without the board.
    """
    stamped = np.arange(count) * STEP_S
    views = [project_rig(CameraRig(cameras=(c,)), corners(stamped - c.latency_s))[0] for c in rig]
    xy = np.stack(views)
    points = xy.shape[2]
    view, moment, point = (g.ravel() for g in np.meshgrid(*map(np.arange, xy.shape[:3]), indexing="ij"))
    keep = np.isfinite(xy.reshape(-1, 2)).all(-1)
    for v, t in hidden:
        keep &= ~((view == v) & (moment == t))
    assert points == BOARD.points_per_side
    return BoardObservations(
        board=BOARD,
        cameras=rig.names,
        sizes_px=np.array([c.size_px for c in rig]),
        time_s=np.repeat(stamped[:, None], len(rig), 1),
        view=view[keep],
        moment=moment[keep],
        point=point[keep],
        xy_px=xy.reshape(-1, 2)[keep],
        frame=np.repeat(np.arange(count)[:, None], len(rig), 1),
    )


def test_the_path_is_exact_and_empty_where_one_camera_looks() -> None:
    rig = ring_rig(3, distortion=(-0.2, 0.05, 0.0, 0.0, 0.0))
    seen = filmed(rig, hidden=((0, 4), (1, 4), (2, 5)))
    points = board_points_mm(seen, rig)
    truth = corners(np.arange(30) * STEP_S)
    assert np.isnan(points[4]).all()
    known = np.arange(30) != 4
    np.testing.assert_allclose(points[known, : truth.shape[1]], truth[known], atol=1e-4)
    path = board_path_mm(points)
    assert np.isnan(path[4]).all()
    np.testing.assert_allclose(path[known], np.median(truth[known], axis=1), atol=1e-4)


def test_a_late_camera_is_brought_to_the_same_moment() -> None:
    rig = ring_rig(3)
    late = dataclasses.replace(rig, cameras=(rig[0], rig[1].replace(latency_s=0.12), rig[2]))
    seen = filmed(late)
    truth = corners(np.arange(30) * STEP_S)
    found = board_points_mm(seen, late)[:-3, : truth.shape[1]]
    # Between two pictures a straight line in the picture stands for the path: off by less than a tenth of a mm.
    np.testing.assert_allclose(found, truth[: len(found)], atol=0.1)
    ignored = board_points_mm(seen, rig)[:-3, : truth.shape[1]]
    assert np.linalg.norm(ignored - truth[: len(found)], axis=-1).max() > 15


def test_too_few_cameras_show_nothing() -> None:
    rig = ring_rig(2)
    seen = filmed(rig)
    one = dataclasses.replace(rig, cameras=(rig[0], rig[1].replace(R=None, t_mm=None)))
    assert np.isnan(board_points_mm(seen, one)).all()
    assert np.isnan(board_path_mm(board_points_mm(seen, one))).all()
