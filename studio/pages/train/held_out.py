"""View of a held-out frame during training, with triangulated people and current predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.errors import CoreError
from core.session import RunLayout, Session
from core.session.video import VideoReader
from core.training.held_out_frame import HeldOutFrame
from core.types.arrays import F64
from core.types.skeleton import skeleton
from studio.background import Background
from studio.jobs.tracked import TrackedJob
from studio.theme import GRID_PX
from studio.widgets.columns import TileGrid
from studio.widgets.images.image_tiles import ImageDialog
from studio.widgets.images.image_view import ImageView, Lines, to_image
from studio.widgets.text import make_label

_IMAGE_PX = 960
_LINE_PX = 2.2
_ImageKey = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """Image of a held-out frame with its people.

    Attributes:
        key: Session, take, camera and index of the image.
        image: The image.
        frame: The frame.
        scale: Size of the image relative to the recorded one.
    """

    key: _ImageKey
    image: QImage
    frame: HeldOutFrame
    scale: float

    def lines(self, people: tuple[F64, ...], token: str) -> Lines:
        """Return the bones of people."""
        bones = np.array(skeleton(self.frame.skeleton).bones)
        paths = [((person + 0.5) * self.scale - 0.5)[bone] for person in people for bone in bones]
        return Lines(tuple(paths), token, _LINE_PX)


class HeldOutView(QWidget):
    """Two views of a held-out frame side by side; a click enlarges them.

    Args:
        host: Widget during whose visibility the frame is read.
        parent: Owner.
    """

    def __init__(self, host: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.before, self.now = ImageView("Triangulation"), ImageView("Networks")
        self.about = make_label("", "small")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GRID_PX)
        grid = TileGrid(tile_px=200, max_columns=2)
        grid.set_tiles([self.before, self.now])
        layout.addWidget(grid)
        layout.addWidget(self.about)
        for view in (self.before, self.now):
            view.setToolTip("Click to enlarge")
            view.clicked.connect(self._enlarge)
        self._background = Background(self)
        self._session: Session | None = None
        self._run: RunLayout | None = None
        self._loaded: Loaded | None = None
        self._stale = False
        self._host = host
        host.installEventFilter(self)
        self.hide()

    def show_job(self, session: Session | None, job: TrackedJob | None) -> None:
        """Show the frame of a training job, or of the training within a job, if it has changed."""
        run = None
        if session is not None and job is not None:
            run = session.layout.run(job.name if job.verb == "train" else f"{job.name}-train")
        if run != self._run:
            self._loaded = None
            self.hide()
        self._session, self._run, self._stale = session, run, True
        self._read()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Read the frame once the host is visible."""
        if event.type() == QEvent.Type.Show:
            self._read()
        return super().eventFilter(watched, event)

    def _read(self) -> None:
        if not self._stale or not self._host.isVisible():
            return
        self._stale = False
        self._background.drop()
        if self._session is not None and self._run is not None:
            self._background.run(partial(load_held_out, self._session, self._run, self._loaded), self._show)

    def _show(self, loaded: Loaded | None) -> None:
        self._loaded = loaded
        self.setVisible(loaded is not None)
        if loaded is None:
            return
        frame = loaded.frame
        self.now.caption = f"Networks, step {frame.step:,}"
        for view, people, token in (
            (self.before, frame.triangulated, "on_image"),
            (self.now, frame.predicted or (), "on_image_strong"),
        ):
            view.set_aspect(loaded.image.width(), loaded.image.height())
            view.set_image(loaded.image, [loaded.lines(people, token)])
            view.setAccessibleName(f"{view.caption}, {frame.camera}")
        self.about.setText(f"Image {frame.image:,} of {frame.camera} in {frame.take}, held out from training.")

    def _enlarge(self) -> None:
        ImageDialog([self.before, self.now], int(self.sender() is self.now), self.about.text(), self.window()).open()


def load_held_out(session: Session, run: RunLayout, former: Loaded | None) -> Loaded | None:
    """Read the held-out frame of a training and its image in a thread; None if either is missing.

    Args:
        session: The session.
        run: The training.
        former: Last result, whose image is reused.
    """
    if not run.held_out_frame.exists():
        return None
    try:
        frame = HeldOutFrame.load(run.held_out_frame)
        take = session.take(frame.take)
        camera = take.camera(frame.camera)
        key = (str(session.root), frame.take, frame.camera, frame.image)
        if former is not None and former.key == key:
            return Loaded(key, former.image, frame, former.scale)
        with VideoReader(take.video_path(camera.name), rotation_deg=camera.rotation_deg) as video:
            image = to_image(video.read(frame.image, (_IMAGE_PX, _IMAGE_PX)))
    except CoreError:
        return None  # the take was changed or removed since, which the page reports
    return Loaded(key, image, frame, image.width() / camera.size_px[0])
