"""Detection of the cameras of a rig that were moved since its calibration, from people whom the others see."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from core.calibration.people.bundle import POSE, TIME_OFFSET, CameraPoses, PeopleSolution, adjust_people
from core.calibration.people.matching import sample_all_tracks
from core.calibration.people.registration import MAX_COMPARED_FRAMES, PeopleRegistration, subsample
from core.errors import CoreError
from core.geometry import essential_matrix, sampson_distance_px
from core.progress import check
from core.types.arrays import F64

# A moved camera disagrees with the others by this factor, and by this share of the longer image side.
_MOVED_FACTOR, _MOVED_SHARE = 1.8, 0.0015
_MOVED_NOISE = 1.5  # standard deviations of a joint by which people appear displaced in a moved camera
_MIN_SHARED_JOINTS = 24
_CAUCHY_SCALE = 2.5  # in standard deviations


def find_moved(registration: PeopleRegistration, old: CameraPoses) -> np.ndarray:
    """Return (V,) bool: cameras whose pose in the rig disagrees with the others.

    Raises:
        CoreError: Fewer than three cameras.
    """
    V = len(registration.cameras)
    if V < 3:
        raise CoreError(
            "The moved one of two cameras cannot be detected: both disagree alike.", "Name the camera that was moved."
        )
    moved = _far_off(registration, old)
    while (~moved).sum() > 2:
        found = _slightly_off(registration, dataclasses.replace(old, registered=old.registered & ~moved))
        if found is None:
            break
        moved[found] = True
    return moved


def _far_off(registration: PeopleRegistration, old: CameraPoses) -> np.ndarray:
    """Return (V,) bool: cameras whose epipolar lines miss people by far more than those of the others."""
    distance = epipolar_residuals_px(registration, old)
    moved = np.zeros(len(registration.cameras), bool)
    while (~moved).sum() > 2:
        rest = np.flatnonzero(~moved)
        among = distance[np.ix_(rest, rest)]
        by_camera = np.array([_median(np.delete(among[i], i)) for i in range(len(rest))])
        worst = int(np.argmax(by_camera))
        others = np.delete(np.delete(among, worst, 0), worst, 1)
        typical = _median(others[np.triu_indices(len(rest) - 1, 1)])
        side_px = max(registration.cameras[int(rest[worst])].size_px)
        if not by_camera[worst] > max(_MOVED_FACTOR * typical, typical + _MOVED_SHARE * side_px):
            break
        moved[rest[worst]] = True
    return moved


def _slightly_off(registration: PeopleRegistration, old: CameraPoses) -> int | None:
    """Return the camera that alone explains the residuals best if free to move; None if its image moves too little."""
    at = subsample(registration.at_s, MAX_COMPARED_FRAMES)
    _, joints, person = registration.match_people(old, at, 4.0)
    if not person.size:
        return None
    tracks = registration.tracks
    sigma = adjust_people(tracks, old, joints, registration.free_parameters(old.registered), max_steps=8).sigma_px
    best: tuple[float, int, PeopleSolution] | None = None
    for v in np.flatnonzero(old.registered).tolist():
        check(registration.reporter)
        free = np.zeros((len(registration.cameras), 7), bool)
        free[v, POSE], free[v, TIME_OFFSET] = True, registration.config.time_offset
        solution = adjust_people(tracks, old, joints, free, max_steps=10)
        loss = float(np.nanmean(np.log1p((solution.residual_px / (_CAUCHY_SCALE * sigma)) ** 2)))
        if best is None or loss < best[0]:
            best = loss, v, solution
    assert best is not None
    _, view, solution = best
    points = solution.agreed_mm.reshape(-1, 3)
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return None
    ideal = []
    for poses in (old, solution.poses):
        local = points @ poses.R[view].T + poses.t_mm[view]
        ideal.append(local[:, :2] / np.maximum(local[:, 2:], 1.0))
    displacement_px = tracks[view].focal_px * float(np.median(np.linalg.norm(ideal[0] - ideal[1], axis=-1)))
    limit_px = max(_MOVED_SHARE * max(registration.cameras[view].size_px), _MOVED_NOISE * sigma)
    return view if displacement_px > limit_px else None


def epipolar_residuals_px(registration: PeopleRegistration, poses: CameraPoses) -> F64:
    """Return the median epipolar distance (V, V) of cameras, each track with its best match; NaN where unknown."""
    V = len(registration.cameras)
    at = subsample(registration.at_s, MAX_COMPARED_FRAMES)
    samples = [sample_all_tracks(t, at + poses.time_offset_s[v]) for v, t in enumerate(registration.tracks)]
    out = np.full((V, V), np.nan)
    for i, j in itertools.combinations(range(V), 2):
        if not (poses.registered[i] and poses.registered[j]):
            continue
        R = poses.R[j] @ poses.R[i].T
        E = essential_matrix(R, poses.t_mm[j] - R @ poses.t_mm[i])
        focal = (registration.tracks[i].focal_px, registration.tracks[j].focal_px)
        out[i, j] = out[j, i] = _nearest_median(sampson_distance_px(E, samples[i].xy, samples[j].xy, focal))
    return out


def _nearest_median(distance_px: F64) -> float:
    """Return the median joint distance of each track to its nearest track, from distances (M, K, L, J)."""
    count = np.isfinite(distance_px).sum((0, 3))
    mean = np.where(count >= _MIN_SHARED_JOINTS, np.nansum(distance_px, (0, 3)) / np.maximum(count, 1), np.inf)
    if not np.isfinite(mean).any():
        return float("nan")
    best = mean.argmin(1)
    rows = np.flatnonzero(np.isfinite(mean.min(1)))
    return float(np.nanmedian(distance_px[:, rows, best[rows]]))


def _median(values: F64) -> float:
    """Return the median of the finite values; inf if there are none."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.inf
