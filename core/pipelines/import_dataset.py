"""Verb `import-dataset`: a public data set's sequence as a take, so that training and inference can run on it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from core.config import to_mapping
from core.errors import CoreError
from core.evaluation.datasets import DATA_SETS, DataSet, read_dataset, rows_of
from core.files import write_yaml
from core.geometry.resize import resize_note
from core.pipelines.ingest import adopt_rig, note_poses2d
from core.pipelines.params import ImportDatasetParams
from core.progress import Reporter, StageReporter, check
from core.session import RunLayout, Session, TakeCamera, TakeLayout, TakeManifest, Timeline
from core.session.incoming import free_take_name, put_in_place, staged
from core.session.ingest import copy_videos
from core.session.stills import SUFFIX, write_video
from core.session.video import VideoReader
from core.types.arrays import I64
from core.types.pose2d import Pose2D


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One camera's part of the take, and which of its images belongs to each frame (T,), -1 for none."""

    camera: TakeCamera
    index: I64


def run_import_dataset(
    session: Session, params: ImportDatasetParams, run: RunLayout, reporter: Reporter
) -> dict[str, Any]:
    """Makes a take of the frames of a data set: images where there are any, the set's 2D poses, and its truth.

    The set's cameras become the session's rig, or are it already. Nothing of the truth is ever used but by
    evaluate-dataset.

    Returns:
        take, frames, tested (number of frames that the protocol counts), cameras, estimator (of the set's own 2D poses,
        or nothing), notes.

    Raises:
        CoreError: The data set cannot be read, its cameras are not the session's, or the name is taken.
        CancelledError: Asked to stop; nothing is left behind.
    """
    folder = Path(params.folder).expanduser()
    name = free_take_name(session, params.name, [folder])
    reporter.progress(0, 1, "Reading the data set")
    data = _with_images(read_dataset(folder, params.kind, params.split, params.cameras))
    check(reporter)
    fits = _fits(session, data)
    with staged(session, name) as staging:
        parts = _parts(data, staging, StageReporter(reporter, 0.1, 0.8))
        notes = [*data.notes, *_size_notes(data, parts)]
        _save_take(data, parts, staging, name, f"{DATA_SETS.get(data.kind).title}: {data.name}, {params.split}", notes)
        _save_poses2d(data, staging)
        _save_truth(data, staging, params.split)
        check(reporter)
        if not fits:
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


def _fits(session: Session, data: DataSet) -> bool:
    """Whether the session has the set's cameras already; False where it has none at all."""
    rig = session.rig
    if rig is None:
        return False
    if set(data.rig.names) <= set(rig.names) and rig.subset(data.rig.names).digest == data.rig.digest:
        return True
    raise CoreError(
        f"The session has other cameras than {data.name}.",
        "Make a session of its own for each calibration of a data set.",
    )


def _with_images(data: DataSet) -> DataSet:
    """The set without cameras and frames of which there are no images, where there are images of others."""
    seen = [name for name in data.rig.names if name in data.images or name in data.videos]
    if not seen:
        return dataclasses.replace(data, notes=(*data.notes, "There are no images: only 2D poses can be used."))
    blind = [name for name in data.rig.names if name not in seen]
    if blind and not data.poses2d:
        if len(seen) < 2:
            raise CoreError(f"{data.name} has images of {seen[0]} only.", "Unpack those of another camera.")
        note = f"There are no images of {', '.join(blind)}: the take uses {len(seen)} cameras."
        data = dataclasses.replace(data, rig=data.rig.subset(seen), notes=(*data.notes, note))
    if data.videos:
        return data
    shown = np.array([any(files[t] is not None for files in data.images.values()) for t in range(len(data.frames))])
    if shown.all():
        return data
    note = f"{int((~shown).sum())} frames without any image are left out."
    poses2d = {name: _rows(pose, shown) for name, pose in data.poses2d.items()}
    images = {n: tuple(f for f, keep in zip(p, shown, strict=True) if keep) for n, p in data.images.items()}
    return dataclasses.replace(
        data,
        frames=data.frames[shown],
        tested=data.tested[shown],
        truth=_from_start(data, shown),
        poses2d=poses2d,
        images=images,
        notes=(*data.notes, note),
    )


def _from_start(data: DataSet, rows: np.ndarray) -> Any:
    some = rows_of(data.truth, rows)
    return dataclasses.replace(some, time_s=some.time_s - some.time_s[0])


def _rows(pose: Pose2D, rows: np.ndarray) -> Pose2D:
    return dataclasses.replace(pose, xy_px=pose.xy_px[rows], score=pose.score[rows], box_px=pose.box_px[rows])


def _parts(data: DataSet, staging: TakeLayout, reporter: Reporter) -> list[_Part]:
    """Images become videos whose images are the frames; videos are copied whole."""
    copied = copy_videos({n: data.videos[n] for n in data.rig.names if n in data.videos}, staging, reporter)
    parts = []
    for v, camera in enumerate(data.rig):
        reporter.progress(v, len(data.rig), "Putting the images together")
        check(reporter)
        if camera.name in copied:
            parts.append(_of_video(data, camera.name, staging.root / copied[camera.name]))
        else:
            parts.append(_of_images(data, camera.name, camera.size_px, staging, reporter))
    return parts


def _of_video(data: DataSet, name: str, path: Path) -> _Part:
    with VideoReader(path) as video:
        index = np.where(data.frames < video.n_frames, data.frames, -1)
        part = TakeCamera(
            name=name,
            file=path.name,
            size_px=video.size_px,
            n_frames=video.n_frames,
            fps=video.fps,
            rotation_deg=video.rotation_deg,
        )
    if (index < 0).all():
        raise CoreError(f"{path.name} ends before the frames asked for.", "Download the video of that camera again.")
    return _Part(part, index)


def _of_images(data: DataSet, name: str, size_px: tuple[int, int], staging: TakeLayout, reporter: Reporter) -> _Part:
    """A camera without any image gets none here either; where nobody has images every frame counts as seen."""
    files = data.images.get(name, (None,) * len(data.frames))
    there = np.array([file is not None for file in files])
    path, fps = staging.video(name, SUFFIX), _fps(data)
    if there.any():
        times = data.truth.time_s[there].tolist()
        size_px = write_video([f for f in files if f is not None], times, fps, path, reporter)
    elif not (data.images or data.videos):
        there[:] = True
    camera = TakeCamera(name=name, file=path.name, size_px=size_px, n_frames=max(int(there.sum()), 1), fps=fps)
    return _Part(camera, np.where(there, np.cumsum(there) - 1, -1))


def _fps(data: DataSet) -> float:
    """Frames a second: the set's rate, less where frames are left out."""
    return float(1 / np.median(np.diff(data.truth.time_s))) if len(data.frames) > 1 else data.fps


def _size_notes(data: DataSet, parts: list[_Part]) -> list[str]:
    """What disagrees with the calibration; a CoreError where 3D would be wrong."""
    notes = [resize_note(data.rig[part.camera.name], part.camera.size_px) for part in parts]
    return [note for note in notes if note]


def _save_take(
    data: DataSet, parts: list[_Part], staging: TakeLayout, name: str, source: str, notes: list[str]
) -> None:
    index = np.stack([part.index for part in parts], axis=1)
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
        cameras=tuple(part.camera for part in parts),
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
    note_poses2d(staging, data.estimator, f"{DATA_SETS.get(data.kind).title}: 2D poses of the set", joints, people)


def _save_truth(data: DataSet, staging: TakeLayout, split: str) -> None:
    origin = {
        "kind": data.kind,
        "name": data.name,
        "split": split,
        "frames": data.frames.tolist(),
        "tested": data.frames[data.tested].tolist(),
    }
    dataclasses.replace(data.truth, provenance={**data.truth.provenance, "data_set": origin}).save(staging.truth)
