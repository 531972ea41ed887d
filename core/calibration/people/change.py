"""Selection of the smallest change of a rig that explains the joints of people, by cross-validation.

Unknowns are freed step by step: the time offset of a camera, its rotation about its centre, its pose; if none is a
gain, the rotations or the poses of all cameras. Each candidate is fitted to one half of the time and scored by LOCO
errors on the other; more unknowns are freed only for a clear gain. Once a camera has rotated, the mounts of the others
may have moved slightly as well: small rotations with a narrow prior, which have hardly any freedom, are accepted for
any significant gain.

Legend: V view, M frame, G person at a frame, J joint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.people.bundle import (
    CHANGE_SD,
    N_UNKNOWNS,
    POSE,
    ROTATION,
    TIME_OFFSET,
    CameraPoses,
    PeopleSolution,
    TrackAssignment,
    adjust_people,
    expected_gains,
)
from core.calibration.people.held_out import HeldOutScore, blocks_of_frames, count_joints, gain_interval, score_held_out
from core.calibration.people.registration import PeopleRegistration, subsample
from core.errors import CoreError
from core.geometry.so3 import angle_rad
from core.progress import check
from core.types.arrays import F64, I64

_FRAMES = 120  # for the selection
_TOLERANCES = (4.0, 2.0, 1.5)  # for matching people before each adjustment, in units of `tolerance_px`
_MARGIN = 0.005  # gain in the mean score of a joint for more unknowns
# Cameras for which a kind of change is fitted: the most promising by a score test, and a second one close to it.
_TRIED, _NEAR = 2, 0.5
_LEAST_GAIN = 0.01  # expected decrease of squared residuals by the score test below which nothing is fitted
_LOST = 0.5  # relative to the score of the best camera, below which a camera is registered again
_GIVE_RAD = np.radians(0.15)  # standard deviation of small rotations of mounts
_PERSISTENCE_S = 1.0  # of errors of a 2D estimator: joints within a second count once relative to that prior
_OFFSET, _TRANSLATION = slice(TIME_OFFSET, TIME_OFFSET + 1), slice(3, 6)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RigChange:
    """A change of camera poses.

    Attributes:
        free: (V, 7) mask of the unknowns that change: rotation vector, translation, time offset.
        given: (V,) mask of cameras with additional small rotations.
        start: Approximate new poses.
        before: Held-out score of the unchanged rig.
        after: Held-out score with the change.
    """

    free: np.ndarray
    given: np.ndarray
    start: CameraPoses
    before: HeldOutScore
    after: HeldOutScore


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    free: np.ndarray
    given: np.ndarray
    poses: tuple[CameraPoses, ...]  # fitted to each half
    score: HeldOutScore


def smallest_change(work: PeopleRegistration, former: CameraPoses, time_offset_s: F64) -> RigChange:
    """Select the smallest change that explains the joints; no unknown is free if no change is clearly better.

    Args:
        work: The recording.
        former: Poses of the rig.
        time_offset_s: (V,) time offsets to try first, see `search_time_offsets`.

    Raises:
        CoreError: Fewer than three cameras have a pose.
    """
    if former.registered.sum() < 3:
        raise CoreError(
            "With two cameras, the moved one cannot be detected.",
            "Re-solve all cameras, or calibrate them from a board.",
        )
    return _ChangeSelection(work, former, time_offset_s).run()


def fit_change(
    work: PeopleRegistration,
    former: CameraPoses,
    start: CameraPoses,
    free: np.ndarray,
    at_s: F64,
    tolerances: Sequence[float] = _TOLERANCES,
    *,
    given: np.ndarray,
) -> tuple[TrackAssignment, I64, PeopleSolution]:
    """Fit a subset of a rig's unknowns; people are matched again before each adjustment.

    Args:
        work: The recording.
        former: Poses of the rig, to which undetermined unknowns stay close.
        start: Initial poses.
        free: (V, 7) mask of the unknowns that change.
        at_s: (M,) times of the frames.
        tolerances: Tolerance of each round of matching, in units of `tolerance_px`.
        given: (V,) mask of cameras with additional small rotations.

    Raises:
        CoreError: The cameras agree on no person.
    """
    change_sd = np.tile(CHANGE_SD, (len(free), 1))
    seconds = len(np.unique(np.floor((at_s - at_s.min()) / _PERSISTENCE_S)))
    change_sd[given, ROTATION] = _GIVE_RAD * min(1.0, np.sqrt(seconds / len(at_s)))
    free = _freed(free, given, ROTATION)
    poses = start
    for n, tolerance in enumerate(tolerances):
        last = n == len(tolerances) - 1
        _, joints, person = work.match_people(poses, at_s, tolerance)
        if not person.size:
            raise CoreError("The cameras agree on no person.", "Film people where several cameras see them.")
        solution = adjust_people(work.tracks, poses, joints, free, former=former, change_sd=change_sd, coarse=not last)
        poses = solution.poses
    return joints, person, solution


def describe_change(
    names: Sequence[str], free: np.ndarray, given: np.ndarray, poses: CameraPoses, former: CameraPoses
) -> str:
    """Return a sentence on what changed; `free` and `given` as in `RigChange`."""
    shift = np.linalg.norm(_centres(poses) - _centres(former), axis=1)
    degrees = np.degrees(angle_rad(poses.R @ np.swapaxes(former.R, -1, -2)))
    late_ms = 1e3 * (poses.time_offset_s - former.time_offset_s)
    parts = []
    for v, name in enumerate(names):
        done = []
        if free[v, _TRANSLATION].any():
            done.append(f"moved by {shift[v]:.0f} mm")
        if free[v, ROTATION].any() or (given[v] and free[v].any()):
            done.append(f"turned by {degrees[v]:.1f} degrees")
        if free[v, TIME_OFFSET]:
            done.append(f"shifted in time by {late_ms[v]:+.0f} ms")
        if done:
            parts.append(f"{name} {' and '.join(done)}")
    if not parts:
        return "Nothing has moved: the people fit the cameras."
    rest = given & ~free.any(1)
    if not rest.any():
        return f"{', '.join(parts)}; nothing else changed."
    others = "the others" if rest.sum() > 1 else names[int(np.argmax(rest))]
    return (
        f"{', '.join(parts)}; {others} turned by {'up to ' if rest.sum() > 1 else ''}{degrees[rest].max():.1f} degrees."
    )


class _ChangeSelection:
    """Selection of the smallest change.

    Args:
        work: The recording.
        former: Poses of the rig.
        time_offset_s: (V,) time offsets to try first.
    """

    def __init__(self, work: PeopleRegistration, former: CameraPoses, time_offset_s: F64) -> None:
        self.work, self.former, self.time_offset_s = work, former, time_offset_s
        self.at_s = subsample(work.at_s, _FRAMES)
        self.block = blocks_of_frames(self.at_s)
        second = self.block >= (self.block.max() + 1) // 2
        self.halves = (~second, second)
        self.count = count_joints(work, former, self.at_s, self.block)

    def run(self) -> RigChange:
        nothing = np.zeros((len(self.work.cameras), N_UNKNOWNS), bool)
        start = current = self.evaluate(nothing, nothing[:, 0], (self.former, self.former))
        rounds = 0
        current = self._best(current, self._of_late_cameras(current)) or current
        while True:
            best = self._best(current, self._of_one_camera(current)) or self._best(current, self._of_all(current))
            if best is None:
                break
            current, rounds = best, rounds + 1
            self.work.reporter.progress(1 + rounds / (rounds + 1), 3, "Selecting the smallest change")
        current = self._give_way(self._prune(self._rotations_instead(current)))
        return RigChange(
            free=current.free,
            given=current.given,
            start=current.poses[0],
            before=start.score,
            after=current.score,
        )

    def evaluate(self, free: np.ndarray, given: np.ndarray, poses: tuple[CameraPoses, ...]) -> _Candidate:
        """Return the score of poses that are fitted to each half, on the other half."""
        parts = [
            score_held_out(self.work, p, self.at_s[~half], self.block[~half], self.count)
            for p, half in zip(poses, self.halves, strict=True)
        ]
        return _Candidate(free=free, given=given, poses=poses, score=parts[0].joined(parts[1]))

    def fit(
        self, free: np.ndarray, start: tuple[CameraPoses, ...], given: np.ndarray | None = None
    ) -> _Candidate | None:
        """Fit a change to each half; None if the cameras agree on no person."""
        poses = []
        given = np.zeros(len(free), bool) if given is None else given
        for p, half in zip(start, self.halves, strict=True):
            initial = _with_fixed(p, self.former, ~free)
            if free.any():
                try:
                    _, _, solution = fit_change(
                        self.work, self.former, initial, free, self.at_s[half], _TOLERANCES[:1], given=given
                    )
                except CoreError:
                    return None
                initial = solution.poses
            poses.append(initial)
        return self.evaluate(free, given, tuple(poses))

    def _best(self, current: _Candidate, candidates: Iterator[_Candidate | None]) -> _Candidate | None:
        """Return the first candidate that is clearly better, unless a later one is clearly better still."""
        best: _Candidate | None = None
        for candidate in candidates:
            check(self.work.reporter)
            if candidate is not None and clearly_better(candidate, best or current):
                best = candidate
        return best

    def _of_all(self, current: _Candidate) -> Iterator[_Candidate | None]:
        every = np.flatnonzero(self.former.registered)
        options = [_freed(current.free, every, unknowns) for unknowns in (ROTATION, POSE)]
        for free, gain in zip(options, self._expected_gains(current, options), strict=True):
            if gain >= _LEAST_GAIN and (free != current.free).any():
                yield self.fit(free, current.poses)

    def _expected_gains(self, current: _Candidate, options: Sequence[np.ndarray]) -> F64:
        """Return the expected decrease of squared residuals by each change; 0 if the cameras agree on no person."""
        _, joints, person = self.work.match_people(current.poses[0], self.at_s, _TOLERANCES[0])
        if not person.size or not options:
            return np.zeros(len(options))
        return expected_gains(self.work.tracks, current.poses[0], joints, options)

    def _of_late_cameras(self, current: _Candidate) -> Iterator[_Candidate | None]:
        """Yield the time offsets from a search, for all cameras at once."""
        late = self.time_offset_s != self.former.time_offset_s
        if self.work.config.time_offset and late.any():
            poses = dataclasses.replace(self.former, time_offset_s=self.time_offset_s)
            yield self.fit(_freed(current.free, np.flatnonzero(late), _OFFSET), (poses, poses))

    def _of_one_camera(self, current: _Candidate) -> Iterator[_Candidate | None]:
        """Yield the candidates that change one more camera, ordered by degrees of freedom."""
        every = np.flatnonzero(self.former.registered).tolist()
        kinds = (_OFFSET, ROTATION, POSE) if self.work.config.time_offset else (ROTATION, POSE)
        options = [[_freed(current.free, v, k) for v in every if not current.free[v, k].all()] for k in kinds]
        gains = self._expected_gains(current, [free for kind in options for free in kind])
        for kind, of_kind in zip(options, np.split(gains, np.cumsum([len(k) for k in options])[:-1]), strict=True):
            limit = max(_NEAR * float(of_kind.max(initial=0.0)), _LEAST_GAIN)
            best = np.argsort(-of_kind)[:_TRIED]
            yield from (self.fit(kind[i], current.poses) for i in best if of_kind[i] >= limit)
        yield self._register_again(current)

    def _register_again(self, current: _Candidate) -> _Candidate | None:
        """Register the worst camera again, because it may be so far off that no people match."""
        by_camera = np.where(self.former.registered, current.score.by_camera, np.inf)
        worst = int(np.argmin(by_camera))
        if not by_camera[worst] < _LOST * np.max(by_camera[self.former.registered]):
            return None
        fixed = self.former.registered.copy()
        fixed[worst] = False
        rest = dataclasses.replace(current.poses[0], registered=fixed)
        try:
            found = self.work.extend(rest, fixed, self.former)
        except CoreError:
            return None
        if not found.registered[worst]:
            return None
        free = _freed(current.free, worst, POSE)
        free[worst, TIME_OFFSET] = self.work.config.time_offset
        start = tuple(
            p.with_camera(worst, found.R[worst], found.t_mm[worst], float(found.time_offset_s[worst]))
            for p in current.poses
        )
        return self.fit(free, start)

    def _rotations_instead(self, current: _Candidate) -> _Candidate:
        """Return the rotations of all cameras if a change of more unknowns is not clearly better."""
        rotations = _freed(np.zeros_like(current.free), np.flatnonzero(self.former.registered), ROTATION)
        if current.free.sum() <= rotations.sum():
            return current
        candidate = self.fit(rotations, (self.former, self.former))
        return current if candidate is None or clearly_better(current, candidate) else candidate

    def _prune(self, current: _Candidate) -> _Candidate:
        """Remove changes that later ones have made superfluous."""
        for unknowns in (_TRANSLATION, ROTATION, _OFFSET):
            for v in range(len(current.free)):
                # A translation without rotation is not a candidate.
                if not current.free[v, unknowns].all() or (
                    unknowns == ROTATION and current.free[v, _TRANSLATION].any()
                ):
                    continue
                free = current.free.copy()
                free[v, unknowns] = False
                smaller = self.fit(free, current.poses)
                if smaller is not None and not clearly_better(current, smaller):
                    current = smaller
        return current

    def _give_way(self, current: _Candidate) -> _Candidate:
        """Add small rotations of the other cameras if one has rotated and the gain is significant."""
        turned = current.free[:, ROTATION].any(1)
        given = np.asarray(self.former.registered & ~turned)
        if not (turned.any() and given.any()):
            return current
        candidate = self.fit(current.free, current.poses, given)
        return candidate if candidate is not None and clearly_better(candidate, current, 0.0) else current


def clearly_better(candidate: _Candidate, than: _Candidate, margin: float = _MARGIN) -> bool:
    """Return whether the gain of a candidate significantly exceeds the margin."""
    return gain_interval(candidate.score, than.score)[0] > margin


def _freed(free: np.ndarray, views: np.ndarray | int, unknowns: slice) -> np.ndarray:
    out = free.copy()
    out[views, unknowns] = True
    return out


def _centres(poses: CameraPoses) -> F64:
    return np.asarray(-(np.swapaxes(poses.R, -1, -2) @ poses.t_mm[..., None])[..., 0])


def _with_fixed(poses: CameraPoses, former: CameraPoses, fixed: np.ndarray) -> CameraPoses:
    """Return the poses with the fixed unknowns (V, 7) of the former ones; rotations are about the centres."""
    R = np.where(fixed[:, :1, None], former.R, poses.R)
    centre = np.where(fixed[:, 3:4], _centres(former), _centres(poses))
    return dataclasses.replace(
        poses,
        R=R,
        t_mm=-(R @ centre[..., None])[..., 0],
        time_offset_s=np.where(fixed[:, TIME_OFFSET], former.time_offset_s, poses.time_offset_s),
    )
