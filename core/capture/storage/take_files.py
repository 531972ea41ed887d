"""Files of one camera in a take, written so that a crash loses only the last images.

The video is Matroska with short clusters; a table of times has one line per image.
"""

from __future__ import annotations

import contextlib
from typing import TextIO

import av

from core.capture.sound import SoundMaker, SoundPacket
from core.capture.storage.encoder import TICK, Packet, PacketMaker
from core.session.layout import TakeLayout
from core.session.times_table import TIMES_HEADER, write_image_time
from core.types.frame import Frame

_CONTAINER = {
    "flush_packets": "1",
    "cluster_time_limit": "500",  # ms of video that a crash may lose
    "max_interleave_delta": "200000",  # µs for which images wait for sound, to interleave both
}
_TICKS_PER_MS = 1000
_SILENT_NS = 5_000_000_000  # of images, after which sound counts as missing
_BACK_MS = 100  # by which sound may go back in time, as with a network camera at first


class TakeFiles:
    """Video and table of image times of one camera, created with the first image.

    Args:
        folder: Folder of the take.
        name: Name of the camera.
        sound: Store its sound.

    Attributes:
        format: Codec and size of the images; None before the first.
        refused: True while no images can be stored.
        sound: Store sound if there is any.
    """

    def __init__(self, folder: TakeLayout, name: str, sound: bool) -> None:
        self.format: tuple[str, tuple[int, int]] | None = None
        self.refused = False
        self.sound = sound
        self._sound_format: tuple[str, int, int] | None = None
        self._sound_ms, self._heard_ns, self._silent = 0, 0, False
        self._video, self._table = folder.video(name), folder.frame_times(name)
        self._container: av.container.OutputContainer | None = None
        self._times: TextIO | None = None
        self._count = self._start_ns = 0
        self._last_ns, self._last_ms = -1, -1
        self._needs_key = True

    def write(self, packet: Packet, maker: PacketMaker, sound: SoundMaker | None, missed: bool) -> bool:
        """Store a packet; return False for one that cannot be decoded, because an image that it needs is missing."""
        self._needs_key |= missed
        if (self._needs_key and not packet.key) or packet.frame.time_ns <= self._last_ns:
            return False
        self._needs_key = False
        if self._container is None:
            self._open(maker, sound, packet.frame)
        assert self._container is not None and self._times is not None
        self._last_ns = packet.frame.time_ns
        # Matroska's times are whole ms: images of a burst would share one, and readers would drop all but one of them.
        self._last_ms = max((self._last_ns - self._start_ns + 500_000) // 1_000_000, self._last_ms + 1)
        data = packet.data
        data.stream, data.time_base = self._stream, TICK
        data.pts = data.dts = self._last_ms * _TICKS_PER_MS
        self._container.mux(data)
        write_image_time(self._times, self._count, self._last_ms, packet.frame)
        self._count += 1
        return True

    def write_sound(self, packet: SoundPacket, maker: SoundMaker) -> float:
        """Store sound from the first image on; return the length of a gap that it ends in s, or 0.

        Raises:
            ValueError: The format of the sound has changed.
        """
        if self._container is None or self._sound_format is None or not self.sound:
            return 0.0
        if maker.format != self._sound_format:
            raise ValueError(f"it is {maker.text} now")
        time_ms = (packet.time_ns - self._start_ns + 500_000) // 1_000_000
        if time_ms < max(self._sound_ms - _BACK_MS, 0):
            return 0.0
        self._sound_ms = max(time_ms, self._sound_ms)
        for part in maker.packets(packet):
            data = part.data
            data.stream, data.time_base = self._sound_stream, TICK
            data.pts = data.dts = self._sound_ms * _TICKS_PER_MS
            data.duration = 0  # the packet has it in other units; players know it from the codec
            self._container.mux(data)
        gap_ns, was_silent = packet.time_ns - self._heard_ns, self._silent
        self._heard_ns, self._silent = max(self._heard_ns, packet.time_ns), False
        return gap_ns / 1e9 if was_silent else 0.0

    def fell_silent(self) -> bool:
        """Return True once when sound begins to be missing."""
        missing = self.sound and self._sound_format is not None and self._last_ns - self._heard_ns > _SILENT_NS
        fell, self._silent = missing and not self._silent, missing
        return fell

    def close(self) -> None:
        """Complete the files.

        Raises:
            OSError: The disk is full; the files are readable up to there.
        """
        with contextlib.ExitStack() as closing:
            if self._times is not None:
                closing.callback(self._times.close)
            if self._container is not None:
                closing.callback(self._container.close)

    def _open(self, maker: PacketMaker, sound: SoundMaker | None, first: Frame) -> None:
        self._times = self._table.open("w", encoding="utf-8", buffering=1)
        self._times.write(TIMES_HEADER)
        self._container = av.open(str(self._video), "w", container_options=_CONTAINER)
        self._stream = self._container.add_stream_from_template(maker.template)
        self.format, self._start_ns = (maker.codec, maker.size_px), first.time_ns
        if self.sound and sound is not None:
            self._sound_stream = self._container.add_stream_from_template(sound.template)
            self._sound_format, self._heard_ns = sound.format, first.time_ns
