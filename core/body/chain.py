"""Keypoints of many poses of one body, their derivatives, and damped least squares over them.

Loper et al. 2015 (SMPL) for the model; derivatives by the axis and arm of each rotation, dp = a x (p - joint).

Legend: N pose (frame or person), A joint with free rotation, K keypoint, U unknown = 6 + 3 A.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from core.body.model import BodyModel, BoneTransforms
from core.body.prior import PosePrior
from core.geometry.so3 import exp, hat, right_jacobian
from core.types.arrays import F64, I64

_HUBER_MM = 80.0


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """Poses of bodies.

    Attributes:
        root: (N, 3, 3) rotation of the pelvis from body to world coordinates.
        pelvis_mm: (N, 3) position of the root joint.
        w: (N, A, 3) rotation vectors of the free joints.
    """

    root: F64
    pelvis_mm: F64
    w: F64

    def __len__(self) -> int:
        return len(self.root)

    def take(self, index: I64) -> Poses:
        """Return some of the poses."""
        return Poses(self.root[index], self.pelvis_mm[index], self.w[index])

    def where(self, use: np.ndarray, other: Poses) -> Poses:
        """Return poses of `other` where `use` (N,) is true, and of these elsewhere."""
        pick = use[:, None]
        return Poses(
            np.where(pick[..., None], other.root, self.root),
            np.where(pick, other.pelvis_mm, self.pelvis_mm),
            np.where(pick[..., None], other.w, self.w),
        )

    def moved(self, step: F64) -> Poses:
        """Return the poses after steps (N, U): translation, rotation of the root, rotation vectors."""
        w = self.w + step[:, 6:].reshape(self.w.shape)
        return Poses(exp(step[:, 3:6]) @ self.root, self.pelvis_mm + step[:, :3], w)


class Targets(NamedTuple):
    """Observed keypoints.

    Attributes:
        xyz_mm: (N, K, 3), anything where missing.
        weight: (N, K) 1 / variance in 1/mm², 0 where missing.
    """

    xyz_mm: F64
    weight: F64

    def take(self, index: I64) -> Targets:
        """Return some of the poses' targets."""
        return Targets(self.xyz_mm[index], self.weight[index])


@dataclass(frozen=True, slots=True, eq=False)
class BodyChain:
    """The kinematics of one body with its shape.

    Attributes:
        model: Body model.
        prior: Prior of its poses.
        keypoints: (K,) indices of the keypoints that are observed.
        rest_joints_mm: (J, 3) joints at rest.
        rest_keypoints_mm: (K, 3) observed keypoints at rest.
        moves: (K, A) whether a joint moves a keypoint.
    """

    model: BodyModel
    prior: PosePrior
    keypoints: I64
    rest_joints_mm: F64
    rest_keypoints_mm: F64
    moves: np.ndarray

    @classmethod
    def of(cls, model: BodyModel, keypoints: I64) -> BodyChain:
        """Return the chain of the mean shape."""
        prior = PosePrior.of(model)
        above = np.zeros((len(model.joints), len(model.joints)), bool)  # joint j is moved by joint a
        for joint, parent in enumerate(model.parents):
            above[joint] = above[parent] if parent >= 0 else False
            above[joint, joint] = True
        moves = above[model.keypoint_bones[keypoints]][:, prior.joints]
        return cls(model, prior, keypoints, model.joint_template_mm, model.keypoint_template_mm[keypoints], moves)

    def shaped(self, betas: F64, offsets_mm: F64 | float = 0.0) -> BodyChain:
        """Return the chain of a shape (B,), with offsets (K, 3) of the keypoints at rest."""
        return replace(
            self,
            rest_joints_mm=self.model.joint_template_mm + self.model.joint_dirs_mm @ betas,
            rest_keypoints_mm=self.model.keypoint_template_mm[self.keypoints]
            + self.model.keypoint_dirs_mm[self.keypoints] @ betas
            + offsets_mm,
        )

    def rotations(self, poses: Poses) -> F64:
        """Return joint rotations (N, J, 3, 3) relative to the parents."""
        local = np.broadcast_to(np.eye(3), (len(poses), len(self.model.joints), 3, 3)).copy()
        local[:, 0] = poses.root
        local[:, self.prior.joints] = exp(poses.w)
        return local

    def bones(self, poses: Poses) -> BoneTransforms:
        """Return the bone transforms."""
        rest = np.broadcast_to(self.rest_joints_mm, (len(poses), *self.rest_joints_mm.shape))
        return self.model.transforms(rest, self.rotations(poses), poses.pelvis_mm)

    def points(self, bones: BoneTransforms) -> F64:
        """Return the observed keypoints (N, K, 3)."""
        bone = self.model.keypoint_bones[self.keypoints]
        return np.asarray((bones.R[:, bone] @ self.rest_keypoints_mm[..., None])[..., 0] + bones.t_mm[:, bone])

    def joint_positions(self, bones: BoneTransforms) -> F64:
        """Return the joints (N, J, 3)."""
        return np.asarray((bones.R @ self.rest_joints_mm[..., None])[..., 0] + bones.t_mm)

    def cost(self, poses: Poses, targets: Targets) -> F64:
        """Return the cost (N,) of poses: Huber's loss of the keypoints, and the prior."""
        gap = np.linalg.norm(self.points(self.bones(poses)) - targets.xyz_mm, axis=-1)
        loss = np.where(gap < _HUBER_MM, gap**2, _HUBER_MM * (2 * gap - _HUBER_MM))
        return np.asarray((targets.weight * loss).sum(-1) + self.prior.cost(poses.w))

    def normal_equations(self, poses: Poses, targets: Targets) -> tuple[F64, F64]:
        """Return the gradient (N, U) and the approximate second derivatives (N, U, U) of half the cost."""
        bones = self.bones(poses)
        points, joints = self.points(bones), self.joint_positions(bones)
        N, K = points.shape[:2]
        free = self.prior.joints
        parent = bones.R[:, self.model.parents[free]]
        axes = parent @ np.swapaxes(right_jacobian(poses.w), -1, -2)  # (N, A, 3, axis)
        k, a = np.nonzero(self.moves)  # pairs of a keypoint and a joint that moves it
        x, y, z = np.moveaxis(axes[:, a], 2, 0)
        u, v, w = np.moveaxis(points[:, k] - joints[:, free[a]], 2, 0)[..., None]
        jacobian = np.zeros((N, K, 3, 6 + 3 * len(free)))
        moved = jacobian[..., 6:].reshape(N, K, 3, len(free), 3)
        moved[:, k, 0, a], moved[:, k, 1, a], moved[:, k, 2, a] = y * w - z * v, z * u - x * w, x * v - y * u
        jacobian[..., :3] = np.eye(3)
        jacobian[..., 3:6] = -hat(points - joints[:, :1])
        jacobian[..., 6:] = moved.reshape(N, K, 3, -1)
        residual = points - targets.xyz_mm
        gap = np.linalg.norm(residual, axis=-1)
        root_weight = np.sqrt(targets.weight * np.minimum(1, _HUBER_MM / np.maximum(gap, 1e-9)))
        flat = (jacobian * root_weight[..., None, None]).reshape(N, 3 * K, -1)
        residual = (residual * root_weight[..., None]).reshape(N, 3 * K, 1)
        transposed = np.swapaxes(flat, -1, -2)
        gradient, hessian = (transposed @ residual)[..., 0], transposed @ flat
        diagonal = np.zeros(poses.w.shape)
        prior_gradient = np.zeros(poses.w.shape)
        self.prior.add(poses.w, prior_gradient, diagonal)
        gradient[:, 6:] += prior_gradient.reshape(N, -1)
        every = np.arange(6, hessian.shape[-1])
        hessian[:, every, every] += diagonal.reshape(N, -1)
        return gradient, hessian

    def refine(self, poses: Poses, targets: Targets, steps: int) -> tuple[Poses, F64]:
        """Improve each pose by damped Gauss-Newton steps; return the poses and their costs (N,)."""
        cost = self.cost(poses, targets)
        damping = np.full(len(poses), 1e-3)
        every = np.arange(6 + 3 * len(self.prior.joints))
        for _ in range(steps):
            gradient, hessian = self.normal_equations(poses, targets)
            # Damping by physical units: mm for the translation, rad for rotations.
            hessian[:, every, every] += damping[:, None] * (hessian[:, every, every] + 1e-6)
            step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
            tried = poses.moved(-np.asarray(step, float))
            new_cost = self.cost(tried, targets)
            better = new_cost < cost
            damping = np.where(better, damping / 5, damping * 20).clip(1e-6, 1e6)
            poses, cost = poses.where(better, tried), np.where(better, new_cost, cost)
        return poses, cost
