"""Import of Kalibr's `camchain.yaml`: a chain of cameras, each posed relative to the one before (`T_cn_cnm1`), metres.

The first camera is the world, or the IMU where all cameras have `T_cam_imu` and no chain. The models pinhole with
radtan or equidistant distortion are OpenCV's; OpenCV's fisheye model is fitted to omni, eucm, ds and fov.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.rig_io.cameras import unread_fields
from core.rig_io.filestorage import read_document
from core.rig_io.lens_fit import PROJECTIONS, fit_fisheye, fov, radtan
from core.rig_io.raw import RawRig, RigImporter, Unread, invalid_file, matrix, numbers, rotation_matrix
from core.types.arrays import F64
from core.types.camera import Camera

_SUFFIXES = (".yaml", ".yml")
_COEFFICIENTS = {"radtan": 4, "equidistant": 4, "fov": 1, "none": 0}
_READ = frozenset(
    {"camera_model", "distortion_model", "distortion_coeffs", "intrinsics", "resolution", "T_cn_cnm1", "T_cam_imu"}
)
_IGNORED = frozenset({"rostopic", "cam_overlaps"})
_MAX_ERROR_PX, _NOTED_ERROR_PX = 2.0, 0.01


def _recognises(path: Path, content: str) -> bool:
    if path.suffix.lower() not in _SUFFIXES or not re.search(r"^cam\d+\s*:", content, re.MULTILINE):
        return False
    return all(re.search(rf"\b{key}\s*:", content) for key in ("camera_model", "intrinsics", "distortion_model"))


def _read(path: Path) -> RawRig:
    document = read_document(path)
    tables = {key: value for key, value in document.items() if isinstance(value, Mapping) and "intrinsics" in value}
    if not tables:
        raise invalid_file(path, "it has no cameras", "Choose the camchain.yaml that Kalibr wrote.")
    chained = any("T_cn_cnm1" in table for table in tables.values())
    inertial = not chained and all("T_cam_imu" in table for table in tables.values())
    notes: list[str] = ["The IMU is the world."] if inertial else [] if chained else ["The file has no poses."]
    cameras: list[Camera] = []
    unread: list[Unread] = []
    pose: F64 | None = np.eye(4)
    for number, name in enumerate(sorted(tables, key=_number)):
        table = tables[name]
        if inertial:
            pose = _transform(table["T_cam_imu"], path, name)
        elif number and "T_cn_cnm1" in table and pose is not None:
            pose = _transform(table["T_cn_cnm1"], path, name) @ pose
        elif number:
            pose = None  # the chain is broken, also for the cameras after this one
        camera = _lens(name, table, path, notes)
        if pose is not None and (chained or inertial):
            camera = camera.replace(R=pose[:3, :3], t_mm=pose[:3, 3])
        cameras.append(camera)
        unread += unread_fields(name, {k: v for k, v in table.items() if k not in _READ | _IGNORED})
    return RawRig(cameras=tuple(cameras), unit="m", up=None, notes=tuple(notes), unread=tuple(unread))


def _number(name: str) -> tuple[int, str]:
    digits = re.search(r"\d{1,9}", name)
    return int(digits[0]) if digits else 0, name


def _lens(name: str, table: Mapping[str, Any], path: Path, notes: list[str]) -> Camera:
    model, distortion = str(table.get("camera_model", "pinhole")), str(table.get("distortion_model", "none"))
    if model not in PROJECTIONS or distortion not in _COEFFICIENTS:
        what, known = (distortion, _COEFFICIENTS) if model in PROJECTIONS else (model, PROJECTIONS)
        hint = f"Known are {', '.join(known)}: calibrate with one of them."
        raise invalid_file(path, f"camera {name}: the lens model '{what[:40]}' is not known", hint)
    count, project = PROJECTIONS[model]
    p = matrix(table["intrinsics"], (count + 4,), path, f"camera {name}: intrinsics")
    d = numbers(table.get("distortion_coeffs", ()), path, f"camera {name}: distortion_coeffs")
    if d.size != _COEFFICIENTS[distortion] and d.any():
        raise invalid_file(path, f"camera {name} has {d.size} coefficients, expected {_COEFFICIENTS[distortion]}")
    width, height = matrix(table.get("resolution", ()), (2,), path, f"camera {name}: resolution")
    size_px = (round(float(width)), round(float(height)))
    K = np.array([[p[count], 0, p[count + 2]], [0, p[count + 1], p[count + 3]], [0, 0, 1]])
    if model == "pinhole" and distortion != "fov":
        fisheye = distortion == "equidistant"
        return Camera(
            name=name, size_px=size_px, K=K, distortion=d, distortion_model="fisheye" if fisheye else "pinhole"
        )
    if distortion == "equidistant":
        raise invalid_file(path, f"camera {name}: {model} with equidistant distortion is not known")
    if not (0 < size_px[0] < 1e5 and 0 < size_px[1] < 1e5):
        raise invalid_file(path, f"camera {name}: the resolution is {size_px[0]}x{size_px[1]}")

    def pixels_of(rays: F64) -> F64:
        ideal = project(p[:count], rays)
        distorted = (
            radtan(d, ideal) if distortion == "radtan" and d.any() else fov(d, ideal) if distortion == "fov" else ideal
        )
        return np.asarray(distorted * K[[0, 1], [0, 1]] + K[:2, 2])

    fit = fit_fisheye(pixels_of, size_px)
    if fit is None or fit[2] > _MAX_ERROR_PX:
        error = f" (error {fit[2]:.2g} px)" if fit else ""
        hint = "Calibrate with Kalibr's models pinhole-radtan or pinhole-equi."
        raise invalid_file(
            path, f"camera {name}: OpenCV's fisheye model cannot represent its {model} lens{error}", hint
        )
    if fit[2] > _NOTED_ERROR_PX:
        notes.append(
            f"OpenCV's fisheye model was fitted to the {model} lens of {name} with an error of {fit[2]:.2g} px."
        )
    return Camera(name=name, size_px=size_px, K=fit[0], distortion=fit[1], distortion_model="fisheye")


def _transform(value: Any, path: Path, name: str) -> F64:
    both = np.array(matrix(value, (4, 4), path, f"camera {name}: transform"))
    both[:3, :3] = rotation_matrix(both[:3, :3], path, name)
    return both


IMPORTER = RigImporter(
    name="kalibr", title="Kalibr (camchain.yaml)", patterns=("*.yaml", "*.yml"), recognises=_recognises, read=_read
)
