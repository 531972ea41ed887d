import dataclasses

import numpy as np
import pytest

from core.errors import CoreError
from core.evaluation.identity import identity_metrics, people_per_frame
from core.evaluation.metrics import pose_metrics, root_metrics
from core.synthetic import people
from core.types import COCO17, PANOPTIC15, Pose3DSequence


@pytest.fixture(scope="module")
def truth():
    return people.crossing(3, 90, np.random.default_rng(0))


def changed(sequence, xyz, score=None):
    score = np.where(np.isfinite(xyz[..., 0]), sequence.score if score is None else score, 0.0)
    return dataclasses.replace(sequence, xyz_mm=xyz, score=score, person_ids=tuple(range(1, xyz.shape[1] + 1)))


def test_the_ground_truth_is_perfect(truth):
    result = pose_metrics(truth, truth)
    assert result.mpjpe_mm == 0
    assert result.recall == 1
    assert list(result.ap.values()) == pytest.approx([1.0] * 6, abs=1e-5)
    assert result.joint_coverage == 1


def test_a_constant_shift_is_the_error(truth):
    result = pose_metrics(changed(truth, truth.xyz_mm + [0, 60.0, 0]), truth)
    assert result.mpjpe_mm == pytest.approx(60.0)
    assert result.ap[50] == 0
    assert result.ap[75] == pytest.approx(1.0)
    assert result.mean_ap == pytest.approx(4 / 6)


def test_a_missing_person_costs_recall_and_precision_area(truth):
    xyz = truth.xyz_mm.copy()
    xyz[:, 2] = np.nan
    result = pose_metrics(changed(truth, xyz), truth)
    assert result.recall == pytest.approx(2 / 3)
    assert result.ap[25] == pytest.approx(2 / 3)
    assert result.mpjpe_mm == 0


def test_false_people_of_low_score_cost_less(truth):
    ghost = truth.xyz_mm[:, :1] + [0, 0, 4000.0]
    xyz = np.concatenate([truth.xyz_mm, ghost], axis=1)
    low, high = (
        pose_metrics(changed(truth, xyz, np.concatenate([0.8 * truth.score, s * truth.score[:, :1]], axis=1)), truth)
        for s in (0.1, 1.0)
    )
    assert low.ap[50] == pytest.approx(1.0)
    assert high.ap[50] < 0.8
    assert low.predictions == 4 * 90


def test_duplicates_count_once(truth):
    xyz = np.concatenate([truth.xyz_mm, truth.xyz_mm[:, :1] + 10.0], axis=1)
    score = np.concatenate([truth.score, 0.5 * truth.score[:, :1]], axis=1)
    result = pose_metrics(changed(truth, xyz, score), truth)
    assert result.recall == 1
    assert result.mpjpe_mm == 0


def test_different_skeletons_are_refused(truth):
    other = people.crossing(3, 90, np.random.default_rng(0), skeleton=PANOPTIC15)
    with pytest.raises(CoreError, match="cannot be compared"):
        pose_metrics(other, truth)


def test_frames_are_counted_by_number_of_people(truth):
    xyz = truth.xyz_mm.copy()
    xyz[10:15, 1] = np.nan
    assert people_per_frame(changed(truth, xyz)) == {"2": 5, "3": 85}


def test_true_identities_have_no_switch_where_people_cross(truth):
    result = identity_metrics(truth)
    assert result.identity_switches == 0
    assert result.fragmentations == 0


def test_exchanged_identities_are_counted(truth):
    xyz = truth.xyz_mm.copy()
    xyz[40:, [0, 1]] = xyz[40:, [1, 0]]
    assert identity_metrics(changed(truth, xyz)).identity_switches == 2


def test_exchange_during_a_short_gap_is_counted(truth):
    xyz = truth.xyz_mm.copy()
    xyz[40:, [0, 1]] = xyz[40:, [1, 0]]
    xyz[37:43, :2] = np.nan
    result = identity_metrics(changed(truth, xyz))
    assert result.identity_switches == 2
    assert result.fragmentations == 2


def test_switches_are_not_measured_where_frames_lie_too_far_apart(truth):
    slow = dataclasses.replace(truth, time_s=np.arange(90.0))
    assert identity_metrics(slow).identity_switches is None


def test_a_new_id_for_a_known_person_is_a_switch(truth):
    xyz = np.concatenate([truth.xyz_mm, np.full((90, 1, 17, 3), np.nan)], axis=1)
    xyz[50:, 3], xyz[50:, 0] = xyz[50:, 0], np.nan
    score = np.ones((90, 4, 17))
    assert identity_metrics(changed(truth, xyz, score)).identity_switches == 1


def panoptic(xyz, score=1.0):
    xyz = np.asarray(xyz, float)
    return Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=np.arange(len(xyz)) / 30,
        xyz_mm=xyz,
        score=np.where(np.isfinite(xyz).all(-1), score, 0.0),
        person_ids=range(xyz.shape[1]),
    )


@pytest.fixture(scope="module")
def pair():
    """One frame, two people 2 m apart."""
    body = np.random.default_rng(0).uniform(-400, 400, (15, 3))
    return np.stack([body, body + [2000.0, 0, 0]])[None]


def test_golden_two_people_and_one_prediction_at_20_mm(pair):
    result = pose_metrics(panoptic(pair[:, :1] + [20.0, 0, 0]), panoptic(pair))
    assert result.ap[25] == pytest.approx(1 / (2 + 1e-5), abs=1e-12)
    assert result.recall == 0.5
    assert result.mpjpe_mm == pytest.approx(20)


def test_of_several_predictions_of_one_person_the_most_confident_counts(pair):
    near = np.stack([pair[0, 0] + [40.0, 0, 0], pair[0, 0] + [10.0, 0, 0], pair[0, 1] + [10.0, 0, 0]])[None]
    score = np.array([0.9, 0.8, 0.7])[None, :, None]
    result = pose_metrics(panoptic(near, score), panoptic(pair))
    assert result.mpjpe_mm == pytest.approx(25), "the more confident one is 40 mm off, though a better one follows"
    assert result.recall == 1
    # By score: 40 mm (right at 50), 10 mm (a double), 10 mm of the other: precision 1, 1/2, 2/3.
    assert result.ap[50] == pytest.approx((1 + 2 / 3) / 2, abs=1e-5)
    # At 25 mm the first is wrong, the second right, the third right: precision 0, 1/2, 2/3, raised from the right.
    assert result.ap[25] == pytest.approx(2 / 3, abs=1e-5)


def test_hidden_true_joints_do_not_count_and_missing_predicted_ones_lower_the_coverage(pair):
    truth, found = pair.copy(), pair + [10.0, 0, 0]
    found[0, 0, 5] += 5000
    truth[0, 0, 5] = np.nan
    found[0, 1, :3] = np.nan
    result = pose_metrics(panoptic(found), panoptic(truth))
    assert result.mpjpe_mm == pytest.approx(10)
    assert result.joint_coverage == pytest.approx((1 + 12 / 15) / 2)


def test_root_metrics_use_the_root_only(pair):
    found = pair.copy()
    found[0, 0, 3:] += 3000
    found[0, 1, 2] = found[0, 1, 2] + [0, 60.0, 0]
    result = root_metrics(panoptic(found), panoptic(pair))
    assert result.mpjpe_mm == pytest.approx(30)
    assert result.ap[50] == pytest.approx(0.5, abs=1e-5) and result.ap[75] == pytest.approx(1.0, abs=1e-5)
    lost = pair.copy()
    lost[0, 1, 2] = np.nan
    result = root_metrics(panoptic(lost), panoptic(pair))
    assert result.predictions == 2 and result.recall == 0.5
    with pytest.raises(CoreError, match="no root"):
        root_metrics(*[people.crossing(1, 2, np.random.default_rng(0))] * 2)


def test_an_empty_sequence_has_metrics():
    empty = Pose3DSequence(
        skeleton=COCO17, time_s=[0.0, 0.1], xyz_mm=np.zeros((2, 0, 17, 3)), score=np.zeros((2, 0, 17)), person_ids=()
    )
    assert people_per_frame(empty) == {"0": 2}
    assert identity_metrics(empty).identity_switches == 0
    assert pose_metrics(empty, empty).predictions == 0
