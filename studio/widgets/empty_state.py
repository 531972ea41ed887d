"""Empty state of a page or card: a message, and the next action."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label

_LINE_PX = 520
"""Maximum width of a line of text."""


class EmptyState(QWidget):
    """Icon, heading, sentence, and buttons for the next actions.

    Args:
        icon: File name in `resources/icons`.
        heading: A few words.
        sentence: Reason and remedy.
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
        self.heading = make_label(heading, "heading")
        self.sentence = make_label(sentence, "muted")
        for text in (self.heading, self.sentence):
            text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            row = QHBoxLayout()
            row.addStretch(1)
            row.addWidget(text, 100)
            row.addStretch(1)
            text.setMaximumWidth(_LINE_PX)
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
        """Change heading and sentence."""
        self.heading.setText(heading)
        self.sentence.setText(sentence)
