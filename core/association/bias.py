"""Bias of each camera: median offset of its detections from those of the other cameras over a take.

Noise and differences between people average out, so a bias indicates an error of the rig. Gates widened by the bias
keep the detections of a slightly miscalibrated camera.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from core.association.config import AssociationConfig
from core.association.robust import gather_sampled, triangulate_matched
from core.association.views import StreamedViews, TakeViews
from core.geometry.accuracy import pixel_scale
from core.types.arrays import F64, I64
from core.types.camera import CameraRig

RIG_WARNING = "rig_warning"
"""Provenance key of the warning about cameras that disagree with the others; empty if there are none."""
_FREE_PX, _GATE_PER_PX = 5.0, 2.0  # Bias within the standard gate, and widening per px beyond.
_LARGE_PX, _SIMILAR = 10.0, 0.7  # Smallest bias to warn about, and fraction of the largest that counts as equal.
_CERTAIN = 2.0  # In standard errors, above which a bias is significant.
_MAX_RESIDUALS = 5000  # Residuals per camera, enough for a median.
_MIN_RESIDUALS, _MIN_JOINTS = 5, 5  # Per joint, and per camera, for a bias to be estimated.
W = TypeVar("W", TakeViews, StreamedViews)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraBiases:
    """Biases of V cameras.

    Attributes:
        rig: The cameras.
        median_px: (V, 2) median residual of the detections against the triangulation of the other cameras, NaN where
            unknown.
        error_px: (V,) standard error of the length of `median_px`, from the variance over joints.
    """

    rig: CameraRig
    median_px: F64
    error_px: F64

    @property
    def certain_px(self) -> F64:
        """Lengths of the biases (V,), scaled to an image of 1920 px; 0 where unknown or not significant."""
        size = np.nan_to_num(np.linalg.norm(self.median_px, axis=-1))
        return np.where(size > _CERTAIN * np.nan_to_num(self.error_px), size / pixel_scale(self.rig), 0.0)

    @property
    def warning(self) -> str:
        """Warning about cameras with a large bias; empty if there are none."""
        certain = self.certain_px
        # An error of one camera also biases the others, but less.
        large = np.flatnonzero(certain >= max(_LARGE_PX, _SIMILAR * certain.max()))
        if not large.size:
            return ""
        size = np.linalg.norm(self.median_px, axis=-1)
        which = " and ".join(f"{self.rig.names[v]} ({size[v]:.0f} px)" for v in large)
        rest = np.delete(size, large)
        usual = f" (at most {np.nanmax(rest):.0f} px)" if np.isfinite(rest).any() else ""
        return f"The joints of {which} are offset from those of the other cameras{usual}."

    def to_mapping(self) -> dict[str, list[float]]:
        """Convert the known biases to plain JSON values."""
        known = np.flatnonzero(np.isfinite(self.median_px).all(-1))
        return {self.rig.names[v]: np.round(self.median_px[v], 2).tolist() for v in known}


def camera_biases(views: TakeViews | StreamedViews, members: I64) -> CameraBiases:
    """Compute the bias of each camera of a rig of three or more.

    Args:
        views: All detections.
        members: (T, P, V) detection column of each person in each view, -1 for none.
    """
    geometry = views.geometry
    V, J = len(geometry), len(geometry.skeleton)
    median, error = np.full((V, 2), np.nan), np.full(V, np.nan)
    t, p = np.nonzero((members >= 0).sum(-1) >= 3)
    if len(t):
        step = -(-len(t) * J // _MAX_RESIDUALS)
        matched = gather_sampled(views, t[::step], members[t[::step], p[::step]])  # (N, 1, V, J, ...)
        for v in range(V):
            weight = matched.weight.copy()
            weight[:, :, v] = 0.0
            people = triangulate_matched(geometry, dataclasses.replace(matched, weight=weight))
            projected, _ = geometry.project_ideal(people.xyz_mm[:, 0])
            residual = (matched.ideal[:, 0, v] - projected[v]) * matched.focal_px[:, 0, v, :, None]
            median[v], error[v] = _median(np.where((matched.weight[:, 0, v] > 0)[..., None], residual, np.nan))
    return CameraBiases(rig=geometry.rig, median_px=median, error_px=error)


def widen_gates(views: W, biases: CameraBiases, config: AssociationConfig) -> W:
    """Return views with gates widened by the biases of the cameras; the same views if no bias is large."""
    beyond = np.maximum(biases.certain_px - _FREE_PX, 0.0)
    if not beyond.any():
        return views
    gate_px = (config.gate_px + _GATE_PER_PX * beyond) * pixel_scale(views.geometry.rig)
    return dataclasses.replace(views, geometry=dataclasses.replace(views.geometry, gate_px=gate_px))


def _median(residual: F64) -> tuple[F64, float]:
    """Return the median (2,) of residuals (N, J, 2) and its standard error; NaN where there are too few.

    Errors of a joint are correlated over time, so joints and not frames are the independent samples.
    """
    known = np.asarray(np.isfinite(residual).all(-1))
    joints = np.flatnonzero(known.sum(0) >= _MIN_RESIDUALS)
    if len(joints) < _MIN_JOINTS:
        return np.full(2, np.nan), np.nan
    of_joints = np.stack([np.median(residual[known[:, j], j], axis=0) for j in joints])
    error = np.sqrt((of_joints.var(0, ddof=1) / len(joints)).sum())
    return np.asarray(np.median(residual[known], axis=0)), float(error)
