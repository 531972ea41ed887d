"""Placement of labels on the screen without overlap; other labels yield to the names of people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.types.arrays import F64

_GAP_PX = 2.0
_SAME_PX = 2.0  # Marks nearer than this are at the same place.


def place_labels(
    anchor_px: F64, size_px: F64, yielding: NDArray[np.bool_], distance_px: float, marks_px: F64 | None = None
) -> tuple[F64, NDArray[np.bool_]]:
    """Place labels over their anchors, with y upwards.

    A label that does not yield moves up until it covers no other. A label that yields is placed above, below or beside
    its anchor, or hidden if none of these places is free; it covers a mark only if every place would.

    Args:
        anchor_px: (N, 2) anchors; NaN for labels out of view.
        size_px: (N, 2) widths and heights.
        yielding: (N,) bool, labels that yield.
        distance_px: Distance of yielding labels from their anchors.
        marks_px: (M, 4) left, bottom, right and top of marks.

    Returns:
        Lower left corners (N, 2) on whole pixels, and which labels are visible (N,).
    """
    low = np.floor(np.nan_to_num(anchor_px) - size_px * (0.5, 0.0))
    visible: NDArray[np.bool_] = np.asarray(np.isfinite(anchor_px).all(1))
    taken: list[tuple[float, float, float, float]] = []
    # The lowest first: what is lower on the screen is usually nearer.
    for index in sorted(np.flatnonzero(visible & ~yielding).tolist(), key=lambda i: (anchor_px[i, 1], i)):
        width, height = size_px[index].tolist()
        left, bottom = low[index].tolist()
        while (over := [box for box in taken if _overlap(box, left, bottom, width, height)]) != []:
            bottom = max(box[3] for box in over) + _GAP_PX
        low[index, 1] = bottom
        taken.append((left, bottom, left + width, bottom + height))
    marks = [] if marks_px is None else marks_px.tolist()
    for index in np.flatnonzero(visible & yielding).tolist():
        width, height = size_px[index].tolist()
        x, y = np.floor(anchor_px[index]).tolist()
        places = (
            (x - width / 2, y + distance_px),
            (x - width / 2, y - distance_px - height),
            (x + distance_px, y - height / 2),
            (x - distance_px - width, y - height / 2),
        )
        free = [at for at in places if not any(_overlap(box, *at, width, height) for box in taken)]
        clear = (at for at in free if not any(_overlap(box, *at, width, height) for box in marks))
        place = next(clear, free[0] if free else None)
        visible[index] = place is not None
        if place is not None:
            low[index] = np.floor(place)
            taken.append((place[0], place[1], place[0] + width, place[1] + height))
    return low, visible


def free_marks(anchor_px: F64, size_px: F64) -> NDArray[np.bool_]:
    """Return which marks (N,), centred on their anchors, are visible so that none covers another.

    Marks at the same position are all hidden: an edge of the floor that points into the screen shows no scale. Of
    other marks that overlap, the first is visible.

    Args:
        anchor_px: (N, 2) anchors; NaN for marks out of view.
        size_px: (N, 2) widths and heights.
    """
    apart = np.abs(anchor_px[:, None] - anchor_px)  # NaN compares as False
    other = ~np.eye(len(anchor_px), dtype=bool)
    same = (apart < _SAME_PX).all(-1) & other
    overlap = (apart < (size_px[:, None] + size_px) / 2).all(-1) & other
    visible: NDArray[np.bool_] = np.asarray(np.isfinite(anchor_px).all(1) & ~same.any(1))
    for index in np.flatnonzero(visible).tolist():
        visible[index] = not (overlap[index, :index] & visible[:index]).any()
    return visible


def _overlap(box: tuple[float, float, float, float], left: float, bottom: float, width: float, height: float) -> bool:
    return box[0] < left + width and left < box[2] and box[1] < bottom + height and bottom < box[3]
