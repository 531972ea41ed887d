"""Which cameras of a rig were moved since it was made, from people whom the others see."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from core.calibration.people.bundle import POSE, TIME_OFFSET, CameraPoses, PeopleSolution, adjust_people
from core.calibration.people.matching import all_tracks
from core.calibration.people.placing import COMPARED, Placing, spread
from core.errors import CoreError
from core.geometry import essential_matrix, sampson_distance_px
from core.progress import check
from core.types.arrays import F64

_MOVED, _MOVED_PX = 1.8, 0.0015  # times, and share of the image, by which a moved camera disagrees more than others
_MOVED_NOISE = 1.5  # of the usual error of a joint by which people seem shifted in a moved camera's image
_LEAST_SHARED = 24  # joints that two tracks must share to be compared


def find_moved(placing: Placing, old: CameraPoses) -> np.ndarray:
    """(V,) cameras that disagree with the others as they are in the rig.

    Raises:
        CoreError: It cannot be told.
    """
    V = len(placing.lenses)
    if V < 3:
        raise CoreError("With two cameras it cannot be told which one moved.", "Name the camera that was moved.")
    moved = _far_off(placing, old)
    while (~moved).sum() > 2:
        found = _slightly_off(placing, dataclasses.replace(old, registered=old.registered & ~moved))
        if found is None:
            break
        moved[found] = True
    return moved


def _far_off(placing: Placing, old: CameraPoses) -> np.ndarray:
    """(V,) cameras whose epipolar lines miss people by far more than those of the others."""
    apart = disagreement_px(placing, old)
    moved = np.zeros(len(placing.lenses), bool)
    while (~moved).sum() > 2:
        rest = np.flatnonzero(~moved)
        among = apart[np.ix_(rest, rest)]
        own = np.array([_median(np.delete(among[i], i)) for i in range(len(rest))])
        worst = int(np.argmax(own))
        others = np.delete(np.delete(among, worst, 0), worst, 1)
        usual = _median(others[np.triu_indices(len(rest) - 1, 1)])
        limit = max(_MOVED * usual, usual + _MOVED_PX * max(placing.lenses[int(rest[worst])].size_px))
        if not own[worst] > limit:
            break
        moved[rest[worst]] = True
    return moved


def _slightly_off(placing: Placing, old: CameraPoses) -> int | None:
    """The camera with which people fit best if it alone may move, where that moves its image by enough."""
    at = spread(placing.at_s, COMPARED)
    _, joints, who = placing.matched(old, at, 4.0)
    if not who.size:
        return None
    sigma = adjust_people(placing.tracks, old, joints, placing.everyone(old.registered), steps=8).sigma_px
    best: tuple[float, int, PeopleSolution] | None = None
    for v in np.flatnonzero(old.registered).tolist():
        check(placing.reporter)
        free = np.zeros((len(placing.lenses), 7), bool)
        free[v, POSE], free[v, TIME_OFFSET] = True, placing.config.time_offset
        solution = adjust_people(placing.tracks, old, joints, free, steps=10)
        loss = float(np.nanmean(np.log1p((solution.residual_px / (2.5 * sigma)) ** 2)))
        if best is None or loss < best[0]:
            best = loss, v, solution
    assert best is not None
    _, view, solution = best
    points = solution.agreed_mm.reshape(-1, 3)
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return None
    flat = []
    for placed in (old, solution.placed):
        local = points @ placed.R[view].T + placed.t_mm[view]
        flat.append(local[:, :2] / np.maximum(local[:, 2:], 1.0))
    shift_px = placing.tracks[view].focal_px * float(np.median(np.linalg.norm(flat[0] - flat[1], axis=-1)))
    return view if shift_px > max(_MOVED_PX * max(placing.lenses[view].size_px), _MOVED_NOISE * sigma) else None


def disagreement_px(placing: Placing, placed: CameraPoses) -> F64:
    """(V, V) median epipolar distance between cameras, px, each track with the one that fits best; NaN without."""
    V = len(placing.lenses)
    at = spread(placing.at_s, COMPARED)
    samples = [all_tracks(t, at + placed.time_offset_s[v]) for v, t in enumerate(placing.tracks)]
    out = np.full((V, V), np.nan)
    for i, j in itertools.combinations(range(V), 2):
        if not (placed.registered[i] and placed.registered[j]):
            continue
        R = placed.R[j] @ placed.R[i].T
        E = essential_matrix(R, placed.t_mm[j] - R @ placed.t_mm[i])
        focal = (placing.tracks[i].focal_px, placing.tracks[j].focal_px)
        out[i, j] = out[j, i] = _nearest_median(sampson_distance_px(E, samples[i].xy, samples[j].xy, focal))
    return out


def _nearest_median(distance_px: F64) -> float:
    """Median over joints of each track's distance to the track that is nearest to it all in all; (M, K, L, J)."""
    count = np.isfinite(distance_px).sum((0, 3))
    mean = np.where(count >= _LEAST_SHARED, np.nansum(distance_px, (0, 3)) / np.maximum(count, 1), np.inf)
    if not np.isfinite(mean).any():
        return float("nan")
    best = mean.argmin(1)
    rows = np.flatnonzero(np.isfinite(mean.min(1)))
    return float(np.nanmedian(distance_px[:, rows, best[rows]]))


def _median(values: F64) -> float:
    """Median of what is known; infinite where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.inf
