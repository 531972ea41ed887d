"""Images of a take at the input size of the backbone: cached in files, or streamed from the videos."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.datasets.images import ImageSequence, StoredImages, reduced_size
from core.disk import replacing
from core.errors import CoreError
from core.models.config import ModelConfig
from core.models.geometry.affine import heatmap_size
from core.progress import Reporter, check
from core.session import Take
from core.session.align import nearest_rows
from core.session.footage.images import CameraImages, DamagedImages
from core.types.arrays import I64, U8
from core.types.camera import CameraRig

_RESERVED_BYTES = 1 << 30
_CLOCK_S = 2.5
"""Resolution of file times in s: file systems round them to up to 2 s."""


def cached_images(take: Take, rig: CameraRig, config: ModelConfig, reporter: Reporter) -> StoredImages:
    """Open the images of a take for random access in training; missing cache files are written first.

    Memory does not grow with the length of the take, as files are memory-mapped. The cache takes 3 bytes per pixel on
    disk: 1.4 MB for an image of 910x512 px.

    Args:
        take: Imported take, whose videos are in the session.
        rig: V cameras, in the order of all views.
        config: Settings of the networks, which determine the size.
        reporter: Receives progress; checked for cancellation.

    Raises:
        CoreError: A video cannot be read, or the disk is full.
        CancelledError: The reporter asked to stop; finished cameras stay cached.
    """
    size_of = _sizes(take, rig, config)
    files = {name: take.layout.reduced_images(name, *size) for name, size in size_of.items()}
    missing = [name for name in size_of if not _is_current(files[name], take, name, size_of[name])]
    _require_room(take, [size_of[name] for name in missing])
    done, total = 0, take.manifest.n_frames * len(missing)
    damaged = DamagedImages()
    for name in missing:
        width, height = size_of[name]
        shape = (take.manifest.n_frames, height, width, 3)
        with (
            replacing(files[name]) as temporary,
            _open_images(take, name, size_of[name], damaged) as video,
            temporary.open("wb") as file,
        ):
            # Not through a memory map: writing to one on a full disk kills the process.
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for frame in range(shape[0]):
                check(reporter)
                file.write(np.ascontiguousarray(video[frame], np.uint8).tobytes())
                done += 1
                reporter.progress(done, total, "Reducing the images")
        # Clocks of cameras may run ahead: the file gets the modification time of its source.
        os.utime(files[name], (_origin_s(take, name),) * 2)
    damaged.report(reporter)
    rows = nearest_rows(take.timeline(), rig)
    images: list[ImageSequence | None] = []
    for name in rig.names:
        stored: ImageSequence | None = np.load(files[name], mmap_mode="r") if name in files else None
        images.append(_NearestImages(stored, rows[name]) if stored is not None and name in rows else stored)
    return StoredImages(images, rig, config.backbone.stride)


@contextmanager
def streamed_images(take: Take, rig: CameraRig, config: ModelConfig, reporter: Reporter) -> Iterator[StoredImages]:
    """Open the images of a take directly from its videos, for sequential inference without cache files.

    Raises:
        CoreError: A video cannot be read.
    """
    size_of, damaged = _sizes(take, rig, config), DamagedImages()
    with ExitStack() as stack:
        opened: dict[str, ImageSequence] = {
            n: stack.enter_context(_open_images(take, n, size, damaged)) for n, size in size_of.items()
        }
        opened |= {
            n: _NearestImages(opened[n], rows) for n, rows in nearest_rows(take.timeline(), rig).items() if n in opened
        }
        yield StoredImages([opened.get(name) for name in rig.names], rig, config.backbone.stride)
    damaged.report(reporter)


@dataclass(frozen=True, slots=True)
class _NearestImages:
    """Images of a camera with a time offset: the nearest in time to each frame, or black if none is near."""

    images: ImageSequence
    rows: I64

    def __getitem__(self, frame: int, /) -> U8:
        row = int(self.rows[frame])
        pixels = self.images[max(row, 0)]
        return pixels if row >= 0 else np.zeros_like(pixels)


@dataclass(frozen=True, slots=True)
class _VideoImages:
    """Reduced images of a video by frame of the take; dropped and damaged images are black."""

    video: CameraImages
    frame_index: I64
    size_px: tuple[int, int]

    def __getitem__(self, frame: int, /) -> U8:
        width, height = self.size_px
        index = int(self.frame_index[frame])
        image = self.video.read(index, self.size_px) if index >= 0 else None
        if image is None:
            return np.zeros((height, width, 3), np.uint8)
        if image.shape[:2] != (height, width):  # the decoder rounds differently
            image = np.asarray(cv2.resize(image, self.size_px, interpolation=cv2.INTER_LINEAR), np.uint8)
        return image


@contextmanager
def _open_images(take: Take, camera: str, size_px: tuple[int, int], damaged: DamagedImages) -> Iterator[_VideoImages]:
    """Open a camera's video, resized to a given size."""
    timeline = take.timeline()
    index = timeline.frame_index[:, timeline.cameras.index(camera)]
    with CameraImages(take, camera, damaged) as video:
        yield _VideoImages(video, index, size_px)


def _sizes(take: Take, rig: CameraRig, config: ModelConfig) -> dict[str, tuple[int, int]]:
    """Return width and height of the reduced images by camera, for cameras that filmed the take."""
    rows, columns = heatmap_size(rig, config.heatmap.long_side_px)
    stride = config.backbone.stride
    kept = {c.name: reduced_size(c.size_px, (rows * stride, columns * stride)) for c in rig if c.name in take.cameras}
    return {name: (width, height) for name, (height, width) in kept.items()}


def _is_current(path: Path, take: Take, camera: str, size_px: tuple[int, int]) -> bool:
    """Return whether a cache file is complete and newer than its sources."""
    if not path.is_file() or abs(path.stat().st_mtime - _origin_s(take, camera)) > _CLOCK_S:
        return False
    try:
        shape = np.load(path, mmap_mode="r").shape
    except (ValueError, OSError, EOFError):
        return False
    return bool(shape == (take.manifest.n_frames, size_px[1], size_px[0], 3))


def _origin_s(take: Take, camera: str) -> float:
    """Return the newest modification time of the files that contain a camera's images; clocks may be wrong."""
    sources = (take.video_path(camera), take.layout.timestamps, take.layout.manifest)
    return max(source.stat().st_mtime for source in sources)


def _require_room(take: Take, sizes_px: list[tuple[int, int]]) -> None:
    """Check that files of these sizes fit, since writing to a mapped file on a full disk kills the process."""
    needed = sum(3 * width * height for width, height in sizes_px) * take.manifest.n_frames
    free = shutil.disk_usage(take.layout.root).free
    if needed and needed + _RESERVED_BYTES > free:
        raise CoreError(
            f"The reduced images of take {take.name} need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free.",
            "Free disk space, train on a shorter take, or lower model.heatmap.long_side_px.",
        )
