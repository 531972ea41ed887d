"""CSV in tidy (long) form, one row per frame, person and joint, for pandas, R and spreadsheets.

Columns: `frame` (from 0), `time_s`, `person`, `joint`, `x_mm`, `y_mm`, `z_mm` (named after the unit), `score` (0 to 1).
A person who is absent from a frame has no rows in it; a missing joint has empty coordinates and score 0. The origin of
the poses is written to `.origin.json`, since most readers fail on comments in a table.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from core.disk import replacing
from core.export.exporter import (
    DECIMALS,
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Units,
    UpAxis,
    frames_in_file_coordinates,
)
from core.files import write_json


class CsvExporter(Exporter):
    """Writer of CSV files."""

    title = "CSV"
    needs: tuple[Content, ...] = ("points",)
    units: tuple[Units, ...] = ("mm", "cm", "m")
    ups: tuple[UpAxis, ...] = ("z", "y")
    constant_rate = False

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"A row per frame, person and joint, in {options.units} with {options.up} up; read by pandas, R, MATLAB "
            "and spreadsheets."
        )

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write the table, and its origin as a JSON file of the same name."""
        poses, origin = result.poses, result.origin
        path, sidecar = stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.origin.json")
        joints, present = poses.skeleton.joints, poses.present
        number = f"%.{DECIMALS[options.units]}f"
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["frame", "time_s", "person", "joint", *(f"{a}_{options.units}" for a in "xyz"), "score"])
            for t, xyz in enumerate(frames_in_file_coordinates(poses, options)):
                for p in np.flatnonzero(present[t]):
                    time, person = f"{poses.time_s[t]:.6f}", poses.person_ids[p]
                    for joint, point, score in zip(joints, xyz[p].tolist(), poses.score[t, p].tolist(), strict=True):
                        cells = [number % c for c in point] if not math.isnan(point[0]) else ["", "", ""]
                        rows.writerow([t, time, person, joint, *cells, f"{score:.4f}"])
        write_json(
            sidecar,
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
        return [path, sidecar]


EXPORTER = CsvExporter()
