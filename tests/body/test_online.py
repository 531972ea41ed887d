"""Live fit of bodies: near the truth through noise and outliers, people who come, go and return, no sudden poses."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from demo_walk import MODEL, walk

from core.body.online import OnlineBodyFit
from core.types.skeleton import COCO17

COUNTED = [j for j, name in enumerate(MODEL.joints) if "foot" not in name and "hand" not in name]


def test_bodies_follow_people_who_come_and_go() -> None:
    rng = np.random.default_rng(5)
    truth, exact = zip(*(walk(person, 90) for person in range(2)), strict=True)
    joints, xyz = np.stack(truth, 1), np.stack(exact, 1)
    xyz = xyz + rng.normal(0, 20 / np.sqrt(3), xyz.shape)
    wrong = rng.random(xyz.shape[:3]) < 0.02
    xyz[wrong] += rng.normal(0, 300, (int(wrong.sum()), 3))
    xyz[60:63, 0] = np.nan  # held
    xyz[70:85, 1] = np.nan  # gone for longer than is held
    fit = OnlineBodyFit(MODEL, COCO17)
    errors, present = np.full((90, 2), np.nan), np.zeros((90, 2), bool)
    betas: dict[tuple[int, int], np.ndarray] = {}
    for frame in range(90):
        numbers = (7, 3) if frame < 40 else (3, 7)  # The order says nothing.
        order = [0, 1] if frame < 40 else [1, 0]
        bodies = fit.update(frame / 30, numbers, xyz[frame, order])
        for row, number in enumerate(bodies.person_ids):
            column = (7, 3).index(number)
            present[frame, column] = True
            gap = np.linalg.norm(bodies.joints_mm[row] - joints[frame, column], axis=-1)
            errors[frame, column] = gap[COUNTED].mean()
            betas[frame, number] = bodies.betas[row]
    expected = np.ones((90, 2), bool)
    expected[78:85, 1] = False  # 9 frames, 0.3 s, after the last joints
    np.testing.assert_array_equal(present, expected)
    assert errors[40:60].mean() < 18 and errors[40:60].max() < 40, "held poses are not measured"
    np.testing.assert_array_equal(betas[84, 7], betas[89, 7])
    np.testing.assert_array_equal(betas[70, 3], betas[85, 3])
    assert fit.update(3.0, (), np.zeros((0, 17, 3))).rotations.shape == (0, 24, 3, 3)
