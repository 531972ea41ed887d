"""Network cameras: RTSP, MJPEG over HTTP, and other protocols of FFmpeg."""

from __future__ import annotations

from core.capture.source import FoundCamera, Source, SourceOptions
from core.capture.sources.ffmpeg import FFmpegSource
from core.capture.sources.http_mjpeg import open_http_mjpeg
from core.passwords import with_password

_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp")
_LOW_LATENCY = {"fflags": "nobuffer", "flags": "low_delay", "probesize": "500000", "analyzeduration": "500000"}
_UDP = "#udp"
_RTSP = {
    # Cameras drop packets on slow connections; FFmpeg notices only with a reordering queue.
    "tcp": {"rtsp_transport": "tcp", "max_delay": "100000", "reorder_queue_size": "2"},
    # Wait at most 0.1 s for a lost packet; the system's default buffer is too small for a key frame of 1080p.
    "udp": {"rtsp_transport": "udp", "max_delay": "100000", "buffer_size": str(4 << 20)},
}


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
        """Connect to a camera; RTSP uses TCP, which loses no packets, unless the address ends with `#udp`."""
        url = with_password(address)
        scheme = url.partition("://")[0].lower()
        if scheme == "http" and (source := open_http_mjpeg(url, options)) is not None:
            return source
        rtsp = scheme.startswith("rtsp")
        transport = _RTSP["udp" if url.endswith(_UDP) else "tcp"] if rtsp else {}
        return FFmpegSource(url.removesuffix(_UDP), options, ffmpeg=_LOW_LATENCY | transport, rtp=rtsp)


KIND = NetworkCameras()
