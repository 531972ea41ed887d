"""Errors of calibration from people on synthetic recordings, for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.calibration.people.calibrate import calibrate_from_people
from core.calibration.people.check import stature_mm
from core.calibration.people.config import PeopleConfig
from core.errors import CoreError
from core.geometry.so3 import angle_rad, mean
from core.synthetic.people_scene import PeopleScene, record_people
from core.synthetic.rigs import random_rig, ring_rig
from core.types.arrays import F64
from core.types.camera import CameraRig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RigDeviation:
    """Deviation of a rig from the true one, over the C cameras that have a pose.

    Attributes:
        rotation_deg: (C,) rotation error after the best similarity.
        position: (C,) position error after the best similarity, relative to the mean distance from the centroid.
        upright_deg: (C,) rotation error after the best rotation about the vertical and translation along the floor, so
            that errors of floor and scale count.
        upright: (C,) relative position error of the same alignment.
        scale: Factor from the scale of the rig to the true one.
    """

    rotation_deg: F64
    position: F64
    upright_deg: F64
    upright: F64
    scale: float


def compare_rigs(rig: CameraRig, truth: CameraRig) -> RigDeviation:
    """Compare a rig with the true one, whose world coordinates may differ.

    Raises:
        CoreError: Fewer than two cameras have a pose.
    """
    names = [c.name for c in rig if c.posed]
    if len(names) < 2:
        raise CoreError(f"{len(names)} cameras have a pose, expected at least 2.", "Compare calibrated rigs.")
    R, true_R = (np.stack([r[n].pose[0] for n in names]) for r in (rig, truth))
    centre, true_centre = (np.stack([r[n].centre_mm for n in names]) for r in (rig, truth))
    rotation = mean(np.swapaxes(true_R, -1, -2) @ R)
    local, true_local = centre - centre.mean(0), true_centre - true_centre.mean(0)
    size = float(np.linalg.norm(true_local, axis=1).mean())
    rotated = local @ rotation.T
    scale = float((rotated * true_local).sum() / (rotated**2).sum())
    yaw = np.arctan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1])
    level = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    error = centre @ level.T - true_centre
    error[:, :2] -= error[:, :2].mean(0)
    return RigDeviation(
        rotation_deg=np.degrees(angle_rad(R @ rotation.T @ np.swapaxes(true_R, -1, -2))),
        position=np.linalg.norm(scale * rotated - true_local, axis=1) / size,
        upright_deg=np.degrees(angle_rad(R @ level.T @ np.swapaxes(true_R, -1, -2))),
        upright=np.linalg.norm(error, axis=1) / size,
        scale=scale,
    )


def true_stature_mm(scene: PeopleScene) -> float:
    """Return the mean stature of the people of a recording."""
    return float(stature_mm(scene.people.xyz_mm, scene.people.skeleton).mean())


def simulate_calibration(
    cameras: int, people: int, seed: int, *, ring: bool = False, seconds: float = 30.0
) -> dict[str, float]:
    """Calibrate from a synthetic recording with 5 px of noise, time offsets up to 100 ms and known stature.

    Args:
        cameras: Number of cameras.
        people: Number of people.
        seed: Seed of the random generator.
        ring: Place the cameras in a ring instead of at random.
        seconds: Length of the recording.

    Returns:
        Medians over cameras: `rotation_deg` and `position_percent` after the best similarity, `upright_deg` and
        `upright_percent` with floor and scale as estimated; `time_offset_ms`, the largest error; `solved`, the
        number of registered cameras. All NaN except `solved` if the calibration failed.
    """
    rng = np.random.default_rng([seed, cameras])
    truth = ring_rig(cameras) if ring else random_rig(rng, cameras)
    offsets = rng.uniform(-0.1, 0.1, cameras)
    scene = record_people(truth, people=people, seed=seed, seconds=seconds, time_offset_s=offsets.tolist())
    config = PeopleConfig(stature_mm=true_stature_mm(scene))
    names = ("rotation_deg", "position_percent", "upright_deg", "upright_percent", "time_offset_ms")
    try:
        found = calibrate_from_people(truth, scene.poses2d, scene.time_s, config).rig
    except CoreError:
        return dict.fromkeys(names, float("nan")) | {"solved": 0.0}
    error = compare_rigs(found, truth)
    posed = [v for v, c in enumerate(found) if c.posed]
    offset_error = np.array([found[v].time_offset_s for v in posed]) - offsets[posed]
    values = (
        float(np.median(error.rotation_deg)),
        100 * float(np.median(error.position)),
        float(np.median(error.upright_deg)),
        100 * float(np.median(error.upright)),
        1e3 * float(np.abs(offset_error - np.median(offset_error)).max()),
    )
    return dict(zip(names, values, strict=True)) | {"solved": float(len(posed))}
