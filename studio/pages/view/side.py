"""Column beside the 3D view: videos, people, bodies, evaluation."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.pages.view.body_models.card import BodiesCard
from studio.pages.view.evaluation.card import EvaluationCard
from studio.pages.view.evaluation.summary import EvaluationSummary
from studio.pages.view.panels import PeoplePanel
from studio.pages.view.summary import PersonState
from studio.state.app_state import AppState
from studio.theme import GRID_PX
from studio.widgets.frame_ticker import FrameTicker
from studio.widgets.images.video_panes import VideoPanes


class SideColumn(QWidget):
    """Videos with as many cards below them as there is space for.

    Args:
        state: State shared with the other pages.
        ticker: Ticker of the page.

    Attributes:
        panes: Videos; an enlarged one replaces the cards.
        people: People at the frame.
        bodies: Bodies of the result.
        evaluation: Evaluation of the take.
    """

    def __init__(self, state: AppState, ticker: FrameTicker) -> None:
        super().__init__()
        self.panes = VideoPanes(ticker)
        self.people = PeoplePanel()
        self.people.hide()
        self.bodies = BodiesCard(state)
        self.evaluation = EvaluationCard()
        self._summary: EvaluationSummary | None = None
        self._people: tuple[PersonState, ...] = ()
        self._small = self._graphs_shown = False
        column = QVBoxLayout(self)
        column.setContentsMargins(GRID_PX, GRID_PX, GRID_PX, GRID_PX)
        column.setSpacing(GRID_PX)
        column.addWidget(self.panes, 1)
        for card in (self.people, self.bodies, self.evaluation):
            column.addWidget(card)
        self.evaluation.fold.toggled.connect(self._arrange)
        self.panes.enlarged_changed.connect(self._arrange)

    def show_evaluation(self, summary: EvaluationSummary | None) -> None:
        """Show an evaluation; None hides the card."""
        self._summary = summary
        self._arrange()

    def show_people(self, people: tuple[PersonState, ...]) -> None:
        """Show the people at a frame."""
        changed = bool(people) != bool(self._people)
        self._people = people
        self.people.show_people(people)
        if changed:
            self._arrange()

    def fit(self, *, small: bool, graphs_shown: bool) -> None:
        """Set the layout for small or large windows, with or without graphs under the timeline."""
        self._small, self._graphs_shown = small, graphs_shown
        self._arrange()

    def _arrange(self) -> None:
        """Show the cards that leave enough space for the videos."""
        enlarged, squeezed = bool(self.panes.enlarged), self._small and self._graphs_shown
        summary = None if enlarged or squeezed else self._summary
        self.evaluation.set_small(self._small)
        self.evaluation.show_summary(summary)
        unfolded = self._small and summary is not None and self.evaluation.fold.isChecked()
        self.bodies.setHidden(enlarged or squeezed or unfolded)
        self.people.setHidden(enlarged or unfolded or not self._people)
