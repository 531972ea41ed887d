"""Undistorted image of the camera that the view looks through, behind everything."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.geometry import undistort
from core.types import Camera
from core.types.arrays import F32, F64, U8
from studio.viewport.layers.cameras import SHOW_IMAGES
from studio.viewport.layers.spec import LayerSpec, SceneFrame
from studio.viewport.scene_data import SceneData
from studio.viewport.visuals import NodeVisual

_CELLS = 32
_DEPTH_MM = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageGrid:
    """Textured grid in the world that shows an image without its lens distortion.

    Attributes:
        xyz_mm: (N, 3) float32 grid points on the rays of their pixels.
        texture: (N, 2) float32 texture coordinates, 0 to 1.
        triangles: (M, 3) uint32 indices of the points.
    """

    xyz_mm: F32
    texture: F32
    triangles: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BackdropLayer:
    """Image of one camera.

    Attributes:
        grid: Grid on which the image is drawn.
        image: (H, W, 3) uint8 RGB image of any size.
    """

    grid: ImageGrid
    image: U8


def build_backdrop(data: SceneData, frame: SceneFrame) -> BackdropLayer | None:
    """Build the image of the camera that the view looks through."""
    name = frame.options.through
    if data.rig is None or name not in data.cameras or name not in frame.images:
        return None
    return BackdropLayer(grid=undistorting_grid(data.rig[name]), image=frame.images[name])


@functools.lru_cache(maxsize=8)
def undistorting_grid(camera: Camera) -> ImageGrid:
    """Return a grid over the image of a camera with a pose; pixels without a direction are left out."""
    width, height = camera.size_px
    share = np.linspace(0.0, 1.0, _CELLS + 1)
    texture = np.stack(np.meshgrid(share, share), -1).reshape(-1, 2)
    ideal: F64 = undistort(camera, texture * (width, height) - 0.5)
    R, t_mm = camera.pose
    rays = np.concatenate([ideal, np.ones((len(ideal), 1))], -1) * _DEPTH_MM
    first = ((_CELLS + 1) * np.arange(_CELLS)[:, None] + np.arange(_CELLS)).ravel()
    corner = np.stack([first, first + 1, first + _CELLS + 1, first + _CELLS + 2], -1)
    triangles = corner[:, [0, 1, 2, 2, 1, 3]].reshape(-1, 3)
    known = np.asarray(np.isfinite(ideal).all(-1))
    return ImageGrid(
        xyz_mm=np.nan_to_num((rays - t_mm) @ R).astype(np.float32),
        texture=texture.astype(np.float32),
        triangles=triangles[known[triangles].all(-1)].astype(np.uint32),
    )


class BackdropVisual(NodeVisual[BackdropLayer]):
    """The image as a textured mesh."""

    def __init__(self, parent: Any) -> None:
        from studio.viewport.visuals.image_mesh import ImageMeshNode

        self._node = ImageMeshNode(parent=parent)
        self._node.order = -10
        super().__init__(self._node)

    def draw(self, layer: BackdropLayer) -> None:
        """Draw the image of a layer."""
        self._node.set_image(layer.grid.xyz_mm, layer.grid.texture, layer.grid.triangles, layer.image)


BACKDROP = LayerSpec(
    name="backdrop",
    layer=BackdropLayer,
    build=build_backdrop,
    visual=BackdropVisual,
    option=SHOW_IMAGES,
    available=lambda data: data.rig is not None,
)
