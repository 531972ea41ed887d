"""Rig files of other programs, written from a known rig by the descriptions of the formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import foreign_layouts
import numpy as np
import tomli_w

from core.synthetic.rigs import ring_rig
from core.types import CameraRig

DISTORTION = (-0.12, 0.06, 0.0011, -0.0007, -0.01)


def truth() -> CameraRig:
    """Four cameras with off-centre, anisotropic and distorted intrinsics, so that every mix-up shows."""
    rig = ring_rig(4, size_px=(1920, 1080))
    cameras = []
    for i, camera in enumerate(rig):
        K = camera.K + np.array([[3.0 * i, 0, 11 - 5 * i], [0, 7.0, 4 * i - 6], [0, 0, 0]])
        cameras.append(camera.replace(name=f"cam{i + 1:02d}", K=K, distortion=np.array(DISTORTION) * (1 + 0.1 * i)))
    return CameraRig(cameras=tuple(cameras))


def qca(path: Path, rig: CameraRig, *, crop: tuple[int, int] = (0, 0), binning: int = 1) -> Path:
    """Qualisys: sensor units of 1/64 px, a camera that looks along -z with y up, its centre in mm."""
    cameras = []
    for camera in rig:
        R = np.diag([1.0, -1.0, -1.0]) @ camera.pose[0]
        (w, h), k, unit = camera.size_px, camera.distortion, 64 * binning
        turn = " ".join(
            f'r{i + 1}{j + 1}="{R[i, j]!r}"'.replace("np.float64(", "").replace(")", "")
            for i in range(3)
            for j in range(3)
        )
        x, y, z = camera.centre_mm.tolist()
        extent = f'left="{crop[0]}" top="{crop[1]}" right="{crop[0] + w - 1}" bottom="{crop[1] + h - 1}"'
        widest = f'left="0" top="0" right="{2 * crop[0] + w - 1}" bottom="{2 * crop[1] + h - 1}"'
        intrinsics = {
            "focalLengthU": camera.K[0, 0] * unit,
            "focalLengthV": camera.K[1, 1] * unit,
            "centerPointU": (camera.K[0, 2] + crop[0]) * unit,
            "centerPointV": (camera.K[1, 2] + crop[1]) * unit,
            "sensorMaxU": (2 * crop[0] + w - 1) * unit,
            "radialDistortion1": k[0],
            "radialDistortion2": k[1],
            "radialDistortion3": k[4],
            "tangentalDistortion1": k[2],
            "tangentalDistortion2": k[3],
        }
        values = " ".join(f'{name}="{float(value)!r}"' for name, value in intrinsics.items())
        cameras.append(
            f'<camera active="1" model="Miqus Video" serial="{camera.name}" viewrotation="0"><fov_video {extent}/>'
            f'<fov_video_max {widest}/><transform {turn} x="{x!r}" y="{y!r}" z="{z!r}"/><intrinsic {values}/></camera>'
        )
    path.write_text(
        f"<?xml version='1.0' encoding='ASCII'?><calibration><cameras>{''.join(cameras)}</cameras></calibration>"
    )
    return path


def anipose(path: Path, rig: CameraRig, mm_per_unit: float = 1000.0) -> Path:
    """Anipose and Pose2Sim."""
    tables = {
        f"cam_{i}": {
            "name": c.name,
            "size": list(c.size_px),
            "matrix": c.K.tolist(),
            "distortions": c.distortion.tolist(),
            "rotation": cv2.Rodrigues(c.pose[0].copy())[0].ravel().tolist(),
            "translation": (c.pose[1] / mm_per_unit).tolist(),
            "fisheye": False,
        }
        for i, c in enumerate(rig)
    }
    path.write_text(tomli_w.dumps({**tables, "metadata": {"adjusted": False, "error": 0.0}}))
    return path


def caliscope(path: Path, rig: CameraRig) -> Path:
    """caliscope: numbered cameras, rotation matrices, metres."""
    tables = {
        str(i): {
            "cam_id": i,
            "size": list(c.size_px),
            "rotation_count": 0,
            "ignore": False,
            "matrix": c.K.tolist(),
            "distortions": c.distortion.tolist(),
            "rotation": c.pose[0].tolist(),
            "translation": (c.pose[1] / 1000).tolist(),
        }
        for i, c in enumerate(rig)
    }
    path.write_text(tomli_w.dumps({"cameras": tables}))
    return path


def voxelpose(path: Path, rig: CameraRig, *, sizes: bool = False) -> Path:
    """VoxelPose: camera centres in mm, radial and tangential coefficients apart, columns as nested lists."""
    document = {}
    for c in rig:
        k1, k2, p1, p2, k3 = c.distortion.tolist()
        document[c.name] = {
            "R": c.pose[0].tolist(),
            "T": c.centre_mm[:, None].tolist(),
            "fx": c.K[0, 0],
            "fy": c.K[1, 1],
            "cx": c.K[0, 2],
            "cy": c.K[1, 2],
            "k": [[k1], [k2], [k3]],
            "p": [[p1], [p2]],
            **({"width": c.size_px[0], "height": c.size_px[1]} if sizes else {}),
        }
    path.write_text(json.dumps(document))
    return path


def panoptic(path: Path, rig: CameraRig, *, others: bool = True) -> Path:
    """CMU Panoptic: centimetres, y down: x = x', y = -z', z = y'."""
    to_panoptic = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)
    cameras = [
        {
            "name": c.name,
            "type": "hd",
            "resolution": list(c.size_px),
            "panel": 0,
            "node": i,
            "K": c.K.tolist(),
            "distCoef": c.distortion.tolist(),
            "R": (c.pose[0] @ to_panoptic.T).tolist(),
            "t": (c.pose[1][:, None] / 10).tolist(),
        }
        for i, c in enumerate(rig)
    ]
    if others:
        cameras.append({**cameras[0], "name": "01_01", "type": "vga", "resolution": [640, 480]})
    path.write_text(json.dumps({"calibDataSource": "161029", "cameras": cameras}))
    return path


def opencv_folder(path: Path, rig: CameraRig, suffix: str = ".yml") -> Path:
    """One FileStorage file per camera, written by OpenCV itself."""
    path.mkdir()
    for c in rig:
        storage = cv2.FileStorage(str(path / f"{c.name}{suffix}"), cv2.FileStorage_WRITE)
        storage.write("image_width", c.size_px[0])
        storage.write("image_height", c.size_px[1])
        storage.write("camera_matrix", c.K.copy())
        storage.write("distortion_coefficients", c.distortion[None].copy())
        storage.write("rotation_matrix", c.pose[0].copy())
        storage.write("translation_vector", c.pose[1][:, None].copy())
        storage.release()
    return path


def opencv_nested(path: Path, rig: CameraRig) -> Path:
    """All cameras in one FileStorage file, a mapping each."""
    storage = cv2.FileStorage(str(path), cv2.FileStorage_WRITE)
    for c in rig:
        storage.startWriteStruct(c.name, cv2.FileNode_MAP)
        storage.write("K", c.K.copy())
        storage.write("dist", c.distortion[None].copy())
        storage.write("rvec", cv2.Rodrigues(c.pose[0].copy())[0])
        storage.write("tvec", c.pose[1][:, None].copy())
        storage.write("image_size", np.array([c.size_px], np.int32))
        storage.endWriteStruct()
    storage.release()
    return path


def easymocap(path: Path, rig: CameraRig) -> Path:
    """intri.yml and extri.yml in metres, keys with the camera's name appended."""
    intri = cv2.FileStorage(str(path.with_stem("intri")), cv2.FileStorage_WRITE)
    extri = cv2.FileStorage(str(path.with_stem("extri")), cv2.FileStorage_WRITE)
    for storage in (intri, extri):
        storage.startWriteStruct("names", cv2.FileNode_SEQ)
        for c in rig:
            storage.write("", c.name)
        storage.endWriteStruct()
    for c in rig:
        intri.write(f"K_{c.name}", c.K.copy())
        intri.write(f"dist_{c.name}", c.distortion[None].copy())
        extri.write(f"R_{c.name}", cv2.Rodrigues(c.pose[0].copy())[0])
        extri.write(f"Rot_{c.name}", c.pose[0].copy())
        extri.write(f"T_{c.name}", c.pose[1][:, None].copy() / 1000)
    intri.release()
    extri.release()
    return path.with_stem("intri")


def list_json(path: Path, rig: CameraRig) -> Path:
    """A plain JSON list with 4x4 extrinsics."""
    cameras = []
    for c in rig:
        extrinsic = np.eye(4)
        extrinsic[:3, :3], extrinsic[:3, 3] = c.pose
        cameras.append(
            {
                "name": c.name,
                "camera_matrix": c.K.tolist(),
                "dist_coeffs": c.distortion.tolist(),
                "extrinsics": extrinsic.tolist(),
                "resolution": list(c.size_px),
            }
        )
    path.write_text(json.dumps({"cameras": cameras}))
    return path


def xcp(path: Path, rig: CameraRig, distortion: tuple[float, ...] | None = None, *, marker_cameras: int = 0) -> Path:
    """Vicon: centre in mm and quaternion x y z w, one focal length and an aspect ratio, `distortion` as VICON_RADIAL2.

    Without `distortion` the file has none, whatever the rig has.
    """
    cameras = []
    for c in rig:
        x, y, z, w = quaternion(c.pose[0])
        fx, fy = c.K[0, 0], c.K[1, 1]
        centre, radial = c.K[:2, 2], distortion or (0.0, 0.0, 0.0)
        if len(radial) == 5:
            centre, radial = centre + radial[:2], radial[2:]
        numbers = " ".join(repr(float(v)) for v in (*centre, *radial))
        cameras.append(
            f'<Camera DEVICEID="{c.name}" NAME="" PIXEL_ASPECT_RATIO="{float(fx / fy)!r}" SKEW="0" TYPE="VideoInput"'
            f' SENSOR_SIZE="{c.size_px[0]} {c.size_px[1]}"><ControlFrames/><KeyFrames><KeyFrame FRAME="0"'
            f' FOCAL_LENGTH="{float(fx)!r}" ORIENTATION="{x!r} {y!r} {z!r} {w!r}"'
            f' POSITION="{" ".join(map(repr, c.centre_mm.tolist()))}"'
            f' PRINCIPAL_POINT="{float(c.K[0, 2])!r} {float(c.K[1, 2])!r}"'
            f' VICON_RADIAL2="ViconRadial2 {numbers}"/></KeyFrames></Camera>'
        )
    cameras += [f'<Camera DEVICEID="{i}" TYPE="Vero" SENSOR_SIZE="2048 1088"/>' for i in range(marker_cameras)]
    path.write_text(f'<?xml version="1.0" ?><Cameras NAME="" VERSION="1.0">{"".join(cameras)}</Cameras>')
    return path


def colmap(path: Path, rig: CameraRig) -> Path:
    """COLMAP's text model: corner-based pixels, quaternion w x y z, points below each image, arbitrary numbers."""
    path.mkdir()
    cameras, images = ["# Camera list"], ["# Image list"]
    for i, c in enumerate(rig):
        K, d = c.K, c.distortion.tolist()
        numbers = (K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5, *d[:4], d[4], 0.0, 0.0, 0.0)
        cameras.append(f"{9 - i} FULL_OPENCV {c.size_px[0]} {c.size_px[1]} {' '.join(repr(float(n)) for n in numbers)}")
        x, y, z, w = quaternion(c.pose[0])
        pose = " ".join(repr(float(n)) for n in (w, x, y, z, *(c.pose[1] / 1000)))
        images += [f"{i + 3} {pose} {9 - i} {c.name}/000001.jpg", "10.5 20.5 -1 11.25 7.0 3"]
    (path / "cameras.txt").write_text("\n".join(cameras) + "\n")
    (path / "images.txt").write_text("\n".join(images) + "\n")
    (path / "points3D.txt").write_text("# 3D point list\n")
    return path


def quaternion(R: np.ndarray) -> tuple[float, float, float, float]:
    """Return the quaternion x, y, z, w of a rotation by less than 180 degrees."""
    w = float(np.sqrt(1 + np.trace(R)) / 2)
    return (
        float(R[2, 1] - R[1, 2]) / (4 * w),
        float(R[0, 2] - R[2, 0]) / (4 * w),
        float(R[1, 0] - R[0, 1]) / (4 * w),
        w,
    )


def straight(rig: CameraRig) -> CameraRig:
    """Return the rig without distortion."""
    return CameraRig(cameras=tuple(c.replace(distortion=np.zeros(5)) for c in rig))


def truth_for(layout: str) -> CameraRig:
    """Return the rig that a file of this layout can hold: no distortion of Vicon is exactly one of OpenCV."""
    return straight(truth()) if layout == "vicon" else truth()


def read_as(layout: str, rig: CameraRig) -> CameraRig:
    """Return the rig as a file of this layout holds it: Kalibr's world is the first camera."""
    return foreign_layouts.relative(rig) if layout == "kalibr" else rig


def points_for(layout: str, rig: CameraRig, xyz_mm: np.ndarray) -> np.ndarray:
    """Return world points in the coordinates of the file."""
    return foreign_layouts.in_first(rig, xyz_mm) if layout == "kalibr" else xyz_mm


WRITERS: dict[str, tuple[str, str, Callable[[Path, CameraRig], Path]]] = {
    "qualisys": ("qca", "a.qca.txt", qca),
    "qualisys cropped": ("qca", "a.qca.txt", lambda p, r: qca(p, r, crop=(64, 128))),
    "qualisys half resolution": ("qca", "a.qca.txt", lambda p, r: qca(p, r, binning=2)),
    "pose2sim": ("anipose", "Calib.toml", anipose),
    "anipose mm": ("anipose", "calibration.toml", lambda p, r: anipose(p, r, 1.0)),
    "caliscope": ("caliscope", "camera_array.toml", caliscope),
    "voxelpose": ("voxelpose", "calibration_shelf.json", voxelpose),
    "panoptic": ("panoptic", "calibration_161029.json", panoptic),
    "opencv folder yml": ("opencv", "cams", opencv_folder),
    "opencv folder json": ("opencv", "cams", lambda p, r: opencv_folder(p, r, ".json")),
    "opencv folder xml": ("opencv", "cams", lambda p, r: opencv_folder(p, r, ".xml")),
    "opencv nested": ("opencv", "rig.yml", opencv_nested),
    "easymocap": ("easymocap", "x.yml", easymocap),
    "vicon": ("xcp", "a.xcp", xcp),
    "colmap": ("colmap", "sparse", colmap),
    "list": ("opencv", "rig.json", list_json),
    **foreign_layouts.LAYOUTS,
}
