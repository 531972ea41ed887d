"""Repair of a rig by walking people, and the verb that calibrates from them."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walking_people import TIME_OFFSETS_S, moved

from core.calibration.people.calibrate import repair_from_people
from core.calibration.people.simulate import compare_rigs
from core.errors import CoreError
from core.geometry.similarity import Similarity
from core.geometry.so3 import angle_rad, exp
from core.pipelines.ingest import note_poses2d
from core.pipelines.params import CalibratePeopleParams, TriangulateParams
from core.pipelines.rig.adopt import adopt_rig
from core.pipelines.rig.calibrate_people import run_calibrate_people
from core.pipelines.triangulate import run_triangulate
from core.progress import NullReporter
from core.session import Session, TakeCamera, TakeManifest, Timeline
from core.synthetic.people_scene import record_people
from core.types import COCO17, CameraRig

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("rotation_deg", "translation_mm"), [(0.5, 10.0), (4.0, 150.0), (40.0, 900.0)])
def test_a_moved_camera_is_detected_and_repaired_and_the_others_stay(
    rig, still_recording, rotation_deg, translation_mm
) -> None:
    old = moved(rig, 2, rotation_deg, translation_mm)
    found = repair_from_people(old, still_recording.poses2d, still_recording.time_s)
    assert found.solved == ("cam03",)
    camera, true = found.rig["cam03"], rig["cam03"]
    assert np.degrees(angle_rad(camera.pose[0] @ true.pose[0].T)) < 0.15
    assert np.linalg.norm(camera.centre_mm - true.centre_mm) < 15
    for name in ("cam01", "cam02", "cam04"):
        assert (found.rig[name].pose[0] == old[name].pose[0]).all()
        assert (found.rig[name].pose[1] == old[name].pose[1]).all()
    assert "cam03" in found.rig.source


TURN_DEG, LITTLE_DEG = 1.0, 0.15


def perturbed(rig: CameraRig, change: str) -> CameraRig:
    if change in ("all", "one and little"):
        for view in range(len(rig)):
            axis = np.random.default_rng(view).normal(size=3)
            degrees = TURN_DEG if change == "all" or view == 2 else LITTLE_DEG
            R = exp(np.radians(degrees) * axis / np.linalg.norm(axis)) @ rig[view].pose[0]
            turned = rig[view].replace(R=R, t_mm=-R @ rig[view].centre_mm)
            rig = dataclasses.replace(rig, cameras=(*rig.cameras[:view], turned, *rig.cameras[view + 1 :]))
        return rig
    if change == "offset":
        late = rig[1].replace(time_offset_s=0.1)
        return dataclasses.replace(rig, cameras=(rig[0], late, *rig.cameras[2:]))
    return moved(rig, 2, *{"rotation": (0.6, 0.0), "position": (0.0, 100.0)}[change])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("offset", r"cam02 shifted in time by -\d+ ms; nothing else changed\."),
        ("rotation", r"cam03 turned by 0\.6 degrees; nothing else changed\."),
        ("all", r"cam01 turned by 1\.0 degrees, .*, cam04 turned by 1\.0 degrees; nothing else changed\."),
        ("one and little", r"cam03 turned by 1\.0 degrees; the others turned by up to 0\.[12] degrees\."),
        ("position", r"cam03 moved by \d+ mm and turned by 0\.\d degrees; nothing else changed\."),
    ],
)
def test_the_smallest_change_that_explains_the_people_is_made(rig, still_recording, change: str, sentence: str) -> None:
    old = perturbed(rig, change)
    found = repair_from_people(old, still_recording.poses2d, still_recording.time_s)
    assert re.fullmatch(sentence, found.notes[0]), found.notes[0]
    rotated = [np.degrees(angle_rad(a.pose[0] @ b.pose[0].T)) for a, b in zip(found.rig, rig, strict=True)]
    assert max(rotated) < 0.1
    assert max(np.linalg.norm(a.centre_mm - b.centre_mm) for a, b in zip(found.rig, rig, strict=True)) < 15
    assert max(abs(c.time_offset_s) for c in found.rig) < 0.005
    if change == "one and little":
        assert max(rotated) < LITTLE_DEG / 2
    if change in ("rotation", "all", "one and little"):
        for a, b in zip(found.rig, old, strict=True):
            np.testing.assert_allclose(a.centre_mm, b.centre_mm, atol=1e-6)
    before, after = np.array(list(found.loco_px.values())).T
    assert after.mean() < 0.8 * before.mean()
    assert [f.level for f in found.findings if f.check == "change"] == ["ok"]


def test_a_good_rig_does_not_change(rig, still_recording) -> None:
    found = repair_from_people(rig, still_recording.poses2d, still_recording.time_s)
    assert found.rig.digest == rig.digest
    assert found.solved == ()
    assert found.notes[0].startswith("Nothing has moved")
    assert all(f.level == "ok" for f in found.findings), found.findings


def test_cameras_that_predict_people_no_better_are_an_error(rig, still_recording) -> None:
    """The videos of one camera are exchanged: nothing that fits it to the others' people can be right."""
    other = record_people(rig, people=2, seed=31, seconds=15.0)
    found = repair_from_people(
        rig, still_recording.poses2d | {"cam02": other.poses2d["cam02"]}, still_recording.time_s, ("cam02",)
    )
    assert any(f.level == "error" for f in found.findings)


def test_the_time_offset_of_a_moved_camera_is_relative_to_the_others(rig) -> None:
    offsets = (0.02, 0.02, 0.07, 0.02)
    recording = record_people(rig, people=1, seed=3, seconds=15.0, time_offset_s=offsets)
    known = CameraRig(cameras=tuple(c.replace(time_offset_s=0.02) for c in moved(rig, 2, 5.0, 200.0)))
    found = repair_from_people(known, recording.poses2d, recording.time_s, ("cam03",))
    assert [c.time_offset_s for c in found.rig][:2] == [0.02, 0.02]
    assert found.rig["cam03"].time_offset_s == pytest.approx(0.07, abs=0.003)


def test_repair_refuses_what_cannot_be_determined(rig, still_recording) -> None:
    poses2d, time_s = still_recording.poses2d, still_recording.time_s
    pair = moved(rig, 1, 5.0, 100.0).subset(["cam01", "cam02"])
    with pytest.raises(CoreError, match="cannot be detected"):
        repair_from_people(pair, poses2d, time_s)
    with pytest.raises(CoreError, match="Fewer than two cameras have kept"):
        repair_from_people(rig, poses2d, time_s, ("cam01", "cam02", "cam03"))
    with pytest.raises(CoreError, match="no camera 'cam09'"):
        repair_from_people(rig, poses2d, time_s, ("cam09",))


# The verb


@pytest.fixture
def session(tmp_path, rig, recording):
    """A session with a rig whose third camera was moved, and a take with 2D poses but without images."""
    session = Session.create(tmp_path / "session")
    spare = rig[0].replace(name="spare")
    CameraRig(cameras=(*moved(rig, 2, 3.0, 100.0), spare)).save(session.layout.rig)
    frames = len(recording.time_s["cam01"])
    cameras = tuple(
        TakeCamera(name=c.name, file=f"{c.name}.mp4", size_px=c.size_px, n_frames=frames, fps=30.0) for c in rig
    )
    take = session.write_take(
        TakeManifest(name="walk", kind="motion", fps=30.0, n_frames=frames, cameras=cameras),
        Timeline(
            cameras=rig.names,
            time_s=recording.time_s["cam01"],
            frame_index=np.repeat(np.arange(frames)[:, None], 4, 1),
            frame_time_s=np.stack([recording.time_s[n] for n in rig.names], 1),
        ),
    )
    for name, poses in recording.poses2d.items():
        poses.save(take.layout.poses2d_file("exact", name))
    note_poses2d(take.layout, "exact", "exact", COCO17, {})
    return session


def test_verb_creates_a_rig_and_keeps_the_former_one(session, rig) -> None:
    params = CalibratePeopleParams(take="walk", estimator="exact", mode="new")
    result = run_calibrate_people(session, params, session.new_run("calibrate-people"), NullReporter())
    assert result["solved"] == list(rig.names)
    found = session.rig
    assert np.median(compare_rigs(found.subset(rig.names), rig).rotation_deg) < 0.1
    assert not found["spare"].posed, "a camera that did not film has no pose in the new world"
    assert (session.root / result["backup"]).is_file()
    assert result["change"] == "All cameras were recalibrated."
    folder = session.layout.calibration(result["calibration"])
    report = json.loads(folder.report.read_text())
    assert report["method"] == "people"
    assert report["digest"] == found.digest == CameraRig.load(folder.rig).digest
    assert set(report["rotation_error_deg"]) == set(rig.names)


def test_verb_repairs_without_adopting(session, rig) -> None:
    before = session.layout.rig.read_bytes()
    offset_rig = CameraRig(
        cameras=tuple(c.replace(time_offset_s=s) for c, s in zip(session.rig, (*TIME_OFFSETS_S, 0.0), strict=True))
    )
    offset_rig.save(session.layout.rig)
    before = session.layout.rig.read_bytes()
    params = CalibratePeopleParams(take="walk", estimator="exact", mode="repair", adopt=False)
    result = run_calibrate_people(session, params, session.new_run("calibrate-people"), NullReporter())
    assert result["solved"] == ["cam03"]
    assert result["change"].startswith("cam03 moved by")
    assert result["loco_px"]["cam03"][1] < result["loco_px"]["cam03"][0]
    assert session.layout.rig.read_bytes() == before
    repaired = CameraRig.load(session.layout.calibration(result["calibration"]).rig)
    np.testing.assert_allclose(repaired["spare"].centre_mm, rig[0].centre_mm, atol=1e-6)
    assert np.linalg.norm(repaired["cam03"].centre_mm - rig["cam03"].centre_mm) < 15


def test_verb_adopts_nothing_that_its_own_checks_call_wrong(session, rig) -> None:
    """A measured floor, 3 m above cam03: its new pose is 0.7 m under it, as the report says."""
    low = Similarity(origin_mm=np.array([0.0, 0.0, 3000.0])).rig(session.rig)
    low.save(session.layout.rig)
    before = session.layout.rig.read_bytes()
    run = session.new_run("calibrate-people")
    params = CalibratePeopleParams(take="walk", estimator="exact", moved=("cam03",))
    with pytest.raises(
        CoreError, match=r"The rig was not changed, because the result is implausible: .* under the floor"
    ):
        run_calibrate_people(session, params, run, NullReporter())
    assert session.layout.rig.read_bytes() == before
    assert json.loads(run.report.read_text())["level"] == "error"
    (stored,) = session.layout.calibration("any").root.parent.glob("*/report.json")
    assert "cannot be right" in json.loads(stored.read_text())["verdict"]


def test_the_report_of_a_rig_names_the_camera_that_people_do_not_fit(session) -> None:
    """The third camera was turned by 3 degrees and moved by 100 mm; `triangulate` notices, until the repair."""
    params = TriangulateParams(take="walk", estimator="exact")

    def fit() -> list[str]:
        run_triangulate(session, params, session.new_run("triangulate"), NullReporter())
        report = json.loads(session.layout.rig_report.read_text())
        assert (report["level"] == "ok") == all(f["level"] == "ok" for f in report["findings"])
        return [f["message"] for f in report["findings"] if f["check"] == "people_fit"]

    cameras = zip(session.rig.subset(["cam01", "cam02", "cam03", "cam04"]), TIME_OFFSETS_S, strict=True)
    known = dataclasses.replace(session.rig, cameras=tuple(c.replace(time_offset_s=s) for c, s in cameras))
    adopt_rig(session, known, session.new_run("import-rig"), NullReporter())
    (message,) = fit()
    assert message.startswith("cam03 does not fit what the other cameras see: ")
    assert "It moved (cam03 moved by" in message
    assert json.loads(session.layout.rig_report.read_text())["people_fit"]["action"] == "calibrate-people"
    repair = CalibratePeopleParams(take="walk", estimator="exact")
    run_calibrate_people(session, repair, session.new_run("calibrate-people"), NullReporter())
    assert fit() == []


def test_verb_leaves_a_good_rig_as_it_is(session, rig) -> None:
    good = CameraRig(
        cameras=tuple(c.replace(time_offset_s=s) for c, s in zip(rig, TIME_OFFSETS_S, strict=True)), source="board"
    )
    good.save(session.layout.rig)
    before = session.layout.rig.read_bytes()
    params = CalibratePeopleParams(take="walk", estimator="exact")
    result = run_calibrate_people(session, params, session.new_run("calibrate-people"), NullReporter())
    assert session.layout.rig.read_bytes() == before
    assert result["change"].startswith("Nothing has moved")
    assert (result["level"], result["calibration"], result["backup"]) == ("ok", "", "")


def test_verb_needs_intrinsics_and_cameras_of_the_take(session, rig) -> None:
    run = session.new_run("calibrate-people")
    params = CalibratePeopleParams(take="walk", estimator="exact", moved=("spare",))
    with pytest.raises(CoreError, match="did not film"):
        run_calibrate_people(session, params, run, NullReporter())
    rig.subset(["cam01", "cam02", "cam03"]).save(session.layout.rig)
    with pytest.raises(CoreError, match="intrinsics of camera 'cam04' are unknown"):
        run_calibrate_people(session, CalibratePeopleParams(take="walk", estimator="exact"), run, NullReporter())
    session.layout.rig.unlink()
    with pytest.raises(CoreError, match="intrinsics of camera 'cam01'"):
        run_calibrate_people(session, CalibratePeopleParams(take="walk", estimator="exact"), run, NullReporter())
