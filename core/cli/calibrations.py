"""Command `calibrations`: list the kept calibrations of a session, or use one of them."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from core.pipelines.rig.adopt import use_calibration
from core.session import Session
from core.session.calibrations import kept_calibrations


def calibrations_command(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    """Use the named calibration, if any, and list all kept calibrations, newest first."""
    session = Session.open(arguments.session)
    if arguments.use:
        replaced = use_calibration(session, arguments.use)
        for note in replaced.notes:
            errors.print(note, style="yellow", highlight=False, markup=False)
        if replaced.change is not None:
            out.print("3D poses, capture volume and reports were transformed.", highlight=False, markup=False)
    kept = kept_calibrations(session)
    if not kept:
        out.print("The session keeps no calibration: calibrate, or import one.", highlight=False, markup=False)
        return 0
    table = Table("", "Name", "Made", "Error", "Source")
    for calibration in kept:
        source = calibration.problem or calibration.source
        made = calibration.made.replace("T", " ")[:16]
        table.add_row("*" if calibration.in_use else "", calibration.name, made, calibration.error, source)
    out.print(table, highlight=False, markup=False)
    return 0
