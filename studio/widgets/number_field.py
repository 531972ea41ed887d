"""A number with a unit that one types, or counts up and down."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLocale, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QWheelEvent
from PySide6.QtWidgets import QDoubleSpinBox, QSizePolicy, QWidget

from studio.theme import GRID_PX

_LEAST_PX = 88


class NumberField(QDoubleSpinBox):
    """A spin box that says when a person changed it, and leaves the wheel to the page and Ctrl+Z to the window.

    Args:
        name: What it is for, for screen readers and tests.
        unit: After the number.
        decimals: Places shown.

    Signals:
        edited: The new value; not emitted for values set by `show_value`.
    """

    edited = Signal(float)

    def __init__(self, name: str, unit: str, decimals: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setLocale(QLocale.c())
        self.setSuffix(f" {unit}")
        self.setDecimals(decimals)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(name)
        # The widest number that could be typed is hardly ever shown: no room is kept for it.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(_LEAST_PX)
        self.lineEdit().setTextMargins(GRID_PX // 2, 0, 0, 0)
        self.valueChanged.connect(self.edited)

    def show_value(self, value: float) -> None:
        """Shows a value without telling anybody."""
        self.blockSignals(True)
        self.setValue(value)
        self.blockSignals(False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolls the page over a field that is not being edited."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def event(self, event: QEvent) -> bool:
        """The text has an undo of its own, which would swallow the window's: a change takes effect at once."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            ways = (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo)
            if any(event.matches(way) for way in ways):
                event.ignore()
                return False
        return super().event(event)
