"""Bodies of a 3D result for animation formats: axes and units of the file, people who enter and leave.

Legend: T frame, N frame of a block, J joint, V vertex.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from core.body.models.families import FREE
from core.body.sequence import BodyMotion
from core.export.exporter import MM_PER, ExportedResult, ExportOptions, person_label, to_file_coordinates
from core.geometry.so3 import exp, log
from core.types.arrays import F32, F64, I64

_BLOCK_FRAMES = 2048
MAX_BONES = 4
"""Bones that move a vertex in files of skinned meshes, as readers of them expect."""


class PoseBlock(NamedTuple):
    """Poses of one person at some frames.

    Attributes:
        rotations_rad: (N, J, 3) rotation vectors relative to the parents; that of the pelvis from body coordinates to
            the axes of the file.
        pelvis: (N, 3) position of joint 0 in the units and axes of the file.
    """

    rotations_rad: F64
    pelvis: F64


def people_in(motion: BodyMotion) -> list[int]:
    """Return the columns of the people who are present in any frame."""
    return [int(p) for p in np.flatnonzero(motion.bodies.present.any(0))]


def shown_frames(motion: BodyMotion, person: int) -> I64:
    """Return the source frame (T,) of each frame's pose: the last one with the person, or else the first."""
    here = np.flatnonzero(motion.bodies.present[:, person])
    last = np.searchsorted(here, np.arange(len(motion.bodies.time_s)), side="right") - 1
    return np.asarray(here[np.maximum(last, 0)])


def pose_blocks(motion: BodyMotion, person: int, frames: I64, options: ExportOptions) -> Iterator[PoseBlock]:
    """Yield the poses of a person at frames with that person, a block at a time."""
    axes = file_axes(options)
    for start in range(0, len(frames), _BLOCK_FRAMES):
        at = frames[start : start + _BLOCK_FRAMES]
        rotations = motion.bodies.rotations_rad[at, person].astype(np.float64)
        rotations[:, 0] = log(axes @ exp(rotations[:, 0]))
        yield PoseBlock(rotations, to_file_coordinates(motion.bodies.pelvis_mm[at, person], options))


def file_axes(options: ExportOptions) -> F64:
    """Return the (3, 3) rotation from world coordinates to the axes of a file."""
    unscaled = ExportOptions(units="mm", up=options.up)
    return to_file_coordinates(np.eye(3), unscaled).T


def rest_joints(motion: BodyMotion, person: int, options: ExportOptions) -> F64:
    """Return the joints (J, 3) of a person in the T pose, body coordinates, in the units of a file."""
    return np.asarray(motion.rest.joints_mm[person] / MM_PER[options.units])


def quaternions(rotations_rad: F64, before: F64 | None = None) -> F64:
    """Return quaternions (N, J, 4), order x y z w, of rotation vectors (N, J, 3).

    Of both quaternions of a rotation each frame has the one nearer to that of the frame before, (J, 4) for the first:
    programs interpolate the numbers.
    """
    angle = np.linalg.norm(rotations_rad, axis=-1, keepdims=True)
    q = np.concatenate([rotations_rad * np.sinc(angle / (2 * np.pi)) / 2, np.cos(angle / 2)], -1)
    first = q[:1] if before is None else before[None]
    agrees = (q * np.concatenate([first, q[:-1]])).sum(-1) >= 0
    return np.asarray(q * np.cumprod(np.where(agrees, 1.0, -1.0), axis=0)[..., None])


def strongest_bones(weights: F32) -> tuple[I64, F32]:
    """Return the joints (V, 4) that move each vertex most, 0 where fewer do, and their weights, which sum to 1."""
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :MAX_BONES]
    joints = np.pad(joints, ((0, 0), (0, MAX_BONES - joints.shape[1])))
    kept = np.zeros(joints.shape)
    n = min(MAX_BONES, weights.shape[1])
    kept[:, :n] = np.take_along_axis(weights, joints[:, :n], 1)
    kept /= kept.sum(1, keepdims=True)
    return np.where(kept > 0, joints, 0), kept.astype(np.float32)


def absence_notes(result: ExportedResult, title: str, how: str) -> list[str]:
    """Return a sentence on people who are absent from some frames and on how a format shows it; empty for none."""
    present = result.bodies.bodies.present
    gone = [
        person_label(result.bodies.bodies.person_ids[p]) for p in people_in(result.bodies) if not present[:, p].all()
    ]
    if not gone:
        return []
    return [f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} absent from some frames: in {title} {how}."]


def terms_notes(result: ExportedResult) -> list[str]:
    """Return the terms of use of an exported surface; empty if it is free for any use."""
    model = result.bodies.model
    if model.family == FREE:
        return []
    return [f"Meshes have the shape of the body model '{model.name}': {model.licence}"]
