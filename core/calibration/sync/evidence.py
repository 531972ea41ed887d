"""What a method contributes to the measurement of clocks: points that several cameras see move."""

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
    """Points in the images of several cameras over some time, at times corrected by the present clocks.

    Attributes:
        tracks: (V,) tracks of each camera.
        poses: Camera poses; their time offsets are those of the rig.
        person: For each camera, (K,) person of each track, -1 for none.
        rows: For each camera, rows of its images in the take.
    """

    tracks: tuple[Tracks, ...]
    poses: CameraPoses
    person: tuple[I64, ...]
    rows: tuple[I64, ...]


class Evidence(Protocol):
    """Points of a take that show the clocks of its cameras.

    Attributes:
        cameras: (V,) names.
        recorded_s: (T, V) recorded time of each image, NaN where missing.
        image: (T, V) number of each image in its video, -1 where missing.
        period_s: (V,) time between two images.
        shows_jumps: Whether jumps by missing images can be found: where points are located exactly, those after a jump
            count as wrong.
        joint: Whether all cameras are compared at once in the end.
        largest_sd_s: Largest standard error of an offset that counts as measured.
    """

    cameras: tuple[str, ...]
    recorded_s: F64
    image: I64
    period_s: F64
    shows_jumps: bool
    joint: bool
    largest_sd_s: float

    def points(self, clocks: Sequence[CameraClock], rows: I64 | None = None) -> list[MovingPoints]:
        """Return the points, in parts of the take that are compared one by one.

        Args:
            clocks: Present clocks (V,), by which recorded times are corrected.
            rows: Rows of the take in which every image is wanted; None for the whole take.
        """
        ...
