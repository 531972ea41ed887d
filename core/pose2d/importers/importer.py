"""What reads one format of 2D poses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.types.arrays import F64
from core.types.skeleton import Skeleton

PeopleByImage = Mapping[int, list[F64]]
"""Number of an image in its video to the people in it, each (J, 3): x, y in px, confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DImporter:
    """One format.

    Attributes:
        name: As in the registry; also the default name of the estimator in a take.
        title: For menus and messages.
        skeleton: Joints of what `read` returns.
        cameras: The parts of a folder that each hold one camera, as paths whose names tell the camera.
        read: People of one camera; raises CoreError with a remedy for whatever is wrong.
    """

    name: str
    title: str
    skeleton: Skeleton
    cameras: Callable[[Path], list[Path]]
    read: Callable[[Path], PeopleByImage]
