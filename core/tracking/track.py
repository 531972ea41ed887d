"""Tracking of a whole take.

Letters in shapes: T time, P columns of the input, Q tracked people, J joint.

The take is a loop over `Tracker.update`. Then tracks that belong to one person are joined and people with few frames
are discarded. No position is invented: a person is where they were measured, or missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.tracking.config import TrackingConfig
from core.tracking.stitch import Tracklet, stitch_tracklets
from core.tracking.tracker import PeopleFrame, PersonTrack, Tracker
from core.types.arrays import F64, I64
from core.types.skeleton import Skeleton


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackedPeople:
    """People of a take, one column per person.

    Attributes:
        xyz_mm: (T, Q, J, 3) joints, NaN where missing.
        score: (T, Q, J) confidences, 0 where missing.
        ids: (Q,) identities from 1 in falling order of the number of frames.
        source: (T, Q) input column of each person in each frame, -1 where missing.
    """

    xyz_mm: F64
    score: F64
    ids: I64
    source: I64


def track_people(time_s: F64, xyz_mm: F64, score: F64, skeleton: Skeleton, config: TrackingConfig) -> TrackedPeople:
    """Track the people of a take.

    Args:
        time_s: (T,) increasing.
        xyz_mm: (T, P, J, 3) people of each frame in any order, NaN where missing.
        score: (T, P, J) confidences, 0 where missing.
        skeleton: Joint set.
        config: Settings.
    """
    xyz_mm, score, time_s = np.asarray(xyz_mm, float), np.asarray(score, float), np.asarray(time_s, float)
    tracklets = _tracklets(time_s, xyz_mm, score, config)
    groups = stitch_tracklets(tracklets, time_s, xyz_mm, skeleton, config)
    sizes = [sum(len(tracklets[i].frames) for i in group) for group in groups]
    min_frames = min(config.confirm_frames, len(time_s))
    order = [g for g in np.argsort([-n for n in sizes], kind="stable") if sizes[g] >= min_frames]
    source = np.full((len(time_s), len(order)), -1, np.int64)
    for q, g in enumerate(order):
        for i in groups[g]:
            source[tracklets[i].frames, q] = tracklets[i].columns
    return TrackedPeople(
        xyz_mm=gather_tracks(xyz_mm, source),
        score=gather_tracks(score, source, missing=0.0),
        ids=np.arange(1, len(order) + 1),
        source=source,
    )


def gather_tracks(values: F64, source: I64, missing: float = np.nan) -> F64:
    """Reorder values (T, P, ...) of input columns to one column per person (T, Q, ...).

    Args:
        values: Values of the columns that were tracked.
        source: (T, Q) input columns, as in `TrackedPeople`.
        missing: Value where a person is missing.
    """
    if not source.shape[1]:
        return np.zeros((len(source), 0, *values.shape[2:]))
    picked = values[np.arange(len(source))[:, None], source]
    picked[source < 0] = missing
    return picked


def _tracklets(time_s: F64, xyz_mm: F64, score: F64, config: TrackingConfig) -> list[Tracklet]:
    """Run the tracker over all frames; tracklets in order of birth."""
    tracker = Tracker(config)
    tracks: dict[int, PersonTrack] = {}
    ids = np.zeros(xyz_mm.shape[:2], np.int64)
    for t, now_s in enumerate(time_s.tolist()):
        ids[t] = tracker.update(PeopleFrame(time_s=now_s, xyz_mm=xyz_mm[t], score=score[t]))
        tracks |= {track.id: track for track in tracker.active}
    frames, columns = np.nonzero(ids)
    owner = ids[frames, columns]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(1, len(tracks) + 2))
    return [
        Tracklet(track=tracks[i + 1], frames=frames[order[start:end]], columns=columns[order[start:end]])
        for i, (start, end) in enumerate(pairwise(bounds.tolist()))
    ]
