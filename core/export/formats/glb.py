"""GLB, the binary file of glTF 2.0: all people in one file, each a skinned mesh with an animated skeleton.

Per person a node `P1` with the joints below it, and a node `P1_body` with the mesh, both roots of the scene; in metres
with y up, as glTF prescribes. The mesh is that of the person's own shape in the T pose. Keys lie at the frames with the
person, at the times of the take; where a person is absent the scale of `P1` is 1e-5.
"""

from __future__ import annotations

import colorsys
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.body.sequence import BodyMotion
from core.disk import replacing
from core.errors import CoreError
from core.export.bodies import (
    absence_notes,
    people_in,
    pose_blocks,
    quaternions,
    rest_joints,
    strongest_bones,
    terms_notes,
)
from core.export.correctives import Correctives, correctives, surface_notes
from core.export.exporter import (
    MM_PER,
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Units,
    UpAxis,
    person_label,
)
from core.rendering.surfaces import vertex_normals
from core.types.arrays import F32, I64

_MAX_BYTES = 2**32 - 1  # lengths are stored in 32 bits
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_COMPONENTS = {"u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
_VERTICES, _INDICES = 34962, 34963
"""Uses of a buffer view: vertex attributes, and indices of faces."""
_HIDDEN = 1e-5
"""Scale of an absent person; programs that decompose transforms fail on 0."""
_GOLDEN = 0.618034  # hue step between people as a fraction of the circle, so that any number of hues differ


@dataclass(slots=True)
class _Binary:
    """Accessors of the binary chunk, and the sources of their content.

    Attributes:
        views: Buffer views.
        accessors: Accessors; each has its own view.
        sources: Functions that give the content of consecutive views, called when the file is written.
        size: Bytes so far.
    """

    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    sources: list[Callable[[], np.ndarray]] = field(default_factory=list)
    size: int = 0

    def reserve(self, count: int, shape: tuple[int, ...], dtype: str, **extra: Any) -> int:
        """Add an accessor of `count` elements whose content a source gives; return its index."""
        length = count * int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        self.views.append({"buffer": 0, "byteOffset": self.size, "byteLength": length})
        self.size += length + -length % 4
        self.accessors.append(
            {
                "bufferView": len(self.views) - 1,
                "componentType": _COMPONENTS[dtype],
                "count": count,
                "type": _TYPES[shape],
                **extra,
            }
        )
        return len(self.accessors) - 1

    def add(self, values: np.ndarray, use: int | None = None, *, bounds: bool = False) -> int:
        """Add an accessor with its content; return its index."""
        extra = {}
        if bounds:
            low, high = values.min(0), values.max(0)
            extra = {"min": np.atleast_1d(low).tolist(), "max": np.atleast_1d(high).tolist()}
        index = self.reserve(len(values), values.shape[1:], values.dtype.str[1:], **extra)
        if use is not None:
            self.views[-1]["target"] = use
        self.sources.append(lambda: values)
        return index

    def write(self, file: BinaryIO) -> None:
        """Write all content, each view aligned to four bytes."""
        for source in self.sources:
            data = source().tobytes()
            file.write(data + bytes(-len(data) % 4))


class GlbExporter(Exporter):
    """Writer of GLB files."""

    title = "GLB"
    needs: tuple[Content, ...] = ("rotations", "mesh")
    units: tuple[Units, ...] = ("m",)
    ups: tuple[UpAxis, ...] = ("y",)
    constant_rate = False

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"One file with animated meshes of all people, in {options.units} with {options.up} up; read by Blender, "
            "Unity, Unreal Engine, Godot and web pages."
        )

    def notes(self, result: ExportedResult) -> list[str]:
        """Return sentences on absent people and on omitted parts of the surface."""
        hidden = absence_notes(result, self.title, f"they are scaled to nothing ({_HIDDEN:g}) there")
        return hidden + surface_notes(result, self.title) + terms_notes(result)

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file."""
        path = stem.with_name(f"{stem.name}.glb")
        document, binary = _document(result, options)
        text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + binary.size
        if total > _MAX_BYTES:
            raise CoreError(
                "A GLB file cannot hold more than 4 GiB.", "Cut the take into shorter ones with 'cut-take'."
            )
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, total))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", binary.size, b"BIN\0"))
            binary.write(file)
        return [path]


def _document(result: ExportedResult, options: ExportOptions) -> tuple[dict[str, Any], _Binary]:
    """Return the JSON document and the binary chunk of the file."""
    motion, binary = result.bodies, _Binary()
    model = motion.model
    faces = model.faces.ravel().astype(np.uint16 if len(model.template_mm) <= 0xFFFF else np.uint32)
    bones, weights = strongest_bones(model.weights)
    indices = binary.add(faces, _INDICES)
    skinning = {
        "JOINTS_0": binary.add(bones.astype(np.uint8), _VERTICES),
        "WEIGHTS_0": binary.add(weights, _VERTICES),
    }
    shapes = correctives(motion)
    targets = [
        {"POSITION": binary.add(shape / np.float32(MM_PER[options.units]), _VERTICES, bounds=True)}
        for shape in shapes.shapes_mm
    ]
    nodes, roots, meshes, skins, materials, channels, samplers = _lists(7)
    for index, person in enumerate(people_in(motion)):
        label, root = person_label(motion.bodies.person_ids[person]), len(nodes)
        nodes += _skeleton(motion, person, label, root, options)
        skin = binary.add(_inverse_binds(motion, person, options))
        skins.append({"inverseBindMatrices": skin, "joints": list(range(root + 1, len(nodes)))})
        attributes = {**_surface(motion, person, binary, options), **skinning}
        meshes.append(_mesh({"attributes": attributes, "indices": indices, "material": index}, targets, shapes))
        materials.append(_material(label, index))
        nodes.append({"name": f"{label}_body", "mesh": index, "skin": index})
        roots += [root, len(nodes) - 1]
        for node, path, times, values, interpolation in _tracks(motion, person, root, shapes, binary, options):
            channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
            samplers.append({"input": times, "output": values, "interpolation": interpolation})
    document = {
        "asset": {
            "version": "2.0",
            "generator": result.origin.version,
            "extras": {
                "origin": asdict(result.origin),
                "body": {"model": model.name, "family": model.family, "terms": model.licence},
            },
        },
        "scene": 0,
        "scenes": [{"name": result.origin.take, "nodes": roots}],
        "nodes": nodes,
        "meshes": meshes,
        "skins": skins,
        "materials": materials,
        "animations": [{"name": result.origin.take, "channels": channels, "samplers": samplers}],
        "buffers": [{"byteLength": binary.size}],
        "bufferViews": binary.views,
        "accessors": binary.accessors,
    }
    return document, binary


def _lists(count: int) -> list[list[Any]]:
    return [[] for _ in range(count)]


def _skeleton(
    motion: BodyMotion, person: int, label: str, root: int, options: ExportOptions
) -> Iterator[dict[str, Any]]:
    """Yield the node of a person, which has the index `root`, and those of the joints, in the T pose."""
    model, joints = motion.model, rest_joints(motion, person, options)
    yield {"name": label, "children": [root + 1]}
    for joint, (name, parent) in enumerate(zip(model.joints, model.parents, strict=True)):
        offset = joints[joint] - joints[parent] if parent >= 0 else joints[joint]
        node: dict[str, Any] = {"name": name, "translation": offset.tolist()}
        children = np.flatnonzero(model.parents == joint)
        if len(children):
            node["children"] = (root + 1 + children).tolist()
        yield node


def _inverse_binds(motion: BodyMotion, person: int, options: ExportOptions) -> F32:
    """Return the (J, 4, 4) transforms from the mesh to the joints in the T pose, stored column by column."""
    joints = rest_joints(motion, person, options)
    matrices = np.tile(np.eye(4), (len(joints), 1, 1))
    matrices[:, 3, :3] = -joints
    return matrices.astype(np.float32)


def _surface(motion: BodyMotion, person: int, binary: _Binary, options: ExportOptions) -> dict[str, int]:
    """Add the surface of a person in the T pose; return its attributes."""
    vertices = motion.rest.vertices_mm[person] / np.float32(MM_PER[options.units])
    normals = vertex_normals(vertices, motion.model.faces)
    normals[~normals.any(1)] = (0, 1, 0)  # of vertices without faces: the format wants unit vectors
    return {
        "POSITION": binary.add(vertices, _VERTICES, bounds=True),
        "NORMAL": binary.add(normals, _VERTICES),
    }


def _mesh(primitive: dict[str, Any], targets: list[dict[str, int]], shapes: Correctives) -> dict[str, Any]:
    if not targets:
        return {"primitives": [primitive]}
    return {
        "primitives": [{**primitive, "targets": targets}],
        "weights": [0.0] * len(targets),
        "extras": {"targetNames": shapes.names},
    }


def _material(label: str, index: int) -> dict[str, Any]:
    colour = colorsys.hsv_to_rgb(0.58 + index * _GOLDEN, 0.35, 0.6)
    surface = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7}
    return {"name": label, "pbrMetallicRoughness": surface}


def _tracks(
    motion: BodyMotion, person: int, root: int, shapes: Correctives, binary: _Binary, options: ExportOptions
) -> Iterator[tuple[int, str, int, int, str]]:
    """Add the motion of a person; yield node, property, times, values and interpolation of each track."""
    bodies = motion.bodies
    here = bodies.present[:, person]
    frames = np.flatnonzero(here)
    n_joints = len(bodies.joints)
    times = binary.add(bodies.time_s[frames].astype(np.float32), bounds=True)
    yield root + 1, "translation", times, binary.reserve(len(frames), (3,), "f4"), "LINEAR"
    for joint in range(n_joints):
        yield root + 1 + joint, "rotation", times, binary.reserve(len(frames), (4,), "f4"), "LINEAR"
    binary.sources.append(lambda: _keys(motion, person, frames, options))
    if count := len(shapes.names):
        yield root + 1 + n_joints, "weights", times, binary.reserve(len(frames) * count, (), "f4"), "LINEAR"
        binary.sources.append(lambda: shapes.weights(bodies.rotations_rad[frames, person]))
    if not here.all():
        changes = np.flatnonzero(np.diff(here, prepend=~here[:1]))
        scale = np.repeat(np.where(here[changes], 1, _HIDDEN).astype(np.float32)[:, None], 3, axis=1)
        at = binary.add(bodies.time_s[changes].astype(np.float32), bounds=True)
        yield root, "scale", at, binary.add(scale), "STEP"


def _keys(motion: BodyMotion, person: int, frames: I64, options: ExportOptions) -> F32:
    """Return the positions of the pelvis (N, 3) and the rotations of the joints (J, N, 4), one after the other."""
    n, n_joints = len(frames), len(motion.bodies.joints)
    keys = np.empty(n * (3 + 4 * n_joints), np.float32)
    pelvis, rotations = keys[: 3 * n].reshape(n, 3), keys[3 * n :].reshape(n_joints, n, 4)
    done, last = 0, None
    for block in pose_blocks(motion, person, frames, options):
        rows = slice(done, done + len(block.pelvis))
        q = quaternions(block.rotations_rad, last)
        pelvis[rows], rotations[:, rows] = block.pelvis, q.swapaxes(0, 1)
        done, last = rows.stop, q[-1]
    return keys


EXPORTER = GlbExporter()
