"""People on a floor with a grid and soft shadows, from any viewpoint.

Legend: V vertex, H W image.
"""

from __future__ import annotations

import cv2
import numpy as np

from core.rendering.colours import ViewColours, rgb
from core.rendering.draw import blend, draw_surface
from core.rendering.surfaces import Surface
from core.types.arrays import F32, F64, I64, U8
from core.types.camera import Camera

_CELL_MM = 20.0
_FINER = 2
_SHADOW_HEIGHT_MM = 700.0  # height above which parts of bodies cast no visible shadow in diffuse light
_LINE_MM, _LINE_PX = 9.0, 1.1
_CONTACT, _SOFT = 0.62, 0.42


class FloorScene:
    """Floor under people who stay within a given box.

    Args:
        low_mm: (3,) lowest corner of the box of the people.
        high_mm: (3,) highest corner.
        colours: Colours of the view.
    """

    def __init__(self, low_mm: F64, high_mm: F64, colours: ViewColours) -> None:
        self._centre = ((low_mm + high_mm) / 2)[:2].astype(np.float32)
        reach = float(np.hypot(*(high_mm - low_mm)[:2])) / 2
        self._radius = np.float32(max(1.9 * reach, reach + 2500.0))
        self._low = (low_mm[:2] - _SHADOW_HEIGHT_MM).astype(np.float32)
        cells = np.ceil((high_mm[:2] - low_mm[:2] + 2 * _SHADOW_HEIGHT_MM) / _CELL_MM).astype(int)
        self._cells = (int(cells[0]), int(cells[1]))
        self._background, self._floor, self._grid = (
            255 * rgb(colour) for colour in (colours.background, colours.floor, colours.grid)
        )

    def image(self, camera: Camera, people: Surface, ground: Surface | None = None, samples: int = 2) -> U8:
        """Return the (H, W, 3) uint8 RGB image of a camera without distortion.

        Args:
            camera: Camera above the floor.
            people: Surface on the floor that casts shadows.
            ground: Surface flat on the floor, without shadows.
            samples: Number of samples across a pixel.
        """
        out = self._empty(camera, self._shade(people.vertices_mm))
        for surface in (ground, people):
            if surface is not None:
                blend(out, draw_surface(camera, camera.size_px, surface, samples))
        return out

    def _empty(self, camera: Camera, shade: F32) -> U8:
        """Return the image of the empty floor."""
        width, height = camera.size_px
        R, t_mm = camera.pose
        back = (R.T @ np.linalg.inv(camera.K)).astype(np.float32)  # from pixels to world directions
        centre = (-R.T @ t_mm).astype(np.float32)
        u, v = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
        down = -(back[2, 0] * u + back[2, 1] * v + back[2, 2])
        far = centre[2] / np.maximum(down, np.float32(1e-6))  # distance to the floor in units of the direction
        place = [centre[k] + far * (back[k, 0] * u + back[k, 1] * v + back[k, 2]) for k in range(2)]
        distance = (place[0] - self._centre[0]) ** 2 + (place[1] - self._centre[1]) ** 2
        out = np.empty((height * width, 3), np.uint8)
        out[:] = np.rint(self._background)
        seen = np.flatnonzero((down > 1e-6) & (distance < self._radius**2))
        down, far = np.broadcast_to(down, distance.shape).ravel()[seen], far.ravel()[seen]
        fade = 1 - np.sqrt(distance.ravel()[seen]) / self._radius
        fade *= fade * (3 - 2 * fade)
        line, x, y = np.zeros(len(seen), np.float32), *(at.ravel()[seen] for at in place)
        for axis, at in enumerate((x, y)):
            # Extent of a pixel on the floor along this axis, from the derivatives of `at`.
            tilt = (at - centre[axis]) / (far * down)
            step = far * (np.abs(back[axis, 0] + tilt * back[2, 0]) + np.abs(back[axis, 1] + tilt * back[2, 1]))
            gap = np.abs(at - 1000 * np.rint(at / 1000))
            wide = np.maximum(_LINE_MM / 2, _LINE_PX / 2 * step)
            covered = np.clip((wide - gap) / step + 0.5, 0, 1) * np.clip(120 / step, 0, 1)  # no moiré far away
            np.maximum(line, covered, out=line)
        light = fade * self._light(shade, x, y)
        for k in range(3):
            ground = (self._floor[k] + line * (self._grid[k] - self._floor[k])) * light
            out[seen, k] = ground + self._background[k] * (1 - fade) + np.float32(0.5)
        return out.reshape(height, width, 3)

    def _light(self, shade: F32, x: F32, y: F32) -> F32:
        """Return the light (N,) at positions on the floor."""
        rows, columns = shade.shape
        column, row = (x - self._low[0]) * (_FINER / _CELL_MM), (y - self._low[1]) * (_FINER / _CELL_MM)
        known = np.flatnonzero((column >= 0) & (column < columns) & (row >= 0) & (row < rows))
        light = np.ones(len(x), np.float32)
        cell: I64 = row[known].astype(np.int64) * columns + column[known].astype(np.int64)
        light[known] = np.take(shade, cell)
        return light

    def _shade(self, vertices_mm: F32) -> F32:
        """Return the light on the floor, 1 without shadow, in cells row by row from the lowest corner."""
        columns, rows = self._cells
        low = vertices_mm[vertices_mm[:, 2] < _SHADOW_HEIGHT_MM]
        height = np.clip(low[:, 2], 0, None)
        cell = np.floor((low[:, :2] - self._low) / _CELL_MM).astype(int)
        inside = ((cell >= 0) & (cell < (columns, rows))).all(1)
        index: I64 = (cell[:, 1] * columns + cell[:, 0])[inside]
        height = height[inside]
        light = np.ones((rows, columns), np.float32)
        for reach_mm, sigma, gain, strength in ((60.0, 1.6, 1.5, _CONTACT), (420.0, 6.5, 1.6, _SOFT)):
            dark = np.bincount(index, np.exp(-height / reach_mm), rows * columns).reshape(rows, columns)
            soft = cv2.GaussianBlur(np.minimum(dark, 1.0).astype(np.float32), (0, 0), sigma)
            light *= 1 - strength * np.minimum(gain * soft, 1)
        return np.asarray(cv2.resize(light, (_FINER * columns, _FINER * rows), interpolation=cv2.INTER_LINEAR))
