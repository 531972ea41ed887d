"""Command `volume`: show or set the capture volume of a session."""

from __future__ import annotations

import argparse

import yaml
from rich.console import Console

from core.config import to_mapping, with_overrides
from core.session import Session
from core.session.volume import ActiveVolume, active_volume, set_volume
from core.training.presets import preset

_ORIGIN = {
    "set": "Set by hand; --reset discards it.",
    "people": "Derived from the rig and the people in the baselines.",
    "rig": "Derived from the rig alone: there is no baseline with people yet.",
}


def volume_command(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    """Set the given values, and print the capture volume that training would use."""
    session = Session.open(arguments.session)
    takes = [name for name in session.take_names() if session.take(name).manifest.kind == "motion"]
    spacing_mm = preset(arguments.preset).model.root.spacing_mm
    if arguments.reset:
        session.set_volume(None)
    used = active_volume(session, takes, spacing_mm)
    if arguments.set:
        set_volume(session, with_overrides(used.chosen, arguments.set), spacing_mm)
        used = active_volume(session, takes, spacing_mm)
    _show(used, out)
    if used.other_rig:
        errors.print("The volume was set for another calibration: check that it still fits.", style="yellow")
    return 0


def _show(used: ActiveVolume, out: Console) -> None:
    """Print a description, then the values in the format of `--set`."""
    box = used.volume
    metres = " x ".join(f"{edge / 1000:.2f}" for edge in box.size_mm)
    voxels = " x ".join(str(n) for n in box.voxels)
    low, high = used.chosen.synthetic.corners_mm(box)
    values = to_mapping(used.chosen)
    shown = {name: values[name] for name in ("centre_mm", "size_mm", "spacing_mm", "synthetic")}
    shown |= {name: [round(mm, 1) for mm in shown[name]] for name in ("centre_mm", "size_mm")}
    for text in (
        _ORIGIN[used.origin],
        f"{metres} m, {voxels} voxels with a spacing of about {box.spacing_mm.mean() / 10:.0f} cm.",
        f"{100 * used.seen_share:.0f} % of it is seen by two or more cameras.",
        f"Hips of synthetic people in training: {low[2] / 1000:.2f} to {high[2] / 1000:.2f} m above the floor.",
        yaml.safe_dump(shown, sort_keys=False, default_flow_style=None).rstrip(),
    ):
        out.print(text, highlight=False, markup=False, soft_wrap=True)
