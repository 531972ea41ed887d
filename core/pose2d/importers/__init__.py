"""Import of 2D poses of other programs. A format is one module with an `IMPORTER` and one line here."""

from __future__ import annotations

from core.pose2d.importers.importer import Pose2DImporter
from core.registry import Registry

__all__ = ["POSE2D_IMPORTERS", "Pose2DImporter"]

POSE2D_IMPORTERS: Registry[Pose2DImporter] = Registry(
    "2D pose format",
    {
        "openpose": "core.pose2d.importers.openpose:IMPORTER",
        "alphapose": "core.pose2d.importers.alphapose:IMPORTER",
        "mmpose": "core.pose2d.importers.mmpose:IMPORTER",
        "coco": "core.pose2d.importers.coco:IMPORTER",
        "sleap-hdf5": "core.pose2d.importers.sleap:HDF5",
        "sleap-project": "core.pose2d.importers.sleap_project:IMPORTER",
        "sleap-csv": "core.pose2d.importers.sleap:CSV",
        "deeplabcut-hdf5": "core.pose2d.importers.deeplabcut:HDF5",
        "deeplabcut-csv": "core.pose2d.importers.deeplabcut:CSV",
        "table": "core.pose2d.importers.table:IMPORTER",
    },
)
