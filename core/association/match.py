"""Multi-view association: detections of all views that show the same person.

Letters in shapes: V view, J joint, D detection columns of a view, N detections of a frame over all views, C candidate
people, T time, P person.

Candidates of a frame come from every pair of detections of different views whose rays intersect joint by joint, and
from the people of previous frames. Each candidate takes from every view the detection that agrees with it best, is
triangulated again, and the candidates of highest total support win: a detection belongs to at most one person. The
generation of candidates from view pairs follows RapidPoseTriangulation (arXiv 2503.21692), their selection by total
support over all views the idea of COMPOSE (arXiv 2601.09698).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.association.bias import camera_biases, widen_gates
from core.association.config import AssociationConfig
from core.association.limits import PlaceLimits
from core.association.robust import triangulate_people
from core.association.views import FrameViews, TakeViews, ViewGeometry, stack_views
from core.config import to_mapping
from core.geometry import inside, intersect_rays, project
from core.progress import Reporter, check
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import Skeleton

_MIN_AGREEMENT = -0.5  # Agreement of a joint far beyond the gate, where that of an exact one is 1.
_PAIR_QUALITY = 0.25  # Lowest mean agreement of two detections that make a candidate.
_MEMBER_QUALITY = 0.15  # Lowest mean agreement of a detection with the person it joins.
_MIRROR_QUALITY = 0.5  # Gain in mean agreement above which left and right are taken as exchanged.
_MIRROR_WEIGHT = 0.7  # Weight of the support of a detection with exchanged sides.
_GOOD_QUALITY = 0.5  # Mean agreement above which a detection needs no new candidate, and two of three views suffice.
_MAX_PAIRS = 120
_FULL_SEARCH_S = 0.3  # Time between two full searches, so that no mistake survives by its own memory.
_REPORT_EVERY = 20  # Frames between two reports of progress.
_LONG_BONES = 0.15  # Largest fraction of bones beyond the longest plausible one.
_PEELED_JOINTS = 0.25  # Largest fraction of joints that are left out before a person is judged; one at least.
_VISIBLE = 0.6  # A camera should see a person of whom more than this fraction of joints lies in its image.


@dataclass(frozen=True, slots=True, eq=False)
class _Detections:
    """Detections of one frame over all views with enough joints, followed by the same with left and right exchanged.

    Attributes:
        n: N, the number of detections; the other arrays have 2 N rows.
        view: (2N,) camera index.
        column: (2N,) column in the view's detections.
        ideal: (2N, J, 2) coordinates on the ideal image plane.
        weight: (2N, J) confidences.
        ray: (2N, J, 3) directions in world coordinates, of length 1 along the camera's axis.
        across: (2N, J, 3, 3) weighted projector onto the plane perpendicular to the ray.
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
    """A person of previous frames: joints (J, 3), and the time of the last frame with good support."""

    xyz_mm: F64
    supported_s: float


class FrameAssociator:
    """Associates the detections of successive frame sets.

    People of previous frames are candidates in the next one. Only past frames are used, so that it also serves live
    streams.
    """

    def __init__(self, geometry: ViewGeometry, config: AssociationConfig) -> None:
        self._geometry, self._config = geometry, config
        self._limits = PlaceLimits(geometry.rig, config)
        self._expected: list[_Expected] = []
        self._searched_s = -np.inf

    def update(self, time_s: float, frame: FrameViews) -> I64:
        """Associate the detections of the next frame set.

        Args:
            time_s: Time of the frame set, later than that of the one before.
            frame: Its detections.

        Returns:
            (P, V) detection column of each person in each view, -1 where there is none. The order of people is
            arbitrary.
        """
        full_search = time_s - self._searched_s >= _FULL_SEARCH_S
        if full_search:
            self._searched_s = time_s
        self._expected = [e for e in self._expected if time_s - e.supported_s <= self._config.memory_s]
        columns, self._expected = _match_frame(
            self._geometry, frame, time_s, self._expected, self._config, self._limits, full_search=full_search
        )
        return columns


def associate_take(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    time_s: F64,
    config: AssociationConfig,
    reporter: Reporter,
) -> Pose3DSequence:
    """Associate and triangulate the people of every frame, without identity over time.

    Where the detections of a camera lie beside those of the others over the whole take, its gate is widened, everything
    is done once more, and a large bias is reported.

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
    views = stack_views(rig, poses2d, config)
    members = match_take(views, time_s, config, reporter)
    biases = camera_biases(views, members)
    if biases.warning:
        reporter.note(biases.warning, "warning")
    widened = widen_gates(views, biases, config)
    if widened is not views:
        views, members = widened, match_take(widened, time_s, config, reporter)
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
        },
    )


def match_take(views: TakeViews, time_s: F64, config: AssociationConfig, reporter: Reporter) -> I64:
    """Return the detection column (T, P, V) of every person of every frame in every view, -1 where there is none."""
    associator = FrameAssociator(views.geometry, config)
    frames: list[I64] = []
    for t, now_s in enumerate(time_s.tolist()):
        if t % _REPORT_EVERY == 0:
            check(reporter)
            reporter.progress(t, len(views), "Matching people across views")
        frames.append(associator.update(now_s, views.frame(t)))
    reporter.progress(len(views), len(views), "Matching people across views")
    n_people = max((len(f) for f in frames), default=0)
    out = np.full((len(frames), n_people, len(views.geometry)), -1, np.int64)
    for t, columns in enumerate(frames):
        out[t, : len(columns)] = columns
    return out


def _match_frame(
    geometry: ViewGeometry,
    frame: FrameViews,
    now_s: float,
    memory: list[_Expected],
    config: AssociationConfig,
    limits: PlaceLimits,
    *,
    full_search: bool,
) -> tuple[I64, list[_Expected]]:
    """Return the columns (P, V) of one frame, and the people expected in the next."""
    detections = _detections(geometry, frame, config)
    none = np.zeros((0, len(geometry)), np.int64)
    if detections.n < 2:
        return none, memory
    expected = np.stack([m.xyz_mm for m in memory]) if memory else np.zeros((0, len(geometry.skeleton), 3))
    support = _support(geometry, detections, expected)
    continued = _best_per_view(detections, support, len(geometry))
    explained = np.zeros(detections.n, bool) if full_search else _explained(detections, support, continued)
    candidates = _pair_candidates(geometry, detections, explained, config, limits)
    gathered = _best_per_view(detections, _support(geometry, detections, candidates), len(geometry))
    sets = np.concatenate([continued, gathered])
    sets = np.unique(sets[(sets >= 0).sum(1) >= 2], axis=0)
    if not len(sets):
        return none, memory
    xyz = _intersect(detections, sets)
    selected = _select(detections, xyz, _support(geometry, detections, xyz), config, limits)
    members, xyz = _reassign(geometry, detections, xyz[selected], config)
    return _accept(geometry, now_s, detections, members, xyz, memory, config, limits)


def _detections(geometry: ViewGeometry, frame: FrameViews, config: AssociationConfig) -> _Detections:
    view, column = np.nonzero((frame.weight > 0).sum(-1) >= config.min_joints)
    mirror = list(geometry.skeleton.mirror)
    ideal, weight = frame.ideal[view, column], frame.weight[view, column]
    ideal, weight = np.concatenate([ideal, ideal[:, mirror]]), np.concatenate([weight, weight[:, mirror]])
    n, view, column = len(view), np.tile(view, 2), np.tile(column, 2)
    ray = np.concatenate([ideal, np.ones_like(ideal[..., :1])], -1) @ geometry.R[view]
    unit = np.where((weight > 0)[..., None], ray / np.linalg.norm(ray, axis=-1, keepdims=True), 0.0)
    across = weight[..., None, None] * (np.eye(3) - unit[..., :, None] * unit[..., None, :])
    centre = (across @ geometry.centre_mm[view, None, :, None])[..., 0]
    return _Detections(n, view, column, ideal, weight, ray, across, centre)


def _explained(detections: _Detections, support: F64, sets: I64) -> np.ndarray:
    """Return the detections (N,) that fit well to an expected person with three views or more."""
    out = np.zeros(2 * detections.n, bool)
    for person in np.flatnonzero((sets >= 0).sum(1) >= 3):
        rows = sets[person, sets[person] >= 0]
        out[rows] |= support[person, rows] > _GOOD_QUALITY * detections.weight[rows].sum(-1)
    return np.asarray(out[: detections.n] | out[detections.n :])


def _pair_candidates(
    geometry: ViewGeometry,
    detections: _Detections,
    explained: np.ndarray,
    config: AssociationConfig,
    limits: PlaceLimits,
) -> F64:
    """Return poses (C, J, 3) from pairs of detections with intersecting rays, best first; NaN for joints not shared.

    Pairs of two explained detections are skipped.
    """
    view = detections.view[: detections.n]
    a, b = np.nonzero((view[:, None] < view[None, :]) & ~(explained[:, None] & explained[None, :]))
    if not len(a):
        return np.zeros((0, *detections.ideal.shape[1:2], 3))
    va, vb = detections.view[a], detections.view[b]
    middle, gap, depth_a, depth_b = intersect_rays(
        geometry.centre_mm[va, None], detections.ray[a], geometry.centre_mm[vb, None], detections.ray[b]
    )
    weight = np.sqrt(detections.weight[a] * detections.weight[b])
    # Parallel and missing rays count neither for nor against the pair.
    shared = (weight > 0) & np.isfinite(gap)
    gate = np.hypot(geometry.gate(np.abs(depth_a), va[:, None]), geometry.gate(np.abs(depth_b), vb[:, None]))
    agreement = np.where((depth_a > 0) & (depth_b > 0), _agreement(gap / gate), _MIN_AGREEMENT)
    support = np.where(shared, weight * agreement, 0.0).sum(-1)
    total = np.where(shared, weight, 0.0).sum(-1)
    good = (shared.sum(-1) >= config.min_joints) & (support > _PAIR_QUALITY * total)
    middle = np.where((shared & (agreement > 0))[..., None], middle, np.nan)
    good &= _plausible(middle, geometry, config, limits)
    best = np.flatnonzero(good)[np.argsort(-support[good], kind="stable")][:_MAX_PAIRS]
    return np.asarray(middle[best])


def _agreement(relative: F64) -> F64:
    """Return 1 for residual 0, 0 at the gate, bounded below so that one outlier joint does not outvote the rest."""
    return np.asarray(np.maximum(1 - relative**2, _MIN_AGREEMENT))


def _plausible(xyz: F64, geometry: ViewGeometry, config: AssociationConfig, limits: PlaceLimits) -> np.ndarray:
    """Return the poses (C,) of (C, J, 3) that are of human size and not below the floor."""
    bone = geometry.skeleton.bone_lengths(xyz)
    known = np.isfinite(bone)
    long = (known & (bone > limits.bone_mm(xyz)[:, None])).sum(-1)
    seen = np.isfinite(xyz)
    extent = np.where(seen, xyz, -np.inf).max(1) - np.where(seen, xyz, np.inf).min(1)
    n_joints = seen[..., 0].sum(-1)
    # Robust triangulation drops single outlier joints later; here the rest decides.
    sized = (long <= np.maximum(1, _LONG_BONES * known.sum(-1))) & (extent.max(-1) < 1.5 * config.max_extent_mm)
    middle = np.where(seen[..., 2], xyz[..., 2], 0.0).sum(-1) / np.maximum(n_joints, 1)
    return np.asarray((n_joints >= config.min_joints) & sized & (middle > -config.below_floor_mm))


def _support(geometry: ViewGeometry, detections: _Detections, xyz: F64) -> F64:
    """Return the support (C, 2N) of detections for candidates (C, J, 3): agreement summed over joints by confidence.

    -inf where a detection does not agree well enough to join. A detection with exchanged sides joins only if it agrees
    clearly better so, and counts less.
    """
    n = detections.n
    projected, depth = geometry.project_ideal(xyz)  # (V, C, J, 2), (V, C, J)
    scale = depth / geometry.gate(depth, np.arange(len(depth))[:, None, None])
    projected, scale = projected[detections.view[:n]], scale[detections.view[:n]]
    mean, summed = _mean_support(projected, scale, detections.ideal[:n], detections.weight[:n])
    mean_swapped, summed_swapped = _mean_support(projected, scale, detections.ideal[n:], detections.weight[n:])
    direct = np.where(mean > _MEMBER_QUALITY, summed, -np.inf)
    clear = (mean_swapped > _MEMBER_QUALITY) & (mean_swapped > mean + _MIRROR_QUALITY)
    return np.concatenate([direct, np.where(clear, _MIRROR_WEIGHT * summed_swapped, -np.inf)]).T


def _mean_support(projected: F64, scale: F64, ideal: F64, weight: F64) -> tuple[F64, F64]:
    """Return mean and summed agreement (N, C) of detections with projected candidates (N, C, J, 2)."""
    residual = projected - ideal[:, None]
    squared = (residual[..., 0] ** 2 + residual[..., 1] ** 2) * scale**2
    both = np.isfinite(squared)
    used = np.where(both, weight[:, None], 0.0)
    summed = (used * np.maximum(1 - np.where(both, squared, 0.0), _MIN_AGREEMENT)).sum(-1)
    return summed / np.maximum(used.sum(-1), 1e-9), summed


def _best_per_view(detections: _Detections, support: F64, n_views: int) -> I64:
    """Return the detection of highest support (C, V) in each view, -1 where none has any."""
    out = np.full((len(support), n_views), -1, np.int64)
    for v in range(n_views):
        of_view = np.flatnonzero(detections.view == v)
        if of_view.size:
            best = support[:, of_view].argmax(1)
            some = support[np.arange(len(support)), of_view[best]] > 0
            out[:, v] = np.where(some, of_view[best], -1)
    return out


def _intersect(detections: _Detections, sets: I64) -> F64:
    """Return the points (C, J, 3) nearest to the rays of detection sets (C, V), weighted; NaN below two rays."""
    member = np.zeros((len(sets), 2 * detections.n))
    row, view = np.nonzero(sets >= 0)
    member[row, sets[row, view]] = 1.0
    J = detections.weight.shape[1]
    normal = (member @ detections.across.reshape(2 * detections.n, -1)).reshape(-1, J, 3, 3)
    right = (member @ detections.across_centre.reshape(2 * detections.n, -1)).reshape(-1, J, 3)
    total = member @ detections.weight
    # The determinant vanishes for a single ray and for rays that are nearly parallel.
    good = (member @ (detections.weight > 0) >= 2) & (np.linalg.det(normal) > 1e-5 * np.maximum(total, 1e-9) ** 3)
    solved = np.linalg.solve(np.where(good[..., None, None], normal, np.eye(3)), right[..., None])[..., 0]
    return np.where(good[..., None], solved, np.nan)


def _select(detections: _Detections, xyz: F64, support: F64, config: AssociationConfig, limits: PlaceLimits) -> I64:
    """Select candidates greedily by support, each detection once and no person twice; return their indices."""
    n_views = int(detections.view.max(initial=0)) + 1
    of_views = [np.flatnonzero(detections.view == v) for v in range(n_views)]
    alive = np.isfinite(xyz[..., 0]).sum(-1) >= config.min_joints
    support = support.copy()
    merge_mm = limits.merge_mm(xyz)
    selected: list[int] = []
    while alive.any():
        best = np.stack([support[:, rows].max(1, initial=-np.inf) for rows in of_views], axis=1)
        alive &= (best > 0).sum(1) >= config.min_views
        if not alive.any():
            break
        winner = int(np.where(alive, np.maximum(best, 0.0).sum(1), -np.inf).argmax())
        selected.append(winner)
        for v in np.flatnonzero(best[winner] > 0):
            used = of_views[v][support[winner, of_views[v]].argmax()] % detections.n
            support[:, [used, used + detections.n]] = -np.inf
        alive &= _mean_distance(xyz, xyz[winner]) > merge_mm[winner]
    return np.array(selected, np.int64)


def _mean_distance(xyz: F64, other: F64) -> F64:
    """Return the mean distance (...) of shared joints of poses (..., J, 3) that broadcast; inf without any."""
    gap = np.linalg.norm(xyz - other, axis=-1)
    known = np.isfinite(gap)
    mean = np.where(known, gap, 0.0).sum(-1) / np.maximum(known.sum(-1), 1)
    return np.where(known.any(-1), mean, np.inf)


def _reassign(geometry: ViewGeometry, detections: _Detections, xyz: F64, config: AssociationConfig) -> tuple[I64, F64]:
    """Assign detections to people (P, J, 3) optimally per view, twice; return members (P, V) and joints."""
    members = np.full((len(xyz), len(geometry)), -1, np.int64)
    for _ in range(2):
        support = _support(geometry, detections, xyz)
        direct, swapped = support[:, : detections.n], support[:, detections.n :]
        gain = np.maximum(np.maximum(direct, swapped), 0.0)
        members = np.full((len(xyz), len(geometry)), -1, np.int64)
        for v in range(len(geometry)):
            of_view = np.flatnonzero(detections.view[: detections.n] == v)
            people, picked = linear_sum_assignment(gain[:, of_view], maximize=True)
            row = of_view[picked]
            exchanged = np.where(swapped[people, row] > direct[people, row], detections.n, 0)
            members[people, v] = np.where(gain[people, row] > 0, row + exchanged, -1)
        members = members[(members >= 0).sum(1) >= config.min_views]
        xyz = _intersect(detections, members)
    return members, xyz


def _accept(
    geometry: ViewGeometry,
    now_s: float,
    detections: _Detections,
    members: I64,
    xyz: F64,
    memory: list[_Expected],
    config: AssociationConfig,
    limits: PlaceLimits,
) -> tuple[I64, list[_Expected]]:
    """Discard implausible people; return the columns (P, V) of the rest, and the people expected next.

    Any two views agree on some point. A person seen in two views only is accepted if they were there just before, if
    no other camera should see them, or if there are three cameras only and the two agree well: with so few, one of them
    often misses somebody, while more would make people of what real ones leave over.
    """
    n_seen = (members >= 0).sum(1)
    agreement = _joint_agreement(geometry, detections, members, xyz)
    supported = n_seen >= 3
    if len(geometry) == 3:
        known = np.isfinite(xyz[..., 0])
        supported |= np.where(known, agreement, 0.0).sum(1) > _GOOD_QUALITY * known.sum(1)
    if not supported.all():
        supported[~supported] = _visible_views(geometry, xyz[~supported]) <= n_seen[~supported]
    before = np.stack([m.xyz_mm for m in memory]) if memory else np.zeros((0, *xyz.shape[1:]))
    distance = _mean_distance(xyz[:, None], before[None])
    near = np.asarray(distance < 2 * limits.merge_mm(xyz)[:, None])
    continued = np.asarray(near.any(1))
    xyz = _peel(xyz, agreement, geometry.skeleton, limits.bone_mm(xyz))
    kept = np.flatnonzero(_plausible(xyz, geometry, config, limits) & (supported | continued))
    expected = []
    for p in kept:
        joints, supported_s = xyz[p], now_s
        if continued[p]:
            nearest = memory[int(distance[p].argmin())]
            joints = np.where(np.isfinite(joints), joints, nearest.xyz_mm)
            supported_s = now_s if supported[p] else nearest.supported_s
        expected.append(_Expected(joints, supported_s))
    renewed = np.asarray(near[kept].any(0))
    expected += [m for m, is_renewed in zip(memory, renewed, strict=True) if not is_renewed]
    return np.where(members[kept] >= 0, detections.column[members[kept]], -1), expected


def _joint_agreement(geometry: ViewGeometry, detections: _Detections, members: I64, xyz: F64) -> F64:
    """Return the mean agreement (P, J) of the joints of people (P, J, 3) with their detections (P, V)."""
    projected, depth = geometry.project_ideal(xyz)  # (V, P, J, ...)
    total, weight = np.zeros(xyz.shape[:2]), np.zeros(xyz.shape[:2])
    for v, rows in enumerate(members.T):
        residual = np.linalg.norm(projected[v] - detections.ideal[rows], axis=-1) * depth[v]
        used = np.where((rows >= 0)[:, None] & np.isfinite(residual), detections.weight[rows], 0.0)
        total += used * _agreement(np.nan_to_num(residual) / np.nan_to_num(geometry.gate(depth[v], v), nan=1.0))
        weight += used
    return total / np.maximum(weight, 1e-9)


def _peel(xyz: F64, agreement: F64, skeleton: Skeleton, max_bone_mm: F64) -> F64:
    """Leave out joints that make bones too long, the one with most of them first; return (P, J, 3).

    One wrong joint of one view moves the intersection of all rays, and makes all its bones long. Robust triangulation
    leaves the view out later; a person must not be judged by the joint before. Of the ends of a single long bone, the
    one with less agreement (P, J) goes.
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
        # Agreement is between -0.5 and 1, so that it decides between equal counts only.
        worst = (long[peeled] - agreement[peeled] / 2).argmax(-1)
        xyz[peeled, worst] = np.nan
        n_left[peeled] -= 1


def _visible_views(geometry: ViewGeometry, xyz: F64) -> I64:
    """Return the number of cameras (P,) in whose image most known joints of each person (P, J, 3) lie."""
    known = np.isfinite(xyz[..., 0]).sum(-1)
    counts = np.stack([inside(camera, project(camera, xyz)).sum(-1) for camera in geometry.rig])
    return np.asarray((counts > _VISIBLE * np.maximum(known, 1)).sum(0))
