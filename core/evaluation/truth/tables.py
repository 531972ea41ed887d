"""Marker trajectories in CSV files: one row per frame (wide), or one row per frame and joint (long).

Long: columns `joint` (also marker, keypoint, bodypart), `x`, `y`, `z`, a time or frame, and a person where there are
several. Wide: columns such as `LKnee_x`, `LKnee.X`, `x_LKnee` or `LKnee X (mm)`; or two to four rows of titles, of
which one has the markers and the next `x`, `y`, `z`, as DeepLabCut writes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.documents.tables import parse_csv
from core.errors import CoreError
from core.evaluation.truth.motion import MarkerFile
from core.types.arrays import F64

_TIME = {"time", "times", "t", "timestamp", "timestamps", "seconds", "sec", "second"}
_FRAME = {"frame", "frames", "frame#", "fnum", "framenumber", "frameindex", "index", "sample", "coords"}
_PERSON = {"person", "persons", "individual", "individuals", "subject", "id", "personid", "people"}
_JOINT = {"joint", "joints", "marker", "keypoint", "keypoints", "bodypart", "bodyparts", "landmark"}
_UNIT = r"(?:[\s_]*[\(\[]?(?P<unit>mm|cm|m)[\)\]]?)?"
_AXIS_LAST = re.compile(rf"^(?P<name>.+?)[\s_.\-:]+(?P<axis>[xyz]){_UNIT}$", re.IGNORECASE)
_AXIS_FIRST = re.compile(rf"^(?P<axis>[xyz])[\s_.\-:]+(?P<name>.+?){_UNIT}$", re.IGNORECASE)
_AXIS_ALONE = re.compile(rf"^(?P<axis>[xyz]){_UNIT}$", re.IGNORECASE)
_AXES = "xyz"
_DELIMITERS = "\t;,"


def read_csv_markers(path: Path, fps: float) -> MarkerFile:
    """Read a table of markers.

    Args:
        path: Text file, separated by commas, semicolons or tabs.
        fps: Frames per second of a file that has frame numbers instead of times.

    Raises:
        CoreError: The file is no such table.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    delimiter = max(_DELIMITERS, key=text[:5000].count)
    rows = [row for _, row in parse_csv(text, path.name, delimiter) if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise CoreError(f"{path.name} has no rows of data.", "Export one row per frame.")
    titles, first = _titles(rows)
    cells = rows[first:]
    plain = [_plain(title) for title in titles]
    joint = _column(plain, _JOINT)
    if joint is not None:
        return _long(path, titles, plain, cells, joint, fps, delimiter)
    return _wide(path, titles, plain, cells, fps, delimiter)


def _titles(rows: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """Return one title per column, and the index of the first row of data."""
    for r in range(1, min(4, len(rows))):
        axes = [cell.strip().lower() in _AXES and bool(cell.strip()) for cell in rows[r]]
        if sum(axes) >= 3:
            names, people = _filled(rows[r - 1]), [""] * len(rows[r])
            if r >= 2 and rows[r - 2] and _plain(rows[r - 2][0]) in _PERSON:
                people = _filled(rows[r - 2])
            out = []
            for c, cell in enumerate(rows[r]):
                name = names[c] if c < len(names) else ""
                prefix = f"{people[c]}:" if c < len(people) and people[c] else ""
                out.append(f"{prefix}{name} {cell.strip()}" if axes[c] else (cell.strip() or name))
            return out, r + 1
    return [cell.strip() for cell in rows[0]], 1


def _filled(row: Sequence[str]) -> list[str]:
    """Repeat a title over the empty cells to its right."""
    out: list[str] = []
    for cell in row:
        out.append(cell.strip() or (out[-1] if out else ""))
    return out


def _long(
    path: Path,
    titles: Sequence[str],
    plain: Sequence[str],
    cells: Sequence[Sequence[str]],
    joint: int,
    fps: float,
    delimiter: str,
) -> MarkerFile:
    axes = {m["axis"].lower(): c for c, t in enumerate(titles) if (m := _AXIS_ALONE.match(t))}
    units = {m["unit"].lower() for t in titles if (m := _AXIS_ALONE.match(t)) and m["unit"]}
    if set(axes) != set(_AXES):
        raise CoreError(f"{path.name} has no columns x, y and z.", "Name the columns of the position x, y and z.")
    person = _column(plain, _PERSON)
    times, notes = _times(path, titles, plain, cells, fps, delimiter, per_row=False)
    time_s, at = np.unique(times, return_inverse=True)
    names, which = np.unique([_cell(row, joint) for row in cells], return_inverse=True)
    people, who = np.unique([_cell(row, person) for row in cells], return_inverse=True)
    xyz = np.full((len(time_s), len(people), len(names), 3), np.nan)
    for a, axis in enumerate(_AXES):
        xyz[at, who, which, a] = _numbers(cells, axes[axis], delimiter)
    return MarkerFile(
        name=path.name,
        time_s=time_s,
        people=tuple(people.tolist()),
        markers=tuple(names.tolist()),
        xyz=xyz,
        unit=units.pop() if len(units) == 1 else "",
        notes=notes,
    )


def _wide(
    path: Path, titles: Sequence[str], plain: Sequence[str], cells: Sequence[Sequence[str]], fps: float, delimiter: str
) -> MarkerFile:
    columns: dict[str, dict[str, int]] = {}
    units: set[str] = set()
    for c, title in enumerate(titles):
        match = _AXIS_LAST.match(title) or _AXIS_FIRST.match(title)
        if match:
            columns.setdefault(match["name"], {})[match["axis"].lower()] = c
            units |= {match["unit"].lower()} if match["unit"] else set()
    complete = {name: axes for name, axes in columns.items() if len(axes) == 3}
    if not complete:
        raise CoreError(
            f"{path.name} has no columns of marker positions.",
            "Name them after the marker and its axis, such as LKnee_x, LKnee_y and LKnee_z.",
        )
    person = _column(plain, _PERSON)
    times, notes = _times(path, titles, plain, cells, fps, delimiter, per_row=person is None)
    time_s, at = np.unique(times, return_inverse=True)
    rows, who = np.unique([_cell(row, person) for row in cells], return_inverse=True)
    prefixes = list(dict.fromkeys(name.rpartition(":")[0] for name in complete))
    markers = list(dict.fromkeys(name.rpartition(":")[2] for name in complete))
    xyz = np.full((len(time_s), len(rows), len(prefixes), len(markers), 3), np.nan)
    for name, axes in complete.items():
        prefix, _, marker = name.rpartition(":")
        for a, axis in enumerate(_AXES):
            values = _numbers(cells, axes[axis], delimiter)
            xyz[at, who, prefixes.index(prefix), markers.index(marker), a] = values
    return MarkerFile(
        name=path.name,
        time_s=time_s,
        people=tuple(f"{row} {prefix}".strip() for row in rows for prefix in prefixes),
        markers=tuple(markers),
        xyz=xyz.reshape(len(time_s), -1, len(markers), 3),
        unit=units.pop() if len(units) == 1 else "",
        notes=notes,
    )


def _times(
    path: Path,
    titles: Sequence[str],
    plain: Sequence[str],
    cells: Sequence[Sequence[str]],
    fps: float,
    delimiter: str,
    *,
    per_row: bool,
) -> tuple[F64, tuple[str, ...]]:
    """Return the time of each row, and what had to be assumed."""
    column = _column(plain, _TIME)
    if column is not None:
        scale = 0.001 if "ms" in re.split(r"[^a-z]+", titles[column].lower()) else 1.0
        return _known(path, _numbers(cells, column, delimiter), titles[column]) * scale, ()
    column = _column(plain, _FRAME)
    if column is None and not per_row:
        raise CoreError(f"{path.name} has neither times nor frame numbers.", "Add a column named time or frame.")
    if column is None:
        numbers = np.arange(len(cells), dtype=float)
    else:
        numbers = _known(path, _numbers(cells, column, delimiter), titles[column])
    return numbers / fps, (f"{path.name} has no times; {fps:.6g} frames a second, as in the take, were assumed.",)


def _known(path: Path, values: F64, title: str) -> F64:
    if not np.isfinite(values).all():
        raise CoreError(f"{path.name} has rows without a number in column '{title}'.", "Remove or complete them.")
    return values


def _numbers(cells: Sequence[Sequence[str]], column: int, delimiter: str) -> F64:
    """Return the numbers of a column, NaN where there is none; with semicolons, commas are decimal."""

    def number(text: str) -> float:
        try:
            return float(text.replace(",", ".") if delimiter != "," else text)
        except ValueError:
            return np.nan

    return np.array([number(_cell(row, column)) for row in cells], float)


def _cell(row: Sequence[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""


def _plain(title: str) -> str:
    """Return a title without case, separators and a unit of time."""
    text = re.sub(r"[\(\[].*?[\)\]]", "", title.strip().lower())
    text = re.sub(r"_(s|ms|sec)$", "", text.strip())
    return re.sub(r"[\s_.\-]+", "", text)


def _column(plain: Sequence[str], names: set[str]) -> int | None:
    return next((c for c, title in enumerate(plain) if title in names), None)
