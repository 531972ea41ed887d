"""Fits to two halves of a recording: contradictions are seen, the better fit is taken, weak ties are told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.board.pattern import Board
from core.calibration.board import bundle
from core.calibration.board.bundle import (
    N_UNKNOWNS,
    NUMBERS,
    POSE,
    TIME_OFFSET,
    USUAL_PX,
    Cameras,
    Images,
    Prior,
    Solution,
    solve,
)
from core.calibration.board.extrinsics import board_poses
from core.calibration.board.folds import CONTRADICT, copies, disagreement, joined, losses
from core.calibration.board.initialization import initial_trajectory, numbers_of
from core.calibration.board.intrinsics import SOLVED, fit_intrinsics, intrinsics_prior
from core.calibration.board.report import _connection
from core.geometry.so3 import exp
from core.synthetic.board_scene import board_scene, closeups
from core.synthetic.rigs import random_rig

BOARD = Board(columns=8, rows=6, square_mm=100, marker_mm=75)
V = 3


@pytest.fixture(scope="module")
def fit() -> tuple[Solution, Images]:
    """Two copies of the same little world, poses solved from the truth."""
    rig = random_rig(np.random.default_rng(5), V, size_px=(1280, 720))
    seen = board_scene(rig, BOARD, seed=1, seconds=6)
    images = Images.of(seen)
    poses = board_poses(images, list(rig))
    everything = np.arange(len(images))
    both, rows = images.apart([everything, everything], np.array([0, V]))
    cameras = Cameras(
        distortion_model=("pinhole",) * V,
        numbers=np.stack([numbers_of(c) for c in rig]),
        R=np.stack([c.pose[0] for c in rig]),
        t_mm=np.stack([c.pose[1] for c in rig]),
        time_offset_s=np.zeros(V),
    ).tiled(2)
    free = np.zeros((2 * V, N_UNKNOWNS), bool)
    free[:, POSE] = free[:, TIME_OFFSET] = True
    free[::V, : TIME_OFFSET.stop] = False
    way = initial_trajectory(0.1, both, poses.where(rows), cameras)
    return solve(both, cameras, way, free, scale_px=1280 * USUAL_PX, hand=(0.8, 300.0)), both


def test_halves_that_say_the_same_do_not_contradict(fit: tuple[Solution, Images]) -> None:
    solution, _ = fit
    assert disagreement(solution, solution, 0, 1, V).max() < 0.1
    assert disagreement(solution, solution, 0, 1, V)[0] == 0  # it holds the world; nothing is known of it


def test_a_turned_or_late_camera_contradicts_by_its_errors(fit: tuple[Solution, Images]) -> None:
    solution, _ = fit
    sd = solution.sd(slice(0, 7))[V + 1]
    R, late = solution.cameras.R.copy(), solution.cameras.time_offset_s.copy()
    R[V + 1] = exp(np.array([20 * np.sqrt(2) * sd[0], 0, 0])) @ R[V + 1]
    late[V + 2] += 30 * np.sqrt(2) * solution.sd(TIME_OFFSET)[V + 2, 0]
    moved = dataclasses.replace(solution, cameras=dataclasses.replace(solution.cameras, R=R, time_offset_s=late))
    found = disagreement(moved, moved, 0, 1, V)
    assert found == pytest.approx([0, 20, 30], rel=0.1)
    assert found.max() > CONTRADICT
    assert disagreement(solution, moved, 0, 0, V).max() < 0.1  # of other fits, the same copy


def test_losses_tell_the_copies_apart(fit: tuple[Solution, Images]) -> None:
    solution, images = fit
    scale = 1280 * USUAL_PX
    good = losses(solution, images, scale, V)
    assert good[0] == pytest.approx(good[1], rel=1e-6)
    worse = solution.residual_px.copy()
    worse[images.view >= V] += 5.0
    worse[images.view == 0, 0] = np.nan  # a point that is not predicted any more costs as much as a far one
    bad = losses(dataclasses.replace(solution, residual_px=worse), images, scale, V)
    assert bad[1] > 3 * good[1]
    assert bad[0] > good[0] + 30 * (images.view == 0).sum()


def test_copies_are_picked_and_joined(fit: tuple[Solution, Images]) -> None:
    cameras = fit[0].cameras
    numbered = dataclasses.replace(cameras, time_offset_s=np.arange(2.0 * V))
    assert copies(numbered, (1, 0), V).time_offset_s.tolist() == [3, 4, 5, 0, 1, 2]
    four = joined(numbered, copies(numbered, (1, 0), V))
    assert len(four.distortion_model) == 4 * V and copies(four, (3,), V).time_offset_s.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("ties", "sentence"),
    [
        ([[0, 174, 1, 0], [174, 0, 8, 1], [1, 8, 0, 190], [0, 1, 190, 0]], "a and b hang on the others by 10 frames."),
        ([[0, 50, 40, 5], [50, 0, 60, 4], [40, 60, 0, 3], [5, 4, 3, 0]], "d hangs on the others by 12 frames."),
        ([[0, 50, 40, 5], [50, 0, 60, 6], [40, 60, 0, 5], [5, 6, 5, 0]], ""),
        ([[0, 3, 0, 0], [3, 0, 0, 0], [0, 0, 0, 9], [0, 0, 9, 0]], "a and b hang on the others by 0 frames."),
    ],
)
def test_the_weakest_tie_between_groups_is_told(ties: list[list[int]], sentence: str) -> None:
    found = [f.message for f in _connection(np.array(ties, float), ["a", "b", "c", "d"])]
    assert found == ([sentence] if sentence else [])


def test_steps_follow_the_valley_in_which_focal_length_and_depth_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """From half the focal length, straight steps take half as many more."""
    rig = random_rig(np.random.default_rng(3), 1, size_px=(1280, 720))
    seen = closeups(rig, BOARD, seed=2, images=20)
    (fitted,) = fit_intrinsics(seen, rig.names).values()
    images = Images.of(seen)
    wrong = fitted.camera.replace(K=fitted.camera.K * np.array([[0.5, 1, 1], [1, 0.5, 1], [1, 1, 1]]))
    poses = board_poses(images, [wrong])
    from core.calibration.board.bundle import Cameras

    state = Cameras(
        distortion_model=("pinhole",),
        numbers=numbers_of(wrong)[None],
        R=np.eye(3)[None],
        t_mm=np.zeros((1, 3)),
        time_offset_s=np.zeros(1),
    )
    free = np.zeros((1, N_UNKNOWNS), bool)
    free[:, NUMBERS.start + SOLVED] = True
    numbers, information = intrinsics_prior((1280, 720), "pinhole", float(rig.cameras[0].K[0, 0]))
    prior = Prior(numbers=numbers[None], information=information[None])
    way = initial_trajectory(1.0, images, poses, state)

    def solved() -> Solution:
        return solve(images, state, way, free, prior, scale_px=1280 * USUAL_PX, hand=(1e4, 1e7), steps=80)

    bent = solved()
    assert bent.cameras.numbers[0, :2] == pytest.approx(numbers_of(fitted.camera)[:2], rel=1e-3)
    monkeypatch.setattr(bundle, "_OVERSHOT", np.inf)
    straight = solved()
    assert bent.iterations < 0.8 * straight.iterations
