"""Running one command."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from core.cli.arguments import build_parser, resolve_params
from core.cli.terminal import JobView, label, print_error, print_outcome
from core.cli.volume import volume_command
from core.config import to_mapping
from core.errors import CoreError
from core.jobs import Cancelled, Finished, JobSpec, run_job
from core.jobs.launch import Ranks, run_rank, select_gpu
from core.jobs.system import keep_freed_memory, wait_without_spinning
from core.pipelines.demo import create_demo
from core.pipelines.verbs import VERBS, Verb, verb
from core.progress import Reporter
from core.session import RunLayout, Session
from core.session.status import session_status

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: Without the program's name; those of the process when left out.

    Returns:
        The exit code.
    """
    asked = build_parser().parse_args(arguments)
    out, errors = Console(), Console(stderr=True)
    try:
        if asked.command in VERBS:
            return _run_verb(VERBS[asked.command], asked, out, errors)
        return _COMMANDS[asked.command](asked, out, errors)
    except CoreError as error:
        if asked.trace:
            errors.print_exception()
        print_error(error.message, error.hint, errors)
        return 1


def _new(asked: argparse.Namespace, out: Console, errors: Console) -> int:
    session = Session.create(asked.session)
    out.print(f"Session made: {session.root}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _demo(asked: argparse.Namespace, out: Console, errors: Console) -> int:
    session = create_demo(asked.session)
    out.print(f"Sample session: {session.root}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _status(asked: argparse.Namespace, out: Console, errors: Console) -> int:
    table = Table("Step", "State", "")
    for step in session_status(Session.open(asked.session)).steps.values():
        table.add_row(label(step.step), step.state, step.reason)
    out.print(table)
    return 0


def _verbs(asked: argparse.Namespace, out: Console, errors: Console) -> int:
    table = Table(box=None, show_header=False)
    for each in VERBS.values():
        table.add_row(each.name, each.summary)
    out.print(table)
    return 0


def _config(asked: argparse.Namespace, out: Console, errors: Console) -> int:
    chosen = verb(asked.verb).params
    needed = [f.name for f in dataclasses.fields(chosen) if f.default is f.default_factory is dataclasses.MISSING]
    values = to_mapping(chosen(**dict.fromkeys(needed)))
    for name in needed:
        del values[name]
    out.print(yaml.safe_dump(values, sort_keys=False), highlight=False, markup=False, soft_wrap=True, end="")
    return 0


def _resume(asked: argparse.Namespace, out: Console, errors: Console) -> int:
    session = Session.open(asked.session)
    run = session.layout.run(asked.run)
    spec = JobSpec.load(run.root)
    return _run_job(session, spec, run, asked, out, errors)


_COMMANDS = {
    "new": _new,
    "demo": _demo,
    "status": _status,
    "verbs": _verbs,
    "config": _config,
    "volume": volume_command,
    "resume": _resume,
}


def _run_verb(chosen: Verb, asked: argparse.Namespace, out: Console, errors: Console) -> int:
    session = Session.open(asked.session)
    values = resolve_params(chosen, asked, session)
    if Ranks.from_environment().world_size > 1:
        return _run_shared(session, chosen, values, asked, out, errors)
    run = session.new_run(chosen.name)
    spec = JobSpec(verb=chosen.name, session=str(session.root), params=values, title=chosen.summary)
    spec.save(run.root)
    return _run_job(session, spec, run, asked, out, errors)


def _run_shared(
    session: Session, chosen: Verb, values: dict[str, Any], asked: argparse.Namespace, out: Console, errors: Console
) -> int:
    """One of several processes that torchrun started, on one machine or many: the first one makes the run's folder."""
    select_gpu()
    from core.models.distributed import Group  # torch, which other commands do without

    group = Group(Ranks.from_environment())
    try:
        run = session.new_run(chosen.name) if group.first else None
        if run is not None:
            JobSpec(verb=chosen.name, session=str(session.root), params=values, title=chosen.summary).save(run.root)
        name = group.told(run.name if run is not None else None)
        run = session.layout.run(str(name))
        if group.first:
            return _run_job(session, JobSpec.load(run.root), run, asked, out, errors)
        return run_rank(run.root, lambda reporter: verb(chosen.name)(session, values, run, reporter), lambda: False)
    finally:
        group.close()


def _run_job(
    session: Session, spec: JobSpec, run: RunLayout, asked: argparse.Namespace, out: Console, errors: Console
) -> int:
    """Runs a job in this process, writing its folder as the worker does, so that a window can follow it."""

    def work(reporter: Reporter) -> dict[str, Any]:
        return verb(spec.verb)(session, spec.params, run, reporter)

    keep_freed_memory()
    wait_without_spinning()
    with _logging_to(run.log), JobView(errors) as view, _stopping_on_signals(errors) as stop:
        ended = run_job(run.root, spec.verb, work, stopped=stop.is_set, listen=view.listen)
    print_outcome(ended, out, errors, trace=asked.trace, log=str(run.log))
    return 0 if isinstance(ended, Finished) else 130 if isinstance(ended, Cancelled) else 1


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Sends the log and the warnings of every library to the run's log file instead of between the progress bars."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
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
    """The first Ctrl-C asks the job to stop at its next safe point; the second ends it at once."""
    stop = threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise KeyboardInterrupt
        stop.set()
        errors.print("Stopping at the next safe point. Ctrl-C again ends it at once.")

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
