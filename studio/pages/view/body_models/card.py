"""Card for the bodies of the selected result and their body model."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from studio.pages.view.body_models.dialog import BodyModelsDialog
from studio.pages.view.body_models.presenter import bodies_state, fit_params
from studio.shell.starting import start_job
from studio.state.app_state import AppState
from studio.theme import GRID_PX
from studio.widgets.buttons import button, set_blocked
from studio.widgets.card import Card
from studio.widgets.choice import Choice
from studio.widgets.elided import ElidedLabel
from studio.widgets.status_dot import StatusDot
from studio.widgets.text import make_label

_FIT_TIP = "Fit bodies to the 3D poses of the selected result"
_MODEL_PX = 132


class BodiesCard(Card):
    """Card with the state of the bodies, the choice of the body model, and the button to fit bodies.

    Args:
        state: State of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._state = state
        self._chosen = ""
        self.dot = StatusDot()
        self.status = ElidedLabel("small")
        self.model = Choice("Body model")
        self.model.setToolTip("Body model to fit")
        self.model.setFixedWidth(_MODEL_PX)
        self.model.activated.connect(self._choose)
        self.models = button("", "quiet", "info", "Body models: terms, sources, and how to add one")
        self.models.setAccessibleName("Body models")
        self.models.clicked.connect(self._open_models)
        self.fit = button("Fit bodies", "normal", "", _FIT_TIP)
        self.fit.clicked.connect(self._fit)
        row = QHBoxLayout()
        row.setSpacing(GRID_PX)
        row.addWidget(self.dot)
        row.addWidget(make_label("Bodies", "strong", wrap=False))
        row.addWidget(self.status, 1)
        for widget in (self.model, self.models, self.fit):
            # No focus on click, so that Space still plays.
            widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            row.addWidget(widget)
        self.body.addLayout(row)
        outer = self.layout()
        assert outer is not None
        outer.setContentsMargins(
            GRID_PX + GRID_PX // 2, GRID_PX, GRID_PX, GRID_PX
        )  # one line, to leave space for the videos
        state.jobs.active_changed.connect(self.refresh)

    def refresh(self) -> None:
        """Show the state of the bodies of the selected result."""
        shown = bodies_state(self._state, self._chosen)
        self.dot.set_state(shown.state, shown.text)
        self.status.setText(shown.text)
        self.model.offer(shown.models, shown.model)
        self.fit.setText("Fit again" if shown.state in ("done", "outdated") else "Fit bodies")
        set_blocked(self.fit, shown.blocked, _FIT_TIP)

    def _choose(self) -> None:
        self._chosen = self.model.currentData()

    def _open_models(self) -> None:
        dialog = BodyModelsDialog(self.window())
        dialog.changed.connect(self._models_changed)
        dialog.open()

    def _models_changed(self, added: str) -> None:
        self._chosen = added or self._chosen
        self.refresh()

    def _fit(self) -> None:
        params = fit_params(self._state, self.model.currentData())
        start_job(self._state, self._state.session, "fit-body", params, f"Fit bodies: {params.take}", self.window())
