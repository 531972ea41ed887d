"""Files are understood, or what was not understood is said; variants of what people ran into."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tomli_w
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).parent))

import foreign
import foreign_layouts

from core.calibration.checks import check_rig
from core.errors import CoreError
from core.geometry import project, project_rig
from core.rig_io.importers import import_rig_file, read_rig
from core.rig_io.readings import READINGS, PoseReading, pose_to_stored, stored_to_pose
from core.types import CameraRig

CASES = Path(__file__).parents[3] / "shared" / "cases" / "rigs"
POINTS = np.random.default_rng(0).uniform((-1500, -1500, 0), (1500, 1500, 2000), (100, 3))
FISHEYE = (0.05, -0.012, 0.004, -0.001)


def error_px(found: CameraRig, expected: CameraRig) -> float:
    return float(np.abs(project_rig(found, POINTS) - project_rig(expected, POINTS)).max())


def fisheye_rig() -> CameraRig:
    cameras = [c.replace(distortion=np.array(FISHEYE), distortion_model="fisheye") for c in foreign.truth()]
    return CameraRig(cameras=tuple(cameras))


def tables(rig: CameraRig, **more: Any) -> dict[str, dict[str, Any]]:
    """Return a plain JSON document of a rig in metres, without distortion."""
    return {
        c.name: {
            "camera_matrix": c.K.tolist(),
            "R": c.pose[0].tolist(),
            "T": (c.pose[1] / 1000).tolist(),
            "image_size": list(c.size_px),
        }
        | {key: value(c) if callable(value) else value for key, value in more.items()}
        for c in rig
    }


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("distortion_type", "equidistant"),
        ("model_type", "KANNALA_BRANDT"),
        ("camera_model", "OPENCV_FISHEYE"),
        ("model", "fisheye"),
        ("is_fisheye", True),
        ("fisheye", 1),
        ("lens", "Kannala-Brandt4"),
        ("distortion_type", 1),
        ("Lens Model", "Fisheye"),
        ("projectionModel", "equi"),
        ("type", "fisheye"),
        ("distortion_model", {"name": "equidistant"}),
    ],
)
def test_a_fisheye_lens_by_any_name(key: str, word: Any, tmp_path: Path) -> None:
    document = tables(fisheye_rig(), distortion=lambda c: c.distortion.tolist(), **{key: word})
    found = import_rig_file(write(tmp_path / "a.json", document))
    assert found.findings == ()
    assert error_px(found.rig, fisheye_rig()) < 1e-6


@pytest.mark.parametrize(
    ("key", "word"), [("camera_model", "scaramuzza"), ("model", "omnidirectional"), ("lens", "7b"), ("type", "omnidir")]
)
def test_an_unknown_word_for_the_lens_is_an_error_with_the_known_ones(key: str, word: str, tmp_path: Path) -> None:
    document = tables(foreign.truth(), distortion=[0.1, 0, 0, 0], **{key: word})
    with pytest.raises(CoreError, match=rf"a\.json: .*'{word}' of {key}") as caught:
        read_rig(write(tmp_path / "a.json", document))
    assert "equidistant" in caught.value.hint and "plumb_bob" in caught.value.hint


@pytest.mark.parametrize(
    "key",
    [
        "distCoeff", "dist_coeffs", "distortion_coefficents", "distortion_coeficients", "Distortion-Coefficients",
        "distortion_vector", "D", "coeffs", "distCoef", "lens_distortion", "distortionCoefficients", "kc",
    ],
)  # fmt: skip
def test_distortion_by_any_spelling(key: str, tmp_path: Path) -> None:
    document = tables(foreign.truth(), **{key: lambda c: c.distortion.tolist()})
    found = import_rig_file(write(tmp_path / "a.json", document))
    assert found.findings == ()
    assert error_px(found.rig, foreign.truth()) < 1e-6


@pytest.mark.parametrize(
    ("key", "value", "level"),
    [
        ("brown_parameters", [0.1, 0.2, 0.0, 0.0], "error"),
        ("lens_terms", {"a": 0.1}, "error"),
        ("K1_radial_mm", 0.3, "error"),
        ("xi", 1.3, "error"),
        ("T_imu", [1.0, 2.0, 3.0], "warning"),
        ("kk", -0.28, "warning"),
        ("second_order", {"value": "3.1e-2"}, "warning"),
        ("gain", 12, "ok"),
        ("temperature", 41.5, "ok"),
        ("shutter", "rolling", "ok"),
        ("lens_distance_code", 0, "ok"),
    ],
)
def test_a_field_that_is_not_understood_is_named(key: str, value: Any, level: str, tmp_path: Path) -> None:
    found = import_rig_file(write(tmp_path / "a.json", tables(foreign.truth(), **{key: value})))
    (finding,) = found.findings
    assert (finding.level, finding.check) == (level, "file")
    assert key in finding.message and "cam01" in finding.message and "cam04" in finding.message
    check = check_rig(found.rig).with_findings(found.findings)
    assert check.level == level
    assert any("intrinsics are plausible" in f.message for f in check.findings) == (level != "error")


def test_known_extras_are_not_reported(tmp_path: Path) -> None:
    extras = {
        "rectification_matrix": np.eye(3).tolist(),
        "projection_matrix": np.ones((3, 4)).tolist(),
        "reprojection_error": 0.2,
        "nframes": 30,
        "P": [0.0] * 12,
    }
    assert import_rig_file(write(tmp_path / "a.json", tables(foreign.truth(), **extras))).findings == ()


@pytest.mark.parametrize("stored", READINGS)
@pytest.mark.parametrize("seed", range(3))
def test_the_meaning_of_poses_is_tested_and_can_be_set(stored: PoseReading, seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    rig = foreign.truth()
    wobbly = []
    for c in rig:  # cameras as people mount them, not a perfect ring
        R = Rotation.from_rotvec(random.normal(size=3) * 0.08).as_matrix() @ c.pose[0]
        wobbly.append(c.replace(R=R, t_mm=-R @ (c.centre_mm + random.normal(size=3) * (300, 300, 150))))
    rig = CameraRig(cameras=tuple(wobbly))
    document = {}
    for c, table in zip(rig, tables(rig).values(), strict=True):
        A, b = pose_to_stored(*c.pose, stored)
        document[c.name] = table | {"R": A.tolist(), "T": (b / 1000).tolist()}
    path = write(tmp_path / "a.json", document)
    straight = foreign.straight(rig)
    found = import_rig_file(path)
    if stored == "world_to_camera":
        assert found.findings == ()
        assert error_px(found.rig, straight) < 1e-6
        return
    (finding,) = found.findings
    assert (finding.check, finding.level) == ("poses", "error")
    assert f"--set pose_is={stored}`" in finding.remedy
    check = check_rig(found.rig).with_findings(found.findings)
    assert check.findings[0] is finding
    assert not any("another" in f.remedy or "as the up axis" in f.remedy for f in check.problems)
    again = import_rig_file(path, pose_is=stored)
    assert again.findings == ()
    assert error_px(again.rig, straight) < 1e-6


def test_readings_are_inverted_by_storing() -> None:
    random = np.random.default_rng(0)
    for reading in READINGS:
        R, t = Rotation.random(random_state=1).as_matrix(), random.normal(size=3)
        again = stored_to_pose(*pose_to_stored(R, t, reading), reading)
        np.testing.assert_allclose(again[0], R, atol=1e-12)
        np.testing.assert_allclose(again[1], t, atol=1e-12)


def test_degrees_are_said_and_can_be_set(tmp_path: Path) -> None:
    rig = foreign.straight(foreign.truth())
    vectors = {c.name: np.degrees(Rotation.from_matrix(c.pose[0]).as_rotvec()).tolist() for c in rig}
    document = tables(rig)
    for name, table in document.items():
        table["rvec"] = vectors[name]
        del table["R"]
    path = write(tmp_path / "a.json", document)
    (finding,) = import_rig_file(path).findings
    assert "rotation_is=degrees" in finding.remedy
    again = import_rig_file(path, rotation_is="degrees")
    assert error_px(again.rig, rig) < 1e-6
    with pytest.raises(CoreError, match="no quaternions"):
        read_rig(path, rotation_is="xyzw")


@pytest.mark.parametrize(("key", "order"), [("quaternion", "wxyz"), ("qvec", "xyzw")])
def test_the_order_of_quaternions_is_said_and_can_be_set(key: str, order: Any, tmp_path: Path) -> None:
    rig = foreign.straight(foreign.truth())
    document = tables(rig)
    for c, table in zip(rig, document.values(), strict=True):
        xyzw = Rotation.from_matrix(c.pose[0]).as_quat() * 2.5
        table[key] = (np.roll(xyzw, 1) if order == "wxyz" else xyzw).tolist()
        del table["R"]
    path = write(tmp_path / "a.json", document)
    found = import_rig_file(path)
    assert "length 2.5 instead of 1" in found.rig.source
    (finding,) = found.findings
    assert f"rotation_is={order}" in finding.remedy
    assert error_px(import_rig_file(path, rotation_is=order).rig, rig) < 1e-6


def test_a_good_rig_of_any_shape_is_not_suspected(tmp_path: Path) -> None:
    """A pair side by side, a row, cameras overhead: their axes are parallel, and no other meaning is better."""
    rig = foreign.straight(foreign.truth())
    down = np.diag([1.0, -1.0, -1.0])
    row = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)
    for name, R, centres in (
        ("pair", row, [(0, -4000, 1500), (300, -4000, 1500)]),
        ("row", row, [(x, -4000, 1500) for x in (-1500, -500, 500, 1500)]),
        ("overhead", down, [(-1000, -1000, 4000), (1000, -1000, 4000), (1000, 1000, 4000), (-1000, 1000, 4000)]),
    ):
        cameras = [
            rig[i].replace(R=Rotation.from_euler("z", 90.0 * i * (name == "overhead"), degrees=True).as_matrix() @ R)
            for i in range(len(centres))
        ]
        cameras = [
            c.replace(t_mm=-c.pose[0] @ np.array(centre, float)) for c, centre in zip(cameras, centres, strict=True)
        ]
        path = write(tmp_path / f"{name}.json", tables(CameraRig(cameras=tuple(cameras))))
        assert import_rig_file(path).findings == (), name


STEREO_NAMES = {
    "left and right": ("K_left", "D_left", "K_right", "D_right", "R", "T"),
    "numbers": ("K1", "D1", "K2", "D2", "R", "T"),
    "sample": ("M1", "D1", "M2", "D2", "R", "T"),
    "camera matrices": ("cameraMatrix1", "distCoeffs1", "cameraMatrix2", "distCoeffs2", "R", "T"),
    "underscores": ("camera_matrix_1", "dist_coeffs_1", "camera_matrix_2", "dist_coeffs_2", "rotation_matrix", "tvec"),
    "camel case": ("cameraMatrixL", "distCoeffsL", "cameraMatrixR", "distCoeffsR", "R", "T"),
    "leading": ("left_camera_matrix", "left_distortion", "right_camera_matrix", "right_distortion", "Rot", "Trans"),
    "short": ("mtx_l", "dist_l", "mtx_r", "dist_r", "R", "T"),
    "from zero": ("K0", "D0", "K1", "D1", "R", "T"),
}


@pytest.mark.parametrize("name", STEREO_NAMES)
def test_a_stereo_pair_by_any_name(name: str, tmp_path: Path) -> None:
    pair = CameraRig(cameras=foreign.truth().cameras[:2])
    first, second = pair
    R = second.pose[0] @ first.pose[0].T
    t = second.pose[1] - R @ first.pose[1]
    keys = STEREO_NAMES[name]
    values = (first.K, first.distortion[None], second.K, second.distortion[None], R, t[:, None] / 1000)
    storage = cv2.FileStorage(str(tmp_path / "stereo.yml"), cv2.FileStorage_WRITE)
    for key, value in zip(keys, values, strict=True):
        storage.write(key, value.copy())
    if name == "sample":
        for key in ("R1", "R2"):
            storage.write(key, np.eye(3))
        storage.write("P1", np.ones((3, 4)))
        storage.write("Q", np.ones((4, 4)))
    storage.release()
    found = import_rig_file(tmp_path / "stereo.yml")
    assert found.findings == ()
    assert "stereo pair" in found.rig.source
    points = POINTS @ first.pose[0].T + first.pose[1]
    for camera, truth in zip(found.rig, pair, strict=True):
        np.testing.assert_allclose(project(camera, points), project(truth, POINTS), atol=1e-6)


def test_the_two_files_of_opencvs_stereo_sample(tmp_path: Path) -> None:
    first, second = foreign.truth().cameras[:2]
    R = second.pose[0] @ first.pose[0].T
    inside = {"M1": first.K, "D1": first.distortion, "M2": second.K, "D2": second.distortion}
    outside = {"R": R, "T": second.pose[1] - R @ first.pose[1], "R1": np.eye(3), "R2": np.eye(3), "P1": np.ones((3, 4))}
    for name, document in (("intrinsics", inside), ("extrinsics", outside)):
        write(tmp_path / f"{name}.json", {key: value.tolist() for key, value in document.items()})
    rig = read_rig(tmp_path / "intrinsics.json")
    np.testing.assert_allclose(rig[1].pose[0], R, atol=1e-9)
    assert rig[0].pose[0].tolist() == np.eye(3).tolist()


def test_names_are_matched_as_numbers_or_the_difference_is_said(tmp_path: Path) -> None:
    foreign.easymocap(tmp_path / "x.yml", foreign.truth())
    intri = tmp_path / "intri.yml"
    text = intri.read_text()
    for number in range(1, 5):
        text = text.replace(f"cam0{number}", str(number))
    intri.write_text(text)
    rig = read_rig(intri)
    assert rig.names == ("1", "2", "3", "4") and error_px(rig, foreign.truth()) < 1e-6
    assert "cam01 = 1" in rig.source
    intri.write_text("names: [a, b]\nK_a: [9, 0, 5, 0, 9, 5, 0, 0, 1]\nK_b: [9, 0, 5, 0, 9, 5, 0, 0, 1]\n")
    with pytest.raises(CoreError, match=r"poses of cam01, cam02, cam03, cam04 and intrinsics of a, b"):
        read_rig(intri)


def test_colmap_without_the_line_of_points(tmp_path: Path) -> None:
    folder = foreign.colmap(tmp_path / "sparse", foreign.truth())
    images = folder / "images.txt"
    lines = [line for line in images.read_text().splitlines() if len(line.split()) != 6 and not line.startswith("#")]
    for text in ("\n".join(lines), "\n\n".join(lines), "\n".join([lines[0], "1 2 -1", *lines[1:]])):
        images.write_text(text)
        rig = read_rig(folder)
        assert len(rig) == 4 and error_px(rig, foreign.truth()) < 1e-6
    images.write_text("\n".join([lines[0], "1 2 -1 4", *lines[1:]]))
    with pytest.raises(CoreError, match=r"images\.txt: a line of points has 4 entries"):
        read_rig(folder)


def test_lenses_without_poses_can_be_placed_by_the_program(tmp_path: Path) -> None:
    cameras = {
        str(i): {"cam_id": i, "size": list(c.size_px), "matrix": c.K.tolist()} for i, c in enumerate(foreign.truth())
    }
    path = tmp_path / "camera_array.toml"
    path.write_text(tomli_w.dumps({"cameras": cameras}))
    rig = read_rig(path)
    assert "apart" not in rig.source
    remedies = {f.remedy for f in check_rig(rig).problems if f.check == "pose"}
    assert all("calibrate-people" in r and "fixed_intrinsics" in r for r in remedies) and remedies


def test_a_projection_matrix_is_no_camera_matrix(tmp_path: Path) -> None:
    document = {c.name: {"camera_matrix": (c.K @ np.column_stack(c.pose)).tolist()} for c in foreign.truth()}
    with pytest.raises(CoreError, match="camera_matrix has 12 values, expected 9, a projection matrix"):
        read_rig(write(tmp_path / "a.json", document))


def test_a_matrix_relative_to_the_image_is_refused(tmp_path: Path) -> None:
    document = tables(foreign.truth(), K=[[0.7, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]])
    for table in document.values():
        del table["camera_matrix"]
    with pytest.raises(CoreError, match="relative to the image size"):
        read_rig(write(tmp_path / "a.json", document))


def test_the_shape_of_an_array_has_the_height_first(tmp_path: Path) -> None:
    document = tables(foreign.truth(), image_shape=lambda c: list(c.size_px)[::-1])
    for table in document.values():
        del table["image_size"]
    assert [c.size_px for c in read_rig(write(tmp_path / "a.json", document))] == [(1920, 1080)] * 4


def test_half_a_pose_is_named(tmp_path: Path) -> None:
    document = tables(foreign.truth(), distortion=None)
    for table in document.values():
        del table["T"]
    (finding,) = import_rig_file(write(tmp_path / "a.json", document)).findings
    assert "rotation without a position" in finding.message


def test_a_camera_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    document = list(tables(foreign.truth()).values())
    for table in document:
        table["name"] = "gopro"
    assert read_rig(write(tmp_path / "a.json", {"cams": document})).names[0].endswith("cam_0")
    text = json.dumps(tables(foreign.truth())).replace("cam02", "cam01")
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(CoreError, match=r"cam01.*twice"):
        read_rig(tmp_path / "b.json")


def test_cameras_in_deeper_tables_keep_their_names(tmp_path: Path) -> None:
    inner = tables(foreign.truth(), dist=lambda c: c.distortion.tolist())
    layouts: dict[str, Callable[[str, dict[str, Any]], Any]] = {
        "calib": lambda name, table: {"calib": table},
        "color": lambda name, table: {"color": table},
        "parts": lambda name, table: {
            "intrinsics": {"K": table["camera_matrix"], "dist": table["dist"], "size": table["image_size"]},
            "extrinsics": {"R": table["R"], "T": table["T"]},
        },
    }
    for key, layout in layouts.items():
        document = {"version": 1, "cameras": {name: layout(name, table) for name, table in inner.items()}}
        rig = read_rig(write(tmp_path / f"{key}.json", document))
        assert len(rig) == 4 and error_px(rig, foreign.truth()) < 1e-6
        assert all(c.name in name for c, name in zip(foreign.truth(), rig.names, strict=True)), rig.names
    sections = {
        "intrinsics": {name: {"K": t["camera_matrix"], "dist": t["dist"]} for name, t in inner.items()},
        "extrinsics": {name: {"R": t["R"], "t": t["T"]} for name, t in inner.items()},
    }
    assert error_px(read_rig(write(tmp_path / "s.json", sections)), foreign.truth()) < 1e-6


KALIBR_LENSES: dict[str, tuple[str, list[float], str, list[float]]] = {
    "equidistant": ("pinhole", [], "equidistant", list(FISHEYE)),
    "none": ("pinhole", [], "none", []),
    "fov": ("pinhole", [], "fov", [0.9]),
    "omni": ("omni", [1.1], "none", []),
    "omni radtan": ("omni", [0.9], "radtan", [-0.05, 0.01, 0.0, 0.0]),
    "eucm": ("eucm", [0.6, 1.1], "none", []),
    "double sphere": ("ds", [-0.2, 0.55], "none", []),
}


@pytest.mark.parametrize("name", KALIBR_LENSES)
def test_lens_models_of_kalibr(name: str, tmp_path: Path) -> None:
    model, before, distortion, coefficients = KALIBR_LENSES[name]
    focal = {"omni": 900.0, "eucm": 500.0, "ds": 450.0}.get(model, 500.0)
    table = {
        "camera_model": model,
        "intrinsics": [*before, focal, focal, 640.0, 470.0],
        "distortion_model": distortion,
        "distortion_coeffs": coefficients,
        "resolution": [1280, 960],
    }
    path = foreign_layouts.kalibr(tmp_path / "camchain.yaml", foreign.truth(), lambda c: table)
    camera = dataclasses.replace(read_rig(path)[0], R=np.eye(3), t_mm=np.zeros(3))
    rays = np.array([[0.0, 0, 1], [0.3, 0.1, 1], [-0.4, 0.3, 1], [0.6, -0.4, 1]])
    np.testing.assert_allclose(project(camera, rays * 1000), _kalibr_pixels(table, rays), atol=0.5)


def _kalibr_pixels(table: dict[str, Any], rays: np.ndarray) -> np.ndarray:
    """Project rays by the models' definitions, written apart from the importer's."""
    *p, fu, fv, pu, pv = table["intrinsics"]
    out = []
    for x, y, z in rays:
        d = np.sqrt(x * x + y * y + z * z)
        if table["camera_model"] == "omni":
            m = np.array([x, y]) / (z + p[0] * d)
        elif table["camera_model"] == "eucm":
            m = np.array([x, y]) / (p[0] * np.sqrt(p[1] * (x * x + y * y) + z * z) + (1 - p[0]) * z)
        elif table["camera_model"] == "ds":
            zz = p[0] * d + z
            m = np.array([x, y]) / (p[1] * np.sqrt(x * x + y * y + zz * zz) + (1 - p[1]) * zz)
        else:
            m = np.array([x, y]) / z
        r = max(float(np.hypot(*m)), 1e-12)
        k = table["distortion_coeffs"]
        if table["distortion_model"] == "equidistant":
            a = np.arctan(r)
            m = m / r * a * (1 + k[0] * a**2 + k[1] * a**4 + k[2] * a**6 + k[3] * a**8)
        elif table["distortion_model"] == "fov":
            m = m / r * np.arctan(2 * r * np.tan(k[0] / 2)) / k[0]
        elif table["distortion_model"] == "radtan":
            m = m * (1 + k[0] * r**2 + k[1] * r**4)
        out.append([fu * m[0] + pu, fv * m[1] + pv])
    return np.array(out)


def test_a_broken_chain_of_kalibr_leaves_cameras_unposed(tmp_path: Path) -> None:
    path = foreign_layouts.kalibr(tmp_path / "camchain.yaml", foreign.truth())
    text = path.read_text()
    path.write_text(text.replace("T_cn_cnm1", "T_other", 1).replace("rostopic", "7", 1))
    found = import_rig_file(path)
    assert [c.posed for c in found.rig] == [True, False, False, False]
    assert any("T_other" in f.message for f in found.findings)
    path.write_text(text.replace("radtan", "unknown", 1))
    with pytest.raises(CoreError, match=r"camchain\.yaml: .*'unknown' is not known"):
        read_rig(path)


def test_metashape_says_what_opencv_cannot_hold(tmp_path: Path) -> None:
    path = foreign_layouts.metashape(tmp_path / "cameras.xml", foreign.truth())
    path.write_text(path.read_text().replace("<k3>", "<k4>0.2</k4><k3>", 1))
    found = import_rig_file(path)
    assert "Omitted because not aligned: lost" in found.rig.source
    assert [(f.level, f.camera) for f in found.findings] == [("error", "cam01")]
    path.write_text(path.read_text().replace('type="frame"', 'type="spherical"'))
    with pytest.raises(CoreError, match="lens model 'spherical' is not known"):
        read_rig(path)


def test_units_in_names_and_matrices_of_matlab(tmp_path: Path) -> None:
    for unit, mm in (("mm", 1.0), ("cm", 10.0), ("m", 1000.0)):
        document = tables(foreign.truth(), D=lambda c: c.distortion.tolist())
        for c, table in zip(foreign.truth(), document.values(), strict=True):
            del table["T"]
            table[f"t_{unit}"] = (c.pose[1] / mm).tolist()
            table["camera_matrix"] = c.K.T.tolist()
        found = import_rig_file(write(tmp_path / f"{unit}.json", document))
        assert found.findings == () and error_px(found.rig, foreign.truth()) < 1e-6
        assert "as MATLAB has them" in found.rig.source and "Lengths were" not in found.rig.source
    document["cam01"]["t_mm"] = document["cam01"].pop("t_m")
    with pytest.raises(CoreError, match="several units: m, mm"):
        read_rig(write(tmp_path / "both.json", document))


def test_images_of_one_lens_with_poses_of_their_own(tmp_path: Path) -> None:
    """NeRF's transforms.json: camera to world, with OpenGL's axes."""
    rig = foreign.truth()
    lens = rig[0]
    rig = CameraRig(cameras=tuple(c.replace(K=lens.K, distortion=lens.distortion) for c in rig))
    k1, k2, p1, p2, k3 = lens.distortion.tolist()
    frames = []
    for c in rig:
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = pose_to_stored(*c.pose, "camera_to_world_opengl")
        T[:3, 3] /= 1000
        frames.append({"file_path": f"./images/{c.name}.png", "transform_matrix": T.tolist(), "sharpness": 30.0})
    document = {
        "camera_angle_x": 0.9, "fl_x": lens.K[0, 0], "fl_y": lens.K[1, 1], "cx": lens.K[0, 2], "cy": lens.K[1, 2],
        "w": lens.size_px[0], "h": lens.size_px[1], "k1": k1, "k2": k2, "p1": p1, "p2": p2, "k3": k3,
        "aabb_scale": 4, "camera_model": "OPENCV", "frames": frames,
    }  # fmt: skip
    found = import_rig_file(write(tmp_path / "transforms.json", document))
    assert found.rig.names == rig.names and error_px(found.rig, rig) < 1e-6
    assert [f.level for f in found.findings] == ["ok"]
    assert "sharpness" in found.findings[0].message


@pytest.mark.parametrize("names", [None, "names"])
def test_arrays_with_an_entry_per_camera(names: str | None, tmp_path: Path) -> None:
    rig = foreign.truth()
    document = {
        "K": [c.K.tolist() for c in rig],
        "dist": [c.distortion.tolist() for c in rig],
        "R": [c.pose[0].tolist() for c in rig],
        "t": [(c.pose[1] / 1000).tolist() for c in rig],
        "image_size": [list(c.size_px) for c in rig],
    } | ({names: list(rig.names)} if names else {})
    found = import_rig_file(write(tmp_path / "a.json", document))
    assert error_px(found.rig, rig) < 1e-6 and found.findings == ()
    assert found.rig.names == (rig.names if names else ("cam_0", "cam_1", "cam_2", "cam_3"))


def test_the_message_of_ros_has_no_pose(tmp_path: Path) -> None:
    c = foreign.truth()[0]
    document = {
        "header": {"seq": 1, "frame_id": "left"},
        "height": c.size_px[1],
        "width": c.size_px[0],
        "distortion_model": "plumb_bob",
        "D": c.distortion.tolist(),
        "K": c.K.ravel().tolist(),
        "R": [1, 0, 0, 0, 1, 0, 0, 0, 1],
        "P": [1.0] * 12,
        "binning_x": 0,
        "roi": {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
    }
    found = import_rig_file(write(tmp_path / "left.json", document))
    camera = found.rig[0]
    assert found.findings == () and not camera.posed and camera.size_px == c.size_px
    np.testing.assert_array_equal(camera.distortion, c.distortion)


EXPECTED = {
    "byte_order_mark": ("bom.json", "bom.toml", "bom_emo", "bom_colmap"),
    "colmap_no_empty_lines": ("colmap_noblank",),
    "faster_voxelpose_own_rig": ("fvp_custom.json",),
    "fisheye_named_otherwise": (
        "distortion_type.json", "is_fisheye.json", "model.json", "opencv_fisheye.json", "model_type.json",
    ),
    "fourd_distcoeff": ("fourd.json", "fourd_R_T.json"),
    "kalibr_camchain": ("camchain.yaml",),
    "rich_xml": ("rich",),
    "separate_coefficients": ("separate_k.json",),
    "xrprimer": ("xrprimer",),
}  # fmt: skip


@pytest.mark.parametrize("case", EXPECTED)
def test_cases_of_other_programs(case: str) -> None:
    if not CASES.is_dir():
        pytest.skip("the cases of other programs' files are not here")
    expected = json.loads((CASES / case / "expected.json").read_text())
    points = np.array(expected["world_mm_z_up"] if "world_mm_z_up" in expected else expected["points_m_in_cam0"])
    points = points if "world_mm_z_up" in expected else points * 1000
    for file in EXPECTED[case]:
        found = import_rig_file(CASES / case / file)
        assert found.findings == ()
        for camera, pixels in zip(found.rig, expected["pixels_by_camera"].values(), strict=True):
            np.testing.assert_allclose(project(camera, points), pixels, atol=0.01)


def test_half_a_colmap_model_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text("# Camera list\n1 PINHOLE 640 480 500 500 320 240\n")
    for path in (tmp_path, tmp_path / "cameras.txt"):
        with pytest.raises(CoreError, match=r"no images\.txt") as raised:
            read_rig(path)
        assert "poses in images.txt" in raised.value.hint
