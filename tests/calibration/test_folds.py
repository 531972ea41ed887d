"""Cross-validation: contradictions between folds, the lower cost, the table of candidates, weak connections."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.board.pattern import Board
from core.calibration.board import selection
from core.calibration.board.adjustment import bundle
from core.calibration.board.adjustment.bundle import BoardSolution, adjust_board, robust_cost
from core.calibration.board.adjustment.state import (
    INTRINSICS,
    N_UNKNOWNS,
    BoardImages,
    CameraPrior,
    Cameras,
)
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.cross_validation import time_blocks, two_folds
from core.calibration.board.initial.extrinsics import board_poses
from core.calibration.board.initial.initialization import initial_trajectory
from core.calibration.board.initial.intrinsics import SOLVED, fit_intrinsics, intrinsics_prior
from core.calibration.board.report import _connection
from core.calibration.board.selection import CONTRADICTION, Model, disagreement, fit, fit_everything, select
from core.calibration.board.setup import InitialRig, Setup, initial_rig, make_setup
from core.geometry.intrinsics import intrinsics_of
from core.geometry.so3 import exp
from core.progress import NullReporter
from core.synthetic.board_scene import board_scene, closeups
from core.synthetic.rigs import random_rig

pytestmark = pytest.mark.slow


BOARD = Board(columns=8, rows=6, square_mm=100, marker_mm=75)
V = 3
NOISE_PX = 1.0
OFFSETS = Model(time_offset=True, refined=np.zeros(V, bool))


@pytest.fixture(scope="module")
def setup() -> Setup:
    """Three cameras with known intrinsics and a short recording."""
    rig = random_rig(np.random.default_rng(5), V, size_px=(1280, 720))
    known = {c.name: c.replace(R=None, t_mm=None) for c in rig}
    seen = board_scene(rig, BOARD, seed=1, seconds=6)
    return make_setup(seen, CalibrateConfig(board=BOARD, fixed_intrinsics=True, refine=False), known, ())[0]


@pytest.fixture(scope="module")
def start(setup: Setup) -> InitialRig:
    return initial_rig(setup)


@pytest.fixture(scope="module")
def solution(setup: Setup, start: InitialRig) -> BoardSolution:
    return fit(setup, start, np.ones(len(start.images), bool), OFFSETS)


def disturbed(solution: BoardSolution) -> BoardSolution:
    """Rotate one camera by 20 standard errors of a difference, and delay another one by 30."""
    cameras, sd = solution.cameras, solution.sd(slice(0, 7))
    first, second = np.flatnonzero(sd.any(1))
    R, time_offset = cameras.R.copy(), cameras.time_offset_s.copy()
    R[first] = exp(np.array([20 * np.sqrt(2) * sd[first, 0], 0, 0])) @ R[first]
    time_offset[second] += 30 * np.sqrt(2) * sd[second, 6]
    return dataclasses.replace(solution, cameras=dataclasses.replace(cameras, R=R, time_offset_s=time_offset))


def test_folds_that_agree_do_not_contradict_each_other(solution: BoardSolution, start: InitialRig) -> None:
    assert disagreement(solution, solution).max() < 0.1
    assert disagreement(solution, disturbed(solution))[start.root] == 0  # held fixed: nothing is known of its error


def test_a_rotated_or_delayed_camera_contradicts_by_its_standard_errors(solution: BoardSolution) -> None:
    found = disagreement(solution, disturbed(solution))
    assert np.sort(found) == pytest.approx([0, 20, 30], rel=0.1)
    assert found.max() > CONTRADICTION
    one = disturbed(solution)
    assert disagreement(one, one).max() < 0.1


def test_missing_points_cost_as_much_as_distant_ones(solution: BoardSolution, start: InitialRig) -> None:
    images = start.images
    good = robust_cost(solution.residual_px, images.valid, NOISE_PX)
    worse = solution.residual_px.copy()
    worse[images.view == 1] += 5.0
    assert robust_cost(worse, images.valid, NOISE_PX) > 3 * good
    lost = solution.residual_px.copy()
    lost[images.view == 0, 0] = np.nan
    assert robust_cost(lost, images.valid, NOISE_PX) > good + 30 * (images.view == 0).sum()


def test_folds_are_separate_in_time_and_share_no_image(start: InitialRig, setup: Setup) -> None:
    block = time_blocks(start.images, len(setup.seen.time_s))
    even, odd = two_folds(start.images, block)
    assert not (even & odd).any()
    assert (even | odd).all()  # a short recording is used entirely
    assert set(block[start.images.frame[even]]) == {0, 2, 4, 6, 8}


def test_contradicting_folds_are_resolved_by_the_lower_cost(
    setup: Setup, start: InitialRig, solution: BoardSolution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both folds are continued on all images, and the better one is kept."""
    tried: list[BoardSolution] = []
    original = selection.fit

    def recorded(*args: object, **kwargs: object) -> BoardSolution:
        tried.append(original(*args, **kwargs))  # type: ignore[arg-type]
        return tried[-1]

    monkeypatch.setattr(selection, "fit", recorded)
    selected, _ = select(setup, start, NullReporter())
    folds = dataclasses.replace(selected, model=OFFSETS, solutions=(disturbed(solution), solution))
    tried.clear()
    best = fit_everything(setup, start, folds)
    costs = [robust_cost(s.residual_px, start.images.valid, setup.noise_px) for s in tried]
    assert len(tried) == 2
    assert best is tried[int(np.argmin(costs))]


def test_a_candidate_is_kept_only_if_the_held_out_error_falls(setup: Setup, start: InitialRig) -> None:
    """Synchronised cameras: time offsets are estimated, gain nothing and are rejected."""
    found, notes = select(setup, start, NullReporter())
    assert not found.model.time_offset
    assert notes == ["No time offsets: they do not lower the held-out error."]
    assert np.isfinite(found.prediction.error_px).mean() > 0.5


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([[0, 174, 1, 0], [174, 0, 8, 1], [1, 8, 0, 190], [0, 1, 190, 0]], "a and b share only 10 frames"),
        ([[0, 50, 40, 5], [50, 0, 60, 4], [40, 60, 0, 3], [5, 4, 3, 0]], "d shares only 12 frames"),
        ([[0, 50, 40, 5], [50, 0, 60, 6], [40, 60, 0, 5], [5, 6, 5, 0]], ""),
        ([[0, 3, 0, 0], [3, 0, 0, 0], [0, 0, 0, 9], [0, 0, 9, 0]], "a and b share only 0 frames"),
    ],
)
def test_the_weakest_connection_between_groups_is_reported(frames: list[list[int]], message: str) -> None:
    found = [
        f.message.removesuffix(" with the other cameras.")
        for f in _connection(np.array(frames, float), ["a", "b", "c", "d"])
    ]
    assert found == ([message] if message else [])


def test_steps_follow_the_valley_in_which_focal_length_and_depth_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """From half the focal length, steps without geodesic acceleration take half as many more."""
    rig = random_rig(np.random.default_rng(3), 1, size_px=(1280, 720))
    seen = closeups(rig, BOARD, seed=2, images=20)
    (fitted,) = fit_intrinsics(seen, rig.names).values()
    images = BoardImages.of(seen)
    wrong = fitted.camera.replace(K=fitted.camera.K * np.array([[0.5, 1, 1], [1, 0.5, 1], [1, 1, 1]]))
    poses = board_poses(images, [wrong])
    cameras = Cameras(
        distortion_model=("pinhole",),
        intrinsics=intrinsics_of(wrong)[None],
        R=np.eye(3)[None],
        t_mm=np.zeros((1, 3)),
        time_offset_s=np.zeros(1),
    )
    free = np.zeros((1, N_UNKNOWNS), bool)
    free[:, INTRINSICS.start + SOLVED] = True
    mean, information = intrinsics_prior((1280, 720), "pinhole", float(rig.cameras[0].K[0, 0]))
    prior = CameraPrior(intrinsics=mean[None], information=information[None])
    trajectory = initial_trajectory(1.0, images, poses, cameras)

    def solved() -> BoardSolution:
        return adjust_board(
            images, cameras, trajectory, free, prior, noise_px=NOISE_PX, motion=(1e4, 1e7), max_steps=80
        )

    bent = solved()
    assert bent.cameras.intrinsics[0, :2] == pytest.approx(intrinsics_of(fitted.camera)[:2], rel=1e-3)
    monkeypatch.setattr(bundle, "_ACCELERATION_DAMPING", np.inf)
    straight = solved()
    assert bent.iterations < 0.8 * straight.iterations
