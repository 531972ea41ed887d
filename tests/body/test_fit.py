"""Fit of the body: derivatives, exact poses from noisy keypoints, outliers and gaps, hinges that bend the right way."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from demo_walk import MODEL, walk

from core.body.chain import BodyChain, Poses, Targets
from core.body.fit import fit_body
from core.errors import CoreError
from core.geometry.so3 import exp
from core.types.skeleton import COCO17


def test_gradients_are_those_of_the_cost() -> None:
    rng = np.random.default_rng(0)
    chain = BodyChain.of(MODEL, COCO17.joints)
    poses = Poses(exp(rng.normal(0, 1, (2, 3))), rng.normal(0, 500, (2, 3)), rng.normal(0, 0.4, (2, 16 - 1, 3)))
    xyz = chain.points(chain.bones(poses)) + rng.normal(0, 60, (2, 17, 3))
    targets = Targets(xyz, rng.normal(0, 0.1, (2, 17, 3, 3)))
    gradient, _ = chain.normal_equations(poses, targets)
    for u in range(gradient.shape[1]):
        step = np.zeros(gradient.shape)
        step[:, u] = 1e-3 if u < 3 else 1e-6
        numeric = (chain.cost(poses.moved(step), targets) - chain.cost(poses.moved(-step), targets)) / (4 * step[:, u])
        np.testing.assert_allclose(gradient[:, u], numeric, rtol=2e-3, atol=1e-4 * np.abs(gradient).max())


@pytest.mark.parametrize(("missing", "outliers", "most_mm"), [(0.0, 0.0, 11.0), (0.15, 0.05, 14.0)])
def test_joints_are_found_through_noise_gaps_and_outliers(missing: float, outliers: float, most_mm: float) -> None:
    rng = np.random.default_rng(3)
    for person in range(2):
        joints, exact = walk(person, 120)
        xyz = exact + rng.normal(0, 20 / np.sqrt(3), exact.shape)
        wrong = rng.random(xyz.shape[:2]) < outliers
        xyz[wrong] += rng.normal(0, 250, (wrong.sum(), 3))
        xyz[rng.random(xyz.shape[:2]) < missing] = np.nan
        fit = fit_body(MODEL, COCO17.joints, xyz, np.arange(len(xyz)) / 30)
        error = np.linalg.norm(fit.joints_mm - joints, axis=-1)
        seen = [j for j, name in enumerate(MODEL.joints) if "foot" not in name and "hand" not in name]
        assert error[:, seen].mean() < most_mm
        assert error[:, seen].max() < 150, "no limb is lost"
        assert np.degrees(fit.flexion_rad).min() > -5, "no knee or elbow bends backwards"
        points = np.linalg.norm(fit.keypoints_mm - exact, axis=-1)
        assert points.mean() < 0.75 * np.linalg.norm(xyz - exact, axis=-1)[np.isfinite(xyz).all(-1) & ~wrong].mean()


def test_legs_that_are_never_seen_are_relaxed() -> None:
    joints, exact = walk(0, 60)
    exact[:, [COCO17.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]] = np.nan
    fit = fit_body(MODEL, COCO17.joints, exact, np.arange(len(exact)) / 30)
    assert np.isfinite(fit.joints_mm).all()
    upper = [MODEL.joints.index(name) for name in ("left_shoulder", "right_elbow", "left_wrist", "head", "pelvis")]
    assert np.linalg.norm(fit.joints_mm - joints, axis=-1)[:, upper].mean() < 15
    assert (np.degrees(fit.flexion_rad[:, :2]) < 60).all()


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(CoreError, match="no keypoint 'tail'"):
        fit_body(MODEL, ("tail",), np.zeros((5, 1, 3)), np.arange(5) / 30)
    with pytest.raises(CoreError, match="Too few joints"):
        fit_body(MODEL, COCO17.joints, np.full((5, 17, 3), np.nan), np.arange(5) / 30)


def test_a_runner_is_seen_from_the_first_frame_to_the_last() -> None:
    _, exact = walk(0, 30)
    exact += np.arange(30)[:, None, None] * np.array([200.0, 0, 0])  # 6 m/s
    fit = fit_body(MODEL, COCO17.joints, exact, np.arange(30) / 30)
    assert fit.used.all()
    assert np.linalg.norm(fit.keypoints_mm - exact, axis=-1).max() < 40
