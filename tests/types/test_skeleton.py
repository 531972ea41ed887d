"""Skeletons: roots, mirror pairs, conversion and bones, derived from the joint set."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import CoreError
from core.types.skeleton import (
    COCO17,
    COCO19,
    DERIVED_JOINTS,
    PANOPTIC15,
    SHELF14,
    SKELETONS,
    Skeleton,
    convert,
    convert_covariance,
)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_every_skeleton_has_a_root_that_its_points_give(skeleton: Skeleton) -> None:
    points = np.random.default_rng(0).normal(size=(4, len(skeleton), 3))
    hips = points[:, skeleton.indices("left_hip", "right_hip")].mean(1)
    expected = hips if skeleton.root is None else points[:, skeleton.index("mid_hip")]
    np.testing.assert_array_equal(skeleton.root_position(points), expected)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_the_mirror_joins_left_and_right(skeleton: Skeleton) -> None:
    for joint, other in zip(skeleton.joints, skeleton.mirror, strict=True):
        swapped = joint.replace("left_", "#").replace("right_", "left_").replace("#", "right_")
        assert skeleton.joints[other] == swapped


def test_joints_are_selected_by_name_and_derived_where_missing() -> None:
    points = np.random.default_rng(1).normal(size=(5, 17, 3))
    points[2, COCO17.index("left_shoulder")] = np.nan
    nose, neck, tail = np.moveaxis(COCO17.select(points, "nose", "neck", "tail"), -2, 0)
    np.testing.assert_array_equal(nose, points[:, 0])
    shoulders = points[:, COCO17.indices(*DERIVED_JOINTS["neck"])]
    np.testing.assert_array_equal(neck, (shoulders[:, 0] + shoulders[:, 1]) / 2)
    assert np.isnan(neck[2]).all() and np.isfinite(np.delete(neck, 2, 0)).all()
    assert np.isnan(tail).all()


def test_a_derived_joint_has_the_lowest_score_of_its_parts() -> None:
    score = np.linspace(0.1, 0.9, 17)
    _, converted = convert(np.zeros((17, 2)), score, COCO17, PANOPTIC15)
    for joint, parts in DERIVED_JOINTS.items():
        assert converted[PANOPTIC15.index(joint)] == score[COCO17.indices(*parts)].min()


def test_coco19_holds_the_joints_of_coco17_and_panoptic15_and_converts_to_both() -> None:
    points, score = np.random.default_rng(2).normal(size=(3, 17, 3)), np.full((3, 17), 0.5)
    points[1, COCO17.index("left_hip")], score[1, COCO17.index("left_hip")] = np.nan, 0
    wide, wide_score = convert(points, score, COCO17, COCO19)
    for target, direct in ((COCO17, (points, score)), (PANOPTIC15, convert(points, score, COCO17, PANOPTIC15))):
        for got, expected in zip(convert(wide, wide_score, COCO19, target), direct, strict=True):
            np.testing.assert_array_equal(got, expected)
    assert COCO19.root == COCO19.index("mid_hip") and np.isnan(COCO19.root_position(wide)[1]).all()
    # One connected body: bone lengths reach every joint.
    reached = {COCO19.root}
    for _ in COCO19.bones:
        reached |= {end for bone in COCO19.bones if reached & set(bone) for end in bone}
    assert len(reached) == len(COCO19)


def test_covariances_of_derived_joints_are_those_of_means_of_independent_parts() -> None:
    rng = np.random.default_rng(3)
    samples = rng.normal(size=(200_000, 17, 2)) * np.array([1.0, 3.0])
    covariance = np.einsum("njd,nje->jde", samples, samples) / len(samples)
    means = convert(samples, np.ones(samples.shape[:-1]), COCO17, COCO19)[0]
    expected = np.einsum("njd,nje->jde", means, means) / len(means)
    np.testing.assert_allclose(convert_covariance(covariance, COCO17, COCO19), expected, atol=0.05)
    covariance[COCO17.index("left_hip")] = np.nan
    assert np.isnan(convert_covariance(covariance, COCO17, PANOPTIC15)[PANOPTIC15.index("mid_hip")]).all()


def test_shared_joints_are_those_that_both_sets_name() -> None:
    names = [PANOPTIC15.joints[j] for j in PANOPTIC15.shared_joints(COCO17)]
    assert set(names) == set(PANOPTIC15.joints) - {"neck", "mid_hip"}
    assert COCO17.has("nose", "left_ear") and not COCO17.has("nose", "neck")
    assert [SHELF14.joints[j] for j in SHELF14.shared_joints(SHELF14)] == list(SHELF14.joints)


def test_bone_lengths_are_distances_of_their_ends() -> None:
    skeleton = Skeleton(name="three", joints=("a", "b", "c"), bones=((0, 1), (1, 2)), root=0, mirror=(0, 1, 2))
    points = np.array([[0, 0, 0], [3, 4, 0], [np.nan] * 3])
    np.testing.assert_array_equal(skeleton.bone_lengths(points), [5, np.nan])


@pytest.mark.parametrize(
    "change",
    [
        {"joints": ("a", "b", "b")},
        {"bones": ((0, 3),)},
        {"bones": ((-1, 0),)},
        {"root": 3},
        {"mirror": (0, 1)},
        {"mirror": (1, 2, 0)},
        {"mirror": (0, 1, 3)},
    ],
)
def test_a_skeleton_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    good = {"name": "three", "joints": ("a", "b", "c"), "bones": ((0, 1),), "root": None, "mirror": (0, 2, 1)}
    Skeleton(**good)  # type: ignore[arg-type]
    with pytest.raises(CoreError, match="Skeleton three"):
        Skeleton(**{**good, **change})  # type: ignore[arg-type]


def test_a_set_without_hips_has_no_root() -> None:
    face = Skeleton(name="face", joints=("nose",), bones=(), root=None, mirror=(0,))
    with pytest.raises(CoreError, match="left_hip"):
        face.root_position(np.zeros((1, 3)))
    assert face.bone_lengths(np.zeros((1, 3))).shape == (0,)
