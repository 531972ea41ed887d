"""Dialogs of the window: errors, keyboard shortcuts, about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence, QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

import core
from core.errors import CoreError
from studio.actions.registry import ActionRegistry
from studio.actions.table import menu_table
from studio.specs import KeySection, PageSpec
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.card import clear_layout
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label

_RESIZED = Qt.WidgetAttribute.WA_Resized
"""Set if the creator of a dialog chose its size."""
_COLUMNS, _HEADING_ROWS = 3, 2
"""Columns of the list of shortcuts, which has to fit into 720 px, and the height of a heading."""


class Dialog(QDialog):
    """Base of dialogs with a body and a row of buttons; deleted when closed.

    Enter presses the primary button, unless another button has the focus.

    Attributes:
        body: Layout for the content.
        foot: Layout for the buttons.
    """

    def __init__(self, title: str, parent: QWidget | None, width_px: int = 520) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(width_px)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(3 * GRID_PX, 3 * GRID_PX, 3 * GRID_PX, 2 * GRID_PX)
        outer.setSpacing(2 * GRID_PX)
        self.body = QVBoxLayout()
        self.body.setSpacing(GRID_PX)
        outer.addLayout(self.body, 1)
        self.foot = QHBoxLayout()
        self.foot.setSpacing(GRID_PX)
        outer.addLayout(self.foot)

    @property
    def primary(self) -> QPushButton | None:
        """Button pressed by Enter; None if there is none."""
        return next((b for b in self.findChildren(QPushButton) if b.property("kind") == "primary"), None)

    def showEvent(self, event: QShowEvent) -> None:
        """Make the primary button the default one, and keep the initial focus off the other buttons."""
        primary = self.primary
        if primary is not None and not event.spontaneous():
            primary.setDefault(True)
            if not isinstance(self.focusWidget(), QLineEdit):
                field = next((f for f in self.findChildren(QLineEdit) if f.isVisibleTo(self)), None)
                (field or primary).setFocus()
        layout = self.layout()
        chosen = event.spontaneous() or self.testAttribute(_RESIZED)
        if not chosen and layout is not None and layout.hasHeightForWidth():
            # Qt chose the height for a narrower dialog, in which more lines wrap.
            self.resize(self.width(), layout.totalHeightForWidth(self.width()))
        super().showEvent(event)


class ErrorDialog(Dialog):
    """Error message, remedy, and details for a bug report.

    Args:
        message: Description of the error.
        hint: Remedy.
        details: Traceback or log; empty for an expected error.
        parent: The window.
    """

    def __init__(self, message: str, hint: str, details: str = "", parent: QWidget | None = None) -> None:
        super().__init__("Error", parent)
        icon = IconLabel("error", "bad", 28) if details else IconLabel("warning", "warn", 28)
        self.message, self.hint = _add_message(self.body, icon, message, hint)
        self.details = code_view(details)
        self.details.setVisible(False)
        self.body.addWidget(self.details, 1)
        if details:
            self.show_details = button("Show details", "quiet")
            self.show_details.clicked.connect(self._toggle)
            copy = button("Copy", "quiet", "copy")
            copy.clicked.connect(self._copy)
            self.foot.addWidget(self.show_details)
            self.foot.addWidget(copy)
        self.foot.addStretch(1)
        close = button("Close", "primary")
        close.clicked.connect(self.accept)
        self.foot.addWidget(close)

    def _toggle(self) -> None:
        shown = self.details.isHidden()
        self.details.setVisible(shown)
        self.show_details.setText("Hide details" if shown else "Show details")
        if shown:
            self.resize(max(self.width(), 760), max(self.height(), 460))
        else:
            self.adjustSize()

    def _copy(self) -> None:
        text = f"{self.message.text()}\n{self.hint.text()}\n\n{self.details.toPlainText()}"
        QGuiApplication.clipboard().setText(text)


def show_error_dialog(error: CoreError, parent: QWidget | None) -> ErrorDialog:
    """Show an expected error in a non-blocking dialog."""
    dialog = ErrorDialog(error.message, error.hint, parent=parent)
    dialog.open()
    return dialog


def code_view(text: str) -> QPlainTextEdit:
    """Return a read-only text view with a monospaced font, for tracebacks and logs."""
    view = QPlainTextEdit(text)
    view.setReadOnly(True)
    view.setProperty("role", "code")
    view.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    view.setMinimumHeight(20 * GRID_PX)
    return view


class QuestionDialog(Dialog):
    """Question with a few answers.

    Args:
        question: The question, or the state that calls for a decision.
        text: Consequences.
        answers: Texts of the buttons from left to right; the last one is the primary button.
        parent: Window it belongs to.

    Attributes:
        answer: The chosen answer; empty if the dialog was closed.
        buttons: Buttons by answer.
    """

    def __init__(self, question: str, text: str, answers: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(question, parent)
        self.answer = ""
        self.buttons: dict[str, QPushButton] = {}
        _add_message(self.body, IconLabel("warning", "warn", 28), question, text)
        self.foot.addStretch(1)
        for answer in answers:
            push = self.buttons[answer] = button(answer, "primary" if answer == answers[-1] else "normal")
            push.clicked.connect(partial(self._choose, answer))
            self.foot.addWidget(push)

    def _choose(self, answer: str) -> None:
        self.answer = answer
        self.accept()


def _add_message(body: QVBoxLayout, icon: QWidget, heading: str, text: str) -> tuple[QLabel, QLabel]:
    """Add an icon, and heading and text beside it; return the labels of both."""
    head = QHBoxLayout()
    head.setSpacing(2 * GRID_PX)
    head.addWidget(icon, 0, Qt.AlignmentFlag.AlignTop)
    column = QVBoxLayout()
    column.setSpacing(GRID_PX // 2)
    labels = make_label(heading, "heading"), make_label(text, "muted")
    for label in labels:
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(label)
    head.addLayout(column, 1)
    body.addLayout(head)
    return labels


class ShortcutsDialog(Dialog):
    """List of all shortcuts: those of the menus, followed by those of each page.

    Args:
        registry: The actions.
        pages: The pages.
        parent: The window.
    """

    def __init__(self, registry: ActionRegistry, pages: Iterable[PageSpec], parent: QWidget | None = None) -> None:
        super().__init__("Keyboard shortcuts", parent, 980)
        clear_layout(self.body)
        self.body.addWidget(make_label("Keyboard shortcuts", "title"))
        pages = tuple(pages)
        sections = list[KeySection]()
        for title, names in menu_table(pages):
            actions = [registry[n] for n in names if "." in n and registry[n].shortcuts()]
            sections.append((title, tuple((action.text().rstrip("…"), _keys(action)) for action in actions)))
        sections += [section for page in pages for section in page.keys]
        columns = QHBoxLayout()
        columns.setSpacing(5 * GRID_PX)
        for column in _columns([section for section in sections if section[1]]):
            box = QVBoxLayout()
            box.setSpacing(GRID_PX)
            for section in column:
                _add_section(box, *section)
            box.addStretch(1)
            columns.addLayout(box, 1)
        self.body.addLayout(columns)
        self.foot.addStretch(1)
        close = button("Close", "primary")
        close.clicked.connect(self.accept)
        self.foot.addWidget(close)


def _columns(sections: Sequence[KeySection]) -> list[list[KeySection]]:
    """Deal the sections out, in order, to columns of about the same height."""
    columns = list[list[KeySection]]([[] for _ in range(_COLUMNS)])
    heights = [len(rows) + _HEADING_ROWS for _, rows in sections]
    above = 0.0
    for section, height in zip(sections, heights, strict=True):
        columns[int(_COLUMNS * (above + height / 2) / sum(heights))].append(section)
        above += height
    return columns


def _add_section(column: QVBoxLayout, title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Add a heading and its shortcuts (description, keys)."""
    column.addSpacing(GRID_PX)
    column.addWidget(make_label(title.upper(), "overline"))
    grid = QGridLayout()
    grid.setHorizontalSpacing(2 * GRID_PX)
    grid.setVerticalSpacing(GRID_PX // 2)
    grid.setColumnStretch(0, 1)
    for row, (what, keys) in enumerate(rows):
        grid.addWidget(make_label(what, wrap=False), row, 0)
        caps = QHBoxLayout()
        caps.setSpacing(GRID_PX // 2)
        caps.addStretch(1)
        for key in keys.split():
            caps.addWidget(make_label(key, "small" if key == "or" else "key", wrap=False))
        grid.addLayout(caps, row, 1)
    column.addLayout(grid)


def _keys(action: QAction) -> str:
    return " or ".join(k.toString(QKeySequence.SequenceFormat.NativeText) for k in action.shortcuts())


class AboutDialog(Dialog):
    """Name, version and licence of the program."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("About", parent, 420)
        self.body.addWidget(IconLabel("logo", "accent", 48), 0, Qt.AlignmentFlag.AlignHCenter)
        for text, role in (
            ("SelfPose Studio", "title"),
            (f"Version {core.__version__}", "muted"),
            ("Markerless multi-view motion capture, trained on your own footage without annotation.", "body"),
            ("Apache License 2.0. Third-party licences are listed in the file NOTICE.", "small"),
        ):
            text_label = make_label(text, role)  # type: ignore[arg-type]
            text_label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            self.body.addWidget(text_label)
        self.foot.addStretch(1)
        close = button("Close", "primary")
        close.clicked.connect(self.accept)
        self.foot.addWidget(close)
