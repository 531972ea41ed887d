"""Structured errors: borrowed limbs, exchanged sides, lost views, turned cameras."""

from __future__ import annotations

import numpy as np
import pytest

from core.geometry import project
from core.synthetic.confusions import Confusions, borrowed_masks, confuse, derived_joints, persistent, turned
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types.skeleton import COCO17, PANOPTIC15

NONE = Confusions(borrow=0.0, swap=0.0, lost_view=0.0, rig_deg=0.0)
STEP_S = 1 / 30


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    """Two people (T, 2, 17, 2) who stand side by side in the image."""
    people = walkers(2, 600, np.random.default_rng(0))
    pixels = project(ring_rig(1)[0], people.xyz_mm[:1])
    pixels[:, 1] += pixels[:, 0].mean(1, keepdims=True) - pixels[:, 1].mean(1, keepdims=True) + [60.0, 0.0]
    return np.repeat(pixels, 600, axis=0)


def confused(exact: np.ndarray, confusions: Confusions, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return confuse(
        exact, np.full(exact.shape[:-1], 0.9), exact, COCO17, confusions, STEP_S, np.random.default_rng(seed)
    )


def runs(changed: np.ndarray) -> float:
    """Return the mean length of the runs of true values of (T, N)."""
    starts = changed & ~np.concatenate([np.zeros_like(changed[:1]), changed[:-1]])
    return float(changed.sum() / max(1, starts.sum()))


def test_borrowed_joints_are_those_of_the_person_beside(exact: np.ndarray) -> None:
    xy, score = confused(exact, Confusions(borrow=0.2, swap=0.0, lost_view=0.0))
    changed = (xy != exact).any(-1)
    # A limb has some of a person's joints: the share of joints is below that of people.
    assert 0.1 < changed.any(-1).mean() < 0.3 and 0.01 < changed.mean() < 0.08
    other, mirror = exact[:, ::-1], list(COCO17.mirror)
    same, opposite = (xy == other).all(-1), (xy == other[:, :, mirror]).all(-1)
    assert (same | opposite)[changed].all()
    assert (score[changed] < 0.9).all() and (score[~changed] == 0.9).all()
    hips = COCO17.indices("left_hip", "right_hip")
    assert changed[..., hips].mean() > changed.mean()  # the most common
    assert runs(changed.any(-1)) > 3


def test_nobody_lends_a_limb_from_far_away(exact: np.ndarray) -> None:
    apart = exact.copy()
    apart[:, 1] += 3000.0
    assert np.array_equal(confused(apart, Confusions(borrow=0.5, swap=0.0, lost_view=0.0))[0], apart)
    alone = exact[:, :1]
    assert np.array_equal(confused(alone, Confusions(borrow=0.5, swap=0.0, lost_view=0.0))[0], alone)


def test_sides_are_exchanged_by_groups_for_a_while(exact: np.ndarray) -> None:
    xy, _ = confused(exact, Confusions(borrow=0.0, swap=0.1, lost_view=0.0))
    changed = (xy != exact).any(-1)
    assert 0.05 < changed.any(-1).mean() < 0.15 and runs(changed.any(-1)) > 3
    assert np.array_equal(xy[changed], exact[:, :, list(COCO17.mirror)][changed])
    assert not changed[..., COCO17.index("nose")].any()
    wrists, knees = (changed[..., COCO17.index(f"left_{joint}")] for joint in ("wrist", "knee"))
    assert (wrists & ~knees).any() and (knees & ~wrists).any()


def test_a_lost_view_shows_nobody(exact: np.ndarray) -> None:
    _, score = confused(exact, Confusions(borrow=0.0, swap=0.0, lost_view=0.1))
    lost = (score == 0).all((1, 2))
    assert 0.04 < lost.mean() < 0.2 and np.array_equal(lost, (score == 0).any((1, 2)))
    assert runs(lost[:, None]) > 3


def test_a_turned_camera_stays_at_its_place() -> None:
    camera, rng = ring_rig(1)[0], np.random.default_rng(0)
    many = [turned(camera, 0.2, rng) for _ in range(200)]
    assert all(np.allclose(other.centre_mm, camera.centre_mm, atol=1e-6) for other in many)
    centre = np.array([project(other, np.array([0, 0, 900.0])) for other in many]) - project(
        camera, np.array([0, 0, 900.0])
    )
    assert np.std(centre) == pytest.approx(np.radians(0.2) * camera.K[0, 0], rel=0.15)


def test_white_noise_lasts_for_some_frames_only_with_confusions() -> None:
    noise = persistent((4000, 3), 1 / 60, np.random.default_rng(0))
    assert noise.std() == pytest.approx(1, rel=0.1)
    assert np.mean(noise[1:] * noise[:-1]) == pytest.approx(np.exp(-1 / 60 / 0.16), rel=0.1)
    people, rig = walkers(1, 100, np.random.default_rng(1), fps=60.0), ring_rig(1)
    exact = project(rig[0], people.xyz_mm)[:, 0]

    def correlation(confusions: Confusions | None) -> float:
        seen = observe(rig, people, 4.0, 0.0, np.random.default_rng(2), joint_miss=0.0, confusions=confusions)
        error = seen["cam01"].xy_px[:, 0] - exact
        return float(np.nanmean(error[1:] * error[:-1]) / np.nanmean(error**2))

    assert correlation(NONE) > 0.7 and abs(correlation(None)) < 0.1


def test_rates_are_scaled_and_the_rig_apart() -> None:
    scaled = Confusions(borrow=0.1, swap=0.2, lost_view=0.3, rig_deg=0.4).scaled(0.5, rig_factor=2.0)
    assert (scaled.borrow, scaled.swap, scaled.lost_view, scaled.rig_deg) == pytest.approx((0.05, 0.1, 0.15, 0.8))


def test_groups_and_derived_joints_follow_the_skeleton() -> None:
    assert borrowed_masks(PANOPTIC15).any(1).all() and borrowed_masks(COCO17).any(1).all()
    names = {
        PANOPTIC15.joints[joint]: [PANOPTIC15.joints[p] for p in parts] for joint, parts in derived_joints(PANOPTIC15)
    }
    assert names == {"neck": ["left_shoulder", "right_shoulder"], "mid_hip": ["left_hip", "right_hip"]}
    assert derived_joints(COCO17) == ()
