"""Dialog for world coordinates from three floor points, which are clicked in images and previewed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from core.calibration.floor_points import POINT_NAMES
from core.errors import CoreError
from core.geometry.resize import at_size
from core.session import Session, Take, Timeline
from core.types import CameraRig
from studio.pages.calibrate.floor.clicks import INTRO, MOVED, FloorClicks
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.choice import Choice, Slider
from studio.widgets.images.image_decoder import ImageDecoder, ImageRequest
from studio.widgets.images.image_view import to_image
from studio.widgets.images.zoom_image import ZoomImage
from studio.widgets.text import make_label, set_role

HELP = (
    "Wheel: zoom. Drag: pan, or move a click. Right-click: remove a click. 1, 2, 3: select a point. "
    "Escape: cancel the drag, or close without changes."
)
PREVIEW = "Preview: the new floor and 1.8 m poles. Set the floor if they look right."
_ALL = "All cameras"
_POLL_MS = 30
_CACHE_BYTES = 12 << 20
_SIDE_PX = 296
_TWO_LINES_PX = 34
_SHARE = 0.96  # of the window size
_ROLES = {"none": "muted", "open": "muted", "ok": "good", "warning": "warn", "error": "bad"}


class FloorDialog(Dialog):
    """Dialog to click the same floor points in several images.

    Args:
        session: Session with a rig and takes.
        take: Name of the take to show first.
        parent: The window.

    Signals:
        applied: Change of the world coordinates (`Similarity`), and its description.

    Raises:
        CoreError: The session has no rig.
    """

    applied = Signal(object, str)

    def __init__(self, session: Session, take: str, parent: QWidget) -> None:
        super().__init__("Floor from three points", parent)
        self._session, self._rig = session, session.require_rig()
        self._timeline: Timeline | None = None
        self._sources: dict[str, ImageDecoder] = {}
        self.destroyed.connect(partial(_end, self._sources))  # the dialog may be deleted without being hidden
        self.clicks = FloorClicks(self._rig)
        self.panes: list[ZoomImage] = []
        self._poll = QTimer(self)
        self._poll.setInterval(_POLL_MS)
        self._poll.timeout.connect(self._collect)
        self._build()
        for index in range(len(POINT_NAMES)):
            # A shortcut, because the list of takes would search for the digit.
            QShortcut(QKeySequence(str(index + 1)), self).activated.connect(partial(self._select_point, index))
        self.takes.addItems(session.take_names())
        self.takes.setCurrentIndex(max(self.takes.findText(take), 0))
        self.takes.currentTextChanged.connect(self._show_take)
        size = parent.window().size() * _SHARE
        self.resize(QSize(max(size.width(), 900), max(size.height(), 560)))
        self._show_take(self.takes.currentText())

    @property
    def loaded(self) -> bool:
        """True if all images of the frame are decoded."""
        return not self._poll.isActive()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Cancel a drag or close the dialog on Escape."""
        dragged = [pane for pane in self.panes if pane.dragging]
        if event.key() == Qt.Key.Key_Escape and dragged:
            for pane in dragged:
                pane.cancel_drag()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.accept()  # Enter does not apply the change
        else:
            super().keyPressEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """Stop the decoder threads."""
        if not event.spontaneous():
            self._end_sources()
        super().hideEvent(event)

    def _build(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(2 * GRID_PX)
        left = QVBoxLayout()
        left.setSpacing(GRID_PX)
        self._grid = QGridLayout()
        self._grid.setSpacing(GRID_PX // 2)
        left.addLayout(self._grid, 1)
        self.problem = make_label("", "bad")
        self.problem.hide()
        left.addWidget(self.problem)
        left.addLayout(self._make_bar())
        row.addLayout(left, 1)
        side = QWidget()
        side.setFixedWidth(_SIDE_PX)
        self._fill_side(QVBoxLayout(side))
        row.addWidget(side)
        self.body.addLayout(row)
        self.foot.addWidget(make_label(HELP, "small"), 1)
        cancel = button("Cancel", "normal")
        cancel.clicked.connect(self.reject)
        self.apply = button("Set floor", "primary", "floor", "Use these world coordinates; can be undone")
        self.apply.clicked.connect(self._apply)
        for push in (cancel, self.apply):
            push.setAutoDefault(False)
            self.foot.addWidget(push)

    def _make_bar(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        bar.setSpacing(GRID_PX)
        self.takes, self.shown = Choice(), Choice()
        self.takes.setAccessibleName("Take")
        self.shown.setAccessibleName("Cameras shown")
        self.shown.activated.connect(self._arrange)
        self.frame = Slider("Frame")
        self.frame.valueChanged.connect(self._show_frame)
        self.time = make_label("", "small", wrap=False)
        fit = button("Fit", "normal", "frame", "Reset the zoom of all images")
        fit.setAutoDefault(False)
        fit.clicked.connect(self._fit)
        for widget in (self.takes, self.shown):
            bar.addWidget(widget)
        bar.addWidget(self.frame, 1)
        bar.addWidget(self.time)
        bar.addWidget(fit)
        return bar

    def _fill_side(self, column: QVBoxLayout) -> None:
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID_PX)
        column.addWidget(make_label(INTRO, "muted"))
        self.points = QButtonGroup(self)
        self.points.idClicked.connect(self._select_point)
        self.states, self.clears = [], []
        for index, name in enumerate(POINT_NAMES):
            head = QHBoxLayout()
            head.setSpacing(GRID_PX)
            push = button(f"{index + 1}  {name}", "normal", "", "Set this point with the next click")
            push.setCheckable(True)
            push.setAutoDefault(False)
            self.points.addButton(push, index)
            clear = button("", "quiet", "close", f"Remove all clicks of point {index + 1}")
            clear.setAccessibleName(clear.toolTip())
            clear.setAutoDefault(False)
            clear.clicked.connect(partial(self._clear, index))
            head.addWidget(push)
            head.addStretch(1)
            head.addWidget(clear)
            state = make_label("", "small")
            state.setMinimumHeight(_TWO_LINES_PX)  # keeps the layout stable while the text changes
            state.setAlignment(Qt.AlignmentFlag.AlignTop)
            column.addLayout(head)
            column.addWidget(state)
            self.states.append(state)
            self.clears.append(clear)
        self.next = button("Next point", "normal", "forward", "Select the next point")
        self.next.setAutoDefault(False)
        self.next.clicked.connect(self._select_next_point)
        column.addWidget(self.next)
        column.addStretch(1)
        self.verdict = make_label("", "strong")
        column.addWidget(self.verdict)

    def _show_take(self, name: str) -> None:
        """Restart with another take, whose cameras may differ."""
        self._end_sources()
        self._delete_panes()
        self._timeline = None
        problem = ""
        try:
            if not name:
                raise CoreError("There is no take yet.", "Import videos that show the floor first.")
            take = self._session.take(name)
            self.clicks = FloorClicks(_rig_of_take(self._rig, take))
            self._timeline = take.timeline()
            self._open_videos(take)
        except CoreError as error:
            self.clicks = FloorClicks(self._rig)
            problem = f"{error.message} {error.hint}"
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.shown.clear()
        self.shown.addItems([_ALL, *(pane.camera for pane in self.panes)])
        self.frame.setRange(0, max(len(self._timeline) - 1, 0) if self._timeline is not None else 0)
        self.frame.setEnabled(self._timeline is not None)
        self._arrange()
        self._refresh()
        self._show_frame(self.frame.value())

    def _open_videos(self, take: Take) -> None:
        for camera in self.clicks.rig:
            rotation_deg = take.camera(camera.name).rotation_deg
            self._sources[camera.name] = ImageDecoder(take.video_path(camera.name), rotation_deg, _CACHE_BYTES)
            pane = ZoomImage(camera.name, camera.size_px)
            pane.placed.connect(self._placed)
            pane.moved.connect(self._moved)
            pane.removed.connect(self._removed)
            self.panes.append(pane)

    def _arrange(self, _index: int = 0) -> None:
        """Lay out all panes as large as possible, or only one."""
        chosen = self.shown.currentText()
        visible = [p for p in self.panes if chosen in (_ALL, p.camera)]
        columns = _columns(len(visible), self.panes[0].size_px if self.panes else (16, 9))
        for pane in self.panes:
            self._grid.removeWidget(pane)
            pane.setVisible(pane in visible)
        for column in range(8):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)
        for index, pane in enumerate(visible):
            self._grid.addWidget(pane, index // columns, index % columns)

    def _show_frame(self, frame: int) -> None:
        timeline = self._timeline
        if timeline is None or not len(timeline):
            self.time.setText("")
            return
        self.time.setText(f"{timeline.time_s[frame]:.2f} s")
        for pane in self.panes:
            index = int(timeline.frame_index[frame, timeline.cameras.index(pane.camera)])
            if index < 0:
                pane.show_message("No image of this frame.")
                continue
            self._sources[pane.camera].request(ImageRequest(frame=frame, index=index, size_px=pane.size_px))
        self._poll.start()

    def _collect(self) -> None:
        """Show newly decoded images, except those of other frames."""
        for pane in self.panes:
            reply = self._sources[pane.camera].take_reply()
            if reply is None or reply.frame != self.frame.value():
                continue
            if reply.image is not None:
                pane.show_image(to_image(reply.image))
            else:
                pane.show_message(reply.problem)
        if not any(source.waiting for source in self._sources.values()):
            self._poll.stop()

    def _placed(self, camera: str, x: float, y: float) -> None:
        self.clicks.place(camera, (x, y))
        self._refresh()

    def _moved(self, camera: str, point: int, x: float, y: float) -> None:
        self.clicks.place(camera, (x, y), point)
        self._refresh()

    def _removed(self, camera: str, point: int) -> None:
        self.clicks.remove(camera, point)
        self._refresh()

    def _clear(self, point: int) -> None:
        self.clicks.clear(point)
        self._refresh()

    def _select_point(self, point: int) -> None:
        self.clicks.current = point
        self._refresh()

    def _select_next_point(self) -> None:
        self._select_point(min(self.clicks.current + 1, len(POINT_NAMES) - 1))

    def _fit(self) -> None:
        for pane in self.panes:
            pane.fit()

    def _refresh(self) -> None:
        """Show the state of the points as text and in the images."""
        clicks = self.clicks
        for index, (text, clear) in enumerate(zip(self.states, self.clears, strict=True)):
            state = clicks.state(index)
            text.setText(state.text)
            set_role(text, _ROLES[state.level] if state.level in ("warning", "error") else "small")
            clear.setEnabled(bool(clicks.clicked(index)))
        self.points.button(clicks.current).setChecked(True)
        located = clicks.state(clicks.current).point is not None
        self.next.setEnabled(located and clicks.current < len(POINT_NAMES) - 1)
        self.apply.setEnabled(clicks.change is not None)
        self.verdict.setText(clicks.problem if clicks.change is None else PREVIEW)
        set_role(self.verdict, "bad" if clicks.problem else "strong")
        for pane in self.panes:
            pane.show_overlay(clicks.lines(pane.camera), clicks.marks(pane.camera), clicks.predicted(pane.camera))

    def _apply(self) -> None:
        change = self.clicks.change
        if change is not None:
            self.applied.emit(change, MOVED)
            self.accept()

    def _delete_panes(self) -> None:
        for pane in self.panes:
            self._grid.removeWidget(pane)
            pane.hide()
            pane.deleteLater()
        self.panes = []

    def _end_sources(self) -> None:
        self._poll.stop()
        _end(self._sources)


def _end(sources: dict[str, ImageDecoder], _destroyed: object = None) -> None:
    """Stop the decoder threads."""
    for source in sources.values():
        source.stop()
    for source in sources.values():
        source.join()
    sources.clear()


def _rig_of_take(rig: CameraRig, take: Take) -> CameraRig:
    """Return the posed cameras of a take with intrinsics for its image sizes.

    Raises:
        CoreError: There are fewer than two, or an image size does not fit the calibration.
    """
    names = [c.name for c in take.manifest.cameras if c.name in rig.names and rig[c.name].posed]
    if len(names) < 2:
        raise CoreError(
            f"Take {take.name} has fewer than two calibrated cameras.", "Choose a take of this rig's cameras."
        )
    fitted = tuple(at_size(rig[name], take.camera(name).size_px) for name in names)
    return dataclasses.replace(rig, cameras=fitted)


def _columns(count: int, size_px: Sequence[int]) -> int:
    """Return the number of columns with the largest images in an area of aspect ratio 4:3."""
    aspect = size_px[0] / size_px[1]

    def height(columns: int) -> float:
        rows = -(-count // columns)
        return min(1.0 / rows, 4 / 3 / columns / aspect)

    return max(range(1, max(count, 1) + 1), key=height)
