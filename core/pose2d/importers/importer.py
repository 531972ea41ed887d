"""Readers of formats of 2D poses, and what they return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64

PeopleByImage = Mapping[int, list[F64]]
"""Number of an image to the people in it, each (J, 3): x, y in the unit of the file, and confidence."""
Container = Literal["folder", "json", "table", "hdf5", "project"]
"""Kind of file that a format is stored in: a folder of JSON files with an image each, one file a camera, or a project
of several videos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPeople:
    """People of one camera, as a file or folder stores them.

    Attributes:
        people: People by number of the image; each has the same number of joints.
        joints: Names of the joints; empty if the file does not name them.
        size_px: Image size that the file states, or None.
        joint_set: Name of the joint set that the format implies; empty if it implies none.
        notes: Remarks of the reader, a sentence each.
    """

    people: PeopleByImage
    joints: tuple[str, ...] = ()
    size_px: tuple[int, int] | None = None
    joint_set: str = ""
    notes: tuple[str, ...] = ()

    @property
    def persons(self) -> list[F64]:
        """All people of all images."""
        return [person for in_image in self.people.values() for person in in_image]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose2DImporter:
    """Reader of one format.

    Attributes:
        name: Name in the registry; also the default name of the 2D poses in a take.
        title: Name in menus and messages.
        container: Kind of file.
        accepts: Function that returns whether the content is of this format.
        read: Function that reads the people of one camera from the content; it is also given a name for messages. It
            may raise any exception for content that it does not understand.
    """

    name: str
    title: str
    container: Container
    accepts: Callable[[Any], bool]
    read: Callable[[Any, str], CameraPeople]


REMEDY = "Export the 2D poses again from the program that made them."


def person(values: Any, where: str, scores: Any = None) -> F64:
    """Return a person (J, 3) from a list of numbers x, y, confidence, or from points and their confidences.

    Raises:
        CoreError: Not numbers, or not three for each joint.
    """
    try:
        points = np.asarray(values, float)
        if scores is not None:
            points = np.concatenate([points.reshape(-1, points.shape[-1])[:, :2], np.reshape(scores, (-1, 1))], 1)
        elif points.ndim == 2 and points.shape[1] == 2:
            points = np.concatenate([points, np.ones((len(points), 1))], 1)
    except (TypeError, ValueError, OverflowError) as error:
        raise CoreError(f"{where}: the joints are not a list of numbers.", REMEDY) from error
    if points.size % 3 or (points.ndim == 2 and points.shape[1] != 3) or points.ndim > 2:
        raise CoreError(f"{where}: a person has {points.size} values, expected three for each joint.", REMEDY)
    return np.asarray(points.reshape(-1, 3))


def by_image(entries: Iterable[tuple[int, F64 | None]]) -> dict[int, list[F64]]:
    """Return people by image from pairs of a number and a person; None is an image without people."""
    people: dict[int, list[F64]] = {}
    for number, joints in entries:
        found = people.setdefault(number, [])
        if joints is not None:
            found.append(joints)
    return people
