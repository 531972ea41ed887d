"""One sentence of a check: how bad, what was found, what to do about it."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import label

Level = Literal["ok", "warning", "error", "info"]
_LOOK: dict[str, tuple[str, str]] = {
    "ok": ("check-circle", "good"),
    "warning": ("warning", "warn"),
    "error": ("error", "bad"),
    "info": ("info", "muted"),
}


class FindingRow(QWidget):
    """A coloured mark, the sentence, and the remedy under it."""

    def __init__(self, level: str, sentence: str, remedy: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.level = level
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(GRID_PX)
        layout.addWidget(IconLabel(*_LOOK.get(level, _LOOK["info"]), 18), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(2)
        self.sentence = label(sentence)
        words.addWidget(self.sentence)
        if remedy:
            words.addWidget(label(remedy, "small"))
        words.addStretch(1)
        layout.addLayout(words, 1)
