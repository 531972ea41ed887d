"""Soft shadows on the floor, fainter with height: spots under feet and trunk, and shadows of the bones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.rendering.skeleton_geometry import skeleton_geometry
from core.types import Skeleton
from core.types.arrays import F64
from studio.viewport.layers.floor import SHOW_FLOOR
from studio.viewport.layers.spec import LayerSpec, SceneFrame
from studio.viewport.palette import RGBA, Palette
from studio.viewport.primitives import Blobs
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

_TRUNK_MM, _TRUNK_OPACITY, _TRUNK_FADE_MM = 560.0, 0.75, 2200.0
_FOOT_MM, _FOOT_OPACITY, _FOOT_FADE_MM = 210.0, 0.9, 450.0
_LIMB_MM, _LIMB_OPACITY, _LIMB_FADE_MM = 105.0, 0.6, 2800.0
_LIGHT = np.array([0.5, 0.35])  # shift of a shadow per height
_ANKLE_MM = 90.0  # height of the ankle above the sole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShadowLayer:
    """Points of people that darken the floor.

    Attributes:
        trunk_mm: (P, 3) centre of the trunk; NaN where unknown.
        ankle_mm: (P, 2, 3) ankles; NaN where unknown.
        colour: (4,) colour of the darkest shadow.
        limb_mm: (N, 2, 3) ends of the bones; NaN where unknown.
        girth: (N,) thickness of the bones relative to a normal one.
    """

    trunk_mm: F64
    ankle_mm: F64
    colour: RGBA
    limb_mm: F64
    girth: F64


def build_shadows(data: SceneData, frame: SceneFrame) -> ShadowLayer | None:
    """Build the shadows of the people of the selected result."""
    poses, index = data.poses, frame.pose_frame
    if poses is None or index is None:
        return None
    return people_shadows(poses.skeleton, poses.xyz_mm[index], data.person_centre_mm[index], frame.palette)


def people_shadows(skeleton: Skeleton, xyz_mm: F64, trunk_mm: F64, palette: Palette) -> ShadowLayer:
    """Return the shadows of people with joints (P, J, 3) and trunks (P, 3)."""
    ankles = [skeleton.index(name) for name in ("left_ankle", "right_ankle") if name in skeleton.joints]
    geometry = skeleton_geometry(skeleton)
    points, _ = geometry.points(xyz_mm, np.ones(xyz_mm.shape[:2]))
    girth = geometry.girth.mean(-1, dtype=float)
    return ShadowLayer(
        trunk_mm=trunk_mm,
        ankle_mm=xyz_mm[:, ankles],
        colour=palette.shadow,
        limb_mm=points[:, geometry.bones].reshape(-1, 2, 3),
        girth=np.tile(girth, len(xyz_mm)),
    )


def cast_blobs(layer: ShadowLayer) -> Blobs:
    """Return the ellipses that the bones of a layer cast."""
    known = np.isfinite(layer.limb_mm).all((1, 2))
    ends = layer.limb_mm[known]
    height = np.maximum(ends[..., 2], 0.0)
    start, end = np.moveaxis(ends[..., :2] + _LIGHT * height[..., None], 1, 0)
    fade = np.clip(1 - height.mean(1) / _LIMB_FADE_MM, 0, 1)
    width = _LIMB_MM * layer.girth[known] * (2 - fade)
    half = (end - start) / 2
    length = np.linalg.norm(half, axis=1)
    along = np.where(length[:, None] > 1.0, half / np.maximum(length, 1.0)[:, None], (1.0, 0.0))
    reach = length + width
    colour = np.repeat(layer.colour[None], len(ends), 0)
    colour[:, 3] *= _LIMB_OPACITY * fade
    return Blobs(centre=(start + end) / 2, along=along * reach[:, None], aspect=width / reach, colour=colour)


def shadow_blobs(layer: ShadowLayer) -> Blobs:
    """Return the ellipses under the feet and trunks of a layer."""
    ankle = layer.ankle_mm.reshape(-1, 3)
    points = np.concatenate([layer.trunk_mm, ankle])
    n_trunks = len(layer.trunk_mm)
    foot = np.arange(len(points)) >= n_trunks
    height = np.maximum(points[:, 2] - np.where(foot, _ANKLE_MM, 0.0), 0.0)
    fade = np.clip(1 - height / np.where(foot, _FOOT_FADE_MM, _TRUNK_FADE_MM), 0, 1)
    opacity = np.where(foot, _FOOT_OPACITY, _TRUNK_OPACITY) * fade
    # A shadow becomes softer with the distance to its caster.
    radius = np.where(foot, _FOOT_MM, _TRUNK_MM) * (1.4 - 0.4 * fade)
    shown = np.isfinite(points).all(-1) & (opacity > 0)
    colour = np.repeat(layer.colour[None], int(shown.sum()), 0)
    colour[:, 3] *= opacity[shown]
    return Blobs(
        centre=points[shown, :2],
        along=np.stack([radius[shown], np.zeros(int(shown.sum()))], -1),
        aspect=np.ones(int(shown.sum())),
        colour=colour,
    )


class ShadowVisual(NodeVisual[ShadowLayer]):
    """All shadows in one draw call, over the floor and under its lines."""

    def __init__(self, parent: Any) -> None:
        from studio.viewport.visuals.blobs import BlobNode

        self._node = BlobNode(parent=parent)
        self._node.order = 12
        super().__init__(self._node)

    def draw(self, layer: ShadowLayer) -> None:
        """Draw the shadows of a layer."""
        self._node.set_blobs(shadow_blobs(layer), cast_blobs(layer))


SHADOWS = LayerSpec(name="shadows", layer=ShadowLayer, build=build_shadows, visual=ShadowVisual, option=SHOW_FLOOR)
