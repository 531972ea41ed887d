"""Estimation of body shape, from limb lengths or together with keypoint offsets in closed form.

Legend: T frame, N pose, K keypoint, B shape component.
"""

from __future__ import annotations

import numpy as np

from core.body.chain import BodyChain, Poses, Targets
from core.types.arrays import F64

_LENGTH_SIGMA_MM = 15.0
_DISPROPORTION = 0.3  # log ratio of a limb's length to the others from which it is an outlier
_INDEPENDENT = 40.0  # effective number of frames with independent errors
_ROBUST_MM = 80.0


def shape_from_lengths(chain: BodyChain, xyz_mm: F64, good: np.ndarray) -> F64:
    """Return the shape (B,) that fits the median observed limb lengths.

    Args:
        chain: Chain of the observed keypoints.
        xyz_mm: (T, K, 3) keypoints.
        good: (T, K) mask of known keypoints.
    """
    points = chain.keypoints
    pairs = [
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip"))
    ]
    a, b = (np.array([points.names.index(pair[end]) for pair in pairs]) for end in range(2))
    both = good[:, a] & good[:, b]
    seen = np.flatnonzero(both.any(0))
    a, b = a[seen], b[seen]
    lengths = np.nanmedian(
        np.where(both[:, seen], np.linalg.norm(xyz_mm[:, a] - xyz_mm[:, b], axis=-1), np.nan), axis=0
    )
    bones, moved = points.template_mm[a] - points.template_mm[b], points.dirs_mm[a] - points.dirs_mm[b]
    betas = np.zeros(moved.shape[-1])
    if not len(seen):
        return betas
    ratio = lengths / np.linalg.norm(bones, axis=-1)
    plausible = np.abs(np.log(ratio / np.median(ratio))) < _DISPROPORTION
    bones, moved, lengths = bones[plausible], moved[plausible], lengths[plausible]
    for _ in range(4):
        bone = bones + moved @ betas
        length = np.linalg.norm(bone, axis=-1)
        J = np.einsum("li,lib->lb", bone / length[:, None], moved) / _LENGTH_SIGMA_MM
        residual = (lengths - length) / _LENGTH_SIGMA_MM
        betas = np.linalg.solve(J.T @ J + np.eye(len(betas)), J.T @ (residual + J @ betas))
    return betas


def shape_and_offsets(chain: BodyChain, poses: Poses, targets: Targets, offset_mm: float) -> tuple[F64, F64]:
    """Return the best shape (B,) and offsets (K, 3) for the rotations of given poses.

    Args:
        chain: Chain for the current shape and offsets.
        poses: N poses.
        targets: Observed keypoints.
        offset_mm: Standard deviation of offsets per axis.
    """
    model, points, bones = chain.model, chain.keypoints, chain.bones(poses)
    gap = np.linalg.norm(chain.points(bones) - targets.xyz_mm, axis=-1)
    weight = (targets.whitening**2).sum((-1, -2)) / 3
    weight = weight * np.minimum(1, _ROBUST_MM / np.maximum(gap, 1e-9))
    N, K = weight.shape
    B = model.n_shape
    moved = np.zeros((N, len(model.joints), 3, B))  # derivatives of joints by shape, with a fixed root
    origin = np.zeros((N, len(model.joints), 3))
    for joint, parent in enumerate(model.parents[1:], start=1):  # parents before children
        R = bones.R[:, parent]
        moved[:, joint] = moved[:, parent] + R @ (model.joint_dirs_mm[joint] - model.joint_dirs_mm[parent])
        bone = model.joint_template_mm[joint] - model.joint_template_mm[parent]
        origin[:, joint] = origin[:, parent] + R @ bone
    at = points.bones
    R = bones.R[:, at]
    directions = moved[:, at] + R @ (points.dirs_mm - model.joint_dirs_mm[at])
    rest = points.template_mm - model.joint_template_mm[at]
    seen = targets.xyz_mm - origin[:, at] - (R @ rest[..., None])[..., 0]
    # Unknowns: shape, offsets, and the pelvis of each frame, which weighted means eliminate.
    share = weight[..., None] / np.maximum(weight.sum(1), 1e-12)[:, None, None]
    blocks = np.zeros((N, K, 3, B + 3 * K))
    blocks[..., :B] = directions
    for k in range(K):  # an offset moves only its keypoint
        blocks[:, k, :, B + 3 * k : B + 3 * k + 3] = R[:, k]
    blocks -= (share[..., None] * blocks).sum(1, keepdims=True)
    seen = seen - (share * seen).sum(1, keepdims=True)
    root = np.sqrt(weight)[..., None]
    A, y = (blocks * root[..., None]).reshape(-1, B + 3 * K), (seen * root).reshape(-1)
    ridge = np.concatenate([np.ones(B), np.full(3 * K, offset_mm**-2.0)])
    # Errors of neighbouring frames are correlated, so fewer independent frames count.
    part = min(1.0, _INDEPENDENT / N)
    solution = np.linalg.solve(part * A.T @ A + np.diag(ridge), part * A.T @ y)
    return solution[:B], solution[B:].reshape(K, 3)
