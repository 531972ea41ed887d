"""Buttons by emphasis, and a button that shows why it is disabled."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QSizePolicy, QWidget

from studio.icons import SIZE_BESIDE_TEXT
from studio.icons import icon as themed_icon
from studio.widgets.text import make_label

Kind = Literal["primary", "normal", "quiet", "link"]


class PushButton(QPushButton):
    """Push button that does not pass the focus on when a press disables or hides it.

    By default Qt moves the focus to a neighbour, which the next press of the space bar would trigger.
    """

    _lent = False

    def focusNextPrevChild(self, next: bool) -> bool:
        """Give the focus to the parent while the button cannot have it."""
        parent = self.parentWidget()
        if parent is None or (self.isEnabled() and self.isVisible()):
            return super().focusNextPrevChild(next)
        self._lent = True
        parent.setFocus(Qt.FocusReason.OtherFocusReason)
        return True

    def changeEvent(self, event: QEvent) -> None:
        """Take the focus back."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.EnabledChange and self._lent and self.isEnabled():
            self._lent = False
            if self.parentWidget() is self.window().focusWidget():
                self.setFocus(Qt.FocusReason.OtherFocusReason)


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
    widget = PushButton(text, parent)
    widget.setProperty("kind", kind)
    if icon:
        widget.setIcon(themed_icon(icon, "on_accent" if kind == "primary" else "muted"))
        if text:
            widget.setIconSize(SIZE_BESIDE_TEXT)
    widget.setToolTip(tip)
    widget.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return widget


class MenuButton(PushButton):
    """Push button that opens a menu.

    Args:
        name: Accessible name, and the tooltip of a button without text.
        text: Text of the button; empty for three dots.
        icon: File name in `resources/icons` for a button with text, or empty.
        parent: Owner.
    """

    def __init__(self, name: str, text: str = "", icon: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setAccessibleName(name)
        self.setProperty("kind", "menu" if text else "quiet")
        self.setProperty("bare", not text)
        if icon or not text:
            self.setIcon(themed_icon(icon or "more", "muted"))
        if text:
            self.setIconSize(SIZE_BESIDE_TEXT)
        else:
            self.setToolTip(name)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.entries = QMenu(self)
        self.entries.setToolTipsVisible(True)
        self.setMenu(self.entries)

    def add(self, text: str, tip: str = "") -> QAction:
        """Append an entry."""
        action = self.entries.addAction(text)
        action.setToolTip(tip)
        return action


def set_blocked(push: QPushButton, reason: str, tip: str = "") -> None:
    """Disable a button and show the reason as its tooltip; an empty reason enables it."""
    push.setEnabled(not reason)
    push.setToolTip(reason or tip)


class ReasonButton(QWidget):
    """Push button with a line next to it that shows the reason while it is disabled.

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
        set_blocked(self.push, reason, self._tip)
        self._reason.setText(reason)
        self._reason.setVisible(bool(reason))

    @property
    def reason(self) -> str:
        """Reason why the button is disabled; empty while it is enabled."""
        return self._reason.text()
