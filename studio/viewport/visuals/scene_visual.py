"""Base class of the visuals: one projection per view, computed once per draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from vispy.visuals import Visual

from core.types.arrays import F32, F64


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Projection of a view.

    Attributes:
        matrix: (4, 4) matrix from homogeneous world to clip coordinates, of row vectors.
        right: (3,) unit vector in the world to the right of the screen.
        toward: (3,) unit vector in the world towards the viewer.
    """

    matrix: F64
    right: F32
    toward: F32

    @classmethod
    def of(cls, matrix: F64) -> Look:
        """Return the projection of a matrix."""
        clip = np.array([[0, 0, 0, 1], [0.5, 0, 0, 1], [0, 0, -0.5, 1]], float)
        points = clip @ np.linalg.inv(matrix)
        points = points[:, :3] / points[:, 3:]
        axes = points[1:] - points[0]
        axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
        return cls(matrix, axes[0].astype(np.float32), axes[1].astype(np.float32))

    def to_clip(self, xyz_mm: F64) -> F64:
        """Map world points (N, 3) to homogeneous clip coordinates (N, 4)."""
        return np.asarray(xyz_mm @ self.matrix[:3] + self.matrix[3])


class SceneVisual(Visual):
    """Visual in world coordinates, without bounds: the canvas frames the scene itself.

    By default vispy chains five transforms, each with its own uniforms, for each vertex. Subclasses call `_look`
    before they are drawn.

    Args:
        vertex: Vertex shader, which projects world points by `u_to_clip`.
        fragment: Fragment shader.
    """

    def __init__(self, vertex: str, fragment: str) -> None:
        self._uniforms: dict[str, Any] = {}
        super().__init__("uniform mat4 u_to_clip;\n" + vertex, fragment)

    def _look(self, view: Any) -> Look:
        """Take the current projection, which the visuals of a view share."""
        looks = view.canvas.looks
        look: Look | None = looks.get(view.parent)
        if look is None:
            matrix = np.asarray(view.transforms.get_transform("visual", "render").map(np.eye(4)), float)
            look = looks[view.parent] = Look.of(matrix)
        self._set(view, u_to_clip=look.matrix.astype(np.float32))
        return look

    def _set(self, view: Any, **uniforms: Any) -> None:
        """Set uniforms of the program that changed."""
        for name, value in uniforms.items():
            before = self._uniforms.get(name)
            if before is None or not np.array_equal(before, value):
                view.view_program[name] = self._uniforms[name] = value

    def _prepare_transforms(self, view: Any) -> None:
        """Leave vispy's transforms out."""

    def _prepare_draw(self, view: Any) -> bool:
        self._look(view)
        return True

    def _compute_bounds(self, axis: int, view: Any) -> None:
        """Return no bounds."""
        return
