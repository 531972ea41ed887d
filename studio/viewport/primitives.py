"""Geometric primitives of the scene, without OpenGL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.types.arrays import F32, F64
from studio.viewport.palette import RGBA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capsules:
    """N capsules: bones, lines and, with length zero, balls.

    Attributes:
        start: (N, 3) starts in mm.
        end: (N, 3) ends in mm.
        radius: (N, 2) radii of starts and ends in mm.
        min_px: Smallest radius on the screen in px, so that distant capsules stay visible.
        colour: (N, 4) colours, or (N, 2, 4) of starts and ends.
    """

    start: F64
    end: F64
    radius: F32
    min_px: float
    colour: RGBA


def make_capsules(
    start: F64, end: F64, radius: float | F32, min_px: float, colour: RGBA, end_radius: float | F32 | None = None
) -> Capsules:
    """Create capsules between points and drop those with a NaN end.

    Args:
        start: (..., 3) starts in mm.
        end: (..., 3) ends in mm.
        radius: (...) radii in mm, broadcast.
        min_px: Smallest radius on the screen in px.
        colour: (..., 4) colours, broadcast.
        end_radius: (...) radii of the ends, if they are others than those of the starts.
    """
    start, end = np.broadcast_arrays(start, end)
    shape = start.shape[:-1]
    end_radius = radius if end_radius is None else end_radius
    start, end = start.reshape(-1, 3), end.reshape(-1, 3)
    finite = np.isfinite(start).all(-1) & np.isfinite(end).all(-1)
    return Capsules(
        start=start[finite],
        end=end[finite],
        radius=np.stack([np.broadcast_to(np.asarray(r, np.float32), shape).ravel() for r in (radius, end_radius)], -1)[
            finite
        ],
        min_px=min_px,
        colour=np.broadcast_to(colour, (*shape, 4)).reshape(-1, 4)[finite],
    )


def box_corners(low: F64, high: F64) -> F64:
    """Return the corners (8, 3) of an axis-aligned box."""
    return np.stack(np.meshgrid(*np.stack([low, high], -1), indexing="ij"), -1).reshape(8, 3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blobs:
    """N soft ellipses on the floor, whose opacity falls to zero at their rim.

    Attributes:
        centre: (N, 2) x and y of the centres in mm.
        along: (N, 2) semi-axes in mm.
        aspect: (N,) ratio of the other semi-axis to this one.
        colour: (N, 4) colours, with the opacity at the centre.
    """

    centre: F64
    along: F64
    aspect: F64
    colour: RGBA
