"""Conversion of imported people to 2D poses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton


def stack_people(camera: str, skeleton: Skeleton, people: Sequence[Sequence[F64]]) -> Pose2D:
    """Stack the people in each frame to the 2D poses of a camera.

    Args:
        camera: Camera name.
        skeleton: Joint set of J joints.
        people: People in each of T frames, each (J, 3): x, y in px and confidence. A joint is missing if its
            confidence is not positive or a coordinate is not finite; confidences are clipped to 1.

    Raises:
        CoreError: A person has another shape.
    """
    J = len(skeleton)
    most = max(map(len, people), default=0)
    xy, score = np.full((len(people), most, J, 2), np.nan), np.zeros((len(people), most, J))
    for t, frame in enumerate(people):
        for p, person in enumerate(frame):
            if person.shape != (J, 3):
                raise CoreError(
                    f"{camera}: a person in frame {t} has shape {person.shape}, expected {(J, 3)}.",
                    "Check the program and the joint set of the file.",
                )
            seen = np.isfinite(person).all(-1) & (person[:, 2] > 0)
            xy[t, p, seen], score[t, p, seen] = person[seen, :2], np.minimum(person[seen, 2], 1.0)
    return Pose2D(
        camera=camera,
        skeleton=skeleton,
        xy_px=xy.astype(np.float32),
        score=score.astype(np.float32),
        box_px=_boxes(xy).astype(np.float32),
    )


def _boxes(xy_px: F64, margin: float = 0.1) -> F64:
    """Return boxes (T, P, 4) around joints (T, P, J, 2), with a margin relative to the longer side."""
    known = np.asarray(np.isfinite(xy_px).all(-1, keepdims=True))
    some = np.asarray(known.any(-2))
    low = np.where(some, np.where(known, xy_px, np.inf).min(-2, initial=np.inf), np.nan)
    high = np.where(some, np.where(known, xy_px, -np.inf).max(-2, initial=-np.inf), np.nan)
    padding = margin * (high - low).max(-1, keepdims=True)
    return np.concatenate([low - padding, high + padding], -1)
