"""Banner: one sentence that stays visible, with its level and an optional action."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.finding_row import LEVEL_ICONS
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label, set_role


class Banner(QFrame):
    """Coloured icon, sentence, and an optional button.

    Attributes:
        level: "ok", "warning", "error" or "info".
        sentence: Label of the sentence.
        push: Button of the action; hidden if there is none.

    Signals:
        requested: The button was clicked.
    """

    requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "banner")
        self.level = "info"
        row = QHBoxLayout(self)
        row.setContentsMargins(GRID_PX + GRID_PX // 2, GRID_PX // 2, GRID_PX // 2, GRID_PX // 2)
        row.setSpacing(GRID_PX)
        self._icon = IconLabel(*LEVEL_ICONS["info"], 18)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignVCenter)
        self.sentence = make_label("")
        self.sentence.setMinimumHeight(4 * GRID_PX)
        row.addWidget(self.sentence, 1)
        self.push = button("", "normal")
        self.push.clicked.connect(self.requested)
        self.push.hide()
        row.addWidget(self.push)

    def show_sentence(self, level: str, sentence: str, action: str = "", tip: str = "") -> None:
        """Show a sentence.

        Args:
            level: "ok", "warning", "error" or "info".
            sentence: The sentence.
            action: Text of the button; empty for none.
            tip: Tooltip of the button.
        """
        self.level = level
        set_role(self, level, "level")
        self._icon.set_icon(*LEVEL_ICONS.get(level, LEVEL_ICONS["info"]))
        self.sentence.setText(sentence)
        self.sentence.setAccessibleName(sentence)
        self.push.setText(action)
        self.push.setToolTip(tip)
        self.push.setVisible(bool(action))
