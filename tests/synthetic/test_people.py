import numpy as np
import pytest

from core.errors import CoreError
from core.synthetic import people
from core.types import COCO17, PANOPTIC15
from core.types.skeleton import convert

BONES = list(COCO17.bones)


@pytest.fixture(scope="module")
def crowd():
    return people.walkers(4, 300, np.random.default_rng(3))


def test_bones_of_limbs_keep_their_length(crowd):
    limbs = [(a, b) for a, b in BONES if COCO17.joints[a].split("_")[0] == COCO17.joints[b].split("_")[0]]
    limbs = [(a, b) for a, b in limbs if {"elbow", "knee"} & {COCO17.joints[j].split("_")[1] for j in (a, b)}]
    assert len(limbs) == 8
    a, b = np.array(limbs).T
    lengths = np.linalg.norm(crowd.xyz_mm[:, :, a] - crowd.xyz_mm[:, :, b], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[:1], lengths.shape), atol=1e-6)


def test_left_is_left_and_up_is_up():
    person = people.walkers(1, 1, np.random.default_rng(0))
    xyz = person.xyz_mm[0, 0]
    at = COCO17.index
    forward = xyz[at("nose"), :2] - (xyz[at("left_ear"), :2] + xyz[at("right_ear"), :2]) / 2
    to_left = xyz[at("left_hip"), :2] - xyz[at("right_hip"), :2]
    assert forward[0] * to_left[1] - forward[1] * to_left[0] > 0
    heights = [xyz[at(j), 2] for j in ("left_ankle", "left_knee", "left_hip", "left_shoulder", "left_eye")]
    assert heights == sorted(heights)


def test_feet_stay_on_the_floor(crowd):
    ankles = crowd.xyz_mm[:, :, [15, 16], 2].min(-1)
    assert ankles.min() > 0.03 * 1500
    assert ankles.max() < 0.05 * 1950
    assert crowd.xyz_mm[..., 2].min() > 0


def test_people_keep_their_distance_and_move_smoothly(crowd):
    hips = crowd.xyz_mm[:, :, [11, 12]].mean(2)
    gaps = np.linalg.norm(hips[:, :, None, :2] - hips[:, None, :, :2], axis=-1)
    assert gaps[:, ~np.eye(4, dtype=bool)].min() > 640
    # 7 m/s is faster than a swinging foot of a walking person; a jump would show.
    assert np.linalg.norm(np.diff(crowd.xyz_mm, axis=0), axis=-1).max() < 7000 / 30
    assert np.ptp(hips[..., :2], axis=0).max() > 1500


def test_crossing_people_meet_near_the_centre():
    xyz = people.crossing(4, 240, np.random.default_rng(1)).xyz_mm
    hips = xyz[:, :, [11, 12]].mean(2)[..., :2]
    assert np.linalg.norm(hips, axis=-1).max(1).min() < 1000
    assert ((hips[0] * hips[60:120]).sum(-1).min(0) < 0).all()


def test_the_same_seed_gives_the_same_people():
    first, second = (people.walkers(3, 40, np.random.default_rng(9)).xyz_mm for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, people.walkers(3, 40, np.random.default_rng(10)).xyz_mm)


def test_panoptic_joints_follow_from_coco():
    coco = people.walkers(2, 20, np.random.default_rng(5))
    panoptic = people.walkers(2, 20, np.random.default_rng(5), skeleton=PANOPTIC15)
    expected, _ = convert(coco.xyz_mm, coco.score, COCO17, PANOPTIC15)
    np.testing.assert_array_equal(panoptic.xyz_mm, expected)


def test_single_poses_are_centred_and_varied():
    xyz = people.poses(200, np.random.default_rng(2), skeleton=PANOPTIC15)
    root = xyz[:, PANOPTIC15.index("mid_hip")]
    np.testing.assert_allclose(root[:, :2], 0, atol=1e-9)
    assert root[:, 2].min() < 500 < 900 < root[:, 2].max()


def test_too_many_people_are_refused():
    with pytest.raises(CoreError, match="too small for 40 people"):
        people.walkers(40, 2, np.random.default_rng(0))
