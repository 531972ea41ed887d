"""A titled surface that groups what belongs together."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLayout, QVBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.text import label


class Card(QFrame):
    """A panel with a heading, room for a button or two beside it, and a body.

    Args:
        title: Heading; empty for none.
        note: A quieter line under the heading.

    Attributes:
        body: Layout for the content.
        tools: Layout at the right end of the heading.
    """

    def __init__(self, title: str = "", note: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(2 * GRID_PX, 2 * GRID_PX, 2 * GRID_PX, 2 * GRID_PX)
        outer.setSpacing(GRID_PX + GRID_PX // 2)
        self.tools = QHBoxLayout()
        self.tools.setSpacing(GRID_PX)
        self.note = label(note, "small")
        self.note.setVisible(bool(note))
        if title:
            head = QHBoxLayout()
            head.setSpacing(GRID_PX)
            words = QVBoxLayout()
            words.setSpacing(2)
            self.heading = label(title, "heading", wrap=False)
            words.addWidget(self.heading)
            words.addWidget(self.note)
            head.addLayout(words, 1)
            head.addLayout(self.tools)
            head.setAlignment(self.tools, Qt.AlignmentFlag.AlignTop)
            outer.addLayout(head)
        self.body = QVBoxLayout()
        self.body.setSpacing(GRID_PX)
        outer.addLayout(self.body, 1)

    def set_note(self, text: str) -> None:
        """Changes the line under the heading; empty hides it."""
        self.note.setText(text)
        self.note.setVisible(bool(text))


def separator() -> QFrame:
    """A hairline between rows."""
    frame = QFrame()
    frame.setProperty("role", "line")
    return frame


def clear_layout(layout: QLayout) -> None:
    """Takes everything out of a layout and lets go of the widgets."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            clear_layout(inner)
            inner.deleteLater()
