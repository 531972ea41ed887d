"""Widget of a step of the Train page."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.pages.train import presenter
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.status_dot import StatusDot
from studio.widgets.text import make_label


class StepWidget(QWidget):
    """Step with state, summary, button, and the reason if it is blocked."""

    def __init__(self, step: presenter.Step, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.step = step
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 4, 0, 4)
        row.setSpacing(GRID_PX + GRID_PX // 2)
        self.dot = StatusDot()
        row.addWidget(self.dot, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(2)
        column.addWidget(make_label(step.title, "strong", wrap=False))
        column.addWidget(make_label(step.summary, "small"))
        self.reason = make_label("", "reason")
        column.addWidget(self.reason)
        row.addLayout(column, 1)
        self.push = button(step.title, "normal", step.icon, step.summary)
        self.push.setFixedWidth(15 * GRID_PX)
        row.addWidget(self.push, 0, Qt.AlignmentFlag.AlignTop)

    def show_row(self, row: presenter.StepRow) -> None:
        """Show the state of the step."""
        self.dot.set_state(row.state, row.reason)
        self.push.setEnabled(not row.blocked)
        self.push.setToolTip(row.blocked or row.step.summary)
        self.push.setText("Run again" if row.state in ("done", "outdated") else row.step.title)
        self.reason.setText(row.reason)
        self.reason.setVisible(bool(row.reason))
