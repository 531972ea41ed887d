"""Tests of live cameras on the Calibrate page, with the demo cameras and real clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from core.board.pattern import Board
from core.jobs import JobSpec, StatusChanged
from core.jobs.events import encode
from core.jobs.spec import EVENTS_FILE
from studio.main_window import MainWindow
from studio.pages.calibrate.live_card import LiveCard
from studio.pages.calibrate.live_state import LiveReader, with_name
from studio.settings import SettingsStore
from studio.state.app_state import AppState

pytestmark = pytest.mark.slow


BOARD = Board(columns=5, rows=4, square_mm=120, marker_mm=90, dictionary="DICT_4X4_50", back="none")


def test_cameras_get_names() -> None:
    assert with_name(" left = rtsp://a/b?c=d ".replace(" = ", "="), ()) == "left=rtsp://a/b?c=d"
    assert with_name("rtsp://host/x?user=me", ("cam01=y",)) == "cam02=rtsp://host/x?user=me"


def test_damaged_states_are_skipped(tmp_path: Path) -> None:
    reader = LiveReader(tmp_path)
    assert reader.poll() is None and reader.preview("a") is None
    JobSpec(verb="record").save(tmp_path)
    whole = {"seconds": 2, "advice": "", "cameras": {}}
    with (tmp_path / EVENTS_FILE).open("w", encoding="utf-8") as events:
        for values in ({}, {"seconds": 1, "advice": "", "cameras": {"a": {}}}, {"seconds": "x"}, whole, {"cameras": 1}):
            events.write(encode(StatusChanged(values=values)) + "\n")
    state = reader.poll()
    assert state is not None and state.seconds == 2 and not state.cameras


def test_cameras_are_added_kept_and_removed(window: MainWindow, qtbot) -> None:
    settings = SettingsStore(None)
    card = LiveCard(settings)
    qtbot.addWidget(card)
    card.show()
    assert not card.record.isEnabled() and not card.preview.isEnabled()
    qtbot.keyClicks(card.address, "left=rtsp://192.0.2.7/one")
    qtbot.keyClick(card.address, Qt.Key.Key_Return)
    qtbot.keyClicks(card.address, "http://192.0.2.8/two")
    qtbot.mouseClick(card.add, Qt.MouseButton.LeftButton)
    assert settings.value.cameras == ("left=rtsp://192.0.2.7/one", "cam01=http://192.0.2.8/two")
    assert card.record.isEnabled() and card.address.text() == ""
    remove = next(w for w in card.findChildren(type(card.add)) if w.accessibleName() == "Remove left")
    qtbot.mouseClick(remove, Qt.MouseButton.LeftButton)
    assert card.cameras == ("cam01=http://192.0.2.8/two",)


def test_the_board_is_recorded_live_and_offered_for_calibration(
    window: MainWindow, qtbot, tmp_path: Path, ended: Callable[[AppState], None]
) -> None:
    window.create_session(tmp_path / "mine")
    window.show_page("calibrate")
    page = window.pages["calibrate"]
    page.board_card.form.show_board(BOARD)
    card = page.live_card
    qtbot.mouseClick(card.demo, Qt.MouseButton.LeftButton)
    assert len(card.cameras) == 4
    qtbot.mouseClick(card.record, Qt.MouseButton.LeftButton)
    assert card.stop.isVisible() and not card.record.isVisible() and not card.address.isVisible()
    qtbot.waitUntil(lambda: len(card.images) == 4 and all(tile.loaded for tile in card.images.values()), timeout=40_000)
    qtbot.waitUntil(lambda: any(len(t.lines[0].paths_px) > 8 for t in card.images.values()), timeout=40_000)
    qtbot.waitUntil(lambda: any(t.cells.any() for t in card.images.values()), timeout=40_000)
    assert "Next: " in card.message.text() and " fps" in next(iter(card.images.values())).caption
    qtbot.mouseClick(card.stop, Qt.MouseButton.LeftButton)
    ended(window.state)
    session = window.state.session
    assert session is not None
    (take,) = session.take_names()
    assert page.solve_card.take.currentText() == take and page.solve_card.go.push.isEnabled()
    assert session.take(take).manifest.kind == "board"
    assert card.record.isVisible() and not card.stop.isVisible() and not card.images
