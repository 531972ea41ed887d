"""Image heatmaps for estimators without them, drawn from joints or merged from crops."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from core.pose2d.estimator import Heatmaps
from core.pose2d.pixelmap import PixelMap
from core.types.arrays import F32

STRIDE = 4
_SIGMA = 0.02  # standard deviation of a joint, relative to the longer side of the bounding box
_SIGMA_CELLS = (1.0, 4.0)  # limits in heatmap pixels


def heatmap_grid(size: tuple[int, int], long_side_px: int) -> tuple[PixelMap, tuple[int, int]]:
    """Return the map from the pixels of an image of this (width, height) to its heatmap, and the heatmap's shape.

    A heatmap pixel covers four pixels of the image scaled to `long_side_px`, as in networks that output heatmaps.
    """
    scale = long_side_px / max(size) / STRIDE
    offset = (scale - 1) / 2
    return PixelMap((scale, scale), (offset, offset)), (max(1, round(size[1] * scale)), max(1, round(size[0] * scale)))


def draw_heatmaps(
    xy_px: np.ndarray, score: np.ndarray, box_px: np.ndarray, grid: PixelMap, shape: tuple[int, int]
) -> Heatmaps:
    """Draw a Gaussian at each joint, with the score as its height; overlaps take the maximum.

    Args:
        xy_px: (P, J, 2) joints in image pixels, NaN if missing.
        score: (P, J) scores in 0..1.
        box_px: (P, 4) bounding boxes, which determine the standard deviations.
        grid: Map from image pixels to heatmap pixels.
        shape: Height and width of the heatmaps.
    """
    cells = grid.forward(np.asarray(xy_px, np.float64))
    known = np.isfinite(cells).all(-1)
    cells = np.where(known[..., None], cells, 0.0)
    height = np.where(known, score, 0.0)
    longest = (box_px[:, 2:] - box_px[:, :2]).max(-1) * grid.scale[0]
    precision = (1 / (2 * np.clip(_SIGMA * longest, *_SIGMA_CELLS) ** 2))[:, None, None]
    # A Gaussian is separable: (P, J, h) and (P, J, w).
    rows = np.exp(-((np.arange(shape[0]) - cells[..., 1:]) ** 2) * precision) * height[..., None]
    columns = np.exp(-((np.arange(shape[1]) - cells[..., :1]) ** 2) * precision)
    values = np.zeros((xy_px.shape[1], *shape), np.float32)
    for row, column in zip(rows, columns, strict=True):
        np.maximum(values, row[..., :, None] * column[..., None, :], out=values)
    return Heatmaps(values=values, grid=grid)


def merge_crops(maps: F32, grids: Sequence[PixelMap], grid: PixelMap, shape: tuple[int, int]) -> Heatmaps:
    """Merge the heatmaps of crops into heatmaps of the image; overlaps take the maximum.

    Args:
        maps: (P, J, h, w) heatmaps of the crops in 0..1.
        grids: Map from image pixels to heatmap pixels, per crop.
        grid: Map from image pixels to pixels of the merged heatmaps.
        shape: Height and width of the merged heatmaps.
    """
    values = np.zeros((maps.shape[1], *shape), np.float32)
    for crop, crop_grid in zip(maps, grids, strict=True):
        scale = np.divide(crop_grid.scale, grid.scale)
        offset = np.subtract(crop_grid.offset, scale * np.asarray(grid.offset))
        to_crop = np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        for joint, heat in enumerate(crop):
            warped = cv2.warpAffine(np.ascontiguousarray(heat), to_crop, shape[::-1], flags=flags)
            np.maximum(values[joint], warped, out=values[joint])
    return Heatmaps(values=values.clip(0, 1), grid=grid)
