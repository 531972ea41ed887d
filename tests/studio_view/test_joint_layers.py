"""Joints by side and by confidence, and the ellipsoids of their uncertainty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.types import COCO17, CameraRig, Pose3DSequence
from studio.theme import DARK
from studio.viewport.layers.ellipsoids import SHOW_UNCERTAINTY, EllipsoidLayer, posed_spheres
from studio.viewport.layers.shadows import cast_blobs, people_shadows
from studio.viewport.layers.skeletons import (
    SHOW_CONFIDENCE,
    SHOW_SIDES,
    SkeletonLayer,
    confidence_colours,
    skeleton_capsules,
)
from studio.viewport.layers.spec import ViewOptions
from studio.viewport.palette import palette, rgba
from studio.viewport.scene import build_scene_layers
from studio.viewport.scene_data import SceneData

PALETTE = palette(DARK)


def test_sides_and_confidence_colour_the_skeletons(rig: CameraRig, poses: Pose3DSequence) -> None:
    data, options = SceneData.build(rig, poses), ViewOptions().with_option(SHOW_SIDES, True)
    layer = build_scene_layers(data, 0.0, options, PALETTE).layers["skeletons"]
    assert isinstance(layer, SkeletonLayer) and layer.joint_colour is not None and layer.bone_colour is not None
    skeleton = poses.skeleton
    left, right, nose = skeleton.indices("left_knee", "right_knee", "nose")
    np.testing.assert_array_equal(layer.joint_colour[0, [left, right, nose]], PALETTE.sides)
    bones = layer.bones.tolist()
    for ends, side in (
        (("left_knee", "left_ankle"), 0),
        (("right_hip", "right_knee"), 1),
        (("left_hip", "right_hip"), 2),
    ):
        bone = bones.index(skeleton.indices(*ends))
        np.testing.assert_array_equal(layer.bone_colour[1, bone], PALETTE.sides[side])
    both = options.with_option(SHOW_CONFIDENCE, True)
    mixed = build_scene_layers(data, 0.0, both, PALETTE).layers["skeletons"]
    np.testing.assert_array_equal(mixed.joint_colour, confidence_colours(mixed.score, PALETTE))
    np.testing.assert_array_equal(mixed.bone_colour, layer.bone_colour)
    plain, coloured = (skeleton_capsules(one)[1] for one in (replace(layer, joint_colour=None), layer))
    assert (plain.colour[0, :3] == rgba(DARK.person(0))[:3]).all()
    assert {tuple(c) for c in coloured.colour[:, :3]} == {tuple(c) for c in PALETTE.sides[:, :3]}


def test_the_scale_of_confidence_goes_from_poor_to_good() -> None:
    colours = confidence_colours(np.array([0.0, 0.5, 1.0, 0.75]), PALETTE)
    np.testing.assert_allclose(colours[:3], PALETTE.levels[::-1])
    np.testing.assert_allclose(colours[3], PALETTE.levels[:2].mean(0), atol=1e-6)


def test_ellipsoids_hold_the_joint_with_95_percent(rig: CameraRig, poses: Pose3DSequence) -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(3, 3)) * (30, 10, 5)
    covariance = np.broadcast_to(root @ root.T, (*poses.score.shape, 3, 3)).astype(np.float32)
    data = SceneData.build(rig, replace(poses, covariance_mm2=covariance))
    options = ViewOptions().with_option(SHOW_UNCERTAINTY, True)
    layer = build_scene_layers(data, 0.0, options, PALETTE).layers["ellipsoids"]
    assert isinstance(layer, EllipsoidLayer)
    assert len(layer.centre_mm) == np.isfinite(poses.xyz_mm[0]).all(-1).sum()
    draws = rng.multivariate_normal(np.zeros(3), root @ root.T, 20_000)
    inside = np.linalg.norm(draws @ np.linalg.inv(layer.axes_mm[0]).T, axis=-1) < 1
    assert inside.mean() == pytest.approx(0.95, abs=0.005)
    sphere = rng.normal(size=(50, 3))
    sphere /= np.linalg.norm(sphere, axis=-1, keepdims=True)
    points, normals = posed_spheres(layer, sphere)
    assert points.shape == normals.shape == (50 * len(layer.centre_mm), 3)
    # A normal of the surface x' M x = 1 is parallel to M x.
    gradient = (points[:50] - layer.centre_mm[0]) @ np.linalg.inv(layer.axes_mm[0] @ layer.axes_mm[0].T)
    gradient /= np.linalg.norm(gradient, axis=-1, keepdims=True)
    np.testing.assert_allclose(normals[:50], gradient, atol=1e-3)
    assert "ellipsoids" not in build_scene_layers(SceneData.build(rig, poses), 0.0, options, PALETTE).layers


def test_figures_taper_and_cast_shadows_away_from_the_light() -> None:
    skeleton = COCO17
    xyz_mm = np.zeros((1, len(skeleton), 3))
    xyz_mm[0, :, 2] = 1000.0
    xyz_mm[0, skeleton.index("left_hip"), 2] = 900.0
    xyz_mm[0, skeleton.index("left_ear")] = xyz_mm[0, skeleton.index("right_ear")] = (0, 0, 1700.0)
    layer = SkeletonLayer.build(skeleton, xyz_mm, np.ones(xyz_mm.shape[:2]), [PALETTE.person(0)])
    bones, joints, head = skeleton_capsules(layer)
    thigh = skeleton.bones.index(tuple(map(skeleton.index, ("left_hip", "left_knee"))))
    assert bones.radius[thigh, 0] > 1.3 * bones.radius[thigh, 1]
    assert (joints.radius[:, 0] == joints.radius[:, 1]).all()
    np.testing.assert_array_equal(head.start, [[0, 0, 1700.0]])
    shadows = people_shadows(skeleton, xyz_mm, xyz_mm[:, 0], PALETTE)
    cast = cast_blobs(shadows)
    middle_mm = shadows.limb_mm[..., 2].mean(1)
    shift = np.linalg.norm(cast.centre, axis=1)
    np.testing.assert_allclose(shift / middle_mm, shift[0] / middle_mm[0])
    assert (np.diff(cast.colour[np.argsort(middle_mm), 3]) <= 0).all(), "fainter with height"
