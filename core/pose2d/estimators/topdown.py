"""Base of top-down runners: detect people, crop each one, run the pose network on the crops, map joints back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.pose2d.config import Pose2DConfig
from core.pose2d.draw_heatmaps import draw_heatmaps, heatmap_grid, merge_crops
from core.pose2d.estimator import Detections, Heatmaps, filter_detections, person_scores
from core.pose2d.estimators.yolox import PersonDetector
from core.pose2d.nms import pose_nms
from core.pose2d.pixelmap import PixelMap, crop_box, images_to_blob
from core.pose2d.runtime import OnnxModel
from core.types.arrays import F32, U8
from core.types.skeleton import COCO17

INPUT_PX = (192, 256)
PADDING = 1.25  # enlargement of the box, as in the training of these networks
# Mean and standard deviation of ImageNet's RGB channels in 0..255, as in the training of these networks.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


class TopDown:
    """Base of the top-down runners.

    Args:
        name: Name of the model card.
        files: ONNX files by role: "detector" and "pose".
        config: Settings.
        threads: Number of CPU threads per call; 0 takes all cores.
        outputs: Names of the pose network's outputs; a single empty name stands for the only output.
    """

    def __init__(
        self, name: str, files: Mapping[str, Path], config: Pose2DConfig, threads: int, outputs: Sequence[str]
    ) -> None:
        self.name = name
        self.skeleton = COCO17
        self.batch = 1
        self._config = config
        self._detector = PersonDetector(files["detector"], config.provider, threads)
        self._network = OnnxModel(files["pose"], [""], outputs, provider=config.provider, threads=threads)
        self._size = self._network.input_size(INPUT_PX)
        self.provider = self._network.provider

    def decode(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Decode the pose network's outputs for P crops to joints (P, J, 2) in crop pixels and scores (P, J)."""
        raise NotImplementedError

    def heat_grid(self, outputs: list[np.ndarray]) -> PixelMap | None:
        """Return the map from crop pixels to heatmap pixels if the first output is heatmaps (P, J, h, w), or None."""
        return None

    def estimate(self, images: Sequence[U8]) -> list[Detections]:
        """Return the people in each image."""
        return [self._people(image) for image in images]

    def _people(self, image: U8) -> Detections:
        boxes, box_score = self._detector.detect(image, self._config.max_people)
        size = (image.shape[1], image.shape[0])
        if not len(boxes):
            none = np.zeros((0, len(COCO17), 2))
            return filter_detections(
                none, none[..., 0], boxes, box_score, self._config, self._heatmaps(size, none, boxes)
            )
        crops = [crop_box(image, box, self._size, padding=PADDING) for box in boxes]
        maps = [to_crop for _, to_crop in crops]
        outputs = self._run(images_to_blob([crop for crop, _ in crops], mean=MEAN, std=STD))
        in_crop, score = self.decode(outputs)
        xy_px = np.stack([to_crop.inverse(joints) for to_crop, joints in zip(maps, in_crop, strict=True)])
        person = person_scores(box_score, score)
        keep = pose_nms(xy_px, (boxes[:, 2:] - boxes[:, :2]).max(-1), person)
        heatmaps = self._heatmaps(size, xy_px[keep], boxes[keep], score[keep])
        grid = self.heat_grid(outputs)
        if heatmaps is not None and grid is not None:
            heat: F32 = outputs[0][keep].astype(np.float32)
            heatmaps = merge_crops(heat, [maps[k].then(grid) for k in keep], heatmaps.grid, heatmaps.values.shape[1:])
        return filter_detections(xy_px[keep], score[keep], boxes[keep], person[keep], self._config, heatmaps)

    def _heatmaps(
        self, size: tuple[int, int], xy_px: np.ndarray, boxes: np.ndarray, score: np.ndarray | None = None
    ) -> Heatmaps | None:
        if not self._config.heatmaps:
            return None
        grid, shape = heatmap_grid(size, self._config.input_px)
        return draw_heatmaps(xy_px, np.ones(xy_px.shape[:2]) if score is None else score.clip(0, 1), boxes, grid, shape)

    def _run(self, crops: F32) -> list[np.ndarray]:
        if self._network.any_batch or len(crops) == 1:
            return self._network(crops)
        runs = [self._network(crop[None]) for crop in crops]
        return [np.concatenate(parts) for parts in zip(*runs, strict=True)]
