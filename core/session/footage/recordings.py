"""Folder layouts of recordings by SkellyCam (FreeMoCap) and caliscope: videos and image times.

A recording of SkellyCam is a folder with `synchronized_videos/`. Its `timestamps/` contains a table for each video:
`camera_timestamps/<recording>.camera<id>.timestamps.csv`, or `<video>_binary.npy` in the first versions. Caliscope
writes one table beside the videos.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.errors import CoreError
from core.files import read_text
from core.session.times_table import check_times
from core.types.arrays import F64

SKELLYCAM_VIDEOS = "synchronized_videos"
CALISCOPE_TABLES = ("timestamps.csv", "frame_time_history.csv")
"""File names of caliscope's tables; the first one is also used by this program."""
_TABLES, _ARRAYS = "*.timestamps.csv", "*_binary.npy"
_ID = re.compile(r".+\.(?:id-(?P<id>[^.]+)\.idx-[0-9]+|camera(?P<old>[^.]+))")
_FIRST = re.compile(r"(Camera_[0-9]+)_synchronized")
_NUMBER = "recording_frame_number"
_TIMES = {"timestamp.from_recording_start.sec": 1.0, "timestamp.from_recording_start.ms": 1e-3}
_NS = 1e-9


def recorded_name(video: Path) -> str:
    """Return the name that identifies the camera of a video: SkellyCam's camera name, or the file name."""
    if video.parent.name != SKELLYCAM_VIDEOS:
        return video.stem
    camera, first = _camera_id(video.stem), _FIRST.fullmatch(video.stem)
    if first is not None:
        return first.group(1)
    return f"camera{camera}" if camera.isdigit() else camera or video.stem


def times_beside(folder: Path) -> Path | None:
    """Return the table of image times, or the folder of tables, that belongs to a folder of videos."""
    table = next((folder / name for name in CALISCOPE_TABLES if (folder / name).is_file()), None)
    folders = (folder / "timestamps" / "camera_timestamps", folder / "timestamps")
    return table or next((f for f in folders if any(f.glob(_TABLES)) or any(f.glob(_ARRAYS))), None)


def read_recorded_times(folder: Path, cameras: Mapping[str, tuple[str, int, int]]) -> dict[str, F64]:
    """Read the image times of SkellyCam, one file per camera.

    Args:
        folder: Folder of the files.
        cameras: As in `core.session.times_table.read_times_table`.

    Returns:
        (n,) increasing image times in s by camera name, from the earliest one.

    Raises:
        CoreError: A file is missing or damaged, or its number of times differs from the number of images.
    """
    times = {}
    for name, (stem, n_frames, n_all) in cameras.items():
        camera = _camera_id(stem)
        table = next((f for f in folder.glob(_TABLES) if f.name.endswith(f".camera{camera}.timestamps.csv")), None)
        array = folder / f"{stem}_binary.npy"
        if table is not None and camera:
            file, found = table, _read_table(table)
        elif array.is_file():
            file, found = array, _read_array(array)
        else:
            raise CoreError(f"{folder.name} has no times of {stem}.", "Choose the whole folder of the recording.")
        times[name] = check_times(file, name, found, n_frames, n_all)
    start = min(t[0] for t in times.values())
    return {name: t - start for name, t in times.items()}


def _camera_id(stem: str) -> str:
    """Return SkellyCam's camera identifier in the name of a video; empty if there is none."""
    match = _ID.fullmatch(stem)
    return "" if match is None else match.group("id") or match.group("old")


def _read_table(path: Path) -> dict[int, float]:
    """Return the time of each image in s by image number."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path)))
        reader.fieldnames = [name.removeprefix("# ").strip() for name in reader.fieldnames or ()]
        column = next((name for name in _TIMES if name in reader.fieldnames), "")
        if not column or _NUMBER not in reader.fieldnames:
            raise CoreError(f"{path.name} has no columns with image numbers and times.", "Record it again.")
        return {int(row[_NUMBER]): float(row[column]) * _TIMES[column] for row in reader}
    except (ValueError, TypeError, csv.Error) as error:
        raise CoreError(f"{path.name} is damaged: {error}.", "Copy the recording again.") from error


def _read_array(path: Path) -> dict[int, float]:
    """Return the time of each image in s by position."""
    try:
        values = np.load(path, allow_pickle=False)
        return dict(enumerate((np.asarray(values, np.float64).reshape(-1) * _NS).tolist()))
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise CoreError(f"{path.name} is damaged: {error}.", "Copy the recording again.") from error
