"""Up axes of files, and the rotation to z up."""

from __future__ import annotations

from typing import Literal

import numpy as np

from core.types.arrays import F64

Axis = Literal["x", "y", "z", "-x", "-y", "-z"]


def rotation_to_z_up(up: Axis) -> F64:
    """Return the rotation (3, 3) of world points from the given up axis to z up; the identity for z."""
    return np.array(
        {
            "z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            "-z": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
            "y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
            "-y": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
            "x": [[0, 0, -1], [0, 1, 0], [1, 0, 0]],
            "-x": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
        }[up],
        float,
    )
