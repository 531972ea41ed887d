"""PCP3D: golden values, and the pitfalls of published code."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.errors import CoreError
from core.evaluation.shelf import LIMBS, PARTS, pcp3d, to_shelf14
from core.synthetic.people import poses
from core.types.skeleton import COCO17, PANOPTIC15, SHELF14, Skeleton


@pytest.fixture
def truth() -> np.ndarray:
    people = poses(6, np.random.default_rng(0))
    people[..., 0] += 3000 * np.arange(6)[:, None]
    return to_shelf14(people, COCO17).reshape(3, 2, 14, 3)  # three frames, two actors


class TestJoints:
    def test_golden_heads(self) -> None:
        """Mid-shoulder (0, 0, 1400), nose and ears (0, 100, 1600)."""
        xyz = np.zeros((17, 3))
        for side, x in (("left", 150.0), ("right", -150.0)):
            xyz[COCO17.index(f"{side}_shoulder")] = (x, 0, 1400)
            xyz[COCO17.index(f"{side}_ear")] = (x / 3, 100, 1600)
        xyz[COCO17.index("nose")] = (0, 100, 1600)
        shelf, plain = to_shelf14(xyz, COCO17), to_shelf14(xyz, COCO17, "plain")
        assert shelf[12] == pytest.approx([0, 50, 1500]) and shelf[13] == pytest.approx([0, 93.75, 1700])
        assert plain[12] == pytest.approx([0, 50, 1500]) and plain[13] == pytest.approx([0, 150, 1700])

    @pytest.mark.parametrize(
        ("skeleton", "order"),
        [
            (COCO17, [16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9]),
            (PANOPTIC15, [14, 13, 12, 6, 7, 8, 11, 10, 9, 3, 4, 5]),
        ],
    )
    def test_published_order(self, skeleton: Skeleton, order: list[int]) -> None:
        xyz = np.arange(3.0 * len(skeleton)).reshape(-1, 3)
        assert np.array_equal(to_shelf14(xyz, skeleton)[:12], xyz[order])

    def test_the_nose_replaces_a_missing_ear(self) -> None:
        xyz = poses(1, np.random.default_rng(0))[0]
        other = xyz.copy()
        other[[COCO17.index("left_ear"), COCO17.index("right_ear")]] = xyz[COCO17.index("nose")]
        xyz[COCO17.index("left_ear")] = np.nan
        np.testing.assert_array_equal(to_shelf14(xyz, COCO17), to_shelf14(other, COCO17))

    def test_shelf_joints_are_unchanged(self, truth: np.ndarray) -> None:
        assert to_shelf14(truth, SHELF14) is truth
        assert len(SHELF14) == 14 and SHELF14.joints[12:] == ("head_bottom", "head_top")

    def test_a_skeleton_without_the_joints_is_refused(self) -> None:
        with pytest.raises(CoreError, match="no right ankle"):
            to_shelf14(np.zeros((17, 3)), dataclasses.replace(COCO17, name="other", joints=tuple("abcdefghijklmnopq")))


class TestParts:
    def test_exact_people_are_correct(self, truth: np.ndarray) -> None:
        score = pcp3d(truth, truth)
        assert score.actors == (1.0, 1.0) and score.recall == 1 and score.people == 6 and score.mean() == 1.0
        assert score.parts == dict.fromkeys(PARTS, 1.0)

    def test_a_frame_without_predictions_counts_as_missed(self, truth: np.ndarray) -> None:
        found = truth.copy()
        found[1] = np.nan
        score = pcp3d(found, truth)
        assert score.actors == pytest.approx((2 / 3, 2 / 3)) and score.recall == pytest.approx(2 / 3)
        no_people = pcp3d(np.zeros((3, 0, 14, 3)), truth)
        assert no_people.actors == (0.0, 0.0) and no_people.recall == 0

    def test_an_error_of_half_the_length_is_correct(self, truth: np.ndarray) -> None:
        """A limb of 400 mm with end errors of 150 and 250 mm: 200 mm on average is correct, 1 mm more is not."""
        exact = truth[:1, :1].copy()
        a, b = LIMBS[0]
        exact[0, 0, a], exact[0, 0, b] = (0, 0, 0), (400, 0, 0)
        near, far = exact.copy(), exact.copy()
        near[0, 0, a, 1], near[0, 0, b, 1] = 150, 250
        far[0, 0, a, 1], far[0, 0, b, 1] = 151, 250
        # The knee belongs to the thigh too: only the shank differs.
        assert pcp3d(near, exact).actors[0] - pcp3d(far, exact).actors[0] == pytest.approx(0.1)
        assert (pcp3d(near, exact).parts["shanks"], pcp3d(far, exact).parts["shanks"]) == (1.0, 0.5)

    def test_the_torso_ends_at_the_centre_of_the_hips_and_the_bottom_of_the_head(self, truth: np.ndarray) -> None:
        exact = truth[:1, :1].copy()
        exact[0, 0, [2, 3, 12]] = (-100, 0, 900), (100, 0, 900), (0, 0, 1400)  # 500 mm: 250 are allowed
        for bottom, share in (((0, 500, 1400), 1.0), ((0, 501, 1400), 0.0)):
            found = exact.copy()
            found[0, 0, 12] = bottom
            assert pcp3d(found, exact).parts["torso"] == share
        turned = exact.copy()
        turned[0, 0, [2, 3]] = turned[0, 0, [3, 2]]
        assert pcp3d(turned, exact).parts["torso"] == 1.0, "the centre of the hips is symmetric"

    def test_an_absent_actor_does_not_count(self, truth: np.ndarray) -> None:
        some = truth.copy()
        some[1:, 1] = np.nan
        score = pcp3d(some, some)
        assert score.actors == (1.0, 1.0) and score.people == 4
        some[:, 1] = np.nan
        score = pcp3d(truth, some)
        assert np.isnan(score.actors[1]) and score.mean() == 1.0

    def test_a_part_without_ground_truth_does_not_count(self, truth: np.ndarray) -> None:
        exact = truth.copy()
        exact[0, 0, 0] = np.nan
        found = truth.copy()
        found[0, 0, 0] += 1000
        assert pcp3d(found, exact).actors == (1.0, 1.0)

    def test_the_fourth_actor_counts_in_the_recall_and_not_in_the_mean(self, truth: np.ndarray) -> None:
        four = np.concatenate([truth, truth + 8000], axis=1)
        score = pcp3d(four[:, :3], four)
        assert score.actors == (1.0, 1.0, 1.0, 0.0) and score.mean() == 1.0
        assert score.recall == 0.75

    def test_several_predictions_near_one_person(self, truth: np.ndarray) -> None:
        crowded = np.concatenate([truth, truth + 400, truth + 30], axis=1)
        assert pcp3d(crowded, truth).actors == (1.0, 1.0)

    def test_two_people_may_share_a_prediction(self, truth: np.ndarray) -> None:
        both = np.repeat(truth[:1, :1], 2, axis=1)
        assert pcp3d(both[:, :1], both).actors == (1.0, 1.0)

    def test_a_missing_joint_costs_its_parts_and_not_the_person(self, truth: np.ndarray) -> None:
        found = truth.copy()
        found[:, 0, 13] = np.nan  # The next complete person is 3 m away.
        score = pcp3d(found, truth)
        assert score.actors == pytest.approx((0.9, 1.0)) and score.recall == 1
        assert score.parts["head"] == 0.5
        stub = truth.copy()
        stub[:, 0, 1:] = np.nan  # A single exact joint is not a near person.
        assert pcp3d(stub[:, :1], truth[:, :1]).actors == (0.0,)
        both = np.concatenate([stub[:, :1], truth[:, :1] + 20], axis=1)
        assert pcp3d(both, truth[:, :1]).actors[0] == 1.0

    def test_frames_must_agree(self, truth: np.ndarray) -> None:
        with pytest.raises(CoreError, match="same frames"):
            pcp3d(truth[:2], truth)
