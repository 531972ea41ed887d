"""First places of cameras from people, one camera after the other, and their adjustment.

Legend: V view, M frame, G person at a frame, J joint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.calibration.people.bundle import (
    POSE,
    TIME_OFFSET,
    CameraPoses,
    PeopleSolution,
    TrackAssignment,
    adjust_people,
)
from core.calibration.people.config import USUAL_STATURE_MM, PeopleConfig
from core.calibration.people.matching import LAGS_S, Guess, People, group, joints_of, resect, seed
from core.calibration.people.tracks import Tracks, follow
from core.calibration.people.world import human_share, mean_stature_mm
from core.errors import CoreError
from core.progress import Reporter, check
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton

COMPARED = 120  # frames that suffice to compare tracks
_STEP_S = 0.18  # between frames: their joints are then read off different images
_WANTED_FRAMES, _MOST_FRAMES, _FEW_FRAMES = 80, 300, 90
_MOST_IMAGES, _BURST_S = 3000, 8.0  # of a camera that are looked at, and how long they follow each other
_LEAST_FRAMES = 8
_TOLERANCE = 0.0065  # of the longer side of the image: about 12 px of 1920
_APART_MM = 4000.0
_MOST_SEEDS, _MOST_TRIED = 15, 5
_GOOD_FIT, _GOOD_BODIES = 0.7, 0.9
_LEAST_SHARE = 0.35
_CERTAIN = 2.5  # standard errors from which on a time offset is believed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placing:
    """A recording, and the steps by which cameras are placed from it.

    Attributes:
        lenses: Cameras with their lenses.
        tracks: (V,) people in each.
        skeleton: Of their joints.
        at_s: (M,) frames in which two cameras or more show somebody.
        tolerance_px: (V,) largest error of a joint that fits.
        config: Settings.
        reporter: Told of progress; asked whether to stop.
        rng: Source of chance.
    """

    lenses: CameraRig
    tracks: tuple[Tracks, ...]
    skeleton: Skeleton
    at_s: F64
    tolerance_px: F64
    config: PeopleConfig
    reporter: Reporter
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20))

    @classmethod
    def of(
        cls,
        lenses: CameraRig,
        poses2d: Mapping[str, Pose2D],
        time_s: Mapping[str, F64],
        config: PeopleConfig,
        reporter: Reporter,
    ) -> Placing:
        """Follows the people of every camera and chooses frames.

        Raises:
            CoreError: A camera without 2D poses, or too few frames in which two cameras show somebody.
        """
        missing = [n for n in lenses.names if n not in poses2d or n not in time_s]
        if missing:
            raise CoreError(f"There are no 2D poses of camera {missing[0]}.", "Label the take first.")
        if len(lenses) < 2:
            raise CoreError("The rig has one camera.", "Calibrating from people needs at least two.")
        skeletons = {poses2d[n].skeleton.name: poses2d[n].skeleton for n in lenses.names}
        if len(skeletons) > 1:
            raise CoreError("The cameras' 2D poses have different joints.", "Label all of them with one estimator.")
        tracks = []
        for v, camera in enumerate(lenses):
            check(reporter)
            reporter.progress(v, 3 * len(lenses), "Following people in each camera")
            times = np.asarray(time_s[camera.name], float)
            tracks.append(follow(camera, poses2d[camera.name], times, _bursts(times)))
        at_s = _frames(tracks)
        if len(at_s) < _LEAST_FRAMES:
            raise CoreError(
                f"Two cameras see people at the same time in {len(at_s)} frames only.",
                "Film people who walk where several cameras see them, for half a minute or more.",
            )
        return cls(
            lenses=lenses,
            tracks=tuple(tracks),
            skeleton=next(iter(skeletons.values())),
            at_s=at_s,
            tolerance_px=np.array([_TOLERANCE * max(c.size_px) for c in lenses]),
            config=config,
            reporter=reporter,
        )

    def nowhere(self) -> CameraPoses:
        """No camera placed."""
        V = len(self.lenses)
        return CameraPoses(
            R=np.tile(np.eye(3), (V, 1, 1)),
            t_mm=np.zeros((V, 3)),
            time_offset_s=np.zeros(V),
            registered=np.zeros(V, bool),
        )

    def pair(self, first: int, second: int, guess: Guess) -> CameraPoses:
        """Two cameras, some metres apart as they mostly are."""
        placed = self.nowhere().with_camera(first, np.eye(3), np.zeros(3), 0.0)
        return placed.with_camera(second, guess.R, _APART_MM * guess.t_mm, guess.time_offset_s)

    def as_in_rig(self) -> CameraPoses:
        """The cameras that have a pose, as they are."""
        placed = self.nowhere()
        for v, camera in enumerate(self.lenses):
            if camera.posed:
                placed = placed.with_camera(v, *camera.pose, camera.time_offset_s)
        return placed

    def everyone(self, views: np.ndarray) -> np.ndarray:
        """(V, 7) what is free: poses of these cameras, and their time offsets but for the first one's."""
        free = np.zeros((len(self.lenses), 7), bool)
        free[views, POSE] = True
        if self.config.time_offset:
            free[np.flatnonzero(views)[1:], TIME_OFFSET] = True
        return free

    def matched(self, placed: CameraPoses, at_s: F64, tolerance: float = 1.0) -> tuple[People, TrackAssignment, I64]:
        """People as the placed cameras agree on them."""
        people = group(self.tracks, placed, spread(self.at_s, COMPARED), tolerance * self.tolerance_px)
        joints, who = joints_of(self.tracks, placed, people, at_s)
        return people, joints, who

    def place_all(self) -> CameraPoses:
        """First places of all cameras, from the pairs that agree best."""
        guesses = self._seeds()
        best: tuple[tuple[int, float], CameraPoses] | None = None
        for n, (i, j, guess) in enumerate(guesses[:_MOST_TRIED]):
            check(self.reporter)
            self.reporter.progress(1 + n / _MOST_TRIED, 3, "Placing cameras")
            try:
                placed = self.grow(self.pair(i, j, guess), np.zeros(len(self.lenses), bool))
            except CoreError:
                continue
            fit, bodies = self._fit(placed), self._bodies(placed)
            key = (int(placed.registered.sum()), fit * bodies**2)
            if best is None or key > best[0]:
                best = key, placed
            if placed.registered.all() and fit > _GOOD_FIT and bodies > _GOOD_BODIES:
                break
        if best is None:
            raise CoreError(
                "No two cameras agree on the people that they see.",
                "Film one or two people who walk all over the place, in view of several cameras at a time.",
            )
        return best[1]

    def _fit(self, placed: CameraPoses) -> float:
        """How far the tracks of all pairs of cameras agree, 0 to 1."""
        people, _, _ = self.matched(placed, self.at_s[:0])
        known = np.isfinite(people.agreement)
        return float(np.average(people.agreement[known], weights=people.shared[known])) if known.any() else 0.0

    def _bodies(self, placed: CameraPoses) -> float:
        """How human the people are that the placed cameras see, 0 to 1."""
        _, joints, who = self.matched(placed, spread(self.at_s, _FEW_FRAMES), 2.0)
        if not who.size:
            return 0.0
        still = np.zeros((len(self.lenses), 7), bool)
        return human_share(adjust_people(self.tracks, placed, joints, still, steps=1).agreed_mm, who, self.skeleton)

    def _seeds(self) -> list[tuple[int, int, Guess]]:
        """Pairs of cameras and how they might stand to each other, the most promising first."""
        at = spread(self.at_s, COMPARED)
        there = np.stack([_anyone(t, at) for t in self.tracks]).astype(float)
        shared = np.triu(there @ there.T, 1)
        order = np.argsort(-shared, axis=None)[:_MOST_SEEDS]
        found = []
        for i, j in (divmod(int(o), len(self.lenses)) for o in order):
            if shared[i, j] < _LEAST_FRAMES:
                continue
            check(self.reporter)
            tolerance = float(self.tolerance_px[[i, j]].mean())
            guess = seed(
                self.tracks[i], self.tracks[j], at, tolerance, self.rng, LAGS_S if self.config.time_offset else (0.0,)
            )
            if guess is not None and guess.share >= _LEAST_SHARE:
                worth = guess.score * guess.share * _crossing(self.tracks[i], self.tracks[j], guess)
                found.append((worth * self._bodies(self.pair(i, j, guess)) ** 2, i, j, guess))
        found.sort(key=lambda f: -f[0])
        return [f[1:] for f in found]

    def grow(self, placed: CameraPoses, fixed: np.ndarray, former: CameraPoses | None = None) -> CameraPoses:
        """Adds cameras one by one, the one that fits best first, and adjusts after each.

        Args:
            placed: At least two cameras.
            fixed: (V,) cameras that stay as they are.
            former: Where cameras once were.

        Raises:
            CoreError: The placed cameras agree on nobody.
        """
        at = spread(self.at_s, _FEW_FRAMES)
        size = float("nan") if not fixed.any() else 1.0
        usual = float(np.median(placed.time_offset_s[fixed])) if fixed.any() else 0.0
        lags = [usual + lag for lag in LAGS_S] if self.config.time_offset else [usual]
        while True:
            _, joints, who = self.matched(placed, at, 2.0)
            if not who.size or (who >= 0).sum() < _LEAST_FRAMES:
                raise CoreError("The cameras agree on nobody.", "Film people where several cameras see them.")
            free = self.everyone(placed.registered & ~fixed)
            solution = adjust_people(self.tracks, placed, joints, free, steps=8, coarse=True)
            placed, xyz = solution.placed, solution.xyz_mm
            if not np.isfinite(size):
                size = mean_stature_mm(xyz, who, self.skeleton)
                if not np.isfinite(size):
                    raise CoreError("Nobody is seen whole.", "Film people from head to foot.")
                # Lengths near millimetres keep what is near and far apart meaningful.
                placed, xyz = placed.scaled(USUAL_STATURE_MM / size), xyz * (USUAL_STATURE_MM / size)
            good = np.where((solution.inlier.sum(0) >= 2)[..., None], xyz, np.nan)
            guesses: dict[int, Guess] = {}
            for v in np.flatnonzero(~placed.registered).tolist():
                check(self.reporter)
                hint = None
                if former is not None and former.registered[v]:
                    hint = former.R[v], former.t_mm[v], float(former.time_offset_s[v])
                guess = resect(self.tracks[v], at, good, float(self.tolerance_px[v]), self.rng, hint, lags)
                if guess is not None and guess.share >= _LEAST_SHARE:
                    guesses[v] = guess
            if not guesses:
                return placed
            view, best = max(guesses.items(), key=lambda item: item[1].score)
            placed = placed.with_camera(view, best.R, best.t_mm, best.time_offset_s)

    def refine(
        self, placed: CameraPoses, free: np.ndarray, tolerances: Sequence[float] = (2.0, 1.5)
    ) -> tuple[TrackAssignment, I64, PeopleSolution]:
        """The adjustment with all frames, people matched anew in between; time offsets are dropped where there are none."""
        for n, tolerance in enumerate(tolerances):
            check(self.reporter)
            self.reporter.progress(2 + n / len(tolerances), 3, "Adjusting cameras")
            _, joints, who = self.matched(placed, self.at_s, tolerance)
            solution = adjust_people(self.tracks, placed, joints, free)
            placed = solution.placed
        late = free[:, TIME_OFFSET]
        usual = (
            float(np.median(placed.time_offset_s[placed.registered & ~late]))
            if (placed.registered & ~late).any()
            else 0.0
        )
        sd = np.sqrt(solution.covariance[:, TIME_OFFSET, TIME_OFFSET])
        if late.any() and (np.abs(placed.time_offset_s[late] - usual) < _CERTAIN * sd[late]).all():
            free, time_offset = free.copy(), placed.time_offset_s.copy()
            free[:, TIME_OFFSET], time_offset[late] = False, usual
            again = adjust_people(self.tracks, dataclasses.replace(placed, time_offset_s=time_offset), joints, free)
            # What the time offsets' errors were is still worth telling.
            covariance = again.covariance.copy()
            covariance[:, TIME_OFFSET, TIME_OFFSET] = sd**2
            solution = dataclasses.replace(again, covariance=covariance)
        self.reporter.progress(3, 3, "Adjusting cameras")
        return joints, who, solution


def _bursts(time_s: F64) -> np.ndarray:
    """(T,) images to look at: all of a short take, evenly spread stretches of a long one."""
    known = np.isfinite(time_s)
    if known.sum() <= _MOST_IMAGES:
        return known
    start, end = float(np.nanmin(time_s)), float(np.nanmax(time_s))
    stretch = np.floor((np.where(known, time_s, start) - start) / _BURST_S).astype(int)
    count = int((end - start) // _BURST_S) + 1
    wanted = max(1, int(count * _MOST_IMAGES / known.sum()))
    chosen = np.unique(np.round(np.linspace(0, count - 1, wanted)).astype(int))
    return known & np.isin(stretch, chosen)


def _anyone(tracks: Tracks, at_s: F64) -> np.ndarray:
    """(M,) whether the camera shows somebody."""
    if not len(tracks.time_s) or not tracks.count:
        return np.zeros(len(at_s), bool)
    near = np.clip(np.searchsorted(tracks.time_s, at_s), 0, len(tracks.time_s) - 1)
    close = np.abs(tracks.time_s[near] - at_s) < tracks.reach_s
    return np.asarray(np.asarray((tracks.score > 0).any((1, 2)))[near] & close)


def _frames(tracks: Sequence[Tracks]) -> F64:
    """(M,) true times, evenly spread, at which two cameras or more show somebody."""
    known = [t.time_s for t in tracks if t.count and len(t.time_s)]
    if len(known) < 2:
        return np.zeros(0)
    start, end = min(t[0] for t in known), max(t[-1] for t in known)
    # Of a short take, frames follow each other more closely, down to single images.
    image_s = float(np.median(np.concatenate([np.diff(t) for t in known])))
    grid = np.arange(start, end, min(_STEP_S, max((end - start) / _WANTED_FRAMES, image_s)))
    shown = np.sum([_anyone(t, grid) for t in tracks], axis=0) >= 2
    return spread(grid[shown], _MOST_FRAMES)


def spread(at_s: F64, most: int) -> F64:
    """At most so many, evenly spread."""
    if len(at_s) <= most:
        return at_s
    return np.asarray(at_s[np.round(np.linspace(0, len(at_s) - 1, most)).astype(int)])


def _crossing(first: Tracks, second: Tracks, guess: Guess) -> float:
    """Sine of the angle at which the two cameras look at people: points lie badly on rays that are nearly parallel."""
    rays = []
    for t in (first, second):
        middle = np.nanmedian(t.xy.reshape(-1, 2), axis=0)
        ray = np.append(middle, 1.0)
        rays.append(ray / np.linalg.norm(ray))
    return float(np.linalg.norm(np.cross(guess.R @ rays[0], rays[1]))) + 0.05
