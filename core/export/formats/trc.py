"""TRC, the tab-separated marker file of OpenSim: one file a person, as its tools take one subject each.

OpenSim's ground frame has y up and metres. A missing joint is written as `nan`: readers that split at any white space
would shift every later joint of the row if it were left empty. The format has no place for a comment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.export.exporter import (
    DECIMALS,
    ExportOptions,
    Origin,
    Units,
    UpAxis,
    frame_rate_hz,
    person_label,
    to_file_coordinates,
)
from core.files import replacing
from core.types import Pose3DSequence
from core.types.arrays import F64

_ORIGINAL = ("DataRate", "DataStartFrame", "NumFrames")


class TrcExporter:
    """See the module."""

    title = "TRC"
    units: tuple[Units, ...] = ("m", "mm", "cm")
    ups: tuple[UpAxis, ...] = ("y", "z")

    def describe(self, options: ExportOptions) -> str:
        return (
            f"One marker file a person, in {options.units} with {options.up} up; read by OpenSim for scaling and "
            "inverse kinematics."
        )

    def write(self, poses: Pose3DSequence, stem: Path, options: ExportOptions, origin: Origin) -> list[Path]:
        xyz = to_file_coordinates(poses.xyz_mm, options)
        paths = []
        for column, person_id in enumerate(poses.person_ids):
            if not poses.present[:, column].any():
                continue
            path = stem.with_name(f"{stem.name}_{person_label(person_id)}.trc")
            _write_person(path, xyz[:, column], poses, options)
            paths.append(path)
        return paths


def _write_person(path: Path, xyz: F64, poses: Pose3DSequence, options: ExportOptions) -> None:
    """One person's (T, J, 3) in the file's own units and axes."""
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
