"""Decoding of one camera's images in the background, by Python threads that do not use Qt."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.errors import CoreError
from core.rendering.draw import Layer
from core.session.video import MissingImageError, VideoReader
from core.types.arrays import U8

DrawLayer = Callable[[int, tuple[int, int]], Layer | None]
"""Draws the layer over the image of a frame, for a width and height; called on the decoder's thread."""

_BACKWARD = 16
"""Largest step back, in images, over which the images in between are cached too."""

_QUALITY = 85
"""JPEG quality of cached images: a tenth of the memory, for a fraction of the time that decoding the video takes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageRequest:
    """Request for an image.

    Attributes:
        frame: Frame of the take; returned with the reply.
        index: Index of the image in the file.
        size_px: Width and height that the image must fit into.
        draw: Draws a layer over the image; None for the image alone.
    """

    frame: int
    index: int
    size_px: tuple[int, int]
    draw: DrawLayer | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageReply:
    """Reply to a request.

    Attributes:
        frame: Frame of the request.
        image: (H, W, 3) uint8 RGB image, or None if it cannot be read.
        layer: Layer drawn by `ImageRequest.draw`, or None.
        problem: Message if the image cannot be read; otherwise empty.
    """

    frame: int
    image: U8 | None
    layer: Layer | None = None
    problem: str = ""


class ImageDecoder:
    """Decoder of one video on its own thread.

    It holds one request and one reply: a newer request replaces a pending one, so that scrubbing never builds up a
    queue. The owner polls for the reply. While there is no request, images are decoded ahead until the memory is full.
    All those of some minutes of video fit into it at the size of a pane: any of them is there at once then.

    Args:
        path: Video file.
        rotation_deg: Clockwise rotation of the stored images.
        cache_bytes: Memory for recently decoded images.

    Attributes:
        ahead_share: Fraction of the time, 0 to 1, in which images are decoded ahead; takes effect with the next
            request.
    """

    def __init__(self, path: Path, rotation_deg: int = 0, cache_bytes: int = 32 << 20) -> None:
        self._path, self._rotation_deg = path, rotation_deg
        self.ahead_share = 1.0
        self._cache = ImageCache(cache_bytes)
        self._last = -1
        self._ahead_px = (0, 0)  # size of images that are decoded ahead; (0, 0) for none yet
        self._damaged: set[int] = set()  # images that cannot be decoded ahead
        self._changed = threading.Condition()
        self._request: ImageRequest | None = None
        self._reply: ImageReply | None = None
        self._busy = self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"images-{path.stem}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> bool:
        """True if a reply is pending or not yet taken."""
        with self._changed:
            return self._busy or self._request is not None or self._reply is not None

    @property
    def cached(self) -> int:
        """Number of cached images."""
        return len(self._cache)

    def request(self, request: ImageRequest) -> None:
        """Request an image; replaces a pending request."""
        with self._changed:
            self._request = request
            self._changed.notify()

    def take_reply(self) -> ImageReply | None:
        """Return the newest reply since the last call, or None."""
        with self._changed:
            reply, self._reply = self._reply, None
            return reply

    def stop(self) -> None:
        """Ask the thread to end, without waiting."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended; after `stop`, at most the time to decode one image."""
        self._thread.join()

    def _work(self) -> None:
        reader: VideoReader | None = None
        try:
            while (request := self._next(reader)) is not None:
                try:
                    reader = reader or VideoReader(self._path, self._rotation_deg)
                    image = self._read(reader, request)
                    layer = None
                    if request.draw is not None and image is not None:
                        layer = request.draw(request.frame, (image.shape[1], image.shape[0]))
                    reply = ImageReply(frame=request.frame, image=image, layer=layer)
                except CoreError as error:
                    reply = ImageReply(frame=request.frame, image=None, problem=str(error))
                self._finish(reply)
        finally:
            if reader is not None:
                reader.close()

    def _read(self, reader: VideoReader, request: ImageRequest) -> U8 | None:
        """Return the image from the cache or the file, or None if the thread must end meanwhile."""
        self._ahead_px = request.size_px
        image = self._cache.get(request.index, request.size_px)
        if image is not None:
            return image
        # A step back makes the decoder restart at a key frame, possibly hundreds of images before, and decode images
        # that the next steps back will request.
        first = request.index
        if 0 < self._last - request.index <= _BACKWARD:
            first = max(0, request.index - _BACKWARD)
        for index in range(first, request.index + 1):
            if self._closing:
                break
            try:
                image = reader.read(index, request.size_px)
            except MissingImageError:
                if index == request.index:
                    raise
            else:
                self._cache.put(index, request.size_px, image)
        self._last = request.index
        return image

    def _next(self, reader: VideoReader | None) -> ImageRequest | None:
        """Return the next request, and decode ahead until there is one; None if the thread must end."""
        rest_s = 0.0
        while True:
            ahead = None if reader is None else self._missing(reader)
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closing or self._request is not None, rest_s if ahead is not None else None
                )
                if self._closing:
                    return None
                if self._request is not None:
                    request, self._request, self._busy = self._request, None, True
                    return request
            assert reader is not None and ahead is not None
            began = time.perf_counter()
            try:
                self._cache.put(ahead, self._ahead_px, reader.read(ahead, self._ahead_px))
                self._last = ahead
            except CoreError:
                self._damaged.add(ahead)  # reported when the image is requested
            rest_s = (time.perf_counter() - began) * (1 / max(self.ahead_share, 1e-3) - 1)

    def _missing(self, reader: VideoReader) -> int | None:
        """Return an image to decode ahead, the next one that is not cached; None if there is nothing to do."""
        size_px, n = self._ahead_px, reader.n_frames
        done = self._cache.count(size_px) + len(self._damaged) >= n
        if done or not self.ahead_share or not self._cache.has_room(size_px):
            return None
        order = itertools.chain(range(self._last + 1, n), range(self._last + 1))
        return next((i for i in order if i not in self._damaged and not self._cache.has(i, size_px)), None)

    def _finish(self, reply: ImageReply) -> None:
        with self._changed:
            self._reply, self._busy = reply, False


class ImageCache:
    """Least-recently-used cache of images as JPEG, within a memory budget.

    Args:
        budget: Size in bytes.
    """

    def __init__(self, budget: int) -> None:
        self._budget, self._bytes = budget, 0
        self._images: OrderedDict[tuple[tuple[int, int], int], U8] = OrderedDict()
        self._sums: dict[tuple[int, int], tuple[int, int]] = {}  # number of images and bytes of each size

    def __len__(self) -> int:
        return len(self._images)

    def count(self, size_px: tuple[int, int]) -> int:
        """Return the number of images of a size."""
        return self._sums.get(size_px, (0, 0))[0]

    def has_room(self, size_px: tuple[int, int]) -> bool:
        """Return True if another image of a size fits into the memory without dropping one of that size."""
        stored, size = self._sums.get(size_px, (0, 0))
        return stored > 0 and size + size / stored <= self._budget

    def has(self, index: int, size_px: tuple[int, int]) -> bool:
        """Return True if the image of an index and size is stored."""
        return (size_px, index) in self._images

    def get(self, index: int, size_px: tuple[int, int]) -> U8 | None:
        """Return the (H, W, 3) RGB image of an index and size, or None if it is not cached."""
        data = self._images.get((size_px, index))
        if data is None:
            return None
        self._images.move_to_end((size_px, index))
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert image is not None
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def put(self, index: int, size_px: tuple[int, int], image: U8) -> None:
        """Store an (H, W, 3) RGB image. The least recently used ones are dropped."""
        _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        self._drop((size_px, index))
        self._images[size_px, index] = data
        self._count(size_px, 1, data.nbytes)
        while self._bytes > self._budget and len(self._images) > 1:
            self._drop(next(iter(self._images)))

    def _drop(self, key: tuple[tuple[int, int], int]) -> None:
        data = self._images.pop(key, None)
        if data is not None:
            self._count(key[0], -1, -data.nbytes)

    def _count(self, size_px: tuple[int, int], images: int, size: int) -> None:
        stored, stored_bytes = self._sums.get(size_px, (0, 0))
        self._sums[size_px] = stored + images, stored_bytes + size
        self._bytes += size
