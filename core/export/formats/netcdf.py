"""NetCDF with the variable names of the `movement` package, in mm with z up: the format of poses in a session."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from core.export.exporter import Content, ExportedResult, Exporter, ExportOptions, Units, UpAxis


class NetcdfExporter(Exporter):
    """Writer of NetCDF files."""

    title = "NetCDF"
    needs: tuple[Content, ...] = ("points",)
    units: tuple[Units, ...] = ("mm",)
    ups: tuple[UpAxis, ...] = ("z",)
    constant_rate = False

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"One file, also with confidences and covariances, in {options.units} with {options.up} up; read by "
            "movement, xarray and MATLAB."
        )

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file."""
        poses, origin = result.poses, result.origin
        path = stem.with_name(f"{stem.name}.nc")
        provenance = {"take": origin.take, "poses": origin.poses, "rig": origin.rig, "version": origin.version}
        dataclasses.replace(poses, provenance={**poses.provenance, "origin": provenance}).save(path)
        return [path]


EXPORTER = NetcdfExporter()
