"""Terminal view of a job: progress with the time left, notes, and the result."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Table

from core.config import from_mapping
from core.evaluation.published import ResultTable
from core.jobs import Cancelled, Ended, Event, Failed, Finished, Metric, Noted, Progressed
from core.passwords import without_passwords
from core.progress import stage_of
from core.session import RunLayout

_LINE_INTERVAL_S = 10.0
_MAX_METRICS = 3
_MAX_LINE = 60
_ACRONYMS = {"fps": "FPS", "id": "ID", "ids": "IDs", "loco": "LOCO", "pck": "PCK", "mpjpe": "MPJPE", "pcp": "PCP"}
_NOT_LISTED = ("methods", "verdict", "details", "comparison", "bodies", "found_curves", "truth", "inputs")
"""Entries of a report that are printed as a table or a sentence, or only plotted."""
_UNITS = ("px", "mm", "ms", "s", "deg", "hz")


class JobView:
    """Job event listener with a progress bar in a terminal, or occasional lines in a file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.said: set[str] = set()
        """Texts of the printed notes."""
        self._metrics: dict[str, float] = {}
        self._line: tuple[str, float] = ("", float("-inf"))
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[metrics]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> JobView:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def listen(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Progressed():
                self._show(event)
            case Metric():
                # The newest metric goes last, so that those of a finished stage disappear from the line.
                self._metrics.pop(event.name, None)
                self._metrics[event.name] = event.value
            case Noted():
                self.said.add(event.text)
                style = "yellow" if event.level == "warning" else "default"
                # Not wrapped, so that commands and paths can be copied.
                self._console.print(escape(event.text), style=style, highlight=False, soft_wrap=True)
            case _:
                pass

    def _show(self, event: Progressed) -> None:
        left = "" if event.time_left_s is None else f"{format_duration(event.time_left_s)} left"
        if not self._console.is_terminal:
            stage, at = self._line
            if stage_of(event.text) != stage or time.monotonic() - at >= _LINE_INTERVAL_S:
                self._line = stage_of(event.text), time.monotonic()
                share = f"{100 * event.done / event.total:.0f} %" if event.total else ""
                self._console.print(escape("  ".join(p for p in (event.text, share, left) if p)), highlight=False)
            return
        newest = list(self._metrics.items())[-_MAX_METRICS:]
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in newest)
        if self._task is None:
            self._task = self._progress.add_task("", left="", metrics="")
        self._progress.update(
            self._task,
            description=escape(event.text),
            completed=event.done,
            total=event.total or None,
            left=left,
            metrics=escape(metrics),
        )


def print_outcome(
    ended: Ended, run: RunLayout, out: Console, errors: Console, *, trace: bool, said: Collection[str] = ()
) -> None:
    """Print the outcome of a job.

    Args:
        ended: Outcome.
        run: Folder of the job.
        out: Console for the result.
        errors: Console for an error with its remedy.
        trace: Print the traceback of an unexpected error.
        said: Printed notes, which the result does not repeat on a terminal.
    """
    match ended:
        case Finished():
            print_result(ended.result, out, said if out.is_terminal and errors.is_terminal else ())
        case Cancelled():
            session = shlex.quote(str(run.root.parent.parent))
            errors.print(
                f"Stopped. Finished parts are kept: 'selfpose resume {session} {run.name}' continues the job.",
                highlight=False,
                soft_wrap=True,
            )
        case Failed():
            print_error(ended.message, ended.hint, errors)
            if ended.trace:
                errors.print(escape(ended.trace if trace else f"Log: {run.log}"), highlight=False, soft_wrap=True)


def print_error(message: str, hint: str, errors: Console) -> None:
    """Print an error message and its remedy."""
    message, hint = without_passwords(message), without_passwords(hint)
    errors.print(f"[bold red]{escape(message)}[/]\n{escape(hint)}", highlight=False, soft_wrap=True)


def print_result(result: Mapping[str, Any], out: Console, said: Collection[str] = ()) -> None:
    """Print the result of a job: names and values, and the metrics of an evaluation as a table.

    Args:
        result: Result of the job.
        out: Console for the text.
        said: Lines to omit.
    """
    if "table" in result:
        print_table(result, out)
        return
    report = result.get("report", result)
    evaluated = isinstance(report, Mapping) and "methods" in report
    rest = {k: v for k, v in result.items() if k != "report"} if report is not result else {} if evaluated else result
    rest = {
        name: [v for v in value if format_value(v) not in said] if isinstance(value, list) else value
        for name, value in rest.items()
    }
    rest = {name: value for name, value in rest.items() if value is not None and format_value(value)}
    width = max((len(format_key(name)) for name in rest), default=0) + 1
    for name, value in rest.items():
        lines = value if isinstance(value, list) and len(format_value(value)) > _MAX_LINE else [value]
        for number, line in enumerate(lines):
            prefix = f"{format_key(name)}:" if number == 0 else ""
            # Paths are not wrapped, so that they can be copied.
            out.print(f"{prefix:<{width}} {escape(format_value(line))}", highlight=False, soft_wrap=True)
    if evaluated:
        print_report(report, out)


def print_table(result: Mapping[str, Any], out: Console) -> None:
    """Print the metrics on a data set below published ones, and the path of the full report."""
    for line in from_mapping(ResultTable, result["table"]).lines():
        out.print(escape(line), highlight=False, soft_wrap=True)
    for name in ("frames", "missed_frames", "file"):
        if name in result:
            out.print(f"{format_key(name)}: {escape(format_value(result[name]))}", highlight=False, soft_wrap=True)


def print_report(report: Mapping[str, Any], out: Console) -> None:
    """Print the metrics of an evaluation, one column per method."""
    methods: Mapping[str, Mapping[str, Any]] = report["methods"]
    out.print()
    for name, value in report.items():
        if name not in _NOT_LISTED and value != []:
            out.print(f"{format_key(name)}: {escape(format_value(value))}", highlight=False)
    if "truth" in report:
        print_truth(report["truth"], methods, out)
    table = Table("", *(str(metrics.get("label", name)) for name, metrics in methods.items()))
    rows = dict.fromkeys(row for metrics in methods.values() for row in metrics if row != "label")
    for row in rows:
        table.add_row(format_key(row), *(format_value(metrics.get(row)) for metrics in methods.values()))
    out.print(table)
    for part in (report, *report.get("bodies", {}).values()):
        for key in ("verdict", "details"):
            if part.get(key):
                out.print(escape(str(part[key])), highlight=False)


def print_truth(truth: Mapping[str, Any], methods: Mapping[str, Mapping[str, Any]], out: Console) -> None:
    """Print the metrics against the user's ground truth, one column per method, and notes on its alignment."""
    found: Mapping[str, Mapping[str, Any]] = truth["methods"]
    table = Table("Against the truth", *(str(methods[name].get("label", name)) for name in found))
    for row in dict.fromkeys(row for metrics in found.values() for row in metrics):
        table.add_row(format_key(row), *(format_value(metrics.get(row)) for metrics in found.values()))
    out.print(table)
    for text in [*truth["notes"], *([truth["verdict"]] if truth.get("verdict") else [])]:
        out.print(escape(str(text)), highlight=False)
    out.print()


def format_key(name: str) -> str:
    """Format a key as a label: "loco_px_median" becomes "LOCO median (px)"."""
    words = name.split("_")
    units = [word for word in words if word in _UNITS]
    text = " ".join(_ACRONYMS.get(word, word) for word in words if word not in units and word != "n")
    return f"{text[:1].upper()}{text[1:]}" + (f" ({', '.join(units)})" if units else "")


def format_value(value: Any) -> str:
    """Format a value of a report as text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping) and "message" in value:
        return f"{value['message']} {value.get('remedy', '')}".strip()
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {format_value(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(format_value(v) for v in value)
    return str(value)


def format_duration(seconds: float) -> str:
    """Format a duration, such as "7 s", "12 min" or "1 h 5 min"."""
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
