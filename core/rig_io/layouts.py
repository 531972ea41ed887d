"""Layouts of calibration documents: where the tables of the cameras are, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from core.rig_io.fields import (
    CameraFields,
    appended_name,
    count_numbers,
    field_name,
    has_geometry,
    is_matrix,
    read_fields,
)
from core.rig_io.raw import invalid_file, text

Document = Mapping[str, Any]
# Keys that group fields and are no names of cameras.
_GROUPS = frozenset(
    {
        "calib", "calibration", "parameters", "params", "cameras", "camera", "cams", "camera_poses", "extrinsics",
        "intrinsics", "extrinsic", "intrinsic", "camera_info", "camera_parameters", "data", "rig",
    }
)  # fmt: skip
_RELATIVE = re.compile(r"(.+)_to_.+")
_SHARED = ("size", "width", "height", "model")
STEREO = "stereo pair"
"""Key of the pose that makes the first camera of a stereo pair the world."""


def cameras_of_documents(documents: Iterable[tuple[Document, str]], where: Any) -> dict[str, CameraFields]:
    """Return the fields of all cameras in some documents, merged by name.

    Args:
        documents: Documents with the stems of their file names, which name a camera without a name.
        where: Path for messages.

    Raises:
        CoreError: Two cameras have the same name.
    """
    found: list[tuple[tuple[str, ...], CameraFields]] = []
    for document, stem in documents:
        found += _cameras(document, (stem,))
    names = [_name(path, fields) for path, fields in found]
    lenses = [name for name, (_, fields) in zip(names, found, strict=True) if fields.has_lens]
    if len(set(lenses)) < len(lenses):
        # The last part of the path is the same for several: "cam1/color", "cam2/color".
        names = ["_".join(p for p in path if p not in _GROUPS) or path[-1] for path, _ in found]
        lenses = [name for name, (_, fields) in zip(names, found, strict=True) if fields.has_lens]
    if len(set(lenses)) < len(lenses):
        repeated = next(name for name in lenses if lenses.count(name) > 1)
        raise invalid_file(where, f"it has intrinsics of camera {repeated} twice", "Keep one calibration per camera.")
    tables: dict[str, CameraFields] = {}
    for name, (_, fields) in zip(names, found, strict=True):
        tables.setdefault(name, CameraFields()).merge(fields)
    return tables


def match_numbers(names: Iterable[str], others: Iterable[str]) -> dict[str, str] | None:
    """Match names whose numbers differ in leading zeros only, such as "1" and "cam01" and "01".

    Returns:
        The name in `names` for each name in `others` that has one; None if a name would have several.
    """
    by_number: dict[str, list[str]] = {}
    for name in names:
        by_number.setdefault(_plain(name), []).append(name)
    if any(len(found) > 1 for found in by_number.values()):
        return None
    matched = {other: by_number[_plain(other)][0] for other in others if _plain(other) in by_number}
    return matched if len(set(matched.values())) == len(matched) else None


def join_poses(tables: dict[str, CameraFields], where: Any) -> tuple[dict[str, CameraFields], list[str]]:
    """Give poses without intrinsics to the cameras of the same number.

    Returns:
        The cameras with intrinsics, and sentences on what was matched or is missing.

    Raises:
        CoreError: There are poses, and none of them belongs to a camera with intrinsics.
    """
    lenses = [name for name, fields in tables.items() if fields.has_lens]
    poses = [name for name, fields in tables.items() if fields.has_pose and not fields.has_lens]
    unposed = [name for name in lenses if not tables[name].has_pose]
    notes: list[str] = []
    if lenses and poses:
        matched = match_numbers(unposed, poses) or {}
        for pose, name in matched.items():
            tables[name].merge(tables[pose])
        if matched:
            notes.append("Matched by number: " + ", ".join(f"{p} = {name}" for p, name in matched.items()) + ".")
        elif len(unposed) == len(lenses):
            raise invalid_file(
                where,
                f"it has poses of {', '.join(poses[:8])} and intrinsics of {', '.join(lenses[:8])}",
                "Give each camera the same name in both.",
            )
        left = [name for name in poses if name not in matched]
        if left:
            notes.append(f"Omitted, since they have poses and no intrinsics: {', '.join(left)}.")
    return {name: tables[name] for name in lenses}, notes


def _plain(name: str) -> str:
    number = re.search(r"(\d+)\D*$", name)
    return str(int(number[1])) if number and len(number[1]) < 19 else name.casefold()


def _name(path: tuple[str, ...], fields: CameraFields) -> str:
    own = fields.first("name")
    if own is not None and not isinstance(own, Mapping | list) and text(own):
        return text(own)[:80]
    name = next((part for part in reversed(path) if part.lower() not in _GROUPS), path[-1])
    relative = _RELATIVE.fullmatch(name)
    return (relative[1] if relative else name)[:80]


def _cameras(document: Document, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], CameraFields]]:
    """Yield the path and the fields of each camera in a mapping."""
    own: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    children: dict[str, Any] = {}
    for key, value in document.items():
        nested = isinstance(value, Mapping) and not is_matrix(value)
        if (nested or _is_table_list(value)) and has_geometry(value):
            known = field_name(key, value) is not None or key.lower() in _GROUPS
            (parts if known and nested and _is_flat(value) else children)[str(key)] = value
        else:
            own[str(key)] = value
    groups, rest = _appended(own)
    if any(fields.has_lens or fields.has_pose for fields in groups.values()):
        yield from (((*path, name), fields) for name, fields in _named_groups(groups, rest).items())
    else:
        fields = read_fields(own | parts)
        frames = next((value for value in children.values() if isinstance(value, list)), [])
        if fields.has_lens and frames and not fields.has_pose:
            # One lens for many images, each with a pose, as in NeRF's transforms.json.
            shared = {key: value for key, value in document.items() if value is not frames}
            for number, item in enumerate(frames):
                yield (*path, _frame_name(item, number)), read_fields({**shared, **item})
            return
        if fields.has_lens:
            stacked = _stacked(own)
            if stacked:
                for name, table in stacked.items():
                    yield (*path, name), read_fields(table)
                return
            # Whatever is below belongs to this camera.
            yield path, read_fields(own | parts | children)
            return
        if fields.has_pose:
            yield path, fields
    for key, value in children.items():
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from _cameras({str(k): v for k, v in item.items()}, (*path, key, f"cam_{number}"))
        else:
            yield from _cameras({str(k): v for k, v in value.items()}, (*path, key))


def _frame_name(item: Document, number: int) -> str:
    """Return the name of an image's file without its suffix, else one by its number."""
    file = item.get("file_path", item.get("file", item.get("filename")))
    stem = re.sub(r"\.\w{1,5}$", "", str(file).replace("\\", "/").rsplit("/", 1)[-1]) if file else ""
    return stem or f"cam_{number}"


def _stacked(own: Document) -> dict[str, dict[str, Any]]:
    """Return the tables of cameras whose values are stacked in lists, one entry per camera; none if they are not."""
    matrices = [value for key, value in own.items() if field_name(key, value) == "K" and isinstance(value, list)]
    count = len(matrices[0]) if matrices else 0
    if count < 1 or count_numbers(matrices[0]) != 9 * count or count_numbers(matrices[0][0]) != 9:
        return {}
    lists = {key: value for key, value in own.items() if isinstance(value, list) and len(value) == count}
    names = next((v for k, v in lists.items() if all(isinstance(n, str) for n in v) and len(set(v)) == count), None)
    rest = {key: value for key, value in own.items() if key not in lists}
    return {
        text(names[i]) if names else f"cam_{i}": rest | {k: v[i] for k, v in lists.items() if v is not names}
        for i in range(count)
    }


def _is_table_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _is_flat(table: Mapping[str, Any]) -> bool:
    """Return whether a mapping holds fields of a camera itself, not further mappings that do."""
    return has_geometry(
        {key: value for key, value in table.items() if not isinstance(value, Mapping) or is_matrix(value)}
    )


def _appended(own: Document) -> tuple[dict[str, CameraFields], dict[str, Any]]:
    """Split keys with appended names; no keys are split where the mapping is that of a single camera."""
    groups: dict[str, CameraFields] = {}
    rest: dict[str, Any] = {}
    for key, value in own.items():
        split = None if field_name(key, value) is not None else appended_name(key, value)
        if split is None:
            rest[key] = value
        else:
            field, prefix, name = split
            groups.setdefault(name, CameraFields()).add(field, prefix, value)
    return ({}, dict(own)) if read_fields(rest).has_lens else (groups, rest)


def _named_groups(groups: dict[str, CameraFields], rest: dict[str, Any]) -> dict[str, CameraFields]:
    """Return the cameras of appended names, with the fields that all of them share."""
    shared = read_fields({key: value for key, value in rest.items() if key != "names"})
    cameras = {name: fields for name, fields in groups.items() if fields.has_lens or fields.has_pose}
    lenses = sorted(name for name, fields in cameras.items() if fields.has_lens)
    pair = len(lenses) == 2 and shared.has_pose
    if pair and not any("translation" in cameras[name] or "pose" in cameras[name] for name in lenses):
        for name in lenses:
            cameras[name].values.pop("rotation", None)  # R1 and R2 of a stereo pair rectify its images
        cameras[lenses[0]].add("pose", STEREO, np.eye(4)[:3].tolist())
        for field in ("rotation", "quaternion", "translation", "pose"):
            for key, value in shared.values.pop(field, []):
                cameras[lenses[1]].add(field, key, value)
        cameras = {name: cameras[name] for name in lenses}
    for fields in cameras.values():
        for field in _SHARED:
            if field not in fields:
                for key, value in shared.values.get(field, []):
                    fields.add(field, key, value)
        fields.unread |= shared.unread
        for name, other in groups.items():
            if name not in cameras:
                fields.unread |= {f"{key}_{name}": value for found in other.values.values() for key, value in found}
        for field in ("rotation", "translation", "pose", "distortion"):
            fields.unread |= dict(shared.values.get(field, []))
    return cameras
