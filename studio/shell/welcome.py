"""Welcome page, shown while no session is open."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.actions.menus import recent_sessions
from studio.actions.registry import ActionRegistry
from studio.settings import SettingsStore
from studio.specs import PageSpec
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.card import Card, clear_layout
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label


class WelcomePage(QWidget):
    """Welcome page with ways to start, recent sessions, and the pages of the workflow.

    Args:
        registry: The actions.
        settings: Store of the recent sessions.
        pages: The pages in order.
        parent: Owner.

    Signals:
        chosen: Folder of the recent session that was clicked.
    """

    chosen = Signal(Path)

    def __init__(
        self,
        registry: ActionRegistry,
        settings: SettingsStore,
        pages: Iterable[PageSpec],
        parent: QWidget | None = None,
    ) -> None:
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
        column.addLayout(_workflow(pages))
        cards = QHBoxLayout()
        cards.setSpacing(2 * GRID_PX)
        cards.addWidget(self._start_card(registry), 1)
        self._recent = Card("Recent sessions")
        cards.addWidget(self._recent, 1)
        column.addLayout(cards)
        outer.addStretch(2)
        centred = QHBoxLayout()
        centred.addStretch(1)
        centred.addWidget(middle, 20)
        centred.addStretch(1)
        outer.addLayout(centred)
        outer.addStretch(3)
        self.refresh()

    def refresh(self) -> None:
        """List the recent sessions that still exist."""
        clear_layout(self._recent.body)
        self.recent_buttons: list[QPushButton] = []
        self.forget_buttons: list[QPushButton] = []
        for root in recent_sessions(self._settings)[:4]:
            push = _tile(root.name, str(root.parent), "folder")
            push.setProperty("path", str(root))
            push.clicked.connect(self._recent_clicked)
            self.recent_buttons.append(push)
            forget = button("", "quiet", "close", "Remove from this list; the session is kept")
            forget.setAccessibleName(f"Remove {root.name} from this list")
            forget.clicked.connect(partial(self._forget, root))
            self.forget_buttons.append(forget)
            row = QHBoxLayout()
            row.addWidget(push, 1)
            row.addWidget(forget)
            self._recent.body.addLayout(row)
        if not self.recent_buttons:
            empty = make_label("Sessions you open are listed here.", "muted")
            self._recent.body.addWidget(empty)
        self._recent.body.addStretch(1)

    def show_busy(self, text: str) -> None:
        """Show what is being prepared and disable the buttons; an empty text enables them again."""
        self.busy.setText(text)
        for push in (self.sample, self.new, self.open):
            push.setDisabled(bool(text))

    def _start_card(self, registry: ActionRegistry) -> Card:
        card = Card("Start")
        self.sample = _tile("Open sample session", "Two people, four cameras, ready to run", "spark", primary=True)
        self.new = _tile("New session", "For your own cameras and videos", "plus")
        self.open = _tile("Open session", "A folder with a session.yaml file", "folder")
        for push, name in ((self.sample, "session.sample"), (self.new, "session.new"), (self.open, "session.open")):
            push.clicked.connect(registry[name].trigger)
            card.body.addWidget(push)
        self.busy = make_label("", "muted")
        card.body.addWidget(self.busy)
        card.body.addStretch(1)
        return card

    def _forget(self, root: Path) -> None:
        self._settings.forget_session(root)
        self.refresh()

    def _recent_clicked(self) -> None:
        self.chosen.emit(Path(str(self.sender().property("path"))))


def _head() -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(2 * GRID_PX)
    row.addWidget(IconLabel("logo", "accent", 52), 0, Qt.AlignmentFlag.AlignVCenter)
    column = QVBoxLayout()
    column.setSpacing(4)
    column.addWidget(make_label("SelfPose Studio", "hero"))
    column.addWidget(make_label("Markerless motion capture, trained on your own footage without annotation.", "lead"))
    row.addLayout(column, 1)
    return row


def _workflow(pages: Iterable[PageSpec]) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(2 * GRID_PX)
    for index, page in enumerate(pages):
        if index:
            row.addWidget(IconLabel("chevron-right", "faint", 16), 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(2)
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(IconLabel(page.icon, "muted", 18))
        head.addWidget(make_label(page.title, "strong", wrap=False), 1)
        column.addLayout(head)
        column.addWidget(make_label(page.summary, "small"))
        column.addStretch(1)
        row.addLayout(column, 1)
    return row


def _tile(title: str, subtitle: str, icon_name: str, *, primary: bool = False) -> QPushButton:
    """Return a wide button with a title and a subtitle."""
    push = QPushButton()
    push.setProperty("kind", "tile")
    push.setProperty("primary", "true" if primary else "false")
    push.setAccessibleName(title)
    row = QHBoxLayout(push)
    row.setContentsMargins(2 * GRID_PX, GRID_PX, 2 * GRID_PX, GRID_PX)
    row.setSpacing(GRID_PX + GRID_PX // 2)
    row.addWidget(IconLabel(icon_name, "on_accent" if primary else "muted", 20))
    column = QVBoxLayout()
    column.setSpacing(0)
    for text, role in ((title, "strong"), (subtitle, "small")):
        line = make_label(text, role, wrap=False)  # type: ignore[arg-type]
        line.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        if primary:
            line.setProperty("on", "accent")
        column.addWidget(line)
    row.addLayout(column, 1)
    push.setMinimumHeight(7 * GRID_PX)
    return push
