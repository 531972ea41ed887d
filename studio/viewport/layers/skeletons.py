"""People as skeletons: the selected result, and a second result as a thin ghost."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.rendering.skeleton_geometry import head_centres_mm, skeleton_geometry
from core.types import Pose3DSequence, Skeleton
from core.types.arrays import F32, F64
from studio.viewport.layers.ellipsoids import SHOW_UNCERTAINTY
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame, ViewOptions
from studio.viewport.palette import RGBA, Palette
from studio.viewport.primitives import Capsules, make_capsules
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import capsule_visual

SHOW_SKELETONS = DisplayOption(name="skeletons", label="Skeletons", icon="skeleton", shortcut="S", section="People")

SHOW_BODIES = DisplayOption(name="bodies", label="Bodies", icon="body", shortcut="M", section="People")
SHOW_SIDES = DisplayOption(
    name="sides", label="Left and right in two colours", icon="sides", shortcut="L", default=False, section="People"
)
SHOW_CONFIDENCE = DisplayOption(
    name="confidence", label="Joints by confidence", icon="confidence", shortcut="J", default=False, section="People"
)

_BONE_MM, _JOINT_MM, _HEAD_MM = 20.0, 27.0, 88.0
_GHOST_BONE_MM = 7.0
WITHIN_BODY = 0.4
"""Size of joints and bones within a body."""
_MIN_OPACITY = 0.3
_FULL_SCORE = 0.6
"""Lowest score at which a joint is drawn at full size and opacity."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkeletonLayer:
    """People at one frame.

    Attributes:
        xyz_mm: (P, J, 3) joints, followed by midpoints that are only ends of bones; NaN where missing.
        score: (P, J) scores in 0..1; they scale the joints and fade uncertain ones.
        bones: (B, 2) point indices.
        size: (J,) or (P, J) size of each ball relative to a normal joint; 0 for none.
        colour: (P, 4) colours.
        ghost: Thin and pale drawing of a second result.
        joint_colour: (P, J, 4) colours of the joints; None for those of the people.
        bone_colour: (P, B, 4) colours of the bones; None for those of the people.
        girth: (B, 2) thickness of each bone at its ends relative to a normal bone; None for normal ones.
        head_mm: (P, 3) middles of the heads, which are drawn as balls; NaN where unknown, None for no heads.
    """

    xyz_mm: F64
    score: F64
    bones: NDArray[np.int64]
    size: F32
    colour: RGBA
    ghost: bool = False
    joint_colour: RGBA | None = None
    bone_colour: RGBA | None = None
    girth: F32 | None = None
    head_mm: F64 | None = None

    @classmethod
    def build(
        cls, skeleton: Skeleton, xyz_mm: F64, score: F64, colour: Sequence[RGBA], *, ghost: bool = False
    ) -> SkeletonLayer:
        """Create a layer from people.

        Args:
            skeleton: Joint set.
            xyz_mm: (P, J, 3) joints, NaN where missing.
            score: (P, J) scores.
            colour: (4,) colour of each person.
            ghost: Thin and pale drawing of a second result.
        """
        geometry = skeleton_geometry(skeleton)
        points, point_score = geometry.points(xyz_mm, score)
        return cls(
            xyz_mm=points,
            score=point_score,
            bones=geometry.bones,
            size=geometry.size,
            colour=np.array(colour, np.float32).reshape(-1, 4),
            ghost=ghost,
            girth=geometry.girth,
            head_mm=head_centres_mm(skeleton, xyz_mm),
        )


def build_skeletons(data: SceneData, frame: SceneFrame) -> SkeletonLayer | None:
    """Build the people of the selected result."""
    if data.poses is None or frame.pose_frame is None:
        return None
    layer = _skeleton_layer(data.poses, frame.pose_frame, frame.palette, ghost=False)
    joint_colour, bone_colour = marked_colours(data.poses.skeleton, layer.score, frame.options, frame.palette)
    # Thin, so that ellipsoids remain visible, and inside bodies.
    within = data.bodies is not None and frame.body_frame is not None and frame.options.shows(SHOW_BODIES)
    layer = replace(layer, joint_colour=joint_colour, bone_colour=bone_colour)
    if within or frame.options.shows(SHOW_UNCERTAINTY):
        return replace(layer, size=layer.size * np.float32(WITHIN_BODY), girth=None, head_mm=None)
    return layer


def build_ghost(data: SceneData, frame: SceneFrame) -> SkeletonLayer | None:
    """Build the people of the compared result."""
    if data.ghost is None or frame.ghost_frame is None:
        return None
    return _skeleton_layer(data.ghost, frame.ghost_frame, frame.palette, ghost=True)


def _skeleton_layer(poses: Pose3DSequence, index: int, palette: Palette, *, ghost: bool) -> SkeletonLayer:
    columns = poses.people_at(index)
    colour = [palette.ghost if ghost else palette.person(int(p)) for p in columns]
    xyz_mm, score = poses.xyz_mm[index, columns], poses.score[index, columns]
    return SkeletonLayer.build(poses.skeleton, xyz_mm, score, colour, ghost=ghost)


def marked_colours(
    skeleton: Skeleton, score: F64, options: ViewOptions, palette: Palette
) -> tuple[RGBA | None, RGBA | None]:
    """Return the colours of joints and bones that show side or confidence; None for those of the people.

    Args:
        skeleton: Joint set.
        score: (P, J) scores of the joints and of the added midpoints.
        options: Settings of the view.
        palette: Colours.

    Returns:
        Colours (P, J, 4) of the points, and (P, B, 4) of the bones.
    """
    joint_colour = bone_colour = None
    if options.shows(SHOW_SIDES):
        joints, bones = _side_colours(skeleton, palette)
        joint_colour = np.broadcast_to(joints, (len(score), *joints.shape))
        bone_colour = np.broadcast_to(bones, (len(score), *bones.shape))
    if options.shows(SHOW_CONFIDENCE):
        joint_colour = confidence_colours(score, palette)
    return joint_colour, bone_colour


@functools.lru_cache(maxsize=16)
def _side_colours(skeleton: Skeleton, palette: Palette) -> tuple[RGBA, RGBA]:
    """Return colours of the points (J, 4) and of the bones (B, 4); bones across the body have the neutral colour."""
    geometry = skeleton_geometry(skeleton)
    side = np.full(len(geometry.size), 2)
    side[: len(skeleton)] = [{"left": 0, "right": 1}.get(name.partition("_")[0], 2) for name in skeleton.joints]
    first, second = side[geometry.bones].T
    # A bone from the trunk to a limb belongs to the side of the limb.
    across = (first != second) & (first != 2) & (second != 2)
    return palette.sides[side], palette.sides[np.where(across, 2, np.minimum(first, second))]


def confidence_colours(score: F64, palette: Palette) -> RGBA:
    """Return colours (..., 4) of scores (...): poor at 0, fair at 0.5, good at 1."""
    place = np.clip(2 * np.asarray(score, float), 0.0, 2.0)
    lower = np.minimum(place.astype(int), 1)
    share = (place - lower)[..., None]
    scale = palette.levels[::-1]
    return np.asarray((1 - share) * scale[lower] + share * scale[lower + 1], np.float32)


def skeleton_capsules(layer: SkeletonLayer) -> list[Capsules]:
    """Return bones, then joints. A bone is as pale as its less certain end."""
    certainty = np.clip(layer.score / _FULL_SCORE, 0.0, 1.0)
    ends: F64 = layer.xyz_mm[:, layer.bones]  # (P, B, 2, 3)
    weakest = certainty[:, layer.bones].min(-1)
    if layer.ghost:
        return [make_capsules(ends[..., 0, :], ends[..., 1, :], _GHOST_BONE_MM, 0.8, layer.colour[:, None])]
    # Bones of the face are thin, like its joints.
    size = np.where(layer.size > 0, layer.size, 1.0)[..., layer.bones].min(-1)
    girth = np.repeat(size[..., None], 2, -1) if layer.girth is None else layer.girth
    first, last = (np.broadcast_to(_BONE_MM * girth[..., end], weakest.shape) for end in (0, 1))
    radius = (_JOINT_MM * layer.size * (0.7 + 0.3 * certainty)).astype(np.float32)
    bone_colour = layer.colour[:, None] if layer.bone_colour is None else layer.bone_colour
    joint_colour = layer.colour[:, None] if layer.joint_colour is None else layer.joint_colour
    balls = np.where((layer.size > 0)[..., None], layer.xyz_mm, np.nan)
    capsules = [
        make_capsules(ends[..., 0, :], ends[..., 1, :], first, 1.2, _fade(bone_colour, weakest), last),
        make_capsules(balls, balls, radius, 2.0, _fade(joint_colour, certainty)),
    ]
    if layer.head_mm is not None:
        capsules.append(make_capsules(layer.head_mm, layer.head_mm, _HEAD_MM, 2.0, layer.colour))
    return capsules


def _fade(colour: RGBA, certainty: F64) -> RGBA:
    """Return (P, N, 4) colours (P, N or 1, 4) with an opacity by certainty (P, N)."""
    out = np.broadcast_to(colour, (*certainty.shape, 4)).copy()
    out[..., 3] *= _MIN_OPACITY + (1 - _MIN_OPACITY) * certainty
    return out


skeleton_visual = capsule_visual(skeleton_capsules, order=50, shade=True, sort=True)

SKELETONS = LayerSpec(
    name="skeletons",
    layer=SkeletonLayer,
    build=build_skeletons,
    visual=skeleton_visual,
    option=SHOW_SKELETONS,
    modifiers=(SHOW_SIDES, SHOW_CONFIDENCE),
    available=lambda data: data.poses is not None,
)
GHOST = LayerSpec(name="ghost", layer=SkeletonLayer, build=build_ghost, visual=skeleton_visual, option=SHOW_SKELETONS)
