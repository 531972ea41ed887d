"""Fixed scenes of the accuracy benchmark: rig, exact people, and simulated detections.

Legend: T frame, P person, J joint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.errors import CoreError
from core.registry import closest
from core.synthetic.confusions import Confusions
from core.synthetic.estimator_errors import ErrorBank
from core.synthetic.furniture import Furniture
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import random_rig, ring_rig
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17

_FPS = 30.0
_STREAM = 4711
_SPACING_MM, _DRIFT = 1100.0, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """Parameters of a scene.

    Attributes:
        rig: Kind of rig, "ring" or "random".
        cameras: Number of cameras.
        people: Number of people.
        miss: Probability that a person is not detected in a view.
        occlusion: Let people and furniture occlude joints.
        false_people: Mean number of false detections per view.
        confusions: Rates of borrowed limbs, exchanged sides and lost views, and the error of the rig; None for none.
    """

    rig: str
    cameras: int
    people: int
    miss: float = 0.05
    occlusion: bool = True
    false_people: float = 0.05
    confusions: Confusions | None = field(default_factory=Confusions)


SCENES = {
    "easy": SceneSpec(rig="ring", cameras=5, people=1, miss=0.0, occlusion=False, false_people=0.0, confusions=None),
    "pair": SceneSpec(rig="ring", cameras=4, people=2),
    "group": SceneSpec(rig="ring", cameras=5, people=4),
    "crowd": SceneSpec(rig="ring", cameras=8, people=6),
    "few": SceneSpec(rig="ring", cameras=3, people=2),
    "random_easy": SceneSpec(
        rig="random", cameras=6, people=2, miss=0.0, occlusion=False, false_people=0.0, confusions=None
    ),
    "random": SceneSpec(rig="random", cameras=5, people=3),
}


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticScene:
    """Scene with exact ground truth.

    Attributes:
        rig: Cameras.
        people: COCO joints.
        poses2d: Detections by camera name.
    """

    rig: CameraRig
    people: Pose3DSequence
    poses2d: dict[str, Pose2D]


def build_scene(name: str, seed: int, n_frames: int = 60, motion: Mapping[str, F64] | None = None) -> SyntheticScene:
    """Build one of `SCENES`; the same name, seed and motion give the same scene.

    Detections have errors that were measured on real images, from the test split, which training does not use.

    Args:
        name: Name of the scene.
        seed: Seed of positions, motion, rig and detections.
        n_frames: Number of frames T.
        motion: Recorded motion by name, (F, 17, 3) in metres, z up; None for synthetic walkers.

    Raises:
        CoreError: The scene is unknown.
    """
    if name not in SCENES:
        raise CoreError(f"There is no scene '{name}'.", closest(name, list(SCENES)))
    spec = SCENES[name]
    rng = np.random.default_rng([_STREAM, seed, list(SCENES).index(name)])
    rig = ring_rig(spec.cameras) if spec.rig == "ring" else random_rig(rng, spec.cameras, radius_mm=(3500.0, 6000.0))
    people = walkers(spec.people, n_frames, rng) if motion is None else _performers(motion, spec.people, n_frames, rng)
    poses2d = observe(
        rig,
        people,
        miss=spec.miss,
        rng=rng,
        false_people=spec.false_people,
        confusions=spec.confusions,
        occlusion=spec.occlusion,
        errors=ErrorBank.load("movenet", "test"),
        furniture=Furniture.scatter(3, 2300.0, rng) if spec.occlusion else None,
    )
    return SyntheticScene(rig, people, poses2d)


def _performers(motion: Mapping[str, F64], count: int, n_frames: int, rng: np.random.Generator) -> Pose3DSequence:
    """Return people with recorded motion at different places and with random headings."""
    angle = 2 * np.pi * (np.arange(count) + rng.uniform(-0.2, 0.2)) / max(1, count)
    radius = 0.0 if count == 1 else _SPACING_MM / 2 / np.sin(np.pi / max(count, 2)) + 150
    places = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    names = sorted(motion)
    people = []
    for place in places:
        take = np.asarray(motion[names[int(rng.integers(len(names)))]], float) * 1000
        start = int(rng.integers(max(1, len(take) - n_frames)))
        xyz = take[start : start + n_frames]
        xyz = np.concatenate([xyz, np.repeat(xyz[-1:], n_frames - len(xyz), axis=0)])
        hips = xyz[:, [COCO17.index("left_hip"), COCO17.index("right_hip")], :2].mean(1, keepdims=True)
        # People follow only a fraction of the recorded path, so that they do not collide.
        xyz[..., :2] += _DRIFT * (hips - hips.mean(0)) - hips
        heading = rng.uniform(-np.pi, np.pi)
        c, s = np.cos(heading), np.sin(heading)
        xyz[..., :2] = xyz[..., :2] @ np.array([[c, s], [-s, c]]) + place
        people.append(xyz)
    xyz_mm = np.stack(people, 1)
    return Pose3DSequence(
        skeleton=COCO17,
        time_s=np.arange(n_frames) / _FPS,
        xyz_mm=xyz_mm,
        score=np.ones(xyz_mm.shape[:-1]),
        person_ids=tuple(range(1, count + 1)),
        provenance={"method": "recorded motion"},
    )
