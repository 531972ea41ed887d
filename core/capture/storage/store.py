"""Storage of one camera: a thread that encodes and writes, behind a bounded queue.

The thread that reads the camera never waits for it. Between takes, the packets of the last seconds are kept in memory,
so that a take can include the time before its start.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import av
import av.error

from core.capture.sound import SoundMaker, SoundPacket
from core.capture.storage.encoder import Packet, PacketMaker
from core.capture.storage.take_files import TakeFiles
from core.disk import disk_error
from core.passwords import without_passwords
from core.session.layout import TakeLayout
from core.types.frame import Frame

Note = Callable[[str], None]
"""Receives a warning for the user."""

_MOST_WAITING = 300  # images
_MOST_WAITING_BYTES = 64 << 20
_LONGEST_GROUP_NS = 10_000_000_000  # between two key frames; older packets belong to a lost connection
_MOST_KEPT_BYTES = 128 << 20  # of packets between takes
_MOST_SOUND = 4000  # packets; more than a minute of most codecs


@dataclass(slots=True, kw_only=True, eq=False)
class StoreState:
    """State of the storage of one camera.

    Attributes:
        codec: Name of the codec; empty before the first image.
        recorded: Number of images stored in the current take.
        lost: Total number of images that could not be stored in time.
        written_bytes: Total size of all packets.
        waiting: Number of images in the queue.
        problem: Reason why images of this camera are not stored; empty if they are.
        sound: Codec and sample rate of the sound; empty without sound.
        sound_lost: Total number of audio packets that could not be stored in time.
    """

    codec: str = ""
    recorded: int = 0
    lost: int = 0
    written_bytes: int = 0
    waiting: int = 0
    problem: str = ""
    sound: str = ""
    sound_lost: int = 0


@dataclass(slots=True, eq=False)
class _Opened:
    maker: PacketMaker
    sound: SoundMaker | None
    no_sound: str


@dataclass(slots=True, eq=False)
class _Begin:
    folder: TakeLayout
    since_ns: int
    sound: bool


@dataclass(slots=True, eq=False)
class _End:
    done: threading.Event = field(default_factory=threading.Event)


class CameraStore:
    """Storage of one camera's images in memory (pre-roll) and in the files of a take.

    Args:
        name: Name of the camera.
        pre_roll_s: Seconds that takes contain from before their start; with 0, images are encoded only during takes.
        waits: Wait while the queue is full, as a simulated clock allows, instead of discarding images.
        note: Function that receives warnings.
    """

    def __init__(self, name: str, pre_roll_s: float, waits: bool, note: Note) -> None:
        self.state = StoreState()
        self._name, self._pre_roll_ns, self._waits, self._note = name, round(pre_roll_s * 1e9), waits, note
        self._queue: deque[Frame | SoundPacket | _Opened | _Begin | _End | None] = deque()
        self._changed = threading.Condition()
        self._images = self._sounds = self._most = 0
        self._maker: PacketMaker | None = None
        self._sound: SoundMaker | None = None
        self._no_sound = ""
        self._kept: deque[Packet] = deque()
        self._kept_sound: deque[SoundPacket] = deque(maxlen=_MOST_SOUND)
        self._kept_bytes = 0
        self._take: TakeFiles | None = None
        self._needs_key = False
        self._thread = threading.Thread(target=self._run, name=f"store {name}", daemon=True)
        self._thread.start()

    def opened(self, maker: PacketMaker, image_bytes: int, sound: SoundMaker | None = None, no_sound: str = "") -> None:
        """Change the converters, because the camera was opened or reopened.

        Args:
            maker: Converter for its images.
            image_bytes: Memory of an image in the queue.
            sound: Converter for its sound; None without sound.
            no_sound: Reason why its sound cannot be stored; empty if it can.
        """
        self._most = max(8, min(_MOST_WAITING, _MOST_WAITING_BYTES // max(image_bytes, 1)))
        self._put(_Opened(maker, sound, no_sound))

    def add(self, frame: Frame) -> bool:
        """Queue an image; return False if the queue is full."""
        with self._changed:
            if self._images >= self._most:
                if not self._waits:
                    self.state.lost += 1
                    self._needs_key = True
                    return False
                self._changed.wait_for(lambda: self._images < self._most)
            self._queue.append(frame)
            self._images += 1
            self.state.waiting = self._images
            self._changed.notify_all()
        return True

    def add_sound(self, packet: SoundPacket) -> bool:
        """Queue an audio packet; return False if the queue is full."""
        with self._changed:
            if self._sounds >= _MOST_SOUND:
                if not self._waits:
                    self.state.sound_lost += 1
                    return False
                self._changed.wait_for(lambda: self._sounds < _MOST_SOUND)
            self._queue.append(packet)
            self._sounds += 1
            self._changed.notify_all()
        return True

    def begin(self, folder: TakeLayout, since_ns: int, *, sound: bool = False) -> None:
        """Begin to store a take.

        Args:
            folder: Folder of the take.
            since_ns: Time of its start, before which the take contains the pre-roll.
            sound: Store the sound.
        """
        self._put(_Begin(folder, since_ns, sound))

    def end(self) -> threading.Event:
        """End the take; the event is set once its files are complete."""
        end = _End()
        self._put(end)
        return end.done

    def close(self) -> None:
        """End the thread once the queue is empty."""
        self._put(None)

    @property
    def closed(self) -> bool:
        """True if the thread has ended."""
        return not self._thread.is_alive()

    def _put(self, item: _Opened | _Begin | _End | None) -> None:
        with self._changed:
            self._queue.append(item)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                item = self._queue.popleft()
                if isinstance(item, Frame):
                    self._images -= 1
                    self.state.waiting = self._images
                    self._changed.notify_all()
                    missed, self._needs_key = self._needs_key, False
                elif isinstance(item, SoundPacket):
                    self._sounds -= 1
                    self._changed.notify_all()
            if item is None:
                break
            if isinstance(item, Frame):
                self._store(item, missed)
            elif isinstance(item, SoundPacket):
                self._store_sound(item)
            elif isinstance(item, _Begin):
                self._begin(item)
            elif isinstance(item, _End):
                self._end()
                item.done.set()
            else:
                self._use(item)
        self._end()
        self._release()

    def _use(self, opened: _Opened) -> None:
        self._release()
        self._maker, self.state.codec = opened.maker, opened.maker.codec
        self._sound, self._no_sound = opened.sound, opened.no_sound
        self.state.sound = "" if opened.sound is None else opened.sound.text
        self._clear()
        self._check_format()
        self._note_no_sound()

    def _release(self) -> None:
        for maker in (self._maker, self._sound):
            if maker is not None:
                maker.close()

    def _check_format(self) -> None:
        """Refuse images, and note why, if the camera came back with another codec or image size."""
        if self._take is None or self._take.format is None or self._maker is None:
            return
        (codec, size), now = self._take.format, (self._maker.codec, self._maker.size_px)
        self._take.refused = (codec, size) != now
        self.state.problem = ""
        if self._take.refused:
            self._report(
                f"{self._name} came back with {now[1][0]}x{now[1][1]} px ({now[0]}), but the take has "
                f"{size[0]}x{size[1]} px ({codec}). Its images are not stored until the former format is restored."
            )

    def _note_no_sound(self) -> None:
        if self._no_sound and self._take is not None and self._take.sound:
            self._note(f"{self._name} is recorded without its sound: {self._no_sound}")

    def _report(self, problem: str) -> None:
        self.state.problem = problem
        self._note(problem)

    def _begin(self, begin: _Begin) -> None:
        self._end()
        self.state.recorded, self.state.problem = 0, ""
        self._take = TakeFiles(begin.folder, self._name, begin.sound)
        self._note_no_sound()
        from_ns = begin.since_ns - self._pre_roll_ns
        before = [
            p.frame.time_ns for p in self._kept if p.key and from_ns - _LONGEST_GROUP_NS < p.frame.time_ns <= from_ns
        ]
        first_ns = before[-1] if before else from_ns
        parts: list[tuple[int, int, Packet | SoundPacket]] = [
            (p.frame.time_ns, 0, p) for p in self._kept if p.frame.time_ns >= first_ns
        ]
        parts += [(p.time_ns, 1, p) for p in self._kept_sound]
        for _, _, packet in sorted(parts, key=lambda part: part[:2]):
            if isinstance(packet, Packet):
                self._write(packet)
            else:
                self._write_sound(packet)
        self._clear()

    def _end(self) -> None:
        take, self._take = self._take, None
        if take is not None:
            try:
                take.close()
            except (av.error.FFmpegError, OSError, ValueError) as error:
                if not take.refused:  # already noted otherwise
                    self._report(self._reason(error))

    def _store(self, frame: Frame, missed: bool) -> None:
        if self._maker is None or (self._maker.encodes and self._take is None and not self._pre_roll_ns):
            return
        try:
            packets = self._maker.packets(frame)
        except (av.error.FFmpegError, ValueError) as error:
            self._report(f"{self._name} sent an image that cannot be stored: {without_passwords(str(error))}.")
            return
        for packet in packets:
            self.state.written_bytes += packet.data.size
            if self._take is not None:
                self._write(packet, missed)
            else:
                self._keep(packet, missed)

    def _store_sound(self, packet: SoundPacket) -> None:
        if self._sound is None:
            return
        if self._take is None:
            self._kept_sound.append(packet)
        else:
            self._write_sound(packet)

    def _write_sound(self, packet: SoundPacket) -> None:
        """Store sound; if that fails, the take continues without it."""
        take = self._take
        assert take is not None and self._sound is not None
        try:
            back_s = take.write_sound(packet, self._sound)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            take.sound = False
            reason = disk_error(error) or f"{without_passwords(str(error))}."
            self._note(f"The sound of {self._name} is no longer recorded: {reason} Its images still are.")
            return
        if back_s:
            self._note(f"The sound of {self._name} is back after {back_s:.1f} s.")

    def _keep(self, packet: Packet, missed: bool) -> None:
        """Keep a packet for the pre-roll of the next take, which begins with a key frame."""
        if missed and not packet.key:
            self._clear()
        if not (self._kept or packet.key):
            return
        self._kept.append(packet)
        self._kept_bytes += packet.data.size
        oldest_ns = packet.frame.time_ns - self._pre_roll_ns
        key = next((i for i in range(1, len(self._kept)) if self._kept[i].key), 0)
        while key and self._kept[key].frame.time_ns <= oldest_ns:
            for _ in range(key):
                self._kept_bytes -= self._kept.popleft().data.size
            key = next((i for i in range(1, len(self._kept)) if self._kept[i].key), 0)
        while self._kept_sound and self._kept_sound[0].time_ns < self._kept[0].frame.time_ns:
            self._kept_sound.popleft()
        if self._kept_bytes > _MOST_KEPT_BYTES:
            self._clear()

    def _clear(self) -> None:
        self._kept.clear()
        self._kept_sound.clear()
        self._kept_bytes = 0

    def _write(self, packet: Packet, missed: bool = False) -> None:
        take = self._take
        assert take is not None and self._maker is not None
        if take.refused:
            return
        try:
            self.state.recorded += take.write(packet, self._maker, self._sound, missed)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            take.refused = True
            self._report(self._reason(error))
            return
        if take.fell_silent():
            self._note(f"{self._name} no longer sends sound. Its images are still recorded.")

    def _reason(self, error: Exception) -> str:
        explained = disk_error(error)
        if explained is None:
            return f"{self._name} cannot be recorded: {without_passwords(str(error))}. Check the disk."
        return f"{self._name} is no longer recorded. {explained} The recording up to then is kept."
