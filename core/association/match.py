"""Multi-view association: detections of all views that show the same person.

Letters in shapes: V view, J joint, D detection columns of a view, N detections of a frame over all views, C candidate
people, T time, P person.

Candidates of a frame are generated from pairs of detections of different views whose rays intersect joint by joint, and
from the people of previous frames. Each candidate is matched with the best detection of every view and triangulated
again. Candidates are then selected by total support, each detection belonging to at most one person. Candidate
generation from view pairs follows RapidPoseTriangulation (arXiv 2503.21692); selection by total support over all views
follows COMPOSE (arXiv 2601.09698).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.association.bias import RIG_WARNING, camera_biases, widen_gates
from core.association.candidates import pair_candidates, plausible_people
from core.association.config import AssociationConfig
from core.association.limits import PlaceLimits
from core.association.robust import triangulate_people
from core.association.support import (
    FrameDetections,
    best_per_view,
    collect_detections,
    detection_support,
    intersect_members,
    joint_agreement,
)
from core.association.views import StreamedViews, TakeViews, ViewGeometry
from core.config import to_mapping
from core.geometry import inside, project
from core.progress import Reporter, StageReporter, check
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D, StoredPose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import Skeleton

_PAIR_QUALITY = 0.25  # Minimum mean agreement of two detections for a candidate.
_GOOD_QUALITY = 0.5  # Mean agreement above which a detection needs no new candidate, and two of three views suffice.
_BETTER_QUALITY = 0.75  # As _PAIR_QUALITY, for detections that already fit different people.
_FULL_SEARCH_S = 1.0  # Interval of full searches, which correct persistent errors.
_MATCHING = "Matching people across views"
_BLOCK_FRAMES = 20  # Frames per batch of collected detections.
_PEELED_JOINTS = 0.25  # Largest fraction of joints to exclude before the plausibility test; at least one joint.
_VISIBLE = 0.6  # Fraction of joints inside the image above which a camera should see a person.


@dataclass(frozen=True, slots=True, eq=False)
class _Expected:
    """People of previous frames.

    Attributes:
        xyz_mm: (M, J, 3) joints.
        supported_s: (M,) time of the last frame with good support.
    """

    xyz_mm: F64
    supported_s: F64

    def __getitem__(self, rows: np.ndarray) -> _Expected:
        return _Expected(self.xyz_mm[rows], self.supported_s[rows])


class FrameAssociator:
    """Associates the detections of successive frame sets.

    People of previous frames are candidates in the next one. Only past frames are used, so this works on live streams.
    """

    def __init__(self, geometry: ViewGeometry, config: AssociationConfig) -> None:
        self._geometry, self._config = geometry, config
        self._limits = PlaceLimits(geometry.rig, config)
        self._expected = _Expected(np.zeros((0, len(geometry.skeleton), 3)), np.zeros(0))
        self._searched_s = -np.inf

    def update(self, time_s: float, views: TakeViews) -> I64:
        """Associate the detections of the next frame set.

        Args:
            time_s: Time of the frame set, later than the previous one.
            views: Detections of this one frame set.

        Returns:
            (P, V) detection column of each person in each view, -1 where there is none. The order of people is
            arbitrary.
        """
        (detections,) = collect_detections(self._geometry, views.ideal, views.weight, self._config)
        return self.update_collected(time_s, detections)

    def update_collected(self, time_s: float, detections: FrameDetections) -> I64:
        """Associate collected detections; see `update`."""
        full_search = time_s - self._searched_s >= _FULL_SEARCH_S
        if full_search:
            self._searched_s = time_s
        self._expected = self._expected[time_s - self._expected.supported_s <= self._config.memory_s]
        columns, self._expected = _match_frame(
            self._geometry, detections, time_s, self._expected, self._config, self._limits, full_search=full_search
        )
        return columns


def associate_take(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D | StoredPose2D],
    time_s: F64,
    config: AssociationConfig,
    reporter: Reporter,
) -> Pose3DSequence:
    """Associate and triangulate the people of every frame, without identity over time.

    If the detections of a camera have a large bias over the take, its gate is widened and the association repeated; the
    provenance records this.

    Args:
        rig: Posed cameras.
        poses2d: Detections by camera name, all of the same length and skeleton.
        time_s: (T,) times.
        config: Settings.
        reporter: Receives progress and cancels.

    Returns:
        People of each frame in arbitrary columns.

    Raises:
        CoreError: The 2D poses do not match the rig or each other.
    """
    views = StreamedViews.build(rig, poses2d, config)
    members = match_take(views, time_s, config, StageReporter(reporter, 0.0, 0.5))
    biases = camera_biases(views, members)
    widened = widen_gates(views, biases, config)
    if widened is not views:
        views, members = widened, match_take(widened, time_s, config, StageReporter(reporter, 0.5, 0.5))
    reporter.progress(1, 1, _MATCHING)
    people = triangulate_people(views, members)
    return Pose3DSequence(
        skeleton=views.geometry.skeleton,
        time_s=time_s,
        xyz_mm=people.xyz_mm,
        score=people.score,
        person_ids=tuple(range(1, members.shape[1] + 1)),
        covariance_mm2=people.covariance_mm2,
        provenance={
            "method": "triangulation",
            "config": {"association": to_mapping(config)},
            "rig": rig.digest,
            "camera_bias_px": biases.to_mapping(),
            RIG_WARNING: biases.warning,
        },
    )


def match_take(views: TakeViews | StreamedViews, time_s: F64, config: AssociationConfig, reporter: Reporter) -> I64:
    """Return the detection column (T, P, V) of every person of every frame in every view, -1 where there is none."""
    associator = FrameAssociator(views.geometry, config)
    frames: list[I64] = []
    for of_block, part in views.blocks():
        for start in range(0, len(part), _BLOCK_FRAMES):
            check(reporter)
            reporter.progress(of_block.start + start, len(views), _MATCHING)
            block = slice(start, start + _BLOCK_FRAMES)
            collected = collect_detections(part.geometry, part.ideal[block], part.weight[block], config)
            for now_s, detections in zip(time_s[of_block][block].tolist(), collected, strict=True):
                frames.append(associator.update_collected(now_s, detections))
    reporter.progress(len(views), len(views), _MATCHING)
    n_people = max((len(f) for f in frames), default=0)
    out = np.full((len(frames), n_people, len(views.geometry)), -1, np.int64)
    for t, columns in enumerate(frames):
        out[t, : len(columns)] = columns
    return out


def _match_frame(
    geometry: ViewGeometry,
    detections: FrameDetections,
    now_s: float,
    memory: _Expected,
    config: AssociationConfig,
    limits: PlaceLimits,
    *,
    full_search: bool,
) -> tuple[I64, _Expected]:
    """Return the detection columns (P, V) of one frame, and the people expected in the next."""
    none = np.zeros((0, len(geometry)), np.int64)
    if detections.n < 2:
        return none, memory
    support = detection_support(geometry, detections, memory.xyz_mm)
    continued = best_per_view(detections, support)
    explained = _explained(detections, support, continued)
    # Pairs that fit the same person are skipped; a full search also tries pairs that fit different people.
    candidates = np.zeros((0, len(geometry.skeleton), 3))
    if full_search or (explained < 0).any():
        a, b = np.triu_indices(detections.n, 1)
        known = (explained[a] >= 0) & (explained[b] >= 0)
        if full_search:
            known &= explained[a] == explained[b]
        new = np.flatnonzero((detections.view[a] != detections.view[b]) & ~known)
        least = np.where((explained[a[new]] >= 0) & (explained[b[new]] >= 0), _BETTER_QUALITY, _PAIR_QUALITY)
        candidates = pair_candidates(geometry, detections, a[new], b[new], least, config, limits)
    sets = continued[(continued >= 0).sum(1) >= 2]
    if len(candidates) or not _disjoint(sets, detections.n):
        gathered = best_per_view(detections, detection_support(geometry, detections, candidates))
        sets = np.concatenate([sets, gathered[(gathered >= 0).sum(1) >= 2]])
        sets = np.unique(sets, axis=0)
        xyz = intersect_members(geometry, detections, sets)
        sets = sets[_select(detections, xyz, detection_support(geometry, detections, xyz), config, limits)]
    if not len(sets):
        return none, memory
    members, xyz = sets, intersect_members(geometry, detections, sets)
    if len(candidates) or (explained < 0).any():
        members, xyz = _reassign(geometry, detections, xyz, members, config)
    return _accept(geometry, now_s, detections, members, xyz, memory, config, limits)


def _explained(detections: FrameDetections, support: F64, sets: I64) -> I64:
    """Return the expected person of two or more views that each detection (N,) fits well, -1 for none."""
    out = np.full(detections.n, -1, np.int64)
    person, view = np.nonzero((sets >= 0) & ((sets >= 0).sum(1) >= 2)[:, None])
    rows = sets[person, view]
    good = support[person, rows] > _GOOD_QUALITY * detections.weight.take(rows, axis=0).sum(-1)
    out[rows[good] % detections.n] = person[good]
    return out


def _disjoint(sets: I64, n: int) -> bool:
    """Return True if no detection belongs to two of the people (C, V)."""
    return bool(np.bincount(sets[sets >= 0] % n, minlength=1).max() <= 1)


def _select(detections: FrameDetections, xyz: F64, support: F64, config: AssociationConfig, limits: PlaceLimits) -> I64:
    """Select candidates greedily by support, without shared detections or duplicate people; return their indices."""
    alive = np.isfinite(xyz[..., 0]).sum(-1) >= config.min_joints
    n = detections.n
    # Each detection counts once, with the better of its two side assignments.
    either = np.maximum(np.maximum(support[:, :n], support[:, n:]), 0.0)
    of_views = [rows for rows in detections.of_view if rows.stop > rows.start]
    starts = [rows.start for rows in of_views]
    merge_mm, _ = limits.at(xyz)
    selected: list[int] = []
    while alive.any():
        best = np.maximum.reduceat(either, starts, axis=1)
        alive &= (best > 0).sum(1) >= config.min_views
        if not alive.any():
            break
        winner = int(np.where(alive, best.sum(1), -np.inf).argmax())
        selected.append(winner)
        for v in np.flatnonzero(best[winner] > 0):
            either[:, of_views[v].start + int(either[winner, of_views[v]].argmax())] = 0.0
        alive &= _mean_distance(xyz, xyz[[winner]])[:, 0] > merge_mm[winner]
    return np.array(selected, np.int64)


def _mean_distance(xyz: F64, other: F64) -> F64:
    """Return the mean distance (C, M) of shared joints of poses (C, J, 3) and (M, J, 3); inf without any."""
    # Coordinates are separate because a sum over an axis of length 3 is several times slower.
    axes, other_axes = (np.ascontiguousarray(a.transpose(2, 0, 1)) for a in (xyz, other))
    gap = axes[:, :, None] - other_axes[:, None]
    gap *= gap
    distance = np.sqrt(gap[0] + gap[1] + gap[2])  # (C, M, J)
    n_known = np.isfinite(axes[0]).astype(float) @ np.isfinite(other_axes[0]).astype(float).T
    total = np.where(np.isfinite(distance), distance, 0.0) @ np.ones(distance.shape[-1])
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.inf)


def _reassign(
    geometry: ViewGeometry, detections: FrameDetections, xyz: F64, before: I64, config: AssociationConfig
) -> tuple[I64, F64]:
    """Assign detections to people (P, J, 3) optimally per view, in at most two iterations.

    Args:
        geometry: Cameras.
        detections: Detections of the frame.
        xyz: (P, J, 3) joints triangulated from the detections `before`.
        before: (P, V) previous detections of the people.
        config: Settings.

    Returns:
        Detections (P, V) of the people with enough views, and the joints (P, J, 3) triangulated from them.
    """
    for _ in range(2):
        members = _assign(detections, detection_support(geometry, detections, xyz))
        members = members[(members >= 0).sum(1) >= config.min_views]
        if np.array_equal(members, before):
            break
        before, xyz = members, intersect_members(geometry, detections, members)
    return members, xyz


def _assign(detections: FrameDetections, support: F64) -> I64:
    """Return the one-to-one assignment (P, V) of detections to people with the highest total support (P, 2N)."""
    n = detections.n
    best = best_per_view(detections, support)
    if _disjoint(best, n):
        return best  # The best detections per person are already distinct.
    gain = np.maximum(np.maximum(support[:, :n], support[:, n:]), 0.0)
    for v, rows in enumerate(detections.of_view):
        claimed = best[best[:, v] >= 0, v] % n
        if len(np.unique(claimed)) == len(claimed):
            continue
        people, picked = linear_sum_assignment(gain[:, rows], maximize=True)
        row = picked + rows.start
        exchanged = np.where(support[people, row + n] > support[people, row], n, 0)
        best[:, v] = -1
        best[people, v] = np.where(gain[people, row] > 0, row + exchanged, -1)
    return best


def _accept(
    geometry: ViewGeometry,
    now_s: float,
    detections: FrameDetections,
    members: I64,
    xyz: F64,
    memory: _Expected,
    config: AssociationConfig,
    limits: PlaceLimits,
) -> tuple[I64, _Expected]:
    """Discard implausible people; return the columns (P, V) of the rest, and the people expected next.

    Two views alone are weak evidence. A person seen in only two views is accepted as the continuation of a previous
    person, if no other camera should see them, or if the rig has three cameras and the two agree well. With three
    cameras one often misses a person; with more, unmatched detections of real people would form ghosts.
    """
    n_seen = (members >= 0).sum(1)
    merge_mm, bone_mm = limits.at(xyz)
    long_bones = (geometry.skeleton.bone_lengths(xyz) > bone_mm[:, None]).any(1)
    supported = n_seen >= 3
    agreement = np.zeros(xyz.shape[:2])
    if len(geometry) == 3 or long_bones.any():
        agreement = joint_agreement(geometry, detections, members, xyz)
    if len(geometry) == 3:
        known = np.isfinite(xyz[..., 0])
        supported |= np.where(known, agreement, 0.0).sum(1) > _GOOD_QUALITY * known.sum(1)
    if not supported.all():
        supported[~supported] = _visible_views(geometry, xyz[~supported]) <= n_seen[~supported]
    distance = _mean_distance(xyz, memory.xyz_mm)
    near = np.asarray(distance < 2 * merge_mm[:, None])
    continued = np.asarray(near.any(1))
    if long_bones.any():
        xyz = _peel(xyz, agreement, geometry.skeleton, bone_mm)
    kept = np.flatnonzero(plausible_people(xyz, geometry, config, bone_mm) & (supported | continued))
    joints, supported_s = xyz[kept], np.full(len(kept), now_s)
    if len(memory.supported_s):
        nearest = memory[distance[kept].argmin(1)]
        fill = continued[kept][:, None, None] & ~np.isfinite(joints)
        joints = np.where(fill, nearest.xyz_mm, joints)
        supported_s = np.where(supported[kept], now_s, nearest.supported_s)
    lost = memory[np.asarray(~near[kept].any(0))]
    expected = _Expected(np.concatenate([joints, lost.xyz_mm]), np.concatenate([supported_s, lost.supported_s]))
    return np.where(members[kept] >= 0, detections.column[members[kept]], -1), expected


def _peel(xyz: F64, agreement: F64, skeleton: Skeleton, max_bone_mm: F64) -> F64:
    """Remove joints that make bones too long, those with the most long bones first; return (P, J, 3).

    A wrong joint in one view moves the intersection of all rays and makes all its bones long. Robust triangulation
    rejects that view later, so the joint must not affect the plausibility test. Of the two ends of a single long bone,
    the one of lower agreement (P, J) is removed.
    """
    xyz = xyz.copy()
    ends = np.zeros((len(skeleton), len(skeleton.bones)))
    for b, bone in enumerate(skeleton.bones):
        ends[list(bone), b] = 1.0
    n_left = np.maximum(1, (_PEELED_JOINTS * np.isfinite(xyz[..., 0]).sum(-1)).astype(int))
    while True:
        long = (
            np.nan_to_num(skeleton.bone_lengths(xyz)) > max_bone_mm[:, None]
        ) @ ends.T  # (P, J) long bones of each joint
        peeled = np.flatnonzero(long.any(-1) & (n_left > 0))
        if not peeled.size:
            return xyz
        # Agreement is between -0.5 and 1, so it only breaks ties between equal counts.
        worst = (long[peeled] - agreement[peeled] / 2).argmax(-1)
        xyz[peeled, worst] = np.nan
        n_left[peeled] -= 1


def _visible_views(geometry: ViewGeometry, xyz: F64) -> I64:
    """Return the number of cameras (P,) whose image contains most known joints of each person (P, J, 3)."""
    known = np.isfinite(xyz[..., 0]).sum(-1)
    counts = np.stack([inside(camera, project(camera, xyz)).sum(-1) for camera in geometry.rig])
    return np.asarray((counts > _VISIBLE * np.maximum(known, 1)).sum(0))
