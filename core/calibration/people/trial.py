"""People who walk in front of a rig that is known exactly, and how far a calibration from them is off: truth for tests
and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from core.calibration.people.calibrate import calibrate_from_people
from core.calibration.people.check import stature_mm
from core.calibration.people.config import PeopleConfig
from core.errors import CoreError
from core.geometry.so3 import angle_rad, mean
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import random_rig, ring_rig
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import PANOPTIC15, convert

_MARGIN_S = 0.3  # of motion before and after the recording, for cameras that are late or early


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """A recording of people.

    Attributes:
        poses2d: Camera name to detections.
        time_s: Camera name to (T,) recorded times.
        time_offset_s: (V,) true time offsets.
        stature_mm: Mean stature.
    """

    poses2d: dict[str, Pose2D]
    time_s: dict[str, F64]
    time_offset_s: F64
    stature_mm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deviation:
    """How far a rig is from another one, over the cameras that have a pose in it.

    Attributes:
        rotation_deg: (C,) after the best similarity.
        position: (C,) the same, as a share of the cameras' mean distance from their middle.
        upright_deg: (C,) when only turned about the vertical and moved along the floor: floor and scale count.
        upright: (C,) share, likewise.
        scale: By which the rig would have to be multiplied.
    """

    rotation_deg: F64
    position: F64
    upright_deg: F64
    upright: F64
    scale: float


def walk(
    rig: CameraRig,
    *,
    people: int = 1,
    seed: int = 0,
    seconds: float = 30.0,
    fps: float = 30.0,
    noise_px: float = 5.0,
    time_offset_s: Sequence[float] = (),
    occlusion: bool = True,
    half_size_mm: float = 1800.0,
) -> Walk:
    """What the cameras of a rig see of people who walk about, each camera as late as it is.

    Args:
        rig: Posed cameras.
        people: How many.
        seed: Of all chance.
        seconds: Length of the recording.
        fps: Images a second.
        noise_px: See `observe`; a tenth of people and some joints are missed.
        time_offset_s: (V,) recorded time minus true time; none when empty.
        occlusion: Whether people hide each other.
        half_size_mm: Half the edge of the square in which they walk.
    """
    rng = np.random.default_rng([seed, people, len(rig)])
    late = np.asarray(time_offset_s, float) if len(time_offset_s) else np.zeros(len(rig))
    margin = int(np.ceil(_MARGIN_S * fps))
    motion = walkers(people, int(seconds * fps) + 2 * margin, rng, fps=fps, half_size_mm=half_size_mm)
    way = CubicSpline(motion.time_s, motion.xyz_mm)
    recorded = motion.time_s[margin : len(motion.time_s) - margin]
    poses2d: dict[str, Pose2D] = {}
    for v, camera in enumerate(rig):
        seen = Pose3DSequence(
            skeleton=motion.skeleton,
            time_s=recorded,
            xyz_mm=way(recorded - late[v]),
            score=np.ones((len(recorded), people, len(motion.skeleton))),
            person_ids=motion.person_ids,
        )
        poses2d |= observe(CameraRig(cameras=(camera,)), seen, noise_px, rng=rng, occlusion=occlusion)
    body, _ = convert(motion.xyz_mm, motion.score, motion.skeleton, PANOPTIC15)
    return Walk(
        poses2d=poses2d,
        time_s={c.name: recorded for c in rig},
        time_offset_s=late,
        stature_mm=float(stature_mm(body).mean()),
    )


def deviation(rig: CameraRig, truth: CameraRig) -> Deviation:
    """Compares rigs whose world frames may differ.

    Raises:
        CoreError: Fewer than two cameras have a pose.
    """
    names = [c.name for c in rig if c.posed]
    if len(names) < 2:
        raise CoreError("Fewer than two cameras have a pose.", "Compare rigs that are calibrated.")
    R, true_R = (np.stack([r[n].pose[0] for n in names]) for r in (rig, truth))
    at, true_at = (np.stack([r[n].centre_mm for n in names]) for r in (rig, truth))
    turn = mean(np.swapaxes(true_R, -1, -2) @ R)
    own, true = at - at.mean(0), true_at - true_at.mean(0)
    size = float(np.linalg.norm(true, axis=1).mean())
    turned = own @ turn.T
    scale = float((turned * true).sum() / (turned**2).sum())
    yaw = np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])
    level = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    off = at @ level.T - true_at
    off[:, :2] -= off[:, :2].mean(0)
    return Deviation(
        rotation_deg=np.degrees(angle_rad(R @ turn.T @ np.swapaxes(true_R, -1, -2))),
        position=np.linalg.norm(scale * turned - true, axis=1) / size,
        upright_deg=np.degrees(angle_rad(R @ level.T @ np.swapaxes(true_R, -1, -2))),
        upright=np.linalg.norm(off, axis=1) / size,
        scale=scale,
    )


def trial(cameras: int, people: int, seed: int, *, ring: bool = False, seconds: float = 30.0) -> dict[str, float]:
    """One calibration from people against exact truth: 5 px of noise, time offsets of up to 100 ms, stature known.

    Args:
        cameras: How many.
        people: How many.
        seed: Of all chance.
        ring: Whether cameras stand in a ring; at random otherwise.
        seconds: Length of the recording.

    Returns:
        Medians over cameras: rotation_deg and position_percent after the best similarity, upright_deg and
        upright_percent with floor and scale as they came out; time_offset_ms, the largest error; solved, cameras placed.
        All NaN but for solved, where nothing was placed.
    """
    rng = np.random.default_rng([seed, cameras])
    truth = ring_rig(cameras) if ring else random_rig(rng, cameras)
    late = rng.uniform(-0.1, 0.1, cameras)
    recording = walk(truth, people=people, seed=seed, seconds=seconds, time_offset_s=late.tolist())
    config = PeopleConfig(stature_mm=recording.stature_mm)
    names = ("rotation_deg", "position_percent", "upright_deg", "upright_percent", "time_offset_ms")
    try:
        found = calibrate_from_people(truth, recording.poses2d, recording.time_s, config).rig
    except CoreError:
        return dict.fromkeys(names, float("nan")) | {"solved": 0.0}
    off = deviation(found, truth)
    posed = [v for v, c in enumerate(found) if c.posed]
    time_offset = np.array([found[v].time_offset_s for v in posed]) - late[posed]
    values = (
        float(np.median(off.rotation_deg)),
        100 * float(np.median(off.position)),
        float(np.median(off.upright_deg)),
        100 * float(np.median(off.upright)),
        1e3 * float(np.abs(time_offset - np.median(time_offset)).max()),
    )
    return dict(zip(names, values, strict=True)) | {"solved": float(len(posed))}
