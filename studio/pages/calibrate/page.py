"""Calibrate page: solve or import a rig, read the verdict, and see the rig in 3D and over the images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from PySide6.QtWidgets import QButtonGroup, QFileDialog, QWidget

from core.board.pattern import Board
from core.calibration.board.session_board import save_session_board, session_board
from core.errors import CoreError
from core.geometry.similarity import Similarity
from core.pipelines.params import (
    BoardSheetParams,
    CalibrateParams,
    CalibratePeopleParams,
    ExportRigParams,
    ImportRigParams,
    ImportTakeParams,
    RecordParams,
    SetWorldParams,
)
from core.session import Session
from core.types import CameraRig
from studio.jobs.tracked import TrackedJob
from studio.pages.calibrate import presenter, results
from studio.pages.calibrate.board_card import BoardCard
from studio.pages.calibrate.floor_dialog import FloorDialog
from studio.pages.calibrate.import_dialog import ImportRigDialog
from studio.pages.calibrate.live_card import LiveCard
from studio.pages.calibrate.rig_card import RigCard
from studio.pages.calibrate.world_card import WorldCard
from studio.plots.accuracy_plan import AccuracyPlan
from studio.plots.error_timeline import ErrorTimeline
from studio.shell.dialogs import show_error_dialog
from studio.state.app_state import AppState
from studio.viewport.reliability import camera_reliability
from studio.widgets.buttons import button
from studio.widgets.card import Card, clear_layout, separator
from studio.widgets.columns import Columns, TileGrid
from studio.widgets.data_table import DataTable
from studio.widgets.finding_row import FindingRow
from studio.widgets.images.coverage import CoverageTile, PairMatrix
from studio.widgets.images.image_tiles import ImageTiles
from studio.widgets.images.image_view import ImageView
from studio.widgets.scroll_page import ScrollPage
from studio.widgets.text import make_label

_HEIGHTS = ("Feet", "Hips", "Head")


class CalibratePage(ScrollPage):
    """Rig of the session.

    Args:
        state: Selection of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Calibrate", "Intrinsics, poses and time offsets of the cameras.", parent)
        self._state = state
        self._residuals: results.Residuals | None = None
        self._shown_folder = ""
        self._shown_scene_key: tuple[object, ...] = ()
        self.import_button = button("Import calibration…", "normal", "import", "Read a rig file of another tool")
        self.import_button.clicked.connect(self.import_rig)
        self.export_button = button("Export calibration…", "normal", "export", "Write the rig for another tool")
        self.export_button.clicked.connect(self.export_rig)
        self.tools.addWidget(self.import_button)
        self.tools.addWidget(self.export_button)
        self._make_cards()
        self._lay_out()
        for signal in (state.session_changed, state.status_changed, state.take_changed):
            signal.connect(self.refresh)
        state.jobs.added.connect(self._jobs_changed)
        state.jobs.changed.connect(self._jobs_changed)
        state.jobs.ended.connect(self._job_ended)
        state.rig.failed.connect(self._failed)
        self.refresh()

    def act(self, action: str) -> None:
        """Carry out an action of the menu."""
        slots = {
            "rig.import": self.import_rig,
            "rig.export": self.export_rig,
            "rig.calibrate": self.board_card.go.push.click,
        }
        if action in slots:
            slots[action]()

    def shut_down(self) -> None:
        """Free the OpenGL resources; called once, before the window closes."""
        self.rig_card.close_canvas()

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

    def start_cameras(self, cameras: tuple[str, ...], record: bool) -> None:
        """Start live cameras as a job that runs until it is cancelled.

        Args:
            cameras: Addresses of the cameras.
            record: Whether to record a take, or only to preview.
        """
        if self._recording() is None:
            params = RecordParams(cameras=cameras, preview_only=not record, board=self.board_card.form.board)
            self._start("record", params, "Record board" if record else "Preview cameras")

    def _stop_recording(self) -> None:
        job = self._recording()
        if job is not None:
            self._state.jobs.cancel(job)

    def _recording(self) -> TrackedJob | None:
        return next((job for job in self._state.jobs.active if job.verb == "record"), None)

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
        """Ask for a file and save the board as a sheet to print, as a job."""
        start = str(Path(self._state.settings.value.last_folder) / "board.pdf")
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Print board", start, "For printing (*.pdf);;For a screen (*.png)"
        )
        if chosen:
            self._start("board-sheet", BoardSheetParams(path=chosen, board=self.board_card.form.board), "Print board")

    def click_floor(self) -> FloorDialog | None:
        """Open the dialog in which three floor points are clicked."""
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
        """Show the rig and its report as they are on disk."""
        session = self._state.session
        if session is None:
            self.images.clear()
            self.board_images.clear()
            self._residuals, self._shown_folder = None, ""
            return
        takes = results.board_takes(session)
        self.board_card.show_session(session_board(session), takes, running=self._calibrating())
        try:
            rig = session.rig
            self.problem.setVisible(False)
        except CoreError as error:
            rig = None
            self.problem.setText(f"The calibration cannot be read. {error.message} {error.hint}")
            self.problem.setVisible(True)
        self.export_button.setEnabled(rig is not None)
        for card in (
            self.verdict_card,
            self.rig_card,
            self.images_card,
            self.cameras_card,
            self.world_card,
            self.accuracy_card,
        ):
            card.setVisible(rig is not None)
        if rig is None:
            self._show_results(session, None)
            return
        metrics = None
        try:
            metrics = results.load_board_results(session)
            self._show_verdict(session)
        except CoreError as error:
            self.problem.setText(f"{error.message} {error.hint}")
            self.problem.setVisible(True)
        self._show_rig(session, rig, takes, metrics)
        self._show_results(session, metrics)
        self._show_scene(session, rig)

    def _make_cards(self) -> None:
        self.problem = make_label("", "bad")
        self.problem.hide()
        self.board_card = BoardCard()
        self.board_card.calibrate_requested.connect(self.calibrate)
        self.board_card.import_requested.connect(self.import_videos)
        self.board_card.sheet_requested.connect(self.save_sheet)
        self.board_card.board_edited.connect(self._save_board)
        self.live_card = LiveCard(self._state.settings)
        self.live_card.start_requested.connect(self.start_cameras)
        self.live_card.stop_requested.connect(self._stop_recording)
        self.verdict_card = Card("Verdict")
        self.images_card = Card("Image overlay")
        self.images_card.set_note(presenter.LEGEND)
        self.images = ImageTiles(presenter.LEGEND)
        self.images_empty = make_label("Import a take to see floor and poles over its images.", "muted")
        self.images_card.body.addWidget(self.images_empty)
        self.images_card.body.addWidget(self.images)
        self.cameras_card = Card("Cameras")
        self.table = DataTable(presenter.CAMERA_HEADERS, right=(2, 3, 4, 5, 6, 7, 8), stretch=0)
        self.cameras_card.body.addWidget(self.table)
        self.coverage_card = Card("Board coverage")
        self.coverage = TileGrid(150, max_columns=4)
        self.pairs = PairMatrix()
        self.coverage_card.body.addWidget(self.coverage)
        self.coverage_card.body.addWidget(make_label("Frames in which both cameras of a pair see the board", "small"))
        self.coverage_card.body.addWidget(self.pairs)
        self.error_card = Card("Error over time")
        self.timeline = ErrorTimeline()
        self.timeline.frame_selected.connect(self.show_frame)
        self.board_images = ImageTiles(presenter.RESIDUAL_LEGEND)
        self.frame_floor = button("Floor", "normal", "floor", "Draw floor grid and 1.8 m poles under the residuals")
        self.frame_floor.setCheckable(True)
        self.frame_floor.toggled.connect(self._show_frame_again)
        self.error_card.tools.addWidget(self.frame_floor)
        self.frame_text = make_label("", "small")
        self.error_card.body.addWidget(self.timeline)
        self.error_card.body.addWidget(self.frame_text)
        self.error_card.body.addWidget(self.board_images)
        self.world_card = WorldCard()
        self.world_card.moved.connect(self._move)
        self.world_card.failed.connect(self._failed)
        self.world_card.floor_requested.connect(self._set_floor_from_board)
        self.world_card.points_requested.connect(self.click_floor)
        self.world_card.feet_requested.connect(self._set_floor_from_feet)
        self.world_card.people_requested.connect(self._calibrate_from_people)
        self.rig_card = RigCard()
        self.board_images.loaded.connect(self._put_tile_in_scene)
        self.images.loaded.connect(self._put_tile_in_scene)
        self.accuracy_card = Card("Expected accuracy", presenter.ACCURACY_NOTE)
        self.plan = AccuracyPlan()
        self.heights = QButtonGroup(self)
        for index, text in enumerate(_HEIGHTS):
            push = button(text, "normal")
            push.setCheckable(True)
            push.setChecked(index == 1)
            self.heights.addButton(push, index)
            self.accuracy_card.tools.addWidget(push)
        self.heights.idClicked.connect(self._show_accuracy)
        self.accuracy_text = make_label("", "small")
        self.accuracy_card.body.addWidget(self.plan)
        self.accuracy_card.body.addWidget(self.accuracy_text)

    def _lay_out(self) -> None:
        columns = Columns(breakpoint_px=900, stretch=(7, 5))
        left = (
            self.board_card,
            self.live_card,
            self.rig_card,
            self.error_card,
            self.images_card,
            self.accuracy_card,
        )
        for card in left:
            columns.left.addWidget(card)
        columns.left.addStretch(1)
        for card in (self.verdict_card, self.coverage_card, self.world_card):
            columns.right.addWidget(card)
        columns.right.addStretch(1)
        self.content.addWidget(self.problem)
        self.content.addWidget(columns)
        self.content.addWidget(self.cameras_card)
        self.content.addStretch(1)

    def _show_rig(
        self, session: Session, rig: CameraRig, takes: list[str], metrics: results.BoardResults | None
    ) -> None:
        self.table.set_rows(presenter.camera_rows(rig, metrics))
        self.cameras_card.set_note(presenter.rig_summary(rig))
        take = self._state.take
        self.world_card.show_rig(
            rig, takes, poses3d=bool(take and take.poses3d_runs()), poses2d=bool(take and take.estimators())
        )
        self._show_accuracy()
        self.images_empty.setVisible(take is None)
        self.images.setVisible(take is not None)
        if take is not None:
            sizes = {camera.name: camera.size_px for camera in take.manifest.cameras}
            key = (str(session.root), rig.digest, take.name, take.manifest.created)
            self.images.show_cameras(key, sizes, partial(presenter.overlay, rig, take))

    def _show_verdict(self, session: Session) -> None:
        clear_layout(self.verdict_card.body)
        loaded = presenter.load_verdict(session)
        if loaded is None:
            self.verdict_card.body.addWidget(
                make_label("This rig was not checked. Import it again to check it.", "muted")
            )
            return
        verdict, findings = loaded
        self.verdict_card.body.addWidget(FindingRow(verdict.level, verdict.message))
        self.verdict_card.body.addWidget(separator())
        for finding in findings:
            self.verdict_card.body.addWidget(FindingRow(finding.level, finding.message, finding.remedy))

    def _show_results(self, session: Session, metrics: results.BoardResults | None) -> None:
        """Show coverage, pairs and error over time of the newest calibration from a board."""
        for card in (self.coverage_card, self.error_card):
            card.setVisible(metrics is not None)
        self.board_card.show_advice("" if metrics is None else metrics.advice)
        folder = "" if metrics is None else metrics.folder
        if metrics is None:
            self._residuals, self._shown_folder = None, ""
            return
        if folder == self._shown_folder:
            self._show_frame_again()  # the floor over its images may have changed
            return
        self._shown_folder = folder
        tiles = zip(metrics.cameras, metrics.cells, metrics.captions, strict=True)
        self.coverage.set_tiles([CoverageTile(*tile) for tile in tiles])
        self.pairs.show_pairs(metrics.cameras, metrics.shared, results.ENOUGH_FRAMES)
        self.error_card.set_note(f"{metrics.summary}. One dot per frame; click a dot to show its images.")
        self.board_images.clear()
        try:
            self._residuals = results.Residuals(session, folder)
        except CoreError:
            self._residuals = None
            self.error_card.hide()  # the calibration's folder was deleted; the metrics in the report remain
            return
        self.timeline.show_errors(self._residuals.time_s, metrics.frame_px)
        worst = presenter.worst_frame(metrics.frame_px)
        if worst is not None:
            self.timeline.go_to(worst)
            self.show_frame(worst)

    def show_frame(self, frame: int) -> None:
        """Show all camera images of a frame of the board take, with residuals."""
        shown = self._residuals
        self.frame_text.setText(self.timeline.status_text)
        if shown is None or shown.take is None:
            return
        session = self._state.session
        rig = session.rig if session is not None and self.frame_floor.isChecked() else None
        sizes = {c.name: c.size_px for c in shown.take.manifest.cameras}
        key = (self._shown_folder, frame, rig.digest if rig is not None else "")
        self.board_images.show_cameras(key, sizes, partial(presenter.frame_image, shown, frame, rig))
        self.rig_card.show_frame(frame)
        for tile in self.board_images.tiles:
            self.rig_card.put_image(tile)

    def _show_frame_again(self, _on: bool = False) -> None:
        if self.timeline.frame is not None:
            self.show_frame(self.timeline.frame)

    def _show_scene(self, session: Session, rig: CameraRig) -> None:
        reliability = camera_reliability(session, rig)
        key = (str(session.root), rig.digest, self._shown_folder, reliability)
        if key == self._shown_scene_key:
            return  # keeps the viewpoint that the user has set
        self._shown_scene_key = key
        observations = self._residuals.observations if self._residuals is not None else None
        self.rig_card.show_rig(rig, results.rig_accuracy(rig), reliability, observations)
        if self._residuals is None:
            self.rig_card.show_frame(None)
        source = self.images if self._residuals is None else self.board_images
        for tile in source.tiles:
            self.rig_card.put_image(tile)

    def _put_tile_in_scene(self, tile: ImageView) -> None:
        """Show an image in 3D if it belongs to the frame of the board take or, without one, to the selected take."""
        source = self.images if self._residuals is None else self.board_images
        if tile in source.tiles:
            self.rig_card.put_image(tile)

    def _show_accuracy(self, _chosen: int = 0) -> None:
        session = self._state.session
        rig = session.rig if session is not None else None
        accuracy = results.rig_accuracy(rig) if rig is not None else None
        self.accuracy_card.setVisible(accuracy is not None)
        if rig is not None and accuracy is not None:
            level = self.heights.checkedId()
            self.plan.show_map(rig, accuracy, level)
            self.accuracy_text.setText(presenter.accuracy_text(accuracy, level))

    def _save_board(self, board: Board) -> None:
        session = self._state.session
        if session is not None:
            save_session_board(session, board)
            self.refresh()

    def _move(self, change: Similarity, description: str) -> None:
        session = self._state.session
        if session is None:
            return
        try:
            self._state.rig.move(session, change, description)
        except CoreError as error:
            self._failed(error)

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
            params = CalibratePeopleParams(take=take.name, estimator=take.estimators()[0], mode=mode)
            title = "Repair cameras" if mode == "repair" else "Re-solve all cameras"
            self._start("calibrate-people", params, f"{title} from people in {take.name}")

    def _start(self, verb: str, params: object, title: str) -> None:
        session = self._state.session
        if session is None:
            return
        try:
            self._state.jobs.start(session, verb, params, title)
        except CoreError as error:
            self._failed(error)

    def _failed(self, error: CoreError) -> None:
        show_error_dialog(error, self.window())

    def _calibrating(self) -> bool:
        return any(job.verb == "calibrate" for job in self._state.jobs.active)

    def _job_ended(self, job: TrackedJob) -> None:
        self._jobs_changed(job)
        if job.verb == "record" and job.result.get("take"):
            self.board_card.select_take(str(job.result["take"]))

    def _jobs_changed(self, _job: object) -> None:
        recording = self._recording()
        self.live_card.follow(None if recording is None else recording.job.folder)
        session = self._state.session
        if session is not None:
            takes = results.board_takes(session)
            self.board_card.show_session(session_board(session), takes, running=self._calibrating())
