"""Verbs `import-take`, `import-rig` and `import-poses2d`: bring existing data into a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core import __version__
from core.config import to_mapping
from core.errors import CoreError
from core.files import write_yaml
from core.pipelines.params import ImportPoses2DParams, ImportRigParams, ImportTakeParams
from core.pipelines.rig.adopt import adopt_rig
from core.pose2d.importers import POSE2D_IMPORTERS
from core.pose2d.importers.people import stack_people
from core.progress import Reporter, track
from core.rig_io.importers import import_rig_file
from core.session import RunLayout, Session, Take, TakeLayout
from core.session import ingest as session_ingest
from core.session.naming import cameras_of_files
from core.types.skeleton import Skeleton


def run_import_take(session: Session, params: ImportTakeParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Copy videos into the session as one take; see `core.session.ingest.ingest_videos`."""
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
    """Import a rig file, check it, and make it the session's rig.

    An implausible rig is imported as well, with findings that say so, because it can then be inspected over the images.
    The previous rig is kept as a backup.
    """
    reporter.progress(0, 3, "Reading the rig")
    found = import_rig_file(
        Path(params.path),
        params.format,
        params.units,
        up=params.up,
        pose_is=params.pose_is,
        rotation_is=params.rotation_is,
        sizes_px=_video_sizes(session),
    )
    rig = found.rig
    reporter.progress(1, 3, "Checking the rig")
    check, backup = adopt_rig(
        session, rig, run, reporter, up="z" if params.up == "auto" else params.up, more=found.findings
    )
    reporter.progress(3, 3, "Checking the rig")
    return {
        "cameras": list(rig.names),
        "digest": rig.digest,
        "level": check.level,
        "verdict": check.verdict,
        "findings": [to_mapping(f) for f in check.findings],
        "backup": backup,
    }


def run_import_poses2d(
    session: Session, params: ImportPoses2DParams, run: RunLayout, reporter: Reporter
) -> dict[str, Any]:
    """Import 2D poses of another program, as if an estimator had made them.

    Raises:
        CoreError: The take or the folder does not exist, a camera has no poses, a file has another format, or there are
            2D poses of this name already.
        CancelledError: The job is cancelled.
    """
    take, importer = session.take(params.take), POSE2D_IMPORTERS.get(params.format)
    name = params.name or importer.name
    folder = Path(params.path).expanduser()
    if not folder.is_dir():
        raise CoreError(f"There is no folder {folder}.", "Choose the folder that contains one folder per camera.")
    if take.layout.poses2d_manifest(name).is_file():
        raise CoreError(f"Take {take.name} already has 2D poses named '{name}'.", "Choose another name.")
    folders = _camera_folders(take, importer.cameras(folder), folder)
    timeline, people = take.timeline(), {}
    for v, camera in enumerate(track(take.cameras, reporter, "Reading 2D poses")):
        by_image = importer.read(folders[camera])
        index = timeline.frame_index[:, v].tolist()
        absent = sum(number >= 0 and number not in by_image for number in index)
        if absent == sum(number >= 0 for number in index):
            raise CoreError(
                f"{folders[camera].name} has poses of images {min(by_image)} to {max(by_image)}, none in the take.",
                "Choose the poses of the take's videos.",
            )
        if absent:
            reporter.note(f"{camera}: {absent} of {len(index)} frames have no file, and so no people.", "warning")
        poses = stack_people(
            camera, importer.skeleton, [by_image.get(number, []) if number >= 0 else [] for number in index]
        )
        poses.save(take.layout.poses2d_file(name, camera))
        people[camera] = round(float(poses.present.sum()) / max(len(index), 1), 3)
    note_poses2d(take.layout, name, importer.title, importer.skeleton, people)
    return {"take": take.name, "estimator": name, "people_per_image": people}


def note_poses2d(layout: TakeLayout, name: str, title: str, skeleton: Skeleton, people: dict[str, float]) -> None:
    """Write the manifest of imported 2D poses, which marks them as complete."""
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
    """Return the folder of each camera of the take, matched by name."""
    if not parts:
        raise CoreError(f"{folder} has no folders with 2D poses.", "It needs one folder per camera, named after it.")
    owners = cameras_of_files([part.name for part in parts], take.cameras)
    folders = dict(zip(owners, parts, strict=True))
    missing = [camera for camera in take.cameras if camera not in folders]
    if missing:
        raise CoreError(f"{folder} has no folder for camera {missing[0]}.", "Name each folder after its camera.")
    return folders


def _video_sizes(session: Session) -> dict[str, tuple[int, int]]:
    """Return image sizes by camera name, from the takes; cameras with several sizes are left out."""
    sizes: dict[str, set[tuple[int, int]]] = {}
    for name in session.take_names():
        for camera in session.take(name).manifest.cameras:
            sizes.setdefault(camera.name, set()).add(camera.size_px)
    return {name: found.pop() for name, found in sizes.items() if len(found) == 1}
