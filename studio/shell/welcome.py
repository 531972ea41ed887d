"""What is seen before a session is open."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.actions.menus import recent_sessions
from studio.actions.registry import ActionRegistry
from studio.settings import SettingsStore
from studio.theme import GRID_PX
from studio.widgets.card import Card, clear
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import label

_STEPS = (
    ("calibrate", "Calibrate", "Where your cameras stand"),
    ("record", "Record", "Videos of one take"),
    ("train", "Train", "On your own footage"),
    ("view", "View", "People in 3D"),
    ("export", "Export", "For your next tool"),
)


class WelcomePage(QWidget):
    """Three ways to begin, the recent sessions, and what the program does in five words.

    Signals:
        chosen: A recent session's folder was chosen.
    """

    chosen = Signal(Path)

    def __init__(self, registry: ActionRegistry, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        outer = QVBoxLayout(self)
        outer.setContentsMargins(4 * GRID_PX, 3 * GRID_PX, 4 * GRID_PX, 3 * GRID_PX)
        middle = QWidget()
        middle.setMaximumWidth(900)
        middle.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3 * GRID_PX)
        column.addLayout(_head())
        column.addLayout(_steps())
        begin = QHBoxLayout()
        begin.setSpacing(2 * GRID_PX)
        begin.addWidget(self._ways(registry), 1)
        self._recent = Card("Recent sessions")
        begin.addWidget(self._recent, 1)
        column.addLayout(begin)
        outer.addStretch(2)
        centred = QHBoxLayout()
        centred.addStretch(1)
        centred.addWidget(middle, 20)
        centred.addStretch(1)
        outer.addLayout(centred)
        outer.addStretch(3)
        self.refresh()

    def refresh(self) -> None:
        """Reads again which recent sessions are still there."""
        clear(self._recent.body)
        self.recent_buttons: list[QPushButton] = []
        for root in recent_sessions(self._settings)[:4]:
            push = _tile(root.name, str(root.parent), "folder")
            push.setProperty("path", str(root))
            push.clicked.connect(self._recent_clicked)
            self.recent_buttons.append(push)
            self._recent.body.addWidget(push)
        if not self.recent_buttons:
            empty = label("Sessions that you open will be listed here.", "muted")
            self._recent.body.addWidget(empty)
        self._recent.body.addStretch(1)

    def say_busy(self, what: str) -> None:
        """Says what is being prepared, and keeps the ways in shut meanwhile; empty opens them again."""
        self.busy.setText(what)
        for push in (self.sample, self.new, self.open):
            push.setDisabled(bool(what))

    def _ways(self, registry: ActionRegistry) -> Card:
        card = Card("Begin")
        self.sample = _tile("Open the sample", "Two people, four cameras, ready to run", "spark", primary=True)
        self.new = _tile("New session", "For your own cameras and videos", "plus")
        self.open = _tile("Open session", "A folder that has a session.yaml", "folder")
        for push, name in ((self.sample, "session.sample"), (self.new, "session.new"), (self.open, "session.open")):
            push.clicked.connect(registry[name].trigger)
            card.body.addWidget(push)
        self.busy = label("", "muted")
        card.body.addWidget(self.busy)
        card.body.addStretch(1)
        return card

    def _recent_clicked(self) -> None:
        self.chosen.emit(Path(str(self.sender().property("path"))))


def _head() -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(2 * GRID_PX)
    row.addWidget(IconLabel("logo", "accent", 52), 0, Qt.AlignmentFlag.AlignVCenter)
    words = QVBoxLayout()
    words.setSpacing(4)
    words.addWidget(label("SelfPose Studio", "hero"))
    words.addWidget(
        label("Motion capture without markers and without annotation, trained on your own footage.", "lead")
    )
    row.addLayout(words, 1)
    return row


def _steps() -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(2 * GRID_PX)
    for index, (name, title, what) in enumerate(_STEPS):
        if index:
            row.addWidget(IconLabel("chevron-right", "faint", 16))
        words = QVBoxLayout()
        words.setSpacing(2)
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(IconLabel(name, "muted", 18))
        head.addWidget(label(title, "strong", wrap=False), 1)
        words.addLayout(head)
        words.addWidget(label(what, "small", wrap=False))
        row.addLayout(words, 1)
    return row


def _tile(title: str, what: str, icon_name: str, *, primary: bool = False) -> QPushButton:
    """A wide button with a title and a quieter second line."""
    push = QPushButton()
    push.setProperty("kind", "tile")
    push.setProperty("primary", "true" if primary else "false")
    push.setAccessibleName(title)
    row = QHBoxLayout(push)
    row.setContentsMargins(2 * GRID_PX, GRID_PX, 2 * GRID_PX, GRID_PX)
    row.setSpacing(GRID_PX + GRID_PX // 2)
    row.addWidget(IconLabel(icon_name, "on_accent" if primary else "muted", 20))
    words = QVBoxLayout()
    words.setSpacing(0)
    for text, role in ((title, "strong"), (what, "small")):
        line = label(text, role, wrap=False)  # type: ignore[arg-type]
        line.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        if primary:
            line.setProperty("on", "accent")
        words.addWidget(line)
    row.addLayout(words, 1)
    push.setMinimumHeight(7 * GRID_PX)
    return push
