"""Record page: live cameras with a record button, the takes of the session, and import of videos."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QWidget

from core.errors import CoreError
from core.jobs.commands import StartTake
from core.session.incoming import interrupted_recordings
from studio.background import Background
from studio.jobs.tracked import TrackedJob
from studio.pages.record import presenter
from studio.pages.record.camera_menu import CameraMenu
from studio.pages.record.import_dialog import ImportDialog
from studio.pages.record.no_cameras import NoCameras, NoTakes
from studio.pages.record.record_bar import BarState, RecordBar
from studio.pages.record.result_card import ResultCard
from studio.pages.record.stage import Stage
from studio.pages.record.sync_check import SyncCheck
from studio.pages.record.take_editing import TakeEditing
from studio.pages.record.takes_list import TakesList, TakeWidget
from studio.shell.rename_dialog import RenameDialog
from studio.state.app_state import AppState
from studio.state.live_status import LiveStatus
from studio.theme import GRID_PX
from studio.widgets.buttons import MenuButton, button, set_blocked
from studio.widgets.page.banner import Banner
from studio.widgets.page.scroll_page import ScrollPage
from studio.widgets.text import make_label

IMPORT_TIP = "Create a take from one video per camera"
FOLDER_TIP = (
    "Create a take from a folder with a video, or with a folder of numbered images, per camera, or from a recording of "
    "SkellyCam, FreeMoCap or caliscope"
)
_PEEK_PX = 7 * GRID_PX
"""Height in px of the takes that stay visible below the cameras."""
_LOW_PX = 26 * GRID_PX
_ASKED_S = 2.0
"""Time in s after which a press of the button without effect may be repeated."""


class RecordPage(ScrollPage):
    """Record page.

    Args:
        state: Selection of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Record", "Record from live cameras, or import videos.", parent)
        self._state, self._cameras = state, state.cameras
        self._interrupted: dict[str, str] = {}
        self._asked_in, self._asked_s = "", 0.0
        self._background = Background(self)
        self._result_background = Background(self)
        self.adding, self.editing = CameraMenu(state, self), TakeEditing(state, self)
        self.adding.added.connect(self._watch)
        self.adding.demo_added.connect(self._demo_added)
        self.editing.refused.connect(self.refresh)
        self.editing.deleted.connect(self._deleted)
        self.sync_check = SyncCheck(state, self)
        self._make_tools()
        self.banner = Banner()
        self.banner.requested.connect(self._recover)
        self.banner.hide()
        self.notice = Banner()
        self.notice.requested.connect(self._hide_notice)
        self.notice.hide()
        self.empty = NoTakes(self._find_tools())
        self.strip = NoCameras(self._find_tools())
        self.stage = Stage(state.cameras)
        self.stage.rename_requested.connect(self._rename_camera)
        self.stage.control_set.connect(state.cameras.set_control)
        self.result = ResultCard()
        self.result.next_requested.connect(self._go_on)
        self.result.certify_requested.connect(self.editing.certify)
        self.result.closed.connect(self._close_result)
        self.takes_title = make_label("Takes", "heading")
        self.list = TakesList()
        self.list.selected.connect(state.select_take)
        self.list.rename_requested.connect(self.editing.rename)
        self.list.cut_requested.connect(self.editing.cut)
        self.list.certify_requested.connect(self.editing.certify)
        self.list.delete_requested.connect(self.editing.delete)
        self.list.kind_chosen.connect(self.editing.set_kind)
        for widget in (
            self.banner,
            self.notice,
            self.empty,
            self.strip,
            self.stage,
            self.result,
            self.takes_title,
            self.list,
        ):
            self.content.addWidget(widget)
        self.content.addStretch(1)
        self.bar = RecordBar()
        self.bar.pressed.connect(self.press)
        self.bar.kind.currentIndexChanged.connect(self._kind_of_next_chosen)
        self.bar.sound.setChecked(state.settings.value.record_sound)
        self.bar.sound.toggled.connect(lambda on: state.settings.update(record_sound=on))
        self._kind_of_next_chosen()
        self.outer.addWidget(self.bar)
        self._make_shortcuts()
        self.area.viewport().installEventFilter(self)
        self.refresh_when_visible(state.content_changed)
        state.jobs.active_changed.connect(self._jobs_changed)
        state.session_changed.connect(self._session_changed)
        cameras = state.cameras
        cameras.changed.connect(self._show_cameras)
        cameras.job_changed.connect(self._show_cameras)
        cameras.status_changed.connect(self._show_status)
        cameras.take_made.connect(self._take_made)
        state.jobs.ended.connect(self._job_ended)
        cameras.failed.connect(self.editing.fail)
        cameras.warned.connect(self._show_notice)
        self._show_cameras()

    @property
    def takes(self) -> list[TakeWidget]:
        """Cards of the takes added so far, in order."""
        return self.list.widgets

    def act(self, action: str) -> None:
        """Execute an action of the menu."""
        {"take.import": self.editing.import_take, "take.record": self.press}[action]()

    def why_not(self, action: str) -> str:
        """Return why an action of the menu is blocked; empty if it is available."""
        if action == "take.import":
            return self._state.jobs.why_not()
        return "" if self.bar.state in ("recording", "countdown") else self._record_blocked()

    def press(self) -> None:
        """Start the cameras, start recording, or stop, depending on the state."""
        state = self.bar.state
        if state == "off":
            self._cameras.watch()
            return
        if self._asked():
            return
        self._asked_in, self._asked_s = self._cameras.phase, time.monotonic()
        if not self._cameras.running:
            return
        if state == "watching":
            self.bar.count_up()
            self._cameras.start_take(
                StartTake(
                    name=self.bar.name.text(),
                    kind=self.bar.kind.currentData(),
                    note=self.bar.note.text().strip(),
                    countdown_s=float(self.bar.countdown.currentData()),
                    duration_s=self.bar.length.value(),
                    sound=self.bar.sound.isChecked(),
                )
            )
        elif state in ("countdown", "recording"):
            self._cameras.stop_take()
        self._show_phase(self._cameras.status)

    def _asked(self) -> bool:
        """Return whether the last press of the button is still pending."""
        return self._asked_in == self._cameras.phase and time.monotonic() - self._asked_s < _ASKED_S

    def mark(self) -> None:
        """Add a marker at the current time."""
        if self.bar.state == "recording":
            self._cameras.mark()

    def ask_about(self, videos: Sequence[Path]) -> ImportDialog | None:
        """Open the import dialog for videos, or for folders of them."""
        return self.editing.ask_about(videos)

    def refresh(self) -> None:
        """Read the takes in the background, and show them."""
        session = self._state.session
        self._background.drop()
        self.list.show_selection(self._state.take_name)
        self._jobs_changed()
        if session is not None:
            self.bar.set_names(tuple(session.take_names()))
            self._background.run(partial(presenter.take_cards, session), self._show_cards)
            self._background.run(partial(interrupted_recordings, session), self._show_interrupted)
            if self.result.isVisibleTo(self) and self.result.take in session.take_names():
                self._read_result(self.result.take, self._show_result)  # it may have a certificate meanwhile

    def showEvent(self, event: QShowEvent) -> None:
        """Search for cameras while the page is visible."""
        super().showEvent(event)
        self._cameras.search(self._state.session is not None)

    def hideEvent(self, event: QHideEvent) -> None:
        """Stop searching for cameras."""
        self._cameras.search(False)
        super().hideEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Fit the cameras into the visible part of the page."""
        if event.type() == QEvent.Type.Resize:
            self._fit_later()
        return super().eventFilter(watched, event)

    def _make_tools(self) -> None:
        self.stop_cameras = button("Stop cameras", "normal", "stop", "Switch the cameras off")
        self.stop_cameras.clicked.connect(self._cameras.stop)
        self.live = button("Live 3D", "normal", "skeleton", "Show the people of these cameras in 3D in real time")
        self.live.clicked.connect(lambda: self._state.page_requested.emit("live", ""))
        self.import_menu = MenuButton("Import", "Import", "import")
        self.import_menu.add("Videos…", IMPORT_TIP).triggered.connect(self.editing.import_take)
        self.import_menu.add("Folder…", FOLDER_TIP).triggered.connect(self.editing.import_folder)
        for push in (self.stop_cameras, self.live, self.adding.push, self.import_menu):
            self.tools.addWidget(push)

    def _make_shortcuts(self) -> None:
        self.bar.marked.connect(self.mark)
        for key, slot in ((Qt.Key.Key_M, self.mark), (Qt.Key.Key_Escape, self.stage.show_all)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    def _find_tools(self) -> dict[str, object]:
        return {
            "found": self.adding.add_found,
            "address": self.adding.add_by_address,
            "people": partial(self.adding.add_demo, people=True),
            "board": partial(self.adding.add_demo, people=False),
            "files": self.adding.play_files,
            "import": self.editing.import_take,
        }

    def _demo_added(self, people: bool) -> None:
        self.bar.kind.setCurrentIndex(self.bar.kind.findData("motion" if people else "board"))

    def _deleted(self, name: str) -> None:
        if self.result.take == name:
            self._close_result()

    def _watch(self) -> None:
        if not self._cameras.running and not self._state.jobs.why_not():
            self._cameras.watch()

    def _show_cards(self, cards: list[presenter.TakeCard]) -> None:
        self.list.show_cards(cards)
        self._arrange(bool(cards))

    def _arrange(self, takes: bool) -> None:
        """Show the non-empty parts of the page."""
        cameras = bool(self._cameras.cameras) or self._cameras.running
        self.empty.setVisible(not cameras and not takes)
        self.strip.setVisible(not cameras and takes)
        self.stage.setVisible(cameras)
        self.bar.setVisible(cameras)
        self.adding.push.setVisible(cameras)
        self.stop_cameras.setVisible(self._cameras.running)
        self.live.setVisible(self._cameras.running)
        self.takes_title.setVisible(takes)
        self.list.setVisible(takes)
        self._fit()

    def _fit_later(self) -> None:
        QTimer.singleShot(0, self, self._fit)  # not after the page is deleted

    def _fit(self) -> None:
        """Fit the cameras into the remaining visible height."""
        margins, gap = self.content.contentsMargins(), self.content.spacing()
        room = self.area.viewport().height() - margins.top()
        room -= _PEEK_PX if self.takes_title.isVisibleTo(self) else margins.bottom()
        width = self.area.viewport().width() - margins.left() - margins.right()
        for widget in (self.banner, self.notice, self.result):
            if widget.isVisibleTo(self):
                room -= max(widget.heightForWidth(width), widget.minimumSizeHint().height()) + gap
        self.stage.setFixedHeight(max(_LOW_PX, room))
        self.empty.setMinimumHeight(max(_LOW_PX, room))

    def _show_cameras(self) -> None:
        for widget in (self.empty, self.strip):
            widget.show_found(self._cameras.found, searched=self._cameras.searched)
        self._arrange(bool(self.list.widgets))
        self._show_phase(self._cameras.status)

    def _show_status(self, status: LiveStatus) -> None:
        self._show_phase(status)
        self.bar.show_status(status)

    def _show_phase(self, status: LiveStatus | None) -> None:
        state: BarState
        if not self._cameras.running:
            state = "off"
        elif status is None or status.starting:
            state = "starting"
        else:
            state = self._cameras.phase
        if state != self.bar.state:
            self.bar.set_state(state)
            if state in ("starting", "countdown", "recording"):
                self._hide_notice()
            if state == "recording":
                self._close_result()
        self.bar.offer_sound(presenter.sound_tip(status if self._cameras.running else None))
        self.stage.set_phase(self._cameras.phase, 0.0 if status is None else status.countdown_s)
        blocked = "" if state in ("countdown", "recording") else self._record_blocked()
        self.bar.set_blocked("One moment…" if self._asked() else blocked)
        busy = "Stop the take first." if state in ("countdown", "recording") else ""
        for push in (self.stop_cameras, self.adding.push):
            set_blocked(push, busy)

    def _kind_of_next_chosen(self, _index: int = 0) -> None:
        self.stage.live.board = self.bar.kind.currentData() != "motion"

    def _record_blocked(self) -> str:
        if self._cameras.running:
            return ""
        return self._state.jobs.why_not() if self._cameras.cameras else "Add cameras first."

    def _take_made(self, name: str) -> None:
        self._read_result(name, self._show_new)

    def _job_ended(self, job: TrackedJob) -> None:
        """Treat imported takes of people as recorded ones: show the result, and check the synchronisation."""
        if (
            job.verb == "import-take"
            and job.state == "finished"
            and job.job.spec.params.get("kind", "motion") == "motion"
        ):
            self._take_made(str(job.result.get("take", "")))

    def _read_result(self, name: str, show: Callable[[presenter.TakeResult], None]) -> None:
        session = self._state.session
        if session is not None:
            self._result_background.run(partial(presenter.take_result, session, name), show, self.editing.fail)

    def _show_new(self, result: presenter.TakeResult) -> None:
        if result.certify:
            self.sync_check.add(result.name)
        self._show_result(result)

    def _show_result(self, result: presenter.TakeResult) -> None:
        self.result.show_result(result, checking=self.sync_check.runs_for(result.name))
        if self.notice.sentence.text() in result.details:
            self._hide_notice()  # shown by the card
        self._fit_later()

    def _close_result(self) -> None:
        self.result.hide()
        self._fit_later()

    def _go_on(self, page: str) -> None:
        self._state.request_page(page, self.result.take)

    def _session_changed(self) -> None:
        self._result_background.drop()
        self._close_result()
        self._hide_notice()
        self._show_interrupted({})
        self._cameras.search(self._state.session is not None and self.isVisible())

    def _show_notice(self, text: str) -> None:
        self.notice.show_sentence("warning", text, "Hide")
        self.notice.show()
        self._fit_later()

    def _hide_notice(self) -> None:
        self.notice.hide()
        self._fit_later()

    def _show_interrupted(self, interrupted: dict[str, str]) -> None:
        self._interrupted = interrupted
        if interrupted:
            names = ", ".join(interrupted)
            self.banner.show_sentence(
                "warning",
                f"The recording of {names} was interrupted. What was stored can be recovered.",
                "Recover",
                "Turn the stored part into a take",
            )
        self.banner.setVisible(bool(interrupted))
        self._jobs_changed()
        self._fit_later()

    def _recover(self) -> None:
        run = next(iter(self._interrupted.values()), "")
        session = self._state.session
        job: TrackedJob | None = self._state.jobs.find(run) if run else None
        if session is None or job is None:
            return
        try:
            self._state.jobs.resume(job)
        except CoreError as error:
            self.editing.fail(error)

    def _jobs_changed(self) -> None:
        reason = self._state.jobs.why_not()
        set_blocked(self.import_menu, reason, "Create a take from videos or images")
        for widget in (self.empty, self.strip):
            widget.set_blocked(reason)
        set_blocked(self.banner.push, reason, "Turn the stored part into a take")
        if self._interrupted and not self._state.jobs.active:
            self._stale = True
        self._show_phase(self._cameras.status)

    def _rename_camera(self, name: str) -> RenameDialog:
        dialog = RenameDialog("camera", name, partial(self._cameras.rename_problem, name), self.window())
        dialog.chosen.connect(partial(self._cameras.rename, name))
        dialog.open()
        return dialog
