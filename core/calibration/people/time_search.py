"""Search for large time offsets of cameras by the epipolar distances of people between pairs of cameras.

The adjustment of cameras finds offsets of a few images. Cameras that were started by hand have larger ones, with which
people may not match at all. Therefore each pair of cameras is compared at many offsets, and those with the best total
agreement are chosen.

Legend: V view, M frame, T image, P person in an image, J joint, L offset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.calibration.people.bundle import CameraPoses
from core.calibration.people.tracks import Tracks
from core.geometry import essential_matrix, sampson_distance_px
from core.progress import Reporter, check
from core.types.arrays import F64, I64

_LARGEST_S, _LARGEST_SHARE = 3.0, 0.5  # largest offset in s and relative to the length of the recording
_LEAST_STEP_S = 1 / 60  # smallest step between offsets
_FRAMES = 60  # to compare
_PARTNERS = 3  # number of other cameras to compare with: those with the most common views of people
_PEOPLE, _JOINTS = 6, 2  # people per image, and step between joints, to compare
_LEAST_SHARED = 0.25  # fraction of frames with people in both cameras for an offset to count
_LEAST_GAIN = 0.005  # in the mean agreement of a joint, below which offsets are kept
_MARGIN = 0.002  # gain of a search step in the total over pairs
_ROUNDS = 20
_CERTAIN_STEPS, _SAME_STEPS = 2.5, 1.5  # images: least offset that two halves can prove, and their largest difference


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeOffsets:
    """Result of a search.

    Attributes:
        time_offset_s: (V,) time offsets; those of the rig unless others agree clearly better. Only differences are
            determined, so that as many cameras as possible keep theirs.
        agreement: (V,) mean agreement of each camera's joints with those of the other cameras at these offsets, 0 to 1;
            NaN where unknown.
    """

    time_offset_s: F64
    agreement: F64


def search_time_offsets(
    tracks: tuple[Tracks, ...], poses: CameraPoses, at_s: F64, tolerance_px: F64, reporter: Reporter
) -> TimeOffsets:
    """Search for the time offsets with the best agreement on people, to within an image period.

    Args:
        tracks: (V,) tracks of people in each camera.
        poses: Poses of the rig, with initial time offsets.
        at_s: (M,) times of frames in which two cameras see people.
        tolerance_px: (V,) largest error of an inlier joint.
        reporter: Checked for cancellation.
    """
    unchanged = TimeOffsets(time_offset_s=poses.time_offset_s, agreement=np.full(len(tracks), np.nan))
    use = np.flatnonzero(poses.registered & [t.count > 0 and len(t.time_s) > 1 for t in tracks])
    at_s = at_s[np.unique(np.linspace(0, len(at_s) - 1, _FRAMES).astype(int))]
    if len(use) < 2 or len(at_s) < 2:
        return unchanged
    interval = float(np.median(np.concatenate([np.diff(tracks[v].time_s) for v in use])))
    step = max(interval, _LEAST_STEP_S)
    span = max(float(np.ptp(tracks[v].time_s)) for v in use)
    steps = int(min(_LARGEST_S, _LARGEST_SHARE * span) / step)
    if steps < 1:
        return unchanged
    shifts = np.asarray(step * np.arange(-steps, steps + 1), float)
    joints = [_compact(t) for t in tracks]
    agreement = np.full((len(tracks), len(tracks), len(shifts)), np.nan)
    for i, j in _pairs(tracks, poses, use, at_s):
        check(reporter)
        agreement[i, j] = _agreement(tracks, joints, poses, i, j, at_s, shifts, tolerance_px)
        agreement[j, i] = agreement[i, j, ::-1]
    found = _best_offsets(agreement, use, steps)
    known = np.isfinite(agreement[..., steps])
    if _total(agreement, found) - _total(agreement, 0 * found) < _LEAST_GAIN * known.sum():
        found = 0 * found
    total = np.array([_curves(agreement, found, v, found[v : v + 1])[0] for v in range(len(found))])
    count = known.sum(1)
    return TimeOffsets(
        time_offset_s=poses.time_offset_s + step * found,
        agreement=np.where(count > 0, total / np.maximum(count, 1), np.nan),
    )


def is_certain(
    found: TimeOffsets, tracks: tuple[Tracks, ...], poses: CameraPoses, at_s: F64, tolerance_px: F64, reporter: Reporter
) -> bool:
    """Return whether both halves of the recording agree on the offsets, and these exceed an image or two.

    Args:
        found: Offsets of the entire recording.
        tracks: (V,) tracks of people in each camera.
        poses: Poses of the rig.
        at_s: (M,) times of the frames.
        tolerance_px: (V,) largest error of an inlier joint.
        reporter: Checked for cancellation.
    """
    change = found.time_offset_s - poses.time_offset_s
    step = max(float(np.median(np.concatenate([np.diff(t.time_s) for t in tracks]))), _LEAST_STEP_S)
    if np.abs(change).max() < _CERTAIN_STEPS * step:
        return False
    late = np.abs(change) > 0
    for half in np.array_split(at_s, 2):
        again = search_time_offsets(tracks, poses, half, tolerance_px, reporter).time_offset_s - poses.time_offset_s
        difference = again - change
        difference -= np.median(difference)  # only differences are determined
        if not again.any() or np.abs(difference[late]).max() > _SAME_STEPS * step:
            return False
    return True


def _compact(tracks: Tracks) -> F64:
    """Return the joints (T, P, J, 2) of the people in each image regardless of tracks, NaN where missing."""
    if not tracks.count:
        return np.full((len(tracks.time_s), 1, 1, 2), np.nan)
    count = (tracks.score > 0).sum(-1)
    most = int(np.clip((count > 0).sum(1).max(initial=1), 1, _PEOPLE))
    order = np.argsort(-count, axis=1, kind="stable")[:, :most]
    return np.take_along_axis(tracks.xy[:, :, ::_JOINTS], order[..., None, None], 1)


def _pairs(tracks: tuple[Tracks, ...], poses: CameraPoses, use: I64, at_s: F64) -> list[tuple[int, int]]:
    """Return the pairs of cameras to compare."""
    occupied = np.zeros((len(tracks), len(at_s)))
    for v in use:
        rows, near = _rows(tracks[v], at_s + poses.time_offset_s[v])
        occupied[v] = (tracks[v].score[rows] > 0).any((1, 2)) & near
    shared = occupied @ occupied.T
    np.fill_diagonal(shared, -1)
    chosen = set()
    for v in use:
        for other in np.argsort(-shared[v], kind="stable")[:_PARTNERS].tolist():
            if shared[v, other] > 0:
                chosen.add((min(int(v), other), max(int(v), other)))
    return sorted(chosen)


def _rows(tracks: Tracks, at_s: F64) -> tuple[I64, np.ndarray]:
    """Return the image (M,) nearest to each time, and whether it is within an image period."""
    times = tracks.time_s
    after = np.clip(np.searchsorted(times, at_s), 1, len(times) - 1)
    rows = np.where(at_s - times[after - 1] < times[after] - at_s, after - 1, after)
    return rows, np.abs(times[rows] - at_s) <= float(np.median(np.diff(times)))


def _agreement(
    tracks: tuple[Tracks, ...],
    joints: list[F64],
    poses: CameraPoses,
    i: int,
    j: int,
    at_s: F64,
    shifts: F64,
    tolerance_px: F64,
) -> F64:
    """Return the mean agreement (L,) of a joint at offsets of the second camera; NaN with too few common frames."""
    R = poses.R[j] @ poses.R[i].T
    E = essential_matrix(R, poses.t_mm[j] - R @ poses.t_mm[i])
    focal = tracks[i].focal_px, tracks[j].focal_px
    limit = float(np.hypot(tolerance_px[i], tolerance_px[j])) / np.sqrt(2)
    rows, near = _rows(tracks[i], at_s + poses.time_offset_s[i])
    near &= np.isfinite(joints[i][rows][..., 0]).any((1, 2))
    first, at = joints[i][rows[near]], at_s[near] + poses.time_offset_s[j]
    out = np.full(len(shifts), np.nan)
    for n, shift in enumerate(shifts):
        rows, near = _rows(tracks[j], at + shift)
        near &= np.isfinite(joints[j][rows][..., 0]).any((1, 2))
        if near.sum() < max(_LEAST_SHARED * len(at_s), 2):
            continue
        distance = sampson_distance_px(E, first[near], joints[j][rows[near]], focal)
        known = np.isfinite(distance)
        fit = np.where(known, np.clip(1 - (np.nan_to_num(distance) / limit) ** 2, 0, None), 0.0).sum(-1)
        count = known.sum(-1)
        best = fit.argmax(2)[..., None]  # best person of the second camera for each of the first
        possible = np.take_along_axis(count, best, 2).sum()
        out[n] = np.take_along_axis(fit, best, 2).sum() / max(possible, 1)
    return out


def _best_offsets(agreement: F64, use: I64, steps: int) -> I64:
    """Return the offsets (V,) in steps with the best total, by coordinate ascent from several starts."""
    none = np.zeros(len(agreement), np.int64)
    starts = [none]
    for v in use:  # start with each camera as reference
        seen = np.nan_to_num(agreement[v], nan=-1.0)
        start = seen.argmax(1) - steps
        start[(seen.max(1) < 0) | (np.arange(len(none)) == v)] = 0
        starts.append(start)
    ascended = [_ascend(agreement, start, use, steps) for start in starts]
    best = max(ascended, key=lambda found: _total(agreement, found))
    values, counts = np.unique(best[use], return_counts=True)
    usual = values[counts == counts.max()]
    return np.asarray(best - usual[(len(usual) - 1) // 2])


def _ascend(agreement: F64, start: I64, use: I64, steps: int) -> I64:
    found, candidates = start.copy(), np.arange(-steps, steps + 1)
    total = _total(agreement, found)
    for _ in range(_ROUNDS):
        before = total
        for v in use:
            curves = _curves(agreement, found, int(v), candidates)
            at = int(np.argmax(curves))
            trial = found.copy()
            trial[v] = candidates[at]
            if (new := _total(agreement, trial)) > total + _MARGIN:
                found, total = trial, new
        if total <= before:
            break
    return found


def _curves(agreement: F64, found: I64, view: int, candidates: I64) -> F64:
    """Return the sum of the agreements (L,) of one camera with all others at each of its candidate offsets."""
    centre, length = agreement.shape[-1] // 2, agreement.shape[-1]
    at = centre + candidates[:, None] - found[None]  # (L, V)
    inside = (at >= 0) & (at < length)
    values = agreement[np.arange(len(found)), view, np.clip(at, 0, length - 1)]
    return np.asarray(np.where(inside, np.nan_to_num(values), 0.0).sum(1))


def _total(agreement: F64, found: I64) -> float:
    """Return the sum over all ordered pairs."""
    return float(sum(_curves(agreement, found, v, found[v : v + 1])[0] for v in range(len(found))))
