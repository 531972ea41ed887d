"""RTMO: one-stage multi-person pose estimation, as exported by mmdeploy (end2end.onnx).

Input (1, 3, 640, 640) float32 BGR 0..255, letterboxed at the top left with grey 114; outputs `dets` (1, N, 5) with
x0 y0 x1 y1 score and `keypoints` (1, N, 17, 3) with x y visibility, in input pixels.
Source: Lu et al., "RTMO: Towards High-Performance One-Stage Real-Time Multi-Person Pose Estimation" (2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.pose2d.config import Pose2DConfig
from core.pose2d.draw_heatmaps import draw_heatmaps, heatmap_grid
from core.pose2d.estimator import Detections, filter_detections
from core.pose2d.estimators.yolox import FILL, INPUT_PX
from core.pose2d.nms import pose_nms
from core.pose2d.pixelmap import images_to_blob, letterbox
from core.pose2d.runtime import OnnxModel
from core.types.arrays import U8
from core.types.skeleton import COCO17


class RTMO:
    """Runner of RTMO models with 17 COCO joints.

    Args:
        name: Name of the model card.
        files: ONNX file by role: "pose".
        config: Settings.
        threads: Number of CPU threads per call; 0 takes all cores.
    """

    def __init__(self, name: str, files: Mapping[str, Path], config: Pose2DConfig, threads: int = 0) -> None:
        self.name = name
        self.skeleton = COCO17
        self.batch = 1
        self._config = config
        self._network = OnnxModel(files["pose"], [""], ["dets", "keypoints"], provider=config.provider, threads=threads)
        self._size = self._network.input_size(INPUT_PX)
        self.provider = self._network.provider

    def estimate(self, images: Sequence[U8]) -> list[Detections]:
        """Return the people in each image."""
        return [self._people(image) for image in images]

    def _people(self, image: U8) -> Detections:
        padded, to_input = letterbox(image, self._size, fill=FILL)
        found, joints = (o[0].astype(np.float64) for o in self._network(images_to_blob([padded], bgr=True)))
        strong = found[:, 4] >= self._config.person_threshold
        found, joints = found[strong], joints[strong]
        height, width = image.shape[:2]
        boxes = to_input.inverse(found[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
        boxes = boxes.clip(-0.5, np.array([width, height, width, height]) - 0.5)
        xy_px, score = to_input.inverse(joints[..., :2]), joints[..., 2].clip(0, 1)
        keep = pose_nms(xy_px, (boxes[:, 2:] - boxes[:, :2]).max(-1, initial=1.0), found[:, 4])
        xy_px, score, boxes = xy_px[keep], score[keep], boxes[keep]
        heatmaps = None
        if self._config.heatmaps:
            heatmaps = draw_heatmaps(xy_px, score, boxes, *heatmap_grid((width, height), self._config.input_px))
        return filter_detections(xy_px, score, boxes, found[keep, 4], self._config, heatmaps)
