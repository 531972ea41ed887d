"""A change of world coordinates moves everything along, exactly, and other changes of the rig move nothing."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walking import walking_session

from core.calibration.world import move_origin, rotate_quarters, turn_upside_down
from core.errors import CoreError
from core.files import read_json, read_yaml, write_json, write_yaml
from core.geometry import project
from core.geometry.similarity import Similarity, similarity_between
from core.geometry.so3 import exp
from core.pipelines.rig.adopt import move_world, use_calibration
from core.pipelines.verbs import verb
from core.progress import NullReporter
from core.session import BASELINE, Session
from core.session.calibrations import kept_calibrations
from core.session.inputs import outdated_inputs
from core.session.moving import moved_volume, replace_rig
from core.session.volume import set_volume
from core.synthetic.rigs import ring_rig
from core.types import CameraRig, VolumeSettings

CHANGES = {
    "rotated": rotate_quarters("z", 1),
    "upside down": turn_upside_down(),
    "moved": move_origin(np.array([700.0, -1200.0, 35.0])),
    "scaled": Similarity(scale=1.37),
    "new floor": Similarity(R=exp(np.array([0.06, -0.04, 0.9])), origin_mm=np.array([120.0, 80.0, -210.0]), scale=0.98),
}
VOLUME = VolumeSettings(centre_mm=(100.0, -50.0, 1100.0), size_mm=(4000.0, 3000.0, 2400.0), spacing_mm=90.0)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return walking_session(tmp_path / "s")


def overlay_px(session: Session) -> np.ndarray:
    """Return (V, T, P, J, 2) pixels of the 3D poses in all cameras."""
    take = session.take("walk")
    poses = take.poses3d(BASELINE)
    return np.stack([project(camera, poses.xyz_mm) for camera in session.rig_for(take)])


def set_floor(session: Session, change: Similarity) -> None:
    move_world(session, change, "Changed.")


@pytest.mark.parametrize("name", CHANGES)
def test_results_volume_and_reports_move_along_and_back(session: Session, name: str) -> None:
    change, take = CHANGES[name], session.take("walk")
    set_volume(session, VOLUME, 100.0)
    old = session.rig_for(take).digest
    manifest = {"second_look": {"request": {"rig": old}, "moved": 1}}
    write_yaml(take.layout.poses2d_manifest("made"), manifest)
    (take.layout.second_look("made")).mkdir()
    for file in take.layout.poses2d("made").glob("*.npz"):
        (take.layout.second_look("made") / file.name).write_bytes(file.read_bytes())
    write_json(take.layout.report, {"inputs": {"rig": old}, "methods": {}})
    before, poses, centre = overlay_px(session), take.poses3d(BASELINE), session.require_rig()[0].centre_mm
    known = np.isfinite(before)

    replaced = move_world(session, change, "Changed.")

    assert replaced.change is not None and replaced.notes == ()
    assert session.require_rig()[0].centre_mm == pytest.approx(change.points(centre))
    assert np.abs(overlay_px(session) - before)[known].max() < 1e-6
    moved = take.poses3d(BASELINE)
    assert np.nanmax(np.abs(moved.xyz_mm - change.points(poses.xyz_mm))) < 1e-6
    joint = np.argwhere(np.isfinite(poses.covariance_mm2).all((-1, -2)))[0]
    spread = [np.linalg.eigvalsh(p.covariance_mm2[tuple(joint)]) for p in (poses, moved)]
    assert spread[1] == pytest.approx(change.scale**2 * spread[0], rel=1e-6)
    new = session.rig_for(take).digest
    assert new != old
    assert moved.provenance["rig"] == new == read_json(take.layout.report)["inputs"]["rig"]
    assert read_yaml(take.layout.poses2d_manifest("made"))["second_look"]["request"]["rig"] == new
    assert session.volume.rig == session.require_rig().digest
    signs = np.array([[1, 1, 1], [-1, 1, -1], [-1, -1, 1]])
    corners = change.points(np.array(VOLUME.centre_mm) + np.array(VOLUME.size_mm) / 2 * signs)
    box = session.volume.volume(100.0)
    assert (np.abs(corners - box.centre_mm) <= box.size_mm / 2 + 1e-6).all()
    assert not session.layout.moving.exists()

    use_calibration(session, replaced.former.name)
    assert session.rig_for(take).digest == old
    assert np.abs(overlay_px(session) - before)[known].max() < 1e-6
    again = take.poses3d(BASELINE)
    assert np.nanmax(np.abs(again.xyz_mm - poses.xyz_mm)) < 1e-6
    assert again.provenance == poses.provenance
    assert dataclasses.replace(session.volume, rig="") == VOLUME


def test_a_volume_set_after_the_move_is_moved_back_as_it_is(session: Session) -> None:
    set_volume(session, VOLUME, 100.0)
    replaced = move_world(session, rotate_quarters("z", 1), "Changed.")
    set_volume(session, dataclasses.replace(session.volume, size_mm=(2000.0, 2500.0, 2200.0)), 100.0)
    use_calibration(session, replaced.former.name)
    assert session.volume.size_mm == pytest.approx((2500.0, 2000.0, 2200.0))


def test_a_volume_that_does_not_fit_the_new_scale_is_discarded_and_said(session: Session) -> None:
    set_volume(session, VOLUME, 100.0)
    replaced = move_world(session, Similarity(scale=0.05), "Rescaled.")
    assert session.volume is None
    assert "replaced by a derived one" in replaced.notes[0]


def test_a_quarter_turn_exchanges_the_edges_of_the_volume() -> None:
    turned = moved_volume(VOLUME, rotate_quarters("z", 1))
    assert turned.size_mm == pytest.approx((3000.0, 4000.0, 2400.0))
    assert turned.centre_mm == pytest.approx((50.0, 100.0, 1100.0))


def test_the_verb_and_an_import_in_other_coordinates_move_results_too(session: Session, tmp_path: Path) -> None:
    before = overlay_px(session)
    known = np.isfinite(before)
    run(
        session,
        "set-world",
        origin_mm=[10.0, 20.0, 30.0],
        quarter_turns=1,
        distance_mm=1000.0,
        between=["cam01", "cam03"],
    )
    assert np.abs(overlay_px(session) - before)[known].max() < 1e-6
    turned = CHANGES["new floor"].rig(session.require_rig())
    turned.save(tmp_path / "rig.toml")
    run(session, "import-rig", path=str(tmp_path / "rig.toml"))
    assert np.abs(overlay_px(session) - before)[known].max() < 1e-6
    take = session.take("walk")
    assert outdated_inputs(session, take, take.poses3d(BASELINE).provenance) == ()


def test_a_repaired_rig_moves_nothing_and_marks_its_results(session: Session) -> None:
    take, rig = session.take("walk"), session.require_rig()
    before = take.layout.poses3d(BASELINE).read_bytes()
    replaced = replace_rig(session, bumped(rig), {"findings": []})
    assert replaced.change is None
    assert take.layout.poses3d(BASELINE).read_bytes() == before
    assert outdated_inputs(session, take, take.poses3d(BASELINE).provenance)
    # A further change of coordinates leaves it with the rig that it was made with, which makes it right again.
    move_world(session, rotate_quarters("z", 1), "Rotated.")
    assert take.layout.poses3d(BASELINE).read_bytes() == before
    use_calibration(session, replaced.former.name)
    assert outdated_inputs(session, take, take.poses3d(BASELINE).provenance) == ()


def test_a_move_that_cannot_be_written_changes_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    take = session.take("walk")
    files = [session.layout.rig, session.layout.rig_report, take.layout.poses3d(BASELINE)]
    write_json(session.layout.rig_report, {"findings": []})
    before = [file.read_bytes() for file in files]
    session.layout.moving.write_text("in the way")  # stands for a folder that cannot be made
    monkeypatch.setattr("shutil.rmtree", lambda *_a, **_k: None)
    with pytest.raises(CoreError, match="cannot be written"):
        move_world(session, rotate_quarters("z", 1), "Rotated.")
    assert [file.read_bytes() for file in files] == before


def test_every_rig_is_kept_and_can_be_used_again(session: Session, tmp_path: Path) -> None:
    first = session.require_rig()
    bumped(first).save(tmp_path / "rig.toml")
    run(session, "import-rig", path=str(tmp_path / "rig.toml"))
    second, *rest = kept_calibrations(session)
    assert second.in_use and [c.in_use for c in rest] == [False]
    assert second.level
    use_calibration(session, rest[0].name)
    assert session.require_rig().digest == first.digest
    assert [c.in_use for c in kept_calibrations(session)] == [False, True]
    use_calibration(session, rest[0].name)  # nothing to do
    (session.layout.calibration(second.name).rig).write_text("no toml [")
    damaged = kept_calibrations(session)[0]
    assert "TOML" in damaged.problem
    for name in (second.name, "nowhere"):
        with pytest.raises(CoreError):
            use_calibration(session, name)
    assert session.require_rig().digest == first.digest


@pytest.mark.parametrize("name", CHANGES)
def test_a_similarity_is_found_between_rigs(name: str) -> None:
    rig, change = ring_rig(5), CHANGES[name]
    found = similarity_between(rig, change.rig(rig))
    assert found is not None
    points = np.random.default_rng(0).uniform(-3000, 3000, (20, 3))
    assert found.points(points) == pytest.approx(change.points(points), abs=1e-6)
    assert change.inverse.points(change.points(points)) == pytest.approx(points, abs=1e-6)
    assert similarity_between(rig, bumped(change.rig(rig))) is None


@pytest.mark.parametrize(
    "other",
    [
        lambda c: c.replace(K=c.K + np.diag([0.01, 0.0, 0.0])),
        lambda c: c.replace(time_offset_s=0.001),
        lambda c: c.replace(R=None, t_mm=None),
        lambda c: c.replace(distortion=c.distortion + 1e-4),
        lambda c: c.replace(size_px=(c.size_px[0] + 16, c.size_px[1])),
        lambda c: c.replace(t_mm=c.t_mm + 0.5),
        lambda c: c.replace(R=exp(np.array([0.0, 1e-4, 0.0])) @ c.R),
        lambda c: c.replace(name="other"),
    ],
)
def test_any_other_change_of_one_camera_is_no_similarity(other: Any) -> None:
    rig = ring_rig(4)
    assert similarity_between(rig, CameraRig(cameras=(other(rig[0]), *rig.cameras[1:]))) is None


def run(session: Session, name: str, **params: Any) -> dict[str, Any]:
    return verb(name)(session, params, session.new_run(name), NullReporter())


def bumped(rig: CameraRig) -> CameraRig:
    """Return the rig with one camera turned by 2 degrees."""
    first = rig[0]
    turned = first.replace(R=exp(np.array([0.0, 0.035, 0.0])) @ first.pose[0])
    return dataclasses.replace(rig, cameras=(turned, *rig.cameras[1:]))
