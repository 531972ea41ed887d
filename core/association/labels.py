"""2D labels that all views agree on, made of the detections and the people triangulated from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.association.config import AssociationConfig
from core.association.reproject import assign_detections, size_px
from core.association.views import pixel_scale
from core.geometry import inside, project
from core.types.arrays import F32, F64
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import convert

_REACH = 0.35  # A detection belongs to a person no further away than this share of the person's size in the image.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CleanLabels:
    """Joints of known people in every view. Columns P are those of the 3D sequence they were cleaned with.

    Attributes:
        xy_px: (T, V, P, J, 2) in the image as recorded, NaN where missing.
        weight: (T, V, P, J) in 0..1: confidence of a joint that was seen, less for one that was filled in, 0 where
            missing.
        seen: (T, V, P, J) bool: the joint is the detector's own.
        person_ids: (P,).
    """

    xy_px: F32
    weight: F32
    seen: np.ndarray
    person_ids: tuple[int, ...]


def clean_labels(
    rig: CameraRig, poses2d: Mapping[str, Pose2D], sequence: Pose3DSequence, config: AssociationConfig
) -> CleanLabels:
    """Keeps 2D joints that agree with the triangulated ones, and replaces or fills in the others by reprojection.

    A joint within the gate of the reprojected 3D joint is kept as it was detected. One that is further off, or was not
    detected, becomes the reprojection with a lower weight where that lies in the image, and is missing otherwise.
    Joints of people who were not triangulated, and joints that no two views agree on, are missing: what cannot be
    checked is not taught.

    Args:
        rig: V posed cameras.
        poses2d: Camera name to detections.
        sequence: People triangulated from them; its joint set is that of the result.
        config: Gate and weight of replaced joints.
    """
    scale = pixel_scale(rig)
    views = [
        _clean_view(camera, poses2d[camera.name], sequence, config, config.label_gate_px * float(scale[v]))
        for v, camera in enumerate(rig)
    ]
    xy, weight, seen = (np.stack(column, axis=1) for column in zip(*views, strict=True))
    return CleanLabels(
        xy_px=xy.astype(np.float32), weight=weight.astype(np.float32), seen=seen, person_ids=sequence.person_ids
    )


def _clean_view(
    camera: Camera, pose: Pose2D, sequence: Pose3DSequence, config: AssociationConfig, gate_px: float
) -> tuple[F64, F64, np.ndarray]:
    """Joints (T, P, J, 2), weights and origin (T, P, J) of one view."""
    found, score = convert(
        np.asarray(pose.xy_px, float), np.asarray(pose.score, float), pose.skeleton, sequence.skeleton
    )
    usable = score >= config.min_joint_score
    found = np.where(usable[..., None], found, np.nan)
    target = project(camera, sequence.xyz_mm)
    reach = _REACH * np.maximum(size_px(found), 4 * gate_px)
    owner = assign_detections(target, found, reach)  # (T, D)
    T, P, J = sequence.score.shape
    own_xy, own_score = np.full((T, P, J, 2), np.nan), np.zeros((T, P, J))
    t, d = np.nonzero(owner >= 0)
    own_xy[t, owner[t, d]], own_score[t, owner[t, d]] = found[t, d], score[t, d]
    with np.errstate(invalid="ignore"):
        agrees = np.linalg.norm(own_xy - target, axis=-1) <= gate_px
    shown = inside(camera, target)
    xy = np.where(agrees[..., None], own_xy, np.where(shown[..., None], target, np.nan))
    weight = np.where(agrees, own_score, np.where(shown, config.replaced_weight * sequence.score, 0.0))
    return xy, np.clip(weight, 0.0, 1.0), agrees
