"""Camera clocks in a take: differences between recorded times and times of exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.types.arrays import F64, I64


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedImages:
    """Dropped images that left no gap in the recorded times.

    Attributes:
        image: Index in the video of the first image after the gap.
        count: Number of missing images.
    """

    image: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraClock:
    """Clock error of one camera in a take.

    Attributes:
        offset_s: Recorded time minus true time at the start of the take.
        drift_ppm: Rate of the clock minus the true rate; positive for a clock that runs fast.
        drops: Dropped images in increasing order.
        period_s: Time between images.
    """

    offset_s: float = 0.0
    drift_ppm: float = 0.0
    drops: tuple[DroppedImages, ...] = ()
    period_s: float = 0.0

    @property
    def exact(self) -> bool:
        """True if recorded times are true times."""
        return not (self.offset_s or self.drift_ppm or self.drops)

    @property
    def value(self) -> float | list[float]:
        """Parameters that identify the clock error: the offset alone, or offset, drift and drops."""
        if not (self.drift_ppm or self.drops):
            return self.offset_s
        return [self.offset_s, self.drift_ppm, *(float(n) for d in self.drops for n in (d.image, d.count))]

    def error_s(self, recorded_s: F64, image: I64) -> F64:
        """Return recorded minus true times of images.

        Args:
            recorded_s: (n,) recorded times from the start of the take.
            image: (n,) indices of the images in the video.
        """
        missing = np.zeros(len(image))
        for drop in self.drops:
            missing += drop.count * (image >= drop.image)
        return np.asarray(self.offset_s + 1e-6 * self.drift_ppm * recorded_s - self.period_s * missing)


def describe_drift(drift_ppm: float) -> str:
    """Return a drift with its effect, such as "38 ppm fast (2.3 ms a minute)"."""
    size = abs(drift_ppm)
    if round(size) == 0:
        return "below 1 ppm"
    return f"{size:.0f} ppm {'fast' if drift_ppm > 0 else 'slow'} ({0.06 * size:.1f} ms a minute)"
