"""Files of one camera in a take, written so that a crash costs the last images only.

Matroska in short clusters, and one line per image in a table of times.
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
    "cluster_time_limit": "500",  # ms of video that a crash may cost
    "max_interleave_delta": "200000",  # us for which images wait for sound, so that both lie in order in the file
}
_TICKS_PER_MS = 1000
_SILENT_NS = 5_000_000_000  # of images without sound
_BACK_MS = 100  # by which times of sound may go back, as those of a network camera do while they settle


class TakeFiles:
    """One camera's video and table of image times, made with the first image.

    Args:
        folder: Folder of the take.
        name: Name of the camera.
        sound: Store its sound as well.

    Attributes:
        form: Codec and size of the images; None before the first.
        refused: True while images cannot be stored.
        sound: Whether sound is stored where there is some.
    """

    def __init__(self, folder: TakeLayout, name: str, sound: bool) -> None:
        self.form: tuple[str, tuple[int, int]] | None = None
        self.refused = False
        self.sound = sound
        self._sound_form: tuple[str, int, int] | None = None
        self._sound_ms, self._heard_ns, self._silent = 0, 0, False
        self._video, self._table = folder.video(name), folder.frame_times(name)
        self._container: av.container.OutputContainer | None = None
        self._times: TextIO | None = None
        self._count = self._start_ns = 0
        self._last_ns, self._last_ms = -1, -1
        self._needs_key = True

    def write(self, packet: Packet, maker: PacketMaker, sound: SoundMaker | None, missed: bool) -> bool:
        """Store a packet; return False for one that cannot be decoded, since what it builds on is missing."""
        self._needs_key |= missed
        if (self._needs_key and not packet.key) or packet.frame.time_ns <= self._last_ns:
            return False
        self._needs_key = False
        if self._container is None:
            self._open(maker, sound, packet.frame)
        assert self._container is not None and self._times is not None
        self._last_ns = packet.frame.time_ns
        # Matroska keeps whole ms; images of a burst would share one, and readers would drop all but one of them.
        self._last_ms = max((self._last_ns - self._start_ns + 500_000) // 1_000_000, self._last_ms + 1)
        data = packet.data
        data.stream, data.time_base = self._stream, TICK
        data.pts = data.dts = self._last_ms * _TICKS_PER_MS
        self._container.mux(data)
        write_image_time(self._times, self._count, self._last_ms, packet.frame)
        self._count += 1
        return True

    def write_sound(self, packet: SoundPacket, maker: SoundMaker) -> float:
        """Store sound from the first image on; return for how long it was missing in s, 0 if it was not.

        Raises:
            ValueError: The camera came back with other sound.
        """
        if self._container is None or self._sound_form is None or not self.sound:
            return 0.0
        if maker.form != self._sound_form:
            raise ValueError(f"it is {maker.text} now")
        time_ms = (packet.time_ns - self._start_ns + 500_000) // 1_000_000
        if time_ms < max(self._sound_ms - _BACK_MS, 0):
            return 0.0
        self._sound_ms = max(time_ms, self._sound_ms)
        for part in maker.packets(packet):
            data = part.data
            data.stream, data.time_base = self._sound_stream, TICK
            data.pts = data.dts = self._sound_ms * _TICKS_PER_MS
            data.duration = 0  # in ticks of the camera; players know it from the codec
            self._container.mux(data)
        gap_ns, was_silent = packet.time_ns - self._heard_ns, self._silent
        self._heard_ns, self._silent = max(self._heard_ns, packet.time_ns), False
        return gap_ns / 1e9 if was_silent else 0.0

    def fell_silent(self) -> bool:
        """Return whether the sound has just been found missing."""
        missing = self.sound and self._sound_form is not None and self._last_ns - self._heard_ns > _SILENT_NS
        fell, self._silent = missing and not self._silent, missing
        return fell

    def close(self) -> None:
        """Complete the files.

        Raises:
            OSError: The disk is full; what is in the files can be read.
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
        self.form, self._start_ns = (maker.codec, maker.size_px), first.time_ns
        if self.sound and sound is not None:
            self._sound_stream = self._container.add_stream_from_template(sound.template)
            self._sound_form, self._heard_ns = sound.form, first.time_ns
