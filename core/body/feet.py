"""Foot contact with the floor (z = 0): detection by height and speed, and targets against sliding and penetration.

Legend: T frame, K observed keypoint, S sole point (heel and toes of the left foot, then of the right one).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter1d

from core.body.chain import BodyChain, BodyKeypoints, Poses, Targets
from core.body.model import BodyModel
from core.types.arrays import F64

SOLE_POINTS = ("left_heel", "left_toes", "right_heel", "right_toes")
_SIDES = ("left", "right")
_STILL_MM_S = 350.0
_WINDOW_S = 0.1  # for the measurement of speed
_NOISY_WINDOW_S = 0.17  # over which places are averaged first where their noise alone looks like motion
_SHORTEST_S = 0.1
_NEAR_MM = 60.0  # distance of an ankle from its standing height from which the foot rests on something else
_AGREES_MM = 20.0  # mean distance of resting feet up to which they are on the floor
_FEWEST_SHARE = 0.1  # share of resting frames near the floor that determine its height
_SHIFT_MM = 60.0  # displacement of a foot that counts as a step
_DEEPEST_MM = 80.0  # depth of soles below which the floor must be wrong, and the soles are left there
_SLIDE_SIGMA_MM, _FLOOR_SIGMA_MM = 5.0, 6.0


def with_feet(chain: BodyChain) -> BodyChain:
    """Return a chain with free ankles, and the four sole points as last keypoints."""
    own = chain.keypoints
    soles = _soles(chain.model)
    keypoints = BodyKeypoints(
        (*own.names, *SOLE_POINTS),
        np.concatenate([own.bones, soles.bones]),
        np.concatenate([own.template_mm, soles.template_mm]),
        np.concatenate([own.dirs_mm, soles.dirs_mm]),
    )
    return BodyChain.of_keypoints(chain.model, keypoints, feet=True)


def _soles(model: BodyModel) -> BodyKeypoints:
    """Return the rearmost and the foremost of the lowest vertices of each foot, at the height of the lowest one."""
    vertices, bones, lowest_mm = [], [], []
    for side in _SIDES:
        ends = [model.joints.index(f"{side}_{part}") for part in ("ankle", "foot")]
        foot = np.flatnonzero(model.weights[:, ends].sum(1) > _OWN_WEIGHT)
        height = model.template_mm[foot, 1]
        lowest = foot[height < height.min() + _SOLE_MM]
        lowest_mm += [float(height.min())] * 2
        ahead = model.template_mm[lowest, 2]
        vertices += [int(lowest[ahead.argmin()]), int(lowest[ahead.argmax()])]
        bones += ends
    template = model.template_mm[vertices].astype(np.float64)
    template[:, 1] = lowest_mm
    return BodyKeypoints(SOLE_POINTS, np.array(bones), template, model.shape_dirs_mm[vertices].astype(np.float64))


_OWN_WEIGHT, _SOLE_MM = 0.95, 12.0


def free_ankles(poses: Poses, chain: BodyChain, feet: BodyChain) -> Poses:
    """Convert poses of a chain to poses of the chain with feet, with ankles at rest."""
    w = np.zeros((len(poses), len(feet.prior.joints), 3))
    w[:, np.searchsorted(feet.prior.joints, chain.prior.joints)] = poses.w
    return Poses(poses.root, poses.pelvis_mm, w)


def rest_heights(feet: BodyChain, poses: Poses, targets: Targets, interval_s: float) -> F64:
    """Return the heights (n,) of the soles in frames in which a foot rests; see `feet_targets`."""
    joints = feet.joint_positions(feet.bones(poses))
    heights = [np.zeros(0)]
    for foot, side in enumerate(_SIDES):
        ankle, height = _standing(feet, foot)
        seen = targets.used[:, feet.keypoints.names.index(f"{side}_ankle")]
        heights += [joints[slice(*rest), ankle, 2] - height for rest in _rests(joints[:, ankle], seen, interval_s)]
    return np.concatenate(heights)


def floor_gap(heights_mm: Sequence[F64]) -> tuple[float, bool]:
    """Return the height of a person's resting feet over the floor, and whether to set them on it.

    Errors of a few millimetres are normal. A larger common offset means that the floor there is not at z = 0 or that
    feet are seen wrong; pulling them to the floor would then bend the legs.

    Args:
        heights_mm: Heights of soles where feet rest; those far from the floor, as on a box, count only without others.
    """
    heights = np.concatenate([np.zeros(0), *heights_mm])
    if not len(heights):
        return float("nan"), False
    near = heights[np.abs(heights) < _NEAR_MM]
    gap = float(np.median(near if len(near) >= _FEWEST_SHARE * len(heights) else heights))
    return gap, abs(gap) < _AGREES_MM


def _standing(feet: BodyChain, foot: int) -> tuple[int, float]:
    """Return the joint of an ankle and its standing height."""
    ankle = feet.model.joints.index(f"{_SIDES[foot]}_ankle")
    soles = feet.rest_keypoints_mm[-len(SOLE_POINTS) :][2 * foot : 2 * foot + 2, 1]
    return ankle, float(feet.rest_joints_mm[ankle, 1] - soles.min())


def feet_targets(
    feet: BodyChain, poses: Poses, targets: Targets, interval_s: float, *, on_floor: bool = True
) -> Targets:
    """Return targets with soles that do not slide while a foot rests, and do not penetrate the floor.

    A foot rests while its ankle hardly moves. It rests on the floor if the ankle is near its standing height; a foot
    that rests on something else is only kept from sliding. Unobserved ankles have no effect.

    Args:
        feet: Chain with feet, see `with_feet`.
        poses: Poses of T consecutive frames.
        targets: Observed keypoints.
        interval_s: Time between frames.
        on_floor: Set feet on the floor; if not, they are only kept from sliding.
    """
    T, S = len(poses), len(SOLE_POINTS)
    xyz, whitening = np.zeros((T, S, 3)), np.zeros((T, S, 3, 3))
    bones = feet.bones(poses)
    soles, joints = feet.points(bones)[:, -S:], feet.joint_positions(bones)
    used = targets.used
    for foot, side in enumerate(_SIDES):
        points = slice(2 * foot, 2 * foot + 2)
        ankle, height = _standing(feet, foot)
        seen = used[:, feet.keypoints.names.index(f"{side}_ankle")]
        low = on_floor & seen & (np.abs(joints[:, ankle, 2] - height) < _NEAR_MM)
        below = on_floor & seen[:, None] & (soles[:, points, 2] < 0) & (soles[:, points, 2] > -_DEEPEST_MM)
        whitening[:, points, 2, 2] = below / _FLOOR_SIGMA_MM
        for first, end in _rests(joints[:, ankle], seen, interval_s):
            rest = slice(first, end)
            xyz[rest, points, :2] = np.median(soles[rest, points, :2], axis=0)
            whitening[rest, points, 0, 0] = whitening[rest, points, 1, 1] = 1 / _SLIDE_SIGMA_MM
            if np.mean(low[rest]) > 0.5:
                whitening[rest, points, 2, 2] = 1 / _FLOOR_SIGMA_MM
    return Targets(np.concatenate([targets.xyz_mm, xyz], 1), np.concatenate([targets.whitening, whitening], 1))


def _rests(ankle_mm: F64, seen: np.ndarray, interval_s: float) -> list[tuple[int, int]]:
    """Return the start and end frame of each interval in which a foot stays in place."""
    if len(ankle_mm) < 2:
        return []
    if _jitter_mm_s(ankle_mm, interval_s) > _STILL_MM_S:
        ankle_mm = uniform_filter1d(ankle_mm, max(1, round(_NOISY_WINDOW_S / interval_s)), axis=0, mode="nearest")
    window = max(1, round(_WINDOW_S / interval_s))
    speed = np.linalg.norm(uniform_filter1d(np.gradient(ankle_mm, axis=0), window, axis=0), axis=-1) / interval_s
    still = seen & (speed < _STILL_MM_S)
    edges = np.flatnonzero(np.diff(np.r_[False, still, False].astype(int)))
    rests = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        while first < end:
            shift = np.linalg.norm(ankle_mm[first:end, :2] - ankle_mm[first, :2], axis=-1)
            moved = np.flatnonzero(shift > _SHIFT_MM)
            until = first + int(moved[0]) if len(moved) else end
            if (until - first) * interval_s >= _SHORTEST_S:
                rests.append((first, until))
            first = until
    return rests


def _jitter_mm_s(ankle_mm: F64, interval_s: float) -> float:
    """Return the noise of positions (T, 3) over the time between frames.

    Third differences of white noise have 20 times its variance, and motion hardly shows in them.
    """
    if len(ankle_mm) < 4:
        return 0.0
    return float(np.median(np.linalg.norm(np.diff(ankle_mm, n=3, axis=0), axis=-1))) / (20**0.5 * interval_s)
