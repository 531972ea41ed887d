"""Confirmation in a terminal before a verb replaces a calibration or clock corrections."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.prompt import Confirm

from core.pipelines.verbs import Verb
from core.session import Session
from core.session.calibrations import replaced_text


def may_replace(chosen: Verb, values: Mapping[str, Any], session: Session, out: Console) -> bool:
    """Ask for confirmation in a terminal; without one, return True, and the job reports what it replaced."""
    if not (sys.stdin.isatty() and out.is_terminal):
        return True
    text = question(chosen, values, session)
    return not text or Confirm.ask(escape(text), console=out, default=True)


def question(chosen: Verb, values: Mapping[str, Any], session: Session) -> str:
    """Return the confirmation question of a verb, with what it replaces; empty if it replaces nothing.

    Args:
        chosen: The verb.
        values: Its settings.
        session: Session of the verb.
    """
    if chosen.name == "certify":
        return _clocks_question(session, str(values["take"]))
    text = replaced_text(session, moved=chosen.name == "set-world")
    if not text:
        return ""
    if chosen.name == "set-world":
        return f"{text} Change the world coordinates?"
    if chosen.name == "run":
        return f"{text} Replace it if cameras do not fit the people?" if values.get("repair_rig") else ""
    return f"{text} Replace it?" if chosen.replaces_rig else ""


def _clocks_question(session: Session, name: str) -> str:
    take = session.take(name)
    errors = take.clock_errors
    if not errors:
        return ""
    cameras = ", ".join(sorted(errors))
    text = f"The clocks of {cameras} in {name} are corrected already."
    count = len(take.poses3d_runs())
    if count:
        text += f" With other corrections, {count} 3D result{'s' if count > 1 else ''} will be out of date."
    return f"{text} Replace the corrections?"
