"""Creation of takes from imported videos and from recordings."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from core.config import to_mapping
from core.errors import CoreError
from core.files import safe_name, write_yaml
from core.geometry.resize import resize_note
from core.progress import Reporter, check
from core.session.footage.recordings import read_recorded_times, times_beside
from core.session.footage.sources import find_footage, first_images, write_timeless
from core.session.footage.stills import SUFFIX
from core.session.incoming import IncomingOwner, discard, free_take_name, put_in_place, staged
from core.session.layout import TakeLayout
from core.session.naming import cameras_of_files
from core.session.store import Session, Take, TakeCamera, TakeKind, TakeManifest, TakeMarker
from core.session.times_table import ImageTimes, read_image_times, read_times_table
from core.session.timing import Alignment, align_times
from core.session.video import VideoReader
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.rate import frame_rate, steady_times

_CHUNK_BYTES = 4 << 20
_SPARE_BYTES = 64 << 20
_MAX_GAPS = 20  # number of gaps listed in a note
_EMPTY_BYTES = 64 << 10  # size of a video with no more than a header and an image
_SLOWEST_FPS, _FASTEST_FPS = 0.001, 2000.0  # from time lapses to high-speed cameras
_ANY_FPS = 30.0  # nominal rate of the video of images whose times come from a table
_START_ASSUMED = (
    "The videos are assumed to start together. 'Check sync' (certify) measures offsets of up to 3 s from people or a "
    "board; cut videos that are further apart to a common start, such as a clap."
)
_START_TOLERANCE_S = 2.0  # creation times are whole seconds, rounded up or down


@dataclass(frozen=True, slots=True, kw_only=True)
class _Video:
    """Usable video: its first `n_frames` images, or those in `images`."""

    path: Path
    size_px: tuple[int, int]
    fps: float
    rotation_deg: int
    times_s: F64
    began: datetime | None
    notes: tuple[str, ...]
    n_frames: int
    lost: int = 0
    images: I64 | None = None
    sound: str = ""


def ingest_videos(
    session: Session,
    videos: Sequence[Path | str],
    *,
    cameras: Sequence[str] = (),
    name: str = "",
    kind: TakeKind = "motion",
    timestamps: Path | None = None,
    fps: float = 0.0,
    reporter: Reporter,
) -> Take:
    """Create a take from videos: copy them into the session, and assign their images to a common timeline.

    Videos are assumed to start simultaneously, unless a table contains the time of each image. A failed or cancelled
    import leaves no files behind.

    Args:
        session: Session that receives the take.
        videos: Video files or folders of images, one per camera, or folders of those; see
            `core.session.footage.sources.find_footage`.
        cameras: Camera names in the order of `videos`; empty to derive them from file names and the names in the rig.
        name: Name of the take; empty for the first free one.
        kind: Kind of take. One of a board or the floor may contradict the current rig, since it serves to replace it.
        timestamps: Table of image times (see `core.session.times_table`), or SkellyCam's folder of tables. None uses a
            table beside the videos if it fits them (see `core.session.footage.recordings`).
        fps: Frame rate of image sequences and streams, which store no times; 0 without such footage.
        reporter: Receives progress and notes.

    Raises:
        CoreError: A file cannot be used, the name is taken, or the disk is full.
        CancelledError: Cancelled by the user.
    """
    footage, left_out = find_footage(videos)
    take_name = free_take_name(session, name, videos)
    rig = session.rig
    names = _camera_names([part.name for part in footage], tuple(cameras), rig, strict=kind == "motion")
    first, numbering = first_images(footage)
    with staged(session, take_name) as incoming:
        sources, written = {}, {}
        for done, (part, camera) in enumerate(zip(footage, names, strict=True)):
            check(reporter)
            reporter.progress(done, len(footage), "Reading the videos")
            if part.timeless:
                # With a table of times, any rate will do.
                rate = fps or (_ANY_FPS if timestamps is not None else 0.0)
                written[camera] = incoming.video(camera, SUFFIX)
                start_s = write_timeless(part, rate, first.get(part.path, 0), written[camera], reporter)
                video = _examine(written[camera])
                sources[camera] = dataclasses.replace(video, path=part.path, fps=rate, times_s=video.times_s + start_s)
            else:
                sources[camera] = _examine(part.path)
        sources, table_note = _with_table(sources, timestamps)
        plan = _plan(sources, rig, strict=kind == "motion")
        apart = [] if table_note.startswith("Times") else _starts_apart(sources)
        notes = [*left_out, *numbering, *plan.notes, *([table_note] if table_note else []), *apart]
        others = {name: video.path for name, video in plan.sources.items() if name not in written}
        files = copy_videos(others, incoming, reporter) | {name: path.name for name, path in written.items()}
        _write_take(incoming, plan, files, kind, ", ".join(v.path.name for v in plan.sources.values()), notes)
        check(reporter)
        put_in_place(incoming, session.layout.take(take_name))
    for note in notes:
        reporter.note(note, "warning")
    if len(sources) > 1 and not table_note and not apart:
        reporter.note(_START_ASSUMED)
    return session.take(take_name)


def ingest_recording(session: Session, incoming: TakeLayout, owner: IncomingOwner, reporter: Reporter) -> Take:
    """Turn a recording into a take in place, without copying its videos.

    Images and rows of the table of times are matched by the time stamp in the video, never by position, because a crash
    may have lost either.

    Args:
        session: Session of the take.
        incoming: Folder of the recording, under `takes/.incoming/`.
        owner: Run, cameras and markers of the recording.
        reporter: Receives progress and notes.

    Raises:
        CoreError: No camera recorded two images, or no two cameras recorded at the same time.
    """
    sources: dict[str, _Video] = {}
    notes: list[str] = []
    incoming.reserve.unlink(missing_ok=True)
    for done, camera in enumerate(owner.cameras):
        reporter.progress(done, len(owner.cameras), "Reading the videos")
        path, times = incoming.video(camera), read_image_times(incoming.frame_times(camera))
        if len(times) < 2 and path.is_file() and path.stat().st_size > _EMPTY_BYTES:
            notes.append(f"{camera} is not used: the times of its images are lost.")
            continue
        if len(times) < 2:
            notes.append(f"{camera} recorded nothing.")
            path.unlink(missing_ok=True)
            continue
        try:
            sources[camera] = _recorded(camera, path, times)
        except CoreError as error:
            if path.is_file() and path.stat().st_size > _EMPTY_BYTES:
                notes.append(f"{camera} is not used. {error.message}")
                continue
            notes.append(f"{camera} recorded nothing.")  # a crash preceded the first images on the disk
            path.unlink(missing_ok=True)
    if not sources:
        raise CoreError("Nothing was recorded.", "Check that the cameras are running before you stop.")
    start = min(float(video.times_s[0]) for video in sources.values())
    sources = {n: dataclasses.replace(video, times_s=video.times_s - start) for n, video in sources.items()}
    plan = _plan(sources, session.rig, strict=False)
    notes += plan.notes
    files = {camera: video.path.name for camera, video in plan.sources.items()}
    timeline = plan.alignment.timeline
    image_s = np.nanmean(timeline.frame_time_s, axis=1)
    markers = []
    for marker in owner.markers:
        frame = int(np.argmin(np.abs(image_s - (marker.time_ns / 1e9 - start))))
        markers.append(TakeMarker(time_s=round(float(timeline.time_s[frame]), 6), frame=frame, text=marker.text))
    kind = owner.kind or "board"
    _write_take(incoming, plan, files, kind, "recording", notes, note=owner.note, markers=tuple(markers))
    take = session.layout.take(incoming.name)
    put_in_place(incoming, take)
    discard(session, incoming)
    for note in notes:
        reporter.note(note, "warning")
    return session.take(take.name)


def _recorded(camera: str, path: Path, times: ImageTimes) -> _Video:
    """Return a recorded video with the times of its decodable images.

    Raises:
        CoreError: The video has no usable image.
    """
    with VideoReader(path) as video:
        whole = video.whole_frames()
        stored_ms = np.round((video.start_s + video.times_s[:whole]) * 1000).astype(np.int64)
        _, place, row = np.intersect1d(stored_ms, times.stored_ms, assume_unique=True, return_indices=True)
        if len(place) < 2:
            raise CoreError(f"The times of {path.name} are not those of its images.", "Record it again.")
        # A crash is expected to lose the last images, but none before them.
        lost = int((times.index < times.index[row[-1]]).sum()) + 1 - len(row)
        unknown = whole - len(place)
        notes = [f"{camera}: {lost} images within the recording cannot be decoded."] if lost else []
        notes += [f"{camera}: {unknown} images are not used because their times are lost."] if unknown else []
        notes += _dropped_note(camera, times)
        times_s = times.time_ns[row] / 1e9
        return _Video(
            path=path,
            size_px=video.size_px,
            fps=frame_rate(times_s),
            rotation_deg=video.rotation_deg,
            times_s=times_s,
            began=None,
            notes=tuple(notes),
            n_frames=whole,
            images=place,
            sound=video.sound,
        )


def _dropped_note(camera: str, times: ImageTimes) -> list[str]:
    """Return a note with the camera's numbers of missing images."""
    dropped = times.dropped
    if not dropped:
        return []
    places = [str(gap[0]) if len(gap) == 1 else f"{gap[0]} to {gap[-1]}" for gap in dropped]
    more = f" and {len(places) - _MAX_GAPS} more" if len(places) > _MAX_GAPS else ""
    count = sum(map(len, dropped))
    listed = f"{', '.join(places[:_MAX_GAPS])}{more}"
    return [f"{camera}: {count} images are missing from the camera's sequence, with the numbers {listed}."]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Videos in the order of the take, with timeline and notes."""

    sources: Mapping[str, _Video]
    alignment: Alignment
    notes: tuple[str, ...]


def _plan(sources: Mapping[str, _Video], rig: CameraRig | None, *, strict: bool) -> _Plan:
    """Order the videos as in the rig, and assign their images to a timeline.

    Raises:
        CoreError: The videos contradict the rig (if strict), or no two cameras filmed at the same time.
    """
    if rig is not None:
        known = [name for name in rig.names if name in sources]
        sources = {name: sources[name] for name in known + [n for n in sources if n not in known]}
    notes = [note for video in sources.values() for note in video.notes]
    notes += _rig_notes(sources, rig, strict=strict)
    alignment = align_times({n: v.times_s for n, v in sources.items()}, {n: v.fps for n, v in sources.items()})
    notes += alignment.notes
    index = alignment.timeline.frame_index.copy()
    for v, video in enumerate(sources.values()):
        if video.images is not None:
            index[:, v] = np.where(index[:, v] < 0, -1, video.images[index[:, v]])
    alignment = dataclasses.replace(alignment, timeline=dataclasses.replace(alignment.timeline, frame_index=index))
    if len(sources) == 1:
        notes.append("There is only one camera: 3D needs at least two.")
    return _Plan(sources=sources, alignment=alignment, notes=tuple(notes))


def _write_take(
    folder: TakeLayout,
    plan: _Plan,
    files: Mapping[str, str],
    kind: TakeKind,
    source: str,
    notes: Sequence[str],
    note: str = "",
    markers: tuple[TakeMarker, ...] = (),
) -> None:
    """Write the timeline and the manifest of a take."""
    manifest = TakeManifest(
        name=folder.name,
        kind=kind,
        fps=plan.alignment.fps,
        n_frames=len(plan.alignment.timeline),
        cameras=tuple(
            TakeCamera(
                name=camera,
                file=files[camera],
                size_px=video.size_px,
                n_frames=video.n_frames,
                fps=video.fps,
                rotation_deg=video.rotation_deg,
                sound=video.sound,
            )
            for camera, video in plan.sources.items()
        ),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source,
        notes=tuple(notes),
        note=note,
        markers=markers,
    )
    plan.alignment.timeline.save(folder.timestamps)
    write_yaml(folder.manifest, to_mapping(manifest))


def _camera_names(stems: list[str], given: tuple[str, ...], rig: CameraRig | None, *, strict: bool) -> list[str]:
    if given:
        if len(given) != len(stems):
            raise CoreError(
                f"{len(given)} camera names were given for {len(stems)} videos ({', '.join(stems)}).",
                "Give one name per video, in order.",
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


def _examine(path: Path) -> _Video:
    """Return the properties of a video up to its last decodable image.

    Raises:
        CoreError: The video has no usable image, or damaged times.
    """
    with VideoReader(path) as video:
        whole, notes = video.whole_frames(), []
        if whole == 0:
            raise CoreError(f"No image of {path.name} can be decoded.", "Copy it again from the camera.")
        if video.missing:
            total = video.n_frames + video.missing
            notes.append(
                f"{path.name} breaks off: {total - whole} of its {total} images are missing. Copy it again from the "
                "camera."
            )
        elif whole < video.n_frames:
            notes.append(
                f"{path.name} is cut off: its last {video.n_frames - whole} images cannot be decoded. Copy it again "
                "from the camera."
            )
        fps = video.fps
        if video.repeated:
            notes.append(
                f"{path.name}: {video.repeated} of {video.n_frames + video.repeated} images have the time of another "
                f"one and are not used. ffmpeg -r FPS -i {path.name} gives them the times of a constant frame rate."
            )
        if video.interlaced:
            notes.append(
                f"{path.name} is interlaced: each image mixes two times. Deinterlace it (ffmpeg -vf bwdif), or record "
                "progressive video."
            )
        times_s = steady_times(video.times_s[:whole], fps, video.tick_s)
        if not _SLOWEST_FPS <= fps <= _FASTEST_FPS:
            raise CoreError(
                f"{path.name} claims {fps:.3g} fps.",
                "Its time stamps are damaged: convert it to MP4 with a constant frame rate.",
            )
        return _Video(
            path=path,
            size_px=video.size_px,
            fps=fps,
            rotation_deg=video.rotation_deg,
            times_s=times_s,
            began=video.began,
            notes=tuple(notes),
            n_frames=whole,
            lost=video.n_frames + video.missing - whole,
            sound=video.sound,
        )


def _with_table(sources: dict[str, _Video], table: Path | None) -> tuple[dict[str, _Video], str]:
    """Replace the times of videos by those of a table, if one was requested or fits, and return a note."""
    folders = {source.path.parent for source in sources.values()}
    path = table or (times_beside(next(iter(folders))) if len(folders) == 1 else None)
    if path is None:
        return sources, ""
    read = read_recorded_times if path.is_dir() else read_times_table
    try:
        times = read(path, {n: (s.path.stem, len(s.times_s), len(s.times_s) + s.lost) for n, s in sources.items()})
    except CoreError as error:
        if table is not None:
            raise
        return sources, f"{path.name} in the folder of the videos was not used: {error.message}"
    timed = {
        name: dataclasses.replace(
            source, times_s=times[name], fps=frame_rate(times[name]) if len(times[name]) > 1 else source.fps
        )
        for name, source in sources.items()
    }
    return timed, f"Times of the images come from {path.name}."


def _rig_notes(sources: Mapping[str, _Video], rig: CameraRig | None, *, strict: bool) -> list[str]:
    """Return notes on differences between videos and rig.

    Raises:
        CoreError: A difference rules out 3D (if strict).
    """
    if rig is None:
        return []
    problems: list[CoreError] = []
    notes: list[str] = []
    for camera, source in sources.items():
        if camera not in rig.names:
            problems.append(
                CoreError(
                    f"{source.path.name} belongs to camera '{camera}', which the rig does not have.",
                    f"Cameras of the rig: {', '.join(rig.names)}.",
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
        notes.append(f"No video of {', '.join(absent)}: the take has {len(sources)} of the rig's {len(rig)} cameras.")
    return notes


def _starts_apart(sources: dict[str, _Video]) -> list[str]:
    """Return a note if creation times in the files contradict a common start."""
    began = {name: s.began.timestamp() for name, s in sources.items() if s.began is not None}
    if len(began) < 2 or max(began.values()) - min(began.values()) <= _START_TOLERANCE_S:
        return []
    first, last = min(began, key=lambda n: began[n]), max(began, key=lambda n: began[n])
    return [
        f"By its clock, {last} began {began[last] - began[first]:.0f} s after {first}, but the videos are assumed to "
        "start together. Cut them to a common start, such as a clap, unless the clocks of the cameras differ."
    ]


def copy_videos(videos: Mapping[str, Path], incoming: TakeLayout, reporter: Reporter) -> dict[str, str]:
    """Copy videos into the folder of a take.

    Args:
        videos: Video file by camera.
        incoming: Folder of the take.
        reporter: Receives progress.

    Returns:
        Name of the copy by camera.

    Raises:
        CoreError: The disk is full.
        CancelledError: Cancelled by the user.
    """
    total = sum(path.stat().st_size for path in videos.values())
    free = shutil.disk_usage(incoming.root).free
    needed = total + _SPARE_BYTES
    if free < needed:
        raise CoreError(
            f"The videos need {needed / 1e6:,.0f} MB; {free / 1e6:,.0f} MB are free for {incoming.root}.",
            "Free some space, or keep the session on another disk.",
        )
    done, files = 0, {}
    for camera, path in videos.items():
        target = incoming.video(camera, path.suffix.lower())
        with path.open("rb") as read, target.open("wb") as write:
            while chunk := read.read(_CHUNK_BYTES):
                check(reporter)
                write.write(chunk)
                done += len(chunk)
                reporter.progress(done, total, "Copying the videos")
            write.flush()
            os.fsync(write.fileno())
        files[camera] = target.name
    return files
