"""Renderer of dressed people in the room.

An image consists of the empty room with shadows below the people, the people with occlusion by depth, and sensor noise.
Images are deterministic functions of time.

Legend: P person, V vertex, N pixel, H W image.
"""

from __future__ import annotations

import threading
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from core.body.model import BodyModel, BoneTransforms, RestBodies
from core.geometry import inside, project, to_camera
from core.rendering.raster import Fragments, rasterize
from core.synthetic.rendering.room import LIGHT, ROOM_MM, SHADE_CELL_MM, Box, shade_size, view_room
from core.synthetic.rendering.wardrobe import Outfit, albedo, dress
from core.types.arrays import F32, F64, I64, U8
from core.types.camera import Camera
from core.types.pose3d import Pose3DSequence

_NOISE = 1.6  # standard deviation of the sensor noise in grey levels
_INSIDE_MM = 150.0  # depth below the surface from which a joint is occluded by its own body
_SHADOW_LENGTH_MM = 600.0  # height above which bodies cast no visible shadow in diffuse light
_SUN, _SKY = np.float32(0.62), np.float32(0.50)


class PosedPeople(NamedTuple):
    """Dressed people at one time.

    Attributes:
        vertices_mm: (P V, 3) vertices.
        normals: (3, P V) normals of about unit length.
        shade: Light on the floor; see `floor_shade`.
        shade_area_mm: (4,) bounds of the shadows: lowest x, y, highest x, y.
    """

    vertices_mm: F32
    normals: F32
    shade: U8
    shade_area_mm: F64


class MovingPeople(Protocol):
    """People whose bodies are known at any time.

    Attributes:
        model: The embedded body model.
        rest: Shaped bodies of all people in the T pose.
    """

    model: BodyModel
    rest: RestBodies

    def bones(self, time_s: float) -> BoneTransforms:
        """Return the bone transforms (P, J, ...) at a time."""

    def sequence(self, time_s: F64) -> Pose3DSequence:
        """Return the exact COCO joints at increasing times (T,)."""


class DressedPeople:
    """Moving people with their clothes.

    Args:
        people: The people.
        outfits: One outfit per person.
    """

    def __init__(self, people: MovingPeople, outfits: tuple[Outfit, ...]) -> None:
        self.people, self.outfits = people, outfits
        dressed = [
            dress(people.model, rest, outfit, seed=p)
            for p, (rest, outfit) in enumerate(zip(people.rest.vertices_mm, outfits, strict=True))
        ]
        self.rest_mm = np.stack([vertices for vertices, _, _ in dressed])
        self._normals = np.stack([normals for _, normals, _ in dressed])
        self.surface = np.concatenate([surface for _, _, surface in dressed], axis=1)
        V = len(people.model.template_mm)
        self.faces = np.concatenate([people.model.faces + p * V for p in range(len(outfits))])
        self._lock = threading.Lock()
        self._last: tuple[float, PosedPeople] | None = None
        self.person = np.repeat(np.arange(len(outfits)), len(people.model.faces))

    def at(self, time_s: float) -> PosedPeople:
        """Return the people at a time; the result is cached for cameras with the same time of exposure."""
        with self._lock:
            if self._last is None or self._last[0] != time_s:
                vertices, rotation = self.people.model.skin(self.rest_mm, self.people.bones(time_s))
                x, y, z = (rotation[..., axis] * self._normals[..., None, axis] for axis in range(3))
                flat = vertices.reshape(-1, 3)
                self._last = (
                    time_s,
                    PosedPeople(flat, np.ascontiguousarray((x + y + z).reshape(-1, 3).T), *floor_shade(flat)),
                )
            return self._last[1]


class RoomCamera:
    """Renderer of the room with people for one camera.

    Args:
        camera: Posed camera inside the room.
        boxes: Furniture.
        seed: Seed of sensor noise and colour balance.
    """

    def __init__(self, camera: Camera, boxes: tuple[Box, ...], seed: int) -> None:
        self.camera = camera
        rng = np.random.default_rng(seed)
        self._gain = rng.normal(1.0, 0.012, 3).astype(np.float32)  # slightly different exposure and white balance
        self._tone = _tone(self._gain)
        room = view_room(camera, boxes)
        channels = [cv2.LUT(room.image[..., k], self._tone_of_srgb(k)) for k in range(3)]
        self._room: U8 = np.stack(channels, -1).astype(np.uint8)
        self._nearness, self._cells = room.nearness.ravel(), _shade_cells(room.floor)
        height, width = room.image.shape[:2]
        noise = rng.normal(128, _NOISE, (height + _SHIFT, width + _SHIFT, 3))
        self._noise = np.clip(np.rint(noise), 0, 255).astype(np.uint8)

    def image(self, dressed: DressedPeople, time_s: float, number: int = 0) -> U8:
        """Return the (H, W, 3) uint8 RGB image at a time.

        Args:
            dressed: The people.
            time_s: Time of the exposure.
            number: Number of the image, which determines the noise.
        """
        posed = dressed.at(time_s)
        out = self._shaded_room(posed)
        seen = self._fragments(posed, dressed)
        if len(seen.pixel):
            self._blend(out, seen, self._colours(dressed, posed.normals, seen))
        shift = number * 7919 % _SHIFT, number * 104729 % _SHIFT
        height, width = out.shape[:2]
        noise = self._noise[shift[0] : shift[0] + height, shift[1] : shift[1] + width]
        return np.asarray(cv2.addWeighted(out, 1.0, noise, 1.0, -128.0), np.uint8)

    def visible(self, dressed: DressedPeople, time_s: float, xyz_mm: F64) -> np.ndarray:
        """Return the mask (...) of points (..., 3) on or inside people that are visible in the image."""
        xy, depth = project(self.camera, xyz_mm), to_camera(self.camera, xyz_mm)[..., 2]
        seen = self._fragments(dressed.at(time_s), dressed)
        nearness = self._nearness.copy()
        nearness[seen.pixel] = seen.nearness
        ok = inside(self.camera, xy)
        column, row = (np.where(ok, xy[..., axis], 0).round().astype(int) for axis in range(2))
        surface_mm = 1 / nearness[row * self.camera.size_px[0] + column]
        return np.asarray(ok & (surface_mm > depth - _INSIDE_MM))

    def _fragments(self, posed: PosedPeople, dressed: DressedPeople) -> Fragments:
        """Return the pixels in which people are visible."""
        vertices = posed.vertices_mm.astype(np.float64)
        xy, depth = project(self.camera, vertices), to_camera(self.camera, vertices)[:, 2]
        seen = rasterize(xy.astype(np.float32), depth.astype(np.float32), dressed.faces, self.camera.size_px)
        front = seen.nearness > self._nearness[seen.pixel]
        return Fragments(seen.pixel[front], seen.face[front], seen.weights[:, front], seen.nearness[front])

    def _colours(self, dressed: DressedPeople, normals: F32, seen: Fragments) -> U8:
        """Return the uint8 sRGB colours (N, 3) of visible pixels."""
        corners = dressed.faces.T[:, seen.face]
        surface, normal = (_interpolate(values, corners, seen.weights) for values in (dressed.surface, normals))
        normal /= np.maximum(np.sqrt((normal * normal).sum(0)), 1e-6)
        person = dressed.person[seen.face]
        colour = np.empty((len(person), 3), np.float32)
        for p, outfit in enumerate(dressed.outfits):
            mine = np.flatnonzero(person == p)
            colour[mine] = albedo(outfit, surface[:, mine])
        # Light of the window, wrapped around the body like that of a large source, and ambient light.
        sun = np.clip((LIGHT.astype(np.float32) @ normal + 0.35) / 1.35, 0, None)
        light = (_SUN * sun + _SKY * (0.72 + 0.28 * normal[2])) * surface[6]
        return np.asarray(self._tone[np.clip(colour * (4095 * light)[:, None], 0, 4095).astype(np.int32), range(3)])

    def _blend(self, out: U8, seen: Fragments, colours: U8) -> None:
        """Draw pixels into the image with soft edges."""
        height, width = out.shape[:2]
        rows, columns = np.divmod(seen.pixel, width)
        top, left = max(rows.min() - 2, 0), max(columns.min() - 2, 0)
        bottom, right = min(rows.max() + 3, height), min(columns.max() + 3, width)
        part = out[top:bottom, left:right]
        sharp = part.copy()
        sharp[rows - top, columns - left] = colours
        mask = np.zeros(part.shape[:2], np.uint8)
        mask[rows - top, columns - left] = 255
        soft = cv2.GaussianBlur(sharp, (3, 3), 0.55)
        near = cv2.dilate(mask, np.ones((3, 3), np.uint8))
        cv2.copyTo(soft, near, part)

    def _shaded_room(self, posed: PosedPeople) -> U8:
        """Return the image of the room with soft shadows of people on the floor."""
        out = self._room.copy()
        area = posed.shade_area_mm
        corners = np.array([[x, y, 0.0] for x in area[::2] for y in area[1::2]])
        seen = project(self.camera, corners)
        height, width = out.shape[:2]
        (x0, y0), (x1, y1) = (0, 0), (width, height)
        if np.isfinite(seen).all():
            x0, y0 = np.clip(seen.min(0) - 4, 0, (width, height)).astype(int)
            x1, y1 = np.clip(seen.max(0) + 5, 0, (width, height)).astype(int)
        if x1 <= x0 or y1 <= y0:
            return out
        part = slice(y0, y1), slice(x0, x1)
        # Not cv2.remap, which leaves some pixels unset in OpenCV 5.0.0.
        factor = np.take(posed.shade, self._cells[part])
        cv2.multiply(out[part], cv2.merge([factor] * 3), out[part], scale=1 / 255)
        return out

    def _tone_of_srgb(self, channel: int) -> U8:
        """Return the (256,) lookup table from the colours of the room to those of the camera."""
        linear = (np.arange(256) / 255.0) ** 2.2
        return np.ascontiguousarray(self._tone[(linear * 4095).astype(int), channel])


def _interpolate(values: F32, corners: I64, weights: F32) -> F32:
    """Interpolate vertex values (K, V) at pixels (K, N); corners and weights are (3, N)."""
    a, b, c = (np.take(values, corners[k], axis=1) * weights[k] for k in range(3))
    return np.asarray(a + b + c)


_SHIFT = 64


def floor_shade(vertices: F32) -> tuple[U8, F64]:
    """Return the light on the floor below people, 255 without shadow, and the bounds of the shadows.

    Args:
        vertices: (N, 3) points of the people, mm.

    Returns:
        Light per cell of size `SHADE_CELL_MM` / 2 in row-major order from the lowest corner of the room, followed by
        one value for everything that is not floor; and the lowest x, y and highest x, y of the shadows.
    """
    low = vertices[vertices[:, 2] < _SHADOW_LENGTH_MM]
    columns, rows = shade_size()
    height = np.clip(low[:, 2], 0, None)
    place = low[:, :2] - 0.35 * height[:, None] * (LIGHT[:2] / LIGHT[2]).astype(np.float32)
    cell = np.floor((place - ROOM_MM[0, :2]) / SHADE_CELL_MM).astype(int)
    cell = cell.clip(0, (columns - 1, rows - 1))
    index = cell[:, 1] * columns + cell[:, 0]
    close = np.bincount(index, np.exp(-height / 45.0), rows * columns).reshape(rows, columns)
    far = np.bincount(index, np.exp(-height / 350.0), rows * columns).reshape(rows, columns)
    contact = cv2.GaussianBlur(np.minimum(close, 1.0).astype(np.float32), (0, 0), 1.6)
    wide = cv2.GaussianBlur(np.minimum(far, 1.0).astype(np.float32), (0, 0), 6.0)
    light = (1 - 0.62 * np.minimum(1.5 * contact, 1.0)) * (1 - 0.5 * np.minimum(1.6 * wide, 1.0))
    margin = 320.0
    extent = np.concatenate([place.min(0) - margin, place.max(0) + margin])
    finer = cv2.resize((255 * light).astype(np.uint8), (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
    return np.append(finer.ravel(), np.uint8(255)), extent


def _shade_cells(floor: F32) -> I64:
    """Return the index (H, W) into `floor_shade` of each pixel from its column and row (H, W, 2) in full cells."""
    columns, rows = shade_size()
    column, row = (np.rint(2 * floor[..., axis] + 0.5).astype(np.int64) for axis in range(2))
    known = (column >= 0) & (column < 2 * columns) & (row >= 0) & (row < 2 * rows)
    return np.where(known, row * 2 * columns + column, 4 * columns * rows)


def _tone(gain: F32) -> U8:
    """Return the (4096, 3) lookup table from linear light to sRGB values."""
    light = np.arange(4096)[:, None] / 4095 * gain
    return (255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)
