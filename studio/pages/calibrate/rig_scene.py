"""3D scene of the Calibrate page: cameras, floor, expected accuracy, board. No widgets, no OpenGL."""

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
_POINT_SIZE = 0.35  # of a board corner, relative to a joint
_COLOUR_INDEX = 0  # colour of the board among those of people


class RigScene:
    """The rig, and the board moving in front of it.

    Attributes:
        options: Visible layers; changed by replacing the object.
        board: Whether the board and its trajectory are shown.
    """

    def __init__(self) -> None:
        self.options = ViewOptions()
        self.board = True
        self._data = SceneData.build()
        self._points = np.zeros((0, 0, 3))
        self._trajectory_mm = np.zeros((0, 3))
        self._trail: TrailLayer | None = None
        self._frame: int | None = None
        self._images: dict[str, U8] = {}

    def show_rig(
        self,
        rig: CameraRig,
        accuracy: AccuracyMap | None,
        reliability: CameraReliability,
        seen: BoardObservations | None,
    ) -> None:
        """Show a rig.

        Args:
            rig: Rig of the session.
            accuracy: Its accuracy map, if there is one.
            reliability: Quality of its cameras.
            seen: Board observations that the rig was solved from, if they still exist.
        """
        self._data = SceneData.build(rig, accuracy=accuracy, reliability=reliability)
        self._trail = None
        try:
            self._points = board_points_mm(seen, rig) if seen is not None else np.zeros((0, 0, 3))
        except CoreError:
            self._points = np.zeros((0, 0, 3))  # the page reports that the rig does not fit the images
        self._trajectory_mm = board_trajectory_mm(self._points)

    def show_frame(self, frame: int | None) -> None:
        """Show a frame of the board take; its images follow by `put_image`."""
        self._frame = frame
        self._images = {}

    def put_image(self, camera: str, image: QImage) -> None:
        """Show an image of the frame on a camera's image plane."""
        self._images[camera] = thumbnail(image)

    @property
    def reliability(self) -> CameraReliability:
        """Quality of the cameras, shown by their colours."""
        return self._data.reliability

    @property
    def has_accuracy(self) -> bool:
        """Whether there is an accuracy map."""
        return self._data.accuracy is not None

    @property
    def has_board(self) -> bool:
        """Whether the board was triangulated in any frame."""
        return bool(np.isfinite(self._points).any())

    @property
    def images(self) -> Mapping[str, U8]:
        """Images on the image planes, by camera."""
        return self._images

    def toggle(self, name: str, on: bool) -> None:
        """Show or hide "board" or a field of `ViewOptions`."""
        if name == "board":
            self.board = on
        else:
            self.options = dataclasses.replace(self.options, **{name: on})

    def scene(self, palette: Palette) -> SceneLayers:
        """Return all layers in their current state."""
        scene = build_scene_layers(self._data, 0.0, self.options, palette, self._images)
        found = self._data.accuracy
        if self.options.accuracy and found is not None:
            scene = dataclasses.replace(scene, extent_mm=np.concatenate([scene.extent_mm, map_corners_mm(found)]))
        if not self.board or not self.has_board:
            return scene
        layers = dict(scene.layers)
        trajectory = self._trajectory_mm
        known = np.asarray(np.isfinite(trajectory).all(1))
        if self._trail is None or not np.array_equal(self._trail.colour[0], palette.person(_COLOUR_INDEX)):
            self._trail = TrailLayer(xyz_mm=trajectory[None], colour=palette.person(_COLOUR_INDEX)[None])
        layers["board trajectory"] = self._trail
        if self._frame is not None and self._frame < len(known) and known[self._frame]:
            layers["board"] = _board_layer(self._points[self._frame], palette)
        frame = np.concatenate([scene.extent_mm, _box(trajectory[known])])
        return dataclasses.replace(scene, layers=layers, extent_mm=frame)


def thumbnail(image: QImage) -> U8:
    """Return an image as (H, W, 3) RGB, at most 320 px wide."""
    scaled = image.scaledToWidth(min(_IMAGE_PX, image.width())).convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(scaled.constBits(), np.uint8).reshape(scaled.height(), scaled.bytesPerLine())
    return rows[:, : 3 * scaled.width()].reshape(scaled.height(), scaled.width(), 3).copy()


def _board_layer(points_mm: F64, palette: Palette) -> SkeletonLayer:
    return SkeletonLayer(
        xyz_mm=points_mm[None],
        score=np.isfinite(points_mm).all(-1).astype(float)[None],
        bones=np.zeros((0, 2), np.int64),
        size=np.full(len(points_mm), _POINT_SIZE, np.float32),
        colour=palette.person(_COLOUR_INDEX)[None],
    )


def _box(points_mm: F64) -> F64:
    """Return the (8, 3) corners of the box from the 2nd to the 98th percentile of the points; (0, 3) without points."""
    if not len(points_mm):
        return np.zeros((0, 3))
    sides = np.percentile(points_mm, (2, 98), axis=0).T
    return np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(8, 3)
