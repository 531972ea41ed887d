import numpy as np
import pytest

from core.synthetic import people
from core.tracking.config import TrackingConfig
from core.tracking.plausible import implausible_joints
from core.types import COCO17


@pytest.fixture(scope="module")
def truth():
    return people.walkers(2, 90, np.random.default_rng(0), fps=60.0)


def implausible(truth, xyz):
    return implausible_joints(truth.time_s, xyz, COCO17, TrackingConfig())


def test_plausible_people_keep_all_joints(truth):
    assert not implausible(truth, truth.xyz_mm).any()
    noisy = truth.xyz_mm + np.random.default_rng(1).normal(0, 15, truth.xyz_mm.shape)
    assert implausible(truth, noisy).mean() < 1e-3


@pytest.mark.parametrize("joint", ["left_wrist", "right_ankle", "left_elbow", "nose"])
def test_a_displaced_joint_is_removed_and_no_other(truth, joint):
    xyz = truth.xyz_mm.copy()
    xyz[40:60, 0, COCO17.index(joint)] += [600.0, 0, 0]
    expected = np.zeros(xyz.shape[:-1], bool)
    expected[40:60, 0, COCO17.index(joint)] = True
    np.testing.assert_array_equal(implausible(truth, xyz), expected)


def test_a_jump_of_one_frame_is_removed(truth):
    xyz = truth.xyz_mm.copy()
    # Around the elbow, so that the bone keeps its length.
    elbow, wrist = COCO17.index("left_elbow"), COCO17.index("left_wrist")
    xyz[30, 1, wrist] = 2 * xyz[30, 1, elbow] - xyz[30, 1, wrist]
    found = np.argwhere(implausible(truth, xyz))
    assert found.tolist() == [[30, 1, wrist]]


def test_missing_people_and_joints_are_accepted(truth):
    assert implausible(truth, np.zeros((90, 0, 17, 3))).shape == (90, 0, 17)
    assert not implausible(truth, np.full((90, 2, 17, 3), np.nan)).any()
