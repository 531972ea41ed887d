"""The window: frame, pages, and what its actions do."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Protocol, runtime_checkable

from PySide6.QtCore import QByteArray, Qt, QUrl
from PySide6.QtGui import QCloseEvent, QDesktopServices, QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QMessageBox,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.errors import CoreError
from core.session import Session
from studio.actions.menus import fill_menu_bar
from studio.actions.registry import ActionRegistry
from studio.actions.table import ACTIONS
from studio.jobs.panel import JobsPanel
from studio.jobs.tracked import TrackedJob
from studio.log import log_folder
from studio.pages.registry import PAGES
from studio.settings import sessions_folder
from studio.shell.dialogs import AboutDialog, ShortcutsDialog, show_error
from studio.shell.navigation import NavigationRail
from studio.shell.sample import SampleOpener
from studio.shell.status_bar import StatusBar
from studio.shell.top_bar import TopBar
from studio.shell.welcome import WelcomePage
from studio.state.app_state import AppState
from studio.state.steps import page_steps
from studio.theme import apply_theme, current_theme


@runtime_checkable
class ShutsDown(Protocol):
    """A page that holds threads or OpenGL."""

    def shut_down(self) -> None:
        """Lets go of them; called once, before the window goes."""


_NARROW_PX = 1500
"""Below this width, the rail shows icons only while the jobs are open, so that the pages keep their room."""
_ROOMY_PX = 1600
"""From this width on, the jobs open by themselves when one starts."""


class MainWindow(QMainWindow):
    """Rail, bars, pages and jobs around one `AppState`.

    Args:
        state: What is looked at.
    """

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self.state = state
        state.setParent(self)
        self.setWindowTitle("SelfPose Studio")
        self.setMinimumSize(1024, 640)
        self.resize(1440, 900)
        self.registry = ActionRegistry(ACTIONS, state, self)
        self.rail = NavigationRail()
        self.top_bar = TopBar(state, self.registry, self.open_path)
        self.welcome = WelcomePage(self.registry, state.settings)
        self.pages = {spec.name: spec.make(state) for spec in PAGES}
        self.stack = QStackedWidget()
        for page in (self.welcome, *self.pages.values()):
            self.stack.addWidget(page)
        self.jobs_panel = JobsPanel(state)
        self.sample = SampleOpener(self)
        self._build()
        self._bind()
        self.rail.page_chosen.connect(self.show_page)
        self.welcome.chosen.connect(self.open_path)
        self.sample.opened.connect(self._sample_opened)
        self.sample.failed.connect(self._sample_failed)
        self.jobs_panel.closed.connect(self.toggle_jobs)
        state.session_changed.connect(self._session_changed)
        state.status_changed.connect(self._show_steps)
        state.take_changed.connect(self._show_steps)
        state.volume.shown.connect(self._show_volume)
        state.volume.failed.connect(self._volume_failed)
        state.jobs.added.connect(self._job_added)
        state.jobs.ended.connect(self._job_ended)
        self._restore()
        self._session_changed()

    @property
    def page_name(self) -> str:
        """Name of the page that is seen; empty on the welcome page."""
        current = self.stack.currentWidget()
        return next((name for name, page in self.pages.items() if page is current), "")

    def show_page(self, name: str) -> None:
        """Goes to a page."""
        self.stack.setCurrentWidget(self.pages[name])
        self.rail.set_current(name)

    def open_path(self, root: Path) -> None:
        """Opens a session folder; an error is shown with its remedy."""
        try:
            self.state.open(root)
        except CoreError as error:
            show_error(error, self)

    def open_session(self) -> None:
        """Asks for a session folder and opens it."""
        start = self.state.settings.value.last_folder or str(sessions_folder())
        chosen = QFileDialog.getExistingDirectory(self, "Open session", start)
        if chosen:
            self.state.settings.update(last_folder=str(Path(chosen).parent))
            self.open_path(Path(chosen))

    def new_session(self) -> None:
        """Asks where, and makes an empty session there."""
        folder = sessions_folder()
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        chosen, _ = QFileDialog.getSaveFileName(
            self, "New session: name its folder", str(folder / "My session"), "Session folder (*)"
        )
        if chosen:
            self.create_session(Path(chosen))

    def create_session(self, root: Path) -> None:
        """Makes an empty session and opens it."""
        try:
            self.state.set_session(Session.create(root))
        except CoreError as error:
            show_error(error, self)

    def open_sample(self) -> None:
        """Opens the embedded sample, making its session the first time."""
        self.sample.start()
        self.welcome.say_busy("Preparing the sample…")

    def close_session(self) -> None:
        """Back to the welcome page; jobs go on."""
        self.state.set_session(None)

    def toggle_jobs(self) -> None:
        """Shows or hides the jobs."""
        self._show_jobs(self.jobs_panel.isHidden())

    def switch_theme(self) -> None:
        """Light to dark, dark to light."""
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        name = "light" if current_theme().name == "dark" else "dark"
        apply_theme(app, name)  # type: ignore[arg-type]
        self.state.settings.update(theme=name)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._make_room()
        super().resizeEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.state.jobs.active and not self._may_leave_jobs():
            event.ignore()
            return
        self.state.jobs.detach()
        self.state.undo.clear()  # else it tells of its emptiness while it is being deleted
        self.sample.shut_down()
        for page in self.pages.values():
            if isinstance(page, ShutsDown):
                page.shut_down()
        self.state.settings.update(geometry=bytes(self.saveGeometry().toBase64().data()).decode())
        super().closeEvent(event)

    def _build(self) -> None:
        fill_menu_bar(self.menuBar(), self.registry, self.state.settings, self.open_path)
        for name in ("theme.switch", "help.shortcuts"):
            tool = QToolButton()
            tool.setDefaultAction(self.registry[name])
            tool.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            self.rail.foot.addWidget(tool)
        self.rail.foot.addStretch(1)
        centre = QWidget()
        row = QHBoxLayout(centre)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.rail)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.top_bar)
        lower = QHBoxLayout()
        lower.setSpacing(0)
        lower.addWidget(self.stack, 1)
        lower.addWidget(self.jobs_panel)
        column.addLayout(lower, 1)
        row.addLayout(column, 1)
        self.setCentralWidget(centre)
        self.setStatusBar(StatusBar(self.state))

    def _bind(self) -> None:
        bind = self.registry.bind
        for name, slot in {
            "session.new": self.new_session,
            "session.open": self.open_session,
            "session.sample": self.open_sample,
            "session.folder": self._show_folder,
            "session.close": self.close_session,
            "app.quit": self.close,
            "edit.undo": self.state.undo.undo,
            "edit.redo": self.state.undo.redo,
            "jobs.panel": self.toggle_jobs,
            "jobs.cancel": self._cancel_jobs,
            "theme.switch": self.switch_theme,
            "help.shortcuts": self._show_shortcuts,
            "help.log": self._show_log,
            "help.about": self._show_about,
        }.items():
            bind(name, slot)
        for name in self.pages:
            bind(f"page.{name}", _ShowPage(self, name))
        on_pages = {
            "calibrate": ("rig.calibrate", "rig.import", "rig.export"),
            "record": ("take.import",),
            "train": ("path.run",),
        }
        for name, actions in on_pages.items():
            for action in actions:
                bind(action, _OnPage(self, name, action))
        assert not self.registry.unbound()

    def _restore(self) -> None:
        settings = self.state.settings.value
        self._show_jobs(settings.jobs_panel)
        if settings.geometry:
            self.restoreGeometry(QByteArray.fromBase64(settings.geometry.encode()))

    def _session_changed(self) -> None:
        session = self.state.session
        self.rail.set_pages_enabled(session is not None)
        self.top_bar.setVisible(session is not None)
        if session is None:
            self.setWindowTitle("SelfPose Studio")
            self.welcome.refresh()
            self.stack.setCurrentWidget(self.welcome)
            self.rail.set_current("")
            self._show_jobs(False, remember=False)
            return
        self.setWindowTitle(f"{session.name} - SelfPose Studio")
        self.state.settings.remember_session(session.root)
        self._show_jobs(self.state.settings.value.jobs_panel)
        self._show_steps()
        self.show_page(_where_to_go_on(self.state))

    def _show_steps(self) -> None:
        if self.state.session is not None:
            self.rail.set_steps(page_steps(self.state))

    def _show_jobs(self, shown: bool, *, remember: bool = True) -> None:
        self.jobs_panel.setVisible(shown)
        self.top_bar.jobs.setChecked(shown)
        self._make_room()
        if remember and self.state.settings.value.jobs_panel != shown:
            self.state.settings.update(jobs_panel=shown)

    def _make_room(self) -> None:
        self.rail.set_compact(self.width() < _NARROW_PX and not self.jobs_panel.isHidden())

    def _show_volume(self) -> None:
        self.show_page("view")

    def _volume_failed(self, error: CoreError) -> None:
        show_error(error, self)

    def _job_added(self, tracked: TrackedJob) -> None:
        self._show_steps()
        if tracked.active and self.width() >= _ROOMY_PX:
            self._show_jobs(True)

    def _job_ended(self, tracked: TrackedJob) -> None:
        if tracked.state in ("failed", "lost"):
            self._show_jobs(True)

    def _may_leave_jobs(self) -> bool:
        """Asks what becomes of the running jobs; False to stay."""
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setText("Jobs are still running.")
        box.setInformativeText("They can go on without the window; it finds them again at the next start.")
        keep = box.addButton("Let them run", QMessageBox.ButtonRole.AcceptRole)
        stop = box.addButton("Cancel them", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton("Stay", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.exec()
        if box.clickedButton() is stop:
            self._cancel_jobs()
        return box.clickedButton() in (keep, stop)

    def _cancel_jobs(self) -> None:
        for tracked in self.state.jobs.active:
            self.state.jobs.cancel(tracked)

    def _sample_opened(self, session: Session) -> None:
        self.welcome.say_busy("")
        self.state.set_session(session)

    def _sample_failed(self, error: BaseException) -> None:
        self.welcome.say_busy("")
        if not isinstance(error, CoreError):
            raise error
        show_error(error, self)

    def _show_folder(self) -> None:
        if self.state.session is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.state.session.root)))

    def _show_log(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_folder())))

    def _show_shortcuts(self) -> None:
        ShortcutsDialog(self.registry, self).open()

    def _show_about(self) -> None:
        AboutDialog(self).open()


class _ShowPage:
    """Slot of a page's action."""

    def __init__(self, window: MainWindow, name: str) -> None:
        self._window, self._name = window, name

    def __call__(self) -> None:
        self._window.show_page(self._name)


class _OnPage:
    """Slot of an action that a page carries out: goes to the page and runs `page.act(action)`."""

    def __init__(self, window: MainWindow, page: str, action: str) -> None:
        self._window, self._page, self._action = window, page, action

    def __call__(self) -> None:
        self._window.show_page(self._page)
        self._window.pages[self._page].act(self._action)  # type: ignore[attr-defined]


def _where_to_go_on(state: AppState) -> str:
    """The first page that is not done: where the work goes on."""
    steps = page_steps(state)
    return next((name for name in ("calibrate", "record", "train") if steps[name].state != "done"), "view")
