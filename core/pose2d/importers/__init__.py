"""2D poses that other programs estimated. A new format is a module with an `IMPORTER` and a line here."""

from __future__ import annotations

from core.pose2d.importers.importer import Pose2DImporter
from core.registry import Registry

__all__ = ["POSE2D_IMPORTERS", "Pose2DImporter"]

POSE2D_IMPORTERS: Registry[Pose2DImporter] = Registry(
    "2D pose format", {"openpose": "core.pose2d.importers.openpose:IMPORTER"}
)
