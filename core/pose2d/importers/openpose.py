"""JSON files of OpenPose: one folder per camera, one file `<video>_<image>_keypoints.json` per image.

BODY_25 and COCO (18 joints) are converted to COCO-17, which has neither neck and mid-hip, the means of shoulders and
hips, nor feet. Coordinates are image pixels (OpenPose's default, `--keypoint_scale 0`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.files import read_json
from core.pose2d.importers.importer import PeopleByImage, Pose2DImporter
from core.types.arrays import F64
from core.types.skeleton import COCO17

_SUFFIX = "_keypoints.json"
_COCO18 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee "
    "right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"
)
_BODY25 = _COCO18.replace("left_wrist", "left_wrist mid_hip")  # and six joints of the feet after them


def _order(joints: str) -> np.ndarray:
    names = joints.split()
    return np.array([names.index(joint) for joint in COCO17.joints])


_ORDERS = {25: _order(_BODY25), 18: _order(_COCO18)}
_REMEDY = "Run OpenPose again with --write_json and the model BODY_25 or COCO."


def _cameras(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and any(p.glob(f"*{_SUFFIX}")))


def _read(folder: Path) -> PeopleByImage:
    files = sorted(folder.glob(f"*{_SUFFIX}"))
    if not files:
        raise CoreError(f"{folder.name} has no files named *{_SUFFIX}.", _REMEDY)
    people: dict[int, list[F64]] = {}
    for path in files:
        digits = re.search(r"(\d+)$", path.name.removesuffix(_SUFFIX))
        if digits is None:
            raise CoreError(f"The file name {path.name} contains no image number.", _REMEDY)
        number = int(digits[1])
        if number in people:
            raise CoreError(f"{folder.name} has two files for image {number}.", "Keep only the files of one video.")
        people[number] = _people(path)
    _check_scale(people, folder)
    return people


def _people(path: Path) -> list[F64]:
    document = read_json(path)
    people = document.get("people") if isinstance(document, Mapping) else None
    if not isinstance(people, list):
        raise CoreError(f"{path.name} contains no list of people.", _REMEDY)
    return [joints for person in people if (joints := _person(person, path)) is not None]


def _person(person: Any, path: Path) -> F64 | None:
    """Return the joints (17, 3), or None for a person with hands or a face only."""
    try:
        values = np.asarray(person["pose_keypoints_2d"], float).ravel()
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(f"{path.name} has a person without pose_keypoints_2d.", _REMEDY) from error
    if not values.size:
        return None
    order = _ORDERS.get(values.size // 3) if values.size % 3 == 0 else None
    if order is None:
        raise CoreError(f"{path.name} has a person with {values.size} values, expected 75 or 54.", _REMEDY)
    return np.asarray(values.reshape(-1, 3)[order])


def _check_scale(people: PeopleByImage, folder: Path) -> None:
    """Refuse coordinates that are normalised by the image size."""
    persons = [person for in_image in people.values() for person in in_image]
    seen = np.concatenate([person[person[:, 2] > 0, :2] for person in persons]) if persons else np.zeros((0, 2))
    if len(seen) > 1 and np.abs(seen).max() <= 1.0:
        raise CoreError(
            f"The joints in {folder.name} are normalised by the image size, expected pixels.",
            "Run OpenPose with --keypoint_scale 0.",
        )


IMPORTER = Pose2DImporter(
    name="openpose", title="OpenPose (JSON folders)", skeleton=COCO17, cameras=_cameras, read=_read
)
