"""Joint heatmaps of one camera of a take on disk: HDF5, one compressed chunk per frame.

Values are stored as uint8 (255 is 1.0). Values below `MIN_VALUE` are background and become 0, which compresses a frame
to a few kilobytes. A frame without an image has no chunk and reads as zeros.
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

from core.disk import replacing
from core.errors import CoreError
from core.hdf5 import surviving_file
from core.pose2d.pixelmap import PixelMap
from core.session import Take
from core.session.align import nearest_rows
from core.types.arrays import F32, F64, I64
from core.types.camera import CameraRig
from core.types.skeleton import Skeleton, skeleton

MIN_VALUE = 0.02
_SCHEMA = 1
_COMPRESSION = 4


def compress_heatmaps(values: F32) -> bytes:
    """Quantise and compress the heatmaps (J, h, w) of a frame, in 0..1, to the bytes of its chunk."""
    quantised = np.rint(np.where(values < MIN_VALUE, 0, np.minimum(values, 1)) * np.float32(255)).astype(np.uint8)
    return zlib.compress(quantised.tobytes(), _COMPRESSION)


def write_heatmaps(
    path: Path,
    frames: Iterable[tuple[int, bytes]],
    *,
    n_frames: int,
    shape: tuple[int, int],
    grid: PixelMap,
    joints: Skeleton,
) -> None:
    """Write the heatmaps of a camera atomically.

    Args:
        path: File to write.
        frames: Frame index and chunk from `compress_heatmaps`, each frame at most once.
        n_frames: Number of frames of the take, T.
        shape: Height and width of a heatmap.
        grid: Map from image pixels to heatmap pixels.
        joints: Joint set of the channels.
    """
    chunk = (1, len(joints), *shape)
    with replacing(path) as temporary, surviving_file(temporary) as disk, h5py.File(disk, "w") as file:
        data = file.create_dataset(
            "heatmaps", (n_frames, *chunk[1:]), np.uint8, chunks=chunk, compression=_COMPRESSION, fillvalue=0
        )
        # The chunks were compressed in parallel, in the format of HDF5's gzip filter.
        for index, content in frames:
            data.id.write_direct_chunk((index, 0, 0, 0), content)
            disk.check()
        file.attrs["schema"] = _SCHEMA
        file.attrs["skeleton"] = joints.name
        file.attrs["scale"] = grid.scale
        file.attrs["offset"] = grid.offset


class HeatmapFile:
    """Heatmap file of a camera, open for random access to frames; a context manager.

    Attributes:
        skeleton: Joint set of the channels.
        scale: (2,) scale in x and y: heatmap px = image px * scale + offset, where (0, 0) is the centre of the top-left
            pixel in both grids.
        offset: (2,) offset in x and y in heatmap pixels.
        n_frames: Number of frames of the take, T.
        shape: Height and width of a heatmap.
        rows: (T,) index in the file of each requested frame, -1 for none; None if they are identical.

    Raises:
        CoreError: The file is missing, damaged or from a newer version.
    """

    def __init__(self, path: Path) -> None:
        remedy = "Run 'pose2d' on the take again, with heatmaps."
        if not path.is_file():
            raise CoreError(f"The heatmap file {path} does not exist.", remedy)
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
            raise CoreError(f"{path} is not a heatmap file: {error}.", remedy) from error
        if schema > _SCHEMA:
            raise CoreError(f"{path} was written by a newer version.", "Update the program.")
        if joints != len(self.skeleton) or self.scale.shape != (2,) or self.offset.shape != (2,):
            raise CoreError(
                f"{path} is damaged: its {joints} channels or its grid do not fit its skeleton {self.skeleton.name}.",
                remedy,
            )
        self.shape = (int(height), int(width))
        self.rows: I64 | None = None

    @property
    def grid(self) -> PixelMap:
        """Map from image pixels to heatmap pixels."""
        (sx, sy), (ox, oy) = self.scale, self.offset
        return PixelMap((float(sx), float(sy)), (float(ox), float(oy)))

    def read(self, indices: np.ndarray | list[int]) -> F32:
        """Read the heatmaps (N, J, h, w), in 0..1, of frames (N,)."""
        out = np.empty((len(indices), *self._data.shape[1:]), np.uint8)
        for n, index in enumerate(indices if self.rows is None else self.rows[np.asarray(indices, int)]):
            if index < 0:
                out[n] = 0
            else:
                self._data.read_direct(out, np.s_[int(index)], np.s_[n])
        return out.astype(np.float32) / np.float32(255)

    def stored(self, indices: I64) -> Iterator[tuple[int, bytes]]:
        """Yield the chunks of the frames (N,) that have one, in the form for `write_heatmaps`."""
        for n, index in enumerate(indices.tolist()):
            place = (index, 0, 0, 0)
            if self._data.id.get_chunk_info_by_coord(place).byte_offset is not None:
                yield n, self._data.id.read_direct_chunk(place)[1]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> HeatmapFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def cut_heatmaps(source: Path, target: Path, rows: I64) -> None:
    """Copy selected frames of a heatmap file to a new file, without recompression.

    Args:
        source: File to read.
        target: File to write, atomically.
        rows: (T,) frames of `source`.

    Raises:
        CoreError: The file is missing, damaged or from a newer version.
    """
    with HeatmapFile(source) as file:
        write_heatmaps(
            target, file.stored(rows), n_frames=len(rows), shape=file.shape, grid=file.grid, joints=file.skeleton
        )


@contextmanager
def open_heatmaps(take: Take, estimator: str, rig: CameraRig) -> Iterator[list[HeatmapFile | None]]:
    """Open the heatmaps of a take, one reader per camera of the rig; None for cameras that are not in the take.

    Readers of cameras with a time offset read the image taken closest to the requested frame.

    Raises:
        CoreError: The heatmaps of a camera of the take are missing or incomplete.
    """
    files = {name: take.layout.heatmaps_file(estimator, name) for name in rig.names if name in take.cameras}
    missing = [name for name, file in files.items() if not file.is_file()]
    if missing:
        raise CoreError(
            f"Take {take.name} has no heatmaps of {estimator} for {', '.join(missing)}.",
            "Run 'pose2d' again with heatmaps, or train with model.heatmap.source=joints, which needs no heatmaps.",
        )
    with ExitStack() as stack:
        readers = {name: stack.enter_context(HeatmapFile(file)) for name, file in files.items()}
        for name, reader in readers.items():
            if reader.n_frames != take.manifest.n_frames:
                raise CoreError(
                    f"The heatmaps of {name} have {reader.n_frames} frames, take {take.name} has "
                    f"{take.manifest.n_frames}.",
                    "Run 'pose2d' on the take again.",
                )
        for name, rows in (nearest_rows(take.timeline(), rig) if readers else {}).items():
            if name in readers:
                readers[name].rows = rows
        yield [readers.get(name) for name in rig.names]
