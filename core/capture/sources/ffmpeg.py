"""Streams that FFmpeg's libraries read: the base of network cameras, plugged-in devices and video files."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import av
import av.error

from core.capture.images import VideoImage
from core.capture.source import SourceOptions
from core.errors import CoreError
from core.passwords import without_passwords
from core.types.frame import Frame

OPEN_S, READ_S = 8.0, 5.0
"""Timeouts of opening a stream and of waiting for its next packet."""

_NO_IMAGES = "Check that it is switched on, in the same network, and not in use by another program."


class FFmpegSource:
    """A stream read by FFmpeg; see `core.capture.source.Source`.

    Images of codecs without prediction between images, such as MJPEG, are decoded only when they are read.

    Args:
        target: URL, device or file, as FFmpeg names it.
        options: Shared settings of the recording.
        container: FFmpeg input format, where the target does not imply it.
        ffmpeg: Options for FFmpeg.
        paced: Deliver images at their presentation times, as a file must be played.

    Raises:
        CoreError: The stream cannot be opened, or has no video.
    """

    def __init__(
        self,
        target: str,
        options: SourceOptions,
        *,
        container: str | None = None,
        ffmpeg: dict[str, str] | None = None,
        paced: bool = False,
    ) -> None:
        shown = self._target = without_passwords(target)
        self._options, self._paced = options, paced
        begin = time.monotonic()
        try:
            self._container = av.open(target, format=container, options=ffmpeg or {}, timeout=(OPEN_S, READ_S))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            # A stream that times out during probing is reported as invalid data.
            slow = time.monotonic() - begin >= OPEN_S
            reason = "no data arrived in time" if slow else _reason(error)
            raise CoreError(f"{shown} cannot be opened: {reason}.", _NO_IMAGES if slow else _hint(error)) from error
        if not self._container.streams.video:
            self._container.close()
            raise CoreError(f"{shown} has no video.", "Choose another address of the camera.")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "SLICE"  # frame threads would delay images
        context = self._stream.codec_context
        self.size_px = (context.width, context.height)
        self.fps = float(self._stream.average_rate or self._stream.base_rate or 0)
        self.template: av.VideoStream | None = None if context.name.startswith("raw") else self._stream
        self._context = context
        self._intra_only = bool(context.codec.intra_only)
        self._decoding = threading.Lock()

    def frames(self) -> Iterator[Frame]:
        """See `Source.frames`."""
        index, first_s = 0, None
        try:
            for packet in self._container.demux(self._stream):
                time_ns = self._options.clock.now_ns()
                if self._paced and packet.pts is not None and self._stream.time_base is not None:
                    at_s = float(packet.pts * self._stream.time_base)
                    first_s = at_s if first_s is None else first_s
                    due_ns = self._options.start_ns + round(1e9 * (at_s - first_s))
                    self._options.clock.sleep((due_ns - time_ns) / 1e9)
                    time_ns = due_ns
                for data in self._images(packet):
                    yield Frame(
                        camera=self._options.camera,
                        index=index,
                        time_ns=time_ns,
                        data=data,
                        packet=packet if packet.size else None,
                    )
                    index += 1
        except (av.error.FFmpegError, OSError) as error:
            if not isinstance(error, av.error.EOFError):
                raise CoreError(
                    f"The connection to {self._target} was lost: {_reason(error)}.", "Check its cable or network."
                ) from error

    def close(self) -> None:
        """See `Source.close`."""
        with self._decoding:
            self._container.close()

    def _images(self, packet: av.Packet) -> list[VideoImage]:
        if self._intra_only:
            return [VideoImage(partial(self._decode, packet))] if packet.size else []
        try:
            return [VideoImage(partial(_identity, image)) for image in self._context.decode(packet)]
        except av.error.InvalidDataError:
            return []  # a damaged image; the next key frame decodes again

    def _decode(self, packet: av.Packet) -> av.VideoFrame:
        try:
            with self._decoding:
                decoded: list[Any] = self._context.decode(packet)
            image: av.VideoFrame = decoded[0]
        except (av.error.FFmpegError, IndexError) as error:
            raise CoreError(f"{self._target} sent a damaged image.", "Check its cable or network.") from error
        return image


def _identity(image: av.VideoFrame) -> av.VideoFrame:
    return image


def _reason(error: Exception) -> str:
    text = without_passwords(str(getattr(error, "strerror", "") or error))
    return text[:1].lower() + text[1:]


def _hint(error: Exception) -> str:
    if isinstance(error, PermissionError | av.error.PermissionError):
        return "Close other programs that use the camera, and check that you have permission to use it."
    if isinstance(error, ConnectionRefusedError | av.error.ConnectionRefusedError):
        return "Nothing answers there: check address and port, and that the camera is streaming."
    if isinstance(error, TimeoutError | av.error.TimeoutError | av.error.ExitError):
        return _NO_IMAGES
    return "Check the address on the camera's web page or in its app."
