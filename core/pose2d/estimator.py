"""What a 2D estimator is: images in, people with joints out, any number of them."""

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
    """Where models run.

    Attributes:
        name: "cpu", "cuda", "coreml" or "directml".
        words: A sentence for the person, with what could be better if anything could.
        at_once: `estimate` calls worth making at the same time, each with one CPU thread.
    """

    name: str
    words: str
    at_once: int

    @property
    def is_cpu(self) -> bool:
        """Whether no accelerator is used."""
        return self.name == "cpu"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heatmaps:
    """Joint heatmaps of one image.

    Attributes:
        values: (J, h, w) in 0..1.
        grid: Map from the image's pixels to heatmap pixels, both counted from the centre of the top-left one.
    """

    values: F32
    grid: PixelMap


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """The people in one image, best first.

    Attributes:
        xy_px: (P, J, 2) joints in the image's pixels, NaN where missing.
        score: (P, J) in 0..1, 0 where missing.
        box_px: (P, 4) x0 y0 x1 y1.
        person_score: (P,) in 0..1.
        heatmaps: Joint heatmaps of the whole image, where they were asked for and the estimator has them.
    """

    xy_px: F32
    score: F32
    box_px: F32
    person_score: F32
    heatmaps: Heatmaps | None = None

    def __len__(self) -> int:
        return len(self.person_score)


class Estimator(Protocol):
    """A 2D pose estimator, loaded. `estimate` may be called from several threads at once.

    Attributes:
        name: Name of its model card.
        skeleton: Joint set of its detections.
        provider: Where it runs, in words.
        batch: Images worth giving to one `estimate` call on this processor.
    """

    name: str
    skeleton: Skeleton
    provider: Provider
    batch: int

    def estimate(self, images: Sequence[U8]) -> list[Detections]:
        """People in each image (H, W, 3) uint8 RGB; the images may differ in size."""


class EstimatorFactory(Protocol):
    """Builds an estimator from the files of its model card, by role."""

    def __call__(self, name: str, files: Mapping[str, Path], config: Pose2DConfig, threads: int = 0) -> Estimator: ...


ESTIMATORS: Registry[EstimatorFactory] = Registry(
    "runner of 2D pose models",
    {
        "movenet": "core.pose2d.estimators.movenet:MoveNet",
        "rtmpose": "core.pose2d.estimators.rtmpose:RTMPose",
        "rtmo": "core.pose2d.estimators.rtmo:RTMO",
        "vitpose": "core.pose2d.estimators.vitpose:ViTPose",
    },
)


def person_scores(whole: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Score (P,) of people from that of the whole person (P,) and those of the joints (P, J): their geometric mean.

    Bags and shadows that look like a person from afar have no joints, which is what tells them from people half hidden.
    """
    return np.asarray(np.sqrt(whole.clip(0, 1) * joints.clip(0, 1).mean(-1)))


def filter_detections(
    xy_px: np.ndarray,
    score: np.ndarray,
    box_px: np.ndarray,
    person_score: np.ndarray,
    config: Pose2DConfig,
    heatmaps: Heatmaps | None = None,
) -> Detections:
    """Applies the thresholds that every runner shares: weak people go, weak joints become missing, best first."""
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
