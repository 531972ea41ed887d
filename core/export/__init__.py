"""Export of 3D poses to files of other tools. A format is one module in `formats` and one line in `EXPORTERS`."""

from core.export.exporter import (
    EXPORTERS,
    Content,
    Exporter,
    ExportOptions,
    Origin,
    Units,
    UnitsChoice,
    UpAxis,
    UpChoice,
    check_content,
    content_of,
    resolve_options,
    suitable_formats,
    write_poses,
)

__all__ = [
    "EXPORTERS",
    "Content",
    "ExportOptions",
    "Exporter",
    "Origin",
    "Units",
    "UnitsChoice",
    "UpAxis",
    "UpChoice",
    "check_content",
    "content_of",
    "resolve_options",
    "suitable_formats",
    "write_poses",
]
