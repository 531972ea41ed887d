"""Exact random access to the images of a video file, with PyAV.

Frame counts and seeking by number are unreliable in many containers. Therefore the presentation times of all packets
are indexed once, without decoding, and an image is found by its time: seek to the key frame before it, and decode
forward.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from core.errors import CoreError
from core.types.arrays import F64, U8
from core.types.rate import frame_rate

_REMEDY = "If a video player can play it, convert it to MP4 (H.264) and try again."
_UNFINISHED = "The recording or the copy may be incomplete: copy it again from the camera."
_RAW_FORMATS = ("h264", "hevc", "vvc", "m4v", "mpegvideo", "mjpeg", "obu", "av1", "vc1", "dirac")
"""FFmpeg's formats of streams without a container, whose times are made up or missing."""

_LOST_S = 0.1  # tolerance of durations, for rounding and a last image of another length
_MAX_BOXES = 1000
_MOST_REORDERED = 64  # images between the decoding and the presentation of one; codecs use up to 32


class MissingImageError(CoreError):
    """An image of a video that cannot be decoded, or lies behind its end; the others can be read."""


class VideoReader:
    """Reader of a video file; not thread-safe.

    Images up to the next key frame are reached by decoding forward, others by seeking. The rotation stored in files of
    phones is applied.

    Args:
        path: A file that FFmpeg can read.
        rotation_deg: Clockwise rotation of the stored images: 0, 90, 180 or 270; None for that in the file.
        threaded: Decode with several threads. Off by default, so that many readers can run in parallel.

    Attributes:
        path: The file.
        rotation_deg: Clockwise rotation of the stored images in degrees.
        size_px: Width and height of the upright images.
        first: Index of the first image that can be decoded.
        repeated: Number of images that have the time of another one and cannot be reached.
        interlaced: True if the first image consists of two fields, exposed one after the other.

    Raises:
        CoreError: The file is missing, empty or not a video, its times start again, or none of its images can be
            decoded.
    """

    def __init__(self, path: Path | str, rotation_deg: int | None = None, *, threaded: bool = False) -> None:
        self.path = Path(path)
        self._container = self._open()
        try:
            self._stream = self._pick_stream()
            self._stream.thread_type = "AUTO" if threaded else "NONE"
            self._pts, self._key_pts = self._index()
            self._images: Iterator[Any] = iter(())
            self._skips = not threaded  # with threads, it would apply to other packets
            self._wanted: int | None = None  # time of the requested image
            self._position = -1  # index of the latest decoded image
            self._last: Any = None
            self._damaged: set[int] = set()
            first = self._first()
            self.first = self._position
            self.interlaced = bool(first.interlaced_frame)
            self.rotation_deg = _stored_rotation(first, self.path) if rotation_deg is None else rotation_deg % 360
            if self.rotation_deg % 90:
                raise CoreError(f"{self.path.name} is rotated by {self.rotation_deg} degrees.", _REMEDY)
        except BaseException:
            self._container.close()
            raise
        stored = (int(first.width), int(first.height))
        self._stored_px = stored
        self.size_px: tuple[int, int] = stored if self.rotation_deg % 180 == 0 else (stored[1], stored[0])

    @property
    def n_frames(self) -> int:
        """Number of images in the file."""
        return len(self._pts)

    @property
    def times_s(self) -> F64:
        """(n,) increasing time of each image in s from the first one; exact also for variable frame rates."""
        return np.asarray((self._pts - self._pts[0]) * float(self._stream.time_base))

    @property
    def start_s(self) -> float:
        """Time stamp of the first image in s."""
        return float(self._pts[0] * self._stream.time_base)

    @property
    def fps(self) -> float:
        """Frame rate over the whole file, see `frame_rate`; the nominal rate for a single image."""
        stated = float(self._stream.average_rate or 0)
        return frame_rate(self.times_s, stated) if self.n_frames > 1 else stated or 25.0

    @property
    def tick_s(self) -> float:
        """Resolution of the times in s."""
        return float(self._stream.time_base)

    @property
    def sound(self) -> str:
        """Codec of the sound; empty without sound."""
        context = next((stream.codec_context for stream in self._container.streams.audio), None)
        return "" if context is None else str(context.codec.canonical_name)

    @property
    def began(self) -> datetime | None:
        """Creation time in the metadata, usually in whole seconds; None if there is none."""
        stated = self._stream.metadata.get("creation_time") or self._container.metadata.get("creation_time")
        try:
            began = datetime.fromisoformat(stated) if stated else None
        except ValueError:
            return None
        # Cameras without a clock store the epoch of Unix or QuickTime.
        return began if began is None or began.year > 2000 else None

    @property
    def missing(self) -> int:
        """Number of images missing from those announced in the header."""
        if self._stream.frames > 0 and self._container.format.name != "matroska,webm":
            return max(int(self._stream.frames) - self._packets_read, 0)
        lost_s = _stated_duration(self._container, self._stream) - float(self.times_s[-1]) - 1 / self.fps
        return round(lost_s * self.fps) if lost_s > max(_LOST_S, 2 / self.fps) else 0

    def read(self, index: int, within_px: tuple[int, int] | None = None) -> U8:
        """Read an image.

        Args:
            index: Number of the image, 0 to `n_frames` - 1.
            within_px: Width and height to which the image is scaled down before the costly conversion to RGB; None for
                the recorded size.

        Returns:
            (H, W, 3) uint8 RGB, upright.

        Raises:
            MissingImageError: There is no such image, or it is damaged.
            CoreError: Its size is another one.
        """
        if not 0 <= index < self.n_frames:
            raise MissingImageError(
                f"{self.path.name} has {self.n_frames} images; image {index} was requested.",
                "Import the take again if its videos were replaced.",
            )
        return self._upright(self._decode(index), within_px)

    def read_gray(self, index: int) -> U8:
        """Read the luma of an image without conversion, for corner detectors.

        Args:
            index: Number of the image.

        Returns:
            (H, W) uint8, upright; limited range (16 to 235) is not expanded.

        Raises:
            CoreError: As `read`.
        """
        if not 0 <= index < self.n_frames:
            return self.read(index)[..., 0]  # raises
        decoded = self._decode(index)
        if (decoded.width, decoded.height) != self._stored_px or not decoded.format.name.startswith(("yuv4", "yuvj4")):
            return np.asarray(self.read(index) @ np.array([0.299, 0.587, 0.114]) + 0.5, np.uint8)
        if decoded.format.components[0].bits > 8:
            image: U8 = decoded.to_ndarray(format="gray")
        else:
            plane = decoded.planes[0]
            image = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: decoded.height, : decoded.width]
        return np.ascontiguousarray(np.rot90(image, -(self.rotation_deg // 90)))

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[U8]:
        """Yield images in order, each (H, W, 3) uint8 RGB.

        Args:
            start: First image.
            stop: Image after the last one; None for all.

        Raises:
            CoreError: See `read`.
        """
        for index in range(start, self.n_frames if stop is None else stop):
            yield self.read(index)

    def whole_frames(self) -> int:
        """Return the number of images up to the last decodable one, by decoding the end of the file."""
        self._wanted = None
        for key in self._key_pts[::-1]:
            self._seek(int(np.searchsorted(self._pts, key)))
            times = [_time(image) for image in self._images if not image.is_corrupt]
            self._position = -1
            known = [t for t in times if t is not None]
            if known:
                return int(np.searchsorted(self._pts, max(known), side="right"))
        return 0

    def close(self) -> None:
        """Close the file."""
        self._images, self._last, self._position = iter(()), None, -1
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> Any:
        if not self.path.is_file():
            raise CoreError(f"The video {self.path} does not exist.", "Check the path, or import the take again.")
        if self.path.stat().st_size == 0:
            raise CoreError(f"{self.path.name} is empty (0 bytes).", _UNFINISHED)
        try:
            container = av.open(str(self.path))
            if container.format.name in _RAW_FORMATS:
                container.close()
                raise no_times(self.path)
            return container
        except (av.FFmpegError, OSError, ValueError) as error:
            self._check_index()
            reason = getattr(error, "strerror", None) or str(error)
            raise CoreError(
                f"{self.path.name} cannot be read as a video: {reason}.", f"{_REMEDY} {_UNFINISHED}"
            ) from error

    def _check_index(self) -> None:
        if _lacks_index(self.path):
            raise CoreError(
                f"{self.path.name} is incomplete: its index (moov), written last, is missing.",
                "Copy it again from the camera. If the recording itself was interrupted, a tool such as untrunc "
                "restores it with the help of another video of the same camera.",
            )

    def _pick_stream(self) -> Any:
        stream = self._container.streams.best("video")
        if stream is None or stream.codec_context is None:
            self._check_index()
            raise CoreError(f"{self.path.name} has no video stream.", _REMEDY)
        if float(stream.time_base or 0) <= 0:
            raise CoreError(f"{self.path.name} has no time stamps.", _REMEDY)
        if self._container.format.name == "avi" and stream.codec_context.has_b_frames:
            # AVI stores no presentation times: those of reordered images are guesses.
            raise CoreError(f"{self.path.name} is an AVI file with reordered images (B-frames).", _REMEDY)
        return stream

    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the sorted presentation times of all images and of the key frames, in ticks of the stream.

        Raises:
            CoreError: There are no images, or their times start again within the file.
        """
        every, key = [], []
        self._packets_read = 0
        for packet in self._packets():
            pts = _time(packet)
            self._packets_read += pts is not None
            if packet.size and pts is not None:
                if not packet.is_discard:
                    every.append(pts)
                if packet.is_keyframe:  # the first images of a trimmed file may need a key frame that is not shown
                    key.append(pts)
        if not every:
            raise CoreError(f"{self.path.name} has no images.", _UNFINISHED)
        stored = np.array(every, np.int64)
        times, rank = np.unique(stored, return_inverse=True)
        keys = np.unique(np.array(key, np.int64))
        self.repeated = len(stored) - len(times)
        back = np.flatnonzero(np.maximum.accumulate(rank) - rank > _MOST_REORDERED)
        if len(back):
            raise CoreError(
                f"The times of {self.path.name} start again at image {back[0]} of {len(stored)}.",
                "It was probably joined from several recordings: import those, or join them again with ffmpeg -f "
                "concat, which continues the times.",
            )
        # A cut stream may start between key frames: nothing decodes before the first one. MP4 begins with one: an
        # image before it is damaged, and keeps its number.
        if len(keys) and not self._container.format.name.startswith("mov,mp4"):
            times = times[times >= keys[0]]
        return times, keys

    def _packets(self) -> Iterator[Any]:
        """Yield packets from the current position to the end of the file, except truncated ones."""
        try:
            for packet in self._container.demux(self._stream):
                if not packet.is_corrupt:
                    yield packet
        except av.FFmpegError:
            return  # an incomplete file ends within a packet

    def _decoded(self) -> Iterator[Any]:
        context = self._stream.codec_context
        for packet in self._packets():
            if self._skips:
                # Non-reference images before the requested one are skipped.
                pts = _time(packet)
                before = self._wanted is not None and pts is not None and pts < self._wanted
                context.skip_frame = "NONREF" if before else "DEFAULT"
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue  # a damaged packet loses only its own image, which `_decode` notices by the times
        try:
            yield from self._stream.codec_context.decode(None)
        except av.FFmpegError:
            return  # already flushed by the empty packet at the end of a complete file

    def _first(self) -> Any:
        """Return the first image that can be decoded."""
        try:
            return self._decode(0)
        except MissingImageError as error:
            if self._position < 0:
                raise CoreError(f"No image of {self.path.name} can be decoded.", f"{_REMEDY} {_UNFINISHED}") from error
            return self._last

    def _decode(self, index: int) -> Any:
        if index == self._position:
            return self._last
        if index in self._damaged:  # the search for it may take long
            raise self._missing_image(index)
        wanted = self._pts[index]
        self._wanted = int(wanted)
        if not self._reachable(index):
            self._seek(index)
        for image in self._images:
            pts = _time(image)
            if pts is None or pts < wanted:
                continue
            self._position, self._last = int(np.searchsorted(self._pts, pts)), image
            if pts == wanted:
                return image
            break
        else:
            self._position = -1
        self._damaged.update(range(index, self._position if self._position >= 0 else self.n_frames))
        raise self._missing_image(index)

    def _missing_image(self, index: int) -> MissingImageError:
        return MissingImageError(f"Image {index} of {self.path.name} cannot be decoded.", _UNFINISHED)

    def _reachable(self, index: int) -> bool:
        """Return whether decoding forward reaches the image without passing a key frame."""
        if self._position < 0 or index <= self._position:
            return False
        here, wanted = self._pts[self._position], self._pts[index]
        next_key = np.searchsorted(self._key_pts, here, side="right")
        return bool(index == self._position + 1 or next_key == len(self._key_pts) or self._key_pts[next_key] > wanted)

    def _seek(self, index: int) -> None:
        """Move the decoder to a key frame before the image."""
        wanted = int(self._pts[index])
        before = self._key_pts[self._key_pts <= wanted]
        # Containers seek by decoding time and may overshoot: then the previous key frame is tried.
        for key in itertools.chain(before[::-1][:3].tolist(), [None]):
            if key is None:
                self._container.close()
                self._container = self._open()
                threads = self._stream.thread_type
                self._stream = self._pick_stream()
                self._stream.thread_type = threads
            else:
                try:
                    self._container.seek(key, stream=self._stream)
                except av.FFmpegError:
                    continue
            images = self._decoded()
            first = next(images, None)
            if first is None:
                continue
            first_pts = _time(first)
            if key is None or (first_pts is not None and first_pts <= wanted):
                self._images, self._position = itertools.chain([first], images), -1
                return
        self._images, self._position = iter(()), -1

    def _upright(self, decoded: Any, within_px: tuple[int, int] | None) -> U8:
        if (decoded.width, decoded.height) != self._stored_px:
            raise CoreError(
                f"{self.path.name} changes its image size from {self._stored_px[0]}x{self._stored_px[1]} to "
                f"{decoded.width}x{decoded.height}.",
                "Cut the video where the size changes.",
            )
        if within_px is not None:
            scale = min(1.0, within_px[0] / self.size_px[0], within_px[1] / self.size_px[1])
            width, height = (max(1, round(side * scale)) for side in self._stored_px)
            decoded = decoded.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
        image: U8 = decoded.to_ndarray(format="rgb24")
        quarters = self.rotation_deg // 90
        # Rows of a scaled image may be padded.
        return np.ascontiguousarray(np.rot90(image, -quarters) if quarters else image)


def no_times(path: Path) -> CoreError:
    """Return the error for a stream without a container, which holds images but no times."""
    return CoreError(
        f"{path.name} is a stream without a container: it contains images, but no times.",
        "Give the frame rate of the camera, such as --fps 30, or wrap the stream: "
        f"ffmpeg -framerate 30 -i {path.name} -c copy {path.stem}.mp4.",
    )


def _lacks_index(path: Path) -> bool:
    """Return whether an MP4 or MOV file has no index among its top-level boxes."""
    kinds: list[bytes] = []
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while at + 8 <= size and len(kinds) < _MAX_BOXES:
            file.seek(at)
            head = file.read(16)
            length, kind = struct.unpack(">I4s", head[:8])
            length = struct.unpack(">Q", head[8:])[0] if length == 1 and len(head) == 16 else length or size - at
            kinds.append(kind if at + length <= size else b"")
            if length < 8:
                break
            at += length
    return len(kinds) > 1 and kinds[0] in (b"ftyp", b"wide", b"mdat", b"free", b"skip") and b"moov" not in kinds


def _stated_duration(container: Any, stream: Any) -> float:
    """Return the duration of the video stream in s from the file's header; 0 if unknown."""
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", str(stream.metadata.get("DURATION", "")))
    if tag is not None:
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    if stream.duration is not None and container.format.name not in ("mpegts", "mpeg"):
        return float(stream.duration * stream.time_base)
    if len(container.streams) == 1 and container.format.name == "matroska,webm":
        return float(container.duration or 0) / av.time_base
    return 0.0


def _time(part: Any) -> int | None:
    """Return the presentation time of a packet or image in ticks, or else its decoding time."""
    time: int | None = part.pts if part.pts is not None else part.dts
    return time


def _stored_rotation(image: Any, path: Path) -> int:
    """Return the clockwise rotation in degrees that the file requests for display."""
    data = image.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0
    matrix = struct.unpack("=9i", bytes(data)[:36])
    if matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0:
        raise CoreError(
            f"{path.name} is stored mirrored, as from some front cameras.",
            "Mirrored images cannot be used for 3D: film with the back camera, or convert the file.",
        )
    return int(-image.rotation) % 360
