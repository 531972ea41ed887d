"""Flags, made from the settings of each verb."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import typing
from pathlib import Path
from typing import Any

from core import __version__
from core.config import from_mapping, to_mapping, with_overrides
from core.errors import CoreError
from core.files import read_yaml
from core.pipelines.verbs import VERBS, Verb
from core.session import Session

_OWN_DEST = "flag_"
_COMMON = {
    "take": "take name; may be left out where the session has one",
    "takes": "take names; left out, all takes of people moving",
    "estimator": "name of the 2D estimator's model card",
    "preset": "named set of training settings",
    "run": "name of a trained run; left out, the newest finished one",
    "formats": "names of exporters",
}
"""Help for fields that mean the same in every verb."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line: one sub-command for each verb, and a few that only make or look at a session."""
    root = argparse.ArgumentParser(
        prog="selfpose",
        description="Markerless, annotation-free multi-view motion capture.",
        epilog="Settings without a flag: --config FILE and --set group.name=value; 'selfpose config VERB' lists them.",
    )
    root.add_argument("--version", action="version", version=f"selfpose-studio {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, summary: str, session: str = "") -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=f"{summary}.")
        if session:
            command.add_argument("session", type=Path, metavar="SESSION", help=session)
        command.add_argument("--trace", action="store_true", help="show where in the program an unexpected error arose")
        return command

    add("new", "Make an empty session", "folder to make")
    add("demo", "Make a session from the embedded sample", "folder to make")
    add("status", "Say which steps are done, ready or blocked, and why", "session folder")
    add("verbs", "List the verbs")
    add("config", "Print a verb's settings with their defaults, as a file for --config").add_argument(
        "verb", choices=list(VERBS)
    )
    _add_volume_flags(add("volume", "Show or set the part of the room that training looks into", "session folder"))
    add("resume", "Go on with a job that was stopped", "session folder").add_argument("run", help="name of its run")
    for verb in VERBS.values():
        _add_flags(add(verb.name, verb.summary, "session folder"), verb)
    return root


def resolve_params(verb: Verb, arguments: argparse.Namespace, session: Session) -> dict[str, Any]:
    """The verb's settings: the file of --config, over it the flags, over them --set.

    A verb that needs a take gets the session's only motion take where none was named, and training all of them.

    Raises:
        CoreError: An unknown or missing setting, or a wrong value.
    """
    values = dict(read_yaml(arguments.config) or {}) if arguments.config else {}
    flags = vars(arguments)
    values |= {n.removeprefix(_OWN_DEST): v for n, v in flags.items() if n.startswith(_OWN_DEST)}
    needed = {f.name for f in dataclasses.fields(verb.params) if f.default is f.default_factory is dataclasses.MISSING}
    if "take" in needed and "take" not in values:
        values["take"] = _only_take(session)
    if "takes" in needed and "takes" not in values:
        values["takes"] = _motion_takes(session)
    return to_mapping(with_overrides(from_mapping(verb.params, values), arguments.set or ()))


def _add_volume_flags(command: argparse.ArgumentParser) -> None:
    change = command.add_mutually_exclusive_group()
    change.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="one of centre_mm, size_mm, spacing_mm, synthetic.side_share, synthetic.lowest_mm, synthetic.highest_mm; "
        "repeatable, such as size_mm=[4000,3000,2200]",
    )
    change.add_argument("--derive", action="store_true", help="forget what was set: derive it from rig and people")
    command.add_argument("--preset", default="quick", metavar="TEXT", help="whose voxels, where none are set")


def _add_flags(command: argparse.ArgumentParser, verb: Verb) -> None:
    documented, hints = _field_docs(verb.params), typing.get_type_hints(verb.params)
    for field in dataclasses.fields(verb.params):
        keywords = _flag(hints[field.name])
        if keywords is not None:
            command.add_argument(
                f"--{field.name.replace('_', '-')}",
                dest=f"{_OWN_DEST}{field.name}",
                default=argparse.SUPPRESS,
                help=documented.get(field.name, _COMMON.get(field.name, f"setting '{field.name}'")).replace("%", "%%"),
                **keywords,
            )
    command.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings")
    command.add_argument(
        "--set", action="append", metavar="NAME=VALUE", help="one setting, such as tracking.smoothing=rts; repeatable"
    )


def _flag(hint: Any) -> dict[str, Any] | None:
    """How argparse reads a field of this type; None for groups of settings, which have no flag."""
    if hint is bool:
        return {"action": "store_true"}
    if hint is str:
        return {"metavar": "TEXT"}
    if typing.get_origin(hint) is typing.Literal:
        return {"choices": typing.get_args(hint)}
    if typing.get_origin(hint) is tuple and typing.get_args(hint) == (str, ...):
        return {"nargs": "+", "metavar": "TEXT"}
    return None


def _field_docs(cls: type[Any]) -> dict[str, str]:
    """Field name to its text under "Attributes:" in the class's docstring."""
    _, _, attributes = (inspect.getdoc(cls) or "").partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.+(?:\n {8,}.+)*)", attributes, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _motion_takes(session: Session) -> list[str]:
    takes = [name for name in session.take_names() if session.take(name).manifest.kind == "motion"]
    if not takes:
        raise CoreError("The session has no take of people moving.", "Import one with 'selfpose import-take'.")
    return takes


def _only_take(session: Session) -> str:
    takes = _motion_takes(session)
    if len(takes) > 1:
        raise CoreError("The session has several takes.", f"Name one with --take: {', '.join(takes)}.")
    return takes[0]
