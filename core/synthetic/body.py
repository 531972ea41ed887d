"""A kinematic body model: bone lengths from stature, joints from angles.

Body coordinates: x forward, y left, z up, origin on the floor below the mid-hip. Letters in shapes: `...` any batch of
people and times, J the 17 joints of COCO.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from core.types.arrays import F64
from core.types.skeleton import COCO17

# Segment lengths relative to stature: R. Drillis and R. Contini, Body Segment Parameters (1966). The distance of the
# hip joint centres and the points of the face are those of typical adults.
_ANKLE, _SHANK, _THIGH = 0.039, 0.246, 0.245
_TRUNK, _NECK = 0.288, 0.118
_HIP_HALF, _SHOULDER_HALF = 0.052, 0.118
_UPPER_ARM, _FOREARM = 0.186, 0.146
# Forward, left and up from the centre of the head.
_FACE = {
    "nose": (0.062, 0.0, 0.0),
    "left_eye": (0.050, 0.018, 0.020),
    "right_eye": (0.050, -0.018, 0.020),
    "left_ear": (0.0, 0.043, 0.005),
    "right_ear": (0.0, -0.043, 0.005),
}


def _zero() -> F64:
    return np.zeros(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """Joint angles in radians; arrays that broadcast to (...). Pairs are (left, right).

    Attributes:
        lean: Flexion of the trunk, forward.
        sway: Lateral flexion of the trunk, to the left.
        twist: Rotation of the shoulders relative to the hips, to the left.
        hip: Flexion of the thighs, forward.
        spread: Abduction of the thighs, outward.
        knee: Flexion of the shanks, backward; 0 is straight.
        shoulder: Flexion of the upper arms relative to the trunk, forward.
        raise_: Abduction of the upper arms, outward.
        elbow: Flexion of the forearms, forward; 0 is straight.
        look: Rotation of the head relative to the hips, to the left.
        nod: Flexion of the head, forward.
    """

    lean: F64 = field(default_factory=_zero)
    sway: F64 = field(default_factory=_zero)
    twist: F64 = field(default_factory=_zero)
    hip: tuple[F64, F64] = field(default_factory=lambda: (_zero(), _zero()))
    spread: tuple[F64, F64] = field(default_factory=lambda: (_zero(), _zero()))
    knee: tuple[F64, F64] = field(default_factory=lambda: (_zero(), _zero()))
    shoulder: tuple[F64, F64] = field(default_factory=lambda: (_zero(), _zero()))
    raise_: tuple[F64, F64] = field(default_factory=lambda: (_zero(), _zero()))
    elbow: tuple[F64, F64] = field(default_factory=lambda: (_zero(), _zero()))
    look: F64 = field(default_factory=_zero)
    nod: F64 = field(default_factory=_zero)

    def blend(self, other: Posture, weight: F64) -> Posture:
        """Interpolate between this posture (weight 0) and another (weight 1)."""
        return self._combine(lambda a, b: np.asarray(a * (1 - weight) + b * weight), other)

    def map(self, change: Callable[[F64], F64]) -> Posture:
        """Apply `change` to every angle."""
        return self._combine(lambda a, _: change(a), self)

    def _combine(self, rule: Callable[[F64, F64], F64], other: Posture) -> Posture:
        combined: dict[str, Any] = {}
        for f in fields(self):
            a, b = getattr(self, f.name), getattr(other, f.name)
            combined[f.name] = (rule(a[0], b[0]), rule(a[1], b[1])) if isinstance(a, tuple) else rule(a, b)
        return Posture(**combined)


def body_joints(stature_mm: F64, posture: Posture, floor_mm: F64, heading_rad: F64) -> F64:
    """Return the joints of people who stand on the floor: the lower ankle is at ankle height in every posture.

    Args:
        stature_mm: (...) body heights.
        posture: Angles (...).
        floor_mm: (..., 2) position of the mid-hip on the floor.
        heading_rad: (...) direction of the body, 0 along world x, counter-clockwise seen from above.

    Returns:
        (..., 17, 3) COCO joints in world coordinates, mm.
    """
    named = _local(posture)
    shape = np.broadcast_shapes(*(p.shape for p in named.values()), (*np.shape(stature_mm), 3))
    local = np.stack([np.broadcast_to(named[j], shape) for j in COCO17.joints], axis=-2)
    local = local * np.asarray(stature_mm)[..., None, None]
    ankles = local[..., [COCO17.index("left_ankle"), COCO17.index("right_ankle")], 2].min(-1)
    lift = _ANKLE * np.asarray(stature_mm) - ankles
    c, s = np.cos(heading_rad)[..., None], np.sin(heading_rad)[..., None]
    return np.stack(
        [
            c * local[..., 0] - s * local[..., 1] + floor_mm[..., 0, None],
            s * local[..., 0] + c * local[..., 1] + floor_mm[..., 1, None],
            local[..., 2] + lift[..., None],
        ],
        axis=-1,
    )


def _local(posture: Posture) -> dict[str, F64]:
    """Return the joints (..., 3) by name in units of stature, with the mid-hip at the origin."""
    trunk = _rotation_y(posture.lean) @ _rotation_x(-posture.sway) @ _rotation_z(posture.twist)
    chest = trunk @ np.array([0.0, 0.0, _TRUNK])
    head = chest + trunk @ np.array([0.0, 0.0, _NECK])
    face = _rotation_z(posture.look) @ _rotation_y(posture.nod)
    out = {name: head + face @ np.array(offset) for name, offset in _FACE.items()}
    for i, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        hip = np.array([0.0, sign * _HIP_HALF, 0.0])
        knee = hip + _THIGH * _limb(posture.hip[i], posture.spread[i], sign)
        shoulder = chest + trunk @ np.array([0.0, sign * _SHOULDER_HALF, 0.0])
        upper = _limb(posture.shoulder[i], posture.raise_[i], sign)
        fore = _limb(posture.shoulder[i] + posture.elbow[i], posture.raise_[i], sign)
        elbow = shoulder + _UPPER_ARM * np.einsum("...ij,...j->...i", trunk, upper)
        out |= {
            f"{side}_hip": hip,
            f"{side}_knee": knee,
            f"{side}_ankle": knee + _SHANK * _limb(posture.hip[i] - posture.knee[i], posture.spread[i], sign),
            f"{side}_shoulder": shoulder,
            f"{side}_elbow": elbow,
            f"{side}_wrist": elbow + _FOREARM * np.einsum("...ij,...j->...i", trunk, fore),
        }
    return out


def _limb(forward: F64, outward: F64, sign: float) -> F64:
    """Return the unit direction (..., 3) of a hanging segment after flexion and abduction."""
    forward, outward = np.broadcast_arrays(forward, outward)
    return np.stack(
        [np.sin(forward) * np.cos(outward), sign * np.sin(outward), -np.cos(forward) * np.cos(outward)], axis=-1
    )


def _rotation_x(angle: F64) -> F64:
    return _rotation(angle, 1, 2)


def _rotation_y(angle: F64) -> F64:
    """Return the rotation that takes z towards x."""
    return _rotation(angle, 2, 0)


def _rotation_z(angle: F64) -> F64:
    return _rotation(angle, 0, 1)


def _rotation(angle: F64, a: int, b: int) -> F64:
    angle = np.asarray(angle, float)
    out = np.zeros((*angle.shape, 3, 3))
    out[..., 3 - a - b, 3 - a - b] = 1.0
    out[..., a, a] = out[..., b, b] = np.cos(angle)
    out[..., b, a] = np.sin(angle)
    out[..., a, b] = -np.sin(angle)
    return out
