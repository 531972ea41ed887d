"""Benchmark on real takes: its choice of cameras, and its metrics on errors that are known."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from core.evaluation.loco import ViewErrors, ViewObservations
from core.types.pose2d import Pose2D
from core.types.skeleton import COCO17

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CAMERAS = ("a", "b", "c", "d")
FRAMES, JOINTS, HEIGHT_PX = 100, 17, 200.0


@pytest.fixture
def bench_real(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("bench_real")


def errors_of(error_px: float, missing: float = 0.0) -> ViewErrors:
    """Return errors of one person; in a share `missing` of the cameras no joint is predicted."""
    shape = (FRAMES, 1, JOINTS)
    seen = ViewObservations(
        skeleton=COCO17,
        gate=0.5,
        frames=np.arange(FRAMES),
        xy_px={c: np.zeros((*shape, 2)) for c in CAMERAS},
        size_px={c: np.full(shape[:2], HEIGHT_PX) for c in CAMERAS},
    )
    spread = np.random.default_rng(0).normal(0, 1, shape)
    values = dict.fromkeys(CAMERAS, error_px + spread)
    for camera in CAMERAS[: round(missing * len(CAMERAS))]:
        values[camera] = np.full(shape, np.nan)
    return ViewErrors(error_px=values, observations=seen, time_s=np.arange(FRAMES) / 30, joints=np.ones(JOINTS, bool))


def test_every_camera_is_predicted_from_the_wanted_number_of_others(bench_real: ModuleType) -> None:
    assert bench_real.choices(CAMERAS, 0) == [{c: tuple(o for o in CAMERAS if o != c) for c in CAMERAS}]
    pairs = bench_real.choices(CAMERAS, 2)
    for camera in CAMERAS:
        used = [choice[camera] for choice in pairs]
        assert len(set(used)) == 3
        assert all(camera not in pair and len(pair) == 2 for pair in used)


def test_each_camera_gets_another_order_of_the_same_frames(bench_real: ModuleType) -> None:
    xy = np.broadcast_to(np.arange(FRAMES, dtype=np.float32)[:, None, None, None], (FRAMES, 1, JOINTS, 2))
    poses = {
        c: Pose2D(
            camera=c,
            skeleton=COCO17,
            xy_px=xy,
            score=np.ones((FRAMES, 1, JOINTS), np.float32),
            box_px=np.zeros((FRAMES, 1, 4), np.float32),
        )
        for c in CAMERAS[:2]
    }
    first, second = (pose.xy_px[:, 0, 0, 0] for pose in bench_real.exchanged(poses).values())
    assert sorted(first) == sorted(second) == list(range(FRAMES))
    assert (first == second).mean() < 0.1


def test_seeds_are_measured_together(bench_real: ModuleType) -> None:
    smoothed = bench_real.Row(errors=[errors_of(10)])
    row = bench_real.Row(errors=[errors_of(8), errors_of(6)], per_frame=[1.0, 1.0], seconds=60.0)
    found = bench_real.summary(row, smoothed)
    assert found["all"]["mean_px"] == pytest.approx(7, abs=0.1)
    assert found["all"]["difference_px"][2] < 0
    assert [round(seed["median_px"]) for seed in found["seeds"]] == [8, 6]
    assert set(found["cameras"]) == set(CAMERAS)
    assert (found["seconds"], found["alone"]) == (30.0, None)


def test_a_missing_joint_is_an_error_of_the_method(bench_real: ModuleType) -> None:
    found = bench_real.compared(errors_of(8, missing=0.25), errors_of(10))
    assert found["joints"] == found["people"] == pytest.approx(0.75)
    assert found["mean_px"] == pytest.approx(8, abs=0.1)
    assert found["all_percent"] == pytest.approx(0.75 * 4 + 0.25 * 50, abs=0.1)
    assert found["better"] != "yes"
