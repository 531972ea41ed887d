"""Body model: a mesh deformed by a shape vector and posed by joint rotations (linear blend skinning).

Body coordinates are those of SMPL (Loper et al. 2015) in mm: x to the person's left, y up, z forward, origin near the
pelvis, T pose at rest. Models of the SMPL family have pose blend shapes; the embedded one has none.

Legend: P person, V vertex, F face, J joint, K keypoint, B shape component, D pose component = 9 (J - 1).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from core.errors import CoreError
from core.types.arrays import F32, F64, I64, frozen

BODY_TO_WORLD: F64 = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Rotation from body to world coordinates of a person who faces world x."""

_STRAIGHT = 1e-6  # element of R - I up to which a joint counts as straight


class RestBodies(NamedTuple):
    """Shaped bodies in the T pose, body coordinates.

    Attributes:
        vertices_mm: (P, V, 3) vertices.
        joints_mm: (P, J, 3) joints.
        keypoints_mm: (P, K, 3) keypoints.
    """

    vertices_mm: F32
    joints_mm: F64
    keypoints_mm: F64


class BoneTransforms(NamedTuple):
    """Rigid transforms of bones from rest to world coordinates, x' = R x + t; a bone has the index of its joint.

    Attributes:
        R: (P, J, 3, 3) rotations.
        t_mm: (P, J, 3) translations.
    """

    R: F64
    t_mm: F64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyModel:
    """Skinned mesh with linear shape components.

    Attributes:
        name: Name of the model; shape vectors of different models are not interchangeable.
        family: Family of the model, a key of `FAMILIES` in `core.body.models.families`, such as "free" or "smplx".
        gender: "neutral", "female" or "male".
        licence: Sentence on the terms of use of the model and of results that show its shape.
        joints: (J,) joint names.
        parents: (J,) index of the parent joint, smaller than the joint's own; -1 for the root, which is joint 0.
        template_mm: (V, 3) vertices of the mean shape in the T pose.
        faces: (F, 3) vertex indices, counter-clockwise as seen from outside.
        shape_dirs_mm: (V, 3, B) displacement per unit of each shape component.
        weights: (V, J) skinning weights; rows sum to 1.
        joint_template_mm: (J, 3) joints of the mean shape.
        joint_dirs_mm: (J, 3, B) displacement of joints per unit of each shape component.
        keypoints: (K,) names of the points on skin and skeleton that 2D estimators return.
        keypoint_template_mm: (K, 3) keypoints of the mean shape in the T pose.
        keypoint_dirs_mm: (K, 3, B) displacement of keypoints per unit of each shape component.
        keypoint_bones: (K,) joint index of the bone that each keypoint moves with.
        source_sha256: Hexadecimal SHA-256 of the source file of a user's model; empty for the embedded one.
        pose_dirs_mm: (D, V, 3) displacement at rest per unit of each element of R - I in row-major order, for the
            rotation R of each joint except the root; None without pose blend shapes.
        relaxed: (J, 3, 3) relative rotations of joints that are not fitted, such as fingers of relaxed hands. If
            omitted, such joints are straight.
        face_vertices: (L, 3) vertices of the triangles that contain the face landmarks; empty without landmarks.
        face_weights: (L, 3) barycentric coordinates of the face landmarks.
    """

    name: str
    family: str
    gender: str = "neutral"
    licence: str
    joints: tuple[str, ...]
    parents: I64
    template_mm: F32
    faces: I64
    shape_dirs_mm: F32
    weights: F32
    joint_template_mm: F64
    joint_dirs_mm: F64
    keypoints: tuple[str, ...]
    keypoint_template_mm: F64
    keypoint_dirs_mm: F64
    keypoint_bones: I64
    source_sha256: str = ""
    pose_dirs_mm: F32 | None = None
    relaxed: F64 = field(default_factory=lambda: np.zeros((0, 3, 3)))
    face_vertices: I64 = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    face_weights: F64 = field(default_factory=lambda: np.zeros((0, 3)))

    def __post_init__(self) -> None:
        sizes = {"J": len(self.joints), "K": len(self.keypoints)}
        for name, shape, dtype in (
            ("parents", ("J",), np.int64),
            ("template_mm", ("V", 3), np.float32),
            ("faces", ("F", 3), np.int64),
            ("shape_dirs_mm", ("V", 3, "B"), np.float32),
            ("weights", ("V", "J"), np.float32),
            ("joint_template_mm", ("J", 3), np.float64),
            ("joint_dirs_mm", ("J", 3, "B"), np.float64),
            ("keypoint_template_mm", ("K", 3), np.float64),
            ("keypoint_dirs_mm", ("K", 3, "B"), np.float64),
            ("keypoint_bones", ("K",), np.int64),
            ("face_vertices", ("L", 3), np.int64),
            ("face_weights", ("L", 3), np.float64),
        ):
            value = frozen(getattr(self, name), shape, f"body model {self.name}: {name}", dtype, sizes=sizes)
            object.__setattr__(self, name, value)
        if self.pose_dirs_mm is not None:
            what = f"body model {self.name}: pose_dirs_mm"
            value = frozen(self.pose_dirs_mm, (9 * (sizes["J"] - 1), "V", 3), what, np.float32, sizes=sizes)
            object.__setattr__(self, "pose_dirs_mm", value)
        if not len(self.relaxed):
            object.__setattr__(self, "relaxed", np.broadcast_to(np.eye(3), (sizes["J"], 3, 3)))
        relaxed = frozen(self.relaxed, ("J", 3, 3), f"body model {self.name}: relaxed", sizes=sizes)
        object.__setattr__(self, "relaxed", relaxed)
        tree = self.parents[0] == -1 and ((self.parents[1:] >= 0) & (self.parents[1:] < np.arange(1, sizes["J"]))).all()
        indices = (self.faces, sizes["V"]), (self.face_vertices, sizes["V"]), (self.keypoint_bones, sizes["J"])
        if not tree or any(((array < 0) | (array >= count)).any() for array, count in indices):
            raise CoreError(
                f"Body model {self.name}: the joints are not a tree, or an index is out of range.",
                "Get the file again from its source.",
            )
        if not np.allclose(self.weights.sum(1), 1, atol=1e-3):
            raise CoreError(
                f"Body model {self.name}: skinning weights do not sum to 1.", "Get the file again from its source."
            )

    @property
    def n_shape(self) -> int:
        """Number B of shape components."""
        return int(self.shape_dirs_mm.shape[2])

    def rest(self, betas: F64) -> RestBodies:
        """Return the bodies of shape vectors (P, B), in units of standard deviations."""
        return RestBodies(
            self.template_mm + np.tensordot(np.asarray(betas, np.float32), self.shape_dirs_mm, (1, 2)),
            self.joint_template_mm + np.tensordot(betas, self.joint_dirs_mm, (1, 2)),
            self.keypoint_template_mm + np.tensordot(betas, self.keypoint_dirs_mm, (1, 2)),
        )

    def transforms(self, rest_joints_mm: F64, rotations: F64, pelvis_mm: F64) -> BoneTransforms:
        """Return the transforms of all bones.

        Args:
            rest_joints_mm: (P, J, 3) joints at rest.
            rotations: (P, J, 3, 3) rotation of each joint relative to its parent; that of the root from body to world
                coordinates, such as `BODY_TO_WORLD`.
            pelvis_mm: (P, 3) position of the root joint in world coordinates.
        """
        local = np.zeros((*rotations.shape[:2], 4, 4))
        local[..., :3, :3], local[..., 3, 3] = rotations, 1
        local[..., :3, 3] = rest_joints_mm - rest_joints_mm[:, self.parents]
        local[:, 0, :3, 3] = pelvis_mm
        world = local.copy()
        for joints, parents in _levels(tuple(self.parents.tolist())):  # parents before children
            world[:, joints] = world[:, parents] @ local[:, joints]
        R = np.ascontiguousarray(world[..., :3, :3])
        return BoneTransforms(R, world[..., :3, 3] - (R @ rest_joints_mm[..., None])[..., 0])

    def skin(self, rest_vertices_mm: F32, bones: BoneTransforms) -> tuple[F32, F32]:
        """Return the posed vertices (P, V, 3) in mm and their blended rotations (P, V, 3, 3)."""
        P, V = rest_vertices_mm.shape[:2]
        if self.pose_dirs_mm is not None:
            rest_vertices_mm = rest_vertices_mm + self._pose_offsets(bones)
        affine = np.concatenate([bones.R, bones.t_mm[..., None]], -1).astype(np.float32)
        blended = np.matmul(self.weights, affine.reshape(P, len(self.joints), 12)).reshape(P, V, 3, 4)
        x, y, z = (rest_vertices_mm[..., None, axis] for axis in range(3))
        columns = (blended[..., axis] for axis in range(4))  # much faster than small products
        a, b, c, t = columns
        return a * x + b * y + c * z + t, blended[..., :3]

    def _pose_offsets(self, bones: BoneTransforms) -> F32:
        """Return the displacements (P, V, 3) in mm of the pose blend shapes at rest."""
        assert self.pose_dirs_mm is not None
        P, (D, V, _) = len(bones.R), self.pose_dirs_mm.shape
        local = np.swapaxes(bones.R[:, self.parents[1:]], -1, -2) @ bones.R[:, 1:] - np.eye(3)
        bent = np.flatnonzero((np.abs(local) > _STRAIGHT).any((0, 2, 3)))  # most finger joints are straight
        by_joint = self.pose_dirs_mm.reshape(D // 9, 9, 3 * V)
        offsets = np.zeros((P, 3 * V), np.float32)
        for joint in bent:  # one product per joint avoids copies of the blend shapes
            offsets += local[:, joint].reshape(P, 9).astype(np.float32) @ by_joint[joint]
        return offsets.reshape(P, V, 3)

    def posed_joints(self, rest_joints_mm: F64, bones: BoneTransforms) -> F64:
        """Return the joints (P, J, 3) in world coordinates."""
        return np.asarray((bones.R @ rest_joints_mm[..., None])[..., 0] + bones.t_mm)

    def posed_keypoints(self, rest_keypoints_mm: F64, bones: BoneTransforms) -> F64:
        """Return the keypoints (P, K, 3) in world coordinates."""
        R, t_mm = bones.R[:, self.keypoint_bones], bones.t_mm[:, self.keypoint_bones]
        return np.asarray((R @ rest_keypoints_mm[..., None])[..., 0] + t_mm)


@functools.cache
def _levels(parents: tuple[int, ...]) -> tuple[tuple[I64, I64], ...]:
    """Return the joints below the root and their parents, grouped by depth in the tree."""
    depth = np.zeros(len(parents), np.int64)
    for joint, parent in enumerate(parents[1:], start=1):
        depth[joint] = depth[parent] + 1
    levels = [np.flatnonzero(depth == level) for level in range(1, depth.max() + 1)]
    return tuple((joints, np.array(parents)[joints]) for joints in levels)
