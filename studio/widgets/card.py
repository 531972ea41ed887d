"""Card: a titled panel that groups related controls."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLayout, QVBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.text import make_label


class Card(QFrame):
    """Panel with a heading, tools next to it, and a body.

    Args:
        title: Heading; empty for none.
        note: Muted line under the heading.

    Attributes:
        body: Layout of the content.
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
        self.note = make_label(note, "small")
        self.note.setVisible(bool(note))
        if title:
            head = QHBoxLayout()
            head.setSpacing(GRID_PX)
            column = QVBoxLayout()
            column.setSpacing(2)
            self.heading = make_label(title, "heading", wrap=False)
            column.addWidget(self.heading)
            column.addWidget(self.note)
            head.addLayout(column, 1)
            head.addLayout(self.tools)
            head.setAlignment(self.tools, Qt.AlignmentFlag.AlignTop)
            outer.addLayout(head)
        self.body = QVBoxLayout()
        self.body.setSpacing(GRID_PX)
        outer.addLayout(self.body, 1)

    def set_note(self, text: str) -> None:
        """Change the line under the heading; an empty text hides it."""
        self.note.setText(text)
        self.note.setVisible(bool(text))


def separator() -> QFrame:
    """Create a hairline between rows."""
    frame = QFrame()
    frame.setProperty("role", "line")
    return frame


def clear_layout(layout: QLayout) -> None:
    """Remove all items of a layout and delete their widgets."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            clear_layout(inner)
            inner.deleteLater()
