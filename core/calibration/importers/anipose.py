"""TOML as Anipose, Pose2Sim, caliscope and this program write it: a table per camera, OpenCV's conventions.

Pose2Sim and caliscope count in metres, Anipose in the unit of its board, and none of them says so; this program does.
Which axis points up is not in the file either.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from core.calibration.importers.raw import MM_PER, RawRig, RigImporter, matrix, numbers, rotation_matrix, text, wrong
from core.files import read_text
from core.types.camera import Camera, camera_from_table


def _recognises(path: Path, content: str) -> bool:
    try:
        return path.suffix.lower() == ".toml" and any(_tables(tomllib.loads(content)))
    except tomllib.TOMLDecodeError:
        return False


def _read(path: Path) -> RawRig:
    try:
        document = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise wrong(path, f"it is not valid TOML ({error})") from error
    metadata = document.get("metadata")
    unit = metadata.get("units") if isinstance(metadata, Mapping) else None
    if unit is not None and unit not in MM_PER:
        raise wrong(path, f"unknown length unit '{unit}'", "Use mm, cm or m.")
    kept, remarks = [], []
    for key, table in _tables(document):
        name = text(table.get("name", "")) or _name(key, table)
        if table.get("ignore") is True:
            remarks.append(f"Camera {name} is marked to be ignored.")
            continue
        kept.append(_camera({**table, "name": name}, path))
    if not kept:
        raise wrong(path, "it has no cameras", "Choose the file with the cameras' matrices, such as Calib.toml.")
    # Only this program writes a schema, and with it the world is z up.
    up = "z" if isinstance(metadata, Mapping) and "schema" in metadata else None
    return RawRig(cameras=tuple(kept), unit=unit, up="z" if up else None, remarks=tuple(remarks))


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Camera tables at the top level (`[cam_0]`) or one below (`[cameras.0]`)."""
    for key, value in document.items():
        if isinstance(value, Mapping) and "matrix" in value:
            yield key, value
        elif isinstance(value, Mapping) and key != "metadata":
            yield from ((k, v) for k, v in value.items() if isinstance(v, Mapping) and "matrix" in v)


def _name(key: str, table: Mapping[str, Any]) -> str:
    """caliscope numbers its cameras and names their videos cam_0, cam_1; older versions say port_0."""
    if "cam_id" in table:
        return f"cam_{table['cam_id']}"
    return f"port_{table['port']}" if "port" in table else key


def _camera(table: dict[str, Any], path: Path) -> Camera:
    name = table["name"]
    table["matrix"] = matrix(table.get("matrix"), (3, 3), path, f"camera {name}: matrix")
    table["distortions"] = numbers(table.get("distortions", []), path, f"camera {name}: distortions")
    if table["distortions"].size in (1, 2, 3):
        table["distortions"] = np.pad(table["distortions"], (0, 4 - table["distortions"].size))
    rotation, translation = table.get("rotation"), table.get("translation")
    if rotation is None or translation is None:
        table.pop("rotation", None)
        table.pop("translation", None)
    else:
        turn = rotation_matrix(rotation, path, name)
        table["rotation"] = np.asarray(cv2.Rodrigues(turn)[0], np.float64).ravel()
        table["translation"] = matrix(translation, (3,), path, f"camera {name}: translation")
    try:
        return camera_from_table(table, 1.0, path.name)
    except (TypeError, ValueError) as error:
        raise wrong(path, f"camera {name} is damaged ({error})") from error


IMPORTER = RigImporter(
    name="anipose",
    title="Anipose, Pose2Sim, caliscope (TOML)",
    patterns=("*.toml",),
    recognises=_recognises,
    read=_read,
)
