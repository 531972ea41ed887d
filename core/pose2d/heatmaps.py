"""Joint heatmaps of one camera of one take on disk: HDF5, one compressed chunk of bytes a frame.

Values are stored as uint8 (255 is 1.0). Everything below `FLOOR` becomes 0: that background carries no joint and is
most of the map, and without it a frame takes a few kilobytes. A frame without an image
has no chunk and reads as zeros.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from core.errors import CoreError
from core.files import replacing
from core.pose2d.pixelmap import PixelMap
from core.session import Take
from core.session.align import nearest_rows
from core.types.arrays import F32, F64, I64
from core.types.camera import CameraRig
from core.types.skeleton import Skeleton, skeleton

FLOOR = 0.02
_SCHEMA = 1
_LEVEL = 4


def compress_heatmaps(values: F32) -> bytes:
    """One frame's heatmaps (J, h, w) in 0..1 as the bytes of its chunk."""
    quantised = np.rint(np.where(values < FLOOR, 0, np.minimum(values, 1)) * np.float32(255)).astype(np.uint8)
    return zlib.compress(quantised.tobytes(), _LEVEL)


def write_heatmaps(
    path: Path,
    frames: Iterable[tuple[int, bytes]],
    *,
    n_frames: int,
    shape: tuple[int, int],
    grid: PixelMap,
    joints: Skeleton,
) -> None:
    """Writes a camera's heatmaps, whole or not at all.

    Args:
        path: File to make.
        frames: Index in the take's timeline, and what `compressed` made of its heatmaps; each index once.
        n_frames: Frames of the take, T.
        shape: Height and width of a heatmap.
        grid: Map from the camera's pixels to heatmap pixels.
        joints: What the channels are.
    """
    chunk = (1, len(joints), *shape)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        data = file.create_dataset(
            "heatmaps", (n_frames, *chunk[1:]), np.uint8, chunks=chunk, compression=_LEVEL, fillvalue=0
        )
        # The chunks were compressed when they were made, in parallel: HDF5's gzip is the same stream.
        for index, content in frames:
            data.id.write_direct_chunk((index, 0, 0, 0), content)
        file.attrs["schema"] = _SCHEMA
        file.attrs["skeleton"] = joints.name
        file.attrs["scale"] = grid.scale
        file.attrs["offset"] = grid.offset


class HeatmapReader:
    """Reads what `write_heatmaps` wrote, any frames in any order. A context manager.

    Attributes:
        skeleton: What the channels are.
        scale: (2,) x, y; heatmap px = image px * scale + offset, where (0, 0) is the centre of the top-left pixel in
            both grids.
        offset: (2,) x, y.
        n_frames: Frames of the take, T.
        shape: Height and width of a heatmap.
        rows: (T,) frame of the file that is read for each frame asked for, -1 for none; None where they are the same.

    Raises:
        CoreError: Missing, damaged, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        remedy = "Label the take again with heatmaps."
        if not path.is_file():
            raise CoreError(f"There are no heatmaps at {path}.", remedy)
        try:
            self._file = h5py.File(path, "r")
            attributes = dict(self._file.attrs)
            self._data: Any = self._file["heatmaps"]
            schema = int(attributes["schema"])
            self.skeleton = skeleton(str(attributes["skeleton"]))
            self.scale: F64 = np.asarray(attributes["scale"], float)
            self.offset: F64 = np.asarray(attributes["offset"], float)
            self.n_frames, joints, height, width = self._data.shape
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise CoreError(f"{path} does not hold heatmaps: {error}.", remedy) from error
        if schema > _SCHEMA:
            raise CoreError(f"{path} was written by a newer version.", "Update the program.")
        if joints != len(self.skeleton) or self.scale.shape != (2,) or self.offset.shape != (2,):
            raise CoreError(f"{path} is damaged: its channels and its joints differ.", remedy)
        self.shape = (int(height), int(width))
        self.rows: I64 | None = None

    @property
    def grid(self) -> PixelMap:
        """Map from the camera's pixels to heatmap pixels."""
        (sx, sy), (ox, oy) = self.scale, self.offset
        return PixelMap((float(sx), float(sy)), (float(ox), float(oy)))

    def read(self, indices: np.ndarray | list[int]) -> F32:
        """Heatmaps (N, J, h, w) in 0..1 of the frames (N,), in their order."""
        out = np.empty((len(indices), *self._data.shape[1:]), np.uint8)
        for n, index in enumerate(indices if self.rows is None else self.rows[np.asarray(indices, int)]):
            if index < 0:
                out[n] = 0
            else:
                self._data.read_direct(out, np.s_[int(index)], np.s_[n])
        return out.astype(np.float32) / np.float32(255)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> HeatmapReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def open_heatmaps(take: Take, estimator: str, rig: CameraRig) -> Iterator[list[HeatmapReader | None]]:
    """Readers of a take's heatmaps, open inside the context; None for those cameras that did not film the take.

    Of cameras that the rig says are late they read what was taken nearest to the frames asked for.

    Raises:
        CoreError: A camera that filmed it has none, or not of all its frames.
    """
    files = {name: take.layout.heatmaps_file(estimator, name) for name in rig.names if name in take.cameras}
    lacking = [name for name, file in files.items() if not file.is_file()]
    if lacking:
        raise CoreError(
            f"Take {take.name} has no heatmaps of {estimator} for {', '.join(lacking)}.",
            "Label it again with heatmaps, or train with model.heatmap.source=joints, which needs the joints alone.",
        )
    with ExitStack() as stack:
        readers = {name: stack.enter_context(HeatmapReader(file)) for name, file in files.items()}
        for name, reader in readers.items():
            if reader.n_frames != take.manifest.n_frames:
                raise CoreError(
                    f"The heatmaps of {name} have {reader.n_frames} frames, take {take.name} has "
                    f"{take.manifest.n_frames}.",
                    "Label the take again.",
                )
        for name, rows in (nearest_rows(take.timeline(), rig) if readers else {}).items():
            if name in readers:
                readers[name].rows = rows
        yield [readers.get(name) for name in rig.names]
