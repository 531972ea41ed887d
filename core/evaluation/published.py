"""What papers report on public data sets, to be printed beside what is measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.config import from_mapping
from core.files import read_yaml, resource

OURS = "here"
_FILE = ("published", "data_sets.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method's figures.

    Attributes:
        kind: What it learns from: "3D labels", "no labels", "no training"; `OURS` for what is measured here.
        method: Name.
        values: A figure for each column, None where it was not reported.
        note: Where the figures come from, if not from the method's own paper.
    """

    kind: str
    method: str
    values: tuple[float | None, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures of several methods on one data set."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def lines(self) -> list[str]:
        """The table as text, a line a row, the rows measured here last and marked with '>'."""
        head = ("learns from", "method", *self.columns)
        cells = [(row.kind, f"{row.method} ({row.note})" if row.note else row.method, *map(_text, row.values))
                 for row in self.rows]  # fmt: skip
        width = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]
        marks = [" ", *("> " if row.kind == OURS else "  " for row in self.rows)]
        lines = [mark.ljust(2) + _line(line, width) for mark, line in zip(marks, (head, *cells), strict=True)]
        return [self.title, lines[0], "  " + "-" * (len(lines[0]) - 2), *lines[1:]]


def published(data_set: str) -> Table:
    """The published figures on a data set, "panoptic", "shelf" or "campus"."""
    return from_mapping(Table, read_yaml(resource(*_FILE))[data_set], f"{data_set}.")


def beside(data_set: str, ours: Sequence[Row]) -> Table:
    """The published figures with ours below them."""
    table = published(data_set)
    return Table(title=table.title, columns=table.columns, rows=(*table.rows, *ours))


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _line(cells: Sequence[str], width: Sequence[int]) -> str:
    """Two columns of words to the left, figures to the right."""
    words = [cell.ljust(w) for cell, w in zip(cells[:2], width[:2], strict=True)]
    return "  ".join(words + [cell.rjust(w) for cell, w in zip(cells[2:], width[2:], strict=True)])
