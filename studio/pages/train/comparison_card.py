"""Card with the comparison of triangulation and trained networks."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from core.errors import CoreError
from core.session.inputs import outdated_evaluation
from studio.pages.train.comparison import Comparison, load_comparison
from studio.plots.found_plot import FoundPlot
from studio.state.app_state import AppState
from studio.widgets.card import Card, clear_layout
from studio.widgets.data_table import DataTable
from studio.widgets.finding_row import FindingRow
from studio.widgets.text import make_label


class ComparisonCard(Card):
    """Newest evaluation of the selected take.

    Args:
        state: Selection of the window.
        parent: Owner.

    Attributes:
        table: Metrics of the methods; None without an evaluation.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Evaluation", parent=parent)
        self._state = state
        self._shown: tuple[str, str] | None = None
        self.table: DataTable | None = None

    def refresh(self) -> None:
        """Show the evaluation on disk if it has changed."""
        session, outdated = self._state.session, ""
        comparison: Comparison | CoreError | None = None
        try:
            take = self._state.take
            if session is not None and take is not None:
                comparison = load_comparison(take)
                outdated = outdated_evaluation(session, take) if comparison is not None else ""
        except CoreError as error:
            comparison = error
        if (repr(comparison), outdated) == self._shown:
            return
        self._shown = repr(comparison), outdated
        clear_layout(self.body)
        self.table = None
        if isinstance(comparison, CoreError):
            self.body.addWidget(FindingRow("error", comparison.message, comparison.hint))
        elif comparison is None:
            self.body.addWidget(make_label("Run Evaluate to compare triangulation and trained networks.", "muted"))
        else:
            self._show(comparison, outdated)

    def _show(self, comparison: Comparison, outdated: str) -> None:
        if outdated:
            self.body.addWidget(FindingRow("warning", f"These metrics are out of date. {outdated}"))
        self.body.addWidget(make_label(comparison.verdict, "strong"))
        if comparison.bodies:
            self.body.addWidget(make_label(comparison.bodies))
        self.table = DataTable(comparison.headers, right=range(1, len(comparison.headers)), stretch=0)
        self.table.set_rows(comparison.rows, comparison.tones)
        self.body.addWidget(self.table)
        if comparison.curves is not None:
            self.body.addWidget(FoundPlot(comparison.curves.percent_height, comparison.curves.found))
        for text in filter(None, (comparison.details, comparison.context)):
            self.body.addWidget(make_label(text, "small"))
