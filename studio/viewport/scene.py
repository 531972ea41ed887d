"""Build the visible layers from scene data, a time and the view options. Pure functions: no OpenGL, no widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.types.arrays import F64, U8
from studio.viewport.layers import table
from studio.viewport.layers.spec import SceneFrame, ViewOptions
from studio.viewport.palette import Palette
from studio.viewport.scene_data import SceneData, nearest_frame

_AROUND_MM = np.array([500.0, 500.0, 100.0])  # margin around the people in a new view


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneLayers:
    """Everything that is drawn at one frame.

    Attributes:
        layers: Layer models by name. A layer that did not change is the same object as in the frame before.
        extent_mm: (N, 3) points that "Frame all" brings into view; N may be 0.
        subject_mm: (N, 3) points that a new view shows: the people, or everything if there are none.
        people_mm: (P, 3) centres of the people at this frame.
        azimuth_deg: Viewing direction in which no camera hides the people.
        focus_mm: (3,) point that the view follows, or None.
    """

    layers: dict[str, Any]
    extent_mm: F64
    subject_mm: F64
    people_mm: F64
    azimuth_deg: float = 30.0
    focus_mm: F64 | None = None


def build_scene_layers(
    data: SceneData,
    time_s: float,
    options: ViewOptions,
    palette: Palette,
    images: Mapping[str, U8] | None = None,
    board_frame: int | None = None,
) -> SceneLayers:
    """Build the layers of one frame.

    Args:
        data: The take or rig.
        time_s: Seconds from the start of the take.
        options: Settings of the view.
        palette: Colours.
        images: (H, W, 3) uint8 RGB images by camera name; cameras without one show an empty plane.
        board_frame: Frame index in the board recording.

    Returns:
        The visible layers that have something to show.
    """
    frame = SceneFrame(
        options=options,
        palette=palette,
        pose_frame=nearest_frame(data.poses, time_s) if data.poses is not None else None,
        ghost_frame=nearest_frame(data.ghost, time_s) if data.ghost is not None else None,
        body_frame=nearest_frame(data.bodies.bodies, time_s) if data.bodies is not None else None,
        board_frame=board_frame,
        images=images or {},
    )
    layers: dict[str, Any] = {}
    extents = [data.extent_mm]
    for spec in table.LAYERS:
        if not (spec.visible(options) and spec.available(data)):
            continue
        layer = spec.build(data, frame)
        if layer is None:
            continue
        layers[spec.name] = layer
        if spec.extent is not None:
            extents.append(spec.extent(layer))
    extent = np.concatenate(extents) if len(extents) > 1 else data.extent_mm
    people = data.people_mm
    return SceneLayers(
        layers=layers,
        extent_mm=extent,
        subject_mm=people + _AROUND_MM * np.sign(people - people.mean(0)) if len(people) else extent,
        people_mm=_middles(data, frame.pose_frame),
        azimuth_deg=data.azimuth_deg,
        focus_mm=_focus(data, frame.pose_frame, options.follow),
    )


def _middles(data: SceneData, index: int | None) -> F64:
    middles = np.zeros((0, 3)) if data.poses is None or index is None else data.person_centre_mm[index]
    return np.asarray(middles[np.isfinite(middles).all(-1)])


def _focus(data: SceneData, index: int | None, person_id: int | None) -> F64 | None:
    if data.poses is None or index is None or person_id not in data.poses.person_ids:
        return None
    centre = data.person_centre_mm[index, data.poses.person_ids.index(person_id)]
    return np.asarray(centre) if np.isfinite(centre).all() else None
