"""Tracking of a complete take.

Letters in shapes: T time, P columns of the input, Q tracked people, J joint.

After `Tracker.update` on every frame, tracks of one person are joined, identities swapped when people met are
corrected, and people seen too briefly are discarded. Positions are never interpolated: a person is measured or
missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from core.progress import Reporter
from core.tracking.config import TrackingConfig
from core.tracking.exchange import exchange_identities
from core.tracking.stitch import Tracklet, stitch_tracklets
from core.tracking.tracker import TIME_EPS_S, PeopleFrame, PersonTrack, Tracker
from core.types.arrays import F32, F64, I64
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import Skeleton

V = TypeVar("V", F64, F32)
DISCARDED = "discarded_people"
"""Provenance key of the number of people who were seen too briefly."""
_LEAST_JOINTS = 0.5  # Minimum fraction of joints of a person in a single frame of a movement.
_CONTINUED = 0.5  # Maximum fraction of people continued in the next frame, for frames to count as stills.
_UNRELATED_S = 10.0  # Assumed time between unrelated frames.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackedPeople:
    """People of a take, one column per person.

    Attributes:
        xyz_mm: (T, Q, J, 3) joints, NaN where missing.
        score: (T, Q, J) confidences, 0 where missing.
        ids: (Q,) identities from 1, in descending order of the number of frames.
        source: (T, Q) input column of each person in each frame, -1 where missing.
        discarded: Number of people seen too briefly.
    """

    xyz_mm: F64
    score: F64
    ids: I64
    source: I64
    discarded: int


def track_people(
    time_s: F64,
    xyz_mm: F64,
    score: F64,
    skeleton: Skeleton,
    config: TrackingConfig,
    error_mm: F64 | None = None,
) -> TrackedPeople:
    """Track the people of a take.

    Args:
        time_s: (T,) increasing times.
        xyz_mm: (T, P, J, 3) people of each frame in any order, NaN where missing.
        score: (T, P, J) confidences, 0 where missing.
        skeleton: Joint set.
        config: Settings.
        error_mm: (T, P) position error of the joints, see `person_error_mm`; 0 if omitted.
    """
    error_mm = np.zeros(xyz_mm.shape[:2]) if error_mm is None else error_mm
    xyz_mm, score, time_s = np.asarray(xyz_mm, float), np.asarray(score, float), np.asarray(time_s, float)
    interval_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else np.inf
    tracklets = _tracklets(time_s, xyz_mm, score, error_mm, skeleton, config)
    if _unrelated(tracklets, len(time_s)):
        interval_s, time_s = _UNRELATED_S, np.asarray(_UNRELATED_S * np.arange(len(time_s)))
        tracklets = _tracklets(time_s, xyz_mm, score, error_mm, skeleton, config)
    groups = stitch_tracklets(tracklets, time_s, interval_s, xyz_mm, skeleton, config)
    source = np.full((len(time_s), len(groups)), -1, np.int64)
    for q, group in enumerate(groups):
        for i in group:
            source[tracklets[i].frames, q] = tracklets[i].columns
    source = source[:, _confirmed(source, xyz_mm, interval_s, config)]
    discarded = len(groups) - source.shape[1]
    source = exchange_identities(source, time_s, xyz_mm, error_mm, skeleton, config)
    source = source[:, np.argsort(-(source >= 0).sum(0), kind="stable")]
    return TrackedPeople(
        xyz_mm=gather_tracks(xyz_mm, source),
        score=gather_tracks(score, source, missing=0.0),
        ids=np.arange(1, source.shape[1] + 1),
        source=source,
        discarded=discarded,
    )


def _unrelated(tracklets: list[Tracklet], n_frames: int) -> bool:
    """Return True if frames are unrelated stills, in which few people continue from the previous frame."""
    frames = [tracklet.frames for tracklet in tracklets]
    people = np.bincount(np.concatenate(frames), minlength=n_frames) if frames else np.zeros(n_frames, int)
    continued = sum(int((np.diff(f) == 1).sum()) for f in frames)
    return bool(continued <= _CONTINUED * np.minimum(people[1:], people[:-1]).sum())


def _confirmed(source: I64, xyz_mm: F64, interval_s: float, config: TrackingConfig) -> np.ndarray:
    """Return the mask (Q,) of people seen for long enough, or in half of a shorter take.

    A person in a single frame of a movement needs half of the joints. In stills the only evidence is the agreement of
    views, which association already requires.
    """
    n_frames = (source >= 0).sum(0)
    needed = min(config.confirm_s / interval_s, len(source) / 2)
    joints = gather_tracks(np.isfinite(xyz_mm[..., 0]).mean(-1), source, missing=0.0)  # (T, Q)
    believed = (n_frames > 1) | (joints.max(0, initial=0.0) >= _LEAST_JOINTS) | (interval_s >= _UNRELATED_S)
    return np.asarray((n_frames >= needed - TIME_EPS_S) & believed)


def note_discarded(sequence: Pose3DSequence, config: TrackingConfig, reporter: Reporter) -> None:
    """Report discarded people who were seen too briefly; a warning if no one else remains."""
    count = int(sequence.provenance.get(DISCARDED, 0))
    if count:
        reporter.note(
            f"{count} {'person was' if count == 1 else 'people were'} seen for less than {config.confirm_s:g} s, or in "
            "a single frame with few joints, and discarded. Lower tracking.confirm_s to keep them.",
            "info" if sequence.present.any() else "warning",
        )


def gather_tracks(values: V, source: I64, missing: float = np.nan) -> V:
    """Reorder values (T, P, ...) of input columns to one column per person (T, Q, ...).

    Args:
        values: (T, P, ...) values of the tracked columns.
        source: (T, Q) input columns, as in `TrackedPeople`.
        missing: Value where a person is missing.
    """
    if not source.shape[1]:
        return np.zeros((len(source), 0, *values.shape[2:]), values.dtype)
    picked: V = values[np.arange(len(source))[:, None], source]
    picked[source < 0] = missing
    return picked


def _tracklets(
    time_s: F64, xyz_mm: F64, score: F64, error_mm: F64, skeleton: Skeleton, config: TrackingConfig
) -> list[Tracklet]:
    """Run the tracker over all frames, and return the tracklets sorted by first frame."""
    tracker = Tracker(config, skeleton)
    tracks: dict[int, PersonTrack] = {}
    ids = np.zeros(xyz_mm.shape[:2], np.int64)
    for t, now_s in enumerate(time_s.tolist()):
        ids[t] = tracker.update(PeopleFrame(time_s=now_s, xyz_mm=xyz_mm[t], score=score[t], error_mm=error_mm[t]))
        tracks |= {track.id: track for track in tracker.active}
    frames, columns = np.nonzero(ids)
    owner = ids[frames, columns]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(1, len(tracks) + 2))
    rows = [order[start:end] for start, end in pairwise(bounds.tolist())]
    return [
        Tracklet(
            track=tracks[i + 1],
            frames=frames[row],
            columns=columns[row],
            error_mm=float(np.median(error_mm[frames[row], columns[row]])),
        )
        for i, row in enumerate(rows)
    ]
