"""Small panels of the View page: notice, people at the frame, capture volume."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

from studio.pages.view.summary import PersonState
from studio.shell.updating import UPDATE_TIP
from studio.state.volume import VolumeState
from studio.theme import GRID_PX, current_theme
from studio.viewport.layers.volume import SHOW_VOLUME
from studio.volume.editor import VolumeEditor
from studio.widgets.buttons import button
from studio.widgets.card import Card
from studio.widgets.icon_label import IconLabel
from studio.widgets.label_plate import paint_label_plate
from studio.widgets.text import make_label

_ROW_PX, _PAD_PX, _DOT_PX = 20, 12, 16
_COLUMNS_PX = (92, 76, 66)
_BLOCK_PX = sum(_COLUMNS_PX) + 2 * _PAD_PX
_ONE_BLOCK = 3
"""People that are listed below each other in any case."""
_VOLUME_WIDTH_PX, _HEADER_PX, _MIN_AREA_PX = 376, 44, 48


class PeoplePanel(QWidget):
    """Table of people: name, confidence, speed.

    Painted as a whole: it changes with every frame of playback, and labels would repeat their layout each time.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._people: tuple[PersonState, ...] = ()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    @property
    def people(self) -> tuple[PersonState, ...]:
        """People shown."""
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
        """Put many people side by side where there is the width."""
        self._fit()

    @property
    def _blocks(self) -> int:
        """Number of rows of people beside each other."""
        return 2 if len(self._people) > _ONE_BLOCK and self.width() >= 2 * _BLOCK_PX else 1

    def _fit(self) -> None:
        self.setFixedHeight(self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the background, the headings and a row per person."""
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


class VolumePanel(Card):
    """Capture volume as text, with fields that unfold. Lies over a corner of the 3D view.

    Signals:
        closed: The close button was clicked.
        resized: The height changed.
    """

    closed = Signal()
    resized = Signal()

    def __init__(self, volume: VolumeState, parent: QWidget | None = None) -> None:
        super().__init__("Capture volume", parent=parent)
        self._volume = volume
        self.editor = VolumeEditor(volume)
        self.editor.setProperty("role", "scrolled")
        self.editor.set_expanded(False)
        self.edit = button("Edit", "quiet", "chevron-up", "Edit position, size and voxel grid")
        self.edit.setCheckable(True)
        self.edit.toggled.connect(self._unfold)
        self.reset = button("Reset", "quiet", "retry", "Reset to the volume derived from the rig and the people")
        self.reset.clicked.connect(self.editor.reset)
        close = button("", "quiet", "close", f"Hide the capture volume ({SHOW_VOLUME.shortcut})")
        close.setAccessibleName("Hide the capture volume")
        close.clicked.connect(self.closed)
        for push in (self.edit, self.reset, close):
            # A click must not take the focus: Space keeps meaning Play.
            push.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            self.tools.addWidget(push)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(self.editor)
        self.body.addWidget(self._area)
        self._max_height_px = 0
        self.setFixedWidth(_VOLUME_WIDTH_PX)

    def refresh(self) -> None:
        """Show the stored capture volume."""
        self.editor.refresh()
        self.reset.setVisible(self._volume.is_set)
        self.fit(self._max_height_px)

    def fit(self, max_height_px: int) -> None:
        """Resize to the content, up to a height; the rest scrolls."""
        self._max_height_px = max_height_px
        content, outer = self.editor.layout(), self.layout()
        assert content is not None and outer is not None
        margins = outer.contentsMargins()
        width = _VOLUME_WIDTH_PX - margins.left() - margins.right() - 2
        content.activate()
        needed = content.totalHeightForWidth(width) if content.hasHeightForWidth() else content.sizeHint().height()
        around = margins.top() + margins.bottom() + _HEADER_PX
        self._area.setFixedHeight(max(_MIN_AREA_PX, min(needed, max_height_px - around)))
        self.resize(_VOLUME_WIDTH_PX, self._area.height() + around)
        self.resized.emit()

    def _unfold(self, expanded: bool) -> None:
        self.editor.set_expanded(expanded)
        self.fit(self._max_height_px)


class NoticeBar(QFrame):
    """Line under the toolbar that names missing data and the remedy.

    Signals:
        page_requested: Name of the page where the remedy is.
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
        """Text shown."""
        return self._label.text()

    def show_message(self, text: str, *, outdated: bool = False, page: str = "") -> None:
        """Show a text; an empty one hides the bar.

        Args:
            text: What is missing, and the remedy.
            outdated: Offer to make results again.
            page: Name of a page to offer; empty for none.
        """
        self._page = page
        self.go.setText(f"Go to {page.capitalize()}")
        self.go.setVisible(bool(page))
        self._icon.set_icon(*(("warning", "warn") if outdated else ("info", "accent")))
        self.update_button.setVisible(outdated)
        self._label.setText(text)
        self.setVisible(bool(text))
