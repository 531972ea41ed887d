"""Record page: live cameras with one red button, the takes of the session, and import of videos."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QFileDialog, QWidget

from core.errors import CoreError
from core.files import safe_name
from core.jobs.commands import StartTake
from core.pipelines.params import CertifyParams, ImportTakeParams
from core.session.incoming import free_take_name, interrupted_recordings
from studio.background import Background
from studio.jobs.tracked import TrackedJob
from studio.pages.record import presenter
from studio.pages.record.address_dialog import AddressDialog
from studio.pages.record.cut_dialog import CutDialog
from studio.pages.record.import_dialog import ImportDialog
from studio.pages.record.no_cameras import NoCameras, NoTakes
from studio.pages.record.record_bar import BarState, RecordBar
from studio.pages.record.result_card import ResultCard
from studio.pages.record.stage import Stage
from studio.pages.record.takes_list import TakesList, TakeWidget
from studio.shell.dialogs import show_error_dialog
from studio.shell.rename_dialog import RenameDialog
from studio.shell.starting import start_job
from studio.state.app_state import AppState
from studio.state.bin import take_name_problem
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
"""Height of the takes that stays in sight below the cameras."""
_LOW_PX = 26 * GRID_PX
_ASKED_S = 2.0
"""Time after which a press of the button that had no effect may be repeated."""
_WAIT = "Wait until it has ended, or cancel it."


class RecordPage(ScrollPage):
    """Cameras and takes of the session.

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
        self.result.certify_requested.connect(self.certify)
        self.result.closed.connect(self._close_result)
        self.takes_title = make_label("Takes", "heading")
        self.list = TakesList()
        self.list.selected.connect(state.select_take)
        self.list.rename_requested.connect(self._rename_take)
        self.list.cut_requested.connect(self.cut)
        self.list.certify_requested.connect(self.certify)
        self.list.delete_requested.connect(self._delete_take)
        self.list.kind_chosen.connect(self._set_kind)
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
        cameras.failed.connect(self._failed)
        cameras.warned.connect(self._show_notice)
        self._show_cameras()

    @property
    def takes(self) -> list[TakeWidget]:
        """Cards of the takes that were added so far, in order."""
        return self.list.widgets

    def act(self, action: str) -> None:
        """Carry out an action of the menu."""
        {"take.import": self.import_take, "take.record": self.press}[action]()

    def why_not(self, action: str) -> str:
        """Return why an action of the menu is blocked; empty if it is not."""
        if action == "take.import":
            return self._state.jobs.why_not()
        return "" if self.bar.state in ("recording", "countdown") else self._record_blocked()

    def press(self) -> None:
        """Do what the button is for: start the cameras, record, or stop."""
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
                )
            )
        elif state in ("countdown", "recording"):
            self._cameras.stop_take()
        self._show_phase(self._cameras.status)

    def _asked(self) -> bool:
        """Return whether the cameras have still to follow the last press of the button."""
        return self._asked_in == self._cameras.phase and time.monotonic() - self._asked_s < _ASKED_S

    def mark(self) -> None:
        """Mark the present instant of the take."""
        if self.bar.state == "recording":
            self._cameras.mark()

    def add_by_address(self) -> AddressDialog:
        """Ask for the address of a camera."""
        dialog = AddressDialog(self.window())
        dialog.chosen.connect(lambda camera: self._add([camera]))
        dialog.open()
        return dialog

    def play_files(self) -> None:
        """Ask for videos, and play them as cameras."""
        start = self._state.settings.value.last_folder
        chosen, _ = QFileDialog.getOpenFileNames(self, "Play videos as cameras", start, presenter.VIDEO_FILES)
        if chosen:
            self._state.settings.update(last_folder=str(Path(chosen[0]).parent))
            self._add(chosen)

    def import_take(self) -> None:
        """Ask for videos, then for the camera of each."""
        start = self._state.settings.value.last_folder
        chosen, _ = QFileDialog.getOpenFileNames(self, "Import videos: one per camera", start, presenter.VIDEO_FILES)
        if chosen:
            self._state.settings.update(last_folder=str(Path(chosen[0]).parent))
            self.ask_about([Path(c) for c in chosen])

    def import_folder(self) -> None:
        """Ask for a folder of videos or of image folders, then for the camera of each."""
        start = self._state.settings.value.last_folder
        title = "Import folder: a video or a folder of images per camera"
        chosen = QFileDialog.getExistingDirectory(self, title, start)
        if chosen:
            self._state.settings.update(last_folder=str(Path(chosen).parent))
            self.ask_about([Path(chosen)])

    def ask_about(self, videos: Sequence[Path]) -> ImportDialog | None:
        """Open the import dialog for videos, or for folders of them."""
        if self._state.session is None:
            return None
        try:
            dialog = ImportDialog(self._state.session, videos, self.window())
        except CoreError as error:
            self._failed(error)
            return None
        dialog.chosen.connect(self.start_import)
        dialog.open()
        return dialog

    def start_import(self, params: ImportTakeParams) -> None:
        """Import a take as a job."""
        self._start("import-take", params, f"Import take {params.name}")

    def cut(self, name: str, split: bool) -> CutDialog | None:
        """Ask where a take is trimmed or split, and do it as a job."""
        session = self._state.session
        if session is None or not self._may_change():
            return None
        try:
            manifest = session.take(name).manifest
            proposed = name if split else free_take_name(session, name, numbered=True)
        except CoreError as error:
            self._failed(error)
            return None
        dialog = CutDialog(
            manifest, split=split, name=proposed, problem=partial(take_name_problem, session), parent=self.window()
        )
        dialog.chosen.connect(lambda params: self._start("cut-take", params, dialog.windowTitle()))
        dialog.open()
        return dialog

    def certify(self, take: str) -> None:
        """Measure the clocks of a take's cameras in its images as a job."""
        self._start("certify", CertifyParams(take=take), f"Check synchronisation of {take}")

    def refresh(self) -> None:
        """Read the takes on disk in the background, and show them."""
        session = self._state.session
        self._background.drop()
        self.list.show_selection(self._state.take_name)
        self._jobs_changed()
        if session is not None:
            self.bar.set_names(tuple(session.take_names()))
            self._background.run(partial(presenter.take_cards, session), self._show_cards)
            self._background.run(partial(interrupted_recordings, session), self._show_interrupted)
            if self.result.isVisibleTo(self) and self.result.take in session.take_names():
                self._take_made(self.result.take)  # it may have a certificate by now

    def showEvent(self, event: QShowEvent) -> None:
        """Look for cameras while the page is in sight."""
        super().showEvent(event)
        self._cameras.search(self._state.session is not None)

    def hideEvent(self, event: QHideEvent) -> None:
        """Look for cameras no more."""
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
        self.live = button("Live 3D", "normal", "skeleton", "Show the people of these cameras in 3D while they move")
        self.live.clicked.connect(lambda: self._state.page_requested.emit("live", ""))
        self.add_menu = MenuButton("Add cameras", "Add cameras", "plus")
        self.add_menu.entries.aboutToShow.connect(self._fill_add_menu)
        self.import_menu = MenuButton("Import", "Import", "import")
        self.import_menu.add("Videos…", IMPORT_TIP).triggered.connect(self.import_take)
        self.import_menu.add("Folder…", FOLDER_TIP).triggered.connect(self.import_folder)
        for push in (self.stop_cameras, self.live, self.add_menu, self.import_menu):
            self.tools.addWidget(push)

    def _make_shortcuts(self) -> None:
        self.bar.marked.connect(self.mark)
        for key, slot in ((Qt.Key.Key_M, self.mark), (Qt.Key.Key_Escape, self.stage.show_all)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)

    def _find_tools(self) -> dict[str, object]:
        return {
            "found": self._add_found,
            "address": self.add_by_address,
            "people": partial(self._add_demo, people=True),
            "board": partial(self._add_demo, people=False),
            "files": self.play_files,
            "import": self.import_take,
        }

    def _fill_add_menu(self) -> None:
        menu = self.add_menu.entries
        menu.clear()
        used = {one.partition("=")[2] for one in self._cameras.cameras}
        for camera in self._cameras.found:
            action = menu.addAction(camera.title)
            action.setToolTip(camera.address)
            action.setEnabled(camera.address not in used)
            action.triggered.connect(partial(self._add, [camera.address]))
        if not self._cameras.found:
            menu.addAction(presenter.found_text((), searched=self._cameras.searched)).setEnabled(False)
        menu.addSeparator()
        menu.addAction("By address…").triggered.connect(self.add_by_address)
        menu.addAction("Play files as cameras…").triggered.connect(self.play_files)
        menu.addSeparator()
        menu.addAction("Sample videos, played live").triggered.connect(self._add_sample)
        menu.addAction("Demo cameras: people").triggered.connect(partial(self._add_demo, people=True))
        menu.addAction("Demo cameras: board").triggered.connect(partial(self._add_demo, people=False))

    def _add(self, addresses: Sequence[str], _checked: bool = False) -> None:
        """Use further cameras, and show them."""
        self._cameras.add(addresses)
        self._watch()

    def _add_found(self) -> None:
        self._add([camera.address for camera in self._cameras.found])

    def _add_demo(self, _checked: bool = False, *, people: bool) -> None:
        self._cameras.add_demo(people=people)
        self.bar.kind.setCurrentIndex(self.bar.kind.findData("motion" if people else "board"))
        self._watch()

    def _add_sample(self, _checked: bool = False) -> None:
        self._cameras.add_sample()
        self._watch()

    def _watch(self) -> None:
        if not self._cameras.running and not self._state.jobs.why_not():
            self._cameras.watch()

    def _show_cards(self, cards: list[presenter.TakeCard]) -> None:
        self.list.show_cards(cards)
        self._arrange(bool(cards))

    def _arrange(self, takes: bool) -> None:
        """Show the parts of the page that have something to show."""
        cameras = bool(self._cameras.cameras) or self._cameras.running
        self.empty.setVisible(not cameras and not takes)
        self.strip.setVisible(not cameras and takes)
        self.stage.setVisible(cameras)
        self.bar.setVisible(cameras)
        self.add_menu.setVisible(cameras)
        self.stop_cameras.setVisible(self._cameras.running)
        self.live.setVisible(self._cameras.running)
        self.takes_title.setVisible(takes)
        self.list.setVisible(takes)
        self._fit()

    def _fit_later(self) -> None:
        QTimer.singleShot(0, self._fit)

    def _fit(self) -> None:
        """Give the cameras what the visible part of the page has left."""
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
        self.stage.set_phase(self._cameras.phase, 0.0 if status is None else status.countdown_s)
        blocked = "" if state in ("countdown", "recording") else self._record_blocked()
        self.bar.set_blocked("One moment…" if self._asked() else blocked)
        busy = "Stop the take first." if state in ("countdown", "recording") else ""
        for push in (self.stop_cameras, self.add_menu):
            set_blocked(push, busy)

    def _kind_of_next_chosen(self, _index: int = 0) -> None:
        self.stage.live.board = self.bar.kind.currentData() != "motion"

    def _record_blocked(self) -> str:
        if self._cameras.running:
            return ""
        return self._state.jobs.why_not() if self._cameras.cameras else "Add cameras first."

    def _take_made(self, name: str) -> None:
        session = self._state.session
        if session is not None:
            self._result_background.run(partial(presenter.take_result, session, name), self._show_result, self._failed)

    def _show_result(self, result: presenter.TakeResult) -> None:
        self.result.show_result(result)
        if self.notice.sentence.text() in result.details:
            self._hide_notice()  # the card says it
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
                f"The recording of {names} was interrupted. What was stored until then can be made a take.",
                "Recover",
                "Make a take of what was recorded",
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
            self._failed(error)

    def _jobs_changed(self) -> None:
        reason = self._state.jobs.why_not()
        set_blocked(self.import_menu, reason, "Create a take from videos or images")
        for widget in (self.empty, self.strip):
            widget.set_blocked(reason)
        set_blocked(self.banner.push, reason, "Make a take of what was recorded")
        if self._interrupted and not self._state.jobs.active:
            self._stale = True
        self._show_phase(self._cameras.status)

    def _rename_camera(self, name: str) -> RenameDialog:
        dialog = RenameDialog("camera", name, partial(self._cameras.rename_problem, name), self.window())
        dialog.chosen.connect(partial(self._cameras.rename, name))
        dialog.open()
        return dialog

    def _rename_take(self, name: str) -> RenameDialog | None:
        session = self._state.session
        if session is None or not self._may_change():
            return None
        dialog = RenameDialog("take", name, partial(take_name_problem, session), self.window())
        dialog.chosen.connect(lambda text: self._state.bin.rename_take(session, name, safe_name(text)))
        dialog.open()
        return dialog

    def _delete_take(self, name: str) -> None:
        session = self._state.session
        if session is not None and self._may_change():
            if self.result.take == name:
                self._close_result()
            self._state.bin.delete_take(session, name)

    def _set_kind(self, name: str, kind: str) -> None:
        session = self._state.session
        if session is None:
            return
        if self._may_change():
            self._state.bin.set_kind(session, name, kind)  # type: ignore[arg-type]
        else:
            self.refresh()

    def _start(self, verb: str, params: object, title: str) -> None:
        start_job(self._state, self._state.session, verb, params, title, self.window())

    def _may_change(self) -> bool:
        """Say why takes cannot be changed now; return whether they can."""
        reason = self._state.jobs.why_not()
        if reason:
            self._failed(CoreError(reason, _WAIT))
        return not reason

    def _failed(self, error: CoreError) -> None:
        show_error_dialog(error, self.window())
