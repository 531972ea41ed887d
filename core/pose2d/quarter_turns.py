"""Rotation of images by multiples of 90 degrees, for cameras mounted on their side or upside down.

2D networks are trained on upright people, and find few and inaccurate joints of people on their side. All results are
in pixels of the original image, in which the camera is calibrated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.pose2d.estimator import Detections, Estimator, Heatmaps, Provider
from core.pose2d.pixelmap import PixelMap
from core.types.arrays import U8
from core.types.skeleton import Skeleton


@dataclass(frozen=True, slots=True)
class QuarterTurns:
    """Clockwise rotation of an image by a multiple of 90 degrees.

    Attributes:
        clockwise_deg: Rotation: 0, 90, 180 or 270.
        size_px: Width and height of the image before the rotation.
    """

    clockwise_deg: int
    size_px: tuple[int, int]

    @property
    def inverse(self) -> QuarterTurns:
        """Inverse rotation."""
        width, height = self.size_px
        return QuarterTurns(-self.clockwise_deg % 360, (height, width) if self.clockwise_deg % 180 else (width, height))

    def image(self, image: np.ndarray) -> np.ndarray:
        """Rotate an image (H, W, ...)."""
        return np.ascontiguousarray(np.rot90(image, -(self.clockwise_deg // 90)))

    def points(self, xy_px: np.ndarray) -> np.ndarray:
        """Rotate pixels (..., 2); (0, 0) is the centre of the top-left pixel in both images."""
        x, y = xy_px[..., 0], xy_px[..., 1]
        right, bottom = self.size_px[0] - 1, self.size_px[1] - 1
        turned = {0: (x, y), 90: (bottom - y, x), 180: (right - x, bottom - y), 270: (y, right - x)}
        return np.stack(turned[self.clockwise_deg], -1)

    def covariances(self, covariance_px2: np.ndarray) -> np.ndarray:
        """Rotate pixel covariances (..., 2, 2)."""
        origin, *axes = self.points(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        rotation = np.stack([axis - origin for axis in axes], -1)
        return np.asarray(rotation @ covariance_px2 @ rotation.T)

    def detections(self, people: Detections) -> Detections:
        """Rotate detections."""
        corners = self.points(people.box_px.reshape(-1, 2, 2))
        return dataclasses.replace(
            people,
            xy_px=self.points(people.xy_px),
            box_px=np.concatenate([corners.min(1), corners.max(1)], -1),
            heatmaps=None if people.heatmaps is None else self._heatmaps(people.heatmaps),
        )

    def _heatmaps(self, maps: Heatmaps) -> Heatmaps:
        height, width = maps.values.shape[1:]
        of_map = QuarterTurns(self.clockwise_deg, (width, height))
        # Two rotated points determine the axis-aligned map.
        ends = of_map.points(maps.grid.forward(self.inverse.points(np.array([[0.0, 0.0], [1.0, 1.0]]))))
        (x, y), (sx, sy) = ends[0].tolist(), (ends[1] - ends[0]).tolist()
        values = of_map.image(maps.values.transpose(1, 2, 0)).transpose(2, 0, 1)
        return Heatmaps(values=np.ascontiguousarray(values), grid=PixelMap((sx, sy), (x, y)))


class TurnedEstimator:
    """Estimator that rotates its input images, with results in pixels of the original images.

    Args:
        estimator: Estimator of upright people.
        clockwise_deg: Rotation that makes people upright: 0, 90, 180 or 270.
    """

    def __init__(self, estimator: Estimator, clockwise_deg: int) -> None:
        self._estimator, self._clockwise_deg = estimator, clockwise_deg
        self.name: str = estimator.name
        self.skeleton: Skeleton = estimator.skeleton
        self.provider: Provider = estimator.provider
        self.batch: int = estimator.batch

    def estimate(self, images: Sequence[U8]) -> list[Detections]:
        """Estimate the people in each image; see `Estimator.estimate`."""
        turns = [QuarterTurns(self._clockwise_deg, (image.shape[1], image.shape[0])) for image in images]
        found = self._estimator.estimate([t.image(image) for t, image in zip(turns, images, strict=True)])
        return [t.inverse.detections(people) for t, people in zip(turns, found, strict=True)]
