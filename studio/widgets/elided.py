"""Label that elides its text to its width and shows the full text as its tooltip."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QStyleOption, QWidget


class ElidedLabel(QLabel):
    """One line of plain text with an ellipsis where it does not fit.

    Args:
        role: Role in the style sheet.
        mode: Place of the ellipsis.
        parent: Owner.
    """

    def __init__(
        self,
        role: str = "small",
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._mode = mode
        self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def shown_text(self) -> str:
        """Painted text, which may be elided."""
        return self.fontMetrics().elidedText(self.text(), self._mode, self.width())

    def minimumSizeHint(self) -> QSize:
        """Return a narrow size, as the text may be elided."""
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the elided text, and set the full text as the tooltip."""
        shown = self.shown_text
        self.setToolTip(self.text() if shown != self.text() else "")
        option = QStyleOption()
        option.initFrom(self)
        with QPainter(self) as painter:
            self.style().drawItemText(
                painter,
                self.rect(),
                int(self.alignment().value),
                option.palette,
                self.isEnabled(),
                shown,
                self.foregroundRole(),
            )
