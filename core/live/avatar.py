"""Poses of a humanoid avatar from joints: bones as Unity names them, in its left-handed coordinates.

The avatar rests in a T-pose, facing along +z, with its right hand along +x and y up. The rotations of hips, trunk and
head follow from three joints each. All other bones turn by the smallest rotation that points them from joint to joint
("swing only"): joints do not show how far a limb is twisted about itself. Each bone has the position that was measured,
relative to its parent, so that the joints come out exactly where a receiver applies both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from core.types.arrays import F64
from core.types.skeleton import Skeleton

_MIN_LENGTH_M = 1e-3
_POINTS = (
    *("mid_hip", "neck", "nose", "left_ear", "right_ear"),
    *(f"{s}_{j}" for s in ("left", "right") for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvatarBone:
    """A bone of the avatar.

    Attributes:
        name: Name in Unity's HumanBodyBones.
        parent: Name of its parent; empty for the hips.
        joint: Point at which it begins.
        tip: Point to which it swings; empty if it does not.
        rest: Direction from joint to tip at rest.
    """

    name: str
    parent: str
    joint: str
    tip: str = ""
    rest: tuple[float, float, float] = (0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BonePose:
    """Pose of a bone relative to its parent.

    Attributes:
        position_m: (3,) position in the coordinates of the parent.
        rotation: (4,) quaternion x y z w.
    """

    position_m: F64
    rotation: F64


def _limb(side: str, x: float) -> tuple[AvatarBone, ...]:
    """Return the arm and the leg of a side, "Left" at x = -1 or "Right" at x = 1."""
    at, out, down = side.lower(), (x, 0.0, 0.0), (0.0, -1.0, 0.0)
    chains = (
        ("UpperArm", f"{side}Shoulder", "shoulder", "elbow", out),
        ("LowerArm", f"{side}UpperArm", "elbow", "wrist", out),
        ("Hand", f"{side}LowerArm", "wrist", "", out),
        ("UpperLeg", "Hips", "hip", "knee", down),
        ("LowerLeg", f"{side}UpperLeg", "knee", "ankle", down),
        ("Foot", f"{side}LowerLeg", "ankle", "", down),
    )
    bones = (
        AvatarBone(name=f"{side}{name}", parent=parent, joint=f"{at}_{joint}", tip=tip and f"{at}_{tip}", rest=rest)
        for name, parent, joint, tip, rest in chains
    )
    return (AvatarBone(name=f"{side}Shoulder", parent="UpperChest", joint="spine"), *bones)


BONES = (
    AvatarBone(name="Hips", parent="", joint="mid_hip"),
    AvatarBone(name="Spine", parent="Hips", joint="spine"),
    # Avatars lack one or the other of these; at no distance from their parent they make no difference.
    AvatarBone(name="Chest", parent="Spine", joint="spine"),
    AvatarBone(name="UpperChest", parent="Chest", joint="spine"),
    AvatarBone(name="Neck", parent="UpperChest", joint="neck", tip="head"),
    AvatarBone(name="Head", parent="Neck", joint="head"),
    *_limb("Left", -1.0),
    *_limb("Right", 1.0),
)
"""Bones, parents first."""


def to_unity_m(xyz_mm: F64) -> F64:
    """Convert points (..., 3) in world coordinates, right-handed, z up, to Unity's: left-handed, y up, metres."""
    return np.asarray(xyz_mm[..., [0, 2, 1]] / 1000.0)


class Avatar:
    """Bones of one person over time. A bone whose joints are missing keeps its rotation."""

    def __init__(self) -> None:
        self._local: dict[str, Rotation] = {bone.name: Rotation.identity() for bone in BONES}

    def update(self, xyz_mm: F64, joints: Skeleton) -> dict[str, BonePose]:
        """Return the bones whose positions are known in the next frame; none while the hips are missing.

        Args:
            xyz_mm: (J, 3) joints in world coordinates, NaN where missing.
            joints: Joint set.
        """
        points = _points(to_unity_m(xyz_mm), joints)
        if "mid_hip" not in points:
            return {}
        oriented = _orientations(points)
        found: dict[str, BonePose] = {}
        world: dict[str, Rotation] = {}
        for bone in BONES:
            parent = world.get(bone.parent, Rotation.identity())
            if bone.name in oriented:
                self._local[bone.name] = parent.inv() * oriented[bone.name]
            elif bone.tip in points and bone.joint in points:
                aim = parent.inv().apply(points[bone.tip] - points[bone.joint])
                if np.linalg.norm(aim) > _MIN_LENGTH_M:
                    self._local[bone.name] = swing(np.array(bone.rest), aim)
            world[bone.name] = parent * self._local[bone.name]
            start = next((b.joint for b in BONES if b.name == bone.parent), "")
            if bone.joint in points and (not start or start in points):
                offset = points[bone.joint] - (points[start] if start else 0.0)
                found[bone.name] = BonePose(
                    position_m=parent.inv().apply(offset), rotation=self._local[bone.name].as_quat()
                )
        return found


def swing(rest: F64, aim: F64) -> Rotation:
    """Return the smallest rotation from one direction (3,) to another."""
    a, b = rest / np.linalg.norm(rest), aim / np.linalg.norm(aim)
    cosine = float(a @ b)
    if cosine < -1 + 1e-9:  # half a turn, about any axis across
        across = np.eye(3)[np.abs(a).argmin()]
        axis = np.cross(a, across)
        return Rotation.from_rotvec(np.pi * axis / np.linalg.norm(axis))
    # The quaternion (a x b, 1 + a . b) is that of half the angle, up to its length.
    return Rotation.from_quat([*np.cross(a, b), 1 + cosine])


def _points(xyz_m: F64, joints: Skeleton) -> dict[str, F64]:
    """Return the known points that bones begin at, by name."""
    found = joints.select(xyz_m, *_POINTS)
    points = {name: point for name, point in zip(_POINTS, found, strict=True) if np.isfinite(point).all()}
    if {"mid_hip", "neck"} <= points.keys():
        points["spine"] = (points["mid_hip"] + points["neck"]) / 2
    if {"left_ear", "right_ear"} <= points.keys():
        points["head"] = (points["left_ear"] + points["right_ear"]) / 2
    elif "nose" in points:
        points["head"] = points["nose"]
    return points


def _orientations(points: Mapping[str, F64]) -> dict[str, Rotation]:
    """Return the rotations of hips, trunk and head, where their joints are known."""
    out: dict[str, Rotation] = {}

    def orient(bone: str, left: str, right: str, low: str, high: str) -> None:
        if {left, right, low, high} <= points.keys():
            rotation = _from_axes(points[right] - points[left], points[high] - points[low])
            if rotation is not None:
                out[bone] = rotation

    orient("Hips", "left_hip", "right_hip", "mid_hip", "neck")
    orient("Spine", "left_shoulder", "right_shoulder", "mid_hip", "neck")
    if {"left_ear", "right_ear", "nose"} <= points.keys():
        right, forward = points["right_ear"] - points["left_ear"], points["nose"] - points["head"]
        head = _from_axes(right, np.cross(forward, right))
        if head is not None:
            out["Head"] = head
    return out


def _from_axes(right: F64, up: F64) -> Rotation | None:
    """Return the rotation with x axis `right` and a y axis as near to `up` as possible; None if they are parallel."""
    forward = np.cross(right, up)
    if min(np.linalg.norm(right), np.linalg.norm(forward)) < _MIN_LENGTH_M**2:
        return None
    x, z = right / np.linalg.norm(right), forward / np.linalg.norm(forward)
    return Rotation.from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))
