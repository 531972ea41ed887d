"""Joint sets as values, and the conversion of one into another."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from core.errors import CoreError
from core.registry import closest
from core.types.arrays import F64

DERIVED_JOINTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
)
"""Joints that are defined as the mean of others, for joint sets that lack them."""
_ROOT_JOINT = "mid_hip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """A named joint set with its bones and its left-right symmetry.

    Attributes:
        name: Name by which files and settings refer to the set, such as "coco17".
        joints: Joint names in index order; left and right are the person's own.
        bones: Pairs of joint indices to draw and to measure.
        root: Index of the root joint (mid-hip), or None if the set has none; see `root_joints`.
        mirror: (J,) index of the counterpart of each joint on the other side; a joint on the midline has itself.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    root: int | None
    mirror: tuple[int, ...]

    def __post_init__(self) -> None:
        J = len(self.joints)
        ends = {end for bone in self.bones for end in bone} | (set() if self.root is None else {self.root})
        if len(set(self.joints)) != J or not all(0 <= end < J for end in ends):
            raise CoreError(
                f"Skeleton {self.name} has repeated joint names, or bones or a root outside its {J} joints.",
                "Give every joint one name, and indices from 0 to the number of joints minus 1.",
            )
        if len(self.mirror) != J or any(not 0 <= m < J or self.mirror[m] != j for j, m in enumerate(self.mirror)):
            raise CoreError(
                f"Skeleton {self.name} has mirror indices that are not pairs: {self.mirror}.",
                "Give every joint the index of its counterpart, or its own index on the midline.",
            )

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Return the index of a joint.

        Raises:
            CoreError: The set has no such joint.
        """
        try:
            return self.joints.index(joint)
        except ValueError:
            raise CoreError(
                f"Skeleton {self.name} has no joint '{joint}'.", closest(joint, list(self.joints))
            ) from None

    def indices(self, *joints: str) -> list[int]:
        """Return the indices of several joints, in the order given; see `index`."""
        return [self.index(joint) for joint in joints]

    def has(self, *joints: str) -> bool:
        """Return whether the set names all of these joints itself."""
        return all(joint in self.joints for joint in joints)

    @property
    def root_joints(self) -> tuple[int, ...]:
        """Indices of the joints whose mean is the root: the root itself, or both hips in a set without one.

        Raises:
            CoreError: The set has neither.
        """
        if self.root is not None:
            return (self.root,)
        return tuple(self.index(joint) for joint in DERIVED_JOINTS[_ROOT_JOINT])

    def root_position(self, points: F64) -> F64:
        """Return the root (..., D) of joints (..., J, D); NaN where one of `root_joints` is missing."""
        return np.asarray(points[..., list(self.root_joints), :].mean(-2))

    def select(self, points: F64, *joints: str) -> F64:
        """Return joints by name, derived as `DERIVED_JOINTS` says where the set lacks them.

        Args:
            points: (..., J, D) in any unit, NaN where missing.
            joints: K names.

        Returns:
            (..., K, D); NaN where a joint is missing, or neither in the set nor derivable from it.
        """
        out = np.full((*points.shape[:-2], len(joints), points.shape[-1]), np.nan, points.dtype)
        for k, joint in enumerate(joints):
            sources = self._sources(joint)
            if sources:
                out[..., k, :] = points[..., list(sources), :].mean(-2)
        return out

    def shared_joints(self, source: Skeleton) -> tuple[int, ...]:
        """Return the indices of the joints that `source` names too, so that they need not be derived."""
        return tuple(j for j, joint in enumerate(self.joints) if joint in source.joints)

    def bone_lengths(self, points: F64) -> F64:
        """Return the bone lengths (..., B) of joints (..., J, D), in their unit; NaN where an end is missing."""
        a, b = _bone_ends(self.bones)
        apart = points.take(a, axis=-2) - points.take(b, axis=-2)
        return np.asarray(np.sqrt((apart * apart) @ np.ones(apart.shape[-1])))

    def _sources(self, joint: str) -> tuple[int, ...]:
        """Return the indices of the joints whose mean is `joint`; none if it cannot be derived."""
        if joint in self.joints:
            return (self.joints.index(joint),)
        parts = DERIVED_JOINTS.get(joint, ())
        return tuple(self.joints.index(part) for part in parts) if self.has(*parts) else ()


@functools.lru_cache(maxsize=64)
def _bone_ends(bones: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Return the joints (2, B) at both ends of bones."""
    return np.ascontiguousarray(np.array(bones, int).reshape(-1, 2).T)


def skeleton_of(name: str, joints: tuple[str, ...], bones: tuple[tuple[int, int], ...] = ()) -> Skeleton:
    """Return a joint set whose sides follow from the names: "left_knee" is the counterpart of "right_knee"."""
    index = {n: i for i, n in enumerate(joints)}

    def counterpart(joint: str) -> str:
        for a, b in (("left_", "right_"), ("right_", "left_")):
            if joint.startswith(a):
                return b + joint.removeprefix(a)
        return joint

    mirror = tuple(index.get(counterpart(n), index[n]) for n in joints)
    return Skeleton(name=name, joints=joints, bones=bones, root=index.get(_ROOT_JOINT), mirror=mirror)


def _build(name: str, joints: str, bones: str) -> Skeleton:
    names = tuple(joints.split())
    pairs = (bone.split("-") for bone in bones.split())
    return skeleton_of(name, names, tuple((names.index(a), names.index(b)) for a, b in pairs))


COCO17 = _build(
    "coco17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear left_shoulder-right_shoulder "
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip left_hip-left_knee left_knee-left_ankle "
    "right_hip-right_knee right_knee-right_ankle",
)
"""Joints of the COCO data set (Lin et al. 2014): what most 2D estimators return."""
COCO19 = _build(
    "coco19",
    " ".join((*COCO17.joints, "neck", "mid_hip")),
    "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear neck-nose neck-mid_hip neck-left_shoulder "
    "left_shoulder-left_elbow left_elbow-left_wrist neck-right_shoulder right_shoulder-right_elbow "
    "right_elbow-right_wrist mid_hip-left_hip mid_hip-right_hip left_hip-left_knee left_knee-left_ankle "
    "right_hip-right_knee right_knee-right_ankle",
)
"""Joints of COCO with neck and mid-hip: all that 2D estimators know of the head, and the root and trunk of networks."""
PANOPTIC15 = _build(
    "panoptic15",
    "neck nose mid_hip left_shoulder left_elbow left_wrist left_hip left_knee left_ankle right_shoulder right_elbow "
    "right_wrist right_hip right_knee right_ankle",
    "neck-nose neck-mid_hip neck-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist neck-right_shoulder "
    "right_shoulder-right_elbow right_elbow-right_wrist mid_hip-left_hip mid_hip-right_hip left_hip-left_knee "
    "left_knee-left_ankle right_hip-right_knee right_knee-right_ankle",
)
"""First 15 joints of the CMU Panoptic data set (Joo et al. 2015), as VoxelPose and SelfPose3d use them."""
SHELF14 = _build(
    "shelf14",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow right_shoulder "
    "left_shoulder left_elbow left_wrist head_bottom head_top",
    "right_ankle-right_knee right_knee-right_hip left_hip-left_knee left_knee-left_ankle right_wrist-right_elbow "
    "right_elbow-right_shoulder left_shoulder-left_elbow left_elbow-left_wrist head_bottom-head_top "
    "right_shoulder-left_shoulder right_hip-left_hip right_shoulder-right_hip left_shoulder-left_hip "
    "right_shoulder-head_bottom left_shoulder-head_bottom",
)
"""Joints of the Shelf and Campus data sets; `core.evaluation.shelf` derives its head from other sets."""
SKELETONS = {s.name: s for s in (COCO17, COCO19, PANOPTIC15, SHELF14)}
"""Known joint sets by name. A new one is one entry here."""


def skeleton(name: str) -> Skeleton:
    """Return the skeleton of that name.

    Raises:
        CoreError: The name is unknown.
    """
    if name not in SKELETONS:
        raise CoreError(f"There is no skeleton named '{name}'.", closest(name, list(SKELETONS)))
    return SKELETONS[name]


def convert(points: F64, score: F64, source: Skeleton, target: Skeleton) -> tuple[F64, F64]:
    """Convert joints of one set to those of another: by name, and by `DERIVED_JOINTS` where a name is missing.

    A derived joint of which one side is missing stays missing: at the visible side it would be off by half a
    shoulder width.

    Args:
        points: (..., J, D) in any unit, NaN where missing.
        score: (..., J) confidences, 0 where missing.
        source: Joint set of the input.
        target: Joint set of the result.

    Returns:
        Points (..., K, D) and scores (..., K), a derived joint with the lowest score of its parts. Joints that cannot
        be derived are NaN with score 0.
    """
    if source.name == target.name:
        return points, score
    out = source.select(points, *target.joints)
    out_score = np.zeros(out.shape[:-1], score.dtype)
    for k, joint in enumerate(target.joints):
        sources = source._sources(joint)
        if sources:
            out_score[..., k] = score[..., list(sources)].min(-1)
    missing = ~np.isfinite(out).all(-1) | (out_score <= 0)
    out[missing], out_score[missing] = np.nan, 0
    return out, out_score


def convert_covariance(covariance: F64, source: Skeleton, target: Skeleton) -> F64:
    """Convert the covariances (..., J, D, D) of joints of one set to those of another (..., K, D, D).

    Errors of the parts of a derived joint are taken as independent; NaN where a joint is missing or cannot be derived.
    """
    if source.name == target.name:
        return covariance
    out = np.full((*covariance.shape[:-3], len(target), *covariance.shape[-2:]), np.nan)
    for k, joint in enumerate(target.joints):
        sources = source._sources(joint)
        if sources:
            out[..., k, :, :] = covariance[..., list(sources), :, :].sum(-3) / len(sources) ** 2
    return out
