"""Import of the TOML of Anipose, Pose2Sim and this program: a table per camera, OpenCV conventions.

Lengths are metres in Pose2Sim and in the unit of the board in Anipose; only this program writes the unit. The up axis
is not in the file either, except in this program's `rig.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.files import read_text
from core.rig_io.importers.raw import MM_PER, RawRig, RigImporter, invalid_file, matrix, numbers, rotation_matrix, text
from core.types.camera import Camera, camera_from_table


def _recognises(path: Path, content: str) -> bool:
    try:
        return path.suffix.lower() == ".toml" and any(_tables(tomllib.loads(content)))
    except tomllib.TOMLDecodeError:
        return False


def _read(path: Path) -> RawRig:
    document = parsed(path)
    metadata = document.get("metadata")
    unit = metadata.get("units") if isinstance(metadata, Mapping) else None
    if unit is not None and text(unit) not in MM_PER:
        raise invalid_file(path, f"the length unit is '{unit}', expected mm, cm or m", "Correct its units.")
    kept, notes = [], []
    for key, table in _tables(document):
        name = text(table.get("name", "")) or key
        if table.get("ignore") is True:
            notes.append(f"Camera {name} is marked as ignored and was omitted.")
            continue
        kept.append(camera_of_table({**table, "name": name}, path))
    if not kept:
        raise invalid_file(path, "it has no cameras", "Choose the file with the camera matrices, such as Calib.toml.")
    # Only this program writes a schema; its world is z up.
    up = "z" if isinstance(metadata, Mapping) and "schema" in metadata else None
    return RawRig(cameras=tuple(kept), unit=unit, up="z" if up else None, notes=tuple(notes))


def parsed(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        CoreError: Invalid TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise invalid_file(path, f"it is not valid TOML ({error})") from error


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the camera tables at the top level (`[cam_0]`) or one level below (`[cameras.0]`)."""
    for key, value in document.items():
        if isinstance(value, Mapping) and "matrix" in value:
            yield key, value
        elif isinstance(value, Mapping) and key != "metadata":
            yield from ((k, v) for k, v in value.items() if isinstance(v, Mapping) and "matrix" in v)


def camera_of_table(table: Mapping[str, Any], path: Path) -> Camera:
    """Return a camera from a table that has a name; its translation stays in the unit of the file.

    The rotation may be a Rodrigues vector or a matrix. Missing distortion coefficients are zero.

    Raises:
        CoreError: A value is missing or not valid for a camera.
    """
    name = table["name"]
    distortion = numbers(table.get("distortions", []), path, f"camera {name}: distortions")
    if distortion.size in (1, 2, 3):
        distortion = np.pad(distortion, (0, 4 - distortion.size))
    known = {
        **table,
        "matrix": matrix(table.get("matrix"), (3, 3), path, f"camera {name}: matrix"),
        "distortions": distortion,
        "time_offset_s": matrix(table.get("time_offset_s", 0.0), (1,), path, f"camera {name}: time_offset_s")[0],
    }
    # The pose is not passed on: a matrix with rounded digits would change if converted to a Rodrigues vector.
    rotation, translation = known.pop("rotation", None), known.pop("translation", None)
    try:
        camera = camera_from_table(known, 1.0, path.name)
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid_file(path, f"camera {name} has an invalid value ({error})") from error
    if rotation is None or translation is None:
        return camera
    return camera.replace(
        R=rotation_matrix(rotation, path, name),
        t_mm=matrix(translation, (3,), path, f"camera {name}: translation"),
    )


IMPORTER = RigImporter(
    name="anipose",
    title="Anipose, Pose2Sim (TOML)",
    patterns=("*.toml",),
    recognises=_recognises,
    read=_read,
)
