"""Joint sets of other programs, their joints by name, and the meaning of the joint names in files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from core.errors import CoreError
from core.registry import closest
from core.types.skeleton import COCO17

_FACE = COCO17.joints[:5]
_LIMBS = COCO17.joints[5:]
_COCO18 = [
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
]
_OPENPOSE_FEET = ["left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"]
_HALPE = [*COCO17.joints, "head", "neck", "mid_hip"] + (
    ["left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel"]
)
_MPII = [
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "mid_hip",
    "thorax",
    "upper_neck",
    "head_top",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
]
_BLAZEPOSE = [
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
]
_H36M = [
    "mid_hip",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "spine",
    "thorax",
    "neck_base",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
]
_CROWDPOSE = [
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "head_top",
    "neck",
]
_BODY25B = [*COCO17.joints, "upper_neck", "head_top", *_OPENPOSE_FEET]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSet:
    """Joint set of a program.

    Attributes:
        name: Name in settings.
        title: Name in messages.
        joints: Names of the joints in the order of the files, in the words of COCO-17 where it has them.
    """

    name: str
    title: str
    joints: tuple[str, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """(17,) index of each joint of COCO-17, -1 where the set lacks it."""
        return tuple(self.joints.index(joint) if joint in self.joints else -1 for joint in COCO17.joints)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Joints of COCO-17 that the set lacks."""
        return tuple(joint for joint in COCO17.joints if joint not in self.joints)


def _more(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def _sets() -> dict[str, JointSet]:
    coco23 = [*COCO17.joints, *_OPENPOSE_FEET]
    orders: dict[str, tuple[str, Sequence[str]]] = {
        "body25": ("OpenPose BODY_25", [*_COCO18[:8], "mid_hip", *_COCO18[8:], *_OPENPOSE_FEET]),
        "body25b": ("OpenPose BODY_25B", _BODY25B),
        "coco18": ("OpenPose COCO (18 joints)", _COCO18),
        "body135": ("OpenPose BODY_135", [*_BODY25B, *_more("hand", 40), *_more("face", 70)]),
        "coco17": ("COCO-17", COCO17.joints),
        "coco23": ("COCO-17 with feet", coco23),
        "coco133": ("COCO-WholeBody (133 joints)", [*coco23, *_more("face", 68), *_more("hand", 42)]),
        "halpe26": ("HALPE_26", _HALPE),
        "halpe136": ("HALPE_136", [*_HALPE, *_more("face", 68), *_more("hand", 42)]),
        "blazepose33": ("MediaPipe (33 joints)", _BLAZEPOSE),
        "mpii16": ("MPII", _MPII),
        "h36m17": ("Human3.6M", _H36M),
        "crowdpose14": ("CrowdPose", _CROWDPOSE),
    }
    return {name: JointSet(name=name, title=title, joints=tuple(order)) for name, (title, order) in orders.items()}


JOINT_SETS: Mapping[str, JointSet] = MappingProxyType(_sets())
"""Joint sets by name. A new one is one line above; anatomy distinguishes sets of the same size."""


def joint_set(name: str) -> JointSet:
    """Return the joint set of that name; case and punctuation are ignored, so that "BODY_25B" is "body25b".

    Raises:
        CoreError: Unknown name.
    """
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    if plain not in JOINT_SETS:
        raise CoreError(f"Unknown joint set '{name}'.", closest(plain, list(JOINT_SETS)))
    return JOINT_SETS[plain]


_PARTS = {
    "nose": "nose",
    "eye": "eye",
    "ear": "ear",
    "shoulder": "shoulder",
    "sho": "shoulder",
    "elbow": "elbow",
    "elb": "elbow",
    "wrist": "wrist",
    "wri": "wrist",
    "hip": "hip",
    "knee": "knee",
    "ankle": "ankle",
    "ank": "ankle",
}
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right", "2": "left", "1": "right"}
"""Words for the sides; the model of DeepLabCut for people counts them, "knee1" being the right knee."""
_FILLERS = {"joint", "kp", "keypoint"}


def joints_by_name(names: Sequence[str]) -> JointSet:
    """Return the joint set that names in a file describe, such as "LEye", "left_eye", "eye_left" or "knee1".

    Raises:
        CoreError: Two names stand for the same joint.
    """
    known = tuple(_coco_name(name) or f"other:{name}" for name in names)
    twice = next((joint for joint in known if known.count(joint) > 1), None)
    if twice is not None:
        both = [name for name, joint in zip(names, known, strict=True) if joint == twice]
        raise CoreError(f"Several joints are named as the {twice.replace('_', ' ')}: {', '.join(both)}.", _REMEDY)
    return JointSet(name="named", title="joints by name", joints=known)


_REMEDY = "Name each joint once, by side and part, such as left_knee."


def _coco_name(name: str) -> str:
    """Return COCO-17's name of a joint; empty if it has no such joint."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[LR])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", name)
    words = [word for word in re.findall(r"[a-z]+|\d+", spaced.casefold()) if word not in _FILLERS]
    if len(words) == 1 and words[0][:1] in "lr" and words[0][1:] in _PARTS:
        words = [words[0][0], words[0][1:]]  # "lsho"
    sides = [_SIDES[word] for word in words if word in _SIDES]
    parts = [_PARTS[word] for word in words if word in _PARTS]
    if len(sides) + len(parts) != len(words) or len(parts) != 1:
        return ""
    if parts == ["nose"]:
        return "" if sides else "nose"
    joint = f"{sides[0]}_{parts[0]}" if len(sides) == 1 else ""
    return joint if joint in COCO17.joints else ""
