"""Import of 2D poses of other programs. A format is one module with an `IMPORTER` and one line here."""

from __future__ import annotations

from core.pose2d.importers.importer import Pose2DImporter
from core.registry import Registry

__all__ = ["POSE2D_IMPORTERS", "Pose2DImporter"]

POSE2D_IMPORTERS: Registry[Pose2DImporter] = Registry(
    "2D pose format", {"openpose": "core.pose2d.importers.openpose:IMPORTER"}
)
