"""Protocol and registry of multi-person 2D pose estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.pose2d.config import Pose2DConfig
from core.pose2d.pixelmap import PixelMap
from core.registry import Registry
from core.types.arrays import F32, U8
from core.types.skeleton import Skeleton


@dataclass(frozen=True, slots=True)
class Provider:
    """Execution provider of a model.

    Attributes:
        name: Name of the provider: "cpu", "cuda", "coreml" or "directml".
        description: Sentence for the user, with advice if a faster provider is possible.
        concurrency: Useful number of concurrent `estimate` calls, each with one CPU thread.
    """

    name: str
    description: str
    concurrency: int

    @property
    def is_cpu(self) -> bool:
        """True if the model runs without an accelerator."""
        return self.name == "cpu"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heatmaps:
    """Joint heatmaps of one image.

    Attributes:
        values: (J, h, w) heatmaps in 0..1.
        grid: Map from image pixels to heatmap pixels; (0, 0) is the centre of the top-left pixel in both.
    """

    values: F32
    grid: PixelMap


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """People in one image, by descending score.

    Attributes:
        xy_px: (P, J, 2) joints in image pixels, NaN if missing.
        score: (P, J) joint scores in 0..1, 0 if missing.
        box_px: (P, 4) bounding boxes x0 y0 x1 y1.
        person_score: (P,) scores of the people in 0..1.
        heatmaps: Joint heatmaps of the image, or None if not requested.
    """

    xy_px: F32
    score: F32
    box_px: F32
    person_score: F32
    heatmaps: Heatmaps | None = None

    def __len__(self) -> int:
        return len(self.person_score)


class Estimator(Protocol):
    """Loaded 2D pose estimator; `estimate` is thread-safe.

    Attributes:
        name: Name of the model card.
        skeleton: Joint set of the detections.
        provider: Execution provider of the networks.
        batch: Best number of images per `estimate` call on this provider.
    """

    name: str
    skeleton: Skeleton
    provider: Provider
    batch: int

    def estimate(self, images: Sequence[U8]) -> list[Detections]:
        """Estimate the people in each image (H, W, 3) uint8 RGB; the images may differ in size."""


class EstimatorFactory(Protocol):
    """Constructor of an estimator from the files of its model card, by role."""

    def __call__(self, name: str, files: Mapping[str, Path], config: Pose2DConfig, threads: int = 0) -> Estimator:
        """Load the networks; 0 threads uses all CPU cores."""
        ...


ESTIMATORS: Registry[EstimatorFactory] = Registry(
    "runner of 2D pose models",
    {
        "movenet": "core.pose2d.estimators.movenet:MoveNet",
        "rtmpose": "core.pose2d.estimators.rtmpose:RTMPose",
        "rtmo": "core.pose2d.estimators.rtmo:RTMO",
        "vitpose": "core.pose2d.estimators.vitpose:ViTPose",
    },
)


def person_scores(detection: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return scores (P,) of people: the geometric mean of the detection scores (P,) and the mean joint scores (P, J).

    Objects that resemble a person, such as bags and shadows, have low joint scores; partly occluded people do not.
    """
    return np.asarray(np.sqrt(detection.clip(0, 1) * joints.clip(0, 1).mean(-1)))


def filter_detections(
    xy_px: np.ndarray,
    score: np.ndarray,
    box_px: np.ndarray,
    person_score: np.ndarray,
    config: Pose2DConfig,
    heatmaps: Heatmaps | None = None,
) -> Detections:
    """Drop weak people, mark weak joints as missing, and sort by score, with the thresholds shared by all runners."""
    keep = np.flatnonzero(person_score >= config.person_threshold)
    keep = keep[np.argsort(-person_score[keep], kind="stable")][: config.max_people]
    joints, scores = xy_px[keep].astype(np.float32), np.clip(score[keep], 0, 1).astype(np.float32)
    missing = (scores < config.joint_threshold) | ~np.isfinite(joints).all(-1)
    joints[missing], scores[missing] = np.nan, 0
    return Detections(
        xy_px=joints,
        score=scores,
        box_px=box_px[keep].astype(np.float32),
        person_score=person_score[keep].astype(np.float32),
        heatmaps=heatmaps,
    )
