"""Points of fitted bodies: all joints of the model, and landmarks of head, feet and hands.

Landmarks of the embedded body are its keypoints. Those of SMPL, SMPL-H and SMPL-X are points of the skin defined by the
package `smplx`, which is imported on demand.

Legend: T frame, N frame of a block, P person, V vertex, L skin point, K point of the body.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from core.body.model import BodyModel
from core.body.models.families import FREE
from core.body.sequence import BodyMotion
from core.errors import CoreError
from core.geometry.so3 import exp
from core.types.arrays import F64, I64

_BLOCK_FRAMES = 512
_SIDES = ("left", "right")
_LIMBS = tuple(f"{side}_{part}" for side in _SIDES for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
_LACKING = "The package 'smplx', which defines the landmarks of SMPL, SMPL-H and SMPL-X bodies, is not installed."
_INSTALL = "Read its licence, which is non-commercial, and install it: pip install 'selfpose-studio[smplx]'."


class SkinPoints(NamedTuple):
    """Points on the surface of a body model.

    Attributes:
        names: L names of `smplx`.
        vertices: (L, 3) vertices of the triangle that contains each point; for a vertex, three times its index.
        weights: (L, 3) barycentric coordinates.
    """

    names: tuple[str, ...]
    vertices: I64
    weights: F64


def skin_points(model: BodyModel) -> SkinPoints | None:
    """Return the landmarks of a body of the SMPL family: nose, eyes, ears, toes, heels, finger tips and face.

    Returns:
        None for the embedded body, whose landmarks are its keypoints.

    Raises:
        CoreError: The package `smplx` is not installed, or does not support the model.
    """
    if model.family == FREE:
        return None
    try:
        from smplx.joint_names import JOINT_NAMES
        from smplx.vertex_ids import vertex_ids
        from smplx.vertex_joint_selector import VertexJointSelector
    except ImportError as error:
        raise CoreError(_LACKING, _INSTALL) from error
    chosen = VertexJointSelector(vertex_ids["smplx" if model.family == "smplx" else "smplh"])
    ids = chosen.extra_joints_idxs.numpy().astype(np.int64)
    first = JOINT_NAMES.index("nose")
    names = tuple(JOINT_NAMES[first : first + len(ids) + len(model.face_vertices)])
    corner = np.broadcast_to([1.0, 0.0, 0.0], (len(ids), 3))
    if len(names) != len(ids) + len(model.face_vertices) or ids.max() >= len(model.template_mm):
        raise CoreError(
            f"The body model '{model.name}' has landmarks that this version of 'smplx' does not define.",
            "Install version 0.1.28 of 'smplx', or choose another format.",
        )
    return SkinPoints(
        names,
        np.concatenate([np.repeat(ids[:, None], 3, 1), model.face_vertices]),
        np.concatenate([corner, model.face_weights]),
    )


class BodyPoints(NamedTuple):
    """Points of the bodies of a take.

    Attributes:
        names: K names: joints of the model, then landmarks.
        xyz_mm: (T, P, K, 3) positions in world coordinates, NaN where a person is absent.
    """

    names: tuple[str, ...]
    xyz_mm: F64


def body_points(motion: BodyMotion, skin: SkinPoints | None) -> BodyPoints:
    """Return joints and landmarks of all bodies of a take.

    Args:
        motion: Bodies with their model.
        skin: Landmarks, see `skin_points`; None for the keypoints of the model.
    """
    model, bodies = motion.model, motion.bodies
    keys = [k for k, name in enumerate(model.keypoints) if name not in _LIMBS]
    names = (*model.joints, *(skin.names if skin else (model.keypoints[k] for k in keys)))
    xyz = np.full((*bodies.present.shape, len(names), 3), np.nan)
    part, corners = _part(model, np.zeros((0, 3), np.int64) if skin is None else skin.vertices)
    for p, betas in enumerate(bodies.betas):
        rest = part.rest(betas[None])
        here = np.flatnonzero(bodies.present[:, p])
        for start in range(0, len(here), _BLOCK_FRAMES):
            at = here[start : start + _BLOCK_FRAMES]
            of_body = np.repeat(rest.vertices_mm, len(at), 0)
            joints, points = (np.repeat(each, len(at), 0) for each in (rest.joints_mm, rest.keypoints_mm))
            bones = part.transforms(
                joints, exp(bodies.rotations_rad[at, p].astype(np.float64)), bodies.pelvis_mm[at, p]
            )
            if skin is None:
                landmarks = part.posed_keypoints(points, bones)[:, keys]
            else:
                vertices = part.skin(of_body, bones)[0]
                landmarks = np.einsum("nlci,lc->nli", vertices[:, corners], skin.weights)
            xyz[at, p] = np.concatenate([part.posed_joints(joints, bones), landmarks], 1)
    return BodyPoints(names, xyz)


def _part(model: BodyModel, vertices: I64) -> tuple[BodyModel, I64]:
    """Return a model reduced to some vertices, and their indices in it."""
    kept, at = np.unique(vertices, return_inverse=True)
    return dataclasses.replace(
        model,
        template_mm=model.template_mm[kept],
        shape_dirs_mm=model.shape_dirs_mm[kept],
        weights=model.weights[kept],
        pose_dirs_mm=None if model.pose_dirs_mm is None else model.pose_dirs_mm[:, kept],
        faces=model.faces[:0],
        face_vertices=model.face_vertices[:0],
        face_weights=model.face_weights[:0],
    ), at.reshape(vertices.shape)
