"""Verb `import-dataset`: import of a sequence of a public data set as a take."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from core.config import to_mapping
from core.errors import CoreError
from core.evaluation.datasets import DATA_SETS, DataSet, read_dataset, select_frames
from core.files import write_yaml
from core.geometry.resize import resize_note
from core.pipelines.ingest import note_poses2d
from core.pipelines.params import ImportDatasetParams
from core.pipelines.rig.adopt import adopt_rig
from core.progress import Reporter, StageReporter, check
from core.session import RunLayout, Session, TakeCamera, TakeLayout, TakeManifest, Timeline
from core.session.footage.stills import SUFFIX, write_video
from core.session.incoming import free_take_name, put_in_place, staged
from core.session.ingest import copy_videos
from core.session.video import VideoReader
from core.types.arrays import I64
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.rate import frame_rate


@dataclass(frozen=True, slots=True, eq=False)
class _CameraVideo:
    """Video of one camera with the image index of each frame (T,), -1 where missing."""

    camera: TakeCamera
    index: I64


def run_import_dataset(
    session: Session, params: ImportDatasetParams, run: RunLayout, reporter: Reporter
) -> dict[str, Any]:
    """Import the frames of a data set as a take with its images, 2D poses and ground truth, as far as they exist.

    The cameras become the rig of the session unless it already has them. Only `evaluate-dataset` uses the ground truth.

    Returns:
        `take`, `frames`, `tested` (number of test frames in the protocol), `cameras`, `estimator` (name of the 2D poses
        of the data set, or empty) and `notes`.

    Raises:
        CoreError: The data set cannot be read, its cameras differ from those of the session, or the name is taken.
        CancelledError: The job was cancelled; no files are left behind.
    """
    folder = Path(params.folder).expanduser()
    name = free_take_name(session, params.name, [folder])
    reporter.progress(0, 1, "Reading the data set")
    data = _with_images(read_dataset(folder, params.kind, params.split, params.cameras))
    check(reporter)
    has_rig = _has_rig(session, data)
    with staged(session, name) as staging:
        videos = _write_videos(data, staging, StageReporter(reporter, 0.1, 0.8))
        notes = [*data.notes, *_size_notes(data, videos)]
        _save_take(data, videos, staging, name, f"{DATA_SETS.get(data.kind).title}: {data.name}, {params.split}", notes)
        _save_poses2d(data, staging)
        _save_truth(data, staging, params.split)
        check(reporter)
        if not has_rig:
            adopt_rig(session, data.rig, run, reporter)
        put_in_place(staging, session.layout.take(name))
    for note in notes:
        reporter.note(note, "warning")
    reporter.progress(1, 1, "Reading the data set")
    return {
        "take": name,
        "frames": len(data.frames),
        "tested": int(data.tested.sum()),
        "cameras": list(data.rig.names),
        "estimator": data.estimator,
        "notes": notes,
    }


def _has_rig(session: Session, data: DataSet) -> bool:
    """Return whether the session has the cameras of the data set; raise CoreError if it has others."""
    rig = session.rig
    if rig is None:
        return False
    if set(data.rig.names) <= set(rig.names) and rig.subset(data.rig.names).digest == data.rig.digest:
        return True
    raise CoreError(
        f"The session has other cameras than {data.name}.",
        "Create one session per calibration of a data set.",
    )


def _with_images(data: DataSet) -> DataSet:
    """Drop cameras and frames without images, unless there are no images at all."""
    with_images = [name for name in data.rig.names if name in data.images or name in data.videos]
    if not with_images:
        return dataclasses.replace(
            data, notes=(*data.notes, "The data set has no images: only its 2D poses can be used.")
        )
    without = [name for name in data.rig.names if name not in with_images]
    if without and not data.poses2d:
        if len(with_images) < 2:
            raise CoreError(
                f"{data.name} has images of {with_images[0]} only.", "Unpack those of another camera as well."
            )
        note = f"There are no images of {', '.join(without)}: the take uses {len(with_images)} cameras."
        data = dataclasses.replace(data, rig=data.rig.subset(with_images), notes=(*data.notes, note))
    if data.videos:
        return data
    kept = np.array([any(files[t] is not None for files in data.images.values()) for t in range(len(data.frames))])
    if kept.all():
        return data
    note = f"{int((~kept).sum())} frames without any image are dropped."
    poses2d = {name: _rows(pose, kept) for name, pose in data.poses2d.items()}
    images = {n: tuple(f for f, keep in zip(p, kept, strict=True) if keep) for n, p in data.images.items()}
    return dataclasses.replace(
        data,
        frames=data.frames[kept],
        tested=data.tested[kept],
        truth=_truth_rows(data, kept),
        poses2d=poses2d,
        images=images,
        notes=(*data.notes, note),
    )


def _truth_rows(data: DataSet, rows: np.ndarray) -> Pose3DSequence:
    """Return a subset of the ground truth's frames, with times from the first one."""
    truth = select_frames(data.truth, rows)
    return dataclasses.replace(truth, time_s=truth.time_s - truth.time_s[0])


def _rows(pose: Pose2D, rows: np.ndarray) -> Pose2D:
    return dataclasses.replace(pose, xy_px=pose.xy_px[rows], score=pose.score[rows], box_px=pose.box_px[rows])


def _write_videos(data: DataSet, staging: TakeLayout, reporter: Reporter) -> list[_CameraVideo]:
    """Write the images of each camera as a video with one image per frame; copy existing videos."""
    copied = copy_videos({n: data.videos[n] for n in data.rig.names if n in data.videos}, staging, reporter)
    videos = []
    for v, camera in enumerate(data.rig):
        reporter.progress(v, len(data.rig), "Writing videos")
        check(reporter)
        if camera.name in copied:
            videos.append(_index_video(data, camera.name, staging.root / copied[camera.name]))
        else:
            videos.append(_write_images(data, camera.name, camera.size_px, staging, reporter))
    return videos


def _index_video(data: DataSet, name: str, path: Path) -> _CameraVideo:
    with VideoReader(path) as video:
        index = np.where(data.frames < video.n_frames, data.frames, -1)
        take_camera = TakeCamera(
            name=name,
            file=path.name,
            size_px=video.size_px,
            n_frames=video.n_frames,
            fps=video.fps,
            rotation_deg=video.rotation_deg,
        )
    if (index < 0).all():
        raise CoreError(f"{path.name} ends before the selected frames.", "Download the video of that camera again.")
    return _CameraVideo(take_camera, index)


def _write_images(
    data: DataSet, name: str, size_px: tuple[int, int], staging: TakeLayout, reporter: Reporter
) -> _CameraVideo:
    """Write the images of a camera as a video; without images of any camera, every frame counts as present."""
    files = data.images.get(name, (None,) * len(data.frames))
    present = np.array([file is not None for file in files])
    path, fps = staging.video(name, SUFFIX), _fps(data)
    if present.any():
        times = data.truth.time_s[present].tolist()
        size_px = write_video([f for f in files if f is not None], times, fps, path, reporter)
    elif not (data.images or data.videos):
        present[:] = True
    camera = TakeCamera(name=name, file=path.name, size_px=size_px, n_frames=max(int(present.sum()), 1), fps=fps)
    return _CameraVideo(camera, np.where(present, np.cumsum(present) - 1, -1))


def _fps(data: DataSet) -> float:
    """Return the frame rate, which is lower than that of the data set if frames are skipped."""
    return frame_rate(data.truth.time_s, data.fps) if len(data.frames) > 1 else data.fps


def _size_notes(data: DataSet, videos: list[_CameraVideo]) -> list[str]:
    """Return notes on image sizes that differ from the calibration; raise CoreError if they do not fit."""
    notes = [resize_note(data.rig[video.camera.name], video.camera.size_px) for video in videos]
    return [note for note in notes if note]


def _save_take(
    data: DataSet, videos: list[_CameraVideo], staging: TakeLayout, name: str, source: str, notes: list[str]
) -> None:
    index = np.stack([video.index for video in videos], axis=1)
    time_s = data.truth.time_s
    timeline = Timeline(
        cameras=data.rig.names,
        time_s=time_s,
        frame_index=index,
        frame_time_s=np.where(index >= 0, time_s[:, None], np.nan),
    )
    timeline.save(staging.timestamps)
    manifest = TakeManifest(
        name=name,
        kind="motion",
        fps=_fps(data),
        n_frames=len(time_s),
        cameras=tuple(video.camera for video in videos),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source,
        notes=tuple(notes),
    )
    write_yaml(staging.manifest, to_mapping(manifest))


def _save_poses2d(data: DataSet, staging: TakeLayout) -> None:
    if not data.poses2d:
        return
    people = {}
    for name, pose in data.poses2d.items():
        pose.save(staging.poses2d_file(data.estimator, name))
        people[name] = round(float(pose.present.sum()) / len(data.frames), 3)
    joints = next(iter(data.poses2d.values())).skeleton
    note_poses2d(staging, data.estimator, f"{DATA_SETS.get(data.kind).title}: 2D poses of the data set", joints, people)


def _save_truth(data: DataSet, staging: TakeLayout, split: str) -> None:
    origin = {
        "kind": data.kind,
        "name": data.name,
        "split": split,
        "frames": data.frames.tolist(),
        "tested": data.frames[data.tested].tolist(),
    }
    dataclasses.replace(data.truth, provenance={**data.truth.provenance, "data_set": origin}).save(staging.truth)
