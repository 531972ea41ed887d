"""Joint heatmaps of a whole image for estimators whose network has none of it: drawn, or put together from crops."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from core.pose2d.estimator import Heatmaps
from core.pose2d.pixelmap import PixelMap
from core.types.arrays import F32

STRIDE = 4
_SPREAD = 0.02  # standard deviation of a drawn joint, as a share of the person's longer side
_SPREAD_CELLS = (1.0, 4.0)


def heatmap_grid(size: tuple[int, int], long_side_px: int) -> tuple[PixelMap, tuple[int, int]]:
    """The heatmap grid of an image of this (width, height), and the grid's (height, width).

    A cell is four pixels of the image scaled to `long_side_px`, as in the networks that do have heatmaps.
    """
    scale = long_side_px / max(size) / STRIDE
    shift = (scale - 1) / 2
    return PixelMap((scale, scale), (shift, shift)), (max(1, round(size[1] * scale)), max(1, round(size[0] * scale)))


def draw_heatmaps(
    xy_px: np.ndarray, score: np.ndarray, box_px: np.ndarray, grid: PixelMap, shape: tuple[int, int]
) -> Heatmaps:
    """Gaussians at the joints, as high as their scores; the highest person wins where two overlap.

    Args:
        xy_px: (P, J, 2) joints in the image, NaN where missing.
        score: (P, J) in 0..1.
        box_px: (P, 4), whose size sets the spread.
        grid: Map from image to heatmap pixels.
        shape: Height and width of the heatmaps.
    """
    cells = grid.forward(np.asarray(xy_px, np.float64))
    known = np.isfinite(cells).all(-1)
    cells = np.where(known[..., None], cells, 0.0)
    height = np.where(known, score, 0.0)
    longest = (box_px[:, 2:] - box_px[:, :2]).max(-1) * grid.scale[0]
    sharp = (1 / (2 * np.clip(_SPREAD * longest, *_SPREAD_CELLS) ** 2))[:, None, None]
    # A Gaussian is a product of its two sides: (P, J, h) and (P, J, w).
    rows = np.exp(-((np.arange(shape[0]) - cells[..., 1:]) ** 2) * sharp) * height[..., None]
    columns = np.exp(-((np.arange(shape[1]) - cells[..., :1]) ** 2) * sharp)
    values = np.zeros((xy_px.shape[1], *shape), np.float32)
    for row, column in zip(rows, columns, strict=True):
        np.maximum(values, row[..., :, None] * column[..., None, :], out=values)
    return Heatmaps(values=values, grid=grid)


def merge_crops(maps: F32, grids: Sequence[PixelMap], grid: PixelMap, shape: tuple[int, int]) -> Heatmaps:
    """Heatmaps of crops laid over the image's grid; the highest value wins where crops overlap.

    Args:
        maps: (P, J, h, w) heatmaps of the crops, in 0..1.
        grids: Map from the image's pixels to each crop's heatmap pixels.
        grid: Map from image to frame heatmap pixels.
        shape: Height and width of the frame's heatmaps.
    """
    values = np.zeros((maps.shape[1], *shape), np.float32)
    for crop, own in zip(maps, grids, strict=True):
        scale = np.divide(own.scale, grid.scale)
        offset = np.subtract(own.offset, scale * np.asarray(grid.offset))
        to_crop = np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        for joint, heat in enumerate(crop):
            laid = cv2.warpAffine(np.ascontiguousarray(heat), to_crop, shape[::-1], flags=flags)
            np.maximum(values[joint], laid, out=values[joint])
    return Heatmaps(values=values.clip(0, 1), grid=grid)
