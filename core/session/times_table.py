"""When each image of a recording was taken, where a table beside the videos says so.

Webcams drop images and start when they like, so the images' numbers in their files say little about time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.errors import CoreError
from core.files import read_text
from core.types.arrays import F64

_COLUMNS = ("cam_id", "frame_time")
_ORDER = ("frame_index", "sync_index")


def read_times_table(path: Path, cameras: Mapping[str, tuple[str, int]]) -> dict[str, F64]:
    """Reads a table with a row an image: cam_id, frame_index or sync_index, frame_time in s (as caliscope writes it).

    Args:
        path: The table.
        cameras: Camera name to the stem of its video file and the number of images in it.

    Returns:
        Camera name to its (n,) increasing image times, counted from the first of all.

    Raises:
        CoreError: Missing or damaged, or it does not give every image of every video one time.
    """
    remedy = "It needs columns cam_id, frame_index (or sync_index) and frame_time, and a row for every image."
    rows: dict[str, dict[int, float]] = {}
    try:
        reader = csv.DictReader(io.StringIO(read_text(path)))
        columns = set(reader.fieldnames or ())
        order = next((name for name in _ORDER if name in columns), "")
        if not set(_COLUMNS) <= columns or not order:
            raise CoreError(f"{path.name} is no table of times.", remedy)
        for row in reader:
            if row[order] and row["frame_time"]:
                rows.setdefault(row["cam_id"].strip(), {})[int(row[order])] = float(row["frame_time"])
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise CoreError(f"{path.name} is damaged: {error}.", remedy) from error
    times = {name: _times(path, name, _rows_of(rows, name, stem), n) for name, (stem, n) in cameras.items()}
    start = min(t[0] for t in times.values())
    return {name: t - start for name, t in times.items()}


def _rows_of(rows: Mapping[str, dict[int, float]], name: str, stem: str) -> dict[int, float]:
    """The rows of one camera: by its name, by its file's name, or by the number that its file's name ends in."""
    for key in (name, stem, stem.removeprefix("cam_"), name.removeprefix("cam_")):
        if key in rows:
            return rows[key]
    number = stem[len(stem.rstrip("0123456789")) :]
    return next((found for key, found in rows.items() if number and key.lstrip("0") == number.lstrip("0")), {})


def _times(path: Path, name: str, rows: Mapping[int, float], n_frames: int) -> F64:
    """(n,) times of one camera's images."""
    remedy = "Use the table that was written with these videos."
    if not rows:
        raise CoreError(f"{path.name} has no rows of camera {name}.", remedy)
    numbers = np.array(sorted(rows))
    # Some recorders count on through images that were not kept, or from another start: their order is what counts.
    if len(numbers) < n_frames:
        raise CoreError(f"{path.name} has {len(numbers)} times of {name}, whose video has {n_frames} images.", remedy)
    times = np.array([rows[int(number)] for number in numbers[:n_frames]])
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise CoreError(f"{path.name}: the times of {name} do not increase.", remedy)
    return times
