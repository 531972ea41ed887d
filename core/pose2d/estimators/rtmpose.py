"""RTMPose: top-down pose estimation with SimCC heads (classification per axis), as exported by mmdeploy (end2end.onnx).

Input (N, 3, 256, 192) float32 RGB, normalised; outputs `simcc_x` (N, 17, 2 W) and `simcc_y` (N, 17, 2 H), two bins
per pixel: bin b is pixel b / 2. Sources: Jiang et al., "RTMPose: Real-Time Multi-Person Pose Estimation based on
MMPose" (2023); Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation" (2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.pose2d.config import Pose2DConfig
from core.pose2d.estimators.topdown import TopDown

_BINS_PER_PX = 2.0


class RTMPose(TopDown):
    """Runner of RTMPose models with 17 COCO joints."""

    def __init__(self, name: str, files: Mapping[str, Path], config: Pose2DConfig, threads: int = 0) -> None:
        super().__init__(name, files, config, threads, ["simcc_x", "simcc_y"])

    def decode(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Decode joints from the peaks of both axes; the score is the lower of the two peaks."""
        x, height_x = _peak(outputs[0])
        y, height_y = _peak(outputs[1])
        return np.stack([x, y], -1) / _BINS_PER_PX, np.minimum(height_x, height_y)


def _peak(bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return position and height (N, J) of the highest of (N, J, B) bins, with parabolic sub-bin interpolation."""
    last = bins.shape[-1] - 1
    best = bins.argmax(-1)
    neighbours = np.stack([(best - 1).clip(0), best, (best + 1).clip(None, last)], -1)
    before, top, after = np.moveaxis(np.take_along_axis(bins, neighbours, -1).astype(np.float64), -1, 0)
    curvature = 2 * top - before - after
    offset = np.where(curvature > 1e-9, (after - before) / (2 * np.maximum(curvature, 1e-9)), 0.0)
    offset = np.where((best == 0) | (best == last), 0.0, offset.clip(-0.5, 0.5))
    return best + offset, top
