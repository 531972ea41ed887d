"""Tests of the floor dialog: three points clicked in images of a rig with exact ground truth."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from core.geometry import inside, project
from core.geometry.similarity import Similarity
from core.geometry.so3 import exp
from core.session import Session
from core.synthetic.rigs import ring_rig
from core.types import CameraRig
from core.types.arrays import F64
from studio.main_window import MainWindow
from studio.pages.calibrate.floor.clicks import FloorClicks
from studio.pages.calibrate.floor.dialog import FloorDialog
from studio.widgets.images.zoom_image import ZoomImage

sys.path.insert(0, str(Path(__file__).parent.parent / "studio_view"))
from numbered_take import SIZE_PX, make_take

TILT = Similarity(R=exp(np.array([0.0, 0.1, 0.8])), origin_mm=np.array([300.0, -500.0, 120.0]))
TRUE = ring_rig(3, size_px=SIZE_PX, distortion=(-0.05, 0.02, 0.001, 0.0, 0.0))
PLACES = ((-200.0, 100.0, 0.0), (900.0, 100.0, 0.0), (0.0, 900.0, 0.0))


@pytest.fixture
def dialog(window: MainWindow, qtbot, tmp_path: Path) -> Iterator[FloorDialog]:
    """Open the dialog on a session whose world coordinates are tilted and off the floor."""
    session = Session.create(tmp_path / "tilted")
    make_take(session, TRUE)
    TILT.rig(TRUE).save(session.layout.rig)
    window.state.set_session(session)
    window.show_page("calibrate")
    window.pages["calibrate"].steps.show_panel("world")
    qtbot.mouseClick(window.pages["calibrate"].world_card.points, Qt.MouseButton.LeftButton)
    (floor_dialog,) = window.findChildren(FloorDialog)
    qtbot.waitUntil(
        lambda: floor_dialog.loaded and all(p.image is not None for p in floor_dialog.panes), timeout=20_000
    )
    yield floor_dialog
    window.state.undo.clear()


def pane_of(dialog: FloorDialog, camera: str) -> ZoomImage:
    return next(p for p in dialog.panes if p.camera == camera)


def seen(rig: CameraRig, camera: str, place: tuple[float, ...]) -> F64:
    """Project a point of the true floor into a camera."""
    xy = project(TRUE[camera], np.array(place))
    assert inside(TRUE[camera], xy)
    assert rig[camera].size_px == TRUE[camera].size_px
    return xy


def click(qtbot, pane: ZoomImage, xy: F64, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
    qtbot.mouseClick(pane, button, pos=pane.to_widget(*xy).toPoint())


def zoom_to(pane: ZoomImage, xy: F64, steps: int) -> None:
    """Turn the wheel over a pixel."""
    for _ in range(abs(steps)):
        at = pane.to_widget(*xy)
        QApplication.sendEvent(
            pane,
            QWheelEvent(
                at,
                QPointF(pane.mapToGlobal(at.toPoint())),
                QPoint(0, 0),
                QPoint(0, 120 if steps > 0 else -120),
                Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            ),
        )


def show_all(qtbot, dialog: FloorDialog) -> None:
    for index, place in enumerate(PLACES):
        qtbot.mouseClick(dialog.points.button(index), Qt.MouseButton.LeftButton)
        for pane in dialog.panes[:2]:
            click(qtbot, pane, seen(dialog.clicks.rig, pane.camera, place))


@pytest.mark.slow
def test_digits_select_points_wherever_the_focus_is(dialog: FloorDialog, qtbot) -> None:
    qtbot.waitUntil(dialog.isActiveWindow)
    for index, widget in enumerate((dialog.takes, dialog.frame, dialog.shown)):
        widget.setFocus()
        qtbot.keyClick(widget, Qt.Key(Qt.Key.Key_1 + index))
        assert dialog.clicks.current == index


@pytest.mark.slow
def test_three_clicked_points_set_the_world_coordinates_and_undo_restores_them(
    window: MainWindow, dialog: FloorDialog, qtbot
) -> None:
    session = window.state.session
    assert session is not None
    before = session.require_rig()
    assert not dialog.apply.isEnabled()
    for pane in dialog.panes:
        zoom_to(pane, seen(dialog.clicks.rig, pane.camera, PLACES[0]), 14)
        assert pane.zoom > 20
    # Zoomed in at each point, so that one mouse pixel is a fraction of an image pixel.
    for index, place in enumerate(PLACES):
        qtbot.keyClick(dialog, Qt.Key(Qt.Key.Key_1 + index))
        for pane in dialog.panes:
            xy = seen(dialog.clicks.rig, pane.camera, place)
            pane.fit()
            zoom_to(pane, xy, 14)
            click(qtbot, pane, xy)
        assert dialog.clicks.state(index).level == "ok"
        assert "3 views" in dialog.states[index].text()
    assert dialog.apply.isEnabled()
    assert any(path.size for path in dialog.panes[0].lines[0].paths_px)  # preview of the new floor
    qtbot.mouseClick(dialog.apply, Qt.MouseButton.LeftButton)
    after = session.require_rig()
    shift = np.array(PLACES[0])
    for camera in after:
        np.testing.assert_allclose(camera.centre_mm, TRUE[camera.name].centre_mm - shift, atol=2.0)
        np.testing.assert_allclose(camera.pose[0], TRUE[camera.name].pose[0], atol=1e-3)
    assert "three clicked points" in after.source
    window.state.undo.undo()
    for camera in session.require_rig():
        np.testing.assert_allclose(camera.centre_mm, before[camera.name].centre_mm, atol=1e-6)


def test_exact_clicks_give_exact_world_coordinates() -> None:
    clicks = FloorClicks(TILT.rig(TRUE))
    for index, place in enumerate(PLACES):
        for name in TRUE.names:
            x, y = seen(clicks.rig, name, place)
            clicks.place(name, (float(x), float(y)), index)
    assert clicks.change is not None
    for camera in clicks.change.rig(clicks.rig):
        np.testing.assert_allclose(camera.centre_mm, TRUE[camera.name].centre_mm - np.array(PLACES[0]), atol=1e-3)


@pytest.mark.slow
def test_a_click_can_be_dragged_restored_and_removed(dialog: FloorDialog, qtbot) -> None:
    first, second, third = dialog.panes
    place = seen(dialog.clicks.rig, first.camera, PLACES[0])
    click(qtbot, first, place)
    assert [m.text for m in first.marks] == ["1"]
    assert not first.lines
    assert all(len(pane.lines) == 1 and pane.lines[0].paths_px for pane in (second, third))  # epipolar lines
    taken = dialog.clicks.clicked(0)[first.camera]
    np.testing.assert_allclose(taken, place, atol=1 / (first.to_widget(1, 0).x() - first.to_widget(0, 0).x()))

    start = first.to_widget(*taken).toPoint()
    qtbot.mousePress(first, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(first, start + QPoint(20, 8))
    assert first.dragging
    moved = dialog.clicks.clicked(0)[first.camera]
    assert moved[0] > taken[0] + 1
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert dialog.clicks.clicked(0)[first.camera] == taken
    qtbot.mouseRelease(first, Qt.MouseButton.LeftButton, pos=start + QPoint(20, 8))
    assert dialog.clicks.clicked(0)[first.camera] == taken

    click(qtbot, first, np.array(taken), Qt.MouseButton.RightButton)
    assert not dialog.clicks.clicked(0)
    assert not any(pane.lines or pane.marks for pane in dialog.panes)


@pytest.mark.slow
def test_dragging_away_from_a_click_pans_the_image_and_sets_no_click(dialog: FloorDialog, qtbot) -> None:
    pane = dialog.panes[0]
    middle = np.array(pane.size_px) / 2
    zoom_to(pane, middle, 6)
    before = pane.to_widget(*middle)
    qtbot.mousePress(pane, Qt.MouseButton.LeftButton, pos=before.toPoint())
    for step in (8, 16, 24):
        qtbot.mouseMove(pane, before.toPoint() + QPoint(step, 0))
    qtbot.mouseRelease(pane, Qt.MouseButton.LeftButton, pos=before.toPoint() + QPoint(24, 0))
    assert pane.to_widget(*middle).x() - before.x() == pytest.approx(16, abs=1)
    assert not dialog.clicks.clicked(0)
    zoom_to(pane, middle, -12)
    assert pane.zoom == 1
    assert pane.to_widget(*middle).x() == pytest.approx(pane.width() / 2, abs=1)


@pytest.mark.slow
def test_inconsistent_clicks_are_rejected_with_a_message(dialog: FloorDialog, qtbot) -> None:
    show_all(qtbot, dialog)
    assert dialog.apply.isEnabled()
    qtbot.mouseClick(dialog.points.button(2), Qt.MouseButton.LeftButton)
    wrong = dialog.panes[1]
    click(qtbot, wrong, seen(dialog.clicks.rig, wrong.camera, (-900.0, -700.0, 0.0)))
    assert "not of one point" in dialog.states[2].text()
    assert not dialog.apply.isEnabled()
    qtbot.mouseClick(dialog.clears[2], Qt.MouseButton.LeftButton)
    assert dialog.states[2].text() == "Not clicked yet."
    for pane in dialog.panes:
        click(qtbot, pane, seen(dialog.clicks.rig, pane.camera, (300.0, 110.0, 0.0)))
    assert "collinear" in dialog.verdict.text()
    assert not dialog.apply.isEnabled()


@pytest.mark.slow
def test_escape_closes_without_changes(window: MainWindow, dialog: FloorDialog, qtbot) -> None:
    session = window.state.session
    assert session is not None
    before = session.layout.rig.read_bytes()
    show_all(qtbot, dialog)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not window.findChildren(FloorDialog))
    assert session.layout.rig.read_bytes() == before
    assert window.state.undo.count() == 0


@pytest.mark.slow
def test_another_frame_and_a_single_camera_can_be_shown(dialog: FloorDialog, qtbot) -> None:
    show_all(qtbot, dialog)
    images = [pane.image for pane in dialog.panes]
    dialog.frame.setValue(5)
    qtbot.waitUntil(
        lambda: dialog.loaded and all(p.image is not old for p, old in zip(dialog.panes, images, strict=True))
    )
    assert len(dialog.clicks.clicked(1)) == 2  # clicks are kept
    small = dialog.panes[1].width()
    dialog.shown.setCurrentIndex(2)
    dialog.shown.activated.emit(2)
    shown: list[QWidget] = [pane for pane in dialog.panes if pane.isVisible()]
    assert shown == [dialog.panes[1]]
    qtbot.waitUntil(lambda: dialog.panes[1].width() > 1.5 * small)
