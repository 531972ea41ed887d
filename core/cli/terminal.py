"""What a person sees of a job in a terminal: progress with the time left, notes, and the figures at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Table

from core.config import from_mapping
from core.evaluation.published import Table as FigureTable
from core.jobs import Cancelled, Ended, Event, Failed, Finished, Metric, Noted, Progressed
from core.progress import stage_of

_LINE_EVERY_S = 10.0
_FIGURES_SHOWN = 3
_ONE_LINE = 60


class JobView:
    """Follows a job's events: a live bar in a terminal, now and then a line where the output is a file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._figures: dict[str, float] = {}
        self._line: tuple[str, float] = ("", float("-inf"))
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> JobView:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def listen(self, event: Event) -> None:
        """Shows one event."""
        match event:
            case Progressed():
                self._show(event)
            case Metric():
                # The newest last, so that the figures of a finished stage leave the line.
                self._figures.pop(event.name, None)
                self._figures[event.name] = event.value
            case Noted():
                style = "yellow" if event.level == "warning" else "default"
                self._console.print(escape(event.text), style=style, highlight=False)
            case _:
                pass

    def _show(self, event: Progressed) -> None:
        left = "" if event.time_left_s is None else f"{format_duration(event.time_left_s)} left"
        if not self._console.is_terminal:
            stage, at = self._line
            if stage_of(event.text) != stage or time.monotonic() - at >= _LINE_EVERY_S:
                self._line = stage_of(event.text), time.monotonic()
                share = f"{event.done / event.total:.0%}" if event.total else ""
                self._console.print(escape("  ".join(p for p in (event.text, share, left) if p)), highlight=False)
            return
        newest = list(self._figures.items())[-_FIGURES_SHOWN:]
        figures = "  ".join(f"{name} {value:.4g}" for name, value in newest)
        if self._task is None:
            self._task = self._progress.add_task("", left="", figures="")
        self._progress.update(
            self._task,
            description=escape(event.text),
            completed=event.done,
            total=event.total or None,
            left=left,
            figures=escape(figures),
        )


def print_outcome(ended: Ended, out: Console, errors: Console, *, trace: bool, log: str) -> None:
    """Prints how a job ended: its results to `out`, what went wrong with the remedy to `errors`."""
    match ended:
        case Finished():
            print_result(ended.result, out)
        case Cancelled():
            errors.print("Stopped. What was done so far is kept.")
        case Failed():
            print_error(ended.message, ended.hint, errors)
            if ended.trace:
                errors.print(escape(ended.trace if trace else f"Log: {log}"), highlight=False, soft_wrap=True)


def print_error(message: str, hint: str, errors: Console) -> None:
    """What went wrong, and what to do about it."""
    errors.print(f"[bold red]{escape(message)}[/]\n{escape(hint)}", highlight=False, soft_wrap=True)


def print_result(result: Mapping[str, Any], out: Console) -> None:
    """A job's result: names and values, then the figures of an evaluation if it has them."""
    if "table" in result:
        print_table(result, out)
        return
    report = result.get("report", result)
    evaluated = isinstance(report, Mapping) and "methods" in report
    rest = {k: v for k, v in result.items() if k != "report"} if report is not result else {} if evaluated else result
    for name, value in rest.items():
        lines = value if isinstance(value, list) and len(format_value(value)) > _ONE_LINE else [value]
        for number, line in enumerate(lines):
            prefix = f"{label(name)}:" if number == 0 else ""
            # Paths are printed whole, so that they can be copied.
            out.print(f"{prefix:<14} {escape(format_value(line))}", highlight=False, soft_wrap=True)
    if evaluated:
        print_report(report, out)


def print_table(result: Mapping[str, Any], out: Console) -> None:
    """Figures on a data set, published ones first, as wide as they are; where the rest is, in one line."""
    for line in from_mapping(FigureTable, result["table"]).lines():
        out.print(escape(line), highlight=False, soft_wrap=True)
    for name in ("frames", "missed_frames", "file"):
        if name in result:
            out.print(f"{label(name)}: {escape(format_value(result[name]))}", highlight=False, soft_wrap=True)


def print_report(report: Mapping[str, Any], out: Console) -> None:
    """Figures of an evaluation, a column a method."""
    methods: Mapping[str, Mapping[str, Any]] = report["methods"]
    out.print()
    for name, value in report.items():
        if name not in ("methods", "verdict"):
            out.print(f"{label(name)}: {escape(format_value(value))}", highlight=False)
    table = Table("", *(str(figures.get("label", name)) for name, figures in methods.items()))
    rows = dict.fromkeys(row for figures in methods.values() for row in figures if row != "label")
    for row in rows:
        table.add_row(label(row), *(format_value(figures.get(row)) for figures in methods.values()))
    out.print(table)
    if report.get("verdict"):
        out.print(escape(str(report["verdict"])), highlight=False)


def label(name: str) -> str:
    """A key as words: "loco_px_median" as "Loco px median"."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def format_value(value: Any) -> str:
    """A value of a report in a table's cell."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping) and "sentence" in value:
        return f"{value['sentence']} {value.get('remedy', '')}".strip()
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {format_value(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(format_value(v) for v in value)
    return str(value)


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds, such as "1:02:03" or "0:07"."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"
