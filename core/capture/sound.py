"""Sound of a camera: audio packets on the clock of its images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error

from core.errors import CoreError


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """Audio packet.

    Attributes:
        time_ns: Time of its first sample, on the clock of the images.
        data: The packet as the camera sent it.
    """

    time_ns: int
    data: av.Packet


class SoundTrack:
    """Audio stream of an open source, used by the thread that reads the source.

    Args:
        stream: Audio stream of the source.
    """

    def __init__(self, stream: av.AudioStream) -> None:
        self.stream = stream
        self._waiting: list[SoundPacket] = []

    def put(self, packet: SoundPacket) -> None:
        """Add a received packet."""
        self._waiting.append(packet)

    def take(self) -> list[SoundPacket]:
        """Return the packets since the last call."""
        taken, self._waiting = self._waiting, []
        return taken


class SoundMaker:
    """Converter to packets that Matroska can store: those of the camera if its codec is supported, else PCM.

    Args:
        stream: Audio stream of the camera.

    Attributes:
        codec: Name of the camera's codec; empty for an unknown one.
        text: Codec and sample rate to show.
        format: Parameters that must not change within a file.
        template: Stream with the parameters for a file of these packets.

    Raises:
        CoreError: The sound cannot be decoded or stored.
    """

    def __init__(self, stream: av.AudioStream) -> None:
        context: Any = stream.codec_context
        self.codec = "" if context is None else str(context.codec.canonical_name)
        if context is None or context.sample_rate <= 0 or context.layout.nb_channels <= 0:
            raise CoreError(
                f"its sound ({self.codec or 'unknown codec'}) cannot be read.",
                "Choose AAC or G.711 in the settings of the camera.",
            )
        self.text = f"{self.codec}, {context.sample_rate / 1000:g} kHz"
        self.format = (self.codec, int(context.sample_rate), int(context.layout.nb_channels))
        self._decoder: Any = None
        self._scratch = av.open(os.devnull, "w", format="matroska")
        try:
            # A copy, because the parameters of the source end with its connection.
            self.template: av.AudioStream = self._scratch.add_stream_from_template(stream)
        except ValueError:  # such as G.711 and other telephony codecs
            channels = int(context.layout.nb_channels)
            layout = "mono" if channels == 1 else "stereo"
            self.template = self._scratch.add_stream("pcm_s16le", rate=context.sample_rate, layout=layout)
            self._resampler = av.AudioResampler("s16", layout)
            self._decoder = av.CodecContext.create(context.codec.name, "r")
            self._decoder.sample_rate, self._decoder.extradata = context.sample_rate, context.extradata
            self._decoder.layout = layout if channels <= 2 else context.layout
        try:
            self._scratch.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            self._scratch.close()
            raise CoreError(f"its sound ({self.codec}) cannot be stored: {error}.", "Choose another codec.") from error

    def packets(self, packet: SoundPacket) -> Iterator[SoundPacket]:
        """Yield the packets to store for a packet of the camera; none for a damaged one."""
        if self._decoder is None:
            yield packet
            return
        try:
            decoded = [part for whole in self._decoder.decode(packet.data) for part in self._resampler.resample(whole)]
        except (av.error.FFmpegError, ValueError):
            return
        if data := b"".join(part.to_ndarray().tobytes() for part in decoded):
            yield SoundPacket(packet.time_ns, av.Packet(data))

    def close(self) -> None:
        """Release the copied stream."""
        self._scratch.close()
