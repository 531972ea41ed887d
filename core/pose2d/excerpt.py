"""Temporary 2D poses of part of a take, for the comparison of camera clocks."""

from __future__ import annotations

import numpy as np

from core.pose2d.cards import model_card
from core.pose2d.chunks import Chunk, assemble_poses
from core.pose2d.config import DEFAULT_ESTIMATOR, DEFAULT_LONG_SIDE_PX, Pose2DConfig
from core.pose2d.download import DownloadPolicy, model_files
from core.pose2d.estimator import ESTIMATORS
from core.pose2d.probe import choose_turns
from core.pose2d.quarter_turns import TurnedEstimator
from core.progress import Reporter, check
from core.session import Take
from core.session.footage.images import CameraImages, DamagedImages
from core.types.arrays import I64
from core.types.pose2d import Pose2D


def estimate_excerpt(take: Take, rows: I64, reporter: Reporter) -> dict[str, Pose2D]:
    """Estimate the people in selected frames of a take with the shipped estimator.

    Args:
        take: The take.
        rows: (T,) frames in ascending order.
        reporter: Receives progress and cancels.

    Returns:
        2D poses of T frames by camera name.

    Raises:
        CoreError: A video cannot be read.
        CancelledError: The job was cancelled.
    """
    card = model_card(DEFAULT_ESTIMATOR)
    config = Pose2DConfig(long_side_px=DEFAULT_LONG_SIDE_PX, heatmaps=False)
    files = model_files(card, "", DownloadPolicy(allowed=False), reporter)
    estimator = ESTIMATORS.get(card.runner)(card.name, files, config)
    turned = choose_turns(take, estimator, reporter)
    image = take.timeline().frame_index[rows]
    done, total, out = 0, int((image >= 0).sum()), {}
    damaged = DamagedImages()
    for v, camera in enumerate(take.cameras):
        of_camera, found = TurnedEstimator(estimator, turned.get(camera, 0)), []
        with CameraImages(take, camera, damaged) as video:
            for t in np.flatnonzero(image[:, v] >= 0).tolist():
                check(reporter)
                reporter.progress(done, total, "Looking for people")
                pixels = video.read(int(image[t, v]))
                if pixels is not None:
                    found.append((t, of_camera.estimate([pixels])[0], b""))
                done += 1
        chunk = Chunk.of(found, len(estimator.skeleton))
        out[camera] = assemble_poses(camera, estimator.skeleton, [chunk], len(rows))
    damaged.report(reporter)
    return out
