"""What the Export page shows, without widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import CoreError
from core.export import EXPORTERS, UnitsChoice, UpChoice, resolve_options
from core.pipelines.params import ExportParams
from core.session import BASELINE, Take
from studio.jobs.bridge import JobBridge

UNITS: tuple[tuple[UnitsChoice, str], ...] = (
    ("auto", "What each format expects"),
    ("mm", "Millimetres"),
    ("cm", "Centimetres"),
    ("m", "Metres"),
)
UPS: tuple[tuple[UpChoice, str], ...] = (("auto", "What each format expects"), ("z", "z up"), ("y", "y up"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRow:
    """A format that can be chosen.

    Attributes:
        name: In the registry of exporters.
        title: As a person knows it.
        sentence: What the files hold, in which units and axes, who reads them; or why the choice does not fit.
        fits: Whether the chosen units and axis can be written.
    """

    name: str
    title: str
    sentence: str
    fits: bool


def format_rows(units: UnitsChoice, up: UpChoice) -> list[FormatRow]:
    """Every format, described for the chosen units and axis."""
    rows = []
    for name in EXPORTERS:
        exporter = EXPORTERS.get(name)
        try:
            sentence, fits = exporter.describe(resolve_options(exporter, units, up)), True
        except CoreError as error:
            sentence, fits = str(error), False
        rows.append(FormatRow(name=name, title=exporter.title, sentence=sentence, fits=fits))
    return rows


def result_choices(take: Take) -> list[tuple[str, str]]:
    """Name and words of each 3D result of a take."""
    return [
        (run, "Baseline: triangulated, no training" if run == BASELINE else f"Trained: {run}")
        for run in take.poses3d_runs()
    ]


def export_params(
    take: str, poses: str, formats: Sequence[str], folder: str, units: UnitsChoice, up: UpChoice
) -> ExportParams:
    """Settings of the job."""
    return ExportParams(take=take, poses=poses, formats=tuple(formats), folder=folder, units=units, up=up)


def why_not(take: str, poses: str, formats: Sequence[str], jobs: JobBridge) -> str:
    """Why nothing can be exported now; empty if it can."""
    if not take:
        return "Import videos on the Record page first."
    if not poses:
        return "This take has no 3D yet: run Baseline on the Train page first."
    if not formats:
        return "Choose at least one format."
    if any(j.verb == "export" for j in jobs.active):
        return "An export is running."
    return ""


def written_files(jobs: JobBridge) -> list[Path]:
    """What the newest finished export of this session wrote, as far as it is still there."""
    job = max(
        (j for j in jobs.jobs if j.verb == "export" and j.state == "finished"),
        key=lambda j: j.ended_s or 0,
        default=None,
    )
    if job is None:
        return []
    return [path for path in map(Path, job.result.get("files", ())) if path.exists()]


def size_words(path: Path) -> str:
    """Size of a file."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3)):,} kB"
