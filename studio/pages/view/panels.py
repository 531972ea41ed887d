"""Small panels of the View page: notice, and people at the frame."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from studio.pages.view.summary import PersonState
from studio.shell.updating import UPDATE_TIP
from studio.theme import GRID_PX, current_theme
from studio.widgets.buttons import button
from studio.widgets.icon_label import IconLabel
from studio.widgets.label_plate import paint_label_plate
from studio.widgets.text import make_label

_ROW_PX, _PAD_PX, _DOT_PX = 20, 12, 16
_COLUMNS_PX = (92, 76, 66)
_BLOCK_PX = sum(_COLUMNS_PX) + 2 * _PAD_PX
_ONE_BLOCK = 3
"""Largest number of people in a single column."""


class PeoplePanel(QWidget):
    """Table of people with confidence and speed.

    Custom-painted, because labels would repeat their layout with every frame of playback.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._people: tuple[PersonState, ...] = ()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    @property
    def people(self) -> tuple[PersonState, ...]:
        """Visible people."""
        return self._people

    def show_people(self, people: tuple[PersonState, ...]) -> None:
        """Show the people at a frame."""
        rows_changed = len(people) != len(self._people)
        self._people = people
        if rows_changed:
            self._fit()
        self.update()

    def sizeHint(self) -> QSize:
        """Return a size that fits every row."""
        rows = -(-len(self._people) // self._blocks)
        return QSize(_BLOCK_PX, (rows + 1) * _ROW_PX + 2 * GRID_PX)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Arrange many people in columns if the width allows it."""
        self._fit()

    @property
    def _blocks(self) -> int:
        """Number of columns of people."""
        return 2 if len(self._people) > _ONE_BLOCK and self.width() >= 2 * _BLOCK_PX else 1

    def _fit(self) -> None:
        self.setFixedHeight(self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint background, headings and one row per person."""
        theme = current_theme()
        with QPainter(self) as painter:
            paint_label_plate(painter, self)
            head, font = QFont(self.font()), QFont(self.font())
            head.setPixelSize(11)
            font.setPixelSize(13)
            font.setFeature(QFont.Tag("tnum"), 1)
            blocks, width = self._blocks, self.width() / self._blocks
            rows = -(-len(self._people) // blocks)
            for block in range(blocks):
                left = block * width
                titles = "People" if not block else "", "Confidence", "Speed"
                self._paint_row(painter, 0, left, width, titles, (theme.muted,) * 3, head)
                for row, person in enumerate(self._people[block * rows : (block + 1) * rows], 1):
                    ink = theme.text if person.present else theme.faint
                    self._paint_row(painter, row, left, width, (person.name, *_cells(person)), (ink, ink, ink), font)
                    colour = QColor(theme.person(person.person))
                    painter.setPen(colour)
                    painter.setBrush(colour if person.present else Qt.BrushStyle.NoBrush)
                    painter.drawEllipse(QRectF(left + _PAD_PX, GRID_PX + row * _ROW_PX + (_ROW_PX - 8) / 2, 8, 8))

    def _paint_row(
        self,
        painter: QPainter,
        row: int,
        left: float,
        block_px: float,
        texts: tuple[str, ...],
        inks: tuple[str, ...],
        font: QFont,
    ) -> None:
        painter.setFont(font)
        left += _PAD_PX
        spare = max(block_px - _BLOCK_PX, 0)
        widths = (_COLUMNS_PX[0] + spare, *_COLUMNS_PX[1:])
        for column, (text, ink, width) in enumerate(zip(texts, inks, widths, strict=True)):
            indent = _DOT_PX if column == 0 and row else 0
            side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
            painter.setPen(QColor(ink))
            box = QRectF(left + indent, GRID_PX + row * _ROW_PX, width - indent, _ROW_PX)
            painter.drawText(box, side | Qt.AlignmentFlag.AlignVCenter, text)
            left += width


def _cells(person: PersonState) -> tuple[str, str]:
    if not person.present:
        return "absent", "–"
    speed = "–" if math.isnan(person.speed_m_s) else f"{person.speed_m_s:.1f} m/s"
    return f"{person.confidence * 100:.0f} %", speed


class NoticeBar(QFrame):
    """Bar under the toolbar with a message on missing data and the remedy.

    Signals:
        page_requested: Name of the page for the remedy.
    """

    page_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "inset")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 12, 6)
        row.setSpacing(GRID_PX)
        self._icon = IconLabel("info", "accent", 16)
        row.addWidget(self._icon)
        self._label = make_label()
        row.addWidget(self._label, 1)
        self.update_button = button("Bring up to date", "normal", "retry", UPDATE_TIP)
        row.addWidget(self.update_button)
        self._page = ""
        self.go = button("", "normal", "chevron-right")
        self.go.clicked.connect(lambda: self.page_requested.emit(self._page))
        row.addWidget(self.go)
        self.hide()

    @property
    def text(self) -> str:
        """Visible text."""
        return self._label.text()

    def show_message(self, text: str, *, outdated: bool = False, page: str = "") -> None:
        """Show a text; an empty one hides the bar.

        Args:
            text: Problem and remedy.
            outdated: Offer to recompute results.
            page: Name of the page for the remedy; empty for none.
        """
        self._page = page
        self.go.setText(f"Go to {page.capitalize()}")
        self.go.setVisible(bool(page))
        self._icon.set_icon(*(("warning", "warn") if outdated else ("info", "accent")))
        self.update_button.setVisible(outdated)
        self._label.setText(text)
        self.setVisible(bool(text))
