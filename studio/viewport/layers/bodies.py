"""People as shaded body meshes, where bodies were fitted to the selected result."""

from __future__ import annotations

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.body.model import BodyModel, BoneTransforms
from core.body.sequence import BodyMotion
from core.body.simplify import simplified
from core.geometry.mesh import vertex_normals
from core.types.arrays import F32, I64
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

if TYPE_CHECKING:
    from studio.viewport.visuals.meshes import Meshes, MeshSource

SHOW_BODIES = DisplayOption(name="bodies", label="Bodies", icon="body", shortcut="B")

_LEVEL_VERTICES = (2600, 1000)
"""Vertices of the coarser levels of detail."""
_REACH_MM = 950.0  # from the pelvis to the feet or above the head


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyLayer:
    """Bodies at one frame.

    Attributes:
        motion: Bodies of the take.
        frame: Frame index of the take.
        people: (N,) columns of the people who are present.
        colour: (N, 4) colours.
    """

    motion: BodyMotion
    frame: int
    people: I64
    colour: RGBA


def build_bodies(data: SceneData, frame: SceneFrame) -> BodyLayer | None:
    """Build the bodies of the people who are present."""
    motion, index = data.bodies, frame.body_frame
    if motion is None or index is None:
        return None
    people = motion.people(index)
    colour = np.array([frame.palette.person(int(p)) for p in people], np.float32).reshape(-1, 4)
    return BodyLayer(motion=motion, frame=index, people=people, colour=colour) if len(people) else None


@functools.lru_cache(maxsize=4)
def _levels(model: BodyModel) -> tuple[Future[BodyModel], ...]:
    """Start to simplify a model in the background; it takes some tenths of a second, once."""
    with ThreadPoolExecutor(1, "simplify") as worker:
        futures = tuple(worker.submit(simplified, model, count) for count in _LEVEL_VERTICES)
        worker.shutdown(wait=False)
    return futures
