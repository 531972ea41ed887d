"""Bodies of a take, stored as NetCDF beside the 3D poses that they were fitted to."""

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
from core.types.arrays import F32, F64, frozen
from core.types.netcdf import read_variable, reading, write_text_variable, write_variable
from core.types.rate import frame_rate

BODIES_SCHEMA = 1


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class BodySequence:
    """Shapes and poses of several people's bodies over a take.

    Attributes:
        model: Name of the body model, which is its shape space.
        joints: (J,) names of the model's joints; joint 0 is the pelvis.
        time_s: (T,) times from the start of the take, increasing.
        person_ids: (P,) distinct person numbers.
        betas: (P, B) shape vectors.
        rotations_rad: (T, P, J, 3) rotation vectors of the joints relative to their parents, that of the pelvis from
            body to world coordinates; NaN where a person is absent.
        pelvis_mm: (T, P, 3) position of joint 0 in world coordinates; NaN where a person is absent.
        provenance: Method, result that the bodies were fitted to, digests and code version, as plain JSON values.
    """

    model: str
    joints: tuple[str, ...]
    time_s: F64
    person_ids: tuple[int, ...]
    betas: F64
    rotations_rad: F32
    pelvis_mm: F64
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes, set_ = {"J": len(self.joints), "P": len(self.person_ids)}, object.__setattr__
        set_(self, "joints", tuple(self.joints))
        set_(self, "person_ids", tuple(int(i) for i in self.person_ids))
        if len(set(self.person_ids)) != len(self.person_ids):
            raise CoreError(f"Bodies: person ids repeat: {list(self.person_ids)}.", "Fit the bodies again.")
        set_(self, "time_s", frozen(self.time_s, ("T",), "bodies: time_s", sizes=sizes))
        if (np.diff(self.time_s) <= 0).any():
            raise CoreError("Bodies: time_s is not strictly increasing.", "Fit the bodies again.")
        set_(self, "betas", frozen(self.betas, ("P", "B"), "bodies: betas", sizes=sizes))
        for name, shape, dtype in (
            ("rotations_rad", ("T", "P", "J", 3), np.float32),
            ("pelvis_mm", ("T", "P", 3), np.float64),
        ):
            value = frozen(getattr(self, name), shape, f"bodies: {name}", dtype, allow_nan=True, sizes=sizes)
            set_(self, name, value)
        if (np.isnan(self.rotations_rad).any((-1, -2)) != np.isnan(self.pelvis_mm).any(-1)).any():
            raise CoreError("Bodies: rotations and positions are known at different frames.", "Fit the bodies again.")

    @property
    def present(self) -> np.ndarray:
        """(T, P) bool, people with a body."""
        return np.isfinite(self.pelvis_mm[..., 0])

    @property
    def fps(self) -> float:
        """Frames per second over the whole sequence, see `frame_rate`; 0 with fewer than two frames."""
        return frame_rate(self.time_s) if len(self.time_s) > 1 else 0.0

    def save(self, path: Path) -> None:
        """Write NetCDF-4 (dimensions time, individuals, joints, space, shape), atomically."""
        import h5netcdf

        with replacing(path) as temporary, surviving_file(temporary) as disk, h5netcdf.File(disk, "w") as file:
            T, P, J, _ = self.rotations_rad.shape
            file.dimensions = {"time": T, "individuals": P, "joints": J, "space": 3, "shape": self.betas.shape[1]}
            write_variable(file, "time", ("time",), self.time_s, disk, units="s")
            write_text_variable(file, "joints", ("joints",), list(self.joints))
            write_text_variable(file, "individuals", ("individuals",), [f"person_{i}" for i in self.person_ids])
            write_variable(file, "betas", ("individuals", "shape"), self.betas, disk)
            dims = ("time", "individuals", "joints", "space")
            write_variable(file, "rotations", dims, self.rotations_rad, disk, units="rad")
            write_variable(file, "pelvis", ("time", "individuals", "space"), self.pelvis_mm, disk, units="mm")
            file.attrs["source_software"] = "SelfPose Studio"
            file.attrs["fps"] = self.fps
            file.attrs["bodies_schema"] = BODIES_SCHEMA
            file.attrs["model"] = self.model
            file.attrs["person_ids"] = np.array(self.person_ids, np.int64)
            file.attrs["provenance"] = json.dumps(dict(self.provenance))

    @classmethod
    def load(cls, path: Path) -> BodySequence:
        """Read a file written by `save`.

        Raises:
            CoreError: A missing, truncated or different file, or one of a newer schema.
        """
        remedies = {"absent": "Fit the bodies with 'fit-body'.", "damaged": "Fit them again with 'fit-body'."}
        with reading(path, "bodies", ("bodies_schema", BODIES_SCHEMA), **remedies) as file:
            return cls(
                model=str(file.attrs["model"]),
                joints=tuple(name.decode() for name in file["joints"][...]),
                time_s=file["time"][...],
                person_ids=tuple(int(i) for i in np.atleast_1d(file.attrs["person_ids"])),
                betas=file["betas"][...],
                rotations_rad=read_variable(file["rotations"], (0, 1, 2, 3), np.float32),
                pelvis_mm=read_variable(file["pelvis"], (0, 1, 2), np.float64),
                provenance=json.loads(file.attrs["provenance"]),
            )
