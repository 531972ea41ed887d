"""Tests of live cameras on the Record page, with the demo cameras and real clicks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtWidgets import QWidget

from core.calibration.sync.certificate import CameraSync, ClockReport, SyncCertificate
from core.capture.controls import EXPOSURE, Control
from core.config import to_mapping
from core.errors import CoreError
from core.files import resource, write_json
from core.process import ProcessIdentity
from core.session import Session
from core.session.incoming import IncomingOwner, reserve
from studio.main_window import MainWindow
from studio.pages.record import presenter
from studio.pages.record.camera_panel import ControlRow
from studio.state.app_state import AppState
from studio.state.live_status import live_status
from studio.widgets.cameras.fit_grid import FitGrid
from studio.widgets.cameras.live_tiles import camera_facts, trouble


def test_names_of_takes_count_up() -> None:
    assert presenter.counted_name("walk", ()) == "walk_01"
    assert presenter.counted_name("walk_01", ("walk_01", "Walk_02")) == "walk_03"
    assert presenter.counted_name("walk_07", ("walk_01",)) == "walk_07"
    assert presenter.counted_name(" a / b 9", ("a_b_09",)) == "a_b_10"
    assert presenter.counted_name("…", ("take_01",)) == "take_02"


def test_a_slider_of_exposure_is_logarithmic_and_meets_the_steps() -> None:
    exposure = Control(name=EXPOSURE, value=1000, minimum=10, maximum=100_000, step=0, unit="us")
    assert presenter.control_position(exposure) == pytest.approx(0.5)
    assert presenter.control_value(exposure, 0.5) == pytest.approx(1000)
    assert presenter.control_text(exposure) == "1 ms"
    gain = Control(name="gain", value=7, minimum=0, maximum=10, step=2, unit="dB")
    assert [presenter.control_value(gain, at) for at in (0.0, 0.31, 1.0)] == [0, 4, 10]


def test_controls_with_named_values_are_lists_and_facts_cannot_be_set(qtbot) -> None:
    trigger = Control(name="trigger", value=1, minimum=0, maximum=2, step=1, choices=("free run", "Line1", "Software"))
    row = ControlRow(trigger)
    qtbot.addWidget(row)
    assert row.choice.currentText() == "Line1" and row.slider.isHidden() and row.value.isHidden()
    with qtbot.waitSignal(row.edited) as edited:
        row.choice.activated.emit(2)
    assert edited.args == [2]
    row.show_control(replace(trigger, value=2))
    assert row.choice.currentText() == "Software"
    for name, shown in (("ptp_offset", "-120 ns"), ("ptp_status", "slave")):
        choices = ("slave",) if name == "ptp_status" else ()
        value = 0 if choices else -120
        fact = Control(name=name, value=value, minimum=value, maximum=value, step=0, unit="ns", choices=choices)
        row = ControlRow(fact)
        qtbot.addWidget(row)
        assert row.value.text() == shown and row.slider.isHidden() and row.choice.isHidden()
    ptp = replace(trigger, name="ptp", choices=("off", "on"))
    assert "not their exposures" in presenter.control_help(ptp) and presenter.control_title(ptp) == "PTP"


def test_the_state_of_a_camera_is_told() -> None:
    camera = {
        "state": "running",
        "problem": "",
        "size_px": [1280, 720],
        "frames": 90,
        "fps": 29.97,
        "dropped": 2,
        "lost": 1,
        "skew_ms": -4.2,
        "utc_error_ms": 12.4,
        "cells": [],
        "share": 0.0,
        "ring": "",
        "controls": [{"name": "gain", "value": 1, "minimum": 0, "maximum": 2, "step": 1}],
    }
    other = {**camera, "state": "lost", "skew_ms": 3.1, "dropped": 0, "lost": 0, "frames": 80}
    values = {"state": "recording", "take": "a", "seconds": 3, "disk_minutes": 90.4, "markers": [{}], "advice": ""}
    status = live_status({**values, "cameras": {"left": camera, "right": other}})
    assert status is not None
    left, right = status.cameras["left"], status.cameras["right"]
    assert camera_facts(left) == ("3 dropped", "30 fps", "-4 ms")
    assert trouble("left", left, 0.1) == ""
    assert trouble("left", left, 3.2) == "left stopped sending images 3 s ago."
    assert trouble("right", right, 3.2) == "right stopped sending images 3 s ago; reconnecting"
    assert presenter.recording_facts(status) == ["3 dropped", "skew 7 ms", "disk 90 min", "1 marker"]
    assert left.controls[0].name == "gain" and ("State", "Reconnecting") in presenter.fact_rows(right)
    assert ("Wall clock", "+12 ms") in presenter.fact_rows(left)


@pytest.mark.parametrize("size", [(1030, 430), (1650, 780), (300, 900)])
def test_tiles_fill_their_place_without_overlap(qtbot, size: tuple[int, int]) -> None:
    for count in (1, 2, 4, 7, 9):
        grid = FitGrid()
        qtbot.addWidget(grid)
        tiles = [QWidget() for _ in range(count)]
        grid.resize(QSize(*size))
        grid.set_tiles(tiles)
        boxes = [tile.geometry() for tile in tiles]
        assert all(grid.rect().contains(box) for box in boxes)
        assert not any(a.intersects(b) for i, a in enumerate(boxes) for b in boxes[:i])
        assert len({(box.width(), box.height()) for box in boxes}) == 1
        united = QRect()
        for box in boxes:
            united = united.united(box)
        assert max(united.width() / size[0], united.height() / size[1]) > 0.97
        grid.enlarge(tiles[-1])
        assert all(grid.rect().contains(tile.geometry()) for tile in tiles)
        assert tiles[-1].width() == max(tile.width() for tile in tiles)


def test_an_address_is_tried_before_it_is_added() -> None:
    image, text = presenter.try_camera(str(resource("sample", "cam01.mp4")))
    assert (image.width(), image.height()) == (1088, 1920) or "×" in text
    with pytest.raises(CoreError):
        presenter.try_camera("rtsp://127.0.0.1:9/none")
    assert presenter.address_problem("nowhere.mp4", "") and presenter.address_problem("rtsp://a/b", "a b!")
    assert presenter.address_problem("rtsp://a/b", "left") == ""


def test_the_certificate_of_a_take_is_shown(sample_session: Session) -> None:
    take = sample_session.take("two_people")
    before = presenter.take_result(sample_session, take.name)
    assert before.level == "ok" and before.sentence == "two_people: 4 cameras, 0:01 at 60 fps, no dropped images."
    for offset_s, level in ((0.0, "ok"), (0.1, "warning")):
        SyncCertificate(
            take=take.name,
            method="people",
            made="",
            summary=f"cam01 is {offset_s} s late.",
            cameras=tuple(
                CameraSync(
                    name=name,
                    offset_s=offset_s,
                    offset_sd_s=0.001,
                    drift_ppm=0.0,
                    drift_sd_ppm=0.5,
                    drops=(),
                    clock=ClockReport(start_s=0.0, fps=60.0),
                )
                for name in take.cameras
            ),
        ).save(take.layout.sync)
        result = presenter.take_result(sample_session, take.name)
        assert (result.level, result.details) == (level, f"cam01 is {offset_s} s late.")
    (card,) = presenter.take_cards(sample_session)
    assert card.certificate is not None and hash(card)


@pytest.mark.slow
def test_an_interrupted_recording_and_a_warning_are_shown(window: MainWindow, qtbot, sample_session: Session) -> None:
    incoming = reserve(sample_session, "lost", run="20250101-000000-record", cameras=("cam01",))
    dead = dataclasses.replace(ProcessIdentity.of(), created=1.0)
    owner = IncomingOwner(process=dead, run="20250101-000000-record", cameras=("cam01",))
    write_json(incoming.owner, to_mapping(owner))
    window.open_path(sample_session.root)
    window.show_page("record")
    page = window.pages["record"]
    qtbot.waitUntil(page.banner.isVisible, timeout=20_000)
    assert "lost" in page.banner.sentence.text() and page.banner.push.isEnabled()
    assert page.strip.isVisible() and not page.empty.isVisible()  # there are takes, but no cameras
    window.state.cameras.add(["left=rtsp://192.0.2.7/one"])
    assert page.stage.isVisible() and page.bar.state == "off" and not page.strip.isVisible()
    window.state.cameras.warned.emit("left has stopped sending images.")
    assert page.notice.isVisible()
    qtbot.waitUntil(lambda: page.stage.geometry().bottom() < page.takes_title.geometry().top() < page.area.height())
    qtbot.mouseClick(page.notice.push, Qt.MouseButton.LeftButton)
    assert not page.notice.isVisible()


@pytest.mark.slow
def test_a_take_is_recorded_and_offered_for_the_next_step(
    window: MainWindow, qtbot, tmp_path: Path, ended: Callable[[AppState], None]
) -> None:
    window.create_session(tmp_path / "mine")
    window.show_page("record")
    page, cameras = window.pages["record"], window.state.cameras
    assert page.empty.isVisible() and not page.bar.isVisible()
    qtbot.mouseClick(page.empty.offers.board, Qt.MouseButton.LeftButton)
    assert len(page.stage.tiles) == 4 and page.bar.isVisible() and not page.empty.isVisible()
    qtbot.waitUntil(lambda: page.bar.state == "watching", timeout=40_000)
    qtbot.waitUntil(lambda: all(tile.loaded for tile in page.stage.tiles.values()), timeout=40_000)
    assert window.state.jobs.why_not() == ""  # cameras that are watched stand in nobody's way
    tile = page.stage.tiles["cam02"]
    qtbot.mouseClick(tile, Qt.MouseButton.LeftButton)
    assert page.stage.large == "cam02" and page.stage.panel.isVisible()
    assert tile.width() > 2 * page.stage.tiles["cam01"].width()
    qtbot.keyClick(tile, Qt.Key.Key_Escape)
    assert not page.stage.large and not page.stage.panel.isVisible()
    page.bar.name.setText("board")
    assert page.bar.kind.currentData() == "board"
    page.bar.length.setValue(2)
    qtbot.mouseClick(page.bar.push, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.bar.state == "recording", timeout=40_000)
    assert window.state.jobs.why_not() and not page.bar.name.isVisible()
    qtbot.waitUntil(page.result.isVisible, timeout=40_000)
    assert page.result.take == "board_01" and "4 cameras" in page.result.sentence.text()
    assert page.bar.name.text() == "board_02"
    qtbot.waitUntil(lambda: [card.take.name for card in page.takes] == ["board_01"])
    session = window.state.session
    assert session is not None and session.take("board_01").manifest.kind == "board"
    qtbot.waitUntil(lambda: page.bar.state == "watching", timeout=40_000)  # the cameras go on
    qtbot.mouseClick(page.result.calibrate, Qt.MouseButton.LeftButton)
    calibrate = window.pages["calibrate"]
    assert window.page_name == "calibrate" and calibrate.steps.current == "solve"
    assert calibrate.solve_card.take.currentText() == "board_01"
    cameras.stop()
    ended(window.state)
    assert page.bar.state == "off"
