"""Videos from image files without re-encoding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from core.errors import CoreError
from core.progress import Reporter, check

SUFFIX = ".mov"
"""Container that stores both JPEG and PNG unchanged."""

_CODECS = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG": "png"}
_TICK = Fraction(1, 90000)
_REMEDY = "Convert the images to JPEG or PNG of one size and import again."


def write_video(
    images: Sequence[Path], times_s: Sequence[float], fps: float, path: Path, reporter: Reporter
) -> tuple[int, int]:
    """Write image files as a video without changing their bytes.

    Args:
        images: JPEG or PNG files of one size, at least one.
        times_s: Increasing time of each image in s.
        fps: Nominal frame rate.
        path: Video to write, with `SUFFIX`.
        reporter: Reports cancellation of the job.

    Returns:
        Width and height in px.

    Raises:
        CoreError: An image cannot be read, or differs in format or size from the first one.
        CancelledError: The job is cancelled.
    """
    codec, size, pixel_format = _examine(images[0])
    with av.open(str(path), "w", format="mov") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = _TICK
        for image, time_s in zip(images, times_s, strict=True):
            check(reporter)
            if _examine(image)[:2] != (codec, size):
                raise CoreError(f"{image.name} differs in size or format from {images[0].name}.", _REMEDY)
            packet = av.Packet(image.read_bytes())
            packet.stream, packet.time_base, packet.is_keyframe = stream, _TICK, True
            packet.pts = packet.dts = round((time_s - times_s[0]) / _TICK)
            container.mux(packet)
    return size


def _examine(path: Path) -> tuple[str, tuple[int, int], str]:
    """Return the codec, size and pixel format of an image file."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        codec = next((name for mark, name in _CODECS.items() if start.startswith(mark)), None)
        if codec is None:
            raise CoreError(f"{path.name} is neither JPEG nor PNG.", _REMEDY)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return codec, (stream.width, stream.height), str(stream.format.name)
    except (OSError, IndexError, AttributeError, av.FFmpegError) as error:
        raise CoreError(f"{path.name} is damaged or incomplete.", "Copy it again, or leave it out.") from error
