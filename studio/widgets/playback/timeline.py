"""Timeline: play, scrub and step through a take."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from studio.icons import icon
from studio.theme import current_theme
from studio.widgets.choice import Choice
from studio.widgets.frame_ticker import FrameTicker
from studio.widgets.playback.clock import SPEEDS, PlaybackClock
from studio.widgets.playback.timeline_bar import EMPTY_TIMELINE, TimelineBar, TimelineModel, clock_text

_SHIFT_STEP = 10


class TimelineWidget(QWidget):
    """Transport buttons, speed, time readout and bar.

    Args:
        ticker: Ticker shared by the animated parts of the page; a private one by default.
        now: Wall clock in s.
        parent: Owner.

    Signals:
        frame_changed: Frame to show.
        playing_changed: True if playback runs.
    """

    frame_changed = Signal(int)
    playing_changed = Signal(bool)

    def __init__(
        self,
        ticker: FrameTicker | None = None,
        now: Callable[[], float] = time.perf_counter,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._ticker = ticker or FrameTicker(parent=self)
        self._ticker.subscribe(self._tick)
        self._playing = False
        self._now, self._model, self._frame = now, EMPTY_TIMELINE, 0
        self._clock: PlaybackClock | None = None
        self.bar = TimelineBar()
        self.bar.scrubbed.connect(self.seek)
        self._build()
        self.show_model(EMPTY_TIMELINE)

    @property
    def frame(self) -> int:
        """Frame shown."""
        return self._frame

    @property
    def playing(self) -> bool:
        """True while playback runs."""
        return self._playing

    def show_model(self, model: TimelineModel) -> None:
        """Show another take or result. For the same take, keep the frame and continue playback."""
        same = len(model.time_s) == len(self._model.time_s) and bool((model.time_s == self._model.time_s).all())
        if not same:
            self.pause()
        self._model = model
        self.bar.show_model(model)
        count = len(model.time_s)
        for button in self._buttons:
            button.setEnabled(count > 0)
        self.speed.setEnabled(count > 0)
        self._held_out_key.setVisible(model.held_out is not None and bool(np.any(model.held_out)))
        if not same:
            self._clock = PlaybackClock(model.time_s) if count else None
            self._frame = 0
            self.bar.show_frame(0)
            if count:
                self.frame_changed.emit(0)
        self._write_labels()

    def seek(self, frame: int) -> None:
        """Go to a frame; playback continues from there."""
        count = len(self._model.time_s)
        if not count:
            return
        self._go(int(np.clip(frame, 0, count - 1)))
        if self.playing:
            self._restart()

    def step(self, frames: int) -> None:
        """Pause and move by a number of frames."""
        self.pause()
        self.seek(self._frame + frames)

    def step_back(self) -> None:
        """Pause and go to the previous frame."""
        self.step(-1)

    def step_forward(self) -> None:
        """Pause and go to the next frame."""
        self.step(1)

    def to_start(self) -> None:
        """Pause and go to the first frame."""
        self.step(-len(self._model.time_s))

    def to_end(self) -> None:
        """Pause and go to the last frame."""
        self.step(len(self._model.time_s))

    def play(self) -> None:
        """Play from the current frame at the selected speed; start over at the end."""
        if self._clock is not None and not self.playing:
            self._restart()
            self._playing = True
            self._ticker.request()
            self._show_playing(True)

    def pause(self) -> None:
        """Stop at the frame shown."""
        if self.playing:
            self._playing = False
            self._show_playing(False)

    def toggle(self) -> None:
        """Toggle playback."""
        if self.playing:
            self.pause()
        else:
            self.play()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle Space, arrows (with Shift by ten), Home and End."""
        if not self.handle_key(event):
            super().keyPressEvent(event)

    def handle_key(self, event: QKeyEvent) -> bool:
        """Handle a key that a page forwards; return True if the timeline uses it."""
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier):
            return False
        match event.key():
            case Qt.Key.Key_Space:
                self.toggle()
            case Qt.Key.Key_Left:
                self.step(-_SHIFT_STEP if shift else -1)
            case Qt.Key.Key_Right:
                self.step(_SHIFT_STEP if shift else 1)
            case Qt.Key.Key_Home:
                self.to_start()
            case Qt.Key.Key_End:
                self.to_end()
            case _:
                return False
        event.accept()
        return True

    def _build(self) -> None:
        self.play_button = _button("play", "Play (Space)", self.toggle)
        self._buttons = [
            _button("step-back", "Go to start (Home)", self.to_start),
            _button("frame-back", "Previous frame (Left; with Shift 10 frames)", self.step_back),
            self.play_button,
            _button("frame-forward", "Next frame (Right; with Shift 10 frames)", self.step_forward),
            _button("step-forward", "Go to end (End)", self.to_end),
        ]
        self.loop = _button("loop", "Loop playback", self._change_loop)
        self.loop.setCheckable(True)
        self.loop.setChecked(True)
        self._buttons.append(self.loop)
        self.speed = Choice()
        self.speed.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.speed.setToolTip("Playback speed")
        self.speed.setAccessibleName("Playback speed")
        for speed in SPEEDS:
            self.speed.addItem(f"{speed:g}×", speed)
        self.speed.setCurrentIndex(SPEEDS.index(1.0))
        self.speed.currentIndexChanged.connect(self._change_speed)
        self.readout = Readout()
        self._held_out_key = QLabel("▬  Held out of training")
        self._held_out_key.setProperty("role", "warn")
        row = QHBoxLayout()
        row.setContentsMargins(8, 4, 12, 0)
        row.setSpacing(4)
        for button in self._buttons:
            row.addWidget(button)
        row.addSpacing(4)
        row.addWidget(self.speed)
        row.addSpacing(12)
        row.addWidget(self.readout, 1)
        row.addWidget(self._held_out_key)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.bar)

    def _restart(self) -> None:
        if self._clock is not None:
            self._clock.start(self._frame, float(self.speed.currentData()), self._now(), loop=self.loop.isChecked())

    def _tick(self) -> bool:
        """Advance playback; return True if it continues."""
        if self._playing and self._clock is not None:
            frame, ended = self._clock.frame(self._now())
            self._go(frame)
            if ended:
                self.pause()
        return self._playing

    def _go(self, frame: int) -> None:
        if frame != self._frame:
            self._frame = frame
            self.bar.show_frame(frame)
            self._write_labels()
            self.frame_changed.emit(frame)

    def _change_speed(self) -> None:
        if self.playing:
            self._restart()

    def _change_loop(self) -> None:
        if self.playing:
            self._restart()

    def _show_playing(self, playing: bool) -> None:
        self.play_button.setIcon(icon("pause" if playing else "play", "text"))
        self.play_button.setToolTip("Pause (Space)" if playing else "Play (Space)")
        self.playing_changed.emit(playing)

    def _write_labels(self) -> None:
        times = self._model.time_s
        if not len(times):
            self.readout.show_text("", "")
            return
        here, end = clock_text(times[self._frame] - times[0]), clock_text(times[-1] - times[0])
        self.readout.show_text(f"{here} / {end}", f"Frame {self._frame + 1} of {len(times)}")


class Readout(QWidget):
    """Time and frame number. Painted, because a changing label would trigger a layout of the whole page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.time_text = self.frame_text = ""

    def show_text(self, time_text: str, frame_text: str) -> None:
        """Show time and frame number."""
        if (time_text, frame_text) != (self.time_text, self.frame_text):
            self.time_text, self.frame_text = time_text, frame_text
            self.setAccessibleName(f"{time_text}, {frame_text}")
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the time in bold, then the frame number."""
        theme = current_theme()
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold)
        # Tabular digits, so that the text does not move.
        font.setFeature(QFont.Tag("tnum"), 1)
        with QPainter(self) as painter:
            flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
            painter.setFont(font)
            painter.setPen(QColor(theme.text))
            painter.drawText(self.rect(), flags, self.time_text)
            offset = painter.fontMetrics().horizontalAdvance(self.time_text) + 16
            font.setWeight(QFont.Weight.Normal)
            painter.setFont(font)
            painter.setPen(QColor(theme.muted))
            painter.drawText(self.rect().adjusted(offset, 0, 0, 0), flags, self.frame_text)


def _button(name: str, tip: str, slot: Callable[[], None]) -> QToolButton:
    button = QToolButton()
    button.setIcon(icon(name, "text"))
    button.setIconSize(QSize(18, 18))
    button.setToolTip(tip)
    button.setAccessibleName(tip.partition(" (")[0])
    # No focus on click, so that Space still plays.
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.clicked.connect(slot)
    return button
