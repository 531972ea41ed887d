"""Which detections of all views are one person.

Letters in shapes: V view, J joint, N detections of a frame over all views, C candidate people, T time, P person.

A frame's candidates come from every pair of detections of different views whose lines of sight meet joint by joint,
and from the people of the frames before. Each candidate gathers from every view the detection that agrees with it
best, is triangulated again, and the candidates with most support in total win: a detection belongs to at most one
person. The generation of candidates from view pairs follows RapidPoseTriangulation (arXiv 2503.21692), the choice among
them by total support over all views the idea of COMPOSE (arXiv 2601.09698).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.association.config import AssociationConfig
from core.association.robust import triangulate_people
from core.association.views import Views, stack_views
from core.config import to_mapping
from core.geometry import inside, intersect_rays, project
from core.progress import Reporter, check
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence

_AGAINST = -0.5  # What a joint far outside the gate counts, where one on the spot counts 1.
_PAIR_QUALITY = 0.25  # Least mean agreement of two detections to make a candidate.
_MEMBER_QUALITY = 0.15  # Least mean agreement of a detection with the person it joins.
_MIRROR_QUALITY = 0.5  # Left and right are taken as exchanged only if that agrees this much better.
_GOOD_QUALITY = 0.5  # Mean agreement above which a detection needs no other explanation.
_MOST_PAIRS = 120
_AFRESH = 10  # Frames between two in which all pairs are looked at.
_REPORT = 20  # Frames between two reports of progress.


@dataclass(frozen=True, slots=True, eq=False)
class _Detections:
    """One frame's detections of all views, those with too few joints left out; then all again, sides exchanged.

    Attributes:
        n: N, the number of detections; the other arrays have 2 N rows.
        view: (2N,) camera index.
        column: (2N,) column in the view's detections.
        ideal: (2N, J, 2).
        weight: (2N, J).
        ray: (2N, J, 3) in the world, of length 1 along the camera's axis.
        across: (2N, J, 3, 3) weighted projector onto the plane across the ray: it measures the distance to the ray.
        across_centre: (2N, J, 3) that projector applied to the camera's centre.
    """

    n: int
    view: I64
    column: I64
    ideal: F64
    weight: F64
    ray: F64
    across: F64
    across_centre: F64


@dataclass(slots=True)
class _Expected:
    """A person of the frames before: joints (J, 3), and the frame in which they were last well supported."""

    xyz_mm: F64
    sure_s: float


def associate_take(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: F64,
    config: AssociationConfig,
    reporter: Reporter,
) -> Pose3DSequence:
    """3D people of every frame, without identity over time: columns of one frame have nothing to do with the next.

    Args:
        rig: Posed cameras.
        poses2d: Camera name to detections, all of the same length and joint set.
        time_s: (T,) frames.
        config: Settings.
        reporter: Told of progress; cancels.

    Raises:
        CoreError: The 2D poses do not fit the rig or each other.
    """
    views = stack_views(rig, poses2d, config)
    members = match_take(views, time_s, config, reporter)
    people = triangulate_people(views, members, config)
    return Pose3DSequence(
        skeleton=views.skeleton,
        time_s=time_s,
        xyz_mm=people.xyz_mm,
        score=people.score,
        person_ids=tuple(range(1, members.shape[1] + 1)),
        covariance_mm2=people.covariance_mm2,
        provenance={"method": "triangulation", "config": {"association": to_mapping(config)}, "rig": rig.digest},
    )


def match_take(views: Views, time_s: F64, config: AssociationConfig, reporter: Reporter) -> I64:
    """(T, P, V) detection column of every person of every frame in every view, -1 where there is none."""
    memory: list[_Expected] = []
    frames: list[I64] = []
    for t, now_s in enumerate(time_s.tolist()):
        if t % _REPORT == 0:
            check(reporter)
            reporter.progress(t, len(views), "Matching people across views")
        memory = [m for m in memory if now_s - m.sure_s <= config.memory_s]
        columns, memory = _match_frame(views, t, now_s, memory, config)
        frames.append(columns)
    reporter.progress(len(views), len(views), "Matching people across views")
    most = max((len(f) for f in frames), default=0)
    out = np.full((len(frames), most, len(views.rig)), -1, np.int64)
    for t, columns in enumerate(frames):
        out[t, : len(columns)] = columns
    return out


def _match_frame(
    views: Views, t: int, now_s: float, memory: list[_Expected], config: AssociationConfig
) -> tuple[I64, list[_Expected]]:
    """Columns (P, V) of one frame, and the people expected in the next."""
    found = _detections(views, t, config)
    none = np.zeros((0, len(views.rig)), np.int64)
    if found.n < 2:
        return none, memory
    expected = np.stack([m.xyz_mm for m in memory]) if memory else np.zeros((0, len(views.skeleton), 3))
    support = _support(views, found, expected)
    known = _best_per_view(found, support, len(views.rig))
    # Now and then everything is looked at anew, so that no mistake lives on by its own memory.
    explained = np.zeros(found.n, bool) if t % _AFRESH == 0 else _explained(found, support, known)
    seeds = _pair_candidates(views, found, explained, config)
    gathered = _best_per_view(found, _support(views, found, seeds), len(views.rig))
    sets = np.concatenate([known, gathered])
    sets = np.unique(sets[(sets >= 0).sum(1) >= 2], axis=0)
    if not len(sets):
        return none, memory
    xyz = _intersect(found, sets)
    chosen = _choose(found, xyz, _support(views, found, xyz), config)
    members, xyz = _settle(views, found, xyz[chosen], config)
    return _accept(views, now_s, found, members, xyz, memory, config)


def _detections(views: Views, t: int, config: AssociationConfig) -> _Detections:
    view, column = np.nonzero((views.weight[t] > 0).sum(-1) >= config.min_joints)
    mirror = list(views.skeleton.mirror)
    ideal, weight = views.ideal[t, view, column], views.weight[t, view, column]
    ideal, weight = np.concatenate([ideal, ideal[:, mirror]]), np.concatenate([weight, weight[:, mirror]])
    n, view, column = len(view), np.tile(view, 2), np.tile(column, 2)
    ray = np.concatenate([ideal, np.ones_like(ideal[..., :1])], -1) @ views.R[view]
    unit = np.where((weight > 0)[..., None], ray / np.linalg.norm(ray, axis=-1, keepdims=True), 0.0)
    across = weight[..., None, None] * (np.eye(3) - unit[..., :, None] * unit[..., None, :])
    centre = (across @ views.centre_mm[view, None, :, None])[..., 0]
    return _Detections(n, view, column, ideal, weight, ray, across, centre)


def _explained(found: _Detections, support: F64, sets: I64) -> np.ndarray:
    """(N,) bool: detections that fit well to an expected person whom three views or more show."""
    out = np.zeros(2 * found.n, bool)
    for person in np.flatnonzero((sets >= 0).sum(1) >= 3):
        rows = sets[person, sets[person] >= 0]
        out[rows] |= support[person, rows] > _GOOD_QUALITY * found.weight[rows].sum(-1)
    return np.asarray(out[: found.n] | out[found.n :])


def _pair_candidates(views: Views, found: _Detections, explained: np.ndarray, config: AssociationConfig) -> F64:
    """(C, J, 3) skeletons from pairs of detections whose rays meet, NaN where a joint is not shared; best first.

    Two detections that are explained already need no new candidate.
    """
    view = found.view[: found.n]
    a, b = np.nonzero((view[:, None] < view[None, :]) & ~(explained[:, None] & explained[None, :]))
    if not len(a):
        return np.zeros((0, *found.ideal.shape[1:2], 3))
    va, vb = found.view[a], found.view[b]
    middle, gap, depth_a, depth_b = intersect_rays(
        views.centre_mm[va, None], found.ray[a], views.centre_mm[vb, None], found.ray[b]
    )
    weight = np.sqrt(found.weight[a] * found.weight[b])
    # Where rays are parallel or missing nothing is said about the pair.
    shared = (weight > 0) & np.isfinite(gap)
    gate = np.hypot(views.gate(np.abs(depth_a), va[:, None]), views.gate(np.abs(depth_b), vb[:, None]))
    agreement = np.where((depth_a > 0) & (depth_b > 0), _agreement(gap / gate), _AGAINST)
    support = np.where(shared, weight * agreement, 0.0).sum(-1)
    total = np.where(shared, weight, 0.0).sum(-1)
    good = (shared.sum(-1) >= config.min_joints) & (support > _PAIR_QUALITY * total)
    middle = np.where((shared & (agreement > 0))[..., None], middle, np.nan)
    good &= _believable(middle, views, config)
    best = np.flatnonzero(good)[np.argsort(-support[good], kind="stable")][:_MOST_PAIRS]
    return np.asarray(middle[best])


def _agreement(relative: F64) -> F64:
    """1 on the spot, 0 at the gate, and never below a floor: one wild joint must not outvote the rest."""
    return np.asarray(np.maximum(1 - relative**2, _AGAINST))


def _believable(xyz: F64, views: Views, config: AssociationConfig) -> np.ndarray:
    """(C,) bool: skeletons (C, J, 3) of human size, not below the floor."""
    a, b = np.array(views.skeleton.bones).T
    bone = np.linalg.norm(xyz[:, a] - xyz[:, b], axis=-1)
    known = np.isfinite(bone)
    long = (known & (bone > config.max_bone_mm)).sum(-1)
    seen = np.isfinite(xyz)
    extent = np.where(seen, xyz, -np.inf).max(1) - np.where(seen, xyz, np.inf).min(1)
    n_joints = seen[..., 0].sum(-1)
    # A single wild joint is for the robust triangulation to drop; here the rest decides.
    sized = (long <= np.maximum(1, 0.15 * known.sum(-1))) & (extent.max(-1) < 1.5 * config.max_extent_mm)
    middle = np.where(seen[..., 2], xyz[..., 2], 0.0).sum(-1) / np.maximum(n_joints, 1)
    return np.asarray((n_joints >= config.min_joints) & sized & (middle > -config.below_floor_mm))


def _support(views: Views, found: _Detections, xyz: F64) -> F64:
    """(C, 2N) how much each detection speaks for each candidate (C, J, 3): summed over joints, weighted by confidence.

    -inf where a detection does not agree well enough to join. One whose left and right are exchanged joins only if
    that is clearly better, and counts less.
    """
    n = found.n
    plane, depth = views.local(xyz)  # (V, C, J, 2), (V, C, J)
    plane, scale = (
        plane[found.view[:n]],
        (depth / views.gate(depth, np.arange(len(depth))[:, None, None]))[found.view[:n]],
    )
    mean, summed = _mean_support(plane, scale, found.ideal[:n], found.weight[:n])
    mean_swapped, summed_swapped = _mean_support(plane, scale, found.ideal[n:], found.weight[n:])
    direct = np.where(mean > _MEMBER_QUALITY, summed, -np.inf)
    clear = (mean_swapped > _MEMBER_QUALITY) & (mean_swapped > mean + _MIRROR_QUALITY)
    return np.concatenate([direct, np.where(clear, 0.7 * summed_swapped, -np.inf)]).T


def _mean_support(plane: F64, scale: F64, ideal: F64, weight: F64) -> tuple[F64, F64]:
    """Mean and summed agreement (N, C) of detections with projected candidates (N, C, J, 2)."""
    apart = plane - ideal[:, None]
    squared = (apart[..., 0] ** 2 + apart[..., 1] ** 2) * scale**2
    both = np.isfinite(squared)
    used = np.where(both, weight[:, None], 0.0)
    summed = (used * np.maximum(1 - np.where(both, squared, 0.0), _AGAINST)).sum(-1)
    return summed / np.maximum(used.sum(-1), 1e-9), summed


def _best_per_view(found: _Detections, support: F64, n_views: int) -> I64:
    """(C, V) detection of each view with most support, -1 where none has any."""
    out = np.full((len(support), n_views), -1, np.int64)
    for v in range(n_views):
        of_view = np.flatnonzero(found.view == v)
        if of_view.size:
            best = support[:, of_view].argmax(1)
            some = support[np.arange(len(support)), of_view[best]] > 0
            out[:, v] = np.where(some, of_view[best], -1)
    return out


def _intersect(found: _Detections, sets: I64) -> F64:
    """(C, J, 3) points nearest to the rays of sets (C, V) of detections, confidences as weights; NaN below two rays."""
    member = np.zeros((len(sets), 2 * found.n))
    who, view = np.nonzero(sets >= 0)
    member[who, sets[who, view]] = 1.0
    J = found.weight.shape[1]
    normal = (member @ found.across.reshape(2 * found.n, -1)).reshape(-1, J, 3, 3)
    right = (member @ found.across_centre.reshape(2 * found.n, -1)).reshape(-1, J, 3)
    total = member @ found.weight
    # The determinant vanishes for a single ray and for rays that are nearly parallel.
    good = (member @ (found.weight > 0) >= 2) & (np.linalg.det(normal) > 1e-5 * np.maximum(total, 1e-9) ** 3)
    solved = np.linalg.solve(np.where(good[..., None, None], normal, np.eye(3)), right[..., None])[..., 0]
    return np.where(good[..., None], solved, np.nan)


def _choose(found: _Detections, xyz: F64, support: F64, config: AssociationConfig) -> I64:
    """Indices of the candidates that win: most support first, each detection used once, no person twice."""
    n_views = int(found.view.max(initial=0)) + 1
    of_views = [np.flatnonzero(found.view == v) for v in range(n_views)]
    alive = np.isfinite(xyz[..., 0]).sum(-1) >= config.min_joints
    support = support.copy()
    chosen: list[int] = []
    while alive.any():
        best = np.stack([support[:, rows].max(1, initial=-np.inf) for rows in of_views], axis=1)
        alive &= (best > 0).sum(1) >= config.min_views
        if not alive.any():
            break
        winner = int(np.where(alive, np.maximum(best, 0.0).sum(1), -np.inf).argmax())
        chosen.append(winner)
        for v in np.flatnonzero(best[winner] > 0):
            taken = of_views[v][support[winner, of_views[v]].argmax()] % found.n
            support[:, [taken, taken + found.n]] = -np.inf
        alive &= _mean_distance(xyz, xyz[winner]) > config.merge_mm
    return np.array(chosen, np.int64)


def _mean_distance(xyz: F64, other: F64) -> F64:
    """(...) mean distance of the shared joints of skeletons (..., J, 3) that broadcast; inf with none shared."""
    apart = np.linalg.norm(xyz - other, axis=-1)
    known = np.isfinite(apart)
    mean = np.where(known, apart, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    return np.where(known.any(-1), mean, np.inf)


def _settle(views: Views, found: _Detections, xyz: F64, config: AssociationConfig) -> tuple[I64, F64]:
    """Best assignment of detections to the chosen people (P, J, 3), view by view, twice: members (P, V) and joints."""
    members = np.full((len(xyz), len(views.rig)), -1, np.int64)
    for _ in range(2):
        support = _support(views, found, xyz)
        direct, swapped = support[:, : found.n], support[:, found.n :]
        gain = np.maximum(np.maximum(direct, swapped), 0.0)
        members = np.full((len(xyz), len(views.rig)), -1, np.int64)
        for v in range(len(views.rig)):
            of_view = np.flatnonzero(found.view[: found.n] == v)
            people, picked = linear_sum_assignment(gain[:, of_view], maximize=True)
            row = of_view[picked]
            exchanged = np.where(swapped[people, row] > direct[people, row], found.n, 0)
            members[people, v] = np.where(gain[people, row] > 0, row + exchanged, -1)
        members = members[(members >= 0).sum(1) >= config.min_views]
        xyz = _intersect(found, members)
    return members, xyz


def _accept(
    views: Views,
    now_s: float,
    found: _Detections,
    members: I64,
    xyz: F64,
    memory: list[_Expected],
    config: AssociationConfig,
) -> tuple[I64, list[_Expected]]:
    """Drops people who are not believable; remembers the rest.

    Two views always agree on something. A person seen in two is believed if they were there just before, or if no other
    camera should see them.
    """
    n_seen = (members >= 0).sum(1)
    sure = n_seen >= 3
    if not sure.all():
        sure[~sure] = _visible_views(views, xyz[~sure]) <= n_seen[~sure]
    before = np.stack([m.xyz_mm for m in memory]) if memory else np.zeros((0, *xyz.shape[1:]))
    near = _mean_distance(xyz[:, None], before[None])
    known = np.asarray((near < 2 * config.merge_mm).any(1))
    kept = np.flatnonzero(_believable(xyz, views, config) & (sure | known))
    expected = []
    for p in kept:
        joints, since = xyz[p], now_s
        if known[p]:
            nearest = memory[int(near[p].argmin())]
            joints = np.where(np.isfinite(joints), joints, nearest.xyz_mm)
            since = now_s if sure[p] else nearest.sure_s
        expected.append(_Expected(joints, since))
    taken = np.asarray((near[kept] < 2 * config.merge_mm).any(0))
    expected += [m for m, again in zip(memory, taken, strict=True) if not again]
    return np.where(members[kept] >= 0, found.column[members[kept]], -1), expected


def _visible_views(views: Views, xyz: F64) -> I64:
    """(P,) number of cameras in whose image most known joints of each person (P, J, 3) lie."""
    known = np.isfinite(xyz[..., 0]).sum(-1)
    counts = np.stack([inside(camera, project(camera, xyz)).sum(-1) for camera in views.rig])
    return np.asarray((counts > 0.6 * np.maximum(known, 1)).sum(0))
