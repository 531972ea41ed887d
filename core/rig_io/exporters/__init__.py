"""Export of rigs to the file formats of other programs; a new format is one module and one line in `EXPORTERS`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.errors import CoreError
from core.files import write_text
from core.registry import Registry
from core.rig_io.exporters.exporter import Rendered, RigExporter
from core.types.camera import CameraRig

__all__ = ["EXPORTERS", "Rendered", "RigExporter", "WrittenRig", "write_rig"]

EXPORTERS: Registry[RigExporter] = Registry(
    "rig format to write",
    {
        "selfpose": "core.rig_io.exporters.selfpose:EXPORTER",
        "anipose": "core.rig_io.exporters.anipose:EXPORTER",
        "caliscope": "core.rig_io.exporters.caliscope:EXPORTER",
        "opencv-yaml": "core.rig_io.exporters.opencv:YAML_EXPORTER",
        "opencv-json": "core.rig_io.exporters.opencv:JSON_EXPORTER",
        "qca": "core.rig_io.exporters.qca:EXPORTER",
        "xcp": "core.rig_io.exporters.xcp:EXPORTER",
        "easymocap": "core.rig_io.exporters.easymocap:EXPORTER",
        "panoptic": "core.rig_io.exporters.panoptic:EXPORTER",
        "voxelpose": "core.rig_io.exporters.voxelpose:EXPORTER",
        "colmap": "core.rig_io.exporters.colmap:EXPORTER",
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRig:
    """Result of an export.

    Attributes:
        files: Paths of the written files.
        notes: Sentences on what the format omits or approximates.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def write_rig(rig: CameraRig, path: Path | str, format: str) -> WrittenRig:
    """Write a rig in a format of `EXPORTERS`.

    Args:
        rig: Rig to write.
        path: File, or folder if the format is a folder. A missing suffix is added; a folder given for a format of one
            file gets a file of the default name.
        format: Name of the exporter.

    Raises:
        CoreError: An unknown format, a camera that the format cannot hold, or a path that is not writable.
    """
    exporter = EXPORTERS.get(format)
    path = Path(path).expanduser()
    rendered = exporter.render(rig)
    if not exporter.folder:
        if path.is_dir():
            path = path / exporter.default_name
        elif not path.name.lower().endswith(exporter.suffixes):
            path = path.with_name(path.name + exporter.suffixes[0])
    files = tuple(path / name if name else path for name in rendered.texts)
    try:
        for file, text in zip(files, rendered.texts.values(), strict=True):
            write_text(file, text)
    except OSError as error:
        raise CoreError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Choose a writable folder on a disk with free space.",
        ) from error
    return WrittenRig(files=files, notes=rendered.notes)
