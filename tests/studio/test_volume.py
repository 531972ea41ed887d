"""Tests of the capture volume in the window: show, change, undo, reset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from core.errors import CoreError
from core.session import BASELINE, Session
from core.session.volume import active_volume
from core.types import PANOPTIC15, Pose3DSequence, VolumeSettings
from studio.main_window import MainWindow
from studio.shell.dialogs import ErrorDialog
from studio.volume.text import FIELDS, describe_volume, with_field
from studio.widgets.finding_row import FindingRow
from studio.widgets.number_field import NumberField

CONTROL = Qt.KeyboardModifier.ControlModifier
VOLUME = VolumeSettings(centre_mm=(100.0, 200.0, 900.0), size_mm=(4000.0, 3000.0, 2200.0))


def _click(qtbot, widget) -> None:
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def _type(qtbot, field: NumberField, text: str) -> None:
    """Replace the number in a field by typing."""
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)


def _doubt(qtbot, page) -> FindingRow:
    """Return the only visible problem."""

    def seen() -> list[FindingRow]:
        return [row for row in page.volume.findChildren(FindingRow) if row.isVisible()]

    qtbot.waitUntil(lambda: bool(seen()))
    (row,) = seen()
    return row


def _put_people(session: Session) -> None:
    take = session.take("two_people")
    xyz = np.random.default_rng(0).uniform((-1400, -500, 0), (-400, 500, 1700), (100, 1, 15, 3))
    Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=take.timeline().time_s,
        xyz_mm=xyz,
        score=np.ones((100, 1, 15)),
        person_ids=(1,),
    ).save(take.layout.poses3d(BASELINE))


@pytest.fixture
def opened(window: MainWindow, sample_session: Session, qtbot) -> MainWindow:
    """Show the Train page of the sample session in the active window."""
    window.open_path(sample_session.root)
    window.show_page("train")
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


@pytest.mark.slow
def test_the_train_page_shows_the_volume_and_follows_the_people(opened: MainWindow, sample_session: Session) -> None:
    editor = opened.pages["train"].volume
    assert editor.size_text.text() == "6.20 × 2.80 × 2.20 m"
    assert "64 × 28 × 24 voxels" in editor.voxel_text.text()
    assert "rig alone" in editor.origin.text()
    assert editor.fields["size_x"].value() == pytest.approx(6.20)
    assert editor.fields["bottom"].value() == pytest.approx(-0.2)
    _put_people(sample_session)
    opened.state.refresh()
    assert "the people" in editor.origin.text()
    assert editor.fields["size_x"].value() < 4
    opened.pages["train"].take_boxes["two_people"].setChecked(False)
    assert "rig alone" in editor.origin.text(), "people of takes that are not trained on are ignored"


@pytest.mark.slow
def test_voxels_follow_the_selected_preset(opened: MainWindow) -> None:
    page = opened.pages["train"]
    assert page.volume.fields["spacing"].value() == 10.0
    page.preset.setCurrentIndex(page.preset.findData("paper"))
    assert page.volume.fields["spacing"].value() == pytest.approx(10.1)


@pytest.mark.slow
def test_a_typed_number_is_stored_and_can_be_undone_with_shortcuts(
    opened: MainWindow, qtbot, sample_session: Session
) -> None:
    page = opened.pages["train"]
    derived = active_volume(sample_session, ["two_people"], 100.0).chosen
    assert not page.volume_reset.isEnabled()
    assert not opened.registry["edit.undo"].isEnabled()
    _type(qtbot, page.volume.fields["size_x"], "4.5")
    _type(qtbot, page.volume.fields["spacing"], "20")
    stored = sample_session.volume
    assert stored is not None
    assert stored.size_mm == (4500.0, *derived.size_mm[1:]), "the other edges keep their precision"
    assert stored.centre_mm == derived.centre_mm
    assert stored.spacing_mm == 200.0
    assert page.volume.size_text.text().startswith("4.50 × 2.80")
    assert "Set manually" in page.volume.origin.text()
    assert "training preset: 10 cm" in page.volume.spacing.text()

    field = page.volume.fields["spacing"]
    assert field.hasFocus(), "the field itself must not swallow the keys"
    qtbot.keyClick(field, Qt.Key.Key_Z, CONTROL)
    assert sample_session.volume is not None
    assert sample_session.volume.spacing_mm is None
    assert field.value() == 10.0
    qtbot.keyClick(field, Qt.Key.Key_Z, CONTROL)
    assert sample_session.volume is None
    assert "Derived" in page.volume.origin.text()
    assert not opened.registry["edit.undo"].isEnabled()
    qtbot.keyClick(field, Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(field, Qt.Key.Key_Y, CONTROL)
    assert sample_session.volume == stored
    assert not opened.registry["edit.redo"].isEnabled()


@pytest.mark.slow
def test_reset_derives_it_again_and_can_be_undone(opened: MainWindow, qtbot, sample_session: Session) -> None:
    page = opened.pages["train"]
    _type(qtbot, page.volume.fields["height"], "3")
    stored = sample_session.volume
    assert stored is not None
    assert stored.centre_mm[2] - stored.size_mm[2] / 2 == pytest.approx(-200), "a higher volume keeps its bottom"
    _click(qtbot, page.volume_reset)
    assert sample_session.volume is None
    assert page.volume.fields["height"].value() == pytest.approx(2.2)
    opened.registry["edit.undo"].trigger()
    assert sample_session.volume == stored


@pytest.mark.slow
def test_spinning_a_value_is_one_undo_step(opened: MainWindow, qtbot, sample_session: Session) -> None:
    field = opened.pages["train"].volume.fields["lowest"]
    field.setFocus()
    for _ in range(4):
        qtbot.keyClick(field, Qt.Key.Key_Up)
    assert sample_session.volume is not None
    assert sample_session.volume.synthetic.lowest_mm == 450.0
    opened.registry["edit.undo"].trigger()
    assert sample_session.volume is None


@pytest.mark.slow
def test_an_invalid_volume_is_rejected_with_the_remedy(opened: MainWindow, qtbot, sample_session: Session) -> None:
    field = opened.pages["train"].volume.fields["x"]
    before = field.value()
    _type(qtbot, field, "90")
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ErrorDialog) and w.isVisible())
    assert "No two cameras" in dialog.message.text()
    dialog.accept()
    assert field.value() == before
    assert sample_session.volume is None
    assert not opened.state.undo.canUndo()


@pytest.mark.slow
def test_a_damaged_file_is_reported_and_reset_repairs_it(opened: MainWindow, qtbot, sample_session: Session) -> None:
    page = opened.pages["train"]
    sample_session.layout.volume.write_text("centre_mm: [1, 2]", encoding="utf-8")
    opened.state.refresh()
    row = _doubt(qtbot, page)
    assert row.level == "error"
    assert "volume.yaml" in row.sentence.text()
    assert not page.volume.details.isVisible()
    _click(qtbot, page.volume_reset)
    assert page.volume.details.isVisible()
    assert page.volume.fields["size_x"].value() == pytest.approx(6.20)
    assert not sample_session.layout.volume.exists()


@pytest.mark.slow
def test_without_a_rig_the_next_step_is_shown(window: MainWindow, qtbot, tmp_path: Path) -> None:
    window.create_session(tmp_path / "mine")
    window.show_page("train")
    page = window.pages["train"]
    row = _doubt(qtbot, page)
    assert row.level == "info"
    assert not page.volume_3d.isEnabled()
    assert not page.volume_reset.isEnabled()


@pytest.mark.slow
def test_another_session_cannot_undo_the_changes_of_this_one(
    opened: MainWindow, qtbot, sample_session: Session, tmp_path: Path
) -> None:
    _type(qtbot, opened.pages["train"].volume.fields["size_y"], "3.5")
    stored = sample_session.volume
    opened.create_session(tmp_path / "mine")
    assert not opened.registry["edit.undo"].isEnabled()
    assert stored is not None
    assert sample_session.volume == stored


@pytest.mark.slow
def test_show_in_3d_opens_the_view_page_with_the_volume(opened: MainWindow, qtbot, sample_session: Session) -> None:
    _click(qtbot, opened.pages["train"].volume_3d)
    assert opened.page_name == "view"
    view = opened.pages["view"]
    assert view.toolbar.toggle("volume").isChecked()
    assert view.volume.isVisible()
    assert view.volume.editor.size_text.text() == "6.20 × 2.80 × 2.20 m"
    opened.registry["page.train"].trigger()
    _type(qtbot, opened.pages["train"].volume.fields["size_x"], "5")
    opened.registry["page.view"].trigger()
    assert view.volume.editor.size_text.text().startswith("5.00")
    assert view.presenter._volume is not None


@pytest.mark.slow
def test_the_wheel_scrolls_the_page_and_changes_no_number(opened: MainWindow, qtbot, sample_session: Session) -> None:
    field = opened.pages["train"].volume.fields["size_x"]
    field.clearFocus()
    place, steps = QPointF(5, 5), QPoint(0, 120)
    event = QWheelEvent(
        place,
        field.mapToGlobal(place),
        QPoint(),
        steps,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(field, event)
    assert not event.isAccepted()
    assert sample_session.volume is None


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.name)
def test_a_field_changes_what_it_shows_and_nothing_else(field, sample_session: Session) -> None:
    sample_session.set_volume(VOLUME)
    before = describe_volume(active_volume(sample_session, [], 100.0)).values
    value = before[field.name] + field.step
    sample_session.set_volume(with_field(VOLUME, field.name, value))
    after = describe_volume(active_volume(sample_session, [], 100.0)).values
    assert after.pop(field.name) == pytest.approx(value)
    before.pop(field.name)
    assert after == pytest.approx(before)


def test_doubtful_volumes_are_reported(sample_session: Session) -> None:
    rig = sample_session.require_rig()
    sample_session.set_volume(
        VolumeSettings(centre_mm=(0, 0, 900), size_mm=(40_000, 40_000, 2200), spacing_mm=300, rig="x")
    )
    problems = describe_volume(active_volume(sample_session, [], 100.0)).problems
    assert [level for level, _, _ in problems] == ["warning", "warning"]
    assert "another calibration" in problems[0][1]
    assert "only" in problems[1][1]
    sample_session.set_volume(VolumeSettings(centre_mm=(90_000, 0, 900), size_mm=(4000, 4000, 2200), rig=rig.digest))
    ((level, sentence, _),) = describe_volume(active_volume(sample_session, [], 100.0)).problems
    assert (level, sentence) == ("error", "No two cameras see any of it.")


@pytest.mark.slow
def test_an_undo_that_cannot_be_written_is_reported(
    opened: MainWindow, qtbot, sample_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    _type(qtbot, opened.pages["train"].volume.fields["size_x"], "5")

    def refuse(self: Session, chosen: VolumeSettings | None) -> None:
        raise CoreError("The disk is full.", "Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "set_volume", refuse)
        opened.registry["edit.undo"].trigger()
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ErrorDialog) and w.isVisible())
    assert dialog.message.text() == "The disk is full."
    dialog.accept()
    assert sample_session.volume is not None
