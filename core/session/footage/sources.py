"""Footage of takes: videos, folders of numbered images, and streams without a container.

The last two store no times; with a given frame rate, they are converted to videos without re-encoding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import av

from core.errors import CoreError
from core.progress import Reporter, check
from core.session.footage.recordings import SKELLYCAM_VIDEOS, recorded_name, times_beside
from core.session.footage.stills import write_video
from core.session.naming import image_numbers, natural_key
from core.session.video import no_times

# fmt: off
VIDEO_SUFFIXES = (
    ".3g2", ".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".insv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv",
)
# fmt: on
STREAM_SUFFIXES = (".264", ".265", ".h264", ".h265", ".hevc", ".mjpeg", ".mjpg")
"""Suffixes of streams without a container, such as those of the Raspberry Pi camera."""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_ABOUT = re.compile(r"(readme|licen[cs]e|copying|changelog)(\..+)?|.+\.md|thumbs\.db|desktop\.ini", re.I)
_MAX_NAMED = 8
_APART = 0.5  # difference of first numbers, relative to the shorter folder, up to which they count the same frames

FootageKind = Literal["video", "stream", "images"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFootage:
    """Footage of one camera.

    Attributes:
        path: Video file, stream, or folder of images.
        name: Name that identifies the camera.
        kind: Kind of footage.
    """

    path: Path
    name: str
    kind: FootageKind

    @property
    def timeless(self) -> bool:
        """True if it stores no times, so that a frame rate must be given."""
        return self.kind != "video"

    @property
    def images(self) -> list[Path]:
        """Images of a folder, ordered by name."""
        return sorted(_images(self.path), key=lambda p: natural_key(p.name))


def find_footage(sources: Sequence[Path | str]) -> tuple[list[CameraFootage], list[str]]:
    """Return the footage in files and folders, and notes on unused files of the folders.

    A folder may contain videos, the images of one camera, a folder per camera with its images or video, or a recording
    of SkellyCam (see `core.session.footage.recordings`).

    Raises:
        CoreError: There is no footage, or some is given twice.
    """
    found: list[CameraFootage] = []
    notes: list[str] = []
    for path in (Path(source).expanduser() for source in sources):
        if path.is_dir():
            inside, note = _in_folder(path)
            found += inside
            notes += [note] if note else []
        else:
            found.append(_of_file(path, recorded_name(path)))
    if not found:
        raise CoreError("No videos were given.", "Choose one video per camera, or their folder.")
    resolved = [footage.path.resolve() for footage in found]
    for footage, real in zip(found, resolved, strict=True):
        if resolved.count(real) > 1:
            raise CoreError(f"The video {footage.path} was given twice.", "Give each video once.")
    return found, notes


def write_timeless(footage: CameraFootage, fps: float, first: int, target: Path, reporter: Reporter) -> float:
    """Write images or a stream as a video with a constant frame rate, without re-encoding.

    Args:
        footage: Images or a stream.
        fps: Frame rate; 0 if not given.
        first: Number of the image at time 0.
        target: Video to write, with the suffix `stills.SUFFIX`.
        reporter: Reports cancellation of the job.

    Returns:
        Time of the first image in s.

    Raises:
        CoreError: No frame rate is given, or the footage cannot be read.
        CancelledError: The job is cancelled.
    """
    if fps <= 0:
        if footage.kind == "stream":
            raise no_times(footage.path)
        raise CoreError(
            f"{footage.path.name} is a folder of {len(footage.images)} images, which have no times.",
            "State their frame rate, such as --fps 30.",
        )
    if footage.kind == "images":
        images = footage.images
        times_s = [(number - first) / fps for number in _steps(footage)]
        write_video(images, times_s, fps, target, reporter)
        return times_s[0]
    _wrap(footage.path, fps, target, reporter)
    return 0.0


def first_images(footage: Sequence[CameraFootage]) -> tuple[dict[Path, int], list[str]]:
    """Return the image number at time 0 for each folder of images, and a note if first numbers differ.

    Folders that number the same frames start at the lowest number of all, others at their own.
    """
    steps = {f.path: _steps(f) for f in footage if f.kind == "images"}
    if not steps:
        return {}, []
    low = {path: numbers[0] for path, numbers in steps.items()}
    if max(low.values()) == min(low.values()):
        return low, []
    apart = max(low.values()) - min(low.values())
    named = ", ".join(f"{path.name} {number}" for path, number in low.items())
    if apart <= _APART * min(map(len, steps.values())):
        return dict.fromkeys(low, min(low.values())), [
            f"The images start at different numbers ({named}): equal numbers are assumed to be simultaneous."
        ]
    return low, [f"The images start at different numbers ({named}): the first ones are assumed to be simultaneous."]


def _steps(footage: CameraFootage) -> list[int]:
    """Return the frame numbers of a folder's images; image numbers with a common step above 1 are divided by it."""
    images = footage.images
    numbers = image_numbers([image.stem for image in images], footage.path.name)
    pairs = list(pairwise(numbers))
    wrong = next(((images[i], images[i + 1]) for i, (a, b) in enumerate(pairs) if b <= a), None)
    if wrong is not None:
        raise CoreError(
            f"The numbers of the images in {footage.path.name} do not increase: {wrong[0].name}, {wrong[1].name}.",
            "Keep the images of one camera in the folder, numbered in order.",
        )
    step = min((b - a for a, b in pairs), default=1)
    return [number // step for number in numbers] if all((b - a) % step == 0 for a, b in pairs) else numbers


def _of_file(path: Path, name: str) -> CameraFootage:
    kind: FootageKind = "stream" if path.suffix.lower() in STREAM_SUFFIXES else "video"
    return CameraFootage(path=path, name=name, kind=kind)


def _in_folder(folder: Path) -> tuple[list[CameraFootage], str]:
    children = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: natural_key(p.name))
    known = [p for p in children if p.is_file() and p.suffix.lower() in VIDEO_SUFFIXES + STREAM_SUFFIXES]
    found = [_of_file(path, recorded_name(path)) for path in known]
    skellycam = folder / SKELLYCAM_VIDEOS
    if not found and skellycam.is_dir():
        recorded, note = _in_folder(skellycam)
        beside = [p for p in children if p != skellycam and not _about(p)]
        return recorded, " ".join(text for text in (note, _not_used(folder, beside)) if text)
    if not found and _images(folder):
        found = [CameraFootage(path=folder, name=folder.name, kind="images")]
        known = _images(folder)
    if not found:
        for child in (p for p in children if p.is_dir()):
            inside = sorted(p for p in child.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES + STREAM_SUFFIXES)
            if len(inside) == 1:
                found.append(_of_file(inside[0], child.name))
            elif not inside and _images(child):
                found.append(CameraFootage(path=child, name=child.name, kind="images"))
            else:
                continue
            known.append(child)
    others = [p for p in children if p not in known and not _about(p)]
    if not found:
        raise CoreError(
            f"The folder {folder} has no videos and no images{f', but {_named(others)}' if others else ''}.",
            "Choose the folder with the cameras' videos, or with a folder of images per camera.",
        )
    return found, _not_used(folder, others)


def _not_used(folder: Path, others: Sequence[Path]) -> str:
    return f"Not used in {folder.name}: {_named(others)}." if others else ""


def _named(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _MAX_NAMED} more" if len(paths) > _MAX_NAMED else ""
    return ", ".join(p.name + "/" * p.is_dir() for p in paths[:_MAX_NAMED]) + more


def _about(path: Path) -> bool:
    """Return whether a file is metadata rather than footage."""
    times = times_beside(path.parent)
    return (times is not None and path in (times, *times.parents)) or _ABOUT.fullmatch(path.name) is not None


def _images(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]


def _wrap(path: Path, fps: float, target: Path, reporter: Reporter) -> None:
    """Write a stream into a container, with times in presentation order."""
    rate = Fraction(fps).limit_denominator(1001)
    try:
        shown = _shown_order(path, reporter)
        delay = max((number - place for number, place in shown.items()), default=0)
        with av.open(str(path)) as source, av.open(str(target), "w", format="mov") as container:
            stream = source.streams.video[0]
            copy: Any = container.add_stream_from_template(stream)
            for number, packet in enumerate(p for p in source.demux(stream) if p.size):
                check(reporter)
                if number in shown:
                    packet.stream, packet.time_base = copy, 1 / rate
                    packet.dts, packet.pts = number, shown[number] + delay
                    container.mux(packet)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise CoreError(
            f"{path.name} cannot be read as a stream: {error}.", "Wrap it with ffmpeg, or record it again."
        ) from error


def _shown_order(path: Path, reporter: Reporter) -> dict[int, int]:
    """Return the presentation position of each packet of a stream, which may differ from the stored order.

    The decoder returns the number of a packet with its image.
    """
    order: list[int] = []
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        stream.thread_type = "NONE"
        for number, packet in enumerate(source.demux(stream)):
            check(reporter)
            if packet.size:
                packet.pts = packet.dts = number
            try:
                order += [image.pts for image in packet.decode() if image.pts is not None]
            except av.FFmpegError:
                continue  # a damaged packet loses only its own image
    return {number: place for place, number in enumerate(order)}
