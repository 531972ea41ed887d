"""Network cameras: RTSP, MJPEG over HTTP, and other streams that FFmpeg opens by URL."""

from __future__ import annotations

from core.capture.source import FoundCamera, Source, SourceOptions
from core.capture.sources.ffmpeg import FFmpegSource
from core.passwords import with_password

_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp")
_LOW_LATENCY = {"fflags": "nobuffer", "flags": "low_delay", "probesize": "500000", "analyzeduration": "500000"}


class NetworkCameras:
    """Cameras with a URL; see `core.capture.source.SourceKind`."""

    title = "Network camera"
    example = "rtsp://host/stream or http://host/video"
    simulated = False

    def accepts(self, address: str) -> bool:
        """Return whether an address is a URL of a supported protocol."""
        return address.partition("://")[0].lower() in _SCHEMES and "://" in address

    def discover(self) -> list[FoundCamera]:
        """Return nothing: these protocols have no discovery."""
        return []

    def open(self, address: str, options: SourceOptions) -> Source:
        """Connect to a camera; RTSP runs over TCP, which loses no packets."""
        tcp = {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}
        return FFmpegSource(with_password(address), options, ffmpeg=_LOW_LATENCY | tcp)


KIND = NetworkCameras()
