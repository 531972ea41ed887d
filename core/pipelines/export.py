"""Verb `export`: 3D poses of a take in the file formats of other tools."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core import NAME, __version__
from core.body.models.registry import load_body_model
from core.body.sequence import BodyMotion
from core.errors import CoreError
from core.export import (
    EXPORTERS,
    ExportedResult,
    ExportOptions,
    Origin,
    check_content,
    content_of,
    default_formats,
    person_label,
    resolve_options,
    write_result,
)
from core.pipelines.params import ExportParams
from core.pipelines.results.chosen import chosen_result
from core.progress import Reporter, check
from core.session import RunLayout, Session, Take
from core.session.exports.manifest import begin_export, export_stem, finish_export
from core.session.inputs import (
    FIT_BODIES_AGAIN,
    bodies_id,
    outdated_bodies,
    result_id,
)
from core.types import Pose3DSequence

_MAX_JITTER = 0.1
"""Largest relative deviation of a frame interval from the mean for a constant frame rate."""


def run_export(session: Session, params: ExportParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Write one 3D result in every requested format.

    Returns:
        `poses`, `folder`, `files` and `manifest`, which lists the files and is written last.

    Raises:
        CoreError: Take, result or format is unknown, a format cannot store the result, the result contains no person,
            or the folder cannot be written.
    """
    take = session.take(params.take)
    name = chosen_result(session, take, params.poses, reporter)
    poses = take.poses3d(name)
    content = content_of(take, name)
    formats = tuple(dict.fromkeys(params.formats)) or default_formats(content)
    for format in formats:
        check_content(EXPORTERS.get(format), content)
    formats, motion = _with_bodies(take, name, poses, formats, bool(params.formats), reporter)
    options = {format: _options(format, params, len(formats) == 1, reporter) for format in formats}
    _warn_of_uneven_times(poses, formats, reporter)
    folder = Path(params.folder).expanduser().absolute() if params.folder else session.layout.exports
    origin = Origin(
        take=take.name,
        poses=name,
        rig=_rig_digest(session, take, poses),
        version=f"{NAME} {poses.provenance.get('code_version', __version__)}",
    )
    result = ExportedResult(poses=poses, origin=origin, motion=motion)
    for note in dict.fromkeys(note for format in formats for note in EXPORTERS.get(format).notes(result)):
        reporter.note(note)
    begin_export(folder, take.name, name)
    files: list[Path] = []
    for done, (format, chosen) in enumerate(options.items()):
        check(reporter)
        reporter.progress(done, len(options), f"Writing {EXPORTERS.get(format).title}")
        watched = dataclasses.replace(result, report=_progress_of(reporter, format, done, len(options)))
        files += write_result(format, watched, folder / export_stem(take.name, name), chosen)
    bodies = bodies_id(take, name) if motion is not None else ""
    manifest = finish_export(folder, take.name, name, origin.rig, files, result_id(take, name), bodies)
    reporter.progress(len(options), len(options), "Written")
    return {
        "poses": name,
        "folder": str(folder),
        "files": [str(path) for path in files],
        "manifest": str(manifest),
    }


def _with_bodies(
    take: Take, name: str, poses: Pose3DSequence, formats: tuple[str, ...], asked: bool, reporter: Reporter
) -> tuple[tuple[str, ...], BodyMotion | None]:
    """Read the bodies of a result if a format needs them.

    Returns:
        Formats that can be written, and the bodies; None if no format needs them.

    Raises:
        CoreError: A requested format needs bodies, but they are out of date, or their model is missing.
    """
    needing = tuple(format for format in formats if set(EXPORTERS.get(format).needs) - {"points"})
    if not needing:
        return formats, None
    try:
        if message := outdated_bodies(take, name):
            raise CoreError(message, FIT_BODIES_AGAIN)
        bodies = take.bodies(name)
        if bodies.person_ids != poses.person_ids or not np.array_equal(bodies.time_s, poses.time_s):
            raise CoreError(f"The bodies of take {take.name} are not those of '{name}'.", FIT_BODIES_AGAIN)
        if not bodies.present.any():
            raise CoreError(f"The bodies of '{name}' of take {take.name} contain no person.", FIT_BODIES_AGAIN)
        motion = BodyMotion.of(load_body_model(bodies.model), bodies)
    except CoreError as error:
        if asked:
            raise
        titles = " and ".join(EXPORTERS.get(format).title for format in needing)
        reporter.note(f"{error} These formats are not written: {titles}.", "warning")
        return tuple(format for format in formats if format not in needing), None
    if without := [poses.person_ids[p] for p in np.flatnonzero(poses.present.any(0) & ~bodies.present.any(0))]:
        labels = ", ".join(map(person_label, without))
        reporter.note(f"No bodies were fitted to {labels}, who are missing from body formats.", "warning")
    return formats, motion


def _progress_of(reporter: Reporter, format: str, done: int, total: int) -> Callable[[float], None]:
    """Return a function that reports the progress of a format, and raises CancelledError once cancelled."""

    def report(share: float) -> None:
        check(reporter)
        reporter.progress(done + share, total, f"Writing {EXPORTERS.get(format).title}")

    return report


def _options(format: str, params: ExportParams, only: bool, reporter: Reporter) -> ExportOptions:
    """Resolve the options of a format; unless it is the only one, unsupported options fall back to its defaults."""
    exporter = EXPORTERS.get(format)
    try:
        return resolve_options(exporter, params.units, params.up)
    except CoreError as error:
        if only:
            raise
        options = resolve_options(exporter)
        reporter.note(f"{error.message} It is written in {options.units} with {options.up} up.", "warning")
        return options


def _rig_digest(session: Session, take: Take, poses: Pose3DSequence) -> str:
    stored = poses.provenance.get("rig")
    return str(stored) if stored else session.rig_for(take).digest


def _warn_of_uneven_times(poses: Pose3DSequence, formats: Sequence[str], reporter: Reporter) -> None:
    titles = [EXPORTERS.get(format).title for format in formats if EXPORTERS.get(format).constant_rate]
    intervals = np.diff(poses.time_s)
    if titles and (np.abs(intervals * poses.fps - 1) > _MAX_JITTER).any():
        reporter.note(
            f"The frames of the take are not evenly spaced, but {' and '.join(titles)} stores a constant rate "
            f"({poses.fps:.6g} frames per second), which shifts frames in time.",
            "warning",
        )
