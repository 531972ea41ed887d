"""Content of the 3D view of the Calibrate page: cameras, floor, expected accuracy, board. No widgets, no OpenGL."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtGui import QImage

from core.board.observations import BoardObservations
from core.calibration.board.initial.triangulate_board import board_points_mm, board_trajectory_mm
from core.errors import CoreError
from core.geometry.accuracy import AccuracyMap
from core.types import CameraRig
from core.types.arrays import U8
from studio.viewport.layers.spec import DisplayOption, ViewOptions
from studio.viewport.layers.table import is_available
from studio.viewport.palette import Palette
from studio.viewport.reliability import CameraReliability
from studio.viewport.scene import SceneLayers, build_scene_layers
from studio.viewport.scene_data import BoardTrack, SceneData

_IMAGE_PX = 320


class RigScene:
    """Scene with the rig and the board of its recording.

    Attributes:
        options: Settings of the view, which are replaced when a toggle changes.
    """

    def __init__(self) -> None:
        self.options = ViewOptions()
        self._data = SceneData.build()
        self._frame: int | None = None
        self._images: dict[str, U8] = {}

    def show_rig(
        self,
        rig: CameraRig,
        accuracy: AccuracyMap | None,
        reliability: CameraReliability,
        observations: BoardObservations | None,
    ) -> None:
        """Show a rig.

        Args:
            rig: Rig of the session.
            accuracy: Expected accuracy over the floor; None if unknown.
            reliability: Errors of the cameras.
            observations: Board observations of the calibration; None if they no longer exist.
        """
        board = _board_track(observations, rig) if observations is not None else None
        self._data = SceneData.build(rig, accuracy=accuracy, reliability=reliability, board=board)

    def show_frame(self, frame: int | None) -> None:
        """Show a frame of the board recording; its images are added by `put_image`."""
        self._frame = frame
        self._images = {}

    def put_image(self, camera: str, image: QImage) -> None:
        """Show an image of the frame on the image plane of a camera."""
        self._images[camera] = thumbnail(image)

    @property
    def reliability(self) -> CameraReliability:
        """Errors of the cameras, by which they are coloured."""
        return self._data.reliability

    @property
    def images(self) -> Mapping[str, U8]:
        """Images on the image planes by camera name."""
        return self._images

    def is_available(self, option: DisplayOption) -> bool:
        """Return whether an option has anything to show."""
        return is_available(option, self._data)

    def set_option(self, option: DisplayOption, on: bool) -> None:
        """Switch an option on or off."""
        self.options = self.options.with_option(option, on)

    def layers(self, palette: Palette) -> SceneLayers:
        """Build the layers of the current state."""
        return build_scene_layers(self._data, 0.0, self.options, palette, self._images, self._frame)


def thumbnail(image: QImage) -> U8:
    """Convert an image to (H, W, 3) RGB at the resolution of an image plane."""
    small = image.scaledToWidth(min(_IMAGE_PX, image.width())).convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(small.constBits(), np.uint8).reshape(small.height(), small.bytesPerLine())
    return rows[:, : 3 * small.width()].reshape(small.height(), small.width(), 3).copy()


def _board_track(observations: BoardObservations, rig: CameraRig) -> BoardTrack | None:
    try:
        points = board_points_mm(observations, rig)
    except CoreError:
        return None  # reported by the page
    if not np.isfinite(points).any():
        return None
    return BoardTrack(points_mm=points, centre_mm=board_trajectory_mm(points))
