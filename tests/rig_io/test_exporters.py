"""Every rig format is read back as written, and refuses what it cannot hold; damaged files are refused too."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import foreign

from core.errors import CoreError
from core.geometry import project, undistort
from core.rig_io.exporters import EXPORTERS, write_rig
from core.rig_io.importers import IMPORTERS, read_rig
from core.synthetic.rigs import PORTRAIT, camera
from core.types import CameraRig
from core.types.camera import Camera

POINTS = np.random.default_rng(0).uniform((-1500, -1500, 0), (1500, 1500, 2000), (200, 3))
DISTORTIONS = {
    "straight": ((), "pinhole"),
    "four": ((-0.12, 0.06, 0.0011, -0.0007), "pinhole"),
    "five": ((-0.12, 0.06, 0.0011, -0.0007, -0.01), "pinhole"),
    "eight": ((0.3, 0.05, 0.0011, -0.0007, 0.01, 0.4, 0.1, 0.02), "pinhole"),
    "prism": ((-0.12, 0.06, 0.0011, -0.0007, -0.01, 0, 0, 0, 1e-3, 0, -1e-3, 0), "pinhole"),
    "tilt": ((-0.12, 0.06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.01, -0.02), "pinhole"),
    "fisheye": ((0.02, -0.01, 0.004, -0.001), "fisheye"),
}
EVERY = frozenset({*DISTORTIONS, "skew", "unposed"})
BROWN = frozenset({"straight", "four", "five"})
HOLDS = {
    "selfpose": EVERY,
    "anipose": EVERY,
    "opencv-yaml": EVERY,
    "opencv-json": EVERY,
    "caliscope": BROWN | {"fisheye", "skew", "unposed"},
    "qca": BROWN,
    "xcp": frozenset({"straight", "unposed"}),
    "easymocap": BROWN | {"skew", "unposed"},
    "panoptic": BROWN | {"skew"},
    "voxelpose": BROWN,
    "colmap": BROWN | {"eight", "fisheye"},
}
IMPORTER_OF = {"selfpose": "anipose", "opencv-yaml": "opencv", "opencv-json": "opencv"}
WITH_TIME_OFFSET = ("selfpose", "anipose", "caliscope", "opencv-yaml", "opencv-json")


def random_rig(case: str, seed: int) -> CameraRig:
    """Return five cameras that look into a volume, of different sizes, one of them portrait, names out of order."""
    random = np.random.default_rng(seed)
    coefficients, model = DISTORTIONS.get(case, DISTORTIONS["straight"])
    cameras = []
    for i, size in enumerate(((1920, 1080), PORTRAIT, (1280, 720), (640, 480), (1920, 1080))):
        around = random.uniform(0, 2 * np.pi)
        centre = (5500 * np.cos(around), 5500 * np.sin(around), random.uniform(1000, 3000))
        template = camera(f"cam_{(7 * i) % 5}", centre, random.uniform(-300, 300, 3), size_px=size, fov_deg=70)
        K = template.K + [[random.uniform(-9, 9), 0, random.uniform(-9, 9)], [0, 0, random.uniform(-9, 9)], [0, 0, 0]]
        K[0, 1] = 3.0 if case == "skew" else 0.0
        roll = cv2.Rodrigues(random.normal(0, 0.1, 3))[0]
        R, t_mm = roll @ template.pose[0], roll @ template.pose[1]
        distorted = np.array(coefficients) * random.uniform(0.5, 1, max(len(coefficients), 1))[: len(coefficients)]
        cameras.append(template.replace(K=K, distortion=distorted, distortion_model=model, R=R, t_mm=t_mm))
    # A turn that is as good as none, and half a turn: both are special to Rodrigues vectors and quaternions.
    near = cv2.Rodrigues(np.array([3e-6, -2e-6, 4e-6]))[0]
    cameras[3] = cameras[3].replace(R=near, t_mm=np.array([100.0, 200.0, 6000.0]))
    half = cv2.Rodrigues(np.array([np.pi - 1e-9, 0, 0]))[0]
    cameras[4] = cameras[4].replace(R=half, t_mm=np.array([100.0, 200.0, 6000.0]))
    if case == "unposed":
        cameras[1] = cameras[1].replace(R=None, t_mm=None)
    return CameraRig(cameras=tuple(cameras))


def assert_same_rig(found: CameraRig, expected: CameraRig, tolerance_px: float = 1e-6) -> None:
    """Names, order, sizes and projections; the distortion of an unposed camera is compared at an arbitrary pose."""
    assert found.names == expected.names
    assert [c.size_px for c in found] == [c.size_px for c in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.posed == theirs.posed
        wanted, seen = (project(_somewhere(c), POINTS) for c in (theirs, ours))
        assert np.isfinite(wanted).all(1).sum() > 100
        np.testing.assert_array_equal(np.isfinite(seen), np.isfinite(wanted))
        assert np.nanmax(np.abs(seen - wanted)) < tolerance_px, ours.name


def _somewhere(c: Camera) -> Camera:
    return c if c.posed else c.replace(R=np.diag([1.0, -1.0, -1.0]), t_mm=np.array([0.0, 0.0, 6000.0]))


ONLY_IMPORTED = {"kalibr", "metashape", "optitrack"}  # calibrations that no other program reads


def test_every_importer_has_an_exporter_and_every_exporter_a_title() -> None:
    assert set(HOLDS) == set(EXPORTERS)
    assert {IMPORTER_OF.get(name, name) for name in EXPORTERS} == set(IMPORTERS) - ONLY_IMPORTED
    assert [card.name for card in EXPORTERS.entries()] == list(EXPORTERS)
    assert (
        len({card.title for card in EXPORTERS.entries()})
        == len({card.default_name for card in EXPORTERS.entries()})
        == len(EXPORTERS)
    )
    for card in EXPORTERS.entries():
        assert card.summary.endswith(".")
        assert card.folder == (card.file_filter == "")
        assert card.default_name.endswith(card.suffixes or card.name)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", sorted(EVERY))
@pytest.mark.parametrize("name", EXPORTERS)
def test_a_format_returns_what_it_holds_and_refuses_the_rest(name: str, case: str, seed: int, tmp_path: Path) -> None:
    rig = random_rig(case, seed)
    if case not in HOLDS[name]:
        with pytest.raises(CoreError) as refused:
            write_rig(rig, tmp_path / "out", name)
        assert "cam_" in refused.value.message and refused.value.hint
        assert not list(tmp_path.iterdir())
        return
    written = write_rig(rig, tmp_path / "out", name)
    assert all(file.is_file() for file in written.files)
    path = tmp_path / "out" if EXPORTERS.get(name).folder else written.files[0]
    found = read_rig(path)
    assert found.source.startswith(IMPORTERS.get(IMPORTER_OF.get(name, name)).title), found.source
    assert "read as" not in found.source and "no image sizes" not in found.source
    assert_same_rig(found, rig)


@pytest.mark.parametrize("name", EXPORTERS)
def test_time_offsets_are_kept_or_a_note_says_that_they_are_lost(name: str, tmp_path: Path) -> None:
    rig = random_rig("straight", 0)
    rig = CameraRig(cameras=(rig[0].replace(time_offset_s=0.0125), *rig.cameras[1:]))
    written = write_rig(rig, tmp_path / "out", name)
    found = read_rig(tmp_path / "out" if EXPORTERS.get(name).folder else written.files[0])
    kept = name in WITH_TIME_OFFSET
    assert [c.time_offset_s for c in found] == [0.0125 if kept else 0.0, 0, 0, 0, 0]
    assert any("time offsets of cam_0" in note for note in written.notes) != kept


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTERS)
def test_truncated_and_damaged_files_are_refused_with_a_reason(name: str, tmp_path: Path) -> None:
    """Reading gives a rig or raises CoreError, however the file was truncated or changed."""
    rig = random_rig("straight", 1)
    written = write_rig(rig, tmp_path / "out", name)
    path = tmp_path / "out" if EXPORTERS.get(name).folder else written.files[0]
    random = np.random.default_rng(2)
    refused = 0
    for victim in written.files:
        whole = victim.read_text()
        spoilt = [whole[: int(len(whole) * share)] for share in np.linspace(0, 0.99, 12)]
        for junk in ("nan", "1e999", "-", "[", "}", "0", "\x00", '"', "null", ": ", "\n", "{{"):
            at = int(random.integers(len(whole) // 5, len(whole)))
            spoilt.append(whole[:at] + junk + whole[at + int(random.integers(0, 40)) :])
        for text in spoilt:
            victim.write_text(text)
            try:
                assert len(read_rig(path, format=IMPORTER_OF.get(name, name))) <= len(rig)
            except CoreError as error:
                refused += 1
                assert error.hint
        victim.write_text(whole)
    assert refused > 5
    assert_same_rig(read_rig(path), rig)


@pytest.mark.parametrize("distortion", [(7e-8, 3e-14, 0.0), (-4e-8, 1e-14, 0.0), (4.0, -3.0, 3e-8, 1e-14, 1e-21)])
def test_a_rig_from_vicon_is_exported_unchanged(distortion: tuple[float, ...], tmp_path: Path) -> None:
    """Vicon's distortion is fitted on reading, but what was read from a file is written as it was in the file."""
    first = read_rig(foreign.xcp(tmp_path / "a.xcp", foreign.straight(foreign.truth()), distortion))
    written = write_rig(first, tmp_path / "b.xcp", "xcp")
    assert_same_rig(read_rig(written.files[0]), first)
    straightened = []
    for path in (tmp_path / "a.xcp", tmp_path / "b.xcp"):
        frames = [frame.attrib["VICON_RADIAL2"].split()[1:] for frame in ElementTree.parse(path).iter("KeyFrame")]
        values = np.array(frames, float)
        offset = np.array([[900.0, -500.0]]) - values[:, :2]
        r2 = (offset**2).sum(1, keepdims=True)
        polynomial = 1 + r2 * (values[:, 2:3] + r2 * (values[:, 3:4] + r2 * values[:, 4:]))
        straightened.append(values[:, :2] + offset * polynomial)
    np.testing.assert_allclose(*straightened, atol=1e-5)


def test_an_approximated_distortion_is_written_with_its_error(tmp_path: Path) -> None:
    """Vicon's formula with the numbers of the file undistorts as the camera does, to within the error of the note."""
    distorted = random_rig("straight", 0)[0].replace(distortion=np.array([-0.05, 0.01, 0, 0, 0]))
    written = write_rig(CameraRig(cameras=(distorted,)), tmp_path / "a", "xcp")
    assert written.files[0].name == "a.xcp"
    (note,) = written.notes
    stated = float(note.split(" is approximated to ")[1].split(" px")[0])
    tag = ElementTree.parse(written.files[0]).getroot()[0]
    frame, aspect = tag[0][0].attrib, float(tag.attrib["PIXEL_ASPECT_RATIO"])
    focal = float(frame["FOCAL_LENGTH"])
    principal = np.array(frame["PRINCIPAL_POINT"].split(), float)
    values = np.array(frame["VICON_RADIAL2"].split()[1:], float)
    image = np.random.default_rng(0).uniform((0, 0), (1919, 1079), (2000, 2))
    offset = image - values[:2]
    r2 = ((offset * [1, aspect]) ** 2).sum(1, keepdims=True)
    undistorted = values[:2] + offset * (1 + r2 * (values[2] + r2 * (values[3] + r2 * values[4])))
    ideal = (undistorted - principal) / focal * [1, aspect]
    error = np.linalg.norm(ideal - undistort(distorted, image), axis=1).max() * focal
    assert 1e-4 < 0.3 * stated < error < 1.05 * stated < 0.1
    assert_same_rig(read_rig(written.files[0]), CameraRig(cameras=(distorted,)))


def test_opencv_reads_the_filestorage_files(tmp_path: Path) -> None:
    rig = random_rig("five", 0)
    small = rig[0].replace(distortion=np.array([1e-05, -3e-07, 0, 0, 0]), time_offset_s=0.002)
    rig = CameraRig(cameras=(small, *rig.cameras[1:]))
    for name in ("opencv-yaml", "opencv-json"):
        written = write_rig(rig, tmp_path / "rig", name)
        storage = cv2.FileStorage(str(written.files[0]), cv2.FILE_STORAGE_READ)
        nodes = storage.getNode("cameras")
        assert nodes.size() == len(rig)
        for i, c in enumerate(rig):
            assert nodes.at(i).getNode("camera_name").string() == c.name
            assert nodes.at(i).getNode("image_width").real() == c.size_px[0]
            np.testing.assert_array_equal(nodes.at(i).getNode("camera_matrix").mat(), c.K)
            np.testing.assert_array_equal(nodes.at(i).getNode("distortion_coefficients").mat(), c.distortion[None])
            np.testing.assert_array_equal(nodes.at(i).getNode("rotation_matrix").mat(), c.pose[0])
        assert nodes.at(0).getNode("time_offset_s").real() == 0.002
        storage.release()
    write_rig(rig, tmp_path / "mocap", "easymocap")
    storage = cv2.FileStorage(str(tmp_path / "mocap" / "extri.yml"), cv2.FILE_STORAGE_READ)
    assert [storage.getNode("names").at(i).string() for i in range(len(rig))] == list(rig.names)
    for c in rig:
        np.testing.assert_allclose(storage.getNode(f"T_{c.name}").mat().ravel() * 1000, c.pose[1], rtol=1e-15)
        np.testing.assert_allclose(cv2.Rodrigues(storage.getNode(f"R_{c.name}").mat())[0], c.pose[0], atol=1e-15)
    storage.release()


def test_colmap_pixels_are_relative_to_the_image_corner(tmp_path: Path) -> None:
    c = camera("only", (0, -4000, 1500), (0, 0, 900), size_px=(640, 480))
    write_rig(CameraRig(cameras=(c,)), tmp_path, "colmap")
    (line,) = [x for x in (tmp_path / "cameras.txt").read_text().splitlines() if not x.startswith("#")]
    number, model, *values = line.split()
    assert (number, model, values[:2]) == ("1", "PINHOLE", ["640", "480"])
    assert [float(v) for v in values[4:]] == [320.0, 240.0]  # the middle, which here is (319.5, 239.5)


def test_caliscope_gets_numbers_and_a_note(tmp_path: Path) -> None:
    rig = random_rig("straight", 0)
    assert write_rig(rig, tmp_path / "a", "caliscope").notes == ()
    named = CameraRig(cameras=(rig[0].replace(name="door"), *rig.cameras[1:]))
    (note,) = write_rig(named, tmp_path / "b", "caliscope").notes
    assert "cam_0 is door" in note
    assert read_rig(tmp_path / "b.toml").names == named.names


@pytest.mark.parametrize(("name", "bad"), [("easymocap", "left cam"), ("colmap", "left cam"), ("colmap", "a/b")])
def test_names_that_a_format_cannot_hold_are_refused(name: str, bad: str, tmp_path: Path) -> None:
    rig = CameraRig(cameras=(random_rig("straight", 0)[0].replace(name=bad),))
    with pytest.raises(CoreError, match=bad):
        write_rig(rig, tmp_path / "out", name)


@pytest.mark.parametrize("name", sorted(set(EXPORTERS) - {"easymocap", "colmap"}))
def test_unusual_names_are_kept(name: str, tmp_path: Path) -> None:
    odd = ('Left "door" & <window>: #1', "Kamera ä", "007")
    rig = CameraRig(
        cameras=tuple(c.replace(name=n) for c, n in zip(random_rig("straight", 0).cameras[:3], odd, strict=True))
    )
    assert_same_rig(read_rig(write_rig(rig, tmp_path / "rig", name).files[0]), rig)


def test_suffixes_are_added_and_a_folder_gets_the_default_name(tmp_path: Path) -> None:
    rig = random_rig("straight", 0)
    assert write_rig(rig, tmp_path / "Calib.QCA.TXT", "qca").files == (tmp_path / "Calib.QCA.TXT",)
    assert write_rig(rig, tmp_path / "v1.2", "qca").files == (tmp_path / "v1.2.qca.txt",)
    assert write_rig(rig, tmp_path, "panoptic").files == (tmp_path / "calibration_panoptic.json",)
    assert write_rig(rig, tmp_path / "deep" / "er", "colmap").files[0] == tmp_path / "deep" / "er" / "cameras.txt"
    with pytest.raises(CoreError, match="cannot be written"):
        write_rig(rig, tmp_path / "v1.2.qca.txt", "colmap")
    with pytest.raises(CoreError, match="no rig format to write"):
        write_rig(rig, tmp_path / "a", "mocap")
