"""Sync certificate of a take, and its file `sync.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.session.clocks import CameraClock, DroppedImages, describe_drift

CERTIFICATE_SCHEMA = 1
SyncMethod = Literal["board", "people", "flash", "given"]
LEAST_OFFSET_S, LEAST_DRIFT_PPM = 0.001, 1.0  # up to which a clock counts as right
SIGNIFICANCE = 3.0  # in standard errors, for the use of an offset or a drift


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDrop:
    """Missing images that left no gap in the recorded times.

    Attributes:
        image: Index in the video of the first image after the gap.
        count: Number of missing images.
        earliest: Smallest possible value of `image`.
        latest: Largest possible value of `image`.
        fewest: Smallest possible value of `count`; null if it is certain.
        most: Largest possible value of `count`; null if it is certain.
    """

    image: int
    count: int
    earliest: int
    latest: int
    fewest: int | None = None
    most: int | None = None

    @property
    def exact(self) -> bool:
        """True if the position is certain."""
        return self.earliest == self.latest


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReport:
    """Summary of the recorded times of one camera.

    Attributes:
        start_s: Time of the first image relative to that of the earliest camera.
        fps: Frame rate.
        missing: Number of missing images by gaps in the recorded times.
        drift_ppm: Drift of the camera's clock relative to the shared one; null without such a clock.
    """

    start_s: float
    fps: float
    missing: int = 0
    drift_ppm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSync:
    """Clock of one camera as measured in its images.

    Attributes:
        name: Name of the camera.
        offset_s: Recorded minus true time at the start of the take, in addition to the time offset of the rig if one
            was used; null if not measured.
        offset_sd_s: Standard error of the offset.
        drift_ppm: Rate of the recorded times relative to most cameras; null if not measured.
        drift_sd_ppm: Standard error of the drift.
        drops: Missing images without a gap in the recorded times; null if not measured.
        clock: Summary of the recorded times.
        reason: Reason why something was not measured; empty if everything was.
    """

    name: str
    offset_s: float | None = None
    offset_sd_s: float | None = None
    drift_ppm: float | None = None
    drift_sd_ppm: float | None = None
    drops: tuple[FoundDrop, ...] | None = None
    clock: ClockReport
    reason: str = ""

    def used(self, period_s: float, *, least_offset_s: float = LEAST_OFFSET_S) -> CameraClock:
        """Return the clock error to correct, in which insignificant values are zero.

        Args:
            period_s: Time between images.
            least_offset_s: Smallest offset to correct.
        """
        offset = _significant(self.offset_s, self.offset_sd_s, SIGNIFICANCE, least_offset_s)
        drift = _significant(self.drift_ppm, self.drift_sd_ppm, SIGNIFICANCE, LEAST_DRIFT_PPM)
        drops = tuple(DroppedImages(image=d.image, count=d.count) for d in self.drops or ())
        return CameraClock(offset_s=round(offset, 6), drift_ppm=round(drift, 2), drops=drops, period_s=period_s)


def _significant(value: float | None, sd: float | None, errors: float, least: float) -> float:
    if value is None or abs(value) < max(least, errors * (sd or 0.0)):
        return 0.0
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCertificate:
    """Offsets, drifts and missing images of the cameras of a take, measured in its images.

    Attributes:
        take: Name of the take.
        method: Events by which the clocks were measured.
        made: Time of the measurement, ISO 8601.
        summary: Sentence that summarises the certificate.
        cameras: Cameras in the order of the take.
        notes: Additional sentences.
        schema: Version of the file format.
    """

    take: str
    method: SyncMethod
    made: str
    summary: str
    cameras: tuple[CameraSync, ...]
    notes: tuple[str, ...] = ()
    schema: int = CERTIFICATE_SCHEMA

    @property
    def measured(self) -> bool:
        """True if the offsets of at least two cameras were measured."""
        return sum(c.offset_s is not None for c in self.cameras) >= 2

    @property
    def good(self) -> bool:
        """True if all cameras were measured, and none has an offset, a drift or missing images."""
        return all(c.offset_s is not None and c.used(0.0).exact for c in self.cameras)

    def save(self, path: Path) -> None:
        """Write the file."""
        write_yaml(path, to_mapping(self))

    @classmethod
    def load(cls, path: Path) -> SyncCertificate:
        """Read a file written by `save`.

        Raises:
            CoreError: The file is damaged or was written by a newer version.
        """
        values: Any = read_yaml(path)
        if isinstance(values, dict) and isinstance(n := values.get("schema"), int) and n > CERTIFICATE_SCHEMA:
            raise CoreError(f"{path} was written by a newer version.", "Update the program.")
        return from_mapping(cls, values, "sync.")


def summarise(cameras: Sequence[CameraSync]) -> str:
    """Return the summary, such as "4 cameras within 2.1 ms; cam02 lost 3 images."."""
    measured = [c for c in cameras if c.offset_s is not None]
    if len(measured) < 2:
        reasons = dict.fromkeys(c.reason for c in cameras if c.reason)
        return f"The cameras' synchronisation was not measured. {' '.join(reasons)}".strip()
    parts = []
    offsets = {c.name: c.offset_s or 0.0 for c in measured}
    late = [c for c in measured if c.used(0.0).offset_s]
    rest = [offsets[c.name] for c in measured if c not in late]
    spread = 1e3 * float(np.ptp(rest)) if len(rest) > 1 else 0.0
    error = 1e3 * max(c.offset_sd_s or 0.0 for c in measured)
    if len(rest) > 1:
        parts.append(f"{len(rest)} cameras within {max(spread, error):.1f} ms")
    for c in late:
        ahead = 1e3 * offsets[c.name]
        parts.append(f"the times of {c.name} are {abs(ahead):.1f} ms {'ahead' if ahead > 0 else 'behind'}")
    for c in measured:
        if drift := c.used(0.0).drift_ppm:
            parts.append(f"the clock of {c.name} runs {describe_drift(drift)}")
        if c.drops:
            parts.append(f"{c.name} lost {describe_count(c.drops)}")
    parts += [f"{c.name} not measured" for c in cameras if c.offset_s is None]
    return "; ".join(parts) + "."


def describe_count(drops: Sequence[FoundDrop]) -> str:
    """Return the number of missing images, such as "1 image", "3 or 4 images" or "3 to 5 images"."""
    fewest = sum(d.count if d.fewest is None else d.fewest for d in drops)
    most = sum(d.count if d.most is None else d.most for d in drops)
    link = " or " if most == fewest + 1 else " to "
    return (str(most) if fewest == most else f"{fewest}{link}{most}") + (" images" if most > 1 else " image")
