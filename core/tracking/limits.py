"""Errors of people, which limits of tracking and plausibility follow where people are far from the cameras.

Letters in shapes: `...` any frames and people, J joint.
"""

from __future__ import annotations

import numpy as np

from core.geometry.accuracy import expected_error_mm
from core.tracking.config import TrackingConfig
from core.types.arrays import F32, F64
from core.types.camera import CameraRig

_DISTANCE_ERRORS = 6.0  # Distance of a person from where they are expected, in errors of a joint.
_BONE_ERRORS = 2.0  # Deviation of a bone's length in them: 2.4 standard deviations of the difference of two joints.
_SLACK_MM = 80.0  # That deviation close up: noise of bone lengths between joints of a 2D estimator.
_BLOCK_FRAMES = 1000  # Frames that are looked at together.
_GATED_S = 0.05  # Time between frames that the largest distance allows for; it grows with longer ones.


def person_error_mm(rig: CameraRig, xyz_mm: F64, covariance_mm2: F64 | F32 | None = None) -> F64:
    """Return the root mean square position error (...) of the joints of people, 0 for nobody.

    It is that expected of the rig at the place, or the median of the covariances if that is larger.

    Args:
        rig: Posed cameras that see the people.
        xyz_mm: (..., J, 3) joints, NaN where missing.
        covariance_mm2: (..., J, 3, 3) covariances, NaN where missing, if known.
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
    """Return the largest distance of people from where they are expected, some time after they were seen.

    Args:
        elapsed_s: Time since then.
        config: Distance, and the rate at which it grows.
        error_mm: Error of the joints.
    """
    grown_mm = config.drift_mm_s * np.maximum(0.0, np.asarray(elapsed_s) - _GATED_S)
    return np.asarray(np.maximum(config.max_distance_mm, _DISTANCE_ERRORS * np.asarray(error_mm)) + grown_mm)


def slack_mm(error_mm: F64) -> F64:
    """Return the deviation of bone lengths, and of positions, that errors of joints explain."""
    return np.maximum(_SLACK_MM, _BONE_ERRORS * error_mm)
