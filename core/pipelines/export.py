"""Verb `export`: 3D poses of a take as files of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core import NAME, __version__
from core.errors import CoreError
from core.export import EXPORTERS, ExportOptions, Origin, resolve_options, write_poses
from core.pipelines.params import ExportParams
from core.progress import Reporter, check
from core.session import BASELINE, RunLayout, Session, Take
from core.types import Pose3DSequence

_UNEVEN = 0.1
"""Share of the frame time by which a step may differ before a constant rate is called wrong."""


def run_export(session: Session, params: ExportParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Writes one 3D result in every format asked for.

    Returns:
        `poses`, `folder` and `files`.

    Raises:
        CoreError: No such take, result or format, nobody in it, or a folder that cannot be written.
    """
    take = session.take(params.take)
    chosen = params.poses or newest_poses(take)
    if chosen not in take.poses3d_runs():
        known = ", ".join(take.poses3d_runs()) or "none yet: run Baseline (associate) or Infer first"
        raise CoreError(f"Take {take.name} has no 3D poses '{chosen}'.", f"It has: {known}.")
    if not params.formats:
        raise CoreError("No format was chosen.", f"Choose among {', '.join(EXPORTERS)}.")
    options = {name: _options(name, params, reporter) for name in dict.fromkeys(params.formats)}
    poses = take.poses3d(chosen)
    _warn_of_uneven_times(poses, reporter)
    folder = Path(params.folder).expanduser().absolute() if params.folder else session.layout.exports
    origin = Origin(
        take=take.name,
        poses=chosen,
        rig=_rig_digest(session, take, poses),
        version=f"{NAME} {poses.provenance.get('code_version', __version__)}",
    )
    files: list[Path] = []
    for done, (name, chosen_options) in enumerate(options.items()):
        check(reporter)
        reporter.progress(done, len(options), f"Writing {EXPORTERS.get(name).title}")
        files += write_poses(name, poses, folder / f"{take.name}_{chosen}", chosen_options, origin)
    reporter.progress(len(options), len(options), "Written")
    return {"poses": chosen, "folder": str(folder), "files": [str(path) for path in files]}


def newest_poses(take: Take) -> str:
    """Name of the newest trained 3D result, or the baseline where there is none."""
    trained = [name for name in take.poses3d_runs() if name != BASELINE]
    return max(trained, key=lambda name: take.layout.poses3d(name).stat().st_mtime, default=BASELINE)


def _options(name: str, params: ExportParams, reporter: Reporter) -> ExportOptions:
    """What was asked for where the format allows it; several formats at once are not held up by one that does not."""
    exporter = EXPORTERS.get(name)
    try:
        return resolve_options(exporter, params.units, params.up)
    except CoreError as error:
        if len(params.formats) == 1:
            raise
        options = resolve_options(exporter)
        reporter.note(f"{error.message} It is written in {options.units} with {options.up} up.", "warning")
        return options


def _rig_digest(session: Session, take: Take, poses: Pose3DSequence) -> str:
    stored = poses.provenance.get("rig")
    return str(stored) if stored else session.rig_for(take).digest


def _warn_of_uneven_times(poses: Pose3DSequence, reporter: Reporter) -> None:
    steps = np.diff(poses.time_s)
    if steps.size and (np.abs(steps * poses.fps - 1) > _UNEVEN).any():
        reporter.note(
            f"The take's frames are not evenly spaced: C3D keeps one rate ({poses.fps:.6g} frames per second), so "
            "frames shift in it. TRC, CSV, JSON and NetCDF keep the true times.",
            "warning",
        )
