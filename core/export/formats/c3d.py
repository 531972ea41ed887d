"""C3D, the binary format of optical motion capture: Vicon Nexus, Visual3D, Mokka, OpenSim, MATLAB toolboxes.

The joints of each person are points named `P1:left_knee`; the SUBJECTS group lists the prefixes, as in Vicon's files. A
missing joint has the residual -1, which readers treat as invalid.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import ezc3d
import numpy as np

from core.export.exporter import (
    Content,
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


class C3dExporter:
    """Writer of C3D files."""

    title = "C3D"
    needs: tuple[Content, ...] = ("points",)
    units: tuple[Units, ...] = ("mm", "cm", "m")
    ups: tuple[UpAxis, ...] = ("z", "y")
    constant_rate = True

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"One file with the joints of all people as points, in {options.units} with {options.up} up; read by Vicon "
            "Nexus, Visual3D, Mokka, OpenSim and MATLAB toolboxes."
        )

    def write(self, poses: Pose3DSequence, stem: Path, options: ExportOptions, origin: Origin) -> list[Path]:
        """Write one file with the joints of all people as points."""
        people = [person_label(i) for i in poses.person_ids]
        xyz = to_file_coordinates(poses.xyz_mm, options)  # (T, P, J, 3)
        points = np.full((4, xyz.shape[1] * xyz.shape[2], len(xyz)), np.nan)
        points[:3] = xyz.reshape(len(xyz), -1, 3).transpose(2, 1, 0)

        file = ezc3d.c3d()
        point = file["parameters"]["POINT"]
        point["RATE"]["value"] = [frame_rate_hz(poses)]
        point["UNITS"]["value"] = [options.units]
        pairs = list(itertools.product(people, poses.skeleton.joints))
        point["LABELS"]["value"] = [f"{person}:{joint}" for person, joint in pairs]
        point["DESCRIPTIONS"]["value"] = [f"{joint} of {person}" for person, joint in pairs]
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", [f"+{options.up.upper()}"])
        file.add_parameter("SUBJECTS", "USED", [len(people)])
        file.add_parameter("SUBJECTS", "NAMES", people)
        file.add_parameter("SUBJECTS", "LABEL_PREFIXES", [f"{person}:" for person in people])
        file.add_parameter("MANUFACTURER", "SOFTWARE", [origin.version])
        file.add_parameter("ORIGIN", "TAKE", [origin.take])
        file.add_parameter("ORIGIN", "POSES", [origin.poses])
        file.add_parameter("ORIGIN", "RIG", [origin.rig])
        file["data"]["points"] = points
        path = stem.with_name(f"{stem.name}.c3d")
        with replacing(path) as temporary:
            file.write(str(temporary))
        return [path]


EXPORTER = C3dExporter()
