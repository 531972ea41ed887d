"""Synthetic recordings of walking people with exact ground truth, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence

_MARGIN_S = 0.3  # of motion before and after the recording; more for larger time offsets


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleScene:
    """Synthetic recording of people.

    Attributes:
        poses2d: Detections by camera name.
        time_s: Recorded times (T,) by camera name.
        time_offset_s: (V,) true time offsets.
        people: True motion with a margin before and after the recording.
    """

    poses2d: dict[str, Pose2D]
    time_s: dict[str, F64]
    time_offset_s: F64
    people: Pose3DSequence


def record_people(
    rig: CameraRig,
    *,
    people: int = 1,
    seed: int = 0,
    seconds: float = 30.0,
    fps: float = 30.0,
    noise_px: float = 5.0,
    time_offset_s: Sequence[float] = (),
    clock_error_s: F64 | None = None,
    occlusion: bool = True,
    half_size_mm: float = 1800.0,
) -> PeopleScene:
    """Simulate the 2D poses of people who walk in view of a rig.

    Args:
        rig: Posed cameras.
        people: Number of people.
        seed: Seed of the random generator.
        seconds: Length of the recording.
        fps: Images per second.
        noise_px: See `observe`; a tenth of people and some joints are missed.
        time_offset_s: (V,) recorded minus true time; empty for none.
        clock_error_s: (V, T) additional error of each recorded time, such as drift and unnoticed drops.
        occlusion: Let people occlude each other.
        half_size_mm: Half the edge of the square in which they walk.
    """
    rng = np.random.default_rng([seed, people, len(rig)])
    offsets = np.asarray(time_offset_s, float) if len(time_offset_s) else np.zeros(len(rig))
    error = np.zeros((len(rig), 1)) if clock_error_s is None else clock_error_s
    error = offsets[:, None] + error
    margin = int(np.ceil(max(_MARGIN_S, np.abs(error).max()) * fps))
    motion = walkers(people, int(seconds * fps) + 2 * margin, rng, fps=fps, half_size_mm=half_size_mm)
    trajectory = CubicSpline(motion.time_s, motion.xyz_mm)
    recorded = motion.time_s[margin : len(motion.time_s) - margin]
    poses2d: dict[str, Pose2D] = {}
    for v, camera in enumerate(rig):
        seen = Pose3DSequence(
            skeleton=motion.skeleton,
            time_s=recorded,
            xyz_mm=trajectory(recorded - error[v]),
            score=np.ones((len(recorded), people, len(motion.skeleton))),
            person_ids=motion.person_ids,
        )
        poses2d |= observe(CameraRig(cameras=(camera,)), seen, noise_px, rng=rng, occlusion=occlusion)
    return PeopleScene(poses2d=poses2d, time_s={c.name: recorded for c in rig}, time_offset_s=offsets, people=motion)
