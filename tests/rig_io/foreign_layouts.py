"""Further layouts of calibration files, written from a known rig by the descriptions of the programs."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from core.types import Camera, CameraRig

MODEL_NUMBERS = {"OPENCV": 4, "FULL_OPENCV": 6, "OPENCV_FISHEYE": 5}


def relative(rig: CameraRig) -> CameraRig:
    """Return the rig in the coordinates of its first camera, with four distortion coefficients."""
    R0, t0 = rig[0].pose
    cameras = []
    for c in rig:
        R, t = c.pose
        cameras.append(c.replace(R=R @ R0.T, t_mm=t - R @ R0.T @ t0, distortion=c.distortion[:4]))
    return CameraRig(cameras=tuple(cameras))


def in_first(rig: CameraRig, xyz_mm: np.ndarray) -> np.ndarray:
    R, t = rig[0].pose
    return xyz_mm @ R.T + t


def as_json(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def four(c: Camera, mm: float = 1000.0) -> np.ndarray:
    """Return the pose as 4x4, world to camera."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = c.pose[0], c.pose[1] / mm
    return T


def kalibr(path: Path, rig: CameraRig, lens: Callable[[Camera], dict[str, Any]] | None = None) -> Path:
    """A chain of cameras, each relative to the one before."""
    document, before = {}, np.eye(4)
    for i, c in enumerate(relative(rig)):
        K, T = c.K, four(c)
        table = {
            "cam_overlaps": [(i + 1) % len(rig)],
            "camera_model": "pinhole",
            "distortion_coeffs": c.distortion.tolist(),
            "distortion_model": "radtan",
            "intrinsics": [float(v) for v in (K[0, 0], K[1, 1], K[0, 2], K[1, 2])],
            "resolution": list(c.size_px),
            "rostopic": f"/{c.name}/image_raw",
        } | (lens(c) if lens else {})
        if i:
            table["T_cn_cnm1"] = (T @ np.linalg.inv(before)).tolist()
        before = T
        document[c.name.replace("cam0", "cam")] = table
    path.write_text(yaml.safe_dump(document))
    return path


def metashape(path: Path, rig: CameraRig) -> Path:
    """Camera to chunk, chunk to world, principal point from the image centre, p1 and p2 the other way round."""
    sensors, cameras = [], []
    turn, shift, scale = (
        Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix(),
        np.array([1.0, 2.0, 3.0]),
        2.5,
    )
    for i, c in enumerate(rig):
        (w, h), K, (k1, k2, p1, p2, k3) = c.size_px, c.K, c.distortion.tolist()
        values = {
            "f": K[1, 1], "cx": K[0, 2] + 0.5 - w / 2, "cy": K[1, 2] + 0.5 - h / 2, "b1": K[0, 0] - K[1, 1],
            "k1": k1, "k2": k2, "k3": k3, "p1": p2, "p2": p1,
        }  # fmt: skip
        inside = "".join(f"<{key}>{float(value)!r}</{key}>" for key, value in values.items())
        size = f'<resolution width="{w}" height="{h}"/>'
        sensors.append(
            f'<sensor id="{i}" label="s" type="frame">{size}<calibration type="frame" class="adjusted">{size}{inside}'
            "</calibration></sensor>"
        )
        T = np.eye(4)
        T[:3, :3] = turn.T @ c.pose[0].T
        T[:3, 3] = turn.T @ (c.centre_mm / 1000 - shift) / scale
        numbers = " ".join(repr(float(v)) for v in T.ravel())
        cameras.append(f'<camera id="{i}" sensor_id="{i}" label="{c.name}"><transform>{numbers}</transform></camera>')
    cameras.append('<camera id="99" sensor_id="0" label="lost"/>')
    rotation, translation = (" ".join(repr(float(v)) for v in a.ravel()) for a in (turn, shift))
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><document version="2.0.0"><chunk label="1"><sensors>{"".join(sensors)}'
        f"</sensors><cameras>{''.join(cameras)}</cameras><transform><rotation>{rotation}</rotation><translation>"
        f"{translation}</translation><scale>{scale!r}</scale></transform></chunk></document>"
    )
    return path


def optitrack(path: Path, rig: CameraRig) -> Path:
    """Motive: UTF-16, metres, y up, a camera that looks along -z, matrix from camera to world."""
    to_y_up = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
    cameras = []
    for c in rig:
        R = np.diag([1.0, -1.0, -1.0]) @ c.pose[0] @ to_y_up.T
        x, y, z = (to_y_up @ c.centre_mm / 1000).tolist()
        k1, k2, p1, p2, k3 = c.distortion.tolist()
        orient = " ".join(f'OrientMatrix{i}="{v!r}"' for i, v in enumerate(R.T.ravel().tolist()))
        lens = (
            f'HorizontalFocalLength="{float(c.K[0, 0])!r}" VerticalFocalLength="{float(c.K[1, 1])!r}" '
            f'LensCenterX="{float(c.K[0, 2])!r}" LensCenterY="{float(c.K[1, 2])!r}" k1="{k1!r}" '
            f'k2="{k2!r}" k3="{k3!r}" TangentialX="{p1!r}" TangentialY="{p2!r}"'
        )
        cameras.append(
            f'<Camera Serial="{c.name}"><Properties CameraID="1"/><Attributes ImagerPixelWidth="{c.size_px[0]}" '
            f'ImagerPixelHeight="{c.size_px[1]}"/><Intrinsic HorizontalFocalLength="1"/>'
            f'<IntrinsicStandardCameraModel {lens}/><Extrinsic X="{x!r}" Y="{y!r}" Z="{z!r}" {orient}/></Camera>'
        )
    inside = f"<Calibration><Cameras>{''.join(cameras)}</Cameras></Calibration>"
    path.write_bytes(f'<?xml version="1.0" encoding="utf-16"?><Profile>{inside}</Profile>'.encode("utf-16"))
    return path


def colmap_binary(path: Path, rig: CameraRig) -> Path:
    path.mkdir()
    cameras, images = struct.pack("<Q", len(rig)), struct.pack("<Q", len(rig))
    for i, c in enumerate(rig):
        K, d = c.K, c.distortion.tolist()
        numbers = (K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5, *d[:4], d[4], 0.0, 0.0, 0.0)
        cameras += struct.pack("<iiQQ12d", 9 - i, MODEL_NUMBERS["FULL_OPENCV"], *c.size_px, *numbers)
        x, y, z, w = Rotation.from_matrix(c.pose[0]).as_quat()
        images += struct.pack("<i7di", i + 3, w, x, y, z, *(c.pose[1] / 1000), 9 - i) + f"{c.name}.jpg\0".encode()
        images += struct.pack("<Qddqddq", 2, 1.0, 2.0, -1, 3.0, 4.0, 7)
    (path / "cameras.bin").write_bytes(cameras)
    (path / "images.bin").write_bytes(images)
    return path


def mc_calib(path: Path, rig: CameraRig) -> Path:
    """MC-Calib: the pose takes the camera to the world, and 0 or 1 is the distortion type."""
    storage = cv2.FileStorage(str(path), cv2.FileStorage_WRITE)
    storage.write("nb_camera", len(rig))
    for i, c in enumerate(rig):
        storage.startWriteStruct(f"camera_{i}", cv2.FileNode_MAP)
        storage.write("camera_matrix", c.K.copy())
        storage.write("distortion_vector", c.distortion[None].copy())
        storage.write("distortion_type", 0)
        storage.write("camera_group", 0)
        storage.write("img_width", c.size_px[0])
        storage.write("img_height", c.size_px[1])
        storage.write("camera_pose_matrix", np.linalg.inv(four(c)))
        storage.endWriteStruct()
    storage.release()
    return path


def multical(path: Path, rig: CameraRig) -> Path:
    """multical: lenses and poses in two sections, poses relative to a camera by their names."""
    master = rig[0].name
    return as_json(
        path,
        {
            "cameras": {
                c.name: {
                    "model": "standard",
                    "image_size": list(c.size_px),
                    "K": c.K.tolist(),
                    "dist": [c.distortion.tolist()],
                }
                for c in rig
            },
            "camera_poses": {
                c.name if c.name == master else f"{c.name}_to_{master}": {
                    "R": c.pose[0].tolist(),
                    "T": (c.pose[1] / 1000).tolist(),
                }
                for c in rig
            },
        },
    )


def fourd(path: Path, rig: CameraRig) -> Path:
    """4D Association: flat lists."""
    return as_json(
        path,
        {
            c.name: {
                "K": c.K.ravel().tolist(),
                "RT": four(c)[:3].ravel().tolist(),
                "distCoeff": c.distortion.tolist(),
                "imgSize": list(c.size_px),
                "rectifyAlpha": 0.0,
            }
            for c in rig
        },
    )


def xrprimer(path: Path, rig: CameraRig, *, to_camera: bool = True, wide: bool = False) -> Path:
    """XRPrimer: a file per camera, coefficients by their names, a flag for the direction of the pose."""
    path.mkdir()
    for c in rig:
        T = four(c) if to_camera else np.linalg.inv(four(c))
        k1, k2, p1, p2, k3 = c.distortion.tolist()
        K = np.zeros((4, 4))
        K[:2, :3], K[2, 3], K[3, 2] = c.K[:2], 1, 1
        as_json(
            path / f"{c.name}.json",
            {
                "class_name": "FisheyeCameraParameter",
                "convention": "opencv",
                "extrinsic_r": T[:3, :3].tolist(),
                "extrinsic_t": T[:3, 3].tolist(),
                "height": c.size_px[1],
                "width": c.size_px[0],
                "intrinsic": (K if wide else c.K).tolist(),
                **{"k1": k1, "k2": k2, "k3": k3, "k4": 0.0, "k5": 0.0, "k6": 0.0, "p1": p1, "p2": p2},
                "name": c.name,
                "world2cam": to_camera,
            },
        )
    return path


def rich(path: Path, rig: CameraRig) -> Path:
    """RICH: the 3x4 matrix under the name of a camera matrix is the pose."""
    path.mkdir()
    for c in rig:
        storage = cv2.FileStorage(str(path / f"{c.name}.xml"), cv2.FileStorage_WRITE)
        storage.write("CameraMatrix", four(c)[:3].copy())
        storage.write("Intrinsics", c.K.copy())
        storage.write("Distortion", c.distortion[:, None].copy())
        storage.release()
    return path


def scalars(path: Path, rig: CameraRig) -> Path:
    """Groups of named numbers, as RealSense's and home-made files have them."""
    document = {}
    for c in rig:
        k1, k2, p1, p2, k3 = c.distortion.tolist()
        x, y, z, w = Rotation.from_matrix(c.pose[0]).as_quat().tolist()
        tx, ty, tz = (c.pose[1] / 1000).tolist()
        document[c.name] = {
            "intrinsics": {
                "fx": c.K[0, 0], "fy": c.K[1, 1], "ppx": c.K[0, 2], "ppy": c.K[1, 2], "width": c.size_px[0],
                "height": c.size_px[1], "model": "distortion.brown_conrady",
                "distortion": {"k1": k1, "k2": k2, "p1": p1, "p2": p2, "k3": k3},
            },
            "extrinsics": {
                "rotation": {"x": x, "y": y, "z": z, "w": w},
                "translation": {"x": tx, "y": ty, "z": tz},
            },
        }  # fmt: skip
    return as_json(path, document)


def h36m(path: Path, rig: CameraRig) -> Path:
    """Focal length and principal point as pairs, radial and tangential terms, and the camera centre."""
    return as_json(
        path,
        [
            {
                "id": c.name,
                "f": [c.K[0, 0], c.K[1, 1]],
                "c": [c.K[0, 2], c.K[1, 2]],
                "k": c.distortion[[0, 1, 4]].tolist(),
                "p": c.distortion[[2, 3]].tolist(),
                "R": c.pose[0].tolist(),
                "position": c.centre_mm.tolist(),
                "resolution": list(c.size_px),
            }
            for c in rig
        ],
    )


def sections(path: Path, rig: CameraRig) -> Path:
    """Intrinsics and extrinsics in two files, with a table per camera in each, numbered with and without zeros."""
    as_json(
        path.with_stem("intrinsics"),
        {
            f"cam{i}": {"camera_matrix": c.K.tolist(), "dist_coeffs": c.distortion.tolist(), "img_size": c.size_px}
            for i, c in enumerate(rig)
        },
    )
    as_json(path.with_stem("extrinsics"), {f"cam{i:02d}": {"w2c": four(c).tolist()} for i, c in enumerate(rig)})
    return path.with_stem("intrinsics")


def byte_order(path: Path, rig: CameraRig) -> Path:
    """A JSON file in UTF-16, as PowerShell writes it."""
    fourd(path, rig)
    path.write_bytes(path.read_text().encode("utf-16"))
    return path


LAYOUTS: dict[str, tuple[str, str, Callable[[Path, CameraRig], Path]]] = {
    "kalibr": ("kalibr", "camchain.yaml", kalibr),
    "metashape": ("metashape", "cameras.xml", metashape),
    "optitrack": ("optitrack", "cal.mcal", optitrack),
    "colmap binary": ("colmap", "sparse", colmap_binary),
    "mc-calib": ("opencv", "calibrated_cameras_data.yml", mc_calib),
    "multical": ("opencv", "calibration.json", multical),
    "4d association": ("opencv", "calibration.json", fourd),
    "xrprimer": ("opencv", "cams", xrprimer),
    "xrprimer inverse": ("opencv", "cams", lambda p, r: xrprimer(p, r, to_camera=False)),
    "xrprimer 4x4": ("opencv", "cams", lambda p, r: xrprimer(p, r, wide=True)),
    "rich": ("opencv", "cams", rich),
    "scalars": ("opencv", "rig.json", scalars),
    "h36m": ("opencv", "rig.json", h36m),
    "two files": ("opencv", "x.json", sections),
    "utf-16": ("opencv", "rig.json", byte_order),
}
