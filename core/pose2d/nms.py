"""One person reported twice: found by how far the joints lie apart for the person's size."""

from __future__ import annotations

import numpy as np


def pose_nms(xy: np.ndarray, size: np.ndarray, quality: np.ndarray, limit: float = 0.1) -> np.ndarray:
    """Indices of people to keep, best first.

    Two detections are the same person when the median distance of their joints is below `limit` of the smaller one's
    size. The median keeps two people apart who share an arm, and joins two detections of one that differ in a leg.

    Args:
        xy: (P, J, 2) joints, in any unit; NaN is ignored.
        size: (P,) sizes in the same unit, such as the longer side of the box.
        quality: (P,) the better one of a pair stays.
        limit: Share of the size.
    """
    order = np.argsort(-quality, kind="stable")
    if len(order) < 2:
        return order
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=-1)
    known = np.isfinite(distance)
    middle = np.where(known.any(-1), np.nanmedian(np.where(known.any(-1)[..., None], distance, 0.0), axis=-1), np.inf)
    same = middle < limit * np.minimum(size[:, None], size[None])
    kept: list[int] = []
    for person in order:
        if not same[person, kept].any():
            kept.append(int(person))
    return np.asarray(kept)
