"""Entry point and commands of the command line."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from core.cli.arguments import CommandLine, resolve_params
from core.cli.body_models import body_models_command
from core.cli.calibrations import calibrations_command
from core.cli.cameras import cameras_command
from core.cli.docs import defaults_of, settings_file
from core.cli.replacing import may_replace
from core.cli.terminal import JobView, print_error, print_outcome
from core.cli.volume import volume_command
from core.disk import DiskError, disk_error, sweep
from core.errors import CoreError
from core.jobs import Cancelled, Finished, JobSpec, run_job
from core.jobs.launch import Ranks, run_rank, select_gpu
from core.jobs.system import wait_without_spinning
from core.passwords import HidingFormatter, keep_passwords
from core.pipelines.demo import create_demo
from core.pipelines.verbs import VERBS, Verb, verb
from core.progress import Reporter
from core.registry import closest
from core.session import RunLayout, Session
from core.session.status import session_status
from core.training.presets import preset

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Arguments without the program's name; those of the process if omitted.

    Returns:
        The exit code.
    """
    if arguments is None:
        _hide_passwords()
    parsed = CommandLine().parse(sys.argv[1:] if arguments is None else arguments)
    out, errors = Console(), Console(stderr=True)
    try:
        if parsed.command in VERBS:
            return _run_verb(VERBS[parsed.command], parsed, out, errors)
        return _COMMANDS[parsed.command](parsed, out, errors)
    except CoreError as error:
        if parsed.trace:
            errors.print_exception()
        print_error(error.message, error.hint, errors)
        return 1
    except OSError as error:
        explained = disk_error(error)
        if explained is None or parsed.trace:
            raise
        print_error(explained.message, explained.hint, errors)
        return 1


def _hide_passwords() -> None:
    """Restart this process without the passwords in its arguments, which every user could list."""
    hidden = keep_passwords(sys.orig_argv[1:])
    if hidden != sys.orig_argv[1:] and sys.platform != "win32":
        os.execv(sys.executable, [sys.executable, *hidden])


def _new(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    session = Session.create(arguments.session)
    out.print(f"Created session {session.root}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _demo(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    session = create_demo(arguments.session)
    out.print(f"Sample session: {session.root}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _status(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    table = Table("Step", "State", "Details")
    steps = session_status(Session.open(arguments.session)).steps.values()
    for step in steps:
        table.add_row(step.step, step.state, step.reason)
    out.print(table)
    if any(step.state == "outdated" for step in steps if step.step not in ("train", "export")):
        out.print(f"'selfpose update {arguments.session}' makes outdated results again.", highlight=False, markup=False)
    return 0


def _config(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    chosen = verb(arguments.verb)
    settings = defaults_of(chosen.params)
    options = ""
    if arguments.preset is not None:
        if not hasattr(settings, "training"):
            raise CoreError(
                f"'{chosen.name}' has no training settings.", "Use --preset with 'selfpose config train' or 'run'."
            )
        settings = dataclasses.replace(settings, preset="", training=preset(arguments.preset))
        options = f" --preset {arguments.preset}"
    out.print(
        f"# Written by 'selfpose config {chosen.name}{options}'. Use: selfpose {chosen.name} SESSION --config FILE\n\n"
        + settings_file(settings),
        highlight=False,
        markup=False,
        soft_wrap=True,
        end="",
    )
    return 0


def _resume(arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    session = Session.open(arguments.session)
    run = session.layout.run(arguments.run)
    if not run.root.is_dir():
        names = [one.name for one in session.runs()]
        hint = closest(arguments.run, names) if names else "Nothing was started in it yet."
        raise CoreError(f"The session has no job '{arguments.run}'.", hint)
    return _run_job(session, JobSpec.load(run.root), run, arguments, out, errors)


_COMMANDS = {
    "new": _new,
    "demo": _demo,
    "status": _status,
    "config": _config,
    "body-models": body_models_command,
    "volume": volume_command,
    "calibrations": calibrations_command,
    "cameras": cameras_command,
    "resume": _resume,
}


def _run_verb(chosen: Verb, arguments: argparse.Namespace, out: Console, errors: Console) -> int:
    session = Session.open(arguments.session)
    values = resolve_params(chosen, arguments, session)
    if not may_replace(chosen, values, session, out):
        out.print("Nothing was changed.")
        return 1
    if Ranks.from_environment().world_size > 1:
        return _run_distributed(session, chosen, values, arguments, out, errors)
    with contextlib.ExitStack() as stack:
        try:
            run = session.new_run(chosen.name)
        except DiskError as error:
            target = values.get(chosen.target)
            if not target or session.root.resolve() in Path(target).expanduser().resolve().parents:
                raise
            # Nothing in the session is changed: its job may be described elsewhere.
            errors.print(f"{error.message} The log of this job is not kept.", highlight=False, soft_wrap=True)
            run = RunLayout(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        spec = JobSpec(verb=chosen.name, params=values, title=chosen.summary).save(run.root)
        return _run_job(session, spec, run, arguments, out, errors)


def _run_distributed(
    session: Session, chosen: Verb, values: dict[str, Any], arguments: argparse.Namespace, out: Console, errors: Console
) -> int:
    """Run a verb in one of several processes started by torchrun; the main process creates the folder of the run."""
    select_gpu()
    from core.models.distributed import Group  # imports torch

    group = Group(Ranks.from_environment())
    try:
        run = session.new_run(chosen.name) if group.is_main else None
        if run is not None:
            JobSpec(verb=chosen.name, params=values, title=chosen.summary).save(run.root)
        name = group.broadcast(run.name if run is not None else None)
        run = session.layout.run(str(name))
        if group.is_main:
            return _run_job(session, JobSpec.load(run.root), run, arguments, out, errors)
        return run_rank(run.root, lambda reporter: verb(chosen.name)(session, values, run, reporter), lambda: False)
    finally:
        group.close()


def _run_job(
    session: Session, spec: JobSpec, run: RunLayout, arguments: argparse.Namespace, out: Console, errors: Console
) -> int:
    """Run a job in this process; its folder is written as by the worker, so that the window can show it."""

    def work(reporter: Reporter) -> dict[str, Any]:
        sweep(session.root)
        return verb(spec.verb)(session, spec.params, run, reporter)

    wait_without_spinning()
    with _logging_to(run.log), JobView(errors) as view, _stopping_on_signals(errors) as stop:
        ended = run_job(run.root, spec.verb, work, stopped=stop.is_set, listen=view.listen)
    print_outcome(ended, run, out, errors, trace=arguments.trace, said=view.said)
    return 0 if isinstance(ended, Finished) else 130 if isinstance(ended, Cancelled) else 1


class _LogFile(logging.FileHandler):
    """Log file handler that ignores a full disk, which the job reports."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Redirect logs and warnings of all libraries from the terminal to the log file of the run."""
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(HidingFormatter(_LOG_FORMAT))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


@contextmanager
def _stopping_on_signals(errors: Console) -> Iterator[threading.Event]:
    """Stop the job at its next safe point on the first Ctrl-C, and at once on the second."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise KeyboardInterrupt
        stop.set()
        with contextlib.suppress(SystemExit, OSError):  # the reader may be gone, as after `| tail`
            errors.print("Stopping at the next safe point. Press Ctrl-C again to stop at once.")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
