"""Joints and landmarks of fitted bodies as points, in a C3D file and a table: heels, toes, spine, head; hands and face.

The points of SMPL-H and SMPL-X have fingers as well, and those of SMPL-X the face. They follow the pose of the body.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from core.body.landmarks import SkinPoints, body_points, skin_points
from core.errors import CoreError
from core.export.bodies import terms_notes
from core.export.exporter import Content, ExportedResult, Exporter, ExportOptions, Units, UpAxis
from core.export.formats.c3d import EXPORTER as C3D
from core.export.formats.csv import EXPORTER as CSV
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import skeleton_of


class LandmarksExporter(Exporter):
    """Writer of points of bodies."""

    title = "Body landmarks"
    needs: tuple[Content, ...] = ("rotations", "mesh")
    units: tuple[Units, ...] = C3D.units
    ups: tuple[UpAxis, ...] = C3D.ups
    constant_rate = True
    by_default = False

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the files and their readers."""
        return (
            f"Joints of the bodies, heels, toes and points of the head as C3D and CSV, in {options.units} with "
            f"{options.up} up; hands and face where the body model has them."
        )

    def notes(self, result: ExportedResult) -> list[str]:
        """Return sentences on points that were not observed and on the terms of the surface."""
        notes = [f"Hands, toes and face in {self.title} follow from the pose of the body: they were not observed."]
        reason = _skin(result)[1]
        return notes + ([reason] if reason else []) + terms_notes(result)

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write a C3D file and a table with its origin."""
        bodies, points = result.bodies.bodies, body_points(result.bodies, _skin(result)[0])
        known = np.isfinite(result.poses.xyz_mm).all(-1)
        score = np.where(known, result.poses.score, 0).sum(-1) / np.maximum(known.sum(-1), 1)
        poses = Pose3DSequence(
            skeleton=skeleton_of(f"landmarks of {bodies.model}", points.names),
            time_s=bodies.time_s,
            xyz_mm=points.xyz_mm,
            score=np.repeat(np.where(bodies.present, score, 0)[..., None], len(points.names), -1),
            person_ids=bodies.person_ids,
            provenance=bodies.provenance,
        )
        of_bodies = dataclasses.replace(result, poses=poses)
        own = stem.with_name(f"{stem.name}_landmarks")
        return [*C3D.write(of_bodies, own, options), *CSV.write(of_bodies, own, options)]


def _skin(result: ExportedResult) -> tuple[SkinPoints | None, str]:
    """Return the landmarks of the surface, or None and the reason why files have only those of the fit."""
    try:
        return skin_points(result.bodies.model), ""
    except CoreError as error:
        return None, f"{error.message} Finger tips and face are left out. {error.hint}"


EXPORTER = LandmarksExporter()
