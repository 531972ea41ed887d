"""USB and built-in cameras: V4L2 on Linux, DirectShow on Windows, AVFoundation on macOS."""

from __future__ import annotations

import sys
from typing import Any

import av
import av.error

from core.capture.modes import ModeRequest, split_mode
from core.capture.source import FoundCamera, Source, SourceOptions
from core.capture.sources.ffmpeg import FFmpegSource
from core.errors import CoreError

_PLATFORMS = {"v4l2": "linux", "dshow": "win32", "avfoundation": "darwin"}
_USUAL_FPS = "30"


class DeviceCameras:
    """USB and built-in cameras; see `core.capture.source.SourceKind`."""

    title = "USB or built-in camera"
    example = "v4l2:/dev/video0, dshow:Name of the camera, avfoundation:0"
    simulated = False

    def accepts(self, address: str) -> bool:
        """Return whether an address names a capture API of this or another system."""
        return address.partition(":")[0].lower() in _PLATFORMS

    def discover(self) -> list[FoundCamera]:
        """Return the plugged-in cameras; on Linux with modes and with addresses that survive a reboot."""
        api = next((api for api, platform in _PLATFORMS.items() if sys.platform.startswith(platform)), "")
        if api == "v4l2":
            from core.capture.sources.linux_devices import discover_linux

            return discover_linux()
        return _listed_by_ffmpeg(api) if api else []

    def open(self, address: str, options: SourceOptions) -> Source:
        """Open a device in the mode chosen by its address."""
        api, _, name = address.partition(":")
        api = api.lower()
        if not sys.platform.startswith(_PLATFORMS[api]):
            raise CoreError(f"This system has no {api} cameras.", "Choose one of the cameras found on this computer.")
        name, request = split_mode(name)
        if api == "v4l2":
            from core.capture.sources.linux_devices import V4l2Source

            return V4l2Source(name, request, options)
        target = f"video={name}" if api == "dshow" else name
        return FFmpegSource(target, options, container=api, ffmpeg=_ffmpeg_options(api, request))


def _ffmpeg_options(api: str, request: ModeRequest) -> dict[str, str]:
    """Return FFmpeg's options for a mode; AVFoundation needs a frame rate that the camera supports."""
    chosen: dict[str, str] = {"rtbufsize": "256M"} if api == "dshow" else {"framerate": _USUAL_FPS}
    if request.size_px is not None:
        chosen["video_size"] = f"{request.size_px[0]}x{request.size_px[1]}"
    if request.fps is not None:
        chosen["framerate"] = f"{request.fps:g}"
    if request.format is not None:
        chosen["vcodec" if request.format == "mjpeg" and api == "dshow" else "pixel_format"] = request.format
    return chosen


def _listed_by_ffmpeg(api: str) -> list[FoundCamera]:
    """Return the cameras that FFmpeg lists, without modes."""
    try:
        devices: Any = av.enumerate_input_devices(api)
    except (AttributeError, av.error.FFmpegError, OSError, ValueError):
        return []
    return [
        FoundCamera(address=f"{api}:{device.name}", title=str(getattr(device, "description", "") or device.name))
        for device in devices
        if "video" in getattr(device, "media_types", ["video"])
    ]


KIND = DeviceCameras()
