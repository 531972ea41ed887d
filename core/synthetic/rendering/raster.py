"""Scan conversion of small triangles with a depth buffer, vectorised over all pixels of all triangles.

Legend: V vertex, F face, N pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.types.arrays import F32, I64

_DEPTH_LEVELS = 65535


class Fragments(NamedTuple):
    """The nearest surface at each covered pixel.

    Attributes:
        pixel: (N,) index of the pixel, row by row.
        face: (N,) index of the face.
        weights: (N, 3) barycentric weights of its vertices.
        nearness: (N,) 1 / depth in 1/mm.
    """

    pixel: I64
    face: I64
    weights: F32
    nearness: F32


def rasterize(xy_px: F32, depth_mm: F32, faces: I64, size_px: tuple[int, int]) -> Fragments:
    """Find the nearest front face at the centre of each pixel.

    A pixel is covered by a face if its centre is. Faces are meant to be small: the cost grows with the pixels of their
    bounding boxes.

    Args:
        xy_px: (V, 2) vertices in the image; NaN where a vertex is behind the camera.
        depth_mm: (V,) distances along the optical axis.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        size_px: Width and height of the image.
    """
    width, height = size_px
    xy = np.asarray(xy_px, np.float32)
    x, y = xy[:, 0][faces.T], xy[:, 1][faces.T]
    # Image coordinates have y down, so front faces have a negative area; comparisons with NaN are false.
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    front = np.flatnonzero(area < 0)
    x, y = x[:, front], y[:, front]
    left, right = np.ceil(x.min(0)).clip(0, width), np.floor(x.max(0)).clip(-1, width - 1)
    top, bottom = np.ceil(y.min(0)).clip(0, height), np.floor(y.max(0)).clip(-1, height - 1)
    some = np.flatnonzero((right >= left) & (bottom >= top))
    chosen = front[some]
    left, right, top, bottom = (edge[some].astype(np.int32) for edge in (left, right, top, bottom))
    (ax, bx, cx), (ay, by, cy), area = x[:, some], y[:, some], area[chosen]
    columns = right - left + 1
    count = columns * (bottom - top + 1)
    face = np.repeat(np.arange(len(chosen), dtype=np.int32), count)
    number = np.arange(len(face), dtype=np.int32) - np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
    row, column = np.divmod(number, columns[face])
    px, py = left[face] + column, top[face] + row
    # Barycentric weights are linear in the pixel; relative to the first vertex, single precision is enough.
    dx, dy = px - ax[face], py - ay[face]
    second = ((cy - ay) / area)[face] * dx - ((cx - ax) / area)[face] * dy
    third = ((bx - ax) / area)[face] * dy - ((by - ay) / area)[face] * dx
    first = 1 - second - third
    inside = np.flatnonzero((first >= 0) & (second >= 0) & (third >= 0))
    hit, weights = chosen[face[inside]], np.stack([first[inside], second[inside], third[inside]])
    pixel = py[inside].astype(np.int64) * width + px[inside]
    a, b, c = (1 / np.asarray(depth_mm, np.float32))[faces.T[:, hit]]
    nearness = weights[0] * a + weights[1] * b + weights[2] * c
    nearest = _nearest(pixel, nearness, width * height)
    return Fragments(pixel[nearest], hit[nearest], weights[:, nearest].T, nearness[nearest])


def _nearest(pixel: I64, nearness: F32, n_pixels: int) -> I64:
    """Return the indices of the fragments that are the nearest of their pixel."""
    if not len(pixel):
        return pixel
    low, high = nearness.min(), nearness.max()
    level = ((nearness - low) * (_DEPTH_LEVELS / max(high - low, 1e-12))).astype(np.uint16)
    order = np.argsort(level, kind="stable")  # a radix sort for 16 bits
    winner = np.full(n_pixels, -1, np.int64)
    winner[pixel[order]] = order  # The last one written remains, which is the nearest.
    return np.asarray(winner[winner >= 0])
