"""Limits in millimetres that depend on the expected error of the rig at the position of a person."""

from __future__ import annotations

import numpy as np

from core.association.config import AssociationConfig
from core.geometry.accuracy import expected_error_mm
from core.types.arrays import F64
from core.types.camera import CameraRig

_MERGE_ERRORS, _BONE_ERRORS = 3.0, 8.0  # In expected errors; they apply where larger than the settings.
_CELL_MM = 1000.0  # Side of the cells in which the expected error is assumed constant.


class PlaceLimits:
    """Position-dependent limits: the settings, raised where the expected error of the rig is larger."""

    def __init__(self, rig: CameraRig, config: AssociationConfig) -> None:
        self._rig, self._config = rig, config
        self._of_cell: dict[tuple[float, ...], float] = {}

    def at(self, xyz_mm: F64) -> tuple[F64, F64]:
        """Return the limits at people (C, J, 3).

        Returns:
            Mean joint distance (C,) below which two people are the same, and the longest plausible bone (C,), in mm.
        """
        error = self._error_mm(xyz_mm)
        return (
            np.maximum(self._config.merge_mm, _MERGE_ERRORS * error),
            np.maximum(self._config.max_bone_mm, _BONE_ERRORS * error),
        )

    def _error_mm(self, xyz_mm: F64) -> F64:
        """Return the expected error (C,) at the centres of people (C, J, 3); 0 if seen by fewer than two cameras."""
        by_joint = np.ascontiguousarray(np.swapaxes(xyz_mm, 0, 1))
        known = np.isfinite(by_joint)
        middle = np.where(known, by_joint, 0.0).sum(0) / (np.maximum(known.sum(0), 1) * _CELL_MM)
        cells = list(map(tuple, np.rint(middle).tolist()))
        new = [cell for cell in dict.fromkeys(cells) if cell not in self._of_cell]
        if new:
            errors = np.nan_to_num(expected_error_mm(self._rig, np.array(new) * _CELL_MM))
            self._of_cell.update(zip(new, errors.tolist(), strict=True))
        return np.array([self._of_cell[cell] for cell in cells])
