"""Uncertainty of the joints: 95 % confidence ellipsoids."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.types.arrays import F32, F64, I64
from studio.viewport.layers.spec import DisplayOption, LayerSpec, SceneFrame
from studio.viewport.palette import RGBA
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

SHOW_UNCERTAINTY = DisplayOption(
    name="uncertainty",
    label="Uncertainty of joints (95 %)",
    icon="ellipsoid",
    shortcut="U",
    default=False,
    section="People",
)

_SIGMAS = 2.795
"""Square root of the 95 % quantile of the chi-squared distribution with 3 degrees of freedom."""
_AXIS_MM = (1.0, 2000.0)
"""Limits of the semi-axes: the position of a joint seen by one camera is unknown along its ray."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EllipsoidLayer:
    """Ellipsoids.

    Attributes:
        centre_mm: (N, 3) centres.
        axes_mm: (N, 3, 3) semi-axes as columns.
        colour: (N, 4) colours.
    """

    centre_mm: F64
    axes_mm: F64
    colour: RGBA


def build_ellipsoids(data: SceneData, frame: SceneFrame) -> EllipsoidLayer | None:
    """Build the ellipsoids of all joints with known covariance."""
    poses, index = data.poses, frame.pose_frame
    if poses is None or poses.covariance_mm2 is None or index is None:
        return None
    xyz_mm, covariance = poses.xyz_mm[index], poses.covariance_mm2[index].astype(float)
    known = np.isfinite(xyz_mm).all(-1) & np.isfinite(covariance).all((-1, -2))
    if not known.any():
        return None
    variance, directions = np.linalg.eigh(covariance[known])
    length = np.clip(_SIGMAS * np.sqrt(np.maximum(variance, 0.0)), *_AXIS_MM)
    people = np.broadcast_to(np.arange(known.shape[0])[:, None], known.shape)[known]
    return EllipsoidLayer(
        centre_mm=xyz_mm[known],
        axes_mm=directions * length[:, None, :],
        colour=np.stack([frame.palette.person(int(person)) for person in people]),
    )


@functools.lru_cache(maxsize=1)
def _sphere() -> tuple[F64, I64]:
    """Return points (V, 3) and triangles (F, 3) of a unit sphere."""
    from vispy.geometry import create_sphere

    mesh = create_sphere(method="ico", subdivisions=2, radius=1.0)
    return np.asarray(mesh.get_vertices(), float), np.asarray(mesh.get_faces(), np.int64)


def posed_spheres(layer: EllipsoidLayer, sphere: F64) -> tuple[F32, F32]:
    """Return points and normals (N V, 3) of the ellipsoids from the points (V, 3) of a unit sphere."""
    points = layer.centre_mm[:, None] + sphere @ layer.axes_mm.swapaxes(-1, -2)
    # The normal of an ellipsoid is that of the sphere with each axis divided by its squared length.
    squared = (layer.axes_mm**2).sum(-2, keepdims=True)
    normals = sphere @ (layer.axes_mm / squared).swapaxes(-1, -2)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return points.reshape(-1, 3).astype(np.float32), normals.reshape(-1, 3).astype(np.float32)


class EllipsoidVisual(NodeVisual[EllipsoidLayer]):
    """Ellipsoids as shaded meshes."""

    def __init__(self, parent: Any) -> None:
        from studio.viewport.visuals.meshes import MeshNode

        self._node = MeshNode(parent=parent)
        self._node.order = 45
        super().__init__(self._node)

    def draw(self, layer: EllipsoidLayer) -> None:
        """Draw the ellipsoids of a layer."""
        from studio.viewport.visuals.meshes import Meshes, MeshSource

        sphere, triangles = _sphere()

        def pose(levels: tuple[int, ...]) -> Meshes:
            drawn = np.array(levels) >= 0
            part = EllipsoidLayer(
                centre_mm=layer.centre_mm[drawn], axes_mm=layer.axes_mm[drawn], colour=layer.colour[drawn]
            )
            points, normals = posed_spheres(part, sphere)
            count = int(drawn.sum())
            return Meshes(
                position_mm=points, normal=normals, triangles=(triangles,) * count, counts=(len(sphere),) * count
            )

        up = np.zeros_like(layer.centre_mm)
        up[:, 2] = np.linalg.norm(layer.axes_mm, axis=-2).max(-1)
        self._node.set_bodies(
            MeshSource(
                ends_mm=np.stack([layer.centre_mm - up, layer.centre_mm + up], 1),
                colour=layer.colour,
                pose=pose,
            )
        )


ELLIPSOIDS = LayerSpec(
    name="ellipsoids",
    layer=EllipsoidLayer,
    build=build_ellipsoids,
    visual=EllipsoidVisual,
    option=SHOW_UNCERTAINTY,
    available=lambda data: data.poses is not None and data.poses.covariance_mm2 is not None,
)
