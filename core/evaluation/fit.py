"""Reprojection error of a take, computed one camera at a time to limit memory."""

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
    frames, every, count = np.arange(len(sequence.time_s)), np.zeros(0, np.float32), 0
    for name in rig.names:
        observations = collect_observations(poses2d, (name,), frames)
        errors = reprojection_errors(rig.subset([name]), observations, sequence, sequence.time_s).error_px[name]
        if not len(every):
            every = np.empty(len(rig) * errors.size, np.float32)  # The system allocates pages only as they are filled.
        known = errors[np.isfinite(errors)]
        if count + len(known) > len(every):
            every = np.concatenate([every[:count], np.empty(len(rig) * errors.size, np.float32)])
        every[count : count + len(known)] = known
        count += len(known)
    return float(np.median(every[:count], overwrite_input=True)) if count else float("nan")
