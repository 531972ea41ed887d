"""Findings on calibrations from people: each kind of result that must not be adopted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.calibration.people.findings import PeopleMetrics, assess_people
from core.calibration.people.held_out import HeldOutScore, blocks_of_frames, gain_interval
from core.synthetic.rigs import ring_rig
from core.types import CameraRig

RIG = ring_rig(4)


def score(mean: float, rng: np.random.Generator, blocks: int = 12) -> HeldOutScore:
    """Score of 4 cameras with 100 joints a block, whose difficulty varies from block to block."""
    hard = np.random.default_rng(5).normal(0, 0.1, blocks)
    values = np.clip(mean + hard + rng.normal(0, 0.002, (4, blocks)), 0, 1)
    errors = tuple(np.full(10, 10.0 * (1 - mean)) for _ in range(4))
    return HeldOutScore(score=100 * values, count=np.full((4, blocks), 100.0), errors_px=errors)


def metrics(rig: CameraRig = RIG, after: float = 0.6, **changes: object) -> PeopleMetrics:
    rng = np.random.default_rng(0)
    found = PeopleMetrics(
        rig=rig,
        missing={},
        rotation_sd_deg={"cam02": 0.05},
        position_sd_mm={"cam02": 2.0},
        time_offset_sd_s={"cam02": 0.001},
        time_offset=True,
        noise_px=3.0,
        inlier_share=dict.fromkeys(rig.names, 0.95),
        frames=100,
        area_m2=8.0,
        tilt_deg=1.0,
        scale="",
        change="cam02 turned by 0.6 degrees; nothing else changed.",
        comparison=(score(0.5, rng), score(after, rng)),
    )
    return dataclasses.replace(found, **changes)


def levels(found: PeopleMetrics) -> dict[str, str]:
    return {f.check: f.level for f in assess_people(found) if f.level != "ok"}


def test_a_good_repair_has_no_finding_and_says_what_changed() -> None:
    assert levels(metrics()) == {}
    (change,) = [f for f in assess_people(metrics()) if f.check == "change"]
    assert change.message.startswith("cam02 turned by 0.6 degrees; nothing else changed. Joints are predicted")
    assert "4.0 px in cam01 (5.0 before)" in change.message


def test_a_change_that_predicts_people_no_better_is_an_error() -> None:
    assert levels(metrics(after=0.49)) == {"change": "error"}


def test_a_camera_far_off_in_time_is_an_error() -> None:
    late = CameraRig(cameras=(RIG[0], RIG[1].replace(time_offset_s=0.773), *RIG.cameras[2:]))
    (found,) = [f for f in assess_people(metrics(late)) if f.level == "error"]
    assert (found.check, found.camera) == ("time_offset", "cam02")
    assert "773 ms" in found.message
    assert found.remedy


def test_little_evidence_is_an_error_of_a_new_rig_and_a_warning_of_a_repair() -> None:
    few = {"frames": 10, "area_m2": 0.1}
    assert levels(metrics(**few)) == {"frames": "warning", "area": "warning"}
    assert levels(metrics(scale="The scale is assumed.", **few)) == {"frames": "error", "area": "error"}


def test_the_gain_of_a_candidate_is_paired_over_blocks() -> None:
    """Blocks differ by far more than the candidates; the same blocks are compared."""
    rng = np.random.default_rng(1)
    old, new = score(0.5, rng), score(0.52, rng)
    lower, gain = gain_interval(new, old)
    assert gain == pytest.approx(0.02, abs=0.002)
    assert 0.015 < lower < gain
    assert gain_interval(score(0.5, rng), old)[0] < 0


def test_blocks_cover_the_time_evenly() -> None:
    for seconds, count in ((1.6, 8), (15.0, 15), (300.0, 30)):
        block = blocks_of_frames(np.linspace(3.0, 3.0 + seconds, 120))
        assert np.bincount(block).tolist() == pytest.approx([120 / count] * count, abs=1)
