"""Trails: the recent path of each person, on the floor so that it does not hide the person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.types.arrays import F64
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA
from studio.viewport.primitives import Capsules, make_capsules
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import capsule_visual

SHOW_TRAILS = DisplayOption(name="trails", label="Trails", icon="trail", shortcut="T", section="People")

_MAX_POINTS = 60
_HEIGHT_MM = 4.0
_RADIUS_MM = 9.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrailLayer:
    """Paths that fade towards the past.

    Attributes:
        xyz_mm: (P, N, 3) points, oldest first; NaN where missing.
        colour: (P, 4) colours.
    """

    xyz_mm: F64
    colour: RGBA


def build_trails(data: SceneData, frame: SceneFrame) -> TrailLayer | None:
    """Build the paths of the last seconds up to the frame."""
    poses, last = data.poses, frame.pose_frame
    if poses is None or last is None:
        return None
    first = int(np.searchsorted(poses.time_s, poses.time_s[last] - frame.options.trail_s - 1e-6))
    frames = np.unique(np.linspace(first, last, min(last - first + 1, _MAX_POINTS)).round().astype(int))
    path = data.person_centre_mm[frames].swapaxes(0, 1).copy()
    path[..., 2] = np.where(np.isfinite(path[..., 2]), _HEIGHT_MM, np.nan)
    colour = [frame.palette.person(p) for p in range(len(path))]
    return TrailLayer(xyz_mm=path, colour=np.array(colour, np.float32).reshape(-1, 4))


def trail_capsules(layer: TrailLayer) -> list[Capsules]:
    """Return segments from old to new."""
    count = max(layer.xyz_mm.shape[1] - 1, 0)
    colour = np.repeat(layer.colour[:, None], count, 1)
    colour[..., 3] *= np.linspace(0.05, 0.7, count)
    return [make_capsules(layer.xyz_mm[:, :-1], layer.xyz_mm[:, 1:], _RADIUS_MM, 0.9, colour)]


trail_visual = capsule_visual(trail_capsules, order=11, flat=True)

TRAILS = LayerSpec(name="trails", layer=TrailLayer, build=build_trails, visual=trail_visual, option=SHOW_TRAILS)
