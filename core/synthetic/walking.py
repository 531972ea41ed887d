"""Body poses of walking people: closed paths, planted feet, swinging and gesturing arms.

The motion is periodic with `PERIOD_S`. Feet are planted along the path, and the legs follow by inverse kinematics. Gait
angles are those of adults at a comfortable pace (Winter, Biomechanics and Motor Control of Human Movement, 2009,
chapter 4).

Legend: T time, P person, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from core.body.model import BODY_TO_WORLD, BodyModel, BoneTransforms
from core.geometry.so3 import cross
from core.types.arrays import F64
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17

PERIOD_S = 60.0
"""Period of the motion of all people in s."""
_SAMPLES = 6000
_STANCE = 0.62  # fraction of the stride in which a foot is on the floor
_AHEAD = 0.25  # distance from the pelvis to the landing foot in strides
# Foot pitch over the stride from the heel strike, toes up, in degrees.
_PITCH = PchipInterpolator(
    [-0.13, 0.0, 0.08, 0.34, 0.50, 0.62, 0.74, 0.87, 1.0, 1.08], [8, 18, 0, 0, -22, -55, -32, 8, 18, 0]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walker:
    """Walk of one person.

    Attributes:
        betas: (B,) shape.
        axes_mm: Semi-axes of the ellipse on which the person walks.
        loops: Number of turns around the ellipse per period; negative for clockwise.
        phase: Start on the ellipse, 0 to 1.
        gestures: Arm movements as (kind, side, begin, end) with times in s; see `GESTURES`.
        sole_mm: Thickness of the shoes' soles.
    """

    betas: tuple[float, ...]
    axes_mm: tuple[float, float]
    loops: int
    phase: float
    gestures: tuple[tuple[str, str, float, float], ...]
    sole_mm: float


GESTURES: dict[str, tuple[float, float, float, float, float]] = {
    "wave": (15.0, 70.0, -95.0, 75.0, 28.0),
    "phone": (35.0, 25.0, -35.0, 135.0, 2.0),
    "point": (80.0, 10.0, 0.0, 12.0, 8.0),
    "reach": (165.0, 12.0, 0.0, 10.0, 6.0),
}
"""Shoulder flexion, abduction and axial rotation, elbow flexion and its oscillation, in degrees."""


class WalkingPeople:
    """People who walk on ellipses around the origin.

    Args:
        model: Body model.
        walkers: Walks of the people.
    """

    def __init__(self, model: BodyModel, walkers: tuple[Walker, ...]) -> None:
        self.model, self.walkers = model, walkers
        self.rest = model.rest(np.array([w.betas for w in walkers]))
        self._paths = [_Path(walker, self._stature(p)) for p, walker in enumerate(walkers)]
        ankle = self.rest.joints_mm[:, model.joints.index("left_ankle"), 1]
        self._ankle_mm = ankle - self.rest.vertices_mm[..., 1].min(1) + [w.sole_mm for w in walkers]

    def _stature(self, person: int) -> float:
        return float(np.ptp(self.rest.vertices_mm[person, :, 1]))

    def poses(self, time_s: F64) -> tuple[F64, F64]:
        """Return joint rotations (T, P, J, 3, 3) and positions of the pelvis (T, P, 3) in mm at times (T,)."""
        each = [self._person(p, np.asarray(time_s, float)) for p in range(len(self.walkers))]
        return np.stack([r for r, _ in each], 1), np.stack([x for _, x in each], 1)

    def bones(self, time_s: float) -> BoneTransforms:
        """Return the bone transforms (P, J, ...) at a time."""
        rotations, pelvis = self.poses(np.array([time_s]))
        return self.model.transforms(self.rest.joints_mm, rotations[0], pelvis[0])

    def sequence(self, time_s: F64) -> Pose3DSequence:
        """Return the exact COCO joints at increasing times (T,)."""
        rotations, pelvis = self.poses(time_s)
        T, P = pelvis.shape[:2]
        joints, points = (np.broadcast_to(x, (T, *x.shape)).reshape(T * P, *x.shape[1:]) for x in self.rest[1:])
        bones = self.model.transforms(joints, rotations.reshape(T * P, *rotations.shape[2:]), pelvis.reshape(T * P, 3))
        xyz = self.model.posed_keypoints(points, bones)[:, [self.model.keypoints.index(j) for j in COCO17.joints]]
        return Pose3DSequence(
            skeleton=COCO17,
            time_s=time_s,
            xyz_mm=xyz.reshape(T, P, len(COCO17), 3),
            score=np.ones((T, P, len(COCO17))),
            person_ids=tuple(range(1, P + 1)),
            provenance={"method": "truth"},
        )

    def _person(self, person: int, time_s: F64) -> tuple[F64, F64]:
        walker, path, rest = self.walkers[person], self._paths[person], self.rest.joints_mm[person]
        index = self.model.joints.index
        s = path.distance_mm(time_s)
        stride = s / path.stride_mm  # strides since the start
        swing = 2 * np.pi * stride
        _, heading = path.at(s)
        local = np.broadcast_to(np.eye(3), (len(time_s), len(rest), 3, 3)).copy()

        # Trunk: the pelvis rotates and tilts with the legs, the chest in the opposite direction.
        turn, tilt = np.radians(6.0) * np.cos(swing), np.radians(3.5) * np.sin(swing)
        local[:, 0] = _about(2, heading + turn) @ BODY_TO_WORLD @ _about(2, tilt) @ _about(0, np.full_like(s, 0.04))
        for name, share in (("spine1", 0.35), ("spine2", 0.4), ("spine3", 0.45)):
            local[:, index(name)] = _about(1, -share * 1.7 * turn) @ _about(2, -share * tilt)
        glance = 0.35 * np.sin(2 * np.pi * time_s * 7 / PERIOD_S + person)
        local[:, index("neck")] = _about(1, 0.4 * glance) @ _about(0, np.full_like(s, 0.06))
        local[:, index("head")] = _about(1, 0.6 * glance) @ _about(0, np.full_like(s, 0.03))
        self._arms(walker, local, swing, time_s)

        # Pelvis: lowest in double support, over the standing leg in between.
        legs = [np.linalg.norm(rest[index(f"left_{b}")] - rest[index(f"left_{a}")]) for a, b in _LEG]
        reach = float(np.sqrt((0.975 * sum(legs)) ** 2 - (0.235 * path.stride_mm) ** 2))
        hip_height = -rest[index("left_hip"), 1]
        low = self._ankle_mm[person] + reach + hip_height
        height = low + 0.021 * path.stride_mm * (1 - np.cos(2 * swing)) / 2
        place, _ = path.at(s)
        side = np.stack([-np.sin(heading), np.cos(heading)], -1)
        place = place + 18.0 * np.sin(swing)[:, None] * side
        pelvis = np.concatenate([place, height[:, None]], -1)

        for name, sign, offset in (("left", 1.0, 0.0), ("right", -1.0, 0.5)):
            hip, knee, ankle, toe = (index(f"{name}_{joint}") for joint in ("hip", "knee", "ankle", "foot"))
            target, yaw, pitch, bend = _foot(
                path, stride - offset, offset, sign, rest[toe] - rest[ankle], self._ankle_mm[person]
            )
            root = local[:, 0]
            start = pelvis + root @ (rest[hip] - rest[0])
            forward = np.stack([np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)], -1)
            thigh, shank = _two_bones(start, target, forward, rest[knee] - rest[hip], rest[ankle] - rest[knee])
            foot = _about(2, yaw) @ BODY_TO_WORLD @ _about(0, -pitch)
            for joint, rotation, parent in ((hip, thigh, root), (knee, shank, thigh), (ankle, foot, shank)):
                local[:, joint] = np.swapaxes(parent, -1, -2) @ rotation
            local[:, toe] = _about(0, -bend)
        return local, pelvis

    def _arms(self, walker: Walker, local: F64, swing: F64, time_s: F64) -> None:
        for name, sign in (("left", 1.0), ("right", -1.0)):
            forward = -sign * np.cos(swing)  # arms swing with the opposite leg
            angles: list[F64] = [
                5 + 21 * forward,
                np.full_like(swing, 9.0),
                np.full_like(swing, 12.0),
                20 + 11 * forward,
            ]
            for kind, side, begin, end in walker.gestures:
                if side != name:
                    continue
                weight = _bump(time_s % PERIOD_S, begin, end)
                *still, oscillation = GESTURES[kind]
                wanted = [np.full_like(swing, angle) for angle in still]
                wanted[3] += oscillation * np.sin(2 * np.pi * 1.1 * time_s)
                angles = [a + weight * (b - a) for a, b in zip(angles, wanted, strict=True)]
            flexion, abduction, rotation, elbow = np.radians(angles)
            down = np.pi / 2 - abduction
            lift = np.clip(flexion + abduction - 1.0, 0.0, None) * 0.25  # the collar bone follows a raised arm
            index = self.model.joints.index
            local[:, index(f"{name}_collar")] = _about(2, sign * (lift - 0.06))
            local[:, index(f"{name}_shoulder")] = _about(0, -flexion) @ _about(2, -sign * down) @ _about(0, rotation)
            local[:, index(f"{name}_elbow")] = _about(1, -sign * elbow)
            local[:, index(f"{name}_wrist")] = _about(2, np.full_like(swing, -sign * 0.05))


_LEG = (("hip", "knee"), ("knee", "ankle"))


class _Path:
    """Closed path with a whole number of strides per period.

    Args:
        walker: Walk of the person.
        stature_mm: Height of the person.
    """

    def __init__(self, walker: Walker, stature_mm: float) -> None:
        angle = 2 * np.pi * (walker.phase + np.sign(walker.loops) * np.linspace(0, 1, _SAMPLES + 1))
        wobble = 1 + 0.06 * np.sin(3 * angle)
        self._xy = wobble[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1) * walker.axes_mm
        step = np.diff(self._xy, axis=0)
        self._s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(step, axis=-1))])
        tangent = np.roll(step, 1, 0) + step
        self._heading = np.unwrap(np.arctan2(*np.vstack([tangent, tangent[:1]]).T[::-1]))
        self._total = abs(walker.loops) * self._s[-1]
        self.stride_mm = float(self._total / round(self._total / (0.68 * stature_mm)))
        self._wave = walker.phase

    def distance_mm(self, time_s: F64) -> F64:
        """Return the distance (T,) since the start; the pace varies by a tenth."""
        turns = time_s / PERIOD_S
        pace = 0.1 / (2 * np.pi * 5) * (np.sin(2 * np.pi * (5 * turns + self._wave)) - np.sin(2 * np.pi * self._wave))
        return np.asarray(self._total * (turns + pace))

    def at(self, s: F64) -> tuple[F64, F64]:
        """Return positions (T, 2) and headings (T,) at distances (T,) along the path."""
        lap, rest = np.divmod(s, self._s[-1])
        xy = np.stack([np.interp(rest, self._s, self._xy[:, axis]) for axis in range(2)], -1)
        return xy, np.interp(rest, self._s, self._heading) + lap * (self._heading[-1] - self._heading[0])


def _foot(
    path: _Path, stride: F64, offset: float, sign: float, toe_mm: F64, ankle_mm: float
) -> tuple[F64, F64, F64, F64]:
    """Return ankle positions (T, 3), yaw, pitch (toes up) and toe flexion (T,) in rad of one foot."""
    number = np.floor(stride)
    u = stride - number

    def planted(step: F64, pitch: F64) -> tuple[F64, F64]:
        place, heading = path.at((step + offset + _AHEAD) * path.stride_mm)
        side = np.stack([-np.sin(heading), np.cos(heading)], -1)
        place = place + sign * 75.0 * side
        # The foot first rolls over the heel, then over the toe joint.
        pivot = np.where(pitch > 0, -0.4 * toe_mm[2], toe_mm[2])
        above = np.where(pitch > 0, ankle_mm, -toe_mm[1])
        up = ankle_mm + above * (np.cos(pitch) - 1) - pivot * np.sin(pitch)
        along = pivot * (1 - np.cos(pitch)) - above * np.sin(pitch)
        xy = place + along[:, None] * np.stack([np.cos(heading), np.sin(heading)], -1)
        return np.concatenate([xy, up[:, None]], -1), heading

    pitch = np.radians(_PITCH(u))
    on_floor, yaw = planted(number, pitch)
    leave, _ = planted(number, np.radians(np.full_like(u, float(_PITCH(_STANCE)))))
    touch, next_yaw = planted(number + 1, np.radians(np.full_like(u, float(_PITCH(1.0)))))
    w = np.clip((u - _STANCE) / (1 - _STANCE), 0, 1)
    forward = w * w * (3 - 2 * w)
    air = leave + forward[:, None] * (touch - leave)
    air[:, 2] += 35.0 * np.sin(np.pi * w)
    ankle = np.where((u > _STANCE)[:, None], air, on_floor)
    bend = np.clip(-pitch, 0, None) * np.where(u > _STANCE, np.clip(1 - 4 * w, 0, 1), 1.0)
    return ankle, yaw + forward * (next_yaw - yaw), pitch, bend


def _two_bones(start: F64, target: F64, forward: F64, upper_mm: F64, lower_mm: F64) -> tuple[F64, F64]:
    """Return the world rotations (T, 3, 3) of two bones that reach from `start` to `target` (T, 3).

    Args:
        start: (T, 3) hips.
        target: (T, 3) ankles; a leg that cannot reach stays straight.
        forward: (T, 3) direction in which the knee points.
        upper_mm: (3,) first bone at rest in body coordinates.
        lower_mm: (3,) second bone at rest in body coordinates.
    """
    a, b = float(np.linalg.norm(upper_mm)), float(np.linalg.norm(lower_mm))
    line = target - start
    length = np.linalg.norm(line, axis=-1)
    line, reach = line / length[:, None], np.clip(length, abs(a - b) + 1, 0.9995 * (a + b))
    ahead = forward - (forward * line).sum(-1, keepdims=True) * line
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    cosine = (a * a + reach * reach - b * b) / (2 * a * reach)
    knee = a * (cosine[:, None] * line + np.sqrt(1 - cosine**2)[:, None] * ahead)
    ends = knee, reach[:, None] * line - knee
    axis = np.array([0.0, 0.0, 1.0])
    rotations = [
        _frame(bone, ahead) @ _frame(rest[None], axis[None])[0].T
        for bone, rest in zip(ends, (upper_mm, lower_mm), strict=True)
    ]
    return rotations[0], rotations[1]


def _frame(bone: F64, ahead: F64) -> F64:
    """Return axes (T, 3, 3) as columns: along the bone, ahead (made perpendicular to it), and across both."""
    first = bone / np.linalg.norm(bone, axis=-1, keepdims=True)
    second = ahead - (ahead * first).sum(-1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, cross(first, second)], -1)


def _about(axis: int, angle: F64) -> F64:
    """Return rotations (T, 3, 3) by angles (T,) about a coordinate axis."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((*angle.shape, 3, 3))
    out[..., axis, axis] = 1
    out[..., a, a] = out[..., b, b] = np.cos(angle)
    out[..., b, a], out[..., a, b] = np.sin(angle), -np.sin(angle)
    return out


def _bump(time_s: F64, begin: float, end: float) -> F64:
    """Return a weight that rises to 1 after `begin` and falls to 0 before `end`, smoothly over 0.8 s."""
    x = np.clip(np.minimum(time_s - begin, end - time_s) / 0.8, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))
