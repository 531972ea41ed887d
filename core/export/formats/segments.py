"""C3D with rotations of segments, as Theia3D writes and Visual3D reads: the ROTATION group, one 4 x 4 matrix a segment.

A segment is named after the joint at its origin, `P1:left_knee`. Its matrix, column by column, maps body coordinates (x
to the person's left, y up, z forward in the T pose) to the axes of the file; the last column is the joint. Where a
person is absent they are NaN with reliability -1. The file has no points: the other C3D file has those of the skeleton.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.body.sequence import BodyMotion
from core.disk import replacing
from core.errors import CoreError
from core.export.bodies import people_in, pose_blocks, rest_joints
from core.export.c3d_head import MAX_HEAD_BYTES, add_texts, c3d_of, head_bytes, padding
from core.export.exporter import (
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Units,
    UpAxis,
    person_label,
)
from core.geometry.so3 import exp
from core.types.arrays import F32

_BLOCK_FRAMES = 1024


class SegmentsExporter(Exporter):
    """Writer of C3D files with rotations."""

    title = "C3D segments"
    needs: tuple[Content, ...] = ("rotations",)
    units: tuple[Units, ...] = ("mm", "cm", "m")
    ups: tuple[UpAxis, ...] = ("z", "y")
    constant_rate = True

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"One file with position and rotation of each segment, in {options.units} with {options.up} up; read by "
            "Visual3D and MATLAB toolboxes."
        )

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file with the segments of all people."""
        path = stem.with_name(f"{stem.name}_segments.c3d")
        motion, n_frames = result.bodies, len(result.poses.time_s)
        people = people_in(motion)
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(_head(result, people, options))
            for first in range(0, n_frames, _BLOCK_FRAMES):
                result.report(first / n_frames)
                last = min(first + _BLOCK_FRAMES, n_frames)
                rows = [_matrices(motion, person, slice(first, last), options) for person in people]
                file.write(np.stack(rows, axis=1).astype("<f4").tobytes())
            file.write(padding(file.tell()))
        return [path]


def _head(result: ExportedResult, people: list[int], options: ExportOptions) -> bytes:
    motion = result.bodies
    ids = [person_label(motion.bodies.person_ids[p]) for p in people]
    labels = [f"{person}:{joint}" for person in ids for joint in motion.model.joints]
    file = c3d_of(result, options)
    file["data"]["points"] = np.zeros((4, 0, 1))
    file["data"]["rotations"] = np.tile(np.eye(4)[..., None, None], (1, 1, len(labels), 1))
    file.add_parameter("ROTATION", "RATE", file["parameters"]["POINT"]["RATE"]["value"])
    file.add_parameter("ORIGIN", "BODY", [motion.model.name])
    add_texts(file, "ROTATION", "LABELS", labels)
    head = head_bytes(file, len(result.poses.time_s), rotations=True)
    if len(head) > MAX_HEAD_BYTES:
        raise CoreError(
            f"C3D cannot name {len(motion.model.joints)} segments of each of the {len(people)} people of this take.",
            "Export GLB or BVH, or triangulate again so that fewer people are counted twice.",
        )
    return head


def _matrices(motion: BodyMotion, person: int, frames: slice, options: ExportOptions) -> F32:
    """Return the matrices (T, J, 17) of a person, column by column, with their reliability, at some frames."""
    rest, present = rest_joints(motion, person, options), motion.bodies.present[frames, person]
    out = np.full((len(present), len(rest), 17), np.nan, np.float32)
    out[..., 16] = np.where(present, 0, -1)[:, None]
    here = np.flatnonzero(present)
    for block in pose_blocks(motion, person, frames.start + here, options):  # as many frames as there are, at most one
        bones = motion.model.transforms(np.tile(rest, (len(here), 1, 1)), exp(block.rotations_rad), block.pelvis)
        matrix = np.zeros((len(here), len(rest), 4, 4))
        matrix[..., :3, :3], matrix[..., 3, 3] = bones.R, 1
        matrix[..., :3, 3] = motion.model.posed_joints(rest, bones)
        out[here, :, :16] = matrix.swapaxes(-1, -2).reshape(len(here), len(rest), 16)
    return out


EXPORTER = SegmentsExporter()
