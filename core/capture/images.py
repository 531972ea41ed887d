"""Decoding of camera packets on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable

import av
import numpy as np

from core.types.arrays import U8
from core.types.frame import Frame


class VideoImage:
    """An image that is decoded at most once, on first access, from any thread.

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
            size_px: Width and height to which it is scaled before it is converted; None for its own.
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


def as_video_frame(frame: Frame, pixel_format: str) -> av.VideoFrame:
    """Return a frame's image as FFmpeg takes it, without a detour through RGB where possible."""
    if isinstance(frame.data, VideoImage):
        return frame.data.converted(pixel_format)
    return av.VideoFrame.from_ndarray(frame.image, format="rgb24").reformat(format=pixel_format)
