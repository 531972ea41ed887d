"""Verbs `import-take`, `import-rig` and `import-poses2d`: import of existing data into a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core import __version__
from core.config import to_mapping
from core.errors import CoreError
from core.files import write_yaml
from core.pipelines.params import ImportPoses2DParams, ImportRigParams, ImportTakeParams
from core.pipelines.rig.adopt import adopt_rig
from core.pose2d.importers.assemble import ImportOptions, import_people
from core.progress import Reporter
from core.rig_io.importers import import_rig_file
from core.session import RunLayout, Session, Take, TakeLayout
from core.session import ingest as session_ingest
from core.types.camera import CameraRig
from core.types.skeleton import COCO17, Skeleton


def run_import_take(session: Session, params: ImportTakeParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Import videos as a take; see `core.session.ingest.ingest_videos`."""
    take = session_ingest.ingest_videos(
        session,
        [Path(v) for v in params.videos],
        cameras=params.cameras,
        name=params.name,
        kind=params.kind,
        fps=params.fps,
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
    """Import and check a calibration file, and adopt it as the rig of the session.

    Even an implausible rig is imported, with findings, so that it can be inspected over the images. The former rig is
    kept in the list of calibrations.
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
    """Import 2D poses of another program as those of an estimator.

    Raises:
        CoreError: The take or the folder does not exist, a camera has no poses, a file has another format, or the name
            is taken.
        CancelledError: The job is cancelled.
    """
    take = session.take(params.take)
    options = ImportOptions(
        path=Path(params.path).expanduser(),
        format=params.format,
        joints=params.joints,
        image_size=params.image_size,
        rotation=None if params.rotation == "auto" else int(params.rotation),
        first_image=params.first_image,
        cameras=params.cameras,
    )
    if params.name:
        _check_new_poses2d(take, params.name)
    imported = import_people(take, _rig_of(session, take), options, reporter)
    name = params.name or imported.importer.name.removesuffix("-csv").removesuffix("-hdf5")
    _check_new_poses2d(take, name)
    people: dict[str, float] = {}
    for camera, poses in imported.poses2d.items():
        poses.save(take.layout.poses2d_file(name, camera))
        people[camera] = round(float(poses.present.sum()) / max(poses.n_frames, 1), 3)
    note_poses2d(take.layout, name, imported.importer.title, COCO17, people)
    joints = imported.joints.name
    return {"take": take.name, "estimator": name, "joints": joints, "people_per_image": people}


def _check_new_poses2d(take: Take, name: str) -> None:
    if take.layout.poses2d_manifest(name).is_file():
        raise CoreError(
            f"Take {take.name} already has 2D poses named '{name}'.", "Choose another name, such as with --name."
        )


def _rig_of(session: Session, take: Take) -> CameraRig | None:
    """Return the cameras of a take; None if it cannot be triangulated yet."""
    try:
        return session.rig_for(take)
    except CoreError:
        return None


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


def _video_sizes(session: Session) -> dict[str, tuple[int, int]]:
    """Return the image size by camera name from the takes, except for cameras with several sizes."""
    sizes: dict[str, set[tuple[int, int]]] = {}
    for name in session.take_names():
        for camera in session.take(name).manifest.cameras:
            sizes.setdefault(camera.name, set()).add(camera.size_px)
    return {name: found.pop() for name, found in sizes.items() if len(found) == 1}
