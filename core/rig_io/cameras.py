"""Construction of cameras from the fields of a calibration file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.rig_io.fields import CameraFields, count_numbers, unread_distortion, unread_numbers
from core.rig_io.filestorage import values
from core.rig_io.layouts import STEREO
from core.rig_io.lens_words import distortion_model
from core.rig_io.raw import (
    MM_PER,
    RawRig,
    Unit,
    Unread,
    guessed_size,
    invalid_file,
    matrix,
    numbers,
    rotation_from_quaternion,
    rotation_matrix,
)
from core.rig_io.readings import PoseReading, stored_to_pose
from core.types.arrays import F64
from core.types.axes import Axis
from core.types.camera import Camera

_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4")
_MAX_RELATIVE_FOCAL = 10.0
_CONVENTIONS = ("opencv", "opencv2", "cv", "colmap", "")


@dataclass(slots=True)
class CameraReader:
    """Reader of the cameras of one file.

    Attributes:
        path: File for messages.
        cameras: Cameras so far.
        guessed: Names of cameras without an image size.
        unread: Fields that were not understood.
        notes: Sentences on what was assumed.
        rotation_vectors: Rotation vector by camera, as in the file.
        quaternions: Quaternion by camera, as in the file.
        readings: Meanings of the poses, as the fields state them.
        units: Length units in the names of fields.
    """

    path: Path
    cameras: list[Camera] = field(default_factory=list)
    guessed: set[str] = field(default_factory=set)
    unread: list[Unread] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rotation_vectors: dict[str, F64] = field(default_factory=dict)
    quaternions: dict[str, F64] = field(default_factory=dict)
    readings: set[PoseReading] = field(default_factory=set)
    units: set[str] = field(default_factory=set)

    def add(self, name: str, fields: CameraFields) -> Camera:
        """Read a camera.

        Raises:
            CoreError: A field is missing or not valid.
        """
        K = self._K(name, fields)
        if K[0, 0] <= _MAX_RELATIVE_FOCAL and 0 < K[0, 2] <= 1 and 0 < K[1, 2] <= 1:
            hint = "Multiply the first row of each matrix by the width of the images, and the second by their height."
            raise invalid_file(self.path, f"the camera matrix of {name} is relative to the image size", hint)
        model = distortion_model(fields.values.get("model", []), self.path, name)
        size = self._size(name, fields, K)
        R, t = self._pose(name, fields)
        camera = Camera(
            name=name,
            size_px=size or guessed_size(K[0, 2], K[1, 2]),
            K=K,
            distortion=self._distortion(name, fields, model == "fisheye"),
            distortion_model=model,
            R=R,
            t_mm=t,
            time_offset_s=self._one(name, fields, "time_offset", 0.0),
            rmse_px=self._one(name, fields, "rmse", 0.0) if "rmse" in fields else None,
        )
        self.cameras.append(camera)
        if size is None:
            self.guessed.add(name)
        for key, correct in fields.misspelt.items():
            self.notes.append(f"'{key}' was read as {correct}.")
        self.unread += unread_fields(name, fields.unread)
        self.units |= fields.units
        if any(key == STEREO for key, _ in fields.values.get("pose", [])):
            self.notes.append(f"A stereo pair: camera {name} is the world.")
        return camera

    def result(self, unit: Unit | None, notes: Iterable[str] = (), up: Axis | None = None) -> RawRig:
        """Return what was read, with translations in a length unit and the up axis of the file, if it is known."""
        stated = next((u for u in MM_PER if self.units == {u}), None)
        if stated is None and self.units:
            raise invalid_file(self.path, f"its positions are in several units: {', '.join(sorted(self.units))}")
        unit = stated or unit
        reading = next(iter(self.readings)) if len(self.readings) == 1 else "world_to_camera"
        return RawRig(
            cameras=tuple(self.cameras),
            unit=unit,
            up=up,
            notes=(*dict.fromkeys(self.notes), *notes),
            guessed_sizes=frozenset(self.guessed),
            unread=tuple(self.unread),
            pose_is=reading,
            rotation_vectors=self.rotation_vectors,
            quaternions=self.quaternions,
        )

    def _numbers(self, name: str, fields: CameraFields, field_name: str) -> F64:
        return values(fields.first(field_name), self.path, f"camera {name}: {field_name}")

    def _one(self, name: str, fields: CameraFields, field_name: str, default: float) -> float:
        if field_name not in fields:
            return default
        what = f"camera {name}: {field_name}"
        return float(matrix(values(fields.first(field_name), self.path, what), (1,), self.path, what)[0])

    def _K(self, name: str, fields: CameraFields) -> F64:
        """Return the camera matrix; a 3x4 matrix next to a 3x3 one is the pose."""
        candidates = fields.values.get("K", [])
        by_count = {count_numbers(value): (key, value) for key, value in reversed(candidates)}
        if 9 in by_count:
            for count in (12, 16):
                if count in by_count and not fields.has_pose:
                    key, value = by_count[count]
                    fields.add("pose", key, value)
                    self.notes.append(f"'{key}', a 3x4 matrix, was read as the pose.")
            K = matrix(values(by_count[9][1], self.path, f"camera {name}: K"), (3, 3), self.path, "K")
            if not K[:2, 2].any() and K[2, :2].all():
                self.notes.append("The camera matrices were read as transposed, as MATLAB has them.")
                K = K.T
            return np.ascontiguousarray(K)
        K = np.eye(3)
        if 4 in by_count:
            K[0, 0], K[1, 1], K[0, 2], K[1, 2] = values(by_count[4][1], self.path, f"camera {name}: K")
        elif 16 in by_count:
            both = matrix(values(by_count[16][1], self.path, f"camera {name}: K"), (4, 4), self.path, "K")
            # PyTorch3D's order of the last two rows differs from that of others.
            K = np.vstack([both[:2, :3], both[3 if both[2, 3] == 1 else 2, :3]])
        elif candidates:
            key, value = candidates[0]
            hint = "Export the 3x3 camera matrix and the pose (rotation and translation) of each camera."
            what = f"camera {name}: {key} has {count_numbers(value)} values, expected 9"
            values(value, self.path, f"camera {name}: {key}")
            raise invalid_file(self.path, what + (", a projection matrix" if 12 in by_count else ""), hint)
        elif "focal" in fields and "principal" in fields:
            focal = self._numbers(name, fields, "focal")
            K[0, 0], K[1, 1] = np.broadcast_to(focal, 2) if focal.size in (1, 2) else (0.0, 0.0)
            K[:2, 2] = matrix(
                self._numbers(name, fields, "principal"), (2,), self.path, f"camera {name}: principal point"
            )
        else:
            fields = _with_scalars(fields)
            missing = [key for key in ("fx", "fy", "cx", "cy") if key not in fields]
            if missing:
                raise invalid_file(self.path, f"camera {name} has no camera matrix, and no {missing[0]}")
            K[0, 0], K[1, 1], K[0, 2], K[1, 2] = (self._one(name, fields, k, 0.0) for k in ("fx", "fy", "cx", "cy"))
            K[0, 1] = self._one(name, fields, "skew", 0.0)
        return K

    def _distortion(self, name: str, fields: CameraFields, fisheye: bool) -> F64:
        found = np.zeros(0)
        if "distortion" in fields:
            found = self._numbers(name, fields, "distortion")
        elif "radial" in fields or "tangential" in fields:
            k = self._numbers(name, fields, "radial") if "radial" in fields else np.zeros(0)
            p = self._numbers(name, fields, "tangential") if "tangential" in fields else np.zeros(0)
            found = self._in_order(
                name, {f"k{i + 1}": v for i, v in enumerate(k)} | {f"p{i + 1}": v for i, v in enumerate(p)}, fisheye
            )
        elif fields.coefficients:
            what = f"camera {name}: "
            single = {key: float(matrix(v, (1,), self.path, what + key)[0]) for key, v in fields.coefficients.items()}
            found = self._in_order(name, single, fisheye)
        if fisheye and found.size != 4:
            if found[4:].any():
                raise invalid_file(self.path, f"camera {name}: a fisheye model has 4 coefficients, found {found.size}")
            found = np.pad(found[:4], (0, max(0, 4 - found.size)))
        elif not fisheye and found.size in (1, 2):
            found = np.pad(found, (0, 4 - found.size))
        return np.asarray(found)

    def _in_order(self, name: str, single: Mapping[str, float], fisheye: bool) -> F64:
        """Return single coefficients in OpenCV's order."""
        order = ("k1", "k2", "k3", "k4") if fisheye else _COEFFICIENTS
        left = [key for key, value in single.items() if key not in order and value]
        if left:
            self.unread += [Unread(camera=name, key=key, level="error") for key in left]
        last = max((order.index(key) for key, value in single.items() if key in order and value), default=0)
        count = 4 if fisheye else 5 if last < 5 else 8 if last < 8 else 12
        return np.array([single.get(key, 0.0) for key in order[:count]])

    def _pose(self, name: str, fields: CameraFields) -> tuple[F64 | None, F64 | None]:
        """Return the pose, world to camera, in the meaning that the names of the fields give it."""
        self._check_convention(name, fields)
        stored, reading = self._stored_pose(name, fields)
        if stored is None:
            return None, None
        if reading == "world_to_camera" and _is_false(fields.first("world_to_camera")):
            reading = "camera_to_world"
        self.readings.add(reading)
        return stored_to_pose(*stored, reading)

    def _stored_pose(self, name: str, fields: CameraFields) -> tuple[tuple[F64, F64] | None, PoseReading]:
        rotation, quaternion, translation, centre = (
            fields.first(key) for key in ("rotation", "quaternion", "translation", "centre")
        )
        for key, reading in (("pose", "world_to_camera"), ("pose_to_world", "camera_to_world"), ("pose_opengl", GL)):
            value = fields.first(key)
            if value is not None and (rotation is None or translation is None):
                return self._matrix_pose(name, key, value), reading  # type: ignore[return-value]
        position = translation if translation is not None else centre
        if (rotation is None and quaternion is None) or position is None:
            if not _is_rectification(rotation) and (rotation, quaternion, position) != (None, None, None):
                what = "rotation without a position" if position is None else "position without a rotation"
                self.unread.append(Unread(camera=name, key=what, level="warning"))
            return None, "world_to_camera"
        t = matrix(
            _vector(position, self.path, f"camera {name}: translation"), (3,), self.path, f"camera {name}: translation"
        )
        if rotation is not None:
            # A matrix has more digits than its Rodrigues vector; files with both exist.
            found = [value for _, value in fields.values["rotation"] if count_numbers(value) == 9]
            R = self._rotation(name, found[0] if found else rotation)
        else:
            key = fields.values["quaternion"][0][0]
            R = self._quaternion(name, quaternion, scalar_first=key.lower() == "qvec")
        return (R, t), "world_to_camera" if translation is not None else "rotation_and_centre"

    def _matrix_pose(self, name: str, key: str, value: Any) -> tuple[F64, F64]:
        both = values(value, self.path, f"camera {name}: {key}")
        if both.size not in (12, 16):
            raise invalid_file(self.path, f"camera {name}: the extrinsics have {both.size} values, expected 12 or 16")
        both = both.reshape(-1, 4)[:3]
        return rotation_matrix(both[:, :3], self.path, name), np.ascontiguousarray(both[:, 3])

    def _rotation(self, name: str, value: Any) -> F64:
        if isinstance(value, Mapping) and "w" in {str(key).lower().lstrip("q") for key in value}:
            return self._quaternion(name, value)
        found = _vector(value, self.path, f"camera {name}: rotation")
        if found.size == 4:
            return self._quaternion(name, value)
        if found.size == 3:
            self.rotation_vectors[name] = found
        return rotation_matrix(found, self.path, name)

    def _quaternion(self, name: str, value: Any, scalar_first: bool = False) -> F64:
        """Return the rotation of a quaternion x y z w (COLMAP's `qvec`: w x y z), or of one with named components."""
        named = isinstance(value, Mapping) and "data" not in value
        what = f"camera {name}: quaternion"
        if named:
            parts = {str(key).lower().lstrip("q"): part for key, part in value.items()}
            value = [parts.get(key) for key in "xyzw"]
        found = matrix(values(value, self.path, what), (4,), self.path, what)
        if not named:
            self.quaternions[name] = found
            if scalar_first:
                found = np.roll(found, -1)
        return checked_quaternion(found, self.path, name, self.notes)

    def _check_convention(self, name: str, fields: CameraFields) -> None:
        convention = str(fields.first("convention") or "").lower()
        if convention not in _CONVENTIONS:
            raise invalid_file(
                self.path,
                f"camera {name}: the convention is '{convention[:40]}', expected opencv",
                "Convert the cameras to OpenCV's convention and world to camera, then import them again.",
            )

    def _size(self, name: str, fields: CameraFields, K: F64) -> tuple[int, int] | None:
        if "size" in fields:
            what = f"camera {name}: image size"
            width, height = matrix(_vector(fields.first("size"), self.path, what), (2,), self.path, what)
        elif "width" in fields and "height" in fields:
            width, height = (self._one(name, fields, key, 0.0) for key in ("width", "height"))
        else:
            return None
        if "shape" in fields.values.get("size", [("", 0)])[0][0].lower() and _off_centre(K, width, height):
            width, height = height, width  # the shape of an array has the height first
        return round(float(width)), round(float(height))


GL: PoseReading = "camera_to_world_opengl"


def unread_fields(camera: str, found: Mapping[str, Any]) -> list[Unread]:
    """Return the unrecognised fields of a camera, each with the severity of its possible effect."""
    return [
        Unread(
            camera=camera,
            key=str(key)[:60],
            level="error" if unread_distortion(str(key), value) else "warning" if unread_numbers(value) else "ok",
        )
        for key, value in found.items()
    ]


def checked_quaternion(xyzw: F64, path: Path, name: str, notes: list[str]) -> F64:
    """Return the rotation of a quaternion; normalise it, with a note, if its norm is not 1.

    Raises:
        CoreError: Its length is zero.
    """
    length = float(np.linalg.norm(xyzw))
    if length < 1e-6:
        raise invalid_file(path, f"the quaternion of camera {name} is zero")
    if abs(length - 1) > 0.01:
        notes.append(f"The quaternion of camera {name} has the length {length:.3g} instead of 1 and was normalised.")
    return rotation_from_quaternion(xyzw)


def _vector(value: Any, path: Path, what: str) -> F64:
    """Return numbers, also of a mapping with the components x, y, z or width, height."""
    if isinstance(value, Mapping) and "data" not in value:
        parts = {str(key).lower(): part for key, part in value.items()}
        keys = next((k for k in (("x", "y", "z"), ("width", "height"), ("w", "h")) if all(p in parts for p in k)), ())
        return numbers([parts[key] for key in keys], path, what)
    return values(value, path, what)


def _with_scalars(fields: CameraFields) -> CameraFields:
    """Return fields with a single focal length as fx and fy, if there are cx and cy."""
    if "focal" in fields and "fx" not in fields:
        copy = CameraFields(values=dict(fields.values))
        copy.values["fx"] = copy.values["fy"] = fields.values["focal"]
        return copy
    return fields


def _is_rectification(rotation: Any) -> bool:
    """Return True for the identity, which in ROS is the rectification and not a pose."""
    rows = rotation if isinstance(rotation, list) else []
    found = [number for row in rows for number in (row if isinstance(row, list) else [row])]
    return found == [1, 0, 0, 0, 1, 0, 0, 0, 1]


def _off_centre(K: F64, width: float, height: float) -> bool:
    """Return True if the principal point is closer to the image centre with width and height swapped."""
    offset, exchanged = (np.abs(K[:2, 2] - np.array(size) / 2).sum() for size in ((width, height), (height, width)))
    return bool(exchanged < offset)


def _is_false(value: Any) -> bool:
    return value is not None and str(value).strip("[] ").lower() in ("false", "0", "0.0")
