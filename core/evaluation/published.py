"""Published results on public data sets, for comparison with results measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.config import from_mapping
from core.files import read_yaml, resource

OURS = "here"
_FILE = ("published", "data_sets.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """Results of one method.

    Attributes:
        kind: Supervision ("3D labels", "no labels" or "no training"), or `OURS` for results measured here.
        method: Name of the method.
        values: Value per column, None where not reported.
        note: Source of the values, if not the method's own paper.
    """

    kind: str
    method: str
    values: tuple[float | None, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTable:
    """Results of several methods on one data set.

    Attributes:
        title: Data set and protocol.
        columns: Names of the metrics.
        rows: Methods.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[ResultRow, ...]

    def lines(self) -> list[str]:
        """Format the table as text, one line per row; rows measured here are marked with '>'."""
        head = ("supervision", "method", *self.columns)
        cells = [(row.kind, f"{row.method} ({row.note})" if row.note else row.method, *map(_text, row.values))
                 for row in self.rows]  # fmt: skip
        width = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]
        marks = [" ", *("> " if row.kind == OURS else "  " for row in self.rows)]
        lines = [mark.ljust(2) + _line(line, width) for mark, line in zip(marks, (head, *cells), strict=True)]
        return [self.title, lines[0], "  " + "-" * (len(lines[0]) - 2), *lines[1:]]


def published_results(data_set: str) -> ResultTable:
    """Return the published results on "panoptic", "shelf" or "campus"."""
    return from_mapping(ResultTable, read_yaml(resource(*_FILE))[data_set], f"{data_set}.")


def with_published(data_set: str, ours: Sequence[ResultRow]) -> ResultTable:
    """Return the published results with ours below them."""
    table = published_results(data_set)
    return ResultTable(title=table.title, columns=table.columns, rows=(*table.rows, *ours))


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _line(cells: Sequence[str], width: Sequence[int]) -> str:
    """Align two columns of text to the left, numbers to the right."""
    text = [cell.ljust(w) for cell, w in zip(cells[:2], width[:2], strict=True)]
    return "  ".join(text + [cell.rjust(w) for cell, w in zip(cells[2:], width[2:], strict=True)])
