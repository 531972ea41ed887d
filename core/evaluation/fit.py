"""Goodness of fit of a whole take, a camera at a time, so that a long one fits into memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.evaluation.loco import collect_observations, reprojection_errors
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D, StoredPose2D
from core.types.pose3d import Pose3DSequence


def median_reprojection_px(
    rig: CameraRig, poses2d: Mapping[str, Pose2D | StoredPose2D], sequence: Pose3DSequence
) -> float:
    """Return the median reprojection error of 3D people over all observed joints; NaN without people.

    Args:
        rig: Cameras of the take.
        poses2d: 2D poses of the take by camera name.
        sequence: People at all frames of the take.
    """
    frames, errors_px = np.arange(len(sequence.time_s)), []
    for name in rig.names:
        observations = collect_observations(poses2d, (name,), frames)
        errors = reprojection_errors(rig.subset([name]), observations, sequence, sequence.time_s).error_px[name]
        errors_px.append(errors[np.isfinite(errors)])
    every = np.concatenate(errors_px)
    return float(np.median(every)) if every.size else float("nan")
