"""Labels by role; the style sheet defines the appearance of each role."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

Role = Literal[
    "hero",
    "title",
    "heading",
    "figure",
    "clock",
    "lead",
    "body",
    "muted",
    "small",
    "overline",
    "key",
    "reason",
    "good",
    "warn",
    "bad",
    "strong",
]


def make_label(text: str = "", role: Role = "body", *, wrap: bool = True, parent: QWidget | None = None) -> QLabel:
    """Create a plain-text label. Text from files is never interpreted as markup.

    Args:
        text: Text.
        role: Role in the style sheet.
        wrap: Wrap long text.
        parent: Owner.
    """
    widget = QLabel(text, parent)
    widget.setTextFormat(Qt.TextFormat.PlainText)
    widget.setWordWrap(wrap)
    widget.setProperty("role", role)
    return widget


def set_role(widget: QWidget, role: str, key: str = "role") -> None:
    """Change the role of a widget and reapply the style sheet."""
    if widget.property(key) != role:
        widget.setProperty(key, role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
        widget.update()
