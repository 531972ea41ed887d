"""Tests of the Calibrate page, from board videos to a rig whose world coordinates are changed and restored."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget

from core.board.pattern import Board
from core.calibration.board.session_board import save_session_board
from core.config import from_mapping
from core.files import read_yaml
from core.session import Session
from core.synthetic.rigs import ring_rig
from studio.main_window import MainWindow
from studio.pages.calibrate import presenter
from studio.pages.calibrate.board_form import BoardForm
from studio.plots.error_timeline import ErrorTimeline
from studio.state.app_state import AppState
from studio.viewport.accuracy_colours import error_range_mm
from studio.viewport.layers.board import SHOW_BOARD
from studio.widgets.finding_row import FindingRow
from studio.widgets.images.coverage import CoverageTile

sys.path.insert(0, str(Path(__file__).parent.parent / "calibration"))
from board_videos import BOARD, film, small_rig

pytestmark = pytest.mark.slow


Ended = Callable[[AppState], None]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Provide videos of three cameras that see a moving board."""
    folder = tmp_path_factory.mktemp("film") / "wave"
    return tuple(str(p) for p in film(small_rig(), folder, seconds=10))


def click(qtbot: object, widget: QWidget) -> None:
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)  # type: ignore[attr-defined]


def session_of(window: MainWindow) -> Session:
    assert window.state.session is not None
    return window.state.session


def retype(qtbot: object, field: QWidget, text: str) -> None:
    field.setFocus()
    field.selectAll()  # type: ignore[attr-defined]
    qtbot.keyClicks(field, text)  # type: ignore[attr-defined]
    qtbot.keyClick(field, Qt.Key.Key_Return)  # type: ignore[attr-defined]


def test_board_videos_become_a_rig_and_every_change_can_be_undone(
    window: MainWindow, qtbot, tmp_path: Path, videos: tuple[str, ...], ended: Ended
) -> None:
    window.create_session(tmp_path / "mine")
    page = window.pages["calibrate"]
    window.show_page("calibrate")
    assert not page.solve_card.go.push.isEnabled()
    page.start_videos(videos)
    ended(window.state)
    assert session_of(window).take(session_of(window).take_names()[0]).manifest.kind == "board"
    assert "size of the squares" in page.solve_card.go.reason  # the only thing that the images do not show
    page.steps.show_panel("cameras")
    assert not page.board_card.form.columns.isVisible()
    retype(qtbot, page.board_card.form.square, f"{BOARD.square_mm:g}")
    assert from_mapping(Board, read_yaml(session_of(window).layout.board)) == Board(kind="auto", square_mm=120)
    assert page.solve_card.go.push.isEnabled()

    page.steps.show_panel("solve")
    click(qtbot, page.solve_card.go.push)
    assert "running" in page.solve_card.go.reason
    ended(window.state)
    assert page.solve_card.go.push.isEnabled()
    kept = from_mapping(Board, read_yaml(session_of(window).layout.board))
    assert (kept.kind, kept.columns, kept.rows, kept.square_mm) == ("charuco", BOARD.columns, BOARD.rows, 120)
    assert page.board_card.form.board == kept
    rig = session_of(window).require_rig()
    assert len(rig) == 3
    assert all(c.posed for c in rig)
    rows = page.check.findings_card.findChildren(FindingRow)
    assert any("Leave-one-camera-out" in row.sentence.text() for row in rows)
    assert page.solve_card.advice.text().startswith("Next: ")
    tiles = page.check.coverage.tiles
    assert [t.name for t in tiles if isinstance(t, CoverageTile)] == list(rig.names)
    assert page.check.pairs.names == rig.names
    assert page.check.table.item(0, 7).text().endswith("px")

    assert page.steps.current == "check"  # where the result is
    page.check.panels.show_panel("errors")
    shown = page.check.timeline.frame
    assert shown is not None  # the worst frame is shown first
    qtbot.waitUntil(
        lambda: all(t.loaded or t.message != "Loading…" for t in page.check.board_images.tiles), timeout=20_000
    )
    loaded = [t for t in page.check.board_images.tiles if t.loaded]
    assert any(t.lines[0].paths_px for t in loaded)
    qtbot.keyClick(page.check.timeline, Qt.Key.Key_Right)
    assert page.check.timeline.frame != shown
    qtbot.waitUntil(
        lambda: all(t.loaded or t.message != "Loading…" for t in page.check.board_images.tiles), timeout=20_000
    )
    scene = page.check.rig_view.rig_scene
    assert scene.is_available(SHOW_BOARD)
    assert set(scene.images) == {t.caption for t in page.check.board_images.tiles if t.loaded}
    page.check.show_frame(page.check.timeline.frame)  # showing the same frame again keeps the images
    assert set(scene.images) == {t.caption for t in page.check.board_images.tiles if t.loaded}
    bare = {t.caption: len(t.lines) for t in page.check.board_images.tiles if t.loaded}
    click(qtbot, page.check.frame_floor)
    qtbot.waitUntil(
        lambda: all(t.loaded or t.message != "Loading…" for t in page.check.board_images.tiles), timeout=20_000
    )
    floored = {t.caption: len(t.lines) for t in page.check.board_images.tiles if t.loaded}
    assert floored == {name: count + 2 for name, count in bare.items()}
    floor_before = page.check.board_images.tiles[0].lines[0].paths_px

    before = rig["cam1"].centre_mm
    page.steps.show_panel("world")
    click(qtbot, page.world_card.rotations["z"])
    turned = session_of(window).require_rig()["cam1"].centre_mm
    assert turned == pytest.approx([-before[1], before[0], before[2]])
    assert page.check.rig_view.rig_scene.reliability.basis == "loco"
    click(qtbot, page.world_card.flip)
    page.steps.show_panel("check")  # images are loaded while they can be seen
    qtbot.waitUntil(
        lambda: all(t.loaded or t.message != "Loading…" for t in page.check.board_images.tiles), timeout=20_000
    )
    floor_now = page.check.board_images.tiles[0].lines[0].paths_px
    assert [p.tolist() for p in floor_now] != [p.tolist() for p in floor_before]  # redrawn after the change
    window.state.undo.undo()
    page.steps.show_panel("world")
    retype(qtbot, page.world_card.distance, "1000")
    click(qtbot, page.world_card.scale)
    scaled = session_of(window).require_rig()
    assert np.linalg.norm(scaled["cam1"].centre_mm - scaled["cam2"].centre_mm) == pytest.approx(1000)
    assert window.state.undo.count() == 2
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    page.world_card.distance.setFocus()
    qtbot.keyClick(page.world_card.distance, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(page.world_card.distance, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session_of(window).require_rig()["cam1"].centre_mm == pytest.approx(before)
    qtbot.keyClick(page.world_card.distance, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert session_of(window).require_rig()["cam1"].centre_mm == pytest.approx(turned)
    assert any("Leave-one-camera-out" in r.sentence.text() for r in page.check.findings_card.findChildren(FindingRow))

    page.start_export(str(tmp_path / "rig.toml"), "anipose")
    ended(window.state)
    assert (tmp_path / "rig.toml").exists()


def test_the_board_of_the_images_is_offered_instead_of_a_wrong_one(
    window: MainWindow, qtbot, tmp_path: Path, videos: tuple[str, ...], ended: Ended
) -> None:
    window.create_session(tmp_path / "other")
    page = window.pages["calibrate"]
    window.show_page("calibrate")
    page.start_videos(videos)
    ended(window.state)
    save_session_board(session_of(window), dataclasses.replace(BOARD, dictionary="DICT_6X6_50"))
    page.refresh()
    page.steps.show_panel("solve")
    assert not page.solve_card.use_board.isVisible()
    click(qtbot, page.solve_card.go.push)
    ended(window.state)
    assert "dictionary is DICT_4X4_50, not DICT_6X6_50" in page.solve_card.wrong_board.text()
    click(qtbot, page.solve_card.use_board)
    assert not page.solve_card.use_board.isVisible()
    assert from_mapping(Board, read_yaml(session_of(window).layout.board)) == BOARD
    assert page.board_card.form.board == BOARD


def test_an_invalid_board_is_reported_at_once(dressed: QApplication, qtbot) -> None:
    form = BoardForm()
    qtbot.addWidget(form)
    form.show()
    form.show_board(Board())
    retype(qtbot, form.marker, "60")
    assert "do not fit" in form.problem
    retype(qtbot, form.marker, "20")
    assert not form.problem
    assert form.board.marker_mm == 20
    form.kind.setCurrentIndex(form.kind.findData("chessboard"))
    form.kind.activated.emit(form.kind.currentIndex())
    assert not form.marker.isVisible()
    assert form.board.kind == "chessboard"


def test_a_click_on_the_timeline_selects_the_nearest_frame(dressed: QApplication, qtbot) -> None:
    plot = ErrorTimeline()
    qtbot.addWidget(plot)
    plot.resize(600, 132)
    plot.show()
    plot.show_errors(np.arange(20) / 10, [None, *np.linspace(0.5, 2, 19)])
    with qtbot.waitSignal(plot.frame_selected) as caught:
        place = plot.mapFromScene(plot.plotItem.vb.mapViewToScene(plot.plotItem.vb.viewRect().center()))
        qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert 7 <= caught.args[0] <= 13
    assert plot.frame == caught.args[0]


def test_the_accuracy_plan_shows_every_height(window: MainWindow, qtbot, sample_session: Session) -> None:
    window.state.set_session(sample_session)
    window.show_page("calibrate")
    page = window.pages["calibrate"]
    page.check.panels.show_panel("accuracy")
    assert page.check.plan.map is not None
    words = set()
    for button in page.check.heights.buttons():
        click(qtbot, button)
        words.add(page.check.accuracy_text.text())
        assert page.check.plan.level == page.check.heights.id(button)
    assert len(words) == 3
    low, high = error_range_mm(page.check.plan.map)
    assert 0 < low < high


def test_worst_frame_export_filters_and_camera_rows() -> None:
    assert presenter.worst_frame(np.array([np.nan, 1, 5, 2])) == 2
    assert presenter.worst_frame(np.full(3, np.nan)) is None
    filters = presenter.export_filters()
    assert {"selfpose", "anipose", "qca", "xcp", "colmap"} <= set(filters.values())
    rows = presenter.camera_rows(ring_rig(3))
    assert all(len(row) == len(presenter.CAMERA_HEADERS) for row in rows)
