"""Structured errors of 2D estimators and rigs: borrowed limbs, exchanged sides, lost views, rotated cameras.

They last for several frames and affect entire limbs, so that triangulation cannot average them out.

Legend: T frame, P person, J joint, L limb.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from core.types.arrays import F64
from core.types.camera import Camera
from core.types.skeleton import DERIVED_JOINTS, Skeleton

ERROR_LAST_S = 0.16
"""Time constant of the errors of an estimator."""
BORROW_REACH = 1.0
"""Largest distance of the person whose limb is borrowed, as a share of a person's size in the image."""
_EVENT_S = 0.25
"""Width of the filter of events: they last about 0.3 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusions:
    """Rates of structured errors.

    Attributes:
        borrow: Fraction of people per view with a limb, the legs or a single hip of the nearest other person.
        swap: Fraction of people per view with exchanged sides: of all joints, the arms or the legs.
        lost_view: Fraction of frames in which a camera detects nobody.
        rig_deg: Standard deviation of the rotation by which each camera differs from its calibration.
    """

    borrow: float = 0.06
    swap: float = 0.04
    lost_view: float = 0.02
    rig_deg: float = 0.15

    def scaled(self, factor: float, *, rig_factor: float) -> Confusions:
        """Multiply the rates of the estimator's errors and the error of the rig by factors."""
        rates = {name: factor * getattr(self, name) for name in ("borrow", "swap", "lost_view")}
        return dataclasses.replace(self, **rates, rig_deg=rig_factor * self.rig_deg)


@lru_cache(maxsize=4)
def limb_masks(skeleton: Skeleton) -> np.ndarray:
    """Return masks (L, J) of joints that are occluded together."""
    arms, legs, hips = _arms(), _legs(), [["left_hip", "right_hip", "mid_hip"]]
    sides = [
        arm + leg + [f"{side}_shoulder", f"{side}_hip"]
        for side, arm, leg in zip(("left", "right"), arms, legs, strict=True)
    ]
    return _masks(skeleton, [*arms, *legs, legs[0] + legs[1], legs[0] + legs[1] + hips[0], arms[0] + arms[1], *sides])


@lru_cache(maxsize=4)
def borrowed_masks(skeleton: Skeleton) -> np.ndarray:
    """Return masks (L, J) of joints that are borrowed together; single hips are the most common."""
    arms, legs, hips = _arms(), _legs(), [["left_hip"], ["right_hip"]]
    with_hips = [leg + hip for leg, hip in zip(legs, hips, strict=True)]
    return _masks(skeleton, [*hips, *hips, *arms, *legs, *with_hips, with_hips[0] + with_hips[1]])


@lru_cache(maxsize=4)
def side_masks(skeleton: Skeleton) -> np.ndarray:
    """Return masks (L, J) of joints whose sides are exchanged together: all, the legs with hips, or the arms."""
    legs = ["left_hip", "right_hip", *_legs()[0], *_legs()[1]]
    arms = ["left_shoulder", "right_shoulder", *_arms()[0], *_arms()[1]]
    return _masks(skeleton, [list(skeleton.joints), legs, arms])


def derived_joints(skeleton: Skeleton) -> tuple[tuple[int, list[int]], ...]:
    """Return the derived joints of a skeleton with the joints that define them."""
    return tuple(
        (skeleton.index(joint), skeleton.indices(*parts))
        for joint, parts in DERIVED_JOINTS.items()
        if skeleton.has(joint, *parts)
    )


def turned(camera: Camera, rig_deg: float, rng: np.random.Generator) -> Camera:
    """Return a camera rotated about its centre by a small random angle about each axis."""
    rotation = Rotation.from_rotvec(np.radians(rig_deg) * rng.normal(size=3)).as_matrix()
    R, t_mm = camera.pose
    return dataclasses.replace(camera, R=rotation @ R, t_mm=rotation @ t_mm)


def persistent(shape: tuple[int, ...], step_s: float, rng: np.random.Generator) -> F64:
    """Draw standard normal noise (T, ...) that decorrelates over `ERROR_LAST_S`."""
    keep = float(np.exp(-step_s / ERROR_LAST_S))
    noise = rng.normal(size=shape)
    noise[1:] *= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise, axis=0))


def correlated(noise: F64, frames: int) -> F64:
    """Return noise (T, ...) that is correlated over some frames, of unit variance."""
    length = max(1, min(frames, len(noise)))
    return np.asarray(uniform_filter1d(noise, length, axis=0, mode="wrap") * np.sqrt(length))


def confuse(
    xy: F64, score: F64, exact: F64, skeleton: Skeleton, confusions: Confusions, step_s: float, rng: np.random.Generator
) -> tuple[F64, F64]:
    """Exchange joints between the people of a view and between their sides.

    Args:
        xy: (T, P, J, 2) detected joints, px.
        score: (T, P, J) scores, 0 where missing.
        exact: (T, P, J, 2) exact joints, which determine the nearest other person.
        skeleton: Skeleton of the joints.
        confusions: Rates.
        step_s: Seconds between frames.
        rng: Random generator.
    """
    T, P = score.shape[:2]
    mirror = list(skeleton.mirror)
    if P > 1 and confusions.borrow:
        near, close = _neighbours(exact)
        active = _groups(confusions.borrow, borrowed_masks(skeleton), (T, P), step_s, rng)
        flipped = np.asarray(rng.random(P) < 0.5)
        other_xy = np.take_along_axis(xy, near[..., None, None], axis=1)
        other_score = np.take_along_axis(score, near[..., None], axis=1)
        other_xy = np.where(flipped[:, None, None], other_xy[:, :, mirror], other_xy)
        other_score = np.where(flipped[:, None], other_score[:, :, mirror], other_score)
        borrowed = active & close[..., None] & (other_score > 0)
        xy = np.where(borrowed[..., None], other_xy, xy)
        score = np.where(borrowed, other_score * rng.uniform(0.4, 1.0, (P, 1)), score)
    swapped = _groups(confusions.swap, side_masks(skeleton), (T, P), step_s, rng)
    xy = np.where(swapped[..., None], xy[:, :, mirror], xy)
    score = np.where(swapped, score[:, :, mirror], score)
    lost = _events(confusions.lost_view, (T, 1, 1), step_s, rng)
    return xy, np.where(lost, 0.0, score)


def _neighbours(exact: F64) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest other person (T, P) in the image, and whether they are close enough."""
    low, high = np.nanmin(exact, axis=2), np.nanmax(exact, axis=2)
    middle, size = (low + high) / 2, (high - low).max(-1)
    distance = np.linalg.norm(middle[:, :, None] - middle[:, None], axis=-1)
    distance[:, np.arange(exact.shape[1]), np.arange(exact.shape[1])] = np.inf
    distance = np.nan_to_num(distance, nan=np.inf)
    return distance.argmin(-1), distance.min(-1) < BORROW_REACH * size


def _groups(
    rate: float, masks: np.ndarray, shape: tuple[int, int], step_s: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw masks (T, P, J) of affected joints: runs of frames, each with a random group of (L, J)."""
    active = _events(rate / len(masks), (*shape, len(masks)), step_s, rng)
    return np.asarray((active[..., None] & masks).any(-2))


def _events(rate: float, shape: tuple[int, ...], step_s: float, rng: np.random.Generator) -> np.ndarray:
    """Draw booleans (T, ...) that are True in a fraction `rate` of the frames, in runs."""
    if rate <= 0:
        return np.zeros(shape, bool)
    width = max(0.5, _EVENT_S / step_s)
    margin = int(4 * width)
    noise = gaussian_filter1d(rng.normal(size=(shape[0] + 2 * margin, *shape[1:])), width, axis=0)
    impulse = gaussian_filter1d(np.eye(1, 2 * margin + 1, margin)[0], width)
    return np.asarray(noise[margin : margin + shape[0]] > norm.ppf(1 - rate) * np.linalg.norm(impulse))


def _arms() -> list[list[str]]:
    return [[f"{side}_elbow", f"{side}_wrist"] for side in ("left", "right")]


def _legs() -> list[list[str]]:
    return [[f"{side}_knee", f"{side}_ankle"] for side in ("left", "right")]


def _masks(skeleton: Skeleton, groups: list[list[str]]) -> np.ndarray:
    return np.array([[joint in group for joint in skeleton.joints] for group in groups])
