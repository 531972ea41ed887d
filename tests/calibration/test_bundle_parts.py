"""Derivatives that the bundle adjustment rests on, against differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.board.pattern import Board
from core.calibration.board.bundle import N_UNKNOWNS, Cameras, Images, _bends, _linearise
from core.calibration.board.initialization import numbers_of, with_numbers
from core.calibration.board.trajectory import Trajectory, blend, knots, poses_at
from core.geometry import project
from core.geometry.intrinsics import image
from core.geometry.so3 import angle_rad, exp, log, mean, right_jacobian, right_jacobian_inverse
from core.synthetic.board_scene import board_scene
from core.synthetic.rigs import random_rig
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


@pytest.mark.parametrize("lens", ["pinhole", "fisheye"])
def test_the_lens_and_its_derivatives(lens: DistortionModel) -> None:
    rng = np.random.default_rng(1)
    numbers = np.array([900, 910, 600, 400, -0.3, 0.1, 0.001, -0.002, 0.05, 0.02, -0.01, 0.005])
    if lens == "fisheye":
        numbers[8:] = 0
    xyz = rng.normal(0, 1, (6, 3)) + [0, 0, 4]
    px, by_point, by_numbers = image(lens, numbers, xyz)
    K = np.array([[900, 0, 600], [0, 910, 400], [0, 0, 1.0]])
    count = 4 if lens == "fisheye" else 8
    camera = Camera(
        name="a",
        size_px=(1280, 720),
        K=K,
        distortion=numbers[4 : 4 + count],
        distortion_model=lens,
        R=np.eye(3),
        t_mm=np.zeros(3),
    )
    assert px == pytest.approx(project(camera, 1000 * xyz), abs=1e-9)
    assert numbers_of(with_numbers(camera, numbers)) == pytest.approx(numbers)
    for i in range(12 if lens == "pinhole" else 8):
        step = np.zeros(12)
        step[i] = STEP * max(1.0, abs(numbers[i]))
        change = (image(lens, numbers + step, xyz)[0] - image(lens, numbers - step, xyz)[0]) / (2 * step[i])
        assert by_numbers[:, :, i] == pytest.approx(change, abs=1e-5)
    for i in range(3):
        step = STEP * np.eye(3)[i]
        change = (image(lens, numbers, xyz + step)[0] - image(lens, numbers, xyz - step)[0]) / (2 * STEP)
        assert by_point[:, :, i] == pytest.approx(change, abs=1e-4)


def way() -> Trajectory:
    rng = np.random.default_rng(2)
    time_s, piece = knots(np.array([0, 0.1, 0.2, 0.35, 1.2, 1.3, 2.5]), 0.1)
    R = exp(np.cumsum(rng.normal(0, 0.2, (len(time_s), 3)), 0))
    return Trajectory(time_s=time_s, piece=piece, R=R, t_mm=rng.normal(0, 100, (len(time_s), 3)))


def test_poses_between_knots_and_their_derivatives() -> None:
    path = way()
    at = np.array([-0.05, 0.03, 0.17, 0.33, 0.41, 1.15, 1.26, 1.35, 2.48, 2.55])
    mix = blend(path.time_s, path.piece, at)
    assert mix.inside.all()
    assert mix.weight.sum(1) == pytest.approx(1)
    found = poses_at(path, mix)
    full = np.zeros((len(at), 6, len(path) * 6))
    for p in range(len(at)):
        for k in range(4):
            if mix.first[p] + k < len(path):
                full[p, :, 6 * (mix.first[p] + k) :][:, :6] += found.by_knots[p, :, 6 * k : 6 * k + 6]
    for column in range(len(path) * 6):
        step = np.zeros((len(path), 6))
        step[column // 6, column % 6] = STEP
        a, b = poses_at(path.moved(step), mix), poses_at(path.moved(-step), mix)
        turn = log(np.swapaxes(b.R, -1, -2) @ a.R) / (2 * STEP)
        change = np.concatenate([turn, (a.t_mm - b.t_mm) / (2 * STEP)], -1)
        assert full[:, :, column] == pytest.approx(change, abs=1e-6)
    a, b = (poses_at(path, blend(path.time_s, path.piece, at + s)) for s in (STEP, -STEP))
    turn = log(np.swapaxes(b.R, -1, -2) @ a.R) / (2 * STEP)
    assert found.by_time == pytest.approx(np.concatenate([turn, (a.t_mm - b.t_mm) / (2 * STEP)], -1), abs=1e-4)


def test_at_a_knot_the_pose_is_the_knot() -> None:
    path = way()
    found = poses_at(path, blend(path.time_s, path.piece, path.time_s))
    assert found.t_mm == pytest.approx(path.t_mm, abs=1e-9)
    assert pytest.approx(path.R, abs=1e-9) == found.R
    assert not blend(path.time_s, path.piece, np.array([0.8, 3.5])).inside.any()


def test_residuals_and_their_derivatives() -> None:
    rig = random_rig(np.random.default_rng(5), 3, size_px=(1280, 720))
    seen = board_scene(rig, BOARD, seed=1, seconds=3, time_offset_s=(0.02, -0.03, 0.0))
    images = Images.of(seen)
    time_s, piece = knots(np.arange(30) / 10, 0.1)
    rng = np.random.default_rng(3)
    path = Trajectory(
        time_s=time_s,
        piece=piece,
        R=exp(rng.normal(0, 0.05, (len(time_s), 3))) @ np.diag([1.0, -1, -1]),
        t_mm=rng.normal(0, 20, (len(time_s), 3)) + (0, 0, 900),
    )
    cameras = Cameras(
        distortion_model=("pinhole",) * 3,
        numbers=np.stack([numbers_of(c) for c in rig]),
        R=np.stack([c.pose[0] for c in rig]),
        t_mm=np.stack([c.pose[1] for c in rig]),
        time_offset_s=np.array([0.02, -0.03, 0.0]),
    )
    linear, _ = _linearise(images, cameras, path, np.arange(N_UNKNOWNS))
    assert linear.usable.sum() > 200
    for unknown in range(N_UNKNOWNS - 4):
        step = np.zeros((3, N_UNKNOWNS))
        step[:, unknown] = size = 1e-5 if unknown < 7 else 1e-4
        a, b = (_linearise(images, cameras.moved(s), path, None)[0].residual for s in (step, -step))
        expected = (b - a) / (2 * size)
        assert linear.jacobian[..., 6 + unknown] == pytest.approx(expected, rel=2e-3, abs=2e-2), unknown


def test_accelerations_and_their_derivatives() -> None:
    path = way()
    usual = (1.5, 300.0)
    bend, by = _bends(path, usual)
    assert (bend[path.piece[:-2] != path.piece[2:]] == 0).all()
    for knot in range(3):
        for i in range(6):
            step = np.zeros((len(path), 6))
            step[1 + knot, i] = STEP
            change = (_bends(path.moved(step), usual)[0] - _bends(path.moved(-step), usual)[0])[1] / (2 * STEP)
            assert by[1, :, 6 * knot + i] == pytest.approx(change, abs=1e-5)


def test_copies_of_the_world_lie_apart() -> None:
    rig = random_rig(np.random.default_rng(5), 3, size_px=(1280, 720))
    images = Images.of(board_scene(rig, BOARD, seed=1, seconds=3))
    half = np.arange(len(images)) % 2 == 0
    both, rows = images.apart([np.flatnonzero(half), np.flatnonzero(~half)], np.array([0, 3]))
    assert sorted(rows) == list(range(len(images)))
    assert (np.diff(both.view) >= 0).all()
    assert ((both.view >= 3) == ~half[rows]).all()
    assert both.time_s[both.view >= 3].min() - both.time_s[both.view < 3].max() > 10
    assert dataclasses.is_dataclass(both)
