"""Advice on how to move the board next while recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.calibration.board.initial.intrinsics import LEAST_IMAGES, Coverage
from core.types.arrays import I64

# Frames that must connect cameras, fraction of image cells with points, and range of tilts: slightly more than the
# report requires, because not every image is used in the end.
_LEAST_SHARED, _LEAST_COVERAGE, _LEAST_TILT_DEG = 8, 0.35, 20.0
_PARTS = (("upper left", 0, 0), ("upper right", 0, 1), ("lower left", 1, 0), ("lower right", 1, 1))


def next_to_show(cameras: Sequence[str], coverage: Sequence[Coverage], shared: I64) -> str:
    """Return the instruction that would currently help most.

    Args:
        cameras: (V,) names of the cameras.
        coverage: (V,) coverage of each camera.
        shared: (V, V) number of frames in which both cameras saw the board.
    """
    for name, seen in zip(cameras, coverage, strict=True):
        if seen.images < LEAST_IMAGES:
            times = f"only in {seen.images} images" if seen.images else "not yet"
            return f"Show the board to {name}: it has been seen {times}."
    pair = _unconnected_pair(shared)
    if pair is not None:
        a, b = pair
        frames = int(shared[a, b])
        seen_it = "have not seen the board together" if frames == 0 else f"saw the board together only {frames} times"
        return f"Stand between {cameras[a]} and {cameras[b]}: they {seen_it}."
    least = int(np.argmin([c.share for c in coverage]))
    if coverage[least].share < _LEAST_COVERAGE:
        return f"Show the board to {cameras[least]} in the {_empty_part(coverage[least].cells)} of its image."
    for name, seen in zip(cameras, coverage, strict=True):
        if len(seen.tilt_deg) and np.ptp(np.percentile(seen.tilt_deg, [5, 95])) < _LEAST_TILT_DEG:
            return f"Tilt the board in front of {name}: it was always held at the same angle."
    return "Every camera has seen enough."


def _unconnected_pair(shared: I64) -> tuple[int, int] | None:
    """Return the best pair of cameras to connect two groups; None if all are connected."""
    views = len(shared)
    group = np.arange(views)
    for a in range(views):
        for b in range(a + 1, views):
            if shared[a, b] >= _LEAST_SHARED:
                group[group == group[b]] = group[a]
    if len(np.unique(group)) < 2:
        return None
    pairs = [(a, b) for a in range(views) for b in range(a + 1, views) if group[a] != group[b]]
    return max(pairs, key=lambda pair: shared[pair])


def _empty_part(cells: I64) -> str:
    """Return the quarter of the image with the most empty cells."""
    rows, columns = cells.shape
    emptiness = [
        float((cells[r * rows // 2 : (r + 1) * rows // 2, c * columns // 2 : (c + 1) * columns // 2] == 0).mean())
        for _, r, c in _PARTS
    ]
    return _PARTS[int(np.argmax(emptiness))][0]
