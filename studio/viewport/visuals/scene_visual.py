"""Base class of the visuals: one matrix from world to clip coordinates, computed once per draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from vispy.visuals import Visual
from vispy.visuals.transforms import MatrixTransform

from core.types.arrays import F32


class SceneVisual(Visual):
    """Visual in world coordinates, without bounds: the canvas frames the scene itself.

    By default vispy chains five transforms, each with its own uniforms, for each vertex. Subclasses call `_look`
    before they are drawn.

    Args:
        vertex: Vertex shader, which projects world points by `$transform`.
        fragment: Fragment shader.
    """

    def __init__(self, vertex: str, fragment: str) -> None:
        self._to_clip = MatrixTransform()  # before the base class, which uses it
        super().__init__(vertex, fragment)

    def _look(self, view: Any) -> None:
        """Update the matrix from the view."""
        matrix = np.asarray(view.transforms.get_transform("visual", "render").map(np.eye(4)))
        if not np.array_equal(matrix, self._to_clip.matrix):
            self._to_clip.matrix = matrix

    def _screen_axes(self) -> tuple[F32, F32]:
        """Return world unit vectors to the right of the screen and towards the viewer."""
        clip = np.array([[0, 0, 0, 1], [0.5, 0, 0, 1], [0, 0, -0.5, 1]], float)
        points = clip @ np.linalg.inv(self._to_clip.matrix)
        points = points[:, :3] / points[:, 3:]
        axes = points[1:] - points[0]
        axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
        return axes[0].astype(np.float32), axes[1].astype(np.float32)

    def _prepare_transforms(self, view: Any) -> None:
        view.view_program.vert["transform"] = self._to_clip

    def _prepare_draw(self, view: Any) -> bool:
        self._look(view)
        return True

    def _compute_bounds(self, axis: int, view: Any) -> None:
        """Return no bounds."""
        return
