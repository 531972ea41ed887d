"""Poses of humanoid avatars from live people: bones as Unity names them, in its left-handed coordinates.

The body that is fitted to each person and the avatar rest in a T-pose, facing along +z, with y up; the body has its
left hand along +x, the avatar its right hand. The rotation of a bone relative to its parent is that of the joint of the
body, mirrored. Positions are those of the body, whose bones keep their lengths.
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
"""Joint of the body at which each bone of Unity's HumanBodyBones begins, parents first."""
_MIRROR = np.diag([-1.0, 1.0, 1.0])  # from the body's coordinates to the avatar's


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BonePose:
    """Pose of a bone relative to its parent, that of the hips in Unity's world.

    Attributes:
        position_m: (3,) position in the coordinates of the parent.
        rotation: (4,) quaternion x y z w.
    """

    position_m: F64
    rotation: F64


def to_unity_m(xyz_mm: F64) -> F64:
    """Convert points (..., 3) in world coordinates, right-handed, z up, to Unity's: left-handed, y up, metres."""
    return np.asarray(xyz_mm[..., [0, 2, 1]] / 1000.0)


def avatar_poses(model: BodyModel, bodies: BodySequence) -> dict[int, dict[str, BonePose]]:
    """Return the bones of each person.

    Args:
        model: Model of the bodies.
        bodies: Bodies at one frame.
    """
    columns = [model.joints.index(joint) for joint in AVATAR_BONES.values()]
    parents = [int(model.parents[column]) for column in columns]
    rest_mm = model.rest(bodies.betas).joints_mm
    position_m = (rest_mm[:, columns] - rest_mm[:, parents]) @ _MIRROR / 1000
    position_m[:, 0] = to_unity_m(bodies.pelvis_mm[0])
    rotations = exp(bodies.rotations_rad[0][:, columns].astype(np.float64))
    R = _MIRROR @ rotations @ _MIRROR
    # That of the pelvis leads to world coordinates, in which y and z are exchanged.
    R[:, 0] = (rotations[:, 0] @ _MIRROR)[:, [0, 2, 1]]
    quaternions = [Rotation.from_matrix(one).as_quat() for one in R]
    return {
        person: {
            bone: BonePose(position_m=position_m[row, column], rotation=quaternions[row][column])
            for column, bone in enumerate(AVATAR_BONES)
        }
        for row, person in enumerate(bodies.person_ids)
    }
