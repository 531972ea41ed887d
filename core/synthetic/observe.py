"""Simulation of 2D detections: the output of an imperfect estimator for exactly known people."""

from __future__ import annotations

import numpy as np

from core.geometry.projection import inside, project, to_camera
from core.synthetic.confusions import Confusions, confuse, correlated, persistent, turned
from core.synthetic.estimator_errors import ErrorBank
from core.synthetic.furniture import Furniture
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17, Skeleton, convert

_GUESS_COMMON, _GUESS_JOINT = 0.08, 0.04  # Errors of guessed joints relative to the person's size.
_GUESS_ABOVE = 0.5  # Quantile of the standard normal: three in ten occluded joints are guessed.
_GUESS_FRAMES = 15  # Correlation length of guesses.
_MIN_JOINTS = 4  # Fewest visible joints of a detected person.
_LIMB_RADIUS_MM, _TRUNK_RADIUS_MM = 60.0, 150.0


def observe(
    rig: CameraRig,
    people: Pose3DSequence,
    noise_px: float = 5.0,
    miss: float = 0.1,
    rng: np.random.Generator | None = None,
    *,
    joint_miss: float = 0.02,
    false_people: float = 0.0,
    confusions: Confusions | None = None,
    occlusion: bool = False,
    errors: ErrorBank | None = None,
    varied: bool = False,
    furniture: Furniture | None = None,
) -> dict[str, Pose2D]:
    """Simulate the detections of each camera, in random order.

    Args:
        rig: Posed cameras.
        people: Exact joints; missing ones are not detected.
        noise_px: Standard deviation per axis over all joints. It varies between joints, and scores reflect it, as with
            real estimators.
        miss: Probability that a person is not detected in a view.
        rng: Random generator; None for a fixed seed.
        joint_miss: Probability that a single joint is missing.
        false_people: Mean number of false detections per view and frame, with low scores.
        confusions: Rates of structured errors; with them, white noise also lasts for some frames. None for none.
        occlusion: Let people occlude joints of those behind them: most are missed, the others guessed badly.
        errors: Measured errors of a real estimator instead of white noise; `noise_px` and `joint_miss` are ignored.
        varied: Rotate, scale and mix measured errors, so that networks cannot memorise them.
        furniture: Boxes that occlude joints.

    Returns:
        Detections by camera name, present ones first.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    step_s = float(np.median(np.diff(people.time_s))) if len(people.time_s) > 1 else 1.0

    def view(camera: Camera) -> Pose2D:
        exact = project(turned(camera, confusions.rig_deg, rng) if confusions else camera, people.xyz_mm)
        hidden = occluded(camera, people.xyz_mm, people.skeleton) if occlusion else np.zeros(exact.shape[:-1], bool)
        if furniture is not None:
            hidden |= furniture.occludes(camera, people.xyz_mm)
        if errors is None:
            xy, score = _white(exact, hidden, noise_px, joint_miss, rng, step_s if confusions else None)
        else:
            xy, score = _measured(exact, hidden, errors, people, rng, varied)
        if confusions:
            xy, score = confuse(xy, score, exact, people.skeleton, confusions, step_s, rng)
        return _report(camera, people, exact, xy, score, rng, miss, false_people)

    return {camera.name: view(camera) for camera in rig}


def _white(
    exact: F64, hidden: np.ndarray, noise_px: float, joint_miss: float, rng: np.random.Generator, step_s: float | None
) -> tuple[F64, F64]:
    """Return joints with white noise (correlated in time if `step_s` is given), and scores, 0 where missed."""

    def normal(*shape: int) -> F64:
        return rng.normal(size=shape) if step_s is None else persistent(shape, step_s, rng)

    T, P, J, _ = exact.shape
    # Log-normal distribution of noise over joints, of unit mean square.
    quality = np.exp(0.5 * normal(T, P, J) - 0.25)
    quality = np.where(hidden, 4.0 * quality, quality)
    xy = exact + noise_px * quality[..., None] * normal(*exact.shape)
    score = np.clip(0.97 / (1 + 0.5 * quality**2) + rng.normal(0.0, 0.03, quality.shape), 0.05, 1.0)
    found = (rng.random((T, P, J)) >= joint_miss) & ~(hidden & (rng.random((T, P, J)) < 0.7))
    return xy, np.where(found, score, 0.0)


def _measured(
    exact: F64,
    hidden: np.ndarray,
    errors: ErrorBank,
    people: Pose3DSequence,
    rng: np.random.Generator,
    varied: bool,
) -> tuple[F64, F64]:
    """Return joints with measured errors, and scores, 0 where missed.

    Some occluded joints are guessed, with errors that are correlated over the joints of a person and over time.
    """
    T, P, J, _ = exact.shape
    step_s = float(np.median(np.diff(people.time_s))) if T > 1 else 1 / errors.fps
    error, score = (
        np.moveaxis(a, 0, 1) for a in errors.draw(T, 1 / step_s, rng, (P,), varied=varied)
    )  # (T, P, 17, ...)
    error, score = convert(error, score, COCO17, people.skeleton)
    size = _size_px(exact)[..., None, None]
    common, per_joint = (correlated(rng.normal(size=(T, P, n, 2)), _GUESS_FRAMES) for n in (1, J))
    guess = _GUESS_COMMON * common + _GUESS_JOINT * per_joint
    xy = exact + size * np.where(hidden[..., None], guess, np.nan_to_num(error))
    guessed = correlated(rng.normal(size=(T, P, J)), _GUESS_FRAMES) > _GUESS_ABOVE
    low = rng.uniform(0.1, 0.5, score.shape)
    return xy, np.where(hidden, np.where(guessed, low, 0.0), score)


def _size_px(xy_px: F64) -> F64:
    """Return the longer side (T, P) of the box around joints (T, P, J, 2)."""
    return np.asarray(np.nanmax(np.nanmax(xy_px, axis=2) - np.nanmin(xy_px, axis=2), axis=-1))


def _report(
    camera: Camera,
    people: Pose3DSequence,
    exact: F64,
    xy: F64,
    score: F64,
    rng: np.random.Generator,
    miss: float,
    false_people: float,
) -> Pose2D:
    """Drop people, add false detections and shuffle; return the detections of a camera."""
    T, P = exact.shape[:2]
    seen = inside(camera, exact) & (score > 0)
    seen &= np.asarray((rng.random((T, P)) >= miss) & (seen.sum(-1) >= _MIN_JOINTS))[..., None]
    if false_people > 0:
        false_xy, false_score, false_seen = _false_people(camera, exact, false_people, rng)
        xy, score, seen = (
            np.concatenate(pair, axis=1) for pair in ((xy, false_xy), (score, false_score), (seen, false_seen))
        )
    # Random order, absent people last.
    order = np.argsort(rng.random(seen.shape[:2]) + ~seen.any(-1), axis=1)
    xy = np.take_along_axis(np.where(seen[..., None], xy, np.nan), order[..., None, None], axis=1)
    score = np.take_along_axis(np.where(seen, score, 0.0), order[..., None], axis=1)
    return Pose2D(
        camera=camera.name,
        skeleton=people.skeleton,
        xy_px=xy.astype(np.float32),
        score=score.astype(np.float32),
        box_px=boxes(xy).astype(np.float32),
    )


def boxes(xy_px: F64, margin: float = 0.1) -> F64:
    """Return boxes (..., 4) x0 y0 x1 y1 of joints (..., J, 2), padded by `margin` of the longer side; NaN if empty."""
    known = np.asarray(np.isfinite(xy_px).all(-1, keepdims=True))
    low = np.where(known, xy_px, np.inf).min(-2)
    high = np.where(known, xy_px, -np.inf).max(-2)
    some = np.asarray(known.any(-2))
    low, high = np.where(some, low, np.nan), np.where(some, high, np.nan)
    extra = margin * (high - low).max(-1, keepdims=True)
    return np.concatenate([low - extra, high + extra], -1)


def occluded(camera: Camera, xyz_mm: F64, skeleton: Skeleton) -> np.ndarray:
    """Return the mask (T, P, J) of joints occluded by limbs or trunk of another person.

    Bones are capsules, which occlude points farther from the camera whose projection is within their radius.
    """
    pixels, depth = project(camera, xyz_mm), to_camera(camera, xyz_mm)[..., 2]
    focal = (camera.K[0, 0] + camera.K[1, 1]) / 2
    hidden = np.zeros(depth.shape, bool)
    torso = {j for j, joint in enumerate(skeleton.joints) if joint.endswith(("shoulder", "hip", "neck"))}
    for front in range(xyz_mm.shape[1]):
        others = [p for p in range(xyz_mm.shape[1]) if p != front]
        for a, b in skeleton.bones:
            radius_mm = _TRUNK_RADIUS_MM if a in torso and b in torso else _LIMB_RADIUS_MM
            start, end = pixels[:, front, None, None, a], pixels[:, front, None, None, b]
            along = end - start
            with np.errstate(invalid="ignore", divide="ignore"):
                fraction = ((pixels[:, others] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
                fraction = np.clip(fraction, 0.0, 1.0)
                gap = np.linalg.norm(pixels[:, others] - start - fraction[..., None] * along, axis=-1)
                bone_depth = depth[:, front, None, None, a] * (1 - fraction) + depth[:, front, None, None, b] * fraction
                behind = depth[:, others] > bone_depth + radius_mm
                hidden[:, others] |= behind & (gap < radius_mm * focal / bone_depth)
    return hidden


def _false_people(camera: Camera, exact: F64, mean: float, rng: np.random.Generator) -> tuple[F64, F64, np.ndarray]:
    """Return false detections: scaled and displaced copies of real people with half of their joints."""
    T, P, J, _ = exact.shape
    most = max(1, int(np.ceil(3 * mean)))
    count = np.minimum(rng.poisson(mean, T), most)
    shape = exact[np.arange(T)[:, None], rng.integers(P, size=(T, most))]
    known = np.asarray(np.isfinite(shape).all(-1))
    middle = np.where(known[..., None], shape, 0.0).sum(2) / np.maximum(known.sum(2), 1)[..., None]
    position = rng.uniform(0, 1, (T, most, 1, 2)) * camera.size_px
    xy = (shape - middle[:, :, None]) * rng.uniform(0.4, 1.0, (T, most, 1, 1)) + position
    present = np.arange(most)[None, :, None] < count[:, None, None]
    seen = inside(camera, xy) & (rng.random((T, most, J)) < 0.5) & present
    seen &= np.asarray(seen.sum(-1) >= _MIN_JOINTS)[..., None]
    return xy, rng.uniform(0.15, 0.5, (T, most, J)), seen
