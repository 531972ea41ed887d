"""What a place says while there is nothing in it: a sentence, and what to do next."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import label

_LINE_PX = 520
"""Longest comfortable line."""


class EmptyState(QWidget):
    """An icon, a heading, a sentence, and the next action if there is one.

    Args:
        icon: File in `resources/icons`.
        heading: Few words.
        sentence: Why it is empty and what fills it.
        buttons: Next actions, the most likely first.
    """

    def __init__(
        self, icon: str, heading: str, sentence: str, *buttons: QPushButton, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * GRID_PX, 4 * GRID_PX, 3 * GRID_PX, 4 * GRID_PX)
        layout.setSpacing(GRID_PX)
        layout.addStretch(1)
        layout.addWidget(IconLabel(icon, "faint", 40), 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(GRID_PX // 2)
        self.heading = label(heading, "heading")
        self.sentence = label(sentence, "muted")
        for words in (self.heading, self.sentence):
            words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            row = QHBoxLayout()
            row.addStretch(1)
            row.addWidget(words, 100)
            row.addStretch(1)
            words.setMaximumWidth(_LINE_PX)
            layout.addLayout(row)
        if buttons:
            layout.addSpacing(GRID_PX)
            row = QHBoxLayout()
            row.setSpacing(GRID_PX)
            row.addStretch(1)
            for button in buttons:
                row.addWidget(button)
            row.addStretch(1)
            layout.addLayout(row)
        layout.addStretch(2)

    def show_message(self, heading: str, sentence: str) -> None:
        """Changes the words."""
        self.heading.setText(heading)
        self.sentence.setText(sentence)
