"""Bar with the record button, the settings of the next take, and the state of the recording."""

from __future__ import annotations

import time
from typing import Literal

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QIcon, QResizeEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from studio.icons import icon
from studio.pages.record import presenter
from studio.state.live_status import LiveStatus
from studio.theme import GRID_PX
from studio.widgets.buttons import PushButton, button
from studio.widgets.choice import Choice
from studio.widgets.number_field import NumberField
from studio.widgets.text import make_label, set_role

BarState = Literal["off", "starting", "watching", "countdown", "recording"]
_TICK_MS = 100
_NAME_PX, _KIND_PX, _COUNTDOWN_PX, _LENGTH_PX, _BUTTON_PX = 128, 152, 88, 120, 176
_NOTE_PX = 72, 400
_HEIGHT_PX, _WIDE_PX = 80, 960
_COUNTDOWNS = (("None", 0), ("3 s", 3), ("5 s", 5), ("10 s", 10))
_LONGEST_S = 24 * 3600.0
_BUTTONS: dict[BarState, tuple[str, str, str]] = {
    "off": ("Start cameras", "play", "on_accent"),
    "starting": ("Starting…", "", "faint"),
    "watching": ("Record", "record-dot", "on_bad"),
    "countdown": ("Cancel", "close", "bad"),
    "recording": ("Stop", "stop", "bad"),
}


class RecordBar(QFrame):
    """Bar with settings of the next take on the left, the state in the middle, and the button on the right.

    Args:
        parent: Owner.

    Attributes:
        state: State that determines the function of the button.
        name: Name of the next take.
        kind: Kind of the next take.
        countdown: Countdown in s.
        length: Length of the take in s; 0 records until it is stopped.
        sound: Option to store sound; visible if a camera has sound.
        note: Note to store with the take.
        push: Record button.
        marker: Button to add a marker.

    Signals:
        pressed: The record button or its key was pressed.
        marked: The marker button or its key was pressed.
    """

    pressed = Signal()
    marked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "recordBar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.state: BarState = "off"
        self._taken: tuple[str, ...] = ()
        self._since_s, self._seconds, self._left_s = 0.0, 0.0, 0.0
        self.name = QLineEdit("take_01")
        self.name.setAccessibleName("Name of the take")
        self.name.setToolTip("The number increases with each take")
        self.name.editingFinished.connect(self.count_up)
        self.kind = Choice("What the take shows")
        self.kind.offer(presenter.KINDS, "motion")
        self.countdown = Choice("Countdown")
        self.countdown.offer(_COUNTDOWNS, 0)
        self.length = NumberField("Length", "s", 0)
        self.length.setRange(0.0, _LONGEST_S)
        self.length.setSpecialValueText("until stopped")
        self.note = QLineEdit()
        self.note.setAccessibleName("Note")
        self.note.setPlaceholderText("Optional")
        self.sound = QCheckBox("Record")
        self.sound.setAccessibleName("Record the sound of the cameras")
        self._fields: tuple[QWidget, ...] = (self.name, self.kind, self.countdown, self.length, self.note)
        self.clock = make_label("", "clock", wrap=False)
        self.doing = make_label("", "heading", wrap=False)
        self.take_facts = make_label("", "small", wrap=False)
        self.facts = make_label("", "small")
        self.facts.setFixedWidth(_LENGTH_PX)
        self.marker = button("Mark", "normal", "tag", "Mark the current time (M)")
        self.marker.clicked.connect(self.marked)
        self.push = PushButton()
        self.push.setProperty("kind", "record")
        self.push.setFixedWidth(_BUTTON_PX)
        self.push.clicked.connect(self.pressed)
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._show_clock)
        self.offer_sound("")
        self.set_state("off")

    def set_names(self, taken: tuple[str, ...]) -> None:
        """Set the existing names, and change the name of the next take if it is one of them."""
        self._taken = taken
        self.count_up()

    def set_blocked(self, reason: str) -> None:
        """Disable the button with a reason in its tooltip; an empty reason enables it."""
        self.push.setEnabled(not reason and self.state != "starting")
        self.push.setToolTip(reason or "Record or stop (F9)")

    def offer_sound(self, tip: str) -> None:
        """Show the option to record sound with a tooltip; an empty text hides it."""
        self.sound.setToolTip(tip)
        for widget in (self._sound_title, self.sound):
            widget.setVisible(bool(tip))

    def set_state(self, state: BarState) -> None:
        """Set the state of the bar."""
        self.state = state
        text, symbol, token = _BUTTONS[state]
        self.push.setText(text)
        self.push.setIcon(icon(symbol, token, token) if symbol else QIcon())
        for widget in (self, self.push, self.clock):
            set_role(widget, state, "state")
        busy = state in ("countdown", "recording")
        self._settings.setVisible(not busy)
        self._progress.setVisible(busy)
        self.marker.setVisible(state == "recording")
        self._show_facts()
        if busy:
            self._timer.start()
        else:
            self._timer.stop()

    def show_status(self, status: LiveStatus) -> None:
        """Show the time of the take, and facts on the recording."""
        self._since_s, self._seconds, self._left_s = time.monotonic(), status.seconds, status.countdown_s
        facts = presenter.recording_facts(status)
        self.take_facts.setText(" · ".join(facts))
        set_role(self.take_facts, "warn" if status.missing else "small")
        self.facts.setText("\n".join(facts[:3]))
        self.doing.setText(f"{'Recording' if status.phase == 'recording' else 'About to record'} {status.take}")
        self._show_clock()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Hide the facts if there is no space for them."""
        super().resizeEvent(event)
        self._show_facts()

    def _lay_out(self) -> None:
        self._settings, self._progress = QWidget(), QWidget()
        grid = QGridLayout(self._settings)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GRID_PX)
        grid.setVerticalSpacing(2)
        titles = ("Take", "Shows", "Countdown", "Length", "Note")
        for column, (title, field) in enumerate(zip(titles, self._fields, strict=True)):
            grid.addWidget(make_label(title, "small", wrap=False), 0, column)
            grid.addWidget(field, 1, column)
        for field, width in zip(self._fields, (_NAME_PX, _KIND_PX, _COUNTDOWN_PX, _LENGTH_PX), strict=False):
            field.setFixedWidth(width)
        self._sound_title = make_label("Sound", "small", wrap=False)
        grid.addWidget(self._sound_title, 0, 5)
        grid.addWidget(self.sound, 1, 5)
        grid.setColumnStretch(4, 1000)
        grid.setColumnStretch(6, 1)  # takes the rest of wide windows
        self.note.setMinimumWidth(_NOTE_PX[0])
        self.note.setMaximumWidth(_NOTE_PX[1])
        line = QHBoxLayout(self._progress)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2 * GRID_PX)
        line.addWidget(self.clock)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addStretch(1)
        words.addWidget(self.doing)
        words.addWidget(self.take_facts)
        words.addStretch(1)
        line.addLayout(words, 1)
        line.addWidget(self.marker)
        row = QHBoxLayout(self)
        row.setContentsMargins(3 * GRID_PX, GRID_PX, 3 * GRID_PX, GRID_PX + 4)
        row.setSpacing(2 * GRID_PX)
        row.addWidget(self._settings, 1)
        row.addWidget(self._progress, 1)
        row.addWidget(self.facts)
        row.addWidget(self.push)
        self.setFixedHeight(_HEIGHT_PX)

    def _show_facts(self) -> None:
        self.facts.setVisible(self.state == "watching" and self.width() >= _WIDE_PX)

    def count_up(self) -> None:
        """Give the next take an unused number."""
        self.name.setText(presenter.counted_name(self.name.text(), self._taken))

    def _show_clock(self) -> None:
        passed = time.monotonic() - self._since_s
        if self.state == "countdown":
            self.clock.setText(presenter.elapsed_text(max(0.0, self._left_s - passed), up=True))
        elif self.state == "recording":
            self.clock.setText(presenter.elapsed_text(self._seconds + passed))
