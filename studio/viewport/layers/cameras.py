"""Cameras: a frustum per camera, coloured by reliability, with the current image on its image plane."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.types.arrays import F64, U8
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA, Palette
from studio.viewport.primitives import Capsules, make_capsules
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

SHOW_CAMERAS = DisplayOption(name="cameras", label="Cameras", icon="frustum", shortcut="C")
SHOW_IMAGES = DisplayOption(name="images", label="Camera images", icon="image", shortcut="I")

_EMPTY_OPACITY = np.array((1, 1, 1, 0.10), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraLayer:
    """Fields of view of the cameras, with their images of the frame.

    Attributes:
        names: (V,) camera names.
        centre_mm: (V, 3) camera centres.
        corner_mm: (V, 4, 3) corners of the image planes: top left, top right, bottom right, bottom left.
        middle_mm: (3,) centre of the people, in front of which images fade.
        images: (V,) uint8 RGB images of any size, or None.
        colour: (V, 4) line colours, by reliability of the calibration.
        empty: (4,) colour of image planes without an image.
    """

    names: tuple[str, ...]
    centre_mm: F64
    corner_mm: F64
    middle_mm: F64
    images: tuple[U8 | None, ...]
    colour: RGBA
    empty: RGBA


def build_cameras(data: SceneData, frame: SceneFrame) -> CameraLayer | None:
    """Build all cameras with a pose; none while the view looks through one of them."""
    if not data.cameras or frame.options.through:
        return None
    images = frame.images if frame.options.shows(SHOW_IMAGES) else {}
    return CameraLayer(
        names=data.cameras,
        centre_mm=data.camera_centre_mm,
        corner_mm=data.image_corner_mm,
        middle_mm=data.middle_mm,
        images=tuple(images.get(name) for name in data.cameras),
        colour=_camera_colours(data, frame.palette),
        empty=frame.palette.camera * _EMPTY_OPACITY,
    )


@functools.lru_cache(maxsize=4)
def _camera_colours(data: SceneData, palette: Palette) -> RGBA:
    """Return (V, 4) colours by reliability level; -1, unknown, selects the last one."""
    choices = np.concatenate([palette.levels, palette.camera[None]])
    return np.asarray(choices[data.camera_level], np.float32)


def camera_capsules(layer: CameraLayer) -> list[Capsules]:
    """Return the edges to the camera centre, the border of the image plane and a ball at the centre."""
    parts = []
    for colour in np.unique(layer.colour, axis=0):
        same = (layer.colour == colour).all(1)
        corner, centre = layer.corner_mm[same], layer.centre_mm[same][:, None]
        pale = colour * np.array((1, 1, 1, 0.6), np.float32)
        parts += [
            make_capsules(centre, corner, 2.5, 0.6, pale),
            make_capsules(corner, np.roll(corner, -1, 1), 4.0, 0.8, colour),
            make_capsules(centre, centre, 28.0, 2.0, colour),
        ]
    return parts


class CameraVisual(NodeVisual[CameraLayer]):
    """Frusta as capsules, images as quads."""

    def __init__(self, parent: Any) -> None:
        from studio.viewport.visuals.capsules import CapsuleNode
        from studio.viewport.visuals.image_quads import ImageQuadNode

        self._images = ImageQuadNode(parent=parent)
        self._images.order = 30
        self._lines = CapsuleNode(parent=parent)
        self._lines.order = 55  # after people: rims would leave the background in front of them
        self._drawn: CameraLayer | None = None
        super().__init__(self._images, self._lines)

    def draw(self, layer: CameraLayer) -> None:
        """Draw the cameras of a layer; unchanged lines are not uploaded again."""
        self._images.set_images(layer.corner_mm, layer.images, layer.empty, layer.middle_mm)
        drawn = self._drawn
        if drawn is None or drawn.corner_mm is not layer.corner_mm or drawn.colour is not layer.colour:
            self._lines.set_capsules(*camera_capsules(layer))
            self._drawn = layer


CAMERAS = LayerSpec(
    name="cameras",
    layer=CameraLayer,
    build=build_cameras,
    visual=CameraVisual,
    option=SHOW_CAMERAS,
    modifiers=(SHOW_IMAGES,),
)
