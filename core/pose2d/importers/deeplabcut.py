"""Results of DeepLabCut for one or several individuals: CSV, and HDF5 as pandas writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import CoreError
from core.pose2d.importers.importer import REMEDY, CameraPeople, Pose2DImporter
from core.pose2d.importers.table import number
from core.session.naming import image_numbers
from core.types.arrays import F64

Rows = Sequence[Sequence[str]]
_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_COORDS = {"x": 0, "y": 1, "likelihood": 2}


def _levels(rows: Rows) -> dict[str, Sequence[str]]:
    """Return the rows of the header by name."""
    found: dict[str, Sequence[str]] = {}
    for row in rows[: len(_LEVELS)]:
        name = row[0].strip() if row else ""
        if name not in _LEVELS:
            break
        found[name] = row
    return found


def _accepts_csv(rows: Rows) -> bool:
    return {"bodyparts", "coords"} <= _levels(rows).keys()


def _read_csv(rows: Rows, where: str) -> CameraPeople:
    levels = _levels(rows)
    body = [row for row in rows[len(levels) :] if any(cell.strip() for cell in row)]
    known = [c for c, kind in enumerate(levels["coords"]) if kind.strip() in _COORDS]
    first = min(known, default=1)  # labelled images have their path in several columns
    labels = ["/".join(cell.strip() for cell in row[:first] if cell.strip()) for row in body]
    try:
        index = [int(float(label)) for label in labels]
    except ValueError:
        index = image_numbers([label.rsplit("/", 1)[-1].rsplit(".", 1)[0] for label in labels], where)
    individuals = levels.get("individuals", ())
    columns = [
        (individuals[c].strip() if c < len(individuals) else "", levels["bodyparts"][c].strip(), kind.strip())
        for c, kind in enumerate(levels["coords"])
        if c in known
    ]
    values = np.array([[number(row[c] if c < len(row) else "", where) for c in known] for row in body])
    return _people(index, columns, values.reshape(len(body), len(known)))


def _people(index: Sequence[int], columns: Sequence[tuple[str, str, str]], values: F64) -> CameraPeople:
    """Return the people from a table.

    Args:
        index: Image of each row.
        columns: Individual, joint and coordinate of each column.
        values: (N, C) numbers.
    """
    joints = list(dict.fromkeys(joint for individual, joint, _ in columns if individual != "single"))
    individuals = list(dict.fromkeys(individual for individual, _, _ in columns if individual != "single"))
    table = np.full((len(values), len(individuals), len(joints), 3), np.nan)
    table[..., 2] = 0.0 if any(kind == "likelihood" for _, _, kind in columns) else 1.0
    for c, (individual, joint, kind) in enumerate(columns):
        if individual in individuals:
            table[:, individuals.index(individual), joints.index(joint), _COORDS[kind]] = values[:, c]
    people = {
        n: [person for person in rows if np.isfinite(person[:, :2]).all(-1).any()]
        for n, rows in zip(index, table, strict=True)
    }
    return CameraPeople(people=people, joints=tuple(joints))


def _table(file: Any) -> str:
    """Return the path of pandas' table in an HDF5 file; empty if there is none."""
    return next((name for name in getattr(file, "names", ()) if name.rsplit("/", 1)[-1] == "table"), "")


def _read_hdf5(file: Any, where: str) -> CameraPeople:
    path = _table(file)
    records = file.array(path)
    blocks = [name for name in records.dtype.names or () if name.startswith("values_block")]
    columns: list[tuple[str, str, str]] = []
    for block in blocks:
        columns += [_column(label, where) for label in file.pickled_attribute(path, f"{block}_kind")]
    values = np.concatenate([records[block].reshape(len(records), -1) for block in blocks], 1)
    if len(columns) != values.shape[1] or "index" not in records.dtype.names:
        raise CoreError(f"{where}: {values.shape[1]} columns have {len(columns)} names.", REMEDY)
    if records["index"].dtype.kind not in "iu":
        index = image_numbers([bytes(i).decode(errors="replace") for i in records["index"]], where)
    else:
        index = records["index"].tolist()
    return _people(index, columns, np.asarray(values, float))


def _column(label: Any, where: str) -> tuple[str, str, str]:
    """Return individual, joint and coordinate of a column, from its labels without the scorer's."""
    parts = [str(part) for part in label][1:]
    if len(parts) not in (2, 3) or parts[-1] not in _COORDS:
        raise CoreError(f"{where}: the column {label!r} is not one of DeepLabCut.", REMEDY)
    return ("", parts[0], parts[1]) if len(parts) == 2 else (parts[0], parts[1], parts[2])


CSV = Pose2DImporter(
    name="deeplabcut-csv", title="DeepLabCut (CSV)", container="table", accepts=_accepts_csv, read=_read_csv
)
HDF5 = Pose2DImporter(
    name="deeplabcut-hdf5",
    title="DeepLabCut (HDF5)",
    container="hdf5",
    accepts=lambda f: bool(_table(f)),
    read=_read_hdf5,
)
