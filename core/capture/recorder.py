"""Several cameras recorded at once: a thread each, their packets copied as they come, the newest image for a preview.

Files are written so that a crash loses the last frames only: Matroska, and a line an image in a table of times.
"""

from __future__ import annotations

import contextlib
import csv
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TextIO

import av

from core.capture.source import Opener, Shot, Source
from core.errors import CoreError
from core.files import write_text

TIMES = "timestamps.csv"
_SAFE = {"flush_packets": "1", "cluster_time_limit": "500"}  # ms that a crash may cost
_CLOCK = Fraction(1, 1_000_000)
_QUALITY = "3"  # of images that have to be encoded; about 0.15 bytes a pixel


@dataclass(slots=True, kw_only=True, eq=False)
class Watched:
    """What a camera does now.

    Attributes:
        size_px: Width and height; None until it runs.
        frames: Images so far.
        first_ns: Time of the first one.
        last_ns: Time of the newest one.
        newest: It, for a preview.
        problem: Why it does not run; empty if it does.
        ended: Whether nothing more will come.
    """

    size_px: tuple[int, int] | None = None
    frames: int = 0
    first_ns: int = 0
    last_ns: int = 0
    newest: av.VideoFrame | None = field(default=None, repr=False)
    problem: str = ""
    ended: bool = False

    @property
    def fps(self) -> float:
        """Images a second, as they really come."""
        return (self.frames - 1) * 1e9 / (self.last_ns - self.first_ns) if self.last_ns > self.first_ns else 0.0


class Recorder:
    """Runs cameras until it is stopped.

    Args:
        addresses: By camera name.
        folder: Where videos and times go; None only watches.
        opener: Starts a camera.
    """

    def __init__(self, addresses: Mapping[str, str], folder: Path | None, opener: Opener) -> None:
        self.watched = {name: Watched() for name in addresses}
        self.folder = folder
        self._opener = opener
        self._stop = threading.Event()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._threads = [
            threading.Thread(target=self._run, args=(name, address), name=f"camera {name}", daemon=True)
            for name, address in addresses.items()
        ]
        for thread in self._threads:
            thread.start()

    @property
    def all_ended(self) -> bool:
        """Whether no camera runs any more."""
        return all(camera.ended for camera in self.watched.values())

    def stop(self, patience_s: float = 15.0) -> None:
        """Ends all cameras and closes their files."""
        self._stop.set()
        for thread in self._threads:
            thread.join(patience_s)

    def _run(self, name: str, address: str) -> None:
        camera = self.watched[name]
        try:
            source = self._opener(address)
        except CoreError as error:
            camera.problem, camera.ended = f"{error.message} {error.hint}", True
            return
        camera.size_px = source.size_px
        try:
            with contextlib.closing(source), _writer(self.folder, name, source) as writer:
                for shot in source.shots():
                    writer.write(shot)
                    camera.first_ns = camera.first_ns or shot.time_ns
                    camera.frames, camera.last_ns, camera.newest = camera.frames + 1, shot.time_ns, shot.frame
                    if self._stop.is_set():
                        break
        except CoreError as error:
            camera.problem = f"{error.message} {error.hint}"
        except (av.error.FFmpegError, OSError) as error:
            camera.problem = f"{name} cannot be recorded: {error}. Check the disk."
        finally:
            camera.ended = True


@contextlib.contextmanager
def _writer(folder: Path | None, name: str, source: Source) -> Iterator[_Nowhere | _Writer]:
    if folder is None:
        yield _Nowhere()
        return
    with av.open(str(folder / f"{name}.mkv"), "w", container_options=_SAFE) as container, _table(folder, name) as times:
        yield _Writer(container, times, source)


def _table(folder: Path, name: str) -> TextIO:
    return (folder / f"{name}.times.csv").open("w", encoding="utf-8", buffering=1)


class _Nowhere:
    def write(self, shot: Shot) -> None:
        """Keeps nothing."""


class _Writer:
    """One camera's file and the times of its images."""

    def __init__(self, container: av.container.OutputContainer, times: TextIO, source: Source) -> None:
        self._container, self._times, self._count, self._start_ns = container, times, 0, 0
        if source.template is not None:
            self._stream = container.add_stream_from_template(source.template)
            self._copied = True
        else:
            self._stream = container.add_stream("mjpeg", options={"qscale": _QUALITY})
            self._stream.width, self._stream.height = source.size_px
            self._stream.pix_fmt, self._stream.time_base = "yuvj420p", _CLOCK
            self._copied = False

    def write(self, shot: Shot) -> None:
        """Adds an image. One that no packet of its own came with, or that cannot begin a file, is left out."""
        if self._copied and (shot.packet is None or (not self._count and not shot.packet.is_keyframe)):
            return
        self._start_ns = self._start_ns or shot.time_ns
        pts = (shot.time_ns - self._start_ns) // 1000
        if self._copied:
            assert shot.packet is not None
            packet = shot.packet
            packet.stream, packet.time_base = self._stream, _CLOCK
            packet.pts = packet.dts = pts
            self._container.mux(packet)
        else:
            frame = shot.frame.reformat(format="yuvj420p")
            frame.pts, frame.time_base = pts, _CLOCK
            self._container.mux(self._stream.encode(frame))
        self._times.write(f"{self._count},{shot.time_ns}\n")
        self._count += 1


def finish(folder: Path) -> list[Path]:
    """Makes a table of times for what a recorder left in a folder, also after a crash, and drops what is empty.

    Returns:
        The videos.

    Raises:
        CoreError: No camera recorded anything.
    """
    rows: list[tuple[str, int, int]] = []
    videos = []
    for table in sorted(folder.glob("*.times.csv")):
        name = table.name.removesuffix(".times.csv")
        video = folder / f"{name}.mkv"
        times = _read_times(table)
        count = _images(video)
        if not count or not times:
            video.unlink(missing_ok=True)
            continue
        # A crash may cost images, or times, at the end.
        rows += [(name, index, time_ns) for index, time_ns in enumerate(times[:count])]
        videos.append(video)
    if not videos:
        raise CoreError("Nothing was recorded.", "See that the cameras run before you stop.")
    start = min(time_ns for _, _, time_ns in rows)
    lines = ["cam_id,frame_index,frame_time", *(f"{n},{i},{(t - start) / 1e9:.9f}" for n, i, t in rows)]
    write_text(folder / TIMES, "\n".join(lines) + "\n")
    return videos


def _read_times(table: Path) -> list[int]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 2 and row[0].isdigit() and row[1].isdigit()]
    times = [int(row[1]) for row in rows]
    # A clock that stands still for an image would not be believed.
    return [max(t, times[i - 1] + 1000) if i else t for i, t in enumerate(times)]


def _images(video: Path) -> int:
    """How many images a file has, however it ended."""
    count = 0
    with contextlib.suppress(av.error.FFmpegError, OSError), av.open(str(video)) as container:
        for packet in container.demux(video=0):
            count += packet.size > 0
    return count
