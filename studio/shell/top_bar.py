"""Top bar: session, take and jobs."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QToolButton, QWidget

from studio.actions.menus import OpenPath, fill_menu
from studio.actions.registry import ActionRegistry
from studio.actions.table import SESSION_MENU
from studio.icons import SIZE_BESIDE_TEXT, icon
from studio.state.app_state import AppState
from studio.theme import GRID_PX
from studio.widgets.choice import Choice
from studio.widgets.text import make_label


class TopBar(QFrame):
    """Bar with session and take on the left, and jobs on the right.

    Args:
        state: Selection of the window.
        registry: The actions.
        open_path: Opens a recent session.
        parent: Owner.
    """

    def __init__(
        self, state: AppState, registry: ActionRegistry, open_path: OpenPath, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("topBar")
        self.setFixedHeight(6 * GRID_PX)
        self._state = state
        row = QHBoxLayout(self)
        row.setContentsMargins(2 * GRID_PX, 0, 2 * GRID_PX, 0)
        row.setSpacing(GRID_PX)
        self.session = QPushButton("No session")
        self.session.setProperty("kind", "session")
        menu = QMenu(self.session)
        fill_menu(menu, SESSION_MENU, registry, state.settings, open_path)
        self.session.setMenu(menu)
        row.addWidget(self.session)
        row.addSpacing(GRID_PX)
        self._take_label = make_label("Take", "muted", wrap=False)
        row.addWidget(self._take_label)
        self.take = Choice("Take")
        self.take.setMinimumWidth(20 * GRID_PX)
        self.take.activated.connect(self._select_take)
        row.addWidget(self.take)
        row.addStretch(1)
        self.jobs = QToolButton()
        self.jobs.setIcon(icon("jobs"))
        self.jobs.setIconSize(SIZE_BESIDE_TEXT)
        self.jobs.setCheckable(True)
        self.jobs.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.jobs.setText("Jobs")
        self.jobs.clicked.connect(registry["jobs.panel"].trigger)
        row.addWidget(self.jobs)
        state.content_changed.connect(self.refresh)
        state.jobs.active_changed.connect(self._show_job_count)
        self.refresh()

    def refresh(self) -> None:
        """Show the session and its takes on disk."""
        session = self._state.session
        self.session.setText(session.name if session else "No session")
        self.session.setToolTip(str(session.root) if session else "Open or create a session")
        names = session.take_names() if session else []
        with QSignalBlocker(self.take):
            self.take.clear()
            self.take.addItems(names)
            self.take.setCurrentText(self._state.take_name)
        self.take.setVisible(bool(names))
        self._take_label.setVisible(bool(names))

    def _select_take(self) -> None:
        self._state.select_take(self.take.currentText())

    def _show_job_count(self) -> None:
        running = len(self._state.jobs.active)
        self.jobs.setText(f"Jobs ({running})" if running else "Jobs")
