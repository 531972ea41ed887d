"""Derivatives used by the bundle adjustment, against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from core.board.pattern import Board
from core.calibration.board.adjustment.bundle import linearise
from core.calibration.board.adjustment.motion_prior import acceleration_residuals
from core.calibration.board.adjustment.state import N_UNKNOWNS, BoardImages, Cameras
from core.calibration.board.adjustment.trajectory import Trajectory, interpolate, place_knots, poses_at
from core.geometry import project
from core.geometry.intrinsics import intrinsics_of, project_with_jacobian, with_intrinsics
from core.geometry.so3 import angle_rad, exp, log, mean, right_jacobian, right_jacobian_inverse
from core.synthetic.board_scene import board_scene
from core.synthetic.rigs import random_rig
from core.types.arrays import F64
from core.types.camera import Camera, DistortionModel

STEP = 1e-6
BOARD = Board(columns=8, rows=6, square_mm=100, marker_mm=75)


def test_rotations_and_their_vectors() -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate(
        [rng.normal(0, 1, (20, 3)), [[0, 0, 0], [1e-9, 0, 0], [np.pi - 1e-7, 0, 0], [0, 3.1, 0.2]]]
    )
    assert log(exp(vectors)) == pytest.approx(vectors, abs=1e-6)
    assert angle_rad(exp(vectors)) == pytest.approx(np.linalg.norm(vectors, axis=-1), abs=1e-6)
    d = rng.normal(0, 1e-6, vectors.shape)
    moved = log(np.swapaxes(exp(vectors), -1, -2) @ exp(vectors + d))
    assert (right_jacobian(vectors) @ d[..., None])[..., 0] == pytest.approx(moved, abs=1e-11)
    identity = right_jacobian_inverse(vectors[:20]) @ right_jacobian(vectors[:20])
    assert identity == pytest.approx(np.broadcast_to(np.eye(3), identity.shape), abs=1e-9)
    assert angle_rad(mean(exp(np.array([[0.1, 0, 0], [0.3, 0, 0]]))).T @ exp(np.array([0.2, 0, 0]))) < 1e-9


@pytest.mark.parametrize("distortion_model", ["pinhole", "fisheye"])
def test_projection_and_its_derivatives(distortion_model: DistortionModel) -> None:
    rng = np.random.default_rng(1)
    params = np.array([900, 910, 600, 400, -0.3, 0.1, 0.001, -0.002, 0.05, 0.02, -0.01, 0.005])
    if distortion_model == "fisheye":
        params[8:] = 0
    xyz = rng.normal(0, 1, (6, 3)) + [0, 0, 4]
    px, by_point, by_params = project_with_jacobian(distortion_model, params, xyz)
    K = np.array([[900, 0, 600], [0, 910, 400], [0, 0, 1.0]])
    count = 4 if distortion_model == "fisheye" else 8
    camera = Camera(
        name="a",
        size_px=(1280, 720),
        K=K,
        distortion=params[4 : 4 + count],
        distortion_model=distortion_model,
        R=np.eye(3),
        t_mm=np.zeros(3),
    )
    assert px == pytest.approx(project(camera, 1000 * xyz), abs=1e-9)
    assert intrinsics_of(with_intrinsics(camera, params)) == pytest.approx(params)

    def pixels(params: F64, xyz: F64) -> F64:
        return project_with_jacobian(distortion_model, params, xyz)[0]

    for i in range(12 if distortion_model == "pinhole" else 8):
        step = np.zeros(12)
        step[i] = STEP * max(1.0, abs(params[i]))
        change = (pixels(params + step, xyz) - pixels(params - step, xyz)) / (2 * step[i])
        assert by_params[:, :, i] == pytest.approx(change, abs=1e-5)
    for i in range(3):
        step = STEP * np.eye(3)[i]
        change = (pixels(params, xyz + step) - pixels(params, xyz - step)) / (2 * STEP)
        assert by_point[:, :, i] == pytest.approx(change, abs=1e-4)


def trajectory() -> Trajectory:
    rng = np.random.default_rng(2)
    time_s, segment = place_knots(np.array([0, 0.1, 0.2, 0.35, 1.2, 1.3, 2.5]), 0.1)
    R = exp(np.cumsum(rng.normal(0, 0.2, (len(time_s), 3)), 0))
    return Trajectory(time_s=time_s, segment=segment, R=R, t_mm=rng.normal(0, 100, (len(time_s), 3)))


def test_poses_between_knots_and_their_derivatives() -> None:
    path = trajectory()
    at = np.array([-0.05, 0.03, 0.17, 0.33, 0.41, 1.15, 1.26, 1.35, 2.48, 2.55])
    at_knots = interpolate(path.time_s, path.segment, at)
    assert at_knots.inside.all()
    assert at_knots.weight.sum(1) == pytest.approx(1)
    found = poses_at(path, at_knots)
    full = np.zeros((len(at), 6, len(path) * 6))
    for p in range(len(at)):
        for k in range(4):
            if at_knots.first[p] + k < len(path):
                full[p, :, 6 * (at_knots.first[p] + k) :][:, :6] += found.by_knots[p, :, 6 * k : 6 * k + 6]
    for column in range(len(path) * 6):
        step = np.zeros((len(path), 6))
        step[column // 6, column % 6] = STEP
        a, b = poses_at(path.retract(step), at_knots), poses_at(path.retract(-step), at_knots)
        rotation = log(np.swapaxes(b.R, -1, -2) @ a.R) / (2 * STEP)
        change = np.concatenate([rotation, (a.t_mm - b.t_mm) / (2 * STEP)], -1)
        assert full[:, :, column] == pytest.approx(change, abs=1e-6)
    a, b = (poses_at(path, interpolate(path.time_s, path.segment, at + s)) for s in (STEP, -STEP))
    rotation = log(np.swapaxes(b.R, -1, -2) @ a.R) / (2 * STEP)
    assert found.by_time == pytest.approx(np.concatenate([rotation, (a.t_mm - b.t_mm) / (2 * STEP)], -1), abs=1e-4)


def test_at_a_knot_the_pose_is_the_knot() -> None:
    path = trajectory()
    found = poses_at(path, interpolate(path.time_s, path.segment, path.time_s))
    assert found.t_mm == pytest.approx(path.t_mm, abs=1e-9)
    assert pytest.approx(path.R, abs=1e-9) == found.R
    assert not interpolate(path.time_s, path.segment, np.array([0.8, 3.5])).inside.any()


@pytest.mark.slow
def test_residuals_and_their_derivatives() -> None:
    rig = random_rig(np.random.default_rng(5), 3, size_px=(1280, 720))
    seen = board_scene(rig, BOARD, seed=1, seconds=3, time_offset_s=(0.02, -0.03, 0.0))
    images = BoardImages.of(seen)
    time_s, segment = place_knots(np.arange(30) / 10, 0.1)
    rng = np.random.default_rng(3)
    path = Trajectory(
        time_s=time_s,
        segment=segment,
        R=exp(rng.normal(0, 0.05, (len(time_s), 3))) @ np.diag([1.0, -1, -1]),
        t_mm=rng.normal(0, 20, (len(time_s), 3)) + (0, 0, 900),
    )
    cameras = Cameras(
        distortion_model=("pinhole",) * 3,
        intrinsics=np.stack([intrinsics_of(c) for c in rig]),
        R=np.stack([c.pose[0] for c in rig]),
        t_mm=np.stack([c.pose[1] for c in rig]),
        time_offset_s=np.array([0.02, -0.03, 0.0]),
    )
    linear = linearise(images, cameras, path, np.arange(N_UNKNOWNS))
    assert linear.usable.sum() > 200
    for unknown in range(N_UNKNOWNS - 4):
        step = np.zeros((3, N_UNKNOWNS))
        step[:, unknown] = size = 1e-5 if unknown < 7 else 1e-4
        a, b = (linearise(images, cameras.retract(s), path, None).residual for s in (step, -step))
        expected = (b - a) / (2 * size)
        assert linear.jacobian[..., 6 + unknown] == pytest.approx(expected, rel=2e-3, abs=2e-2), unknown


def test_accelerations_and_their_derivatives() -> None:
    path = trajectory()
    prior = (1.5, 300.0)
    residual, by = acceleration_residuals(path, prior)
    assert (residual[path.segment[:-2] != path.segment[2:]] == 0).all()
    for knot in range(3):
        for i in range(6):
            step = np.zeros((len(path), 6))
            step[1 + knot, i] = STEP
            ahead, behind = (acceleration_residuals(path.retract(d), prior)[0][1] for d in (step, -step))
            change = (ahead - behind) / (2 * STEP)
            assert by[1, :, 6 * knot + i] == pytest.approx(change, abs=1e-5)
