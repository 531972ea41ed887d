"""Non-maximum suppression of people by joint distance."""

from __future__ import annotations

import numpy as np


def pose_nms(xy: np.ndarray, size: np.ndarray, score: np.ndarray, max_distance: float = 0.1) -> np.ndarray:
    """Return the indices of the people to keep, by descending score.

    Two detections are duplicates if their median joint distance, relative to the size of the smaller one, is below
    `max_distance`. The median separates two people who share an arm, and merges two detections of one person that
    differ in a leg.

    Args:
        xy: (P, J, 2) joints in any unit; NaN is ignored.
        size: (P,) sizes in the same unit, such as the longer side of the bounding box.
        score: (P,) scores; of two duplicates, the one of higher score is kept.
        max_distance: Largest median joint distance of duplicates, relative to the size.
    """
    order = np.argsort(-score, kind="stable")
    if len(order) < 2:
        return order
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=-1)
    known = np.isfinite(distance)
    median = np.where(known.any(-1), np.nanmedian(np.where(known.any(-1)[..., None], distance, 0.0), axis=-1), np.inf)
    duplicate = median < max_distance * np.minimum(size[:, None], size[None])
    kept: list[int] = []
    for person in order:
        if not duplicate[person, kept].any():
            kept.append(int(person))
    return np.asarray(kept)
