"""The Calibrate and Train pages offer the repair that the people in a take ask for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from core.session.status import session_status
from core.synthetic.rigs import ring_rig
from studio.main_window import MainWindow
from studio.shell.replace_dialog import ReplaceDialog
from studio.state.app_state import AppState

sys.path.insert(0, str(Path(__file__).parent.parent / "calibration"))
from late_cameras import late_take, session_of, triangulated

pytestmark = pytest.mark.slow


def test_a_late_camera_is_synchronised_by_the_button_of_the_banner(
    window: MainWindow, qtbot, tmp_path: Path, ended: Callable[[AppState], None]
) -> None:
    rig = ring_rig(4)
    session = session_of(tmp_path, rig)
    late_take(session, rig, {"cam01": 0.2}, 40, 400.0)
    triangulated(session)
    assert session_status(session).steps["rig"].reason == (
        "4 calibrated cameras. The people in walk do not fit cam01: run 'certify'."
    )
    window.open_path(session.root)
    assert "cam01 does not fit what the other cameras see" in window.pages["view"].presenter.notice.heading
    window.show_page("train")
    notice = window.pages["train"].repair_notice
    assert notice.isVisible() and "cam01 does not fit" in notice.sentence.text()
    assert notice.push.text() == "Synchronise cameras"
    train = window.pages["train"]
    assert train.repair_first.isVisible()
    train.repair_first.setChecked(True)
    train.run_all_steps()
    (question,) = window.findChildren(ReplaceDialog)
    assert question.isVisible() and not window.state.jobs.active, "a calibration is not replaced without a question"
    question.reject()
    window.show_page("calibrate")
    page = window.pages["calibrate"]
    page.steps.show_panel("check")
    assert "cam01 does not fit what the other cameras see" in page.banner.sentence.text()
    assert page.banner.push.text() == "Synchronise cameras"
    assert page.banner.push.toolTip().startswith("Synchronise the take with certify: the expected remaining error is ")
    page.steps.show_panel("world")
    assert page.banner.push.text() == "Show findings"
    qtbot.mouseClick(page.banner.push, Qt.MouseButton.LeftButton)
    assert page.steps.current == "check"
    qtbot.mouseClick(page.banner.push, Qt.MouseButton.LeftButton)
    ended(window.state)
    assert session.take("walk").clock_errors == {"cam01": pytest.approx(-0.2, abs=0.003)}
    assert not page.banner.push.isVisible(), "nothing is offered until the people are compared again"
    window.show_page("train")
    assert not notice.isVisible() and not train.repair_first.isVisible()
