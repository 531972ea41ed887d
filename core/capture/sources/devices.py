"""Cameras plugged into this computer: V4L2 on Linux, DirectShow on Windows, AVFoundation on macOS."""

from __future__ import annotations

import sys
from typing import Any

import av
import av.error

from core.capture.source import FoundCamera, Source, SourceOptions
from core.capture.sources.ffmpeg import FFmpegSource
from core.errors import CoreError

_PLATFORMS = {"v4l2": "linux", "dshow": "win32", "avfoundation": "darwin"}


class DeviceCameras:
    """USB and built-in cameras; see `core.capture.source.SourceKind`."""

    title = "USB or built-in camera"
    example = "v4l2:/dev/video0, dshow:Name of the camera, avfoundation:0"
    simulated = False

    def accepts(self, address: str) -> bool:
        """Return whether an address names a capture API, of this or another system."""
        return address.partition(":")[0].lower() in _PLATFORMS

    def discover(self) -> list[FoundCamera]:
        """Return the plugged-in cameras."""
        api = next((api for api, platform in _PLATFORMS.items() if sys.platform.startswith(platform)), "")
        if not api:
            return []
        try:
            devices: Any = av.enumerate_input_devices(api)
        except (AttributeError, av.error.FFmpegError, OSError, ValueError):
            return []
        return [
            FoundCamera(address=f"{api}:{device.name}", title=str(getattr(device, "description", "") or device.name))
            for device in devices
            if "video" in getattr(device, "media_types", ["video"])
        ]

    def open(self, address: str, options: SourceOptions) -> Source:
        """Start a device, with MJPEG rather than raw images where it offers both."""
        api, _, name = address.partition(":")
        api = api.lower()
        if not sys.platform.startswith(_PLATFORMS[api]):
            raise CoreError(f"This system has no {api} cameras.", "Choose a camera found on this computer.")
        target = f"video={name}" if api == "dshow" else name
        if api == "v4l2":
            try:
                return FFmpegSource(target, options, container=api, ffmpeg={"input_format": "mjpeg"})
            except CoreError:
                pass  # the camera offers raw images only, or fails again below with the same reason
        return FFmpegSource(target, options, container=api)


KIND = DeviceCameras()
