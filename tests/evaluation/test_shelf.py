"""PCP3D: known answers, and the traps of the published code."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import CoreError
from core.evaluation.shelf import LIMBS, part_score, to_shelf14
from core.synthetic.people import poses
from core.types.skeleton import COCO17, PANOPTIC15, Skeleton


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

    def test_other_joints_are_refused(self) -> None:
        import dataclasses

        with pytest.raises(CoreError, match="no rule"):
            to_shelf14(np.zeros((17, 3)), dataclasses.replace(COCO17, name="other"))


class TestParts:
    def test_exact_people_are_right(self, truth: np.ndarray) -> None:
        score = part_score(list(truth), truth)
        assert score.actors == (1.0, 1.0) and score.recall == 1 and score.people == 6 and score.mean() == 1.0

    def test_a_frame_without_anybody_counts_as_missed(self, truth: np.ndarray) -> None:
        score = part_score([truth[0], np.zeros((0, 14, 3)), truth[2]], truth)
        assert score.actors == pytest.approx((2 / 3, 2 / 3)) and score.recall == pytest.approx(2 / 3)

    def test_half_a_length_is_still_right(self, truth: np.ndarray) -> None:
        """A limb of 400 mm with ends off by 150 and 250 mm: 200 on average, just right; one more is wrong."""
        exact = truth[:1, :1].copy()
        a, b = LIMBS[0]
        exact[0, 0, a], exact[0, 0, b] = (0, 0, 0), (400, 0, 0)
        near, far = exact[0].copy(), exact[0].copy()
        near[0, a, 1], near[0, b, 1] = 150, 250
        far[0, a, 1], far[0, b, 1] = 151, 250
        # The knee belongs to the thigh too: only the shank is told apart.
        assert part_score([near], exact).actors[0] - part_score([far], exact).actors[0] == pytest.approx(0.1)

    def test_an_absent_actor_does_not_count(self, truth: np.ndarray) -> None:
        some = truth.copy()
        some[1:, 1] = np.nan
        score = part_score([some[0], some[1, :1], some[2, :1]], some)
        assert score.actors == (1.0, 1.0) and score.people == 4

    def test_several_predictions_near_one_person(self, truth: np.ndarray) -> None:
        crowded = [np.concatenate([people, people + 400, people + 30]) for people in truth]
        assert part_score(crowded, truth).actors == (1.0, 1.0)

    def test_one_prediction_for_two_people_is_taken_twice(self, truth: np.ndarray) -> None:
        both = np.repeat(truth[:1, :1], 2, axis=1)
        assert part_score([both[0, :1]], both).actors == (1.0, 1.0)

    def test_frames_must_agree(self, truth: np.ndarray) -> None:
        with pytest.raises(CoreError, match="same frames"):
            part_score(list(truth[:2]), truth)
