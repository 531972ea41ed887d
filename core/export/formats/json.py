"""JSON for programs and web pages.

Schema `selfpose-studio/poses3d`, version 1:

    {"schema": "selfpose-studio/poses3d", "version": 1,
     "origin": {"take", "poses", "rig", "version"}, "provenance": {...},
     "units": "mm", "up": "z", "fps": 25.0,
     "skeleton": {"name", "joints": [name, ...], "bones": [[joint index, joint index], ...], "root": index or null},
     "frames": [{"time_s": 0.04, "people": [{"id": 1, "xyz": [[x, y, z] or null, ...], "score": [0.93, ...]}]}]}

`xyz` and `score` follow the order of `joints`; a missing joint is null with score 0. A frame lists the people present
in it; the list may be empty.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from core.disk import replacing
from core.export.exporter import (
    DECIMALS,
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Origin,
    Units,
    UpAxis,
    frames_in_file_coordinates,
)
from core.types import Pose3DSequence

SCHEMA = "selfpose-studio/poses3d"
VERSION = 1


class JsonExporter(Exporter):
    """Writer of JSON files."""

    title = "JSON"
    needs: tuple[Content, ...] = ("points",)
    units: tuple[Units, ...] = ("mm", "cm", "m")
    ups: tuple[UpAxis, ...] = ("z", "y")
    constant_rate = False

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"One file with the people of each frame, in {options.units} with {options.up} up; read by any programming "
            "language."
        )

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file, one line per frame."""
        poses, origin = result.poses, result.origin
        path = stem.with_name(f"{stem.name}.json")
        head = json.dumps(_head(poses, options, origin), indent=2, allow_nan=False)
        present, decimals = poses.present, DECIMALS[options.units]
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            # One line per frame: readable, and a long take is never held in memory as one string.
            file.write(head.removesuffix("\n}") + ',\n  "frames": [\n')
            for t, xyz in enumerate(frames_in_file_coordinates(poses, options)):
                time_s = float(poses.time_s[t])
                people = [
                    {
                        "id": poses.person_ids[p],
                        "xyz": [
                            None if math.isnan(point[0]) else point for point in np.round(xyz[p], decimals).tolist()
                        ],
                        "score": np.round(poses.score[t, p], 4).tolist(),
                    }
                    for p in np.flatnonzero(present[t])
                ]
                line = json.dumps({"time_s": round(time_s, 6), "people": people}, allow_nan=False)
                file.write(f"    {line}{',' if t + 1 < len(poses.time_s) else ''}\n")
            file.write("  ]\n}\n")
        return [path]


def _head(poses: Pose3DSequence, options: ExportOptions, origin: Origin) -> dict[str, Any]:
    skeleton = poses.skeleton
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "origin": {"take": origin.take, "poses": origin.poses, "rig": origin.rig, "version": origin.version},
        "provenance": dict(poses.provenance),
        "units": options.units,
        "up": options.up,
        "fps": poses.fps,
        "skeleton": {
            "name": skeleton.name,
            "joints": list(skeleton.joints),
            "bones": [list(bone) for bone in skeleton.bones],
            "root": skeleton.root,
        },
    }


EXPORTER = JsonExporter()
