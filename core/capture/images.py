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
        self._lock = threading.Lock()

    def decoded(self) -> av.VideoFrame:
        """Return the image in its native pixel format."""
        with self._lock:
            if self._decode is not None:
                self._decoded, self._decode = self._decode(), None
            assert self._decoded is not None
            return self._decoded

    def rgb(self) -> U8:
        """Return the image as (H, W, 3) uint8 RGB."""
        return np.asarray(self.decoded().to_ndarray(format="rgb24"), np.uint8)


def as_video_frame(frame: Frame) -> av.VideoFrame:
    """Return a frame's image as FFmpeg takes it, without a detour through RGB where possible."""
    if isinstance(frame.data, VideoImage):
        return frame.data.decoded()
    return av.VideoFrame.from_ndarray(frame.image, format="rgb24")
