"""Images of the cameras of a take, of which damaged ones count as missing."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from core.progress import Reporter
from core.session.store import Take
from core.session.video import MissingImageError, VideoReader
from core.types.arrays import U8


class DamagedImages:
    """Images that were requested but cannot be decoded, by camera."""

    def __init__(self) -> None:
        self._images: dict[str, set[int]] = {}

    def add(self, camera: str, index: int) -> None:
        """Count an image once, however often it is requested; may be called by several threads."""
        self._images.setdefault(camera, set()).add(index)

    def report(self, reporter: Reporter) -> None:
        """Note the damaged images of each camera."""
        for camera, images in sorted(self._images.items()):
            n, first = len(images), min(images)
            what = f"{n} images cannot be decoded and count" if n > 1 else "1 image cannot be decoded and counts"
            reporter.note(
                f"{camera}: {what} as missing; the first is image {first} of the video. Copy the video from the camera "
                "again and import it.",
                "warning",
            )


class CameraImages:
    """Reader of the images of one camera of a take; not thread-safe.

    Args:
        take: The take.
        camera: Its camera.
        damaged: Receives the images that cannot be decoded.

    Raises:
        CoreError: The video is missing or unreadable, or none of its images can be decoded.
    """

    def __init__(self, take: Take, camera: str, damaged: DamagedImages) -> None:
        self.camera, self._damaged = camera, damaged
        self._video = VideoReader(take.video_path(camera), take.camera(camera).rotation_deg)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the upright images."""
        return self._video.size_px

    def read(self, index: int, within_px: tuple[int, int] | None = None) -> U8 | None:
        """Return an image as `VideoReader.read` does; None if it is damaged."""
        try:
            return self._video.read(index, within_px)
        except MissingImageError:
            self._damaged.add(self.camera, index)
            return None

    def read_gray(self, index: int) -> U8 | None:
        """Return the luma of an image as `VideoReader.read_gray` does; None if the image is damaged."""
        try:
            return self._video.read_gray(index)
        except MissingImageError:
            self._damaged.add(self.camera, index)
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._video.close()
