"""NetCDF, the session's own file of 3D poses with the names that the `movement` package uses: always mm with z up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from core.export.exporter import ExportOptions, Origin, Units, UpAxis
from core.types import Pose3DSequence


class NetcdfExporter:
    """See the module."""

    title = "NetCDF"
    units: tuple[Units, ...] = ("mm",)
    ups: tuple[UpAxis, ...] = ("z",)

    def describe(self, options: ExportOptions) -> str:
        return (
            f"One file with positions, confidences and, where known, covariances, in {options.units} with {options.up} "
            "up; read by movement, xarray and MATLAB."
        )

    def write(self, poses: Pose3DSequence, stem: Path, options: ExportOptions, origin: Origin) -> list[Path]:
        path = stem.with_name(f"{stem.name}.nc")
        made_by = {"take": origin.take, "poses": origin.poses, "rig": origin.rig, "version": origin.version}
        dataclasses.replace(poses, provenance={**poses.provenance, "origin": made_by}).save(path)
        return [path]


EXPORTER = NetcdfExporter()
