"""C3D, the binary format of optical motion capture: Vicon Nexus, Visual3D, Mokka, OpenSim, MATLAB toolboxes.

The joints of each person are points named `P1:left_knee`; the SUBJECTS group lists the prefixes, as in Vicon's files. A
missing joint has the residual -1, which readers treat as invalid.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from core.disk import replacing
from core.errors import CoreError
from core.export.c3d_head import MAX_HEAD_BYTES, add_texts, c3d_of, head_bytes, padding
from core.export.exporter import (
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Units,
    UpAxis,
    person_label,
    to_file_coordinates,
)

_BLOCK_FRAMES = 4096


class C3dExporter(Exporter):
    """Writer of C3D files."""

    title = "C3D"
    needs: tuple[Content, ...] = ("points",)
    units: tuple[Units, ...] = ("mm", "cm", "m")
    ups: tuple[UpAxis, ...] = ("z", "y")
    constant_rate = True

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"One file with joints as points, in {options.units} with {options.up} up; read by Vicon Nexus, Visual3D, "
            "Mokka, OpenSim and MATLAB toolboxes."
        )

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file with the joints of all people as points."""
        poses = result.poses
        path = stem.with_name(f"{stem.name}.c3d")
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(_head(result, options))
            for first in range(0, len(poses.time_s), _BLOCK_FRAMES):
                xyz = to_file_coordinates(poses.xyz_mm[first : first + _BLOCK_FRAMES], options)  # (T, P, J, 3)
                points = np.full((*xyz.shape[:3], 4), np.nan, "<f4")
                points[..., :3] = xyz
                points[..., 3] = np.where(np.isfinite(xyz).all(-1), 0.0, -1.0)
                file.write(points.tobytes())
            file.write(padding(file.tell()))
        return [path]


def _head(result: ExportedResult, options: ExportOptions) -> bytes:
    """Return header and parameters, without descriptions of the points if there are too many of them.

    Raises:
        CoreError: There are more points than the format can name.
    """
    joints, ids = result.poses.skeleton.joints, result.poses.person_ids
    pairs = list(itertools.product(map(person_label, ids), joints))
    for texts in ({"LABELS": "{0}:{1}", "DESCRIPTIONS": "{1} of {0}"}, {"LABELS": "{0}:{1}"}):
        file = c3d_of(result, options)
        for parameter, form in texts.items():
            add_texts(file, "POINT", parameter, [form.format(*pair) for pair in pairs])
        file["data"]["points"] = np.zeros((4, len(pairs), 1))
        head = head_bytes(file, len(result.poses.time_s))
        if len(head) <= MAX_HEAD_BYTES:
            return head
    raise CoreError(
        f"C3D cannot name {len(joints)} joints of each of the {len(ids)} people of this take.",
        "Export NetCDF or JSON, or triangulate again so that fewer people are counted twice.",
    )


EXPORTER = C3dExporter()
