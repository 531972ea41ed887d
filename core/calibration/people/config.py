"""Settings of calibration from people."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_STATURE_MM = 1750.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleConfig:
    """Settings of calibration from people.

    Attributes:
        stature_mm: Mean body height of the people in the take, mm; 0 if unknown, in which case 1750 is assumed.
        distance_mm: Measured distance between the two cameras named in `between`, which sets the scale; 0 if unknown.
        between: Names of the two cameras that `distance_mm` refers to.
        time_offset: Estimate the time offset of each camera.
    """

    stature_mm: float = 0.0
    distance_mm: float = 0.0
    between: tuple[str, ...] = ()
    time_offset: bool = True
