"""People in the sample's cameras as other programs write them, and their import."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.geometry.projection import project
from core.pipelines.verbs import verb
from core.pose2d.importers.joint_sets import JOINT_SETS
from core.progress import RecordingReporter
from core.session import Session
from core.types import COCO17
from core.types.arrays import F64

FRAMES, PEOPLE = 6, 2


def body(at: tuple[float, float], heading: float, step: float) -> F64:
    """Return a person (17, 3) in mm who stands, the limbs swung by a step in mm."""
    half: dict[str, tuple[float, float, float]] = {
        "eye": (32, 95, 1630),
        "ear": (75, 0, 1610),
        "shoulder": (190, 0, 1430),
        "elbow": (240, 0.5 * step, 1150),
        "wrist": (250, 60 + step, 920),
        "hip": (110, 0, 930),
        "knee": (115, 30 - 0.5 * step, 500),
        "ankle": (120, -step, 90),
    }
    places = {"nose": (0.0, 110.0, 1600.0)}
    for part, (x, y, z) in half.items():
        places[f"right_{part}"], places[f"left_{part}"] = (x, y, z), (-x, y, z)
    cos, sin = np.cos(heading), np.sin(heading)
    turned = np.array([places[joint] for joint in COCO17.joints]) @ [[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]
    return np.asarray(turned + [*at, 0])


def truth(t: int) -> F64:
    """Return two people (2, 17, 3) in mm."""
    step = 150 * np.sin(t)
    return np.stack([body((-1000 + 20 * t, 250), 0.3, step), body((-100, -450 - 20 * t), 2.0, -step)])


def in_order(person: F64, joints: Sequence[str]) -> F64:
    """Return a person (17, 3) of COCO-17 as joints (J, 3) of another set; those that COCO-17 lacks lie at an ankle."""
    at = [COCO17.joints.index(j if j in COCO17.joints else "left_ankle") for j in joints]
    return np.asarray(person[at])


Size = tuple[int, int]
Seen = dict[str, list[list[F64]]]
"""People (17, 3) in each frame by camera: x, y, confidence."""


def changed(seen: Seen, change: Callable[[F64], F64]) -> Seen:
    return {
        camera: [[change(person.copy()) for person in frame] for frame in frames] for camera, frames in seen.items()
    }


def scaled(x: float, y: float | None = None) -> Callable[[F64], F64]:
    return lambda person: person * [x, x if y is None else y, 1]


def write_folders(
    root: Path,
    seen: Seen,
    joints: str = "body25",
    name: str = "{camera}/{camera}_{n:012d}_keypoints.json",
    first: int = 0,
) -> Path:
    order = JOINT_SETS[joints].joints
    for camera, frames in seen.items():
        for t, people in enumerate(frames):
            path = root / name.format(camera=camera, n=t + first)
            path.parent.mkdir(parents=True, exist_ok=True)
            values = [np.nan_to_num(in_order(person, order)).ravel().tolist() for person in people]
            document = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": v} for v in values]}
            path.write_text(json.dumps(document))
    return root


def run(session: Session, path: Path, **values: Any) -> tuple[dict[str, Any], list[str]]:
    """Import, and return the result and the warnings."""
    reporter = RecordingReporter()
    settings = {"take": "two_people", "path": str(path), "name": "imported", **values}
    result = verb("import-poses2d")(session, settings, session.new_run("import-poses2d"), reporter)
    return result, [text for text, level in reporter.notes if level == "warning"]


def assert_same(session: Session, seen: Seen, px: float = 0.01, joints: Sequence[int] = range(17)) -> None:
    poses = session.take("two_people").poses2d("imported")
    for camera, frames in seen.items():
        for t, people in enumerate(frames):
            stored = poses[camera].xy_px[t][poses[camera].present[t]]
            assert len(stored) == len(people), f"{camera}, frame {t}"
            for person in people:
                gap = np.abs(stored[:, list(joints)] - person[list(joints), :2]).max((1, 2))
                assert gap.min() <= px, f"{camera}, frame {t}: {gap.min():.2f} px off"


def seen_people(session: Session) -> Seen:
    """Return the people as the cameras of the sample see them, with noise of half a pixel."""
    rng, rig = np.random.default_rng(0), session.rig_for(session.take("two_people"))
    found: Seen = {}
    for camera in rig:
        people = [[project(camera, person) + rng.normal(0, 0.5, (17, 2)) for person in truth(t)] for t in range(FRAMES)]
        found[camera.name] = [[np.column_stack([xy, np.full(17, 0.9)]) for xy in frame] for frame in people]
    return found
