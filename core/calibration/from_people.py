"""Cameras from people who walk about: a first rig without a board, or new poses for cameras that were moved.

People are followed in each camera by itself. Two cameras are placed by the epipolar geometry of tracks that show the same
person, the others by resection from the joints that are known by then, and all are adjusted together, with a delay for
each. Feet, bodies and stature then give the world frame. Two published methods go a similar way: Takahashi et al., Human
Pose as Calibration Pattern, 2018, and Lee et al., Extrinsic Camera Calibration From a Moving Person, 2022.

Legend: V view, M moment, G person at a moment, J joint.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.calibration.check import Finding
from core.calibration.people_bundle import Joints, Placed, Solution, solve
from core.calibration.people_config import PeopleConfig
from core.calibration.people_findings import Measured, judge
from core.calibration.people_frame import FloorFromPeople, human_share, mean_stature_mm, world_of
from core.calibration.people_matching import LAGS_S, Guess, People, all_tracks, epipolar_px, essential, group, joints_of
from core.calibration.people_matching import resect, seed
from core.calibration.people_tracks import Tracks, follow
from core.errors import CoreError
from core.progress import NullReporter, Reporter, check
from core.types.arrays import F64, I64
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton

_STEP_S = 0.18  # between moments: their joints are then read off different pictures
_WANTED_MOMENTS, _MOST_MOMENTS, _FEW_MOMENTS, _COMPARED = 80, 300, 90, 120
_MOST_PICTURES, _BURST_S = 3000, 8.0  # of a camera that are looked at, and how long they follow each other
_LEAST_MOMENTS = 8
_TOLERANCE = 0.0065  # of the longer side of the picture: about 12 px of 1920
_STATURE_MM = 1750.0
_APART_MM = 4000.0
_MOST_SEEDS, _MOST_TRIED = 15, 5
_GOOD_FIT, _GOOD_BODIES = 0.7, 0.9
_LEAST_SHARE, _LEAST_INLIERS = 0.35, 0.5
_CERTAIN = 2.5  # standard errors from which on a delay is believed
_MOVED, _MOVED_PX = 1.8, 0.0015  # times, and share of the picture, by which a moved camera disagrees more than others
_MOVED_NOISE = 1.5  # of the usual error of a joint by which people seem shifted in a moved camera's picture
_TURN_SHIFT, _DELAY = slice(0, 6), 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleCalibration:
    """Cameras as people tell them.

    Attributes:
        rig: All cameras, those that could not be placed without a pose.
        solved: Names of the cameras that were placed here; in a repair, of those that were moved.
        missing: Name to the reason of each camera that could not be placed.
        rotation_sd_deg: Standard error of each solved camera's direction.
        position_sd_mm: Of its place.
        latency_sd_s: Of its delay.
        noise_px: Usual error of a detected joint with full score, per coordinate.
        inlier_share: Of a camera's joints, by name.
        joint_share: Of each joint of the skeleton, inliers among all.
        time_s: (M,) moments that were used.
        xyz_mm: (M, G, J, 3) joints of people in the rig's frame.
        who: (M, G) number of the person, -1 for nobody.
        statures_mm: (P,) of people in the rig's scale.
        findings: What to know about it.
        remarks: Sentences on what was assumed.
    """

    rig: CameraRig
    solved: tuple[str, ...]
    missing: Mapping[str, str]
    rotation_sd_deg: Mapping[str, float]
    position_sd_mm: Mapping[str, float]
    latency_sd_s: Mapping[str, float]
    noise_px: float
    inlier_share: Mapping[str, float]
    joint_share: Mapping[str, float]
    time_s: F64
    xyz_mm: F64
    who: I64
    statures_mm: F64
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]


def calibrate_from_people(
    lenses: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: Mapping[str, F64],
    config: PeopleConfig | None = None,
    reporter: Reporter | None = None,
) -> PeopleCalibration:
    """A rig from people alone; what is known of the cameras' poses is not looked at.

    Args:
        lenses: Cameras with their lenses.
        poses2d: Camera name to detections; P is not an identity.
        time_s: Camera name to (T,) recorded seconds of its pictures, from one start for all; NaN where there is none.
        config: Settings.
        reporter: Told of progress; asked whether to stop.

    Raises:
        CoreError: Fewer than two cameras with people, or no two of them that agree on any.
        CancelledError: The reporter asked to stop.
    """
    work = _Work.of(lenses, poses2d, time_s, config or PeopleConfig(), reporter or NullReporter())
    placed = work.place_all()
    people, joints, who, solution = work.refine(placed, work.everyone(placed.reached))
    return _first_rig(work, people, joints, who, solution)


def repair_from_people(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: Mapping[str, F64],
    moved: Sequence[str] = (),
    config: PeopleConfig | None = None,
    reporter: Reporter | None = None,
) -> PeopleCalibration:
    """New poses and delays for cameras that were moved; the others, and with them the world, stay as they are.

    Args:
        rig: As it was; an unposed camera counts as moved.
        poses2d: Camera name to detections.
        time_s: Camera name to (T,) recorded seconds of its pictures.
        moved: Names of the moved cameras; empty to find out.
        config: Settings.
        reporter: Told of progress; asked whether to stop.

    Raises:
        CoreError: Fewer than two cameras have stayed, it cannot be told which one moved, or none has.
        CancelledError: The reporter asked to stop.
    """
    for name in moved:
        rig[name]  # raises where there is no such camera
    work = _Work.of(rig, poses2d, time_s, config or PeopleConfig(), reporter or NullReporter())
    old = work.as_in_rig()
    at = np.array([c.name in moved for c in rig]) | ~old.reached
    if not moved and not at.any():
        at = work.find_moved(old)
    if not at.any():
        raise CoreError(
            "People's joints fit all cameras as they are: none seems to have moved.",
            "Name the moved camera if one was moved nevertheless.",
        )
    if (~at).sum() < 2:
        raise CoreError(
            "Fewer than two cameras have stayed where they were.",
            "Calibrate all cameras anew, from people or from a board.",
        )
    fixed = dataclasses.replace(old, reached=old.reached & ~at)
    placed = work.grow(fixed, fixed.reached, old)
    # A camera that was moved a little may be found from where it was, though no resection has fitted well enough.
    placed = dataclasses.replace(
        placed,
        R=np.where(placed.reached[:, None, None], placed.R, old.R),
        t_mm=np.where(placed.reached[:, None], placed.t_mm, old.t_mm),
        reached=placed.reached | old.reached,
    )
    while True:
        free = work.everyone(placed.reached & at)
        free[placed.reached & at, _DELAY] = work.config.latency
        people, joints, who, solution = work.refine(placed, free, (4.0, 2.0, 1.5))
        lost = placed.reached & at & (_share(solution) < _LEAST_INLIERS)
        if not lost.any():
            break
        placed = dataclasses.replace(placed, reached=placed.reached & ~lost)
    return _repaired(work, rig, at, people, joints, who, solution)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Work:
    """What all steps share."""

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
    ) -> _Work:
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
        at_s = _moments(tracks)
        if len(at_s) < _LEAST_MOMENTS:
            raise CoreError(
                f"Two cameras see people at the same time in {len(at_s)} moments only.",
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

    def nowhere(self) -> Placed:
        """No camera placed."""
        V = len(self.lenses)
        return Placed(
            R=np.tile(np.eye(3), (V, 1, 1)), t_mm=np.zeros((V, 3)), latency_s=np.zeros(V), reached=np.zeros(V, bool)
        )

    def pair(self, first: int, second: int, guess: Guess) -> Placed:
        """Two cameras, some metres apart as they mostly are."""
        placed = self.nowhere().with_camera(first, np.eye(3), np.zeros(3), 0.0)
        return placed.with_camera(second, guess.R, _APART_MM * guess.t_mm, guess.latency_s)

    def as_in_rig(self) -> Placed:
        """The cameras that have a pose, as they are."""
        placed = self.nowhere()
        for v, camera in enumerate(self.lenses):
            if camera.posed:
                placed = placed.with_camera(v, *camera.pose, camera.latency_s)
        return placed

    def everyone(self, views: np.ndarray) -> np.ndarray:
        """(V, 7) what is free: poses of these cameras, and their delays but for the first one's."""
        free = np.zeros((len(self.lenses), 7), bool)
        free[views, _TURN_SHIFT] = True
        if self.config.latency:
            free[np.flatnonzero(views)[1:], _DELAY] = True
        return free

    def matched(self, placed: Placed, at_s: F64, tolerance: float = 1.0) -> tuple[People, Joints, I64]:
        """People as the placed cameras agree on them."""
        people = group(self.tracks, placed, _spread(self.at_s, _COMPARED), tolerance * self.tolerance_px)
        joints, who = joints_of(self.tracks, placed, people, at_s)
        return people, joints, who

    def place_all(self) -> Placed:
        """First places of all cameras, from the pairs that agree best."""
        guesses = self._seeds()
        best: tuple[tuple[int, float], Placed] | None = None
        for n, (i, j, guess) in enumerate(guesses[:_MOST_TRIED]):
            check(self.reporter)
            self.reporter.progress(1 + n / _MOST_TRIED, 3, "Placing cameras")
            try:
                placed = self.grow(self.pair(i, j, guess), np.zeros(len(self.lenses), bool))
            except CoreError:
                continue
            fit, bodies = self._fit(placed), self._bodies(placed)
            key = (int(placed.reached.sum()), fit * bodies**2)
            if best is None or key > best[0]:
                best = key, placed
            if placed.reached.all() and fit > _GOOD_FIT and bodies > _GOOD_BODIES:
                break
        if best is None:
            raise CoreError(
                "No two cameras agree on the people that they see.",
                "Film one or two people who walk all over the place, in view of several cameras at a time.",
            )
        return best[1]

    def _fit(self, placed: Placed) -> float:
        """How far the tracks of all pairs of cameras agree, 0 to 1."""
        people, _, _ = self.matched(placed, self.at_s[:0])
        known = np.isfinite(people.agreement)
        return float(np.average(people.agreement[known], weights=people.shared[known])) if known.any() else 0.0

    def _bodies(self, placed: Placed) -> float:
        """How human the people are that the placed cameras see, 0 to 1."""
        _, joints, who = self.matched(placed, _spread(self.at_s, _FEW_MOMENTS), 2.0)
        if not who.size:
            return 0.0
        still = np.zeros((len(self.lenses), 7), bool)
        return human_share(_sure(solve(self.tracks, placed, joints, still, steps=1)), who, self.skeleton)

    def _seeds(self) -> list[tuple[int, int, Guess]]:
        """Pairs of cameras and how they might stand to each other, the most promising first."""
        at = _spread(self.at_s, _COMPARED)
        there = np.stack([_anyone(t, at) for t in self.tracks]).astype(float)
        shared = np.triu(there @ there.T, 1)
        order = np.argsort(-shared, axis=None)[:_MOST_SEEDS]
        found = []
        for i, j in (divmod(int(o), len(self.lenses)) for o in order):
            if shared[i, j] < _LEAST_MOMENTS:
                continue
            check(self.reporter)
            tolerance = float(self.tolerance_px[[i, j]].mean())
            guess = seed(
                self.tracks[i], self.tracks[j], at, tolerance, self.rng, LAGS_S if self.config.latency else (0.0,)
            )
            if guess is not None and guess.share >= _LEAST_SHARE:
                worth = guess.score * guess.share * _crossing(self.tracks[i], self.tracks[j], guess)
                found.append((worth * self._bodies(self.pair(i, j, guess)) ** 2, i, j, guess))
        found.sort(key=lambda f: -f[0])
        return [f[1:] for f in found]

    def grow(self, placed: Placed, fixed: np.ndarray, former: Placed | None = None) -> Placed:
        """Adds cameras one by one, the one that fits best first, and adjusts after each.

        Args:
            placed: At least two cameras.
            fixed: (V,) cameras that stay as they are.
            former: Where cameras once were.

        Raises:
            CoreError: The placed cameras agree on nobody.
        """
        at = _spread(self.at_s, _FEW_MOMENTS)
        size = float("nan") if not fixed.any() else 1.0
        usual = float(np.median(placed.latency_s[fixed])) if fixed.any() else 0.0
        lags = [usual + lag for lag in LAGS_S] if self.config.latency else [usual]
        while True:
            _, joints, who = self.matched(placed, at, 2.0)
            if not who.size or (who >= 0).sum() < _LEAST_MOMENTS:
                raise CoreError("The cameras agree on nobody.", "Film people where several cameras see them.")
            free = self.everyone(placed.reached & ~fixed)
            solution = solve(self.tracks, placed, joints, free, steps=8, loose=True)
            placed, xyz = solution.placed, solution.xyz_mm
            if not np.isfinite(size):
                size = mean_stature_mm(xyz, who, self.skeleton)
                if not np.isfinite(size):
                    raise CoreError("Nobody is seen whole.", "Film people from head to foot.")
                # Lengths near millimetres keep what is near and far apart meaningful.
                placed, xyz = placed.scaled(_STATURE_MM / size), xyz * (_STATURE_MM / size)
            good = np.where(((solution.weight > 0.25).sum(0) >= 2)[..., None], xyz, np.nan)
            guesses: dict[int, Guess] = {}
            for v in np.flatnonzero(~placed.reached):
                check(self.reporter)
                hint = None
                if former is not None and former.reached[v]:
                    hint = former.R[v], former.t_mm[v], float(former.latency_s[v])
                guess = resect(self.tracks[v], at, good, float(self.tolerance_px[v]), self.rng, hint, lags)
                if guess is not None and guess.share >= _LEAST_SHARE:
                    guesses[int(v)] = guess
            if not guesses:
                return placed
            v = max(guesses, key=lambda view: guesses[view].score)
            placed = placed.with_camera(v, guesses[v].R, guesses[v].t_mm, guesses[v].latency_s)

    def refine(
        self, placed: Placed, free: np.ndarray, tolerances: Sequence[float] = (2.0, 1.5)
    ) -> tuple[People, Joints, I64, Solution]:
        """The adjustment with all moments, people matched anew in between; delays are dropped where there are none."""
        for n, tolerance in enumerate(tolerances):
            check(self.reporter)
            self.reporter.progress(2 + n / len(tolerances), 3, "Adjusting cameras")
            people, joints, who = self.matched(placed, self.at_s, tolerance)
            solution = solve(self.tracks, placed, joints, free)
            placed = solution.placed
        late = free[:, _DELAY]
        usual = float(np.median(placed.latency_s[placed.reached & ~late])) if (placed.reached & ~late).any() else 0.0
        sd = np.sqrt(solution.covariance[:, _DELAY, _DELAY])
        if late.any() and (np.abs(placed.latency_s[late] - usual) < _CERTAIN * sd[late]).all():
            free, latency = free.copy(), placed.latency_s.copy()
            free[:, _DELAY], latency[late] = False, usual
            again = solve(self.tracks, dataclasses.replace(placed, latency_s=latency), joints, free)
            # What the delays' errors were is still worth telling.
            covariance = again.covariance.copy()
            covariance[:, _DELAY, _DELAY] = sd**2
            solution = dataclasses.replace(again, covariance=covariance)
        self.reporter.progress(3, 3, "Adjusting cameras")
        return people, joints, who, solution

    def find_moved(self, old: Placed) -> np.ndarray:
        """(V,) cameras that disagree with the others as they are in the rig.

        Raises:
            CoreError: It cannot be told.
        """
        V = len(self.lenses)
        if V < 3:
            raise CoreError("With two cameras it cannot be told which one moved.", "Name the camera that was moved.")
        moved = self._far_off(old)
        while (~moved).sum() > 2:
            found = self._slightly_off(dataclasses.replace(old, reached=old.reached & ~moved))
            if found is None:
                break
            moved[found] = True
        return moved

    def _far_off(self, old: Placed) -> np.ndarray:
        """(V,) cameras whose epipolar lines miss people by far more than those of the others."""
        apart = self._disagreement(old)
        moved = np.zeros(len(self.lenses), bool)
        while (~moved).sum() > 2:
            rest = np.flatnonzero(~moved)
            among = apart[np.ix_(rest, rest)]
            own = np.array([_median(np.delete(among[i], i)) for i in range(len(rest))])
            worst = int(np.argmax(own))
            others = np.delete(np.delete(among, worst, 0), worst, 1)
            usual = _median(others[np.triu_indices(len(rest) - 1, 1)])
            limit = max(_MOVED * usual, usual + _MOVED_PX * max(self.lenses[int(rest[worst])].size_px))
            if not own[worst] > limit:
                break
            moved[rest[worst]] = True
        return moved

    def _slightly_off(self, old: Placed) -> int | None:
        """The camera with which people fit best if it alone may move, where that moves its picture by enough."""
        at = _spread(self.at_s, _COMPARED)
        _, joints, who = self.matched(old, at, 4.0)
        if not who.size:
            return None
        views = np.flatnonzero(old.reached)
        sigma = solve(self.tracks, old, joints, self.everyone(old.reached), steps=8).sigma_px
        best: tuple[float, int, Solution] | None = None
        for v in views:
            check(self.reporter)
            free = np.zeros((len(self.lenses), 7), bool)
            free[v, _TURN_SHIFT], free[v, _DELAY] = True, self.config.latency
            solution = solve(self.tracks, old, joints, free, steps=10)
            loss = float(np.nanmean(np.log1p((solution.residual_px / (2.5 * sigma)) ** 2)))
            if best is None or loss < best[0]:
                best = loss, int(v), solution
        assert best is not None
        _, v, solution = best
        points = _sure(solution).reshape(-1, 3)
        points = points[np.isfinite(points).all(1)]
        flat = []
        for placed in (old, solution.placed):
            local = points @ placed.R[v].T + placed.t_mm[v]
            flat.append(local[:, :2] / np.maximum(local[:, 2:], 1.0))
        shift_px = self.tracks[v].focal_px * float(np.median(np.linalg.norm(flat[0] - flat[1], axis=-1)))
        return v if shift_px > max(_MOVED_PX * max(self.lenses[v].size_px), _MOVED_NOISE * sigma) else None

    def _disagreement(self, placed: Placed) -> F64:
        """(V, V) median epipolar distance between cameras, px, each track with the one that fits best; NaN without."""
        V = len(self.lenses)
        at = _spread(self.at_s, _COMPARED)
        samples = [all_tracks(t, at + placed.latency_s[v]) for v, t in enumerate(self.tracks)]
        out = np.full((V, V), np.nan)
        for i, j in itertools.combinations(range(V), 2):
            if not (placed.reached[i] and placed.reached[j]):
                continue
            R = placed.R[j] @ placed.R[i].T
            E = essential(R, placed.t_mm[j] - R @ placed.t_mm[i])
            focal = (self.tracks[i].focal_px, self.tracks[j].focal_px)
            out[i, j] = out[j, i] = _nearest_median(epipolar_px(E, samples[i].xy, samples[j].xy, focal))
        return out


def _nearest_median(distance_px: F64) -> float:
    """Median over joints of each track's distance to the track that is nearest to it all in all; (M, K, L, J)."""
    count = np.isfinite(distance_px).sum((0, 3))
    mean = np.where(count >= 24, np.nansum(distance_px, (0, 3)) / np.maximum(count, 1), np.inf)
    if not np.isfinite(mean).any():
        return float("nan")
    best = mean.argmin(1)
    rows = np.flatnonzero(np.isfinite(mean.min(1)))
    return float(np.nanmedian(distance_px[:, rows, best[rows]]))


def _median(values: F64) -> float:
    """Median of what is known; infinite where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.inf


def _bursts(time_s: F64) -> np.ndarray:
    """(T,) pictures to look at: all of a short take, evenly spread stretches of a long one."""
    known = np.isfinite(time_s)
    if known.sum() <= _MOST_PICTURES:
        return known
    start, end = float(np.nanmin(time_s)), float(np.nanmax(time_s))
    stretch = np.floor((np.where(known, time_s, start) - start) / _BURST_S).astype(int)
    count = int((end - start) // _BURST_S) + 1
    wanted = max(1, int(count * _MOST_PICTURES / known.sum()))
    chosen = np.unique(np.round(np.linspace(0, count - 1, wanted)).astype(int))
    return known & np.isin(stretch, chosen)


def _anyone(tracks: Tracks, at_s: F64) -> np.ndarray:
    """(M,) whether the camera shows somebody."""
    if not len(tracks.time_s) or not tracks.count:
        return np.zeros(len(at_s), bool)
    near = np.clip(np.searchsorted(tracks.time_s, at_s), 0, len(tracks.time_s) - 1)
    close = np.abs(tracks.time_s[near] - at_s) < tracks.reach_s
    return np.asarray((tracks.score > 0).any((1, 2))[near] & close)


def _moments(tracks: Sequence[Tracks]) -> F64:
    """(M,) true times, evenly spread, at which two cameras or more show somebody."""
    known = [t.time_s for t in tracks if t.count and len(t.time_s)]
    if len(known) < 2:
        return np.zeros(0)
    start, end = min(t[0] for t in known), max(t[-1] for t in known)
    # Of a short take, moments follow each other more closely, down to single pictures.
    picture_s = float(np.median(np.concatenate([np.diff(t) for t in known])))
    grid = np.arange(start, end, min(_STEP_S, max((end - start) / _WANTED_MOMENTS, picture_s)))
    shown = np.sum([_anyone(t, grid) for t in tracks], axis=0) >= 2
    return _spread(grid[shown], _MOST_MOMENTS)


def _spread(at_s: F64, most: int) -> F64:
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


def _first_rig(work: _Work, people: People, joints: Joints, who: I64, solution: Solution) -> PeopleCalibration:
    """The world frame and what there is to say about a rig that was made from nothing."""
    placed = solution.placed
    if work.config.latency and placed.reached.any():
        placed = dataclasses.replace(placed, latency_s=placed.latency_s - np.median(placed.latency_s[placed.reached]))
    local = _rig(work.lenses, placed, placed.reached)
    sure = _sure(solution)
    world = world_of(local, sure, who, work.skeleton)
    scale, words = _scale(work.config, local, world)
    change = dataclasses.replace(world.change, scale=scale)
    rig = change.rig(local)
    rig = dataclasses.replace(rig, source=f"Calibrated from people walking. {words} {world.remark}")
    missing = {name: _reason(work, v) for v, name in enumerate(work.lenses.names) if not placed.reached[v]}
    return _result(
        work,
        rig,
        placed.reached,
        solution,
        joints,
        who,
        change.points(sure),
        scale,
        world,
        missing,
        (words, world.remark),
    )


def _repaired(
    work: _Work, rig: CameraRig, moved: np.ndarray, people: People, joints: Joints, who: I64, solution: Solution
) -> PeopleCalibration:
    """What there is to say about a rig of which some cameras were placed anew."""
    placed = solution.placed
    fresh = _rig(work.lenses, placed, placed.reached & moved)
    cameras = tuple(fresh[v] if moved[v] else rig[v] for v in range(len(rig)))
    names = [n for v, n in enumerate(rig.names) if moved[v]]
    solved = [n for v, n in enumerate(rig.names) if moved[v] and placed.reached[v]]
    words = f"Placed anew from people walking: {', '.join(solved) or 'none'}; the other cameras stayed as they were."
    out = CameraRig(cameras=cameras, created=rig.created, source=f"{rig.source} {words}".strip())
    missing = {n: _reason(work, work.lenses.names.index(n)) for n in names if n not in solved}
    sure = _sure(solution)
    posed = CameraRig(cameras=tuple(c for c in cameras if c.posed))
    try:
        world = world_of(posed, sure, who, work.skeleton)
    except CoreError:
        world = None  # people seen in part only: enough to place a camera in a world that is known
    return _result(work, out, placed.reached & moved, solution, joints, who, sure, 1.0, world, missing, (words,))


def _share(solution: Solution) -> F64:
    """(V,) share of inliers among a camera's joints, 0 where it shows none."""
    seen = np.isfinite(solution.residual_px)
    return np.asarray(solution.ordinary.sum((1, 2, 3)) / np.maximum(seen.sum((1, 2, 3)), 1))


def _sure(solution: Solution) -> F64:
    """(M, G, J, 3) joints on which two cameras agree."""
    return np.where((solution.ordinary.sum(0) >= 2)[..., None], solution.xyz_mm, np.nan)


def _rig(lenses: CameraRig, placed: Placed, views: np.ndarray) -> CameraRig:
    cameras = [
        c.replace(R=placed.R[v], t_mm=placed.t_mm[v], latency_s=float(placed.latency_s[v]), rmse_px=None)
        if views[v]
        else c.replace(R=None, t_mm=None, rmse_px=None)
        for v, c in enumerate(lenses)
    ]
    return CameraRig(cameras=tuple(cameras), created=lenses.created)


def _scale(config: PeopleConfig, rig: CameraRig, world: FloorFromPeople) -> tuple[float, str]:
    """What a length has to be multiplied by, and a sentence on why."""
    if config.distance_mm > 0:
        if len(config.between) != 2:
            raise CoreError("A distance is between two cameras.", "Name the two cameras in `between`.")
        first, second = config.between
        pair = [rig[first], rig[second]]
        apart = float(np.linalg.norm(pair[0].centre_mm - pair[1].centre_mm)) if all(c.posed for c in pair) else 0.0
        if apart < 1:
            raise CoreError(
                f"The distance of {first} and {second} cannot set the scale: one of them could not be placed.",
                "Give the distance of two other cameras, or people's stature.",
            )
        return (
            config.distance_mm / apart,
            f"The scale is from {first} and {second} being {config.distance_mm:g} mm apart.",
        )
    stature = config.stature_mm if config.stature_mm > 0 else _STATURE_MM
    how = (
        f"The scale is from people being {stature / 1000:.2f} m tall on average, as was given."
        if config.stature_mm > 0
        else f"The scale is assumed: people were taken to be {stature / 1000:.2f} m tall on average."
    )
    return stature / world.stature_mm, how


def _reason(work: _Work, view: int) -> str:
    if not work.tracks[view].count:
        return "It shows nobody for long enough."
    return "The people that it shows fit none that the other cameras agree on."


def _result(
    work: _Work,
    rig: CameraRig,
    solved: np.ndarray,
    solution: Solution,
    joints: Joints,
    who: I64,
    xyz_mm: F64,
    scale: float,
    world: FloorFromPeople | None,
    missing: dict[str, str],
    remarks: tuple[str, ...],
) -> PeopleCalibration:
    """Puts figures and findings together."""
    names = [n for v, n in enumerate(rig.names) if solved[v]]
    covariance = {n: solution.covariance[rig.names.index(n)] for n in names}
    seen = np.isfinite(solution.residual_px)
    share = {
        n: float(solution.ordinary[v].sum() / max(seen[v].sum(), 1)) for v, n in enumerate(rig.names) if rig[n].posed
    }
    rms = {
        n: float(np.sqrt(np.mean(solution.residual_px[v][solution.ordinary[v]] ** 2)))
        for v, n in enumerate(rig.names)
        if solved[v] and solution.ordinary[v].any()
    }
    cameras = tuple(c.replace(rmse_px=round(rms[c.name], 3)) if c.name in rms else c for c in rig)
    rig = dataclasses.replace(rig, cameras=cameras)
    out = PeopleCalibration(
        rig=rig,
        solved=tuple(names),
        missing=missing,
        rotation_sd_deg={n: float(np.degrees(np.sqrt(np.trace(c[:3, :3])))) for n, c in covariance.items()},
        position_sd_mm={n: float(scale * np.sqrt(np.trace(c[3:6, 3:6]))) for n, c in covariance.items()},
        latency_sd_s={n: float(np.sqrt(c[_DELAY, _DELAY])) for n, c in covariance.items()},
        noise_px=solution.sigma_px,
        inlier_share=share,
        joint_share={
            name: float(solution.ordinary[..., j].sum() / max(seen[..., j].sum(), 1))
            for j, name in enumerate(work.skeleton.joints)
        },
        time_s=joints.at_s,
        xyz_mm=xyz_mm,
        who=who,
        statures_mm=scale * world.statures_mm if world is not None else np.zeros(0),
        findings=(),
        remarks=remarks,
    )
    measured = Measured(
        rig=rig,
        missing=missing,
        rotation_sd_deg=out.rotation_sd_deg,
        position_sd_mm=out.position_sd_mm,
        latency_sd_s=out.latency_sd_s,
        latency=work.config.latency,
        noise_px=out.noise_px,
        inlier_share=share,
        moments=int((who >= 0).any(1).sum()) if who.size else 0,
        area_m2=world.area * scale**2 / 1e6 if world is not None else float("nan"),
        tilt_deg=world.tilt_deg if world is not None else float("nan"),
        scale=remarks[0] if remarks[0].startswith("The scale") else "",
    )
    return dataclasses.replace(out, findings=judge(measured))
