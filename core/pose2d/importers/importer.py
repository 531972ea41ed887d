"""Reader of a format of 2D poses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.types.arrays import F64
from core.types.skeleton import Skeleton

PeopleByImage = Mapping[int, list[F64]]
"""Image number in the video to the people in it, each (J, 3): x, y in px, and confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DImporter:
    """Reader of one format.

    Attributes:
        name: Name in the registry; also the default name of the 2D poses in a take.
        title: Name in menus and messages.
        skeleton: Joint set of the people.
        cameras: Function that returns the paths in a folder that hold one camera each, named after the camera.
        read: Function that reads the people of one camera; raises CoreError.
    """

    name: str
    title: str
    skeleton: Skeleton
    cameras: Callable[[Path], list[Path]]
    read: Callable[[Path], PeopleByImage]
