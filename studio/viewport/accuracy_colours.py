"""Expected accuracy as colours: the same on the plan of the floor and in the 3D view."""

from __future__ import annotations

import numpy as np

from core.geometry.accuracy import AccuracyMap
from core.types.arrays import F64, U8

_EVERY = 10  # lines of the worst direction along the longer side of the floor
_LINE = 0.35  # half their length, in steps between them


def error_range_mm(found: AccuracyMap) -> tuple[float, float]:
    """Errors that are drawn as good and as bad: the best and the worst twentieth of the whole map."""
    known = found.error_mm[np.isfinite(found.error_mm)]
    if not len(known):
        return 0.0, 1.0
    low, high = (float(np.percentile(known, q)) for q in (5, 95))
    return low, max(high, 1.2 * low)


def error_colours(found: AccuracyMap, level: int, stops: F64) -> U8:
    """(X, Y, 4) RGBA of one height; nothing where fewer than two cameras look.

    Args:
        found: The map.
        level: Index of the height.
        stops: (3, 3) RGB of good, middling and bad, 0 to 255.
    """
    low, high = error_range_mm(found)
    error = found.error_mm[..., level]
    share = np.clip((np.nan_to_num(error, nan=high) - low) / (high - low), 0, 1) * 2
    below = np.minimum(share.astype(int), 1)
    part = (share - below)[..., None]
    colour = stops[below] * (1 - part) + stops[below + 1] * part
    alpha = np.where(np.isfinite(error), 255, 0)
    return np.concatenate([colour, alpha[..., None]], -1).astype(np.uint8)


def worst_direction_lines_mm(found: AccuracyMap, level: int) -> tuple[F64, F64]:
    """Starts and ends (N, 2) on the floor of short lines along the worst direction."""
    every = max(1, max(len(found.x_mm), len(found.y_mm)) // _EVERY)
    pick = slice(every // 2, None, every)
    start = np.stack(np.meshgrid(found.x_mm[pick], found.y_mm[pick], indexing="ij"), -1)
    half = found.worst[pick, pick, level, :2] * _LINE * every * cell_size_mm(found)
    known = np.isfinite(half).all(-1)
    return (start - half)[known], (start + half)[known]


def cell_size_mm(found: AccuracyMap) -> float:
    """Side of a cell."""
    return float(found.x_mm[1] - found.x_mm[0]) if len(found.x_mm) > 1 else 250.0


def map_corners_mm(found: AccuracyMap, height_mm: float = 3.0) -> F64:
    """(4, 3) corners of the map on the floor, as an image's: (low x, high y) first, then clockwise from above."""
    half = cell_size_mm(found) / 2
    x, y = (found.x_mm[0] - half, found.x_mm[-1] + half), (found.y_mm[0] - half, found.y_mm[-1] + half)
    return np.array(
        [(x[0], y[1], height_mm), (x[1], y[1], height_mm), (x[1], y[0], height_mm), (x[0], y[0], height_mm)]
    )
