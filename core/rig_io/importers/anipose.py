"""TOML as Anipose, Pose2Sim and this program write it: a table per camera, OpenCV's conventions.

Pose2Sim counts in metres, Anipose in the unit of its board, and neither says so; this program does. Which axis points
up is not in the file either.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.files import read_text
from core.rig_io.importers.raw import MM_PER, RawRig, RigImporter, matrix, numbers, rotation_matrix, text, wrong
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
        raise wrong(path, f"unknown length unit '{unit}'", "Use mm, cm or m.")
    kept, remarks = [], []
    for key, table in _tables(document):
        name = text(table.get("name", "")) or key
        if table.get("ignore") is True:
            remarks.append(f"Camera {name} is marked to be ignored.")
            continue
        kept.append(camera_of_table({**table, "name": name}, path))
    if not kept:
        raise wrong(path, "it has no cameras", "Choose the file with the cameras' matrices, such as Calib.toml.")
    # Only this program writes a schema, and with it the world is z up.
    up = "z" if isinstance(metadata, Mapping) and "schema" in metadata else None
    return RawRig(cameras=tuple(kept), unit=unit, up="z" if up else None, remarks=tuple(remarks))


def parsed(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        CoreError: It is not valid TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise wrong(path, f"it is not valid TOML ({error})") from error


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Camera tables at the top level (`[cam_0]`) or one below (`[cameras.0]`)."""
    for key, value in document.items():
        if isinstance(value, Mapping) and "matrix" in value:
            yield key, value
        elif isinstance(value, Mapping) and key != "metadata":
            yield from ((k, v) for k, v in value.items() if isinstance(v, Mapping) and "matrix" in v)


def camera_of_table(table: Mapping[str, Any], path: Path) -> Camera:
    """A camera from a table that has a name at least; its translation stays in the file's unit.

    The rotation may be a Rodrigues vector or a matrix, and missing coefficients of the distortion count as zero.

    Raises:
        CoreError: A value is missing or is no camera's.
    """
    name = table["name"]
    distortion = numbers(table.get("distortions", []), path, f"camera {name}: distortions")
    if distortion.size in (1, 2, 3):
        distortion = np.pad(distortion, (0, 4 - distortion.size))
    lens = {
        **table,
        "matrix": matrix(table.get("matrix"), (3, 3), path, f"camera {name}: matrix"),
        "distortions": distortion,
        "time_offset_s": matrix(table.get("time_offset_s", 0.0), (1,), path, f"camera {name}: time_offset_s")[0],
    }
    # The pose is taken as it is: through a Rodrigues vector, a matrix with rounded digits would come back changed.
    rotation, translation = lens.pop("rotation", None), lens.pop("translation", None)
    try:
        camera = camera_from_table(lens, 1.0, path.name)
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong(path, f"camera {name} is damaged ({error})") from error
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
