"""Playback: the clock, the controls of the timeline and its painted bar."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from studio.theme import current_theme
from studio.widgets.frame_ticker import FrameTicker
from studio.widgets.playback.clock import PlaybackClock
from studio.widgets.playback.timeline import TimelineWidget
from studio.widgets.playback.timeline_bar import TimelineModel, Track, clock_text, spans

TIMES = np.arange(60) / 30


@given(
    steps=st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40),
    speed=st.sampled_from([0.1, 0.25, 1.0, 2.0]),
    waits=st.lists(st.floats(0, 0.4), max_size=20),
)
def test_the_clock_shows_the_last_frame_that_has_begun(steps: list[float], speed: float, waits: list[float]) -> None:
    times = np.concatenate([[0.0], np.cumsum(steps)]) + 5
    clock, now = PlaybackClock(times), 100.0
    clock.start(0, speed, now)
    for wait in waits:
        now += wait
        index, ended = clock.frame(now)
        played = (now - 100.0) * speed
        assert times[index] - 5 <= played + 1e-6
        assert index == len(times) - 1 or times[index + 1] - 5 > played - 1e-6
        assert ended == (played >= clock.duration_s)


def test_a_slow_display_skips_frames() -> None:
    clock = PlaybackClock(TIMES)
    clock.start(0, 1.0, 0.0)
    assert [clock.frame(t)[0] for t in (0.0, 0.51, 1.02)] == [0, 15, 30]


def test_looping_starts_over_after_the_period_of_the_last_frame() -> None:
    clock = PlaybackClock(TIMES)
    clock.start(30, 1.0, 0.0, loop=True)
    assert clock.frame(0.99)[0] == 59
    assert clock.frame(1.01) == (0, False)
    clock.start(30, 1.0, 0.0)
    assert clock.frame(1.01) == (59, True)


def test_playing_from_the_end_starts_over() -> None:
    clock = PlaybackClock(TIMES)
    clock.start(59, 1.0, 0.0)
    assert clock.frame(0.0)[0] == 0


def test_a_take_may_have_one_frame() -> None:
    clock = PlaybackClock(np.zeros(1))
    clock.start(0, 1.0, 0.0, loop=True)
    assert clock.frame(3.0) == (0, True)


@pytest.mark.parametrize(
    ("seconds", "digits", "text"),
    [(0, 2, "00:00.00"), (65.254, 2, "01:05.25"), (59.999, 2, "01:00.00"), (3599.96, 1, "60:00.0"), (90, 0, "01:30")],
)
def test_clock_text(seconds: float, digits: int, text: str) -> None:
    assert clock_text(seconds, digits) == text


@given(st.lists(st.booleans(), max_size=30))
def test_spans_cover_exactly_the_true_frames(mask: list[bool]) -> None:
    painted = np.zeros(len(mask), bool)
    runs = spans(np.array(mask, bool))
    for first, stop in runs:
        assert first < stop
        painted[first:stop] = True
    assert painted.tolist() == mask
    assert all(a[1] < b[0] for a, b in itertools.pairwise(runs))


class Now:
    """Wall clock set by the test."""

    def __init__(self) -> None:
        self.time_s = 50.0

    def __call__(self) -> float:
        return self.time_s


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def ticker(qapp: object) -> FrameTicker:
    return FrameTicker(interval_ms=3_600_000)


@pytest.fixture
def timeline(qtbot: QtBot, now: Now, ticker: FrameTicker) -> TimelineWidget:
    widget = TimelineWidget(ticker, now)
    qtbot.addWidget(widget)
    present = np.ones(60, bool)
    present[20:30] = False
    confidence = np.where(present, 0.8, np.nan)
    held_out = np.zeros(60, bool)
    held_out[40:50] = True
    track = Track(name="Person 1", person=0, present=present, confidence=confidence)
    widget.show_model(TimelineModel(time_s=TIMES, tracks=(track,), held_out=held_out))
    widget.resize(760, widget.sizeHint().height())
    widget.show()
    return widget


def test_playing_advances_by_true_time_and_stops_at_the_end(
    timeline: TimelineWidget, now: Now, ticker: FrameTicker
) -> None:
    timeline.loop.setChecked(False)
    timeline.play()
    now.time_s += 0.5
    ticker.tick()
    assert timeline.frame == 15
    assert timeline.playing
    now.time_s += 2.0
    ticker.tick()
    assert timeline.frame == 59
    assert not timeline.playing
    assert not ticker.running


def test_the_speed_can_change_while_playing(timeline: TimelineWidget, now: Now, ticker: FrameTicker) -> None:
    timeline.play()
    now.time_s += 0.5
    ticker.tick()
    timeline.speed.setCurrentIndex(timeline.speed.findData(0.1))
    now.time_s += 1.0
    ticker.tick()
    assert timeline.frame == 18


def test_keys(timeline: TimelineWidget, qtbot: QtBot) -> None:
    bar = timeline.bar
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    assert timeline.frame == 1
    qtbot.keyClick(bar, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert timeline.frame == 11
    qtbot.keyClick(bar, Qt.Key.Key_Left)
    assert timeline.frame == 10
    qtbot.keyClick(bar, Qt.Key.Key_End)
    assert timeline.frame == 59
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    assert timeline.frame == 59
    qtbot.keyClick(bar, Qt.Key.Key_Home)
    assert timeline.frame == 0
    qtbot.keyClick(bar, Qt.Key.Key_Space)
    assert timeline.playing
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    assert not timeline.playing


def test_the_mouse_scrubs(timeline: TimelineWidget, qtbot: QtBot) -> None:
    from PySide6.QtCore import QPoint

    seen: list[int] = []
    timeline.frame_changed.connect(seen.append)
    bar = timeline.bar
    qtbot.mousePress(bar, Qt.MouseButton.LeftButton, pos=QPoint(round(bar.x_of(10.5)), 40))
    qtbot.mouseMove(bar, QPoint(round(bar.x_of(44.5)), 40))
    qtbot.mouseRelease(bar, Qt.MouseButton.LeftButton)
    assert seen[0] == 10
    qtbot.mousePress(bar, Qt.MouseButton.LeftButton, pos=QPoint(-50, 40))
    assert timeline.frame == 0


def test_gaps_and_held_out_frames_are_visible(timeline: TimelineWidget) -> None:
    """The bar has the colour of the person where present, not in the gap, and a shade over held-out frames."""
    image = timeline.bar.grab().toImage()
    y = 20 + 4 + 13  # inside the solid part of the first track
    colour = current_theme().person(0)

    def at(frame: float) -> str:
        return image.pixelColor(round(timeline.bar.x_of(frame)), y).name()

    assert at(10.3) == colour
    assert at(55.3) == colour
    assert at(25.3) != colour
    below = 20 + 1
    plain = image.pixelColor(round(timeline.bar.x_of(25.3)), below).name()
    shaded = image.pixelColor(round(timeline.bar.x_of(45.3)), below).name()
    assert plain != shaded


def test_another_take_starts_at_its_first_frame(timeline: TimelineWidget) -> None:
    timeline.seek(30)
    timeline.play()
    timeline.show_model(TimelineModel(time_s=np.arange(5) / 25))
    assert timeline.frame == 0
    assert not timeline.playing
    assert timeline.readout.frame_text == "Frame 1 of 5"


def test_another_result_of_the_same_take_keeps_the_frame(timeline: TimelineWidget) -> None:
    timeline.seek(30)
    timeline.show_model(TimelineModel(time_s=TIMES))
    assert timeline.frame == 30


def test_without_a_take_the_controls_are_disabled(qtbot: QtBot) -> None:
    widget = TimelineWidget()
    qtbot.addWidget(widget)
    assert not widget.play_button.isEnabled()
    widget.toggle()
    widget.seek(5)
    assert widget.frame == 0
    assert not widget.playing


def test_the_ticker_runs_only_while_a_subscriber_needs_it(qapp: object) -> None:
    ticker, left = FrameTicker(interval_ms=3_600_000), [2]

    def step() -> bool:
        left[0] -= 1
        return left[0] > 0

    ticker.subscribe(step)
    assert not ticker.running
    ticker.request()
    ticker.tick()
    assert ticker.running
    ticker.tick()
    assert not ticker.running


def test_short_gaps_of_a_long_take_are_seen_on_its_track(timeline: TimelineWidget) -> None:
    present = np.ones(100_000, bool)
    present[50_000:50_100] = present[80_000:] = False
    confidence = np.where(present, 0.9, np.nan)
    track = Track(name="Person 1", person=0, present=present, confidence=confidence)
    timeline.show_model(TimelineModel(time_s=np.arange(100_000) / 60, tracks=(track,)))
    shown, step = timeline.bar._in_columns(track)
    assert len(shown.present) <= 1000 and shown.present[: 80_000 // step].all() and not shown.present[-10:].any()
    assert shown.confidence[: 40_000 // step] == pytest.approx(0.9)
    assert shown.confidence[49_900 // step : 50_200 // step].min() < 0.6
