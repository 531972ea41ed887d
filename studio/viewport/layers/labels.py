"""Text in the scene: names of people and cameras, metre marks along the floor."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.types.arrays import F64
from studio.viewport.layers.cameras import SHOW_CAMERAS
from studio.viewport.layers.floor import SHOW_FLOOR
from studio.viewport.layers.skeletons import SHOW_BODIES, SHOW_SKELETONS
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA, Palette
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

SHOW_LABELS = DisplayOption(name="labels", label="Labels", icon="tag", shortcut="N")

_ABOVE_HEAD_MM = 110.0
_MARK_OFFSET_MM = 150.0
_MAX_MARKS = 12
"""Largest number of marks per side of the floor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelLayer:
    """Text at points of the world.

    Attributes:
        texts: (N,) texts.
        xyz_mm: (N, 3) anchor points.
        colour: (N, 4) text colours.
        background: (4,) colour of the background plate; alpha 0 for none.
        muted: (N,) bool; muted labels are smaller, have no background and yield to others.
        behind: Centre the labels on their anchors and let everything but the floor cover them; otherwise they are
            above their anchors and in front of everything.
        marks: Labels of another layer that yielding labels keep visible, or None.
    """

    texts: tuple[str, ...]
    xyz_mm: F64
    colour: RGBA
    background: RGBA
    muted: NDArray[np.bool_]
    behind: bool = False
    marks: LabelLayer | None = None


def build_names(data: SceneData, frame: SceneFrame) -> LabelLayer | None:
    """Build a name above each person and each camera that is drawn."""
    shows, parts = frame.options.shows, []
    if shows(SHOW_SKELETONS) or (shows(SHOW_BODIES) and data.bodies is not None):
        parts += [_person_names(data, frame)]
    if shows(SHOW_CAMERAS) and data.cameras:
        parts += [_camera_names(data, frame.palette, shows(SHOW_FLOOR))]
    known = [part for part in parts if part is not None]
    return _joined(known) if len(known) > 1 else next(iter(known), None)


def _person_names(data: SceneData, frame: SceneFrame) -> LabelLayer | None:
    poses, index = data.poses, frame.pose_frame
    if poses is None or index is None:
        return None
    columns = poses.people_at(index)
    xyz_mm = data.person_centre_mm[index, columns].copy()
    xyz_mm[:, 2] = [np.nanmax(poses.xyz_mm[index, p, :, 2]) + _ABOVE_HEAD_MM for p in columns]
    colour = np.array([frame.palette.person(int(p)) for p in columns])
    return _label_layer([f"Person {poses.person_ids[p]}" for p in columns], xyz_mm, colour, frame.palette)


def _joined(parts: Sequence[LabelLayer]) -> LabelLayer:
    """Return labels as one layer, so that they are placed together."""
    return dataclasses.replace(
        parts[-1],
        texts=tuple(text for part in parts for text in part.texts),
        xyz_mm=np.concatenate([part.xyz_mm for part in parts]),
        colour=np.concatenate([part.colour for part in parts]),
        muted=np.concatenate([part.muted for part in parts]),
    )


def build_floor_marks(data: SceneData, frame: SceneFrame) -> LabelLayer:
    """Build the metre marks along two edges of the floor."""
    return _floor_marks(data, frame.palette)


@functools.lru_cache(maxsize=4)
def _camera_names(data: SceneData, palette: Palette, marked: bool) -> LabelLayer:
    names = _label_layer(data.cameras, data.camera_centre_mm, palette.muted, palette, muted=True)
    return dataclasses.replace(names, marks=_floor_marks(data, palette) if marked else None)


@functools.lru_cache(maxsize=4)
def _floor_marks(data: SceneData, palette: Palette) -> LabelLayer:
    texts, points = [], []
    for axis in (0, 1):
        low, high = data.floor_low_m[axis], data.floor_high_m[axis]
        step = next(s for s in (1, 2, 5, 10, 20) if (high - low) / s <= _MAX_MARKS)
        # The corner belongs to the first edge.
        for metre in range(-(-(low + axis) // step) * step, high + 1, step):
            point = np.array([*data.floor_low_m, 0]) * 1000.0 - (_MARK_OFFSET_MM, _MARK_OFFSET_MM, 0)
            point[axis] = metre * 1000.0
            texts.append(f"{metre} m")
            points.append(point)
    return _label_layer(texts, np.array(points), palette.muted, palette, muted=True, behind=True)


def _label_layer(
    texts: Sequence[str],
    xyz_mm: F64,
    colour: RGBA,
    palette: Palette,
    *,
    muted: bool = False,
    behind: bool = False,
) -> LabelLayer:
    count = len(texts)
    return LabelLayer(
        texts=tuple(texts),
        xyz_mm=xyz_mm.reshape(count, 3),
        colour=np.broadcast_to(colour, (count, 4)).astype(np.float32),
        background=palette.label_background,
        muted=np.full(count, muted),
        behind=behind,
    )


class LabelVisual(NodeVisual[LabelLayer]):
    """Labels as text billboards."""

    def __init__(self, parent: Any) -> None:
        from studio.viewport.visuals.text_billboards import TextBillboardNode

        self._node = TextBillboardNode(parent=parent)
        super().__init__(self._node)

    def draw(self, layer: LabelLayer) -> None:
        """Draw these labels."""
        canvas = self._node.canvas
        self._node.order = 12 if layer.behind else 90
        self._node.set_labels(layer, 1.0 if canvas is None else float(canvas.pixel_scale))


NAMES = LayerSpec(name="names", layer=LabelLayer, build=build_names, visual=LabelVisual, option=SHOW_LABELS)
FLOOR_MARKS = LayerSpec(
    name="floor marks",
    layer=LabelLayer,
    build=build_floor_marks,
    visual=LabelVisual,
    option=SHOW_LABELS,
    requires=(SHOW_FLOOR,),
)
