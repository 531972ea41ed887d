"""The small panels of the View page: who is there now, and what the evaluation measured."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.pages.view.facts import Figures, PersonNow
from studio.theme import GRID_PX, current_theme
from studio.widgets.card import Card, clear
from studio.widgets.text import label, set_role


class Swatch(QWidget):
    """A dot in a person's colour, hollow while the person is absent."""

    def __init__(self, person: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._person, self._present = person, True
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """A dot beside a line of text."""
        return QSize(10, 10)

    def set_present(self, present: bool) -> None:
        """Fills the dot or not."""
        if present != self._present:
            self._present = present
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The dot."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = QColor(current_theme().person(self._person))
        painter.setPen(colour)
        painter.setBrush(colour if self._present else Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QRectF(1, 1, 8, 8))
        painter.end()


class PeoplePanel(QFrame):
    """A row a person: name, confidence, speed. Lies over a corner of the 3D view."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(12, GRID_PX, 12, GRID_PX)
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(4)
        self._rows: list[tuple[Swatch, list[QWidget]]] = []
        self._names: tuple[str, ...] = ()

    def show_people(self, people: tuple[PersonNow, ...]) -> None:
        """Shows this moment."""
        names = tuple(person.name for person in people)
        if names != self._names:
            self._rebuild(people)
            self._names = names
        for person, (swatch, cells) in zip(people, self._rows, strict=True):
            swatch.set_present(person.present)
            texts = (person.name, *_cells(person))
            for cell, text in zip(cells, texts, strict=True):
                cell.setText(text)  # type: ignore[attr-defined]
            set_role(cells[0], "strong" if person.present else "muted")

    def _rebuild(self, people: tuple[PersonNow, ...]) -> None:
        clear(self._grid)
        self._rows = []
        for column, title in enumerate(("", "", "Confidence", "Speed")):
            heading = label(title, "overline", wrap=False)
            self._grid.addWidget(heading, 0, column, Qt.AlignmentFlag.AlignRight)
        for row, person in enumerate(people, 1):
            swatch = Swatch(person.person)
            cells: list[QWidget] = [label("", "strong", wrap=False), *(label("", wrap=False) for _ in range(2))]
            # Wide enough for every value, so that the panel does not jump from moment to moment.
            cells[2].setMinimumWidth(cells[2].fontMetrics().horizontalAdvance("00.0 m/s"))
            self._grid.addWidget(swatch, row, 0)
            self._grid.addWidget(cells[0], row, 1)
            for column, cell in enumerate(cells[1:], 2):
                self._grid.addWidget(cell, row, column, Qt.AlignmentFlag.AlignRight)
            self._rows.append((swatch, cells))


def _cells(person: PersonNow) -> tuple[str, str]:
    if not person.present:
        return "absent", "–"
    speed = "–" if math.isnan(person.speed_m_s) else f"{person.speed_m_s:.1f} m/s"
    return f"{person.confidence * 100:.0f} %", speed


class FiguresCard(Card):
    """The evaluation of the take: one column a method, and the verdict."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Measured on held-out moments", parent=parent)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._table = QVBoxLayout()
        self.body.addLayout(self._table)
        self._verdict = label("", "small")
        self.body.addWidget(self._verdict)
        self._shown: Figures | None = None
        self.hide()

    @property
    def verdict(self) -> str:
        """The sentence shown."""
        return self._verdict.text()

    def show_figures(self, figures: Figures | None) -> None:
        """Shows these figures; hides the card where there are none."""
        self.setVisible(figures is not None)
        if figures == self._shown or figures is None:
            return
        self._shown = figures
        clear(self._table)
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(0, 1)
        for column, method in enumerate(figures.methods, 1):
            grid.addWidget(label(method, "overline", wrap=False), 0, column, Qt.AlignmentFlag.AlignRight)
        for row, (title, *cells) in enumerate(figures.rows, 1):
            grid.addWidget(label(title, "muted", wrap=False), row, 0)
            for column, cell in enumerate(cells, 1):
                grid.addWidget(label(cell, "strong", wrap=False), row, column, Qt.AlignmentFlag.AlignRight)
        self._table.addWidget(holder)
        self._verdict.setText(figures.verdict)
        self._verdict.setVisible(bool(figures.verdict))
