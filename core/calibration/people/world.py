"""World coordinates from people alone: feet are on the floor, bodies are upright, and stature gives the scale.

Legend: M frame, G person at a frame, P person, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.calibration.people.check import stature_mm
from core.calibration.world import world_from_floor_points
from core.errors import CoreError
from core.geometry.similarity import Similarity
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.skeleton import Skeleton

ANKLE_SHARE = 0.039  # height of the ankle relative to stature: Drillis and Contini, Body Segment Parameters, 1966
_MIN_FRAMES = 5
_HULL_TRIM = 2.0  # percent at either end that count as outliers
# Bone lengths relative to stature, as in `core.calibration.people.check`, for joints of 2D estimators.
_BONE_SHARES = (
    ("left_ankle", "left_knee", 0.246),
    ("right_ankle", "right_knee", 0.246),
    ("left_knee", "left_hip", 0.245),
    ("right_knee", "right_hip", 0.245),
    ("mid_hip", "neck", 0.288),
    ("left_shoulder", "left_elbow", 0.186),
    ("right_shoulder", "right_elbow", 0.186),
    ("left_elbow", "left_wrist", 0.146),
    ("right_elbow", "right_wrist", 0.146),
    ("left_shoulder", "right_shoulder", 0.236),
)
_BONE_TOLERANCE = 0.25  # largest logarithm of the ratio to the expected length


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleWorld:
    """World coordinates from people.

    Attributes:
        change: Rigid transformation from the coordinates of the cameras to world coordinates.
        stature_mm: Mean stature before scaling, weighted by the number of frames.
        statures_mm: (P,) stature of each person; NaN if seen in too few frames.
        area: Area covered by feet, in squared units of length.
        tilt_deg: Angle between the bodies and the normal of the floor; NaN if the feet give no floor.
        note: Sentence on the source of the floor.
    """

    change: Similarity
    stature_mm: float
    statures_mm: F64
    area: float
    tilt_deg: float
    note: str


def world_from_people(rig: CameraRig, xyz_mm: F64, person: I64, skeleton: Skeleton) -> PeopleWorld:
    """Estimate up axis, floor and statures from people who stand and walk most of the time.

    Args:
        rig: Cameras in any coordinates.
        xyz_mm: (M, G, J, 3) joints in the same coordinates, NaN where missing.
        person: (M, G) person index, -1 where missing.
        skeleton: Skeleton of the joints.

    Raises:
        CoreError: No person is seen from the ankles to the shoulders.
    """
    statures, frames = _statures(xyz_mm, person, skeleton)
    known = np.isfinite(statures)
    if not known.any():
        raise CoreError(
            "No person is visible from ankles to shoulders in two cameras.",
            "Film people who walk where several cameras see them from head to foot.",
        )
    stature = float(np.average(statures[known], weights=frames[known]))
    up = _upright(xyz_mm, skeleton)
    feet = _feet(xyz_mm, skeleton, up)
    floor, tilt = None, float("nan")
    try:
        floor = world_from_floor_points(feet, rig)
        tilt = float(np.degrees(np.arccos(np.clip(floor.R[2] @ up, -1, 1))))
    except CoreError:
        pass  # the area is too small: the bodies define the up axis
    axis = up if floor is None else floor.R[2]
    note = "The floor is defined by the feet of people."
    if floor is None:
        note = "The up axis is defined by people's bodies, because their feet covered too little of the floor."
    height = float(np.median(feet @ axis)) - ANKLE_SHARE * stature
    middle = np.median(feet, axis=0)
    origin = middle + axis * (height - float(middle @ axis))
    x = np.cross(next(c for c in rig if c.posed).pose[0][2], axis)
    if np.linalg.norm(x) < 0.1:
        x = next(c for c in rig if c.posed).pose[0][0]
    x = x - axis * (x @ axis)
    x = x / np.linalg.norm(x)
    change = Similarity(R=np.stack([x, np.cross(axis, x), axis]), origin_mm=origin, floor_guessed=floor is None)
    return PeopleWorld(
        change=change,
        stature_mm=stature,
        statures_mm=statures,
        area=_hull_area(change.points(feet)[:, :2]),
        tilt_deg=tilt,
        note=note,
    )


def mean_stature_mm(xyz_mm: F64, person: I64, skeleton: Skeleton) -> float:
    """Return the mean stature of people (M, G, J, 3), in the unit of the joints; NaN if none is seen well enough."""
    statures, frames = _statures(xyz_mm, person, skeleton)
    known = np.isfinite(statures)
    return float(np.average(statures[known], weights=frames[known])) if known.any() else float("nan")


def plausible_bone_share(xyz_mm: F64, person: I64, skeleton: Skeleton) -> float:
    """Return the fraction of bones with human proportions.

    Wrong camera poses distort bodies even if every joint reprojects well.

    Args:
        xyz_mm: (M, G, J, 3) joints in any unit, NaN where missing.
        person: (M, G) person index, -1 where missing.
        skeleton: Joint set.

    Returns:
        Fraction, 0 to 1; 0 without people.
    """
    lengths = []
    for a, b, share in _BONE_SHARES:
        ends = skeleton.select(xyz_mm, a, b)
        lengths.append(np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1) / share)
    ratio = np.stack(lengths, -1)
    ratio[person < 0] = np.nan
    known = np.isfinite(ratio) & (ratio > 0)
    if not known.any():
        return 0.0
    logs = np.log(np.where(known, ratio, 1.0))
    plausible = 0
    for p in range(int(person.max()) + 1):
        of_person = known & (person == p)[..., None]
        if of_person.any():
            plausible += int((np.abs(logs[of_person] - np.median(logs[of_person])) < _BONE_TOLERANCE).sum())
    return plausible / int(known.sum())


def _statures(xyz: F64, person: I64, skeleton: Skeleton) -> tuple[F64, F64]:
    """Return the stature (P,) of each person, and the number of frames (P,) in which they are seen."""
    P = int(person.max(initial=-1)) + 1
    by_person = np.full((len(xyz), P, *xyz.shape[2:]), np.nan)
    m, g = np.nonzero(person >= 0)
    by_person[m, person[m, g]] = xyz[m, g]
    frames = np.isfinite(by_person[..., 0]).any(-1).sum(0).astype(float)
    statures = stature_mm(by_person, skeleton) if P else np.zeros(0)
    return np.where(frames >= _MIN_FRAMES, statures, np.nan), frames


def _upright(xyz: F64, skeleton: Skeleton) -> F64:
    """Return the unit vector (3,) from ankles to neck, as a geometric median over bodies."""
    left, right, neck = np.moveaxis(skeleton.select(xyz, "left_ankle", "right_ankle", "neck"), -2, 0)
    trunk = neck - (left + right) / 2
    trunk = trunk[np.isfinite(trunk).all(-1)]
    if not len(trunk):
        raise CoreError("No person is visible from head to foot.", "Film people who walk in view of several cameras.")
    trunk = trunk / np.maximum(np.linalg.norm(trunk, axis=-1, keepdims=True), 1e-9)
    up = np.median(trunk, axis=0)
    for _ in range(20):  # Weiszfeld's algorithm: a few people who lie or bend do not tilt the geometric median
        weight = 1 / np.maximum(np.linalg.norm(trunk - up, axis=-1), 0.01)
        up = (trunk * weight[:, None]).sum(0) / weight.sum()
    return np.asarray(up / np.linalg.norm(up))


def _feet(xyz: F64, skeleton: Skeleton, up: F64) -> F64:
    """Return the lower ankle (N, 3) of each person in each frame."""
    ankles = skeleton.select(xyz, "left_ankle", "right_ankle")
    pair = ankles[np.isfinite(ankles).all((-1, -2))]
    lower = (pair @ up).argmin(-1)
    return np.asarray(pair[np.arange(len(pair)), lower])


def _hull_area(xy: F64) -> float:
    """Return the area of the convex hull of points (N, 2) without outliers."""
    from scipy.spatial import ConvexHull, QhullError

    if len(xy) < 4:
        return 0.0
    low, high = np.percentile(xy, [_HULL_TRIM, 100 - _HULL_TRIM], axis=0)
    inner = xy[((xy >= low) & (xy <= high)).all(1)]
    try:
        return float(ConvexHull(inner).volume)
    except (QhullError, ValueError):
        return 0.0
