"""People as shaded body meshes, if bodies were fitted to the selected result."""

from __future__ import annotations

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.body.model import BodyModel, BoneTransforms
from core.body.sequence import BodyMotion
from core.body.simplify import simplified
from core.rendering.surfaces import vertex_normals
from core.types.arrays import F32, F64, I64
from studio.viewport.layers.ellipsoids import SHOW_UNCERTAINTY
from studio.viewport.layers.skeletons import SHOW_BODIES, SHOW_CONFIDENCE, SHOW_SIDES, SHOW_SKELETONS
from studio.viewport.layers.spec import LayerSpec, SceneFrame
from studio.viewport.palette import RGBA
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

if TYPE_CHECKING:
    from studio.viewport.visuals.meshes import Meshes, MeshSource

_LEVEL_VERTICES = (2600, 1200)
"""Numbers of vertices of the coarser levels of detail."""
_CLEAR = 0.45
_REACH_MM = 950.0  # from the pelvis to the feet or above the head


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyLayer:
    """Bodies at one frame.

    Attributes:
        motion: Bodies of the take.
        frame: Frame index of the take.
        people: (N,) columns of the people who are present.
        colour: (N, 4) colours.
        opacity: Opacity; below 1, skeletons are visible through the bodies.
    """

    motion: BodyMotion
    frame: int
    people: I64
    colour: RGBA
    opacity: float = 1.0


def build_bodies(data: SceneData, frame: SceneFrame) -> BodyLayer | None:
    """Build the bodies of the people who are present."""
    motion, index = data.bodies, frame.body_frame
    if motion is None or index is None:
        return None
    people = motion.people(index)
    if not len(people):
        return None
    colour = np.array([frame.palette.body(int(p)) for p in people], np.float32).reshape(-1, 4)
    # Joints that are coloured or have ellipsoids must be visible.
    shows = frame.options.shows
    clear = shows(SHOW_SKELETONS) and any(map(shows, (SHOW_SIDES, SHOW_CONFIDENCE, SHOW_UNCERTAINTY)))
    return BodyLayer(motion=motion, frame=index, people=people, colour=colour, opacity=_CLEAR if clear else 1.0)


class PosedLevels:
    """Bodies of a take in several levels of detail.

    Args:
        model: Body model.
        betas: (P, B) shapes of the people.
    """

    def __init__(self, model: BodyModel, betas: F64) -> None:
        self._betas = betas
        self._levels: dict[int, _Level] = {0: _Level.of(model, betas)}
        self._coarser = _coarser_models(model)

    def level(self, level: int) -> _Level:
        """Return a level of detail, or the finest while coarser ones are being computed."""
        if level not in self._levels:
            model = self._coarser[level - 1]
            if not model.done():
                return self._levels[0]
            self._levels[level] = _Level.of(model.result(), self._betas)
        return self._levels[level]

    def pose(self, layer: BodyLayer, levels: tuple[int, ...]) -> Meshes:
        """Return the bodies of a layer at these levels (N,); those at -1 are left out."""
        from studio.viewport.visuals.meshes import Meshes

        bones = layer.motion.bones(layer.frame)
        parts: dict[int, tuple[F32, F32, I64]] = {}
        for number in sorted({number for number in levels if number >= 0}):
            rows = np.flatnonzero(np.array(levels) == number)
            level = self.level(number)
            posed = level.pose(layer.people[rows], BoneTransforms(bones.R[rows], bones.t_mm[rows]))
            for row, position, normal in zip(rows.tolist(), *posed, strict=True):
                parts[row] = position, normal, level.model.faces
        drawn = [parts[row] for row in sorted(parts)]
        return Meshes(
            position_mm=np.concatenate([position for position, _, _ in drawn]),
            normal=np.concatenate([normal for _, normal, _ in drawn]),
            triangles=tuple(faces for _, _, faces in drawn),
            counts=tuple(len(position) for position, _, _ in drawn),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """Bodies at one level of detail, with vertices and normals (P, V, 3) at rest."""

    model: BodyModel
    vertices_mm: F32
    normals: F32

    @classmethod
    def of(cls, model: BodyModel, betas: F64) -> _Level:
        vertices, normals = zip(*(_resting(model, person.tobytes()) for person in betas), strict=True)
        return cls(model, np.stack(vertices), np.stack(normals))

    def pose(self, people: I64, bones: BoneTransforms) -> tuple[F32, F32]:
        """Return vertices and normals (N, V, 3) of some people in world coordinates."""
        vertices, R = self.model.skin(self.vertices_mm[people], bones)
        x, y, z = (self.normals[people][..., None, axis] for axis in range(3))
        return vertices, R[..., 0] * x + R[..., 1] * y + R[..., 2] * z


@functools.lru_cache(maxsize=64)
def _resting(model: BodyModel, betas: bytes) -> tuple[F32, F32]:
    """Return vertices and normals (V, 3) of one person at rest; cached, as live people change shape one at a time."""
    vertices = model.rest(np.frombuffer(betas)[None]).vertices_mm[0]
    return vertices, vertex_normals(vertices, model.faces)


@functools.lru_cache(maxsize=4)
def _coarser_models(model: BodyModel) -> tuple[Future[BodyModel], ...]:
    """Simplify a model in the background; it takes a few tenths of a second, once."""
    worker = ThreadPoolExecutor(1, "simplify")
    futures = tuple(worker.submit(simplified, model, count) for count in _LEVEL_VERTICES)
    worker.shutdown(wait=False)
    return futures


@functools.lru_cache(maxsize=2)
def _posed_levels(model: BodyModel, betas: bytes) -> PosedLevels:
    """Return the bodies of people with these shapes; cached, as live results are many sequences of the same people."""
    return PosedLevels(model, np.frombuffer(betas).reshape(-1, model.n_shape))


def body_meshes(layer: BodyLayer) -> MeshSource:
    """Return the bodies of a layer, which are posed when they are drawn."""
    from studio.viewport.visuals.meshes import MeshSource

    bodies = layer.motion.bodies
    levels = _posed_levels(layer.motion.model, bodies.betas.tobytes())
    pelvis = bodies.pelvis_mm[layer.frame, layer.people]
    return MeshSource(
        ends_mm=np.stack([pelvis - (0, 0, _REACH_MM), pelvis + (0, 0, _REACH_MM)], 1),
        colour=layer.colour,
        opacity=layer.opacity,
        pose=functools.partial(levels.pose, layer),
    )


class BodyVisual(NodeVisual[BodyLayer]):
    """All bodies as one mesh. vispy orders nodes once, hence one node under the skeletons and one over them.

    Opaque bodies are drawn by the first, transparent ones by the second.
    """

    def __init__(self, parent: Any) -> None:
        from studio.viewport.visuals.meshes import MeshNode

        self._opaque, self._clear = MeshNode(parent=parent), MeshNode(parent=parent)
        self._opaque.order, self._clear.order = 40, 58
        super().__init__(self._opaque, self._clear)

    def draw(self, layer: BodyLayer) -> None:
        """Draw the bodies of a layer."""
        (self._opaque if layer.opacity == 1.0 else self._clear).set_bodies(body_meshes(layer))

    def show(self, layer: BodyLayer) -> None:
        """Replace the bodies that are drawn."""
        super().show(layer)
        self._opaque.visible, self._clear.visible = layer.opacity == 1.0, layer.opacity < 1.0


BODIES = LayerSpec(
    name="bodies",
    layer=BodyLayer,
    build=build_bodies,
    visual=BodyVisual,
    option=SHOW_BODIES,
    modifiers=(SHOW_SIDES, SHOW_CONFIDENCE, SHOW_UNCERTAINTY),
    available=lambda data: data.bodies is not None,
)
