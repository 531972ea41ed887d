"""Goodness of fit of a whole take, a camera at a time, so that a long one fits into memory."""

from __future__ import annotations

import numpy as np

from core.evaluation.loco import collect_observations, reprojection_errors
from core.session import Take
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence


def median_reprojection_px(
    take: Take, estimator: str, rig: CameraRig, sequence: Pose3DSequence, *, first_pass: bool = False
) -> float:
    """Return the median reprojection error of 3D people over all observed joints; NaN without people.

    Args:
        take: Take with the 2D poses that the people were made from; read a camera at a time.
        estimator: Name of the 2D poses.
        rig: Cameras of the take.
        sequence: People at all frames of the take.
        first_pass: Measure against the poses as estimated from single images; see `Take.poses2d_files`.
    """
    frames, errors_px = np.arange(len(sequence.time_s)), []
    for name in rig.names:
        poses2d = take.poses2d(estimator, rig, first_pass=first_pass, cameras=[name])
        observations = collect_observations(poses2d, (name,), frames)
        del poses2d
        errors = reprojection_errors(rig.subset([name]), observations, sequence, sequence.time_s).error_px[name]
        errors_px.append(errors[np.isfinite(errors)])
    every = np.concatenate(errors_px)
    return float(np.median(every)) if every.size else float("nan")
