"""Arguments of the command line, generated from the settings of each verb."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import textwrap
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from core import __version__
from core.cli.docs import describe_field, group_of, is_required
from core.config import from_mapping, to_mapping, with_overrides
from core.errors import CoreError
from core.files import read_yaml
from core.pipelines.verbs import VERBS, Group, Verb
from core.registry import closest
from core.session import Session
from core.session.store import TakeKind
from core.training.presets import PRESETS

_OPTION_DEST = "option_"
"""Prefix of the argparse names of a verb's options, to separate them from those of the program."""
_SESSION = "Session folder."
_SESSION_COMMANDS = {
    "new": "Create an empty session",
    "demo": "Create a session from the embedded sample recording",
    "status": "Show which steps are done, ready or blocked, and why",
    "cameras": "List the cameras that can be found, with their addresses",
    "body-models": "List the body models that bodies are fitted with, add one from a file, or remove one",
    "volume": "Show or set the capture volume that the networks work in",
    "calibrations": "List the calibrations that the session has had, or use one of them again",
    "resume": "Resume a job that was stopped",
    "config": "Print the settings of a verb as a commented YAML file",
}
_GROUPS: dict[Group, str] = {
    "data": "Recordings",
    "calibration": "Calibration",
    "poses": "Poses",
    "results": "Results",
}
_METAVARS = {"mm": "MM", "s": "SECONDS", "hz": "HZ", "px": "PX"}
_PATH_METAVARS = {
    "videos": "FILE",
    "path": "PATH",
    "model_file": "FILE",
    "timestamps": "FILE",
    "truth": "FILE",
    "folder": "FOLDER",
    "folders": "FOLDER",
}
_MISSING = "the following arguments are required: "
_DEFAULTS = {"take": "the only {kind} take of the session", "takes": "all {kind} takes of the session"}


class Parser(argparse.ArgumentParser):
    """Argument parser with error messages that include a suggestion."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_HelpFormatter, add_help=False, **keywords)
        self.general = self.add_argument_group("general options")
        self.general.add_argument("-h", "--help", action="help", help="Show this help.")

    def options(self) -> list[str]:
        """Return the names of all options."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]

    def error(self, message: str) -> NoReturn:
        """Exit with a message and a suggestion."""
        if message.startswith(_MISSING):
            self.fail(f"{message.removeprefix(_MISSING)} is missing.", f"Usage: {self.usage}")
        self.fail(f"{message[:1].upper()}{message[1:]}.", f"Run '{self.prog} --help' for help.")

    def fail(self, message: str, hint: str) -> NoReturn:
        """Print an error with its remedy and exit with code 2."""
        self.exit(2, f"{message}\n{hint}\n")


class CommandLine:
    """Parser of the command line, with one sub-command per verb.

    Attributes:
        root: Parser of the program.
        commands: Parser of each command.
    """

    def __init__(self) -> None:
        self.root = Parser(
            prog="selfpose",
            usage="selfpose COMMAND SESSION [options]",
            description="Markerless multi-view motion capture without labels.\n\n" + _overview(),
            epilog="'selfpose COMMAND --help' describes a command and its options.",
        )
        self.root.general.add_argument(
            "--version", action="version", version=f"selfpose-studio {__version__}", help="Show the version."
        )
        self._parsers = self.root.add_subparsers(dest="command", help=argparse.SUPPRESS, metavar="COMMAND")
        self.commands: dict[str, Parser] = {}
        self._add_session_commands()
        for verb in VERBS.values():
            _add_options(self._add(verb.name, verb.summary, "SESSION [options]"), verb)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse the arguments; exit with code 2 and a suggestion if they are wrong."""
        name = next((argument for argument in arguments if not argument.startswith("-")), None)
        if name is not None and name not in self.commands:
            self.root.fail(f"Unknown command '{name}'.", closest(name, list(self.commands)))
        parsed, extra = self.root.parse_known_args(arguments)
        if parsed.command is None:
            self.root.fail(self.root.format_help().rstrip(), "")
        if extra:
            _refuse(self.commands[parsed.command], parsed.command, extra[0])
        return parsed

    def _add(self, name: str, summary: str, usage: str) -> Parser:
        parser: Parser = self._parsers.add_parser(
            name, prog=f"selfpose {name}", usage=f"selfpose {name} {usage}", description=f"{summary}."
        )
        if usage.startswith("SESSION"):
            parser.add_argument("session", type=Path, metavar="SESSION", help=_SESSION)
        parser.general.add_argument("--trace", action="store_true", help="Show the traceback of an unexpected error.")
        self.commands[name] = parser
        return parser

    def _add_session_commands(self) -> None:
        for name in ("new", "demo", "status"):
            self._add(name, _SESSION_COMMANDS[name], "SESSION")
        _add_volume_options(self._add("volume", _SESSION_COMMANDS["volume"], "SESSION [options]"))
        calibrations = self._add("calibrations", _SESSION_COMMANDS["calibrations"], "SESSION [--use NAME]")
        calibrations.add_argument("--use", metavar="NAME", default="", help="Name of the calibration to use.")
        cameras = self._add("cameras", _SESSION_COMMANDS["cameras"], "[--modes]")
        cameras.add_argument("--modes", action="store_true", help="List the modes of each camera as well.")
        _add_body_model_options(self._add("body-models", _SESSION_COMMANDS["body-models"], "[options]"))
        resume = self._add("resume", _SESSION_COMMANDS["resume"], "SESSION RUN")
        resume.add_argument("run", metavar="RUN", help="Name of the run, which is the name of its folder in `runs`.")
        config = self._add("config", _SESSION_COMMANDS["config"], "VERB [--preset NAME]")
        config.add_argument("verb", metavar="VERB", help="Name of the verb.")
        config.add_argument(
            "--preset",
            metavar="NAME",
            help=f"Preset of training settings to print, for 'train' and 'run'. One of: {', '.join(PRESETS)}.",
        )


def resolve_params(verb: Verb, arguments: argparse.Namespace, session: Session) -> dict[str, Any]:
    """Merge the settings of a verb: the file of --config, overridden by the options, overridden by --set.

    If no take is named, a verb of one take uses the session's only take of its kind, and a verb of several takes all of
    them.

    Raises:
        CoreError: Unknown setting, missing setting, or wrong value.
    """
    values = dict(read_yaml(arguments.config) or {}) if arguments.config else {}
    options = vars(arguments).items()
    values |= {name.removeprefix(_OPTION_DEST): value for name, value in options if name.startswith(_OPTION_DEST)}
    names = {field.name for field in dataclasses.fields(verb.params)}
    required = {field.name for field in dataclasses.fields(verb.params) if is_required(field)}
    if "take" in required and "take" not in values:
        values["take"] = _only_take(session, verb.take_kind)
    if "takes" in required and "takes" not in values:
        values["takes"] = _takes(session, verb.take_kind)
    overrides = list(arguments.set or ())
    # Other settings start from the preset, so it is needed before their defaults are filled in.
    for override in [o for o in overrides if o.partition("=")[0].strip() == "preset" and "preset" in names]:
        values["preset"] = override.partition("=")[2].strip()
        overrides.remove(override)
    missing = sorted(required - set(values))
    if missing:
        raise CoreError(f"Setting '{missing[0]}' is missing.", f"Give it as {_option(missing[0])}.")
    return to_mapping(with_overrides(from_mapping(verb.params, values), overrides))


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formatter that keeps option names such as --no-adopt on one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(shutil.get_terminal_size().columns - 2, 100))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def _overview() -> str:
    """List all commands with their summaries, by part of the workflow."""
    parts = {"Sessions": dict(_SESSION_COMMANDS)}
    for group, title in _GROUPS.items():
        parts[title] = {verb.name: verb.summary for verb in VERBS.values() if verb.group == group}
    lines: list[str] = []
    for title, commands in parts.items():
        lines += [f"{title}:", *(f"  {name:<18}{summary}" for name, summary in commands.items()), ""]
    return "\n".join(lines).rstrip()


def _add_body_model_options(parser: Parser) -> None:
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--add", type=Path, metavar="FILE", help="Model file of SMPL, SMPL-H or SMPL-X (.pkl or .npz) to add."
    )
    change.add_argument("--remove", metavar="NAME", default="", help="Name of a model to remove from this machine.")
    parser.add_argument(
        "--name", metavar="NAME", default="", help="Name of the model to add. If omitted, that of its family and sex."
    )
    parser.add_argument(
        "--accept-licence", action="store_true", help="Accept the licence of the model to add without being asked."
    )


def _add_volume_options(parser: Parser) -> None:
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="Set one value, such as size_mm=[4000,3000,2200]. Names: centre_mm, size_mm, spacing_mm, "
        "synthetic.side_share, synthetic.lowest_mm, synthetic.highest_mm. May be repeated.",
    )
    change.add_argument(
        "--reset",
        action="store_true",
        help="Discard the values that were set and derive the volume from the rig and the people again.",
    )
    parser.add_argument(
        "--preset",
        default="quick",
        metavar="NAME",
        help="Training preset whose voxel spacing applies if none is set. "
        f"One of: {', '.join(PRESETS)}. Default: quick.",
    )


def _add_options(parser: Parser, verb: Verb) -> None:
    hints = typing.get_type_hints(verb.params)
    nested = []
    for field in dataclasses.fields(verb.params):
        keywords = _option_type(field.name, hints[field.name])
        if keywords is None:
            nested.append(field.name)
            continue
        text = f"{describe_field(verb.params, field.name)} {_default_text(verb, field)}".strip()
        parser.add_argument(
            _option(field.name),
            dest=f"{_OPTION_DEST}{field.name}",
            default=argparse.SUPPRESS,
            help=text.replace("%", "%%"),
            **keywords,
        )
    example = f", such as {_example(verb.params, nested[0])}" if nested else ""
    parser.general.add_argument("--config", type=Path, metavar="FILE", help="YAML file with settings.")
    parser.general.add_argument(
        "--set", action="append", metavar="NAME=VALUE", help=f"Set one value{example}. May be repeated."
    )
    if nested:
        parser.epilog = textwrap.fill(
            f"Further settings are grouped under {_and(nested)}: 'selfpose config {verb.name}' prints them with their "
            "descriptions. Change them with --set, or save them in a file for --config.",
            width=100,
        )


def _example(cls: type[Any], group: str) -> str:
    """Return an assignment to the first simple setting of a group, with its default."""
    values = to_mapping(group_of(cls, group)())
    name, value = next((n, v) for n, v in values.items() if isinstance(v, str | int | float) and v)
    return f"{group}.{name}={value}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _option_type(name: str, hint: Any) -> dict[str, Any] | None:
    """Return the argparse arguments of a field of this type; None for nested settings, which have no option."""
    arguments = typing.get_args(hint)
    options = [argument for argument in arguments if argument is not type(None)]
    if type(None) in arguments and len(options) == 1:
        return _option_type(name, options[0])
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if hint in (int, float):
        return {"type": hint, "metavar": _METAVARS.get(name.rpartition("_")[2], "N")}
    if hint is str or typing.get_origin(hint) is typing.Literal:
        return {"metavar": _PATH_METAVARS.get(name, "NAME")}
    if typing.get_origin(hint) is tuple and arguments[0] in (str, int, float) and arguments[1:] == (Ellipsis,):
        return {"nargs": "+", **(_option_type(name, arguments[0]) or {})}
    return None


def _default_text(verb: Verb, field: dataclasses.Field[Any]) -> str:
    """Return a sentence with the default of a field; empty if the default is, since the description explains it."""
    if is_required(field):
        if field.name in _DEFAULTS:
            return f"Default: {_DEFAULTS[field.name].format(kind=verb.take_kind)}."
        return "Required."
    value = field.default
    if isinstance(value, bool):
        return f"Default: {'on' if value else 'off'}."
    if isinstance(value, tuple):
        value = " ".join(map(str, value))
    if isinstance(value, float):
        return f"Default: {value:g}."
    return "" if value in (None, "") else f"Default: {value}."


def _refuse(parser: Parser, command: str, argument: str) -> NoReturn:
    """Exit with an error about an unknown argument of a command."""
    if not argument.startswith("-"):
        parser.fail(f"Unexpected argument '{argument}'.", f"Usage: {parser.usage}")
    name = argument.partition("=")[0]
    guess = closest(name, parser.options())
    hint = f"{guess} " if guess.startswith("Did you mean") else ""
    hint += f"'selfpose {command} --help' lists the options"
    hint += f", 'selfpose config {command}' the settings for --set." if command in VERBS else "."
    parser.fail(f"'{command}' has no option '{name}'.", hint)


def _and(names: Sequence[str]) -> str:
    *others, last = (f"`{name}`" for name in names)
    return f"{', '.join(others)} and {last}" if others else last


def _takes(session: Session, kind: TakeKind) -> list[str]:
    takes = [name for name in session.take_names() if session.take(name).manifest.kind == kind]
    if not takes:
        raise CoreError(
            f"The session has no {kind} take.",
            f"Import one with 'selfpose import-take SESSION --kind {kind} --videos ...', or record one.",
        )
    return takes


def _only_take(session: Session, kind: TakeKind) -> str:
    takes = _takes(session, kind)
    if len(takes) > 1:
        raise CoreError(f"The session has several {kind} takes.", f"Choose one with --take: {', '.join(takes)}.")
    return takes[0]
