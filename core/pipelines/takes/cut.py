"""Verb `cut-take`: new takes from parts of a take, without re-encoding.

A new take has the videos of the original, as hard links if the disk supports them, and the rows of its timeline within
the part. Image indices refer to the full video: frame k of a part that begins at frame a is frame a + k of the
original.
"""

from __future__ import annotations

import dataclasses
import os
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from core.config import to_mapping
from core.errors import CoreError
from core.files import sha256, write_yaml
from core.pipelines.params import CutTakeParams
from core.pose2d.heatmaps import cut_heatmaps
from core.progress import Reporter, check
from core.session import RunLayout, Session, Take, TakeCamera, TakeLayout, Timeline
from core.session.incoming import free_take_name, put_in_place, staged
from core.session.ingest import copy_videos
from core.types.pose2d import Pose2D

_EXACT_S = 0.0005  # times are given in milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TakePart:
    """Part of a take.

    Attributes:
        name: Name of the new take.
        first: First frame.
        end: Frame after the last one.
    """

    name: str
    first: int
    end: int


def run_cut_take(session: Session, params: CutTakeParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Create a take from a part of a take, or two takes by splitting it.

    Returns:
        `take`, and `parts`: name, `first_frame` and `n_frames` of each new take.

    Raises:
        CoreError: The part does not exist, a name is taken, a video is missing, or the disk is full.
        CancelledError: The job is cancelled.
    """
    take = session.take(params.take)
    time_s, period = take.timeline().time_s, 1 / take.manifest.fps
    wanted = params.name or take.name
    if params.at_s is None:
        first, end = _frames(take, time_s, period, params.from_s, params.to_s)
        if (first, end) == (0, len(time_s)):
            raise CoreError(f"This part is all of {take.name}.", "Give a start, an end, or a time to split at.")
        name = free_take_name(session, wanted, numbered=not params.name)
        parts = [TakePart(name=name, first=first, end=end)]
    else:
        if params.from_s or params.to_s is not None:
            raise CoreError(
                "Trimming and splitting exclude each other.", "Give a time to split at, or a start and an end."
            )
        middle = _frames(take, time_s, period, params.at_s, None)[0]
        if middle == 0:
            raise CoreError(f"{take.name} has no frame before {params.at_s:g} s.", "Choose a later time.")
        names = [free_take_name(session, f"{wanted}_{end}", numbered=not params.name) for end in "ab"]
        parts = [
            TakePart(name=names[0], first=0, end=middle),
            TakePart(name=names[1], first=middle, end=len(time_s)),
        ]
    made = cut_take(session, take, parts, reporter)
    for part, new in zip(parts, made, strict=True):
        reporter.note(f"{new.name}: frames {part.first} to {part.end - 1} of {take.name}, which is unchanged.")
    if take.layout.sync.is_file():
        reporter.note(f"Clock corrections are kept; their certificate covers all of {take.name}.")
    if take.poses3d_runs():
        reporter.note(f"3D poses are not kept, because they depend on all of {take.name}. Triangulate the new takes.")
    return {
        "take": take.name,
        "parts": [
            {"take": new.name, "first_frame": part.first, "n_frames": new.manifest.n_frames}
            for part, new in zip(parts, made, strict=True)
        ],
    }


def cut_take(session: Session, take: Take, parts: list[TakePart], reporter: Reporter) -> list[Take]:
    """Create takes from parts of a take, all or none of them; the take itself does not change.

    2D poses, clock errors, markers and annotations are kept; 3D poses are not, since they depend on earlier frames.

    Args:
        session: Session of the take.
        take: The take.
        parts: Parts with unused names.
        reporter: Receives progress and notes.

    Raises:
        CoreError: A video is missing, or the disk is full.
        CancelledError: Cancelled by the user.
    """
    for camera in take.cameras:
        if not take.video_path(camera).is_file():
            raise CoreError(
                f"The video {take.video_path(camera)} is missing.", "Put it back, or import the take again."
            )
    with ExitStack() as stack:
        folders = [stack.enter_context(staged(session, part.name)) for part in parts]
        for done, (part, folder) in enumerate(zip(parts, folders, strict=True)):
            check(reporter)
            reporter.progress(done, len(parts), f"Cutting {part.name}")
            _fill(take, part, folder, reporter)
        check(reporter)
        for folder in folders:
            put_in_place(folder, session.layout.take(folder.name))
    reporter.progress(len(parts), len(parts), "Cutting")
    return [session.take(part.name) for part in parts]


def _frames(take: Take, time_s: np.ndarray, period: float, from_s: float, to_s: float | None) -> tuple[int, int]:
    """Return the first frame of a part, and the frame after its last one.

    Raises:
        CoreError: There are no such frames.
    """
    length = float(time_s[-1]) + period
    end_s = length if to_s is None else to_s
    first, end = np.searchsorted(time_s, [from_s - _EXACT_S, end_s - _EXACT_S]).tolist()
    if not 0 <= from_s < end_s <= length + period or first == end:
        until = "its end" if to_s is None else f"{to_s:g} s"
        raise CoreError(
            f"{take.name} has no frames from {from_s:g} s to {until}.",
            f"It lasts {length:.3f} s: choose a start before the end, both within the take.",
        )
    return first, end


def _fill(take: Take, part: TakePart, folder: TakeLayout, reporter: Reporter) -> None:
    """Write a part of a take into the folder of a new take, the manifest last."""
    whole, rows = take.timeline(), slice(part.first, part.end)
    start_s = float(whole.time_s[part.first])
    index = whole.frame_index[rows]
    used = np.asarray((index >= 0).any(0))
    cameras = tuple(_camera(camera, start_s, index[:, v]) for v, camera in enumerate(take.manifest.cameras) if used[v])
    for camera in np.array(take.cameras)[~used]:
        reporter.note(f"{camera} has no image in {part.name} and is omitted.", "warning")
    _bring_videos(take, [camera.name for camera in cameras], folder, reporter)
    timeline = Timeline(
        cameras=tuple(camera.name for camera in cameras),
        time_s=whole.time_s[rows] - start_s,
        frame_index=index[:, used],
        frame_time_s=whole.recorded_time_s[rows][:, used] - start_s,
    )
    timeline.save(folder.timestamps)
    manifest = dataclasses.replace(
        take.manifest,
        name=part.name,
        n_frames=len(timeline),
        cameras=tuple(dataclasses.replace(c, file=_video_name(take, c.name, folder)) for c in cameras),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=f"frames {part.first} to {part.end - 1} of {take.name}",
        notes=(),
        markers=tuple(
            dataclasses.replace(m, time_s=round(m.time_s - start_s, 6), frame=m.frame - part.first)
            for m in take.manifest.markers
            if part.first <= m.frame < part.end
        ),
    )
    new = Take(folder, manifest)
    for estimator in take.estimators():
        check(reporter)
        _bring_poses2d(take, new, estimator, part, index >= 0, reporter)
    truth = take.truth
    if truth is not None:
        dataclasses.replace(
            truth,
            time_s=truth.time_s[rows] - start_s,
            xyz_mm=truth.xyz_mm[rows],
            score=truth.score[rows],
            covariance_mm2=None if truth.covariance_mm2 is None else truth.covariance_mm2[rows],
        ).save(folder.truth)
    write_yaml(folder.manifest, to_mapping(manifest))


def _camera(camera: TakeCamera, start_s: float, index: np.ndarray) -> TakeCamera:
    """Return a camera of a part, with its clock error relative to the start of the part.

    Args:
        camera: Camera of the original take.
        start_s: Start of the part in the original take.
        index: (T,) indices of its images in the part, -1 where dropped.
    """
    images = index[index >= 0]
    first, last = int(images[0]), int(images[-1])
    error_s = camera.clock.error_s(np.array([start_s]), np.array([first]))[0]
    return dataclasses.replace(
        camera,
        time_offset_s=round(float(error_s), 9),
        drops=tuple(drop for drop in camera.drops if first < drop.image <= last),
    )


def _video_name(take: Take, camera: str, folder: TakeLayout) -> str:
    return folder.video(camera, take.video_path(camera).suffix.lower()).name


def _bring_videos(take: Take, cameras: list[str], folder: TakeLayout, reporter: Reporter) -> None:
    """Link videos and tables of image times into the folder of a take; copy files that cannot be linked."""
    copied = {}
    for camera in cameras:
        video, table = take.video_path(camera), take.layout.frame_times(camera)
        if not _linked(video, folder.root / _video_name(take, camera, folder)):
            copied[camera] = video
        if table.is_file() and not _linked(table, folder.frame_times(camera)):
            folder.frame_times(camera).write_bytes(table.read_bytes())
    if copied:
        copy_videos(copied, folder, reporter)


def _linked(file: Path, target: Path) -> bool:
    try:
        os.link(file, target)
    except OSError:  # such as FAT, exFAT and some network drives
        return False
    return True


def _bring_poses2d(
    take: Take, new: Take, estimator: str, part: TakePart, has_image: np.ndarray, reporter: Reporter
) -> None:
    """Write the 2D poses of a part into a new take, their manifest last."""
    old, target, rows = take.layout, new.layout, np.arange(part.first, part.end)
    manifest = take.poses2d_manifest(estimator)
    people, heatmaps = {}, bool(manifest.get("heatmaps"))
    for camera in new.cameras:
        poses = Pose2D.load(old.poses2d_file(estimator, camera))
        if poses.n_frames != take.manifest.n_frames:
            reporter.note(f"The 2D poses of {estimator} do not fit {take.name} and are omitted.", "warning")
            return
        poses = poses.select(rows)
        poses.save(target.poses2d_file(estimator, camera))
        images = has_image[:, take.cameras.index(camera)]
        people[camera] = round(float(poses.present.sum()) / max(int(images.sum()), 1), 3)
        if manifest.get("second_look"):
            refined = Pose2D.load(old.second_look_file(estimator, camera))
            refined.select(rows).save(target.second_look_file(estimator, camera))
        if heatmaps:
            cut_heatmaps(old.heatmaps_file(estimator, camera), target.heatmaps_file(estimator, camera), rows)
    if "people_per_image" in manifest:
        manifest = {**manifest, "people_per_image": people}
    write_yaml(target.poses2d_manifest(estimator), _manifest_of_part(take, new, manifest))


def _manifest_of_part(take: Take, new: Take, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest for the 2D poses of a part, which preserves whether they are up to date."""
    request, second_look = manifest.get("request"), manifest.get("second_look")
    if not isinstance(request, dict) or request.get("timeline") != sha256(take.layout.timestamps):
        return manifest
    part = {**request, "timeline": sha256(new.layout.timestamps)}
    for by_camera in ("videos", "turned_deg"):
        part[by_camera] = {name: value for name, value in request.get(by_camera, {}).items() if name in new.cameras}
    manifest = {**manifest, "request": part}
    if isinstance(second_look, dict) and second_look.get("request", {}).get("first_pass") == request:
        asked = {**second_look["request"], "first_pass": part}
        if asked.pop("time_offset_s", {}) == take.clock_errors and new.clock_errors:
            asked["time_offset_s"] = new.clock_errors
        manifest["second_look"] = {**second_look, "request": asked}
    return manifest
