"""Joint angles: zero for a person who stands upright with hanging arms, signs of each movement, no jumps."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from core.body.angles import JOINT_ANGLES, joint_angles
from core.body.model import BODY_TO_WORLD
from core.body.models.free import free_body
from core.body.sequence import BodyMotion
from core.export import ExportedResult, Origin, resolve_options, write_result
from core.export.exporter import EXPORTERS
from core.types import COCO17, BodySequence, Pose3DSequence

MODEL = free_body()
NAMES = [angle.name for angle in JOINT_ANGLES]


def standing() -> dict[str, Rotation]:
    """Return joint rotations of a person who faces along world y with hanging arms."""
    turned = Rotation.from_euler("z", 90, degrees=True) * Rotation.from_matrix(BODY_TO_WORLD)
    return {
        "pelvis": turned,
        "left_shoulder": Rotation.from_euler("z", -90, degrees=True),
        "right_shoulder": Rotation.from_euler("z", 90, degrees=True),
    }


def bodies_of(frames: list[dict[str, Rotation]]) -> BodySequence:
    rotations = np.zeros((len(frames), 1, len(MODEL.joints), 3))
    for t, frame in enumerate(frames):
        for name, rotation in frame.items():
            rotations[t, 0, MODEL.joints.index(name)] = rotation.as_rotvec()
    return BodySequence(
        model=MODEL.name,
        joints=MODEL.joints,
        time_s=np.arange(len(frames)) / 30,
        person_ids=(5,),
        betas=np.zeros((1, MODEL.n_shape)),
        rotations_rad=rotations,
        pelvis_mm=np.zeros((len(frames), 1, 3)),
    )


MOVES = [  # joint, axis and degrees about body axes: the angle that changes, and its value
    ("left_hip", "x", -40, "left_hip_flexion", 40),
    ("right_hip", "x", -40, "right_hip_flexion", 40),
    ("left_hip", "z", 20, "left_hip_abduction", 20),
    ("right_hip", "z", -20, "right_hip_abduction", 20),
    ("left_hip", "y", -15, "left_hip_rotation", 15),
    ("right_hip", "y", 15, "right_hip_rotation", 15),
    ("left_knee", "x", 60, "left_knee_flexion", 60),
    ("left_elbow", "y", -70, "left_elbow_flexion", 70),
    ("right_elbow", "y", 70, "right_elbow_flexion", 70),
    ("spine2", "x", 25, "trunk_flexion", 25),
    ("spine1", "z", -10, "trunk_bending", 10),
    ("head", "y", 30, "neck_rotation", 30),
]


@pytest.mark.parametrize(("joint", "axis", "degrees", "name", "value"), MOVES)
def test_each_movement_has_its_angle_and_sign(joint: str, axis: str, degrees: float, name: str, value: float) -> None:
    moved = standing() | {joint: Rotation.from_euler(axis, degrees, degrees=True)}
    found = dict(zip(NAMES, joint_angles(bodies_of([moved]))[0, 0], strict=True))
    expected = dict.fromkeys(NAMES, 0.0) | {name: value, "pelvis_rotation": 90.0}
    assert found == pytest.approx(expected, abs=1e-3)


def test_arms_and_pelvis_are_measured_from_the_neutral_pose() -> None:
    forward = Rotation.from_euler("x", -50, degrees=True) * standing()["left_shoulder"]
    aside = Rotation.from_euler("z", -60, degrees=True) * standing()["right_shoulder"]
    leaning = standing()["pelvis"] * Rotation.from_euler("x", 12, degrees=True)
    moved = standing() | {"left_shoulder": forward, "right_shoulder": aside, "pelvis": leaning}
    found = dict(zip(NAMES, joint_angles(bodies_of([moved]))[0, 0], strict=True))
    assert (found["left_shoulder_flexion"], found["left_shoulder_elevation"]) == pytest.approx((50, 50), abs=0.01)
    assert found["right_shoulder_abduction"] == pytest.approx(60, abs=0.01)
    assert (found["pelvis_tilt"], found["pelvis_rotation"]) == pytest.approx((12, 90), abs=0.01)


def test_a_turn_goes_on_and_the_table_says_the_same(tmp_path: Path) -> None:
    steps = [Rotation.from_euler("z", 50 * t, degrees=True) for t in range(12)]
    bodies = bodies_of([standing() | {"pelvis": step * standing()["pelvis"]} for step in steps])
    angles = joint_angles(bodies)
    np.testing.assert_allclose(angles[:, 0, NAMES.index("pelvis_rotation")], 90 + 50 * np.arange(12), atol=1e-3)
    poses = Pose3DSequence(
        skeleton=COCO17,
        time_s=bodies.time_s,
        xyz_mm=np.zeros((12, 1, 17, 3)),
        score=np.ones((12, 1, 17)),
        person_ids=(5,),
    )
    origin = Origin(take="t", poses="baseline", rig="", version="")
    result = ExportedResult(poses=poses, origin=origin, motion=BodyMotion.of(MODEL, bodies))
    [path] = write_result("angles", result, tmp_path / "walk", resolve_options(EXPORTERS.get("angles")))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert path.name == "walk_angles.csv" and len(rows) == 12 and rows[3]["person"] == "5"
    assert float(rows[3]["pelvis_rotation_deg"]) == pytest.approx(240, abs=1e-2)
