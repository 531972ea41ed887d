"""Packets to store: those of a camera, or raw images encoded by the fastest available encoder."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import av.error
import av.logging
import numpy as np

from core.capture.images import as_video_frame
from core.types.frame import Frame

TICK = Fraction(1, 1_000_000)
_GROUP = 15  # images per key frame: the most that a random access decodes
_MAX_ERROR = 12.0  # mean difference in grey levels up to which an encoder counts as working
_HARDWARE: dict[str, dict[str, str]] = {
    "h264_nvenc": {"preset": "p1", "tune": "ull", "rc": "constqp", "qp": "20", "zerolatency": "1", "delay": "0"},
    "h264_qsv": {"preset": "veryfast", "global_quality": "20", "async_depth": "1"},
    "h264_amf": {"usage": "ultralowlatency", "rc": "cqp", "qp_i": "20", "qp_p": "20"},
    "h264_videotoolbox": {"realtime": "1", "q": "70"},
}
# About 0.1 bytes per pixel. The option `qscale` has no effect: a rate control would choose the worst quality.
_SOFTWARE = {"qmin": "3", "qmax": "3", "huffman": "default"}


@dataclass(slots=True, eq=False)
class Packet:
    """Encoded image.

    Attributes:
        frame: Frame of the image.
        data: Encoded data.
        key: True if decoding can begin here.
    """

    frame: Frame
    data: av.Packet
    key: bool


class PacketMaker(Protocol):
    """Converter of the images of one camera to packets; used by one thread.

    Attributes:
        codec: Name of the codec.
        size_px: Width and height in px.
        template: Stream with the parameters for a file of these packets.
        encodes: True if images are encoded, which takes time.
    """

    codec: str
    size_px: tuple[int, int]
    template: av.VideoStream
    encodes: bool

    def packets(self, frame: Frame) -> list[Packet]:
        """Return the packets that an image completes."""

    def close(self) -> None:
        """Release the encoder."""


def packet_maker(template: av.VideoStream | None, size_px: tuple[int, int]) -> PacketMaker:
    """Return the converter for the images of a camera.

    Args:
        template: Stream of the camera's packets; None where images have to be encoded.
        size_px: Width and height in px.
    """
    if template is not None and not template.codec_context.has_b_frames:
        return _Copied(template, size_px)
    return _Encoded(*_fastest(size_px), size_px)


class _Copied:
    """Packets of the camera."""

    encodes = False

    def __init__(self, template: av.VideoStream, size_px: tuple[int, int]) -> None:
        self.codec, self.size_px = template.codec_context.codec.name, size_px
        self._scratch = av.open(os.devnull, "w", format="matroska")
        # A copy, because the parameters of the source end with its connection.
        self.template = self._scratch.add_stream_from_template(template)
        self._scratch.start_encoding()

    def packets(self, frame: Frame) -> list[Packet]:
        """Return the packet of an image, if it has one."""
        return [] if frame.packet is None else [Packet(frame, frame.packet, bool(frame.packet.is_keyframe))]

    def close(self) -> None:
        """Release the copied stream."""
        self._scratch.close()


class _Encoded:
    """Encoder of raw images."""

    encodes = True

    def __init__(self, encoder: str, options: dict[str, str], size_px: tuple[int, int]) -> None:
        self.codec, self.size_px = encoder, size_px
        self._scratch = av.open(os.devnull, "w", format="matroska")
        stream: Any = self._scratch.add_stream(encoder, options=options)
        self.template: av.VideoStream = stream
        stream.width, stream.height = size_px
        self._format = stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "nv12"
        stream.time_base = stream.codec_context.time_base = TICK  # the default of 1/24 s cannot represent higher rates
        if encoder != "mjpeg":
            stream.codec_context.gop_size, stream.codec_context.max_b_frames = _GROUP, 0
        self._scratch.start_encoding()
        self._waiting: dict[int, Frame] = {}
        self._last = -1

    def packets(self, frame: Frame) -> list[Packet]:
        """Encode an image; some encoders delay their output by one or two images."""
        image = as_video_frame(frame, self._format)
        image.pts = self._last = max(frame.time_ns // 1000, self._last + 1)
        image.time_base = TICK
        self._waiting[self._last] = frame
        return [
            Packet(self._waiting.pop(packet.pts), packet, bool(packet.is_keyframe))
            for packet in self.template.encode(image)
            if packet.pts in self._waiting
        ]

    def close(self) -> None:
        """Release the encoder."""
        self._scratch.close()


@functools.cache
def _fastest(size_px: tuple[int, int]) -> tuple[str, dict[str, str]]:
    """Return the name and options of the fastest encoder that passes a test on one image."""
    for encoder, options in _HARDWARE.items():
        try:
            with av.logging.Capture():
                if _works(encoder, options, size_px):
                    return encoder, options
        except (av.error.FFmpegError, ValueError, OSError):
            continue  # no such device, or no such encoder
    return "mjpeg", _SOFTWARE


def _works(encoder: str, options: dict[str, str], size_px: tuple[int, int]) -> bool:
    """Return whether a decoded image of an encoder resembles the original."""
    av.codec.Codec(encoder, "w")  # raises if FFmpeg was built without it
    width, height = size_px
    grey = np.add.outer(np.arange(height), np.arange(width)) * 255 // (width + height)
    image = av.VideoFrame.from_ndarray(np.repeat(grey[..., None], 3, 2).astype(np.uint8), format="rgb24")
    with av.open(os.devnull, "w", format="matroska") as scratch:
        stream: Any = scratch.add_stream(encoder, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "nv12"
        stream.time_base = stream.codec_context.time_base = TICK
        packets = [*stream.encode(image.reformat(format="nv12")), *stream.encode(None)]
        decoder: Any = av.CodecContext.create("h264", "r")
        decoder.extradata = stream.codec_context.extradata
        decoded = [shown for packet in [*packets, None] for shown in decoder.decode(packet)]
    return bool(decoded) and float(np.abs(decoded[0].to_ndarray(format="gray") * 1.0 - grey).mean()) < _MAX_ERROR
