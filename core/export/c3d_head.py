"""Header and parameters of C3D files. The frames bypass the library, which copies them in memory many times."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ezc3d

from core.export.exporter import ExportedResult, ExportOptions, frame_rate_hz, person_label

SECTION_BYTES = 512
MAX_HEAD_BYTES = 256 * SECTION_BYTES  # header and parameters; the sections of the parameters are counted in a byte
_MAX_COUNTED = 0xFFFF
"""Number of frames up to which header and POINT:FRAMES count; TRIAL:ACTUAL_END_FIELD counts those of longer takes."""
_INTEGER = 2  # type of a parameter in 16 bits
_LAST_FRAME_AT, _DATA_AT = 8, 16
"""Bytes of the header with the number of the last frame and with the section of the first one (C3D user guide)."""
_FRAMES, _VALUE_AT = b"FRAMES", 4
"""Name of the parameter POINT:FRAMES, and the distance of its value: offset, type and number of dimensions."""
_MOST_TEXTS = 255
"""Largest number of texts of a parameter, stored in one byte; LABELS2 and so on continue it."""


def c3d_of(result: ExportedResult, options: ExportOptions) -> Any:
    """Return a C3D file without data: rate, units, axes, people and origin."""
    people = [person_label(i) for i in result.poses.person_ids]
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [frame_rate_hz(result.poses)]
    point["UNITS"]["value"] = [options.units]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", [f"+{options.up.upper()}"])
    if len(people) <= _MOST_TEXTS:
        file.add_parameter("SUBJECTS", "USED", [len(people)])
        file.add_parameter("SUBJECTS", "NAMES", people)
        file.add_parameter("SUBJECTS", "LABEL_PREFIXES", [f"{person}:" for person in people])
    file.add_parameter("MANUFACTURER", "SOFTWARE", [result.origin.version])
    file.add_parameter("ORIGIN", "TAKE", [result.origin.take])
    file.add_parameter("ORIGIN", "POSES", [result.origin.poses])
    file.add_parameter("ORIGIN", "RIG", [result.origin.rig])
    return file


def add_texts(file: Any, group: str, parameter: str, texts: Sequence[str]) -> None:
    """Add a parameter of any number of texts, in parts if they are many."""
    for part, start in enumerate(range(0, len(texts), _MOST_TEXTS), start=1):
        name = parameter if part == 1 else f"{parameter}{part}"
        file.add_parameter(group, name, list(texts[start : start + _MOST_TEXTS]))


def head_bytes(file: Any, frames: int, *, rotations: bool = False) -> bytes:
    """Return everything before the points, or the rotations, of a file with data of a single frame.

    It is for a number of frames, of which the library counts no more than 65,535; it is silent about a full disk.
    """
    if frames > _MAX_COUNTED:
        for name, number in (("ACTUAL_START_FIELD", 1), ("ACTUAL_END_FIELD", frames)):
            file.add_parameter("TRIAL", name, [number & 0xFFFF, number >> 16])
            file["parameters"]["TRIAL"][name]["type"] = _INTEGER
    with tempfile.TemporaryDirectory() as folder:
        file.write(f"{folder}/head.c3d")
        head = bytearray(Path(folder, "head.c3d").read_bytes())
        section = struct.unpack_from("<H", head, _DATA_AT)[0]
        if rotations:
            written = ezc3d.c3d(f"{folder}/head.c3d")["parameters"]["ROTATION"]
            section = int(written["DATA_START"]["value"][0])
    data = SECTION_BYTES * (section - 1)
    counted = min(frames, _MAX_COUNTED)
    struct.pack_into("<H", head, _LAST_FRAME_AT, counted)
    struct.pack_into("<H", head, head.index(_FRAMES, 0, data) + len(_FRAMES) + _VALUE_AT, counted)
    return bytes(head[:data])


def padding(size: int) -> bytes:
    """Return the bytes that fill the last section of a file of some size."""
    return bytes(-size % SECTION_BYTES)
