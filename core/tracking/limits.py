"""Position errors of people, and the limits of tracking and plausibility derived from them.

Letters in shapes: `...` any batch of frames and people, J joint.
"""

from __future__ import annotations

import numpy as np

from core.geometry.accuracy import expected_error_mm
from core.tracking.config import TrackingConfig
from core.types.arrays import F32, F64
from core.types.camera import CameraRig

_DISTANCE_ERRORS = 6.0  # Maximum distance of a person from the predicted position, in errors of a joint.
_BONE_ERRORS = 2.0  # Deviation of a bone length in errors of a joint: 2.4 standard deviations of a joint difference.
_SLACK_MM = 80.0  # Deviation near the cameras: noise of bone lengths of a 2D estimator.
_BLOCK_FRAMES = 1000  # Frames per block.
_GATED_S = 0.05  # Frame interval that the maximum distance includes; it grows with longer intervals.


def person_error_mm(rig: CameraRig, xyz_mm: F64, covariance_mm2: F64 | F32 | None = None) -> F64:
    """Return the RMS position error (...) of the joints of each person in mm; 0 for absent people.

    The error is the larger of the expected error of the rig at the position and the median over the covariances.

    Args:
        rig: Posed cameras that see the people.
        xyz_mm: (..., J, 3) joints, NaN where missing.
        covariance_mm2: (..., J, 3, 3) covariances if known, NaN where missing.
    """
    if len(xyz_mm) > _BLOCK_FRAMES and xyz_mm.ndim == 4:
        blocks = [slice(start, start + _BLOCK_FRAMES) for start in range(0, len(xyz_mm), _BLOCK_FRAMES)]
        covariances = [None if covariance_mm2 is None else covariance_mm2[block] for block in blocks]
        return np.concatenate([person_error_mm(rig, xyz_mm[b], c) for b, c in zip(blocks, covariances, strict=True)])
    somebody = np.isfinite(xyz_mm).all(-1).any(-1)
    error = np.zeros(somebody.shape)
    if somebody.any():
        error[somebody] = np.nan_to_num(expected_error_mm(rig, np.nanmedian(xyz_mm[somebody], axis=-2)))
        if covariance_mm2 is not None:
            joints = np.sqrt(np.trace(covariance_mm2[somebody], axis1=-2, axis2=-1))
            joints[~np.isfinite(joints).any(-1)] = 0.0
            error[somebody] = np.maximum(error[somebody], np.nanmedian(joints, axis=-1))
    return error


def gate_mm(elapsed_s: float | F64, config: TrackingConfig, error_mm: float | F64 = 0.0) -> F64:
    """Return the maximum distance in mm between the predicted and actual position of a person.

    Args:
        elapsed_s: Time since the person was last seen.
        config: Distance, and its growth rate.
        error_mm: Position error of the joints.
    """
    grown_mm = config.drift_mm_s * np.maximum(0.0, np.asarray(elapsed_s) - _GATED_S)
    return np.asarray(np.maximum(config.max_distance_mm, _DISTANCE_ERRORS * np.asarray(error_mm)) + grown_mm)


def slack_mm(error_mm: F64) -> F64:
    """Return the deviation of bone lengths and positions in mm that joint errors explain."""
    return np.maximum(_SLACK_MM, _BONE_ERRORS * error_mm)
