"""Candidate people of a frame, from pairs of detections whose rays intersect.

Letters in shapes: K pairs of detections, C candidates, J joint.
"""

from __future__ import annotations

import numpy as np

from core.association.config import AssociationConfig
from core.association.limits import PlaceLimits
from core.association.support import MIN_AGREEMENT, FrameDetections
from core.association.views import ViewGeometry
from core.geometry import intersect_rays
from core.types.arrays import F64, I64

_FIRST_JOINTS, _FIRST_SLACK = 3, 0.5  # Coarse test: every third joint, with this tolerance in mean agreement.
_MAX_PAIRS = 120
_LONG_BONES = 0.15  # Largest fraction of implausibly long bones.


def pair_candidates(
    geometry: ViewGeometry,
    detections: FrameDetections,
    a: I64,
    b: I64,
    least: F64,
    config: AssociationConfig,
    limits: PlaceLimits,
) -> F64:
    """Return poses (C, J, 3) from pairs of detections whose rays intersect, best first; NaN for joints not shared.

    Args:
        geometry: Cameras.
        detections: Detections of the frame.
        a: (K,) index of the first detection of each pair.
        b: (K,) index of the second.
        least: (K,) threshold of the mean agreement of each pair.
        config: Settings.
        limits: Position-dependent limits.
    """
    if not len(a):
        return np.zeros((0, detections.x.shape[1], 3))
    # A subset of the joints rejects most pairs.
    support, total, _, _, _ = _pair_support(geometry, detections, a, b, slice(None, None, _FIRST_JOINTS))
    hopeful = support > (least - _FIRST_SLACK) * total
    a, b, least = a[hopeful], b[hopeful], least[hopeful]
    if not len(a):
        return np.zeros((0, detections.x.shape[1], 3))
    support, total, shared, agreement, middle = _pair_support(geometry, detections, a, b, slice(None))
    good = (shared.sum(-1) >= config.min_joints) & (support > least * total)
    middle = np.where((shared & (agreement > 0))[..., None], middle, np.nan)
    kept = np.flatnonzero(good)
    good[kept] = plausible_people(middle[kept], geometry, config, limits.at(middle[kept])[1])
    best = np.flatnonzero(good)[np.argsort(-support[good], kind="stable")][:_MAX_PAIRS]
    return np.asarray(middle[best])


def _pair_support(
    geometry: ViewGeometry, detections: FrameDetections, a: I64, b: I64, joints: slice
) -> tuple[F64, F64, np.ndarray, F64, F64]:
    """Measure the agreement of the rays of pairs of detections.

    Returns:
        Summed agreement and summed weight (K,), mask of shared joints (K, J'), agreement (K, J'), and the points
        (K, J', 3) nearest to both rays.
    """
    va, vb = detections.view[a], detections.view[b]
    ray_a, ray_b = (
        _directions(geometry.R[v], detections.x[rows, joints], detections.y[rows, joints])
        for rows, v in ((a, va), (b, vb))
    )
    middle, gap, depth_a, depth_b = intersect_rays(
        geometry.centre_mm[va, None], ray_a, geometry.centre_mm[vb, None], ray_b
    )
    weight = np.sqrt(detections.weight[a][:, joints] * detections.weight[b][:, joints])
    # Parallel and missing rays count neither for nor against the pair.
    shared = (weight > 0) & np.isfinite(gap)
    gate = np.hypot(geometry.gate(np.abs(depth_a), va[:, None]), geometry.gate(np.abs(depth_b), vb[:, None]))
    agreement = np.maximum(1 - (gap / gate) ** 2, MIN_AGREEMENT)
    agreement = np.where((depth_a > 0) & (depth_b > 0), agreement, MIN_AGREEMENT)
    ones = np.ones(weight.shape[-1])
    weight = np.where(shared, weight, 0.0)
    return np.where(shared, weight * agreement, 0.0) @ ones, weight @ ones, shared, agreement, middle


def _directions(R: F64, x: F64, y: F64) -> F64:
    """Return ray directions (K, J, 3) in world coordinates, with depth 1, from rotations (K, 3, 3)."""
    return np.asarray(x[..., None] * R[:, None, 0] + y[..., None] * R[:, None, 1] + R[:, None, 2])


def plausible_people(xyz: F64, geometry: ViewGeometry, config: AssociationConfig, bone_mm: F64) -> np.ndarray:
    """Return the mask (C,) of poses (C, J, 3) that are of human size and not below the floor."""
    bone = geometry.skeleton.bone_lengths(xyz)
    n_bones, n_long = np.isfinite(bone).sum(-1), (bone > bone_mm[:, None]).sum(-1)
    by_joint = np.ascontiguousarray(np.swapaxes(xyz, 0, 1))
    seen = np.isfinite(by_joint)
    extent = np.where(seen, by_joint, -np.inf).max(0) - np.where(seen, by_joint, np.inf).min(0)
    n_joints = seen[..., 0].sum(0)
    # Tolerate single outlier joints, which robust triangulation removes later.
    sized = (n_long <= np.maximum(1, _LONG_BONES * n_bones)) & (extent < 1.5 * config.max_extent_mm).all(-1)
    middle = np.where(seen[..., 2], by_joint[..., 2], 0.0).sum(0) / np.maximum(n_joints, 1)
    return np.asarray((n_joints >= config.min_joints) & sized & (middle > -config.below_floor_mm))
