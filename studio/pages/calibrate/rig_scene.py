"""What the 3D view of the Calibrate page shows: cameras, floor, expected accuracy, the board. No widgets, no OpenGL."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from PySide6.QtGui import QImage

from core.board.observations import BoardObservations
from core.calibration.board.triangulate_board import board_points_mm, board_trajectory_mm
from core.errors import CoreError
from core.geometry.accuracy import AccuracyMap
from core.types import CameraRig
from core.types.arrays import F64, U8
from studio.viewport.accuracy_colours import map_corners_mm
from studio.viewport.layers import SceneLayers, SkeletonLayer, TrailLayer
from studio.viewport.palette import Palette
from studio.viewport.reliability import CameraReliability
from studio.viewport.scene import ViewOptions, build_scene_layers
from studio.viewport.scene_data import SceneData

_IMAGE_PX = 320
_POINT = 0.35  # size of a board's point beside that of a joint
_COLUMN = 0  # colour of the board among those of people


class RigScene:
    """The rig and what the board did in it.

    Attributes:
        options: What to show; changed by replacing it.
        board: Whether the board and its path are shown.
    """

    def __init__(self) -> None:
        self.options = ViewOptions()
        self.board = True
        self._stage = SceneData.build()
        self._points = np.zeros((0, 0, 3))
        self._path_mm = np.zeros((0, 3))
        self._path: TrailLayer | None = None
        self._frame: int | None = None
        self._images: dict[str, U8] = {}

    def show_rig(
        self,
        rig: CameraRig,
        accuracy: AccuracyMap | None,
        reliability: CameraReliability,
        seen: BoardObservations | None,
    ) -> None:
        """Looks at a rig.

        Args:
            rig: The session's.
            accuracy: Its accuracy over the floor, if known.
            reliability: What its cameras are worth.
            seen: The board that it was made from, if it is still there.
        """
        self._stage = SceneData.build(rig, accuracy=accuracy, reliability=reliability)
        self._path = None
        try:
            self._points = board_points_mm(seen, rig) if seen is not None else np.zeros((0, 0, 3))
        except CoreError:
            self._points = np.zeros((0, 0, 3))  # the page says that the rig does not fit the images
        self._path_mm = board_trajectory_mm(self._points)

    def show_frame(self, frame: int | None) -> None:
        """Looks at a frame of the board's recording; its images are still to come."""
        self._frame = frame
        self._images = {}

    def put_image(self, camera: str, image: QImage) -> None:
        """Puts an image of the frame on a camera's image plane."""
        self._images[camera] = small(image)

    @property
    def reliability(self) -> CameraReliability:
        """What the colours of the cameras mean."""
        return self._stage.reliability

    @property
    def has_accuracy(self) -> bool:
        """Whether there is an accuracy map."""
        return self._stage.accuracy is not None

    @property
    def has_board(self) -> bool:
        """Whether it is known where the board was."""
        return bool(np.isfinite(self._points).any())

    @property
    def images(self) -> Mapping[str, U8]:
        """Those on the image planes."""
        return self._images

    def toggle(self, name: str, on: bool) -> None:
        """Shows or hides something: "board" or a field of `ViewOptions`."""
        if name == "board":
            self.board = on
        else:
            self.options = dataclasses.replace(self.options, **{name: on})

    def scene(self, palette: Palette) -> SceneLayers:
        """Everything as it is now."""
        scene = build_scene_layers(self._stage, 0.0, self.options, palette, self._images)
        found = self._stage.accuracy
        if self.options.accuracy and found is not None:
            scene = dataclasses.replace(scene, extent_mm=np.concatenate([scene.extent_mm, map_corners_mm(found)]))
        if not self.board or not self.has_board:
            return scene
        layers = dict(scene.layers)
        path = self._path_mm
        known = np.asarray(np.isfinite(path).all(1))
        if self._path is None or not np.array_equal(self._path.colour[0], palette.person(_COLUMN)):
            self._path = TrailLayer(xyz_mm=path[None], colour=palette.person(_COLUMN)[None])
        layers["board path"] = self._path
        if self._frame is not None and self._frame < len(known) and known[self._frame]:
            layers["board"] = _board_layer(self._points[self._frame], palette)
        frame = np.concatenate([scene.extent_mm, _box(path[known])])
        return dataclasses.replace(scene, layers=layers, extent_mm=frame)


def small(image: QImage) -> U8:
    """(H, W, 3) of an image, as small as an image plane needs it."""
    less = image.scaledToWidth(min(_IMAGE_PX, image.width())).convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(less.constBits(), np.uint8).reshape(less.height(), less.bytesPerLine())
    return rows[:, : 3 * less.width()].reshape(less.height(), less.width(), 3).copy()


def _board_layer(points_mm: F64, palette: Palette) -> SkeletonLayer:
    return SkeletonLayer(
        xyz_mm=points_mm[None],
        score=np.isfinite(points_mm).all(-1).astype(float)[None],
        bones=np.zeros((0, 2), np.int64),
        size=np.full(len(points_mm), _POINT, np.float32),
        colour=palette.person(_COLUMN)[None],
    )


def _box(points_mm: F64) -> F64:
    """(8, 3) corners around points, a few stray ones left out; (0, 3) without any."""
    if not len(points_mm):
        return np.zeros((0, 3))
    sides = np.percentile(points_mm, (2, 98), axis=0).T
    return np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(8, 3)
