"""Motion as AMASS stores it (Mahmood et al. 2019): one npz per person with the joints of SMPL-X, in m with z up.

Plain arrays that the SMPL-X add-on of Blender and robot retargeters (GMR and others) read:

- `poses` (T, 165) rotation vectors in rad: pelvis, 21 joints of the body, jaw, eyes, 30 joints of the hands; the same
  in parts as `root_orient`, `pose_body`, `pose_jaw`, `pose_eye`, `pose_hand`. Joints that the body model lacks are 0.
- `trans` (T, 3): the pelvis less its place in the T pose, as SMPL-X adds it again.
- `betas` (16,): shape of SMPL-X bodies, and 0 for all others, whose shape spaces are different. `body_model` and
  `body_betas` say which body was fitted.
- `mocap_framerate`, `mocap_frame_rate`, `mocap_time_length`, `gender`, `surface_model_type`, `num_betas`.
- `present` (T,) bool: a person who is absent keeps the last pose; before the first one, that one. `person`, `time_s`,
  `origin` (JSON) and `body_terms` are ours, too.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core.body.models.smpl import JOINTS
from core.body.sequence import BodyMotion
from core.disk import replacing
from core.export.bodies import absence_notes, people_in, pose_blocks, rest_joints, shown_frames
from core.export.exporter import (
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
from core.types.arrays import F64

_SMPLX = "smplx"
_MEAN_PELVIS_MM = np.array([3.1, -351.4, 12.0])
"""Pelvis of the neutral SMPL-X body of mean shape in the T pose, which readers add to `trans` where betas are 0."""
_N_BETAS = 16
_PARTS = {
    "root_orient": slice(0, 1),
    "pose_body": slice(1, 22),
    "pose_jaw": slice(22, 23),
    "pose_eye": slice(23, 25),
    "pose_hand": slice(25, 55),
}


class AmassExporter(Exporter):
    """Writer of npz files in the form of AMASS."""

    title = "AMASS npz"
    needs: tuple[Content, ...] = ("rotations",)
    units: tuple[Units, ...] = ("m",)
    ups: tuple[UpAxis, ...] = ("z",)
    constant_rate = True

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the files and their readers."""
        return (
            f"Rotations for SMPL-X, a file per person, in {options.units} with {options.up} up; read by its Blender "
            "add-on, robot retargeters and research code."
        )

    def notes(self, result: ExportedResult) -> list[str]:
        """Return sentences on absent people and on the shape space of the bodies."""
        notes = absence_notes(result, self.title, "they keep the last pose there, and 'present' is false")
        if (model := result.bodies.model).family != _SMPLX:
            notes.append(
                f"The shapes of these bodies are those of '{model.name}', not of SMPL-X: in {self.title} 'betas' are "
                "0, and people appear with the mean shape of SMPL-X."
            )
        return notes

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file per person that is present in any frame."""
        motion, paths = result.bodies, []
        for person in people_in(motion):
            path = stem.with_name(f"{stem.name}_{person_label(motion.bodies.person_ids[person])}.npz")
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **_arrays(result, motion, person, options))
            paths.append(path)
        return paths


def _arrays(result: ExportedResult, motion: BodyMotion, person: int, options: ExportOptions) -> dict[str, Any]:
    bodies, model = motion.bodies, motion.model
    frames, rate = shown_frames(motion, person), frame_rate_hz(result.poses)
    joints = JOINTS[_SMPLX]
    kept = [(here, joints.index(name)) for here, name in enumerate(model.joints) if name in joints]
    columns, places = np.transpose(kept)
    poses = np.zeros((len(frames), len(joints), 3), np.float32)
    trans = np.empty((len(frames), 3))
    betas, pelvis = _shape(motion, person, options)
    done = 0
    for block in pose_blocks(motion, person, frames, options):
        rows = slice(done, done + len(block.pelvis))
        poses[rows, places] = block.rotations_rad[:, columns]
        trans[rows] = block.pelvis - pelvis
        done = rows.stop
    return {
        "poses": poses.reshape(len(frames), -1),
        **{name: poses[:, part].reshape(len(frames), -1) for name, part in _PARTS.items()},
        "trans": trans,
        "betas": betas,
        "num_betas": np.int64(len(betas)),
        "gender": np.str_(model.gender),
        "surface_model_type": np.str_(_SMPLX),
        "mocap_framerate": np.float64(rate),
        "mocap_frame_rate": np.float64(rate),
        "mocap_time_length": np.float64(len(frames) / rate),
        "present": bodies.present[:, person],
        "time_s": bodies.time_s,
        "person": np.int64(bodies.person_ids[person]),
        "body_model": np.str_(model.name),
        "body_family": np.str_(model.family),
        "body_betas": bodies.betas[person],
        "body_terms": np.str_(model.licence),
        "origin": np.str_(json.dumps(asdict(result.origin))),
    }


def _shape(motion: BodyMotion, person: int, options: ExportOptions) -> tuple[F64, F64]:
    """Return the betas (16,) that readers give to SMPL-X, and the pelvis (3,) at rest that these betas make."""
    betas = np.zeros(_N_BETAS)
    if motion.model.family != _SMPLX:
        return betas, _MEAN_PELVIS_MM / MM_PER[options.units]
    own = motion.bodies.betas[person][:_N_BETAS]
    betas[: len(own)] = own
    return betas, rest_joints(motion, person, options)[0]


EXPORTER = AmassExporter()
