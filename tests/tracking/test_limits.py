"""Limits follow the error of people, and loosen nothing close up."""

import numpy as np
import pytest

from core.geometry.accuracy import expected_error_mm
from core.synthetic import people
from core.synthetic.rigs import ring_rig
from core.tracking.config import TrackingConfig
from core.tracking.limits import gate_mm, person_error_mm, slack_mm
from core.tracking.plausible import implausible_joints
from core.tracking.track import track_people
from core.types import COCO17


def test_errors_are_those_of_the_rig_or_of_the_covariances():
    xyz = people.walkers(2, 3, np.random.default_rng(0)).xyz_mm.copy()
    xyz[1, 1] = np.nan
    near, far = (person_error_mm(ring_rig(4, radius_mm=mm), xyz) for mm in (4000.0, 24000.0))
    assert near[1, 1] == far[1, 1] == 0.0
    middle = np.median(xyz[0, 0], axis=0)
    np.testing.assert_allclose(near[0, 0], expected_error_mm(ring_rig(4, radius_mm=4000.0), middle))
    assert far[0, 0] > 4 * near[0, 0] > 0
    covariance = np.broadcast_to(np.eye(3) * 300.0**2 / 3, (*xyz.shape, 3))
    np.testing.assert_allclose(person_error_mm(ring_rig(4), xyz, covariance)[0], 300.0)


def test_nothing_loosens_close_up():
    config = TrackingConfig()
    close = np.linspace(0, 40, 9)
    assert (slack_mm(close) == 80.0).all()
    assert (gate_mm(0.03, config, close) == config.max_distance_mm).all()


def noisy(truth, noise_mm, rng):
    return truth.xyz_mm + rng.normal(0, noise_mm / np.sqrt(3), truth.xyz_mm.shape)


def test_joints_of_people_far_away_are_kept_and_wrong_ones_removed():
    rng = np.random.default_rng(1)
    truth = people.walkers(2, 90, rng)
    xyz, error = noisy(truth, 120.0, rng), np.full((90, 2), 120.0)
    wrist = COCO17.index("left_wrist")
    xyz[40:44, 0, wrist] += [0, 0, 1500.0]
    strict, fair = (implausible_joints(truth.time_s, xyz, COCO17, TrackingConfig(), e) for e in (None, error))
    assert fair[40:44, 0, wrist].all()
    assert fair.sum() < 0.5 * strict.sum()
    assert fair.mean() < 0.02


def test_people_far_away_stay_one_track():
    rng = np.random.default_rng(2)
    truth = people.walkers(1, 120, rng)
    xyz = noisy(truth, 320.0, rng)
    score = np.ones(xyz.shape[:-1])
    lost, kept = (
        track_people(truth.time_s, xyz, score, COCO17, TrackingConfig(), error)
        for error in (None, np.full((120, 1), 320.0))
    )
    assert (kept.source == 0).all() and len(kept.ids) == 1
    assert len(lost.ids) != 1 or lost.discarded


@pytest.mark.parametrize(("fps", "frames"), [(240, 6), (240, 1), (60, 2), (30, 1), (10, 1)])
def test_jumps_are_removed_at_any_frame_rate(fps, frames):
    truth = people.walkers(1, 3 * fps, np.random.default_rng(3), fps=float(fps))
    xyz, wrist, elbow = truth.xyz_mm.copy(), COCO17.index("right_wrist"), COCO17.index("right_elbow")
    # Its bone keeps its length, so that only the speed is wrong.
    jumped = slice(fps, fps + frames)
    away = 1600.0 if fps == 10 else 700.0
    xyz[jumped, 0, wrist] = xyz[jumped, 0, elbow] + [0, away, 0]
    found = implausible_joints(truth.time_s, xyz, COCO17, TrackingConfig(max_stretch=9.0))
    assert found[jumped, 0, wrist].all()
    assert found.sum() == frames


@pytest.mark.parametrize("every", [1, 8, 48, 240])
def test_movements_are_not_jumps_at_any_frame_rate(every):
    truth = people.walkers(3, 4800, np.random.default_rng(4), fps=240.0)
    xyz = truth.xyz_mm + np.random.default_rng(5).normal(0, 15, truth.xyz_mm.shape)
    assert implausible_joints(truth.time_s[::every], xyz[::every], COCO17, TrackingConfig()).mean() < 2e-3
