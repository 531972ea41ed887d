"""Buttons by emphasis, and a button that shows why it is disabled."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from studio.icons import SIZE_BESIDE_TEXT
from studio.icons import icon as themed_icon
from studio.widgets.text import make_label

Kind = Literal["primary", "normal", "quiet", "link"]


def button(
    text: str, kind: Kind = "normal", icon: str = "", tip: str = "", parent: QWidget | None = None
) -> QPushButton:
    """Create a push button.

    Args:
        text: Text of the button.
        kind: Emphasis; at most one "primary" button per page.
        icon: File name in `resources/icons`, or empty.
        tip: Tooltip.
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
    """Push button with a line next to it that shows why the button is disabled.

    Args:
        push: The button.

    Attributes:
        push: The button.
    """

    def __init__(self, push: QPushButton, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.push = push
        self._tip = push.toolTip()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        self._reason = make_label("", "small")
        self._reason.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._reason.setMinimumWidth(300)
        self._reason.hide()
        layout.addWidget(self._reason, 1)
        layout.addWidget(push)

    def set_blocked(self, reason: str) -> None:
        """Disable the button and show the reason; an empty reason enables it."""
        self.push.setEnabled(not reason)
        self.push.setToolTip(reason or self._tip)
        self._reason.setText(reason)
        self._reason.setVisible(bool(reason))

    @property
    def reason(self) -> str:
        """Reason why the button is disabled; empty while it is enabled."""
        return self._reason.text()
