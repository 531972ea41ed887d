"""Calibrate page with the steps cameras and board, solve, check and world, and a permanent verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from core.board.pattern import Board
from core.calibration.board.session_board import save_session_board, session_board
from core.errors import CoreError
from core.geometry.similarity import Similarity
from core.jobs.commands import StartTake
from core.pipelines.params import (
    BoardSheetParams,
    CalibrateParams,
    CalibratePeopleParams,
    ExportRigParams,
    ImportRigParams,
    ImportTakeParams,
    SetWorldParams,
)
from core.pipelines.verbs import VERBS
from core.session.calibrations import kept_calibrations
from studio.jobs.tracked import TrackedJob
from studio.pages.calibrate import presenter
from studio.pages.calibrate.board_card import BoardCard
from studio.pages.calibrate.calibrations_card import CalibrationsCard
from studio.pages.calibrate.check import results
from studio.pages.calibrate.check.overlay_tiles import OverlayTiles
from studio.pages.calibrate.check.step import CheckStep
from studio.pages.calibrate.floor.dialog import FloorDialog
from studio.pages.calibrate.import_dialog import ImportRigDialog
from studio.pages.calibrate.live_card import LiveCard
from studio.pages.calibrate.people_card import PeopleCard
from studio.pages.calibrate.presenter import VerdictRow
from studio.pages.calibrate.solve_card import SolveCard
from studio.pages.calibrate.world_card import WorldCard
from studio.shell.dialogs import show_error_dialog
from studio.shell.repair import RepairOffer, load_offer, start_repair
from studio.shell.replace_dialog import ask_to_replace
from studio.shell.starting import start_job
from studio.state.app_state import AppState
from studio.widgets.buttons import button
from studio.widgets.card import Card
from studio.widgets.columns import Columns
from studio.widgets.page.step_page import StepPage

_NO_RIG = "Needs a calibration."
_IDLE_MS = 1200
"""Delay in ms after opening a session until the 3D view is prepared, so that the visible page is drawn first."""
_SOLVES = tuple(verb.name for verb in VERBS.values() if verb.replaces_rig)
"""Verbs that replace the rig, after which its check is shown."""


class CalibratePage(StepPage):
    """Calibrate page.

    Args:
        state: Selection of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Calibrate", parent)
        self._state = state
        self.import_button = button("Import calibration…", "normal", "import", "Read a rig file of another tool")
        self.import_button.clicked.connect(self.import_rig)
        self.export_button = button("Export calibration…", "normal", "export", "Write the rig for another tool")
        self.export_button.clicked.connect(self.export_rig)
        self.tools.addWidget(self.import_button)
        self.tools.addWidget(self.export_button)
        self._verdict = presenter.banner(None, None, "")
        self._offer: RepairOffer | None = None
        self._make_steps()
        self.steps.changed.connect(self._step_changed)
        self.banner.requested.connect(self._follow_banner)
        state.session_changed.connect(self._session_changed)
        self.refresh_when_visible(state.content_changed)
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.timeout.connect(self._prepare)
        state.jobs.active_changed.connect(self._jobs_changed)
        state.jobs.ended.connect(self._job_ended)
        state.rig.failed.connect(self._failed)
        state.page_requested.connect(self._page_requested)
        state.cameras.take_made.connect(self._take_made)
        self._session_changed()

    def act(self, action: str) -> None:
        """Execute an action of the menu."""
        slots = {
            "rig.import": self.import_rig,
            "rig.export": self.export_rig,
            "rig.calibrate": self.solve_card.go.push.click,
        }
        if action in slots:
            slots[action]()

    def why_not(self, action: str) -> str:
        """Return why an action of the menu is blocked; empty if it is available."""
        session = self._state.session
        if self._stale and session is not None:
            self._show_takes(results.board_takes(session))
        if action == "rig.export" and session is not None and not session.layout.rig.exists():
            return "Calibrate first."
        return self.solve_card.go.reason if action == "rig.calibrate" else self._state.jobs.why_not()

    def shut_down(self) -> None:
        """Free the OpenGL resources before the window closes."""
        self._idle.stop()
        self.check.rig_view.close_canvas()

    def import_rig(self) -> None:
        """Ask for a rig file and import it as a job."""
        start = self._state.settings.value.last_folder
        chosen, _ = QFileDialog.getOpenFileName(self, "Import calibration", start, presenter.import_filter())
        if not chosen:
            return
        self._state.settings.update(last_folder=str(Path(chosen).parent))
        self.ask_about(Path(chosen))

    def ask_about(self, path: Path) -> ImportRigDialog:
        """Open the import dialog for a file."""
        dialog = ImportRigDialog(path, self.window())
        dialog.chosen.connect(self.start_import)
        dialog.open()
        return dialog

    def start_import(self, params: ImportRigParams) -> None:
        """Import a rig as a job."""
        self._start("import-rig", params, f"Import calibration {Path(params.path).name}")

    def export_rig(self) -> None:
        """Ask for a file and a format, and export the rig as a job."""
        filters = presenter.export_filters()
        start = str(Path(self._state.settings.value.last_folder) / "rig")
        chosen, kind = QFileDialog.getSaveFileName(self, "Export calibration", start, ";;".join(filters))
        if chosen:
            self.start_export(chosen, filters[kind])

    def start_export(self, path: str, format: str) -> None:
        """Export the rig as a job."""
        self._start("export-rig", ExportRigParams(path=path, format=format), f"Export calibration {Path(path).name}")

    def calibrate(self, take: str, intrinsics_take: str = "") -> None:
        """Calibrate from a board take as a job."""
        session = self._state.session
        if session is None or not take:
            return
        config = presenter.calibrate_config(self.board_card.form.board)
        intrinsics_takes = (intrinsics_take,) if intrinsics_take else ()
        params = CalibrateParams(take=take, intrinsics_takes=intrinsics_takes, calibration=config)
        self._start("calibrate", params, f"Calibrate from {take}")

    def start_cameras(self, record: bool) -> None:
        """Start the cameras until they are stopped.

        Args:
            record: Record a take of the board instead of only showing the cameras.
        """
        board = self.board_card.form.board
        if record:
            self._state.cameras.start_take(StartTake(kind="board"), board)
        else:
            self._state.cameras.watch(board)

    def import_videos(self) -> None:
        """Ask for videos of the board and import them as a take."""
        start = self._state.settings.value.last_folder
        chosen, _ = QFileDialog.getOpenFileNames(
            self, "Videos of the board: one per camera", start, presenter.VIDEO_FILES
        )
        if chosen:
            self._state.settings.update(last_folder=str(Path(chosen[0]).parent))
            self.start_videos(tuple(chosen))

    def start_videos(self, videos: tuple[str, ...]) -> None:
        """Import videos of the board as a job."""
        self._start("import-take", ImportTakeParams(videos=videos, kind="board"), "Import board videos")

    def save_sheet(self) -> None:
        """Ask for a file, and save the board for printing as a job."""
        start = str(Path(self._state.settings.value.last_folder) / "board.pdf")
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Print board", start, "For printing (*.pdf);;For a screen (*.png)"
        )
        if chosen:
            self._start("board-sheet", BoardSheetParams(path=chosen, board=self.board_card.form.board), "Print board")

    def click_floor(self) -> FloorDialog | None:
        """Open the dialog for three floor points."""
        session = self._state.session
        if session is None:
            return None
        try:
            dialog = FloorDialog(session, self._state.take_name, self.window())
        except CoreError as error:
            self._failed(error)
            return None
        dialog.applied.connect(self._move)
        dialog.open()
        return dialog

    def refresh(self) -> None:
        """Show the rig and its report on disk."""
        self._stale = False
        session = self._state.session
        if session is None:
            self.check.clear()
            self.overlay.clear()
            return
        takes = results.board_takes(session)
        self.board_card.show_board(session_board(session))
        self.calibrations.show_calibrations(kept_calibrations(session), self._state.jobs.why_not())
        self._show_takes(takes)
        take, rig, problem = self._state.take, None, ""
        metrics = verdict = None
        try:
            rig = session.rig
            if rig is not None:
                verdict = presenter.load_verdict(session)
                metrics = results.load_board_results(session)
        except CoreError as error:
            cause = "" if rig is not None else "The calibration cannot be read. "
            problem = f"{cause}{error.message} {error.hint}"
        self._offer = load_offer(session)
        self._show_banner(presenter.banner(rig, verdict, problem))
        self.export_button.setEnabled(rig is not None)
        self.solve_card.show_advice("" if metrics is None else metrics.advice)
        for name in ("check", "world"):
            self.steps.set_blocked(name, "" if rig is not None else _NO_RIG)
        self.people_card.show_blocked(presenter.people_blocked(rig, take))
        if rig is None:
            return
        self.check.show_rig(session, rig, take, None if verdict is None else verdict[1], metrics)
        self.world_card.show_rig(
            rig, takes, footage=bool(session.take_names()), poses3d=bool(take and take.poses3d_runs())
        )
        self.overlay.show_take(session, rig, take)

    def _prepare(self) -> None:
        """Read the rig and create its 3D view in idle time, one part per event-loop iteration."""
        if self._stale:
            self.refresh()
        elif not self.check.rig_view.prepare():
            return
        self._idle.start(_IDLE_MS // 4)

    def _make_steps(self) -> None:
        self.board_card = BoardCard()
        self.board_card.import_requested.connect(self.import_videos)
        self.board_card.sheet_requested.connect(self.save_sheet)
        self.board_card.board_edited.connect(self._save_board)
        self.live_card = LiveCard(self._state.cameras)
        self.live_card.start_requested.connect(self.start_cameras)
        self.solve_card = SolveCard()
        self.solve_card.calibrate_requested.connect(self.calibrate)
        self.solve_card.board_chosen.connect(self._save_board)
        self.people_card = PeopleCard()
        self.people_card.requested.connect(self._calibrate_from_people)
        self.calibrations = CalibrationsCard()
        self.calibrations.use_requested.connect(self._use_calibration)
        self.check = CheckStep()
        self.world_card = WorldCard()
        self.world_card.moved.connect(self._move)
        self.world_card.failed.connect(self._failed)
        self.world_card.floor_requested.connect(self._set_floor_from_board)
        self.world_card.points_requested.connect(self.click_floor)
        self.world_card.feet_requested.connect(self._set_floor_from_feet)
        self.overlay = OverlayTiles()
        images = Card("Floor and poles over the images")
        images.body.addWidget(self.overlay)
        self._add_columns(
            "cameras", "Cameras and board", "Describe the board, and film it", self.board_card, self.live_card
        )
        self._add_columns(
            "solve", "Solve", "Compute the rig from a board or from people", self.solve_card, self.people_card
        ).insertWidget(1, self.calibrations)
        self.add_step("check", "Check", "See how far the rig can be trusted").content.addWidget(self.check)
        self._add_columns("world", "World", "Correct axes, floor, origin and scale", self.world_card, images)

    def _add_columns(self, name: str, title: str, tip: str, left: QWidget, right: QWidget) -> QVBoxLayout:
        columns = Columns(breakpoint_px=900)
        for stack, card in ((columns.left, left), (columns.right, right)):
            stack.addWidget(card)
            stack.addStretch(1)
        content = self.add_step(name, title, tip).content
        content.addWidget(columns)
        content.addStretch(1)
        return content

    def _session_changed(self) -> None:
        """Show the check of the rig, or the first step without a rig."""
        session = self._state.session
        self._stale = True
        if session is None:
            self._idle.stop()
            self.refresh()
            return
        calibrated = session.layout.rig.exists()
        for name in ("check", "world"):
            self.steps.set_blocked(name, "" if calibrated else _NO_RIG)
        self.steps.show_panel("check" if calibrated else "cameras")
        if calibrated:
            self._idle.start(_IDLE_MS)

    def _show_banner(self, row: VerdictRow) -> None:
        self._verdict = row
        on_check = self.steps.current == "check" or not self.steps.is_available("check")
        offer = self._offer if on_check else None
        text = "" if on_check else "Show findings"
        self.banner.show_sentence(row.level, row.message, offer.title if offer else text, offer.tip if offer else "")
        done = {"ok": ("check-circle", "good"), "warning": ("warning", "warn"), "error": ("error", "bad")}
        self.steps.set_icon("check", *done.get(row.level, ("",)))

    def _follow_banner(self) -> None:
        """Show the findings or, if they are visible, start the offered repair."""
        if self.steps.current != "check":
            self.steps.show_panel("check")
        elif self._offer is not None:
            start_repair(self._state, self._offer, self.window())

    def _step_changed(self, _name: str) -> None:
        self._show_banner(self._verdict)

    def _show_takes(self, takes: list[str]) -> None:
        self.solve_card.show_takes(takes, self.board_card.form.problem, busy=self._state.jobs.why_not())

    def _save_board(self, board: Board) -> None:
        session = self._state.session
        if session is not None:
            save_session_board(session, board)
            self.refresh()

    def _move(self, change: Similarity, description: str) -> None:
        session = self._state.session
        if session is None:
            return
        self._guarded(partial(self._state.rig.move, session, change, description))

    def _set_floor_from_board(self, take: str) -> None:
        params = SetWorldParams(floor_take=take, board=self.board_card.form.board)
        self._start("set-world", params, f"Set the floor from {take}")

    def _set_floor_from_feet(self) -> None:
        if self._state.take_name and self._state.poses_name:
            params = SetWorldParams(feet_take=self._state.take_name, poses=self._state.poses_name)
            self._start("set-world", params, "Set the floor from feet")

    def _calibrate_from_people(self, mode: Literal["new", "repair"]) -> None:
        take = self._state.take
        if take is not None and take.estimators():
            params = CalibratePeopleParams(take=take.name, mode=mode)
            title = "Repair cameras" if mode == "repair" else "Re-solve all cameras"
            self._start("calibrate-people", params, f"{title} from people in {take.name}")

    def _use_calibration(self, name: str) -> None:
        session = self._state.session
        if session is not None:
            ask_to_replace(
                session, "Use", self.window(), lambda: self._guarded(partial(self._state.rig.use, session, name))
            )

    def _guarded(self, change: Callable[[], object]) -> None:
        try:
            change()
        except CoreError as error:
            self._failed(error)

    def _start(self, verb: str, params: object, title: str) -> None:
        session = self._state.session
        if session is None:
            return
        start = partial(start_job, self._state, session, verb, params, title, self.window())
        if verb in _SOLVES:
            ask_to_replace(session, "Go on", self.window(), start)
        else:
            start()

    def _failed(self, error: CoreError) -> None:
        show_error_dialog(error, self.window())

    def _job_ended(self, job: TrackedJob) -> None:
        self._jobs_changed()
        if job.verb == "calibrate" and job.failure is not None:
            self.solve_card.offer_board(job.failure.message, presenter.board_shown(job.job.folder))
        if job.verb in _SOLVES and job.state == "finished":
            self.refresh()  # before the session notifies all pages
            self.steps.show_panel("check")

    def _take_made(self, take: str) -> None:
        session = self._state.session
        if session is not None:
            self._show_takes(results.board_takes(session))
            self.solve_card.select_take(take)

    def _page_requested(self, page: str, take: str) -> None:
        if page == "calibrate" and take:
            self._take_made(take)
            self.steps.show_panel("solve")

    def _jobs_changed(self) -> None:
        session = self._state.session
        if not self.isVisible():
            self._stale = True
        elif session is not None:
            self._show_takes(results.board_takes(session))
            self.calibrations.show_calibrations(kept_calibrations(session), self._state.jobs.why_not())
