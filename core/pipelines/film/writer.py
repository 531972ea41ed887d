"""Encoding of images to MP4 files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from core.disk import replacing
from core.errors import CoreError
from core.types.arrays import U8

_ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "crf": "19"},
    "libopenh264": {},
    "h264_videotoolbox": {"q": "70"},
    "h264_mf": {"rate_control": "quality", "quality": "80"},
}
_BITS_PER_PIXEL = 0.12  # for encoders without quality setting
_BT709 = 1


class FilmWriter:
    """Writer of an MP4 file (H.264, yuv420p).

    Args:
        path: Path of the file.
        size_px: Width and height, even numbers.
        fps: Frames per second.
    """

    def __init__(self, path: Path, size_px: tuple[int, int], fps: float) -> None:
        encoder = _encoder()
        # With the index first, browsers play the film while loading it.
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        rate = Fraction(fps).limit_denominator(1001)
        stream: Any = self._container.add_stream(encoder, rate=rate, options=_ENCODERS[encoder])
        self._stream = stream
        stream.width, stream.height = size_px
        stream.pix_fmt = "yuv420p"
        if encoder != "libx264":
            stream.bit_rate = int(_BITS_PER_PIXEL * size_px[0] * size_px[1] * fps)
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._count = 0

    def add(self, image: U8) -> None:
        """Add an image (H, W, 3) uint8 RGB."""
        frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = self._count, 1 / Fraction(self._stream.average_rate)
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Flush the encoder and complete the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Close the incomplete file."""
        self._container.close()


@contextmanager
def film_writer(path: Path, size_px: tuple[int, int], fps: float) -> Iterator[FilmWriter]:
    """Provide a writer for a film, which replaces an earlier one once complete.

    Raises:
        CoreError: There is no encoder for H.264.
        DiskError: The disk is full or cannot be written.
    """
    with replacing(path) as temporary:
        writer = FilmWriter(temporary, size_px, fps)
        try:
            yield writer
            writer.finish()
        except BaseException:
            with suppress(av.FFmpegError, OSError):  # the first error has the reason
                writer.abandon()
            raise


def _encoder() -> str:
    for name in _ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except (av.FFmpegError, ValueError):
            continue  # FFmpeg was built without it
        return name
    raise CoreError("This PyAV has no encoder for H.264.", "Install PyAV from PyPI: pip install --force-reinstall av.")
