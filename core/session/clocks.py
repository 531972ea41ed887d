"""Clocks of the cameras in a take: how far recorded times are from the times of exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.types.arrays import F64, I64


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedImages:
    """Images that a camera dropped although its recorded times run on as if it had not.

    Attributes:
        image: Number in the video of the first image after the missing ones.
        count: Number of missing images.
    """

    image: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraClock:
    """Error of one camera's recorded times in a take.

    Attributes:
        offset_s: Recorded time minus true time at the start of the take.
        drift_ppm: Rate of the clock minus the true rate; positive for a clock that runs fast.
        drops: Images that are missing, in order.
        period_s: Time between two images.
    """

    offset_s: float = 0.0
    drift_ppm: float = 0.0
    drops: tuple[DroppedImages, ...] = ()
    period_s: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether recorded times are true times."""
        return not (self.offset_s or self.drift_ppm or self.drops)

    @property
    def value(self) -> float | list[float]:
        """Numbers that tell this clock from others: the offset alone, or offset, drift and drops."""
        if not (self.drift_ppm or self.drops):
            return self.offset_s
        return [self.offset_s, self.drift_ppm, *(float(n) for d in self.drops for n in (d.image, d.count))]

    def error_s(self, recorded_s: F64, image: I64) -> F64:
        """Return the recorded minus the true times of images.

        Args:
            recorded_s: (n,) recorded times from the start of the take.
            image: (n,) numbers of the images in the video.
        """
        missing = np.zeros(len(image))
        for drop in self.drops:
            missing += drop.count * (image >= drop.image)
        return np.asarray(self.offset_s + 1e-6 * self.drift_ppm * recorded_s - self.period_s * missing)
