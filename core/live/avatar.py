"""Poses of humanoid avatars from bodies of live people, with Unity's bones and left-handed coordinates.

Body model and avatar both rest in a T-pose, facing +z with y up; the left hand of the body points along +x, that of the
avatar along -x. The rotation of a bone relative to its parent is the mirrored rotation of the body's joint. Avatars
have an exact T-pose (arms level, legs vertical), body models only an approximate one; limbs are rotated by the
difference, so that an avatar of any proportions has the directions of the body. Positions are those of the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from core.body.model import BodyModel
from core.geometry.so3 import exp
from core.types.arrays import F64
from core.types.body import BodySequence

_SIDES = (
    ("Shoulder", "collar"),
    ("UpperArm", "shoulder"),
    ("LowerArm", "elbow"),
    ("Hand", "wrist"),
    ("UpperLeg", "hip"),
    ("LowerLeg", "knee"),
    ("Foot", "ankle"),
)
AVATAR_BONES: dict[str, str] = {
    "Hips": "pelvis",
    "Spine": "spine1",
    "Chest": "spine2",
    "UpperChest": "spine3",
    "Neck": "neck",
    "Head": "head",
    **{f"{side}{bone}": f"{side.lower()}_{joint}" for side in ("Left", "Right") for bone, joint in _SIDES},
}
"""Joint of the body at the start of each bone of Unity's HumanBodyBones, parents first."""
_T_POSE: dict[str, tuple[str, tuple[float, float, float]]] = {
    f"{side}{bone}": (f"{side}{end}", direction)
    for side, outward in (("Left", 1.0), ("Right", -1.0))
    for bone, end, direction in (
        ("UpperArm", "LowerArm", (outward, 0.0, 0.0)),
        ("LowerArm", "Hand", (outward, 0.0, 0.0)),
        ("UpperLeg", "LowerLeg", (0.0, -1.0, 0.0)),
        ("LowerLeg", "Foot", (0.0, -1.0, 0.0)),
    )
}  # last bone of a limb, and its direction in the T-pose in the body's coordinates
_MIRROR = np.diag([-1.0, 1.0, 1.0])  # from the body's coordinates to the avatar's


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BonePose:
    """Pose of a bone relative to its parent; that of the hips is in Unity's world coordinates.

    Attributes:
        position_m: (3,) position in the parent's coordinates.
        rotation: (4,) quaternion x y z w.
    """

    position_m: F64
    rotation: F64


def to_unity_m(xyz_mm: F64) -> F64:
    """Convert points (..., 3) from world coordinates to Unity's: left-handed, y up, metres."""
    return np.asarray(xyz_mm[..., [0, 2, 1]] / 1000.0)


def avatar_poses(model: BodyModel, bodies: BodySequence) -> dict[int, dict[str, BonePose]]:
    """Return the bone poses of each person by identity.

    Args:
        model: Body model.
        bodies: Bodies of one frame.
    """
    columns = [model.joints.index(joint) for joint in AVATAR_BONES.values()]
    parents = [columns.index(max(int(model.parents[column]), 0)) for column in columns]
    rest_mm = model.rest(bodies.betas).joints_mm[:, columns]
    straight = _straightening(rest_mm)
    back = np.swapaxes(straight[:, parents], -1, -2)
    offset_mm = (back @ (rest_mm - rest_mm[:, parents])[..., None])[..., 0]
    position_m = offset_mm @ _MIRROR / 1000
    position_m[:, 0] = to_unity_m(bodies.pelvis_mm[0])
    rotations = back @ exp(bodies.rotations_rad[0][:, columns].astype(np.float64)) @ straight
    R = _MIRROR @ rotations @ _MIRROR
    # The rotation of the pelvis leads to world coordinates, in which y and z are exchanged.
    R[:, 0] = (rotations[:, 0] @ _MIRROR)[:, [0, 2, 1]]
    quaternions = [Rotation.from_matrix(one).as_quat() for one in R]
    return {
        person: {
            bone: BonePose(position_m=position_m[row, column], rotation=quaternions[row][column])
            for column, bone in enumerate(AVATAR_BONES)
        }
        for row, person in enumerate(bodies.person_ids)
    }


def _straightening(rest_mm: F64) -> F64:
    """Return the rotations (P, B, 3, 3) of bones from the T-pose of avatars to the rest pose of bodies.

    Args:
        rest_mm: (P, B, 3) start points of the bones in the rest pose.
    """
    bones = list(AVATAR_BONES)
    turns = np.zeros(rest_mm.shape)
    for bone, (end, direction) in _T_POSE.items():
        limb = rest_mm[:, bones.index(end)] - rest_mm[:, bones.index(bone)]
        axis, along = np.cross(direction, limb), limb @ direction
        sine = np.linalg.norm(axis, axis=-1)
        turns[:, bones.index(bone)] = axis * (np.arctan2(sine, along) / np.maximum(sine, 1e-9))[:, None]
    for side in ("Left", "Right"):  # A straight hand continues the forearm.
        turns[:, bones.index(f"{side}Hand")] = turns[:, bones.index(f"{side}LowerArm")]
    return exp(turns)
