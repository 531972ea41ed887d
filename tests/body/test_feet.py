"""Feet that rest neither slide nor sink into the floor, and people on a box stay on it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from demo_walk import MODEL, walk

from core.body.chain import BodyChain
from core.body.fit import BodyFit, BodyFitConfig, fit_body
from core.types.skeleton import COCO17

FRAMES = 90
ANKLES = [MODEL.joints.index(f"{side}_ankle") for side in ("left", "right")]
LIFTED_MM = 16.0
"""Height of the soles of the demo walk over the floor."""


def lowest_mm(fit: BodyFit) -> np.ndarray:
    rest = MODEL.rest(fit.betas[None])
    bones = MODEL.transforms(np.repeat(rest.joints_mm, FRAMES, 0), fit.rotations, fit.pelvis_mm)
    vertices, _ = MODEL.skin(np.repeat(rest.vertices_mm, FRAMES, 0)[::3], type(bones)(bones.R[::3], bones.t_mm[::3]))
    return np.asarray(vertices[..., 2].min(1))


@pytest.fixture(scope="module")
def fits() -> dict[bool, tuple[BodyFit, np.ndarray]]:
    """Return fits with and without feet, and the exact joints; feet touch the floor."""
    joints, exact = walk(0, FRAMES)
    noisy = exact + np.random.default_rng(1).normal(0, 20 / np.sqrt(3), exact.shape)
    down = np.array([0, 0, -LIFTED_MM])
    times = np.arange(FRAMES) / 30
    fitted = {on: fit_body(MODEL, COCO17.joints, noisy + down, times, BodyFitConfig(feet=on)) for on in (False, True)}
    return {on: (fit, joints + down) for on, fit in fitted.items()}


def test_feet_stay_out_of_the_floor_and_do_not_slide(fits: dict[bool, tuple[BodyFit, np.ndarray]]) -> None:
    slide_mm, error_mm = {}, {}
    for on, (fit, joints) in fits.items():
        error_mm[on] = np.linalg.norm(fit.joints_mm - joints, axis=-1)[:, ANKLES].mean()
        still = np.linalg.norm(np.diff(joints[:, ANKLES], axis=0), axis=-1) < 2.0
        slide_mm[on] = np.linalg.norm(np.diff(fit.joints_mm[:, ANKLES], axis=0), axis=-1)[still].mean()
    assert lowest_mm(fits[False][0]).min() < -40 < -20 < lowest_mm(fits[True][0]).min()
    assert slide_mm[True] < 0.4 * slide_mm[False]
    assert error_mm[True] < error_mm[False] + 3
    assert fits[True][0].on_floor and abs(fits[True][0].floor_gap_mm) < 10
    assert not fits[False][0].on_floor and np.isnan(fits[False][0].floor_gap_mm)


def test_feet_do_not_slide_where_noise_alone_looks_like_motion() -> None:
    joints, exact = walk(0, FRAMES)
    noisy = exact + np.random.default_rng(1).normal(0, 40 / np.sqrt(3), exact.shape)
    fit = fit_body(MODEL, COCO17.joints, noisy, np.arange(FRAMES) / 30)
    still = np.linalg.norm(np.diff(joints[:, ANKLES], axis=0), axis=-1) < 2.0
    slide_mm = np.linalg.norm(np.diff(fit.joints_mm[:, ANKLES], axis=0), axis=-1)[still].mean()
    assert slide_mm < 8, "mm a frame; 23 without averaging"


def test_observed_joints_are_those_of_the_drawn_body(fits: dict[bool, tuple[BodyFit, np.ndarray]]) -> None:
    fit = fits[True][0]
    chain = BodyChain.of(MODEL, COCO17.joints).shaped(fit.betas, fit.offsets_mm)
    rest = np.repeat(chain.rest_joints_mm[None], FRAMES, 0)
    points = chain.points(MODEL.transforms(rest, fit.rotations, fit.pelvis_mm))
    np.testing.assert_allclose(fit.keypoints_mm, points, atol=1e-6)


@pytest.mark.parametrize("height_mm", [300.0, 40.0, -40.0])
def test_people_who_rest_elsewhere_than_on_the_floor_stay_there(height_mm: float) -> None:
    """A box, and a floor that is not where the calibration has it."""
    joints, exact = walk(0, FRAMES)
    up = np.array([0, 0, height_mm - LIFTED_MM])
    fit = fit_body(MODEL, COCO17.joints, exact + up, np.arange(FRAMES) / 30)
    assert abs((fit.joints_mm - joints - up)[:, ANKLES, 2].mean()) < 8
    assert not fit.on_floor and abs(fit.floor_gap_mm - height_mm) < 10
