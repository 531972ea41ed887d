"""`run --repair-rig`: a late camera is synchronised and a turned one repaired before the training begins."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import CancelledError
from core.geometry.so3 import angle_rad, exp
from core.pipelines.params import RunParams
from core.pipelines.run import run_pipeline
from core.progress import RecordingReporter
from core.session import BASELINE, Session
from core.synthetic.rigs import ring_rig
from core.types import CameraRig

sys.path.insert(0, str(Path(__file__).parent.parent / "calibration"))
from late_cameras import error_mm, late_take, session_of

pytestmark = pytest.mark.slow
SPEED_MM_S = 700.0


class StopsBeforeTraining(RecordingReporter):
    """Reporter that cancels when the training is about to begin."""

    def cancelled(self) -> bool:
        return any(status.get("step") == "train" for status in self.statuses)


def run(session: Session, *, repair_rig: bool) -> RecordingReporter:
    reporter = StopsBeforeTraining()
    with pytest.raises(CancelledError):
        run_pipeline(session, RunParams(take="walk", repair_rig=repair_rig), session.new_run("run"), reporter)
    return reporter


def test_run_offers_the_repair_and_makes_it_where_asked(tmp_path: Path) -> None:
    """One camera is 0.5 s late and another one was turned by 2 degrees since the calibration."""
    truth = ring_rig(4)
    R = exp(np.radians(2.0) * np.array([0.6, 0.8, 0.0])) @ truth[2].pose[0]
    turned = truth[2].replace(R=R, t_mm=-R @ truth[2].centre_mm)
    session = session_of(tmp_path, CameraRig(cameras=(*truth.cameras[:2], turned, truth[3])))
    late_take(session, truth, {"cam01": 0.5}, 120, SPEED_MM_S)
    before = session.layout.rig.read_bytes()

    notes = [text for text, _ in run(session, repair_rig=False).notes]
    assert sum("run --repair-rig" in text for text in notes) == 1
    assert session.layout.rig.read_bytes() == before
    assert session.take("walk").clock_errors == {}
    wrong_mm = error_mm(session, SPEED_MM_S)

    reporter = run(session, repair_rig=True)
    assert session.take("walk").clock_errors == {"cam01": pytest.approx(-0.5, abs=0.005)}
    R, _ = session.require_rig()[2].pose
    assert np.degrees(angle_rad(R @ truth[2].pose[0].T)) < 0.15
    assert session.take("walk").poses3d(BASELINE).provenance["rig_warning"] == ""
    assert error_mm(session, SPEED_MM_S) < 8.0 < wrong_mm
    assert not [text for text, _ in reporter.notes if "run --repair-rig" in text]
    shares = [done for done, total, _ in reporter.progresses if total == 1.0]
    assert shares == sorted(shares), "total progress never decreases"
