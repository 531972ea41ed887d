"""World coordinates, static boards, the accuracy map and the guidance while recording a board."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.board.observations import merge_detections
from core.board.pattern import Board
from core.calibration.board.guidance import next_to_show
from core.calibration.board.initial.intrinsics import Coverage
from core.calibration.board.static_board import static_board_pose
from core.calibration.world import (
    align_rig,
    guess_world,
    move_origin,
    rotate_quarters,
    scale_to_distance,
    turn_upside_down,
    world_from_board_pose,
    world_from_floor_points,
    world_from_points,
)
from core.errors import CoreError
from core.geometry import ideal_points, project, project_rig, triangulate
from core.geometry.accuracy import accuracy_map
from core.geometry.similarity import Similarity
from core.geometry.so3 import exp
from core.synthetic.rigs import ring_rig
from core.types.camera import CameraRig

RIG = ring_rig(4)
POINTS = np.random.default_rng(0).uniform((-1000, -1000, 0), (1000, 1000, 1800), (50, 3))
TILTED = Similarity(R=exp(np.array([0.4, -1.1, 0.7])), origin_mm=np.array([300.0, -800, 1200]), scale=1.0)


@pytest.mark.parametrize(
    "change",
    [
        TILTED,
        rotate_quarters("x", 1),
        rotate_quarters("y", 3),
        turn_upside_down(),
        move_origin(np.array([1.0, 2, 3])),
        Similarity(scale=1.7),
    ],
)
def test_images_do_not_change_with_the_world_coordinates(change: Similarity) -> None:
    moved = change.rig(RIG)
    assert project_rig(moved, change.points(POINTS)) == pytest.approx(project_rig(RIG, POINTS), abs=1e-6)


def test_quarter_turns_are_exact_and_four_are_the_identity() -> None:
    rig = RIG
    for _ in range(4):
        rig = rotate_quarters("z", 1).rig(rig)
    assert rig["cam01"].pose[0] == pytest.approx(RIG["cam01"].pose[0], abs=1e-12)
    assert rotate_quarters("z", 1).points(np.array([1.0, 0, 0])) == pytest.approx([0, 1, 0])


def test_floor_from_three_points() -> None:
    floor = TILTED.points(np.array([[100.0, 200, 0], [900, 200, 0], [0, 3000, 0]]))
    aligned = world_from_points(*floor, TILTED.rig(RIG)).rig(TILTED.rig(RIG))
    expected = move_origin(np.array([100.0, 200, 0])).rig(RIG)
    for camera in aligned:
        assert camera.centre_mm == pytest.approx(expected[camera.name].centre_mm, abs=1e-6)
    with pytest.raises(CoreError, match="collinear"):
        world_from_points(floor[0], floor[1], floor[0] + 2 * (floor[1] - floor[0]), RIG)


def test_floor_from_feet_is_robust_to_outliers() -> None:
    rng = np.random.default_rng(1)
    feet = np.concatenate([rng.uniform(-1500, 1500, (300, 2)), rng.normal(0, 6, (300, 1))], 1)
    feet[:60, 2] += rng.uniform(50, 600, 60)  # feet in the air
    tilt = Similarity(R=exp(np.array([0.05, -0.08, 0.0])), origin_mm=np.array([0, 0, 140.0]))
    change = world_from_floor_points(tilt.points(feet), tilt.rig(RIG))
    heights = change.points(tilt.points(feet))[60:, 2]
    assert np.abs(heights).mean() < 8
    assert all(c.centre_mm[2] > 1000 for c in change.rig(tilt.rig(RIG)))
    with pytest.raises(CoreError, match="collinear"):
        world_from_floor_points(np.stack([np.arange(50.0) * 40, np.zeros(50), np.zeros(50)], 1), RIG)
    with pytest.raises(CoreError, match="expected at least 10"):
        world_from_floor_points(feet[:5], RIG)


def test_scale_from_a_measured_distance() -> None:
    change = scale_to_distance(RIG, "cam01", "cam02", 3210.0)
    moved = change.rig(RIG)
    assert np.linalg.norm(moved["cam01"].centre_mm - moved["cam02"].centre_mm) == pytest.approx(3210)
    for invalid in (("cam01", "cam01", 100.0), ("cam01", "cam02", -5.0), ("cam01", "cam02", float("nan"))):
        with pytest.raises(CoreError):
            scale_to_distance(RIG, *invalid)


def test_guessed_world_coordinates_have_upright_cameras_above_the_board() -> None:
    board = POINTS + (0, 0, 400)
    change, note = guess_world(TILTED.rig(RIG), TILTED.points(board))
    rig = change.rig(TILTED.rig(RIG))
    assert "guess" in note
    assert all(c.centre_mm[2] > 500 for c in rig)
    up = change.R.T @ (0, 0, 1)
    assert up @ (TILTED.R @ (0, 0, 1)) > np.cos(np.radians(6))
    assert change.points(TILTED.points(board))[:, 2].min() > -50


def test_a_rig_is_aligned_with_the_former_one() -> None:
    change = align_rig(TILTED.rig(RIG), RIG)
    for camera in change.rig(TILTED.rig(RIG)):
        assert camera.centre_mm == pytest.approx(RIG[camera.name].centre_mm, abs=1e-6)


def test_floor_from_a_board_that_lies_on_it() -> None:
    board = Board(columns=6, rows=5, square_mm=150, marker_mm=110)
    rng = np.random.default_rng(2)
    board_R = np.diag([1.0, -1, -1]) @ exp(np.array([0, 0, 0.3]))
    board_t_mm = np.array([200.0, -300, 0])
    detections = {}
    for v, camera in enumerate(RIG):
        xy = project(camera, board.points_mm[:20] @ board_R.T + board_t_mm)
        for m in range(3):
            detections[v, m] = (np.arange(20), xy + rng.normal(0, 0.3, xy.shape))
    times = np.repeat(np.arange(3)[:, None] / 2.0, 4, 1)
    frame = np.repeat(np.arange(3)[:, None], 4, 1)
    seen = merge_detections(board, RIG.names, [c.size_px for c in RIG], times, frame, detections)
    R, t = static_board_pose(RIG, seen)
    assert t == pytest.approx(board_t_mm, abs=2)
    assert pytest.approx(board_R, abs=2e-3) == R
    rig = world_from_board_pose(R, t, RIG).rig(RIG)
    assert all(abs(c.centre_mm[2] - RIG[c.name].centre_mm[2]) < 8 for c in rig)
    moving = dataclasses.replace(seen, xy_px=seen.xy_px + 60 * seen.frame[:, None])
    with pytest.raises(CoreError, match="moves"):
        static_board_pose(RIG, moving)


def test_accuracy_map_agrees_with_simulated_triangulation() -> None:
    rig = ring_rig(3)
    accuracy = accuracy_map(rig, sigma_px=2.0)
    x, y = len(accuracy.x_mm) // 2, len(accuracy.y_mm) // 2
    point_mm = np.array([accuracy.x_mm[x], accuracy.y_mm[y], accuracy.z_mm[1]])
    rng = np.random.default_rng(0)
    exact = project_rig(rig, np.tile(point_mm, (4000, 1)))
    ideal = ideal_points(rig, exact + rng.normal(0, 2.0, exact.shape))
    error_mm = triangulate(rig, ideal, np.ones(ideal.shape[:-1])) - point_mm
    assert accuracy.error_mm[x, y, 1] == pytest.approx(np.sqrt((error_mm**2).sum(-1).mean()), rel=0.06)
    assert accuracy.worst_mm[x, y, 1] == pytest.approx(float((error_mm @ accuracy.worst[x, y, 1]).std()), rel=0.06)
    assert accuracy.views[x, y, 1] == 3
    with pytest.raises(CoreError):
        accuracy_map(CameraRig(cameras=rig.cameras[:1]))


def test_guidance_names_the_most_important_missing_view() -> None:
    full = Coverage(cells=np.full((5, 8), 9), share=1.0, tilt_deg=np.linspace(0, 60, 30), images=30)
    names = ("a", "b", "c", "d")
    together = np.full((4, 4), 30)
    assert next_to_show(names, [full] * 4, together) == "Every camera has seen enough."
    blind = dataclasses.replace(full, images=0)
    assert "Show the board to c" in next_to_show(names, [full, full, blind, full], together)
    apart = together.copy()
    apart[:2, 2:] = apart[2:, :2] = 0
    assert "have not seen the board together" in next_to_show(names, [full] * 4, apart)
    cells = np.full((4, 8), 5)
    cells[:2, 4:] = 0
    corner = dataclasses.replace(full, cells=cells, share=0.3)
    assert "b in the upper right" in next_to_show(names, [full, corner, full, full], together)
    flat = dataclasses.replace(full, tilt_deg=np.full(30, 12.0))
    assert "Tilt the board in front of d" in next_to_show(names, [full, full, full, flat], together)
