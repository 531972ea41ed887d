"""Forward kinematics of a body's keypoints with derivatives, and damped least squares over many poses.

Loper et al. 2015 (SMPL) for the model; derivatives by the axis and arm of each rotation, dp = a x (p - joint).

Legend: N pose (frame or person), J joint, A joint with free rotation, K keypoint, B shape component, U unknown of a
pose = 6 + 3 A.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from core.body.model import BodyModel, BoneTransforms
from core.body.prior import PosePrior
from core.errors import CoreError
from core.geometry.so3 import exp, hat, log, right_jacobian
from core.types.arrays import F32, F64, I64
from core.types.skeleton import DERIVED_JOINTS


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
        """Return a subset of the poses."""
        return Poses(self.root[index], self.pelvis_mm[index], self.w[index])

    def where(self, use: np.ndarray, other: Poses) -> Poses:
        """Return the poses of `other` where `use` (N,) is true, and these elsewhere."""
        pick = use[:, None]
        return Poses(
            np.where(pick[..., None], other.root, self.root),
            np.where(pick, other.pelvis_mm, self.pelvis_mm),
            np.where(pick[..., None], other.w, self.w),
        )

    def moved(self, step: F64) -> Poses:
        """Return the poses after a step (N, U): translation, rotation of the root, rotation vectors."""
        w = self.w + step[:, 6:].reshape(self.w.shape)
        return Poses(exp(step[:, 3:6]) @ self.root, self.pelvis_mm + step[:, :3], w)


class Targets(NamedTuple):
    """Observed keypoints.

    Attributes:
        xyz_mm: (N, K, 3) positions, arbitrary where missing.
        whitening: (N, K, 3, 3) in 1/mm: W with WᵀW the inverse covariance; 0 where missing.
    """

    xyz_mm: F64
    whitening: F64

    @classmethod
    def of(cls, xyz_mm: F64, use: np.ndarray, sigma_mm: float, covariance_mm2: F32 | None = None) -> Targets:
        """Return the targets for keypoints.

        Args:
            xyz_mm: (N, K, 3) positions, arbitrary where not used.
            use: (N, K) mask of the keypoints to use.
            sigma_mm: Standard deviation per axis where the covariance is unknown.
            covariance_mm2: (N, K, 3, 3) covariances, NaN where unknown.
        """
        whitening = (use / sigma_mm)[..., None, None] * np.eye(3)
        if covariance_mm2 is not None:
            n, k = np.nonzero(use & np.isfinite(covariance_mm2).all((-1, -2)))
            known = covariance_mm2[n, k].astype(np.float64)
            limits = (_MIN_SIGMA * sigma_mm) ** 2, (_MAX_SIGMA * sigma_mm) ** 2
            values, vectors = np.linalg.eigh((known + np.swapaxes(known, -1, -2)) / 2)
            whitening[n, k] = np.swapaxes(vectors, -1, -2) / np.sqrt(np.clip(values, *limits))[..., None]
        return cls(np.where(use[..., None], xyz_mm, 0.0), whitening)

    @property
    def used(self) -> np.ndarray:
        """(N, K) mask of the keypoints in use."""
        return np.asarray(self.whitening.any((-1, -2)))

    def take(self, index: I64 | slice) -> Targets:
        """Return the targets of a subset of the poses."""
        return Targets(self.xyz_mm[index], self.whitening[index])


_MIN_SIGMA, _MAX_SIGMA = 0.5, 10.0  # covariances ignore different definitions of joints


class Tie(NamedTuple):
    """Quadratic prior around given poses.

    Attributes:
        poses: N mean poses.
        weight: (N, U) inverse variance of each unknown.
    """

    poses: Poses
    weight: F64


class BodyKeypoints(NamedTuple):
    """Points attached to bones.

    Attributes:
        names: K names.
        bones: (K,) joint index of each point's bone.
        template_mm: (K, 3) points of the mean shape at rest.
        dirs_mm: (K, 3, B) displacement per unit of each shape component.
    """

    names: tuple[str, ...]
    bones: I64
    template_mm: F64
    dirs_mm: F64

    @classmethod
    def of(cls, model: BodyModel, names: tuple[str, ...]) -> BodyKeypoints:
        """Return points of a body model; neck and mid-hip are the midpoints of shoulders and hips.

        Raises:
            CoreError: The model has no such point.
        """
        sources = [[name] if name in model.keypoints else list(DERIVED_JOINTS.get(name, ())) for name in names]
        for name, parts in zip(names, sources, strict=True):
            if not parts or any(part not in model.keypoints for part in parts):
                raise CoreError(f"The body model {model.name} has no keypoint '{name}'.", "Omit it.")
        indices = [[model.keypoints.index(part) for part in parts] for parts in sources]
        bones = [
            model.joints.index(_DERIVED_BONES[name]) if len(at) > 1 else model.keypoint_bones[at[0]]
            for name, at in zip(names, indices, strict=True)
        ]
        return cls(
            tuple(names),
            np.array(bones, np.int64),
            np.stack([model.keypoint_template_mm[at].mean(0) for at in indices]),
            np.stack([model.keypoint_dirs_mm[at].mean(0) for at in indices]),
        )


_DERIVED_BONES = {"neck": "spine3", "mid_hip": "pelvis"}


@dataclass(frozen=True, slots=True, eq=False)
class BodyChain:
    """Kinematic chain of shaped bodies.

    Attributes:
        model: Body model.
        prior: Prior of the poses.
        keypoints: K observed keypoints.
        rest_joints_mm: (J, 3) joints at rest, or (N, J, 3) for poses of different bodies.
        rest_keypoints_mm: (K, 3) or (N, K, 3) observed keypoints at rest.
        moves: (K, A) 1 where a joint moves a keypoint, else 0.
        above: (U, U) 1 where the joint of one unknown moves that of another, 0.5 for unknowns of the same joint.
        huber: Threshold of Huber's loss in standard deviations.
    """

    model: BodyModel
    prior: PosePrior
    keypoints: BodyKeypoints
    rest_joints_mm: F64
    rest_keypoints_mm: F64
    moves: F64
    above: F64
    huber: float = 6.5

    @classmethod
    def of(cls, model: BodyModel, names: tuple[str, ...]) -> BodyChain:
        """Return the chain for the mean shape.

        Raises:
            CoreError: The model has no keypoint of that name.
        """
        return cls.of_keypoints(model, BodyKeypoints.of(model, names))

    @classmethod
    def of_keypoints(cls, model: BodyModel, keypoints: BodyKeypoints, *, feet: bool = False) -> BodyChain:
        """Return the chain for the mean shape; with `feet`, the ankles are free."""
        prior = PosePrior.of(model, feet=feet)
        moved_by = np.zeros((len(model.joints), len(model.joints)))  # joint j is moved by joint a
        for joint, parent in enumerate(model.parents):
            moved_by[joint] = moved_by[parent] if parent >= 0 else 0
            moved_by[joint, joint] = 1
        free = np.concatenate([[0, 0], prior.joints])  # translation and rotation of the root come first
        above = np.triu(moved_by[free][:, free].T, 1) + np.eye(len(free)) / 2
        return cls(
            model,
            prior,
            keypoints,
            model.joint_template_mm,
            keypoints.template_mm,
            moved_by[keypoints.bones][:, prior.joints],
            np.kron(above, np.ones((3, 3))),
        )

    @property
    def n_unknowns(self) -> int:
        """Number U of unknowns of a pose."""
        return 6 + 3 * len(self.prior.joints)

    def shaped(self, betas: F64, offsets_mm: F64 | float = 0.0) -> BodyChain:
        """Return the chain for shapes (..., B) and offsets (..., K, 3) of the keypoints at rest."""
        return replace(
            self,
            rest_joints_mm=self.model.joint_template_mm + np.tensordot(betas, self.model.joint_dirs_mm, (-1, 2)),
            rest_keypoints_mm=self.keypoints.template_mm
            + np.tensordot(betas, self.keypoints.dirs_mm, (-1, 2))
            + offsets_mm,
        )

    def rotations(self, poses: Poses) -> F64:
        """Return joint rotations (N, J, 3, 3) relative to the parents."""
        local = np.broadcast_to(self.model.relaxed, (len(poses), len(self.model.joints), 3, 3)).copy()
        local[:, 0] = poses.root
        local[:, self.prior.joints] = exp(poses.w)
        return local

    def bones(self, poses: Poses) -> BoneTransforms:
        """Return the bone transforms."""
        rest = np.broadcast_to(self.rest_joints_mm, (len(poses), *self.rest_joints_mm.shape[-2:]))
        return self.model.transforms(rest, self.rotations(poses), poses.pelvis_mm)

    def points(self, bones: BoneTransforms) -> F64:
        """Return the observed keypoints (N, K, 3)."""
        bone = self.keypoints.bones
        return np.asarray((bones.R[:, bone] @ self.rest_keypoints_mm[..., None])[..., 0] + bones.t_mm[:, bone])

    def joint_positions(self, bones: BoneTransforms) -> F64:
        """Return the joints (N, J, 3)."""
        return np.asarray((bones.R @ self.rest_joints_mm[..., None])[..., 0] + bones.t_mm)

    def cost(self, poses: Poses, targets: Targets, tie: Tie | None = None) -> F64:
        """Return the cost (N,) of poses: Huber's loss of the keypoints, pose prior and tie."""
        return self._cost(poses, self._place(poses), targets, tie)

    def normal_equations(self, poses: Poses, targets: Targets, tie: Tie | None = None) -> tuple[F64, F64]:
        """Return the gradient (N, U) and the approximate Hessian (N, U, U) of half the cost.

        Each keypoint contributes a 6x6 matrix over the velocity and angular velocity of its body; those of all
        keypoints that a joint moves are summed, as in the composite rigid body algorithm (Featherstone 2008, 6.2).
        """
        return self._normal_equations(poses, self._place(poses), targets, tie)

    def _place(self, poses: Poses) -> _Placed:
        bones = self.bones(poses)
        return _Placed(bones.R, self.points(bones), self.joint_positions(bones))

    def _cost(self, poses: Poses, placed: _Placed, targets: Targets, tie: Tie | None) -> F64:
        residual = (targets.whitening @ (placed.points - targets.xyz_mm)[..., None])[..., 0]
        gap = np.sqrt((residual * residual).sum(-1))
        huber = self.huber
        cost = np.where(gap < huber, gap**2, huber * (2 * gap - huber)).sum(-1) + self.prior.cost(poses.w)
        if tie is not None:
            cost = cost + (tie.weight * _difference(poses, tie.poses) ** 2).sum(-1)
        return np.asarray(cost)

    def _normal_equations(self, poses: Poses, placed: _Placed, targets: Targets, tie: Tie | None) -> tuple[F64, F64]:
        points, joints = placed.points, placed.joints
        N, K = points.shape[:2]
        U, free = self.n_unknowns, self.prior.joints
        # Velocities of keypoints by velocity (0:3) and angular velocity (3:6) of a body at the pelvis.
        residual = (targets.whitening @ (points - targets.xyz_mm)[..., None])[..., 0]
        root_weight = np.sqrt(np.minimum(1, self.huber / np.maximum(np.linalg.norm(residual, axis=-1), 1e-9)))
        white = targets.whitening * root_weight[..., None, None]
        carried = np.concatenate([white, -white @ hat(points - joints[:, :1])], -1)
        pulled = (np.swapaxes(carried, -1, -2) @ (residual * root_weight[..., None])[..., None])[..., 0]
        inertia = (np.swapaxes(carried, -1, -2) @ carried).reshape(N, K, 36)
        # Sums over the keypoints that each joint moves; the root moves all.
        by_joint = self.moves.T
        inertias = (by_joint @ inertia).reshape(N, -1, 6, 6)
        screws = np.zeros((N, 6, U))
        screws[:, :, :6] = np.eye(6)
        axes = placed.R[:, self.model.parents[free]] @ np.swapaxes(right_jacobian(poses.w), -1, -2)
        arms = hat(joints[:, free] - joints[:, :1]) @ axes
        joint_screws = np.concatenate([arms, axes], 2)
        screws[:, :, 6:] = joint_screws.swapaxes(1, 2).reshape(N, 6, -1)
        forces = np.empty((N, 6, U))
        forces[:, :, :6] = inertia.sum(1).reshape(N, 6, 6)
        forces[:, :, 6:] = (inertias @ joint_screws).swapaxes(1, 2).reshape(N, 6, -1)
        half = (np.swapaxes(screws, -1, -2) @ forces) * self.above
        hessian = half + np.swapaxes(half, -1, -2)
        gradient = np.empty((N, U))
        gradient[:, :6] = pulled.sum(1)
        gradient[:, 6:] = (np.swapaxes(joint_screws, -1, -2) @ (by_joint @ pulled)[..., None]).reshape(N, -1)
        diagonal, prior_gradient = np.zeros(poses.w.shape), np.zeros(poses.w.shape)
        self.prior.add(poses.w, prior_gradient, diagonal)
        gradient[:, 6:] += prior_gradient.reshape(N, -1)
        every = np.arange(U)
        hessian[:, every[6:], every[6:]] += diagonal.reshape(N, -1)
        if tie is not None:
            gradient += tie.weight * _difference(poses, tie.poses)
            hessian[:, every, every] += tie.weight
        return gradient, hessian

    def refine(self, poses: Poses, targets: Targets, steps: int, tie: Tie | None = None) -> tuple[Poses, F64]:
        """Return the poses after damped Gauss-Newton steps, and their costs (N,)."""
        placed = self._place(poses)
        cost = self._cost(poses, placed, targets, tie)
        damping = np.full(len(poses), 1e-3)
        every = np.arange(self.n_unknowns)
        for _ in range(steps):
            gradient, hessian = self._normal_equations(poses, placed, targets, tie)
            # Damping by physical units: mm for the translation, rad for rotations.
            hessian[:, every, every] += damping[:, None] * (hessian[:, every, every] + 1e-6)
            step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
            tried = poses.moved(-np.asarray(step, float))
            tried_placed = self._place(tried)
            new_cost = self._cost(tried, tried_placed, targets, tie)
            better = new_cost < cost
            damping = np.where(better, damping / 5, damping * 20).clip(1e-6, 1e6)
            if better.all():
                poses, placed, cost = tried, tried_placed, new_cost
            else:
                poses, placed = poses.where(better, tried), placed.where(better, tried_placed)
                cost = np.where(better, new_cost, cost)
        return poses, cost


class _Placed(NamedTuple):
    """Forward kinematics of poses: bone rotations (N, J, 3, 3), keypoints (N, K, 3) and joints (N, J, 3)."""

    R: F64
    points: F64
    joints: F64

    def where(self, use: np.ndarray, other: _Placed) -> _Placed:
        pick = use[:, None, None]
        return _Placed(
            np.where(pick[..., None], other.R, self.R),
            np.where(pick, other.points, self.points),
            np.where(pick, other.joints, self.joints),
        )


def _difference(poses: Poses, other: Poses) -> F64:
    """Return the step (N, U) from other poses to these."""
    turned = log(poses.root @ np.swapaxes(other.root, -1, -2))
    return np.concatenate([poses.pelvis_mm - other.pelvis_mm, turned, (poses.w - other.w).reshape(len(poses), -1)], -1)
