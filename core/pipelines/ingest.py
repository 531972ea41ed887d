"""The verbs that bring videos and calibrations into a session."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from core import __version__
from core.calibration.checks import Finding, RigCheck, check_rig
from core.config import to_mapping
from core.errors import CoreError
from core.files import write_bytes, write_json, write_yaml
from core.pipelines.params import ImportPoses2DParams, ImportRigParams, ImportTakeParams
from core.pose2d.importers import POSE2D_IMPORTERS
from core.pose2d.importers.people import stack_people
from core.progress import Reporter, track
from core.rig_io.importers import read_rig
from core.session import RunLayout, Session, Take, TakeLayout
from core.session import ingest as session_ingest
from core.session.layout import CalibrationLayout
from core.session.naming import cameras_of_files
from core.types.axes import Axis
from core.types.camera import CameraRig
from core.types.skeleton import Skeleton


def run_import_take(session: Session, params: ImportTakeParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Copies videos into the session as one take. See `core.session.ingest.ingest_videos`."""
    take = session_ingest.ingest_videos(
        session,
        [Path(v) for v in params.videos],
        cameras=params.cameras,
        name=params.name,
        kind=params.kind,
        timestamps=Path(params.timestamps).expanduser() if params.timestamps else None,
        reporter=reporter,
    )
    return {
        "take": take.name,
        "cameras": list(take.cameras),
        "n_frames": take.manifest.n_frames,
        "fps": take.manifest.fps,
        "notes": list(take.manifest.notes),
    }


def run_import_rig(session: Session, params: ImportRigParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Reads a rig file, looks whether it can be right, and makes it the session's rig.

    A rig that cannot be right is imported all the same, so that it can be looked at over the images; the findings
    say so. The rig that was there is kept.
    """
    reporter.progress(0, 3, "Reading the rig")
    rig = read_rig(Path(params.path), params.format, params.units, up=params.up, sizes_px=_video_sizes(session))
    reporter.progress(1, 3, "Checking the rig")
    found, backup = adopt_rig(session, rig, run, reporter, up="z" if params.up == "auto" else params.up)
    reporter.progress(3, 3, "Checking the rig")
    return {
        "cameras": list(rig.names),
        "digest": rig.digest,
        "level": found.level,
        "verdict": found.verdict,
        "findings": [to_mapping(f) for f in found.findings],
        "backup": backup,
    }


def adopt_rig(
    session: Session,
    rig: CameraRig,
    run: RunLayout,
    reporter: Reporter,
    up: Axis = "z",
    more: Sequence[Finding] = (),
    details: Mapping[str, Any] | None = None,
) -> tuple[RigCheck, str]:
    """Makes a rig the session's, with what the self-check finds; where a copy of the one before lies, or nothing.

    Args:
        session: Whose rig it becomes.
        rig: The rig.
        run: Keeps a copy.
        reporter: Told of the problems.
        up: See `check_rig`.
        more: Further findings, such as those of a board.
        details: Further values for the report.
    """
    found = check_rig(rig, up=up).with_findings(more)
    backup = _keep_old(session)
    rig.save(session.layout.rig)
    origin = {"digest": rig.digest, "source": rig.source, "created": rig.created}
    write_json(session.layout.rig_report, origin | found.to_mapping() | dict(details or {}))
    rig.save(run.rig)
    reporter.note(rig.source)
    for finding in found.problems:
        reporter.note(f"{finding.message} {finding.remedy}", "warning")
    return found, backup


def run_import_poses2d(
    session: Session, params: ImportPoses2DParams, run: RunLayout, reporter: Reporter
) -> dict[str, Any]:
    """Brings 2D poses of another program into a take, as if Label had found them.

    Raises:
        CoreError: No such take or folder, a camera without poses, files that are not of the format, or 2D poses of
            that name are there already.
        CancelledError: Asked to stop.
    """
    take, importer = session.take(params.take), POSE2D_IMPORTERS.get(params.format)
    name = params.name or importer.name
    folder = Path(params.path).expanduser()
    if not folder.is_dir():
        raise CoreError(f"There is no folder {folder}.", "Choose the folder that holds a folder for each camera.")
    if take.layout.poses2d_manifest(name).is_file():
        raise CoreError(f"Take {take.name} already has 2D poses named '{name}'.", "Give these another name.")
    folders = _camera_folders(take, importer.cameras(folder), folder)
    timeline, people = take.timeline(), {}
    for v, camera in enumerate(track(take.cameras, reporter, "Reading 2D poses")):
        found = importer.read(folders[camera])
        index = timeline.frame_index[:, v].tolist()
        absent = sum(number >= 0 and number not in found for number in index)
        if absent == sum(number >= 0 for number in index):
            raise CoreError(
                f"{folders[camera].name} has poses of images {min(found)} to {max(found)}, none of them in the take.",
                "Choose the poses of the videos that the take was made of.",
            )
        if absent:
            reporter.note(f"{camera}: {absent} of {len(index)} frames have no file; nobody is seen there.", "warning")
        poses = stack_people(
            camera, importer.skeleton, [found.get(number, []) if number >= 0 else [] for number in index]
        )
        poses.save(take.layout.poses2d_file(name, camera))
        people[camera] = round(float(poses.present.sum()) / max(len(index), 1), 3)
    note_poses2d(take.layout, name, importer.title, importer.skeleton, people)
    return {"take": take.name, "estimator": name, "people_per_image": people}


def note_poses2d(layout: TakeLayout, name: str, title: str, skeleton: Skeleton, people: dict[str, float]) -> None:
    """Writes what marks 2D poses of a take as complete, for poses that no estimator here has made."""
    manifest = {
        "estimator": name,
        "title": title,
        "skeleton": skeleton.name,
        "heatmaps": False,
        "people_per_image": people,
        "code_version": __version__,
    }
    write_yaml(layout.poses2d_manifest(name), manifest)


def _camera_folders(take: Take, parts: list[Path], folder: Path) -> dict[str, Path]:
    """Camera of the take to its part of the folder, by name."""
    if not parts:
        raise CoreError(
            f"{folder} has no folders with 2D poses in them.", "It needs a folder for each camera, named after it."
        )
    owners = cameras_of_files([part.name for part in parts], take.cameras)
    found = dict(zip(owners, parts, strict=True))
    missing = [camera for camera in take.cameras if camera not in found]
    if missing:
        raise CoreError(f"{folder} has no folder of camera {missing[0]}.", "Name each folder after its camera.")
    return found


def _keep_old(session: Session) -> str:
    """Keeps a copy of the present rig; its path within the session, or nothing."""
    if not session.layout.rig.exists():
        return ""
    backup = free_calibration(session).rig
    write_bytes(backup, session.layout.rig.read_bytes())
    return backup.relative_to(session.root).as_posix()


def free_calibration(session: Session) -> CalibrationLayout:
    """A folder for a calibration that is made now."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    return next(folder for folder in map(session.layout.calibration, names) if not folder.root.exists())


def _video_sizes(session: Session) -> dict[str, tuple[int, int]]:
    """Image sizes by camera name, from the takes; cameras whose takes disagree are left out."""
    sizes: dict[str, set[tuple[int, int]]] = {}
    for name in session.take_names():
        for camera in session.take(name).manifest.cameras:
            sizes.setdefault(camera.name, set()).add(camera.size_px)
    return {name: found.pop() for name, found in sizes.items() if len(found) == 1}
