"""Random motion: rigid bones, feet on the floor, human speeds."""

from __future__ import annotations

import numpy as np

from core.synthetic.motion import movers
from core.types.skeleton import COCO17

FPS = 60.0


def test_bones_keep_their_length() -> None:
    xyz = movers(3, 90, np.random.default_rng(0), fps=FPS)
    assert xyz.shape == (90, 3, 17, 3)
    for side in ("left", "right"):
        for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            ends = xyz[:, :, COCO17.index(f"{side}_{a}")] - xyz[:, :, COCO17.index(f"{side}_{b}")]
            length = np.linalg.norm(ends, axis=-1)
            np.testing.assert_allclose(length, np.broadcast_to(length[:1], length.shape), rtol=1e-9)


def test_speeds_are_human() -> None:
    """Median wrist speeds as in recorded motion, some as fast as a punch, none beyond."""
    wrist, fps = COCO17.index("left_wrist"), 60.0
    xyz = np.concatenate([movers(4, 60, np.random.default_rng(i), fps=fps)[:, :, wrist] for i in range(40)], 1)
    speed = np.linalg.norm(np.diff(xyz, axis=0), axis=-1) * fps / 1000
    assert 0.4 < np.median(speed) < 1.3
    assert 2.5 < np.percentile(speed, 97) < 8
    assert speed.max() < 20


def test_some_people_jump_and_none_sink() -> None:
    ankles = [COCO17.index("left_ankle"), COCO17.index("right_ankle")]
    height = np.concatenate(
        [movers(4, 60, np.random.default_rng(i), fps=FPS)[:, :, ankles, 2].min(-1) for i in range(30)], 1
    )
    assert height.min() > -120
    jumped = height.max(0) - np.median(height, axis=0) > 100
    assert 0.02 < jumped.mean() < 0.5


def test_the_same_seed_gives_the_same_motion() -> None:
    one, two = (movers(2, 30, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, movers(2, 30, np.random.default_rng(6)))
    assert np.isfinite(movers(1, 1, np.random.default_rng(7))).all()
