"""Pictures of one camera, decoded beside the window: plain Python threads that never touch Qt."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2

from core.errors import CoreError
from core.session.video import VideoReader
from core.types.arrays import U8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureRequest:
    """What is wanted.

    Attributes:
        moment: Index in the take's timeline; passed through.
        index: Picture number in the file.
        size_px: Width and height that the picture should fit into.
    """

    moment: int
    index: int
    size_px: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureReply:
    """What was found.

    Attributes:
        moment: As requested.
        image: (H, W, 3) uint8 RGB, or None if it could not be read.
        problem: Why not, in words; empty if it could.
    """

    moment: int
    image: U8 | None
    problem: str = ""


class PictureSource:
    """Decodes one video on a thread of its own.

    There is room for one request and one reply: a newer request replaces one that was not begun, so scrubbing never
    builds up work. The owner asks for the reply when it suits it.

    Args:
        path: Video file.
        rotation_deg: Clockwise turn to apply to the stored pictures.
    """

    def __init__(self, path: Path, rotation_deg: int = 0) -> None:
        self._path, self._rotation_deg = path, rotation_deg
        self._changed = threading.Condition()
        self._request: PictureRequest | None = None
        self._reply: PictureReply | None = None
        self._busy = self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"pictures-{path.stem}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether a reply is still to come or to be taken."""
        with self._changed:
            return self._busy or self._request is not None or self._reply is not None

    def request(self, request: PictureRequest) -> None:
        """Asks for a picture, in place of any that was asked for before and is not begun."""
        with self._changed:
            self._request = request
            self._changed.notify()

    def take_reply(self) -> PictureReply | None:
        """The newest reply since the last call, or None."""
        with self._changed:
            reply, self._reply = self._reply, None
            return reply

    def stop(self) -> None:
        """Tells the thread to end; does not wait for it."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self) -> None:
        """Waits until the thread has ended; at most one picture's decoding after `stop`."""
        self._thread.join()

    def _work(self) -> None:
        reader: VideoReader | None = None
        try:
            while (request := self._next()) is not None:
                try:
                    reader = reader or VideoReader(self._path, self._rotation_deg)
                    image = fitted(reader.read(request.index), request.size_px)
                    reply = PictureReply(moment=request.moment, image=image)
                except CoreError as error:
                    reply = PictureReply(moment=request.moment, image=None, problem=str(error))
                self._finish(reply)
        finally:
            if reader is not None:
                reader.close()

    def _next(self) -> PictureRequest | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._request is not None)
            if self._closing:
                return None
            request, self._request, self._busy = self._request, None, True
            return request

    def _finish(self, reply: PictureReply) -> None:
        with self._changed:
            self._reply, self._busy = reply, False


def fitted(image: U8, size_px: tuple[int, int]) -> U8:
    """The picture scaled down to fit into a width and height; never scaled up."""
    height, width = image.shape[:2]
    scale = min(size_px[0] / width, size_px[1] / height)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Averaging over areas costs twice as much as a half-size step, and moving pictures do not show the difference.
    while width >= 2 * size[0] and height >= 2 * size[1]:
        width, height = width // 2, height // 2
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
