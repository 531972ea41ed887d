"""Replacement of a session's rig, with the transformation of results after a change of world coordinates.

All files are written to a temporary folder first and then moved into place together: an error changes nothing.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.files import write_json, write_yaml
from core.geometry.similarity import Similarity, similarity_between
from core.session.calibrations import calibration_of, free_calibration, keep_calibration
from core.session.inputs import evaluation_report
from core.session.layout import CalibrationLayout
from core.session.store import Session, Take, rig_of_take
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence
from core.types.volume import VolumeSettings

_Write = Callable[[Path], None]
_RIGID_MM = 1e-6
"""Largest change of a metre in mm for which the lengths in a report are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RigReplacement:
    """Result of replacing a session's rig.

    Attributes:
        former: Replaced calibration; None if there was none.
        kept: New calibration in the list of calibrations.
        change: Change of world coordinates by which results were transformed; None if the cameras changed otherwise.
        notes: Sentences on what could not be transformed.
        bodies_outdated: True if the scale has changed, so that bodies have to be fitted again.
    """

    former: CalibrationLayout | None
    kept: CalibrationLayout
    change: Similarity | None
    notes: tuple[str, ...] = ()
    bodies_outdated: bool = False


def replace_rig(
    session: Session, rig: CameraRig, report: dict[str, Any], kept: CalibrationLayout | None = None
) -> RigReplacement:
    """Replace the rig of a session; both rigs are kept in the list of calibrations.

    If the rigs differ only in world coordinates, everything in these coordinates is transformed: 3D poses, ground
    truth, bodies (unless the scale has changed) and capture volume; digests in reports and 2D poses are updated.
    Otherwise results keep the digest of their rig, which marks them as out of date.

    Args:
        session: The session.
        rig: New rig.
        report: Report of the new rig.
        kept: Folder in which the new rig is already kept; None to find or create one.

    Raises:
        CoreError: A file cannot be read or written; nothing has changed.
    """
    layout = session.layout
    notes: list[str] = []
    try:
        former = session.rig
    except CoreError:
        former = None
    try:
        backup = keep_calibration(session)
        kept = kept or calibration_of(session, rig.digest) or free_calibration(session)
        shutil.rmtree(layout.moving, ignore_errors=True)
        staged = [_stage(layout.rig, layout.moving / "rig.toml", rig.save)]
        staged.append(_stage(layout.rig_report, layout.moving / "report.json", lambda path: write_json(path, report)))
        written = CameraRig.load(staged[0][0])  # with the rounding of the file
        change = None
        if former is not None and former.digest != written.digest:
            change = similarity_between(former, written)
        if former is not None and change is not None:
            move = _Move(session, former, written, change, kept, notes)
            for number, (target, write) in enumerate(move.files()):
                staged.append(_stage(target, layout.moving / f"{number}{target.suffix}", write))
        kept.root.mkdir(parents=True, exist_ok=True)
        for (source, _), target in zip(staged[:2], (kept.rig, kept.report), strict=True):
            if source != target:
                shutil.copyfile(source, target)
        for source, target in reversed(staged):  # the rig last: until then, results count as out of date
            source.replace(target)
        if notes:
            layout.volume.unlink(missing_ok=True)
    except OSError as error:
        raise CoreError(
            f"The calibration cannot be written: {error.strerror}.",
            "Check the free disk space, and that you may write to the session.",
        ) from error
    finally:
        shutil.rmtree(layout.moving, ignore_errors=True)
    scaled = change is not None and _is_scaled(change)
    return RigReplacement(former=backup, kept=kept, change=change, notes=tuple(notes), bodies_outdated=scaled)


def moved_volume(chosen: VolumeSettings, change: Similarity) -> VolumeSettings:
    """Return a capture volume in new world coordinates: the bounding box of the former one along the new axes.

    Raises:
        CoreError: The volume is too small or too large in the new scale.
    """
    turned = np.abs(change.R)
    turned[turned < 1e-9] = 0.0
    centre, size = change.points(np.array(chosen.centre_mm)), change.scale * (turned @ chosen.size_mm)
    margins = chosen.synthetic
    return dataclasses.replace(
        chosen,
        centre_mm=tuple(centre.tolist()),
        size_mm=tuple(size.tolist()),
        spacing_mm=None if chosen.spacing_mm is None else change.scale * chosen.spacing_mm,
        synthetic=dataclasses.replace(
            margins,
            lowest_mm=change.scale * margins.lowest_mm,
            highest_mm=change.scale * margins.highest_mm,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Move:
    """Change of a session's world coordinates; `notes` lists what could not be transformed."""

    session: Session
    former: CameraRig
    rig: CameraRig
    change: Similarity
    kept: CalibrationLayout
    notes: list[str]

    def files(self) -> Iterator[tuple[Path, _Write]]:
        """Yield each file to transform, with the function that writes its new version."""
        for name in self.session.take_names():
            yield from self._take_files(self.session.take(name))
        if self.session.layout.volume.exists():
            yield from self._volume_file()

    def _take_files(self, take: Take) -> Iterator[tuple[Path, _Write]]:
        try:
            old, new = (rig_of_take(rig, take).digest for rig in (self.former, self.rig))
        except CoreError:
            return  # filmed by other cameras: no results in these coordinates
        for name in take.poses3d_runs():
            path, poses = take.layout.poses3d(name), take.poses3d(name)
            made_with = poses.provenance.get("rig", "")
            if made_with and made_with != old:
                continue  # already out of date
            provenance = {**poses.provenance, "rig": new} if made_with else poses.provenance
            yield path, dataclasses.replace(self.change.poses(poses), provenance=provenance).save
        for name in () if _is_scaled(self.change) else take.bodies_runs():
            path, bodies = take.layout.bodies(name), take.bodies(name)
            made_with = bodies.provenance.get("rig", "")
            if made_with in ("", old):
                provenance = {**bodies.provenance, "rig": new} if made_with else bodies.provenance
                yield path, dataclasses.replace(self.change.bodies(bodies), provenance=provenance).save
        if take.layout.truth.is_file():
            yield take.layout.truth, self.change.poses(Pose3DSequence.load(take.layout.truth)).save
        for estimator in take.estimators():
            manifest = take.poses2d_manifest(estimator)
            if (manifest.get("second_look") or {}).get("request", {}).get("rig") == old:
                manifest["second_look"]["request"]["rig"] = new
                yield take.layout.poses2d_manifest(estimator), _yaml(manifest)
        for path in (take.layout.report, *(self.session.layout.run(n).report for n in take.poses3d_runs())):
            report = evaluation_report(path)
            if report.get("take", take.name) == take.name and report.get("inputs", {}).get("rig") == old:
                yield path, _json(self._moved_report(report, new))

    def _moved_report(self, report: dict[str, Any], digest: str) -> dict[str, Any]:
        """Return the report of an evaluation in new coordinates; errors in px and percent stay valid."""
        moved = report | {"inputs": report["inputs"] | {"rig": digest}}
        truth, change = report.get("truth"), self.change
        if not isinstance(truth, dict):
            return moved
        scaled = _is_scaled(change)
        if truth.get("alignment") == "scaled" or (truth.get("alignment") == "rigid" and not scaled):
            fit = truth["fit"]
            R = change.R @ np.array(fit["rotation"])
            moved["truth"] = truth | {
                "fit": fit
                | {
                    "rotation": R.round(6).tolist(),
                    "rotation_deg": _angle_deg(R @ np.diag([-1.0, 1.0, 1.0]) if fit.get("mirrored") else R),
                    "translation_mm": change.points(np.array(fit["translation_mm"])).round(3).tolist(),
                    "scale": round(change.scale * fit["scale"], 6),
                }
            }
        else:
            del moved["truth"]  # valid only in the former coordinates
        return moved

    def _volume_file(self) -> Iterator[tuple[Path, _Write]]:
        """Yield the capture volume; a kept one of the new rig is restored unless it has been set again since."""
        layout, old, new = self.session.layout, self.former.digest, self.rig.digest
        try:
            present = VolumeSettings.load(layout.volume)
            moved = moved_volume(present, self.change)
            if self.kept.volume.exists():
                before = VolumeSettings.load(self.kept.volume)
                if _alike(moved_volume(before, self.change.inverse), present):
                    moved = before
        except CoreError as error:
            self.notes.append(f"The capture volume set by the user is replaced by a derived one: {error.message}")
            return
        yield layout.volume, dataclasses.replace(moved, rig=new if present.rig == old else present.rig).save


def _is_scaled(change: Similarity) -> bool:
    return abs(change.scale - 1) * 1000 > _RIGID_MM


def _angle_deg(R: F64) -> float:
    return round(math.degrees(math.acos(float(np.clip((np.trace(R) - 1) / 2, -1, 1)))), 4)


def _alike(a: VolumeSettings, b: VolumeSettings) -> bool:
    same = np.allclose([*a.centre_mm, *a.size_mm], [*b.centre_mm, *b.size_mm], rtol=1e-9, atol=1e-6)
    return same and np.allclose(a.spacing_mm or 0.0, b.spacing_mm or 0.0)


def _stage(target: Path, source: Path, write: _Write) -> tuple[Path, Path]:
    write(source)
    return source, target


def _json(value: dict[str, Any]) -> _Write:
    return lambda path: write_json(path, value)


def _yaml(value: dict[str, Any]) -> _Write:
    return lambda path: write_yaml(path, value)
