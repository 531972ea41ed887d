"""Sound of a camera: packets beside those of its images, on the same clock."""

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
    """A packet of sound.

    Attributes:
        time_ns: Time of its first sample, on the clock of the images.
        data: The packet as the camera sent it.
    """

    time_ns: int
    data: av.Packet


class SoundTrack:
    """The sound of an open source, used by the thread that reads it.

    Args:
        stream: Stream of the source.
    """

    def __init__(self, stream: av.AudioStream) -> None:
        self.stream = stream
        self._waiting: list[SoundPacket] = []

    def put(self, packet: SoundPacket) -> None:
        """Add a packet that came."""
        self._waiting.append(packet)

    def take(self) -> list[SoundPacket]:
        """Return the packets since the last call."""
        taken, self._waiting = self._waiting, []
        return taken


class SoundMaker:
    """Packets to store: those of the camera where Matroska holds their codec, else the same sound as PCM.

    Args:
        stream: Stream of the camera's packets.

    Attributes:
        codec: Name of the camera's codec; empty for an unknown one.
        text: Codec and sample rate for people.
        form: What has to stay the same within a file.
        template: Stream whose parameters a file with these packets needs.

    Raises:
        CoreError: The sound cannot be read.
    """

    def __init__(self, stream: av.AudioStream) -> None:
        context: Any = stream.codec_context
        self.codec = "" if context is None else str(context.codec.canonical_name)
        if context is None or context.sample_rate <= 0 or context.layout.nb_channels <= 0:
            raise CoreError(
                f"its sound ({self.codec or 'of an unknown form'}) cannot be read.",
                "Choose AAC or G.711 in the settings of the camera.",
            )
        self.text = f"{self.codec}, {context.sample_rate / 1000:g} kHz"
        self.form = (self.codec, int(context.sample_rate), int(context.layout.nb_channels))
        self._decoder: Any = None
        self._scratch = av.open(os.devnull, "w", format="matroska")
        try:
            # A copy of the parameters, since those of the source end with its connection.
            self.template: av.AudioStream = self._scratch.add_stream_from_template(stream)
        except ValueError:  # such as G.711 and what telephones use
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
        """Yield what is to be stored of a packet; nothing of a damaged one."""
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
        """Release the copy."""
        self._scratch.close()
