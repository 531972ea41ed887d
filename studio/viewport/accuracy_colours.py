"""Colours of expected accuracy, shared by the plan of the floor and the 3D view."""

from __future__ import annotations

import numpy as np

from core.geometry.accuracy import AccuracyMap
from core.types.arrays import F64, U8

ACCURACY_TITLE = "Expected error at hip height, for 1 px of noise"
_N_LINES = 10  # lines along the longer side of the floor
_HALF_LENGTH = 0.35  # half the length of a line, relative to the distance between lines


def error_range_mm(accuracy: AccuracyMap) -> tuple[float, float]:
    """Return the errors drawn as good and as poor: the 5th and 95th percentiles of the whole map."""
    known = accuracy.error_mm[np.isfinite(accuracy.error_mm)]
    if not len(known):
        return 0.0, 1.0
    low, high = (float(np.percentile(known, q)) for q in (5, 95))
    return low, max(high, 1.2 * low)


def accuracy_legend_rows(accuracy: AccuracyMap) -> list[tuple[int, str]]:
    """Return the level (0 good, 1 fair, 2 poor) and the error of the three colours."""
    low, high = error_range_mm(accuracy)
    digits = 0 if low >= 10 else 1
    return [
        (level, f"{error:.{digits}f} mm{end}")
        for level, error, end in ((0, low, " or less"), (1, (low + high) / 2, ""), (2, high, " or more"))
    ]


def error_colours(accuracy: AccuracyMap, level: int, stops: F64) -> U8:
    """Return (X, Y, 4) RGBA of one height, transparent where fewer than two cameras see the point.

    Args:
        accuracy: The map.
        level: Index of the height.
        stops: (3, 3) RGB of good, fair and poor, 0 to 255.
    """
    low, high = error_range_mm(accuracy)
    error = accuracy.error_mm[..., level]
    position = np.clip((np.nan_to_num(error, nan=high) - low) / (high - low), 0, 1) * 2
    below = np.minimum(position.astype(int), 1)
    weight = (position - below)[..., None]
    colour = stops[below] * (1 - weight) + stops[below + 1] * weight
    alpha = np.where(np.isfinite(error), 255, 0)
    return np.concatenate([colour, alpha[..., None]], -1).astype(np.uint8)


def worst_direction_lines_mm(accuracy: AccuracyMap, level: int) -> tuple[F64, F64]:
    """Return starts and ends (N, 2) of short lines on the floor along the direction of the largest error."""
    stride = max(1, max(len(accuracy.x_mm), len(accuracy.y_mm)) // _N_LINES)
    pick = slice(stride // 2, None, stride)
    start = np.stack(np.meshgrid(accuracy.x_mm[pick], accuracy.y_mm[pick], indexing="ij"), -1)
    half = accuracy.worst[pick, pick, level, :2] * _HALF_LENGTH * stride * cell_size_mm(accuracy)
    known = np.isfinite(half).all(-1)
    return (start - half)[known], (start + half)[known]


def cell_size_mm(accuracy: AccuracyMap) -> float:
    """Return the side length of a cell."""
    return float(accuracy.x_mm[1] - accuracy.x_mm[0]) if len(accuracy.x_mm) > 1 else 250.0


def map_corners_mm(accuracy: AccuracyMap, height_mm: float = 3.0) -> F64:
    """Return the corners (4, 3) of the map on the floor: (low x, high y) first, then clockwise seen from above."""
    half = cell_size_mm(accuracy) / 2
    x, y = (accuracy.x_mm[0] - half, accuracy.x_mm[-1] + half), (accuracy.y_mm[0] - half, accuracy.y_mm[-1] + half)
    return np.array(
        [(x[0], y[1], height_mm), (x[1], y[1], height_mm), (x[1], y[0], height_mm), (x[0], y[0], height_mm)]
    )
