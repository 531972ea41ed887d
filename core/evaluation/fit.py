"""Goodness of fit of a whole take, in blocks of frames, so that a long one fits into memory."""

from __future__ import annotations

import dataclasses

import numpy as np

from core.evaluation.loco import collect_observations, reprojection_errors
from core.session import Take
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence

_BLOCK_FRAMES = 2000


def median_reprojection_px(take: Take, estimator: str, rig: CameraRig, sequence: Pose3DSequence) -> float:
    """Return the median reprojection error of 3D people over all observed joints; NaN without people.

    Args:
        take: Take with the 2D poses that the people were made from; read a camera at a time.
        estimator: Name of the 2D poses.
        rig: Cameras of the take.
        sequence: People at all frames of the take.
    """
    errors_px = []
    for name in rig.names:
        poses2d = take.poses2d(estimator, rig, cameras=[name])
        for start in range(0, len(sequence.time_s), _BLOCK_FRAMES):
            rows = np.arange(start, min(start + _BLOCK_FRAMES, len(sequence.time_s)))
            part = dataclasses.replace(
                sequence,
                time_s=sequence.time_s[rows],
                xyz_mm=sequence.xyz_mm[rows],
                score=sequence.score[rows],
                covariance_mm2=None,
            )
            observations = collect_observations({name: poses2d[name].select(rows)}, (name,), np.arange(len(rows)))
            errors = reprojection_errors(rig.subset([name]), observations, part, part.time_s).error_px[name]
            errors_px.append(errors[np.isfinite(errors)].astype(np.float32))
    every = np.concatenate(errors_px)
    return float(np.median(every)) if every.size else float("nan")
