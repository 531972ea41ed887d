"""Number field with a unit."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLocale, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QWheelEvent
from PySide6.QtWidgets import QDoubleSpinBox, QSizePolicy, QWidget

from studio.theme import GRID_PX

_MIN_WIDTH_PX = 88


class NumberField(QDoubleSpinBox):
    """Spin box that reports changes by the user, and passes wheel events to the page and Ctrl+Z to the window.

    Args:
        name: Accessible name.
        unit: Unit shown after the number.
        decimals: Number of decimals.

    Signals:
        edited: New value; not emitted by `show_value`.
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
        # Reserve no space for the widest possible number, which is hardly ever shown.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(_MIN_WIDTH_PX)
        self.lineEdit().setTextMargins(GRID_PX // 2, 0, 0, 0)
        self.valueChanged.connect(self.edited)

    def show_value(self, value: float) -> None:
        """Show a value without emitting `edited`."""
        self.blockSignals(True)
        self.setValue(value)
        self.blockSignals(False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass wheel events to the page."""
        event.ignore()

    def event(self, event: QEvent) -> bool:
        """Pass undo and redo to the window: the line edit's own undo would consume the shortcut."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            keys = (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo)
            if any(event.matches(key) for key in keys):
                event.ignore()
                return False
        return super().event(event)
