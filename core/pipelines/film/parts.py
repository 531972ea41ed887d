"""Tiles of a film: the 3D view, and the videos with people over them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.pipelines.params import FilmParams
from core.rendering.colours import ViewColours, rgb
from core.rendering.draw import blend, draw_surface
from core.rendering.floor_scene import FloorScene
from core.rendering.orbit import clear_azimuth_deg, orbit_camera, people_box
from core.rendering.surfaces import Surface
from core.rendering.tiles import Place
from core.session.footage.images import CameraImages
from core.types import Pose3DSequence
from core.types.arrays import F64, U8
from core.types.camera import Camera

_ELEVATION_DEG = 16.0
_OVER_VIDEO = 0.86


class FilmView:
    """Tile with the 3D view."""

    def __init__(
        self, poses: Pose3DSequence, params: FilmParams, colours: ViewColours, cameras_mm: F64, place: Place
    ) -> None:
        box = people_box(poses.xyz_mm)
        self._box, self._place, self._turn_s = box, place, params.turn_s
        self._scene = FloorScene(*box, colours)
        clear = clear_azimuth_deg(cameras_mm, np.stack(box))
        self._azimuth_deg = clear if params.azimuth_deg is None else params.azimuth_deg

    def draw(self, image: U8, elapsed_s: float, people: Surface, trails: Surface | None) -> None:
        """Draw the people at `elapsed_s` after the start of the film."""
        turned = 360 * elapsed_s / self._turn_s if self._turn_s else 0.0
        size_px = self._place.width, self._place.height
        camera = orbit_camera(*self._box, size_px, self._azimuth_deg + turned, _ELEVATION_DEG)
        _part(image, self._place)[:] = self._scene.image(camera, people, trails)


@dataclass(slots=True, eq=False)
class FilmTile:
    """Tile with the video of a camera.

    Attributes:
        camera: Posed camera.
        images: Images of its video.
        index: (T,) index of the image at each frame of the take, -1 where dropped.
        place: Position in the film.
    """

    camera: Camera
    images: CameraImages
    index: np.ndarray
    place: Place

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of the recorded images."""
        return self.camera.size_px

    def draw(self, film: U8, frame: int, people: Surface, colours: ViewColours) -> None:
        """Draw the image of a frame with the people over it."""
        out, size_px = _part(film, self.place), (self.place.width, self.place.height)
        index = int(self.index[frame])
        image = self.images.read(index, size_px) if index >= 0 else None
        if image is None:
            out[:] = np.rint(255 * rgb(colours.panel))
        else:
            if image.shape[:2] != out.shape[:2]:
                image = np.asarray(cv2.resize(image, size_px, interpolation=cv2.INTER_AREA), np.uint8)
            out[:] = image
        blend(out, draw_surface(self.camera, size_px, people, samples=1), _OVER_VIDEO)
        why = "" if image is not None else ": dropped frame" if index < 0 else ": damaged image"
        _write(out, self.camera.name + why)


def _part(image: U8, place: Place) -> U8:
    return image[place.top : place.top + place.height, place.left : place.left + place.width]


def _write(image: U8, text: str) -> None:
    """Write a label into the upper left corner on a dark background."""
    scale = max(0.38, min(0.7, max(image.shape[:2]) / 900))
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    pad = round(10 * scale)
    plate = image[: height + below + 2 * pad, : width + 2 * pad]
    plate[:] = plate // 3
    at = pad, pad + height
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
