"""Expected joints of triangulated people in the images of a camera, with their covariances.

Letters in shapes: T time, P person, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry import inside, project
from core.synthetic.body import Posture, body_joints
from core.types.arrays import F64
from core.types.camera import Camera
from core.types.pose3d import Pose3DSequence

_MIN_JOINTS = 4
"""Minimum number of triangulated joints of an expected person."""
_SIGMA_MM, _MAX_SIGMA_MM = 120.0, 250.0
"""Standard deviation added (in variance) to a triangulated joint, and the upper limit of the sum."""
_TEMPLATE_SIGMA_MM = 200.0
"""Standard deviation of a joint from the standing template."""
_MIN_VISIBLE = 0.3
"""Minimum fraction of a visible person's joints inside the image."""
_STATURE_MM = 1700.0
_TEMPLATE_MM = body_joints(np.array(_STATURE_MM), Posture(), np.zeros(2), np.zeros(()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExpectedPeople:
    """Expected joints in world coordinates, without gaps.

    Attributes:
        time_s: (T,) times.
        xyz_mm: (T, P, J, 3) joints, NaN for people who are not expected.
        covariance_mm2: (T, P, J, 3, 3) covariances.
        known: (T, P, J) bool, True for triangulated joints.
    """

    time_s: F64
    xyz_mm: F64
    covariance_mm2: F64
    known: np.ndarray

    @classmethod
    def of(cls, sequence: Pose3DSequence) -> ExpectedPeople:
        """Build from a sequence in COCO joints; missing joints are filled from a standing template."""
        xyz = np.asarray(sequence.xyz_mm, float)
        known = np.asarray(np.isfinite(xyz).all(-1))
        filled = np.where(known[..., None], xyz, _standing(xyz, known))
        filled[known.sum(-1) < _MIN_JOINTS] = np.nan
        covariance = np.zeros((*xyz.shape, 3)) if sequence.covariance_mm2 is None else sequence.covariance_mm2
        measured = _widened(np.where(known[..., None, None], np.nan_to_num(covariance), 0.0))
        template = _TEMPLATE_SIGMA_MM**2 * np.eye(3)
        return cls(
            time_s=sequence.time_s,
            xyz_mm=filled,
            covariance_mm2=np.where(known[..., None, None], measured, template),
            known=known,
        )

    def at(self, time_s: F64) -> ExpectedPeople:
        """Interpolate the people at other times (T,); NaN times give NaN."""
        if np.array_equal(time_s, self.time_s):
            return self
        last = len(self.time_s) - 1
        position = np.interp(np.nan_to_num(time_s), self.time_s, np.arange(last + 1))
        before = np.floor(position).astype(int).clip(0, max(last - 1, 0))
        after = np.minimum(before + 1, last)
        share = (position - before)[:, None, None, None]
        a, b = self.xyz_mm[before], self.xyz_mm[after]
        nearest = np.where(share < 0.5, a, b)
        between = (1 - share) * a + share * b
        row = np.where(position - before < 0.5, before, after)
        xyz = np.where(np.isfinite(between), between, nearest)
        xyz[~np.isfinite(time_s)] = np.nan
        return ExpectedPeople(time_s=time_s, xyz_mm=xyz, covariance_mm2=self.covariance_mm2[row], known=self.known[row])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewPriors:
    """Expected joints in the images of one camera.

    Attributes:
        xy_px: (T, P, J, 2) expected pixels, NaN where a person is not expected or a joint cannot be projected.
        covariance_px2: (T, P, J, 2, 2) covariances.
        known: (T, P, J) bool, True for triangulated joints.
        visible: (T, P) bool, True for people with enough joints inside the image.
    """

    xy_px: F64
    covariance_px2: F64
    known: np.ndarray
    visible: np.ndarray

    @classmethod
    def of(cls, camera: Camera, people: ExpectedPeople) -> ViewPriors:
        """Project people and, to first order, the covariances of their joints."""
        steps_mm = np.concatenate([np.zeros((1, 3)), np.eye(3)])
        pixels = project(camera, people.xyz_mm[..., None, :] + steps_mm)  # forward differences of 1 mm
        xy_px = pixels[..., 0, :]
        jacobian = np.swapaxes(pixels[..., 1:, :] - pixels[..., :1, :], -1, -2)  # (T, P, J, 2, 3)
        covariance = jacobian @ people.covariance_mm2 @ np.swapaxes(jacobian, -1, -2)
        good = np.asarray(np.isfinite(covariance).all((-1, -2)))
        return cls(
            xy_px=np.where(good[..., None], xy_px, np.nan),
            covariance_px2=np.where(good[..., None, None], covariance, np.eye(2)),
            known=people.known,
            visible=inside(camera, xy_px).mean(-1) >= _MIN_VISIBLE,
        )


def _standing(xyz_mm: F64, known: np.ndarray) -> F64:
    """Return the joints (T, P, J, 3) of a standing template, translated and rotated about z to fit the known ones."""
    weight = known[..., None] / np.maximum(known.sum(-1), 1)[..., None, None]
    joints = np.where(known[..., None], xyz_mm, 0.0)
    centre = (weight * joints).sum(-2, keepdims=True)
    template_centre = (weight * _TEMPLATE_MM).sum(-2, keepdims=True)
    to, of = (joints - centre) * weight, _TEMPLATE_MM - template_centre
    angle = np.arctan2(
        (of[..., 0] * to[..., 1] - of[..., 1] * to[..., 0]).sum(-1), (of[..., :2] * to[..., :2]).sum((-1, -2))
    )
    c, s = np.cos(angle)[..., None], np.sin(angle)[..., None]
    rotated = np.stack([c * of[..., 0] - s * of[..., 1], s * of[..., 0] + c * of[..., 1], of[..., 2]], -1)
    return np.asarray(rotated + centre)


def _widened(covariance_mm2: F64) -> F64:
    """Add the variance of the prior to covariances (..., 3, 3), and clip the eigenvalues of the sum."""
    variance, axes = np.linalg.eigh(covariance_mm2)
    limited = np.minimum(variance + _SIGMA_MM**2, _MAX_SIGMA_MM**2)
    return np.asarray((axes * limited[..., None, :]) @ np.swapaxes(axes, -1, -2))
