"""False alarms of the report on good rigs: a sample of what `scripts/bench_calibration.py` counts."""

from __future__ import annotations

import numpy as np
import pytest

from core.board.pattern import Board
from core.calibration.board.calibrate import calibrate_board
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.metrics import measure
from core.calibration.board.report import assess_board
from core.calibration.checks import check_rig
from core.calibration.world import guess_world
from core.progress import NullReporter
from core.synthetic.board_scene import board_scene, closeups
from core.synthetic.rigs import random_rig


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1004, 1009])
def test_a_good_random_rig_raises_no_alarm(seed: int) -> None:
    board = Board(columns=8, rows=6, square_mm=100, marker_mm=75)
    rig = random_rig(np.random.default_rng(seed), 3 + seed % 3, size_px=(1920, 1080))
    seen = board_scene(rig, board, seed=seed, seconds=30)
    found = calibrate_board(
        seen,
        CalibrateConfig(board=board),
        NullReporter(),
        intrinsics_views=[closeups(rig, board, seed=seed, images=30)],
    )
    path = found.solution.trajectory
    places = (board.points_mm @ np.swapaxes(path.R, -1, -2) + path.t_mm[:, None]).reshape(-1, 3)
    upright = guess_world(found.rig, places)[0].rig(found.rig)
    findings = [*assess_board(measure(found), found.rig, seen, calibration=found), *check_rig(upright).findings]
    assert [f.message for f in findings if f.level != "ok"] == []
