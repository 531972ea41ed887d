"""The world frame from people alone: feet stand on the floor, bodies stand upright, and stature gives the millimetre.

Legend: M frame, G person at a frame, P person, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.calibration.people.check import stature_mm
from core.calibration.world import Similarity, world_from_floor_points
from core.errors import CoreError
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.skeleton import PANOPTIC15, Skeleton, convert

ANKLE_SHARE = 0.039  # height of the ankle as a share of stature: Drillis and Contini, Body Segment Parameters, 1966
_LEAST_SEEN = 5
_HULL_TRIM = 2.0  # percent of the feet that may be strays


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloorFromPeople:
    """What people tell of the world.

    Attributes:
        change: From the frame of the cameras to the world, its scale 1.
        stature_mm: Mean stature of people before any scaling, each as long as they were seen.
        statures_mm: (P,) of each, NaN where not seen well enough.
        area: Square of the units of length that the feet went over.
        tilt_deg: Between the floor under the feet and the bodies; NaN where the feet give no floor.
        remark: Where the floor comes from, in words.
    """

    change: Similarity
    stature_mm: float
    statures_mm: F64
    area: float
    tilt_deg: float
    remark: str


def world_of(rig: CameraRig, xyz_mm: F64, who: I64, skeleton: Skeleton) -> FloorFromPeople:
    """Up, floor and size from the joints of people who stand and walk most of the time.

    Args:
        rig: Cameras in any frame.
        xyz_mm: (M, G, J, 3) joints in it, NaN where not known.
        who: (M, G) number of the person, -1 for nobody.
        skeleton: Of the joints.

    Raises:
        CoreError: Nobody is seen from the ankles to the shoulders.
    """
    score = np.isfinite(xyz_mm[..., 0]).astype(float)
    body, _ = convert(xyz_mm, score, skeleton, PANOPTIC15)
    statures, amount = _statures(body, who)
    known = np.isfinite(statures)
    if not known.any():
        raise CoreError(
            "Nobody is seen whole, from ankles to shoulders, by two cameras.",
            "Film people who walk where several cameras see them from head to foot.",
        )
    stature = float(np.average(statures[known], weights=amount[known]))
    up = _upright(body)
    feet = _feet(body, up)
    floor, tilt = None, float("nan")
    try:
        floor = world_from_floor_points(feet, rig)
        tilt = float(np.degrees(np.arccos(np.clip(floor.R[2] @ up, -1, 1))))
    except CoreError:
        pass  # too small an area: the bodies say what is up
    axis = up if floor is None else floor.R[2]
    remark = "The floor is that under people's feet."
    if floor is None:
        remark = "Up is where people's heads are: their feet covered too little of the floor to measure its tilt."
    height = float(np.median(feet @ axis)) - ANKLE_SHARE * stature
    middle = np.median(feet, axis=0)
    origin = middle + axis * (height - float(middle @ axis))
    x = np.cross(next(c for c in rig if c.posed).pose[0][2], axis)
    if np.linalg.norm(x) < 0.1:
        x = next(c for c in rig if c.posed).pose[0][0]
    x = x - axis * (x @ axis)
    x = x / np.linalg.norm(x)
    change = Similarity(R=np.stack([x, np.cross(axis, x), axis]), origin_mm=origin)
    return FloorFromPeople(
        change=change,
        stature_mm=stature,
        statures_mm=statures,
        area=_area(change.points(feet)[:, :2]),
        tilt_deg=tilt,
        remark=remark,
    )


def mean_stature_mm(xyz_mm: F64, who: I64, skeleton: Skeleton) -> float:
    """Mean stature of people (M, G, J, 3), in the unit of the joints; NaN where nobody is seen well enough."""
    body, _ = convert(xyz_mm, np.isfinite(xyz_mm[..., 0]).astype(float), skeleton, PANOPTIC15)
    statures, amount = _statures(body, who)
    known = np.isfinite(statures)
    return float(np.average(statures[known], weights=amount[known])) if known.any() else float("nan")


def _statures(body: F64, who: I64) -> tuple[F64, F64]:
    """(P,) stature of each person, and frames in which they are seen."""
    P = int(who.max(initial=-1)) + 1
    apart = np.full((len(body), P, *body.shape[2:]), np.nan)
    m, g = np.nonzero(who >= 0)
    apart[m, who[m, g]] = body[m, g]
    amount = np.isfinite(apart[..., 0]).any(-1).sum(0).astype(float)
    statures = stature_mm(apart) if P else np.zeros(0)
    return np.where(amount >= _LEAST_SEEN, statures, np.nan), amount


def _upright(body: F64) -> F64:
    """(3,) unit vector from ankles to neck, as most bodies have it."""
    at = PANOPTIC15.index
    bottom = (body[:, :, at("left_ankle")] + body[:, :, at("right_ankle")]) / 2
    trunk = body[:, :, at("neck")] - bottom
    trunk = trunk[np.isfinite(trunk).all(-1)]
    if not len(trunk):
        raise CoreError("Nobody is seen from head to foot.", "Film people who walk in view of several cameras.")
    trunk = trunk / np.maximum(np.linalg.norm(trunk, axis=-1, keepdims=True), 1e-9)
    up = np.median(trunk, axis=0)
    for _ in range(20):  # Weiszfeld's geometric median: a few who lie or bend do not tilt it
        weight = 1 / np.maximum(np.linalg.norm(trunk - up, axis=-1), 0.01)
        up = (trunk * weight[:, None]).sum(0) / weight.sum()
    return np.asarray(up / np.linalg.norm(up))


def _feet(body: F64, up: F64) -> F64:
    """(N, 3) the lower ankle of everyone at every frame: it bears the body."""
    ankles = body[:, :, [PANOPTIC15.index("left_ankle"), PANOPTIC15.index("right_ankle")]]
    both = np.isfinite(ankles).all((-1, -2))
    pair = ankles[both]
    lower = (pair @ up).argmin(-1)
    return np.asarray(pair[np.arange(len(pair)), lower])


def _area(xy: F64) -> float:
    """Area of the hull of points (N, 2) without strays."""
    from scipy.spatial import ConvexHull, QhullError

    if len(xy) < 4:
        return 0.0
    low, high = np.percentile(xy, [_HULL_TRIM, 100 - _HULL_TRIM], axis=0)
    inner = xy[((xy >= low) & (xy <= high)).all(1)]
    try:
        return float(ConvexHull(inner).volume)
    except (QhullError, ValueError):
        return 0.0


# Lengths as shares of stature, as in `core.calibration.people.check`; hips and shoulders as estimators mark them.
_BONES = (
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
_ALIKE = 0.25  # of its length by which a bone may differ from the usual, as a logarithm


def human_share(xyz_mm: F64, who: I64, skeleton: Skeleton) -> float:
    """Share of bones that are as long as human ones, given the size of the whole person; cameras placed wrongly bend
    bodies even where every joint reprojects well. 0 where nobody is seen.

    Args:
        xyz_mm: (M, G, J, 3) joints in any unit.
        who: (M, G) number of the person, -1 for nobody.
        skeleton: Of the joints.
    """
    body, _ = convert(xyz_mm, np.isfinite(xyz_mm[..., 0]).astype(float), skeleton, PANOPTIC15)
    at = PANOPTIC15.index
    ratio = np.stack(
        [np.linalg.norm(body[:, :, at(a)] - body[:, :, at(b)], axis=-1) / share for a, b, share in _BONES], -1
    )
    ratio[who < 0] = np.nan
    known = np.isfinite(ratio) & (ratio > 0)
    if not known.any():
        return 0.0
    logs = np.log(np.where(known, ratio, 1.0))
    fits = 0
    for person in range(int(who.max()) + 1):
        mine = known & (who == person)[..., None]
        if mine.any():
            fits += int((np.abs(logs[mine] - np.median(logs[mine])) < _ALIKE).sum())
    return fits / int(known.sum())
