"""Previews: small live images of all cameras in shared memory, for other processes."""

from __future__ import annotations

import cv2
import numpy as np

from core.capture.images import VideoImage
from core.capture.ring import ImageRing
from core.errors import CoreError
from core.progress import Reporter
from core.types.arrays import F64, U8
from core.types.frame import Frame

PREVIEW_PX = 640
"""Longer side of a preview in px."""


class Previews:
    """Ring of live images per camera.

    The metadata of an image are the `index` of its frame set (-1 before the first), `time_ns`, the `size_px` of the
    full image, and the `corners` of the board in px of the full image.

    Args:
        reporter: Receives a note if there is no shared memory.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._rings: dict[str, ImageRing] = {}
        self._failed = False

    @property
    def names(self) -> dict[str, str]:
        """Name of the ring by camera."""
        return {camera: ring.name for camera, ring in self._rings.items()}

    def put(self, frame: Frame, index: int, corners_px: F64 | None) -> bool:
        """Publish an image unless it is damaged.

        Args:
            frame: The image.
            index: Index of its frame set.
            corners_px: (n, 2) corners of the board in px of the full image; None if it was not seen.

        Returns:
            True if the camera has a new ring.
        """
        if self._failed:
            return False
        try:
            image, size_px = _small(frame)
        except CoreError:
            return False
        new = frame.camera not in self._rings
        try:
            if new:
                self._rings[frame.camera] = ImageRing(PREVIEW_PX**2)
        except CoreError as error:
            self._failed = True
            self._reporter.note(f"There are no previews. {error.message} {error.hint}", "warning")
            return False
        corners = [] if corners_px is None else np.round(corners_px, 1).tolist()
        info = {"index": index, "time_ns": frame.time_ns, "size_px": size_px, "corners": corners}
        self._rings[frame.camera].put(image, info)
        return new

    def close(self) -> None:
        """Remove all rings."""
        for ring in self._rings.values():
            ring.close()


def _small(frame: Frame) -> tuple[U8, tuple[int, int]]:
    """Return a frame's image, scaled down (before the conversion to RGB if possible), and its full size in px."""
    if not isinstance(frame.data, VideoImage):
        full = frame.image
        size_px, size = (full.shape[1], full.shape[0]), _within(full.shape[1], full.shape[0])
        small = full if size == size_px else cv2.resize(full, size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8), size_px
    size_px = frame.data.size_px
    return np.asarray(frame.data.converted("rgb24", _within(*size_px)).to_ndarray(), np.uint8), size_px


def _within(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, PREVIEW_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
