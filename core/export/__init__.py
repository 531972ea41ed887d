"""3D poses as files of other tools. One module of `formats` a file format, one line in `EXPORTERS`."""

from core.export.exporter import EXPORTERS, Exporter, ExportOptions, Origin, Units, UpAxis, resolve_options, write_poses

__all__ = ["EXPORTERS", "ExportOptions", "Exporter", "Origin", "Units", "UpAxis", "resolve_options", "write_poses"]
