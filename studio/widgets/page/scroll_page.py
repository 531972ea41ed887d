"""Page with a fixed header and scrolling content."""

from __future__ import annotations

from PySide6.QtCore import Qt, SignalInstance
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.text import make_label


class RefreshedPage(QWidget):
    """Page that reads the session when it becomes visible, and after changes while it is visible."""

    _stale = True

    def refresh(self) -> None:
        """Show the session as it is on disk."""
        raise NotImplementedError

    def refresh_when_visible(self, signal: SignalInstance) -> None:
        """Call `refresh` after a signal, as soon as the page is visible."""
        signal.connect(self._make_stale)

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up on what has changed while the page was hidden."""
        super().showEvent(event)
        self._catch_up()

    def _make_stale(self) -> None:
        self._stale = True
        if self.isVisible():
            self._catch_up()

    def _catch_up(self) -> None:
        if self._stale:
            self._stale = False
            self.refresh()


class ScrollPage(RefreshedPage):
    """Page with title and description in a fixed header, above scrolling content.

    Args:
        title: Title of the page.
        sentence: Description in one sentence.

    Attributes:
        tools: Layout at the right end of the header.
        content: Layout of the scrolling part.
        outer: Layout of the header and the scrolling part; appended widgets stay below both.
    """

    def __init__(self, title: str, sentence: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = self.outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        head = QHBoxLayout()
        head.setContentsMargins(3 * GRID_PX, 2 * GRID_PX, 3 * GRID_PX, 2 * GRID_PX)
        head.setSpacing(GRID_PX)
        column = QVBoxLayout()
        column.setSpacing(2)
        column.addWidget(make_label(title, "title", wrap=False))
        column.addWidget(make_label(sentence, "muted"))
        head.addLayout(column, 1)
        self.tools = QHBoxLayout()
        self.tools.setSpacing(GRID_PX)
        head.addLayout(self.tools)
        head.setAlignment(self.tools, Qt.AlignmentFlag.AlignVCenter)
        outer.addLayout(head)
        self.area = ScrollColumn()
        self.content = self.area.content
        outer.addWidget(self.area, 1)


class ScrollColumn(QScrollArea):
    """Column of cards that scrolls vertically.

    Attributes:
        content: Layout of the cards.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        self.content = QVBoxLayout(inner)
        self.content.setContentsMargins(3 * GRID_PX, 0, 3 * GRID_PX, 3 * GRID_PX)
        self.content.setSpacing(2 * GRID_PX)
        self.setWidget(inner)
        self.verticalScrollBar().rangeChanged.connect(self._keep_edge)

    def _keep_edge(self, _low: int = 0, _high: int = 0) -> None:
        """Take the width of the scroll bar from the margin, so that the cards keep their right edge."""
        bar = self.verticalScrollBar()  # read its range now: `rangeChanged` signals may arrive out of order
        bar_px = bar.sizeHint().width() if bar.maximum() > 0 else 0
        self.content.setContentsMargins(3 * GRID_PX, 0, 3 * GRID_PX - bar_px, 3 * GRID_PX)
