"""Registration of cameras from 2D poses: a first pair by epipolar geometry, the others by resection, one by one.

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
from core.calibration.people.config import DEFAULT_STATURE_MM, PeopleConfig
from core.calibration.people.matching import (
    TIME_OFFSETS_S,
    PoseHypothesis,
    TrackGroups,
    assign_tracks,
    estimate_relative_pose,
    group_tracks,
    resect_camera,
)
from core.calibration.people.tracks import Tracks, track_camera
from core.calibration.people.world import mean_stature_mm, plausible_bone_share
from core.errors import CoreError
from core.progress import Reporter, check
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton

MAX_COMPARED_FRAMES = 120
"""Sufficient number of frames to compare tracks."""
_STEP_S = 0.18  # between frames, so that their joints come from different images
_MIN_FRAMES, _WANTED_FRAMES, _COARSE_FRAMES, _MAX_FRAMES = 8, 80, 90, 300
_MAX_IMAGES, _BURST_S = 3000, 8.0  # number of images per camera, in bursts of this length
_TOLERANCE = 0.0065  # largest error of a joint relative to the longer image side, about 12 px of 1920
_BASELINE_MM = 4000.0  # assumed distance of the first pair until stature determines the scale
_MAX_PAIRS, _MAX_TRIED_PAIRS = 15, 5
_GOOD_AGREEMENT, _GOOD_BODIES = 0.7, 0.9  # sufficient to try no further pair
_MIN_SHARE = 0.35  # inlier share of a pose hypothesis
_SIGNIFICANCE = 2.5  # in standard errors, for the acceptance of a time offset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleRegistration:
    """Recording with the steps of the registration of its cameras.

    Attributes:
        cameras: Cameras with intrinsics.
        tracks: (V,) tracks of people in each camera.
        skeleton: Skeleton of the tracks.
        at_s: (M,) times of the frames in which at least two cameras see people.
        tolerance_px: (V,) largest error of an inlier joint.
        config: Settings.
        reporter: Receiver of progress, which may cancel.
        rng: Random generator.
    """

    cameras: CameraRig
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
        cameras: CameraRig,
        poses2d: Mapping[str, Pose2D],
        time_s: Mapping[str, F64],
        config: PeopleConfig,
        reporter: Reporter,
    ) -> PeopleRegistration:
        """Track the people of every camera and choose the frames.

        Raises:
            CoreError: A camera without 2D poses, or too few frames in which two cameras see people.
        """
        missing = [n for n in cameras.names if n not in poses2d or n not in time_s]
        if missing:
            raise CoreError(f"Camera {missing[0]} has no 2D poses.", "Run the 2D pose estimator on the take first.")
        if len(cameras) < 2:
            raise CoreError("The rig has one camera.", "Calibration from people needs at least two.")
        skeletons = {poses2d[n].skeleton.name: poses2d[n].skeleton for n in cameras.names}
        if len(skeletons) > 1:
            raise CoreError(
                f"The 2D poses have different joint sets: {', '.join(sorted(skeletons))}.",
                "Run one 2D pose estimator on all cameras.",
            )
        tracks = []
        for v, camera in enumerate(cameras):
            check(reporter)
            reporter.progress(v, 3 * len(cameras), "Tracking people in each camera")
            times = np.asarray(time_s[camera.name], float)
            tracks.append(track_camera(camera, poses2d[camera.name], times, _choose_images(times)))
        at_s = _choose_frames(tracks)
        if len(at_s) < _MIN_FRAMES:
            raise CoreError(
                f"Two cameras see people at the same time in {len(at_s)} frames only, expected at least {_MIN_FRAMES}.",
                "Film people who walk where several cameras see them, for half a minute or more.",
            )
        return cls(
            cameras=cameras,
            tracks=tuple(tracks),
            skeleton=next(iter(skeletons.values())),
            at_s=at_s,
            tolerance_px=np.array([_TOLERANCE * max(c.size_px) for c in cameras]),
            config=config,
            reporter=reporter,
        )

    def unregistered(self) -> CameraPoses:
        """Return poses without any registered camera."""
        V = len(self.cameras)
        return CameraPoses(
            R=np.tile(np.eye(3), (V, 1, 1)),
            t_mm=np.zeros((V, 3)),
            time_offset_s=np.zeros(V),
            registered=np.zeros(V, bool),
        )

    def pair_poses(self, first: int, second: int, relative: PoseHypothesis) -> CameraPoses:
        """Return the poses of two cameras at the assumed baseline."""
        poses = self.unregistered().with_camera(first, np.eye(3), np.zeros(3), 0.0)
        return poses.with_camera(second, relative.R, _BASELINE_MM * relative.t_mm, relative.time_offset_s)

    def rig_poses(self) -> CameraPoses:
        """Return the poses of the rig; unposed cameras are not registered."""
        poses = self.unregistered()
        for v, camera in enumerate(self.cameras):
            if camera.posed:
                poses = poses.with_camera(v, *camera.pose, camera.time_offset_s)
        return poses

    def free_parameters(self, views: np.ndarray) -> np.ndarray:
        """Return the mask (V, 7) of the poses of these cameras, and of their time offsets except that of the first."""
        free = np.zeros((len(self.cameras), 7), bool)
        free[views, POSE] = True
        if self.config.time_offset:
            free[np.flatnonzero(views)[1:], TIME_OFFSET] = True
        return free

    def match_people(
        self, poses: CameraPoses, at_s: F64, tolerance: float = 1.0
    ) -> tuple[TrackGroups, TrackAssignment, I64]:
        """Match people between the registered cameras; see `group_tracks` and `assign_tracks`."""
        groups = group_tracks(
            self.tracks, poses, subsample(self.at_s, MAX_COMPARED_FRAMES), tolerance * self.tolerance_px
        )
        joints, person = assign_tracks(self.tracks, poses, groups, at_s)
        return groups, joints, person

    def register_all(self) -> CameraPoses:
        """Register as many cameras as possible, starting from the most promising pairs.

        Raises:
            CoreError: No pair of cameras agrees on any person.
        """
        pairs = self._initial_pairs()
        best: tuple[tuple[int, float], CameraPoses] | None = None
        for n, (i, j, relative) in enumerate(pairs[:_MAX_TRIED_PAIRS]):
            check(self.reporter)
            self.reporter.progress(1 + n / _MAX_TRIED_PAIRS, 3, "Registering cameras")
            try:
                poses = self.extend(self.pair_poses(i, j, relative), np.zeros(len(self.cameras), bool))
            except CoreError:
                continue
            agreement, bodies = self._agreement(poses), self._body_plausibility(poses)
            key = (int(poses.registered.sum()), agreement * bodies**2)
            if best is None or key > best[0]:
                best = key, poses
            if poses.registered.all() and agreement > _GOOD_AGREEMENT and bodies > _GOOD_BODIES:
                break
        if best is None:
            raise CoreError(
                "No two cameras agree on the people that they see.",
                "Film one or two people who walk over all of the floor, in view of several cameras at a time.",
            )
        return best[1]

    def _agreement(self, poses: CameraPoses) -> float:
        """Return the agreement of the tracks of all pairs of cameras, 0 to 1."""
        groups, _, _ = self.match_people(poses, self.at_s[:0])
        known = np.isfinite(groups.agreement)
        return float(np.average(groups.agreement[known], weights=groups.shared[known])) if known.any() else 0.0

    def _body_plausibility(self, poses: CameraPoses) -> float:
        """Return the fraction of plausible bones of people in the views of registered cameras."""
        _, joints, person = self.match_people(poses, subsample(self.at_s, _COARSE_FRAMES), 2.0)
        if not person.size:
            return 0.0
        fixed = np.zeros((len(self.cameras), 7), bool)
        solution = adjust_people(self.tracks, poses, joints, fixed, max_steps=1)
        return plausible_bone_share(solution.agreed_mm, person, self.skeleton)

    def _initial_pairs(self) -> list[tuple[int, int, PoseHypothesis]]:
        """Return pairs of cameras and their relative poses, the most promising first."""
        at = subsample(self.at_s, MAX_COMPARED_FRAMES)
        occupied = np.stack([_sees_people(t, at) for t in self.tracks]).astype(float)
        shared = np.triu(occupied @ occupied.T, 1)
        order = np.argsort(-shared, axis=None)[:_MAX_PAIRS]
        time_offsets_s = TIME_OFFSETS_S if self.config.time_offset else (0.0,)
        found = []
        for i, j in (divmod(int(o), len(self.cameras)) for o in order):
            if shared[i, j] < _MIN_FRAMES:
                continue
            check(self.reporter)
            tolerance = float(self.tolerance_px[[i, j]].mean())
            relative = estimate_relative_pose(self.tracks[i], self.tracks[j], at, tolerance, self.rng, time_offsets_s)
            if relative is not None and relative.share >= _MIN_SHARE:
                support = relative.score * relative.share * _ray_angle_sine(self.tracks[i], self.tracks[j], relative)
                bodies = self._body_plausibility(self.pair_poses(i, j, relative))
                found.append((support * bodies**2, i, j, relative))
        found.sort(key=lambda f: -f[0])
        return [f[1:] for f in found]

    def extend(self, poses: CameraPoses, fixed: np.ndarray, former: CameraPoses | None = None) -> CameraPoses:
        """Register further cameras one by one, the best-supported first, with an adjustment after each.

        Args:
            poses: Poses of at least two cameras.
            fixed: (V,) mask of cameras with fixed pose.
            former: Former poses of the other cameras, as additional hypotheses.

        Raises:
            CoreError: The registered cameras agree on no person.
        """
        at = subsample(self.at_s, _COARSE_FRAMES)
        scaled = bool(fixed.any())  # fixed cameras define the scale
        typical = float(np.median(poses.time_offset_s[fixed])) if fixed.any() else 0.0
        time_offsets_s = [typical + s for s in TIME_OFFSETS_S] if self.config.time_offset else [typical]
        while True:
            _, joints, person = self.match_people(poses, at, 2.0)
            if not person.size or (person >= 0).sum() < _MIN_FRAMES:
                raise CoreError("The cameras agree on no person.", "Film people where several cameras see them.")
            free = self.free_parameters(poses.registered & ~fixed)
            solution = adjust_people(self.tracks, poses, joints, free, max_steps=8, coarse=True)
            poses, xyz = solution.poses, solution.xyz_mm
            if not scaled:
                stature = mean_stature_mm(xyz, person, self.skeleton)
                if not np.isfinite(stature):
                    raise CoreError("No person is completely visible.", "Film people from head to foot.")
                # Limits in mm, such as the smallest depth, require approximately true lengths.
                factor = DEFAULT_STATURE_MM / stature
                poses, xyz, scaled = poses.scaled(factor), xyz * factor, True
            agreed = np.where((solution.inlier.sum(0) >= 2)[..., None], xyz, np.nan)
            found: dict[int, PoseHypothesis] = {}
            for v in np.flatnonzero(~poses.registered).tolist():
                check(self.reporter)
                start = None
                if former is not None and former.registered[v]:
                    start = former.R[v], former.t_mm[v], float(former.time_offset_s[v])
                hypothesis = resect_camera(
                    self.tracks[v], at, agreed, float(self.tolerance_px[v]), self.rng, start, time_offsets_s
                )
                if hypothesis is not None and hypothesis.share >= _MIN_SHARE:
                    found[v] = hypothesis
            if not found:
                return poses
            view, best = max(found.items(), key=lambda item: item[1].score)
            poses = poses.with_camera(view, best.R, best.t_mm, best.time_offset_s)

    def refine(
        self, poses: CameraPoses, free: np.ndarray, tolerances: Sequence[float] = (2.0, 1.5)
    ) -> tuple[TrackAssignment, I64, PeopleSolution]:
        """Adjust all frames; people are matched again between adjustments.

        If no time offset differs significantly from that of the fixed cameras, all are discarded, but their errors are
        reported.

        Args:
            poses: Initial poses.
            free: (V, 7) mask of free parameters.
            tolerances: Tolerance of each round of matching, in units of `tolerance_px`.
        """
        for n, tolerance in enumerate(tolerances):
            check(self.reporter)
            self.reporter.progress(2 + n / len(tolerances), 3, "Adjusting cameras")
            _, joints, person = self.match_people(poses, self.at_s, tolerance)
            solution = adjust_people(self.tracks, poses, joints, free)
            poses = solution.poses
        estimated = free[:, TIME_OFFSET]
        reference = poses.registered & ~estimated
        typical = float(np.median(poses.time_offset_s[reference])) if reference.any() else 0.0
        sd = np.sqrt(solution.covariance[:, TIME_OFFSET, TIME_OFFSET])
        insignificant = np.abs(poses.time_offset_s[estimated] - typical) < _SIGNIFICANCE * sd[estimated]
        if estimated.any() and insignificant.all():
            free, time_offset_s = free.copy(), poses.time_offset_s.copy()
            free[:, TIME_OFFSET], time_offset_s[estimated] = False, typical
            without = adjust_people(self.tracks, dataclasses.replace(poses, time_offset_s=time_offset_s), joints, free)
            covariance = without.covariance.copy()
            covariance[:, TIME_OFFSET, TIME_OFFSET] = sd**2
            solution = dataclasses.replace(without, covariance=covariance)
        self.reporter.progress(3, 3, "Adjusting cameras")
        return joints, person, solution


def subsample(at_s: F64, count: int) -> F64:
    """Return at most `count` evenly spaced times."""
    if len(at_s) <= count:
        return at_s
    return np.asarray(at_s[np.round(np.linspace(0, len(at_s) - 1, count)).astype(int)])


def _choose_images(time_s: F64) -> np.ndarray:
    """Return the mask (T,) of images to use: all of a short take, evenly spaced bursts of a long one."""
    known = np.isfinite(time_s)
    if known.sum() <= _MAX_IMAGES:
        return known
    start, end = float(np.nanmin(time_s)), float(np.nanmax(time_s))
    stretch = np.floor((np.where(known, time_s, start) - start) / _BURST_S).astype(int)
    count = int((end - start) // _BURST_S) + 1
    wanted = max(1, int(count * _MAX_IMAGES / known.sum()))
    chosen = np.unique(np.round(np.linspace(0, count - 1, wanted)).astype(int))
    return known & np.isin(stretch, chosen)


def _sees_people(tracks: Tracks, at_s: F64) -> np.ndarray:
    """Return the mask (M,) of times at which the camera sees a person."""
    if not len(tracks.time_s) or not tracks.count:
        return np.zeros(len(at_s), bool)
    near = np.clip(np.searchsorted(tracks.time_s, at_s), 0, len(tracks.time_s) - 1)
    close = np.abs(tracks.time_s[near] - at_s) < tracks.reach_s
    return np.asarray(np.asarray((tracks.score > 0).any((1, 2)))[near] & close)


def _choose_frames(tracks: Sequence[Tracks]) -> F64:
    """Return the times (M,) of evenly spaced frames in which at least two cameras see people."""
    known = [t.time_s for t in tracks if t.count and len(t.time_s)]
    if len(known) < 2:
        return np.zeros(0)
    start, end = min(t[0] for t in known), max(t[-1] for t in known)
    # Frames of a short take are closer, down to the image period.
    image_s = float(np.median(np.concatenate([np.diff(t) for t in known])))
    grid = np.arange(start, end, min(_STEP_S, max((end - start) / _WANTED_FRAMES, image_s)))
    seen = np.sum([_sees_people(t, grid) for t in tracks], axis=0) >= 2
    return subsample(grid[seen], _MAX_FRAMES)


def _ray_angle_sine(first: Tracks, second: Tracks, relative: PoseHypothesis) -> float:
    """Return the sine of the angle between the rays to people, since nearly parallel rays locate points badly."""
    rays = []
    for t in (first, second):
        ray = np.append(np.nanmedian(t.xy.reshape(-1, 2), axis=0), 1.0)
        rays.append(ray / np.linalg.norm(ray))
    return float(np.linalg.norm(np.cross(relative.R @ rays[0], rays[1]))) + 0.05
