"""BVH, the text format of skeletons in motion: one file per person.

Offsets and positions are in cm with y up; the format names no unit. Channels of joints are rotations in degrees in the
order Z X Y. The first frame is the T pose, as many programs take it for the rest pose; the take begins with the second
one. A person who is absent keeps the last pose; before the first one, that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.body.sequence import BodyMotion
from core.disk import replacing
from core.export.bodies import absence_notes, people_in, pose_blocks, rest_joints, shown_frames
from core.export.exporter import (
    DECIMALS,
    MM_PER,
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Units,
    UpAxis,
    frame_rate_hz,
    person_label,
)
from core.geometry.so3 import exp
from core.types.arrays import F64, I64

_ROOT_CHANNELS = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
_CHANNELS = "CHANNELS 3 Zrotation Xrotation Yrotation"
_LOCKED = 1e-6  # cosine of the middle angle below which the outer two rotate about the same axis (gimbal lock)


class BvhExporter(Exporter):
    """Writer of BVH files."""

    title = "BVH"
    needs: tuple[Content, ...] = ("rotations",)
    units: tuple[Units, ...] = ("cm", "m", "mm")
    ups: tuple[UpAxis, ...] = ("y",)
    constant_rate = True

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the files and their readers."""
        return (
            f"A moving skeleton per person, T pose first, in {options.units} with {options.up} up; read by Blender, "
            "MotionBuilder and Maya."
        )

    def notes(self, result: ExportedResult) -> list[str]:
        """Return how people who are absent from some frames are shown."""
        return absence_notes(result, self.title, "they keep the last pose there")

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file per person that is present in any frame."""
        motion, paths = result.bodies, []
        rate = frame_rate_hz(result.poses)
        people = people_in(motion)
        for index, person in enumerate(people):
            path = stem.with_name(f"{stem.name}_{person_label(motion.bodies.person_ids[person])}.bvh")
            number = f"%.{DECIMALS[options.units]}f"
            with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in _hierarchy(motion, person, options, number))
                frames = shown_frames(motion, person)
                file.write(f"MOTION\nFrames: {len(frames) + 1}\nFrame Time: {1 / rate:.9f}\n")
                formats = [number] * 3 + ["%.6f"] * (3 * len(motion.model.joints))
                done = 0
                for rows in _rows(motion, person, options):
                    result.report((index + done / len(frames)) / len(people))
                    np.savetxt(file, rows + 0.0, fmt=formats)
                    done += len(rows)
            paths.append(path)
        return paths


def _hierarchy(motion: BodyMotion, person: int, options: ExportOptions, number: str) -> Iterator[str]:
    """Yield the lines of the skeleton."""
    model, joints, tips = motion.model, rest_joints(motion, person, options), _tips(motion, person, options)

    def offset(vector: F64) -> str:
        return "OFFSET " + " ".join(number % (v + 0.0) for v in vector)

    def lines(joint: int, depth: int) -> Iterator[str]:
        indent, root = "\t" * depth, joint == 0
        yield f"{indent}{'ROOT' if root else 'JOINT'} {model.joints[joint]}"
        yield f"{indent}{{"
        yield f"{indent}\t{offset(np.zeros(3) if root else joints[joint] - joints[model.parents[joint]])}"
        yield f"{indent}\t{_ROOT_CHANNELS if root else _CHANNELS}"
        children = np.flatnonzero(model.parents == joint)
        for child in children:
            yield from lines(int(child), depth + 1)
        if not len(children):
            yield from (f"{indent}\tEnd Site", f"{indent}\t{{", f"{indent}\t\t{offset(tips[joint])}", f"{indent}\t}}")
        yield f"{indent}}}"

    yield "HIERARCHY"
    yield from lines(0, 0)


def _tips(motion: BodyMotion, person: int, options: ExportOptions) -> F64:
    """Return the vector (J, 3) from each joint to the farthest point of the surface that moves with it most."""
    joints = rest_joints(motion, person, options)
    vertices = motion.rest.vertices_mm[person] / MM_PER[options.units]
    strongest = motion.model.weights.argmax(1)
    tips = np.zeros(joints.shape)
    for joint in range(len(joints)):
        away = vertices[strongest == joint] - joints[joint]
        if len(away):
            tips[joint] = away[np.linalg.norm(away, axis=1).argmax()]
    return tips


def _rows(motion: BodyMotion, person: int, options: ExportOptions) -> Iterator[F64]:
    """Yield rows of channels: the T pose with the feet at the floor below the first pose, then the take."""
    frames, order, last = shown_frames(motion, person), _depth_first(motion.model.parents), None
    for block in pose_blocks(motion, person, frames, options):
        if last is None:
            rest = motion.rest.vertices_mm[person][:, 1] / MM_PER[options.units]
            sole = rest_joints(motion, person, options)[0, 1] - float(rest.min())
            start = block.pelvis[0]
            last = np.zeros((len(motion.model.joints), 3))
            yield np.concatenate([[start[0], sole, start[2]], last.ravel()])[None]
        angles = np.concatenate([last[None], _euler_zxy_deg(exp(block.rotations_rad[:, order]))])
        angles = np.unwrap(angles, period=360, axis=0)[1:]
        last = angles[-1]
        yield np.concatenate([block.pelvis, angles.reshape(len(angles), -1)], axis=1)


def _depth_first(parents: I64, joint: int = 0) -> list[int]:
    """Return the joints in the order of the file: each before its children, and these before its siblings."""
    below = [child for at in np.flatnonzero(parents == joint) for child in _depth_first(parents, int(at))]
    return [joint, *below]


def _euler_zxy_deg(R: F64) -> F64:
    """Return angles (..., 3) in degrees, in the order z, x, y, with R = Rz Rx Ry."""
    x = np.arcsin(np.clip(R[..., 2, 1], -1, 1))
    locked = np.hypot(R[..., 0, 1], R[..., 1, 1]) < _LOCKED
    z = np.where(locked, np.arctan2(R[..., 1, 0], R[..., 0, 0]), np.arctan2(-R[..., 0, 1], R[..., 1, 1]))
    y = np.where(locked, 0, np.arctan2(-R[..., 2, 0], R[..., 2, 2]))
    return np.asarray(np.rad2deg(np.stack([z, x, y], -1)))


EXPORTER = BvhExporter()
