"""Measurement of the clocks of calibrated cameras by moving people."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from core.calibration.people.config import PeopleConfig
from core.calibration.people.matching import group_tracks
from core.calibration.people.registration import MAX_COMPARED_FRAMES, PeopleRegistration, subsample
from core.calibration.people.time_search import search_time_offsets
from core.calibration.sync.estimate import MeasuredClocks, measure_clocks
from core.calibration.sync.evidence import MovingPoints
from core.errors import CoreError
from core.progress import NullReporter, Reporter, check
from core.session.clocks import CameraClock
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D

_CHUNK = 1500  # images compared at a time, to limit the memory
_MOST_CHUNKS = 12  # evenly spaced chunks of a long take
_LEAST_STEP_S, _SEARCH_STEPS = 1 / 60, 3.0  # least step of the search, and largest error of its result in steps
_TOLERANCE = 1.5  # for matching people, relative to the largest error of an inlier joint


class PeopleEvidence:
    """Evidence from the joints of people; see `Evidence`.

    Args:
        rig: Posed cameras.
        poses2d: First pass of the 2D poses by camera name.
        recorded_s: (T, V) recorded time of each image, NaN where missing.
        image: (T, V) index of each image in its video, -1 where missing.
        reporter: Reports cancellation of the job.
    """

    shows_jumps, largest_sd_s = True, 0.010

    def __init__(
        self, rig: CameraRig, poses2d: Mapping[str, Pose2D], recorded_s: F64, image: I64, reporter: Reporter
    ) -> None:
        self.rig, self.poses2d, self.reporter = rig, poses2d, reporter
        self.cameras, self.recorded_s, self.image = rig.names, recorded_s, image
        self.period_s = np.array([image_period_s(recorded_s[:, v], image[:, v]) for v in range(len(rig))])
        count = max(1, -(-len(recorded_s) // _CHUNK))
        chunks = np.array_split(np.arange(len(recorded_s)), count)
        self.problem = CoreError("The take has no image.", "Record it again.")
        self.chunks = [chunks[n] for n in np.unique(np.linspace(0, count - 1, min(count, _MOST_CHUNKS)).astype(int))]

        self.work: dict[tuple[int, int], PeopleRegistration | None] = {}

    def tracked(self, rows: I64) -> PeopleRegistration | None:
        """Track the people in consecutive rows of the take at recorded times; None if there are too few."""
        key = int(rows[0]), int(rows[-1])
        if key not in self.work:
            check(self.reporter)
            poses2d = {name: self.poses2d[name].select(rows) for name in self.rig.names}
            times = {name: self.recorded_s[rows, v] for v, name in enumerate(self.rig.names)}
            try:
                self.work[key] = PeopleRegistration.of(self.rig, poses2d, times, PeopleConfig(), NullReporter())
            except CoreError as error:
                self.problem, self.work[key] = error, None
        return self.work[key]

    def points(self, clocks: Sequence[CameraClock], rows: I64 | None = None) -> list[MovingPoints]:
        """Return the points; see `Evidence`."""
        out = []
        for chunk in self.chunks if rows is None else [rows]:
            check(self.reporter)
            if (work := self.tracked(chunk)) is None:
                continue
            used = tuple(chunk[np.isfinite(self.recorded_s[chunk, v])] for v in range(len(self.rig)))
            tracks = tuple(
                dataclasses.replace(t, time_s=t.time_s - clocks[v].error_s(t.time_s, self.image[used[v], v]))
                for v, t in enumerate(work.tracks)
            )
            poses, at_s = work.rig_poses(), subsample(work.at_s, MAX_COMPARED_FRAMES)
            groups = group_tracks(tracks, poses, at_s, _TOLERANCE * work.tolerance_px)
            out.append(MovingPoints(tracks=tracks, poses=poses, person=groups.person, rows=used))
        return out


def clocks_by_people(evidence: PeopleEvidence, reporter: Reporter) -> MeasuredClocks:
    """Measure the clocks of all cameras, after a search for offsets up to 3 s.

    Raises:
        CoreError: There are too few frames in which two cameras see people.
        CancelledError: The reporter asked to stop.
    """
    found = []
    for chunk in evidence.chunks:
        check(reporter)
        if (work := evidence.tracked(chunk)) is not None:
            poses = work.rig_poses()
            offsets = search_time_offsets(work.tracks, poses, work.at_s, work.tolerance_px, reporter)
            found.append((float(np.nansum(offsets.agreement)), offsets.time_offset_s - poses.time_offset_s, chunk))
    if not found:
        raise evidence.problem
    _, searched_s, rows = max(found, key=lambda f: f[0])
    measured = measure_clocks(evidence, searched_s, reporter)
    return measured.without(far_from_search(evidence, measured, searched_s, rows))


def far_from_search(evidence: PeopleEvidence, measured: MeasuredClocks, searched_s: F64, rows: I64) -> dict[int, str]:
    """Return the reason for each camera whose clock is not that of the search in these rows."""
    middle, far = rows[len(rows) // 2], {}
    at_s = np.nan_to_num(evidence.recorded_s[middle], nan=float(np.nanmean(evidence.recorded_s[rows])))
    image = np.maximum(evidence.image[middle], 0)
    error_s = np.array([float(c.error_s(at_s[v : v + 1], image[v : v + 1])[0]) for v, c in enumerate(measured.clocks)])
    known = np.isfinite(measured.fit.offset_s)
    change_s = error_s - searched_s
    change_s -= np.median(change_s[known]) if known.any() else 0.0
    for v in np.flatnonzero(known):
        lost = sum(drop.count for drop in measured.clocks[v].drops)
        step_s = max(evidence.period_s[v], _LEAST_STEP_S)
        if abs(change_s[v]) > _SEARCH_STEPS * step_s + lost * evidence.period_s[v]:
            place_ms, motion_ms = 1e3 * (error_s[v] - change_s[v]), 1e3 * error_s[v]
            far[int(v)] = (
                f"The time offset of {evidence.cameras[v]} is ambiguous: the places of people show {place_ms:.0f} ms, "
                f"their motion {motion_ms:.0f} ms. Film a longer take."
            )
    return far


def image_period_s(recorded_s: F64, image: I64) -> float:
    """Return the time between images of a camera in s.

    Args:
        recorded_s: (T,) recorded time of each image, NaN where missing.
        image: (T,) index of each image in its video, -1 where missing.
    """
    rows = np.flatnonzero(image >= 0)
    steps = np.diff(recorded_s[rows]) / np.maximum(np.diff(image[rows]), 1)
    return float(np.median(steps)) if len(steps) else 1.0
