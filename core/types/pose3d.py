"""3D poses of a take, stored as NetCDF with the names of the `movement` package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.disk import replacing
from core.errors import CoreError
from core.hdf5 import surviving_file
from core.types.arrays import F32, F64, I64, frozen
from core.types.netcdf import read_variable, reading, write_text_variable, write_variable
from core.types.rate import frame_rate
from core.types.skeleton import SKELETONS, Skeleton, skeleton

POSES_SCHEMA = 1


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class Pose3DSequence:
    """3D joints of several people over a take.

    Attributes:
        skeleton: Joint set.
        time_s: (T,) times from the start of the take, increasing.
        xyz_mm: (T, P, J, 3) joints in world coordinates, NaN where missing; a column P is one person throughout.
        score: (T, P, J) confidences from 0 to 1, 0 where missing.
        person_ids: (P,) distinct person numbers.
        covariance_mm2: (T, P, J, 3, 3) covariance of the joints, or None if not computed.
        provenance: Method, resolved config, calibration digest, code version and parents, as plain JSON values.
    """

    skeleton: Skeleton
    time_s: F64
    xyz_mm: F64
    score: F64
    person_ids: tuple[int, ...]
    covariance_mm2: F32 | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes, set_ = {"J": len(self.skeleton), "P": len(self.person_ids)}, object.__setattr__
        set_(self, "person_ids", tuple(int(i) for i in self.person_ids))
        if len(set(self.person_ids)) != len(self.person_ids):
            raise CoreError(f"3D poses: person ids repeat: {list(self.person_ids)}.", "Give every person one id.")
        xyz = frozen(self.xyz_mm, ("T", "P", "J", 3), "3D poses: xyz_mm", allow_nan=True, sizes=sizes)
        set_(self, "xyz_mm", xyz)
        set_(self, "time_s", frozen(self.time_s, ("T",), "3D poses: time_s", sizes=sizes))
        if (np.diff(self.time_s) <= 0).any():
            raise CoreError("3D poses: time_s is not strictly increasing.", "Check the timestamps of the take.")
        set_(self, "score", frozen(self.score, ("T", "P", "J"), "3D poses: score", sizes=sizes))
        if self.covariance_mm2 is not None:
            shape = ("T", "P", "J", 3, 3)
            set_(
                self,
                "covariance_mm2",
                frozen(self.covariance_mm2, shape, "3D poses: covariance", np.float32, allow_nan=True, sizes=sizes),
            )

    @property
    def present(self) -> np.ndarray:
        """(T, P) bool, people with at least one joint."""
        return np.asarray(np.isfinite(self.xyz_mm).all(-1).any(-1))

    def people_at(self, frame: int) -> I64:
        """Return the columns of the people who are present at a frame, without a look at the other frames."""
        return np.flatnonzero(np.isfinite(self.xyz_mm[frame]).all(-1).any(-1))

    @property
    def fps(self) -> float:
        """Frames per second over the whole sequence, see `frame_rate`; 0 with fewer than two frames."""
        return frame_rate(self.time_s) if len(self.time_s) > 1 else 0.0

    def save(self, path: Path) -> None:
        """Write NetCDF-4 (dimensions time, space, keypoints, individuals), atomically."""
        import h5netcdf

        with replacing(path) as temporary, surviving_file(temporary) as disk, h5netcdf.File(disk, "w") as file:
            T, P, J, _ = self.xyz_mm.shape
            file.dimensions = {"time": T, "space": 3, "keypoints": J, "individuals": P}
            write_variable(file, "time", ("time",), self.time_s, disk, units="s")
            write_text_variable(file, "space", ("space",), ["x", "y", "z"])
            write_text_variable(file, "keypoints", ("keypoints",), list(self.skeleton.joints))
            write_text_variable(file, "individuals", ("individuals",), [f"person_{i}" for i in self.person_ids])
            dims = ("time", "space", "keypoints", "individuals")
            write_variable(file, "position", dims, self.xyz_mm.transpose(0, 3, 2, 1), disk, units="mm")
            write_variable(
                file, "confidence", ("time", "keypoints", "individuals"), self.score.transpose(0, 2, 1), disk
            )
            if self.covariance_mm2 is not None:
                file.dimensions["space_2"] = 3
                cov_dims = ("time", "space", "space_2", "keypoints", "individuals")
                write_variable(
                    file, "covariance", cov_dims, self.covariance_mm2.transpose(0, 3, 4, 2, 1), disk, units="mm2"
                )
            file.attrs["ds_type"] = "poses"
            file.attrs["source_software"] = "SelfPose Studio"
            file.attrs["time_unit"] = "seconds"
            file.attrs["fps"] = self.fps
            file.attrs["schema"] = POSES_SCHEMA
            file.attrs["skeleton"] = self.skeleton.name
            file.attrs["person_ids"] = np.array(self.person_ids, np.int64)
            file.attrs["provenance"] = json.dumps(dict(self.provenance))

    @staticmethod
    def load_provenance(path: Path) -> dict[str, Any]:
        """Read the provenance of a file written by `save`, without its poses.

        Raises:
            CoreError: A missing, truncated or different file.
        """
        import h5py

        try:
            with h5py.File(path, "r") as file:
                found = json.loads(file.attrs["provenance"])
        except Exception as error:
            raise CoreError(f"{path} does not contain 3D poses: {error}.", "Compute them again.") from error
        return found if isinstance(found, dict) else {}

    @classmethod
    def load(cls, path: Path) -> Pose3DSequence:
        """Read a file written by `save`.

        Raises:
            CoreError: A missing, truncated or different file, or one of a newer schema.
        """
        remedies = {"absent": "Run the step that computes these 3D poses.", "damaged": "Compute them again."}
        with reading(path, "3D poses", ("schema", POSES_SCHEMA), **remedies) as file:
            name = str(file.attrs["skeleton"])
            covariance, axes = file.get("covariance"), (0, 4, 3, 1, 2)
            return cls(
                skeleton=skeleton(name) if name in SKELETONS else _unknown(name, path),
                time_s=file["time"][...],
                xyz_mm=read_variable(file["position"], (0, 3, 2, 1), np.float64),
                score=read_variable(file["confidence"], (0, 2, 1), np.float64),
                person_ids=tuple(int(i) for i in np.atleast_1d(file.attrs["person_ids"])),
                covariance_mm2=None if covariance is None else read_variable(covariance, axes, np.float32),
                provenance=json.loads(file.attrs["provenance"]),
            )


def _unknown(name: str, path: Path) -> Skeleton:
    raise CoreError(f"{path} uses the unknown skeleton '{name}'.", "Update the program, or compute the poses again.")
