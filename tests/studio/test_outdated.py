"""The window with results of a former calibration: notices, one button, the list of calibrations, undo."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).parent.parent / "session"))

from walking import walking_session

from core.calibration.world import rotate_quarters
from core.geometry import project
from core.geometry.so3 import exp
from core.pipelines.params import ImportRigParams
from core.pipelines.rig.adopt import use_calibration
from core.session import BASELINE, Session
from core.session.calibrations import kept_calibrations
from core.session.moving import replace_rig
from studio.main_window import MainWindow
from studio.pages.export.presenter import result_choices
from studio.pages.view.presenter import ViewPresenter
from studio.shell.replace_dialog import ReplaceDialog
from studio.state.app_state import AppState
from studio.theme import DARK
from studio.viewport.palette import palette

pytestmark = pytest.mark.slow


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return walking_session(tmp_path / "s")


def repair(session: Session) -> None:
    """Turn one camera by two degrees."""
    rig = session.require_rig()
    first = rig[0].replace(R=exp(np.array([0.0, 0.035, 0.0])) @ rig[0].pose[0])
    replace_rig(session, dataclasses.replace(rig, cameras=(first, *rig.cameras[1:])), {"findings": []})


def skeletons(presenter: ViewPresenter) -> np.ndarray:
    """Return the first person over the images of the first camera."""
    camera = presenter.take.cameras[0]  # type: ignore[union-attr]
    (shown,) = presenter.overlay(camera, 3, palette(DARK)).skeletons
    return shown.xy_px


def test_view_shows_a_result_with_the_calibration_that_made_it(state: AppState, session: Session) -> None:
    state.set_session(session)
    presenter = ViewPresenter(state)
    presenter.load_take()
    before = skeletons(presenter)
    assert presenter.notice is None and presenter._volume is not None

    state.rig.move(session, rotate_quarters("z", 1), "Rotated.")
    presenter.load_result()
    assert presenter.notice is None
    assert np.nanmax(np.abs(skeletons(presenter) - before)) < 0.01

    repair(session)
    presenter.load_result()
    assert presenter.notice is not None and presenter.notice.outdated
    assert "calibration has changed" in presenter.notice.heading and "with their calibration" in presenter.notice.remedy
    assert np.nanmax(np.abs(skeletons(presenter) - before)) < 0.01
    take = session.take("walk")
    wrong = project(session.rig_for(take)[0], take.poses3d(BASELINE).xyz_mm[3])
    assert np.nanmax(np.abs(wrong)) > 0 and presenter._volume is None

    for kept in kept_calibrations(session):
        if not kept.in_use:
            session.layout.calibration(kept.name).rig.unlink()
    presenter.load_result()
    assert "without cameras" in presenter.notice.remedy
    assert presenter.overlay(take.cameras[0], 3, palette(DARK)).skeletons == ()


def test_a_result_of_another_calibration_is_not_drawn_as_a_ghost(state: AppState, session: Session) -> None:
    take = session.take("walk")
    other = take.poses3d(BASELINE)
    dataclasses.replace(other, provenance={**other.provenance, "rig": "another"}).save(take.layout.poses3d("fast"))
    state.set_session(session)
    presenter = ViewPresenter(state)
    presenter.load_take()
    assert presenter.result == BASELINE and presenter.notice is None
    state.comparison_name = "fast"
    presenter.load_result()
    assert len(presenter.overlay(take.cameras[0], 3, palette(DARK)).skeletons) == 1
    assert "not drawn" in presenter.notice.heading


def test_changes_of_the_rig_are_undone_with_all_that_moved(state: AppState, session: Session) -> None:
    state.set_session(session)
    take, digests = session.take("walk"), []
    poses = take.poses3d(BASELINE).xyz_mm
    for axis in ("z", "x"):
        state.rig.move(session, rotate_quarters(axis, 1), f"Rotated about {axis}.")
        digests.append(session.require_rig().digest)
    repair(session)  # as a job does
    state.rig.follow(session, "Repaired.")
    assert state.undo.count() == 3
    for _ in range(2):
        state.undo.undo()
    assert session.require_rig().digest == digests[0]
    state.undo.undo()
    assert np.nanmax(np.abs(take.poses3d(BASELINE).xyz_mm - poses)) < 1e-6
    for _ in range(3):
        state.undo.redo()
    assert [k.in_use for k in kept_calibrations(session)].count(True) == 1
    state.rig.use(session, next(k.name for k in kept_calibrations(session) if not k.in_use))
    assert state.undo.count() == 4


def test_pages_say_it_and_one_button_brings_it_up_to_date(
    window: MainWindow, session: Session, qtbot, ended: Callable[[AppState], None]
) -> None:
    window.state.set_session(session)
    repair(session)
    window.state.refresh()
    window.show_page("export")
    export = window.pages["export"]
    assert "calibration has changed" in export.outdated_text.sentence.text() and export.outdated.isVisible()
    window.show_page("train")
    train = window.pages["train"]
    assert train.steps["triangulate"].dot.state == "outdated"
    assert train.bring_up_to_date.isVisible()
    window.show_page("view")
    view = window.pages["view"]
    assert "calibration has changed" in view.notice_text and view._notice.update_button.isVisible()
    qtbot.mouseClick(view._notice.update_button, Qt.MouseButton.LeftButton)
    ended(window.state)
    assert view.notice_text == ""
    window.show_page("train")
    assert not train.bring_up_to_date.isVisible()


def test_calibrations_are_listed_and_replaced_after_a_question(
    window: MainWindow, session: Session, qtbot, tmp_path: Path, ended: Callable[[AppState], None]
) -> None:
    window.state.set_session(session)
    window.show_page("calibrate")
    page, first = window.pages["calibrate"], session.require_rig()
    page.steps.show_panel("solve")
    repair(session)
    session.require_rig().save(tmp_path / "rig.toml")
    use_calibration(session, next(k.name for k in kept_calibrations(session) if not k.in_use))
    page.start_import(ImportRigParams(path=str(tmp_path / "rig.toml")))
    question = open_question()
    assert "1 3D result made with it will be out of date" in question.text.text()
    question.reject()
    assert not window.state.jobs.jobs
    page.start_import(ImportRigParams(path=str(tmp_path / "rig.toml")))
    qtbot.keyClick(open_question(), Qt.Key.Key_Return)
    ended(window.state)
    assert session.require_rig().digest != first.digest
    page.steps.show_panel("solve")
    assert len(page.calibrations.uses) == 1
    (push,) = page.calibrations.uses.values()
    qtbot.mouseClick(push, Qt.MouseButton.LeftButton)
    open_question().go.click()
    assert session.require_rig().digest == first.digest
    window.state.undo.undo()
    assert session.require_rig().digest != first.digest


def open_question() -> ReplaceDialog:
    return next(w for w in QApplication.topLevelWidgets() if isinstance(w, ReplaceDialog) and w.isVisible())


def test_a_result_that_was_never_measured_is_named(state: AppState, session: Session) -> None:
    take = session.take("walk")
    take.poses3d(BASELINE).save(take.layout.poses3d("fast"))
    state.set_session(session)
    presenter = ViewPresenter(state)
    presenter.load_take()
    assert presenter.notice is None  # the baseline is shown
    presenter.select_result("fast")
    presenter.load_result()
    assert presenter.notice.heading == "“Shipped Fast” has not been evaluated on this take."
    assert dict(result_choices(session, take))["fast"].endswith("not evaluated")
