"""Folders of JSON files with the people of one image each, as OpenPose, rtmlib, Pose2Sim and MMPose write them.

The joint set is not in the files: OpenPose's BODY_25, BODY_25B and COCO, HALPE_26 and COCO-17 look alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.files import read_json
from core.pose2d.importers.importer import CameraPeople, Pose2DImporter, person
from core.session.naming import image_numbers
from core.types.arrays import F64

_SUFFIXES = ("_keypoints", "_pose", "_poses", "_openpose")
_REMEDY = "Export the 2D poses again, such as with OpenPose's --write_json."


def image_files(folder: Path, prefix: str | None = None) -> list[Path]:
    """Return the JSON files in a folder, or those of the images whose names start alike.

    Args:
        folder: The folder.
        prefix: Start of the names in a folder of several cameras; None for all files.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.casefold() == ".json" and not p.name.startswith("."))
    return files if prefix is None else [file for file in files if name_start(file) == prefix]


def name_start(file: Path) -> str:
    """Return the name of a file up to its last number, which is that of the image: "cam01" of "cam01_000007.json"."""
    stem = _stem(file).rstrip("0123456789")
    return stem.rstrip("_-. ")


def _stem(file: Path) -> str:
    stem = file.stem
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem


def is_image_document(document: Any) -> bool:
    """Return whether a JSON document holds the people of one image."""
    if isinstance(document, Mapping):
        return "people" in document
    return isinstance(document, list) and all(
        isinstance(item, Mapping) and "keypoints" in item and "image_id" not in item for item in document
    )


def people_of_document(document: Any, where: str) -> list[F64]:
    """Return the people (J, 3) of one image; those of whom only hands or a face were found are left out.

    Raises:
        CoreError: The document has another structure.
    """
    people = document.get("people") if isinstance(document, Mapping) else document
    if not isinstance(people, list):
        raise CoreError(f"{where} contains no list of people.", _REMEDY)
    found = []
    for item in people:
        values = item.get("pose_keypoints_2d", item.get("keypoints")) if isinstance(item, Mapping) else None
        if not isinstance(values, list):
            raise CoreError(f"{where} has a person without pose_keypoints_2d.", _REMEDY)
        if values:
            found.append(person(values, where, item.get("keypoint_scores")))
    return found


def _read(files: list[Path], where: str) -> CameraPeople:
    numbers = image_numbers([_stem(file) for file in files], where)
    twice = next((number for number in numbers if numbers.count(number) > 1), None) if _repeats(numbers) else None
    if twice is not None:
        both = " and ".join(file.name for file, n in zip(files, numbers, strict=True) if n == twice)
        raise CoreError(f"{where} has two files for image {twice}: {both}.", "Keep only the files of one video.")
    people = {n: people_of_document(read_json(f), f.name) for n, f in zip(numbers, files, strict=True)}
    sizes = {len(joints): file for file, n in zip(files, numbers, strict=True) for joints in people[n]}
    if len(sizes) > 1:
        counts = " and ".join(f"{size} ({file.name})" for size, file in sizes.items())
        raise CoreError(f"{where} has people with different numbers of joints: {counts}.", "Use one joint set.")
    return CameraPeople(people=people)


def _repeats(numbers: list[int]) -> bool:
    return len(np.unique(np.array(numbers, np.int64))) < len(numbers)


IMPORTER = Pose2DImporter(
    name="openpose",
    title="OpenPose (folders of JSON files)",
    container="folder",
    accepts=lambda files: bool(files),
    read=_read,
)
