"""Joint angles of bodies as a CSV table, in degrees: one row per frame and person, one column per angle.

Columns: `frame` (from 0), `time_s`, `person`, then the angles of `core.body.angles.JOINT_ANGLES`, such as
`left_knee_flexion_deg`; their signs are in docs/method/body.md. A person who is absent from a frame has no row in it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from core.body.angles import JOINT_ANGLES, joint_angles
from core.disk import replacing
from core.export.exporter import Content, ExportedResult, Exporter, ExportOptions, Units, UpAxis


class AnglesExporter(Exporter):
    """Writer of tables of joint angles, which do not depend on the unit of length or the up axis."""

    title = "Joint angles"
    needs: tuple[Content, ...] = ("rotations",)
    units: tuple[Units, ...] = ("mm", "cm", "m")
    ups: tuple[UpAxis, ...] = ("z", "y")
    constant_rate = False

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return "CSV with a row per frame and person, in degrees; read by pandas, R, MATLAB and spreadsheets."

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write the table."""
        bodies = result.bodies.bodies
        angles, path = joint_angles(bodies), stem.with_name(f"{stem.name}_angles.csv")
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["frame", "time_s", "person", *(f"{angle.name}_deg" for angle in JOINT_ANGLES)])
            for t, time_s in enumerate(bodies.time_s.tolist()):
                for p in np.flatnonzero(bodies.present[t]):
                    values = (f"{value:.3f}" for value in angles[t, p].tolist())
                    rows.writerow([t, f"{time_s:.6f}", bodies.person_ids[p], *values])
        return [path]


EXPORTER = AnglesExporter()
