"""Tables of recorded image times, of caliscope and of this program.

Webcams drop images and start at different times, so the index of an image in its file does not determine its time.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from core.errors import CoreError
from core.files import read_text
from core.types.arrays import F64, I64
from core.types.frame import Frame

_CAMERA = ("cam_id", "port")
_ORDER = ("frame_index", "sync_index")
_WHOLE = re.compile(r"-?[0-9]{1,19}")  # PTP clocks count nanoseconds since 1970
_LARGEST = int(np.iinfo(np.int64).max)


def read_times_table(path: Path, cameras: Mapping[str, tuple[str, int, int]]) -> dict[str, F64]:
    """Read a table with one row per image: cam_id or port, frame_index or sync_index, and frame_time in s.

    Args:
        path: The table.
        cameras: Stem of the video file, number of usable images, and number including lost ones at the end, by camera
            name.

    Returns:
        (n,) increasing image times in s by camera name, from the earliest one.

    Raises:
        CoreError: The table is missing or damaged, or its number of times differs from the number of images.
    """
    remedy = "It needs columns cam_id (or port), frame_index (or sync_index) and frame_time, and one row per image."
    rows: dict[str, dict[int, float]] = {}
    try:
        reader = csv.DictReader(io.StringIO(read_text(path)))
        columns = set(reader.fieldnames or ())
        order = next((name for name in _ORDER if name in columns), "")
        camera = next((name for name in _CAMERA if name in columns), "")
        if "frame_time" not in columns or not camera or not order:
            raise CoreError(f"{path.name} is not a table of image times.", remedy)
        for row in reader:
            if row[order] and row["frame_time"]:
                rows.setdefault(row[camera].strip(), {})[int(row[order])] = float(row["frame_time"])
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise CoreError(f"{path.name} is damaged: {error}.", remedy) from error
    times = {
        name: check_times(path, name, _rows_of(rows, name, stem), n, all_) for name, (stem, n, all_) in cameras.items()
    }
    start = min(t[0] for t in times.values())
    return {name: t - start for name, t in times.items()}


def _rows_of(rows: Mapping[str, dict[int, float]], name: str, stem: str) -> dict[int, float]:
    """Return a camera's rows by its name, the stem of its file, or the number at the end of the stem."""
    for key in (name, stem, stem.removeprefix("cam_"), name.removeprefix("cam_")):
        if key in rows:
            return rows[key]
    number = stem[len(stem.rstrip("0123456789")) :]
    return next((row for key, row in rows.items() if number and key.lstrip("0") == number.lstrip("0")), {})


def check_times(path: Path, name: str, rows: Mapping[int, float], n_frames: int, n_all: int) -> F64:
    """Return the (n,) times of a camera's images in s.

    Args:
        path: Table of the times, for messages.
        name: Name of the camera.
        rows: Times in s by image number.
        n_frames: Number of usable images in the video.
        n_all: Number including lost images at the end.

    Raises:
        CoreError: There are more or fewer times than images, or they do not increase.
    """
    remedy = "Use the table that was written with these videos."
    if not rows:
        raise CoreError(f"{path.name} has no rows for camera {name}.", remedy)
    numbers = np.array(sorted(rows))
    # Some recorders also number discarded images, or do not start at 0: only the order counts.
    if len(numbers) not in (n_frames, n_all):
        raise CoreError(f"{path.name} has {len(numbers)} times for {name}, whose video has {n_frames} images.", remedy)
    times = np.array([rows[int(number)] for number in numbers[:n_frames]])
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise CoreError(f"{path.name}: the times of {name} do not increase.", remedy)
    return times


TIMES_HEADER = "index,stored_ms,time_ns,source_time_ns,sequence\n"
UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageTimes:
    """Times of one camera's recorded images, in the order of their storage.

    Attributes:
        index: (n,) increasing numbers of the stored images.
        stored_ms: (n,) increasing time stamps in the video in ms, which identify its images.
        time_ns: (n,) increasing times on the shared clock.
        source_time_ns: (n,) times on the camera's clock; `UNKNOWN` without one.
        sequence: (n,) sequence numbers of the camera; `UNKNOWN` without them.
    """

    index: I64
    stored_ms: I64
    time_ns: I64
    source_time_ns: I64
    sequence: I64

    def __len__(self) -> int:
        return len(self.index)

    @property
    def dropped(self) -> list[range]:
        """Gaps in the sequence numbers of the camera."""
        # A reopened camera may restart its numbers.
        pairs = zip(self.sequence[:-1].tolist(), self.sequence[1:].tolist(), strict=True)
        return [range(last + 1, new) for last, new in pairs if UNKNOWN < last < new - 1]


def write_image_time(file: TextIO, index: int, stored_ms: int, frame: Frame) -> None:
    """Append a row for a stored image to a camera's table."""
    own, sequence = (UNKNOWN if n is None else n for n in (frame.source_time_ns, frame.sequence))
    file.write(f"{index},{stored_ms},{frame.time_ns},{own},{sequence}\n")


def read_image_times(path: Path) -> ImageTimes:
    """Read the table of a camera up to the last complete row; empty if there is no table.

    Args:
        path: Table of a take, see `TakeLayout.frame_times`.
    """
    rows: list[tuple[int, ...]] = []
    with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            values = line.rstrip("\n").split(",")
            if not line.endswith("\n") or len(values) != 5 or not all(map(_WHOLE.fullmatch, values)):
                continue  # the header, or a row truncated by a crash
            row = tuple(map(int, values))
            if max(map(abs, row)) > _LARGEST:
                continue
            if not rows or all(new > last for new, last in zip(row[:3], rows[-1][:3], strict=True)):
                rows.append(row)
    index, stored_ms, time_ns, own, sequence = np.array(rows, np.int64).reshape(-1, 5).T
    return ImageTimes(index=index, stored_ms=stored_ms, time_ns=time_ns, source_time_ns=own, sequence=sequence)
