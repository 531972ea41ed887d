"""Pictures and films of the View page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from core.errors import CoreError
from core.files import write_bytes
from core.pipelines.params import FilmParams
from core.session import Session
from core.types.arrays import U8
from studio.background import Background
from studio.icons import icon
from studio.pages.view.film_dialog import FilmDialog
from studio.pages.view.options import EXPORT_VIDEO, SAVE_PICTURE
from studio.pages.view.picture_dialog import PictureDialog
from studio.pages.view.presenter import ViewPresenter
from studio.shell.dialogs import show_error_dialog
from studio.shell.starting import start_job
from studio.state.app_state import AppState
from studio.viewport.canvas import Viewport
from studio.widgets.buttons import MenuButton


class ViewExports(QObject):
    """Export of pictures and films.

    Args:
        state: State shared with the other pages.
        presenter: Content of the page.
        viewport: The 3D view.
        parent: The page.
    """

    def __init__(self, state: AppState, presenter: ViewPresenter, viewport: Viewport, parent: QWidget) -> None:
        super().__init__(parent)
        self._state, self._presenter, self._viewport, self._page = state, presenter, viewport, parent
        self._background = Background(self)

    def fill(self, menu: MenuButton) -> None:
        """Add the actions to a menu, with the reasons why they are blocked."""
        entries = {spec: menu.add(spec.text) for spec in (SAVE_PICTURE, EXPORT_VIDEO)}
        for spec, entry in entries.items():
            entry.setIcon(icon(spec.icon))
            entry.triggered.connect(partial(self.act, spec.id))

        def update() -> None:
            for spec, entry in entries.items():
                reason = self.why_not(spec.id)
                entry.setEnabled(not reason)
                entry.setToolTip(reason or spec.tip)

        menu.entries.aboutToShow.connect(update)

    def act(self, action: str, _checked: bool = False) -> None:
        """Execute the action with an id."""
        {SAVE_PICTURE.id: self.ask_picture, EXPORT_VIDEO.id: self.ask_film}[action]()

    def why_not(self, action: str) -> str:
        """Return why an action is blocked; empty if it is available."""
        if action == SAVE_PICTURE.id:
            return "" if self._viewport.has_gl else "The 3D view needs OpenGL 2.1."
        if not self._state.poses_name:
            return "There is no 3D result to film yet."
        return self._state.jobs.why_not()

    def ask_picture(self) -> PictureDialog:
        """Ask for size and file of a picture."""
        ratio = self._viewport.devicePixelRatioF()
        size_px = round(self._viewport.width() * ratio), round(self._viewport.height() * ratio)
        dialog = PictureDialog(size_px, self._page.window())
        dialog.chosen.connect(self._choose_file)
        dialog.open()
        return dialog

    def save_picture(self, path: Path, scale: int, *, transparent: bool) -> None:
        """Render the 3D view, and write the file in the background."""
        QGuiApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            drawn = self._viewport.picture(scale, transparent=transparent)
        except CoreError as error:
            self._show_error(error)
            return
        finally:
            QGuiApplication.restoreOverrideCursor()
        if drawn is not None:
            self._background.run(
                lambda: write_bytes(path, _png(drawn.image())),
                lambda _: None,
                self._show_error,
            )

    @property
    def busy(self) -> bool:
        """True while a picture is being written."""
        return self._background.busy

    def ask_film(self) -> FilmDialog | None:
        """Ask for the settings of a film, and start the job."""
        session, take, timeline = self._state.session, self._presenter.take, self._presenter.timeline
        if session is None or take is None or timeline is None or not len(timeline):
            return None
        length_s = float(timeline.time_s[-1] + 1 / take.manifest.fps)
        azimuth_deg = self._viewport.azimuth_deg
        cameras = _filmed_cameras(session, take.name)
        dialog = FilmDialog(take.name, self._presenter.result, cameras, length_s, azimuth_deg, self._page.window())
        dialog.chosen.connect(self._start)
        dialog.open()
        return dialog

    def _choose_file(self, scale: int, transparent: bool) -> None:
        session, take = self._state.session, self._presenter.take
        if session is None or take is None:
            return
        start = str(session.layout.exports / f"{take.name}.png")
        chosen, _ = QFileDialog.getSaveFileName(self._page, "Save picture", start, "PNG image (*.png)")
        if chosen:
            self.save_picture(Path(chosen).with_suffix(".png"), scale, transparent=transparent)

    def _show_error(self, error: CoreError) -> None:
        show_error_dialog(error, self._page.window())

    def _start(self, params: FilmParams) -> None:
        title = f"Film of {params.take}"
        start_job(self._state, self._state.session, "film", params, title, self._page.window())


def _filmed_cameras(session: Session, name: str) -> tuple[str, ...]:
    """Return the cameras of a take with a pose, over whose videos people can be drawn."""
    take = session.take(name)
    try:
        rig = session.rig_for(take)
    except CoreError:
        return ()
    return tuple(camera for camera in take.cameras if camera in rig.names and rig[camera].posed)


def _png(image: U8) -> bytes:
    """Encode an RGB or RGBA image as PNG."""
    order = [2, 1, 0, 3][: image.shape[2]]
    _, data = cv2.imencode(".png", np.ascontiguousarray(image[..., order]))
    return bytes(data)
