"""CSV in tidy long form: a row for each joint of each person in each frame, for pandas, R and spreadsheets.

Columns: `frame` (from 0), `time_s`, `person`, `joint`, `x_mm`, `y_mm`, `z_mm` (named after the unit), `score` (0 to 1).
A person who is not there in a frame has no rows in it; a joint that is missing has empty coordinates and score 0. What
made the poses lies in the `.origin.json` beside it, as a comment in the table would trip most readers.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from core.export.exporter import DECIMALS, ExportOptions, Origin, Units, UpAxis, to_file_coordinates
from core.files import replacing, write_json
from core.types import Pose3DSequence


class CsvExporter:
    """See the module."""

    title = "CSV"
    units: tuple[Units, ...] = ("mm", "cm", "m")
    ups: tuple[UpAxis, ...] = ("z", "y")

    def describe(self, options: ExportOptions) -> str:
        return (
            f"One table with a row for each joint of each person in each frame, in {options.units} with {options.up} "
            "up; read by pandas, R, MATLAB and spreadsheets."
        )

    def write(self, poses: Pose3DSequence, stem: Path, options: ExportOptions, origin: Origin) -> list[Path]:
        path, beside = stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.origin.json")
        xyz, joints = to_file_coordinates(poses.xyz_mm, options), poses.skeleton.joints
        number = f"%.{DECIMALS[options.units]}f"
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["frame", "time_s", "person", "joint", *(f"{a}_{options.units}" for a in "xyz"), "score"])
            for t, p in np.argwhere(poses.present):
                time, person = f"{poses.time_s[t]:.6f}", poses.person_ids[p]
                for joint, place, score in zip(joints, xyz[t, p].tolist(), poses.score[t, p].tolist(), strict=True):
                    cells = [number % c for c in place] if not math.isnan(place[0]) else ["", "", ""]
                    rows.writerow([t, time, person, joint, *cells, f"{score:.4f}"])
        write_json(
            beside,
            {
                "file": path.name,
                "take": origin.take,
                "poses": origin.poses,
                "rig": origin.rig,
                "version": origin.version,
                "units": options.units,
                "up": options.up,
                "skeleton": poses.skeleton.name,
                "provenance": dict(poses.provenance),
            },
        )
        return [path, beside]


EXPORTER = CsvExporter()
