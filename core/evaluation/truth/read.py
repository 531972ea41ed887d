"""Readers of marker files: CSV, C3D, TRC, and NetCDF with the names of the `movement` package."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.evaluation.truth.motion import MM_PER_UNIT, MarkerFile, TruthMotion, truth_motion
from core.evaluation.truth.tables import read_csv_markers

_TRC_HEADER_ROWS = 5


def read_truth(paths: Sequence[Path], fps: float) -> TruthMotion:
    """Read the true joints of people from one or several files, such as one TRC file per person.

    Args:
        paths: Files, by their extension.
        fps: Frames per second of files that do not state times.

    Raises:
        CoreError: A file is missing, damaged or of another format, or has no joints known here.
    """
    files = []
    for path in paths:
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise CoreError(
                f"{path.name} is no file of markers that can be read.",
                f"Export {', '.join(sorted({name[1:].upper() for name in _READERS}))}.",
            )
        if not path.is_file():
            raise CoreError(f"{path} does not exist.", "Pass the path of a file with true marker or joint positions.")
        try:
            files.append(reader(path, fps))
        except CoreError:
            raise
        except Exception as error:
            raise CoreError(f"{path.name} cannot be read: {error}.", "Export it again.") from error
    return truth_motion(files)


def read_trc_markers(path: Path, fps: float) -> MarkerFile:
    """Read a TRC file of OpenSim: tab-separated, marker names over every three columns."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    keys, values, titles = (lines[i].strip("\n").split("\t") for i in (1, 2, 3))
    header = dict(zip((key.strip() for key in keys), (value.strip() for value in values), strict=False))
    names = [title.strip() for title in titles[2:] if title.strip()]
    rows = []
    for line in lines[_TRC_HEADER_ROWS:]:
        cells = line.split("\t")
        if cells[0].strip():
            rows.append([_number(cell) for cell in (cells + [""] * (2 + 3 * len(names)))[: 2 + 3 * len(names)]])
    table = np.array(rows, float).reshape(-1, 2 + 3 * len(names))
    if not len(table):
        raise CoreError(f"{path.name} has no frames.", "Export it again.")
    rate = _number(header.get("DataRate", ""))
    times = table[:, 1] if np.isfinite(table[:, 1]).all() else table[:, 0] / (rate if rate > 0 else fps)
    unit = header.get("Units", "").lower()
    return MarkerFile(
        name=path.name,
        time_s=times,
        people=("",),
        markers=tuple(names),
        xyz=table[:, 2:].reshape(len(table), 1, len(names), 3),
        unit=unit if unit in MM_PER_UNIT else "",
    )


def read_c3d_markers(path: Path, fps: float) -> MarkerFile:
    """Read a C3D file; the part of a label before a colon is a person."""
    import ezc3d

    file = ezc3d.c3d(str(path))
    point = file["parameters"]["POINT"]
    points = np.asarray(file["data"]["points"], float)[:3].transpose(2, 1, 0)  # (T, M, 3)
    keys = sorted((key for key in point if re.fullmatch(r"LABELS\d*", key)), key=lambda key: (len(key), key))
    labels = [str(label) for key in keys for label in point[key]["value"]]
    labels = labels[: points.shape[1]]
    rate = float(np.ravel(point["RATE"]["value"])[0])
    first = int(file["header"]["points"]["first_frame"])
    people = list(dict.fromkeys(label.rpartition(":")[0] for label in labels))
    markers = list(dict.fromkeys(label.rpartition(":")[2] for label in labels))
    xyz = np.full((len(points), len(people), len(markers), 3), np.nan)
    for m, label in enumerate(labels):
        person, _, marker = label.rpartition(":")
        xyz[:, people.index(person), markers.index(marker)] = points[:, m]
    units = [str(unit).strip().lower() for unit in point.get("UNITS", {"value": []})["value"]]
    return MarkerFile(
        name=path.name,
        time_s=(first + np.arange(len(points))) / (rate if rate > 0 else fps),
        people=tuple(people),
        markers=tuple(markers),
        xyz=xyz,
        unit=units[0] if units and units[0] in MM_PER_UNIT else "",
        notes=() if rate > 0 else (f"{path.name} states no rate; {fps:.6g} frames a second were assumed.",),
    )


def read_netcdf_markers(path: Path, fps: float) -> MarkerFile:
    """Read NetCDF-4 with a variable `position` over time, space, keypoints and individuals, in any order."""
    import h5netcdf

    with h5netcdf.File(path, "r") as file:
        position = file.variables.get("position")
        if position is None:
            raise CoreError(f"{path.name} has no variable 'position'.", "Save poses with movement, or export them.")
        dims = [str(dim).rstrip("s") for dim in position.dimensions]
        order = [dims.index(name) for name in ("time", "individual", "keypoint", "space") if name in dims]
        xyz = np.asarray(position[...], float).transpose(order)
        if "individual" not in dims:
            xyz = xyz[:, None]
        markers, people = (_texts(file, name) for name in ("keypoint", "individual"))
        times = np.arange(len(xyz), dtype=float)
        if "time" in file.variables:
            times = np.asarray(file.variables["time"][...], float)
        rate = float(np.ravel(file.attrs.get("fps", 0.0))[0])
        in_frames = str(file.attrs.get("time_unit", "seconds")) == "frames" or "time" not in file.variables
        unit = str(position.attrs.get("units", "")).lower()
    if xyz.ndim != 4 or xyz.shape[-1] != 3:
        raise CoreError(f"{path.name} has positions in {xyz.shape[-1]} dimensions.", "Save positions in 3D.")
    notes: tuple[str, ...] = ()
    if in_frames:
        times = times / (rate if rate > 0 else fps)
        if rate <= 0:
            notes = (f"{path.name} has no times; {fps:.6g} frames a second, as in the take, were assumed.",)
    return MarkerFile(
        name=path.name,
        time_s=times,
        people=people or ("",),
        markers=markers,
        xyz=xyz,
        unit=unit if unit in MM_PER_UNIT else "",
        notes=notes,
    )


def _texts(file: Any, name: str) -> tuple[str, ...]:
    variable = file.variables.get(name, file.variables.get(f"{name}s"))
    values = [] if variable is None else np.ravel(variable[...]).tolist()
    return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


_READERS: Mapping[str, Callable[[Path, float], MarkerFile]] = {
    ".csv": read_csv_markers,
    ".tsv": read_csv_markers,
    ".c3d": read_c3d_markers,
    ".trc": read_trc_markers,
    ".nc": read_netcdf_markers,
}
