"""How a calibration from people is made."""

from __future__ import annotations

from dataclasses import dataclass

USUAL_STATURE_MM = 1750.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleConfig:
    """Settings of a calibration from people.

    Attributes:
        stature_mm: Mean height of the people in the take, from sole to crown; 0 is unknown, and 1750 is assumed.
        distance_mm: A measured distance between the two cameras of `between`, which then sets the scale; 0 is unknown.
        between: Names of these two cameras.
        time offset: Whether each camera's time offset is solved for.
    """

    stature_mm: float = 0.0
    distance_mm: float = 0.0
    between: tuple[str, ...] = ()
    time_offset: bool = True
