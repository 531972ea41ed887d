"""Storage of one camera's images: a thread that encodes and writes, behind a bounded queue.

The camera's reader never waits for it. While no take is recorded, the packets of the last seconds are kept in memory,
so that a take can begin with what happened before its start.

Files are written so that a crash costs the last images only: Matroska in short clusters, and one line per image in a
table of times.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

import av
import av.error

from core.capture.encoder import TICK, Packet, PacketMaker
from core.disk import disk_error
from core.passwords import without_passwords
from core.session.layout import TakeLayout
from core.session.times_table import TIMES_HEADER, write_image_time
from core.types.frame import Frame

Note = Callable[[str], None]
"""Receives a warning for the user."""

_CONTAINER = {"flush_packets": "1", "cluster_time_limit": "500"}  # ms of video that a crash may cost
_TICKS_PER_MS = 1000
_MOST_WAITING = 300  # images
_MOST_WAITING_BYTES = 64 << 20
_LONGEST_GROUP_NS = 10_000_000_000  # between two key frames; older images are of a connection that was lost
_MOST_KEPT_BYTES = 128 << 20  # of packets from before a take


@dataclass(slots=True, kw_only=True, eq=False)
class StoreState:
    """State of the storage of one camera.

    Attributes:
        codec: Name of the codec; empty before the first image.
        recorded: Number of images stored in the present take.
        lost: Number of images since the beginning that could not be stored in time.
        written_bytes: Size of all packets that came so far.
        waiting: Number of images in the queue.
        problem: Reason why the take gets no images of this camera; empty if it does.
    """

    codec: str = ""
    recorded: int = 0
    lost: int = 0
    written_bytes: int = 0
    waiting: int = 0
    problem: str = ""


@dataclass(slots=True, eq=False)
class _Begin:
    folder: TakeLayout
    since_ns: int


@dataclass(slots=True, eq=False)
class _End:
    done: threading.Event = field(default_factory=threading.Event)


class CameraStore:
    """Keeps the images of one camera: in memory for a while, and in the files of a take.

    Args:
        name: Name of the camera.
        pre_roll_s: Seconds before the start of a take that it contains; with 0, images are encoded during takes only.
        waits: Whether to wait while the queue is full, as a simulated clock allows; else images are left out.
        note: Receives warnings.
    """

    def __init__(self, name: str, pre_roll_s: float, waits: bool, note: Note) -> None:
        self.state = StoreState()
        self._name, self._pre_roll_ns, self._waits, self._note = name, round(pre_roll_s * 1e9), waits, note
        self._queue: deque[Frame | PacketMaker | _Begin | _End | None] = deque()
        self._changed = threading.Condition()
        self._images = self._most = 0
        self._maker: PacketMaker | None = None
        self._kept: deque[Packet] = deque()
        self._kept_bytes = 0
        self._take: _TakeFiles | None = None
        self._needs_key = False
        self._thread = threading.Thread(target=self._run, name=f"store {name}", daemon=True)
        self._thread.start()

    def opened(self, maker: PacketMaker, image_bytes: int) -> None:
        """Use another way to make packets from now on, since the camera was opened.

        Args:
            maker: How its images become packets.
            image_bytes: Size of an image in the queue.
        """
        self._most = max(8, min(_MOST_WAITING, _MOST_WAITING_BYTES // max(image_bytes, 1)))
        self._put(maker)

    def add(self, frame: Frame) -> bool:
        """Add an image; return whether there was room for it."""
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

    def begin(self, folder: TakeLayout, since_ns: int) -> None:
        """Begin to store a take.

        Args:
            folder: Folder of the take.
            since_ns: Time of its start; what is in memory of the time before is part of the take.
        """
        self._put(_Begin(folder, since_ns))

    def end(self) -> threading.Event:
        """End the take; the event is set once its files are complete."""
        end = _End()
        self._put(end)
        return end.done

    def close(self) -> None:
        """End the thread, after what is in the queue."""
        self._put(None)

    @property
    def closed(self) -> bool:
        """Whether the thread has ended."""
        return not self._thread.is_alive()

    def _put(self, item: PacketMaker | _Begin | _End | None) -> None:
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
            if item is None:
                break
            if isinstance(item, Frame):
                self._store(item, missed)
            elif isinstance(item, _Begin):
                self._begin(item)
            elif isinstance(item, _End):
                self._end()
                item.done.set()
            else:
                self._use(item)
        self._end()
        if self._maker is not None:
            self._maker.close()

    def _use(self, maker: PacketMaker) -> None:
        if self._maker is not None:
            self._maker.close()
        self._maker, self.state.codec = maker, maker.codec
        self._clear()
        self._check_form()

    def _check_form(self) -> None:
        """Say whether the camera came back with other images than the take has."""
        if self._take is None or self._take.form is None or self._maker is None:
            return
        (codec, size), now = self._take.form, (self._maker.codec, self._maker.size_px)
        self._take.refused = (codec, size) != now
        self.state.problem = ""
        if self._take.refused:
            self._say(
                f"{self._name} came back with {now[1][0]}x{now[1][1]} px ({now[0]}); the take has "
                f"{size[0]}x{size[1]} px ({codec}). Its images are not stored until it is set back."
            )

    def _say(self, problem: str) -> None:
        self.state.problem = problem
        self._note(problem)

    def _begin(self, begin: _Begin) -> None:
        self._end()
        self.state.recorded, self.state.problem = 0, ""
        self._take = _TakeFiles(begin.folder, self._name)
        from_ns = begin.since_ns - self._pre_roll_ns
        before = [
            p.frame.time_ns for p in self._kept if p.key and from_ns - _LONGEST_GROUP_NS < p.frame.time_ns <= from_ns
        ]
        for packet in self._kept:
            if packet.frame.time_ns >= (before[-1] if before else from_ns):
                self._write(packet)
        self._clear()

    def _end(self) -> None:
        take, self._take = self._take, None
        if take is not None:
            try:
                take.close()
            except (av.error.FFmpegError, OSError, ValueError) as error:
                if not take.refused:  # it has been said
                    self._say(self._reason(error))

    def _store(self, frame: Frame, missed: bool) -> None:
        if self._maker is None or (self._maker.encodes and self._take is None and not self._pre_roll_ns):
            return
        try:
            packets = self._maker.packets(frame)
        except (av.error.FFmpegError, ValueError) as error:
            self._say(f"{self._name} sent an image that cannot be stored: {without_passwords(str(error))}.")
            return
        for packet in packets:
            self.state.written_bytes += packet.data.size
            if self._take is not None:
                self._write(packet, missed)
            else:
                self._keep(packet, missed)

    def _keep(self, packet: Packet, missed: bool) -> None:
        """Keep a packet for a take that may follow; what is kept begins with a key frame."""
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
        if self._kept_bytes > _MOST_KEPT_BYTES:
            self._clear()

    def _clear(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0

    def _write(self, packet: Packet, missed: bool = False) -> None:
        take = self._take
        assert take is not None and self._maker is not None
        if take.refused:
            return
        try:
            self.state.recorded += take.write(packet, self._maker, missed)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            take.refused = True
            self._say(self._reason(error))

    def _reason(self, error: Exception) -> str:
        explained = disk_error(error)
        if explained is None:
            return f"{self._name} cannot be recorded: {without_passwords(str(error))}. Check the disk."
        return f"{self._name} is no longer recorded. {explained} What was recorded until then is kept."


class _TakeFiles:
    """One camera's video and table of image times, made with the first image.

    Attributes:
        form: Codec and size of the images; None before the first.
        refused: True while images cannot be stored.
    """

    def __init__(self, folder: TakeLayout, name: str) -> None:
        self.form: tuple[str, tuple[int, int]] | None = None
        self.refused = False
        self._video, self._table = folder.video(name), folder.frame_times(name)
        self._container: av.container.OutputContainer | None = None
        self._times: TextIO | None = None
        self._count = self._start_ns = 0
        self._last_ns, self._last_ms = -1, -1
        self._needs_key = True

    def write(self, packet: Packet, maker: PacketMaker, missed: bool) -> bool:
        """Store a packet; return False for one that cannot be decoded, since what it builds on is missing."""
        self._needs_key |= missed
        if (self._needs_key and not packet.key) or packet.frame.time_ns <= self._last_ns:
            return False
        self._needs_key = False
        if self._container is None:
            self._open(maker, packet.frame)
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

    def _open(self, maker: PacketMaker, first: Frame) -> None:
        self._times = self._table.open("w", encoding="utf-8", buffering=1)
        self._times.write(TIMES_HEADER)
        self._container = av.open(str(self._video), "w", container_options=_CONTAINER)
        self._stream = self._container.add_stream_from_template(maker.template)
        self.form, self._start_ns = (maker.codec, maker.size_px), first.time_ns
