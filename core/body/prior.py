"""Pose prior without licensed data: a relaxed mean, standard deviations per axis, and limits of hinge joints.

Poses are rotation vectors of joints relative to their parents, in body coordinates (x left, y up, z forward), from the
T pose. Knees bend about +x, the left elbow about -y, the right elbow about +y.

Legend: A joint with free rotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.body.model import BodyModel
from core.types.arrays import F64, I64

HINGE_LIMIT_RAD = float(np.radians(-2.0))
"""Flexion below which the limit of knees and elbows takes effect."""
_HINGE_SIGMA_RAD = float(np.radians(1.5))

# Mean and standard deviation in degrees about x, y, z of the left side; the right side is its mirror image.
_TABLE: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "spine1": ((0, 0, 0), (14, 8, 7)),
    "spine2": ((0, 0, 0), (10, 8, 7)),
    "spine3": ((0, 0, 0), (10, 8, 7)),
    "neck": ((5, 0, 0), (14, 18, 11)),
    "head": ((3, 0, 0), (14, 20, 11)),
    "hip": ((-10, 0, 0), (45, 16, 22)),
    "knee": ((25, 0, 0), (60, 6, 4)),
    "ankle": ((0, 0, 0), (15, 6, 8)),
    "collar": ((0, 0, -3), (4, 8, 10)),
    "shoulder": ((0, 0, -60), (40, 50, 50)),
    "elbow": ((0, -40, 0), (9, 55, 6)),
}
_MIRROR = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True, slots=True, eq=False)
class PosePrior:
    """Prior of the free joints of a body model; the root has none, and other joints are fixed.

    Attributes:
        joints: (A,) joint indices, parents first.
        mean_rad: (A, 3) mean rotation vectors.
        sigma_rad: (A, 3) standard deviations.
        hinges: (4,) indices of knees and elbows in `joints`.
        hinge_axis: (4,) component of the rotation vector that measures flexion.
        hinge_sign: (4,) sign of flexion.
    """

    joints: I64
    mean_rad: F64
    sigma_rad: F64
    hinges: I64
    hinge_axis: I64
    hinge_sign: F64

    @classmethod
    def of(cls, model: BodyModel, *, feet: bool = False) -> PosePrior:
        """Return the prior for a model with SMPL's joint names; with `feet`, the ankles are free as well."""
        joints: list[int] = []
        mean, sigma, hinges = [], [], []
        for index, name in enumerate(model.joints):
            side, _, part = name.partition("_")
            entry = _TABLE.get(part or name)
            if entry is None or (part == "ankle" and not feet):
                continue
            mirror = _MIRROR if side == "right" else np.ones(3)
            if part in ("knee", "elbow"):
                axis = 0 if part == "knee" else 1
                hinges.append((len(joints), axis, 1.0 if part == "knee" or side == "right" else -1.0))
            joints.append(index)
            mean.append(np.radians(entry[0]) * mirror)
            sigma.append(np.radians(entry[1]))
        places, axes, signs = zip(*hinges, strict=True)
        return cls(np.array(joints), np.array(mean), np.array(sigma), np.array(places), np.array(axes), np.array(signs))

    def flexion_rad(self, w: F64) -> F64:
        """Return the flexion (..., 4) of knees and elbows from rotation vectors (..., A, 3); negative is backwards."""
        return np.asarray(w[..., self.hinges, self.hinge_axis] * self.hinge_sign)

    def cost(self, w: F64) -> F64:
        """Return the cost (...) of rotation vectors (..., A, 3)."""
        over = np.clip(HINGE_LIMIT_RAD - self.flexion_rad(w), 0, None) / _HINGE_SIGMA_RAD
        return np.asarray((((w - self.mean_rad) / self.sigma_rad) ** 2).sum((-2, -1)) + (over**2).sum(-1))

    def add(self, w: F64, gradient: F64, hessian: F64) -> None:
        """Add the gradient and the diagonal Hessian of half the cost, both (..., A, 3), in place."""
        weight = 1 / self.sigma_rad**2
        gradient += weight * (w - self.mean_rad)
        hessian += weight
        over = np.clip(HINGE_LIMIT_RAD - self.flexion_rad(w), 0, None)
        gradient[..., self.hinges, self.hinge_axis] -= self.hinge_sign * over / _HINGE_SIGMA_RAD**2
        hessian[..., self.hinges, self.hinge_axis] += (over > 0) / _HINGE_SIGMA_RAD**2
