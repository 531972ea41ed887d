"""Scan conversion of small triangles with a depth buffer, vectorised over all pixels of all triangles.

Legend: V vertex, F face, N pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.types.arrays import F32, I64

_DEPTH_LEVELS = 65535


class Fragments(NamedTuple):
    """Nearest surface at each covered pixel.

    Attributes:
        pixel: (N,) index of the pixel, row by row.
        face: (N,) index of the face.
        weights: (3, N) barycentric weights of the vertices of the face.
        nearness: (N,) 1 / depth in 1/mm.
    """

    pixel: I64
    face: I64
    weights: F32
    nearness: F32


def rasterize(xy_px: F32, depth_mm: F32, faces: I64, size_px: tuple[int, int]) -> Fragments:
    """Find the nearest front face at the centre of each pixel.

    A face covers a pixel if it contains its centre. Faces should be small: the cost grows with the pixels of their
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
    (ax, bx, cx), (ay, by, cy) = x[:, front], y[:, front]
    left = np.ceil(np.minimum(np.minimum(ax, bx), cx)).clip(0, width)
    right = np.floor(np.maximum(np.maximum(ax, bx), cx)).clip(-1, width - 1)
    top = np.ceil(np.minimum(np.minimum(ay, by), cy)).clip(0, height)
    bottom = np.floor(np.maximum(np.maximum(ay, by), cy)).clip(-1, height - 1)
    some = np.flatnonzero((right >= left) & (bottom >= top))
    chosen = front[some]
    left, right, top, bottom = left[some], right[some], top[some], bottom[some]
    ax, bx, cx, ay, by, cy, area = ax[some], bx[some], cx[some], ay[some], by[some], cy[some], area[chosen]
    # Barycentric weights are linear in the pixel: computed from their value at the top left pixel and their slopes.
    dx, dy = left - ax, top - ay
    slopes = (cy - ay) / area, (ax - cx) / area, (ay - by) / area, (bx - ax) / area
    corner = slopes[0] * dx + slopes[1] * dy, slopes[2] * dx + slopes[3] * dy
    columns = right - left + 1
    count = (columns * (bottom - top + 1)).astype(np.int64)
    each = np.stack([left, top, columns, *corner, *slopes])
    left, top, columns, second, third, second_x, second_y, third_x, third_y = np.repeat(each, count, axis=1)
    face = np.repeat(np.arange(len(chosen)), count)
    number = (np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)).astype(np.float32)
    row = np.floor((number + 0.5) / columns)
    column = number - row * columns
    second += second_x * column + second_y * row
    third += third_x * column + third_y * row
    first = 1 - second - third
    inside = np.flatnonzero((first >= 0) & (second >= 0) & (third >= 0))
    hit, weights = chosen[face[inside]], np.stack([first[inside], second[inside], third[inside]])
    pixel = (top + row)[inside].astype(np.int64) * width + (left + column)[inside].astype(np.int64)
    a, b, c = (1 / np.asarray(depth_mm, np.float32))[faces.T[:, hit]]
    nearness = weights[0] * a + weights[1] * b + weights[2] * c
    nearest = _nearest(pixel, nearness, width * height)
    return Fragments(pixel[nearest], hit[nearest], weights[:, nearest], nearness[nearest])


def _nearest(pixel: I64, nearness: F32, n_pixels: int) -> I64:
    """Return the indices of the nearest fragment of each pixel."""
    if not len(pixel):
        return pixel
    low, high = nearness.min(), nearness.max()
    level = ((nearness - low) * (_DEPTH_LEVELS / max(high - low, 1e-12))).astype(np.uint16)
    order = np.argsort(level, kind="stable")  # a radix sort for 16 bits
    winner = np.full(n_pixels, -1, np.int64)
    winner[pixel[order]] = order  # the last value written remains, which is the nearest
    return np.asarray(winner[winner >= 0])
