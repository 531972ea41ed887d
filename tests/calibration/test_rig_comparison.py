"""Cameras compared by the people in a take: moved cameras, late ones, and rigs that are right."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from core.calibration.people.bundle import CameraPoses
from core.calibration.people.compare import compare_cameras
from core.calibration.people.config import PeopleConfig
from core.calibration.people.registration import PeopleRegistration
from core.calibration.people.time_search import TimeOffsets, search_time_offsets
from core.calibration.sync.certificate import SyncCertificate
from core.errors import CoreError
from core.geometry import project
from core.geometry.so3 import exp
from core.pipelines.params import CertifyParams
from core.pipelines.rig.certify import run_certify
from core.progress import NullReporter
from core.session.align import image_times_s, nearest_rows, shown_timeline
from core.session.inputs import input_digests
from core.synthetic.confusions import Confusions
from core.synthetic.estimator_errors import ErrorBank
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.people_scene import PeopleScene, record_people
from core.synthetic.rigs import ring_rig
from core.synthetic.scenes import build_scene
from core.types import CameraRig

sys.path.insert(0, str(Path(__file__).parent))
from late_cameras import error_mm, late_take, session_of, strollers, triangulated

slow = pytest.mark.slow


def search(rig: CameraRig, scene: PeopleScene) -> TimeOffsets:
    work = PeopleRegistration.of(rig, scene.poses2d, scene.time_s, PeopleConfig(), NullReporter())
    poses: CameraPoses = work.rig_poses()
    return search_time_offsets(work.tracks, poses, work.at_s, work.tolerance_px, NullReporter())


@pytest.mark.parametrize(
    ("offsets_s", "seconds", "people"),
    [
        ((-0.2, 0.0, 0.0, 0.0), 2.0, 2),
        ((-1.5, 0.0, 0.0, 0.0), 10.0, 2),
        ((-1.2, 0.7, 0.0, 0.3), 10.0, 2),
        ((0.5, -0.9, 0.0), 8.0, 2),
        ((0.0, 0.0, 0.0, 0.0), 4.0, 3),
    ],
)
def test_search_finds_offsets_of_seconds(offsets_s: tuple[float, ...], seconds: float, people: int) -> None:
    """Whoever is late matches nobody at the recorded times; offsets are found to an image."""
    rig = ring_rig(len(offsets_s))
    scene = record_people(rig, people=people, seed=5, seconds=seconds, time_offset_s=offsets_s)
    found = search(rig, scene).time_offset_s
    np.testing.assert_allclose(found - np.median(found), offsets_s - np.median(offsets_s), atol=0.035)


def test_search_names_the_camera_that_agrees_with_nobody() -> None:
    rig = ring_rig(4)
    scene = record_people(rig, people=2, seed=6, seconds=5.0)
    turned = list(rig.cameras)
    R, _ = turned[1].pose
    R = exp(np.radians(12) * np.array([0.0, 1.0, 0.0])) @ R
    turned[1] = turned[1].replace(R=R, t_mm=-R @ turned[1].centre_mm)
    agreement = search(CameraRig(cameras=tuple(turned)), scene).agreement
    assert int(np.argmin(agreement)) == 1
    assert agreement[1] < 0.5 * agreement[0]


@slow
def test_late_cameras_are_told_from_moved_ones() -> None:
    """One camera is 0.6 s late and another one 0.213 s early: two offsets, and no pose, are the reason."""
    rig = ring_rig(4)
    scene = record_people(rig, people=2, seed=8, seconds=10.0, time_offset_s=(0.0, -0.6, 0.0, 0.213))
    found = compare_cameras(rig, scene.poses2d, scene.time_s, "", NullReporter())
    assert found.action == "certify"
    assert found.message.startswith("cam02 and cam04 do not fit what the other cameras see: ")
    assert "cam02 started 0.60 s late. cam04 started 0.21 s early." in found.message
    assert found.time_offset_s == pytest.approx({"cam02": -0.6, "cam04": 0.213}, abs=0.006)
    assert all(after < 0.7 * before for before, after in (found.loco_px[n] for n in ("cam02", "cam04")))


@slow
@pytest.mark.parametrize(("scene", "seed"), [("pair", 1), ("few", 2), ("group", 3), ("random", 4)])
def test_right_rigs_raise_no_alarm(scene: str, seed: int) -> None:
    """Detections with measured errors of a real estimator, occlusion, false people and exchanged limbs."""
    rig = build_scene(scene, seed, 2).rig
    rng = np.random.default_rng(seed)
    people = walkers(2, 150, rng)
    poses2d = observe(
        rig,
        people,
        miss=0.05,
        rng=rng,
        false_people=0.05,
        confusions=Confusions(rig_deg=0.0),
        occlusion=True,
        errors=ErrorBank.load("movenet", "test"),
    )
    times = dict.fromkeys(rig.names, people.time_s)
    found = compare_cameras(rig, poses2d, times, "", NullReporter(), thorough=True)
    assert found.action == ""


# The verb, on people by formula: 6 of 40 images late at 30 per second, as phones that are started by hand


@slow
@pytest.mark.parametrize(
    ("late_s", "frames", "speed_mm_s"),
    [
        ({"cam01": 0.2}, 40, 400.0),
        ({"cam01": 0.2}, 60, 1200.0),
        ({"cam02": 0.517, "cam04": -0.25}, 90, 800.0),
    ],
)
def test_a_late_camera_is_named_and_synchronised(tmp_path, late_s, frames: int, speed_mm_s: float) -> None:
    rig = ring_rig(4)
    session = session_of(tmp_path, rig)
    take = late_take(session, rig, late_s, frames, speed_mm_s)
    result, reporter = triangulated(session)
    wrong_mm, comparison = error_mm(session, speed_mm_s), result["rig_comparison"]
    assert comparison["action"] == "certify"
    assert set(comparison["time_offset_ms"]) == set(late_s)
    (warning,) = [text for text, level in reporter.notes if level == "warning" and "do" in text and "fit" in text]
    for name, s in late_s.items():
        assert name in warning
        assert f"started {abs(s):.2f} s {'late' if s > 0 else 'early'}" in warning
    report = json.loads(session.layout.rig_report.read_text())
    assert report["people_fit"]["action"] == "certify"
    before = input_digests(take, "exact", rig)

    done = run_certify(
        session, CertifyParams(take="walk", estimator="exact"), session.new_run("certify"), NullReporter()
    )
    take = session.take("walk")
    offsets = {c.name: c.time_offset_s for c in take.manifest.cameras}
    assert offsets == pytest.approx({n: -late_s.get(n, 0.0) for n in rig.names}, abs=0.003)
    assert [c["name"] for c in done["cameras"]] == list(rig.names)
    assert SyncCertificate.load(take.layout.sync).summary == done["summary"]
    assert input_digests(take, "exact", rig) != before, "3D poses made with other offsets are out of date"
    result, reporter = triangulated(session)
    assert result["rig_comparison"]["message"] == ""
    assert not [text for text, level in reporter.notes if level == "warning" and "fit" in text]
    assert error_mm(session, speed_mm_s) < 6.0 < wrong_mm
    assert not [f for f in json.loads(session.layout.rig_report.read_text())["findings"] if f["check"] == "people_fit"]

    again = run_certify(
        session, CertifyParams(take="walk", estimator="exact"), session.new_run("certify"), NullReporter()
    )
    assert again["change"] == "The clocks in walk are the same as before."


def test_given_offsets_are_set_removed_and_checked(tmp_path) -> None:
    rig = ring_rig(4)
    session = session_of(tmp_path, rig)
    late_take(session, rig, {"cam01": 0.2}, 40, 400.0)

    def sync(*offsets: str, reset: bool = False) -> dict[str, float]:
        params = CertifyParams(take="walk", estimator="exact", time_offset_ms=offsets, reset=reset)
        run_certify(session, params, session.new_run("certify"), NullReporter())
        return {c.name: c.time_offset_s for c in session.take("walk").manifest.cameras}

    recorded = session.take("walk").layout.timestamps.read_bytes()
    assert sync("cam01=-200", "cam03=12.5") == {"cam01": -0.2, "cam02": 0.0, "cam03": 0.0125, "cam04": 0.0}
    take = session.take("walk")
    np.testing.assert_allclose(take.timeline().frame_time_s[:, 0] - take.timeline().frame_time_s[:, 1], 0.2)
    assert sync("cam01=-200")["cam03"] == 0.0, "the given offsets replace all"
    rows = nearest_rows(take.timeline(), rig)["cam01"]
    np.testing.assert_array_equal(rows[:8], [-1] * 5 + [0, 0, 1])
    shown = shown_timeline(session.take("walk").timeline(), rig).frame_index
    np.testing.assert_array_equal(shown[6:, 0], np.arange(34))
    np.testing.assert_array_equal(shown[:, 1], np.arange(40))
    aligned = session.take("walk").poses2d("exact", rig)["cam01"]
    np.testing.assert_allclose(aligned.xy_px[6:], session.take("walk").poses2d("exact")["cam01"].xy_px[:34])
    assert not aligned.present[:5].any(), "the camera did not run yet"
    assert set(sync(reset=True).values()) == {0.0}
    assert session.take("walk").layout.timestamps.read_bytes() == recorded
    for text, sentence in (
        ("cam01", "is not a time offset"),
        ("cam01=soon", "is not a time offset"),
        ("cam01=nan", "is not a time offset"),
        ("cam09=3", "no camera 'cam09'"),
    ):
        with pytest.raises(CoreError, match=sentence):
            sync(text)


def test_offsets_of_rig_and_take_add_up(tmp_path) -> None:
    """A camera that is always 30 ms late, and started 0.2 s late this time."""
    rig = ring_rig(4)
    constant = CameraRig(cameras=(rig[0].replace(time_offset_s=0.03), *rig.cameras[1:]))
    session = session_of(tmp_path, constant)
    take = late_take(session, rig, {"cam01": 0.2 - 0.03}, 40, 400.0)
    params = CertifyParams(take="walk", estimator="exact", time_offset_ms=("cam01=-200",))
    run_certify(session, params, session.new_run("certify"), NullReporter())
    take = session.take("walk")
    assert image_times_s(take.timeline())["cam01"][0] == pytest.approx(0.2)
    aligned = take.poses2d("exact", constant)["cam01"].xy_px[10:]
    truth = project(rig[0], strollers(np.arange(10, 40) / 30, 400.0))
    assert np.nanmedian(np.linalg.norm(aligned - truth, axis=-1)) < 2.0


@slow
def test_two_cameras_that_did_not_start_together_are_synchronised(tmp_path) -> None:
    rig = ring_rig(2)
    session = session_of(tmp_path, rig)
    late_take(session, rig, {"cam02": 0.4}, 90, 900.0)
    result, _ = triangulated(session)
    comparison = result["rig_comparison"]
    assert comparison["action"] == "certify"
    assert "started 0.40 s" in comparison["message"]
    run_certify(session, CertifyParams(take="walk", estimator="exact"), session.new_run("certify"), NullReporter())
    offset = session.take("walk").clock_errors
    assert offset.get("cam02", 0.0) - offset.get("cam01", 0.0) == pytest.approx(-0.4, abs=0.004)
    assert triangulated(session)[0]["rig_comparison"]["message"] == ""


def test_people_who_stand_still_show_no_offset() -> None:
    rig = ring_rig(4)
    truth = walkers(2, 90, np.random.default_rng(4))
    still = dataclasses.replace(truth, xyz_mm=np.repeat(truth.xyz_mm[:1], 90, 0))
    poses2d = observe(rig, still, 4.0, rng=np.random.default_rng(5))
    found = compare_cameras(rig, poses2d, dict.fromkeys(rig.names, truth.time_s), "", NullReporter())
    assert found.warning == ""
