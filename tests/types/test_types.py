"""Data types: validated on construction, read-only, and unchanged by writing and reading."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import h5netcdf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CoreError
from core.types import (
    COCO17,
    PANOPTIC15,
    Camera,
    CameraRig,
    CaptureVolume,
    Pose2D,
    Pose3DSequence,
    SyntheticRange,
    VolumeSettings,
)
from core.types.skeleton import SKELETONS, convert, skeleton

K = np.array([[900.0, 0, 320], [0, 905, 240], [0, 0, 1]])


def camera(name: str = "cam1", **changes: object) -> Camera:
    values = {"name": name, "size_px": (640, 480), "K": K, "R": np.eye(3), "t_mm": np.array([1.0, 2, 3])}
    return Camera(**{**values, **changes})  # type: ignore[arg-type]


def poses3d(**changes: object) -> Pose3DSequence:
    xyz = np.arange(2 * 2 * 15 * 3, dtype=float).reshape(2, 2, 15, 3)
    xyz[1, 1] = np.nan
    values = {
        "skeleton": PANOPTIC15,
        "time_s": np.array([0.0, 0.04]),
        "xyz_mm": xyz,
        "score": np.isfinite(xyz).all(-1) * 0.5,
        "person_ids": (4, 9),
        "provenance": {"method": "test", "config": {"a": [1, None]}},
    }
    return Pose3DSequence(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "empty name"),
        ({"size_px": (0, 480)}, "size is 0x480"),
        ({"K": np.eye(2)}, r"K should have shape \(3, 3\), found \(2, 2\)"),
        ({"K": -K}, "not a camera matrix"),
        ({"K": K * np.nan}, "not finite"),
        ({"K": "no matrix"}, "not an array of numbers"),
        ({"distortion": np.zeros(3)}, "coefficients, found 3"),
        ({"distortion": np.zeros(5), "distortion_model": "fisheye"}, "fisheye"),
        ({"t_mm": None}, "only one of rotation and translation"),
        ({"R": np.diag([1.0, 1, -1])}, "not a rotation"),
        ({"R": 2 * np.eye(3)}, "not a rotation"),
    ],
)
def test_invalid_cameras_are_refused(changes: dict, text: str) -> None:
    with pytest.raises(CoreError, match=text):
        camera(**changes)


def test_a_camera_is_read_only_and_keeps_its_own_copy() -> None:
    K_source = K.copy()
    cam = camera(K=K_source)
    K_source[0, 0] = 5
    assert cam.K[0, 0] == 900
    with pytest.raises(ValueError, match="read-only"):
        cam.K[0, 0] = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        cam.name = "other"  # type: ignore[misc]


def test_an_identity_rotation_is_a_pose() -> None:
    cam = camera()
    assert cam.posed and cam.rotation_vector is not None and not cam.rotation_vector.any()
    np.testing.assert_allclose(cam.centre_mm, [-1, -2, -3])
    unposed = camera(R=None, t_mm=None)
    assert not unposed.posed and unposed.rotation_vector is None
    with pytest.raises(CoreError, match="no pose"):
        _ = unposed.centre_mm


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 5, 8, 12, 14]), st.booleans(), st.booleans())
def test_a_rig_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, fisheye: bool, posed: bool
) -> None:
    rng = np.random.default_rng(seed)
    R = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    R *= np.linalg.det(R)
    cam = camera(
        "ünï cam",
        distortion=rng.normal(0, 0.1, 4 if fisheye else count),
        distortion_model="fisheye" if fisheye else "pinhole",
        R=R if posed else None,
        t_mm=rng.normal(0, 3000, 3) if posed else None,
        time_offset_s=0.012,
        rmse_px=0.4,
    )
    rig = CameraRig(cameras=(cam, camera("other")), created="2020-01-01", source="a test")
    path = tmp_path_factory.mktemp("rig") / "rig.toml"
    rig.save(path)
    read = CameraRig.load(path)
    assert (read.names, read.created, read.source, read.digest) == (rig.names, rig.created, rig.source, rig.digest)
    for field in ("K", "distortion", "R", "t_mm"):
        before, after = getattr(cam, field), getattr(read[0], field)
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_allclose(after, before, atol=1e-9)
    model = read[0].distortion_model
    assert (model, read[0].size_px) == (cam.distortion_model, (640, 480))
    assert (read[0].time_offset_s, read[0].rmse_px) == (0.012, 0.4)


def test_the_rig_file_has_the_keys_that_anipose_reads(tmp_path: Path) -> None:
    CameraRig(cameras=(camera(),)).save(tmp_path / "rig.toml")
    document = tomllib.loads((tmp_path / "rig.toml").read_text())
    assert {"name", "size", "matrix", "distortions", "rotation", "translation"} <= set(document["cam_0"])
    assert document["metadata"]["units"] == "mm"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[metadata]\nschema = 99\n", "newer version"),
        ('[metadata]\nunits = "inch"\n', "unit is 'inch', expected mm, cm or m"),
        ("[cam_0]\nname = 'a'\n", "no 'size'"),
        (
            "[cam_0]\nname='a'\nsize=[1,1]\nmatrix=[[1,0,0],[0,1,0],[0,0,1]]\nrotation=[0,0]\ntranslation=[0,0,0]",
            "shape",
        ),
        ("[metadata]\n", "no cameras"),
        ("not toml", "not valid TOML"),
    ],
)
def test_damaged_rig_files_are_refused(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "rig.toml").write_text(content)
    with pytest.raises(CoreError, match=text):
        CameraRig.load(tmp_path / "rig.toml")


def test_the_digest_is_of_what_changes_a_projection() -> None:
    rig = CameraRig(cameras=(camera(),))
    assert rig.digest == CameraRig(cameras=(camera(rmse_px=3.0),), source="elsewhere").digest
    moved = CameraRig(cameras=(camera(t_mm=np.array([1.0, 2, 3.001])),))
    assert rig.digest != moved.digest


def test_a_rig_finds_cameras_by_their_unique_names() -> None:
    with pytest.raises(CoreError, match="named 'cam1'"):
        CameraRig(cameras=(camera(), camera()))
    rig = CameraRig(cameras=(camera("a"), camera("b")))
    assert rig.subset(["b", "a"]).names == ("b", "a")
    with pytest.raises(CoreError, match="no camera 'c'"):
        rig["c"]


@pytest.mark.parametrize("name", SKELETONS)
def test_skeletons_are_consistent(name: str) -> None:
    skel = skeleton(name)
    assert len(set(skel.joints)) == len(skel)
    assert [skel.mirror[m] for m in skel.mirror] == list(range(len(skel))), "mirroring twice is the identity"
    joined = {0}
    for _ in skel.joints:
        joined |= {b for pair in skel.bones for b in pair if joined & set(pair)}
    # In COCO the face has no bone to the body.
    assert joined == set(range(len(skel))) or name == "coco17"
    with pytest.raises(CoreError, match="no joint 'knee'"):
        skel.index("knee")


def test_derived_joints_need_both_sides() -> None:
    rng = np.random.default_rng(1)
    xyz, score = rng.normal(size=(3, 17, 3)), np.full((3, 17), 0.8)
    xyz[1, COCO17.index("left_hip")], score[1, COCO17.index("left_hip")] = np.nan, 0
    out, out_score = convert(xyz, score, COCO17, PANOPTIC15)
    hip = PANOPTIC15.index("mid_hip")
    expected = (xyz[0, COCO17.index("left_hip")] + xyz[0, COCO17.index("right_hip")]) / 2
    np.testing.assert_allclose(out[0, hip], expected)
    assert np.isnan(out[1, hip]).all() and out_score[1, hip] == 0
    np.testing.assert_array_equal(out[:, PANOPTIC15.index("nose")], xyz[:, 0])


def test_2d_poses_survive_their_file_and_hide_no_code(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    xy = rng.uniform(0, 600, (4, 3, 17, 2)).astype(np.float32)
    score = rng.uniform(0.1, 1, (4, 3, 17)).astype(np.float32)
    xy[1, 2], score[1, 2] = np.nan, 0
    pose = Pose2D(camera="cam1", skeleton=COCO17, xy_px=xy, score=score, box_px=np.full((4, 3, 4), np.nan))
    pose.save(tmp_path / "p.npz")
    read = Pose2D.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(read.xy_px, xy)
    np.testing.assert_array_equal(read.score, score)
    assert (read.camera, read.skeleton, read.n_frames) == ("cam1", COCO17, 4)
    assert read.present.tolist() == [[True] * 3, [True, True, False], [True] * 3, [True] * 3]
    np.savez(tmp_path / "evil.npz", camera=np.array([print], dtype=object))
    with pytest.raises(CoreError, match="does not contain 2D poses"):
        Pose2D.load(tmp_path / "evil.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "p.npz").read_bytes()[:200])
    with pytest.raises(CoreError, match="does not contain 2D poses"):
        Pose2D.load(tmp_path / "cut.npz")


def test_3d_poses_survive_their_file(tmp_path: Path) -> None:
    covariance = np.full((2, 2, 15, 3, 3), np.nan)
    covariance[0, 0] = np.arange(9).reshape(3, 3)
    before = poses3d(covariance_mm2=covariance)
    before.save(tmp_path / "p.nc")
    after = Pose3DSequence.load(tmp_path / "p.nc")
    for field in ("time_s", "xyz_mm", "score", "covariance_mm2"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    assert (after.skeleton, after.person_ids, after.provenance) == (PANOPTIC15, (4, 9), before.provenance)
    assert after.fps == pytest.approx(25)
    assert after.present.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"person_ids": (4, 4)}, "ids repeat"),
        ({"person_ids": (4,)}, "xyz_mm should have shape"),
        ({"time_s": np.array([0.0, 0.0])}, "not strictly increasing"),
        ({"time_s": np.zeros(3)}, "time_s should have shape"),
        ({"xyz_mm": np.full((2, 2, 15, 3), np.inf)}, "not finite"),
        ({"score": np.full((2, 2, 15), np.nan)}, "not finite"),
        ({"skeleton": COCO17}, "xyz_mm should have shape"),
    ],
)
def test_invalid_3d_poses_are_refused(changes: dict, text: str) -> None:
    with pytest.raises(CoreError, match=text):
        poses3d(**changes)


def test_damaged_and_newer_pose_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="does not exist"):
        Pose3DSequence.load(tmp_path / "none.nc")
    path = tmp_path / "p.nc"
    poses3d().save(path)
    with h5netcdf.File(path, "a") as file:
        file.attrs["schema"] = 99
    with pytest.raises(CoreError, match="newer version"):
        Pose3DSequence.load(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CoreError, match="does not contain 3D poses"):
        Pose3DSequence.load(path)


def test_capture_volume() -> None:
    volume = CaptureVolume(centre_mm=[0, 0, 1000], size_mm=[8000, 6000, 2000], voxels=(80, 60, 20))
    assert volume.spacing_mm == pytest.approx([8000 / 79, 6000 / 59, 2000 / 19])
    assert volume.low_mm.tolist() == [-4000, -3000, 0] and volume.high_mm.tolist() == [4000, 3000, 2000]
    assert volume.contains(np.array([[0, 0, 0], [0, 0, 2001], [4000, 3000, 2000]])).tolist() == [True, False, True]
    again = CaptureVolume.from_mapping(volume.to_mapping())
    assert again.to_mapping() == volume.to_mapping()
    with pytest.raises(CoreError, match="multiples of 4"):
        CaptureVolume(centre_mm=[0, 0, 0], size_mm=[1, 1, 1], voxels=(80, 62, 20))
    with pytest.raises(CoreError, match="incomplete"):
        CaptureVolume.from_mapping({"centre_mm": [0, 0, 0]})


def test_volume_settings_become_a_box_of_voxels_and_survive_their_file(tmp_path: Path) -> None:
    chosen = VolumeSettings(centre_mm=(100.0, 0.0, 900.0), size_mm=(4000.0, 3000.0, 2200.0), rig="abc")
    volume = chosen.volume(100.0)
    assert volume.voxels == (40, 32, 24)
    assert volume.low_mm.tolist() == [-1900, -1500, -200] and volume.high_mm.tolist() == [2100, 1500, 2000]
    assert dataclasses.replace(chosen, spacing_mm=200.0).volume(100.0).voxels == (20, 16, 12), (
        "the spacing of the settings takes precedence"
    )
    own = dataclasses.replace(chosen, spacing_mm=81.5, synthetic=SyntheticRange(side_share=0.1, lowest_mm=33.3))
    own.save(tmp_path / "volume.yaml")
    assert VolumeSettings.load(tmp_path / "volume.yaml") == own


def test_hips_of_synthetic_people_stay_inside() -> None:
    volume = CaptureVolume.between((-2000, -1000, -200), (2000, 1000, 2000), 100.0)
    low, high = SyntheticRange(side_share=0.1, lowest_mm=250, highest_mm=300).corners_mm(volume)
    assert low.tolist() == [-1600, -800, 50] and high.tolist() == [1600, 800, 1700]
    for invalid in ({"side_share": 0.5}, {"side_share": -0.1}, {"lowest_mm": -1.0}, {"highest_mm": -1.0}):
        with pytest.raises(CoreError, match="synthetic people"):
            SyntheticRange(**invalid)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"size_mm": (400.0, 3000.0, 2200.0)}, "m large"),
        ({"size_mm": (4000.0, 3000.0, float("nan"))}, "finite"),
        ({"spacing_mm": 5.0}, "spacing is 5 mm"),
        ({"size_mm": (4000.0, 3000.0, 550.0)}, "less than the margins"),
    ],
)
def test_invalid_capture_volumes_are_refused(changes: dict, text: str) -> None:
    with pytest.raises(CoreError, match=text):
        VolumeSettings(**{"centre_mm": (0.0, 0.0, 900.0), "size_mm": (4000.0, 3000.0, 2200.0)} | changes)


def test_too_many_voxels_are_refused() -> None:
    with pytest.raises(CoreError, match="200 x 200 x 120 voxels"):
        VolumeSettings(centre_mm=(0, 0, 900), size_mm=(4000, 4000, 2400), spacing_mm=20).volume(100.0)


@pytest.mark.slow
def test_damaged_and_newer_volume_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "volume.yaml"
    for content, text in (
        ("schema: 99", "newer version"),
        ("[1, 2]", "should be a mapping"),
        ("size_mm: [1000, 1000, 1000]", "centre_mm"),
        ("centre_mm: [0, 0]\nsize_mm: [1, 1, 1]", "list of 3"),
    ):
        path.write_text(content)
        with pytest.raises(CoreError, match=text):
            VolumeSettings.load(path)
