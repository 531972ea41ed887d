"""Interface of the methods that measure clocks: moving points in the views of several cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.calibration.people.bundle import CameraPoses
from core.calibration.people.tracks import Tracks
from core.session.clocks import CameraClock
from core.types.arrays import F64, I64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MovingPoints:
    """Moving points in the images of several cameras, at times corrected by the current clocks.

    Attributes:
        tracks: (V,) tracks of each camera.
        poses: Camera poses with the time offsets of the rig.
        person: For each camera, (K,) person of each track, -1 for none.
        rows: For each camera, rows of its images in the take.
    """

    tracks: tuple[Tracks, ...]
    poses: CameraPoses
    person: tuple[I64, ...]
    rows: tuple[I64, ...]


class Evidence(Protocol):
    """Moving points of a take that determine the clocks of its cameras.

    Attributes:
        cameras: (V,) names.
        recorded_s: (T, V) recorded time of each image, NaN where missing.
        image: (T, V) index of each image in its video, -1 where missing.
        period_s: (V,) time between images.
        shows_jumps: True if jumps by missing images can be found in the delays. With exactly located points they
            cannot, because points after a jump count as outliers.
        largest_sd_s: Largest standard error of a measured offset.
    """

    cameras: tuple[str, ...]
    recorded_s: F64
    image: I64
    period_s: F64
    shows_jumps: bool
    largest_sd_s: float

    def points(self, clocks: Sequence[CameraClock], rows: I64 | None = None) -> list[MovingPoints]:
        """Return the points in parts of the take that are compared separately.

        Args:
            clocks: (V,) current clocks, by which recorded times are corrected.
            rows: Rows of the take of which all images are needed; None for the whole take.
        """
        ...
