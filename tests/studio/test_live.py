"""Tests of live cameras on the Calibrate page, with the demo cameras and real clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from core.board.pattern import Board
from core.capture.session_cameras import SessionCameras, read_cameras, save_cameras
from core.errors import CoreError
from core.session import Session
from studio.main_window import MainWindow
from studio.state.app_state import AppState
from studio.state.live_status import live_status

pytestmark = pytest.mark.slow


BOARD = Board(columns=5, rows=4, square_mm=120, marker_mm=90, dictionary="DICT_4X4_50", back="none")


def test_cameras_keep_their_names(sample_session: Session) -> None:
    cameras = SessionCameras().with_added(["left=rtsp://a/b?c=d", "rtsp://host/x?user=me"])
    assert cameras.used == ("left=rtsp://a/b?c=d", "cam01=rtsp://host/x?user=me")
    fewer = cameras.without("left").with_added(["v4l2:/dev/video0", "rtsp://host/x?user=me"])
    assert fewer.used == ("cam01=rtsp://host/x?user=me", "cam02=v4l2:/dev/video0")
    assert fewer.with_added(["rtsp://a/b?c=d"]).used[-1] == "left=rtsp://a/b?c=d"  # as it was named before
    renamed = fewer.renamed("cam01", "door").without("door").with_added(["rtsp://host/x?user=me"], ["cam02", "cam09"])
    assert renamed.used == ("cam02=v4l2:/dev/video0", "door=rtsp://host/x?user=me")
    assert renamed.with_added(["new"], ["cam02", "cam09"]).used[-1] == "cam09=new"
    with pytest.raises(CoreError, match="Another camera"):
        renamed.renamed("door", "cam02")
    save_cameras(sample_session, renamed)
    assert read_cameras(sample_session) == renamed


def test_damaged_states_are_skipped() -> None:
    for values in ({}, {"seconds": 1, "advice": "", "cameras": {"a": {}}}, {"seconds": "x"}, {"cameras": 1}):
        assert live_status(values) is None
    status = live_status({"seconds": 2, "advice": "", "cameras": {}})
    assert status is not None and status.seconds == 2 and not status.cameras


def test_cameras_are_added_kept_and_removed(window: MainWindow, qtbot, tmp_path: Path) -> None:
    window.create_session(tmp_path / "mine")
    window.show_page("calibrate")
    cameras, card = window.state.cameras, window.pages["calibrate"].live_card
    assert not card.record.isEnabled() and not card.preview.isEnabled()
    qtbot.keyClicks(card.address, "left=rtsp://192.0.2.7/one")
    qtbot.keyClick(card.address, Qt.Key.Key_Return)
    qtbot.keyClicks(card.address, "http://192.0.2.8/two")
    qtbot.mouseClick(card.add, Qt.MouseButton.LeftButton)
    assert cameras.cameras == ("left=rtsp://192.0.2.7/one", "cam01=http://192.0.2.8/two")
    assert card.record.isEnabled() and card.address.text() == ""
    remove = next(w for w in card.findChildren(type(card.add)) if w.accessibleName() == "Remove left")
    qtbot.mouseClick(remove, Qt.MouseButton.LeftButton)
    assert cameras.cameras == ("cam01=http://192.0.2.8/two",)
    window.create_session(tmp_path / "next")
    assert cameras.cameras == ("cam01=http://192.0.2.8/two",)
    cameras.remove("cam01")
    cameras.add_demo(people=True)
    window.create_session(tmp_path / "last")
    assert not cameras.cameras


def test_the_board_is_recorded_live_and_offered_for_calibration(
    window: MainWindow, qtbot, tmp_path: Path, ended: Callable[[AppState], None]
) -> None:
    window.create_session(tmp_path / "mine")
    window.show_page("calibrate")
    page = window.pages["calibrate"]
    page.board_card.form.show_board(BOARD)
    card = page.live_card
    qtbot.mouseClick(card.demo, Qt.MouseButton.LeftButton)
    assert len(window.state.cameras.cameras) == 4
    qtbot.mouseClick(card.record, Qt.MouseButton.LeftButton)
    assert card.stop.isVisible() and not card.record.isVisible() and not card.address.isVisible()
    qtbot.waitUntil(lambda: len(card.images) == 4 and all(tile.loaded for tile in card.images.values()), timeout=40_000)
    qtbot.waitUntil(lambda: any(len(t.lines[0].paths_px) > 8 for t in card.images.values()), timeout=40_000)
    qtbot.waitUntil(lambda: any(t.cells.any() for t in card.images.values()), timeout=40_000)
    # The frame rate is known only some images after the first.
    qtbot.waitUntil(lambda: all(" fps" in "".join(tile.facts) for tile in card.images.values()), timeout=40_000)
    assert "Next: " in card.message.text()
    qtbot.mouseClick(card.stop, Qt.MouseButton.LeftButton)
    ended(window.state)
    session = window.state.session
    assert session is not None
    (take,) = session.take_names()
    assert page.solve_card.take.currentText() == take and page.solve_card.go.push.isEnabled()
    assert session.take(take).manifest.kind == "board"
    assert card.record.isVisible() and not card.stop.isVisible() and not card.images
