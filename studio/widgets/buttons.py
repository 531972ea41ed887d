"""Buttons by their weight, and the one that says why it cannot be pressed."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from studio.icons import SIZE_BESIDE_TEXT
from studio.icons import icon as themed_icon
from studio.widgets.text import label

Kind = Literal["primary", "normal", "quiet", "link"]


def button(
    text: str, kind: Kind = "normal", icon: str = "", tip: str = "", parent: QWidget | None = None
) -> QPushButton:
    """A push button.

    Args:
        text: What it does.
        kind: How much it asks for attention; one "primary" a page.
        icon: File in `resources/icons`, or empty.
        tip: Longer explanation.
        parent: Owner.
    """
    widget = QPushButton(text, parent)
    widget.setProperty("kind", kind)
    if icon:
        widget.setIcon(themed_icon(icon, "on_accent" if kind == "primary" else "muted"))
        if text:
            widget.setIconSize(SIZE_BESIDE_TEXT)
    widget.setToolTip(tip)
    widget.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return widget


class ReasonButton(QWidget):
    """A push button with a line beside it that says why it is blocked, while it is.

    Args:
        push: The button.

    Attributes:
        push: As given.
    """

    def __init__(self, push: QPushButton, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.push = push
        self._tip = push.toolTip()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        self._reason = label("", "small")
        self._reason.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._reason.setMinimumWidth(300)
        self._reason.hide()
        layout.addWidget(self._reason, 1)
        layout.addWidget(push)

    def set_blocked(self, reason: str) -> None:
        """Disables the button and says why; an empty reason enables it."""
        self.push.setEnabled(not reason)
        self.push.setToolTip(reason or self._tip)
        self._reason.setText(reason)
        self._reason.setVisible(bool(reason))

    @property
    def reason(self) -> str:
        """Why it is blocked; empty while it is not."""
        return self._reason.text()
