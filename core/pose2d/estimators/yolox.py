"""YOLOX person detector for top-down runners, as exported by mmdeploy (end2end.onnx).

Input (1, 3, H, W) float32 BGR 0..255, letterboxed at the top left with grey 114; outputs `dets` (1, N, 5) with
x0 y0 x1 y1 score in input pixels after non-maximum suppression, and `labels` (1, N), where 0 is a person.
Source: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", and the export of mmdetection's models by mmdeploy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.pose2d.pixelmap import images_to_blob, letterbox
from core.pose2d.runtime import OnnxModel
from core.types.arrays import U8

INPUT_PX = (640, 640)
FILL = 114
_MIN_SCORE = 0.3


class PersonDetector:
    """Person detector.

    Args:
        path: ONNX file.
        provider: Execution provider, as in the settings.
        threads: Number of CPU threads per call; 0 takes all cores.
    """

    def __init__(self, path: Path, provider: str, threads: int) -> None:
        self._network = OnnxModel(path, [""], ["dets", "labels"], provider=provider, threads=threads)
        self._size = self._network.input_size(INPUT_PX)

    def detect(self, image: U8, max_people: int) -> tuple[np.ndarray, np.ndarray]:
        """Return bounding boxes (P, 4) x0 y0 x1 y1 in image pixels and scores (P,), by descending score."""
        padded, to_input = letterbox(image, self._size, fill=FILL)
        found, labels = (o[0] for o in self._network(images_to_blob([padded], bgr=True)))
        found = found[(labels == 0) & (found[:, 4] >= _MIN_SCORE)]
        found = found[np.argsort(-found[:, 4], kind="stable")][:max_people]
        boxes = to_input.inverse(found[:, :4].reshape(-1, 2, 2).astype(np.float64)).reshape(-1, 4)
        height, width = image.shape[:2]
        return boxes.clip(-0.5, np.array([width, height, width, height]) - 0.5), found[:, 4]
