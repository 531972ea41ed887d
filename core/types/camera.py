"""Cameras and camera rigs, stored as `rig.toml`."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.documents.syntax import parse_toml
from core.errors import CoreError
from core.files import read_text, write_text
from core.types.arrays import F64, frozen

DistortionModel = Literal["pinhole", "fisheye"]
RIG_SCHEMA = 1
_MM_PER = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
_LARGEST = 1e15
_MAX_SIZE_PX = 100_000
_MAX_NAME = 200
_MIN_FOCAL_PX = 1e-6
_MAX_DISTORTION, _MAX_K_PX = 1e6, 1e9  # beyond any lens; powers of them are finite


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Camera:
    """Intrinsics of a camera and, if it is posed, its extrinsics.

    A world point x projects by x_cam = R x + t_mm, division by depth, distortion, and K; see `core.geometry.project`.

    Attributes:
        name: Camera name, unique in its rig.
        size_px: Image width and height, px.
        K: (3, 3) camera matrix fx 0 cx; 0 fy cy; 0 0 1, px; pixel (0, 0) is the centre of the top-left pixel.
        distortion: Coefficients (n,) in OpenCV's order: k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tau_x tau_y]]]] for
            "pinhole", k1 k2 k3 k4 for "fisheye".
        distortion_model: "pinhole" for OpenCV's Brown-Conrady and rational model, "fisheye" for `cv2.fisheye`
            (Kannala-Brandt).
        R: (3, 3) rotation from world to camera coordinates (x right, y down, z forward); None if unposed.
        t_mm: (3,) translation from world to camera coordinates, mm; None if unposed. The camera centre is -R^T t_mm.
        time_offset_s: Recorded time minus the time of exposure on the common clock, s.
        rmse_px: Root mean square reprojection error reported by the calibration, px; None if unknown.
    """

    name: str
    size_px: tuple[int, int]
    K: F64
    distortion: F64 = field(default_factory=lambda: np.zeros(5))
    distortion_model: DistortionModel = "pinhole"
    R: F64 | None = None
    t_mm: F64 | None = None
    time_offset_s: float = 0.0
    rmse_px: float | None = None

    def __post_init__(self) -> None:
        what = f"camera {self.name}"
        if not self.name:
            raise CoreError("A camera has an empty name.", "Give every camera of the rig a name.")
        if len(self.name) > _MAX_NAME:
            raise CoreError(f"{what[:80]}…: the name has {len(self.name)} characters.", "Give it a shorter name.")
        width, height = (int(s) for s in self.size_px)
        if not (0 < width <= _MAX_SIZE_PX and 0 < height <= _MAX_SIZE_PX):
            raise CoreError(
                f"{what}: the image size is {width}x{height}, expected positive numbers up to {_MAX_SIZE_PX}.",
                "Correct the size in the rig file.",
            )
        set_ = object.__setattr__
        set_(self, "size_px", (width, height))
        set_(self, "K", frozen(self.K, (3, 3), f"{what}: K"))
        if min(self.K[0, 0], self.K[1, 1]) < _MIN_FOCAL_PX or not np.allclose(self.K[2], (0, 0, 1)):
            raise CoreError(
                f"{what}: K is not a camera matrix: {self.K.tolist()}.",
                "Focal lengths must be positive, and the last row 0 0 1.",
            )
        counts = (4,) if self.distortion_model == "fisheye" else (4, 5, 8, 12, 14)
        distortion = np.atleast_1d(np.asarray(self.distortion, float)).ravel()
        if distortion.size == 0:
            distortion = np.zeros(counts[-1] if self.distortion_model == "fisheye" else 5)
        if distortion.size not in counts:
            raise CoreError(
                f"{what}: a {self.distortion_model} model has {' or '.join(map(str, counts))} coefficients, "
                f"found {distortion.size}.",
                "Check the distortion model and the order k1 k2 p1 p2 k3.",
            )
        set_(self, "distortion", frozen(distortion, (distortion.size,), f"{what}: distortion"))
        if (np.abs(self.distortion) > _MAX_DISTORTION).any() or (np.abs(self.K) > _MAX_K_PX).any():
            largest = max(float(np.abs(self.distortion).max()), float(np.abs(self.K).max()))
            raise CoreError(
                f"{what}: the intrinsics have an implausible number: {largest:.3g}.", "Correct it in the rig file."
            )
        if (self.R is None) != (self.t_mm is None):
            raise CoreError(
                f"{what}: only one of rotation and translation was given.",
                "Give both or neither.",
            )
        if self.R is not None:
            set_(self, "R", frozen(self.R, (3, 3), f"{what}: R"))
            set_(self, "t_mm", frozen(self.t_mm, (3,), f"{what}: t_mm"))
            assert self.R is not None
            if not np.allclose(self.R @ self.R.T, np.eye(3), atol=1e-3) or np.linalg.det(self.R) < 0:
                raise CoreError(
                    f"{what}: R is not a rotation; it has a reflection or a scale.",
                    "Check the axes of the file, and export it again without flipping single axes.",
                )

    @property
    def posed(self) -> bool:
        """True if the camera has extrinsics."""
        return self.R is not None

    @property
    def centre_mm(self) -> F64:
        """(3,) camera centre in world coordinates, -R^T t_mm."""
        R, t_mm = self.pose
        return np.asarray(-R.T @ t_mm)

    @property
    def pose(self) -> tuple[F64, F64]:
        """Rotation R (3, 3) and translation t_mm (3,), world to camera.

        Raises:
            CoreError: The camera is unposed.
        """
        if self.R is None or self.t_mm is None:
            raise CoreError(f"Camera {self.name} has no pose.", "Calibrate its extrinsics first.")
        return self.R, self.t_mm

    @property
    def rotation_vector(self) -> F64 | None:
        """(3,) Rodrigues vector of R, rad, or None while unposed. Zeros are a valid rotation: test for None."""
        if self.R is None:
            return None
        # OpenCV's conversion takes angles below 1e-5 rad for none, which is up to 0.01 px. Imported late: it is slow.
        from scipy.spatial.transform import Rotation

        return np.asarray(Rotation.from_matrix(self.R).as_rotvec())

    def replace(self, **changes: Any) -> Camera:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraRig:
    """Cameras in common world coordinates (mm, z up, floor at z = 0).

    Attributes:
        cameras: Cameras with unique names, at least one; the position is the view index V.
        created: ISO date and time of the calibration; empty if unknown.
        source: Sentences on the origin of the rig and on what was assumed.
        floor_guessed: True if the floor is a guess, so that heights above z = 0 are unreliable.
    """

    cameras: tuple[Camera, ...]
    created: str = ""
    source: str = ""
    floor_guessed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cameras", tuple(self.cameras))
        if not self.cameras:
            raise CoreError("The rig has no cameras.", "Import a rig file with at least one camera.")
        names = self.names
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise CoreError(f"Two cameras of the rig are named '{repeated[0]}'.", "Rename one of them in the rig file.")

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names in view order."""
        return tuple(c.name for c in self.cameras)

    @property
    def digest(self) -> str:
        """Short hash of all parameters that affect a projection; equal rigs have equal digests."""
        return _digest(self.cameras)

    def __len__(self) -> int:
        return len(self.cameras)

    def __iter__(self) -> Iterator[Camera]:
        return iter(self.cameras)

    def __getitem__(self, key: int | str) -> Camera:
        if isinstance(key, int):
            return self.cameras[key]
        for camera in self.cameras:
            if camera.name == key:
                return camera
        raise CoreError(f"The rig has no camera '{key}'.", f"Its cameras are {', '.join(self.names)}.")

    def subset(self, names: tuple[str, ...] | list[str]) -> CameraRig:
        """Return the rig of these cameras, in this order."""
        return dataclasses.replace(self, cameras=tuple(self[n] for n in names))

    def save(self, path: Path) -> None:
        """Write `rig.toml`."""
        write_text(path, self.to_toml())

    def to_toml(self) -> str:
        """Return the text of `rig.toml`: the keys that Anipose, Pose2Sim and sleap-io read, plus schema and units."""
        import tomli_w

        tables: dict[str, Any] = {f"cam_{i}": _camera_table(c, "mm") for i, c in enumerate(self.cameras)}
        tables["metadata"] = {
            "schema": RIG_SCHEMA,
            "units": "mm",
            "created": self.created,
            "source": self.source,
            "floor_guessed": self.floor_guessed,
            "digest": self.digest,
            "adjusted": False,
            "error": 0.0,
        }
        return tomli_w.dumps(tables)

    @classmethod
    def load(cls, path: Path) -> CameraRig:
        """Read `rig.toml`.

        Raises:
            CoreError: A missing file, invalid TOML, a newer schema, a missing key, or values that are not valid.
        """
        document = parse_toml(read_text(path), str(path), "Import the rig again from its source.")
        metadata = document.get("metadata", {})
        if not isinstance(metadata, Mapping):
            raise CoreError(f"{path}: metadata is not a table.", "Import the rig again from its source.")
        schema = metadata.get("schema", RIG_SCHEMA)
        if type(schema) is not int or schema > RIG_SCHEMA:
            raise CoreError(
                f"{path} was written by a newer version (schema {str(schema)[:40]}, expected up to {RIG_SCHEMA}).",
                "Update the program.",
            )
        units = metadata.get("units", "mm")
        if not isinstance(units, str) or units not in _MM_PER:
            what = f"{path}: the length unit is '{str(units)[:40]}', expected mm, cm or m."
            raise CoreError(what, "Correct its `units`.")
        tables = {key: value for key, value in document.items() if key != "metadata" and isinstance(value, Mapping)}
        try:
            return cls(
                cameras=tuple(
                    camera_from_table(table, _MM_PER[units], f"{path}: {key}") for key, table in tables.items()
                ),
                created=str(metadata.get("created", "")),
                source=str(metadata.get("source", "")),
                floor_guessed=metadata.get("floor_guessed", False) is True,
            )
        except CoreError as error:
            if str(path) in error.message:
                raise
            raise CoreError(f"{path}: {error.message}", error.hint) from error


def camera_from_table(table: Mapping[str, Any], mm_per_unit: float, where: str) -> Camera:
    """Return a camera from a table of `rig.toml`.

    Args:
        table: Values by key: name, size, matrix, distortions, fisheye, rotation, translation, time_offset_s, rmse.
        mm_per_unit: Millimetres per length unit of the table.
        where: File and table for messages.

    Raises:
        CoreError: A required key is missing, or a value is not valid for a camera.
    """
    for key in ("size", "matrix"):
        if key not in table:
            raise CoreError(
                f"{where}: a camera has no '{key}'.", "Each camera needs name, size, matrix and distortions."
            )
    R = t = None
    if ("rotation" in table) != ("translation" in table):
        raise CoreError(f"{where}: only one of rotation and translation was given.", "Give both or neither.")
    if "rotation" in table:
        from scipy.spatial.transform import Rotation

        rotation = _bounded(table["rotation"], (3,), f"{where}: rotation")
        R = np.asarray(Rotation.from_rotvec(rotation.copy()).as_matrix())
        t = _bounded(table["translation"], (3,), f"{where}: translation") * mm_per_unit
    fisheye = table.get("fisheye", False)
    if not isinstance(fisheye, bool):
        raise CoreError(f"{where}: fisheye is {str(fisheye)[:40]!r}.", "It must be true or false.")
    width, height = _bounded(table["size"], (2,), f"{where}: size")
    distortion = table.get("distortions", [])
    count = len(distortion) if isinstance(distortion, list) else 0
    try:
        return Camera(
            name=str(table.get("name", "")),
            size_px=(round(float(width)), round(float(height))),
            K=_bounded(table["matrix"], (3, 3), f"{where}: matrix"),
            distortion=_bounded(distortion, (count,), f"{where}: distortions"),
            distortion_model="fisheye" if fisheye else "pinhole",
            R=R,
            t_mm=t,
            time_offset_s=float(_bounded(table.get("time_offset_s", 0.0), (), f"{where}: time_offset_s")),
            rmse_px=float(_bounded(table["rmse"], (), f"{where}: rmse")) if "rmse" in table else None,
        )
    except CoreError as error:
        raise CoreError(error.message if where in error.message else f"{where}: {error.message}", error.hint) from error


def _bounded(value: Any, shape: tuple[int, ...], what: str) -> F64:
    """Return an array of plain numbers, none of which is so large that products of them overflow.

    Raises:
        CoreError: Another shape, text, a value that is not finite, or one that is too large.
    """
    if any(isinstance(leaf, bool) or not isinstance(leaf, int | float) for leaf in _leaves(value)):
        raise CoreError(f"{what} is not made of numbers.", "Check the file it was read from.")
    array = frozen(value, shape, what)
    if (np.abs(array) > _LARGEST).any():
        raise CoreError(f"{what} has an implausible number: {float(np.abs(array).max()):.3g}.", "Check the file.")
    return array


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


@functools.lru_cache(maxsize=32)
def _digest(cameras: tuple[Camera, ...]) -> str:
    """Return the digest of cameras. They never change, and the results of a session are all compared with one rig."""
    values = [_camera_table(c, "mm", 9) for c in cameras]
    for value in values:
        value.pop("rmse", None)
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _camera_table(camera: Camera, units: str, digits: int | None = None) -> dict[str, Any]:
    def to_list(array: F64) -> list[Any]:
        return list((array if digits is None else np.round(array, digits) + 0.0).tolist())

    table: dict[str, Any] = {
        "name": camera.name,
        "size": list(camera.size_px),
        "matrix": to_list(camera.K),
        "distortions": to_list(camera.distortion),
        "fisheye": camera.distortion_model == "fisheye",
        "time_offset_s": camera.time_offset_s,
    }
    rotation = camera.rotation_vector
    if rotation is not None and camera.t_mm is not None:
        table["rotation"] = to_list(rotation)
        table["translation"] = to_list(camera.t_mm / _MM_PER[units])
    if camera.rmse_px is not None:
        table["rmse"] = camera.rmse_px
    return table
