"""Export of 3D poses to files of other tools. A format is one module in `formats` and one line in `EXPORTERS`."""

from core.export.exporter import (
    EXPORTERS,
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Origin,
    Units,
    UnitsChoice,
    UpAxis,
    UpChoice,
    check_content,
    content_of,
    default_formats,
    resolve_options,
    suitable_formats,
    write_result,
)

__all__ = [
    "EXPORTERS",
    "Content",
    "ExportOptions",
    "ExportedResult",
    "Exporter",
    "Origin",
    "Units",
    "UnitsChoice",
    "UpAxis",
    "UpChoice",
    "check_content",
    "content_of",
    "default_formats",
    "resolve_options",
    "suitable_formats",
    "write_result",
]
