"""Sequences of surfaces: a folder with one OBJ or PLY file per frame, numbered from 0.

Every frame of the take has its file, so that numbers and frames agree; it contains the people present, and is
empty without people. OBJ files hold an object per person (`P1`), binary PLY files the person of each vertex.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from core.disk import replacing_folder
from core.export.bodies import terms_notes
from core.export.exporter import (
    DECIMALS,
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Units,
    UpAxis,
    person_label,
    to_file_coordinates,
)
from core.files import write_json
from core.types.arrays import F64, I64

_VERTEX = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("person", "<i4")])
_FACE = np.dtype([("count", "u1"), ("corners", "<i4", (3,))])
_PLY_HEAD = """ply
format binary_little_endian 1.0
comment {comment}
element vertex {vertices}
property float x
property float y
property float z
property int person
element face {faces}
property list uchar int vertex_indices
end_header
"""


class MeshSequenceExporter(Exporter):
    """Writer of one file per frame.

    Args:
        form: Extension of the files.
        ups: Up axes, the first one is what readers of the format expect.
    """

    needs: tuple[Content, ...] = ("mesh",)
    units: tuple[Units, ...] = ("m", "cm", "mm")
    constant_rate = False
    by_default = False

    def __init__(self, form: Literal["obj", "ply"], ups: tuple[UpAxis, ...]) -> None:
        self.form, self.title, self.ups = form, f"{form.upper()} sequence", ups

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the files and their readers."""
        return (
            f"A folder with a mesh file per frame (large), in {options.units} with {options.up} up; read by Blender, "
            "MeshLab and Houdini."
        )

    def notes(self, result: ExportedResult) -> list[str]:
        """Return the terms of use of the surface."""
        return terms_notes(result)

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write a folder with one file per frame, and its origin."""
        motion = result.bodies
        folder = stem.with_name(f"{stem.name}_{self.form}")
        faces = motion.model.faces
        origin = asdict(result.origin)
        comment = "; ".join(f"{key}: {value}" for key, value in origin.items())
        labels = [person_label(i) for i in motion.bodies.person_ids]
        corners = _face_lines(faces - len(motion.model.template_mm)) if self.form == "obj" else ""
        with replacing_folder(folder, folder.with_name(f"{folder.name}.former")) as fresh:
            for frame in range(n_frames := len(motion.bodies.time_s)):
                result.report(frame / n_frames)
                path = fresh / f"{frame:06d}.{self.form}"
                people = motion.people(frame)
                vertices = to_file_coordinates(motion.vertices_mm(frame).astype(np.float64), options)
                if self.form == "obj":
                    names = [labels[p] for p in people]
                    path.write_text(_obj(vertices, names, corners, comment, options), "utf-8")
                else:
                    ids = np.asarray(motion.bodies.person_ids)[people]
                    path.write_bytes(_ply(vertices, ids, faces, comment))
            times = {"time_s": np.round(motion.bodies.time_s, 6).tolist(), "units": options.units, "up": options.up}
            body = {"model": motion.model.name, "family": motion.model.family, "terms": motion.model.licence}
            write_json(fresh / "origin.json", {**origin, "body": body, **times})
        return sorted(folder.iterdir())


def _face_lines(back: I64) -> str:
    """Return the faces of an OBJ file, in numbers that count back from the vertices before them, -1 the last one."""
    return ("f %d %d %d\n" * len(back)) % tuple(back.ravel().tolist())


def _obj(vertices: F64, names: list[str], faces: str, comment: str, options: ExportOptions) -> str:
    row = "v {0} {0} {0}\n".format(f"%.{DECIMALS[options.units]}f")
    text = [f"# {comment}\n"]
    for name, points in zip(names, vertices, strict=True):
        text += [f"o {name}\ns 1\n", (row * len(points)) % tuple(points.ravel().tolist()), faces]
    return "".join(text)


def _ply(vertices: F64, people: I64, faces: I64, comment: str) -> bytes:
    P, V = vertices.shape[:2]
    points = np.empty((P, V), _VERTEX)
    for axis, name in enumerate("xyz"):
        points[name] = vertices[..., axis]
    points["person"] = people[:, None]
    triangles = np.empty((P, len(faces)), _FACE)
    triangles["count"], triangles["corners"] = 3, faces + V * np.arange(P)[:, None, None]
    head = _PLY_HEAD.format(comment=comment, vertices=P * V, faces=P * len(faces))
    return head.encode() + points.tobytes() + triangles.tobytes()


OBJ = MeshSequenceExporter("obj", ("y", "z"))
PLY = MeshSequenceExporter("ply", ("z", "y"))
