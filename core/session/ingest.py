"""Bringing videos into a session as a take."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil

from core.config import to_mapping
from core.errors import CoreError
from core.files import safe_name, write_yaml
from core.geometry.resize import resize_note
from core.progress import Reporter, check
from core.session.clock import recorded_times
from core.session.layout import TakeLayout
from core.session.naming import cameras_of_files, natural_key
from core.session.store import Session, Take, TakeCamera, TakeKind, TakeManifest
from core.session.timing import align_times
from core.session.video import VideoReader
from core.types.arrays import F64
from core.types.camera import CameraRig

VIDEO_SUFFIXES = (".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".ts", ".webm", ".wmv")
_CHUNK = 4 << 20
_SPARE_BYTES = 64 << 20
_START_SLACK_S = 2.0  # clocks in files count whole seconds, and cameras stamp the start or the end of the first


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What an offered file turned out to be."""

    path: Path
    size_px: tuple[int, int]
    fps: float
    rotation_deg: int
    times_s: F64
    began: datetime | None
    notes: tuple[str, ...]


def ingest_videos(
    session: Session,
    videos: Sequence[Path | str],
    *,
    cameras: Sequence[str] = (),
    name: str = "",
    kind: TakeKind = "motion",
    timestamps: Path | None = None,
    reporter: Reporter,
) -> Take:
    """Copies videos of one take into the session and lays their images on one timeline.

    The videos are taken to start at the same frame, unless a table says when each image was taken. An import that
    fails or is cancelled leaves nothing behind.

    Args:
        session: Where to.
        videos: Video files, one a camera; a folder stands for the videos in it.
        cameras: Camera names in the order of `videos`; empty to take them from the file names (and the rig's names,
            where the session has a rig).
        name: Take name; empty for the first free one.
        kind: What was filmed. Takes of a board or the floor are made before a calibration: they may disagree with
            the rig that is there.
        timestamps: Table of `core.session.clock`; None takes a `timestamps.csv` beside the videos, if it fits them.
        reporter: Told how far it is and what is odd.

    Raises:
        CoreError: A file that cannot be used, named with the remedy; a name that is taken; no space.
        CancelledError: The person stopped it.
    """
    paths = _expand(videos)
    take_name = free_take_name(session, name, videos)
    rig = session.rig
    names = _camera_names(paths, tuple(cameras), rig, strict=kind == "motion")
    sources = {}
    for done, (path, camera) in enumerate(zip(paths, names, strict=True)):
        check(reporter)
        reporter.progress(done, len(paths), "Reading the videos")
        sources[camera] = _examine(path)
    if rig is not None:
        known = [n for n in rig.names if n in sources]
        sources = {n: sources[n] for n in known + [n for n in sources if n not in known]}
    notes = [note for source in sources.values() for note in source.notes]
    sources, remark = _on_the_clock(sources, timestamps)
    notes += [remark] if remark else []
    notes += _against_rig(sources, rig, strict=kind == "motion")
    alignment = align_times({n: s.times_s for n, s in sources.items()}, {n: s.fps for n, s in sources.items()})
    notes += [*alignment.notes, *([] if remark.startswith("Times") else _starts_apart(sources))]
    if len(sources) == 1:
        notes.append("There is one camera only: 2D poses can be found, 3D needs at least two.")
    with staged(session, take_name) as staging:
        files = copy_videos({name: source.path for name, source in sources.items()}, staging, reporter)
        manifest = TakeManifest(
            name=take_name,
            kind=kind,
            fps=alignment.fps,
            n_frames=len(alignment.timeline),
            cameras=tuple(
                TakeCamera(
                    name=camera,
                    file=files[camera],
                    size_px=source.size_px,
                    n_frames=len(source.times_s),
                    fps=source.fps,
                    rotation_deg=source.rotation_deg,
                )
                for camera, source in sources.items()
            ),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            source=", ".join(source.path.name for source in sources.values()),
            notes=tuple(notes),
        )
        alignment.timeline.save(staging.timestamps)
        write_yaml(staging.manifest, to_mapping(manifest))
        check(reporter)
        put_in_place(staging, session.layout.take(take_name))
    for note in notes:
        reporter.note(note, "warning")
    return session.take(take_name)


def _expand(videos: Sequence[Path | str]) -> list[Path]:
    """Files as given, folders as the videos in them, each file once."""
    paths: list[Path] = []
    for path in (Path(v).expanduser() for v in videos):
        if path.is_dir():
            inside = [p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".")]
            if not inside:
                raise CoreError(f"The folder {path} has no videos.", "Choose the folder with the cameras' videos.")
            paths += sorted(inside, key=lambda p: natural_key(p.name))
        else:
            paths.append(path)
    if not paths:
        raise CoreError("No videos were given.", "Choose one video per camera, or the folder that holds them.")
    resolved = [p.resolve() for p in paths]
    for path, real in zip(paths, resolved, strict=True):
        if resolved.count(real) > 1:
            raise CoreError(f"The video {path} was given twice.", "Give each camera's video once.")
    return paths


def free_take_name(session: Session, wanted: str, sources: Sequence[Path | str]) -> str:
    """The wanted name if it is free, else one after the folder that the take comes from, or a number.

    Raises:
        CoreError: The wanted name is taken.
    """
    taken = {p.name.casefold() for p in session.layout.takes.glob("*")} if session.layout.takes.is_dir() else set()
    if wanted:
        name = safe_name(wanted)
        if name.casefold() in taken:
            raise CoreError(f"The session already has a take '{name}'.", "Choose another name.")
        return name
    folder = len(sources) == 1 and Path(sources[0]).is_dir()
    base = safe_name(Path(sources[0]).resolve().name) if folder else "take"
    candidates = ([base] if folder else []) + [f"{base}_{number:02d}" for number in range(1, len(taken) + 2)]
    return next(c for c in candidates if c.casefold() not in taken)


def _camera_names(paths: list[Path], given: tuple[str, ...], rig: CameraRig | None, *, strict: bool) -> list[str]:
    stems = [p.stem for p in paths]
    if given:
        if len(given) != len(paths):
            raise CoreError(
                f"{len(given)} camera names were given for {len(paths)} videos.", "Give one name per video, in order."
            )
        names = list(given)
    elif rig is not None:
        try:
            names = cameras_of_files(stems, rig.names)
        except CoreError:
            if strict:
                raise
            names = stems
    else:
        names = stems
    files = [safe_name(n).casefold() for n in names]
    for name, file in zip(names, files, strict=True):
        if files.count(file) > 1:
            raise CoreError(f"Two videos would be camera '{name}'.", "Give the videos different names.")
    return names


def _examine(path: Path) -> _Source:
    """Opens a video, finds its last whole image and its times."""
    with VideoReader(path) as video:
        whole, notes = video.whole_frames(), []
        if whole == 0:
            raise CoreError(f"No image of {path.name} can be decoded.", "Copy it again from the camera.")
        if whole < video.n_frames:
            notes.append(f"{path.name} breaks off: its last {video.n_frames - whole} images cannot be read.")
        times_s = video.times_s[:whole]
        if len(times_s) < 2:
            raise CoreError(f"{path.name} holds a single image.", "Choose the camera's video.")
        fps = video.fps
        if not 1 <= fps <= 2000:
            raise CoreError(
                f"{path.name} says that it has {fps:.3g} images a second.",
                "Its times are damaged: convert it to MP4 with a fixed frame rate.",
            )
        return _Source(
            path=path,
            size_px=video.size_px,
            fps=fps,
            rotation_deg=video.rotation_deg,
            times_s=times_s,
            began=video.began,
            notes=tuple(notes),
        )


def _on_the_clock(sources: dict[str, _Source], table: Path | None) -> tuple[dict[str, _Source], str]:
    """The sources with the times that a table gives them, and a remark; a table that was not asked for may not fit."""
    folders = {source.path.parent for source in sources.values()}
    beside = next(iter(folders)) / "timestamps.csv" if len(folders) == 1 else None
    path = table or beside
    if path is None or (table is None and not path.is_file()):
        return sources, ""
    try:
        times = recorded_times(path, {name: (s.path.stem, len(s.times_s)) for name, s in sources.items()})
    except CoreError as error:
        if table is not None:
            raise
        return sources, f"{path.name} beside the videos was not used: {error.message}"
    timed = {
        name: dataclasses.replace(source, times_s=times[name], fps=float(1 / np.median(np.diff(times[name]))))
        for name, source in sources.items()
    }
    return timed, f"Times of the images were taken from {path.name}."


def _against_rig(sources: dict[str, _Source], rig: CameraRig | None, *, strict: bool) -> list[str]:
    """What disagrees with the rig, in sentences; refused instead where 3D would be impossible."""
    if rig is None:
        return []
    problems: list[CoreError] = []
    notes: list[str] = []
    for camera, source in sources.items():
        if camera not in rig.names:
            problems.append(
                CoreError(
                    f"{source.path.name} was given as camera '{camera}', which the rig does not have.",
                    f"The rig's cameras: {', '.join(rig.names)}.",
                )
            )
        else:
            try:
                notes += [note] if (note := resize_note(rig[camera], source.size_px)) else []
            except CoreError as error:
                problems.append(CoreError(f"{source.path.name}: {error.message}", error.hint))
    if strict and problems:
        raise problems[0]
    absent = [n for n in rig.names if n not in sources]
    notes += [str(problem) for problem in problems]
    if absent:
        notes.append(f"No video of {', '.join(absent)}: the take uses {len(sources)} of the rig's {len(rig)} cameras.")
    return notes


def _starts_apart(sources: dict[str, _Source]) -> list[str]:
    """A note where the files' own clocks contradict a common start."""
    began = {name: s.began.timestamp() for name, s in sources.items() if s.began is not None}
    if len(began) < 2 or max(began.values()) - min(began.values()) <= _START_SLACK_S:
        return []
    first, last = min(began, key=lambda n: began[n]), max(began, key=lambda n: began[n])
    return [
        f"By its clock {last} began {began[last] - began[first]:.0f} s after {first}, but the videos are taken to "
        "start together: cut them to a common start, such as a clap, unless the cameras' clocks differ."
    ]


@contextlib.contextmanager
def staged(session: Session, name: str) -> Iterator[TakeLayout]:
    """A folder beside the takes that becomes the take, and is gone otherwise; also clears those of crashed imports."""
    for left in session.layout.incoming.glob("*"):
        owner = left.name.partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    staging = TakeLayout(session.layout.incoming / f"{os.getpid()}-{name}")
    try:
        shutil.rmtree(staging.root, ignore_errors=True)
        staging.root.mkdir(parents=True)
        yield staging
    except OSError as error:
        raise CoreError(
            f"The videos could not be copied to {session.root}: {error.strerror or error}.",
            "Check that both disks are connected, that there is space, and that you may write there.",
        ) from error
    finally:
        shutil.rmtree(staging.root, ignore_errors=True)
        with contextlib.suppress(OSError):  # another import may be using it
            session.layout.incoming.rmdir()


def copy_videos(videos: Mapping[str, Path], staging: TakeLayout, reporter: Reporter) -> dict[str, str]:
    """Copies videos, given by camera, into a take's folder; their names there by camera.

    Raises:
        CoreError: There is no space.
        CancelledError: The person stopped it.
    """
    total = sum(path.stat().st_size for path in videos.values())
    free = shutil.disk_usage(staging.root).free
    if free < total + _SPARE_BYTES:
        raise CoreError(
            f"The videos need {total / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free at {staging.root.anchor}.",
            "Free some space, or keep the session on another disk.",
        )
    done, files = 0, {}
    for camera, path in videos.items():
        target = staging.video(camera, path.suffix.lower())
        with path.open("rb") as read, target.open("wb") as write:
            while chunk := read.read(_CHUNK):
                check(reporter)
                write.write(chunk)
                done += len(chunk)
                reporter.progress(done, total, "Copying the videos")
            write.flush()
            os.fsync(write.fileno())
        files[camera] = target.name
    return files


def put_in_place(staging: TakeLayout, take: TakeLayout) -> None:
    """Lets what was put together appear among the takes, as a whole."""
    take.root.parent.mkdir(parents=True, exist_ok=True)
    if take.root.exists():
        raise CoreError(f"The session already has a take '{take.name}'.", "Choose another name.")
    staging.root.rename(take.root)
