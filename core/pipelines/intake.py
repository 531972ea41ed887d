"""The verbs that bring videos and calibrations into a session."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path
from typing import Any

from core.calibration.check import check_rig
from core.calibration.importers import read_rig
from core.config import to_mapping
from core.files import write_bytes, write_json
from core.pipelines.params import ImportRigParams, ImportTakeParams
from core.progress import Reporter
from core.session import RunLayout, Session
from core.session import intake as session_intake


def import_take(session: Session, params: ImportTakeParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Copies videos into the session as one take. See `core.session.intake.import_take`."""
    take = session_intake.import_take(
        session,
        [Path(v) for v in params.videos],
        cameras=params.cameras,
        name=params.name,
        kind=params.kind,
        reporter=reporter,
    )
    return {
        "take": take.name,
        "cameras": list(take.cameras),
        "n_frames": take.manifest.n_frames,
        "fps": take.manifest.fps,
        "notes": list(take.manifest.notes),
    }


def import_rig(session: Session, params: ImportRigParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Reads a rig file, looks whether it can be right, and makes it the session's rig.

    A rig that cannot be right is imported all the same, so that it can be looked at over the pictures; the findings
    say so. The rig that was there is kept.
    """
    reporter.progress(0, 3, "Reading the rig")
    rig = read_rig(Path(params.path), params.format, params.units, up=params.up, sizes_px=_video_sizes(session))
    reporter.progress(1, 3, "Checking the rig")
    found = check_rig(rig, up="z" if params.up == "auto" else params.up)
    backup = _keep_old(session)
    rig.save(session.layout.rig)
    origin = {"digest": rig.digest, "source": rig.source, "created": rig.created}
    write_json(session.layout.rig_report, origin | found.to_mapping())
    rig.save(run.rig)
    reporter.progress(3, 3, "Checking the rig")
    reporter.note(rig.source)
    for finding in found.problems:
        reporter.note(f"{finding.sentence} {finding.remedy}", "warning")
    return {
        "cameras": list(rig.names),
        "digest": rig.digest,
        "level": found.level,
        "verdict": found.verdict,
        "findings": [to_mapping(f) for f in found.findings],
        "backup": backup,
    }


def _keep_old(session: Session) -> str:
    """Keeps a copy of the present rig; its path within the session, or nothing."""
    if not session.layout.rig.exists():
        return ""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    backup = next(path for path in map(session.layout.rig_backup, names) if not path.exists())
    write_bytes(backup, session.layout.rig.read_bytes())
    return backup.relative_to(session.root).as_posix()


def _video_sizes(session: Session) -> dict[str, tuple[int, int]]:
    """Picture sizes by camera name, from the takes; cameras whose takes disagree are left out."""
    sizes: dict[str, set[tuple[int, int]]] = {}
    for name in session.take_names():
        for camera in session.take(name).manifest.cameras:
            sizes.setdefault(camera.name, set()).add(camera.size_px)
    return {name: found.pop() for name, found in sizes.items() if len(found) == 1}
