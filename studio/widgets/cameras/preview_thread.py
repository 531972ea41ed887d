"""Thread that reads and scales live images, so that the window only paints them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage

from core.capture.ring import ImageRingReader, RingImage
from core.errors import CoreError
from core.types.arrays import F64

_PERIOD_S = 0.03


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preview:
    """A new image of a camera.

    Attributes:
        image: Image, scaled to the size at which it is shown.
        corners_px: (n, 2) corners of the board, in px of `image`.
    """

    image: QImage
    corners_px: F64


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewSource:
    """Source of the images of a camera, and their size on the screen.

    Attributes:
        ring: Name of the ring buffer.
        width_px: Width of the camera's full images, in whose pixels the corners are given.
        shown_px: Width and height of the area for the image, in device px.
    """

    ring: str
    width_px: int
    shown_px: tuple[int, int]


class PreviewThread:
    """Reads the newest image of each camera; an image that the window does not fetch in time is replaced."""

    def __init__(self) -> None:
        self._sources: dict[str, PreviewSource] = {}
        self._ready: dict[str, Preview] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="previews", daemon=True)
        self._thread.start()

    def set_sources(self, sources: Mapping[str, PreviewSource]) -> None:
        """Replace the sources, by camera name."""
        with self._lock:
            self._sources = dict(sources)

    def fetch(self) -> dict[str, Preview]:
        """Return the images that are new since the last call, by camera name."""
        with self._lock:
            ready, self._ready = self._ready, {}
        return ready

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        readers: dict[str, ImageRingReader] = {}
        while not self._stop.wait(_PERIOD_S):
            with self._lock:
                sources = dict(self._sources)
            rings = {source.ring for source in sources.values()}
            for ring in readers.keys() - rings:
                readers.pop(ring).close()
            for name, source in sources.items():
                try:
                    if source.ring not in readers:
                        readers[source.ring] = ImageRingReader(source.ring)
                except CoreError:
                    continue  # the cameras have just stopped
                newest = readers[source.ring].newest()
                if newest is not None:
                    preview = _scaled(newest, source)
                    with self._lock:
                        self._ready[name] = preview
        for reader in readers.values():
            reader.close()


def _scaled(newest: RingImage, source: PreviewSource) -> Preview:
    height, width = newest.image.shape[:2]
    image = QImage(newest.image.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    size = QSize(width, height)
    if size.width() > source.shown_px[0] or size.height() > source.shown_px[1]:
        size.scale(*source.shown_px, Qt.AspectRatioMode.KeepAspectRatio)
    # This format is painted without conversion. The copy is needed, as Qt would keep reading memory it does not own.
    converted = image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
    converted = converted.convertToFormat(QImage.Format.Format_RGB32)
    corners = np.asarray(newest.info.get("corners", ()), float).reshape(-1, 2)
    return Preview(image=converted, corners_px=(corners + 0.5) * (converted.width() / source.width_px) - 0.5)
