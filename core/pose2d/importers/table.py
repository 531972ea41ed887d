"""Tables with a column for each coordinate of a joint, or a row for each joint: MediaPipe and others.

Columns are named `left_knee_x`, `nose.score` or `x12`; rows state the image and may state the person. Numbered joints
have their order from the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.pose2d.importers.importer import REMEDY, CameraPeople, Pose2DImporter
from core.session.naming import image_numbers
from core.types.arrays import F64

Rows = Sequence[Sequence[str]]
_PART = r"x|y|z|score|scores|confidence|conf|likelihood|visibility|vis|v|prob|p|c|presence"
_AFTER = re.compile(rf"^(.+?)[\s._:/\-(\[]*\b({_PART})[)\]]?$|^(.+?)_({_PART})$", re.IGNORECASE)
_BEFORE = re.compile(rf"^({_PART})[\s._:/\-]*(\d+)$|^({_PART})[\s._:/\-]+(.+)$", re.IGNORECASE)
_KINDS = {"x": "x", "y": "y", "z": "z", "presence": "presence"}
_FRAME = (
    *("frame", "frame_idx", "frame_index", "frame_number", "frame_num", "frame_nr", "frame_no", "frame_id", "image"),
    *("image_id", "image_index", "index"),
)
_PERSON = ("track", "person", "person_id", "track_id", "individual", "id", "pose", "pose_index")
_JOINT = (
    *("landmark", "landmark_name", "landmark_id", "landmark_index", "joint", "joint_name", "keypoint", "bodypart"),
    *("body_part", "part", "name"),
)
_UNIT = re.compile(r"[\s._]*[(\[]?(px|pixels?)[)\]]?$", re.IGNORECASE)
_SCORE = ("visibility", "score", "confidence", "likelihood", "v", "c", "p")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of a table with a row for each person.

    Attributes:
        frame: Column of the image, or None.
        person: Column of the person, or None.
        joints: Column of each coordinate ("x", "y", "score") by joint.
    """

    frame: int | None
    person: int | None
    joints: Mapping[str, Mapping[str, int]]


def _columns(header: Sequence[str]) -> _Columns:
    names = [name.strip().casefold().lstrip("\ufeff").replace(" ", "_") for name in header]
    joints: dict[str, dict[str, int]] = {}
    for column, name in enumerate(header):
        if names[column] in (*_FRAME, *_PERSON):
            continue
        found = _coordinate(name.strip())
        if found is not None:
            joints.setdefault(found[0], {}).setdefault(found[1], column)
    joints = {joint: parts for joint, parts in joints.items() if {"x", "y"} <= parts.keys()}
    return _Columns(frame=_first(names, _FRAME), person=_first(names, _PERSON), joints=joints)


def _coordinate(name: str) -> tuple[str, str] | None:
    """Return joint and kind of a column; None for any other column."""
    name = _UNIT.sub("", name)
    match = _BEFORE.match(name) or _AFTER.match(name)
    if match is None:
        return None
    one, other = [group for group in match.groups() if group is not None]
    part, joint = (one, other) if match.re is _BEFORE else (other, one)
    return joint.strip(" ._:-/"), _KINDS.get(part.casefold(), "score")


def _first(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _accepts(rows: Rows) -> bool:
    return bool(rows) and (len(_columns(rows[0]).joints) >= 3 or _long(rows[0]) is not None)


def _read(rows: Rows, where: str) -> CameraPeople:
    body = [row for row in rows[1:] if any(cell.strip() for cell in row)]
    columns = _columns(rows[0])
    return _wide(columns, body, where) if len(columns.joints) >= 3 else _read_long(rows[0], body, where)


def _wide(columns: _Columns, body: Rows, where: str) -> CameraPeople:
    names, order = joint_order(list(columns.joints))
    numbers = _numbers([row[columns.frame] for row in body], where) if columns.frame is not None else range(len(body))
    people: dict[int, list[F64]] = {}
    for number, row in zip(numbers, body, strict=True):
        joints = np.array([_joint(row, columns.joints[joint], where) for joint in order])
        found = people.setdefault(number, [])
        if np.isfinite(joints[:, :2]).any():
            found.append(joints)
    _check_persons(people, columns.person is not None, where)
    notes = () if columns.frame is not None else (f"{where} states no images: its rows are taken in order.",)
    return CameraPeople(people=people, joints=names, notes=notes)


def joint_order(joints: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of joints, none if they are numbered, and the joints in order."""
    digits = [re.findall(r"\d+", joint) for joint in joints]
    bare = {re.sub(r"\d+", "", joint) for joint in joints}
    if all(len(found) == 1 for found in digits) and len(bare) == 1:
        return (), sorted(joints, key=lambda joint: int(re.findall(r"\d+", joint)[0][-9:]))
    return tuple(joints), list(joints)


def _joint(row: Sequence[str], parts: Mapping[str, int], where: str) -> tuple[float, float, float]:
    x, y = (number(row[parts[k]] if parts[k] < len(row) else "", where) for k in "xy")
    score = number(row[parts["score"]] if parts["score"] < len(row) else "", where) if "score" in parts else 1.0
    return x, y, score


def number(cell: str, where: str) -> float:
    """Return the number in a cell, NaN for an empty one.

    Raises:
        CoreError: It is not a number.
    """
    try:
        return float(cell) if cell.strip() else float("nan")
    except ValueError as error:
        raise CoreError(f"{where}: '{cell[:40]}' is not a number.", REMEDY) from error


def _numbers(cells: Sequence[str], where: str) -> list[int]:
    """Return image numbers, which may be written as 12, 12.0 or img0012.png."""
    try:
        values = [float(cell) for cell in cells]
        return [int(value) for value in values]
    except (ValueError, OverflowError):
        stems = [cell.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0] for cell in cells]
        different = list(dict.fromkeys(stems))
        known = dict(zip(different, image_numbers(different, where), strict=True))
        return [known[stem] for stem in stems]


def _check_persons(people: Mapping[int, list[F64]], stated: bool, where: str) -> None:
    most = max(map(len, people.values()), default=0)
    if most > 1 and not stated:
        twice = next(number for number, found in people.items() if len(found) > 1)
        raise CoreError(
            f"{where} has {len(people[twice])} rows for image {twice} and no column that names the person.",
            "Add a column person, or keep one row for each image.",
        )


def _long(header: Sequence[str]) -> tuple[int, int | None, int, int, int, int | None] | None:
    """Return the columns frame, person, joint, x, y and score of a table with a row for each joint, or None."""
    names = [name.strip().casefold().lstrip("\ufeff").replace(" ", "_") for name in header]
    frame, joint = _first(names, _FRAME), _first(names, _JOINT)
    if frame is None or joint is None or "x" not in names or "y" not in names:
        return None
    return frame, _first(names, _PERSON), joint, names.index("x"), names.index("y"), _first(names, _SCORE)


def _read_long(header: Sequence[str], body: Rows, where: str) -> CameraPeople:
    columns = _long(header)
    assert columns is not None
    frame, person, joint, x, y, score = columns
    order = list(dict.fromkeys(row[joint].strip() for row in body))
    if all(name.isdigit() for name in order):
        order.sort(key=int)
    at = {name: j for j, name in enumerate(order)}
    found: dict[tuple[int, str], F64] = {}
    for n, row in zip(_numbers([row[frame] for row in body], where), body, strict=True):
        key = (n, row[person] if person is not None else "")
        joints = found.setdefault(key, np.full((len(order), 3), np.nan))
        j = at[row[joint].strip()]
        if np.isfinite(joints[j, :2]).any() and person is None:
            raise CoreError(
                f"{where} has several rows for {order[j]} in image {n} and no column that names the person.",
                "Add a column person.",
            )
        joints[j] = number(row[x], where), number(row[y], where), number(row[score], where) if score is not None else 1
    people: dict[int, list[F64]] = {}
    for (n, _), joints in found.items():
        people.setdefault(n, []).append(joints)
    numbered = all(name.isdigit() for name in order)
    return CameraPeople(people=people, joints=() if numbered else tuple(order))


IMPORTER = Pose2DImporter(
    name="table", title="table of joints, as from MediaPipe (CSV)", container="table", accepts=_accepts, read=_read
)
