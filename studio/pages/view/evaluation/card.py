"""Card with the evaluation of a take."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from studio.icons import icon
from studio.pages.view.evaluation.summary import EvaluationFinding, EvaluationSummary
from studio.theme import GRID_PX
from studio.widgets.card import Card, clear_layout
from studio.widgets.elided import ElidedLabel
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label

_FOLDED_LINES = 2
"""Number of findings shown in a small window until the card is expanded."""


class EvaluationCard(Card):
    """Card with one line per finding; expanded, with the verdict and a table with a column per method.

    In a small window, the findings stay visible, with the verdict as tooltip.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Evaluation on held-out frames", parent=parent)
        self.heading.hide()
        self.fold = QToolButton()
        self.fold.setCheckable(True)
        self.fold.setToolTip("Show the metrics")
        self.fold.setAccessibleName("Show the metrics")
        self.fold.setIcon(icon("chevron-down"))
        self.fold.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.fold.toggled.connect(self._unfold)
        self._lines = QWidget()
        self._findings = QVBoxLayout(self._lines)
        self._findings.setContentsMargins(0, 0, 0, 0)
        self._findings.setSpacing(GRID_PX // 2)
        self._verdict = make_label("", "small")
        self._verdict.hide()
        head = QHBoxLayout()
        head.addWidget(self._lines, 1)
        head.addWidget(self._verdict, 1)
        head.addWidget(self.fold, 0, Qt.AlignmentFlag.AlignTop)
        outer = self.layout()
        assert outer is not None
        outer.setContentsMargins(2 * GRID_PX, GRID_PX, GRID_PX, GRID_PX)
        self.body.addLayout(head)
        self._holder = QWidget()
        self._table = QVBoxLayout(self._holder)
        self._table.setContentsMargins(0, 0, 0, 0)
        self._holder.hide()
        self.body.addWidget(self._holder)
        self._summary: EvaluationSummary | None = None
        self._small = False
        self.hide()

    @property
    def verdict(self) -> str:
        """Visible verdict."""
        return self._verdict.text()

    def set_small(self, small: bool) -> None:
        """Switch between the layouts for small and large windows."""
        if small != self._small:
            self._small = small
            self._unfold(self.fold.isChecked())

    def _unfold(self, expanded: bool) -> None:
        for widget in (self._holder, self.heading):
            widget.setVisible(expanded)
        self._verdict.setVisible(expanded and not self._small)
        self._lines.setVisible(not expanded or self._small)
        for place in range(_FOLDED_LINES, self._findings.count()):
            item = self._findings.itemAt(place)
            if item is not None and (line := item.widget()) is not None:
                line.setVisible(expanded or not self._small)

    def show_summary(self, summary: EvaluationSummary | None) -> None:
        """Show a summary; None hides the card."""
        self.setVisible(summary is not None)
        if summary == self._summary or summary is None:
            return
        self._summary = summary
        clear_layout(self._table)
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(0, 1)
        for column, method in enumerate(summary.methods, 1):
            grid.addWidget(_heading(method), 0, column, Qt.AlignmentFlag.AlignBottom)
        for row, (title, *cells) in enumerate(summary.rows, 1):
            grid.addWidget(make_label(title, "muted", wrap=False), row, 0)
            for column, cell in enumerate(cells, 1):
                grid.addWidget(make_label(cell, "strong", wrap=False), row, column, Qt.AlignmentFlag.AlignRight)
        self._table.addWidget(holder)
        self._verdict.setText(summary.verdict)
        self._lines.setToolTip(summary.verdict)
        clear_layout(self._findings)
        for finding in summary.findings:
            self._findings.addWidget(_line(finding))
        self._unfold(self.fold.isChecked())


def _line(finding: EvaluationFinding) -> QWidget:
    line = QWidget()
    row = QHBoxLayout(line)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(GRID_PX)
    row.addWidget(IconLabel(finding.icon, finding.token, 14))
    text = ElidedLabel("small")
    text.setText(finding.text)
    row.addWidget(text, 1)
    return line


def _heading(text: str) -> QLabel:
    label = make_label(text, "overline", wrap=False)
    label.setAlignment(Qt.AlignmentFlag.AlignRight)
    return label
