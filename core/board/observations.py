"""Observations of a board by several cameras, and their file."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.board.pattern import Board
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import write_bytes
from core.types.arrays import F64, I64, frozen

OBSERVATIONS_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardObservations:
    """Points of one board in the images of several cameras, sorted by image (camera, then frame).

    Attributes:
        board: The board.
        cameras: (V,) names.
        sizes_px: (V, 2) image width and height.
        time_s: (T, V) recorded time of each image, NaN for images that are missing or were not searched.
        view: (N,) camera of each point.
        frame: (N,) frame of each point, a row of `time_s`.
        point: (N,) index of each point in `board.points_mm`.
        xy_px: (N, 2) image coordinates of each point.
        image_index: (T, V) index of the image in the camera's video, -1 for a missing image.
        source: Description of the recording.
    """

    board: Board
    cameras: tuple[str, ...]
    sizes_px: I64
    time_s: F64
    view: I64
    frame: I64
    point: I64
    xy_px: F64
    image_index: I64
    source: str = ""

    def __post_init__(self) -> None:
        sizes = {"V": len(self.cameras)}
        set_, what = object.__setattr__, "observations"
        set_(self, "cameras", tuple(self.cameras))
        set_(self, "sizes_px", frozen(self.sizes_px, ("V", 2), f"{what}: sizes_px", np.int64, sizes=sizes))
        set_(self, "time_s", frozen(self.time_s, ("T", "V"), f"{what}: time_s", allow_nan=True, sizes=sizes))
        set_(self, "image_index", frozen(self.image_index, ("T", "V"), f"{what}: image_index", np.int64, sizes=sizes))
        for name in ("view", "frame", "point"):
            set_(self, name, frozen(getattr(self, name), ("N",), f"{what}: {name}", np.int64, sizes=sizes))
        set_(self, "xy_px", frozen(self.xy_px, ("N", 2), f"{what}: xy_px", sizes=sizes))
        limits = {"view": len(self.cameras), "frame": len(self.time_s), "point": len(self.board.points_mm)}
        for name, limit in limits.items():
            values = getattr(self, name)
            if values.size and not (values.min() >= 0 and values.max() < limit):
                raise CoreError(f"{what}: {name} is outside 0..{limit - 1}.", "Detect the board again.")
        if np.isnan(self.time_s[self.frame, self.view]).any():
            raise CoreError(f"{what}: an image has points but no time.", "Detect the board again.")
        if (np.diff(self.image) < 0).any():
            raise CoreError(f"{what}: the points are not sorted by image.", "Detect the board again.")

    def __len__(self) -> int:
        return len(self.view)

    @property
    def image(self) -> I64:
        """Number (N,) of each point's image: camera times T plus frame."""
        return np.asarray(self.view * len(self.time_s) + self.frame)

    def counts(self) -> I64:
        """Count the points in each image (T, V)."""
        counts = np.zeros(self.time_s.shape, np.int64)
        np.add.at(counts, (self.frame, self.view), 1)
        return counts

    def where(self, keep: np.ndarray) -> BoardObservations:
        """Return the points selected by a mask (N,); cameras and frames stay."""
        return dataclasses.replace(
            self, view=self.view[keep], frame=self.frame[keep], point=self.point[keep], xy_px=self.xy_px[keep]
        )

    def camera(self, name: str) -> BoardObservations:
        """Return the points of one camera."""
        return self.where(self.view == self.cameras.index(name))

    def save(self, path: Path) -> None:
        """Write an `.npz` file without pickles."""
        buffer = io.BytesIO()
        about = {
            "schema": OBSERVATIONS_SCHEMA,
            "board": to_mapping(self.board),
            "cameras": list(self.cameras),
            "source": self.source,
        }
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in about}
        np.savez_compressed(buffer, about=np.array(json.dumps(about)), **arrays)
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> BoardObservations:
        """Read a file written by `save`.

        Raises:
            CoreError: The file is missing, damaged, or written by a newer version.
        """
        try:
            # Opened here, since numpy leaves a damaged file open.
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                about: Mapping[str, Any] = json.loads(str(file["about"]))
                arrays = {name: file[name] for name in file.files if name != "about"}
            if int(about["schema"]) > OBSERVATIONS_SCHEMA:
                raise CoreError(f"{path} was written by a newer version.", "Update the program.")
            names = {f.name for f in dataclasses.fields(cls)}
            return cls(
                board=from_mapping(Board, about["board"]),
                cameras=tuple(str(c) for c in about["cameras"]),
                source=str(about["source"]),
                **{name: array for name, array in arrays.items() if name in names},
            )
        except FileNotFoundError as error:
            raise CoreError(f"{path} does not exist.", "Detect the board first.") from error
        except CoreError:
            raise
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise CoreError(f"{path} is damaged: {error}.", "Detect the board again.") from error


def merge_detections(
    board: Board,
    cameras: Sequence[str],
    sizes_px: Sequence[tuple[int, int]],
    time_s: F64,
    image_index: I64,
    found: Mapping[tuple[int, int], tuple[I64, F64]],
    source: str = "",
) -> BoardObservations:
    """Build observations from detections in single images.

    Args:
        board: The board.
        cameras: (V,) names of the cameras.
        sizes_px: (V,) image sizes.
        time_s: (T, V) times of the images.
        image_index: (T, V) indices of the images in their videos.
        found: Point indices (n,) and image coordinates (n, 2) by (camera, frame).
        source: Description of the recording.
    """
    images = sorted(key for key, (point, _) in found.items() if len(point))
    counts = [len(found[key][0]) for key in images]
    view, frame = (np.array([key[i] for key in images], np.int64) for i in (0, 1))
    return BoardObservations(
        board=board,
        cameras=tuple(cameras),
        sizes_px=np.asarray(sizes_px),
        time_s=time_s,
        image_index=image_index,
        view=np.repeat(view, counts),
        frame=np.repeat(frame, counts),
        point=np.concatenate([found[key][0] for key in images] or [np.zeros(0, np.int64)]),
        xy_px=np.concatenate([found[key][1] for key in images] or [np.zeros((0, 2))]),
        source=source,
    )
