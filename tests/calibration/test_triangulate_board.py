"""Triangulated boards: exact for a known path, also with an unsynchronised camera."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np

from core.calibration.board.initial.triangulate_board import board_points_mm, board_trajectory_mm
from core.synthetic.rigs import ring_rig

sys.path.insert(0, str(Path(__file__).parent))
from moving_board import STEP_S, corners, filmed


def test_the_trajectory_is_exact_and_nan_where_one_camera_sees_the_board() -> None:
    rig = ring_rig(3, distortion=(-0.2, 0.05, 0.0, 0.0, 0.0))
    seen = filmed(rig, hidden=((0, 4), (1, 4), (2, 5)))
    points = board_points_mm(seen, rig)
    truth = corners(np.arange(30) * STEP_S)
    assert np.isnan(points[4]).all()
    known = np.arange(30) != 4
    np.testing.assert_allclose(points[known, : truth.shape[1]], truth[known], atol=1e-4)
    path = board_trajectory_mm(points)
    assert np.isnan(path[4]).all()
    np.testing.assert_allclose(path[known], np.median(truth[known], axis=1), atol=1e-4)


def test_a_delayed_camera_is_interpolated_to_the_same_time() -> None:
    rig = ring_rig(3)
    delayed = dataclasses.replace(rig, cameras=(rig[0], rig[1].replace(time_offset_s=0.12), rig[2]))
    seen = filmed(delayed)
    truth = corners(np.arange(30) * STEP_S)
    found = board_points_mm(seen, delayed)[:-3, : truth.shape[1]]
    # Linear interpolation in the image is off by less than 0.1 mm.
    np.testing.assert_allclose(found, truth[: len(found)], atol=0.1)
    ignored = board_points_mm(seen, rig)[:-3, : truth.shape[1]]
    assert np.linalg.norm(ignored - truth[: len(found)], axis=-1).max() > 15


def test_one_camera_triangulates_nothing() -> None:
    rig = ring_rig(2)
    seen = filmed(rig)
    one = dataclasses.replace(rig, cameras=(rig[0], rig[1].replace(R=None, t_mm=None)))
    assert np.isnan(board_points_mm(seen, one)).all()
    assert np.isnan(board_trajectory_mm(board_points_mm(seen, one))).all()
