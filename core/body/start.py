"""Initial poses of bodies in closed form: the trunk by rigid alignment, limbs by their directions and hinge planes.

Legend: N pose, K keypoint.
"""

from __future__ import annotations

import numpy as np

from core.body.chain import BodyChain, Poses
from core.geometry.so3 import cross, log
from core.types.arrays import F64

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_STRAIGHT = 0.25  # weight of the trunk's forward direction in the plane of a nearly straight limb


def initial_poses(chain: BodyChain, xyz_mm: F64) -> Poses:
    """Return initial poses for keypoints (N, K, 3) in mm; limbs with missing points are relaxed.

    Poses with too few points of the trunk get the rotation of the nearest other pose.
    """
    names = chain.keypoints.names
    joint, prior = chain.model.joints.index, chain.prior
    trunk = [names.index(name) for name in _TRUNK]
    at_rest = np.broadcast_to(chain.rest_keypoints_mm, xyz_mm.shape)[:, trunk]
    rest = np.broadcast_to(chain.rest_joints_mm, (len(xyz_mm), *chain.rest_joints_mm.shape[-2:]))
    root, pelvis = _trunk(at_rest, xyz_mm[:, trunk], rest[:, 0])
    w = np.broadcast_to(prior.mean_rad, (len(xyz_mm), *prior.mean_rad.shape)).copy()
    place = {int(j): i for i, j in enumerate(prior.joints)}
    for side in ("left", "right"):
        for ends in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            a, b, c = (xyz_mm[:, names.index(f"{side}_{end}")] for end in ends)
            upper, lower = b - a, c - b
            # Knees bend forward of their limb, wrists forward of the line of the upper arm.
            knee = ends[0] == "hip"
            line, lead = (upper + lower, upper - lower) if knee else (upper, lower)
            lead = lead + _STRAIGHT * np.linalg.norm(upper, axis=-1, keepdims=True) * root[..., 2]
            hinge = _unit(cross(_unit(line), lead))
            first, second, third = (joint(f"{side}_{name}") for name in ends)
            bones = (upper, first, rest[:, second] - rest[:, first]), (lower, second, rest[:, third] - rest[:, second])
            parent, known = root, np.flatnonzero(np.isfinite(hinge).all(-1))
            for bone, index, rest_bone in bones:
                across = _unit(cross(rest_bone, _AHEAD))
                rotation = _frame(bone, hinge) @ np.swapaxes(_frame(rest_bone, across), -1, -2)
                local = np.swapaxes(parent, -1, -2)[known] @ rotation[known]
                w[known, place[index]] = log(local)
                parent = rotation
    return Poses(root, pelvis, w)


_AHEAD = np.array([0.0, 0.0, 1.0])


def _trunk(rest: F64, seen: F64, root_mm: F64) -> tuple[F64, F64]:
    """Return the rotation and position of the root (N, ...) that best align four points at rest with those seen."""
    known = np.asarray(np.isfinite(seen).all(-1))
    good = np.flatnonzero(known.sum(1) >= 3)
    if not len(good):
        middle = np.nanmean(seen.reshape(-1, 3), axis=0) if known.any() else np.zeros(3)
        upright = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
        return np.tile(upright, (len(seen), 1, 1)), np.tile(middle, (len(seen), 1))
    weight = known[good].astype(float)[..., None]
    points = np.where(known[good][..., None], seen[good], 0.0)
    total = weight.sum(1, keepdims=True)
    rest, root_mm = rest[good], root_mm[good]
    a = rest - (weight * rest).sum(1, keepdims=True) / total
    b = points - (weight * points).sum(1, keepdims=True) / total
    u, _, vt = np.linalg.svd(np.swapaxes(weight * b, -1, -2) @ a)
    sign = np.stack([np.ones(len(good)), np.ones(len(good)), np.linalg.det(u @ vt)], -1)
    R = (u * sign[:, None]) @ vt
    middle = (weight * points).sum(1) / total[:, 0]
    offset = (weight * rest).sum(1) / total[:, 0] - root_mm
    pelvis = middle - (R @ offset[..., None])[..., 0]
    nearest = np.abs(np.arange(len(seen))[:, None] - good[None]).argmin(1) if len(good) < len(seen) else slice(None)
    return R[nearest], pelvis[nearest]


def _unit(v: F64) -> F64:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9))


def _frame(bone: F64, across: F64) -> F64:
    """Return axes (..., 3, 3) as columns: along the bone, ahead, and across, which is perpendicular to the bone."""
    first = _unit(bone)
    return np.stack([first, cross(across, first), np.broadcast_to(across, first.shape)], -1)
