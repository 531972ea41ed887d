"""Drop-down list and slider that pass wheel events to the page."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QComboBox, QSlider, QStyle, QStyleOptionComboBox, QStylePainter, QWidget

_TEXT_MARGIN_PX = 4


class Choice(QComboBox):
    """Drop-down list whose value the wheel never changes, since a scrolling page moves it under the pointer.

    While the list is open, the wheel scrolls the list as usual.

    Args:
        name: Accessible name.
        parent: Owner.
    """

    def __init__(self, name: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        if name:
            self.setAccessibleName(name)

    def offer(self, items: Sequence[tuple[str, object]], current: object = None) -> None:
        """List items of (text, data) and select the one with this data, or none, without emitting signals."""
        with QSignalBlocker(self):
            self.clear()
            for text, data in items:
                self.addItem(text, data)
            self.setCurrentIndex(next((i for i, (_, data) in enumerate(items) if data == current), -1))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the list with its text shortened in the middle: results often differ at the end of their names."""
        text = self.currentText() or self.placeholderText()
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        box, part = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        width = self.style().subControlRect(box, option, part, self).width() - _TEXT_MARGIN_PX
        option.currentText = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, width)
        painter = QStylePainter(self)
        painter.drawComplexControl(box, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass wheel events to the page."""
        event.ignore()


class Slider(QSlider):
    """Horizontal slider whose value the wheel never changes.

    Args:
        name: Accessible name.
        parent: Owner.
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setAccessibleName(name)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass wheel events to the page."""
        event.ignore()
