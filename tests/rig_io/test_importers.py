"""Every rig format gives the projections of the original rig, and damaged files are refused with a reason."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tomli_w

sys.path.insert(0, str(Path(__file__).parent))

import foreign

from core.errors import CoreError
from core.files import resource
from core.geometry import project, project_rig
from core.rig_io.importers import IMPORTERS, import_rig_file, read_rig, rig_suffixes
from core.rig_io.raw import guessed_size
from core.synthetic.rigs import ring_rig
from core.types import CameraRig

POINTS = np.random.default_rng(0).uniform((-1500, -1500, 0), (1500, 1500, 2000), (200, 3))


def assert_same_projections(found: CameraRig, expected: CameraRig, points: np.ndarray = POINTS) -> None:
    wanted = project_rig(expected, points)
    assert np.isfinite(wanted).all()
    assert np.abs(project_rig(found, points) - wanted).max() < 1e-6


@pytest.mark.parametrize("layout", foreign.WRITERS)
def test_projections_of_every_layout(layout: str, tmp_path: Path) -> None:
    format_name, file, write = foreign.WRITERS[layout]
    expected = foreign.truth_for(layout)
    path = write(tmp_path / file, expected)
    points, expected = foreign.points_for(layout, expected, POINTS), foreign.read_as(layout, expected)
    imported = import_rig_file(path)
    found = imported.rig
    assert imported.findings == ()
    assert_same_projections(found, expected, points)
    assert [c.size_px for c in found] == [c.size_px for c in expected]
    if layout not in ("caliscope", "kalibr", "mc-calib", "two files"):
        assert found.names == expected.names
    assert found.source.startswith(IMPORTERS.get(format_name).title)
    assert_same_projections(read_rig(path, format=format_name), expected, points)


def test_the_suffixes_of_all_formats_come_from_the_registry() -> None:
    suffixes = (".bin", ".json", ".mcal", ".qca", ".toml", ".txt", ".xcp", ".xml", ".yaml", ".yml")
    assert rig_suffixes() == suffixes


def test_every_importer_is_tested() -> None:
    assert {name for name, _, _ in foreign.WRITERS.values()} == set(IMPORTERS)
    for name in IMPORTERS:
        importer = IMPORTERS.get(name)
        assert importer.name == name
        assert importer.title
        assert importer.patterns


def test_caliscope_omits_what_is_not_calibrated(tmp_path: Path) -> None:
    path = foreign.caliscope(tmp_path / "camera_array.toml", foreign.truth())
    document = tomllib.loads(path.read_text())
    del document["cameras"]["1"]["matrix"]
    document["cameras"]["2"] |= {"rotation": "null", "translation": "null"}
    document["cameras"]["3"] |= {"fisheye": True, "distortions": [0.1, 0.01, 0.0, 0.0]}
    document["cameras"]["0"]["rotation"] = cv2.Rodrigues(foreign.truth()[0].pose[0].copy())[0].ravel().tolist()
    path.write_text(tomli_w.dumps(document))
    rig = read_rig(path)
    assert rig.names == ("cam_0", "cam_2", "cam_3")
    assert [c.posed for c in rig] == [True, False, True]
    assert rig["cam_3"].distortion_model == "fisheye"
    assert "Omitted because not calibrated: cam_1" in rig.source
    np.testing.assert_allclose(rig["cam_0"].centre_mm, foreign.truth()[0].centre_mm)


def test_real_files_of_caliscope() -> None:
    """Files of two versions: their cameras look at one place from some metres away."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "calibration"
    if not folder.is_dir():
        pytest.skip("the recordings of boards are not here")
    for name in ("charuco_calibration", "4_cam_recording"):
        rig = read_rig(folder / name / "camera_array.toml")
        assert rig.names == ("cam_0", "cam_1", "cam_2", "cam_3")
        assert rig.source.startswith("caliscope") and "read as" not in rig.source
        centres = np.stack([c.centre_mm for c in rig])
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)[np.triu_indices(4, 1)]
        assert apart.min() > 300 and apart.max() < 6000


@pytest.mark.parametrize("unit", ["VICON_RADIAL2", "VICON_RADIAL"])
@pytest.mark.parametrize("distortion", [(0.0, 0.0, 7e-8, 3e-14, 0.0), (0.0, 0.0, -4e-8, 1e-14, 0.0)])
def test_the_rig_distorts_what_vicon_undistorts(unit: str, distortion: tuple[float, ...], tmp_path: Path) -> None:
    """Image points go through Vicon's formula, and the rig must show the points on those rays at the same pixel."""
    expected = foreign.straight(foreign.truth())
    path = foreign.xcp(tmp_path / "a.xcp", expected, distortion)
    if unit == "VICON_RADIAL":
        pattern = r'VICON_RADIAL2="ViconRadial2 \S+ \S+ (\S+ \S+) \S+"'
        path.write_text(re.sub(pattern, r'VICON_RADIAL="\1"', path.read_text()))
    rig = read_rig(path)
    image = np.random.default_rng(1).uniform((0, 0), (1919, 1079), (200, 2))
    for camera, bare in zip(rig, expected, strict=True):
        away = image - bare.K[:2, 2]
        aspect = bare.K[0, 0] / bare.K[1, 1]
        r2 = (away[:, :1] ** 2) + (away[:, 1:] * aspect) ** 2
        straight = bare.K[:2, 2] + away * (1 + distortion[2] * r2 + distortion[3] * r2**2)
        assert np.abs(straight - image).max() > 10
        ahead = np.hstack([(straight - bare.K[:2, 2]) / np.diag(bare.K)[:2], np.ones((200, 1))]) * 4000
        world = (ahead - bare.pose[1]) @ bare.pose[0]
        assert np.abs(project(camera, world) - image).max() < 0.01
    assert "fitted to Vicon's with an error of" in rig.source


def test_vicon_with_a_separate_distortion_centre(tmp_path: Path) -> None:
    """OpenCV's distortion is centred at the principal point: the error of the fit is stated, and no larger."""
    bare = foreign.straight(foreign.truth())
    distortion = (9.0, -6.0, 3e-8, 1e-14, 0.0)
    rig = read_rig(foreign.xcp(tmp_path / "a.xcp", bare, distortion))
    stated = float(re.search(r"an error of ([\d.e-]+) px", rig.source)[1])  # type: ignore[index]
    image = np.random.default_rng(1).uniform((0, 0), (1919, 1079), (500, 2))
    K = bare[0].K
    away = image - K[:2, 2] - distortion[:2]
    r2 = (away[:, :1] ** 2) + (away[:, 1:] * K[0, 0] / K[1, 1]) ** 2
    straight = K[:2, 2] + distortion[:2] + away * (1 + distortion[2] * r2 + distortion[3] * r2**2)
    ahead = np.hstack([(straight - K[:2, 2]) / np.diag(K)[:2], np.ones((500, 1))]) * 4000
    off = np.linalg.norm(project(rig[0], (ahead - bare[0].pose[1]) @ bare[0].pose[0]) - image, axis=1).max()
    assert 0.5 * stated < off < 1.05 * stated < 0.1


def test_vicon_omits_marker_cameras_and_refuses_a_fold(tmp_path: Path) -> None:
    bare = foreign.straight(foreign.truth())
    rig = read_rig(foreign.xcp(tmp_path / "a.xcp", bare, marker_cameras=3))
    assert rig.names == bare.names and "3 marker cameras were omitted" in rig.source
    with pytest.raises(CoreError, match="folds inside the image"):
        read_rig(foreign.xcp(tmp_path / "b.xcp", bare, (0.0, 0.0, -0.2, 0.0, 0.0)))
    # Numbers as OpenCV would have them: of the radius in focal lengths, not in px.
    with pytest.raises(CoreError, match="OpenCV's model cannot represent"):
        read_rig(foreign.xcp(tmp_path / "b.xcp", bare, (0.0, 0.0, -0.2, 0.05, 0.0)))


def test_easymocap_needs_its_second_file_for_poses(tmp_path: Path) -> None:
    path = foreign.easymocap(tmp_path / "x.yml", foreign.truth())
    assert_same_projections(read_rig(tmp_path), foreign.truth())
    assert_same_projections(read_rig(tmp_path / "extri.yml"), foreign.truth())
    (tmp_path / "extri.yml").unlink()
    rig = read_rig(path)
    assert not any(c.posed for c in rig) and "no extri.yml" in rig.source


def test_colmap_names_cameras_after_images_or_folders(tmp_path: Path) -> None:
    folder = foreign.colmap(tmp_path / "sparse", foreign.truth())
    rig = read_rig(folder / "images.txt")
    assert rig.names == foreign.truth().names and "scale is arbitrary" in rig.source
    text = (folder / "images.txt").read_text()
    (folder / "images.txt").write_text(re.sub(r"(cam\d+)/000001", r"all/\1", text))
    assert read_rig(folder).names == rig.names
    (folder / "images.txt").write_text(re.sub(r"cam\d+/", "cam01/", text))
    with pytest.raises(CoreError, match="several images per camera"):
        read_rig(folder)


@pytest.mark.parametrize(
    ("model", "numbers", "K", "distortion"),
    [
        ("SIMPLE_PINHOLE", "500 320 240", (500, 500), (0, 0, 0, 0, 0)),
        ("SIMPLE_RADIAL", "500 320 240 0.1", (500, 500), (0.1, 0, 0, 0, 0)),
        ("RADIAL", "500 320 240 0.1 -0.2", (500, 500), (0.1, -0.2, 0, 0, 0)),
        ("OPENCV", "500 510 320 240 0.1 -0.2 0.01 0.02", (500, 510), (0.1, -0.2, 0.01, 0.02, 0)),
        ("OPENCV_FISHEYE", "500 510 320 240 0.1 -0.2 0.01 0.02", (500, 510), (0.1, -0.2, 0.01, 0.02)),
    ],
)
def test_models_of_colmap(
    model: str, numbers: str, K: tuple[float, ...], distortion: tuple[float, ...], tmp_path: Path
) -> None:
    (tmp_path / "cameras.txt").write_text(f"7 {model} 640 480 {numbers}\n")
    (tmp_path / "images.txt").write_text("1 2 0 0 0 0 0 3 7 a.png\n\n")
    camera = read_rig(tmp_path, units="m")[0]
    assert (camera.name, camera.size_px, camera.K[0, 2], camera.K[1, 2]) == ("a", (640, 480), 319.5, 239.5)
    assert (camera.K[0, 0], camera.K[1, 1]) == K
    np.testing.assert_array_equal(camera.distortion, distortion)
    np.testing.assert_array_equal(camera.pose[0], np.eye(3))
    np.testing.assert_array_equal(camera.pose[1], [0, 0, 3000])
    (tmp_path / "cameras.txt").write_text("7 FOV 640 480 500 510 320 240 0.9\n")
    with pytest.raises(CoreError, match="model 'FOV'"):
        read_rig(tmp_path)


def test_sample_of_qualisys() -> None:
    """The real file: its cameras stand around people at heights that its owners could reach, and look inwards."""
    rig = read_rig(resource("sample", "Calib.qca.txt"))
    assert rig.names == ("cam01", "cam02", "cam03", "cam04")
    camera = rig["cam01"]
    assert camera.size_px == (1088, 1920)
    np.testing.assert_allclose(camera.centre_mm, [1460.2323709, -1909.1590482, 1896.5058524], atol=1e-6)
    np.testing.assert_allclose(camera.K[0], [107599.671875 / 64, 0, 34110.316406 / 64])
    np.testing.assert_allclose(camera.distortion[:2], [-0.046183, 0.139983])
    # A head above feet in the middle of the room: upright in every portrait image.
    head, feet = project_rig(rig, np.array([[-900.0, 0, 1700], [-900.0, 0, 0]])).swapaxes(0, 1)
    assert (feet[:, 1] - head[:, 1] > 300).all()


def test_the_distortion_of_qualisys_undistorts_a_real_board() -> None:
    """The footage's board images, filmed by the same cameras: only a distortion without a unit fits them."""
    footage = Path(__file__).parents[3] / "shared" / "data" / "footage" / "single" / "calibration"
    if not footage.is_dir():
        pytest.skip("the footage's board images are not here")
    camera = read_rig(footage / "Calib.qca.txt")["cam01"]
    board = np.zeros((28, 3), np.float32)
    board[:, :2] = np.mgrid[:4, :7].T.reshape(-1, 2) * 60
    found = []
    for path in sorted(footage.glob("intrinsics/int_cam01_img/*.jpg")):
        image = cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), None, fx=0.5, fy=0.5)
        seen, corners = cv2.findChessboardCorners(image, (4, 7))
        if seen:
            corners = cv2.cornerSubPix(image, corners, (5, 5), (-1, -1), (3, 50, 1e-4))
            found.append(((corners + 0.5) * 2 - 0.5).astype(np.float32))
    assert len(found) >= 5

    def rms(distortion: np.ndarray) -> float:
        free = cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_FIX_TANGENT_DIST
        fixed = free | cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3
        size, boards = camera.size_px, [board] * len(found)
        return float(cv2.calibrateCamera(boards, found, size, camera.K.copy(), distortion.copy(), flags=fixed)[0])

    assert rms(camera.distortion) < 0.85 * rms(camera.distortion / 64)


def test_rig_toml_is_read_back_unchanged(tmp_path: Path) -> None:
    rig = foreign.truth()
    path = tmp_path / "rig.toml"
    rig.save(path)
    assert read_rig(path).digest == rig.digest


@pytest.mark.parametrize(("mm", "word"), [(1000.0, "metres"), (1.0, "millimetres")])
def test_an_unknown_unit_is_the_most_plausible_or_the_given_one(tmp_path: Path, mm: float, word: str) -> None:
    path = foreign.anipose(tmp_path / "a.toml", foreign.truth(), mm)
    found = read_rig(path)
    assert f"read as {word}" in found.source
    assert_same_projections(found, foreign.truth())
    given = read_rig(path, units="m")
    scale = np.linalg.norm(given[0].centre_mm) / np.linalg.norm(foreign.truth()[0].centre_mm)
    np.testing.assert_allclose(scale, 1000 / mm)
    assert "read as" not in given.source


def test_centimetres_are_assumed_if_millimetres_are_implausible(tmp_path: Path) -> None:
    near = ring_rig(4, radius_mm=2000.0)
    assert "read as centimetres" in read_rig(foreign.anipose(tmp_path / "a.toml", near, 10.0)).source


def test_up_axis_can_be_given(tmp_path: Path) -> None:
    """A file with y up, as Blender's neighbours write it: x = x', y = z', z = -y'."""
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
    expected = foreign.truth()
    turned = CameraRig(cameras=tuple(c.replace(R=c.pose[0] @ turn.T) for c in expected))
    path = foreign.anipose(tmp_path / "y_up.toml", turned)
    assert_same_projections(read_rig(path, up="y"), expected)
    for up, axis in (("x", 0), ("y", 1), ("z", 2)):
        for sign, name in ((1, up), (-1, f"-{up}")):
            rig = read_rig(path, up=name)  # type: ignore[arg-type]
            there = np.zeros(3)
            there[axis] = sign * 1000.0
            # What was up in the file is up in the world, seen at the same pixel.
            same = project(turned[0], there)
            np.testing.assert_allclose(project(rig[0], np.array([0, 0, 1000.0])), same, atol=1e-6)


def test_sizes_are_from_the_file_the_takes_or_the_principal_point(tmp_path: Path) -> None:
    path = foreign.voxelpose(tmp_path / "a.json", foreign.truth())
    assert "no image sizes" in read_rig(path).source
    with_size = read_rig(path, sizes_px={"cam02": (1900, 1070)})
    assert with_size["cam02"].size_px == (1900, 1070)
    assert with_size["cam01"].size_px == (1920, 1080)
    assert "cam02" not in with_size.source
    stated = read_rig(foreign.voxelpose(tmp_path / "b.json", foreign.truth(), sizes=True))
    assert "no image sizes" not in stated.source


@pytest.mark.parametrize(
    ("centre", "size"),
    [((510, 390), (1032, 776)), ((181, 140), (360, 288)), ((533, 967), (1080, 1920)), ((400, 200), (800, 400))],
)
def test_guessed_sizes(centre: tuple[float, float], size: tuple[int, int]) -> None:
    assert guessed_size(*centre) == size


def test_folder_with_one_rig_file_among_others(tmp_path: Path) -> None:
    foreign.anipose(tmp_path / "Calib.toml", foreign.truth())
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "cam01.mp4").write_bytes(bytes(range(256)))
    assert_same_projections(read_rig(tmp_path), foreign.truth())
    foreign.qca(tmp_path / "Calib.qca.txt", foreign.truth())
    with pytest.raises(CoreError, match=r"several rig files: Calib\.qca\.txt, Calib\.toml"):
        read_rig(tmp_path)


def test_marker_cameras_and_inactive_ones_are_omitted(tmp_path: Path) -> None:
    path = foreign.qca(tmp_path / "a.qca.txt", foreign.truth())
    text = path.read_text().replace('model="Miqus Video" serial="cam02"', 'model="Miqus M3" serial="cam02"')
    path.write_text(text.replace('active="1" model="Miqus Video" serial="cam04"', 'active="0" serial="cam04"'))
    rig = read_rig(path)
    assert rig.names == ("cam01", "cam03")
    assert "1 marker cameras were omitted" in rig.source


def test_ros_camera_info_has_intrinsics_but_no_pose(tmp_path: Path) -> None:
    path = tmp_path / "left.yaml"
    path.write_text(
        "image_width: 640\nimage_height: 480\ncamera_name: left\n"
        "camera_matrix:\n  rows: 3\n  cols: 3\n  data: [500., 0., 320., 0., 500., 240., 0., 0., 1.]\n"
        "distortion_model: plumb_bob\n"
        "distortion_coefficients:\n  rows: 1\n  cols: 5\n  data: [0.1, -2e-3, 0., 0., 0.]\n"
        "rectification_matrix:\n  rows: 3\n  cols: 3\n  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]\n"
    )
    camera = read_rig(path)[0]
    assert (camera.name, camera.size_px, camera.posed) == ("left", (640, 480), False)
    np.testing.assert_allclose(camera.distortion[:2], [0.1, -2e-3])


@pytest.mark.parametrize("layout", foreign.WRITERS)
def test_truncated_files_are_refused_with_a_reason(layout: str, tmp_path: Path) -> None:
    _, file, write = foreign.WRITERS[layout]
    path = write(tmp_path / file, foreign.truth())
    victim = sorted(path.iterdir())[0] if path.is_dir() else path
    whole = victim.read_bytes()
    for share in (0.0, 0.1, 0.33, 0.5, 0.77, 0.97):
        victim.write_bytes(whole[: int(len(whole) * share)])
        try:
            rig = read_rig(path)
        except CoreError as error:
            assert error.hint
        else:
            # A text format may be cut between cameras or fields; nothing that is left may be wrong.
            assert len(rig) < 4 or any(not c.posed for c in rig) or victim.suffix in (".yml", ".yaml", ".toml", ".txt")


HOSTILE = {
    "bomb.qca.txt": '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><calibration><camera>&a;</camera></calibration>',
    "outside.xml": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><opencv_storage><K>&a;</K></opencv_storage>',
    "python.yml": "K: !!python/object/apply:os.system ['touch hacked']\n",
    "aliases.yml": "a: &a [1, 1]\nb: &b [*a, *a]\nK: [*b, *b]\n",
    "deep.json": '{"K": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep.yml": "K: " + "[" * 20_000 + "]" * 20_000 + "\n",
    "nan.json": '{"K": [NaN, 0, 1, 0, 1, 1, 0, 0, 1]}',
    "words.json": '{"K": ["a", 0, 1, 0, 1, 1, 0, 0, 1]}',
    "short.json": '{"K": [1, 2, 3]}',
    "focal.json": '{"K": [[-5, 0, 10], [0, 5, 10], [0, 0, 1]]}',
    "huge.toml": "[cam_0]\nmatrix = 7\n",
    "panoptic.json": '{"cameras": [{"name": "a", "distCoef": [], "R": 1, "t": 2}]}',
    "voxel.json": '{"0": {"R": [[1]], "T": [1], "fx": 1, "fy": 1, "cx": 1, "cy": 1}}',
    "list.json": '["R", "T", "fx", "cx"]',
    "vicon.xcp": '<Cameras><Camera DEVICEID="1" SENSOR_SIZE="9 9"><KeyFrames><KeyFrame FOCAL_LENGTH="nan"/></KeyFrames>'
    "</Camera></Cameras>",
    "short.xcp": '<Cameras><Camera DEVICEID="1" SENSOR_SIZE="9 9"><KeyFrames><KeyFrame FOCAL_LENGTH="9" '
    'PRINCIPAL_POINT="5 5" VICON_RADIAL2="ViconRadial2 1 2"/></KeyFrames></Camera></Cameras>',
    "bomb.xcp": '<!DOCTYPE x [<!ENTITY a "aa">]><Cameras><Camera/><KeyFrame/>&a;</Cameras>',
    "mocap.yml": "names: [a]\n",
    "mocap2.yml": "names: [a]\nK_a: 7\n",
    "caliscope.toml": "[cameras.0]\ncam_id = 0\nsize = [inf, 7]\nmatrix = [[9.0, 0, 5], [0, 9, 5], [0, 0, 1]]\n",
    "units.toml": '[cam_0]\nname = "a"\nsize = [9, 9]\nmatrix = [[9, 0, 5], [0, 9, 5], [0, 0, 1]]\n'
    "[metadata]\nunits = [1]\n",
    "unit.yml": "length_unit: [mm]\nK: [-9, 0, 5, 0, 9, 5, 0, 0, 1]\n",
    "overflow.json": '{"K": [9, 0, 5, 0, 9, 5, 0, 0, 1], "R": [1e300, 1e300, 0, 0, 1, 0, 0, 0, 1], "T": [0, 0, 0]}',
    "empty.toml": "",
    "image.txt": "\x00\x01",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_invalid_files_are_refused_with_a_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(HOSTILE[name])
    with pytest.raises(CoreError) as caught:
        read_rig(tmp_path / name)
    assert caught.value.hint
    assert name in caught.value.message
    assert not (tmp_path / "hacked").exists()


def test_a_mirrored_rotation_is_refused(tmp_path: Path) -> None:
    rig = foreign.truth()
    document = {"K": rig[0].K.tolist(), "R": (np.diag([1, 1, -1]) @ rig[0].pose[0]).tolist(), "T": [0, 0, 0]}
    (tmp_path / "mirrored.json").write_text(json.dumps(document))
    with pytest.raises(CoreError, match="mirrored"):
        read_rig(tmp_path / "mirrored.json")


def test_missing_file_and_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="does not exist"):
        read_rig(tmp_path / "away.toml")
    path = foreign.anipose(tmp_path / "a.toml", foreign.truth())
    with pytest.raises(CoreError, match="no rig format named 'anipos'"):
        read_rig(path, format="anipos")
    with pytest.raises(CoreError, match=r"a\.toml"):
        read_rig(path, format="qca")
    (tmp_path / "rig.npz").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(CoreError, match=r"rig\.npz is not a rig file of a known format"):
        read_rig(tmp_path / "rig.npz")
