"""Camera modes: image size, frame rate and format, chosen by default or in an address.

`v4l2:/dev/video0?size=1280x720&fps=30&format=mjpeg` chooses a mode; each part may be omitted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import CoreError

_COMPRESSED = ("mjpeg",)
_ENOUGH_FPS, _USUAL_FPS, _USUAL_RAW_FPS = 24.0, 60.0, 30.0
_USUAL_PX, _USUAL_RAW_PX = 1920 * 1080, 1280 * 720
"""Largest default image size in pixels; smaller for raw images, which have to be encoded."""

_PART = re.compile(
    r"size=(?P<width>\d{1,5})x(?P<height>\d{1,5})|fps=(?P<fps>\d{1,4}(\.\d{1,3})?)|format=(?P<format>\w+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraMode:
    """Image size, frame rate and format of a camera.

    Attributes:
        size_px: Width and height in px.
        fps: Frame rate; 0 if the camera does not report it.
        format: "mjpeg", or FFmpeg's name of the pixel format, such as "yuyv422".
    """

    size_px: tuple[int, int]
    fps: float
    format: str

    def __str__(self) -> str:
        """Return the mode as text."""
        return f"{self.size_px[0]}x{self.size_px[1]}, {self.fps:g} fps, {self.format}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeRequest:
    """Requested parts of a mode; None leaves a part to `best_mode`.

    Attributes:
        size_px: Width and height in px.
        fps: Frame rate.
        format: Format, as in `CameraMode`.
    """

    size_px: tuple[int, int] | None = None
    fps: float | None = None
    format: str | None = None


def split_mode(address: str) -> tuple[str, ModeRequest]:
    """Split an address into the camera and the mode that it chooses.

    Raises:
        CoreError: The part after the question mark is not a mode.
    """
    camera, mark, query = address.partition("?")
    if not mark:
        return address, ModeRequest()
    size_px, fps, name = None, None, None
    for part in query.split("&"):
        match = _PART.fullmatch(part)
        if match is None:
            raise CoreError(f"'{part}' is not a camera mode.", "Write for example ?size=1280x720&fps=30&format=mjpeg.")
        if match["width"]:
            size_px = int(match["width"]), int(match["height"])
        fps = float(match["fps"]) if match["fps"] else fps
        name = match["format"].lower() if match["format"] else name
    return camera, ModeRequest(size_px=size_px, fps=fps, format=name)


def with_mode(address: str, mode: CameraMode) -> str:
    """Return an address that chooses a mode."""
    size = f"size={mode.size_px[0]}x{mode.size_px[1]}"
    return f"{address.partition('?')[0]}?{size}&fps={mode.fps:g}&format={mode.format}"


def best_mode(modes: Sequence[CameraMode], request: ModeRequest, camera: str) -> CameraMode:
    """Return the best mode for recording people that meets a request.

    24 images per second come first, then size up to 1080p (720p for raw images, which have to be encoded), then MJPEG,
    which is stored as it arrives and needs a tenth of the bus, then up to 60 images per second (30 for raw images).

    Args:
        modes: Modes that the camera offers.
        request: Requested parts of the mode.
        camera: Name of the camera, for messages.

    Raises:
        CoreError: The camera has no such mode.
    """
    fitting = [
        mode
        for mode in modes
        if request.size_px in (None, mode.size_px)
        and (request.fps is None or not mode.fps or abs(mode.fps - request.fps) < 0.02 * request.fps)
        and request.format in (None, mode.format)
    ]
    if not fitting:
        offered = "; ".join(str(mode) for mode in ranked_modes(modes)[:6])
        raise CoreError(f"{camera} has no such mode.", f"It offers: {offered or 'none that can be read'}.")
    return max(fitting, key=_rank)


def ranked_modes(modes: Sequence[CameraMode]) -> list[CameraMode]:
    """Return distinct modes, the default one first."""
    return sorted(dict.fromkeys(modes), key=_rank, reverse=True)


def _rank(mode: CameraMode) -> tuple[bool, float, int, bool, float]:
    compressed = mode.format in _COMPRESSED
    pixels = mode.size_px[0] * mode.size_px[1]
    usual = pixels <= (_USUAL_PX if compressed else _USUAL_RAW_PX)
    usual_fps = _USUAL_FPS if compressed else _USUAL_RAW_FPS
    return (
        usual,
        min(mode.fps, _ENOUGH_FPS),
        pixels if usual else -pixels,
        compressed,
        -abs(mode.fps - usual_fps),
    )
