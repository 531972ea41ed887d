"""Body model: skinning equals a plain reference, people have human size, damaged models are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.body.model import BODY_TO_WORLD, BodyModel
from core.body.models.free import free_body
from core.errors import CoreError
from core.geometry.so3 import exp


def reference(model: BodyModel, beta: np.ndarray, rotations: np.ndarray, pelvis: np.ndarray) -> tuple[list, np.ndarray]:
    """Skin one body by the definition, with 4x4 matrices and a loop over vertices."""
    joints = model.joint_template_mm + model.joint_dirs_mm @ beta
    world: list[np.ndarray] = []
    for j, parent in enumerate(model.parents):
        local = np.eye(4)
        local[:3, :3] = rotations[j]
        local[:3, 3] = pelvis if parent < 0 else joints[j] - joints[parent]
        world.append(local if parent < 0 else world[parent] @ local)
    vertices = []
    for v in range(0, len(model.template_mm), 50):
        rest = model.template_mm[v].astype(float) + model.shape_dirs_mm[v].astype(float) @ beta
        point = np.zeros(3)
        for j in np.flatnonzero(model.weights[v]):
            point += model.weights[v, j] * (world[j][:3, :3] @ (rest - joints[j]) + world[j][:3, 3])
        vertices.append(point)
    return vertices, np.array([w[:3, 3] for w in world])


def test_skinning_equals_the_definition() -> None:
    model, rng = free_body(), np.random.default_rng(1)
    betas = rng.normal(0, 1, (3, model.n_shape))
    rotations = exp(rng.normal(0, 0.5, (3, len(model.joints), 3)))
    pelvis = rng.normal(0, 2000, (3, 3))
    rest = model.rest(betas)
    bones = model.transforms(rest.joints_mm, rotations, pelvis)
    vertices, _ = model.skin(rest.vertices_mm, bones)
    joints = model.posed_joints(rest.joints_mm, bones)
    for p in range(3):
        expected, expected_joints = reference(model, betas[p], rotations[p], pelvis[p])
        np.testing.assert_allclose(vertices[p, ::50], expected, atol=0.01)
        np.testing.assert_allclose(joints[p], expected_joints, atol=1e-6)


def test_the_embedded_body_stands_upright_and_has_its_keypoints_where_people_have_them() -> None:
    model = free_body()
    rest = model.rest(np.zeros((1, model.n_shape)))
    rotations = np.broadcast_to(np.eye(3), (1, len(model.joints), 3, 3)).copy()
    rotations[:, 0] = BODY_TO_WORLD
    bones = model.transforms(rest.joints_mm, rotations, np.zeros((1, 3)))
    vertices, _ = model.skin(rest.vertices_mm, bones)
    assert 1600 < np.ptp(vertices[0, :, 2]) < 1800
    points = dict(zip(model.keypoints, model.posed_keypoints(rest.keypoints_mm, bones)[0], strict=True))
    assert points["nose"][0] > points["left_ear"][0] + 50, "faces along x"
    assert points["left_wrist"][1] > 500 > -500 > points["right_wrist"][1], "left is along y"
    assert points["left_ear"][2] > points["left_shoulder"][2] > points["left_hip"][2] > points["left_heel"][2]
    a, b, c = (rest.vertices_mm[0, model.faces[:, k]].astype(float) for k in range(3))
    volume_l = (np.cross(a, b) * c).sum() / 6e6
    assert 40 < volume_l < 110, "faces are counter-clockwise seen from outside"


def test_damaged_models_are_refused() -> None:
    model = free_body()
    with pytest.raises(CoreError, match="not a tree"):
        dataclasses.replace(model, parents=np.roll(model.parents, 1))
    with pytest.raises(CoreError, match="out of range"):
        dataclasses.replace(model, faces=model.faces + 1)
    with pytest.raises(CoreError, match="sum to 1"):
        dataclasses.replace(model, weights=model.weights * 2)
    with pytest.raises(CoreError, match="template_mm should have shape"):
        dataclasses.replace(model, template_mm=np.zeros((5, 2)))
