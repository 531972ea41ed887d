import dataclasses

import numpy as np
import pytest

from core.association.assignment import assign_detections
from core.association.config import AssociationConfig
from core.association.labels import clean_labels
from core.geometry import inside, project
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.types import COCO17, PANOPTIC15
from core.types.skeleton import convert


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    truth, rig = people.walkers(3, 40, rng), rigs.ring_rig(4)
    return truth, rig, observe(rig, truth, 3.0, 0.1, rng)


def test_labels_are_indexed_by_person(scene):
    truth, rig, poses2d = scene
    labels = clean_labels(rig, poses2d, truth, AssociationConfig())
    assert labels.xy_px.shape == (40, 4, 3, 17, 2)
    assert labels.person_ids == truth.person_ids
    for v, camera in enumerate(rig):
        exact = project(camera, truth.xyz_mm)
        off = np.linalg.norm(labels.xy_px[:, v] - exact, axis=-1)
        shown = inside(camera, exact)
        assert np.isfinite(off[shown]).all()
        assert np.nanmax(off) <= 16.0 + 1e-3
        assert (labels.weight[:, v][~np.isfinite(off)] == 0).all()


def test_detected_joints_have_more_weight_than_reprojected_ones(scene):
    truth, rig, poses2d = scene
    config = AssociationConfig()
    labels = clean_labels(rig, poses2d, truth, config)
    filled = (labels.weight > 0) & ~labels.seen
    # A tenth of the detections and a fiftieth of the joints were missed, few more were bad.
    assert 0.1 < filled.sum() / (labels.weight > 0).sum() < 0.2
    np.testing.assert_allclose(labels.weight[filled], config.replaced_weight, rtol=1e-6)
    assert labels.weight[labels.seen].mean() > 0.5


def test_a_wrong_joint_is_replaced(scene):
    truth, rig, poses2d = scene
    wrist = COCO17.index("right_wrist")
    xy = poses2d["cam01"].xy_px.copy()
    xy[:, :, wrist] += 60.0
    changed = {**poses2d, "cam01": dataclasses.replace(poses2d["cam01"], xy_px=xy)}
    labels = clean_labels(rig, changed, truth, AssociationConfig())
    assert not labels.seen[:, 0, :, wrist].any()
    exact = project(rig[0], truth.xyz_mm[:, :, wrist])
    shown = inside(rig[0], exact)
    np.testing.assert_allclose(labels.xy_px[:, 0, :, wrist][shown], exact[shown], atol=1e-3)


def test_people_without_3d_pose_have_no_label(scene):
    truth, rig, poses2d = scene
    xyz, score = truth.xyz_mm.copy(), truth.score.copy()
    xyz[:, 1], score[:, 1] = np.nan, 0
    labels = clean_labels(rig, poses2d, dataclasses.replace(truth, xyz_mm=xyz, score=score), AssociationConfig())
    assert (labels.weight[:, :, 1] == 0).all()
    assert (labels.weight[:, :, [0, 2]] > 0).any((1, 3)).all()


def test_labels_have_the_skeleton_of_the_3d_people(scene):
    truth, rig, poses2d = scene
    xyz, score = convert(truth.xyz_mm, truth.score, COCO17, PANOPTIC15)
    sequence = dataclasses.replace(truth, skeleton=PANOPTIC15, xyz_mm=xyz, score=score)
    labels = clean_labels(rig, poses2d, sequence, AssociationConfig())
    assert labels.xy_px.shape[-2] == 15
    assert labels.seen[..., PANOPTIC15.index("neck")].mean() > 0.7


def test_empty_columns_take_no_detections():
    rng = np.random.default_rng(2)
    people_px = rng.uniform(0, 500, (1, 2, 5, 2))
    found = np.concatenate([np.full((1, 4, 5, 2), np.nan), people_px + 5], axis=1)
    reach = np.array([[0.0, 0.0, 0.0, 0.0, 100.0, 20.0]])
    assert assign_detections(people_px, found, reach).tolist() == [[-1, -1, -1, -1, 0, 1]]


def test_assignment_is_one_to_one_and_gated():
    rng = np.random.default_rng(1)
    people_px = rng.uniform(0, 500, (1, 2, 5, 2))
    found = np.concatenate([people_px[:, 1:] + 3, people_px[:, 1:] + 1, people_px[:, :1] + 900], axis=1)
    assert assign_detections(people_px, found, np.full((1, 3), 50.0)).tolist() == [[-1, 1, -1]]
