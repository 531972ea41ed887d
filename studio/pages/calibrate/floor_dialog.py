"""Floor and origin from three points that are clicked in the pictures."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QGridLayout, QHBoxLayout, QSlider, QWidget

from core.errors import CoreError
from core.session import Session, Take
from core.session.video import VideoReader
from core.types import CameraRig
from studio.pages.calibrate.floor_points import NAMES, WORDS, FloorPoints
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.mark_picture import Mark, MarkPicture
from studio.widgets.picture import Lines, to_image
from studio.widgets.text import label

_READ_AFTER_MS = 150
_ROOM_PX = 1130, 660
_HELP = "Click the same point of the floor in two pictures or more. Wheel: zoom. Drag: move. Right click: take back."


class FloorDialog(Dialog):
    """Marks three points of the floor in the pictures of a moment.

    Args:
        session: Whose takes give the pictures.
        rig: Its cameras.
        take: Name of the take to begin with.
        parent: The window.

    Signals:
        chosen: A `Similarity`.
    """

    chosen = Signal(object)

    def __init__(self, session: Session, rig: CameraRig, take: str, parent: QWidget | None = None) -> None:
        super().__init__("Floor from three points", parent, 760)
        self._session, self.points = session, FloorPoints(rig)
        self._take: Take | None = None
        self._waiting: list[MarkPicture] = []
        self.resize(1180, 860)
        self._make_head(take)
        self.pictures: dict[str, MarkPicture] = {}
        self._grid = QGridLayout()
        self._grid.setSpacing(GRID_PX)
        self.body.addLayout(self._grid, 1)
        self._make_foot()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._read)
        self._change_take()
        self._select(0)
        self.moment.setFocus()

    @property
    def point(self) -> int:
        """Which point a click marks."""
        return self.choices.checkedId()

    def _make_head(self, take: str) -> None:
        self.body.addWidget(label(_HELP, "small"))
        row = QHBoxLayout()
        row.setSpacing(GRID_PX)
        self.choices = QButtonGroup(self)
        for index, name in enumerate(NAMES):
            push = button(f"{index + 1}  {name}", "normal", "", f"Mark {WORDS[index]}")
            push.setCheckable(True)
            push.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # else the focus looks like the choice
            self.choices.addButton(push, index)
            row.addWidget(push)
        self.choices.idClicked.connect(self._select)
        self.sentence = label("", "small")
        row.addWidget(self.sentence, 1)
        self.clear = button("Clear", "quiet", "", "Take all marks of this point back")
        self.clear.clicked.connect(self._clear)
        row.addWidget(self.clear)
        self.body.addLayout(row)
        moment = QHBoxLayout()
        moment.setSpacing(GRID_PX)
        self.take_box = QComboBox()
        self.take_box.setAccessibleName("Take")
        self.take_box.addItems(list(self._session.take_names()))
        self.take_box.setCurrentText(take)
        self.take_box.currentIndexChanged.connect(self._change_take)
        self.moment = QSlider(Qt.Orientation.Horizontal)
        self.moment.setAccessibleName("Moment")
        self.moment.setToolTip("The moment of the take that is shown")
        self.moment.valueChanged.connect(self._read_soon)
        moment.addWidget(label("Pictures of", "small", wrap=False))
        moment.addWidget(self.take_box)
        moment.addWidget(self.moment, 1)
        self.body.addLayout(moment)

    def _make_foot(self) -> None:
        self.problem = label("", "small")
        self.foot.addWidget(self.problem, 1)
        cancel = button("Cancel", "normal")
        cancel.clicked.connect(self.reject)
        self.apply = button("Set floor", "primary", "floor")
        self.apply.clicked.connect(self._apply)
        self.foot.addWidget(cancel)
        self.foot.addWidget(self.apply)

    def _change_take(self) -> None:
        name = self.take_box.currentText()
        try:
            self._take = self._session.take(name) if name else None
        except CoreError as error:
            self._take = None
            self.problem.setText(f"{error.message} {error.hint}")
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self.pictures = {}
        shown = [] if self._take is None else [n for n in self.points.rig.names if n in self._take.cameras]
        columns = _columns([self.points.rig[n].size_px for n in shown])
        for place, camera in enumerate(shown):
            picture = MarkPicture(camera, self.points.rig[camera].size_px)
            picture.marked.connect(partial(self._marked, camera))
            picture.moved.connect(partial(self._moved, camera))
            picture.removed.connect(partial(self._removed, camera))
            self._grid.addWidget(picture, place // columns, place % columns)
            self.pictures[camera] = picture
        if self._take is not None:
            self.moment.setMaximum(max(0, self._take.manifest.n_frames - 1))
        self._show()
        self._read()

    def _read_soon(self) -> None:
        self._timer.start(_READ_AFTER_MS)

    def _read(self) -> None:
        """Reads the pictures of the moment, one a turn of the event loop."""
        self._waiting = list(self.pictures.values())
        QTimer.singleShot(0, self, self._read_next)

    def _read_next(self) -> None:
        if not self._waiting or self._take is None:
            return
        picture = self._waiting.pop(0)
        try:
            timeline = self._take.timeline()
            frame = int(timeline.frame_index[self.moment.value(), timeline.cameras.index(picture.caption)])
            if frame < 0:
                raise CoreError("The camera has no picture of this moment.", "Choose another moment.")
            rotation = self._take.camera(picture.caption).rotation_deg
            with VideoReader(self._take.video_path(picture.caption), rotation) as video:
                picture.set_picture(to_image(video.read(frame)))
        except CoreError as error:
            picture.say(f"{error.message} {error.hint}")
        QTimer.singleShot(0, self, self._read_next)

    def _select(self, point: int) -> None:
        chosen = self.choices.button(point)
        if chosen is not None:
            chosen.setChecked(True)
        self._show()

    def _marked(self, camera: str, x: float, y: float) -> None:
        point = self.point
        if camera not in self.points.marks(point) and self.points.seen_px(point, camera) is None:
            # A point that two pictures have settled goes over to the next one by itself.
            done = len(self.points.marks(point)) == 1
        else:
            done = False
        self.points.mark(point, camera, (x, y))
        place = self.points.place(point)
        if done and place is not None and not place.problem:
            point = self.points.next_point
        self._select(point)

    def _moved(self, camera: str, point: int, x: float, y: float) -> None:
        self.points.mark(point, camera, (x, y))
        self._select(point)

    def _removed(self, camera: str, point: int) -> None:
        self.points.remove(point, camera)
        self._select(point)

    def _clear(self) -> None:
        self.points.remove(self.point)
        self._show()

    def _apply(self) -> None:
        self.chosen.emit(self.points.change())
        self.accept()

    def _show(self) -> None:
        """Marks, helping lines and sentences as they are now."""
        point = self.point if self.point >= 0 else 0
        for camera, picture in self.pictures.items():
            marks = [
                Mark(key=p, xy_px=(float(xy[0]), float(xy[1])), words=NAMES[p], strong=p == point)
                for p in range(3)
                if (xy := self.points.marks(p).get(camera)) is not None
            ]
            marked = {mark.key for mark in marks}
            marks += [
                Mark(key=p, xy_px=(float(xy[0]), float(xy[1])), words="", strong=p == point, movable=False)
                for p in range(3)
                if p not in marked and (xy := self.points.seen_px(p, camera)) is not None
            ]
            paths = tuple(self.points.sight_lines_px(point, camera))
            picture.set_marks(marks, [Lines(paths, "on_picture_strong", 1.2)])
        self.sentence.setText(f"{NAMES[point]}: {self.points.sentence(point)}.")
        self.clear.setEnabled(bool(self.points.marks(point)))
        problem = self.points.problem
        self.problem.setText(problem)
        self.apply.setEnabled(not problem)
        self.apply.setToolTip(problem)


def _columns(sizes_px: list[tuple[int, int]]) -> int:
    """In how many columns pictures of these sizes come out largest."""

    def scale(columns: int) -> float:
        rows = -(-len(sizes_px) // columns)
        return min(min(_ROOM_PX[0] / columns / w, _ROOM_PX[1] / rows / h) for w, h in sizes_px)

    return max(range(1, len(sizes_px) + 1), key=scale) if sizes_px else 1
