"""ViTPose: top-down pose estimation with heatmaps, as exported by easy_ViTPose.

Input (N, 3, 256, 192) float32 RGB, normalised; one output (N, 17, 64, 48). The networks were trained with unbiased data
processing (UDP): the corner pixel centres of input and heatmap coincide, so that cell c is at pixel
c (W - 1) / (w - 1). Sources: Xu et al., "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation"
(2022); Huang et al., "The Devil is in the Details: Delving into Unbiased Data Processing" (2020); the sub-pixel step is
that of Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose Estimation" (DARK, 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from core.pose2d.config import Pose2DConfig
from core.pose2d.estimators.topdown import TopDown
from core.pose2d.pixelmap import PixelMap

_BLUR_CELLS = 2.0  # standard deviation of the training heatmaps
_MIN_VALUE = 1e-6


class ViTPose(TopDown):
    """Runner of ViTPose models with 17 COCO joints."""

    def __init__(self, name: str, files: Mapping[str, Path], config: Pose2DConfig, threads: int = 0) -> None:
        super().__init__(name, files, config, threads, [""])

    def decode(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Decode joints from the sub-pixel peaks of the heatmaps; the score is the height of the peak."""
        cells, score = subpixel_peaks(outputs[0])
        return self.heat_grid(outputs).inverse(cells), score

    def heat_grid(self, outputs: list[np.ndarray]) -> PixelMap:
        """Return the map from crop pixels to heatmap pixels, whose corner pixel centres coincide."""
        height, width = outputs[0].shape[-2:]
        return PixelMap(((width - 1) / (self._size[0] - 1), (height - 1) / (self._size[1] - 1)), (0.0, 0.0))


def subpixel_peaks(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Locate the peaks of heatmaps with sub-pixel accuracy, by a Newton step on the logarithm of the smoothed map.

    The logarithm of a Gaussian is a parabola, hence one step from the highest cell is exact for a noise-free peak.

    Args:
        heatmaps: (N, J, h, w) heatmaps.

    Returns:
        Peaks (N, J, 2) x, y in cells, and heights (N, J) of the unsmoothed peaks.
    """
    n, j, h, w = heatmaps.shape
    flat = heatmaps.reshape(n * j, h, w).astype(np.float32)
    at = flat.reshape(n * j, -1).argmax(-1)
    row, column = at // w, at % w
    height = flat[np.arange(n * j), row, column]
    padded = [cv2.copyMakeBorder(m, 1, 1, 1, 1, cv2.BORDER_REPLICATE) for m in flat]
    smooth = np.stack([cv2.GaussianBlur(m, (0, 0), _BLUR_CELLS, borderType=cv2.BORDER_REPLICATE) for m in padded])
    log = np.log(np.maximum(smooth, _MIN_VALUE)).astype(np.float64)
    steps = np.arange(3)
    patch = log[
        np.arange(n * j)[:, None, None], row[:, None, None] + steps[:, None], column[:, None, None] + steps
    ]  # (N J, 3, 3) centred on the peak: the padding shifts indices by one
    dx = (patch[:, 1, 2] - patch[:, 1, 0]) / 2
    dy = (patch[:, 2, 1] - patch[:, 0, 1]) / 2
    dxx = patch[:, 1, 2] - 2 * patch[:, 1, 1] + patch[:, 1, 0]
    dyy = patch[:, 2, 1] - 2 * patch[:, 1, 1] + patch[:, 0, 1]
    dxy = (patch[:, 2, 2] - patch[:, 2, 0] - patch[:, 0, 2] + patch[:, 0, 0]) / 4
    det = dxx * dyy - dxy**2
    is_peak = (det > 1e-9) & (dxx < 0)
    safe = np.where(is_peak, det, 1.0)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1) / safe[:, None]
    step = np.where(is_peak[:, None], step.clip(-1, 1), 0.0)
    cells = (np.stack([column, row], -1) + step).clip(0, [w - 1, h - 1])
    return cells.reshape(n, j, 2), height.reshape(n, j)
