"""Lazy decoding of camera packets."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import av
import av.error
import numpy as np

from core.errors import CoreError
from core.types.arrays import U8
from core.types.frame import Frame


class VideoImage:
    """Image that is decoded once, on first access, from any thread.

    Args:
        decode: Function that returns the decoded image.
    """

    def __init__(self, decode: Callable[[], av.VideoFrame]) -> None:
        self._decode: Callable[[], av.VideoFrame] | None = decode
        self._decoded: av.VideoFrame | None = None
        self._lock = threading.RLock()  # the conversions of one FFmpeg image share a converter

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height in px."""
        decoded = self._native()
        return decoded.width, decoded.height

    def converted(self, pixel_format: str, size_px: tuple[int, int] | None = None) -> av.VideoFrame:
        """Return the image in another pixel format.

        Args:
            pixel_format: Format, as FFmpeg names it.
            size_px: Width and height to scale to before the conversion; None keeps the size.
        """
        width, height = size_px or (None, None)
        with self._lock:
            return self._native().reformat(width=width, height=height, format=pixel_format, interpolation="AREA")

    def rgb(self) -> U8:
        """Return the image as (H, W, 3) uint8 RGB."""
        with self._lock:
            return np.asarray(self._native().to_ndarray(format="rgb24"), np.uint8)

    def _native(self) -> av.VideoFrame:
        with self._lock:
            if self._decode is not None:
                self._decoded, self._decode = self._decode(), None
            assert self._decoded is not None
            return self._decoded


class JpegStream:
    """Decoder of single JPEG images, with the stream parameters for storing them without re-encoding.

    Args:
        first: A complete image.

    Raises:
        CoreError: The image cannot be read.
    """

    def __init__(self, first: bytes) -> None:
        try:
            self._container = av.open(io.BytesIO(first), mode="r", format="mjpeg")
        except (av.error.FFmpegError, ValueError) as error:
            raise CoreError(
                "The camera's JPEG images cannot be read.", "Choose another format of the camera."
            ) from error
        self.template = self._container.streams.video[0]
        self._context = av.CodecContext.create("mjpeg", "r")
        self._lock = threading.Lock()

    def packet(self, data: bytes) -> av.Packet:
        """Return an image as a packet that a recording can store."""
        packet = av.Packet(data)
        packet.is_keyframe = True
        return packet

    def decode(self, packet: av.Packet, camera: str) -> av.VideoFrame:
        """Decode an image.

        Raises:
            CoreError: The image is damaged; the message names the camera.
        """
        try:
            with self._lock:
                images: list[av.VideoFrame] = self._context.decode(packet)
            return images[0]
        except (av.error.FFmpegError, IndexError) as error:
            raise CoreError(f"{camera} sent a damaged image.", "Check its cable or network.") from error

    def close(self) -> None:
        """Release the decoder."""
        with self._lock:
            self._container.close()


def raw_image(data: bytes, size_px: tuple[int, int], pixel_format: str, bytes_per_line: int) -> av.VideoFrame:
    """Return raw pixels as an image.

    Args:
        data: Pixels of all planes, one plane after the other.
        size_px: Width and height in px.
        pixel_format: FFmpeg's name of the pixel format.
        bytes_per_line: Stride of the first plane in bytes; those of chroma planes are in proportion.
    """
    image = av.VideoFrame(*size_px, pixel_format)
    at = 0
    for number, plane in enumerate(image.planes):
        stride = bytes_per_line // 2 if number and len(image.planes) == 3 else bytes_per_line
        lines = np.frombuffer(data, np.uint8, stride * plane.height, at).reshape(plane.height, stride)
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        used = min(stride, plane.line_size)
        padded[:, :used] = lines[:, :used]
        plane.update(padded.tobytes())
        at += lines.size
    return image


def as_video_frame(frame: Frame, pixel_format: str) -> av.VideoFrame:
    """Return a frame's image in a pixel format of FFmpeg, without an intermediate RGB image where possible."""
    if isinstance(frame.data, VideoImage):
        return frame.data.converted(pixel_format)
    return av.VideoFrame.from_ndarray(frame.image, format="rgb24").reformat(format=pixel_format)
