"""C3D, the binary format of optical motion capture: Vicon Nexus, Visual3D, Mokka, OpenSim, MATLAB toolboxes.

The joints of each person are points named `P1:left_knee`; the SUBJECTS group lists the prefixes, as in Vicon's files. A
missing joint has the residual -1, which readers treat as invalid.
"""

from __future__ import annotations

import itertools
import struct
import tempfile
from pathlib import Path

import ezc3d
import numpy as np

from core.disk import replacing
from core.errors import CoreError
from core.export.exporter import (
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Origin,
    Units,
    UpAxis,
    frame_rate_hz,
    person_label,
    to_file_coordinates,
)
from core.types import Pose3DSequence

_BLOCK_FRAMES = 4096
_SECTION_BYTES = 512
_MAX_COUNTED = 0xFFFF
"""Number of frames up to which header and POINT:FRAMES count; TRIAL:ACTUAL_END_FIELD counts those of longer takes."""
_INTEGER = 2  # type of a parameter in 16 bits
_LAST_FRAME_AT, _DATA_AT = 8, 16
"""Bytes of the header with the number of the last frame and with the section of the first one (C3D user guide)."""
_FRAMES, _VALUE_AT = b"FRAMES", 4
"""Name of the parameter POINT:FRAMES, and the distance of its value: offset, type and number of dimensions."""

_MAX_SECTIONS = 256  # header and parameters; the sections of the parameters are counted in a byte
_MOST_TEXTS = 255
"""Most texts of a parameter, whose number is stored in a byte; LABELS2 and so on continue it."""


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
            f"One file with the joints of all people as points, in {options.units} with {options.up} up; read by Vicon "
            "Nexus, Visual3D, Mokka, OpenSim and MATLAB toolboxes."
        )

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file with the joints of all people as points."""
        poses, origin = result.poses, result.origin
        path = stem.with_name(f"{stem.name}.c3d")
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(_head(poses, options, origin))
            for first in range(0, len(poses.time_s), _BLOCK_FRAMES):
                xyz = to_file_coordinates(poses.xyz_mm[first : first + _BLOCK_FRAMES], options)  # (T, P, J, 3)
                points = np.full((*xyz.shape[:3], 4), np.nan, "<f4")
                points[..., :3] = xyz
                points[..., 3] = np.where(np.isfinite(xyz).all(-1), 0.0, -1.0)
                file.write(points.tobytes())
            file.write(bytes(-file.tell() % _SECTION_BYTES))
        return [path]


def _head(poses: Pose3DSequence, options: ExportOptions, origin: Origin) -> bytes:
    """Return header and parameters, without descriptions of the points if there are too many of them.

    Raises:
        CoreError: There are more points than the format can name.
    """
    for described in (True, False):
        head = _written_head(poses, options, origin, described=described)
        if len(head) <= _SECTION_BYTES * _MAX_SECTIONS:
            return head
    raise CoreError(
        f"C3D cannot name {len(poses.skeleton)} joints of each of the {len(poses.person_ids)} people of this take.",
        "Export NetCDF or JSON, or triangulate again so that fewer people are counted twice.",
    )


def _written_head(poses: Pose3DSequence, options: ExportOptions, origin: Origin, *, described: bool) -> bytes:
    """Return header and parameters.

    The library builds them for a single frame: it holds all frames in memory many times over, counts no more than
    65,535 of them, and is silent about a full disk.
    """
    people = [person_label(i) for i in poses.person_ids]
    pairs = list(itertools.product(people, poses.skeleton.joints))
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [frame_rate_hz(poses)]
    point["UNITS"]["value"] = [options.units]
    for parameter, form in (("LABELS", "{0}:{1}"), ("DESCRIPTIONS", "{1} of {0}"))[: 1 + described]:
        texts = [form.format(*pair) for pair in pairs]
        for part, start in enumerate(range(0, len(texts), _MOST_TEXTS), start=1):
            name = parameter if part == 1 else f"{parameter}{part}"
            file.add_parameter("POINT", name, texts[start : start + _MOST_TEXTS])
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", [f"+{options.up.upper()}"])
    if len(people) <= _MOST_TEXTS:
        file.add_parameter("SUBJECTS", "USED", [len(people)])
        file.add_parameter("SUBJECTS", "NAMES", people)
        file.add_parameter("SUBJECTS", "LABEL_PREFIXES", [f"{person}:" for person in people])
    file.add_parameter("MANUFACTURER", "SOFTWARE", [origin.version])
    file.add_parameter("ORIGIN", "TAKE", [origin.take])
    file.add_parameter("ORIGIN", "POSES", [origin.poses])
    file.add_parameter("ORIGIN", "RIG", [origin.rig])
    frames = len(poses.time_s)
    if frames > _MAX_COUNTED:
        for name, number in (("ACTUAL_START_FIELD", 1), ("ACTUAL_END_FIELD", frames)):
            file.add_parameter("TRIAL", name, [number & 0xFFFF, number >> 16])
            file["parameters"]["TRIAL"][name]["type"] = _INTEGER
    file["data"]["points"] = np.zeros((4, len(pairs), 1))
    with tempfile.TemporaryDirectory() as folder:
        file.write(f"{folder}/head.c3d")
        head = bytearray(Path(folder, "head.c3d").read_bytes())
    data = _SECTION_BYTES * (struct.unpack_from("<H", head, _DATA_AT)[0] - 1)
    counted = min(frames, _MAX_COUNTED)
    struct.pack_into("<H", head, _LAST_FRAME_AT, counted)
    struct.pack_into("<H", head, head.index(_FRAMES, 0, data) + len(_FRAMES) + _VALUE_AT, counted)
    return bytes(head[:data])


EXPORTER = C3dExporter()
