"""Check step: findings, the rig in 3D and over the images, errors, coverage, expected accuracy, and the cameras."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QVBoxLayout, QWidget

from core.errors import CoreError
from core.session import Session, Take
from core.types import CameraRig
from studio.pages.calibrate import presenter
from studio.pages.calibrate.check import results
from studio.pages.calibrate.check.overlay_tiles import TILE_PX, OverlayTiles
from studio.pages.calibrate.check.rig_view import RigView
from studio.pages.calibrate.presenter import VerdictRow
from studio.plots.accuracy_plan import AccuracyPlan
from studio.plots.error_timeline import ErrorTimeline
from studio.theme import GRID_PX
from studio.viewport.reliability import camera_reliability
from studio.widgets.buttons import button
from studio.widgets.card import Card, clear_layout
from studio.widgets.columns import Columns, TileGrid
from studio.widgets.data_table import DataTable
from studio.widgets.finding_row import FindingRow
from studio.widgets.images.coverage import CoverageTile, PairMatrix
from studio.widgets.images.image_tiles import ImageTiles
from studio.widgets.images.image_view import ImageView
from studio.widgets.page.panels import Panels
from studio.widgets.text import make_label

_HEIGHTS = ("Feet", "Hips", "Head")


class CheckStep(QWidget):
    """Step with everything to assess a calibration."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session: Session | None = None
        self._rig: CameraRig | None = None
        self._residuals: results.Residuals | None = None
        self._shown_folder = ""
        self._shown_accuracy: tuple[object, int] = (None, -1)
        self._shown_scene_key: tuple[object, ...] = ()
        self.panels = Panels()
        self.rig_view = RigView()
        self.overlay = OverlayTiles(self)
        self.board_images = ImageTiles(presenter.RESIDUAL_LEGEND, TILE_PX, host=self)
        for tiles in (self.overlay.images, self.board_images):
            tiles.loaded.connect(self._put_tile_in_scene)
        self.panels.add("scene", "3D view", self.rig_view)
        self.panels.add("images", "Images", self.overlay, "Floor and poles over the images of the selected take")
        self.panels.add("errors", "Errors", self._make_errors(), "Error over the recording of the board")
        self.panels.add("coverage", "Coverage", self._make_coverage(), "Parts of the images covered by the board")
        self.panels.add("accuracy", "Accuracy", self._make_accuracy(), presenter.ACCURACY_NOTE)
        evidence = Card()
        evidence.body.addWidget(self.panels, 1)
        self.findings_card = Card("Findings")
        self.cameras_card = Card("Cameras")
        self.table = DataTable(presenter.CAMERA_HEADERS, right=(2, 3, 4, 5, 6, 7, 8), stretch=0)
        self.cameras_card.body.addWidget(self.table)
        columns = Columns(breakpoint_px=900, stretch=(7, 5))
        columns.left.addWidget(evidence, 1)
        columns.right.addWidget(self.findings_card)
        columns.right.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * GRID_PX)
        layout.addWidget(columns, 1)
        layout.addWidget(self.cameras_card)

    def clear(self) -> None:
        """Clear the step when the session is closed."""
        self.overlay.clear()
        self.board_images.clear()
        self._residuals, self._shown_folder = None, ""

    def show_rig(
        self,
        session: Session,
        rig: CameraRig,
        take: Take | None,
        findings: list[VerdictRow] | None,
        metrics: results.BoardResults | None,
    ) -> None:
        """Show a rig.

        Args:
            session: Session of the rig.
            rig: The rig.
            take: Selected take.
            findings: Findings of the checks; None if it was not checked.
            metrics: Metrics of its calibration from a board; None without one.
        """
        self._session, self._rig = session, rig
        self.table.set_rows(presenter.camera_rows(rig, metrics))
        self.cameras_card.set_note(presenter.rig_summary(rig))
        self._show_findings(findings)
        self._show_accuracy()
        self.overlay.show_take(session, rig, take)
        self._show_results(metrics)
        self._show_scene(session, rig)

    def show_frame(self, frame: int) -> None:
        """Show all camera images of a frame of the board take, with residuals."""
        shown = self._residuals
        self.frame_text.setText(self.timeline.status_text)
        if shown is None or shown.take is None:
            return
        rig = self._rig if self.frame_floor.isChecked() else None
        sizes = {c.name: c.size_px for c in shown.take.manifest.cameras}
        key = (self._shown_folder, frame, rig.digest if rig is not None else "")
        self.board_images.show_cameras(key, sizes, partial(presenter.frame_image, shown, frame, rig))
        self.rig_view.show_frame(frame)
        for tile in self.board_images.tiles:
            self.rig_view.put_image(tile)

    def _make_errors(self) -> QWidget:
        panel = QWidget()
        column = _column(panel)
        self.timeline = ErrorTimeline()
        self.timeline.frame_selected.connect(self.show_frame)
        self.frame_floor = button("Floor", "normal", "floor", "Draw floor grid and 1.8 m poles under the residuals")
        self.frame_floor.setCheckable(True)
        self.frame_floor.toggled.connect(self._show_frame_again)
        self.error_note = make_label("", "small")
        self.frame_text = make_label("", "small")
        row = QHBoxLayout()
        row.addWidget(self.error_note, 1)
        row.addWidget(self.frame_floor)
        column.addLayout(row)
        for widget in (self.timeline, self.frame_text, self.board_images):
            column.addWidget(widget)
        column.addStretch(1)
        return panel

    def _make_coverage(self) -> QWidget:
        panel = QWidget()
        column = _column(panel)
        self.coverage = TileGrid(120, max_columns=4)
        self.pairs = PairMatrix()
        column.addWidget(self.coverage)
        column.addWidget(make_label("Frames in which both cameras of a pair see the board", "small"))
        column.addWidget(self.pairs)
        column.addStretch(1)
        return panel

    def _make_accuracy(self) -> QWidget:
        panel = QWidget()
        column = _column(panel)
        self.plan = AccuracyPlan()
        self.accuracy_text = make_label("", "small")
        self.heights = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(GRID_PX // 2)
        row.addWidget(self.accuracy_text, 1)
        for index, text in enumerate(_HEIGHTS):
            push = button(text, "normal")
            push.setCheckable(True)
            push.setChecked(index == 1)
            self.heights.addButton(push, index)
            row.addWidget(push)
        self.heights.idClicked.connect(self._show_accuracy)
        column.addLayout(row)
        column.addWidget(self.plan, 1)
        column.addWidget(make_label(presenter.ACCURACY_NOTE, "small"))
        return panel

    def _show_findings(self, findings: list[VerdictRow] | None) -> None:
        clear_layout(self.findings_card.body)
        if findings is None:
            missing = make_label("This rig was not checked. Import it again to check it.", "muted")
            self.findings_card.body.addWidget(missing)
        for finding in findings or ():
            self.findings_card.body.addWidget(FindingRow(finding.level, finding.message, finding.remedy))

    def _show_results(self, metrics: results.BoardResults | None) -> None:
        """Show coverage, pairs and error over time of the newest calibration from a board."""
        for panel in ("coverage", "errors"):
            self.panels.set_available(panel, metrics is not None)
        folder = "" if metrics is None else metrics.folder
        if metrics is None:
            self._residuals, self._shown_folder = None, ""
            return
        if folder == self._shown_folder:
            self._show_frame_again()  # the floor in the images may have changed
            return
        self._shown_folder = folder
        tiles = zip(metrics.cameras, metrics.cells, metrics.captions, strict=True)
        self.coverage.set_tiles([CoverageTile(*tile) for tile in tiles])
        self.pairs.show_pairs(metrics.cameras, metrics.shared, results.ENOUGH_FRAMES)
        self.error_note.setText(f"{metrics.summary}. One dot per frame; click a dot to show its images.")
        self.board_images.clear()
        assert self._session is not None
        try:
            self._residuals = results.Residuals(self._session, folder)
        except CoreError:
            self._residuals = None
            self.panels.set_available("errors", False)  # the folder was deleted; metrics in the report remain
            return
        self.timeline.show_errors(self._residuals.time_s, metrics.frame_px)
        worst = presenter.worst_frame(metrics.frame_px)
        if worst is not None:
            self.timeline.go_to(worst)
            self.show_frame(worst)

    def _show_frame_again(self, _on: bool = False) -> None:
        if self.timeline.frame is not None:
            self.show_frame(self.timeline.frame)

    def _show_scene(self, session: Session, rig: CameraRig) -> None:
        reliability = camera_reliability(session, rig)
        key = (str(session.root), rig.digest, self._shown_folder, reliability)
        if key == self._shown_scene_key:
            return  # keeps the viewpoint of the user
        self._shown_scene_key = key
        observations = self._residuals.observations if self._residuals is not None else None
        self.rig_view.show_rig(rig, results.rig_accuracy(rig), reliability, observations)
        if self._residuals is None:
            self.rig_view.show_frame(None)
        for tile in self._scene_tiles.tiles:
            self.rig_view.put_image(tile)

    @property
    def _scene_tiles(self) -> ImageTiles:
        """Images in the 3D view: those of the board take's frame or, without one, of the selected take."""
        return self.overlay.images if self._residuals is None else self.board_images

    def _put_tile_in_scene(self, tile: ImageView) -> None:
        if tile in self._scene_tiles.tiles:
            self.rig_view.put_image(tile)

    def _show_accuracy(self, _chosen: int = 0) -> None:
        accuracy = results.rig_accuracy(self._rig) if self._rig is not None else None
        self.panels.set_available("accuracy", accuracy is not None)
        level = self.heights.checkedId()
        if self._rig is not None and accuracy is not None and (accuracy, level) != self._shown_accuracy:
            self._shown_accuracy = accuracy, level
            self.plan.show_map(self._rig, accuracy, level)
            self.accuracy_text.setText(presenter.accuracy_text(accuracy, level))


def _column(panel: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(panel)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(GRID_PX)
    return column
