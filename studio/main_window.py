"""Main window with navigation, pages, jobs, and the slots of its actions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, Qt, QUrl
from PySide6.QtGui import QCloseEvent, QDesktopServices, QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.errors import CoreError
from core.session import Session
from studio.actions.menus import fill_menu_bar
from studio.actions.registry import ActionRegistry
from studio.actions.table import all_actions, menu_table
from studio.background import Background
from studio.jobs.panel import JobsPanel
from studio.jobs.tracked import TrackedJob
from studio.log import log_folder
from studio.pages.registry import PAGES
from studio.settings import sessions_folder
from studio.shell.dialogs import AboutDialog, QuestionDialog, ShortcutsDialog, show_error_dialog
from studio.shell.drops import classify_drop
from studio.shell.guide import GuideDialog
from studio.shell.housekeeping import Housekeeping
from studio.shell.lazy_pages import LazyPages
from studio.shell.navigation import NavigationRail
from studio.shell.new_session_dialog import NewSessionDialog
from studio.shell.sample import SampleOpener
from studio.shell.status_bar import StatusBar
from studio.shell.top_bar import TopBar
from studio.shell.welcome import WelcomePage
from studio.specs import ActionPage, ClosablePage, PageSpec, PlayingPage, StepView
from studio.state.app_state import AppState
from studio.state.steps import page_states, read_steps
from studio.theme import apply_theme, current_theme

_COMPACT_BELOW_PX = 1500
"""Width in px below which the rail shows only icons while the jobs panel is open."""
_OPEN_JOBS_FROM_PX = 1600
"""Width in px from which the jobs panel opens when a job starts."""
_FEW_TAKES = 4


class MainWindow(QMainWindow):
    """Main window.

    Args:
        state: Selection of the window.
        pages: The pages in order.
    """

    def __init__(self, state: AppState, pages: Sequence[PageSpec] = PAGES) -> None:
        super().__init__()
        self.state = state
        self._specs = tuple(pages)
        self._steps: dict[str, StepView] | CoreError = {}
        self._background = Background(self)
        state.setParent(self)
        self.setWindowTitle("SelfPose Studio")
        self.setMinimumSize(1024, 640)
        free = self.screen().availableSize()
        self.resize(min(1440, free.width()), min(900, free.height()))
        self.registry = ActionRegistry(all_actions(self._specs), state, self)
        self.rail = NavigationRail(self._specs)
        self.top_bar = TopBar(state, self.registry, self.open_path)
        self.welcome = WelcomePage(self.registry, state.settings, self._specs)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.welcome)
        self.pages = LazyPages(self._specs, state, self.stack, self._page_built)
        self.jobs_panel = JobsPanel(state)
        self.housekeeping = Housekeeping(state, self)
        self.status_bar = StatusBar(state)
        self.setAcceptDrops(True)
        self.sample = SampleOpener(self)
        self._build()
        self._bind_actions()
        self.rail.page_chosen.connect(self.show_page)
        self.welcome.chosen.connect(self.open_path)
        self.sample.opened.connect(self._sample_opened)
        self.sample.failed.connect(self._sample_failed)
        self.jobs_panel.closed.connect(self.toggle_jobs)
        self.jobs_panel.rename_requested.connect(self.housekeeping.rename_job)
        self.jobs_panel.delete_requested.connect(self.housekeeping.delete_job)
        self.housekeeping.done.connect(self.status_bar.announce)
        state.session_opening.connect(self.pages.complete)  # so that pages receive all changes of the session
        self._follow_state()
        self.registry.refused.connect(self._refused)
        state.volume.shown.connect(self._show_volume)
        state.page_requested.connect(self._show_requested)
        state.volume.failed.connect(self._volume_failed)
        state.jobs.added.connect(self._job_added)
        state.jobs.ended.connect(self._job_ended)
        self._restore()
        self._session_changed()
        self.registry.refresh()
        self.pages.build()

    @property
    def page_name(self) -> str:
        """Name of the visible page; empty on the welcome page."""
        current = self.stack.currentWidget()
        return next((name for name, page in self.pages.made.items() if page is current), "")

    def show_page(self, name: str) -> None:
        """Switch to a page."""
        self.stack.setCurrentWidget(self.pages[name])
        self.rail.set_current(name)

    def open_path(self, root: Path) -> None:
        """Open a session folder; show a dialog if that fails."""
        try:
            self.state.open(root)
        except CoreError as error:
            show_error_dialog(error, self)

    def open_session(self) -> None:
        """Ask for a session folder and open it."""
        start = self.state.settings.value.last_folder or str(sessions_folder())
        chosen = QFileDialog.getExistingDirectory(self, "Open session", start)
        if chosen:
            self.state.settings.update(last_folder=str(Path(chosen).parent))
            self.open_path(Path(chosen))

    def new_session(self) -> NewSessionDialog:
        """Open the dialog for a new session."""
        dialog = NewSessionDialog(sessions_folder(), self)
        dialog.chosen.connect(self.create_session)
        dialog.open()
        return dialog

    def create_session(self, root: Path, name: str = "") -> None:
        """Create an empty session and open it."""
        try:
            self.state.set_session(Session.create(root, name))
        except CoreError as error:
            show_error_dialog(error, self)

    def open_sample(self) -> None:
        """Open the sample session, which is created the first time."""
        self.sample.start()
        self.welcome.show_busy("Preparing the sample session…")

    def close_session(self) -> None:
        """Return to the welcome page; running jobs continue."""
        self.state.set_session(None)

    def toggle_jobs(self) -> None:
        """Show or hide the jobs panel."""
        self._show_jobs(self.jobs_panel.isHidden())

    def switch_theme(self) -> None:
        """Toggle between the light and the dark theme."""
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        name = "light" if current_theme().name == "dark" else "dark"
        apply_theme(app, name)  # type: ignore[arg-type]
        self.state.settings.update(theme=name)

    def show_guide(self) -> GuideDialog:
        """Open the guide to the pages."""
        dialog = GuideDialog(self._specs, self)
        dialog.open()
        return dialog

    def drop(self, paths: Sequence[Path]) -> None:
        """Open dropped files: a session, videos of a take, or a calibration; show a dialog if that fails."""
        try:
            dropped = classify_drop(paths)
            if dropped.kind == "session":
                self.state.open(dropped.paths[0])
                return
            name, action = {"videos": ("record", "take.import"), "rig": ("calibrate", "rig.import")}[dropped.kind]
            if reason := self.registry.why_not(action):
                raise CoreError(reason, "Drop the files again afterwards.")
            self.show_page(name)
            page: Any = self.pages[name]
            page.ask_about(list(dropped.paths) if dropped.kind == "videos" else dropped.paths[0])
        except CoreError as error:
            show_error_dialog(error, self)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files and folders."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the dropped files."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.drop(paths)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Adapt the navigation rail to the width."""
        self._update_rail_width()
        super().resizeEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask about running jobs, release threads and OpenGL, and save the geometry."""
        if self.state.jobs.why_not() and not self._confirm_close():
            event.ignore()
            return
        self.state.cameras.release()
        self.state.jobs.detach()
        self.state.undo.clear()  # otherwise it emits a signal while it is being deleted
        self.sample.shut_down()
        self.pages.stop()
        for page in self.pages.made.values():
            if isinstance(page, ClosablePage):
                page.shut_down()
        self.state.settings.update(geometry=bytes(self.saveGeometry().toBase64().data()).decode())
        super().closeEvent(event)

    def _build(self) -> None:
        menus = menu_table(self._specs)
        fill_menu_bar(self.menuBar(), menus, self.registry, self.state.settings, self.open_path)
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
        self.setStatusBar(self.status_bar)

    def _bind_actions(self) -> None:
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
            "take.rename": self.housekeeping.rename_take,
            "take.delete": self.housekeeping.delete_take,
            "result.rename": self.housekeeping.rename_result,
            "result.delete": self.housekeeping.delete_result,
            "session.bin": self.housekeeping.empty_bin,
            "help.guide": self.show_guide,
            "help.shortcuts": self._show_shortcuts,
            "help.log": self._show_log,
            "help.about": self._show_about,
        }.items():
            bind(name, slot)
        for spec in self._specs:
            bind(spec.action.id, partial(self.show_page, spec.name))
            for action in spec.actions:
                why_not = partial(self._why_not_on_page, spec.name, action.id)
                bind(action.id, partial(self._act_on_page, spec.name, action.id), why_not)
        assert not self.registry.unbound()

    def _page_built(self, spec: PageSpec, page: QWidget) -> None:
        assert isinstance(page, ActionPage) or not spec.actions, f"{spec.name!r} declares actions but cannot act"
        self._follow_state(again=True)

    def _follow_state(self, *, again: bool = False) -> None:
        """Connect to the state after the pages built so far, so that they are updated before they are shown."""
        state = self.state
        for signal, slot in (
            (state.session_changed, self._session_changed),
            (state.content_changed, self._read_steps),
            (state.jobs.active_changed, self._show_steps),
            (state.cameras.live_changed, self._show_steps),
            (state.content_changed, self.registry.refresh),
            (state.jobs.active_changed, self.registry.refresh),
        ):
            if again:
                signal.disconnect(slot)
            signal.connect(slot)

    def _why_not_on_page(self, page_name: str, action: str) -> str:
        """Return why an action of a page is blocked; empty if it is not, or if the page is not built yet."""
        page = self.pages.made.get(page_name)
        return page.why_not(action) if isinstance(page, ActionPage) else ""

    def _act_on_page(self, page_name: str, action: str) -> None:
        """Show a page, and execute one of its actions."""
        page = self.pages[page_name]
        assert isinstance(page, ActionPage)
        self.show_page(page_name)
        page.act(action)

    def _restore(self) -> None:
        settings = self.state.settings.value
        self._show_jobs(settings.jobs_panel)
        if settings.geometry:
            self.restoreGeometry(QByteArray.fromBase64(settings.geometry.encode()))
            free = self.screen().availableGeometry()
            self.resize(self.size().boundedTo(free.size()))  # it may come from a larger screen
            if not free.contains(self.geometry().topLeft()):
                self.move(free.topLeft())

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
            self.welcome.sample.setFocus()
            return
        self.setWindowTitle(f"{session.name} - SelfPose Studio")
        self.state.settings.remember_session(session.root)
        self._show_jobs(self.state.settings.value.jobs_panel)
        self.show_page(self._landing_page())

    def _landing_page(self) -> str:
        """Return the landing page if it has content, otherwise the first unfinished page before it."""
        session = self.state.session
        if session is None or len(session.take_names()) > _FEW_TAKES:
            self._steps = {}
            return next(spec.name for spec in self._specs if spec.landing)  # their states take long to read
        self._steps_read(read_steps(session))
        states = page_states(self.state, self._specs, self._steps)
        landing = next((s.name for s in self._specs if s.landing), "")
        if landing and states[landing].state == "done":
            return landing
        return next((s.name for s in self._specs if s.landing or states[s.name].state != "done"), self._specs[0].name)

    def _read_steps(self) -> None:
        """Read the states of the pages in the background."""
        self._background.drop()
        if self.state.session is not None:
            self._background.run(partial(read_steps, self.state.session), self._steps_read)

    def _steps_read(self, steps: dict[str, StepView] | CoreError) -> None:
        self._steps = steps
        self._show_steps()

    def _show_steps(self) -> None:
        if self.state.session is not None:
            self.rail.set_steps(page_states(self.state, self._specs, self._steps))

    def _show_jobs(self, shown: bool, *, remember: bool = True) -> None:
        self.jobs_panel.setVisible(shown)
        self.top_bar.jobs.setChecked(shown)
        self._update_rail_width()
        if remember and self.state.settings.value.jobs_panel != shown:
            self.state.settings.update(jobs_panel=shown)

    def _update_rail_width(self) -> None:
        self.rail.set_compact(self.width() < _COMPACT_BELOW_PX and not self.jobs_panel.isHidden())

    def _show_volume(self) -> None:
        self.show_page("view")

    def _show_requested(self, page: str, _take: str) -> None:
        self.show_page(page)

    def _volume_failed(self, error: CoreError) -> None:
        show_error_dialog(error, self)

    def _refused(self, reason: str) -> None:
        show_error_dialog(CoreError(reason, "Choose the action again afterwards."), self)

    def _job_added(self, tracked: TrackedJob) -> None:
        if tracked.active and not tracked.watching and self.width() >= _OPEN_JOBS_FROM_PX:
            self._show_jobs(True)

    def _job_ended(self, tracked: TrackedJob) -> None:
        if tracked.state in ("failed", "lost"):
            self._show_jobs(True)

    def _confirm_close(self) -> bool:
        """Ask what to do with running jobs; return False to keep the window open."""
        stay, stop, keep = "Don't close", "Cancel jobs", "Keep running"
        text = "Jobs can continue in the background. Their progress is shown at the next start."
        dialog = QuestionDialog(self.state.jobs.why_not(), text, (stay, stop, keep), self)
        if self.state.cameras.phase == "recording":
            stop, keep = "Stop recording", "Keep recording"
            text = "Stopping keeps what was recorded. Without the window, only its length or a full disk ends it."
            dialog = QuestionDialog("A take is being recorded.", text, (stay, keep, stop), self)
        dialog.exec()
        if dialog.answer == stop:
            self._cancel_jobs()
        return dialog.answer in (keep, stop)

    def _cancel_jobs(self) -> None:
        for tracked in self.state.jobs.active:
            self.state.jobs.cancel(tracked)

    def _sample_opened(self, session: Session) -> None:
        self.pages.when_complete(partial(self._play, session))

    def _play(self, session: Session) -> None:
        """Open a session and play it."""
        self.welcome.show_busy("")
        self.state.set_session(session)
        for page in self.pages.values():
            if isinstance(page, PlayingPage) and page.isVisible():
                page.play()

    def _sample_failed(self, error: BaseException) -> None:
        self.welcome.show_busy("")
        if not isinstance(error, CoreError):
            raise error
        show_error_dialog(error, self)

    def _show_folder(self) -> None:
        if self.state.session is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.state.session.root)))

    def _show_log(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_folder())))

    def _show_shortcuts(self) -> None:
        ShortcutsDialog(self.registry, self._specs, self).open()

    def _show_about(self) -> None:
        AboutDialog(self).open()
