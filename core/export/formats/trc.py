"""TRC, the tab-separated marker format of OpenSim: one file per person, since its tools process one subject each.

OpenSim's ground coordinates have y up, in metres. A missing joint is written as `nan`: readers that split at white
space would shift all later columns of the row if it were empty. The format has no place for comments.
"""

from __future__ import annotations

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
    frame_rate_hz,
    person_label,
    to_file_coordinates,
)
from core.types import Pose3DSequence
from core.types.arrays import F64

_ORIGINAL = ("DataRate", "DataStartFrame", "NumFrames")


class TrcExporter(Exporter):
    """Writer of TRC files."""

    title = "TRC"
    needs: tuple[Content, ...] = ("points",)
    units: tuple[Units, ...] = ("m", "mm", "cm")
    ups: tuple[UpAxis, ...] = ("y", "z")
    constant_rate = False

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"A marker file per person, in {options.units} with {options.up} up; read by OpenSim for scaling and "
            "inverse kinematics."
        )

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file per person that is present in any frame."""
        poses = result.poses
        present, paths = poses.present, []
        for column, person_id in enumerate(poses.person_ids):
            if not present[:, column].any():
                continue
            path = stem.with_name(f"{stem.name}_{person_label(person_id)}.trc")
            _write_person(path, to_file_coordinates(poses.xyz_mm[:, column], options), poses, options)
            paths.append(path)
        return paths


def _write_person(path: Path, xyz: F64, poses: Pose3DSequence, options: ExportOptions) -> None:
    """Write one person's joints (T, J, 3), in the units and axes of the file."""
    frames, joints = xyz.shape[:2]
    rate = f"{frame_rate_hz(poses):.6g}"
    header = [
        ["PathFileType", "4", "(X/Y/Z)", path.name],
        ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", *(f"Orig{k}" for k in _ORIGINAL)],
        [rate, rate, str(frames), str(joints), options.units, rate, "1", str(frames)],
        ["Frame#", "Time", *(cell for joint in poses.skeleton.joints for cell in (joint, "", ""))],
        ["", "", *(f"{axis}{j}" for j in range(1, joints + 1) for axis in "XYZ")],
        [],
    ]
    table = np.column_stack([np.arange(1, frames + 1), poses.time_s, xyz.reshape(frames, -1)])
    formats = ["%d", "%.6f", *[f"%.{DECIMALS[options.units]}f"] * (3 * joints)]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines("\t".join(row) + "\n" for row in header)
        np.savetxt(file, table, fmt=formats, delimiter="\t")


EXPORTER = TrcExporter()
