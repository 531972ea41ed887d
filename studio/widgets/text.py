"""Labels by what they are for; the style sheet says how each looks."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

Role = Literal[
    "hero",
    "title",
    "heading",
    "figure",
    "lead",
    "body",
    "muted",
    "small",
    "overline",
    "reason",
    "good",
    "warn",
    "bad",
    "strong",
]


def label(text: str = "", role: Role = "body", *, wrap: bool = True, parent: QWidget | None = None) -> QLabel:
    """A plain-text label. Text from files is never read as markup.

    Args:
        text: What it says.
        role: What it is.
        wrap: Whether long text goes on in the next line.
        parent: Owner.
    """
    widget = QLabel(text, parent)
    widget.setTextFormat(Qt.TextFormat.PlainText)
    widget.setWordWrap(wrap)
    widget.setProperty("role", role)
    return widget


def set_role(widget: QWidget, role: str, key: str = "role") -> None:
    """Changes what a widget is, and has the style sheet look at it again."""
    if widget.property(key) != role:
        widget.setProperty(key, role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
        widget.update()
