"""Summary of a result: presence, confidence and speed of people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types import Pose3DSequence
from core.types.arrays import F64
from studio.viewport.scene_data import centres_mm, nearest_frames
from studio.widgets.playback.timeline_bar import Track

_SPEED_WINDOW_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonState:
    """State of a person at a frame.

    Attributes:
        name: Display name, such as "Person 1".
        person: Column in the result, which determines the colour.
        present: True if the person is present.
        confidence: Mean score of the known joints; 0 while absent.
        speed_m_s: Speed of the hips over a tenth of a second; NaN where unknown.
    """

    name: str
    person: int
    present: bool
    confidence: float
    speed_m_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleSummary:
    """Summary of all people of a result.

    Attributes:
        names: (P,) display names.
        present: (T, P) mask of presence.
        confidence: (T, P) mean score of the known joints; NaN while absent.
        speed_m_s: (T, P) speeds; NaN where unknown.
    """

    names: tuple[str, ...]
    present: NDArray[np.bool_]
    confidence: F64
    speed_m_s: F64

    @classmethod
    def of(cls, poses: Pose3DSequence) -> PeopleSummary:
        """Return the summary of a result."""
        known = np.isfinite(poses.xyz_mm).all(-1)
        count = known.sum(-1)
        total = np.where(known, poses.score, 0.0).sum(-1)
        return cls(
            names=tuple(f"Person {i}" for i in poses.person_ids),
            present=poses.present,
            confidence=np.where(count > 0, total / np.maximum(count, 1), np.nan),
            speed_m_s=speeds_m_s(centres_mm(poses), poses.time_s),
        )

    def at(self, frame: int | None) -> tuple[PersonState, ...]:
        """Return the state of all people at a frame; without a frame, all are absent."""
        return tuple(
            PersonState(
                name=name,
                person=p,
                present=frame is not None and bool(self.present[frame, p]),
                confidence=0.0 if frame is None else float(np.nan_to_num(self.confidence[frame, p])),
                speed_m_s=math.nan if frame is None else float(self.speed_m_s[frame, p]),
            )
            for p, name in enumerate(self.names)
        )

    def tracks(self, poses: Pose3DSequence | None, time_s: F64) -> tuple[Track, ...]:
        """Return the people of the summarized result as tracks over other times (T,), for a timeline."""
        if poses is None:
            return ()
        index = nearest_frames(poses, time_s)
        known = index >= 0
        return tuple(
            Track(
                name=name,
                person=p,
                present=self.present[index, p] & known,
                confidence=np.where(known, self.confidence[index, p], np.nan),
            )
            for p, name in enumerate(self.names)
        )


def speeds_m_s(path_mm: F64, time_s: F64) -> F64:
    """Return speeds (T, P) of paths (T, P, 3) by central differences over about 0.1 s; NaN at gaps."""
    count = len(time_s)
    if count < 2:
        return np.full(path_mm.shape[:2], np.nan)
    reach = max(1, round(_SPEED_WINDOW_S / 2 / float(np.median(np.diff(time_s)))))
    before = np.maximum(np.arange(count) - reach, 0)
    after = np.minimum(np.arange(count) + reach, count - 1)
    distance_m = np.linalg.norm(path_mm[after] - path_mm[before], axis=-1) / 1000
    return np.asarray(distance_m / (time_s[after] - time_s[before])[:, None])
