"""2D labels that are consistent across views, from detections and the people triangulated from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.association.assignment import assign_detections, size_px
from core.association.config import AssociationConfig
from core.geometry import inside, project
from core.geometry.accuracy import pixel_scale
from core.types.arrays import F32, F64
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import convert

_ASSIGNMENT_GATE = 0.35  # Largest distance of a detection to its person, relative to the person's size in the image.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CleanLabels:
    """Joints of triangulated people in every view. Columns P are those of the 3D sequence.

    Attributes:
        xy_px: (T, V, P, J, 2) distorted pixels, NaN where missing.
        weight: (T, V, P, J) in 0..1: the score of detected joints, less for reprojected ones, 0 where missing.
        seen: (T, V, P, J) bool, True where the joint was detected.
        person_ids: (P,) identities.
    """

    xy_px: F32
    weight: F32
    seen: np.ndarray
    person_ids: tuple[int, ...]


def clean_labels(
    rig: CameraRig, poses2d: Mapping[str, Pose2D], sequence: Pose3DSequence, config: AssociationConfig
) -> CleanLabels:
    """Keep 2D joints that agree with the triangulated ones, and replace or fill in the others by reprojection.

    A joint within the gate of the reprojected 3D joint is kept as detected. A joint beyond the gate, or without a
    detection, is replaced by the reprojection with a lower weight if that is inside the image, and is missing
    otherwise. Joints that were not triangulated are missing, because they cannot be checked.

    Args:
        rig: V posed cameras.
        poses2d: Detections by camera name.
        sequence: People triangulated from the detections; its skeleton is that of the labels.
        config: Gate, and weight of reprojected joints.
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
    """Return joints (T, P, J, 2), weights (T, P, J) and the mask of detected joints (T, P, J) of one view."""
    detected, score = convert(
        np.asarray(pose.xy_px, float), np.asarray(pose.score, float), pose.skeleton, sequence.skeleton
    )
    detected = np.where((score >= config.min_joint_score)[..., None], detected, np.nan)
    projected = project(camera, sequence.xyz_mm)
    reach = _ASSIGNMENT_GATE * np.maximum(size_px(detected), 4 * gate_px)
    person = assign_detections(projected, detected, reach)  # (T, D)
    T, P, J = sequence.score.shape
    person_xy, person_score = np.full((T, P, J, 2), np.nan), np.zeros((T, P, J))
    t, d = np.nonzero(person >= 0)
    person_xy[t, person[t, d]], person_score[t, person[t, d]] = detected[t, d], score[t, d]
    with np.errstate(invalid="ignore"):
        agrees = np.linalg.norm(person_xy - projected, axis=-1) <= gate_px
    visible = inside(camera, projected)
    xy = np.where(agrees[..., None], person_xy, np.where(visible[..., None], projected, np.nan))
    weight = np.where(agrees, person_score, np.where(visible, config.replaced_weight * sequence.score, 0.0))
    return xy, np.clip(weight, 0.0, 1.0), agrees
