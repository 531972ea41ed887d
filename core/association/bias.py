"""Bias of each camera: how far its detections lie beside those of the other cameras, over a whole take.

Noise and people average out; what remains is an error of the rig. A gate that knows it keeps the detections of a camera
that is slightly off, instead of trusting the others alone.
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
"""Key of a sequence's provenance: sentences about cameras that do not fit the others, empty if there are none."""
_FREE_PX, _GATE_PER_PX = 5.0, 2.0  # Bias that the gate allows for anyway, and pixels of gate for each one beyond.
_LARGE_PX, _SIMILAR = 10.0, 0.7  # Bias that is worth a warning; share of the largest that is as bad.
_CERTAIN = 2.0  # Standard errors that a bias must exceed.
_MAX_RESIDUALS = 5000  # Residuals a camera that are looked at: a median needs no more.
_MIN_RESIDUALS, _MIN_JOINTS = 5, 5  # Fewest residuals of a joint, and joints of a camera, whose bias is known.
W = TypeVar("W", TakeViews, StreamedViews)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraBiases:
    """Biases of V cameras.

    Attributes:
        rig: The cameras.
        median_px: (V, 2) median residual of the detections against the triangulation of the other cameras; NaN where
            unknown.
        error_px: (V,) standard error of its length, from the spread over joints.
    """

    rig: CameraRig
    median_px: F64
    error_px: F64

    @property
    def certain_px(self) -> F64:
        """Length of each bias (V,) in an image of 1920 px; 0 where it is unknown or no larger than chance."""
        size = np.nan_to_num(np.linalg.norm(self.median_px, axis=-1))
        return np.where(size > _CERTAIN * np.nan_to_num(self.error_px), size / pixel_scale(self.rig), 0.0)

    @property
    def warning(self) -> str:
        """Sentence about the cameras of large bias; empty if there are none."""
        certain = self.certain_px
        # An error of one camera shows in others, too: least in those that the many others outvote.
        large = np.flatnonzero(certain >= max(_LARGE_PX, _SIMILAR * certain.max()))
        if not large.size:
            return ""
        size = np.linalg.norm(self.median_px, axis=-1)
        which = " and ".join(f"{self.rig.names[v]} ({size[v]:.0f} px)" for v in large)
        rest = np.delete(size, large)
        usual = f" (at most {np.nanmax(rest):.0f} px)" if np.isfinite(rest).any() else ""
        return f"The joints of {which} lie beside those of the other cameras{usual}."

    def to_mapping(self) -> dict[str, list[float]]:
        """Convert to plain JSON values: the bias of each camera where it is known."""
        known = np.flatnonzero(np.isfinite(self.median_px).all(-1))
        return {self.rig.names[v]: np.round(self.median_px[v], 2).tolist() for v in known}


def camera_biases(views: TakeViews | StreamedViews, members: I64) -> CameraBiases:
    """Compute the bias of each camera of three or more.

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
    """Return the views with gates that allow for the biases of the cameras; the same views if none needs it."""
    beyond = np.maximum(biases.certain_px - _FREE_PX, 0.0)
    if not beyond.any():
        return views
    gate_px = (config.gate_px + _GATE_PER_PX * beyond) * pixel_scale(views.geometry.rig)
    return dataclasses.replace(views, geometry=dataclasses.replace(views.geometry, gate_px=gate_px))


def _median(residual: F64) -> tuple[F64, float]:
    """Return the median (2,) of residuals (N, J, 2) and its standard error; NaN where there are too few.

    The errors of a joint persist from frame to frame, so that joints count and not frames.
    """
    known = np.asarray(np.isfinite(residual).all(-1))
    joints = np.flatnonzero(known.sum(0) >= _MIN_RESIDUALS)
    if len(joints) < _MIN_JOINTS:
        return np.full(2, np.nan), np.nan
    of_joints = np.stack([np.median(residual[known[:, j], j], axis=0) for j in joints])
    error = np.sqrt((of_joints.var(0, ddof=1) / len(joints)).sum())
    return np.asarray(np.median(residual[known], axis=0)), float(error)
