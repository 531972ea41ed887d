"""Rigs as files of other tools. A new format is one module with an `EXPORTER` and one line here."""

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
    """What was written.

    Attributes:
        files: Paths of the files.
        notes: Sentences on what the format does not say or says only nearly.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def write_rig(rig: CameraRig, path: Path | str, format: str) -> WrittenRig:
    """Writes a rig in a format of `EXPORTERS`.

    Args:
        rig: mm, z up.
        path: File, whose usual ending is added where it has none of the format's, or folder for the formats that are
            folders; a folder that exists gets a file of the usual name.
        format: Name of the exporter.

    Raises:
        CoreError: No such format, a camera that it cannot hold, or a place that cannot be written to.
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
            "Choose a place that you may write to, on a disk with free space.",
        ) from error
    return WrittenRig(files=files, notes=rendered.notes)
