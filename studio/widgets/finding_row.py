"""One finding of a check: level, sentence, remedy."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label

Level = Literal["ok", "warning", "error", "info"]
LEVEL_ICONS: dict[str, tuple[str, str]] = {
    "ok": ("check-circle", "good"),
    "warning": ("warning", "warn"),
    "error": ("error", "bad"),
    "info": ("info", "muted"),
}
"""Icon and colour token of each level."""


class FindingRow(QWidget):
    """Coloured icon, sentence, and the remedy below."""

    def __init__(self, level: str, sentence: str, remedy: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.level = level
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(GRID_PX)
        self._icon = IconLabel(*LEVEL_ICONS.get(level, LEVEL_ICONS["info"]), 18)
        layout.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(2)
        self.sentence = make_label(sentence)
        column.addWidget(self.sentence)
        if remedy:
            column.addWidget(make_label(remedy, "small"))
        column.addStretch(1)
        layout.addLayout(column, 1)
        self._row, self._column = layout, column

    def add(self, push: QWidget) -> None:
        """Add a button to the right of the sentence, at the same height."""
        self._column.insertStretch(0, 1)
        self._row.setAlignment(self._icon, Qt.AlignmentFlag.AlignVCenter)
        self._row.addWidget(push)
