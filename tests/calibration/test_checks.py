"""Checks of a rig: errors are reported, and a good rig passes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from core.calibration.checks import check_rig, fold_share
from core.calibration.people.check import check_people, stature_mm
from core.calibration.session_check import check_session_rig
from core.calibration.world import align_rig, guess_world, rotate_quarters, world_from_points
from core.errors import CoreError
from core.files import resource
from core.geometry.capture_volume import capture_volume, seen_by, viewed_point
from core.pipelines.ingest import note_poses2d
from core.session import Session, TakeCamera, TakeManifest, Timeline
from core.synthetic.observe import boxes
from core.synthetic.people import walkers
from core.synthetic.rigs import camera, ring_rig
from core.types import COCO17, PANOPTIC15, Camera, CameraRig, Pose2D, Pose3DSequence
from core.types.axes import rotation_to_z_up
from core.types.skeleton import convert


def moved(
    rig: CameraRig,
    rotation: np.ndarray | None = None,
    scale: float = 1.0,
    translation_mm: tuple[float, ...] = (0, 0, 0),
) -> CameraRig:
    """Return the rig in a world rotated, scaled and then translated."""
    rotation = np.eye(3) if rotation is None else rotation
    cameras = []
    for c in rig:
        R = c.pose[0] @ rotation.T
        cameras.append(c.replace(R=R, t_mm=c.pose[1] * scale - R @ np.array(translation_mm)))
    return CameraRig(cameras=tuple(cameras))


def results(rig: CameraRig, check: str, **options: str) -> list[tuple[str, str, str]]:
    found = check_rig(rig, **options)  # type: ignore[arg-type]
    json.dumps(found.to_mapping(), allow_nan=False)
    return [(f.level, f.message, f.remedy) for f in found.findings if f.check == check]


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_a_good_rig_passes_all_checks(n: int) -> None:
    found = check_rig(ring_rig(n, distortion=(-0.1, 0.02, 0, 0, 0)))
    assert found.level == "ok", found.problems
    assert found.problems == ()
    assert {f.check for f in found.findings} == {"intrinsics", "distance", "up", "floor", "aim", "overlap"}
    assert all(f.remedy == "" for f in found.findings)


def test_overlap_is_a_share_of_the_view_of_each_camera() -> None:
    found = check_rig(ring_rig(4))
    np.testing.assert_allclose(np.diag(found.shared), 1)
    assert (found.shared > 0.2).all()
    np.testing.assert_allclose(found.middle_mm, [0, 0, 900], atol=1)


@pytest.mark.parametrize("up", ["x", "-x", "y", "-y", "-z"])
def test_a_wrong_up_axis_is_named(up: str) -> None:
    """A file whose axis `up` is up, imported as if z were up."""
    file = moved(ring_rig(4), rotation_to_z_up(up).T)  # type: ignore[arg-type]
    ((level, message, remedy),) = results(file, "up")
    assert level == "error"
    assert f"{up} points up instead of z" in message
    assert f"with {up} as the up axis" in remedy
    again = moved(file, rotation_to_z_up(up))  # type: ignore[arg-type]
    assert check_rig(again).level == "ok"


def test_remedy_names_the_axis_of_the_file_even_after_a_wrong_choice() -> None:
    imported = moved(ring_rig(4), rotation_to_z_up("y"))  # the file had z up, y was chosen
    ((level, _, remedy),) = results(imported, "up", up="y")
    assert level == "error"
    assert "with z as the up axis" in remedy


@pytest.mark.parametrize(
    ("scale", "factor"), [(0.001, "1000 times larger"), (0.01, "100 times larger"), (1000.0, "1000 times smaller")]
)
def test_wrong_unit_is_named_with_the_factor(scale: float, factor: str) -> None:
    ((level, _, remedy),) = results(moved(ring_rig(4), scale=scale), "distance")
    assert level == "error"
    assert factor in remedy


def test_cameras_under_the_floor_are_named() -> None:
    rig = moved(ring_rig(4), translation_mm=(0, 0, -2000))
    below = [s for level, s, _ in results(rig, "floor") if level == "error"]
    assert len(below) == 2
    assert all("0.30 m under the floor" in s for s in below)


def test_a_guessed_floor_proves_nothing() -> None:
    """The lowest place of a board that was only held in the air once put three good cameras under the floor."""
    guessed = dataclasses.replace(moved(ring_rig(4), translation_mm=(0, 0, -2000)), floor_guessed=True)
    found = [f for f in check_rig(guessed).findings if f.check == "floor"]
    assert [f.level for f in found] == ["warning", "warning"]
    assert all("0.30 m under the floor, which is a guess" in f.message for f in found)
    assert all("three points" in f.remedy for f in found)
    assert check_rig(guessed).level == "warning"


def test_a_floor_measured_far_away_is_not_exact() -> None:
    rig = moved(ring_rig(4, radius_mm=12_000.0, heights_mm=(1000.0,)), translation_mm=(0, 0, -1300))
    assert {level for level, _, _ in results(rig, "floor")} == {"warning"}


def test_the_floor_is_a_guess_until_it_is_measured(tmp_path: Path) -> None:
    rig = ring_rig(4)
    corners = np.random.default_rng(0).uniform((-800, -800, 400), (800, 800, 1500), (200, 3))
    guessed = guess_world(rig, corners)[0].rig(rig)
    assert guessed.floor_guessed
    guessed.save(tmp_path / "rig.toml")
    assert CameraRig.load(tmp_path / "rig.toml").floor_guessed
    assert rotate_quarters("z", 1).rig(guessed).floor_guessed
    assert align_rig(rig, guessed).rig(rig).floor_guessed
    three = world_from_points(np.zeros(3), np.array([1000.0, 0, 0]), np.array([0, 1000.0, 0]), guessed)
    assert not three.rig(guessed).floor_guessed


def test_cameras_that_look_away_from_each_other_are_reported() -> None:
    rotation = np.diag([-1.0, 1.0, -1.0])  # half a rotation about the camera's y axis
    rig = CameraRig(cameras=tuple(c.replace(R=rotation @ c.pose[0], t_mm=rotation @ c.pose[1]) for c in ring_rig(4)))
    ((level, message, remedy),) = results(rig, "aim")
    assert level == "error"
    assert "away from each other" in message
    assert "mirrored" in remedy


def test_a_camera_that_looks_elsewhere_is_named() -> None:
    rig = ring_rig(5)
    rotation = np.diag([-1.0, 1.0, -1.0])
    averted = rig[2].replace(R=rotation @ rig[2].pose[0], t_mm=rotation @ rig[2].pose[1])
    found = check_rig(CameraRig(cameras=(*rig.cameras[:2], averted, *rig.cameras[3:])))
    assert {f.camera for f in found.problems} == {averted.name}


def test_camera_to_world_poses_are_reported() -> None:
    inverse = [c.replace(R=c.pose[0].T, t_mm=c.centre_mm) for c in ring_rig(4)]
    assert check_rig(CameraRig(cameras=tuple(inverse))).level == "error"


def test_a_camera_without_overlap_is_named() -> None:
    alone = camera("alone", (4000, 0, 1500), (12000, 0, 1500), fov_deg=30)
    rig = CameraRig(cameras=(*ring_rig(3), alone))
    assert any(f.camera == "alone" and f.check == "overlap" for f in check_rig(rig).problems)


def test_duplicate_and_missing_poses_are_named() -> None:
    rig = ring_rig(3)
    doubled = CameraRig(cameras=(*rig, rig[0].replace(name="copy")))
    assert any("same position" in f.message for f in check_rig(doubled).problems)
    half = CameraRig(cameras=(*rig, rig[0].replace(name="bare", R=None, t_mm=None)))
    found = check_rig(half)
    assert any(f.camera == "bare" and f.level == "error" for f in found.problems)
    assert json.dumps(found.to_mapping(), allow_nan=False)
    nothing = CameraRig(cameras=tuple(c.replace(R=None, t_mm=None) for c in rig))
    assert check_rig(nothing).level == "error"


def test_a_fold_inside_the_image_is_found_at_the_peak_of_the_polynomial() -> None:
    k1 = -0.9
    rig = ring_rig(3, distortion=(k1, 0, 0, 0, 0))
    found = [f for f in check_rig(rig).problems if f.check == "intrinsics"]
    assert len(found) == 3
    # d/dr (r + k1 r^3) = 0; the pixel radius there over the one of the corner.
    r = np.sqrt(-1 / (3 * k1))
    c = rig[0]
    corner = np.hypot((c.size_px[0] - 1) / 2, (c.size_px[1] - 1) / 2)
    expected = c.K[0, 0] * r * (1 + k1 * r * r) / corner
    assert abs(fold_share(c) - expected) < 0.015
    assert f"{100 * fold_share(c):.0f} %" in found[0].message


def test_a_fold_counts_only_where_something_was_seen() -> None:
    rig = ring_rig(3, distortion=(-0.42, 0, 0, 0, 0))
    share = fold_share(rig[0])
    assert 0.7 < share < 0.97
    middle = rig[0].K[:2, 2]
    near, far = middle + np.array([[30.0, 20.0], [-80.0, 90.0]]), np.array([[2.0, 2.0], [5.0, 3.0]])

    def level(seen_px: dict[str, np.ndarray]) -> str:
        (found,) = [f for f in check_rig(rig, seen_px=seen_px).findings if f.camera == "cam01"]
        return found.level

    assert level({}) == "warning", "nobody knows"
    assert level({"cam01": near}) == "ok"
    assert level({"cam01": np.concatenate([near, far])}) == "error"
    assert check_rig(ring_rig(3, distortion=(-4.0, 0, 0, 0, 0))).level == "error", "a fold near the middle"


def test_a_fold_is_judged_by_the_people_of_the_session(tmp_path: Path) -> None:
    rig = ring_rig(3, distortion=(-0.42, 0, 0, 0, 0))
    session = Session.create(tmp_path / "session")
    assert {f.level for f in check_session_rig(session, rig).problems} == {"warning"}
    take = session.write_take(
        TakeManifest(
            name="walk",
            kind="motion",
            fps=30.0,
            n_frames=1,
            cameras=tuple(
                TakeCamera(
                    name=c.name, file=f"{c.name}.mp4", size_px=tuple(s // 2 for s in c.size_px), n_frames=1, fps=30
                )
                for c in rig
            ),
        ),
        Timeline(
            cameras=rig.names,
            time_s=np.zeros(1),
            frame_index=np.zeros((1, 3), np.int64),
            frame_time_s=np.zeros((1, 3)),
        ),
    )
    for filmed, place in zip(rig, (camera_middle(rig[0]), camera_middle(rig[0]), np.array([2.0, 2.0])), strict=True):
        xy = np.broadcast_to(place / 2, (1, 1, 17, 2)).copy()
        poses = Pose2D(camera=filmed.name, skeleton=COCO17, xy_px=xy, score=np.full((1, 1, 17), 0.8), box_px=boxes(xy))
        poses.save(take.layout.poses2d_file("exact", filmed.name))
    note_poses2d(take.layout, "exact", "exact", COCO17, {})
    found = {f.camera: f.level for f in check_session_rig(session, rig).findings if f.check == "intrinsics"}
    assert found == {"cam01": "ok", "cam02": "ok", "cam03": "error"}


def camera_middle(camera: Camera) -> np.ndarray:
    return np.array(camera.size_px) / 2.0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ([[0, 0, 2000], [0, 0, 0], [0, 0, 0]], "outside the"),
        ([[0, 0, 500], [0, 0, 0], [0, 0, 0]], "far from the image centre"),
        ([[20000, 0, 0], [0, 20000, 0], [0, 0, 0]], "field of view of"),
        ([[300, 0, 0], [0, 0, 0], [0, 0, 0]], "differ by more than 5 %"),
    ],
)
def test_implausible_intrinsics_are_named(change: list[list[float]], text: str) -> None:
    rig = ring_rig(3)
    implausible = rig[1].replace(K=rig[1].K + np.array(change))
    found = check_rig(CameraRig(cameras=(rig[0], implausible, rig[2]))).problems
    assert any(text in f.message and f.camera == implausible.name for f in found)


def test_a_camera_mounted_upside_down_is_named() -> None:
    rig = ring_rig(4)
    rotation = np.diag([-1.0, -1.0, 1.0])
    hanging = rig[1].replace(R=rotation @ rig[1].pose[0], t_mm=rotation @ rig[1].pose[1])
    found = check_rig(CameraRig(cameras=(rig[0], hanging, *rig.cameras[2:])))
    assert [(f.camera, f.level) for f in found.problems] == [(hanging.name, "warning")]


def test_one_camera_is_not_enough() -> None:
    found = check_rig(CameraRig(cameras=ring_rig(3).cameras[:1]))
    assert "3D needs at least two" in found.problems[0].remedy


def test_the_sample_passes_and_its_volume_contains_the_centre() -> None:
    from core.rig_io.importers import read_rig

    rig = read_rig(resource("sample", "Calib.qca.txt"))
    assert check_rig(rig).level == "ok"
    volume = capture_volume(rig, spacing_mm=100)
    assert volume.contains(np.array([-900.0, 0, 900]))
    assert all(n % 4 == 0 for n in volume.voxels)
    assert (np.abs(volume.spacing_mm - 100) < 12).all()
    assert (volume.size_mm[:2] < 9000).all()


def test_the_volume_is_what_two_cameras_see() -> None:
    rig = ring_rig(5)
    volume = capture_volume(rig)
    inside = np.random.default_rng(0).uniform(volume.low_mm, volume.high_mm, (5000, 3))
    assert (seen_by(rig, inside).sum(0) >= 2).mean() > 0.8
    assert (volume.low_mm[2], volume.high_mm[2]) == (-200, 2000)
    assert np.abs(volume.centre_mm[:2]).max() < 300


@pytest.mark.slow
def test_the_volume_shrinks_around_people_but_not_below_the_default_height() -> None:
    rig = ring_rig(5)
    points = np.random.default_rng(0).uniform((-500, 0, 50), (700, 800, 1700), (500, 3))
    points[::7] = np.nan
    volume = capture_volume(rig, around_mm=points)
    np.testing.assert_allclose(volume.low_mm, [-1200, -700, -200], atol=20)
    np.testing.assert_allclose(volume.high_mm, [1400, 1500, 2000], atol=20)
    jump = capture_volume(rig, around_mm=points + [0, 0, 900])
    assert jump.high_mm[2] > 2700
    implausiblers = capture_volume(rig, around_mm=points + [90_000, 0, 0])
    np.testing.assert_allclose(implausiblers.size_mm, capture_volume(rig).size_mm)


def test_parallel_cameras_have_a_volume_in_front_of_them() -> None:
    rig = CameraRig(cameras=tuple(camera(f"c{x}", (x, -4000, 1500), (x, 0, 1200)) for x in (-300, 300)))
    point = viewed_point(rig)
    assert -2500 < point[1] < 1000
    assert capture_volume(rig).size_mm.min() > 1000


def test_cameras_without_overlap_have_no_volume() -> None:
    rig = CameraRig(
        cameras=(
            camera("a", (0, 0, 1500), (9000, 0, 1500), fov_deg=30),
            camera("b", (0, 0, 1500), (-9000, 0, 1500), fov_deg=30),
        )
    )
    with pytest.raises(CoreError, match="seen by two cameras"):
        capture_volume(rig)


@pytest.fixture(scope="module")
def sequence() -> Pose3DSequence:
    return walkers(2, 60, np.random.default_rng(5))


def changed(
    sequence: Pose3DSequence, rotation: np.ndarray | None = None, scale: float = 1.0, rise_mm: float = 0.0
) -> Pose3DSequence:
    xyz = sequence.xyz_mm * scale + [0, 0, rise_mm]
    return Pose3DSequence(
        skeleton=sequence.skeleton,
        time_s=sequence.time_s,
        xyz_mm=xyz if rotation is None else xyz @ rotation.T,
        score=sequence.score,
        person_ids=sequence.person_ids,
    )


def test_people_who_stand_on_the_floor_pass(sequence: Pose3DSequence) -> None:
    findings = check_people(ring_rig(4), sequence)
    assert [(f.check, f.level) for f in findings] == [("stature", "ok"), ("feet", "ok")]


@pytest.mark.parametrize(
    ("change", "check", "level", "text"),
    [
        ({"scale": 0.5}, "stature", "error", "tall"),
        ({"scale": 1000.0}, "stature", "error", "length unit"),
        ({"rise_mm": -590.0}, "feet", "warning", "under the floor"),
        ({"rise_mm": 900.0}, "feet", "warning", "above the floor"),
        ({"rotation": rotation_to_z_up("y").T}, "upright", "error", "along y instead of z"),
        ({"rotation": rotation_to_z_up("-z")}, "upright", "error", "along -z instead of z"),
    ],
)
def test_people_reveal_wrong_units_floors_and_axes(
    sequence: Pose3DSequence, change: dict, check: str, level: str, text: str
) -> None:
    findings = check_people(ring_rig(4), changed(sequence, **change))
    (found,) = [f for f in findings if f.check == check]
    assert found.level == level
    assert text in f"{found.message} {found.remedy}"


def test_feet_do_not_contradict_a_guessed_floor(sequence: Pose3DSequence) -> None:
    high = changed(sequence, rise_mm=1900.0)
    levels = [
        [
            f.level
            for f in check_people(dataclasses.replace(ring_rig(4), floor_guessed=guess), high)
            if f.check == "feet"
        ]
        for guess in (False, True)
    ]
    assert levels == [["error"], ["warning"]]


def test_stature_is_robust_to_missing_joints(sequence: Pose3DSequence) -> None:
    skeleton = PANOPTIC15
    points, _ = convert(sequence.xyz_mm, sequence.score, sequence.skeleton, skeleton)
    whole = stature_mm(points, skeleton)
    np.testing.assert_allclose(stature_mm(sequence.xyz_mm, sequence.skeleton), whole, rtol=1e-12)
    assert ((whole > 1300) & (whole < 2100)).all()
    holes = points.copy()
    holes[np.random.default_rng(0).random(points.shape[:-1]) < 0.5] = np.nan
    np.testing.assert_allclose(stature_mm(holes, skeleton), whole, rtol=0.03)
    no_people = np.full_like(points, np.nan)
    assert np.isnan(stature_mm(no_people, skeleton)).all()
    empty = Pose3DSequence(
        skeleton=skeleton,
        time_s=sequence.time_s,
        xyz_mm=no_people,
        score=np.zeros(no_people.shape[:-1]),
        person_ids=sequence.person_ids,
    )
    assert check_people(ring_rig(4), empty) == ()
