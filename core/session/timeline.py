"""Timeline of a take: the image of each camera at each frame."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import CoreError
from core.files import read_text, write_text
from core.session.clocks import CameraClock
from core.types.arrays import F64, I64, frozen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """Image of each camera at each frame of a take.

    Attributes:
        cameras: (V,) camera names.
        time_s: (T,) increasing times in s from the start of the take.
        frame_index: (T, V) index of the image in the camera's video, -1 where dropped.
        frame_time_s: (T, V) recorded time of the image minus the camera's clock error in this take, in s; NaN where
            dropped.
        clock_error_s: (T, V) clock error, not including the time offset in the rig; None if all clocks are exact.
    """

    cameras: tuple[str, ...]
    time_s: F64
    frame_index: I64
    frame_time_s: F64
    clock_error_s: F64 | None = None

    def __post_init__(self) -> None:
        sizes, set_ = {"V": len(self.cameras)}, object.__setattr__
        set_(self, "time_s", frozen(self.time_s, ("T",), "timeline: time_s", sizes=sizes))
        set_(self, "frame_index", frozen(self.frame_index, ("T", "V"), "timeline: frame_index", np.int64, sizes=sizes))
        set_(
            self,
            "frame_time_s",
            frozen(self.frame_time_s, ("T", "V"), "timeline: frame_time_s", allow_nan=True, sizes=sizes),
        )
        if self.clock_error_s is not None:
            set_(self, "clock_error_s", frozen(self.clock_error_s, ("T", "V"), "timeline: clock_error_s", sizes=sizes))
        if (np.diff(self.time_s) <= 0).any():
            raise CoreError("The frame times of the take do not increase.", "Import the videos again.")

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def recorded_time_s(self) -> F64:
        """(T, V) recorded time of each image by the camera or its file, in s."""
        return self.frame_time_s if self.clock_error_s is None else self.frame_time_s + self.clock_error_s

    def with_clocks(self, clocks: Sequence[CameraClock]) -> Timeline:
        """Return the timeline with other clock errors (V,)."""
        recorded = self.recorded_time_s
        if all(clock.exact for clock in clocks):
            return dataclasses.replace(self, frame_time_s=recorded, clock_error_s=None)
        errors = [clock.error_s(recorded[:, v], self.frame_index[:, v]) for v, clock in enumerate(clocks)]
        error = np.nan_to_num(np.stack(errors, axis=1))
        return dataclasses.replace(self, frame_time_s=recorded - error, clock_error_s=error)

    def save(self, path: Path) -> None:
        """Write `timestamps.csv`, one row per image with its recorded time, with the columns of caliscope."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["sync_index", "cam_id", "frame_index", "frame_time", "sync_time"])
        recorded = self.recorded_time_s
        for t, time_s in enumerate(self.time_s):
            for v, name in enumerate(self.cameras):
                if self.frame_index[t, v] >= 0:
                    writer.writerow([t, name, self.frame_index[t, v], f"{recorded[t, v]:.9f}", f"{time_s:.9f}"])
        write_text(path, text.getvalue())

    @classmethod
    def load(cls, path: Path, cameras: tuple[str, ...], n_frames: int) -> Timeline:
        """Read `timestamps.csv`.

        Args:
            path: The file.
            cameras: Camera names.
            n_frames: Number of frames.

        Raises:
            CoreError: The file is missing or damaged.
        """
        time_s = np.full(n_frames, np.nan)
        index = np.full((n_frames, len(cameras)), -1, np.int64)
        frame_time = np.full((n_frames, len(cameras)), np.nan)
        at = {name: v for v, name in enumerate(cameras)}
        try:
            for row in csv.DictReader(io.StringIO(read_text(path))):
                t, v = int(row["sync_index"]), at[row["cam_id"]]
                index[t, v], frame_time[t, v] = int(row["frame_index"]), float(row["frame_time"])
                time_s[t] = float(row["sync_time"])
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise CoreError(f"{path} is damaged: {error}.", "Import the take's videos again.") from error
        return cls(cameras=cameras, time_s=time_s, frame_index=index, frame_time_s=frame_time)
