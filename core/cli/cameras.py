"""Command `cameras`: list the available cameras, with their addresses for `record`."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from core.capture.source import SOURCES, discover_cameras


def cameras_command(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    """List the available cameras, with their modes or the number of modes."""
    found = [*discover_cameras(), *discover_cameras(simulated=True)]
    table = Table("Address", "Camera", "Modes")
    for camera in found:
        modes = [str(mode) for mode in camera.modes] if arguments.modes else [f"{len(camera.modes) or ''}"]
        table.add_row(camera.address, camera.title, "\n".join(modes))
    out.print(table, highlight=False, markup=False)
    kinds = [SOURCES.get(name) for name in SOURCES]
    examples = "; ".join(kind.example for kind in kinds if not kind.simulated)
    out.print(f"Forms of addresses: {examples}.", highlight=False, markup=False)
    return 0
