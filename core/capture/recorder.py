"""Recording of several cameras at once: one thread per camera, packets stored as they arrive.

Files are written so that a crash costs the last images only: Matroska in short clusters, and one line per image in a
table of times.
"""

from __future__ import annotations

import contextlib
import csv
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TextIO

import av

from core.capture.images import as_video_frame
from core.capture.source import Source
from core.capture.synchronizer import Synchronizer
from core.clock import SYSTEM_CLOCK, Clock
from core.disk import disk_error
from core.errors import CoreError
from core.passwords import without_passwords
from core.session.layout import TakeLayout
from core.types.frame import Frame, FrameSet

Opener = Callable[[str, str], Source]
"""Starts a camera, given its name and address."""

_CONTAINER = {"flush_packets": "1", "cluster_time_limit": "500"}  # ms of video that a crash may cost
_TICK = Fraction(1, 1_000_000)
_MATROSKA_TICK = 1000  # in units of _TICK
_JPEG_QUALITY = "3"  # of images that have to be encoded; about 0.15 bytes per pixel
_JOIN_S = 0.02
_MAX_FRAMES = 32  # per camera that wait for their frame set; 100 MB of decoded 1080p images


@dataclass(slots=True, kw_only=True, eq=False)
class CameraState:
    """State of a running camera.

    Attributes:
        size_px: Width and height in px; None until it runs.
        frames: Number of frames so far.
        first_ns: Time of the first frame.
        last_ns: Time of the latest frame.
        latest: The latest frame, for previews.
        problem: Reason why it does not run; empty if it does.
        ended: True once it sends no more frames.
    """

    size_px: tuple[int, int] | None = None
    frames: int = 0
    first_ns: int = 0
    last_ns: int = 0
    latest: Frame | None = field(default=None, repr=False)
    problem: str = ""
    ended: bool = False

    @property
    def fps(self) -> float:
        """Measured frame rate."""
        return (self.frames - 1) * 1e9 / (self.last_ns - self.first_ns) if self.last_ns > self.first_ns else 0.0


class Recorder:
    """Runs cameras until it is stopped, and stores what they send.

    Args:
        addresses: Address by camera name.
        folder: Folder of the take that is being made; None to watch only.
        opener: Starts a camera.
        clock: Clock that the sources use.
    """

    def __init__(
        self, addresses: Mapping[str, str], folder: TakeLayout | None, opener: Opener, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.cameras = {name: CameraState() for name in addresses}
        self._folder, self._opener, self._clock = folder, opener, clock
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._synchronizer = Synchronizer(tuple(addresses), max_frames=_MAX_FRAMES)
        self._frame_set: FrameSet | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(name, address), name=f"camera {name}", daemon=True)
            for name, address in addresses.items()
        ]
        self._ready = threading.Barrier(len(self._threads) + 1)
        for thread in self._threads:
            thread.start()
        self._ready.wait()

    @property
    def ended(self) -> bool:
        """Whether all cameras have ended."""
        return all(camera.ended for camera in self.cameras.values())

    @property
    def frame_set(self) -> FrameSet | None:
        """The latest complete frame set; None before the first."""
        return self._frame_set

    @property
    def dropped(self) -> dict[str, int]:
        """Number of frame sets that each camera is missing from."""
        with self._lock:
            return self._synchronizer.dropped

    @property
    def silent(self) -> tuple[str, ...]:
        """Running cameras that have stopped sending frames."""
        with self._lock:
            return self._synchronizer.silent

    def stop(self, timeout_s: float = 15.0) -> None:
        """End all cameras and close their files."""
        self._stop.set()
        deadline_ns = self._clock.now_ns() + round(timeout_s * 1e9)
        while any(thread.is_alive() for thread in self._threads) and self._clock.now_ns() < deadline_ns:
            self._clock.sleep(_JOIN_S)

    def _run(self, name: str, address: str) -> None:
        with self._clock.member():
            self._ready.wait()
            try:
                self._record(name, address)
            finally:
                with self._lock:
                    self._keep(self._synchronizer.end(name))
                self.cameras[name].ended = True

    def _record(self, name: str, address: str) -> None:
        camera = self.cameras[name]
        try:
            with contextlib.closing(self._opener(name, address)) as source:
                camera.size_px = source.size_px
                with _writer(self._folder, name, source) as write:
                    for frame in source.frames():
                        if self._stop.is_set():  # it was asked to stop while it waited for this frame
                            break
                        write(frame)
                        camera.first_ns = camera.first_ns or frame.time_ns
                        camera.frames, camera.last_ns, camera.latest = camera.frames + 1, frame.time_ns, frame
                        with self._lock:
                            self._keep(self._synchronizer.push(frame))
                        if self._stop.is_set():
                            break
        except CoreError as error:
            camera.problem = f"{error.message} {error.hint}"
        except (av.error.FFmpegError, OSError, ValueError) as error:
            explained = disk_error(error)
            camera.problem = (
                f"{name} cannot be recorded: {without_passwords(str(error))}. Check the disk."
                if explained is None
                else f"{name} ended. {explained} What was recorded until then is kept."
            )

    def _keep(self, sets: list[FrameSet]) -> None:
        self._frame_set = sets[-1] if sets else self._frame_set


@contextlib.contextmanager
def _writer(folder: TakeLayout | None, name: str, source: Source) -> Iterator[Callable[[Frame], None]]:
    if folder is None:
        yield lambda frame: None
        return
    with (
        av.open(str(folder.video(name)), "w", container_options=_CONTAINER) as container,
        folder.frame_times(name).open("w", encoding="utf-8", buffering=1) as times,
    ):
        yield _Writer(container, times, source).write


class _Writer:
    """One camera's video and the table of its image times."""

    def __init__(self, container: av.container.OutputContainer, times: TextIO, source: Source) -> None:
        self._container, self._times, self._count, self._start_ns = container, times, 0, 0
        self._last_pts = -_MATROSKA_TICK
        self._copied = source.template is not None
        if source.template is not None:
            self._stream = container.add_stream_from_template(source.template)
        else:
            self._stream = container.add_stream("mjpeg", options={"qscale": _JPEG_QUALITY})
            self._stream.width, self._stream.height = source.size_px
            self._stream.pix_fmt, self._stream.time_base = "yuvj420p", _TICK
            self._stream.codec_context.time_base = _TICK  # the default, of 24 fps, refuses images that follow faster

    def write(self, frame: Frame) -> None:
        """Store an image; skips those before the first key frame, and those without a packet of their own."""
        if self._copied and (frame.packet is None or (not self._count and not frame.packet.is_keyframe)):
            return
        self._start_ns = self._start_ns or frame.time_ns
        # Matroska rounds to milliseconds; images of a burst would share a time stamp, and readers would drop them.
        pts = round((frame.time_ns - self._start_ns) / 1e6) * _MATROSKA_TICK
        pts = self._last_pts = max(pts, self._last_pts + _MATROSKA_TICK)
        if self._copied:
            packet = frame.packet
            packet.stream, packet.time_base = self._stream, _TICK
            packet.pts = packet.dts = pts
            self._container.mux(packet)
        else:
            image = as_video_frame(frame).reformat(format="yuvj420p")
            image.pts, image.time_base = pts, _TICK
            self._container.mux(self._stream.encode(image))
        self._times.write(f"{self._count},{frame.time_ns}\n")
        self._count += 1


def read_frame_times(path: Path) -> list[int]:
    """Read the times of one camera's images, as far as they were written.

    Args:
        path: Table with an image index and a time in ns per line.

    Returns:
        Increasing times in ns; empty if there is no table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if len(row) == 2 and row[0].isdigit() and row[1].isdigit()]
    except FileNotFoundError:
        return []
    times: list[int] = []
    for _, text in rows:
        # Two images with one time stamp stay two images.
        times.append(max(int(text), times[-1] + 1000) if times else int(text))
    return times
