"""Showing and setting a session's capture volume."""

from __future__ import annotations

import argparse

import yaml
from rich.console import Console

from core.config import to_mapping, with_overrides
from core.session import Session
from core.session.volume import ActiveVolume, active_volume, set_volume
from core.training.config import preset

_ORIGIN = {
    "set": "Set by somebody; --derive forgets it.",
    "people": "Derived from the rig and the people.",
    "rig": "Derived from the rig alone: nobody was found yet.",
}


def volume_command(asked: argparse.Namespace, out: Console, errors: Console) -> int:
    """Sets what was asked for, and shows the space that training would look into now."""
    session = Session.open(asked.session)
    takes = [name for name in session.take_names() if session.take(name).manifest.kind == "motion"]
    spacing_mm = preset(asked.preset).model.root.spacing_mm
    if asked.derive:
        session.set_volume(None)
    used = active_volume(session, takes, spacing_mm)
    if asked.set:
        set_volume(session, with_overrides(used.chosen, asked.set), spacing_mm)
        used = active_volume(session, takes, spacing_mm)
    _show(used, out)
    if used.other_rig:
        errors.print("It was set for another calibration: look whether it still fits.", style="yellow")
    return 0


def _show(used: ActiveVolume, out: Console) -> None:
    """What it is in words, then the values as they are set."""
    box = used.volume
    metres = " x ".join(f"{edge / 1000:.2f}" for edge in box.size_mm)
    voxels = " x ".join(str(n) for n in box.voxels)
    low, high = used.chosen.synthetic.corners_mm(box)
    values = to_mapping(used.chosen)
    kept = {name: values[name] for name in ("centre_mm", "size_mm", "spacing_mm", "synthetic")}
    for text in (
        _ORIGIN[used.origin],
        f"{metres} m, {voxels} voxels about {box.spacing_mm.mean() / 10:.0f} cm apart.",
        f"Two cameras or more see {used.seen_share:.0%} of it.",
        f"Hips of synthetic people are {low[2] / 1000:.2f} to {high[2] / 1000:.2f} m above the floor.",
        yaml.safe_dump(kept, sort_keys=False).rstrip(),
    ):
        out.print(text, highlight=False, markup=False, soft_wrap=True)
